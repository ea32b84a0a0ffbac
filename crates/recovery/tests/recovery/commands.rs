//! What recovery offers, and how it says that it does not.

use serde_json::json;
use updraft_image::{HashOnly, UpgradeMode};
use updraft_recovery::NoHooks;
use updraft_smp::Op;

use crate::common::{Device, Everything, PRIMARY, V2, config, image, nor};

fn device() -> Device<HashOnly, Everything> {
    Device::new(config(UpgradeMode::SwapMove), nor(), HashOnly, Everything { busy: false })
}

#[test]
fn echoes_a_text_and_nothing_else() {
    let mut device = device();
    for op in [Op::Read, Op::Write] {
        assert_eq!(device.ask(op, 0, 0, &json!({ "d": "hëllo" })), json!({ "r": "hëllo" }));
    }
    assert_eq!(device.ask(Op::Write, 0, 0, &json!({})), json!({ "rc": 3 }));
    assert_eq!(device.ask(Op::Write, 0, 0, &json!({ "d": 5 })), json!({ "rc": 3 }));
}

#[test]
fn an_echo_that_does_not_fit_the_answer_is_refused() {
    let mut device = device();
    let long = "x".repeat(1200);
    assert_eq!(device.ask(Op::Write, 0, 0, &json!({ "d": long })), json!({ "rc": 7 }));
}

#[test]
fn tells_its_one_buffer() {
    let answer = device().ask(Op::Read, 0, 6, &json!({}));
    assert_eq!(answer, json!({ "buf_size": 1024, "buf_count": 1 }));
}

#[test]
fn takes_note_of_console_echo_without_having_one() {
    assert_eq!(device().ask(Op::Write, 0, 1, &json!({ "echo": 1 })), json!({ "rc": 0 }));
}

#[test]
fn resets_after_its_answer() {
    let mut device = device();
    assert_eq!(device.ask(Op::Write, 0, 5, &json!({})), json!({ "rc": 0 }));
    assert_eq!(device.ask(Op::Write, 0, 5, &json!({ "boot_mode": 1 })), json!({ "rc": 0 }));
    let modes: Vec<_> = device.resets.iter().map(|reset| reset.boot_mode).collect();
    assert_eq!(modes, [0, 1]);
}

#[test]
fn a_busy_board_is_not_reset_unless_forced() {
    let mut device = device();
    device = Device::new(
        config(UpgradeMode::SwapMove),
        device.recovery.into_parts().0,
        HashOnly,
        Everything { busy: true },
    );
    assert_eq!(device.ask(Op::Write, 0, 5, &json!({})), json!({ "rc": 10 }));
    assert!(device.resets.is_empty());
    assert_eq!(device.ask(Op::Write, 0, 5, &json!({ "force": true })), json!({ "rc": 0 }));
    assert_eq!(device.resets.len(), 1);
}

/// The board looks into the flash itself, and knows what it has done with an image.
#[test]
fn a_board_tells_what_became_of_its_images() {
    let mut device = device();
    assert_eq!(device.ask(Op::Read, 64, 1, &json!({})), json!({ "rc": 5 }));
    device.flash().load(PRIMARY, 0, &image(V2, 3_000)).unwrap();
    let told = device.ask(Op::Read, 64, 1, &json!({}));
    assert_eq!(told, json!({ "0": "ver=2.0.0+0,install_stat=7" }));
}

#[test]
fn groups_of_the_board_go_to_the_board() {
    let mut device = device();
    assert_eq!(device.ask(Op::Write, 64, 3, &json!({})), json!({ "own": "yes" }));
    for (group, id) in [(64, 4), (63, 0), (65, 3), (8, 0)] {
        assert_eq!(device.ask(Op::Write, group, id, &json!({})), json!({ "rc": 8 }));
    }
}

#[test]
fn what_is_not_offered_is_not_supported() {
    let mut device = Device::new(config(UpgradeMode::SwapMove), nor(), HashOnly, NoHooks);
    for (op, group, id) in [
        (Op::Write, 0, 0),
        (Op::Read, 0, 6),
        (Op::Read, 0, 7),
        (Op::Write, 1, 0),
        (Op::Write, 1, 5),
        (Op::Read, 1, 6),
        (Op::Write, 64, 3),
    ] {
        assert_eq!(device.ask(op, group, id, &json!({})), json!({ "rc": 8 }), "{group} {id}");
    }
    assert_eq!(device.ask(Op::Write, 1, 6, &json!({})), json!({ "rc": 8 }));
}

#[test]
fn nothing_is_said_to_what_is_no_request() {
    let mut device = device();
    let request = [0, 0, 0, 1, 0, 0, 7, 6, 0xa0];
    assert!(device.message(&request).is_some());
    for op in [1, 3, 4, 7] {
        let mut other = request;
        other[0] = op;
        assert_eq!(device.message(&other), None, "op {op}");
    }
    assert_eq!(device.message(&request[..7]), None);
    // More than the header says.
    assert_eq!(device.message(&[&request[..], &[0]].concat()), None);
}

#[test]
fn the_version_of_the_request_comes_back_and_errors_stay_plain() {
    let mut device = device();
    for version in 0..4 {
        let answer = device.message(&[version << 3 | 2, 0, 0, 1, 0, 9, 7, 6, 0xa0]).unwrap();
        assert_eq!(
            answer,
            [version << 3 | 3, 0, 0, 6, 0, 9, 7, 6, 0xbf, 0x62, 0x72, 0x63, 8, 0xff]
        );
    }
}
