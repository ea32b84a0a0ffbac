//! `updraft publish`: what Infineon's publisher.py does.

mod show;

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use updraft_online::{Event as Line, Memory, Online, Session};
use updraft_ota::archive::KINDS;
use updraft_publisher::{Jobs, Offers, Publisher, Settings};

use self::show::Show;
use crate::air::{Address, Contents, Described, Files, Lines, Part, Source, advised};
use crate::output::{Output, WARN, styled};
use crate::report::Hint;

/// The job document of the original, which is read if it is there.
const USUAL_JOB: &str = "ota_update.json";
/// The kit of the original.
const USUAL_KIT: &str = "CY8CPROTO_062_4343W";
/// How long one turn waits at most.
const FRAME: Duration = Duration::from_millis(100);
/// A session that has stood for so long was not refused what it needs.
const STANDS: Duration = Duration::from_secs(2);

/// Options of `updraft publish`.
#[derive(clap::Args)]
#[command(
    disable_version_flag = true,
    after_help = "Devices with Infineon's update library, or this project's, ask for updates over MQTT; each is
offered the job, sent the image, and its result is told. It goes on until it is ended, or until --count
devices have updated.

Without --job the job is made of the image: board, version, MQTT. A job document is read again at each
request, and so is the image: changing one of them publishes.

Arguments of publisher.py are taken as they are: tls, -l, -b, -k, -f. TLS is the default here; --plain does
without.

Examples:
  updraft certs lab 192.168.1.10 && updraft certs mosquitto > mosquitto.conf && mosquitto -c mosquitto.conf
  updraft publish -b 192.168.1.10 -k CY8CPROTO-062-4343W -f app-1.1.0.bin
  updraft publish --plain -f app-1.1.0.bin --count 1
  updraft publish --image NSPE=cm4-1.1.0.bin --image SPE=cm0-1.1.0.bin --archive files/update.tar
  updraft publish tls -b ml --job ota_update.json -f app.bin --json"
)]
pub struct Args {
    /// Connect over TLS, as the original says it: the default.
    #[arg(value_name = "tls", value_parser = ["tls", "TLS"], conflicts_with = "plain")]
    tls: Option<String>,
    /// Connect in plain text.
    #[arg(long)]
    plain: bool,
    /// The broker: HOST or HOST:PORT; or m(osquitto) for test.mosquitto.org, e(clipse) for
    /// mqtt.eclipseprojects.io, ml (mosquitto_local) for this computer.
    #[arg(short, long, value_name = "BROKER", default_value = "mosquitto_local")]
    broker: String,
    /// The kit. In topics and jobs it is APP_ and its name with underscores.
    #[arg(short, long, value_name = "KIT", default_value = USUAL_KIT)]
    kit: String,
    /// The board in topics and jobs, to the letter, in place of the kit.
    #[arg(long, value_name = "NAME", conflicts_with = "kit")]
    board_name: Option<String>,
    /// What topics begin with.
    #[arg(long, value_name = "PREFIX", default_value = "OTAUpdate")]
    prefix: String,
    /// The image, or an archive of several.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// An image of several that devices get in one archive: NSPE=FILE for the application, SPE=FILE
    /// for the secure part.
    #[arg(long = "image", value_name = "KIND=FILE", conflicts_with = "file")]
    images: Vec<Part>,
    /// Keep that archive in this file too, for jobs that send devices to a server of files.
    #[arg(long, value_name = "FILE", requires = "images")]
    archive: Option<PathBuf>,
    /// The job document. Default: ota_update.json, if it is there.
    #[arg(long, value_name = "FILE")]
    job: Option<PathBuf>,
    /// The version in the job, where there is no document. Default: that of the image.
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// Bytes of a chunk. Devices have buffers for 4096.
    #[arg(long, value_name = "BYTES", default_value_t = 4096, value_parser = clap::value_parser!(u16).range(256..=32768))]
    chunk: u16,
    /// Milliseconds from one chunk to the next of the same device.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pause: u64,
    /// Offer the job to devices that run this version or a newer one as well, as the original does.
    #[arg(long)]
    always: bool,
    /// Seconds without a word after which a device has failed.
    #[arg(long, value_name = "SECONDS", default_value_t = 1200)]
    patience: u64,
    /// End once so many devices have updated.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Keep the session at the broker, so that requests wait while this is not running. It needs
    /// --client-id.
    #[arg(long, requires = "client_id")]
    keep_session: bool,
    /// Keep the result of every device in this file as well: a line of JSON each, behind those that
    /// are there.
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// Tell of every chunk that is asked for by itself.
    #[arg(short = 'l', long)]
    log: bool,
    #[command(flatten)]
    lines: Lines,
}

