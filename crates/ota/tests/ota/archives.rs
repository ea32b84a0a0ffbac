//! Updates of several images in one file: both become pending or neither, both stay or neither.

use updraft_flash::Kind;
use updraft_image::{Digest, HashKind, SwapType, UpgradeMode};
use updraft_ota::archive::{self, Malformed};
use updraft_ota::{Agent, Config, Offer, Reason, State, Taken, Version};
use updraft_sim::flash::{DeviceSpec, Torn};

use crate::common::{BOARD, SECOND, image};
use crate::infineon::{V1, V2};
use crate::pair::{Flash, Pair, archive};

const BLOCK: usize = 4096;

fn offer() -> Offer<'static> {
    Offer { id: "job", version: Some(V2), ..Offer::default() }
}

fn work(agent: &mut Agent<'_, Flash<'_>>) -> State {
    while agent.deadline().is_some_and(|at| at <= SECOND) {
        agent.poll(SECOND);
    }
    agent.state()
}

/// Fetches what is wanted up to the end or so many blocks; returns which blocks were asked for.
fn fetch(agent: &mut Agent<'_, Flash<'_>>, file: &[u8], most: usize) -> Vec<u32> {
    let mut asked = Vec::new();
    while asked.len() < most && work(agent) == State::Fetching {
        let known = agent.sized(file.len() as u32, SECOND);
        let Some(wanted) = agent.wanted(0).filter(|_| known.is_ok()) else { continue };
        asked.push(wanted.offset / BLOCK as u32);
        let block = &file[wanted.offset as usize..][..wanted.len as usize];
        if agent.block(wanted.offset, block, SECOND).is_err() {
            break;
        }
    }
    work(agent);
    asked
}

fn new_images() -> [Vec<u8>; 2] {
    [image(V2, 9000), image(V2, 6000)]
}

#[test]
fn both_images_become_pending_are_tested_and_stay() {
    for hashed in [false, true] {
        let file = archive(V2, new_images());
        let mut pair = Pair::new([V1, V1]);
        let sha256 = hashed.then(|| {
            Digest::of(HashKind::Sha256, &file).as_bytes().try_into().expect("it has 32 bytes")
        });
        pair.agent(Config::new(BOARD), |agent| {
            agent.start(SECOND).unwrap();
            agent.offer(&Offer { sha256, ..offer() }, SECOND).unwrap();
            let asked = fetch(agent, &file, 99);
            // Its beginning twice: the slots are made ready once it has told which.
            let all = (0..file.len().div_ceil(BLOCK) as u32).collect::<Vec<_>>();
            assert_eq!((asked[0], &asked[1..]), (0, &all[..]));
            assert!(agent.is_activated(), "{:?}", agent.reason());
        });
        assert_eq!(pair.pending(), [SwapType::Test; 2]);
        pair.boot();
        assert_eq!((pair.running(), pair.confirmed()), ([V2, V2], [false, false]));
        pair.agent(Config::new(BOARD), |agent| {
            assert_eq!(agent.start(SECOND), Ok(State::SelfTest));
            agent.self_test(true, SECOND);
            assert_eq!(agent.state(), State::Accepted);
            agent.reported(SECOND);
        });
        pair.boot();
        assert_eq!((pair.running(), pair.confirmed()), ([V2, V2], [true, true]));
        // The application alone is an update, too.
        let v3 = Version::new(3, 0, 0);
        pair.agent(Config::new(BOARD), |agent| {
            assert_eq!(agent.start(SECOND), Ok(State::Waiting));
            agent.offer(&Offer { version: Some(v3), ..offer() }, SECOND).unwrap();
            fetch(agent, &image(v3, 9000), 99);
            assert!(agent.is_activated(), "{:?}", agent.reason());
        });
        assert_eq!(pair.pending(), [SwapType::Test, SwapType::None]);
    }
}

