//! What a board file says of serial recovery.

use updraft_board::{Board, LoadError, RecoveryTransport, RecoveryWay};

/// virtual-offset with other lines under `[recovery]`, and with `changes` (from, to) made to it.
fn board(lines: &str, changes: &[(&str, &str)]) -> Result<Board, LoadError> {
    let mut text = Board::load("virtual-offset").unwrap().to_toml();
    let begin = text.find("[recovery]\n").unwrap() + "[recovery]\n".len();
    let end = begin + text[begin..].find("\n[").unwrap();
    text.replace_range(begin..end, lines);
    for (from, to) in changes {
        assert!(text.contains(from), "{from} is not in\n{text}");
        text = text.replace(from, to);
    }
    Board::parse(&text, "test.toml")
}

fn refusals(lines: &str, changes: &[(&str, &str)]) -> Vec<String> {
    match board(lines, changes) {
        Err(LoadError::Refused { problems, .. }) => {
            problems.iter().map(|p| format!("{}: {}", p.key, p.message)).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_board_without_the_table_has_no_recovery() {
    assert!(Board::load("virtual-small").unwrap().recovery().is_none());
}

#[test]
fn what_is_left_out_is_as_in_the_original() {
    let board = board("enter = [\"wait\"]\n", &[]).unwrap();
    let recovery = board.recovery().unwrap();
    assert_eq!(recovery.transport, RecoveryTransport::Console);
    assert_eq!(recovery.window_ms(), Some(500));
    assert!(!recovery.direct_upload);
}

#[test]
fn every_key_is_read_and_written_out_again() {
    let all = "enter = [\"button\", \"pin-reset\", \"boot-mode\", \"no-image\", \"wait\"]
transport = \"raw\"
wait_ms = 80
direct_upload = true
";
    let board = board(all, &[]).unwrap();
    let recovery = board.recovery().unwrap();
    for way in [
        RecoveryWay::Button,
        RecoveryWay::PinReset,
        RecoveryWay::BootMode,
        RecoveryWay::NoImage,
        RecoveryWay::Wait,
    ] {
        assert!(recovery.enters_by(way), "{}", way.name());
    }
    assert_eq!((recovery.transport, recovery.window_ms()), (RecoveryTransport::Raw, Some(80)));
    assert!(recovery.direct_upload);
    assert_eq!(Board::parse(&board.to_toml(), "again.toml").unwrap(), board);
}

#[test]
fn a_way_that_cannot_be_gone_is_refused() {
    assert_eq!(
        refusals("enter = []\n", &[]),
        ["recovery.enter: nothing leads into recovery: name a way, or leave [recovery] out"]
    );
    assert_eq!(
        refusals("enter = [\"no-image\", \"boot-mode\", \"no-image\"]\n", &[]),
        ["recovery.enter: no-image stands there twice"]
    );
    assert_eq!(
        refusals("enter = [\"no-image\"]\nwait_ms = 100\n", &[]),
        ["recovery.wait_ms: only \"wait\" in `enter` waits"]
    );
    assert_eq!(
        refusals("enter = [\"wait\"]\nwait_ms = 0\n", &[]),
        ["recovery.wait_ms: 0 ms are no time for a request to come"]
    );
    assert_eq!(
        refusals("enter = [\"no-image\"]\n", &[("kind = \"uart\"", "kind = \"rtt\"")]),
        ["recovery: recovery needs a serial line: a [console] of kind uart or usb-cdc"]
    );
    assert_eq!(
        refusals("enter = [\"button\"]\n", &[("role = \"storage\"", "role = \"factory\"")]),
        ["recovery.enter: the button at a reset already asks for the factory image"]
    );
}
