//! A Zephyr 4.4.0 application on an emulated Cortex-M0, under MCUboot itself, in C, and under our
//! bootloader in its place; and our application under MCUboot: what the device says of its slots to
//! our client, and what its flash then holds.
//!
//! ```text
//! 0x00000 bootloader, swap by offset, hash only · 0x08000 primary, 0x22000 secondary: 104 KiB each
//! ```

use std::path::PathBuf;
use std::time::Duration;

use updraft_qemu::{Machine, Setup};
use updraft_sign::hex;
use updraft_smp::framing::{Console, Framing, Received};
use updraft_smp::{Header, group, os};

use crate::support::{Bench, Image, Said, zephyr};

const PRIMARY: u32 = 0x8000;
const SECONDARY: u32 = 0x22000;
const END: u32 = 0x3c000;
const PAGE: u32 = 0x400;
/// What the applications print first.
const ZEPHYR: &str = "smp_sample: build time";
const OURS: &str = "app: blinky";
/// The board file of our programs for this layout.
const BOARD: &str = "microbit-zephyr";
/// A swap and what the machine does around it, on a machine with other things to do.
const PATIENCE: Duration = Duration::from_secs(120);

/// Who boots.
#[derive(Clone, Copy, PartialEq)]
enum Loader {
    Mcuboot,
    Updraft,
}

impl Loader {
    /// What it prints of an image that it starts.
    fn starts(self, version: &str) -> String {
        match self {
            Self::Mcuboot => format!("Image version: v{version}"),
            Self::Updraft => format!("boot: starting {version}"),
        }
    }
}

