//! The search itself.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::outcome::{Judge, Outcome};
use super::path::{Cut, Path};
use super::story::{Activity, Story};
use crate::Remembering;
use crate::flash::{Counts, Op, OpKind, SimFlash, Torn};
use crate::loader::{Loader, UnplayableBoard};

/// How far to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many power cuts one after the other, each before the recovery from the one before has
    /// ended.
    pub depth: u32,
    /// What a torn operation may leave behind. Seeds are varied from operation to operation.
    pub classes: Vec<Torn>,
    /// What else a torn operation may leave behind if it decides something: a write that is no
    /// longer than a field of a trailer, or the erase of a slot's last sector.
    pub decisive: Vec<Torn>,
    /// How many threads work; 0 is as many as there are processors.
    pub threads: usize,
}

impl Options {
    /// Single cuts between operations.
    pub fn clean_cuts() -> Self {
        Self { depth: 1, classes: vec![Torn::Skip], decisive: Vec::new(), threads: 0 }
    }

    /// The same, also within operations.
    pub fn torn() -> Self {
        let classes = vec![
            Torn::Skip,
            Torn::Half,
            Torn::AllButOneBit(1),
            Torn::Bits(2),
            Torn::Bits(3),
            Torn::Bits(4),
        ];
        let decisive = (5..25).map(Torn::Bits).collect();
        Self { classes, decisive, ..Self::clean_cuts() }
    }
}

/// What has been found out about one story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The story.
    pub story: String,
    /// Operations of the activity when nothing happens to it.
    pub operations: u64,
    /// Power cuts: every operation and class, on every level.
    pub cuts: u64,
    /// Different flash states that they left.
    pub states: u64,
    /// What the activity costs when nothing happens to it.
    pub uncut: Cost,
    /// The most that a single cut can make of that, recovery included.
    pub worst: Cost,
    /// How often each outcome was met, states counted.
    pub outcomes: Vec<(Outcome, u64)>,
    /// A cut, or the fewest cuts one after the other, that a device does not survive.
    pub failure: Option<Failure>,
}

/// What an activity does to the flash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Sectors erased.
    pub erases: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// The most erases of one sector.
    pub erases_of_one_sector: u32,
    /// How long it takes on the board, in microseconds.
    pub time_us: u64,
}

impl Cost {
    fn of(flash: &SimFlash, time_us: u64) -> Self {
        let Counts { erases, bytes_written, .. } = flash.counts();
        let worn = flash.devices().iter().flat_map(|device| device.wear()).max();
        Self { erases, bytes_written, erases_of_one_sector: *worn.unwrap_or(&0), time_us }
    }

    fn at_least(&mut self, other: Self) {
        self.erases = self.erases.max(other.erases);
        self.bytes_written = self.bytes_written.max(other.bytes_written);
        self.erases_of_one_sector = self.erases_of_one_sector.max(other.erases_of_one_sector);
        self.time_us = self.time_us.max(other.time_us);
    }
}

/// A device that did not survive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How to get there.
    pub path: Path,
    /// What is wrong.
    pub why: String,
}

/// A step of a path that is walked.
#[derive(Debug)]
pub struct Visit<'v> {
    /// How often the power had failed before.
    pub boot: usize,
    /// Number of the operation since the power came on.
    pub number: u64,
    /// The operation.
    pub op: &'v Op,
    /// How much of it took place, if the power failed within it.
    pub torn: Option<Torn>,
    /// The flash after it.
    pub flash: &'v SimFlash,
}

/// Explores stories.
#[derive(Debug)]
pub struct Explorer<'s> {
    story: &'s Story,
    loader: Loader,
    options: Options,
}

/// Flash states that were explored already: how many cuts deep.
type Seen = Mutex<HashMap<(u128, bool), u32>>;
/// Many of them, so that threads do not wait for each other.
const SHARDS: usize = 64;

struct Shared<'p> {
    seen: Vec<Seen>,
    outcomes: Mutex<HashMap<u128, Result<Outcome, String>>>,
    failure: Mutex<Option<Failure>>,
    stop: AtomicBool,
    cuts: AtomicU64,
    states: AtomicU64,
    progress: &'p (dyn Fn(u64, u64) + Sync),
}

