//! Whatever the application does, in whatever order, and wherever the power fails: the device
//! boots a whole image, the one that the rules allow, and can be upgraded afterwards.
//!
//! A model of the rules follows the device. After a power cut it holds every state that the device
//! may be in, and each boot must agree with at least one of them.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};

use crate::board::{Board, Layout, PRIMARY, Part, SWAP_SCRATCH, Shape, image};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use updraft_boot::{AnyStrategy, Overwrite, SwapMove, SwapOffset};
use updraft_image::SwapType;
use updraft_sim::flash::Torn;

/// How many devices and stories one run makes.
const CASES: u32 = 5000;

#[derive(Clone, Copy, Debug)]
enum Action {
    Upload(u8),
    Request(bool),
    Confirm,
    Reset,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    action: Action,
    /// Where in the action the power fails, and how.
    cut: Option<(u64, Torn)>,
}

/// What the trailer of the secondary slot asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Asked {
    Nothing,
    Test,
    Permanent,
    /// Neither erased nor a request.
    Garbage,
}

/// A state of the device, as the rules see it. Images are known by version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Model {
    mode: Mode,
    running: u8,
    confirmed: bool,
    /// The whole image in the secondary slot, if there is one.
    secondary: Option<u8>,
    /// It was swapped out of the primary slot, and not uploaded.
    swapped_out: bool,
    asked: Asked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mode {
    Overwrites,
    Swaps,
    /// Updates and images to go back to are looked for in different places.
    SwapsByOffset,
}

impl Model {
    fn swaps(self) -> bool {
        self.mode != Mode::Overwrites
    }

    /// The image in the secondary slot is not where it is looked for.
    fn misplaced(self) -> bool {
        let asked = matches!(self.asked, Asked::Test | Asked::Permanent);
        self.mode == Mode::SwapsByOffset && asked == self.swapped_out
    }

    fn swapped(self, confirmed: bool) -> Self {
        let (running, secondary) = (self.secondary.unwrap(), Some(self.running));
        // A revert by offset puts the image back to where it was uploaded.
        let swapped_out = self.asked != Asked::Nothing || self.mode != Mode::SwapsByOffset;
        Self { running, confirmed, secondary, swapped_out, asked: Asked::Nothing, ..self }
    }

    fn booted(self) -> Self {
        let idle = Self { asked: Asked::Nothing, ..self };
        match (self.asked, self.secondary) {
            (Asked::Test | Asked::Permanent, Some(_)) if self.misplaced() => {
                Self { secondary: None, ..idle }
            }
            (Asked::Test | Asked::Permanent, Some(_)) if self.swaps() => {
                self.swapped(self.asked == Asked::Permanent)
            }
            (Asked::Test | Asked::Permanent, Some(new)) => {
                Self { running: new, secondary: None, ..idle }
            }
            (Asked::Test | Asked::Permanent, None) => idle,
            _ if self.confirmed || !self.swaps() => self,
            (_, Some(_)) if !self.misplaced() => idle.swapped(true),
            _ => Self { confirmed: true, ..idle },
        }
    }

    fn after(self, action: Action) -> Self {
        match action {
            Action::Upload(version) => {
                let secondary = Some(version);
                Self { secondary, swapped_out: false, asked: Asked::Nothing, ..self }
            }
            Action::Request(permanent) => match self.asked {
                Asked::Test | Asked::Permanent => self,
                _ if permanent => Self { asked: Asked::Permanent, ..self },
                _ => Self { asked: Asked::Test, ..self },
            },
            Action::Confirm => Self { confirmed: true, ..self },
            Action::Reset => self.booted(),
        }
    }

    /// Every state that a cut within `action` may leave.
    fn cut(self, action: Action) -> Vec<Self> {
        let mut states = vec![self, self.after(action)];
        // What an erase of a request may leave of it.
        let erasing = |from: Self| {
            [Asked::Nothing, Asked::Test, Asked::Permanent, Asked::Garbage]
                .into_iter()
                .filter(move |asked| from.asked != Asked::Nothing || *asked == Asked::Nothing)
                .map(move |asked| Self { asked, ..from })
        };
        match action {
            Action::Upload(_) => {
                states.extend(erasing(self));
                states.push(Self { secondary: None, asked: Asked::Nothing, ..self });
            }
            Action::Request(_) if matches!(self.asked, Asked::Nothing | Asked::Garbage) => {
                let asked = [Asked::Nothing, Asked::Garbage, Asked::Test, Asked::Permanent];
                states.extend(asked.map(|asked| Self { asked, ..self }));
            }
            // A bad image is erased with its request, an overwrite takes the request away first.
            Action::Reset
                if self.secondary.is_none()
                    || !self.swaps()
                    || (self.misplaced() && self.swapped_out) =>
            {
                let running = self.booted().running;
                states.extend(erasing(Self { running, ..self }));
                states.extend(erasing(Self { running, secondary: None, ..self }));
            }
            Action::Reset => states.push(self.booted().booted()),
            Action::Request(_) | Action::Confirm => {}
        }
        states
    }
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![3 => even_shape(), 1 => uneven_shape()]
}

