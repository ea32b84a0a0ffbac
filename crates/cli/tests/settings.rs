//! Options that `docs/settings.md` sends its readers to exist.

use std::process::Command;

/// What `updraft COMMAND --help` says.
fn help(command: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_updraft"))
        .args(command.split(' '))
        .arg("--help")
        .output()
        .unwrap();
    assert!(output.status.success(), "there is no `updraft {command}`");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_option_that_replaces_a_setting_exists() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../xtask/settings.toml");
    let table: toml::Table = std::fs::read_to_string(file).unwrap().parse().unwrap();
    let (mut options, mut commands) = (0, 0);
    for system in table["system"].as_array().unwrap() {
        for setting in system["settings"].as_array().unwrap() {
            for target in setting["to"].as_array().unwrap() {
                let target = target.as_str().unwrap();
                if let Some(command) = target.strip_prefix("command ") {
                    help(command);
                    commands += 1;
                } else if let Some(target) = target.strip_prefix("option ") {
                    let (command, option) = target.rsplit_once(' ').unwrap();
                    let there = help(command)
                        .split(|c: char| c.is_whitespace() || ",=<[]".contains(c))
                        .any(|word| word == option);
                    assert!(there, "`updraft {command}` has no {option}");
                    options += 1;
                }
            }
        }
    }
    assert!(options > 20, "{options}");
    println!("{options} options and {commands} commands");
}
