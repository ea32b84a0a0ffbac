//! Which jobs are taken, how long an update waits, and what becomes of a new image.

use std::time::Duration;

use updraft_image::{BoardIds, Rules, SwapType, TlvType, UpgradeMode};
use updraft_ota::{
    Answer, Config, DeferRule, Gate, Limit, Note, Offer, Operation, Platform, Reason, State,
    Version,
};

use crate::common::{BOARD, Board, PRIMARY, SECOND, Settings, image, image_with};
use crate::infineon::{V1, V2};

type Agent<'a> = updraft_ota::Agent<'a, crate::common::Flash<'a>>;

fn offer() -> Offer<'static> {
    Offer { id: "job", version: Some(V2), ..Offer::default() }
}

/// Works until there is nothing more to do at this time.
fn work(agent: &mut Agent<'_>, now: Duration) -> State {
    let mut steps = 0;
    while agent.deadline().is_some_and(|at| at <= now) {
        agent.poll(now);
        steps += 1;
        assert!(steps < 10_000, "it works without an end: {:?}", agent.state());
    }
    agent.state()
}

fn give(agent: &mut Agent<'_>, image: &[u8], now: Duration) -> Result<(), Reason> {
    agent.sized(image.len() as u32, now)?;
    for (number, block) in image.chunks(4096).enumerate() {
        agent.block(number as u32 * 4096, block, now)?;
    }
    Ok(())
}

fn installed(board: &mut Board, image: &[u8]) {
    installed_by("job", board, image);
}

fn installed_by(id: &'static str, board: &mut Board, image: &[u8]) {
    let mut agent = board.agent(Config::new(BOARD));
    agent.start(SECOND).unwrap();
    agent.offer(&Offer { id, ..offer() }, SECOND).unwrap();
    assert_eq!(work(&mut agent, SECOND), State::Fetching, "{:?}", agent.reason());
    give(&mut agent, image, SECOND).unwrap();
    assert_eq!(work(&mut agent, SECOND), State::ReadyToActivate);
    assert!(agent.is_activated());
}

#[test]
fn a_closed_gate_lets_the_update_wait_and_is_looked_at_again() {
    for gate in Gate::ALL {
        let mut board = Board::new(V1);
        board.settings.closed = vec![(gate, Answer::NotNow)];
        let mut agent = board.agent(Config::new(BOARD));
        agent.start(SECOND).unwrap();
        agent.offer(&offer(), SECOND).unwrap();
        assert_eq!(work(&mut agent, SECOND), State::JobReceived);
        let deferral = agent.deferral().expect("it waits");
        assert_eq!((deferral.gate, deferral.since), (gate, SECOND));
        agent.platform().system().closed.clear();
        assert_eq!(work(&mut agent, deferral.again), State::Fetching, "{gate:?}");
        let notes: Vec<Note> = std::iter::from_fn(|| agent.report()).map(|it| it.note).collect();
        let waited = [Note::Deferred(gate), Note::Resumed(gate)];
        assert!(notes.windows(2).any(|pair| pair == waited), "{notes:?}");
    }
}

#[test]
fn waiting_ends_at_its_limit_by_giving_up_or_going_on() {
    for then in [Limit::GiveUp, Limit::GoOn] {
        let mut board = Board::new(V1);
        board.settings.closed = vec![(Gate::User, Answer::NotNow)];
        let rule = DeferRule { again: 10 * SECOND, longest: 60 * SECOND, then };
        let mut config = Config::new(BOARD);
        config.defer[3] = rule;
        let mut agent = board.agent(config);
        agent.start(SECOND).unwrap();
        agent.offer(&offer(), SECOND).unwrap();
        let mut looks = 0;
        while agent.state() == State::JobReceived {
            looks += 1;
            assert!(looks <= 8, "it waits without a limit");
            let at = agent.deadline().unwrap();
            assert!(at <= 61 * SECOND);
            agent.poll(at);
        }
        assert!((6..=8).contains(&looks), "{looks}");
        match then {
            Limit::GiveUp => {
                assert_eq!(agent.state(), State::Aborted);
                assert_eq!(agent.reason(), Some(Reason::Waited(Gate::User)));
            }
            Limit::GoOn => assert_eq!(agent.state(), State::Fetching),
        }
    }
}

