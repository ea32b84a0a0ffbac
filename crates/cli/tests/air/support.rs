//! A lab: a broker with certificates, images, and the commands.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The most that anything is waited for.
pub const LONG: Duration = Duration::from_secs(60);

/// Whether foreign programs may be asked for; says so if not.
pub fn foreign(what: &str) -> bool {
    let core = std::env::var_os("UPDRAFT_CORE").is_some();
    if core {
        println!("left out: UPDRAFT_CORE is set, and this needs {what}");
    }
    !core
}

pub fn free_port() -> u16 {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    free.local_addr().unwrap().port()
}

/// A process that goes with its test.
pub struct Process(pub Child);

impl Process {
    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A command that tells what happens in lines of JSON.
pub struct Teller {
    process: Process,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    pub told: Vec<Value>,
}

impl Teller {
    /// Waits for the next of these events.
    pub fn wait(&mut self, event: &str) -> Value {
        loop {
            let told = self.next(event);
            if told["event"] == event {
                return told;
            }
        }
    }

    /// The next event; `wanted` is what it is hoped to be.
    pub fn next(&mut self, wanted: &str) -> Value {
        let line = self.lines.next();
        let line = line.unwrap_or_else(|| panic!("no {wanted}: {:?}", self.told)).unwrap();
        let told: Value = serde_json::from_str(&line).unwrap();
        self.told.push(told.clone());
        told
    }

    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Waits until it ends.
    pub fn ends(mut self) -> (bool, Vec<Value>) {
        for line in self.lines.by_ref() {
            self.told.push(serde_json::from_str(&line.unwrap()).unwrap());
        }
        let ended = self.process.0.wait().unwrap();
        (ended.success(), std::mem::take(&mut self.told))
    }
}

/// A folder with a key, images of two versions, certificates, and a broker's configuration.
pub struct Lab {
    folder: PathBuf,
    config: &'static str,
    pub plain: u16,
    pub tls: u16,
}

impl Lab {
    /// With images of about `len` bytes.
    pub fn new(name: &str, len: usize) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("air-{name}"));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let config = "mosquitto.conf";
        let lab = Self { folder, config, plain: free_port(), tls: free_port() };
        lab.ok("key new --type ed25519 key.pem");
        for (number, version) in ["1.0.0", "1.1.0", "1.2.0"].into_iter().enumerate() {
            // No two blocks are alike.
            let body = (0..len).map(|i| (i * 7 + i / 4096 + number) as u8 | 1);
            std::fs::write(lab.path("app.bin"), body.collect::<Vec<_>>()).unwrap();
            let sign = "image sign --board virtual-nor-4k --key key.pem --version";
            lab.ok(&format!("{sign} {version} app.bin {version}.bin"));
        }
        lab.ok("certs lab 127.0.0.1");
        lab.configure("");
        lab
    }

    /// Another broker in the same folder, with the same certificates.
    pub fn neighbour(&self) -> Self {
        let (folder, config) = (self.folder.clone(), "neighbour.conf");
        let lab = Self { folder, config, plain: free_port(), tls: free_port() };
        lab.configure("");
        lab
    }

    /// Writes the broker's configuration.
    pub fn configure(&self, more: &str) {
        let Self { folder, plain, tls, .. } = self;
        let line =
            format!("certs mosquitto --address 127.0.0.1 --port {tls} --plain {plain} {more}");
        // As root it would become another user, who may not read the folder.
        let user = std::env::var("USER").unwrap_or_else(|_| "root".into());
        let config = self.ok(&format!("{line} --dir {}", folder.display()));
        std::fs::write(self.path(self.config), format!("user {user}\n{config}")).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn image(&self, version: &str) -> Vec<u8> {
        std::fs::read(self.path(&format!("{version}.bin"))).unwrap()
    }

    pub fn holds(&self, file: &str, version: &str) -> bool {
        std::fs::read(self.path(file)).is_ok_and(|bytes| bytes == self.image(version))
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_updraft"));
        command.args(line.split_whitespace()).current_dir(&self.folder);
        command
    }

    pub fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    pub fn ok(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "{line}\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a command says that fails.
    pub fn fails(&self, line: &str) -> String {
        let output = self.run(line);
        assert_eq!(output.status.code(), Some(1), "{line}");
        String::from_utf8(output.stderr).unwrap()
    }

    pub fn start(&self, line: &str) -> Teller {
        let mut command = self.command(&format!("{line} --json"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Teller { process: Process(child), lines, told: Vec::new() }
    }

    /// A publisher that is connected; `line` is what stands behind its broker.
    pub fn publish(&self, port: u16, line: &str) -> Teller {
        let plain = if port == self.tls { "" } else { "--plain" };
        let mut teller = self.start(&format!("publish {plain} -b 127.0.0.1:{port} {line}"));
        teller.wait("connected");
        teller
    }

    /// The options of a device that fetches from a port to a file.
    pub fn fetch(&self, port: u16, file: &str) -> String {
        let scheme = if port == self.tls { "mqtts" } else { "mqtt" };
        format!("fetch {scheme}://127.0.0.1:{port} --key key.pem --out {file}")
    }

    /// What a virtual device says while it boots from `dev.flash`.
    pub fn boots(&self, more: &str) -> String {
        let line = format!("device run --flash dev.flash --key key.pem --udp 127.0.0.1:0 {more}");
        let mut command = self.command(&line);
        let mut device = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(1500));
        device.stdin.as_mut().unwrap().write_all(b"quit\n").unwrap();
        String::from_utf8(device.wait_with_output().unwrap().stdout).unwrap()
    }

    pub fn broker(&self) -> Process {
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("mosquitto");
        command.env("PATH", path).arg("-c").arg(self.path(self.config));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let start = || command.spawn().expect("mosquitto: `cargo xtask setup` installs it");
        // Somebody else's connection may have its port for a moment, and it ends.
        Process(until_it_answers(self.plain, start))
    }
}

/// Starts a server until it listens.
fn until_it_answers(port: u16, mut start: impl FnMut() -> Child) -> Child {
    let until = Instant::now() + LONG;
    let mut child = start();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        assert!(Instant::now() < until, "nobody listens at {port}");
        std::thread::sleep(Duration::from_millis(20));
        if child.try_wait().unwrap().is_some() {
            child = start();
        }
    }
    child
}

/// Waits until somebody listens.
pub fn answers(port: u16) {
    let until = Instant::now() + LONG;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        assert!(Instant::now() < until, "nobody listens at {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A cable that can be cut.
pub struct Cable {
    pub port: u16,
    cut: Arc<AtomicBool>,
    hangs: Arc<AtomicBool>,
    lines: Arc<Mutex<Vec<TcpStream>>>,
    /// Bytes that have come from the server.
    pub carried: Arc<std::sync::atomic::AtomicU64>,
}

impl Cable {
    pub fn to(server: u16) -> Self {
        Self::slow(server, Duration::ZERO)
    }

    /// Which takes so long for each piece that comes from the server.
    pub fn slow(server: u16, piece: Duration) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cut, hangs, lines) = (Arc::default(), Arc::default(), Arc::default());
        let cable = Self { port, cut, hangs, lines, carried: Arc::default() };
        let (cut, hangs) = (Arc::clone(&cable.cut), Arc::clone(&cable.hangs));
        let (lines, carried) = (Arc::clone(&cable.lines), Arc::clone(&cable.carried));
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if cut.load(Ordering::SeqCst) {
                    continue;
                }
                if hangs.load(Ordering::SeqCst) {
                    // What is asked for meanwhile does not get through later either.
                    lines.lock().unwrap().push(near);
                    continue;
                }
                let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)) else { continue };
                let ends = [near.try_clone().unwrap(), far.try_clone().unwrap()];
                lines.lock().unwrap().extend(ends);
                let (back, forth) = (far.try_clone().unwrap(), near.try_clone().unwrap());
                let (hung, hangs) = (Arc::clone(&hangs), Arc::clone(&hangs));
                let carried = Arc::clone(&carried);
                std::thread::spawn(move || carry(near, far, &hung, |_| ()));
                std::thread::spawn(move || {
                    carry(back, forth, &hangs, |len| {
                        carried.fetch_add(len as u64, Ordering::SeqCst);
                        std::thread::sleep(piece);
                    });
                });
            }
        });
        cable
    }

    /// Ends all lines, and lets no new ones through.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
        self.end();
    }

    /// Lets nothing through any more, and does not say so.
    pub fn hang(&self) {
        self.hangs.store(true, Ordering::SeqCst);
    }

    /// As it was; lines that stood meanwhile are at their end.
    pub fn mend(&self) {
        if self.hangs.load(Ordering::SeqCst) {
            self.end();
        }
        self.hangs.store(false, Ordering::SeqCst);
        self.cut.store(false, Ordering::SeqCst);
    }

    fn end(&self) {
        for line in self.lines.lock().unwrap().drain(..) {
            let _ = line.shutdown(Shutdown::Both);
        }
    }
}

fn carry(
    mut from: TcpStream,
    mut to: TcpStream,
    hangs: &AtomicBool,
    mut carried: impl FnMut(usize),
) {
    let mut buffer = [0; 4096];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        while hangs.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(10));
        }
        if to.write_all(&buffer[..len]).is_err() {
            break;
        }
        carried(len);
    }
    let _ = to.shutdown(Shutdown::Both);
}
