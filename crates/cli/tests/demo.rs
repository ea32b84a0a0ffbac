//! `updraft demo`: the story holds on every board that swaps, and with a user's own firmware.

use std::path::PathBuf;
use std::process::{Command, Output};

fn demo(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_updraft"));
    command.arg("demo").args(args).output().expect("the command runs")
}

/// A path for this test that nothing is at.
fn fresh(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("updraft-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    path
}

fn held_and_total(output: &Output) -> (u64, u64) {
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let number =
        |key: &str| summary.get(key).and_then(serde_json::Value::as_u64).expect("a number");
    (number("held"), number("total"))
}

#[test]
fn every_claim_holds_on_every_board_that_swaps() {
    for board in [
        "virtual-nor-4k",
        "virtual-small",
        "virtual-erased0",
        "virtual-wide",
        "virtual-offset",
        "virtual-uneven",
    ] {
        let output = demo(&["--json", "--board", board]);
        let (held, total) = held_and_total(&output);
        assert_eq!(output.status.code(), Some(0), "{board}");
        assert!(held == total && total > 15, "{board}: {held} of {total}");
    }
}

#[test]
fn the_flash_map_is_shown_after_every_act() {
    let output = demo(&[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for act in 1..=5 {
        let rest = text.split(&format!("\n{act}. ")).nth(1).expect("the act is there");
        assert!(rest.contains("┌─"), "act {act} draws no map");
    }
    assert!(text.contains("interrupted test finished"), "{text}");
    assert!(!text.contains('\x1b'), "no colours in a pipe");
}

#[test]
fn a_users_own_firmware_goes_through_the_same_story() {
    for length in [1u32, 4096, 70_000] {
        let file = fresh("firmware");
        std::fs::write(&file, (0..length).map(|n| ((n * 31) >> 3) as u8).collect::<Vec<_>>())
            .unwrap();
        let output = demo(&["--json", "--image", file.to_str().unwrap()]);
        let (held, total) = held_and_total(&output);
        assert_eq!(held, total, "{length} bytes");
        std::fs::remove_file(file).unwrap();
    }
    let file = fresh("empty");
    std::fs::write(&file, []).unwrap();
    let output = demo(&["--image", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("an empty file"));
    std::fs::remove_file(file).unwrap();
}

#[test]
fn what_is_kept_can_be_played_with() {
    let directory = fresh("keep");
    let keep = directory.to_str().unwrap();
    assert!(demo(&["--keep", keep]).status.success());
    let show = Command::new(env!("CARGO_BIN_EXE_updraft"))
        .args(["device", "show", "--json", "--flash"])
        .arg(directory.join("device.flash"))
        .output()
        .unwrap();
    let slots: serde_json::Value = serde_json::from_slice(&show.stdout).unwrap();
    assert_eq!(slots[0]["version"], "1.2.1+0");
    let again = demo(&["--keep", keep]);
    assert_eq!(again.status.code(), Some(1), "what is there is not overwritten");
    let error = String::from_utf8(again.stderr).unwrap();
    assert!(error.contains("is not empty") && error.contains("try:"), "{error}");
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_board_that_cannot_revert_is_refused_with_one_that_can() {
    let output = demo(&["--board", "virtual-overwrite"]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("cannot revert") && error.contains("virtual-nor-4k"), "{error}");
}
