//! Our client against MCUboot itself, in C, with a Zephyr 4.4.0 application, on an emulated
//! Cortex-M0: what the device says of its slots, and what its flash then holds.
//!
//! ```text
//! 0x00000 MCUboot, swap by offset, hash only · 0x08000 primary, 0x22000 secondary: 104 KiB each
//! ```

use std::time::Duration;

use updraft_qemu::{Machine, Setup};
use updraft_sign::hex;
use updraft_smp::framing::{Console, Framing, Received};
use updraft_smp::{Header, group, os};

use crate::support::{Bench, Image, Said, zephyr};

const PRIMARY: u32 = 0x8000;
const SECONDARY: u32 = 0x22000;
const PAGE: u32 = 0x400;
/// What the application prints first.
const STARTED: &str = "smp_sample: build time";
/// A swap and what the machine does around it, on a machine with other things to do.
const PATIENCE: Duration = Duration::from_secs(120);

/// MCUboot has the UART turned on and does not read it: from the answer to a reset until the next
/// start of the application, nobody listens.
fn ears() -> impl FnMut(&[u8]) -> Option<bool> + Send + 'static {
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
            if text.ends_with(STARTED.as_bytes()) {
                hears = Some(true);
            }
        }
        hears
    }
}

struct Peer {
    bench: Bench,
    machine: Machine,
    old: Vec<u8>,
}

impl Peer {
    fn new(name: &str) -> Option<Self> {
        let old = std::fs::read(zephyr("qemu_cortex_m0_serial.signed.bin")?).unwrap();
        let all = std::fs::read_to_string(zephyr("qemu_cortex_m0_serial.merged.hex")?).unwrap();
        let mut setup = Setup::new("microbit").ears(ears());
        for segment in hex::segments(&all).unwrap() {
            setup = setup.program(segment.address, segment.bytes);
        }
        let machine = setup.start().unwrap();
        let peer = Self { bench: Bench::new(name), machine, old };
        peer.starts();
        Some(peer)
    }

    /// Waits for the application.
    fn starts(&self) {
        self.machine.line(0).wait(STARTED, PATIENCE).unwrap();
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
        self.machine.line(0).wait(&format!("Image version: v{version}"), PATIENCE).unwrap();
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

#[test]
fn an_image_is_tried_out_and_reverted_and_tried_out_and_kept_by_mcuboot_in_c() {
    let Some(peer) = Peer::new("mcuboot-c-tests") else { return };
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

#[test]
fn an_image_that_is_confirmed_at_once_stays_under_mcuboot_in_c() {
    let Some(peer) = Peer::new("mcuboot-c-permanent") else { return };
    let new = peer.image("2.0.0");
    peer.offer(&new, "confirm");
    assert_eq!(peer.slots(), ["0.0.0 active confirmed", "2.0.0 pending permanent"]);
    peer.reset("2.0.0");
    peer.reset("2.0.0");
    assert_eq!(peer.slots(), ["2.0.0 active confirmed"]);
    assert!(peer.holds(PRIMARY, &new.bytes));
}

#[test]
fn upgrade_does_it_all_under_mcuboot_in_c() {
    let Some(peer) = Peer::new("mcuboot-c-upgrade") else { return };
    let new = peer.image("1.2.3+4");
    let said = peer.smp(&format!("upgrade {}", new.file)).ok();
    assert_eq!(peer.slots(), ["1.2.3.4 active confirmed"], "{said}");
    assert!(peer.holds(PRIMARY, &new.bytes));
    let again = peer.smp(&format!("upgrade {}", new.file)).ok();
    assert!(again.contains("nothing to do"), "{again}");
    peer.reset("1.2.3");
    assert_eq!(peer.slots(), ["1.2.3.4 active confirmed"]);
}

#[test]
fn an_image_that_is_damaged_in_flash_is_not_booted_by_mcuboot_in_c() {
    let Some(peer) = Peer::new("mcuboot-c-refused") else { return };
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
