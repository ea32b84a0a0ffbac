//! Our client against MCUboot's own serial recovery, in C, on an emulated Cortex-M3. The
//! application, a Zephyr server, is loaded into RAM from slot 0 and run there.

use std::time::Duration;

use updraft_qemu::{Machine, Setup};
use updraft_sign::hex;

use crate::support::{Bench, Image, Said, firmware, later_zephyr};

const SLOT: u32 = 0x2005_0000;
const LOAD: u32 = 0x2024_0000;
const PATIENCE: Duration = Duration::from_secs(60);

struct Peer {
    bench: Bench,
    machine: Machine,
    old: Vec<u8>,
    framing: &'static str,
}

impl Peer {
    fn new(name: &str, variant: &str, framing: &'static str) -> Option<Self> {
        let file = |ending: &str| later_zephyr(&format!("mps2_an385_{variant}{ending}"));
        let old = std::fs::read(file(".signed.bin")?).unwrap();
        let bootloader = std::fs::read_to_string(file(".hex")?).unwrap();
        // The bootloader's log is on the second line.
        let mut setup = Setup::new("mps2-an385").serials(2).program(SLOT, old.clone());
        for segment in hex::segments(&bootloader).unwrap() {
            setup = setup.program(segment.address, segment.bytes);
        }
        let machine = setup.start().unwrap();
        let peer = Self { bench: Bench::new(name), machine, old, framing };
        Some(peer)
    }

    fn smp(&self, line: &str) -> Said {
        let port = self.machine.line(0).path().display();
        self.bench.updraft(&format!("smp --serial {port} --framing {} {line}", self.framing))
    }

    /// Has the bootloader stay, and waits until it does.
    fn recover(&self) {
        self.smp("os reset --boot-mode 1").ok();
        self.machine.line(1).wait("Enter the serial recovery mode", PATIENCE).unwrap();
    }

    /// Signs a body for where this bootloader loads images.
    fn signed(&self, version: &str, body: &[u8]) -> Image {
        let load = u32::from_le_bytes(self.old[4..8].try_into().unwrap());
        assert_eq!(load, LOAD);
        let options = "--header-size 0x200 --slot-size 0x80000 --align 4 --pad-header";
        self.bench.sign(version, body, &format!("{options} --load-addr {load:#x}"))
    }

    /// Uploads an image. This bootloader lists those that it finds valid, and looks for them in RAM,
    /// where the old one is still: it does not list the new one until it has loaded it.
    ///
    /// A line without a console carries no checksum, and the emulated one loses a byte at times on a
    /// busy machine, which shows only afterwards.
    ///
    /// Where both are of one length, it takes what the old one's bytes come to for the new one's, and
    /// lists that.
    fn fill(&self, image: &Image) {
        let alike = image.bytes.len() == self.old.len();
        let took = (0..5).any(|_| {
            let said = self.smp(&format!("image upload {}", image.file)).ok();
            let list = self.smp("image list").ok();
            println!("{said}\n{list}");
            let later = said.contains("the bootloader looks at it when it loads it");
            assert_eq!(later, !alike, "{said}");
            assert_eq!(list.contains(&image.version), alike, "{list}");
            self.holds(image)
        });
        assert!(took);
    }

    fn holds(&self, image: &Image) -> bool {
        self.machine.read(SLOT, image.bytes.len()).unwrap() == image.bytes
    }
}

/// A program that prints a line, in a body of `size` bytes.
fn program(size: usize) -> Vec<u8> {
    const ENTRY: u32 = LOAD + 0x200 + 8;
    let halves: [u16; 18] = [
        0x0000,
        0x2030, // 00 stack
        ENTRY as u16 | 1,
        (ENTRY >> 16) as u16, // 04 entry, Thumb
        0x4805,               // 08 ldr r0, =UART
        0x2110,               // 0a movs r1, #16
        0x6101,               // 0c str r1, [r0, BAUDDIV]
        0x2103,               // 0e movs r1, #3
        0x6081,               // 10 str r1, [r0, CTRL]
        0xa204,               // 12 adr r2, text
        0x7811,               // 14 ldrb r1, [r2]
        0x2900,               // 16 cmp r1, #0
        0xd0fe,               // 18 beq .
        0x6001,               // 1a str r1, [r0, DATA]
        0x3201,               // 1c adds r2, #1
        0xe7f9,               // 1e b 14
        0x4000,
        0x4000, // 20 UART
    ];
    let mut bytes: Vec<u8> = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
    bytes.extend(b"a small program runs\r\n\0");
    firmware(bytes, size, "small")
}

fn takes_an_image(variant: &str, framing: &'static str) {
    let Some(peer) = Peer::new(variant, variant, framing) else { return };
    let new = peer.signed("1.2.3", &program(5000));
    peer.recover();
    let params = peer.smp("--json os params").json();
    assert_eq!((&params["buf_size"], &params["buf_count"]), (&1024.into(), &1.into()));
    assert!(peer.smp("image list").ok().contains("0.0.0"));
    for line in ["os echo hello", "os info", "stat list", "image confirm"] {
        peer.smp(line).complains(&["(rc 8)"]);
    }
    peer.fill(&new);
    peer.smp("os reset").ok();
    peer.machine.line(1).wait("Image version: v1.2.3", PATIENCE).unwrap();
    peer.machine.line(0).wait("a small program runs", PATIENCE).unwrap();
}

#[test]
fn mcuboots_own_recovery_takes_an_image_on_a_console() {
    takes_an_image("serial_recovery", "console");
}

#[test]
fn mcuboots_own_recovery_takes_an_image_without_a_console() {
    takes_an_image("serial_recovery_raw", "raw");
}

/// One command does it: an image that runs in RAM is not asked for, and not tried out.
#[test]
fn an_upgrade_in_mcuboots_own_recovery_ends_when_the_image_runs() {
    let Some(peer) = Peer::new("recovery-upgrade", "serial_recovery", "console") else { return };
    let new = peer.signed("1.2.3", &program(5000));
    peer.recover();
    // The small program answers nothing: that it runs is told by its line.
    let said = peer.smp(&format!("upgrade {} --wait 20", new.file));
    said.complains(&["has not come back in 20 s"]);
    peer.machine.line(0).wait("a small program runs", PATIENCE).unwrap();
    assert!(peer.holds(&new));
}

/// The emulated machine takes about half a minute for each.
#[test]
fn mcuboots_own_recovery_takes_a_whole_application() {
    if std::env::var_os("UPDRAFT_LONG").is_none() {
        println!("left out: `cargo xtask long smp` uploads 130 KiB to MCUboot's recovery, twice");
        return;
    }
    for (variant, framing) in [("serial_recovery", "console"), ("serial_recovery_raw", "raw")] {
        let Some(peer) = Peer::new(&format!("whole-{framing}"), variant, framing) else { return };
        let len = u32::from_le_bytes(peer.old[12..16].try_into().unwrap()) as usize;
        let new = peer.signed("1.2.3", &peer.old[0x200..0x200 + len]);
        peer.recover();
        peer.fill(&new);
        let said = peer.smp(&format!("upgrade {}", new.file)).ok();
        assert!(said.contains("waits in its bootloader") && said.contains("1.2.3"), "{said}");
        peer.machine.line(1).wait("Jumping to the first image slot", PATIENCE).unwrap();
        assert!(peer.smp("image list").ok().contains("1.2.3"));
        assert!(peer.smp("os info a").ok().contains("mps2/an385"));
    }
}
