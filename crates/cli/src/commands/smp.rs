//! `updraft smp`: talk to a device.

mod connection;
mod enumeration;
mod files;
mod log;
mod maintenance;
mod monitor;
mod os;
mod profile;
mod scan;
mod settings;
mod several;
mod shell;
mod statistics;
mod top;
mod upgrade;

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Subcommand;
use serde::Serialize;
use serde_json::json;
use updraft_smp::client::{AnswerError, Code, FileTransferError, Refusal, UploadError};
use updraft_smp::{OsError, Rc};

use self::connection::Connection;
use crate::output::{DIM, GOOD, HEADING, Output, WARN, size, styled};
use crate::report::{Hint, find};
use crate::smp::{Finding, ImageState, Link, Listing, Preflight, Session, Uploading, unhex};

/// Options of `updraft smp`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  updraft smp --udp 192.0.2.7 os echo hello
  updraft smp --serial /dev/ttyACM0 image list
  updraft smp --ble kit --controller hci-uart:/dev/ttyACM1 image list
  updraft smp --udp 192.0.2.7 upgrade app-1.1.0.bin
  updraft smp --udp 192.0.2.7 image upload app-1.1.0.bin
  updraft smp --udp 192.0.2.7 image test app-1.1.0.bin
  updraft smp --udp 192.0.2.7 os reset
  updraft smp --udp 192.0.2.7 fs put settings.bin /lfs1/settings.bin
  updraft smp --udp 192.0.2.7 shell kernel uptime
  updraft smp --udp 192.0.2.7 image confirm")]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    group: Group,
}

#[derive(Subcommand)]
enum Group {
    /// Operating system: echo, reset, buffers, information, tasks, clock.
    #[command(subcommand)]
    Os(os::Command),
    /// Images: list, upload, test, confirm, erase.
    #[command(subcommand)]
    Image(Image),
    /// Everything at once: upload, test, reset, wait, check, confirm.
    Upgrade(upgrade::Command),
    /// The device, live: slots, uptime, statistics, log, an upload under way.
    Top(top::Command),
    /// Statistics: counters of the device.
    #[command(subcommand)]
    Stat(statistics::Command),
    /// Settings: values by name.
    #[command(subcommand)]
    Settings(settings::Command),
    /// Files: send, fetch, check.
    #[command(subcommand)]
    Fs(files::Command),
    /// The device's shell: one command, or line by line from standard input.
    Shell(shell::Command),
    /// Enumeration: which groups the device has.
    #[command(subcommand)]
    Enum(enumeration::Command),
    /// Logs, of devices of the first generation (mynewt).
    #[command(subcommand)]
    Log(log::Command),
    /// Zephyr's basic commands.
    #[command(subcommand)]
    Basic(maintenance::Basic),
    /// Make the device crash, to see how it fails (mynewt).
    Crash(maintenance::Crash),
    /// Tests that the device runs on itself (mynewt).
    #[command(subcommand)]
    Run(maintenance::Run),
    /// Any command of any group, with JSON as its payload.
    Custom(enumeration::Custom),
    /// What the device prints on its console, and logs, as it comes.
    Monitor(monitor::Command),
    /// Devices by name.
    #[command(subcommand)]
    Profile(profile::Command),
    /// Which devices there are: on serial ports, and on the network.
    Scan(scan::Command),
}

