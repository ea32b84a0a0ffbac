//! A folder with a build and a key, and the command in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// MCUboot's root-ed25519, which anybody can read.
pub const SAMPLE_KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEICjJcMmhqKi8d3hoYtLnbQ1DCitXyHz8N5BLy6rIdMvY
-----END PRIVATE KEY-----
";

/// A folder of a test's own, and the command run in it.
pub struct Desk(PathBuf);

impl Desk {
    /// With a build, `app.bin`, and a key for it.
    pub fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let desk = Self(folder);
        let build: Vec<u8> = (0..20_000u32).map(|n| (n * 7) as u8 | 1).collect();
        std::fs::write(desk.path("app.bin"), build).unwrap();
        desk.stdout("key new key.pem");
        desk.stdout("key public key.pem -o key.pub.pem");
        desk
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn run(&self, line: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_updraft"));
        command.args(line.split(' ')).current_dir(&self.0).env("COLUMNS", "80");
        command.output().unwrap()
    }

    /// The same with programs of the folder found first.
    pub fn on_path(&self, line: &str) -> Output {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(self.0.clone()).chain(std::env::split_paths(&paths));
        let mut command = Command::new(env!("CARGO_BIN_EXE_updraft"));
        command.args(line.split(' ')).current_dir(&self.0);
        command.env("PATH", std::env::join_paths(paths).unwrap()).output().unwrap()
    }

    pub fn stdout(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "{line}\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.stdout(&format!("{line} --json"))).unwrap()
    }

    /// Exit code and what was said on standard error.
    pub fn refused(&self, line: &str) -> (Option<i32>, String) {
        let output = self.run(line);
        assert!(output.stdout.is_empty(), "{line}");
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }
}
