//! Serial recovery, by clients that are not ours, over a pseudo-terminal: smpmgr 0.19.1 and
//! mcumgrctl 0.20.0.

use std::io::Read;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Bench, Device, Image, SELF, Said, tool};

/// Much longer than any of these commands takes, on a machine with other things to do.
const PATIENCE: Duration = Duration::from_secs(90);

/// A foreign client at the end of a device's serial line.
struct Peer {
    program: String,
    port: &'static [&'static str],
}

impl Peer {
    fn smpmgr() -> Option<Self> {
        let program = tool("venv/bin/smpmgr")?.display().to_string();
        Some(Self { program, port: &["--timeout", "10", "--port"] })
    }

    fn mcumgrctl() -> Option<Self> {
        let program = tool("bin/mcumgrctl")?.display().to_string();
        Some(Self { program, port: &["-q", "--timeout", "10000", "--serial"] })
    }

    fn begin(&self, device: &Device, path: &str, line: &str) -> Child {
        let mut args = self.port.to_vec();
        args.push(path);
        args.extend(line.split(' '));
        let mut command = device.client_command(&self.program, &args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    fn run(&self, device: &Device, path: &str, line: &str) -> Said {
        let mut child = self.begin(device, path, line);
        let mut streams = [reader(child.stdout.take()), reader(child.stderr.take())];
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() >= end {
                let _ = child.kill();
                let _ = child.wait();
                panic!("`{line}` does not end");
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let [stdout, stderr] = streams.each_mut().map(|stream| stream.take().unwrap().join());
        let output =
            std::process::Output { status, stdout: stdout.unwrap(), stderr: stderr.unwrap() };
        Said::new(line, output)
    }
}

type Reader = Option<std::thread::JoinHandle<Vec<u8>>>;

fn reader(stream: Option<impl Read + Send + 'static>) -> Reader {
    let mut stream = stream.unwrap();
    Some(std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        bytes
    }))
}

/// An image that a foreign signer made.
fn foreign(bench: &Bench, version: &str) -> Option<Image> {
    let imgtool = tool("venv/bin/imgtool")?.display().to_string();
    Some(bench.signed_by(&imgtool, version, SELF))
}

/// Waits for an upload to be under way; how many bytes have come of how many.
fn upload_at(device: &Device) -> (usize, usize) {
    let line = device.wait("boot: recovery: upload at ");
    let mut words = line.rsplit("upload at ").next().unwrap().split(' ');
    let off = words.next().unwrap().parse().unwrap();
    (off, words.nth(1).unwrap().parse().unwrap())
}

#[test]
fn smpmgr_fills_an_empty_device_which_runs_after_a_reset() {
    let Some(peer) = Peer::smpmgr() else { return };
    let bench = Bench::new("serial-empty");
    let Some(image) = foreign(&bench, "1.0.0") else { return };
    let device = bench.device().serial().start();
    let path = device.serial_line();
    device.wait("boot: serial recovery: there is no image to start");
    let listed = peer.run(&device, &path, "image state-read").ok();
    assert!(!listed.contains("1.0.0"), "{listed}");
    peer.run(&device, &path, &format!("image upload {}", image.file)).ok();
    let listed = peer.run(&device, &path, "image state-read").ok();
    assert!(listed.contains("1.0.0"), "{listed}");
    peer.run(&device, &path, "os reset").ok();
    device.starts("1.0.0");
    assert!(bench.slots().run(&image), "{:?}", bench.slots());
    // The application answers on the same line.
    device.wait("app: self-test passed");
    let said = peer.run(&device, &path, "os echo hello").ok();
    assert!(said.contains("hello"), "{said}");
    let listed = peer.run(&device, &path, "image state-read").ok();
    assert!(listed.contains("1.0.0") && listed.contains("active=True"), "{listed}");
}

#[test]
fn mcumgrctl_fills_an_empty_device_which_runs_after_a_reset() {
    let Some(peer) = Peer::mcumgrctl() else { return };
    let bench = Bench::new("serial-mcumgrctl");
    let Some(image) = foreign(&bench, "1.0.0") else { return };
    let device = bench.device().serial().start();
    let path = device.serial_line();
    device.wait("boot: serial recovery");
    peer.run(&device, &path, &format!("image upload {}", image.file)).ok();
    let listed = peer.run(&device, &path, "image get-state --json").json();
    assert!(listed.to_string().contains("1.0.0"), "{listed}");
    peer.run(&device, &path, "os system-reset").ok();
    device.starts("1.0.0");
    assert!(bench.slots().run(&image), "{:?}", bench.slots());
}

#[test]
fn a_damaged_image_is_replaced() {
    let Some(peer) = Peer::smpmgr() else { return };
    let bench = Bench::new("serial-damaged");
    let Some(good) = foreign(&bench, "1.0.0") else { return };
    let mut bytes = good.bytes.clone();
    bytes[5000] ^= 1;
    let damaged = Image { file: bench.file("damaged.bin", &bytes), ..good.clone() };
    let device = bench.device().serial().load("primary", &damaged).start();
    let path = device.serial_line();
    device.wait("boot: nothing to boot");
    device.wait("boot: serial recovery: there is no image to start");
    peer.run(&device, &path, &format!("image upload {}", good.file)).ok();
    peer.run(&device, &path, "os reset").ok();
    device.starts("1.0.0");
    assert!(bench.slots().run(&good), "{:?}", bench.slots());
}

#[test]
fn an_upload_whose_client_is_killed_goes_on_where_it_was_even_after_a_reset() {
    let Some(peer) = Peer::smpmgr() else { return };
    let bench = Bench::new("serial-killed");
    let image = bench.image_of(150_000, "1.0.0", SELF);
    let mut device = bench.device().serial().start();
    let path = device.serial_line();
    device.wait("boot: serial recovery");
    let mut child = peer.begin(&device, &path, &format!("image upload {}", image.file));
    let (off, len) = upload_at(&device);
    assert!(off < 2048 && len == image.bytes.len(), "{off} of {len}");
    let end = Instant::now() + PATIENCE;
    let arrived = |at: usize| bench.area("primary")[at..at + 256].iter().any(|byte| *byte != 0xff);
    while !arrived(40_000) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    device.type_line("reset");
    device.wait("(reset by pin)");
    device.wait("boot: serial recovery");
    peer.run(&device, &path, &format!("image upload {}", image.file)).ok();
    let (off, _) = upload_at(&device);
    assert!(off > 30_000, "it starts again at {off}");
    peer.run(&device, &path, "os reset").ok();
    device.starts("1.0.0");
    assert!(bench.slots().run(&image));
}

#[test]
fn an_image_for_another_board_is_refused_and_the_device_goes_on_waiting() {
    let Some(peer) = Peer::smpmgr() else { return };
    let bench = Bench::new("serial-other");
    let good = bench.image("1.0.0", SELF);
    let other = std::fs::read(bench.path("1.0.0.bin")).unwrap();
    let other = bench.sign("2.0.0", &other, "--board virtual-offset -k key.pem");
    let device = bench.device().serial().start();
    let path = device.serial_line();
    device.wait("boot: serial recovery");
    let said = peer.run(&device, &path, &format!("image upload {}", other.file));
    assert_ne!(said.code, Some(0), "{said:?}");
    let listed = peer.run(&device, &path, "image state-read").ok();
    assert!(!listed.contains("2.0.0"), "{listed}");
    peer.run(&device, &path, "os reset").ok();
    device.wait("boot: nothing to boot");
    device.wait("boot: serial recovery");
    peer.run(&device, &path, &format!("image upload {}", good.file)).ok();
    peer.run(&device, &path, "os reset").ok();
    device.starts("1.0.0");
    assert!(bench.slots().run(&good));
}

#[test]
fn a_button_that_is_held_at_a_reset_leads_there_although_there_is_an_image() {
    let Some(peer) = Peer::smpmgr() else { return };
    let bench = Bench::with_board("serial-button", "virtual-offset");
    let (old, new) = (bench.image("1.0.0", SELF), bench.image("2.0.0", SELF));
    let mut device = bench.device().serial().load("primary", &old).start();
    let path = device.serial_line();
    device.starts("1.0.0");
    device.type_line("hold");
    device.type_line("reset");
    device.wait("boot: serial recovery: the button is held");
    device.type_line("release");
    peer.run(&device, &path, &format!("image upload {}", new.file)).ok();
    peer.run(&device, &path, "os reset").ok();
    device.starts("2.0.0");
    assert!(bench.slots().run(&new));
}

#[test]
fn the_application_is_reset_into_recovery_and_back() {
    let Some(peer) = Peer::smpmgr() else { return };
    let bench = Bench::new("serial-mode");
    let image = bench.image("1.0.0", SELF);
    let device = bench.device().serial().load("primary", &image).start();
    let path = device.serial_line();
    device.starts("1.0.0");
    device.smp("os reset --boot-mode 1").ok();
    device.wait("boot: serial recovery: the application asked for it");
    let listed = peer.run(&device, &path, "image state-read").ok();
    assert!(listed.contains("1.0.0"), "{listed}");
    peer.run(&device, &path, "os reset").ok();
    device.starts("1.0.0");
}

#[test]
fn a_raw_line_is_spoken_raw() {
    let Some(peer) = Peer::mcumgrctl() else { return };
    let bench = Bench::with_board_line(
        "serial-raw",
        "virtual-offset",
        "transport = \"console\"",
        "transport = \"raw\"",
    );
    let image = bench.image("1.0.0", SELF);
    let device = bench.device().serial().start();
    let path = device.serial_line();
    device.wait("boot: serial recovery");
    let raw = |line: &str| peer.run(&device, &path, &format!("--raw {line}"));
    raw(&format!("image upload {}", image.file)).ok();
    raw("os system-reset").ok();
    device.starts("1.0.0");
    assert!(bench.slots().run(&image));
}
