//! Foreign programs, and networks in which they cannot be in each other's way.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

const CORE: &str = "UPDRAFT_CORE";
const SETUP: &str = "`cargo xtask setup` brings it; with UPDRAFT_CORE=1 this test is left out";

/// A tool in `.tools`. `None`: this run does without foreign tools, and has said so.
pub fn tool(path: &str) -> Option<PathBuf> {
    find(path, |tools| tools.join(path).exists().then(|| tools.join(path)))
}

/// The server of Zephyr 4.4.0 whose name ends like this.
pub fn zephyr(ending: &str) -> Option<PathBuf> {
    server("zephyr_4.4.0", ending)
}

/// The server of a later Zephyr whose name ends like this: its MCUboot tells its buffers.
pub fn later_zephyr(ending: &str) -> Option<PathBuf> {
    server("zephyr_f33aa2bc4a43", ending)
}

fn server(version: &str, ending: &str) -> Option<PathBuf> {
    find(&format!("zephyr/{version}…{ending}"), |tools| {
        let files = std::fs::read_dir(tools.join("zephyr")).ok()?;
        let fits = |name: &str| name.starts_with(version) && name.ends_with(ending);
        files
            .flatten()
            .map(|file| file.path())
            .find(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(fits))
    })
}

fn find(what: &str, look: impl FnOnce(&Path) -> Option<PathBuf>) -> Option<PathBuf> {
    if std::env::var_os(CORE).is_some() {
        println!("left out: {CORE} is set, and this needs .tools/{what}");
        return None;
    }
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools");
    Some(look(&tools).unwrap_or_else(|| panic!(".tools/{what} is not there: {SETUP}")))
}

/// Where programs run: among all others, or in a network namespace with a loopback device only.
/// There every port is free, and a server that listens everywhere is heard by nobody else.
pub enum Space {
    Host,
    Own(Own),
}

/// A namespace; it lasts as long as the process that made it.
pub struct Own {
    keeper: Child,
    enter: &'static [&'static str],
}

/// With a user namespace anybody may have one, where the system allows that; root needs none.
const WAYS: [(&[&str], &[&str]); 2] = [
    (&["--user", "--map-root-user", "--net"], &["--user", "--preserve-credentials", "--net"]),
    (&["--net"], &["--net"]),
];

impl Space {
    /// A network of one's own.
    pub fn own() -> Arc<Self> {
        let own = WAYS.iter().find_map(|(make, enter)| Some(Own { keeper: keep(make)?, enter }));
        Arc::new(Self::Own(own.unwrap_or_else(|| {
            panic!(
                "no network namespace can be made (unshare --net, ip link): run the tests as \
                 root, or allow user namespaces; with {CORE}=1 this test is left out"
            )
        })))
    }

    /// A command that will run there.
    pub fn command(&self, program: &str) -> Command {
        match self {
            Self::Host => Command::new(program),
            Self::Own(Own { keeper, enter }) => {
                let mut command = Command::new("nsenter");
                command.args(["--target", &keeper.id().to_string()]).args(*enter);
                command.args(["--", program]);
                command
            }
        }
    }
}

/// The process that keeps a namespace until its standard input is closed.
fn keep(make: &[&str]) -> Option<Child> {
    let mut keeper = Command::new("unshare")
        .args(make)
        .args(["--", "sh", "-c", "ip link set lo up && echo up && exec cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut line = String::new();
    BufReader::new(keeper.stdout.as_mut()?).read_line(&mut line).ok()?;
    if line != "up\n" {
        let _ = keeper.wait();
        return None;
    }
    Some(keeper)
}

impl Drop for Space {
    fn drop(&mut self) {
        if let Self::Own(Own { keeper, .. }) = self {
            let _ = keeper.kill();
            let _ = keeper.wait();
        }
    }
}