/// One of our programs. `None`: nobody has built them, and this has said so.
fn program(name: &str) -> Option<Vec<u8>> {
    let Some(programs) = std::env::var_os("UPDRAFT_FIRMWARE") else {
        println!("left out: UPDRAFT_FIRMWARE is not set; `cargo xtask qemu --test` runs this");
        return None;
    };
    let path = PathBuf::from(programs).join(BOARD).join(name);
    Some(std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// Bootloaders have the UART turned on and do not read it: from the answer to a reset until the next
/// start of the application, nobody listens.
fn ears(started: &'static str) -> impl FnMut(&[u8]) -> Option<bool> + Send + 'static {
    let mut console = Box::new(Console::<1024>::default());
    let mut text = Vec::new();
    move |printed| {
        let mut hears = None;
        for byte in printed {
            if let Some(Received::Message(message)) = console.receive(*byte, Duration::ZERO)
                && let Ok((header, _)) = Header::parse(message)
                && (header.group, header.id) == (group::OS, os::RESET)
            {
                hears = Some(false);
            }
            text.push(*byte);
            if text.ends_with(started.as_bytes()) {
                hears = Some(true);
            }
        }
        hears
    }
}

struct Peer {
    bench: Bench,
    machine: Machine,
    loader: Loader,
    started: &'static str,
    old: Vec<u8>,
}

impl Peer {
    /// Zephyr's application.
    fn new(loader: Loader, name: &str) -> Option<Self> {
        let old = std::fs::read(zephyr("qemu_cortex_m0_serial.signed.bin")?).unwrap();
        Self::with(loader, ZEPHYR, Bench::new(name), old)
    }

    /// Ours.
    fn with_our_application(loader: Loader, name: &str) -> Option<Self> {
        let bench = Bench::new(name);
        let application = program("application.bin")?;
        let old = bench.sign("1.0.0", &application, &format!("--board {BOARD}"));
        Self::with(loader, OURS, bench, old.bytes)
    }

    fn with(loader: Loader, started: &'static str, bench: Bench, old: Vec<u8>) -> Option<Self> {
        let all = std::fs::read_to_string(zephyr("qemu_cortex_m0_serial.merged.hex")?).unwrap();
        let bootloader = match loader {
            Loader::Updraft => program("bootloader.bin")?,
            Loader::Mcuboot => {
                let mut segments = hex::segments(&all).unwrap().into_iter();
                segments.find(|segment| segment.address == 0).unwrap().bytes
            }
        };
        let setup = Setup::new("microbit").ears(ears(started));
        let erased = vec![0xff; (END - PRIMARY) as usize];
        let setup = setup.program(0, bootloader).program(PRIMARY, erased);
        let machine = setup.program(PRIMARY, old.clone()).start().unwrap();
        let peer = Self { bench, machine, loader, started, old };
        peer.starts();
        Some(peer)
    }

    /// Waits for the application.
    fn starts(&self) {
        self.machine.line(0).wait(self.started, PATIENCE).unwrap();
    }

    fn smp(&self, line: &str) -> Said {
        let port = self.machine.line(0).path().display();
        self.bench.updraft(&format!("smp --serial {port} {line}"))
    }

    /// The application that runs, as another version.
    fn image(&self, version: &str) -> Image {
        let len = u32::from_le_bytes(self.old[12..16].try_into().unwrap()) as usize;
        let options = "--header-size 0x200 --slot-size 0x1a000 --align 4 --pad-header";
        self.bench.sign(version, &self.old[0x200..0x200 + len], options)
    }

    /// Uploads an image and says what is to become of it.
    fn offer(&self, image: &Image, verdict: &str) {
        self.smp(&format!("image upload {}", image.file)).ok();
        assert!(self.holds(SECONDARY + PAGE, &image.bytes), "swap by offset: one sector on");
        self.smp(&format!("image {verdict} {}", image.file)).ok();
    }

    /// Resets the device, which boots this version.
    fn reset(&self, version: &str) {
        self.smp("os reset").ok();
        self.machine.line(0).wait(&self.loader.starts(version), PATIENCE).unwrap();
        self.starts();
    }

    /// Whether the flash holds an image at this address.
    fn holds(&self, address: u32, image: &[u8]) -> bool {
        self.machine.read(address, image.len()).unwrap() == image
    }

    /// Version and state of the slots.
    fn slots(&self) -> Vec<String> {
        let listed = self.smp("--json image list").json();
        let slots = listed["images"].as_array().unwrap();
        let slot = |slot: &serde_json::Value| {
            let flags = ["active", "confirmed", "pending", "permanent"];
            let set = flags.into_iter().filter(|flag| slot[*flag] == true);
            format!("{} {}", slot["version"].as_str().unwrap(), set.collect::<Vec<_>>().join(" "))
        };
        slots.iter().map(slot).collect()
    }
}

fn an_image_is_tried_out_and_reverted_and_tried_out_and_kept(loader: Loader, name: &str) {
    let Some(peer) = Peer::new(loader, name) else { return };
    let new = peer.image("1.2.3+4");
    assert_eq!(peer.slots(), ["0.0.0 active confirmed"]);
    assert!(peer.smp("os info a").ok().contains("qemu_cortex_m0/nrf51822"));
    peer.offer(&new, "test");
    assert_eq!(peer.slots(), ["0.0.0 active confirmed", "1.2.3.4 pending"]);
    peer.reset("1.2.3");
    assert_eq!(peer.slots(), ["1.2.3.4 active", "0.0.0 confirmed"]);
    assert!(peer.holds(PRIMARY, &new.bytes) && peer.holds(SECONDARY, &peer.old));
    peer.smp("image erase").complains(&["(group 1, rc 9)"]);

    peer.reset("0.0.0");
    assert_eq!(peer.slots(), ["0.0.0 active confirmed", "1.2.3.4 "]);
    assert!(peer.holds(PRIMARY, &peer.old));

    peer.smp(&format!("image test {}", new.file)).ok();
    peer.reset("1.2.3");
    peer.smp("image confirm").ok();
    // The old image is no more to be found where an upload would lie.
    assert_eq!(peer.slots(), ["1.2.3.4 active confirmed"]);
    peer.reset("1.2.3");
    assert_eq!(peer.slots(), ["1.2.3.4 active confirmed"]);
    assert!(peer.holds(PRIMARY, &new.bytes));
}

fn an_image_that_is_confirmed_at_once_stays(loader: Loader, name: &str) {
    let Some(peer) = Peer::new(loader, name) else { return };
    let new = peer.image("2.0.0");
    peer.offer(&new, "confirm");
    assert_eq!(peer.slots(), ["0.0.0 active confirmed", "2.0.0 pending permanent"]);
    peer.reset("2.0.0");
    peer.reset("2.0.0");
    assert_eq!(peer.slots(), ["2.0.0 active confirmed"]);
    assert!(peer.holds(PRIMARY, &new.bytes));
}

fn upgrade_does_it_all(loader: Loader, name: &str) {
    let Some(peer) = Peer::new(loader, name) else { return };
    let new = peer.image("1.2.3+4");
    let said = peer.smp(&format!("upgrade {}", new.file)).ok();
    assert_eq!(peer.slots(), ["1.2.3.4 active confirmed"], "{said}");
    assert!(peer.holds(PRIMARY, &new.bytes));
    let again = peer.smp(&format!("upgrade {}", new.file)).ok();
    assert!(again.contains("nothing to do"), "{again}");
    peer.reset("1.2.3");
    assert_eq!(peer.slots(), ["1.2.3.4 active confirmed"]);
}

fn an_image_that_is_damaged_in_flash_is_not_booted(loader: Loader, name: &str) {
    let Some(peer) = Peer::new(loader, name) else { return };
    let new = peer.image("1.2.3+4");
    peer.offer(&new, "test");
    // A bit falls over in the flash, where nobody looks before the bootloader does.
    let at = SECONDARY + PAGE + 0x4000;
    let byte = peer.machine.read(at, 1).unwrap()[0];
    peer.machine.write(at, &[byte ^ 0x10]).unwrap();
    peer.reset("0.0.0");
    assert!(peer.holds(PRIMARY, &peer.old));
    assert_eq!(peer.slots(), ["0.0.0 active confirmed"]);
}

/// The same story under each bootloader.
macro_rules! under {
    ($module:ident, $loader:expr) => {
        mod $module {
            use super::*;

            fn name(story: &str) -> String {
                format!("{}-{story}", stringify!($module))
            }

            #[test]
            fn an_image_is_tried_out_and_reverted_and_tried_out_and_kept() {
                super::an_image_is_tried_out_and_reverted_and_tried_out_and_kept(
                    $loader,
                    &name("tests"),
                );
            }

            #[test]
            fn an_image_that_is_confirmed_at_once_stays() {
                super::an_image_that_is_confirmed_at_once_stays($loader, &name("permanent"));
            }

            #[test]
            fn upgrade_does_it_all() {
                super::upgrade_does_it_all($loader, &name("upgrade"));
            }

            #[test]
            fn an_image_that_is_damaged_in_flash_is_not_booted() {
                super::an_image_that_is_damaged_in_flash_is_not_booted($loader, &name("refused"));
            }

            #[test]
            fn our_application_is_updated_reverted_and_confirmed() {
                super::our_application_is_updated_reverted_and_confirmed($loader, &name("ours"));
            }
        }
    };
}

under!(mcuboot_in_c, Loader::Mcuboot);
under!(our_bootloader, Loader::Updraft);

fn our_application_is_updated_reverted_and_confirmed(loader: Loader, name: &str) {
    let Some(peer) = Peer::with_our_application(loader, name) else { return };
    let application = program("application.bin").unwrap();
    let new = peer.bench.sign("2.0.0", &application, &format!("--board {BOARD}"));
    assert_eq!(peer.slots(), ["1.0.0 active confirmed"]);
    peer.offer(&new, "test");
    peer.reset("2.0.0");
    assert!(peer.holds(PRIMARY, &new.bytes) && peer.holds(SECONDARY, &peer.old));
    peer.reset("1.0.0");
    assert!(peer.holds(PRIMARY, &peer.old));
    peer.smp(&format!("image test {}", new.file)).ok();
    peer.reset("2.0.0");
    peer.smp("image confirm").ok();
    peer.reset("2.0.0");
    assert!(peer.holds(PRIMARY, &new.bytes));
}
