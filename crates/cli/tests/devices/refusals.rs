//! What must not run does not: the client says why and what to do, the device answers with the
//! codes that every client knows, and the running image is untouched.

use updraft_smp::client::Status;

use crate::support::{Bench, Device, HOST, Image, Raw, SELF, Sending, code, firmware};

/// Options that go with virtual-nor-4k, where its board file would see to it that nothing is wrong.
const LOOSE: &str = "-H 0x200 --pad-header -S 0x40000 --align 8";
/// The image group.
const IMAGE: Option<u32> = Some(1);

/// A device that runs 1.0.0, and a record of what its flash held then.
struct Victim {
    bench: Bench,
    device: Device,
    running: Image,
    before: Vec<u8>,
}

impl Victim {
    fn new(name: &str) -> Self {
        let bench = Bench::new(name);
        let running = bench.image("1.0.0", SELF);
        let device = bench.device_with(&running);
        let before = bench.area("primary");
        Self { bench, device, running, before }
    }

    fn raw(&self) -> Raw {
        self.device.raw()
    }

    fn send<'i>(&self, bytes: &'i [u8]) -> Sending<'i> {
        Sending::new(&self.device.address, bytes, 4)
    }

    /// Refused, and nothing was written.
    fn untouched(&self) {
        assert_eq!(self.bench.area("primary"), self.before, "the running image");
        assert!(self.bench.area("secondary").iter().all(|byte| *byte == 0xff), "the other slot");
        self.runs_on();
    }

    /// The other slot may hold what it likes; nothing of it boots.
    fn runs_on(&self) {
        assert_eq!(self.bench.area("primary"), self.before, "the running image");
        assert_eq!(self.bench.slots().secondary(), "erased");
        self.device.smp("os reset").ok();
        self.device.starts("1.0.0");
        assert_eq!(self.bench.area("primary"), self.before, "the running image after a reset");
        assert!(self.bench.slots().run(&self.running));
    }

    /// `test` and `confirm` of an image in the other slot are refused with "does not verify".
    fn will_not_boot(&self, hash: &str) {
        let hash: Vec<u8> = (0..hash.len() / 2)
            .map(|at| u8::from_str_radix(&hash[2 * at..][..2], 16).unwrap())
            .collect();
        let mut raw = self.raw();
        for answer in [
            raw.ask(|r, b| r.test(b, &hash), |answer| answer.check()),
            raw.ask(|r, b| r.confirm(b, Some(&hash)), |answer| answer.check()),
        ] {
            assert_eq!(code(answer), Some((IMAGE, 5)));
        }
    }
}

#[test]
fn a_truncated_file_is_not_sent() {
    let victim = Victim::new("truncated");
    let image = victim.bench.image("1.1.0", HOST);
    for (len, cause) in [
        (image.bytes.len() - 1, "the file ends before its TLVs do"),
        (image.bytes.len() / 2, "cut short"),
        (40, "cut short"),
        (31, "no signed image"),
        (0, "no signed image"),
    ] {
        let file = victim.bench.file("cut.bin", &image.bytes[..len]);
        let said = victim.device.smp(&format!("image upload {file}")).fails(1);
        assert!(said.contains(cause) && said.contains("try: "), "{len} bytes: {said}");
    }
    victim.untouched();
}

#[test]
fn a_truncated_image_that_is_sent_all_the_same_does_not_boot() {
    let victim = Victim::new("truncated-raw");
    let image = victim.bench.image("1.1.0", HOST);
    // Without its last byte the last TLV, the signature, cannot be read.
    let cut = &image.bytes[..image.bytes.len() - 1];
    victim.send(cut).finish().unwrap();
    victim.will_not_boot(&image.hash);
    victim.device.smp("image erase").ok();
    // Half an image has no TLVs at all and is not even taken.
    assert_eq!(victim.send(&image.bytes[..image.bytes.len() / 2]).refused(), (IMAGE, 22));
    victim
        .device
        .smp(&format!("image test {}", image.file))
        .complains(&["no slot holds an image with this hash; upload it first", "group 1, rc 8"]);
    victim.runs_on();
}

#[test]
fn a_file_that_is_no_image_is_not_sent_and_not_taken() {
    let victim = Victim::new("no-image");
    let file = victim.bench.file("app.elf", &[b"\x7fELF".as_slice(), &[0; 4000]].concat());
    victim
        .device
        .smp(&format!("image upload {file}"))
        .complains(&["the file is no signed image", "try: sign it first: updraft image sign"]);
    victim.device.smp("image upload missing.bin").complains(&["missing.bin cannot be read"]);
    assert_eq!(victim.send(&[0x11; 4000]).refused(), (IMAGE, 23));
    assert_eq!(victim.send(&[0x11; 16]).refused(), (IMAGE, 22));
    victim.untouched();
}

