//! The story of the factory app: an empty device, its factory app by the button, an update over
//! MQTT, the way back with a power cut in it.
//!
//! It is the demonstration of Infineon's factory-rollback bootloader (code example CE230815), on a
//! virtual device, with a real broker.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use updraft_board::{Board, Role};
use updraft_certs::{Authority, HostName, LabFile, Lifetime, Pair, Subject, lab};
use updraft_image::Version;
use updraft_online::{Credentials, Session, Settings as Lines, Tls, Trust};
use updraft_sim::device::{Ask, Descriptor, Device, Status, Updates, flash_in_file, program};
use updraft_sim::flash::Torn;

use super::broker::Broker;
use super::firmware::{Firmware, Maker};
use super::publishing::Publishing;
use super::story::Options;
use super::telling::Telling;
use crate::air::{Address, Network, Notes, Place};
use crate::device::{Detail, Host, Remote, draw, slots};
use crate::files::{Mode, write_all_as};
use crate::output::{DIM, GOOD, Output, size, styled};
use crate::report::Hint;

/// Who the device is, to the broker and to the publisher.
const SERIAL: &str = "kit-1";
/// The job document, under the name of Infineon's scripts.
const JOB: &str = "ota_update.json";
/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two changes of the light: the factory app's, and the new application's.
const SLOW: u32 = 1000;
const FAST: u32 = 250;
const FACTORY: Version = Version::new(1, 0, 0, 0);
const NEW: Version = Version::new(1, 1, 0, 0);

/// What was left behind, for who wants to go on.
#[derive(Clone, Debug)]
pub struct Told {
    /// The broker's port.
    pub port: u16,
    /// The image that is published.
    pub image: PathBuf,
}

/// Tells the story, over TLS with certificates on both sides or in plain text; `Ok` only if every
/// claim held.
pub fn tell(options: &Options, plain: bool, out: &Output) -> anyhow::Result<Told> {
    let mut story = Story::begin(options, plain, out)?;
    story.empty()?;
    story.factory_app()?;
    story.nothing_new()?;
    story.update()?;
    story.rollback()?;
    story.recovery()?;
    story.again()?;
    // Who is off leaves its line without a word.
    story.remote.with(|device, _| device.power_off())?;
    let told = Told { port: story.broker.port, image: story.blinky.path().to_owned() };
    let Story { telling, .. } = story;
    telling.end()?;
    Ok(told)
}

/// Lines that were said, and how many of them were looked at.
#[derive(Clone, Debug, Default)]
struct Heard {
    lines: Arc<Mutex<Vec<String>>>,
    seen: usize,
}

