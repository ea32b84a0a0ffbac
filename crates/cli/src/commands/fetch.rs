//! `updraft fetch`: a device on the command line, which asks for an update and takes it.

mod watch;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use serde_json::json;
use updraft_online::{Session, Will};
use updraft_ota::infineon::{Flow, Identity, Prefix, Spelling};
use updraft_ota::json::Text;
use updraft_ota::{
    Agent, Config, Endpoint, Platform, Protocol, Record, Retry, Transport, Version, aws, ddi, dfu,
    infineon,
};
use updraft_sim::device::{Keys, dfu_of, flash_in_file};
use updraft_sim::flash::SimFlash;

use super::key::load_public;
use super::publish::{board_of, random};
use crate::air::{Address, FileGate, FileSlot, Lines, Notes, Signer};
use crate::output::{GOOD, Output, WARN, styled};
use crate::report::Hint;
use watch::Watch;

/// Bytes of a block.
const BLOCK: u32 = 4096;
/// How long an answer is waited for.
const ANSWER: Duration = Duration::from_secs(30);
/// How often files of gates are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// What the original's broker says when one of its devices is gone, and where.
const WILL: (&str, &str) = ("cy_ota_device/will", "MQTT demo unexpectedly disconnected.");
/// Bytes of the longest job of AWS, and what is around it.
const JOB: usize = 34 * 1024;
/// How long the last report has until it is sent.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long the device waits for a line: longer than lines take to say what keeps them.
const CONNECT: Duration = Duration::from_secs(35);

/// Options of `updraft fetch`.
#[derive(clap::Args)]
#[command(
    after_help = "Plays a device of Infineon's protocol, of AWS IoT's with --thing, or of hawkBit's with --ddi: asks for
an update, fetches what is missing of it, verifies it, and keeps it. Killed and started again it goes on
with what it has.

--out keeps a verified image in a file; what lies there already is what the device runs. --flash writes
it to the secondary slot of a virtual device and marks it: `updraft device run` with the same file boots it.
On a board of two images an archive updates both, or neither.

The exit code is 0 if an update is installed, or if there is none.

Examples:
  updraft fetch mqtts://192.168.1.10:8884 --key key.pub.pem --out app.bin
  updraft fetch mqtt://127.0.0.1 --flash dev.flash --key key.pub.pem
  updraft fetch https://files.lan/ota_update.json --ca ca.crt --key key.pub.pem --out app.bin
  updraft fetch http://127.0.0.1:8080/app.bin --direct --key key.pub.pem --out app.bin
  updraft fetch mqtts://ID-ats.iot.REGION.amazonaws.com:8883 --thing kit-1 --signer codesign.crt --ca \
      root.pem --tls-cert kit-1.crt --tls-key kit-1.key --key key.pub.pem --out app.bin
  updraft fetch http://127.0.0.1:60053 --ddi DEFAULT/dev1 --token-file token --key key.pub.pem --out app.bin"
)]
pub struct Args {
    /// The server: mqtts://HOST:PORT, mqtt:// in plain text, or http(s)://HOST/FILE with the job, and
    /// with --direct the image.
    #[arg(value_name = "URL")]
    server: Address,
    /// The file that keeps the image.
    #[arg(short, long, value_name = "FILE", required_unless_present = "flash")]
    out: Option<PathBuf>,
    /// The flash of a virtual device.
    #[arg(long, value_name = "FILE", conflicts_with = "out")]
    flash: Option<PathBuf>,
    /// Name or file of the board that the flash is of.
    #[arg(long, default_value = "virtual-nor-4k")]
    board: String,
    /// Public (or private) key that images have to be signed with; may be given several times.
    #[arg(long = "key", value_name = "PEM", required_unless_present = "unsigned")]
    keys: Vec<PathBuf>,
    /// Take images without a signature, from anybody.
    #[arg(long, conflicts_with = "keys")]
    unsigned: bool,
    /// The version that runs, where --out names nothing yet.
    #[arg(long, value_name = "VERSION", default_value = "0.0.0", value_parser = version)]
    running: Version,
    /// Bytes of the largest image that --out takes.
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20)]
    capacity: u32,
    /// The kit. In topics and jobs it is APP_ and its name with underscores.
    #[arg(short, long, value_name = "KIT", default_value = "CY8CPROTO_062_4343W")]
    kit: String,
    /// What jobs call the board, to the letter, in place of the kit.
    #[arg(long, value_name = "NAME", conflicts_with = "kit")]
    board_name: Option<String>,
    /// What topics begin with.
    #[arg(long, value_name = "PREFIX", default_value = "OTAUpdate")]
    prefix: String,
    /// The serial number to tell.
    #[arg(long, value_name = "TEXT", default_value = "")]
    serial: String,
    /// Without a job: the image at once, from the file that URL names, or from the topic that all
    /// devices share.
    #[arg(short, long)]
    direct: bool,
    /// Ask for each chunk by itself from the beginning.
    #[arg(long)]
    piecewise: bool,
    /// The device's name in topics, PREFIX/BOARD/NAME/OTAImage/…, by which a broker can keep devices
    /// apart: `updraft certs mosquitto --acl`. Default: none, as in the original.
    #[arg(long, value_name = "NAME", value_parser = level)]
    device: Option<String>,
    /// How keys of messages are spelled: as the original's devices do, or as its scripts and jobs do.
    #[arg(long, value_enum, default_value_t)]
    spelling: SpellingOf,
    /// Keep the session at the broker, so that messages wait while this is not running. It needs
    /// --client-id.
    #[arg(long, requires = "client_id")]
    keep_session: bool,
    /// What an update has to wait for, such as battery=FILE: as long as the file says `wait`. `never`
    /// refuses updates, anything else lets them go on. Also network, space, user.
    #[arg(long = "gate", value_name = "GATE=FILE")]
    gates: Vec<FileGate>,
    /// AWS IoT's jobs, as this thing: the next job is taken, its image fetched from a stream or a
    /// signed address, and every step reported.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["ddi", "direct", "piecewise"])]
    thing: Option<String>,
    /// Certificate, or public key, of who signs jobs; jobs without such a signature are refused then.
    /// May be given several times.
    #[arg(long, value_name = "PEM", requires = "thing")]
    signer: Vec<PathBuf>,
    /// How blocks of streams are asked for.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t, requires = "thing")]
    stream: StreamFormat,
    /// Fetch over HTTP where a job offers a stream as well.
    #[arg(long, requires = "thing")]
    prefer_http: bool,
    /// hawkBit's protocol, as this tenant's controller. Goes on until there is an update.
    #[arg(long, value_name = "TENANT/CONTROLLER")]
    ddi: Option<String>,
    /// A file with the controller's token.
    #[arg(long, value_name = "FILE", requires = "ddi")]
    token_file: Option<PathBuf>,
    /// Seconds without a block after which an update is given up that has begun: until then it is
    /// asked for again and again, as the network or the publisher may come back.
    #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
    patience: u64,
    /// Give up after so many seconds, whatever happens.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    #[command(flatten)]
    lines: Lines,
}