/// One thread's part.
struct Worker<'w, 's> {
    judge: Judge<'s>,
    options: &'w Options,
    shared: &'w Shared<'w>,
    worst: Cost,
    met: HashMap<Outcome, u64>,
}

impl<'s> Explorer<'s> {
    /// Prepares to explore `story`.
    pub fn new(story: &'s Story, options: Options) -> Result<Self, UnplayableBoard> {
        Ok(Self { story, loader: Loader::new(&story.board)?, options })
    }

    fn judge(&self) -> Judge<'s> {
        let keys = Remembering::new(self.story.keys.clone());
        Judge { story: self.story, loader: self.loader, keys }
    }

    /// Explores everything within the options, one cut first, then two one after the other, and
    /// so on, so that a failure is found with as few cuts as it takes. `progress` is told how many
    /// operations of the activity have been dealt with, and of how many.
    pub fn run(&self, progress: &(dyn Fn(u64, u64) + Sync)) -> Report {
        let mut uncut = self.story.start.clone();
        uncut.reset_counts();
        let before = uncut.supply().time_us();
        let mut judge = self.judge();
        let log = match act(&mut judge, &mut uncut, self.story.activity) {
            Ok((_, log)) => log,
            Err(why) => return self.report(Vec::new(), &Shared::new(progress), Some(why)),
        };
        let cost = Cost::of(&uncut, uncut.supply().time_us() - before);
        let mut report = None;
        for depth in 1..=self.options.depth.max(1) {
            let options = Options { depth, ..self.options.clone() };
            let shared = Shared::new(progress);
            let threads = match options.threads {
                0 => thread::available_parallelism().map_or(1, usize::from),
                threads => threads,
            };
            let workers = thread::scope(|scope| {
                let spawn = |index| {
                    let (log, shared, options, judge) = (&log, &shared, &options, self.judge());
                    scope.spawn(move || {
                        let mut worker =
                            Worker { judge, options, shared, worst: cost, met: HashMap::new() };
                        worker.share(log, index, threads);
                        (worker.worst, worker.met)
                    })
                };
                let threads: Vec<_> = (0..threads).map(spawn).collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap_or_else(|p| std::panic::resume_unwind(p)))
                    .collect::<Vec<_>>()
            });
            let mut found = self.report(log.clone(), &shared, None);
            found.uncut = cost;
            for (worst, met) in workers {
                found.worst.at_least(worst);
                for (outcome, count) in met {
                    match found.outcomes.iter_mut().find(|(known, _)| *known == outcome) {
                        Some((_, sum)) => *sum += count,
                        None => found.outcomes.push((outcome, count)),
                    }
                }
            }
            found.outcomes.sort();
            let failed = found.failure.is_some();
            report = Some(found);
            if failed {
                break;
            }
        }
        report.unwrap_or_else(|| self.report(Vec::new(), &Shared::new(progress), None))
    }

    fn report(&self, log: Vec<Op>, shared: &Shared<'_>, uncut: Option<String>) -> Report {
        let path = Path { story: self.story.name.clone(), cuts: Vec::new() };
        let uncut = uncut.map(|why| Failure { path, why });
        Report {
            story: self.story.name.clone(),
            operations: log.len() as u64,
            cuts: shared.cuts.load(Ordering::Relaxed),
            states: shared.states.load(Ordering::Relaxed),
            uncut: Cost::default(),
            worst: Cost::default(),
            outcomes: Vec::new(),
            failure: uncut.or_else(|| lock(&shared.failure).clone()),
        }
    }

    /// Walks a path operation by operation, and then the recovery. Returns what the device comes
    /// to, or what is wrong with it.
    pub fn walk(&self, cuts: &[Cut], mut visit: impl FnMut(&Visit<'_>)) -> Result<Outcome, String> {
        let mut judge = self.judge();
        let mut flash = self.story.start.clone();
        let mut activity = self.story.activity;
        for round in 0..=cuts.len() {
            let (booted, log) = {
                let mut uncut = flash.clone();
                let done = act(&mut judge, &mut uncut, activity);
                match done {
                    Ok((boot, log)) => (Some((uncut, boot)), log),
                    Err(why) if round == cuts.len() => return Err(why),
                    Err(_) => (None, Vec::new()),
                }
            };
            let cut = cuts.get(round);
            if let Some(cut) = cut
                && cut.operation >= log.len() as u64
            {
                let (wanted, has) = (cut.operation, log.len());
                return Err(format!("there is no operation {wanted} here, only {has}"));
            }
            for (op, number) in log.iter().zip(0..) {
                let torn = cut.filter(|cut| cut.operation == number).map(|cut| cut.torn);
                redo(&mut flash, op, torn);
                visit(&Visit { boot: round, number, op, torn, flash: &flash });
                if torn.is_some() {
                    break;
                }
            }
            if round < cuts.len() {
                activity = Activity::Boot;
                continue;
            }
            let Some((booted, Some(boot))) = booted else {
                return Err("the path ends before a boot".into());
            };
            return judge.outcome(&booted, &boot);
        }
        Err("the path has no end".into())
    }
}

