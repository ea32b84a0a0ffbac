//! `updraft explore`, as people and programs see it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

struct Desk(PathBuf);

impl Desk {
    /// With two images for a small board.
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let desk = Self(folder);
        desk.ok("key new --type ed25519 key.pem");
        for (version, length) in [("1.0.0", 1500u32), ("1.1.0", 900)] {
            let build: Vec<u8> = (0..length).map(|at| (at * (length + 4)) as u8).collect();
            std::fs::write(desk.0.join(format!("{version}.bin")), build).unwrap();
            desk.ok(&format!(
                "image sign --board virtual-small -k key.pem -v {version} {version}.bin {version}.img"
            ));
        }
        desk
    }

    fn run(&self, line: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_updraft"));
        command.args(line.split(' ')).current_dir(&self.0).env("COLUMNS", "100").output().unwrap()
    }

    /// Runs a line that the command has suggested, as a shell does.
    fn shell(&self, line: &str) -> Output {
        let folder = Path::new(env!("CARGO_BIN_EXE_updraft")).parent().unwrap();
        let rest = std::env::var_os("PATH").unwrap_or_default();
        let folders = [folder.to_owned()].into_iter().chain(std::env::split_paths(&rest));
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(&self.0).env("COLUMNS", "100");
        command.env("PATH", std::env::join_paths(folders).unwrap()).output().unwrap()
    }

    /// Puts images for a board with encryption, the board file and the key that decrypts them in
    /// a folder whose name has a blank.
    fn encrypt(&self) {
        let board = std::fs::read_to_string(
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../boards/virtual-small.toml"),
        );
        let encryption =
            "[boot.encryption]\nwrap = \"ecies-x25519\"\ncipher = \"aes128\"\n\n[image]";
        let board = board.unwrap().replacen("[image]", encryption, 1);
        let board = board.replacen("swap-move", "swap-offset", 1);
        std::fs::create_dir(self.0.join("my board's")).unwrap();
        std::fs::write(self.0.join("my board's/small.toml"), board).unwrap();
        std::fs::copy(self.0.join("my board's/small.toml"), self.0.join("small.toml")).unwrap();
        self.ok("key new --type x25519 device.pem");
        for version in ["1.0.0", "1.1.0"] {
            self.ok(&format!(
                "image sign --board small.toml -k key.pem -E device.pem -v {version} {version}.bin {version}.enc"
            ));
            let names = [".enc", " encrypted.img"].map(|end| self.0.join(version.to_owned() + end));
            std::fs::rename(&names[0], &names[1]).unwrap();
        }
        std::fs::rename(self.0.join("device.pem"), self.0.join("my board's/device.pem")).unwrap();
    }

    fn ok(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "{line}\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

const EXPLORE: &str = "explore --board virtual-small 1.0.0.img 1.1.0.img";

#[test]
fn an_update_is_shown_to_survive() {
    let desk = Desk::new("explore-survives");
    let text = desk.ok(&format!("{EXPLORE} --torn --key key.pem"));
    assert!(text.starts_with("STORY"), "{text}");
    assert!(text.contains("revert-used") && text.contains("The device survives."), "{text}");
    let lines = desk.ok(&format!("{EXPLORE} --json --story test-used --story revert-used"));
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["story"], "test-used");
    assert_eq!(lines[0]["cuts"], lines[0]["operations"], "one cut before each operation");
    assert_eq!(lines[2]["survived"], true);
}

#[test]
fn a_weakness_is_found_and_walked_step_by_step() {
    let desk = Desk::new("explore-weak");
    let output = desk.run(&format!("{EXPLORE} --imitate --torn --depth 2 --story revert-used"));
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    let walk = said.lines().find_map(|line| line.split_once("try: updraft ")).unwrap().1;
    assert!(walk.contains("--imitate") && walk.contains("--replay revert-used@"), "{said}");
    let output = desk.run(walk);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.matches("the power fails").count(), 2, "{text}");
    assert!(text.contains("the device comes to: the new image for good"), "{text}");
    // What fails in a search fails in a walk, in the same words.
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    let why = said.lines().find(|line| line.contains("does not survive")).unwrap();
    assert!(error.contains(why), "{error}");
    let output = desk.run(&format!("{walk} --json"));
    assert_eq!(output.status.code(), Some(1));
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [.., end, error] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!(end["survived"], false, "{end}");
    assert!(error["error"].is_string(), "{error}");
}

