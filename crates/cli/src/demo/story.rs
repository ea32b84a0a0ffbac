//! The acts, and the claims that each of them has to prove.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use updraft_board::{Board, Role};
use updraft_image::Version;
use updraft_sim::device::{ConfirmedBy, Device, SelfTest, Status, flash_in_file, program};
use updraft_sim::flash::Torn;
use updraft_smp::client::Patience;

use super::firmware::{Firmware, Maker};
use super::telling::Telling;
use crate::commands::smp::table;
use crate::device::{Detail, Host, Remote, draw, slots};
use crate::output::{DIM, Output, size, styled};
use crate::report::Hint;
use crate::smp::{ImageState, Preflight, Session, Udp, Uploading};

/// How to tell the story.
#[derive(Clone, Debug)]
pub struct Options {
    /// The board.
    pub board: Board,
    /// Where everything is made and left.
    pub directory: PathBuf,
    /// Firmware to use instead of the demo's own.
    pub image: Option<Vec<u8>>,
}

const FIRST: Version = Version::new(1, 0, 0, 0);
const SECOND: Version = Version::new(1, 1, 0, 0);
const BAD_ONE: Version = Version::new(1, 2, 0, 0);
const FIXED: Version = Version::new(1, 2, 1, 0);

/// Tells the story; `Ok` only if every claim held.
pub fn tell(options: &Options, out: &Output) -> anyhow::Result<()> {
    let mut story = Story::begin(options, out)?;
    story.provision()?;
    story.update()?;
    story.revert()?;
    story.power_cuts()?;
    story.refusals()?;
    story.telling.end()
}

struct Story<'o> {
    telling: Telling<'o>,
    board: Board,
    maker: Maker,
    remote: Remote,
    session: Session<Udp>,
    address: SocketAddr,
    device: JoinHandle<anyhow::Result<()>>,
}

impl<'o> Story<'o> {
    /// Makes keys and a device without anything on it.
    fn begin(options: &Options, out: &'o Output) -> anyhow::Result<Self> {
        let Options { board, directory, image } = options;
        if !board.mode().swaps() {
            return Err(anyhow!("{} is {}: it cannot revert", board.name(), board.mode()))
                .hint("choose a board that swaps, such as virtual-nor-4k");
        }
        let maker = Maker::new(board, directory, image.clone())?;
        let flash_file = directory.join("device.flash");
        let flash = flash_in_file(board, &flash_file)
            .with_context(|| format!("{} cannot be made", flash_file.display()))
            .hint("choose another directory with --keep")?;
        let device = Device::new(board.clone(), flash, maker.trusted()?)?;
        let (host, remote) = Host::bind(device, "127.0.0.1:0")?;
        let address = host.address()?;
        let session = Session::new(Udp::connect(&address.to_string())?, Patience::QUICK);
        let console = *out;
        let device = std::thread::Builder::new().name("device".into()).spawn(move || {
            host.run(|line| {
                // A console that nobody reads does not stop the device.
                let _ = console.line(styled(DIM, format!("    {line}")));
            })
        })?;
        let board = board.clone();
        let telling = Telling::new(out);
        Ok(Self { telling, board, maker, remote, session, address, device })
    }

    fn act(&mut self, title: &str) -> anyhow::Result<()> {
        self.telling.act(title)
    }

    fn say(&self, text: impl std::fmt::Display) -> anyhow::Result<()> {
        self.telling.say(text)
    }

    fn claim(&mut self, claim: impl Into<String>, held: bool) -> anyhow::Result<()> {
        self.telling.claim(claim, held)
    }

    /// Flash map and slots, as they are.
    fn show(&self) -> anyhow::Result<()> {
        let (width, color) = (self.telling.out.width(), self.telling.out.is_terminal());
        let detail = if self.telling.act == 1 { Detail::Full } else { Detail::Brief };
        let text = self.remote.with(move |device, _| {
            let board = device.board().clone();
            let views = slots(&board, device.flash());
            draw(&board, &views, detail, width, color)
        })?;
        self.telling.out.line(text.trim_end())
    }