#[derive(Subcommand)]
enum Image {
    /// The images in the device's slots, and what boots next.
    #[command(visible_alias = "state")]
    List,
    /// Upload an image to the slot that does not run.
    Upload {
        /// A signed image.
        file: PathBuf,
        /// Number of the image, for devices with several.
        #[arg(long, value_name = "N")]
        image: Option<u32>,
        /// Have the device refuse it unless it is newer than what runs.
        #[arg(long)]
        upgrade: bool,
        /// Most requests under way; by default as many as the device has buffers for.
        #[arg(long, value_name = "N")]
        window: Option<usize>,
        /// Upload even if the device runs this image or holds it already.
        #[arg(long)]
        again: bool,
    },
    /// Boot an image once, on trial, at the next reset.
    Test {
        /// Image hash (or its beginning) or image file.
        image: String,
    },
    /// Keep the running image, or boot another one for good at the next reset.
    Confirm {
        /// Image hash (or its beginning) or image file; without one, the running image.
        image: Option<String>,
    },
    /// Erase the slot that does not run, or the one named.
    Erase {
        /// Absolute slot number: 2n + 1 is the secondary slot of image n.
        #[arg(long, value_name = "N")]
        slot: Option<u8>,
    },
    /// Sizes of the slots.
    Slots,
}

/// Six digits, as a parser of options.
pub(super) fn passkey(digits: &str) -> Result<u32, String> {
    let passkey = Some(digits).filter(|digits| digits.len() == 6).map(str::parse);
    match passkey {
        Some(Ok(passkey)) if digits.bytes().all(|digit| digit.is_ascii_digit()) => Ok(passkey),
        _ => Err("six digits, such as 012345".into()),
    }
}

/// Carries the command out.
pub fn run(args: Args, out: &Output) -> anyhow::Result<()> {
    if let Some(pattern) = args.connection.pattern() {
        return several::run(pattern, out);
    }
    let args = match args.group {
        Group::Profile(command) => return profile::run(&args.connection, command, out),
        Group::Scan(command) => return scan::run(&args.connection, command, out),
        group => Args { group, ..args },
    };
    let session = &mut args.connection.open()?;
    let (outcome, lacking) = match args.group {
        Group::Os(command) => (os::run(session, command, out), LACKS_OS),
        Group::Image(command) => (image(session, command, out), LACKS_IMAGE),
        Group::Upgrade(command) => (upgrade::run(session, command, out), LACKS_IMAGE),
        Group::Top(command) => {
            (top::run(session, command, &args.connection.name()?, out), LACKS_OTHER)
        }
        Group::Stat(command) => (statistics::run(session, command, out), LACKS_OTHER),
        Group::Settings(command) => (settings::run(session, command, out), LACKS_OTHER),
        Group::Fs(command) => (files::run(session, command, out), LACKS_OTHER),
        Group::Shell(command) => (shell::run(session, command, out), LACKS_OTHER),
        Group::Enum(command) => (enumeration::run(session, command, out), LACKS_OTHER),
        Group::Log(command) => (log::run(session, command, out), LACKS_OTHER),
        Group::Basic(command) => (maintenance::basic(session, command, out), LACKS_OTHER),
        Group::Crash(command) => (maintenance::crash(session, command, out), LACKS_OTHER),
        Group::Run(command) => (maintenance::run(session, command, out), LACKS_OTHER),
        Group::Custom(command) => (enumeration::custom(session, command, out), LACKS_OTHER),
        Group::Monitor(command) => (monitor::run(session, command, out), LACKS_OTHER),
        // They ask no device, or none in particular.
        Group::Profile(_) | Group::Scan(_) => (Ok(()), LACKS_OTHER),
    };
    let advice = outcome.as_ref().err().and_then(refusal).and_then(|refusal| match refusal.code {
        _ if refusal.is_unsupported() => Some(lacking),
        Code::Generic(Rc::ACCESS_DENIED) => Some(DENIED),
        Code::Group { group, rc } if group == OS && rc == OsError::InvalidFormat.rc() => {
            Some("letters are s n r v b m p i o, a is all that the device has")
        }
        _ => None,
    });
    match advice {
        Some(advice) => outcome.hint(advice),
        None => outcome,
    }
}

const OS: u32 = updraft_smp::group::OS as u32;
const LACKS_OS: &str = "another command of the group: this one is left out of the device's build \
                        (Zephyr: the options CONFIG_MCUMGR_GRP_OS_…)";
const LACKS_OTHER: &str = "updraft smp … enum details, which lists the groups that are there; or the \
                           device is of another generation";
