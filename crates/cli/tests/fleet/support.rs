//! A server in a process, and the command beside it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

const CORE: &str = "UPDRAFT_CORE";

/// Images that published keys have signed, and who publishes them.
pub const SAMPLES: [(&str, &str); 4] = [
    ("mcuboot-root-ed25519.bin", "root-ed25519"),
    ("nrf-connect-root-ec-p256.bin", "root-ec-p256"),
    ("zephyr-root-rsa-2048.bin", "root-rsa-2048"),
    ("infineon-cypress-test-ec-p256.bin", "cypress-test-ec-p256"),
];

pub fn sample(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/sample-keys").join(file)
}

/// A tool in `.tools`. `None`: this run does without foreign tools, and has said so.
pub fn tool(path: &str) -> Option<PathBuf> {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools").join(path);
    wanted(path).then(|| {
        assert!(tool.exists(), ".tools/{path} is not there: `cargo xtask setup` brings it");
        tool
    })
}

/// A program of the system, in the same way.
pub fn program(name: &str) -> Option<Command> {
    wanted(name).then(|| Command::new(name))
}

fn wanted(what: &str) -> bool {
    let core = std::env::var_os(CORE).is_some();
    if core {
        println!("left out: {CORE} is set, and this needs {what}");
    }
    !core
}

/// A folder with two images, a key, and the data of a server.
pub struct Lab {
    folder: PathBuf,
}

impl Lab {
    pub fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fleet-{name}"));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let lab = Self { folder };
        lab.stdout("key new key.pem");
        for (name, version) in [("old", "1.0.0"), ("new", "1.1.0")] {
            let build: Vec<u8> = (0..20_000u32).map(|n| (n * 7) as u8 | 1).collect();
            std::fs::write(lab.path("app.bin"), build).unwrap();
            lab.stdout(&format!(
                "image sign --board virtual-nor-4k -k key.pem -v {version} app.bin {name}.bin"
            ));
        }
        lab
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_updraft"));
        command.args(line.split(' ')).current_dir(&self.folder).env("COLUMNS", "80");
        command.env_remove("UPDRAFT_FLEET_SERVER").env_remove("UPDRAFT_FLEET_TOKEN");
        command
    }

    pub fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    pub fn stdout(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "{line}\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Exit code and what was said on standard error.
    pub fn refused(&self, line: &str) -> (Option<i32>, String) {
        let output = self.run(line);
        assert!(output.stdout.is_empty(), "{line}");
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    /// A token of the server whose data is in `data`.
    pub fn token(&self, name: &str) -> String {
        self.stdout(&format!("fleet token new {name} --data data")).trim().to_owned()
    }

    /// A server with its data in `data`, and further options.
    pub fn serve(&self, options: &str) -> Server {
        let line = format!("serve --data data --listen 127.0.0.1:0 {options}");
        self.start(self.command(line.trim()))
    }

    pub fn start(&self, mut command: Command) -> Server {
        let log = std::fs::File::create(self.path("server.log")).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap_or_else(|| {
            let log = std::fs::read_to_string(self.path("server.log")).unwrap();
            panic!("{line}{log}")
        });
        Server { url: url.to_owned(), child }
    }
}

/// A server that runs. It is killed in the end.
pub struct Server {
    pub url: String,
    child: Child,
}

impl Server {
    /// `updraft fleet release …` with where and who.
    pub fn line(&self, command: &str, token: &str) -> String {
        format!("fleet release {command} --server {} --token {token}", self.url)
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    #[cfg(unix)]
    pub fn terminate(mut self) -> std::process::ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.child.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn json(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The program's answer, if it ended well.
pub fn answer(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
