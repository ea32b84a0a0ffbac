//! Serial recovery on a virtual device.
//!
//! ```text
//!              ┌─ a request ─▶ recovery ─ reset asked for, answer sent ─▶ bootloader
//! listening ───┤
//!              └─ time over ─▶ what the boot came to
//! ```

use std::fmt;
use std::time::Duration;

use updraft_board::{Board, RecoveryTransport, RecoveryWay, Role};
use updraft_boot::factory::{Course, Hold};
use updraft_flash::Error;
use updraft_image::UpgradeMode;
use updraft_recovery::{
    AfterBoot, AtReset, Config, Entry, Heard, Hooks, ImageSlots, Images, Offers, Port, Reason,
    Recovery, Ways,
};
use updraft_smp::framing::{Console, Framing, Raw};
use updraft_smp::server::Reset;

use super::app::RESET_DELAY;
use super::keys::Keys;
use crate::flash::{SimError, SimFlash};
use crate::loader::{Loader, trailers};

/// Bytes of the largest message that recovery takes, as the original's unless told otherwise.
const BUFFER: usize = 1024;
/// Bytes of the longest answer: the list of both slots of eight images.
const ANSWER: usize = 2560;

/// The ways into recovery that `board` has.
pub(super) fn ways(board: &Board) -> Ways {
    let Some(recovery) = board.recovery() else { return Ways::default() };
    Ways {
        button: recovery.enters_by(RecoveryWay::Button).then_some(Hold::Sampled),
        pin_reset: recovery.enters_by(RecoveryWay::PinReset),
        boot_mode: recovery.enters_by(RecoveryWay::BootMode),
        no_image: recovery.enters_by(RecoveryWay::NoImage),
        wait: recovery.window_ms().map(|ms| Duration::from_millis(ms.into())),
    }
}

/// The decision of a device that was reset.
pub(super) fn entry(board: &Board, reset: AtReset) -> Entry {
    Entry::at_reset(ways(board), reset)
}

/// What a recovery that listens for a while does when the time is over.
#[derive(Debug)]
struct Otherwise {
    entry: Entry,
    course: Course<Error<SimError>>,
    reset_at: Duration,
    until: Duration,
}

/// What comes after recovery.
#[derive(Debug)]
pub(super) enum Next {
    /// What the boot came to, as nobody asked for anything.
    Course(Course<Error<SimError>>),
    /// A reset, into the boot mode that the client gave.
    Reset { boot_mode: u32 },
}

/// A device in recovery.
#[derive(Debug)]
pub(super) struct Recovering {
    serving: Box<dyn Serving>,
    keys: Keys,
    reason: Option<Reason>,
    otherwise: Option<Otherwise>,
    reset: Option<(Duration, u32)>,
}

impl Recovering {
    /// In recovery for good.
    pub(super) fn enter(
        board: &Board,
        loader: &Loader,
        (flash, keys): (SimFlash, Keys),
        reason: Reason,
    ) -> Self {
        let serving = serve(board, loader, flash, keys.clone());
        Self { serving, keys, reason: Some(reason), otherwise: None, reset: None }
    }

    /// Listening until `until`, counted from the reset at `reset_at`.
    pub(super) fn listen(
        board: &Board,
        loader: &Loader,
        (flash, keys): (SimFlash, Keys),
        (entry, course): (Entry, Course<Error<SimError>>),
        (reset_at, until): (Duration, Duration),
    ) -> Self {
        let serving = serve(board, loader, flash, keys.clone());
        let otherwise = Otherwise { entry, course, reset_at, until: reset_at + until };
        Self { serving, keys, reason: None, otherwise: Some(otherwise), reset: None }
    }

    /// Why it is in recovery; `None` while it only listens.
    pub(super) fn reason(&self) -> Option<Reason> {
        self.reason
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(super) fn flash(&mut self) -> &mut SimFlash {
        self.serving.flash()
    }

    /// Bytes received and expected, while an upload is going on.
    pub(super) fn upload(&self) -> Option<(u32, u32)> {
        self.serving.upload()
    }

    pub(super) fn stop(self) -> (SimFlash, Keys) {
        self.serving.stop()
    }

    /// When something happens without anything from outside.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let window = self.otherwise.as_ref().map(|otherwise| otherwise.until);
        [window, self.reset.map(|(at, _)| at)].into_iter().flatten().min()
    }

    /// Takes what came over the line. Whether that made the device stay in recovery.
    pub(super) fn receive(
        &mut self,
        bytes: &[u8],
        now: Duration,
        send: &mut dyn FnMut(&[u8]),
    ) -> bool {
        // A device that is about to be reset hears nothing any more.
        if self.reset.is_some() {
            return false;
        }
        let Heard { requests, reset } = self.serving.receive(bytes, now, send);
        if let Some(Reset { boot_mode, .. }) = reset {
            self.reset = Some((now + RESET_DELAY, boot_mode));
        }
        let Some(otherwise) = self.otherwise.as_mut().filter(|_| requests > 0) else {
            return false;
        };
        let image = !matches!(otherwise.course, Course::Prompt(_));
        let since_reset = now.saturating_sub(otherwise.reset_at);
        let AfterBoot::Enter(reason) = otherwise.entry.after_boot(image, true, since_reset) else {
            return false;
        };
        (self.reason, self.otherwise) = (Some(reason), None);
        true
    }

