//! What devices on a network ask for updates: mosquitto, and a publisher behind it.

use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use updraft_online::{Memory, Online, Session, Settings as Lines};
use updraft_publisher::{Job, JobError, Jobs, Publisher, Settings};

use crate::bench::{Bench, Image, free_port};

/// What is published, to be changed at any time.
#[derive(Clone)]
struct Shelf(Arc<Mutex<Arc<Job>>>);

impl Jobs for Shelf {
    fn current(&mut self) -> Result<Arc<Job>, JobError> {
        Ok(self.0.lock().unwrap().clone())
    }
}

/// A broker with a plain port and one that wants a certificate, and a publisher.
pub struct Server {
    broker: Child,
    pub plain: u16,
    pub tls: u16,
    shelf: Shelf,
    over: Arc<AtomicBool>,
    publisher: Option<JoinHandle<()>>,
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
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let mut command = bench.tool("mosquitto", &["-c", "mosquitto.conf"]);
        command.env("PATH", path).stderr(Stdio::null()).stdout(Stdio::null());
        let broker = command.spawn().expect("mosquitto: `cargo xtask setup` installs it");
        let until = Instant::now() + Duration::from_secs(20);
        for port in [plain, tls] {
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                assert!(Instant::now() < until, "mosquitto does not start");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        let board = bench.chip.board;
        let shelf = Shelf(Arc::new(Mutex::new(job(board, version, image))));
        let over = Arc::new(AtomicBool::new(false));
        let publisher = {
            let (shelf, over) = (shelf.clone(), over.clone());
            std::thread::spawn(move || {
                let mut memory = Memory::new(8192, 65_536);
                let mut online = Online::new().unwrap();
                let publisher = Publisher::new(shelf, Settings::new("127.0.0.1", plain, board));
                online.add(publisher, Lines::plain(Session::new("publisher")), &mut memory);
                while !over.load(Ordering::Relaxed) {
                    online.turn(Duration::from_millis(50), &mut |_, _| {}).unwrap();
                }
            })
        };
        Self { broker, plain, tls, shelf, over, publisher: Some(publisher) }
    }

    /// Publishes another image.
    pub fn publish(&self, bench: &Bench, version: &str, image: &Image) {
        *self.shelf.0.lock().unwrap() = job(bench.chip.board, version, image);
    }
}

fn job(board: &str, version: &str, image: &Image) -> Arc<Job> {
    let document = format!(
        r#"{{"Message":"Update Available","Manufacturer":"Updraft","Board":"{board}","Version":"{version}","Connection":"MQTT"}}"#
    );
    Arc::new(Job::new(document.as_bytes(), image.bytes.clone().into()).unwrap())
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(publisher) = self.publisher.take() {
            let _ = publisher.join();
        }
        let _ = self.broker.kill();
        let _ = self.broker.wait();
    }
}
