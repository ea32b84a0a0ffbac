//! A whole upgrade: from image files to a device that runs them for good.
//!
//! ```text
//! inspect ─▶ compare with the slots ─▶ upload ─▶ request ─▶ reset ─▶ wait ─▶ check ─▶ confirm
//!                 │ runs already ────────────────────────────────────────────────▲      ▲
//!                 │ holds it ──────────────────────▲          ▲                          │
//!                 │ will boot it ─────────────────────────────┘      runs it on trial ───┘
//! ```
//! Where an upgrade was broken off, the next one goes on from what the device says of its slots.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use serde::Serialize;
use updraft_smp::client::{AnswerError, Patience, Progress};

use super::Link;
use super::preflight::{Finding, Listing, Preflight, is_bootloader, version};
use super::session::{ImageState, Session, Silence, hex, is_away, is_busy};
use super::upload::Uploading;
use crate::report::{Hint, find};

/// A file for one of the device's images.
#[derive(Clone, Debug)]
pub struct Part {
    /// What people call it.
    pub name: String,
    /// Number of the image.
    pub image: u32,
    /// The file.
    pub file: Vec<u8>,
    /// What it says of itself.
    pub preflight: Preflight,
}

impl Part {
    /// Its version as people write it.
    pub fn version(&self) -> String {
        let version = self.preflight.version.to_string();
        version.strip_suffix("+0").unwrap_or(&version).to_owned()
    }

    fn hash(&self) -> String {
        hex(self.preflight.hash.as_bytes())
    }
}

/// What is wanted apart from the usual.
#[derive(Clone, Copy, Debug)]
pub struct Wishes {
    /// Confirm the new image once it runs.
    pub confirm: bool,
    /// Have it boot for good at once, without a trial.
    pub permanent: bool,
    /// Install a version that is older than what runs.
    pub downgrade: bool,
    /// Most requests under way.
    pub window: Option<usize>,
    /// How long the device may take to come back.
    pub wait: Duration,
}

/// What has to be done for one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Nothing: it runs.
    Keep,
    /// It runs on trial.
    Confirm,
    /// It is in the other slot, and boots next.
    Boot,
    /// It has to be uploaded; a device that holds it says so to the first packet.
    Install,
}

