//! What exploring a cell came to.

use updraft_board::{Board, Role};
use updraft_flash::Kind;
use updraft_image::UpgradeMode;

use super::{Cell, Unplayed, keys};
use crate::Loader;
use crate::device::{flash_in_memory, program};
use crate::explore::{Explorer, Failure, Options, Story, Survivors};
use crate::flash::{Format, Torn};

/// How far to go in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Every single cut.
    Single,
    /// The same, and every pair of cuts, the second one in the recovery from the first.
    Pairs,
}

/// What exploring a cell came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sweep {
    /// The stories that were told, by name.
    pub stories: Vec<String>,
    /// Power cuts: every operation and outcome class.
    pub cuts: u64,
    /// Different flash states that they left; each was booted and what it came to judged.
    pub states: u64,
    /// What is survived of what nobody can promise to survive: cells that read differently from
    /// time to time.
    pub unstable: Survivors,
    /// Devices that did not survive, at most one for each story.
    pub failures: Vec<Failure>,
}

/// What is promised of a device whose torn operations end in some class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// The device survives, whatever was torn.
    Survived,
    /// It is counted how often it does, and reported: no reader of a single copy without a check
    /// can tell a cell that reads differently from time to time from a good one.
    Reported,
    /// Operations on such flash do not end like that.
    CannotOccur,
}

impl Promise {
    /// What is promised of `torn` on flash of `kind` in `mode`.
    pub fn of(mode: UpgradeMode, torn: Torn, kind: Kind) -> Self {
        let format = match mode {
            UpgradeMode::StatusPartition => Format::Redundant,
            _ => Format::Plain,
        };
        match torn {
            torn if !torn.occurs_on(kind) => Self::CannotOccur,
            // A word that cannot be read is at least known to be torn.
            Torn::Unreadable(_) => Self::Survived,
            torn if torn.gates(format) => Self::Survived,
            _ => Self::Reported,
        }
    }
}

/// Seeds of classes that a kind of flash has besides the common ones.
const SEEDS: u64 = 4;

impl Cell {
    /// Lets the power fail everywhere in everything that can happen in this cell.
    ///
    /// What has to be survived and what is counted is [`Promise`]'s to say.
    pub fn sweep(&self, depth: Depth) -> Result<Sweep, Unplayed> {
        self.sweep_on(0, depth, &[])
    }

    /// The same on so many threads, 0 is as many as there are processors, and with those stories
    /// alone, if any are named.
    pub fn sweep_on(
        &self,
        threads: usize,
        depth: Depth,
        names: &[String],
    ) -> Result<Sweep, Unplayed> {
        let board = self.board()?;
        let kind = board.flash().first().map_or_else(Default::default, |device| device.kind());
        let mut sweep = Sweep::default();
        let stories = self.stories(&board)?;
        if stories.is_empty() {
            sweep.failures.extend(self.idle(&board).err());
            return Ok(sweep);
        }
        // Once everywhere, and more often where it decides something.
        let rare = |seed| [Torn::Unreadable(seed), Torn::Unstable(seed)].into_iter();
        let promised = |promise| move |torn: &Torn| Promise::of(self.mode, *torn, kind) == promise;
        let [once, more] = [0..1, 1..SEEDS].map(|seeds| seeds.flat_map(rare));
        let gates = promised(Promise::Survived);
        let pairs = depth == Depth::Pairs;
        let mut options = if pairs { Options::pairs() } else { Options::torn() };
        options.threads = threads;
        options.classes.extend(once.clone().filter(&gates));
        if !pairs {
            options.decisive.extend(more.clone().filter(&gates));
            options.guarded.extend(more.clone().filter(&gates));
        }
        let counted = |torn: &Torn| !pairs && promised(Promise::Reported)(torn);
        let counted = [once.filter(counted).collect::<Vec<_>>(), more.filter(counted).collect()];
        let asked = |story: &Story| names.is_empty() || names.iter().any(|it| it == story.name());
        for story in stories.into_iter().filter(asked) {
            let explorer = Explorer::new(&story, options.clone()).map_err(Unplayed::Unplayable)?;
            let report = explorer.run(&|_, _| ());
            sweep.cuts += report.cuts;
            sweep.states += report.states;
            sweep.failures.extend(report.failure);
            let Survivors { cuts, survived } = explorer.survivors(&counted[0], &counted[1]);
            sweep.unstable.cuts += cuts;
            sweep.unstable.survived += survived;
            sweep.stories.push(report.story);
        }
        Ok(sweep)
    }

    /// A boot that writes nothing, whatever the mode: the proof that no cut can fall into it.
    fn idle(&self, board: &Board) -> Result<(), Failure> {
        let [image, _] = self.images(board);
        let mut flash = flash_in_memory(board);
        let fail = |why: String| Failure {
            path: crate::explore::Path { story: "boot".into(), cuts: Vec::new() },
            why,
        };
        let slot = board.slot(0, Role::Primary).ok_or_else(|| fail("no primary slot".into()))?;
        program(&mut flash, slot.id, &image).map_err(|error| fail(error.to_string()))?;
        let loader = Loader::new(board).map_err(|error| fail(error.to_string()))?;
        let booted = loader.boot(&mut flash, keys(board), |_, _| ());
        booted.map_err(|error| fail(format!("nothing boots: {error}")))?;
        match flash.supply().operations() {
            0 => Ok(()),
            writes => Err(fail(format!("a boot of {} writes {writes} times", self.mode))),
        }
    }
}