fn even_shape() -> impl Strategy<Value = Shape> {
    let strategy = prop_oneof![
        3 => Just(AnyStrategy::SwapMove(SwapMove)),
        3 => Just(AnyStrategy::SwapOffset(SwapOffset)),
        3 => Just(SWAP_SCRATCH),
        1 => Just(AnyStrategy::Overwrite(Overwrite::Image)),
        1 => Just(AnyStrategy::Overwrite(Overwrite::Slot)),
    ];
    let width = prop::sample::select(vec![
        (1, 8),
        (2, 8),
        (4, 8),
        (8, 8),
        (8, 16),
        (16, 16),
        (4, 32),
        (32, 32),
    ]);
    let erased = prop::sample::select(vec![0xff, 0x00]);
    let parts = (strategy, 6u32..=12, width, erased, 1u32..=6, 0u32..=2, any::<bool>(), 0u32..=9);
    parts.prop_filter_map("too many sectors", |parts| {
        let (strategy, log, (write_size, max_align), erased, images, spare, uneven, slack) = parts;
        let sector = 1u32 << log;
        let trailer =
            |records: u32| (records * 3 * write_size + fields(max_align)).div_ceil(sector);
        let content = images.max(160u32.div_ceil(sector)) + spare + 1;
        // The sectors of the trailer have records of their own.
        let fits = (content..200).find(|records| content + trailer(*records) < *records)?;
        let max_sectors = if sector > 256 { fits + slack * 4 } else { fits };
        let count = content + trailer(max_sectors);
        let mut sectors = [count + u32::from(uneven), count];
        let layout = match strategy {
            AnyStrategy::SwapScratch(_) => {
                sectors = [count; 2];
                let trailer = (3 * write_size + fields(max_align)).div_ceil(sector);
                Layout::Scratch(trailer + spare + u32::from(uneven))
            }
            _ => Layout::Even,
        };
        if matches!(strategy, AnyStrategy::SwapOffset(_)) {
            sectors.reverse();
        }
        let shape =
            Shape { strategy, sector, sectors, write_size, max_align, max_sectors, erased, layout };
        (sectors[0].max(sectors[1]) <= max_sectors).then_some(shape)
    })
}

/// What a trailer takes at most besides the status records.
fn fields(max_align: u32) -> u32 {
    6 * max_align + 16
}

/// Slots for swap-scratch whose sectors differ, on devices that write differently.
fn uneven_shape() -> impl Strategy<Value = Shape> {
    let counts = [0u32..=4, 0..=3, 0..=3];
    let widths = prop::sample::select(vec![
        ([1, 1, 1], 8),
        ([4, 1, 4], 8),
        ([8, 4, 4], 8),
        ([2, 8, 2], 8),
        ([8, 16, 8], 16),
        ([16, 1, 8], 16),
        ([4, 32, 4], 32),
        ([32, 32, 16], 32),
    ]);
    let erased = prop::sample::select(vec![0xff, 0x00]);
    let parts = (counts, 7u32..=10, widths, erased, 0usize..3, 2u32..=9, 0u32..=9);
    parts.prop_filter_map("slots that do not fit together", |parts| {
        let (counts, log, (widths, max_align), erased, turn, scratch, slack) = parts;
        let small = 1u32 << log;
        // Sectors of one size, then of two sizes either way.
        let [same, halves, doubles] = counts;
        let [mut primary, mut secondary] = [
            [(same, small), (2 * halves, small), (doubles, 2 * small)],
            [(same, small), (halves, 2 * small), (2 * doubles, small)],
        ];
        primary.rotate_left(turn);
        secondary.rotate_left(turn);
        let runs = [primary, secondary, [(scratch, small), (0, 0), (0, 0)]];
        let part = |(runs, write_size)| Part { runs, write_size };
        let [first, second, third] =
            [(runs[0], widths[0]), (runs[1], widths[1]), (runs[2], widths[2])];
        let layout = Layout::Apart([part(first), part(second), part(third)]);
        let max_sectors = same + 2 * halves.max(doubles) + halves.max(doubles) + slack;
        let base = Shape {
            strategy: SWAP_SCRATCH,
            sector: small,
            sectors: [1; 2],
            write_size: 1,
            max_align,
            max_sectors,
            erased,
            layout,
        };
        let fits = base.is_compatible() && Board::new(base).max_image_size() >= 160;
        fits.then_some(base)
    })
}

