//! What devices on a network ask for updates: mosquitto, and `updraft publish` behind it.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::bench::{Bench, Image, free_port};

const JOB: &str = "ota_update.json";
const PUBLISHED: &str = "published.bin";

/// A broker with a plain port and one that wants a certificate, and a publisher.
pub struct Server {
    broker: Child,
    publisher: Child,
    pub plain: u16,
    pub tls: u16,
}

impl Server {
    /// Publishes `image` as `version` to boards like the bench's, whose lab it has the files of.
    pub fn start(bench: &Bench, version: &str, image: &Image) -> Self {
        let (plain, tls) = (free_port(), free_port());
        // As root it would become another user, who may not read the key.
        let user = std::env::var("USER").unwrap_or_else(|_| "root".into());
        let configuration = format!(
            "per_listener_settings true\nuser {user}\nlistener {plain} 127.0.0.1\nallow_anonymous \
             true\nlistener {tls} 127.0.0.1\ncafile mosquitto_ca.crt\ncertfile \
             mosquitto_server.crt\nkeyfile mosquitto_server.key\nrequire_certificate \
             true\nuse_identity_as_username true\nallow_anonymous false\n"
        );
        std::fs::write(bench.path("mosquitto.conf"), configuration).unwrap();
        let broker = broker(bench, [plain, tls]);
        Self::edit(bench, version, image);
        let at = format!("127.0.0.1:{plain}");
        let base = ["publish", "--plain", "-b", &at, "--board-name", bench.chip.board];
        let files = ["--job", JOB, "-f", PUBLISHED];
        let updraft = env!("CARGO_BIN_EXE_updraft");
        let publisher = quietly(&mut bench.tool(updraft, &[&base[..], &files].concat()));
        Self { broker, publisher, plain, tls }
    }

    /// The broker is killed, and there again after a time.
    pub fn gone_for(&mut self, time: Duration, bench: &Bench) {
        self.broker.kill().unwrap();
        self.broker.wait().unwrap();
        std::thread::sleep(time);
        self.broker = broker(bench, [self.plain, self.tls]);
    }

    /// Publishes another image, or the same as another version: the files are read at each request.
    pub fn edit(bench: &Bench, version: &str, image: &Image) {
        let board = bench.chip.board;
        let job = format!(
            r#"{{"Message":"Update Available","Manufacturer":"Updraft","Board":"{board}","Version":"{version}","Connection":"MQTT"}}"#
        );
        std::fs::write(bench.path(PUBLISHED), &image.bytes).unwrap();
        std::fs::write(bench.path(JOB), job).unwrap();
    }
}

/// mosquitto, as its configuration in the bench's folder says, once it listens.
fn broker(bench: &Bench, ports: [u16; 2]) -> Child {
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    let mut command = bench.tool("mosquitto", &["-c", "mosquitto.conf"]);
    command.env("PATH", path);
    let broker = quietly(&mut command);
    let until = Instant::now() + Duration::from_secs(20);
    for port in ports {
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "mosquitto does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    broker
}

fn quietly(command: &mut Command) -> Child {
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    child.expect("mosquitto: `cargo xtask setup` installs it")
}

impl Drop for Server {
    fn drop(&mut self) {
        for child in [&mut self.publisher, &mut self.broker] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
