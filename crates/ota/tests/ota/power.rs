//! Resets and power cuts: nothing that is held is fetched again, and nothing half is marked.

use std::time::Duration;

use updraft_flash::Kind;
use updraft_image::SwapType;
use updraft_ota::{Config, Protocol};
use updraft_sim::flash::{DeviceSpec, Torn};

use crate::common::{BOARD, Board, Line, SECONDARY, image, reasons};
use crate::infineon::{Publisher, V1, V2, device, go_on, settings, with_config};

#[test]
fn an_agent_that_is_dropped_at_any_block_boundary_fetches_nothing_twice() {
    let new = image(V2, 45_000);
    let blocks = new.len().div_ceil(4096);
    for stop in 0..blocks as u32 {
        let mut board = Board::new(V1);
        let mut publisher = Publisher::new(new.clone(), V2);
        // Only what was asked for by itself is counted, not what a whole image brings along.
        let settings = updraft_ota::infineon::Settings { piecewise: true, ..settings() };
        let mut first = device(&mut board, settings);
        let mut line = Line::new();
        first.start(line.now);
        line.run(&mut first, &mut publisher, |device| {
            device.agent().is_fetching() && device.agent().progress().0 == stop
        });
        drop(first);
        publisher.served.truncate(stop as usize);
        let mut second = device(&mut board, settings);
        let mut line = Line::new();
        second.start(line.now);
        go_on(&mut line, &mut second, &mut publisher);
        drop(second);
        let all: Vec<u32> = (0..blocks as u32).map(|block| block * 4096).collect();
        assert_eq!(publisher.served, all, "dropped after {stop}");
        assert!(board.holds(&new));
        assert_eq!(board.swap_type(), SwapType::Test);
    }
}

#[test]
fn an_agent_that_is_dropped_after_every_block_comes_to_the_end() {
    let new = image(V2, 45_000);
    let mut board = Board::new(V1);
    let mut publisher = Publisher::new(new.clone(), V2);
    let mut boots = 0;
    while board.settings.resets == 0 {
        boots += 1;
        let mut device = device(&mut board, settings());
        let mut line = Line::new();
        device.start(line.now);
        let mut before = None;
        line.run(&mut device, &mut publisher, |device| {
            let held = device.agent().progress().0;
            let more = device.agent().is_fetching() && held > *before.get_or_insert(held);
            more || device.agent().platform().system().resets > 0
        });
    }
    // Whole images bring more than was missing, one block a boot is kept.
    assert!(boots <= 12, "{boots}");
    assert!(board.holds(&new));
    assert_eq!(board.swap_type(), SwapType::Test);
}

/// Cuts within every operation of a download, in every class, on every kind of flash; after it the
/// device goes on and comes to the end.
#[test]
fn a_power_cut_at_any_flash_operation_of_a_download_is_survived() {
    let new = image(V2, 20_000);
    let specs = [
        ("nor", DeviceSpec::nor(32, 4096, 8)),
        ("nor, large sectors", DeviceSpec::nor(8, 16384, 4)),
        ("ecc words", DeviceSpec { kind: Kind::EccWords, ..DeviceSpec::nor(32, 4096, 8) }),
    ];
    let (mut cuts, mut again) = (0, 0);
    for (name, spec) in specs {
        for seed in 0.. {
            let mut survived = false;
            for torn in Torn::classes(spec.kind, seed) {
                let mut board = Board::keeping(V1, spec.clone());
                // What an older update has left has to be erased.
                board.flash.load(SECONDARY, 0, &image(V1, 30_000)).unwrap();
                let mut publisher = Publisher::new(new.clone(), V2);
                board.flash.supply().cut_at(seed, torn);
                let mut first = device(&mut board, settings());
                let mut line = Line::new();
                first.start(line.now);
                line.run(&mut first, &mut publisher, |device| {
                    let platform = device.agent().platform();
                    platform.system().resets > 0 || !platform.map().supply().is_on()
                });
                drop(first);
                let off = !board.flash.supply().is_on();
                survived |= !off;
                board.flash.supply().power_on();
                cuts += u32::from(off);
                if off {
                    let before = publisher.served.len();
                    let mut second = device(&mut board, settings());
                    let mut line = Line::new();
                    second.start(line.now);
                    go_on(&mut line, &mut second, &mut publisher);
                    again += publisher.served.len() - before;
                    // Nothing was promised that is not there. What reads differently from time to
                    // time can look as it should, and is found out by the hash.
                    let unstable = matches!(torn, Torn::Unstable(_));
                    let found = reasons(second.agent());
                    assert!(found.is_empty() || unstable, "{name}, {torn:?} at {seed}: {found:?}");
                }
                assert!(board.holds(&new), "{name}, {torn:?} at operation {seed}");
                assert_eq!(board.swap_type(), SwapType::Test, "{name}, {torn:?} at {seed}");
            }
            if survived {
                break;
            }
        }
    }
    println!("{cuts} / {cuts} cuts survived, {again} chunks fetched after them");
    assert!(cuts > 100, "{cuts}");
}

#[test]
fn a_record_that_is_kept_more_rarely_costs_a_few_blocks() {
    let new = image(V2, 45_000);
    let mut board = Board::new(V1);
    let mut publisher = Publisher::new(new.clone(), V2);
    let config = Config { save_every: 4, ..Config::new(BOARD) };
    let piecewise = updraft_ota::infineon::Settings { piecewise: true, ..settings() };
    let mut first = with_config(&mut board, piecewise, config);
    let mut line = Line::new();
    first.start(line.now);
    line.run(&mut first, &mut publisher, |device| device.agent().progress().0 == 7);
    drop(first);
    publisher.served.clear();
    let mut second = with_config(&mut board, piecewise, config);
    let mut line = Line::new();
    second.start(line.now);
    assert_eq!(second.agent().progress(), (4, 12));
    go_on(&mut line, &mut second, &mut publisher);
    assert_eq!(publisher.served.len(), 8);
    assert!(line.now < Duration::from_secs(3600));
    drop(second);
    assert!(board.holds(&new));
}
