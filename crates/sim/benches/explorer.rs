//! How many flash states the explorer boots and judges in a second.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use updraft_board::FlashKind;
use updraft_image::UpgradeMode;
use updraft_sim::explore::{Explorer, Options};
use updraft_sim::matrix::{Cell, Fill, SHAPES, Secrecy};

/// One story of one board, with every torn operation, and with pairs of them.
fn explorer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("explorer");
    group.sample_size(10);
    for (mode, story, depth) in [
        (UpgradeMode::SwapMove, "test-used", 1),
        (UpgradeMode::SwapOffset, "revert-used", 1),
        (UpgradeMode::OverwriteOnly, "upgrade-used", 1),
        (UpgradeMode::SwapMove, "test-used", 2),
    ] {
        let (fill, secrecy) = (Fill::Shrinking, Secrecy::Plain);
        let cell = Cell { mode, kind: FlashKind::Nor, shape: &SHAPES[0], fill, secrecy };
        let board = cell.board().expect("the board file is accepted");
        let stories = cell.stories(&board).expect("the board can be played");
        let story = stories.iter().find(|told| told.name() == story).expect("the story is told");
        let options = Options { depth, threads: 1, ..Options::torn() };
        let explorer = Explorer::new(story, options).expect("the board can be played");
        let states = explorer.run(&|_, _| ()).states;
        group.throughput(Throughput::Elements(states));
        group.bench_function(format!("{mode}, {}, {depth} deep", story.name()), |bencher| {
            bencher.iter(|| explorer.run(&|_, _| ()));
        });
    }
    group.finish();
}

criterion_group!(benches, explorer);
criterion_main!(benches);
