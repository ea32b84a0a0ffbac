//! The search itself.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use updraft_board::Role;

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
    /// What else a torn operation on a status area may leave behind. Its rows are under checksums,
    /// so that one part of the bits is like another.
    pub guarded: Vec<Torn>,
    /// How many threads work; 0 is as many as there are processors.
    pub threads: usize,
}

impl Options {
    /// Single cuts between operations.
    pub fn clean_cuts() -> Self {
        let (decisive, guarded) = (Vec::new(), Vec::new());
        Self { depth: 1, classes: vec![Torn::Skip], decisive, guarded, threads: 0 }
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
        let decisive = (5..25).map(Torn::Bits).chain((25..32).map(Torn::OneBit)).collect();
        Self { classes, decisive, ..Self::clean_cuts() }
    }

    /// The same two cuts deep, with fewer seeds of each class: what is left of an operation by
    /// more of them is seen with one cut.
    pub fn pairs() -> Self {
        let classes = vec![Torn::Skip, Torn::Half, Torn::AllButOneBit(1), Torn::Bits(2)];
        let decisive = (3..9).map(Torn::Bits).chain((9..13).map(Torn::OneBit)).collect();
        Self { depth: 2, classes, decisive, ..Self::clean_cuts() }
    }

    /// What `op` may leave behind.
    fn endings(&self, story: &Story, op: &Op) -> impl Iterator<Item = &Torn> {
        let more = match Concern::of(story, op) {
            Concern::Content => &[][..],
            Concern::Decision => &self.decisive,
            Concern::Rows => &self.guarded,
        };
        self.classes.iter().chain(more)
    }
}

/// What an operation is about.
enum Concern {
    /// What images consist of.
    Content,
    /// What the device does next.
    Decision,
    /// A status area.
    Rows,
}

/// The longest field of a trailer.
const FIELD: u32 = 32;