#[test]
fn both_images_are_reverted_if_the_test_fails() {
    let mut pair = Pair::new([V1, V1]);
    let file = archive(V2, new_images());
    for round in 0..2 {
        pair.agent(Config::new(BOARD), |agent| {
            agent.start(SECOND).unwrap();
            agent.offer(&offer(), SECOND).unwrap();
            fetch(agent, &file, 99);
            assert!(agent.is_activated(), "{:?}", agent.reason());
        });
        pair.boot();
        if round == 0 {
            pair.agent(Config::new(BOARD), |agent| {
                agent.start(SECOND).unwrap();
                agent.self_test(false, SECOND);
                assert!(agent.is_given_back());
            });
        }
        pair.boot();
        assert_eq!(pair.running(), [V1, V1]);
    }
    pair.agent(Config::new(BOARD), |agent| {
        assert_eq!(agent.start(SECOND), Ok(State::Rejected));
        agent.reported(SECOND);
        assert_eq!(agent.offer(&offer(), SECOND), Err(Reason::FailedBefore));
    });
}

#[test]
fn an_agent_that_is_dropped_at_any_block_boundary_fetches_the_images_once() {
    let file = archive(V2, [image(V2, 20_000), image(V2, 15_000)]);
    let blocks = file.len().div_ceil(BLOCK) as u32;
    let digest = Digest::of(HashKind::Sha256, &file);
    let offer = Offer { sha256: digest.as_bytes().try_into().ok(), ..offer() };
    for stop in 0..=blocks as usize {
        let mut pair = Pair::new([V1, V1]);
        let mut asked = pair.agent(Config::new(BOARD), |agent| {
            agent.start(SECOND).unwrap();
            agent.offer(&offer, SECOND).unwrap();
            fetch(agent, &file, stop)
        });
        asked.extend(pair.agent(Config::new(BOARD), |agent| {
            agent.start(SECOND).unwrap();
            agent.offer(&offer, SECOND).unwrap();
            let asked = fetch(agent, &file, 99);
            assert!(agent.is_activated(), "{stop}: {:?}", agent.reason());
            asked
        }));
        // Besides, the beginning comes again, and what tells where the second image is.
        assert!(asked.len() as u32 <= blocks + 3, "{stop}: {asked:?}");
        assert_eq!(pair.pending(), [SwapType::Test; 2]);
    }
}

#[test]
fn blocks_in_any_order_make_the_same_images() {
    let file = archive(V2, [image(V2, 20_000), image(V2, 15_000)]);
    let blocks: Vec<&[u8]> = file.chunks(BLOCK).collect();
    let mut pair = Pair::new([V1, V1]);
    pair.agent(Config::new(BOARD), |agent| {
        agent.start(SECOND).unwrap();
        agent.offer(&offer(), SECOND).unwrap();
        agent.sized(file.len() as u32, SECOND).unwrap();
        let mut rounds = 0;
        while work(agent) == State::Fetching {
            rounds += 1;
            assert!(rounds < 20);
            // From the last to the first: what nobody knows the place of yet is passed over.
            for (number, block) in blocks.iter().enumerate().rev() {
                if agent.is_fetching() {
                    let taken = agent.block((number * BLOCK) as u32, block, SECOND);
                    assert!(taken.is_ok(), "{taken:?}");
                    assert_eq!(taken == Ok(Taken::Again), number == 0 && rounds == 1);
                }
            }
        }
        assert!(agent.is_activated(), "{:?}", agent.reason());
    });
    assert_eq!(pair.pending(), [SwapType::Test; 2]);
}