/// A recovery that was recorded: what it booted, and its operations.
type Recorded = (Option<updraft_boot::Boot>, Vec<Op>);

/// Lets the device do something undisturbed, and records it.
fn act(
    judge: &mut Judge<'_>,
    flash: &mut SimFlash,
    activity: Activity,
) -> Result<Recorded, String> {
    flash.supply().record(true);
    let booted = match activity {
        Activity::Boot => {
            let boot = judge.boot(flash).map_err(|error| format!("nothing boots: {error}"));
            Some(boot?)
        }
        Activity::Request(upgrade) => {
            let dfu = judge.story.dfu(flash);
            dfu.and_then(|dfu| dfu.request_upgrade(flash, &mut judge.keys, upgrade))
                .map_err(|error| format!("the request fails: {error}"))?;
            None
        }
        Activity::Confirm => {
            let dfu = judge.story.dfu(flash);
            dfu.and_then(|dfu| dfu.confirm(flash))
                .map_err(|error| format!("the confirmation fails: {error}"))?;
            None
        }
    };
    let log = flash.supply().take_log();
    flash.supply().record(false);
    Ok((booted, log))
}

/// Carries out an operation that was recorded, or lets the power fail within it.
fn redo(flash: &mut SimFlash, op: &Op, torn: Option<Torn>) {
    if let Some(torn) = torn {
        flash.supply().cut_at(0, torn);
    }
    // A cut is an error, and nothing else can go wrong that did not when it was recorded.
    let _ = flash.redo(op);
    flash.supply().power_on();
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The longest field of a trailer.
const FIELD: u32 = 32;

/// Whether what a torn operation leaves behind decides what the device does next.
fn decides(flash: &SimFlash, op: &Op) -> bool {
    match &op.kind {
        OpKind::Write(_) => op.len <= FIELD,
        OpKind::Erase => flash
            .table()
            .iter()
            .any(|area| area.device == op.device && area.offset + area.size == op.address + op.len),
    }
}

/// Another seed for every operation; the same one for every run.
fn reseeded(torn: Torn, number: u64) -> Torn {
    torn.with_seed(number * 32 + torn.seed().unwrap_or_default())
}

impl<'p> Shared<'p> {
    fn new(progress: &'p (dyn Fn(u64, u64) + Sync)) -> Self {
        Self {
            seen: (0..SHARDS).map(|_| Mutex::default()).collect(),
            outcomes: Mutex::default(),
            failure: Mutex::default(),
            stop: AtomicBool::new(false),
            cuts: AtomicU64::new(0),
            states: AtomicU64::new(0),
            progress,
        }
    }

    /// Whether the state is new, or was left with fewer cuts to go.
    fn is_new(&self, state: u128, last: bool, depth: u32) -> bool {
        let shard = &self.seen[(state % SHARDS as u128) as usize];
        match lock(shard).entry((state, last)) {
            Entry::Occupied(known) if *known.get() >= depth => false,
            Entry::Occupied(mut known) => {
                known.insert(depth);
                true
            }
            Entry::Vacant(free) => {
                free.insert(depth);
                self.states.fetch_add(1, Ordering::Relaxed);
                true
            }
        }
    }
}

impl Worker<'_, '_> {
    /// Explores every `threads`th operation of the activity, from number `index` on.
    fn share(&mut self, log: &[Op], index: usize, threads: usize) {
        let mut flash = self.judge.story.start.clone();
        flash.reset_counts();
        let mut cuts = Vec::new();
        for (number, op) in log.iter().enumerate() {
            if self.shared.stop.load(Ordering::Relaxed) {
                return;
            }
            if number % threads == index {
                let place = (number as u64, number + 1 == log.len());
                self.tear(&flash, op, place, self.options.depth, &mut cuts);
                (self.shared.progress)(number as u64 + 1, log.len() as u64);
            }
            redo(&mut flash, op, None);
        }
    }

    /// Lets the power fail within `op`, in every way, and explores what comes of it.
    fn tear(
        &mut self,
        flash: &SimFlash,
        op: &Op,
        (number, is_last): (u64, bool),
        depth: u32,
        cuts: &mut Vec<Cut>,
    ) {
        let Options { classes, decisive, .. } = self.options;
        let decisive = decisive.iter().filter(|_| decides(flash, op));
        for class in classes.iter().chain(decisive) {
            let torn = reseeded(*class, number);
            let mut state = flash.clone();
            redo(&mut state, op, Some(torn));
            self.shared.cuts.fetch_add(1, Ordering::Relaxed);
            if self.shared.is_new(state.fingerprint(), is_last, depth) {
                cuts.push(Cut { operation: number, torn });
                self.recover(state, is_last, depth, cuts);
                cuts.pop();
            }
        }
    }

    /// Gives power to a device in `state` and checks what it comes to; then lets the power fail
    /// again, anywhere in that.
    fn recover(&mut self, state: SimFlash, was_last: bool, depth: u32, cuts: &mut Vec<Cut>) {
        let mut booted = state.clone();
        let (boot, log) = match act(&mut self.judge, &mut booted, Activity::Boot) {
            Ok((Some(boot), log)) => (boot, log),
            Ok((None, _)) => return,
            Err(why) => return self.fail(cuts, why),
        };
        if cuts.len() == 1 {
            let time = booted.supply().time_us() - self.judge.story.start.supply().time_us();
            self.worst.at_least(Cost::of(&booted, time));
        }
        let end = booted.fingerprint();
        let known = lock(&self.shared.outcomes).get(&end).cloned();
        let outcome = known.unwrap_or_else(|| {
            let outcome = self.judge.outcome(&booted, &boot);
            lock(&self.shared.outcomes).insert(end, outcome.clone());
            outcome
        });
        let story = self.judge.story;
        match outcome {
            Err(why) => return self.fail(cuts, why),
            Ok(outcome) => {
                let at_last = was_last && story.at_last.contains(&outcome);
                if !at_last && !story.allowed.contains(&outcome) {
                    let wanted: Vec<_> = story.allowed.iter().map(ToString::to_string).collect();
                    let wanted = wanted.join(" or ");
                    return self.fail(cuts, format!("{outcome} runs, and not {wanted}"));
                }
                *self.met.entry(outcome).or_default() += 1;
            }
        }
        if depth <= 1 {
            return;
        }
        let mut flash = state;
        for (number, op) in log.iter().enumerate() {
            if self.shared.stop.load(Ordering::Relaxed) {
                return;
            }
            let is_last = was_last || number + 1 == log.len();
            self.tear(&flash, op, (number as u64, is_last), depth - 1, cuts);
            redo(&mut flash, op, None);
        }
    }

    fn fail(&self, cuts: &[Cut], why: String) {
        let path = Path { story: self.judge.story.name.clone(), cuts: cuts.to_vec() };
        let mut failure = lock(&self.shared.failure);
        let earlier = |failure: &Failure| {
            let at = |path: &Path| path.cuts.iter().map(|cut| cut.operation).collect::<Vec<_>>();
            at(&failure.path) <= at(&path)
        };
        if !failure.as_ref().is_some_and(earlier) {
            *failure = Some(Failure { path, why });
        }
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}