/// Keys of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum SpellingOf {
    /// BoardName, ProductID, ManufacturerID.
    #[default]
    Device,
    /// Board, Product, ManufacturerId.
    Job,
}

/// A level of a topic.
fn level(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | '+' | '#');
    let named = !text.is_empty() && text.len() <= 64 && text.chars().all(good);
    let why = "1 to 64 printable characters without a space, / + or #";
    if named { Ok(text.to_owned()) } else { Err(why.into()) }
}

/// How messages about streams are written.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum StreamFormat {
    /// CBOR.
    #[default]
    Cbor,
    /// JSON.
    Json,
}

impl From<StreamFormat> for aws::Format {
    fn from(format: StreamFormat) -> Self {
        match format {
            StreamFormat::Cbor => Self::Cbor,
            StreamFormat::Json => Self::Json,
        }
    }
}

fn version(text: &str) -> Result<Version, String> {
    Version::parse(text).ok_or_else(|| "three numbers, such as 1.2.3".into())
}

/// A machine with an agent in it.
trait Updates: Protocol {
    type Platform: Platform;

    fn agent(&mut self) -> &mut Agent<'static, Self::Platform>;

    /// Asks for a job now; `false` if it does that by itself.
    fn check_now(&mut self, _: Duration) -> bool {
        false
    }

    /// Whether an image on trial is to be tested now.
    fn may_test(&self) -> bool {
        true
    }
}

impl<P: Platform> Updates for infineon::Device<'static, P> {
    type Platform = P;

    fn agent(&mut self) -> &mut Agent<'static, P> {
        Self::agent(self)
    }

    fn check_now(&mut self, now: Duration) -> bool {
        Self::check_now(self, now)
    }
}

impl<P: Platform> Updates for ddi::Device<'static, P> {
    type Platform = P;

    fn agent(&mut self) -> &mut Agent<'static, P> {
        Self::agent(self)
    }
}

impl<P: Platform> Updates for aws::Device<'static, P> {
    type Platform = P;

    fn agent(&mut self) -> &mut Agent<'static, P> {
        Self::agent(self)
    }

    fn may_test(&self) -> bool {
        self.is_testing()
    }
}