const DENIED: &str = "another way to the device: this link may not ask for that (virtual devices: \
                      --allow-udp, --allow-serial)";
const LACKS_IMAGE: &str = "updraft smp … os info, which tells what runs there: its build lacks \
                           the image group (Zephyr: CONFIG_MCUMGR_GRP_IMG), or its upgrade mode \
                           the request";

/// The device's refusal, if that is what went wrong.
fn refusal(error: &anyhow::Error) -> Option<Refusal> {
    let of_answer = match find(error) {
        Some(AnswerError::Refused(refusal)) => Some(*refusal),
        _ => None,
    };
    let of_upload = match find(error) {
        Some(UploadError::Refused(refusal)) => Some(*refusal),
        _ => None,
    };
    let of_file = match find(error) {
        Some(FileTransferError::Refused(refusal)) => Some(*refusal),
        _ => None,
    };
    of_answer.or(of_upload).or(of_file)
}

/// A session over a link of any kind.
type Talk = Session<Box<dyn Link>>;

fn image(session: &mut Talk, command: Image, out: &Output) -> anyhow::Result<()> {
    match command {
        Image::List => {
            let images = session.images()?;
            out.result(&json!({ "images": images }), |w| write!(w, "{}", table(&images)))
        }
        Image::Upload { file, image, upgrade, window, again } => {
            upload(session, &file, Uploading { image, upgrade, window }, again, out)
        }
        Image::Test { image } => {
            let hash = named(session, &image)?;
            let images = session.test(&hash)?;
            out.result(&json!({ "images": images }), |w| write!(w, "{}", table(&images)))
        }
        Image::Confirm { image } => {
            let hash = image.map(|image| named(session, &image)).transpose()?;
            let images = session.confirm(hash.as_deref())?;
            out.result(&json!({ "images": images }), |w| write!(w, "{}", table(&images)))
        }
        Image::Erase { slot } => {
            session.erase(slot)?;
            out.result(&json!({ "erased": true }), |w| writeln!(w, "erased"))
        }
        Image::Slots => {
            let slots = session.slots()?;
            out.result(&json!({ "slots": slots }), |w| {
                let Some(slots) = &slots else {
                    return writeln!(w, "the device does not tell");
                };
                for slot in slots {
                    let bytes = slot.size.map_or("closed".into(), |bytes| size(bytes.into()));
                    let limit = slot
                        .max_image_size
                        .map(|limit| format!(", images up to {}", size(limit.into())))
                        .unwrap_or_default();
                    writeln!(w, "image {} slot {}: {bytes}{limit}", slot.image, slot.slot)?;
                }
                Ok(())
            })
        }
    }
}

/// The result of an upload, for programs.
#[derive(Serialize)]
struct Uploaded {
    version: String,
    hash: String,
    bytes: usize,
    finding: Finding,
    sent: bool,
    resumed_at: u32,
    verified: bool,
    /// Whether the device lists it.
    listed: bool,
    seconds: f64,
}