#[test]
fn archives_that_are_not_as_they_say_mark_nothing() {
    let good = archive(V2, new_images());
    let with = |at: usize, byte: u8| {
        let mut file = good.clone();
        file[at] ^= byte;
        file
    };
    let second = good.windows(7).rposition(|it| it == b"cm4.bin").unwrap() as u32;
    let v3 = Version::new(3, 0, 0);
    let cases: [(&str, Vec<u8>, Reason); 10] = [
        ("a bit of the secure part", with(5000, 1), Reason::ImageRefused),
        ("a bit of the application", with(second as usize + 5000, 1), Reason::ImageRefused),
        ("the record's sum", with(100, 1), Reason::Archive(Malformed::Record { at: 0 })),
        (
            "the second record",
            with(second as usize, 1),
            Reason::Archive(Malformed::Record { at: second }),
        ),
        (
            "behind the end",
            with(good.len() - 1, 1),
            Reason::Archive(Malformed::Filling { at: good.len() as u32 - 1024 }),
        ),
        ("cut", good[..good.len() - 2048].to_vec(), Reason::Archive(Malformed::Cut)),
        (
            "the same version",
            archive(V1, new_images()),
            Reason::NotNewer { offered: V1, running: V1 },
        ),
        (
            "an old application",
            archive(V2, [image(V1, 5000), image(V2, 5000)]),
            Reason::NotNewer { offered: V1, running: V1 },
        ),
        (
            "an old secure part",
            archive(v3, [image(v3, 5000), image(Version::new(0, 9, 0), 5000)]),
            Reason::ImageRefused,
        ),
        (
            "a secure part that has no room",
            archive(V2, [image(V2, 5000), image(V2, 31_000)]),
            Reason::TooLarge { size: 31_068, max: 0 },
        ),
    ];
    let count = cases.len();
    for (name, file, reason) in cases {
        let mut pair = Pair::new([V1, V1]);
        let found = pair.agent(Config::new(BOARD), |agent| {
            agent.start(SECOND).unwrap();
            agent.offer(&offer(), SECOND).unwrap();
            fetch(agent, &file, 99);
            assert_eq!(agent.state(), State::Rejected, "{name}: {:?}", agent.reason());
            agent.reason()
        });
        match (reason, found) {
            (Reason::TooLarge { size, .. }, Some(Reason::TooLarge { size: found, .. })) => {
                assert!(found >= size - 68, "{name}");
            }
            (reason, found) => assert_eq!(found, Some(reason), "{name}"),
        }
        assert_eq!(pair.pending(), [SwapType::None; 2], "{name}");
        // The next attempt is possible.
        let good = archive(v3, [image(v3, 9000), image(V1, 6000)]);
        pair.agent(Config::new(BOARD), |agent| {
            agent.start(SECOND).unwrap();
            agent.offer(&Offer { version: None, ..offer() }, SECOND).unwrap();
            fetch(agent, &good, 99);
            assert!(agent.is_activated(), "{name}: {:?}", agent.reason());
        });
        assert_eq!(pair.pending(), [SwapType::Test; 2], "{name}");
    }
    println!("{count} / {count} archives refused");
}

/// One power-up: what an application with an agent does until the next reset or the end of the
/// power. Whether the update has been accepted.
fn power_up(pair: &mut Pair, file: &[u8]) -> bool {
    let [application, secure] = pair.running();
    // Where the bootloader copies there is no way back.
    let together = archive::is_one(file) && pair.mode != UpgradeMode::OverwriteOnly;
    let may_stay = application == secure || !together;
    let accepted = pair.agent(Config::new(BOARD), |agent| {
        let on = |agent: &mut Agent<'_, Flash<'_>>| {
            let platform = agent.platform();
            platform.map().supply().is_on() && platform.system().resets == 0
        };
        let started = agent.start(SECOND);
        if !on(agent) {
            return false;
        }
        assert!(may_stay, "{application} goes on with {secure}");
        match started.expect("the power is on") {
            State::SelfTest => {
                agent.self_test(true, SECOND);
                return on(agent) && agent.state() == State::Accepted;
            }
            State::Accepted => return true,
            _ => {}
        }
        for _ in 0..3 {
            agent.reported(SECOND);
            if agent.offer(&offer(), SECOND).is_ok() {
                fetch(agent, file, 99);
            }
            if !on(agent) || agent.is_activated() {
                return false;
            }
        }
        panic!("{:?}", agent.reason());
    });
    accepted && pair.flash.supply().is_on()
}

