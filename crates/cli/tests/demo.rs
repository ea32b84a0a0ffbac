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

/// The story of the factory app needs a broker.
#[cfg(feature = "air")]
mod factory {
    use std::process::Command;

    use super::{demo, fresh, held_and_total};

    fn foreign() -> bool {
        let core = std::env::var_os("UPDRAFT_CORE").is_some();
        if core {
            println!("left out: UPDRAFT_CORE is set, and this needs mosquitto");
        }
        !core
    }

    #[test]
    fn every_claim_of_the_factory_app_holds_over_tls_and_in_plain_text() {
        if !foreign() {
            return;
        }
        for args in [&["--factory", "--json"][..], &["--factory", "--json", "--plain"]] {
            let output = demo(args);
            let (held, total) = held_and_total(&output);
            let text = String::from_utf8(output.stdout).unwrap();
            assert_eq!(output.status.code(), Some(0), "{text}");
            assert!(held == total && total >= 29, "{held} of {total}");
            // The light: the factory app's twice, and the new application's twice.
            for (light, times) in [("every 1000 ms", 2), ("every 250 ms", 2)] {
                assert_eq!(text.matches(light).count(), times, "{text}");
            }
        }
    }

    /// The page of the story in `docs/recordings`: this run's, if it is to be recorded.
    fn page(told: &str) -> String {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/recordings/factory-app.txt");
        let about = "What `updraft demo --factory` prints: a virtual device, mosquitto, a publisher. \
                     Made by\n`cargo xtask record`.";
        if std::env::var_os("UPDRAFT_RECORD").is_some() {
            std::fs::write(path, format!("{about}\n{told}")).unwrap();
        }
        let page = std::fs::read_to_string(path).expect("`cargo xtask record` writes it");
        page.strip_prefix(about).expect("it says what it is").trim_start_matches('\n').to_owned()
    }

    /// Lines without what differs from run to run: numbers, hashes, and their order, as publisher and
    /// device speak at the same time.
    fn steady(page: &str) -> Vec<String> {
        let is_measured = |word: &str| {
            let hash = word.len() == 16 && word.chars().all(|c| c.is_ascii_hexdigit());
            let digits = word.contains(|c: char| c.is_ascii_digit());
            let number = digits && (word.matches('.').count() < 2 || word.contains(':'));
            hash || number
        };
        let line = |line: &str| {
            let words = line.split_whitespace();
            words
                .map(|word| if is_measured(word) { "#" } else { word })
                .collect::<Vec<_>>()
                .join(" ")
        };
        let mut lines: Vec<String> = page.lines().map(line).collect();
        lines.sort();
        lines
    }

    #[test]
    fn the_factory_app_tells_its_story_on_the_console_as_it_was_recorded() {
        if !foreign() {
            return;
        }
        let output = demo(&["--factory"]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{text}");
        let told = text.trim_start_matches('\n');
        assert_eq!(steady(told), steady(&page(told)), "`cargo xtask record` writes the page anew");
        let mut rest = text.as_str();
        for line in [
            "1. A device with nothing on it",
            "boot: No valid image found in primary slot !",
            "boot: Press and release user button to initiate Rollback",
            "2. The button",
            "boot: factory app copied to primary slot successfully",
            "app: factory 1.0.0+0 started, LED every 1000 ms",
            "publisher: kit-1 runs 1.0.0 already",
            "4. Somebody edits ota_update.json",
            "app: update: fetching",
            "(reset by its update agent)",
            "app: blinky 1.1.0+0 started, LED every 250 ms",
            "5. The button is held",
            "boot: Rollback initiated at startup",
            "power lost",
            "6. The power comes back",
            "boot: Resuming an interrupted Rollback...",
            "app: factory 1.0.0+0 started, LED every 1000 ms",
            "7. From there",
            "app: blinky 1.1.0+0 started, LED every 250 ms",
            "Summary",
        ] {
            let at = rest.find(line).unwrap_or_else(|| panic!("no `{line}` in its place: {text}"));
            rest = &rest[at + line.len()..];
        }
        assert!(!text.contains('\x1b'), "no colours in a pipe");
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    #[test]
    fn without_a_broker_it_says_in_a_line_what_to_install() {
        let nowhere = fresh("no-programs");
        std::fs::create_dir_all(&nowhere).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_updraft"));
        let command =
            command.args(["demo", "--factory"]).env("UPDRAFT_MOSQUITTO", nowhere.join("x"));
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("mosquitto") && error.contains("apt install mosquitto"), "{error}");
        assert_eq!(error.trim().lines().count(), 2, "{error}");
        std::fs::remove_dir_all(nowhere).unwrap();
    }

    #[test]
    fn a_board_without_a_factory_image_is_refused_with_one_that_has() {
        let output = demo(&["--factory", "--board", "virtual-small"]);
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("factory image") && error.contains("virtual-factory"), "{error}");
    }
}
