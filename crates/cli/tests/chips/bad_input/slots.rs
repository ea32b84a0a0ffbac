//! Slots that are empty, or hold garbage, or an image that has no room there.

use updraft_board::Role;

use crate::bench::{Bench, Chance, Chip, MICROBIT, MICROBIT_RECOVERY, MPS2_EXTERNAL, Mark};
use crate::story::HOST;

use super::{garbage, starts};

/// Where in a header the size of the body is.
const IMAGE_SIZE: usize = 12;
/// Where the primary slot of `microbit` is mapped to.
const PRIMARY: u32 = 0xc000;

#[test]
fn an_empty_chip_says_so_and_starts_as_soon_as_there_is_an_image() {
    let Some(bench) = Bench::new(MICROBIT, "nothing") else { return };
    let chip = bench.start();
    chip.wait("boot: the primary slot holds no image");
    chip.wait("boot: nothing to start: put an image into the primary slot; trying again in 10 s");
    // A probe puts one there, and nobody resets the chip.
    let image = bench.image("1.0.0", HOST);
    chip.machine().write(PRIMARY, &image.bytes).unwrap();
    chip.wait("boot: starting 1.0.0");
    chip.wait("app: self-test passed");
}

#[test]
fn an_empty_chip_with_serial_recovery_says_that_it_takes_an_image() {
    let Some(bench) = Bench::new(MICROBIT_RECOVERY, "nothing") else { return };
    let chip = bench.start();
    chip.wait("boot: the primary slot holds no image");
    chip.wait("boot: serial recovery: upload an image, then reset");
}

/// Garbage that nobody has asked for is not looked at; garbage that somebody has is named and erased.
fn garbage_in_the_secondary_slot_costs_nothing(chip: Chip) {
    let Some(bench) = Bench::new(chip, "garbage-secondary") else { return };
    let mut chance = Chance::new();
    let old = bench.image("1.0.0", HOST);
    let len = bench.area(Role::Secondary).size as usize;

    bench.provision(&old);
    bench.put(Role::Secondary, 0, &garbage(&mut chance, len));
    starts(&bench, "1.0.0", &[]).cut();
    assert!(bench.holds(Role::Primary, &old));

    for fields in [&[Mark::Asked][..], &[Mark::Asked, Mark::Confirmed]] {
        bench.provision(&old);
        // What has the flag that forbids to start it is taken for none.
        let mut bytes = garbage(&mut chance, len / 2);
        bytes[bench.update_start() + 16] &= !0x10;
        bench.put(Role::Secondary, 0, &bytes);
        bench.mark(Role::Secondary, fields);
        starts(&bench, "1.0.0", &["boot: secondary slot erased: image magic is 0x"]).cut();
        assert!(bench.holds(Role::Primary, &old));
        assert!(bench.slot(Role::Secondary).iter().all(|byte| *byte == 0xff), "it is erased");
        // And that was it.
        let chip = starts(&bench, "1.0.0", &[]);
        assert!(!chip.printed().contains("erased"), "{}", chip.printed());
    }
}

/// Whatever the trailers hold: the primary slot has the only image, which is started. The second boot
/// does the same.
fn garbage_in_trailers_costs_nothing(chip: Chip) {
    let Some(bench) = Bench::new(chip, "garbage-trailers") else { return };
    let mut chance = Chance::new();
    let old = bench.image("1.0.0", HOST);
    for roles in [&[Role::Primary][..], &[Role::Secondary], &[Role::Primary, Role::Secondary]] {
        for magic in [false, true] {
            bench.provision(&old);
            for role in roles {
                // Sizes, flags, magic; the status of a swap is in front of them, and empty.
                let bytes = garbage(&mut chance, 40);
                bench.put(*role, bench.area(*role).size as usize - bytes.len(), &bytes);
                bench.mark(*role, &[Mark::Asked][..usize::from(magic)]);
            }
            for _ in 0..2 {
                starts(&bench, "1.0.0", &[]).cut();
                assert!(bench.holds(Role::Primary, &old), "{roles:?}, magic: {magic}");
            }
        }
    }
}

fn garbage_in_the_primary_slot_is_named_and_an_update_mends_it(chip: Chip) {
    let Some(bench) = Bench::new(chip, "garbage-primary") else { return };
    let mut chance = Chance::new();
    let [old, new] = ["1.0.0", "2.0.0"].map(|version| bench.image(version, HOST));
    let spoil = |chance: &mut Chance| {
        let mut bytes = garbage(chance, old.bytes.len());
        bytes[16] &= !0x10;
        bench.put(Role::Primary, 0, &bytes);
    };
    bench.provision(&old);
    spoil(&mut chance);
    let chip = bench.start();
    chip.wait("boot: the image in the primary slot: image magic is 0x");
    chip.wait(bench.chip.without_image());
    chip.cut();

    bench.request(&new.bytes, false);
    starts(&bench, "2.0.0", &[]).cut();
    assert!(bench.holds(Role::Primary, &new));
}