/// What an upgrade tells while it goes on.
#[derive(Clone, Debug)]
pub enum Step<'s> {
    /// The device was compared with the file.
    Planned(&'s Part, Plan, Option<&'s ImageState>),
    /// An upload goes on.
    Uploading(&'s Part, Progress),
    /// The device has all of it.
    Uploaded {
        part: &'s Part,
        /// It had all of it before.
        already_there: bool,
        took: Duration,
    },
    /// It was asked for.
    Requested { part: &'s Part, permanent: bool },
    /// The device is busy, and will be reset when it is not.
    Busy,
    /// The device was reset.
    Reset,
    /// It has come back.
    Back { took: Duration },
    /// The image was confirmed.
    Confirmed(&'s Part),
}

/// How an upgrade ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Everything ran before, for good.
    NothingToDo,
    /// The new images run for good.
    Confirmed,
    /// They run on trial: the next reset goes back.
    OnTrial,
}

/// Compares a file with what the device says of its slots.
pub fn plan(
    part: &Part,
    images: &[ImageState],
    finding: Finding,
    wishes: &Wishes,
) -> anyhow::Result<Plan> {
    let hash = part.hash();
    let mut own = images.iter().filter(|image| image.image == part.image);
    let holds = |image: &&ImageState| image.hash.as_ref() == Some(&hash);
    let other = own.clone().find(|image| image.pending && !holds(image));
    if let Some(other) = other {
        return Err(anyhow!("another image is to boot next: {}", other.version)).hint(
            "let it (updraft smp … os reset), or take it away (updraft smp … image erase), and \
             upgrade then",
        );
    }
    if finding == Finding::Running {
        let on_trial = own.any(|image| image.active && !image.confirmed);
        return Ok(if on_trial && wishes.confirm { Plan::Confirm } else { Plan::Keep });
    }
    if own.clone().any(|image| image.pending) {
        return Ok(Plan::Boot);
    }
    let newer = |running: &&ImageState| {
        version(&running.version).is_some_and(|version| version > part.preflight.version)
    };
    if let Some(running) = own.find(|image| image.active).filter(newer)
        && !wishes.downgrade
    {
        let new = part.version();
        return Err(anyhow!(
            "older than what runs: {new}, and the device runs {}",
            running.version
        ))
        .hint("give --downgrade if that is meant; the bootloader may refuse it all the same");
    }
    Ok(Plan::Install)
}

/// Upgrades a device; `tell` hears of every step.
pub fn upgrade<L: Link>(
    session: &mut Session<L>,
    parts: &[Part],
    wishes: &Wishes,
    mut tell: impl FnMut(Step<'_>),
) -> anyhow::Result<Ending> {
    let before = session.images()?;
    let slots = session.slots()?;
    let platform = session.platform()?;
    let mut plans = Vec::new();
    // All of them, before a byte is sent for the first.
    for part in parts {
        let check = |part: &Part| {
            let preflight = &part.preflight;
            let finding =
                preflight.check(part.image, &before, slots.as_deref(), platform.as_deref())?;
            plan(part, &before, finding, wishes)
        };
        let plan =
            check(part).map_err(|error| error.context(format!("{} is not sent", part.name)))?;
        let running = before.iter().find(|image| image.image == part.image && image.active);
        tell(Step::Planned(part, plan, running));
        plans.push((part, plan));
    }
    let boots = |plan: &Plan| matches!(plan, Plan::Install | Plan::Boot);
    let resets = plans.iter().any(|(_, plan)| boots(plan));
    // The reset would take it back.
    for part in parts.iter().filter(|part| resets && on_trial(part, &before)) {
        if !wishes.confirm {
            return Err(anyhow!("{} runs on trial, and the reset would take it back", part.name))
                .hint("leave out --no-confirm, or confirm it first (updraft smp … image confirm)");
        }
        confirm(session, part, &mut tell)?;
    }
    let mut install: Vec<_> =
        plans.iter().filter(|(_, plan)| *plan == Plan::Install).map(|(part, _)| *part).collect();
    for part in &install {
        upload(session, part, parts.len() > 1, wishes, &mut tell)?;
    }
    // What runs comes last: without it, nothing is begun that would go on by itself.
    install.sort_by_key(|part| std::cmp::Reverse(part.image));
    for (at, part) in install.iter().enumerate() {
        let asked = request(session, part, wishes);
        let asked = match install.get(..at).unwrap_or_default() {
            [] => asked?,
            before => {
                let names: Vec<&str> = before.iter().map(|part| part.name.as_str()).collect();
                asked.hint(format!(
                    "the next reset installs {} alone: take it away first (updraft smp … image \
                     erase --slot N)",
                    names.join(" and ")
                ))?
            }
        };
        if asked {
            tell(Step::Requested { part, permanent: wishes.permanent });
        }
    }
    if resets {
        let asked = session.images()?;
        let in_place = install.iter().any(|part| part.preflight.is_in_place(&asked));
        reset(session, wishes.wait, &mut tell)?;
        tell(Step::Reset);
        let started = Instant::now();
        let now = wait(session, (!in_place).then_some(asked.as_slice()), wishes.wait)?;
        tell(Step::Back { took: started.elapsed() });
        parts.iter().try_for_each(|part| runs(part, &now))?;
    }
    if plans.iter().all(|(_, plan)| *plan == Plan::Keep) {
        return Ok(ending(parts, &before, Ending::NothingToDo));
    }
    let mut now = session.images()?;
    if wishes.confirm {
        // Last what runs: if another one cannot be confirmed, all of them are reverted together.
        let mut trials: Vec<_> = parts.iter().filter(|part| on_trial(part, &now)).collect();
        trials.sort_by_key(|part| std::cmp::Reverse(part.image));
        for part in trials {
            confirm(session, part, &mut tell)?;
        }
        now = session.images()?;
        if let Some(part) = parts.iter().find(|part| on_trial(part, &now)) {
            return Err(anyhow!("the device runs {} and does not keep it", part.version()))
                .hint("confirm it again (updraft smp … image confirm) before the device resets");
        }
    }
    Ok(ending(parts, &now, Ending::Confirmed))
}

/// Confirms an image that runs. Only the first one runs by itself: a hash would ask for another
/// boot of it.
fn confirm<L: Link>(
    session: &mut Session<L>,
    part: &Part,
    tell: &mut impl FnMut(Step<'_>),
) -> anyhow::Result<()> {
    let hash = (part.image > 0).then(|| part.preflight.hash.as_bytes());
    session
        .confirm(hash)
        .map_err(|error| error.context(format!("{} stays on trial", part.name)))
        .hint(match part.image {
        0 => "confirm it again (updraft smp … image confirm) before the device resets",
        _ => {
            "the device lets nobody but its application confirm that image: install it with \
                 --permanent, or let the application do it; until then the next reset goes back"
        }
    })?;
    tell(Step::Confirmed(part));
    Ok(())
}

fn ending(parts: &[Part], now: &[ImageState], otherwise: Ending) -> Ending {
    if parts.iter().any(|part| on_trial(part, now)) { Ending::OnTrial } else { otherwise }
}

/// Whether the image of `part` runs, and would be reverted.
fn on_trial(part: &Part, now: &[ImageState]) -> bool {
    let hash = part.hash();
    now.iter().any(|image| {
        let this = image.image == part.image && image.hash.as_ref() == Some(&hash);
        this && image.active && !image.confirmed
    })
}

fn upload<L: Link>(
    session: &mut Session<L>,
    part: &Part,
    numbered: bool,
    wishes: &Wishes,
    tell: &mut impl FnMut(Step<'_>),
) -> anyhow::Result<()> {
    let image = (numbered || part.image > 0).then_some(part.image);
    let uploading = Uploading { image, upgrade: false, window: wishes.window };
    let started = Instant::now();
    let outcome = session
        .upload(&part.file, uploading, |progress| tell(Step::Uploading(part, progress)))
        .map_err(|error| error.context(format!("{} was not uploaded", part.name)))?;
    let images = session.images()?;
    if !outcome.verified && part.preflight.listed(&images) == Listing::Missing {
        return Preflight::missing(&images);
    }
    let already_there = outcome.already_there;
    tell(Step::Uploaded { part, already_there, took: started.elapsed() });
    Ok(())
}

/// Asks for the image; whether that was needed. Where the highest version runs there is nothing to
/// ask, and devices say so; a bootloader starts what was written to where it starts images.
fn request<L: Link>(
    session: &mut Session<L>,
    part: &Part,
    wishes: &Wishes,
) -> anyhow::Result<bool> {
    if part.preflight.is_in_place(&session.images()?) {
        return Ok(false);
    }
    let listed = part.hash();
    let hash = part.preflight.hash.as_bytes();
    let asked = if wishes.permanent { session.confirm(Some(hash)) } else { session.test(hash) };
    let Err(error) = asked else { return Ok(true) };
    let unsupported =
        matches!(find(&error), Some(AnswerError::Refused(refusal)) if refusal.is_unsupported());
    let next = |image: &ImageState| image.hash.as_ref() == Some(&listed) && image.pending;
    if unsupported && session.images()?.iter().any(next) {
        return Ok(true);
    }
    Err(error.context(format!("the device was not made to boot {}", part.name)))
}

/// Resets the device. One that is busy is asked again, for as long as it may take.
fn reset<L: Link>(
    session: &mut Session<L>,
    longest: Duration,
    tell: &mut impl FnMut(Step<'_>),
) -> anyhow::Result<()> {
    const PAUSE: Duration = Duration::from_secs(1);
    let began = Instant::now();
    let mut told = false;
    loop {
        match session.reset(false, None) {
            Ok(()) => return Ok(()),
            // It may be swapping, its answer lost.
            Err(error) if is_away(&error) => return Ok(()),
            Err(error) if is_busy(&error) && began.elapsed() < longest => {
                if !std::mem::replace(&mut told, true) {
                    tell(Step::Busy);
                }
                std::thread::sleep(PAUSE);
            }
            Err(error) if is_busy(&error) => {
                return Err(error.context("the device does not let itself be reset")).hint(
                    "insist (updraft smp … os reset --force): the new image starts then; upgrade \
                     once more to see whether it runs, and to keep it",
                );
            }
            Err(error) => return Err(error),
        }
    }
}

/// Waits until the device answers, and otherwise than before its reset. A bootloader and what it
/// starts may list the same: without `asked`, what lists an image that runs is taken for that, once
/// the time has passed that devices take until they reset.
fn wait<L: Link>(
    session: &mut Session<L>,
    asked: Option<&[ImageState]>,
    longest: Duration,
) -> anyhow::Result<Vec<ImageState>> {
    const PAUSE: Duration = Duration::from_millis(200);
    const FAREWELL: Duration = Duration::from_secs(1);
    let until = Instant::now() + longest;
    if asked.is_none() {
        std::thread::sleep(FAREWELL);
    }
    let is_back = |now: &[ImageState]| match asked {
        Some(asked) => now != asked,
        None => !is_bootloader(now),
    };
    let timeout = session.patience.timeout.max(Duration::from_millis(500));
    let once = Patience { timeout, longest: timeout, retries: 0 };
    let mut last = None;
    while Instant::now() < until {
        std::thread::sleep(PAUSE);
        match session.images_within(once) {
            Ok(now) if is_back(&now) => return Ok(now),
            Ok(now) => last = Some(now),
            Err(error) if find::<Silence>(&error).is_some() => {}
            // The port of a device that resets may vanish and come back.
            Err(_) => session.reopen(),
        }
    }
    let waited = longest.as_secs();
    match last {
        Some(images) if is_bootloader(&images) => {
            Err(anyhow!("the device is in its bootloader still, after {waited} s")).hint(
                "is the image signed with the key that the bootloader trusts, and made for this \
                 board? its console tells why it starts nothing",
            )
        }
        Some(_) => Err(anyhow!("the device answers, but has not been reset in {waited} s")).hint(
            "reset it by hand: the new image boots then, unless it needs another image that is \
                 not there (updraft image inspect shows that): give both to one upgrade",
        ),
        None => Err(anyhow!("the device has not come back in {waited} s")).hint(
            "it may still be swapping: ask with `image list`, or give it more time (--wait); an \
             image on trial that is not confirmed goes at the next reset",
        ),
    }
}

/// Whether the device runs what it was to boot.
fn runs(part: &Part, now: &[ImageState]) -> anyhow::Result<()> {
    let hash = part.hash();
    let running = now.iter().find(|image| image.image == part.image && image.active);
    let running =
        running.or_else(|| now.iter().find(|image| image.image == part.image && image.slot == 0));
    match running {
        Some(image) if image.hash.as_ref() == Some(&hash) => Ok(()),
        Some(image) => Err(anyhow!(
            "the device runs {}: {} was refused by the bootloader, or ran and was reverted",
            image.version,
            part.version()
        ))
        .hint(
            "is it signed with the key that the bootloader trusts, and newer than that wants? \
             does it start, and keep its watchdog fed? the bootloader's console tells",
        ),
        None => Err(anyhow!("the device does not tell what it runs"))
            .hint("ask with `image list`; the bootloader's console tells more"),
    }
}