impl Concern {
    fn of(story: &Story, op: &Op) -> Self {
        let status = story.board.area(Role::Status).map(|area| area.id);
        let areas = story.start.table().iter().filter(|area| area.device == op.device);
        let mut areas = areas.map(|area| (area.id, area.offset, area.offset + area.size));
        let end = op.address + op.len;
        let decides = match &op.kind {
            OpKind::Write(_) => op.len <= FIELD,
            OpKind::Erase => areas.clone().any(|(_, _, last)| last == end),
        };
        match areas.any(|(id, from, to)| Some(id) == status && op.address < to && from < end) {
            true => Self::Rows,
            false if decides => Self::Decision,
            false => Self::Content,
        }
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

/// Where a path ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// What the device comes to.
    pub outcome: Outcome,
    /// Whether the story allows that; if not, what it does allow.
    pub verdict: Result<(), String>,
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

/// What was survived of the outcomes that nobody can promise to survive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Survivors {
    /// Power cuts.
    pub cuts: u64,
    /// Those after which the device came to what the story allows.
    pub survived: u64,
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
        let log = match self.undisturbed(&mut judge, &mut uncut) {
            Ok(log) => log,
            Err(why) => return self.report(Vec::new(), &Shared::new(progress), Some(why)),
        };
        let cost = Cost::of(&uncut, uncut.supply().time_us() - before);
        let mut report = None;
        for depth in 1..=self.options.depth.max(1) {
            let options = Options { depth, ..self.options.clone() };
            let shared = Shared::new(progress);
            let workers = self.work(&options, &shared, |worker, share| {
                worker.worst = cost;
                worker.share(&log, share);
                (worker.worst, std::mem::take(&mut worker.met))
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

    /// Lets the activity happen without a cut; what the device comes to has to be what the story
    /// says.
    fn undisturbed(&self, judge: &mut Judge<'_>, flash: &mut SimFlash) -> Result<Vec<Op>, String> {
        let (boot, log) = act(judge, flash, self.story.activity)?;
        let mut booted = flash.clone();
        let boot = match boot {
            Some(boot) => boot,
            None => judge
                .boot(&mut booted, false)
                .map_err(|error| format!("nothing boots after it: {error}"))?,
        };
        let outcome = judge.outcome(&booted, &boot)?;
        if outcome != self.story.comes_to {
            let wanted = self.story.comes_to;
            return Err(format!("left alone, {outcome} runs, and not {wanted}"));
        }
        Ok(log)
    }

    /// How many single cuts in these classes the device survives, of how many: for what no format
    /// can promise to survive. In `decisive` ones where an operation decides something, as in
    /// [`Options`].
    pub fn survivors(&self, classes: &[Torn], decisive: &[Torn]) -> Survivors {
        let mut flash = self.story.start.clone();
        let Ok(log) = self.undisturbed(&mut self.judge(), &mut flash) else {
            return Survivors::default();
        };
        let (classes, decisive) = (classes.to_vec(), decisive.to_vec());
        let options = Options { classes, decisive, ..Options::clean_cuts() };
        let shared = Shared::new(&|_, _| ());
        let found = self.work(&options, &shared, |worker, share| worker.count(&log, share));
        found.into_iter().fold(Survivors::default(), |sum, one| Survivors {
            cuts: sum.cuts + one.cuts,
            survived: sum.survived + one.survived,
        })
    }

    /// Divides work among threads; each is told its number, and of how many.
    fn work<T: Send>(
        &self,
        options: &Options,
        shared: &Shared<'_>,
        part: impl Fn(&mut Worker<'_, '_>, (usize, usize)) -> T + Sync,
    ) -> Vec<T> {
        let threads = match self.options.threads {
            0 => thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        thread::scope(|scope| {
            let spawn = |index| {
                let (part, judge) = (&part, self.judge());
                let (worst, met) = (Cost::default(), HashMap::new());
                let mut worker = Worker { judge, options, shared, worst, met };
                scope.spawn(move || part(&mut worker, (index, threads)))
            };
            let threads: Vec<_> = (0..threads).map(spawn).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|p| std::panic::resume_unwind(p)))
                .collect()
        })
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
    /// to, or what keeps it from coming to anything.
    pub fn walk(&self, cuts: &[Cut], mut visit: impl FnMut(&Visit<'_>)) -> Result<End, String> {
        let mut judge = self.judge();
        let mut flash = self.story.start.clone();
        let mut activity = self.story.activity;
        let mut at_last = false;
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
            at_last |= cut.is_some_and(|cut| cut.operation + 1 == log.len() as u64);
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
            let outcome = judge.outcome(&booted, &boot)?;
            return Ok(End { outcome, verdict: self.story.check(outcome, at_last) });
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
    let story = judge.story;
    let booted = match activity {
        Activity::Boot | Activity::RollBack => {
            let pressed = activity == Activity::RollBack;
            let boot = judge.boot(flash, pressed);
            Some(boot.map_err(|error| format!("nothing boots: {error}"))?)
        }
        Activity::Upload => {
            story.upload(flash).map_err(|error| format!("the upload fails: {error}"))?;
            None
        }
        Activity::Request(upgrade) => {
            // Asking verifies the image, which does not get any different.
            let asked = story.request(flash, &mut story.keys.clone(), upgrade);
            asked.map_err(|error| format!("the request fails: {error}"))?;
            None
        }
        Activity::Confirm => {
            let confirmed = story.confirm(flash, story.slot);
            confirmed.map_err(|error| format!("the confirmation fails: {error}"))?;
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
    fn share(&mut self, log: &[Op], (index, threads): (usize, usize)) {
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
        for class in self.options.endings(self.judge.story, op) {
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

    /// Counts what is survived of every `threads`th operation, from number `index` on.
    fn count(&mut self, log: &[Op], (index, threads): (usize, usize)) -> Survivors {
        let mut flash = self.judge.story.start.clone();
        let mut found = Survivors::default();
        for (number, op) in log.iter().enumerate() {
            let endings = self.options.endings(self.judge.story, op);
            for class in endings.filter(|_| number % threads == index) {
                let mut state = flash.clone();
                redo(&mut state, op, Some(reseeded(*class, number as u64)));
                found.cuts += 1;
                let comes_to = self.comes_to(&mut state, number + 1 == log.len());
                found.survived += u64::from(comes_to.is_ok());
            }
            redo(&mut flash, op, None);
        }
        found
    }

    /// Gives power to a device and checks what it comes to. Returns that, and what its boot did.
    fn comes_to(
        &mut self,
        flash: &mut SimFlash,
        was_last: bool,
    ) -> Result<(Outcome, Vec<Op>), String> {
        let (boot, log) = act(&mut self.judge, flash, Activity::Boot)?;
        let boot = boot.ok_or("nothing boots")?;
        let end = flash.fingerprint();
        let known = lock(&self.shared.outcomes).get(&end).cloned();
        let outcome = known.unwrap_or_else(|| {
            let outcome = self.judge.outcome(flash, &boot);
            lock(&self.shared.outcomes).insert(end, outcome.clone());
            outcome
        })?;
        self.judge.story.check(outcome, was_last)?;
        Ok((outcome, log))
    }

    /// Gives power to a device in `state` and checks what it comes to; then lets the power fail
    /// again, anywhere in that.
    fn recover(&mut self, state: SimFlash, was_last: bool, depth: u32, cuts: &mut Vec<Cut>) {
        let mut booted = state.clone();
        let (outcome, log) = match self.comes_to(&mut booted, was_last) {
            Ok(found) => found,
            Err(why) => return self.fail(cuts, why),
        };
        *self.met.entry(outcome).or_default() += 1;
        if cuts.len() == 1 {
            let time = booted.supply().time_us() - self.judge.story.start.supply().time_us();
            self.worst.at_least(Cost::of(&booted, time));
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