    /// What has become due.
    pub(super) fn poll(&mut self, now: Duration) -> Option<Next> {
        if let Some((_, boot_mode)) = self.reset.filter(|(at, _)| *at <= now) {
            return Some(Next::Reset { boot_mode });
        }
        let otherwise = self.otherwise.as_mut()?;
        let image = !matches!(otherwise.course, Course::Prompt(_));
        let since_reset = now.saturating_sub(otherwise.reset_at);
        match otherwise.entry.after_boot(image, false, since_reset) {
            AfterBoot::Listen { .. } | AfterBoot::Enter(_) => None,
            AfterBoot::Start | AfterBoot::Stop => {
                self.otherwise.take().map(|otherwise| Next::Course(otherwise.course))
            }
        }
    }
}

/// A recovery behind its line, whatever its framing and what it offers.
trait Serving: fmt::Debug + Send {
    fn receive(&mut self, bytes: &[u8], now: Duration, send: &mut dyn FnMut(&[u8])) -> Heard;
    fn upload(&self) -> Option<(u32, u32)>;
    fn flash(&mut self) -> &mut SimFlash;
    fn stop(self: Box<Self>) -> (SimFlash, Keys);
}

/// What the board adds: everything is offered.
#[derive(Debug)]
struct Offered<const DIRECT: bool>;

impl<const DIRECT: bool> Hooks for Offered<DIRECT> {
    const OFFERS: Offers = Offers { direct_upload: DIRECT, ..Offers::ALL };
}

#[derive(Debug)]
struct Line<F, H, const HEAD: usize> {
    port: Port<F, ANSWER>,
    recovery: Recovery<SimFlash, Keys, H, HEAD>,
}

impl<F, H, const HEAD: usize> Serving for Line<F, H, HEAD>
where
    F: Framing + fmt::Debug + Send,
    H: Hooks + fmt::Debug + Send,
{
    fn receive(&mut self, bytes: &[u8], now: Duration, send: &mut dyn FnMut(&[u8])) -> Heard {
        self.port.receive(&mut self.recovery, bytes, now, send)
    }

    fn upload(&self) -> Option<(u32, u32)> {
        self.recovery.upload()
    }

    fn flash(&mut self) -> &mut SimFlash {
        self.recovery.map()
    }

    fn stop(self: Box<Self>) -> (SimFlash, Keys) {
        let (flash, keys, _) = self.recovery.into_parts();
        (flash, keys)
    }
}

fn serve(board: &Board, loader: &Loader, flash: SimFlash, keys: Keys) -> Box<dyn Serving> {
    let recovery = board.recovery();
    match recovery.map(|recovery| recovery.transport).unwrap_or_default() {
        RecoveryTransport::Console => {
            offering(board, loader, flash, keys, Console::<BUFFER>::new())
        }
        RecoveryTransport::Raw => offering(board, loader, flash, keys, Raw::<BUFFER>::default()),
    }
}

fn offering<F: Framing + fmt::Debug + Send + 'static>(
    board: &Board,
    loader: &Loader,
    flash: SimFlash,
    keys: Keys,
    framing: F,
) -> Box<dyn Serving> {
    let config = config(board, loader, &flash);
    let slots = board.areas().iter().filter(|area| area.role.is_slot());
    let write = slots.map(|slot| board.device(slot).write_size).max().unwrap_or(1);
    // What is kept back to the end is whole writes, and no more than a first chunk holds: an upload
    // whose first chunk is shorter is not resumed.
    match (board.recovery().is_some_and(|recovery| recovery.direct_upload), write > 32) {
        (false, false) => line::<F, false, 32>(config, flash, keys, framing),
        (false, true) => line::<F, false, 512>(config, flash, keys, framing),
        (true, false) => line::<F, true, 32>(config, flash, keys, framing),
        (true, true) => line::<F, true, 512>(config, flash, keys, framing),
    }
}

fn line<F, const DIRECT: bool, const HEAD: usize>(
    config: Config,
    flash: SimFlash,
    keys: Keys,
    framing: F,
) -> Box<dyn Serving>
where
    F: Framing + fmt::Debug + Send + 'static,
{
    let recovery = Recovery::<_, _, _, HEAD>::new(config, flash, keys, Offered::<DIRECT>);
    Box::new(Line { port: Port::new(framing), recovery })
}

fn config(board: &Board, loader: &Loader, flash: &SimFlash) -> Config {
    let slots = |image: u8| {
        let usual = board.capacity(image).max_image;
        Some(ImageSlots {
            primary: board.slot(image, Role::Primary)?.id,
            secondary: board.slot(image, Role::Secondary).map(|slot| slot.id),
            max_size: loader.max_image_size(flash, image).unwrap_or(usual),
        })
    };
    let slots: Vec<_> = (0..board.images()).filter_map(slots).collect();
    let scratch = board.area(Role::Scratch).filter(|_| board.mode() == UpgradeMode::SwapScratch);
    Config {
        images: Images::new(&slots).expect("the board has slots, which its bootloader knows"),
        trailers: trailers(board),
        scratch: scratch.map(|area| area.id),
        rules: loader.config().rules,
        buffer: BUFFER as u32,
    }
}
