//! `updraft explore`: every power cut that an update can meet with, on the user's board and with
//! the user's images.

use std::path::{Path as FilePath, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use serde_json::{Value, json};
use updraft_board::Board;
use updraft_image::UpgradeMode;
use updraft_sim::device::Keys;
use updraft_sim::explore::{Cost, End, Explorer, Options, Path, Report, Story, stories};

use super::device::{decrypting, trusted};
use crate::flash_strip::FlashStrip;
use crate::output::{BAD, DIM, GOOD, HEADING, Output, styled};
use crate::report::Hint;

/// Options of `updraft explore`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  updraft explore --board virtual-nor-4k old.signed.bin new.signed.bin
  updraft explore --board my/board.toml --torn --depth 2 old.signed.bin new.signed.bin
  updraft explore --board virtual-small --mode overwrite-only old.bin new.bin --torn
  updraft explore --board virtual-small old.bin new.bin --replay revert-used@17:half,3:bits-5

The real bootloader and the real DFU library run over a model of the board's flash. The power fails
at every operation; every device has to come to what its trailers promise. Two interruptions that
leave the same bytes behind are explored once.")]
pub struct Args {
    /// Name or file of the board.
    #[arg(long)]
    board: String,
    /// The signed image that the device runs.
    old: PathBuf,
    /// The signed image that it is to be updated to.
    new: PathBuf,
    /// Play the board with a bootloader of another upgrade mode.
    #[arg(long, value_parser = mode)]
    mode: Option<UpgradeMode>,
    /// How many power cuts may follow each other, each before the recovery from the last is over.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=8))]
    depth: u32,
    /// Let the power fail within operations too, not only between them.
    #[arg(long)]
    torn: bool,
    /// Imitate the original bootloader, weaknesses included.
    #[arg(long)]
    imitate: bool,
    /// Public (or private) key that the bootloader trusts; without any, intact images will do.
    #[arg(long = "key", value_name = "PEM")]
    keys: Vec<PathBuf>,
    /// Private key that encrypted images are decrypted with, or a wrapping key in base64.
    #[arg(long, value_name = "KEY")]
    private_key: Option<PathBuf>,
    /// Only this story, such as revert-used; may be given several times.
    #[arg(long = "story", value_name = "NAME")]
    stories: Vec<String>,
    /// How many threads work; as many as there are processors by default.
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    threads: usize,
    /// Walk the path to a failure, operation by operation.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["torn", "depth", "stories"])]
    replay: Option<Path>,
}

fn mode(text: &str) -> Result<UpgradeMode, String> {
    let known = UpgradeMode::ALL.into_iter().find(|mode| mode.name() == text);
    known.ok_or_else(|| {
        let names: Vec<_> = UpgradeMode::ALL.iter().map(|mode| mode.name()).collect();
        format!("one of {}", names.join(", "))
    })
}

/// Carries the command out.
pub fn run(args: Args, out: &Output) -> anyhow::Result<()> {
    let mut board = super::boards::load(&args.board)?;
    if let Some(mode) = args.mode {
        board = board.with_mode(mode).hint("see `updraft boards` for boards in that mode")?;
    }
    if args.imitate {
        board = board.imitating().context("the board cannot imitate the original")?;
    }
    let keys = match args.keys.is_empty() {
        true => Keys::unsigned(),
        false => trusted(&board, &args.keys, out)?,
    };
    let keys = decrypting(keys, &board, args.private_key.as_deref())?;
    let told = stories(&board, &read(&args.old)?, &read(&args.new)?, &keys)?;
    if let Some(path) = &args.replay {
        return replay(&board, &told, path, out);
    }
    let unknown = args.stories.iter().find(|name| told.iter().all(|story| story.name() != **name));
    if let Some(name) = unknown {
        return Err(no_such_story(name, &told));
    }
    let chosen = told.iter().filter(|story| {
        args.stories.is_empty() || args.stories.iter().any(|name| name == story.name())
    });
    let options = Options {
        depth: args.depth,
        threads: args.threads,
        ..if args.torn { Options::torn() } else { Options::clean_cuts() }
    };
    let began = Instant::now();
    let mut reports = Vec::new();
    out.line(styled(HEADING, row(&HEADINGS)))?;
    for story in chosen {
        let explorer = Explorer::new(story, options.clone())?;
        let bar = out.steps(1, story.name().to_owned());
        let report = explorer.run(&|done, of| {
            bar.set_length(of);
            bar.set_position(done.max(bar.position()));
        });
        bar.finish_and_clear();
        out.event(&as_json(&report), line(&report))?;
        reports.push(report);
    }
    conclude(&args, &board, &reports, began.elapsed(), out)
}

fn read(path: &FilePath) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
}

fn no_such_story(name: &str, told: &[Story]) -> anyhow::Error {
    let names: Vec<_> = told.iter().map(Story::name).collect();
    let error: anyhow::Result<()> = Err(anyhow!("there is no story {name:?} here"))
        .usage(format!("one of {}", names.join(", ")));
    error.expect_err("just made")
}

const HEADINGS: [&str; 7] =
    ["STORY", "OPERATIONS", "CUTS", "STATES", "WORST ERASES", "WORST TIME", "COMES TO"];

fn row(cells: &[impl AsRef<str>; 7]) -> String {
    let [story, numbers @ .., outcome] = cells;
    let [operations, cuts, states, erases, time] = numbers;
    format!(
        "{:<23} {:>10} {:>9} {:>8} {:>13} {:>10}  {}",
        story.as_ref(),
        operations.as_ref(),
        cuts.as_ref(),
        states.as_ref(),
        erases.as_ref(),
        time.as_ref(),
        outcome.as_ref()
    )
}