#[test]
fn a_gate_that_closes_during_the_download_pauses_it() {
    let new = image(V2, 20_000);
    let mut board = Board::new(V1);
    let mut agent = board.agent(Config::new(BOARD));
    agent.start(SECOND).unwrap();
    agent.offer(&offer(), SECOND).unwrap();
    work(&mut agent, SECOND);
    agent.sized(new.len() as u32, SECOND).unwrap();
    agent.platform().system().closed = vec![(Gate::Battery, Answer::NotNow)];
    agent.block(0, &new[..4096], SECOND).unwrap();
    assert_eq!(agent.wanted(0), None);
    assert_eq!(agent.deferral().unwrap().gate, Gate::Battery);
    agent.platform().system().closed.clear();
    let again = agent.deadline().unwrap();
    agent.poll(again);
    assert_eq!(agent.wanted(0).unwrap().offset, 4096);
}

const VENDOR: [u8; 16] = [0x11; 16];
const CLASS: [u8; 16] = [0x22; 16];

/// What a board with ids of its own and a security counter of 5 asks of images.
fn of_a_board() -> Rules {
    let board = BoardIds { vendor: Some(VENDOR), class: Some(CLASS), required: true };
    Rules { board: Some(board), security_counter: Some(5), ..Rules::default() }
}

fn for_a_board(version: Version, vendor: u8, class: u8, counter: u32) -> Vec<u8> {
    let (vendor, class, counter) = ([vendor; 16], [class; 16], counter.to_le_bytes());
    let tlvs: [(TlvType, &[u8]); 3] =
        [(TlvType::SEC_CNT, &counter), (TlvType::UUID_VID, &vendor), (TlvType::UUID_CID, &class)];
    image_with(version, 9000, &tlvs)
}

/// Their hashes are intact, and their jobs promise nothing that is not so.
#[test]
fn images_of_another_board_and_of_an_old_security_counter_are_never_marked() {
    let good = for_a_board(V2, 0x11, 0x22, 5);
    let cases = [
        ("another vendor", for_a_board(V2, 0x33, 0x22, 5)),
        ("another class of board", for_a_board(V2, 0x11, 0x33, 5)),
        ("an old counter", for_a_board(V2, 0x11, 0x22, 4)),
        ("no ids and no counter", image(V2, 9000)),
        // Signed once, with a lower counter, and published again under a higher number.
        ("an old one of a high number", for_a_board(Version::new(9, 0, 0), 0x11, 0x22, 0)),
    ];
    let count = cases.len();
    for (name, bad) in cases {
        let mut board = Board { rules: of_a_board(), ..Board::new(V1) };
        let before = board.flash.bytes(PRIMARY);
        let mut agent = board.agent(Config::new(BOARD));
        agent.start(SECOND).unwrap();
        let offer = Offer { version: None, ..offer() };
        agent.offer(&offer, SECOND).unwrap();
        work(&mut agent, SECOND);
        give(&mut agent, &bad, SECOND).unwrap();
        assert_eq!(work(&mut agent, SECOND), State::Rejected, "{name}");
        assert_eq!(agent.reason(), Some(Reason::ImageRefused), "{name}");
        agent.reported(SECOND);
        drop(agent);
        assert_eq!(board.swap_type(), SwapType::None, "{name}");
        assert_eq!(board.flash.bytes(PRIMARY), before, "{name}");
        // One that is for this board is welcome.
        installed_by("another job", &mut board, &good);
        assert_eq!(board.swap_type(), SwapType::Test, "{name}");
    }
    println!("{count} / {count} images refused");
}

#[test]
fn a_user_who_never_agrees_has_the_slot_unmarked() {
    let new = image(V2, 9000);
    let mut board = Board::new(V1);
    let mut agent = board.agent(Config::new(BOARD));
    agent.start(SECOND).unwrap();
    agent.offer(&offer(), SECOND).unwrap();
    work(&mut agent, SECOND);
    agent.platform().system().closed = vec![(Gate::User, Answer::Never)];
    give(&mut agent, &new, SECOND).unwrap();
    assert_eq!(work(&mut agent, SECOND), State::Rejected);
    assert_eq!(agent.reason(), Some(Reason::Forbidden(Gate::User)));
    drop(agent);
    assert_eq!(board.swap_type(), SwapType::None);
}