/// Publishes until it is ended.
pub fn run(args: &Args, out: &Output) -> anyhow::Result<()> {
    let Target { host, port, board } = args.target()?;
    let document = args.job.clone().or_else(|| {
        Some(PathBuf::from(USUAL_JOB)).filter(|path| args.version.is_none() && path.exists())
    });
    let source = match (&args.file, args.images.as_slice()) {
        (Some(file), _) => Source::File(file.clone()),
        (None, []) => Source::Nowhere,
        (None, parts) => Source::Archive { parts: parts.to_vec(), keep: args.archive.clone() },
    };
    if document.is_none() && matches!(source, Source::Nowhere) {
        return Err(anyhow!("there is nothing to publish"))
            .usage("give an image, -f FILE; or a job document, --job FILE");
    }
    let described = Described { board: board.clone(), version: args.version.clone() };
    let mut show = Show::new(args, out)?;
    let mut files = Files::new(document.clone(), described, source);
    look_at(&mut files, &board, out)?;
    let offers = if args.always { Offers::Always } else { Offers::Newer };
    let settings = Settings {
        prefix: args.prefix.clone(),
        chunk: args.chunk,
        pause: Duration::from_millis(args.pause),
        patience: Duration::from_secs(args.patience),
        offers,
        ..Settings::new(host, port, board)
    };
    let session =
        Session { clean: !args.keep_session, ..Session::new(format!("OTASend{}", random())) };
    let line = args.lines.settings(&settings.host, args.plain, session)?;
    let publisher = Publisher::new(files, settings);
    // Nine chunks on their way keep a line busy.
    let mut memory = Memory::new(4096, 9 * (usize::from(args.chunk) + 512));
    let mut online = Online::new().context("this system cannot wait for sockets")?;
    online.add(publisher, line, &mut memory);
    let mut service = Service::default();
    loop {
        let mut lasting = None;
        let hear = &mut |_, event: Line<'_>| match event {
            Line::Opened { peer, .. } => {
                service.opened(Instant::now());
                show.opened(peer);
            }
            Line::Lost(error) => match service.lost(Instant::now()) {
                false if error.is_lasting() => lasting = Some(advised(error)),
                _ => show.note(format!("{} {error}", styled(WARN, "line:"))),
            },
            _ => {}
        };
        online.turn(FRAME, hear).context("this system cannot wait for sockets")?;
        if let Some(error) = lasting {
            return Err(error);
        }
        let Some(publisher) = online.machine(0) else { return Ok(()) };
        while let Some(event) = publisher.event() {
            show.event(&event)?;
        }
        show.frame(publisher)?;
        if args.count.is_some_and(|count| show.updated >= count) {
            // The last device hears that its result was read.
            for _ in 0..5 {
                online.turn(FRAME / 10, &mut |_, _| ())?;
            }
            return show.end();
        }
    }
}

/// Whether a line has ever served. What was refused before is for somebody to change; after that it
/// is the broker's that changes, and may be mended there while devices wait.
#[derive(Debug, Default)]
struct Service {
    since: Option<Instant>,
    has_served: bool,
}

impl Service {
    fn opened(&mut self, now: Instant) {
        self.since = Some(now);
    }

    /// Says whether a line has served.
    fn lost(&mut self, now: Instant) -> bool {
        let stood = self.since.take().is_some_and(|since| now.duration_since(since) >= STANDS);
        self.has_served |= stood;
        self.has_served
    }
}

/// What would be offered now: what is wrong with it is better told before a device asks.
fn look_at(files: &mut Files, board: &str, out: &Output) -> anyhow::Result<()> {
    let job = files
        .current()
        .hint("give an image and a job document as devices take them; `--help` has examples")?;
    let warn = |text: String| out.note(format_args!("{} {text}", styled(WARN, "warning:")));
    if job.board != board {
        warn(format!(
            "the job is for {}, and {board} is who is listened to: devices take jobs for their own \
             board only; -k or --board-name gives another one",
            job.board
        ));
    }
    let contents = Contents::of(&job.image);
    if let Some(version) = contents.version().filter(|version| *version != job.version) {
        warn(format!(
            "the job says {}, the image is {version}: devices go by the image in the end",
            job.version
        ));
    }
    match contents {
        Contents::Archive { version, images } => {
            for (kind, image) in KINDS.iter().zip(images) {
                match image {
                    Some(None) => warn(format!(
                        "{kind} in the archive is no MCUboot image; a bootloader would refuse it"
                    )),
                    Some(Some(header)) if *kind == KINDS[0] && version != header.version.into() => {
                        warn(format!(
                            "the archive's list says {version}, the application in it is {}",
                            header.version
                        ));
                    }
                    _ => {}
                }
            }
        }
        Contents::Spoilt(why) => warn(format!("devices would refuse the archive: {why}")),
        Contents::Unknown if !job.image.is_empty() => warn(
            "the file is neither a MCUboot image nor an archive; a bootloader would refuse it"
                .into(),
        ),
        Contents::Unknown | Contents::Image(_) => {}
    }
    Ok(())
}