fn line(report: &Report) -> String {
    let Cost { erases, erases_of_one_sector, time_us, .. } = report.worst;
    let outcomes: Vec<_> = report.outcomes.iter().map(|(outcome, _)| outcome.to_string()).collect();
    let outcome = match &report.failure {
        Some(failure) => styled(BAD, format!("✗ {}", failure.why)),
        None => styled(GOOD, "✓ ") + &outcomes.join(", "),
    };
    row(&[
        report.story.clone(),
        report.operations.to_string(),
        report.cuts.to_string(),
        report.states.to_string(),
        format!("{erases} (≤{erases_of_one_sector})"),
        format!("{:.1} s", time_us as f64 / 1e6),
        outcome,
    ])
}

fn conclude(
    args: &Args,
    board: &Board,
    reports: &[Report],
    took: Duration,
    out: &Output,
) -> anyhow::Result<()> {
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    let (cuts, states) = (sum(|report| report.cuts), sum(|report| report.states));
    let failure = reports.iter().find_map(|report| report.failure.as_ref());
    let Some(failure) = failure else {
        let seconds = took.as_secs_f64();
        let rate = states as f64 / seconds.max(1e-6);
        let summary = json!({
            "survived": true,
            "board": board.name(),
            "mode": board.mode().name(),
            "depth": args.depth,
            "torn": args.torn,
            "cuts": cuts,
            "states": states,
            "seconds": seconds,
        });
        let survives = styled(GOOD, "The device survives.");
        return out.event(
            &summary,
            format!(
                "{survives} {cuts} cuts, {states} different states, {seconds:.1} s ({rate:.0} states/s)"
            ),
        );
    };
    Err(anyhow!("the device does not survive {}: {}", failure.path, failure.why))
        .hint(replaying(args, &failure.path))
}

/// The command that walks `path` on the same device.
fn replaying(args: &Args, path: &Path) -> String {
    // Taken apart, so that an option that is new has to be thought of here.
    let Args {
        board,
        old,
        new,
        mode,
        imitate,
        keys,
        private_key,
        depth: _,
        torn: _,
        stories: _,
        threads: _,
        replay: _,
    } = args;
    let mut words = vec!["updraft".to_owned(), "explore".to_owned()];
    let mut option = |name: &str, value: Option<String>| {
        words.push(name.to_owned());
        words.extend(value.map(|value| quoted(&value)));
    };
    option("--board", Some(board.clone()));
    if let Some(mode) = mode {
        option("--mode", Some(mode.to_string()));
    }
    if *imitate {
        option("--imitate", None);
    }
    for key in keys {
        option("--key", Some(key.display().to_string()));
    }
    if let Some(key) = private_key {
        option("--private-key", Some(key.display().to_string()));
    }
    option("--replay", Some(path.to_string()));
    words.extend([old, new].map(|image| quoted(&image.display().to_string())));
    words.join(" ")
}

/// A word as a shell reads it as one.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=@,+%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

fn as_json(report: &Report) -> Value {
    let cost = |cost: &Cost| {
        json!({
            "erases": cost.erases,
            "erases_of_one_sector": cost.erases_of_one_sector,
            "bytes_written": cost.bytes_written,
            "seconds": cost.time_us as f64 / 1e6,
        })
    };
    let outcomes = report.outcomes.iter();
    json!({
        "story": report.story,
        "operations": report.operations,
        "cuts": report.cuts,
        "states": report.states,
        "uncut": cost(&report.uncut),
        "worst": cost(&report.worst),
        "outcomes": outcomes
            .map(|(outcome, states)| json!({ "outcome": outcome.to_string(), "states": states }))
            .collect::<Vec<_>>(),
        "failure": report.failure.as_ref().map(|failure| {
            json!({ "path": failure.path.to_string(), "why": failure.why })
        }),
    })
}

fn replay(board: &Board, told: &[Story], path: &Path, out: &Output) -> anyhow::Result<()> {
    let story = told.iter().find(|story| story.name() == path.story);
    let story = story.ok_or_else(|| no_such_story(&path.story, told))?;
    let explorer = Explorer::new(story, Options::torn())?;
    let strip = FlashStrip::new(board, story);
    let image = Some(story.image()).filter(|_| board.images() > 1);
    if let Some(image) = image {
        let about = format!("image {image} is updated; nothing is in the slots of the others");
        out.event(&json!({ "story": story.name(), "image": image }), about)?;
    }
    out.line(strip.legend())?;
    out.line(format!("{:44} {}", styled(HEADING, "before"), strip.draw(story.start())))?;
    let mut steps = Vec::new();
    let outcome = explorer.walk(&path.cuts, |visit| {
        let (what, flash) = (strip.describe(visit.op), strip.draw(visit.flash));
        let torn = visit.torn.map(|torn| format!("{torn:?}"));
        let note = torn.as_ref().map(|torn| styled(BAD, format!("  ✂ {torn}: the power fails")));
        let text = format!("{:>5} {what:38} {flash}{}", visit.number, note.unwrap_or_default());
        let step = json!({
            "boot": visit.boot,
            "operation": visit.number,
            "what": what,
            "torn": torn,
            "flash": flash,
        });
        steps.push((step, text));
    });
    for (step, text) in steps {
        out.event(&step, text)?;
    }
    let End { outcome, verdict } = outcome.map_err(|why| anyhow!("{path}: {why}"))?;
    let of = image.map_or(String::new(), |image| format!(" (image {image})"));
    out.event(
        &json!({ "outcome": outcome.to_string(), "survived": verdict.is_ok() }),
        format!("{} {outcome}{of}", styled(DIM, "the device comes to:")),
    )?;
    verdict.map_err(|why| anyhow!("the device does not survive {path}: {why}"))
}