/// From the first byte to the confirmed images, with one cut: within every flash operation of the
/// agent and of the bootloader.
#[test]
fn a_power_cut_at_any_flash_operation_never_leaves_one_image_without_the_other() {
    let both = archive(V2, [image(V2, 5000), image(V2, 4500)]);
    let nor = DeviceSpec::nor(40, 4096, 8);
    let ecc = DeviceSpec { kind: Kind::EccWords, ..nor.clone() };
    let specs = [
        ("nor", nor.clone(), UpgradeMode::SwapMove, &both, [V2, V2]),
        ("ecc words", ecc, UpgradeMode::SwapMove, &both, [V2, V2]),
        ("nor, overwritten", nor.clone(), UpgradeMode::OverwriteOnly, &both, [V2, V2]),
        ("the application alone", nor, UpgradeMode::SwapMove, &image(V2, 9000), [V2, V1]),
    ];
    let mut cuts = 0;
    for (name, spec, mode, file, new) in specs {
        let classes = |seed| {
            let all = Torn::classes(spec.kind, seed);
            // What reads differently from time to time is left to the explorer.
            all.into_iter().filter(|torn| !matches!(torn, Torn::Unstable(_))).collect::<Vec<_>>()
        };
        for operation in 0.. {
            let mut cut = false;
            for torn in classes(operation) {
                let mut pair = Pair::with([V1, V1], spec.clone(), mode);
                pair.cut_at(operation, torn);
                let mut boots = 0;
                while !power_up(&mut pair, file) {
                    boots += 1;
                    assert!(boots < 9, "{name}, {torn:?} at {operation}: it does not end");
                    pair.boot();
                }
                let found = (pair.running(), pair.confirmed());
                assert_eq!(found, (new, [true, true]), "{name}, {torn:?} at {operation}");
                // And it stays so.
                pair.boot();
                assert_eq!(pair.running(), new, "{name}, {torn:?} at {operation}");
                cuts += pair.cuts;
                cut |= pair.cuts > 0;
            }
            if !cut {
                break;
            }
        }
    }
    println!("{cuts} / {cuts} cuts survived");
    assert!(cuts > 500, "{cuts}");
}

/// Marks are torn by hand: only one of the images is started, or confirmed.
#[test]
fn half_an_update_is_undone_or_finished_at_the_next_start() {
    let file = archive(V2, new_images());
    for part in [0, 1] {
        let mut pair = Pair::new([V1, V1]);
        // Of the operations, only those of the slots are counted.
        pair.settings.store = None;
        pair.agent(Config::new(BOARD), |agent| {
            agent.start(SECOND).unwrap();
            agent.offer(&offer(), SECOND).unwrap();
            fetch(agent, &file, 99);
            assert!(agent.is_activated());
        });
        // One mark is gone, as if it had never been written.
        let dfu = pair.dfus()[part];
        dfu.trailer(dfu.upload_slot()).erase(&mut pair.flash).unwrap();
        pair.boot();
        assert_eq!(pair.running()[part], V1);
        assert_eq!(pair.running()[1 - part], V2);
        pair.agent(Config::new(BOARD), |agent| {
            agent.start(SECOND).unwrap();
            assert_eq!(agent.reason(), Some(Reason::Torn));
            assert_eq!(agent.platform().system().resets, 1);
        });
        pair.boot();
        assert_eq!((pair.running(), pair.confirmed()), ([V1, V1], [true, true]), "{part}");
        // Nothing but the archive's frame is fetched again.
        pair.agent(Config::new(BOARD), |agent| {
            agent.start(SECOND).unwrap();
            agent.offer(&offer(), SECOND).unwrap();
            assert!(fetch(agent, &file, 99).len() <= 2);
            assert!(agent.is_activated());
        });
        pair.boot();
        // One of the confirmations is not there when the power goes.
        pair.agent(Config::new(BOARD), |agent| {
            assert_eq!(agent.start(SECOND), Ok(State::SelfTest));
        });
        pair.agent(Config::new(BOARD), |agent| {
            agent.start(SECOND).unwrap();
            agent.platform().map().supply().cut_at(1, Torn::Skip);
            agent.self_test(true, SECOND);
        });
        pair.boot();
        assert_eq!(pair.running(), [V1, V2]);
        pair.agent(Config::new(BOARD), |agent| {
            agent.start(SECOND).unwrap();
            assert_eq!(agent.platform().system().resets, 1);
        });
        pair.boot();
        assert_eq!((pair.running(), pair.confirmed()), ([V2, V2], [true, true]), "{part}");
        pair.agent(Config::new(BOARD), |agent| {
            assert_eq!(agent.start(SECOND), Ok(State::Accepted));
        });
    }
}