/// A platform that says when it wants to be reset.
trait Resets: Platform {
    fn wants_reset(&mut self) -> bool;

    /// The version of the image of `size` bytes that is installed.
    fn installed(&mut self, size: u32) -> Option<Version>;

    /// Whether what is on trial passes its test, where that can be told here.
    fn passes(&mut self) -> Option<bool>;
}

impl Resets for FileSlot {
    fn wants_reset(&mut self) -> bool {
        self.notes.reset
    }

    fn installed(&mut self, _: u32) -> Option<Version> {
        self.version()
    }

    fn passes(&mut self) -> Option<bool> {
        Some(FileSlot::passes(self))
    }
}

/// The slots in the flash of a virtual device, for images and for archives.
type FlashSlots = dfu::Slots<'static, SimFlash, Keys, Notes>;

impl Resets for FlashSlots {
    fn wants_reset(&mut self) -> bool {
        self.system().reset
    }

    fn installed(&mut self, size: u32) -> Option<Version> {
        Some(self.verify(size).ok()??.version)
    }

    fn passes(&mut self) -> Option<bool> {
        // The device has to boot it.
        None
    }
}

/// How a session ended.
enum Ended {
    /// An image is installed.
    Installed(Option<Version>),
    /// There was none.
    Nothing,
}

/// Fetches an update.
pub fn run(args: &Args, out: &Output) -> anyhow::Result<()> {
    if args.unsigned {
        out.note(styled(WARN, "this device takes unsigned images"));
    }
    let ended = match (&args.flash, &args.out) {
        (Some(flash), _) => into_flash(args, flash, out)?,
        (None, Some(file)) => into_file(args, file, out)?,
        (None, None) => return Err(anyhow!("an image has to go somewhere")).usage("--out FILE"),
    };
    match ended {
        Ended::Installed(version) => {
            let version = version.map(|version| version.to_string()).unwrap_or_default();
            let text = format!("{} {version}", styled(GOOD, "installed"));
            out.event(&json!({ "event": "installed", "version": version }), text)?;
            if let Some(flash) = &args.flash {
                let flash = flash.display();
                out.note(format_args!(
                    "  on trial at the next boot: updraft device run --flash {flash}"
                ));
            }
            Ok(())
        }
        Ended::Nothing => out.event(&json!({ "event": "nothing" }), "there is no update"),
    }
}

fn into_flash(args: &Args, path: &Path, out: &Output) -> anyhow::Result<Ended> {
    let board = super::boards::load(&args.board)?;
    let keys = match args.unsigned {
        true => Keys::unsigned(),
        false => super::device::trusted(&board, &args.keys, out)?,
    };
    if !path.exists() {
        return Err(anyhow!("{} is not there", path.display()))
            .hint("updraft device run --flash FILE --load primary=IMAGE makes one");
    }
    let flash = super::device::explained(flash_in_file(&board, path), &board, path)?;
    let images = (0..board.images()).map(|image| dfu_of(&board, &flash, image));
    let images = images
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| anyhow!("{} takes no updates: {error}", board.name()))?;
    let mut notes = Notes::beside(path).signed_by(signers(args, out)?);
    notes.gates.clone_from(&args.gates);
    play(args, dfu::Slots::new(images.leak(), flash, keys, notes), out)
}

fn into_file(args: &Args, path: &Path, out: &Output) -> anyhow::Result<Ended> {
    let keys = args.keys.iter().map(|path| Ok(load_public(path, out)?.as_der().to_vec()));
    let keys = Keys::trusting(keys.collect::<anyhow::Result<_>>()?)?;
    let signers = signers(args, out)?;
    let open = || -> anyhow::Result<FileSlot> {
        let slot = FileSlot::open(path, args.capacity, args.running, keys.clone());
        let slot = slot.with_context(|| format!("{} cannot be written", path.display()))?;
        let mut slot = slot.signed_by(signers.clone());
        slot.notes.gates.clone_from(&args.gates);
        Ok(slot)
    };
    let ended = play(args, open()?, out)?;
    match ended {
        // What polls has to tell that the new image runs.
        Ended::Installed(version) if args.ddi.is_some() => {
            play(args, open()?, out)?;
            Ok(Ended::Installed(version))
        }
        // And what began a self-test has to report on it.
        Ended::Installed(version) if args.thing.is_some() => {
            play(args, open()?.on_trial(), out)?;
            Ok(Ended::Installed(version))
        }
        ended => Ok(ended),
    }
}

fn signers(args: &Args, out: &Output) -> anyhow::Result<Vec<Signer>> {
    args.signer.iter().map(|path| Signer::open(path, out)).collect()
}