fn torn() -> impl Strategy<Value = Torn> {
    prop_oneof![
        Just(Torn::Skip),
        Just(Torn::Half),
        any::<u64>().prop_map(Torn::AllButOneBit),
        any::<u64>().prop_map(Torn::Bits),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let action = prop_oneof![
        2 => prop::sample::select(vec![2, 3]).prop_map(Action::Upload),
        3 => any::<bool>().prop_map(Action::Request),
        1 => Just(Action::Confirm),
        4 => Just(Action::Reset),
    ];
    // Most actions are a few operations long, a swap is many.
    let at = prop_oneof![0u64..4, 0u64..60, 0u64..300];
    (action, prop::option::weighted(0.4, (at, torn())))
        .prop_map(|(action, cut)| Step { action, cut })
}

fn play(shape: Shape, sizes: [u8; 3], steps: &[Step]) {
    let mut board = Board::new(shape);
    let max = board.max_image_size();
    let size = |part: u8| (max * u32::from(part) / 255).max(80);
    let images = [1, 2, 3].map(|version| image(version, size(sizes[usize::from(version) - 1])));
    let image = |version: u8| &images[usize::from(version) - 1];
    board.program(image(1));
    let start = Model {
        mode: match shape.strategy {
            AnyStrategy::Overwrite(_) => Mode::Overwrites,
            AnyStrategy::SwapMove(_) | AnyStrategy::SwapScratch(_) | AnyStrategy::SwapStatus(_) => {
                Mode::Swaps
            }
            AnyStrategy::SwapOffset(_) => Mode::SwapsByOffset,
        },
        running: 1,
        confirmed: true,
        secondary: None,
        swapped_out: false,
        asked: Asked::Nothing,
    };
    let mut models = BTreeSet::from([start]);
    for step in steps {
        if let Some((at, torn)) = step.cut {
            board.flash.supply().cut_at(at, torn);
        }
        let mut refused = false;
        let mut answer = |answer: Result<bool, _>| {
            refused = matches!(answer, Ok(false));
            answer.map(drop)
        };
        let done = match step.action {
            Action::Upload(version) => board.upload(image(version)).is_ok(),
            Action::Request(true) => answer(board.request(SwapType::Permanent)).is_ok(),
            Action::Request(false) => answer(board.request(SwapType::Test)).is_ok(),
            Action::Confirm => answer(board.confirm()).is_ok(),
            Action::Reset => boot(&mut board, &mut models, image, step),
        };
        let off = !board.flash.supply().is_on();
        assert!(done || off, "{step:?} failed with the power on");
        board.flash.supply().power_on();
        if off {
            models = models.into_iter().flat_map(|model| model.cut(step.action)).collect();
            assert!(boot(&mut board, &mut models, image, step), "after {step:?}");
        } else if !refused && !matches!(step.action, Action::Reset) {
            models = models.into_iter().map(|model| model.after(step.action)).collect();
        }
    }
    // It must not be stuck either.
    board.upload(image(2)).unwrap();
    assert!(board.request(SwapType::Permanent).unwrap(), "the request is refused");
    for _ in 0..2 {
        assert_eq!(board.boot().unwrap().header.version.major, 2, "no further upgrade");
    }
}

/// Boots, and checks that what runs is whole and allowed. `false` if the power failed.
fn boot<'i>(
    board: &mut Board,
    models: &mut BTreeSet<Model>,
    image: impl Fn(u8) -> &'i Vec<u8>,
    step: &Step,
) -> bool {
    let boot = match board.boot() {
        Err(_) if !board.flash.supply().is_on() => return false,
        boot => boot.unwrap_or_else(|error| panic!("{step:?}: {error}; models {models:?}")),
    };
    let version = boot.header.version.major;
    assert!(board.flash.bytes(PRIMARY).starts_with(image(version)), "{step:?}: {version} damaged");
    let after: BTreeSet<_> = models.iter().map(|model| model.booted()).collect();
    let agreeing: BTreeSet<_> =
        after.into_iter().filter(|model| model.running == version).collect();
    assert!(!agreeing.is_empty(), "{step:?}: version {version} runs; models {models:?}");
    *models = agreeing;
    true
}

fn run(seed: u64) {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let stories = (shape(), any::<[u8; 3]>(), prop::collection::vec(step(), 1..24));
    let shapes = std::cell::RefCell::new(BTreeSet::new());
    let result = runner.run(&stories, |(shape, sizes, steps)| {
        shapes.borrow_mut().insert(format!("{shape:?}"));
        play(shape, sizes, &steps);
        Ok(())
    });
    println!("any sequence, seed {seed}: {CASES} devices, {} shapes", shapes.borrow().len());
    if let Err(error) = result {
        panic!("UPDRAFT_SEED={seed} replays this: {error}");
    }
    assert!(shapes.borrow().len() >= 12);
}

#[test]
fn any_sequence_of_actions_and_cuts_leaves_a_device_that_boots_and_upgrades() {
    run(1);
}

#[test]
fn so_does_one_that_was_never_tried_before() {
    let seed = std::env::var("UPDRAFT_SEED").ok().and_then(|seed| seed.parse().ok());
    run(seed.unwrap_or_else(|| RandomState::new().hash_one(0)));
}