#[test]
fn an_image_that_is_not_confirmed_in_time_is_given_back() {
    for late in [true, false] {
        let mut board = Board::new(V1);
        installed(&mut board, &image(V2, 9000));
        board.boot();
        let mut agent = board.agent(Config::new(BOARD));
        assert_eq!(agent.start(SECOND), Ok(State::SelfTest));
        let reason = match late {
            true => {
                let until = agent.deadline().unwrap();
                assert_eq!(until, 61 * SECOND);
                agent.poll(until);
                Reason::SelfTestLate
            }
            false => {
                agent.self_test(false, 2 * SECOND);
                Reason::SelfTestFailed
            }
        };
        assert_eq!((agent.state(), agent.reason()), (State::Rejected, Some(reason)));
        assert!(agent.is_given_back());
        agent.reported(3 * SECOND);
        drop(agent);
        assert_eq!(board.swap_type(), SwapType::Revert);
        board.boot();
        let mut agent = board.agent(Config::new(BOARD));
        assert_eq!(agent.start(SECOND), Ok(State::Waiting));
        assert_eq!(agent.platform().running(), V1);
    }
}

#[test]
fn an_image_that_falls_back_by_itself_is_found_out_and_not_tried_for_ever() {
    let new = image(V2, 9000);
    let mut board = Board::new(V1);
    for _ in 0..2 {
        installed(&mut board, &new);
        // It crashes before its agent runs, and the bootloader reverts.
        board.boot();
        board.boot();
        let mut agent = board.agent(Config::new(BOARD));
        assert_eq!(agent.start(SECOND), Ok(State::Rejected));
        assert_eq!(agent.reason(), Some(Reason::Reverted));
        agent.reported(SECOND);
    }
    let mut agent = board.agent(Config::new(BOARD));
    assert_eq!(agent.start(SECOND), Ok(State::Waiting));
    assert_eq!(agent.offer(&offer(), SECOND), Err(Reason::FailedBefore));
    let other = Offer { id: "another job", ..offer() };
    assert_eq!(agent.offer(&other, SECOND), Ok(()));
}

#[test]
fn an_accepted_update_is_told_once() {
    let mut board = Board::new(V1);
    installed(&mut board, &image(V2, 9000));
    board.boot();
    let mut agent = board.agent(Config::new(BOARD));
    agent.start(SECOND).unwrap();
    agent.self_test(true, SECOND);
    drop(agent);
    // The power goes before the server is told.
    let mut agent = board.agent(Config::new(BOARD));
    assert_eq!(agent.start(SECOND), Ok(State::Accepted));
    assert_eq!(agent.job_id(), "job");
    agent.reported(SECOND);
    drop(agent);
    let mut agent = board.agent(Config::new(BOARD));
    assert_eq!(agent.start(SECOND), Ok(State::Waiting));
}

