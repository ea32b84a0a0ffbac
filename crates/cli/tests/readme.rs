//! What the README tells a newcomer to type works.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The shell blocks of the section "Use it".
fn blocks() -> Vec<String> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let section = readme.split("\n## Use it\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let blocks = section.split("```sh\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

fn shell(script: &str, folder: &Path) -> Command {
    let bin = Path::new(env!("CARGO_BIN_EXE_updraft")).parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(bin).chain(std::env::split_paths(&path));
    let mut command = Command::new("sh");
    command.args(["-e", "-c", script]).current_dir(folder);
    command.env("PATH", std::env::join_paths(paths).unwrap());
    command
}

fn run(script: &str, folder: &Path) -> String {
    let output = shell(script, folder).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// Runs `script` while `device` runs, and returns what the script said.
fn on_device(device: &str, script: &str, folder: &Path) -> String {
    // The port of the README may be taken here; the shell has to go with the device.
    let device = format!("exec {} --udp 127.0.0.1:0 2>&1", device.trim());
    let mut device =
        shell(&device, folder).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(device.stdout.take().unwrap()).lines().map(Result::unwrap);
    let address = lines.find_map(|line| Some(line.split_once("127.0.0.1:")?.1.to_owned())).unwrap();
    let port: String = address.chars().take_while(char::is_ascii_digit).collect();
    let script = script.replace("127.0.0.1", &format!("127.0.0.1:{port}"));
    // Nobody types as fast as the device resets.
    let said = run(&script.replace("os reset ", "os reset; sleep 1 "), folder);
    device.kill().unwrap();
    device.wait().unwrap();
    said
}

#[test]
fn a_newcomer_gets_from_the_first_line_to_a_confirmed_update() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("readme");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let blocks = blocks();
    let [make, device, upgrade, update, compare, explore] = blocks.as_slice() else {
        panic!("{blocks:?}")
    };
    // It is built already.
    let make: Vec<_> = make.lines().filter(|line| !line.starts_with("cargo install")).collect();
    run(&make.join("\n"), &folder);
    // Either way to the update, each on a device of its own.
    let upgrade = format!("{upgrade}updraft smp --udp 127.0.0.1 image list\n");
    for update in [&upgrade, update] {
        let _ = std::fs::remove_file(folder.join("dev.flash"));
        let said = on_device(device, update, &folder);
        let end = said.rsplit("image slot version").next().unwrap();
        assert!(end.contains("1.1.0") && end.contains("active, confirmed"), "{said}");
    }
    let compared = run(compare, &folder);
    assert!(compared.contains("The update on virtual-nor-4k"), "{compared}");
    assert!(compared.contains("starts 1.1.0+0 in primary"), "{compared}");
    assert!(run(explore, &folder).contains("The device survives."));
}