#[test]
fn an_image_too_large_for_the_slots_is_not_sent_and_not_taken() {
    let victim = Victim::new("large");
    // The other slot has 256 KiB, of which a swap can move 248.
    let body = firmware(Vec::new(), 250 * 1024, "1.1.0");
    let large = victim.bench.sign("1.1.0", &body, &format!("{LOOSE} -k key.pem --max-sectors 1"));
    victim.device.smp(&format!("image upload {}", large.file)).complains(&[
        &format!("too large: {} bytes, and the device takes 253952", large.bytes.len()),
        "try: make the firmware smaller",
    ]);
    assert_eq!(victim.send(&large.bytes).refused(), (IMAGE, 30));
    let larger_than_the_slot = [large.bytes, vec![0; 20_000]].concat();
    assert_eq!(victim.send(&larger_than_the_slot).refused(), (IMAGE, 30));
    victim.untouched();
}

#[test]
fn a_padded_file_is_explained() {
    let victim = Victim::new("padded");
    let body = firmware(Vec::new(), 20_000, "1.1.0");
    let padded = victim.bench.signed("1.1.0", &body, "-k key.pem --pad");
    assert_eq!(padded.bytes.len(), 256 * 1024);
    victim
        .device
        .smp(&format!("image upload {}", padded.file))
        .complains(&["the file is padded", "try: sign without --pad, --confirm and --test"]);
    assert_eq!(victim.send(&padded.bytes).refused(), (IMAGE, 30));
    victim.untouched();
}

#[test]
fn an_image_signed_with_another_key_is_taken_but_neither_tested_nor_confirmed() {
    let victim = Victim::new("stranger");
    victim.bench.updraft("key new stranger.pem").ok();
    let body = firmware(Vec::new(), 20_000, "1.1.0");
    for (key, what) in [(" -k stranger.pem", "another key"), ("", "no key")] {
        let image = victim.bench.sign("1.1.0", &body, &format!("{LOOSE}{key}"));
        victim.device.smp(&format!("image upload {}", image.file)).ok();
        for word in ["test", "confirm"] {
            victim.device.smp(&format!("image {word} {}", image.file)).complains(&[
                "the image in the slot does not verify",
                "signed with another key",
                "sign it for this device and upload it again",
                "group 1, rc 5",
            ]);
        }
        victim.will_not_boot(&image.hash);
        println!("refused: signed with {what}");
    }
    victim.runs_on();
}

#[test]
fn an_image_for_another_board_is_not_sent_and_does_not_boot() {
    let victim = Victim::new("board");
    let body = firmware(Vec::new(), 20_000, "1.1.0");
    for (options, made_for) in [
        ("--vid updraft.example --cid virtual-overwrite", "virtual-overwrite"),
        ("--cid 00112233-4455-6677-8899-aabbccddeeff", "class 00112233"),
    ] {
        let image = victim.bench.sign("1.1.0", &body, &format!("{LOOSE} -k key.pem {options}"));
        victim.device.smp(&format!("image upload {}", image.file)).complains(&[
            &format!("wrong board: the image was made for {made_for}"),
            "the device is a virtual-nor-4k",
            "try: sign it with --board virtual-nor-4k",
        ]);
        victim.send(&image.bytes).finish().unwrap();
        victim.will_not_boot(&image.hash);
    }
    victim.runs_on();
}

#[test]
fn an_older_image_is_refused_where_only_upgrades_are_wanted() {
    let victim = Victim::new("older");
    let older = victim.bench.image("0.9.0", HOST);
    let same = victim.bench.signed("1.0.0", &firmware(Vec::new(), 9000, "x"), "-k key.pem");
    for image in [&older, &same] {
        victim.device.smp(&format!("image upload --upgrade {}", image.file)).complains(&[
            "the running image is as new or newer",
            "upload without the upgrade-only option",
            "group 1, rc 27",
        ]);
    }
    victim.untouched();
    // Without the option an older one may be installed.
    victim.device.smp(&format!("image upload {}", older.file)).ok();
    assert!(victim.bench.slots().hold(&older));
}