fn kept(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

fn room(len: usize) -> &'static mut [u8] {
    Box::leak(vec![0; len].into_boxed_slice())
}

/// Plays the device until its session ends. What it refers to lasts as long as the process.
fn play<P: Resets>(args: &Args, mut slot: P, out: &Output) -> anyhow::Result<Ended> {
    let Address { scheme, host, port, path } = &args.server;
    let transport = match scheme.as_str() {
        "http" => Transport::Http,
        "https" => Transport::Https,
        _ => Transport::Mqtt,
    };
    let usual = if scheme == "mqtts" { 8884 } else { transport.port() };
    let host = Text::new(kept(host));
    let server = Endpoint { transport, host, port: port.unwrap_or(usual) };
    let board = match &args.board_name {
        Some(name) => name.clone(),
        None => board_of(&args.kit),
    };
    let record = Record::size(slot.capacity().div_ceil(BLOCK) as usize);
    let mut config = Config { seed: random(), block: BLOCK, ..Config::new(kept(&board)) };
    for rule in &mut config.defer {
        // A file is looked at for nothing.
        rule.again = LOOK;
    }
    let agent = Agent::new(slot, config, room(record));
    let session = Session {
        clean: !args.keep_session,
        // Where things may publish to their own topics only, it would keep them from connecting.
        will: args.thing.is_none().then(|| Will { topic: WILL.0.into(), payload: WILL.1.into() }),
        ..Session::new(format!("cy_device{}", random() & 0xffff))
    };
    let plain = matches!(scheme.as_str(), "mqtt" | "http");
    let settings = args.lines.settings(&args.server.host, plain, session)?;
    let again =
        Retry { first: Duration::from_secs(1), ..infineon::Timers::default().connect_again };
    if let Some(controller) = &args.ddi {
        let (tenant, controller) = controller
            .split_once('/')
            .context("--ddi names no controller")
            .usage("--ddi TENANT/CONTROLLER, such as DEFAULT/dev1")?;
        let authorization = match &args.token_file {
            Some(path) => {
                let token = std::fs::read_to_string(path);
                let token = token.with_context(|| format!("{} cannot be read", path.display()))?;
                format!("TargetToken {}", token.lines().next().unwrap_or_default())
            }
            None => String::new(),
        };
        let first_check = Duration::ZERO;
        let timers = ddi::Timers { first_check, again, ..ddi::Timers::default() };
        let settings_of_device = ddi::Settings {
            server,
            tenant: kept(tenant),
            controller: kept(controller),
            authorization: kept(&authorization),
            attributes: &[("agent", "updraft")],
            timers,
        };
        let device = ddi::Device::new(agent, settings_of_device, room(64 * 1024));
        return Watch::new(args, out, true).drive(device, settings);
    }
    if let Some(thing) = &args.thing {
        let timers = aws::Timers {
            first_check: Duration::ZERO,
            connect_again: again,
            reset: LAST_WORDS,
            ..aws::Timers::default()
        };
        let settings_of_device = aws::Settings {
            format: args.stream.into(),
            prefers_http: args.prefer_http,
            timers,
            ..aws::Settings::new(kept(thing), server)
        };
        let device = aws::Device::new(agent, settings_of_device, room(JOB), room(64 * 1024));
        return Watch::new(args, out, false).drive(device, settings);
    }
    let file = match (path.as_str(), args.direct) {
        ("", false) => "/ota_update.json",
        (path, _) => path,
    };
    let settings_of_device = infineon::Settings {
        prefix: Prefix::Own(kept(&args.prefix)),
        identity: Identity { serial_number: kept(&args.serial), ..Identity::default() },
        file: Text::new(kept(file)),
        flow: if args.direct { Flow::Direct } else { Flow::Job },
        piecewise: args.piecewise,
        device: args.device.as_deref().map(kept),
        spelling: match args.spelling {
            SpellingOf::Device => Spelling::Device,
            SpellingOf::Job => Spelling::Job,
        },
        session: random() as u16,
        timers: infineon::Timers {
            first_check: Duration::ZERO,
            connect_again: again,
            connect: CONNECT,
            // Whether there is another session is for `Watch` to say.
            session_again: Retry { tries: 1, ..again },
            job: ANSWER,
            reset: Duration::ZERO,
            ..infineon::Timers::default()
        },
        ..infineon::Settings::new(server)
    };
    let http = room(BLOCK as usize + 1024);
    let device = infineon::Device::new(agent, settings_of_device, room(1024), http);
    Watch::new(args, out, false).drive(device, settings)
}