#[test]
fn a_walk_to_where_the_device_survives_is_no_failure() {
    let desk = Desk::new("explore-walk");
    for (walk, outcome) in [
        ("test-used@3:half", "the new image on trial"),
        ("request-permanent-fresh@0:nothing", "the old image for good"),
    ] {
        let text = desk.ok(&format!("{EXPLORE} --replay {walk}"));
        assert!(text.contains(&format!("the device comes to: {outcome}")), "{text}");
        let lines = desk.ok(&format!("{EXPLORE} --replay {walk} --json"));
        let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
        assert_eq!((&last["outcome"], &last["survived"]), (&outcome.into(), &true.into()));
    }
}

#[test]
fn a_walk_on_a_board_of_several_images_says_which_one_it_is_about() {
    let desk = Desk::new("explore-several");
    for version in ["1.0.0", "1.1.0"] {
        desk.ok(&format!(
            "image sign --board virtual-two-images -k key.pem -v {version} {version}.bin {version}.app"
        ));
    }
    let explore =
        "explore --board virtual-two-images 1.0.0.app 1.1.0.app --replay test-fresh@2:half";
    let text = desk.ok(explore);
    assert!(text.starts_with("image 0 is updated"), "{text}");
    assert!(text.contains("comes to: the new image on trial (image 0)"), "{text}");
    let lines = desk.ok(&format!("{explore} --json"));
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!((&first["story"], &first["image"]), (&"test-fresh".into(), &0.into()));
}

#[test]
fn the_walk_that_is_suggested_has_every_option_that_the_failure_needs() {
    let desk = Desk::new("explore-encrypted");
    desk.encrypt();
    let folder = "my board's";
    let output = desk.shell(&format!(
        "updraft explore --board \"{folder}/small.toml\" --mode swap-move --imitate --torn --depth 2 \
         --story revert-used --key key.pem --private-key \"{folder}/device.pem\" '1.0.0 encrypted.img' \
         '1.1.0 encrypted.img'"
    ));
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("the new image for good runs, and not the old image"), "{said}");
    let walk = said.lines().find_map(|line| line.split_once("try: ")).unwrap().1;
    let output = desk.shell(walk);
    let error = String::from_utf8(output.stderr).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{walk}: {error}");
    assert!(error.contains("the new image for good runs, and not the old image"), "{error}");
    assert_eq!(text.matches("the power fails").count(), 2, "{text}");
    // What runs is in plain, and what waits beside it as it was uploaded.
    let before = text.lines().find(|line| line.starts_with("before")).unwrap();
    assert!(before.contains(" primary nn") && before.contains(" secondary OO"), "{text}");
    assert!(text.starts_with("o old image and n new image in plain"), "{text}");
    assert!(text.contains("the device comes to: the new image for good"), "{text}");
}

#[test]
fn questions_that_have_no_answer_are_refused() {
    let desk = Desk::new("explore-refused");
    for (line, code, said) in [
        ("explore --board virtual-small 1.0.0.img 1.0.0.img", 1, "the same file"),
        ("explore --board virtual-nor-4k 1.0.0.img 1.1.0.img", 1, "made for another board"),
        (&format!("{EXPLORE} --mode ram-load"), 1, "ram-load"),
        (&format!("{EXPLORE} --mode magic"), 2, "one of single-slot"),
        (&format!("{EXPLORE} --story none"), 2, "one of test-fresh"),
        (&format!("{EXPLORE} --replay test-used@x"), 2, "STORY@OPERATION:CLASS"),
        (&format!("{EXPLORE} --replay test-used@99999:half"), 1, "there is no operation 99999"),
    ] {
        let output = desk.run(line);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{line}: {error}");
        assert!(error.contains(said), "{line}: {error}");
    }
}