#[test]
fn a_flipped_bit_is_found_before_sending_and_before_booting() {
    let victim = Victim::new("flipped");
    let image = victim.bench.image("1.1.0", HOST);
    let file_len = image.bytes.len();
    // Version, body, and the signature at the end; the hash TLV itself is not touched, since it is
    // what the image is called by.
    for at in [20, 0x200, file_len / 2, file_len - 1] {
        let mut bytes = image.bytes.clone();
        bytes[at] ^= 0x10;
        let file = victim.bench.file("flipped.bin", &bytes);
        if at != file_len - 1 {
            victim.device.smp(&format!("image upload {file}")).complains(&[
                "the file is damaged: it hashes to",
                "try: is it cut short? sign it again, or copy it again",
            ]);
        }
        victim.send(&bytes).finish().unwrap();
        victim.will_not_boot(&image.hash);
    }
    victim.runs_on();
}

#[test]
fn a_flipped_bit_on_the_way_is_found_by_the_hash_of_the_file() {
    let victim = Victim::new("on-the-way");
    let image = victim.bench.image("1.1.0", HOST);
    let mut damaged = image.bytes.clone();
    damaged[0x2000] ^= 1;
    // The session of the right file is begun; the rest of it comes from a damaged copy.
    let mut sending = victim.send(&image.bytes);
    while sending.acked() == 0 && sending.step() == Status::Running {}
    let mut raw = victim.raw();
    let mut matched = None;
    let mut off = sending.acked() as usize;
    while off < damaged.len() {
        let chunk = damaged[off..damaged.len().min(off + 800)].to_vec();
        let reply = raw.ask(
            |requests, buffer| {
                let payload = chunk_payload(off, &chunk);
                requests.raw(buffer, updraft_smp::Op::Write, (1, 1), &payload)
            },
            |answer| answer.upload(),
        );
        let reply = reply.unwrap();
        (off, matched) = (reply.off as usize, reply.matched);
    }
    assert_eq!(matched, Some(false));
    victim.will_not_boot(&image.hash);
    victim.runs_on();
}

/// `{"off": …, "data": …}`
fn chunk_payload(off: usize, data: &[u8]) -> Vec<u8> {
    let mut payload = b"\xa2\x63off\x1a".to_vec();
    payload.extend_from_slice(&(off as u32).to_be_bytes());
    payload.extend_from_slice(b"\x64data\x59");
    payload.extend_from_slice(&(data.len() as u16).to_be_bytes());
    payload.extend_from_slice(data);
    payload
}

#[test]
fn an_unknown_hash_is_neither_tested_nor_confirmed() {
    let victim = Victim::new("unknown");
    let mut raw = victim.raw();
    for hash in [&[0x55; 32][..], &[0; 32]] {
        let tested = raw.ask(|r, b| r.test(b, hash), |answer| answer.check());
        assert_eq!(code(tested), Some((IMAGE, 8)));
    }
    for hash in [&[0x55; 31][..], &[0x55; 33], &[]] {
        let tested = raw.ask(|r, b| r.test(b, hash), |answer| answer.check());
        assert_eq!(code(tested), Some((IMAGE, 24)));
    }
    victim.device.smp("image test 0123abcd").complains(&[
        "no image on the device has a hash that begins with 0123abcd",
        "try: updraft smp … image list shows the hashes",
    ]);
    let image = victim.bench.image("1.1.0", HOST);
    victim
        .device
        .smp(&format!("image confirm {}", image.file))
        .complains(&["no slot holds an image with this hash; upload it first", "group 1, rc 8"]);
    victim
        .device
        .smp(&format!("image test {}", victim.running.hash))
        .complains(&["this image is the running one", "group 1, rc 33"]);
    victim.untouched();
}

#[test]
fn the_slot_that_runs_is_not_erased() {
    let victim = Victim::new("erase");
    victim
        .device
        .smp("image erase --slot 0")
        .complains(&["the slot is in use: the running image is in it", "group 1, rc 9"]);
    for slot in ["2", "7", "255"] {
        victim
            .device
            .smp(&format!("image erase --slot {slot}"))
            .complains(&["the device has no such slot", "group 1, rc 10"]);
    }
    victim.untouched();
}

#[test]
fn a_second_request_is_refused_while_one_is_pending() {
    let victim = Victim::new("pending");
    let image = victim.bench.image("1.1.0", HOST);
    victim.device.smp(&format!("image upload {}", image.file)).ok();
    victim.device.smp(&format!("image test {}", image.file)).ok();
    victim.device.smp(&format!("image test {}", image.file)).ok();
    let hint = "reset the device, or erase the pending slot, first";
    victim.device.smp(&format!("image confirm {}", image.file)).complains(&[
        "already under way",
        hint,
        "group 1, rc 28",
    ]);
    victim.device.smp("image confirm").complains(&["already under way", hint, "rc 28"]);
    assert_eq!(victim.bench.area("primary"), victim.before);
    assert_eq!(victim.bench.slots().secondary(), "magic, test");
}
