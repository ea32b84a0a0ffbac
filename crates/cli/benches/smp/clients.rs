//! The clients, as the processes that they are in use.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Where a server is.
#[derive(Clone, Debug)]
pub enum Target {
    Udp,
    Serial { port: PathBuf, baud: u32 },
}

/// One that can upload an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    Updraft,
    Mcumgrctl,
    Smpmgr,
}

impl Client {
    pub const ALL: [Self; 3] = [Self::Updraft, Self::Mcumgrctl, Self::Smpmgr];

    pub fn name(self) -> &'static str {
        match self {
            Self::Updraft => "updraft",
            Self::Mcumgrctl => "mcumgrctl 0.20.0",
            Self::Smpmgr => "smpmgr 0.19.1",
        }
    }

    fn program(self) -> PathBuf {
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools");
        match self {
            Self::Updraft => env!("CARGO_BIN_EXE_updraft").into(),
            Self::Mcumgrctl => tools.join("bin/mcumgrctl"),
            Self::Smpmgr => tools.join("venv/bin/smpmgr"),
        }
    }

    /// Whether it is there.
    pub fn is_there(self) -> bool {
        self.program().exists()
    }

    /// Uploads `image`; how long the process took.
    pub fn upload(self, target: &Target, image: &Path) -> Result<Duration, String> {
        let mut command = Command::new(self.program());
        match (self, target) {
            (Self::Updraft, Target::Udp) => command.args(["smp", "--udp", "127.0.0.1"]),
            (Self::Mcumgrctl, Target::Udp) => command.args(["--udp", "127.0.0.1", "-q"]),
            (Self::Smpmgr, Target::Udp) => command.args(["--ip", "127.0.0.1"]),
            (Self::Updraft, Target::Serial { port, baud }) => {
                command.args(["smp", "--baud", &baud.to_string(), "--serial"]).arg(port)
            }
            (Self::Mcumgrctl, Target::Serial { port, baud }) => {
                command.args(["-q", "-b", &baud.to_string(), "-s"]).arg(port)
            }
            (Self::Smpmgr, Target::Serial { port, baud }) => {
                command.args(["--baudrate", &baud.to_string(), "--port"]).arg(port)
            }
        };
        command.args(["image", "upload"]).arg(image).stdin(Stdio::null());
        let start = Instant::now();
        let output = command.output().map_err(|error| error.to_string())?;
        let took = start.elapsed();
        if output.status.success() {
            return Ok(took);
        }
        let text = [output.stdout, output.stderr].concat();
        Err(String::from_utf8_lossy(&text).trim().to_owned())
    }
}