#[test]
fn what_does_not_keep_the_promise_of_its_job_is_never_marked() {
    let good = image(V2, 9000);
    let mut damaged = good.clone();
    damaged[5000] ^= 1;
    let cases: [(&[u8], Offer<'_>, Reason); 3] = [
        (&damaged, offer(), Reason::ImageRefused),
        (&good, Offer { sha256: Some([7; 32]), ..offer() }, Reason::HashDiffers),
        (&good[..8192], offer(), Reason::ImageRefused),
    ];
    for (image, offer, reason) in cases {
        let mut board = Board::new(V1);
        let before = board.flash.bytes(PRIMARY);
        let mut agent = board.agent(Config::new(BOARD));
        agent.start(SECOND).unwrap();
        for _ in 0..2 {
            agent.offer(&offer, SECOND).unwrap();
            work(&mut agent, SECOND);
            give(&mut agent, image, SECOND).unwrap();
            assert_eq!(work(&mut agent, SECOND), State::Rejected);
            assert_eq!(agent.reason(), Some(reason));
            agent.reported(SECOND);
        }
        assert_eq!(agent.offer(&offer, SECOND), Err(Reason::FailedBefore));
        drop(agent);
        assert_eq!(board.swap_type(), SwapType::None);
        assert_eq!(board.flash.bytes(PRIMARY), before);
        // Another one is as welcome as ever.
        installed_by("another job", &mut board, &good);
    }
}

#[test]
fn an_image_of_another_version_than_its_job_says_is_installed_if_it_is_newer_than_what_runs() {
    for version in [Version::new(1, 0, 1), Version::new(3, 0, 0)] {
        let mut board = Board::new(V1);
        let mut agent = board.agent(Config::new(BOARD));
        agent.start(SECOND).unwrap();
        agent.offer(&offer(), SECOND).unwrap();
        work(&mut agent, SECOND);
        give(&mut agent, &image(version, 9000), SECOND).unwrap();
        assert_eq!(work(&mut agent, SECOND), State::ReadyToActivate);
        let notes: Vec<Note> = std::iter::from_fn(|| agent.report()).map(|it| it.note).collect();
        assert!(notes.contains(&Note::Differs { promised: V2, image: version }), "{notes:?}");
        drop(agent);
        board.boot();
        let mut agent = board.agent(Config::new(BOARD));
        assert_eq!(agent.start(SECOND), Ok(State::SelfTest));
        agent.self_test(true, SECOND);
        assert_eq!(agent.state(), State::Accepted);
    }
}

#[test]
fn an_image_that_is_not_newer_is_given_up_after_its_first_block_and_has_not_failed() {
    for version in [V1, Version::new(0, 9, 9)] {
        let old = image(version, 9000);
        let mut board = Board::new(V1);
        let mut agent = board.agent(Config::new(BOARD));
        agent.start(SECOND).unwrap();
        for _ in 0..5 {
            agent.offer(&offer(), SECOND).unwrap();
            work(&mut agent, SECOND);
            let reason = Reason::NotNewer { offered: version, running: V1 };
            assert_eq!(give(&mut agent, &old, SECOND), Err(reason));
            assert_eq!((agent.state(), agent.progress().0), (State::Rejected, 0));
            agent.reported(SECOND);
        }
        // If blocks came in another order, it is found out at the end.
        agent.offer(&offer(), SECOND).unwrap();
        work(&mut agent, SECOND);
        agent.sized(old.len() as u32, SECOND).unwrap();
        let first = [image(V2, 9000)[..32].to_vec(), old[32..4096].to_vec()].concat();
        agent.block(0, &first, SECOND).unwrap();
        agent.block(4096, &old[4096..], SECOND).unwrap();
        assert_eq!(work(&mut agent, SECOND), State::Rejected);
        assert_eq!(agent.reason(), Some(Reason::ImageRefused));
    }
}

#[test]
fn an_image_is_held_against_what_runs_once_more_when_it_is_verified() {
    let new = image(V2, 9000);
    let mut board = Board::new(V1);
    let offer = Offer { version: None, ..offer() };
    let mut agent = board.agent(Config::new(BOARD));
    agent.start(SECOND).unwrap();
    agent.offer(&offer, SECOND).unwrap();
    work(&mut agent, SECOND);
    agent.sized(new.len() as u32, SECOND).unwrap();
    agent.block(0, &new[..4096], SECOND).unwrap();
    drop(agent);
    // Meanwhile the device is updated in another way.
    board.flash.load(PRIMARY, 0, &image(V2, 3000)).unwrap();
    let mut agent = board.agent(Config::new(BOARD));
    agent.start(SECOND).unwrap();
    agent.offer(&offer, SECOND).unwrap();
    work(&mut agent, SECOND);
    give(&mut agent, &new, SECOND).unwrap();
    assert_eq!(work(&mut agent, SECOND), State::Rejected);
    assert_eq!(agent.reason(), Some(Reason::NotNewer { offered: V2, running: V2 }));
    drop(agent);
    assert_eq!(board.swap_type(), SwapType::None);
}

#[test]
fn a_record_that_cannot_be_read_does_not_keep_a_new_image_from_its_test() {
    let mut board = Board::new(V1);
    installed(&mut board, &image(V2, 9000));
    board.boot();
    board.settings.unreadable = true;
    let mut agent = board.agent(Config::new(BOARD));
    assert_eq!(agent.start(SECOND), Ok(State::SelfTest));
    let first = agent.report().map(|report| report.note);
    assert_eq!(first, Some(Note::Failed(Reason::Storage(Operation::Record))));
    drop(agent);
    // Nor one that cannot be kept.
    board.settings.unreadable = false;
    board.settings.full = true;
    let mut agent = board.agent(Config::new(BOARD));
    assert_eq!(agent.start(SECOND), Ok(State::SelfTest));
    agent.self_test(true, SECOND);
    drop(agent);
    assert_eq!(board.swap_type(), SwapType::None);
}

#[test]
fn blocks_are_not_taken_while_the_update_waits() {
    let new = image(V2, 20_000);
    let mut board = Board::new(V1);
    let mut agent = board.agent(Config::new(BOARD));
    agent.start(SECOND).unwrap();
    agent.offer(&offer(), SECOND).unwrap();
    work(&mut agent, SECOND);
    agent.sized(new.len() as u32, SECOND).unwrap();
    agent.platform().system().closed = vec![(Gate::Network, Answer::NotNow)];
    agent.block(0, &new[..4096], SECOND).unwrap();
    let deferral = agent.deferral().unwrap();
    for _ in 0..100 {
        assert_eq!(agent.block(4096, &new[4096..8192], 2 * SECOND), Err(Reason::Unasked));
    }
    assert_eq!((agent.deferral(), agent.progress().0), (Some(deferral), 1));
}

/// Where no request is needed, the image itself is one.
#[test]
fn a_whole_image_that_is_given_up_does_not_stay_where_the_newest_boots() {
    let new = image(V2, 9000);
    for stop in ["hash", "user", "cancelled"] {
        let mut board = Board { mode: UpgradeMode::DirectXip, ..Board::new(V1) };
        let mut agent = board.agent(Config::new(BOARD));
        agent.start(SECOND).unwrap();
        let sha256 = (stop == "hash").then_some([7; 32]);
        agent.offer(&Offer { sha256, ..offer() }, SECOND).unwrap();
        work(&mut agent, SECOND);
        if stop == "user" {
            agent.platform().system().closed = vec![(Gate::User, Answer::Never)];
        }
        give(&mut agent, &new, SECOND).unwrap();
        if stop == "cancelled" {
            agent.abort(Reason::Cancelled, SECOND);
            assert_eq!(agent.state(), State::Aborted);
        } else {
            assert_eq!(work(&mut agent, SECOND), State::Rejected);
        }
        drop(agent);
        let dfu = board.dfu();
        let found = dfu.header(&mut board.flash, updraft_flash::Which::Secondary);
        assert!(found.is_err(), "{stop}");
        board.settings.closed.clear();
        // Its blocks are known to be gone.
        installed_by("another job", &mut board, &new);
        assert!(board.holds(&new));
    }
}

#[test]
fn blocks_of_an_earlier_attempt_that_turn_out_bad_are_fetched_anew_once() {
    let good = image(V2, 9000);
    let mut board = Board::new(V1);
    let mut agent = board.agent(Config::new(BOARD));
    agent.start(SECOND).unwrap();
    agent.offer(&offer(), SECOND).unwrap();
    work(&mut agent, SECOND);
    agent.sized(good.len() as u32, SECOND).unwrap();
    agent.block(0, &[0x55; 4096], SECOND).unwrap();
    drop(agent);
    let mut agent = board.agent(Config::new(BOARD));
    agent.start(SECOND).unwrap();
    agent.offer(&offer(), SECOND).unwrap();
    work(&mut agent, SECOND);
    assert_eq!(agent.wanted(0).unwrap().offset, 4096);
    give(&mut agent, &good, SECOND).unwrap();
    assert_eq!(work(&mut agent, SECOND), State::Fetching);
    assert_eq!(agent.progress().0, 0);
    give(&mut agent, &good, SECOND).unwrap();
    work(&mut agent, SECOND);
    assert!(agent.is_activated());
}

#[test]
fn images_that_have_no_room_are_refused_before_anything_is_erased() {
    let mut board = Board::new(V1);
    let mut agent = board.agent(Config::new(BOARD));
    agent.start(SECOND).unwrap();
    let max = agent.platform().capacity();
    let size = Some(max + 1);
    let refused = agent.offer(&Offer { size, ..offer() }, SECOND);
    assert_eq!(refused, Err(Reason::TooLarge { size: max + 1, max }));
    let small = Config { block: 128, ..Config::new(BOARD) };
    drop(agent);
    let mut agent = board.agent(small);
    let refused = agent.offer(&Offer { size: Some(max), ..offer() }, SECOND);
    assert_eq!(refused, Err(Reason::TooManyBlocks { blocks: max.div_ceil(128), max: 256 }));
    drop(agent);
    assert_eq!(board.flash.counts().erases, 0);
}

#[test]
fn a_slot_that_a_revert_needs_is_waited_for() {
    let mut board = Board::new(V1);
    installed(&mut board, &image(V2, 9000));
    board.boot();
    let mut agent = board.agent(Config::new(BOARD));
    agent.start(SECOND).unwrap();
    let newer = Offer { version: Some(Version::new(3, 0, 0)), ..offer() };
    assert_eq!(agent.offer(&newer, SECOND), Err(Reason::Busy));
    agent.self_test(true, SECOND);
    agent.reported(SECOND);
    assert_eq!(agent.offer(&newer, SECOND), Ok(()));
}

#[test]
fn a_record_of_something_else_is_no_record() {
    for record in [vec![1; 10], vec![0xff; 152], vec![0; 152]] {
        let mut board = Board::new(V1);
        board.settings = Settings { record: Some(record), ..Settings::default() };
        let mut agent = board.agent(Config::new(BOARD));
        assert_eq!(agent.start(SECOND), Ok(State::Waiting));
        assert_eq!(agent.job_id(), "");
    }
}
