//! `updraft smp fs`: files of a device.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, anyhow};
use clap::Subcommand;
use serde::Serialize;
use serde_json::json;
use updraft_smp::client::{FileOutcome, Part};

use super::{Talk, read};
use crate::output::{Output, size};
use crate::report::Hint;

#[derive(Subcommand)]
#[command(after_help = "Examples:
  updraft smp --udp 192.0.2.7 fs put table.bin /lfs1/table.bin
  updraft smp --udp 192.0.2.7 fs get /lfs1/log.txt
  updraft smp --udp 192.0.2.7 fs hash /lfs1/table.bin --type sha256
  updraft smp --udp 192.0.2.7 fs status /lfs1/table.bin

A transfer that was broken off goes on where it was. In the end the device computes a hash of its
file, which has to be that of the file here.")]
pub enum Command {
    /// Fetch a file.
    #[command(visible_alias = "download")]
    Get {
        /// Whole path of the file on the device.
        name: String,
        /// Where to put it: a file, or a folder that is there; by default its name, in this folder.
        file: Option<PathBuf>,
        /// Fetch all of it, even if a part is here.
        #[arg(long)]
        again: bool,
    },
    /// Send a file.
    #[command(visible_alias = "upload")]
    Put {
        /// The file.
        file: PathBuf,
        /// Whole path on the device.
        name: String,
        /// Send all of it, even if the device has a part.
        #[arg(long)]
        again: bool,
    },
    /// Bytes of a file.
    Status {
        /// Whole path on the device.
        name: String,
    },
    /// Have the device compute a hash of a file.
    Hash {
        /// Whole path on the device.
        name: String,
        /// Kind of hash; by default the device's first.
        #[arg(long = "type", value_name = "NAME")]
        kind: Option<String>,
        /// Where to begin.
        #[arg(long, value_name = "BYTE", default_value_t = 0)]
        offset: u32,
        /// How many bytes; by default all to the end.
        #[arg(long, value_name = "N")]
        length: Option<u32>,
    },
    /// The kinds of hashes that the device computes.
    Types,
    /// Have the device close the files that it has open.
    Close,
}

/// The result of a transfer, for programs.
#[derive(Serialize)]
struct Transferred<'a> {
    name: &'a str,
    file: &'a Path,
    bytes: u32,
    resumed_at: u32,
    verified: Option<&'static str>,
    seconds: f64,
}

pub fn run(session: &mut Talk, command: Command, out: &Output) -> anyhow::Result<()> {
    match command {
        Command::Get { name, file, again } => {
            let file = match file {
                Some(folder) if folder.is_dir() => folder.join(file_named(&name)?),
                Some(file) => file,
                None => file_named(&name)?,
            };
            get(session, (&name, &file), again, out)
        }
        Command::Put { file, name, again } => {
            let data = read(&file)?;
            let started = Instant::now();
            let bar = out.progress(data.len() as u64, "sending");
            let sent = session.put_file(&name, &data, !again, |progress| {
                bar.set_position(progress.done.into());
            });
            bar.finish();
            report((&name, &file), sent?, started, out)
        }
        Command::Status { name } => {
            let bytes = session.file_size(&name)?;
            out.result(&json!({ "name": name, "bytes": bytes }), |w| writeln!(w, "{bytes} bytes"))
        }
        Command::Hash { name, kind, offset, length } => {
            let part = Part { off: offset, len: length };
            let hash = session.hash_file(&name, kind.as_deref(), part)?;
            out.result(&hash, |w| {
                writeln!(w, "{} {} of {} bytes", hash.kind, hash.output, hash.len)
            })
        }
        Command::Types => {
            let kinds = session.hash_kinds()?;
            out.result(&json!({ "types": kinds }), |w| {
                kinds.iter().try_for_each(|kind| writeln!(w, "{}: {} bytes", kind.name, kind.size))
            })
        }
        Command::Close => {
            session.close_files()?;
            out.result(&json!({ "closed": true }), |w| writeln!(w, "closed"))
        }
    }
}

/// A file in this folder with the last part of a name.
fn file_named(name: &str) -> anyhow::Result<PathBuf> {
    let last = name.rsplit('/').next().filter(|last| !matches!(*last, "" | "." | ".."));
    last.map(PathBuf::from)
        .ok_or_else(|| anyhow!("{name} is no name of a file"))
        .usage("give the whole path of a file on the device")
}

/// Fetches a file. What has come lies beside its place until all is there.
fn get(
    session: &mut Talk,
    (name, file): (&str, &Path),
    again: bool,
    out: &Output,
) -> anyhow::Result<()> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".part");
    let beside = PathBuf::from(beside);
    let cannot = || format!("{} cannot be written", beside.display());
    let have = match fs::read(&beside) {
        Ok(have) if !again => have,
        Ok(_) => Vec::new(),
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            return Err(error).with_context(|| format!("{} cannot be read", beside.display()));
        }
    };
    let started = Instant::now();
    let bar = out.progress(have.len() as u64, "fetching");
    let mut open: Option<File> = None;
    let fetched = session.get_file(name, &have, |off, bytes, progress| {
        if let Some(total) = progress.total {
            bar.set_length(total.into());
        }
        bar.set_position(progress.done.into());
        if bytes.is_empty() {
            return Ok(());
        }
        if off == 0 {
            open = None;
        }
        let part = match &mut open {
            Some(part) => part,
            None => open.insert(match off {
                0 => File::create(&beside).with_context(cannot)?,
                _ => OpenOptions::new().append(true).open(&beside).with_context(cannot)?,
            }),
        };
        part.write_all(bytes).with_context(cannot)
    });
    bar.finish();
    let outcome = match fetched {
        Ok(outcome) => outcome,
        // Bytes that are wrong are nothing to go on from.
        Err(error) if is_mismatch(&error) => {
            let _ = fs::remove_file(&beside);
            return Err(error);
        }
        Err(error) => return Err(error),
    };
    drop(open);
    if outcome.len == 0 {
        File::create(&beside).with_context(cannot)?;
    }
    fs::rename(&beside, file).with_context(|| format!("{} cannot be written", file.display()))?;
    report((name, file), outcome, started, out)
}

fn is_mismatch(error: &anyhow::Error) -> bool {
    use updraft_smp::client::FileTransferError::HashMismatch;
    crate::report::find(error) == Some(&HashMismatch)
}

fn report(
    (name, file): (&str, &Path),
    outcome: FileOutcome,
    started: Instant,
    out: &Output,
) -> anyhow::Result<()> {
    let FileOutcome { len, resumed_at, verified } = outcome;
    let seconds = started.elapsed().as_secs_f64();
    let verified = verified.map(updraft_smp::FileHash::name);
    let result = Transferred { name, file, bytes: len, resumed_at, verified, seconds };
    out.result(&result, |w| {
        let checked = match verified {
            Some(kind) => format!(", {kind} verified"),
            None if len == 0 => String::new(),
            None => ", not verified: the device computes no hash".into(),
        };
        if resumed_at == len && len > 0 {
            return writeln!(w, "all {} bytes were there already{checked}", len);
        }
        let resumed = match resumed_at {
            0 => String::new(),
            at => format!(", from byte {at} on"),
        };
        let rate = size((f64::from(len - resumed_at) / seconds.max(1e-6)) as u64);
        writeln!(w, "{len} bytes in {seconds:.2} s ({rate}/s){resumed}{checked}")
    })
}