impl Heard {
    fn push(&self, line: &str) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned());
    }

    /// Waits for a line with `text` in it, behind those that were waited for before.
    fn wait(&mut self, text: &str) -> bool {
        let until = Instant::now() + PATIENCE;
        loop {
            let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            let mut new = lines.iter().enumerate().skip(self.seen);
            if let Some((at, _)) = new.find(|(_, line)| line.contains(text)) {
                self.seen = at + 1;
                return true;
            }
            drop(lines);
            if Instant::now() > until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

struct Story<'o> {
    telling: Telling<'o>,
    board: Board,
    directory: PathBuf,
    factory: Firmware,
    blinky: Firmware,
    remote: Remote,
    console: Heard,
    published: Heard,
    /// Ends before its broker.
    _publisher: Publishing,
    broker: Broker,
}

impl<'o> Story<'o> {
    /// Keys, images, certificates, a broker, a publisher, and a device that is programmed with its
    /// factory app and nothing else.
    fn begin(options: &Options, plain: bool, out: &'o Output) -> anyhow::Result<Self> {
        let Options { board, directory, .. } = options;
        let name = board.name();
        let factory_area = board.slot(0, Role::Factory).map(|area| area.id);
        let factory_area = factory_area
            .ok_or_else(|| anyhow!("{name} has no area for a factory image"))
            .hint("choose a board that has, such as virtual-factory")?;
        let mut telling = Telling::new(out);
        telling.act("A device with nothing on it but its factory app, in external flash")?;
        let maker = Maker::new(board, directory, None)?;
        telling.say(maker.describe())?;
        let (factory, blinky) = applications(&maker)?;
        if !plain {
            certificates(directory)?;
        }
        let broker = Broker::start(directory, !plain)?;
        let port = broker.port;
        let how = if plain { "in plain text" } else { "TLS, certificates on both sides" };
        telling.say(format!("mosquitto at 127.0.0.1:{port}, {how}"))?;

        let published = Heard::default();
        let (heard, console) = (published.clone(), *out);
        let tell = move |line: String| {
            heard.push(&line);
            // A console that nobody reads stops nobody.
            let _ = console.line(styled(DIM, format!("    publisher: {line}")));
        };
        let job = directory.join(JOB);
        edit(&job, name, FACTORY)?;
        let reached = |stem, client: &str| lines(directory, plain, stem, client);
        let files = (job, blinky.path().to_owned());
        let client = reached(Pair::Client.stem(), "publisher")?;
        let publisher = Publishing::start(files, (name, port), client, tell)?;

        let flash_file = directory.join("device.flash");
        let flash = flash_in_file(board, &flash_file)
            .with_context(|| format!("{} cannot be made", flash_file.display()))
            .hint("choose another directory with --keep")?;
        let mut device = Device::new(board.clone(), flash, maker.trusted()?)?.networked();
        program(device.flash(), factory_area, &factory.read()?)
            .context("the factory app cannot be programmed")?;
        let (host, remote) = Host::bind(device, "127.0.0.1:0")?;
        let scheme = if plain { "mqtt" } else { "mqtts" };
        let server: Result<Address, String> = format!("{scheme}://127.0.0.1:{port}").parse();
        let server = server.map_err(|why| anyhow!(why))?;
        let (serial, board_name) = (SERIAL.to_owned(), name.to_owned());
        let place = Place { server, board: board_name, serial, thing: None };
        let network = Network::over(place, reached(SERIAL, SERIAL)?, Notes::beside(&flash_file));
        let console = Heard::default();
        let (heard, print) = (console.clone(), *out);
        std::thread::Builder::new().name("device".into()).spawn(move || {
            host.run(|line| {
                heard.push(line);
                let _ = print.line(styled(DIM, format!("    {line}")));
            })
        })?;
        let print = *out;
        network.play(remote.clone(), move |why| print.note(why))?;
        let (board, directory) = (board.clone(), directory.clone());
        let _publisher = publisher;
        Ok(Self {
            telling,
            board,
            directory,
            factory,
            blinky,
            remote,
            console,
            published,
            _publisher,
            broker,
        })
    }

    /// A claim that lines come on the console, one after the other.
    fn says(&mut self, claim: &str, lines: &[&str]) -> anyhow::Result<()> {
        let missing = lines.iter().find(|line| !self.console.wait(line));
        match missing {
            None => self.telling.claim(claim, true),
            Some(line) => self.telling.claim(format!("{claim}; never said: {line}"), false),
        }
    }

    /// A claim that the publisher says something.
    fn publisher_says(&mut self, claim: &str, line: &str) -> anyhow::Result<()> {
        let held = self.published.wait(line);
        self.telling.claim(claim, held)
    }

    /// A finger.
    fn press(&self) -> anyhow::Result<()> {
        self.telling.say(styled(GOOD, "the button is pressed"))?;
        let hold = Duration::from_millis(100);
        self.remote.with(move |device, now| device.press_button(hold, now))
    }

    /// A claim about the light: how long from one change to the next, over `edges` of them.
    fn blinks(&mut self, who: &str, ms: u32, edges: u32) -> anyhow::Result<()> {
        let until = Instant::now() + Duration::from_millis(u64::from(ms) * u64::from(edges + 3));
        let mut changes = Vec::new();
        let mut before = None;
        while Instant::now() < until && changes.len() <= edges as usize {
            let (lit, at) = self.remote.with(|device, now| (device.led(now), now))?;
            if before.is_some_and(|before| before != lit) {
                changes.push(at);
            }
            before = Some(lit);
            std::thread::sleep(Duration::from_millis(1));
        }
        let measured = match (changes.first(), changes.last()) {
            (Some(first), Some(last)) if changes.len() > edges as usize => {
                (*last - *first).as_secs_f64() * 1000.0 / f64::from(edges)
            }
            _ => 0.0,
        };
        // The host looks at the light when it gets round to it.
        let held = (measured - f64::from(ms)).abs() <= f64::from(ms) / 5.0;
        self.telling.claim(
            format!(
                "{who}: the light changes every {ms} ms ({measured:.0} ms over {edges} changes)"
            ),
            held,
        )
    }

    fn is_dark(&self) -> anyhow::Result<bool> {
        self.remote.with(|device, now| device.status() != Status::Running && !device.led(now))
    }

    fn running(&self) -> anyhow::Result<Option<Version>> {
        self.remote.with(|device, _| device.running())
    }

    /// Whether an area begins with every byte of an image.
    fn holds(&self, role: Role, firmware: &Firmware) -> anyhow::Result<bool> {
        let image = firmware.read()?;
        self.remote.with(move |device, _| {
            let area = device.board().slot(0, role).map(|area| area.id);
            area.is_some_and(|area| device.flash().bytes(area).starts_with(&image))
        })
    }

    /// Flash map and slots, as they are.
    fn show(&self, detail: Detail) -> anyhow::Result<()> {
        let (width, color) = (self.telling.out.width(), self.telling.out.is_terminal());
        let text = self.remote.with(move |device, _| {
            let board = device.board().clone();
            let views = slots(&board, device.flash());
            draw(&board, &views, detail, width, color)
        })?;
        self.telling.out.line(text.trim_end())
    }

    fn empty(&mut self) -> anyhow::Result<()> {
        let prompt = [
            "No Upgrade available !",
            "No valid image found in primary slot !",
            "Press and release user button to initiate Rollback",
        ];
        self.says("the bootloader finds nothing to boot, and asks for the button", &prompt)?;
        let dark = self.is_dark()? && self.running()?.is_none();
        self.telling.claim("nothing runs, the light is dark", dark)?;
        self.show(Detail::Full)
    }

    fn factory_app(&mut self) -> anyhow::Result<()> {
        self.telling.act("The button: the factory app comes to the primary slot")?;
        self.press()?;
        let lines = [
            "Detected user button event",
            "Initiating the Rollback...",
            "Valid image magic found",
            "Erasing primary slot. Please wait for a while...",
            "Transferring 'factory app' to 'primary slot'",
            "factory app copied to primary slot successfully",
            "factory app validated successfully",
            "app: factory 1.0.0",
        ];
        self.says("it is verified where it lies, copied, verified again, and started", &lines)?;
        let held = self.running()? == Some(FACTORY) && self.holds(Role::Primary, &self.factory)?;
        self.telling.claim("1.0.0 runs, every byte of it from the factory", held)?;
        self.blinks("factory app", SLOW, 2)?;
        self.show(Detail::Brief)
    }

    fn nothing_new(&mut self) -> anyhow::Result<()> {
        self.telling.act(&format!("{JOB} says 1.0.0, as what runs: nothing happens"))?;
        self.press()?;
        self.says("the button asks for an update", &["app: button pressed, asks for an update"])?;
        self.publisher_says("the publisher has nothing newer", "runs 1.0.0 already")?;
        // Longer than it takes to be offered something.
        std::thread::sleep(Duration::from_millis(500));
        let blank = self.remote.with(|device, _| {
            let area = device.board().slot(0, Role::Secondary).map(|area| area.id);
            area.is_some_and(|area| {
                let bytes = device.flash().bytes(area);
                bytes.iter().all(|byte| Some(byte) == bytes.first())
            })
        })?;
        let same = self.running()? == Some(FACTORY) && blank;
        self.telling.claim("1.0.0 runs on, and the secondary slot is blank", same)
    }

    fn update(&mut self) -> anyhow::Result<()> {
        self.telling.act(&format!("Somebody edits {JOB}: 1.1.0"))?;
        edit(&self.directory.join(JOB), self.board.name(), NEW)?;
        self.telling.say(r#"-  "Version": "1.0.0","#)?;
        self.telling.say(r#"+  "Version": "1.1.0","#)?;
        self.press()?;
        self.fetched()?;
        self.show(Detail::Brief)
    }

    /// From the button to the new application.
    fn fetched(&mut self) -> anyhow::Result<()> {
        let download = [
            "app: button pressed, asks for an update",
            "app: update: job received",
            "app: update: fetching",
            "app: update: verifying",
            "app: update: ready to activate",
            "app: update: asked for, at the next start",
        ];
        self.says("the agent fetches 1.1.0, verifies it, and marks the slot", &download)?;
        self.publisher_says("the publisher offers it", "is offered 1.1.0")?;
        let bytes = self.blinky.read()?.len() as u64;
        let claim = format!("the publisher has sent all of it: {}", size(bytes));
        self.publisher_says(&claim, &format!("was sent {bytes} bytes"))?;
        self.publisher_says("the publisher is told that it is there", "has updated")?;
        let installed = [
            "app: resets",
            "reset by its update agent",
            "boot: starting 1.1.0",
            "app: blinky 1.1.0",
            "app: self-test passed",
        ];
        self.says("the device resets, the bootloader installs it, and it runs", &installed)?;
        let held = self.running()? == Some(NEW) && self.holds(Role::Primary, &self.blinky)?;
        self.telling.claim("the primary slot holds every byte of 1.1.0", held)?;
        self.blinks("blinky", FAST, 4)
    }

    fn rollback(&mut self) -> anyhow::Result<()> {
        self.telling.act("The button is held at a reset; the power fails in the rollback")?;
        self.telling.say(styled(GOOD, "the button is held, the device is reset"))?;
        let total = self.remote.with(|device, now| {
            device.hold_button(true, now);
            device.operations_of_next_boot()
        })?;
        if total == 0 {
            // Nothing that is told from here on could come.
            return Err(anyhow!("a rollback that takes no flash operation is none"));
        }
        // Past the erasures, in the middle of the copy.
        let cut = total * 4 / 5;
        self.remote.with(move |device, now| {
            device.cut_at(cut, Torn::Half);
            device.reset(now);
        })?;
        let lines = [
            "Detected user button event",
            "Rollback initiated at startup",
            "Transferring 'factory app' to 'primary slot'",
            "power lost",
        ];
        let claim =
            format!("the power was lost in flash operation {cut} of {total} of the rollback");
        self.says(&claim, &lines)?;
        let off = self.remote.with(|device, now| {
            device.hold_button(false, now);
            device.status() == Status::Off
        })?;
        let dark = self.is_dark()? && off;
        self.telling.claim("the device is off, the light is dark", dark)?;
        let whole =
            self.holds(Role::Primary, &self.blinky)? || self.holds(Role::Primary, &self.factory)?;
        self.telling.claim("the primary slot holds neither the one nor the other", !whole)?;
        self.show(Detail::Brief)
    }

    fn recovery(&mut self) -> anyhow::Result<()> {
        self.telling.act("The power comes back, and nobody presses anything")?;
        self.remote.with(|device, now| device.power_on(now))?;
        let lines = [
            "Resuming an interrupted Rollback...",
            "factory app copied to primary slot successfully",
            "factory app validated successfully",
            "app: factory 1.0.0",
        ];
        self.says("the bootloader goes on with the rollback by itself", &lines)?;
        let held = self.running()? == Some(FACTORY) && self.holds(Role::Primary, &self.factory)?;
        self.telling.claim("1.0.0 runs, every byte of it from the factory", held)?;
        let kept = self.holds(Role::Factory, &self.factory)?;
        self.telling.claim("nobody has changed the factory app in external flash", kept)?;
        self.blinks("factory app", SLOW, 2)?;
        self.show(Detail::Brief)
    }

    fn again(&mut self) -> anyhow::Result<()> {
        self.telling.act("From there the update comes again")?;
        self.press()?;
        self.fetched()?;
        self.show(Detail::Brief)
    }
}

/// The factory app and the application that takes its place; both ask at the button.
fn applications(maker: &Maker) -> anyhow::Result<(Firmware, Firmware)> {
    let application = |name: &str, version, blink_ms| {
        let updates = Some(Updates { ask: Ask::AtButton, ..Updates::default() });
        let name = name.to_owned();
        let about = Descriptor { name, blink_ms, updates, ..Descriptor::default() };
        maker.application(version, &about)
    };
    Ok((application("factory", FACTORY, SLOW)?, application("blinky", NEW, FAST)?))
}

/// A lab's files, and those of the device.
fn certificates(directory: &Path) -> anyhow::Result<()> {
    let mut files = lab(&[HostName::Ip(IpAddr::V4(Ipv4Addr::LOCALHOST))], None)?;
    let text = |ending: &str| {
        let name = format!("{}.{ending}", Pair::Authority.stem());
        files.iter().find(|file| file.name == name).map(|file| file.content.clone())
    };
    let (certificate, key) = text("crt").zip(text("key")).context("a lab has an authority")?;
    let authority = Authority::from_pem(&certificate, &key)?;
    let device = Subject::Device { name: SERIAL.to_owned() };
    files.extend(LabFile::pair(SERIAL, authority.issue(&device, Lifetime::DEVICE)?));
    let paths: Vec<_> = files.iter().map(|file| directory.join(&file.name)).collect();
    let mode = |secret| match secret {
        true => Mode::Secret { replace: false },
        false => Mode::Result,
    };
    let files = paths.iter().zip(&files);
    let files =
        files.map(|(path, file)| (path.as_path(), file.content.as_bytes(), mode(file.is_secret)));
    write_all_as(&files.collect::<Vec<_>>())
}

/// How somebody with the certificate `stem` reaches the broker.
fn lines(directory: &Path, plain: bool, stem: &str, client: &str) -> anyhow::Result<Lines> {
    let session = Session::new(client);
    if plain {
        return Ok(Lines::plain(session));
    }
    let file = |stem: &str, ending: &str| directory.join(format!("{stem}.{ending}"));
    let trust = Trust::File(file(Pair::Authority.stem(), "crt"));
    let own = Credentials { certificate: file(stem, "crt"), key: file(stem, "key") };
    Ok(Lines::tls(session, Arc::new(Tls::new(&trust, Some(&own), None)?)))
}

/// Writes the job document.
fn edit(path: &Path, board: &str, version: Version) -> anyhow::Result<()> {
    let Version { major, minor, revision, .. } = version;
    let text = format!(
        "{{\n  \"Message\": \"Update Available\",\n  \"Manufacturer\": \"Updraft\",\n  \"Board\": \
         \"{board}\",\n  \"Version\": \"{major}.{minor}.{revision}\",\n  \"Connection\": \
         \"MQTT\",\n  \"Broker\": \"\",\n  \"Port\": \"\"\n}}\n"
    );
    std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}