/// Who is published to, and over which broker.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    host: String,
    port: u16,
    board: String,
}

impl Args {
    fn target(&self) -> anyhow::Result<Target> {
        let (host, port) = broker(&self.broker, self.plain)?;
        let board = self.board_name.clone().unwrap_or_else(|| board_of(&self.kit));
        Ok(Target { host, port, board })
    }
}

/// The board that the original makes of a kit's name.
pub fn board_of(kit: &str) -> String {
    let kit = kit.replace('-', "_");
    if kit.starts_with("APP_") { kit } else { format!("APP_{kit}") }
}

fn broker(name: &str, plain: bool) -> anyhow::Result<(String, u16)> {
    let usual = |tls| if plain { 1883 } else { tls };
    Ok(match name {
        "ml" | "mosquitto_local" => ("127.0.0.1".into(), usual(8884)),
        "m" | "mosquitto" => ("test.mosquitto.org".into(), usual(8884)),
        "e" | "eclipse" => ("mqtt.eclipseprojects.io".into(), usual(8883)),
        "a" | "amazon" => {
            return Err(anyhow!("every account of AWS has a broker of its own"))
                .usage("give its name: -b ID-ats.iot.REGION.amazonaws.com:8883");
        }
        name => {
            let address: Result<Address, String> = format!("mqtts://{name}").parse();
            let address = address
                .map_err(|why| anyhow!("`{name}` is no broker: {why}"))
                .usage("-b HOST, or -b HOST:PORT")?;
            (address.host, address.port.unwrap_or(usual(8884)))
        }
    })
}

/// Something that differs from process to process.
pub fn random() -> u32 {
    use std::hash::{BuildHasher, RandomState};
    (RandomState::new().hash_one(std::process::id()) & 0x3fff_ffff) as u32
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs())
}

/// The time of day, in UTC.
pub fn clock() -> String {
    let now = now();
    format!("{:02}:{:02}:{:02}Z", now / 3600 % 24, now / 60 % 60, now % 60)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;

    use super::{Args, Target};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &str) -> Result<Args, clap::Error> {
        let line = line.split_whitespace();
        Line::try_parse_from(std::iter::once("publish").chain(line)).map(|line| line.args)
    }

    #[test]
    fn arguments_of_the_original_say_what_they_say_there() {
        const BOARD: &str = "APP_CY8CPROTO_062_4343W";
        for (line, host, port, board) in [
            // Without `tls` the original goes in plain text, which has to be said here.
            ("", "127.0.0.1", 8884, BOARD),
            ("--plain", "127.0.0.1", 1883, BOARD),
            ("tls", "127.0.0.1", 8884, BOARD),
            ("TLS -l -f app.bin", "127.0.0.1", 8884, BOARD),
            ("tls -b ml", "127.0.0.1", 8884, BOARD),
            ("-b mosquitto_local --plain", "127.0.0.1", 1883, BOARD),
            ("tls -b m", "test.mosquitto.org", 8884, BOARD),
            ("-b mosquitto --plain", "test.mosquitto.org", 1883, BOARD),
            ("tls -b e", "mqtt.eclipseprojects.io", 8883, BOARD),
            ("--plain -b eclipse", "mqtt.eclipseprojects.io", 1883, BOARD),
            ("-b lan", "lan", 8884, BOARD),
            ("-b lan --plain", "lan", 1883, BOARD),
            ("-b [::1]:99 --plain", "[::1]", 99, BOARD),
            ("-k CY8CKIT-062S2-43012", "127.0.0.1", 8884, "APP_CY8CKIT_062S2_43012"),
            ("-k APP_CY8CKIT_062S2_43012", "127.0.0.1", 8884, "APP_CY8CKIT_062S2_43012"),
            ("--board-name CY8C-1", "127.0.0.1", 8884, "CY8C-1"),
        ] {
            let args = parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            let (host, board) = (host.to_owned(), board.to_owned());
            let target = args.target().unwrap();
            assert_eq!(target, Target { host, port, board }, "{line}");
            assert_eq!(args.plain, line.contains("--plain"), "{line}");
            assert_eq!(args.log, line.contains("-l "), "{line}");
            let file = line.contains("-f ").then_some(Path::new("app.bin"));
            assert_eq!(args.file.as_deref(), file, "{line}");
        }
    }

    #[test]
    fn arguments_that_cannot_be_meant_are_refused() {
        for line in ["ssl", "tls --plain", "-k A --board-name B", "-f a --image NSPE=b", "-b"] {
            assert!(parse(line).is_err(), "{line}");
        }
        // Every account of AWS has a broker of its own, which the original has by heart.
        for line in ["-b a", "tls -b amazon", "-b lan:x", "-b a:1:2"] {
            assert!(parse(line).unwrap().target().is_err(), "{line}");
        }
    }
}