fn garbage_in_both_slots_is_named(chip: Chip) {
    let Some(bench) = Bench::new(chip, "garbage-both") else { return };
    let mut chance = Chance::new();
    for role in [Role::Primary, Role::Secondary] {
        let mut bytes = garbage(&mut chance, bench.area(role).size as usize / 2);
        bytes[16] &= !0x10;
        bench.put(role, 0, &bytes);
    }
    bench.mark(Role::Secondary, &[Mark::Asked, Mark::Confirmed]);
    let chip = bench.start();
    chip.wait("boot: secondary slot erased: image magic is 0x");
    chip.wait("boot: the image in the primary slot: image magic is 0x");
    chip.wait(bench.chip.without_image());
}

/// The bytes of an image with another size in its header.
fn sized(bytes: &[u8], size: u32) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[IMAGE_SIZE..][..4].copy_from_slice(&size.to_le_bytes());
    bytes
}

/// Larger than its slot, larger than memory, and so large that its end lies where the trailer does.
fn an_image_that_is_too_large_is_refused(chip: Chip) {
    let Some(bench) = Bench::new(chip, "oversize") else { return };
    let old = bench.image("1.0.0", HOST);
    let new = bench.image("2.0.0", HOST);
    let slot = bench.area(Role::Secondary).size;
    for (size, why) in [
        (slot, "header, body and protected TLVs take "),
        // Its TLVs are where the trailer is.
        (slot - 0x200 - 0x80, "44 bytes of protected TLVs promised, 0 there"),
        (0x7fff_0000, "header, body and protected TLVs take "),
        (u32::MAX - 8, "add up to more than 4 GiB"),
    ] {
        let bad = sized(&new.bytes, size);
        bench.provision(&old);
        bench.request(&bad, true);
        starts(&bench, "1.0.0", &["boot: secondary slot erased: ", why]).cut();
        assert!(bench.holds(Role::Primary, &old), "{size:#x}");

        // In the primary slot it is not run, and a good update takes its place.
        bench.provision(&old);
        bench.put(Role::Primary, 0, &bad);
        let chip = bench.start();
        chip.wait("boot: the image in the primary slot: ");
        chip.wait(why);
        chip.wait(bench.chip.without_image());
        chip.cut();
        bench.request(&new.bytes, true);
        starts(&bench, "2.0.0", &[]).cut();
        assert!(bench.holds(Role::Primary, &new), "{size:#x}");
    }
}

/// Signed by whom the chip trusts, made for this board, and so long that its end lies where the trailer
/// does: whoever signed it has not told the signer of the board's slots.
fn a_good_image_that_reaches_into_the_trailer_is_refused(chip: Chip) {
    let Some(bench) = Bench::new(chip, "overlap") else { return };
    let old = bench.image("1.0.0", HOST);
    let slot = bench.area(Role::Secondary).size as usize;
    std::fs::write(bench.path("long.bin"), vec![0x5a; slot - 0x600]).unwrap();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../");
    let key = format!("{root}{}", bench.sample_key());
    let options = ["--allow-sample-key", "--key", &key, "--version", "2.0.0", "--pad-header"];
    let sizes = ["-H", "0x200", "-S", "0x100000", "--align", "4"];
    let ids = ["--vid", "updraft.example", "--cid", chip.board];
    let files = ["long.bin", "long.signed.bin"];
    bench.updraft(&[&["image", "sign"], &options[..], &sizes, &ids, &files].concat()).ok();
    let long = std::fs::read(bench.path("long.signed.bin")).unwrap();
    assert!((slot - 0x400..slot - 0x100).contains(&long.len()), "{:#x}", long.len());

    bench.provision(&old);
    bench.request(&long[..long.len().min(slot - bench.update_start())], true);
    let why = "boot: secondary slot erased: the image takes ";
    starts(&bench, "1.0.0", &[why, " bytes, the slots can exchange "]).cut();
    assert!(bench.holds(Role::Primary, &old));
}

macro_rules! on {
    ($chip:ident, $constant:expr) => {
        mod $chip {
            use super::*;

            #[test]
            fn garbage_in_the_secondary_slot_costs_nothing() {
                super::garbage_in_the_secondary_slot_costs_nothing($constant);
            }

            #[test]
            fn garbage_in_trailers_costs_nothing() {
                super::garbage_in_trailers_costs_nothing($constant);
            }

            #[test]
            fn garbage_in_the_primary_slot_is_named_and_an_update_mends_it() {
                super::garbage_in_the_primary_slot_is_named_and_an_update_mends_it($constant);
            }

            #[test]
            fn garbage_in_both_slots_is_named() {
                super::garbage_in_both_slots_is_named($constant);
            }

            #[test]
            fn a_good_image_that_reaches_into_the_trailer_is_refused() {
                super::a_good_image_that_reaches_into_the_trailer_is_refused($constant);
            }

            #[test]
            fn an_image_that_is_too_large_is_refused() {
                super::an_image_that_is_too_large_is_refused($constant);
            }
        }
    };
}

on!(mps2_an386_external, MPS2_EXTERNAL);
on!(microbit, MICROBIT);