fn upload(
    session: &mut Talk,
    path: &Path,
    uploading: Uploading,
    again: bool,
    out: &Output,
) -> anyhow::Result<()> {
    let file = read(path)?;
    let preflight =
        Preflight::of(&file).with_context(|| format!("{} is not sent", path.display()))?;
    let images = session.images()?;
    let slots = session.slots()?;
    let platform = session.platform()?;
    let number = uploading.image.unwrap_or(0);
    let finding = preflight.check(number, &images, slots.as_deref(), platform.as_deref())?;
    let mut result = Uploaded {
        version: preflight.version.to_string(),
        hash: preflight.hash.to_string(),
        bytes: file.len(),
        finding,
        sent: false,
        resumed_at: 0,
        verified: false,
        listed: finding != Finding::Clear,
        seconds: 0.0,
    };
    // What is only listed is offered all the same: the list tells what the image says of itself,
    // and a device that holds every byte of it answers so to the first packet.
    if !again && finding == Finding::Running {
        return out.result(&result, |w| {
            writeln!(w, "the device runs this image already: nothing sent (--again sends it)")
        });
    }
    let started = std::time::Instant::now();
    let bar = out.progress(file.len() as u64, "uploading");
    let outcome = session.upload(&file, uploading, |progress| {
        bar.set_position(progress.acked.into());
    });
    bar.finish();
    let outcome = outcome?;
    let mut listing = Listing::Listed;
    if !outcome.verified {
        let images = session.images()?;
        listing = preflight.listed(&images);
        if listing == Listing::Missing {
            return Preflight::missing(&images);
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let resumed_at = outcome.resumed_at;
    result = Uploaded {
        sent: !outcome.already_there,
        resumed_at,
        verified: outcome.verified,
        listed: listing == Listing::Listed,
        seconds,
        ..result
    };
    out.result(&result, |w| {
        if outcome.already_there {
            return writeln!(w, "the image is on the device already, whole: nothing sent");
        }
        let sent = file.len().saturating_sub(resumed_at as usize);
        let rate = size((sent as f64 / seconds.max(1e-6)) as u64);
        let resumed = match resumed_at {
            0 => String::new(),
            at => format!(", from byte {at} on"),
        };
        let verified = if outcome.verified { ", hash verified by the device" } else { "" };
        let bytes = size(file.len() as u64);
        writeln!(w, "{bytes} in {seconds:.2} s ({rate}/s){resumed}{verified}")?;
        writeln!(w, "hash {}", preflight.hash)?;
        if listing == Listing::Later {
            writeln!(
                w,
                "the bootloader looks at it when it loads it: os reset, and image list tells \
                 whether it runs"
            )?;
        }
        Ok(())
    })
}

/// The hash of the image that `text` names: a file, or the beginning of a hash on the device.
fn named(session: &mut Talk, text: &str) -> anyhow::Result<Vec<u8>> {
    let path = Path::new(text);
    if path.is_file() {
        return Ok(Preflight::of(&read(path)?)?.hash.as_bytes().to_vec());
    }
    if text.is_empty() {
        return Err(anyhow!("no image is named"))
            .usage("name one by its file, or by the beginning of its hash: image list shows it");
    }
    let images = session.images()?;
    let beginning = text.to_ascii_lowercase();
    let mut hashes: Vec<&String> = images
        .iter()
        .filter_map(|image| image.hash.as_ref())
        .filter(|hash| hash.starts_with(&beginning))
        .collect();
    hashes.dedup();
    match hashes.as_slice() {
        [hash] => unhex(hash),
        [] => Err(anyhow!("no image on the device has a hash that begins with {text}"))
            .hint("updraft smp … image list shows the hashes; a file works as well"),
        _ => Err(anyhow!("{text} fits several images")).hint("give more of the hash"),
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
}

/// The image list as a table.
pub fn table(images: &[ImageState]) -> String {
    let mut text =
        format!("{}\n", styled(HEADING, "image slot version            hash             state"));
    for image in images {
        let mut state = Vec::new();
        let flags = [
            (image.active, "active", GOOD),
            (image.confirmed, "confirmed", GOOD),
            (image.pending && !image.permanent, "pending (test)", WARN),
            (image.pending && image.permanent, "pending (permanent)", WARN),
            (!image.bootable, "not bootable", WARN),
        ];
        for (_, name, style) in flags.into_iter().filter(|(set, ..)| *set) {
            state.push(styled(style, name));
        }
        if state.is_empty() {
            state.push(styled(DIM, "-"));
        }
        let hash = image.hash.as_deref().unwrap_or("-");
        let short = hash.get(..16).unwrap_or(hash);
        text += &format!(
            "{:>5} {:>4} {:<18} {short:<16} {}\n",
            image.image,
            image.slot,
            image.version,
            state.join(", ")
        );
    }
    if images.is_empty() {
        text += &styled(DIM, "no images\n");
    }
    text
}
