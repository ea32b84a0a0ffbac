//! `updraft smp upgrade`: everything from a file to a device that runs it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use indicatif::ProgressBar;
use serde_json::json;

use super::{Talk, read};
use crate::output::{DIM, GOOD, Output, WARN, size, styled};
use crate::report::Hint;
use crate::smp::{Ending, Part, Plan, Preflight, Step, Wishes, upgrade};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  updraft smp --udp 192.0.2.7 upgrade app-1.1.0.bin
  updraft smp --serial /dev/ttyACM0 upgrade app-1.1.0.bin --no-confirm
  updraft smp --udp 192.0.2.7 upgrade app-1.1.0.bin 1=radio-2.0.0.bin

What is on the device already is not sent again, and an upgrade that was broken off is taken up
where it stopped: run the same command once more.")]
pub struct Command {
    /// A signed image; NUMBER=FILE for another one of the device's images than the first.
    #[arg(required = true, value_name = "[NUMBER=]FILE")]
    files: Vec<String>,
    /// Leave the new image on trial: it has to confirm itself, or the next reset goes back.
    #[arg(long, conflicts_with = "permanent")]
    no_confirm: bool,
    /// Install for good at once, without a trial: there is no way back.
    #[arg(long)]
    permanent: bool,
    /// Install a version that is older than what runs.
    #[arg(long)]
    downgrade: bool,
    /// Most requests under way; by default as many as the device has buffers for.
    #[arg(long, value_name = "N")]
    window: Option<usize>,
    /// Seconds that the device may take to swap and to come back.
    #[arg(long, value_name = "SECONDS", default_value_t = 300,
        value_parser = clap::value_parser!(u64).range(1..=86400))]
    wait: u64,
}

pub fn run(session: &mut Talk, command: Command, out: &Output) -> anyhow::Result<()> {
    let parts = parts(&command.files)?;
    let wishes = Wishes {
        confirm: !command.no_confirm,
        permanent: command.permanent,
        downgrade: command.downgrade,
        window: command.window,
        wait: Duration::from_secs(command.wait),
    };
    let mut story = Story { out, bar: None };
    let ending = upgrade(session, &parts, &wishes, |step| story.tell(&step));
    story.end_bar();
    let ending = ending?;
    let result = json!({
        "ending": ending,
        "images": parts.iter().map(|part| json!({
            "image": part.image,
            "file": part.name,
            "version": part.version(),
            "hash": part.preflight.hash.to_string(),
        })).collect::<Vec<_>>(),
    });
    out.result(&result, |w| match ending {
        Ending::NothingToDo => writeln!(w, "nothing to do: the device runs this already"),
        Ending::Confirmed => {
            writeln!(w, "{}: the device runs {} for good", styled(GOOD, "done"), versions(&parts))
        }
        Ending::OnTrial => writeln!(
            w,
            "{}: the device runs {} and goes back at its next reset, unless it is confirmed",
            styled(WARN, "on trial"),
            versions(&parts)
        ),
    })
}

fn versions(parts: &[Part]) -> String {
    let versions: Vec<_> = parts.iter().map(Part::version).collect();
    versions.join(" and ")
}

/// The files, each with the number of its image.
fn parts(files: &[String]) -> anyhow::Result<Vec<Part>> {
    let mut parts: Vec<Part> = Vec::new();
    for named in files {
        let (image, path) = match named.split_once('=') {
            Some((number, path)) if !Path::new(named).exists() => {
                let number = number.parse();
                let number = number
                    .map_err(|_| anyhow!("{named} names neither a file nor an image"))
                    .usage("give a file, or the number of an image and a file: 1=radio.bin")?;
                (number, PathBuf::from(path))
            }
            _ => (0, PathBuf::from(named)),
        };
        if parts.iter().any(|part| part.image == image) {
            return Err(anyhow!("two files for image {image}"))
                .usage("say which image the other one is for: 1=radio.bin");
        }
        let mut file = read(&path)?;
        let preflight = Preflight::of(&file);
        let mut preflight = preflight.with_context(|| format!("{} is not sent", path.display()))?;
        // Padding and a trailer are for programming: here the device marks the slot by itself.
        file.truncate(usize::try_from(preflight.size).unwrap_or(usize::MAX));
        preflight.len = file.len();
        parts.push(Part { name: path.display().to_string(), image, file, preflight });
    }
    Ok(parts)
}

/// Tells people how far it is, line by line; programs get the result alone.
struct Story<'o> {
    out: &'o Output,
    bar: Option<ProgressBar>,
}

impl Story<'_> {
    fn tell(&mut self, step: &Step<'_>) {
        if let Step::Uploading(part, progress) = step {
            let total = part.file.len() as u64;
            let bar = self.bar.get_or_insert_with(|| self.out.progress(total, "uploading"));
            bar.set_position(progress.acked.into());
            return;
        }
        self.end_bar();
        // Nobody is served by an upgrade that stops because its words are not read.
        let _ = self.out.line(line(step));
    }

    fn end_bar(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// What a step is called.
fn line(step: &Step<'_>) -> String {
    let name = |what: &str| styled(DIM, format!("{what:>10}"));
    match step {
        Step::Planned(part, plan, running) => {
            let new = part.version();
            let running = match running {
                Some(image) => format!("runs {}", image.version),
                None => "waits in its bootloader".into(),
            };
            let of = if part.image > 0 { format!("image {}: ", part.image) } else { String::new() };
            match plan {
                Plan::Keep => format!("{} {of}{new} runs already", name("device")),
                Plan::Confirm => format!("{} {of}{new} runs on trial", name("device")),
                Plan::Boot => format!("{} {of}{new} boots next", name("device")),
                Plan::Install => format!("{} {of}{running}, is to run {new}", name("device")),
            }
        }
        Step::Uploading(..) => String::new(),
        Step::Uploaded { part, already_there: true, .. } => {
            format!("{} {} was on the device already", name("upload"), part.name)
        }
        Step::Uploaded { part, took, .. } => {
            let bytes = part.file.len() as f64;
            let rate = size((bytes / took.as_secs_f64().max(1e-6)) as u64);
            let (bytes, took) = (size(bytes as u64), took.as_secs_f64());
            format!("{} {bytes} in {took:.2} s ({rate}/s)", name("upload"))
        }
        Step::Requested { part, permanent } => {
            let how = if *permanent { "for good" } else { "on trial" };
            format!("{} {} boots next, {how}", name("request"), part.version())
        }
        Step::Busy => format!("{} the device is busy; waiting until it is not", name("reset")),
        Step::Reset => format!("{} the device swaps and starts", name("reset")),
        Step::Back { took } => format!("{} after {:.1} s", name("back"), took.as_secs_f64()),
        Step::Confirmed(part) => format!("{} {}", name("confirmed"), part.version()),
    }
}