    /// Waits until the application answers, and until `arrived` is content with the images.
    fn images_when(
        &mut self,
        arrived: impl Fn(&[ImageState]) -> bool,
    ) -> anyhow::Result<Vec<ImageState>> {
        let patience = Instant::now() + Duration::from_secs(20);
        loop {
            if self.device.is_finished() {
                bail!("the device at {} has stopped", self.address);
            }
            let images = self.session.images()?;
            if arrived(&images) || Instant::now() > patience {
                return Ok(images);
            }
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    fn upload(&mut self, firmware: &Firmware) -> anyhow::Result<()> {
        let file = firmware.read()?;
        let preflight = Preflight::of(&file)?;
        let images = self.session.images()?;
        let slots = self.session.slots()?;
        let platform = self.session.platform()?;
        preflight.check(0, &images, slots.as_deref(), platform.as_deref())?;
        self.send(&file, &firmware.version.to_string())
    }

    fn send(&mut self, file: &[u8], what: &str) -> anyhow::Result<()> {
        let bar = self.telling.out.progress(file.len() as u64, "uploading");
        let started = Instant::now();
        let outcome = self.session.upload(file, Uploading::default(), |progress| {
            bar.set_position(progress.acked.into());
        });
        bar.finish();
        let outcome = outcome?;
        let seconds = started.elapsed().as_secs_f64();
        self.say(format!("uploaded {what}: {} in {seconds:.2} s", size(file.len() as u64)))?;
        self.claim(format!("the device holds every byte of {what}"), outcome.verified)
    }

    fn test(&mut self, firmware: &Firmware) -> anyhow::Result<()> {
        let images = self.session.test(&firmware.hash)?;
        self.telling.out.line(table(&images).trim_end())?;
        let pending = images.iter().any(|image| image.pending && !image.permanent);
        self.claim(format!("{} is pending for a test", firmware.version), pending)
    }

    fn boots(&self) -> anyhow::Result<u64> {
        self.remote.with(|device, _| device.boots())
    }

    /// Waits for the bootloader to have run `times` more than `before`.
    fn wait_for_boots(&self, before: u64, times: u64) -> anyhow::Result<bool> {
        let patience = Instant::now() + Duration::from_secs(20);
        while Instant::now() < patience {
            if self.boots()? >= before + times {
                return Ok(true);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(false)
    }

    fn running(&self) -> anyhow::Result<Option<Version>> {
        self.remote.with(|device, _| device.running())
    }

    fn provision(&mut self) -> anyhow::Result<()> {
        self.act("Keys, firmware, a device fresh from the bench")?;
        self.say(self.maker.describe())?;
        let first = self.maker.build(FIRST, SelfTest::Pass, ConfirmedBy::Application)?;
        let primary =
            self.board.slot(0, Role::Primary).context("the board has no primary slot")?.id;
        let image = first.read()?;
        let programmed = self.remote.with(move |device, now| {
            device.power_off();
            let programmed = program(device.flash(), primary, &image);
            device.power_on(now);
            programmed
        })?;
        programmed.context("the first image cannot be programmed")?;
        let images = self.images_when(|images| images.iter().any(|image| image.active))?;
        self.telling.out.line(table(&images).trim_end())?;
        let running = self.running()? == Some(FIRST);
        self.claim("1.0.0 boots and answers over SMP", running)?;
        self.show()
    }

    fn update(&mut self) -> anyhow::Result<()> {
        self.act("An update: upload, test, swap, self-test, confirm")?;
        let second = self.maker.build(SECOND, SelfTest::Pass, ConfirmedBy::Host)?;
        self.upload(&second)?;
        self.test(&second)?;
        let boots = self.boots()?;
        self.session.reset(false, None)?;
        self.wait_for_boots(boots, 1)?;
        let images = self.images_when(|images| runs(images, "1.1.0"))?;
        let trial = images.iter().any(|image| image.active && !image.confirmed);
        self.claim("1.1.0 runs, on trial", runs(&images, "1.1.0") && trial)?;
        // Confirming is a judgement; it comes after the self-test.
        std::thread::sleep(Duration::from_millis(self.maker.self_test_ms().into()));
        let images = self.session.confirm(None)?;
        self.telling.out.line(table(&images).trim_end())?;
        let confirmed = images.iter().any(|image| image.active && image.confirmed);
        self.claim("1.1.0 is confirmed", confirmed)?;
        let boots = self.boots()?;
        self.session.reset(false, None)?;
        self.wait_for_boots(boots, 1)?;
        let images = self.images_when(|images| runs(images, "1.1.0"))?;
        self.claim("1.1.0 stays after another reset", runs(&images, "1.1.0"))?;
        self.show()
    }

    fn revert(&mut self) -> anyhow::Result<()> {
        self.act("A bad release: its self-test fails, the device goes back")?;
        let bad = self.maker.build(BAD_ONE, SelfTest::Fail, ConfirmedBy::Application)?;
        self.upload(&bad)?;
        self.test(&bad)?;
        let boots = self.boots()?;
        self.session.reset(false, None)?;
        let twice = self.wait_for_boots(boots, 2)?;
        let images =
            self.images_when(|images| images.iter().any(|image| image.active && image.confirmed))?;
        self.telling.out.line(table(&images).trim_end())?;
        self.claim("1.2.0 ran once and was reverted", twice && runs(&images, "1.1.0"))?;
        let confirmed = images.iter().any(|image| image.active && image.confirmed);
        self.claim("1.1.0 runs again, confirmed", confirmed && runs(&images, "1.1.0"))?;
        self.show()
    }

    fn power_cuts(&mut self) -> anyhow::Result<()> {
        self.act("The power fails in the middle of the swap, three times")?;
        let fixed = self.maker.build(FIXED, SelfTest::Pass, ConfirmedBy::Application)?;
        self.upload(&fixed)?;
        self.test(&fixed)?;
        let cuts = [Torn::Half, Torn::AllButOneBit(7), Torn::Bits(1)];
        let boots = self.boots()?;
        for (turn, torn) in cuts.into_iter().enumerate() {
            // A third of the way, so that something is left to cut for the next turn.
            self.remote.with(move |device, _| {
                let operation = device.operations_of_next_boot() / 3;
                device.cut_at(operation, torn);
            })?;
            match turn {
                0 => self.session.reset(false, None)?,
                _ => self.remote.with(|device, now| device.power_on(now))?,
            }
            let lost = self.wait_for_boots(boots, turn as u64 + 1)? && self.is_off()?;
            let times = ["", " again", " once more"].get(turn).unwrap_or(&"");
            self.claim(format!("the power was lost{times} while sectors were moving"), lost)?;
            self.show()?;
        }
        self.remote.with(|device, now| device.power_on(now))?;
        self.wait_for_boots(boots, cuts.len() as u64 + 1)?;
        let images = self.images_when(|images| {
            runs(images, "1.2.1") && images.iter().any(|image| image.active && image.confirmed)
        })?;
        self.telling.out.line(table(&images).trim_end())?;
        self.claim("the swap was finished; 1.2.1 runs and confirmed itself", {
            runs(&images, "1.2.1") && images.iter().any(|image| image.active && image.confirmed)
        })?;
        self.show()
    }

    fn is_off(&self) -> anyhow::Result<bool> {
        self.remote.with(|device, _| device.status() == Status::Off)
    }

    fn refusals(&mut self) -> anyhow::Result<()> {
        self.act("What a device must refuse")?;
        let foreign = self.maker.build_foreign(Version::new(9, 0, 0, 0))?;
        self.send(&foreign.read()?, "an image signed with a stranger's key")?;
        self.refused("a stranger's image is refused before it is marked", &foreign)?;
        let good = self.maker.build(Version::new(1, 3, 0, 0), SelfTest::Pass, ConfirmedBy::Host)?;
        let mut damaged = good.read()?;
        let middle = damaged.len() / 2;
        if let Some(byte) = damaged.get_mut(middle) {
            *byte ^= 0x10;
        }
        self.send(&damaged, "an image with one bit flipped")?;
        self.refused("a damaged image is refused before it is marked", &good)?;
        let images = self.session.images()?;
        self.claim("1.2.1 runs on, untouched", runs(&images, "1.2.1"))?;
        self.show()
    }

    fn refused(&mut self, claim: &str, firmware: &Firmware) -> anyhow::Result<()> {
        match self.session.test(&firmware.hash) {
            Ok(_) => self.claim(claim, false),
            Err(error) => {
                self.say(format!("the device answers: {error}"))?;
                let pending = self.session.images()?.iter().any(|image| image.pending);
                self.claim(claim, !pending)
            }
        }
    }
}

fn runs(images: &[ImageState], version: &str) -> bool {
    images.iter().any(|image| image.active && image.version == version)
}

/// A directory of one's own that goes away with it.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new empty directory.
    pub fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("updraft-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path)
            .with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own cleaning.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
