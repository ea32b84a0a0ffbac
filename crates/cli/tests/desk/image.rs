//! `updraft key` and `updraft image`, as people and programs see them.

use serde_json::Value;

use crate::support::{Desk, SAMPLE_KEY};

const SIGN: &str = "image sign --board virtual-nor-4k -k key.pem -v 1.2.3";

#[test]
fn a_board_decides_how_its_images_are_made() {
    let desk = Desk::new("image-board");
    let signed = desk.json(&format!("{SIGN} app.bin app.signed.bin"));
    assert_eq!(signed["version"], "1.2.3+0");
    assert_eq!(signed["largest"], 62 * 4096);
    let valid = desk.json("image verify --board virtual-nor-4k -k key.pub.pem app.signed.bin");
    assert_eq!(valid["valid"], true);
    assert_eq!(valid["hash"], signed["hash"]);
    assert_eq!(valid["size"], signed["size"]);
    let seen = desk.json("image inspect -k key.pub.pem app.signed.bin");
    assert_eq!(seen["header"]["header_size"], 0x200);
    assert_eq!(seen["signatures"][0]["state"], "good");
    let names: Vec<_> =
        seen["tlvs"].as_array().unwrap().iter().map(|tlv| tlv["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["UUID_VID", "UUID_CID", "SHA256", "KEYHASH", "ED25519"]);
}

#[test]
fn every_byte_range_of_an_image_is_drawn() {
    let desk = Desk::new("image-draw");
    desk.stdout(&format!("{SIGN} --confirm app.bin app.signed.bin"));
    let text = desk.stdout("image inspect -k key.pub.pem app.signed.bin");
    assert!(!text.contains('\x1b'));
    let drawing: Vec<_> = text.lines().skip(2).take(11).collect();
    assert_eq!(
        drawing,
        [
            "┌──┬──┬──────┬──┬──┬───────────────────────────────────────────────────────┬──┐",
            "│A │B │C     │D │E │F                                                      │G │",
            "│▓▓│▓▓│██████│▓▓│▒▒│░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░│▒▒│",
            "└──┴──┴──────┴──┴──┴───────────────────────────────────────────────────────┴──┘",
            "  A        0       20  header                 32 B  hashed",
            "  B       20      200  header padding        480 B  hashed",
            "  C      200     5020  body               19.5 KiB  hashed",
            "  D     5020     504c  protected TLVs         44 B  hashed",
            "  E     504c     50dc  TLVs                  144 B",
            "  F     50dc    3ffd0  padding           235.7 KiB",
            "  G    3ffd0    40000  trailer                48 B",
        ]
    );
    assert!(text.contains("good, by key.pub.pem"), "{text}");
    assert!(text.contains("asks for        an upgrade for good"), "{text}");
}

#[test]
fn an_image_that_the_board_would_refuse_is_not_made() {
    let desk = Desk::new("image-refused");
    std::fs::write(desk.path("big.bin"), vec![1; 62 * 4096]).unwrap();
    let (code, text) = desk.refused(&format!("{SIGN} big.bin out.bin"));
    assert_eq!(code, Some(1));
    assert!(text.contains("largest image is min(64 − 1 − 1, 64 − 1) sectors × 4096"), "{text}");
    assert!(text.contains("takes at most 253952: 700 too many"), "{text}");
    desk.stdout("key new -t ecdsa-p256 p256.pem");
    let (code, text) =
        desk.refused("image sign --board virtual-nor-4k -k p256.pem -v 1 app.bin out.bin");
    assert_eq!(code, Some(1));
    assert!(text.contains("signed with Ed25519, not ECDSA P-256"), "{text}");
    for (option, hint) in [
        ("--sha 512", "leave --sha and --pure out"),
        ("--pure", "leave --sha and --pure out"),
        ("--vid other.example", "leave --vid and --cid out"),
        ("--public-key-format full", "leave --public-key-format out"),
    ] {
        let (code, text) = desk.refused(&format!("{SIGN} {option} app.bin out.bin"));
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("bootloader would refuse the image"), "{text}");
        assert!(text.contains(hint), "{text}");
    }
    assert!(!desk.path("out.bin").exists());
    let (code, text) = desk.refused("image sign --board virtual-nor-4k -v 1 app.bin out.bin");
    assert_eq!(code, Some(2));
    assert!(text.contains("give -k KEY"), "{text}");
}

#[test]
fn without_a_board_the_options_are_those_of_imgtool() {
    let desk = Desk::new("image-plain");
    let plain = "image sign -H 0x200 -S 0x8000 --align 8 -v 1.2.3+4 -k key.pem";
    let (code, text) = desk.refused("image sign -v 1 app.bin out.bin");
    assert_eq!(code, Some(2));
    assert!(text.contains("--header-size"), "{text}");
    let (code, text) = desk.refused(&format!("{plain} app.bin out.bin"));
    assert_eq!(code, Some(1));
    assert!(text.contains("try: --pad-header"), "{text}");
    let options = "--pad-header -s auto --vid acme.test --custom-tlv 0xa0 0x0102";
    desk.stdout(&format!("{plain} {options} app.bin out.bin"));
    let seen = desk.json("image inspect out.bin");
    assert_eq!(seen["tlvs"][0]["meaning"], "16908291");
    assert_eq!(seen["tlvs"][2]["data"], "0102");
    // The same through Intel HEX.
    desk.stdout(&format!("{plain} {options} -x 0x8000000 app.bin out.hex"));
    assert_eq!(desk.json("image inspect out.hex"), seen);
    assert_eq!(desk.json("image verify -k key.pem out.hex")["valid"], true);
    let (code, text) = desk.refused(&format!("{plain} {options} app.bin out.hex"));
    assert_eq!(code, Some(2));
    assert!(text.contains("-x ADDR"), "{text}");
}

#[test]
fn a_compressed_image_tells_what_it_decompresses_to() {
    let desk = Desk::new("image-compressed");
    let sign = "image sign -H 0x200 -S 0x8000 --pad-header -v 1.2.3 -k key.pem";
    let plain = desk.json(&format!("{sign} app.bin plain.bin"));
    assert!(plain["compressed_from"].is_null());
    for kind in ["lzma2", "lzma2armthumb"] {
        let made = desk.json(&format!("{sign} --compression {kind} app.bin small.bin"));
        assert_eq!(made["compressed_from"], 20_000);
        assert!(made["size"].as_u64() < plain["size"].as_u64());
        let valid = desk.json("image verify -k key.pub.pem small.bin");
        assert_eq!(valid["hash"], made["hash"]);
        assert_eq!(valid["uncompressed"]["hash"], plain["hash"]);
        assert_eq!(valid["uncompressed"]["size"], plain["size"]);
    }
    let text = desk.stdout("image inspect -k key.pub.pem small.bin");
    for words in [
        "COMPRESSED_LZMA2 | COMPRESSED_ARM_THUMB",
        "20000 bytes of body when decompressed",
        "matches the decompressed image",
        "good, by key.pub.pem, of the decompressed image",
    ] {
        assert!(text.contains(words), "{text}");
    }
    let text = desk.stdout("image verify -k key.pub.pem small.bin");
    assert!(text.contains("decompresses to a valid image of 20"), "{text}");

    // What cannot be made smaller is said, and left as it is.
    let text = desk.stdout(&format!("{sign} --compression lzma2 key.pem same.bin"));
    assert!(text.contains("note: not compressed"), "{text}");
    let (code, text) = desk.refused(&format!("{SIGN} --compression lzma2 app.bin out.bin"));
    assert_eq!(code, Some(1));
    assert!(text.contains("the board's bootloader does not decompress"), "{text}");
}

#[test]
fn an_encrypted_image_is_for_whoever_has_the_device_key() {
    let desk = Desk::new("image-encrypted");
    let sign = "image sign -H 0x200 -S 0x8000 --pad-header -v 1.2.3 -k key.pem";
    let plain = desk.json(&format!("{sign} app.bin plain.bin"));
    assert!(plain["encrypted"].is_null());
    for (kind, options, format) in [
        ("x25519", "", "AES-128 keys wrapped in ENCX25519"),
        ("x25519", "--hmac-sha 512", "AES-128 keys wrapped in ENCX25519_SHA512"),
        ("ecdsa-p256", "--encrypt-keylen 256", "AES-256 keys wrapped in ENCEC256"),
        ("rsa-2048", "--encrypt-keylen 128", "AES-128 keys wrapped in ENCRSA2048"),
    ] {
        let made = desk.json(&format!("key new --force -t {kind} device.pem"));
        assert_eq!(made["file"], "device.pem");
        desk.stdout("key public device.pem -o device.pub.pem");
        let line = format!("{sign} -E device.pub.pem {options} app.bin secret.bin");
        let made = desk.json(line.replace("  ", " ").as_str());
        assert_eq!(made["encrypted"], format, "{line}");
        let image = std::fs::read(desk.path("secret.bin")).unwrap();
        let build = std::fs::read(desk.path("app.bin")).unwrap();
        assert_ne!(image[0x200..][..build.len()], build);

        let (code, text) = desk.refused("image verify -k key.pub.pem secret.bin");
        assert_eq!(code, Some(1));
        assert!(text.contains("the image is encrypted: give the device's key"), "{text}");
        let valid = desk.json("image verify -k key.pub.pem --decrypt device.pem secret.bin");
        assert_eq!(valid["hash"], made["hash"]);

        let told = desk.json("image decrypt -k device.pem secret.bin open.bin");
        assert_eq!(told["hash"], made["hash"]);
        let image = std::fs::read(desk.path("open.bin")).unwrap();
        assert_eq!(image[0x200..][..build.len()], build);
        assert_eq!(desk.json("image verify -k key.pem open.bin")["hash"], made["hash"]);
    }
    let text = desk.stdout("image inspect -k key.pub.pem secret.bin");
    for words in ["AES-128 content key, wrapped by RSA-OAEP", "of the decrypted image"] {
        assert!(text.contains(words), "{text}");
    }
    desk.stdout("key new -t rsa-2048 other.pem");
    let (code, text) = desk.refused("image decrypt -k other.pem secret.bin nothing.bin");
    assert_eq!(code, Some(1));
    assert!(text.contains("the private key of the device that the image is for"), "{text}");
    let (code, text) = desk.refused("image decrypt -k key.pem secret.bin nothing.bin");
    assert_eq!(code, Some(1));
    assert!(text.contains("an Ed25519 key does not decrypt"), "{text}");
    let (code, text) = desk.refused("image decrypt -k other.pem plain.bin nothing.bin");
    assert_eq!(code, Some(1));
    assert!(text.contains("the image is not encrypted"), "{text}");
    let (code, text) = desk.refused(&format!("{sign} -E key.pub.pem app.bin nothing.bin"));
    assert_eq!(code, Some(1));
    assert!(text.contains("an Ed25519 key does not decrypt"), "{text}");
    let (code, text) = desk.refused(&format!("{sign} --hmac-sha 512 app.bin nothing.bin"));
    assert_eq!(code, Some(2));
    assert!(text.contains("give -E KEY too"), "{text}");
    assert!(!desk.path("nothing.bin").exists());
}

#[test]
fn a_clear_image_is_for_the_primary_slot() {
    let desk = Desk::new("image-clear");
    desk.stdout("key new -t x25519 device.pem");
    let sign = "image sign -H 0x200 -S 0x8000 --pad-header -v 1 -k key.pem -E device.pem --clear";
    desk.stdout(&format!("{sign} app.bin clear.bin"));
    desk.stdout("image verify -k key.pem clear.bin");
    for line in [
        "image verify -k key.pem --decrypt device.pem clear.bin",
        "image decrypt -k device.pem clear.bin open.bin",
    ] {
        let (code, text) = desk.refused(line);
        assert_eq!(code, Some(1));
        assert!(text.contains("in plaintext") && text.contains("--clear"), "{text}");
    }
}

#[test]
fn a_board_decides_how_its_images_are_encrypted() {
    let desk = Desk::new("image-encrypted-board");
    for kind in ["x25519", "ecdsa-p256"] {
        desk.stdout(&format!("key new -t {kind} {kind}.pem"));
    }
    let sign = "image sign --board virtual-encrypted -k key.pem -v 1";
    let verify = "image verify --board virtual-encrypted -k key.pem";
    let made = desk.json(&format!("{sign} --confirm -E x25519.pem app.bin out.bin"));
    assert_eq!(made["encrypted"], "AES-128 keys wrapped in ENCX25519");
    desk.stdout(&format!("{verify} --decrypt x25519.pem out.bin"));
    // The same through Intel HEX: content keys differ, the image does not.
    desk.stdout(&format!("{sign} -E x25519.pem -x 0x1000 app.bin out.hex"));
    let valid = desk.json(&format!("{verify} --decrypt x25519.pem out.hex"));
    assert_eq!(valid["hash"], made["hash"]);
    desk.stdout("image decrypt -k x25519.pem out.hex open.hex");
    desk.stdout(&format!("{verify} open.hex"));
    desk.stdout(&format!("{sign} app.bin plain.bin"));
    for (line, reason) in [
        (format!("{sign} -E ecdsa-p256.pem"), "takes AES-128 keys wrapped in ENCX25519, not"),
        (format!("{sign} -E x25519.pem --encrypt-keylen 256"), "not AES-256 keys"),
        (format!("{sign} -E x25519.pem --hmac-sha 512"), "not AES-128 keys wrapped in ENCX25519_"),
        (format!("{sign} -E x25519.pem --save-enctlv"), "saves content keys in plain"),
        (format!("{SIGN} -E x25519.pem"), "virtual-nor-4k does not decrypt"),
    ] {
        let (code, text) = desk.refused(&format!("{line} app.bin none.bin"));
        assert_eq!(code, Some(2), "{line}: {text}");
        assert!(text.contains(reason), "{text}");
    }
    assert!(!desk.path("none.bin").exists());
}

#[test]
fn keys_of_every_type_sign() {
    let desk = Desk::new("image-schemes");
    for (kind, name, sha) in [
        ("rsa-2048", "RSA-2048", "SHA256"),
        ("rsa-3072", "RSA-3072", "SHA256"),
        ("ecdsa-p256", "ECDSA P-256", "SHA256"),
        ("ecdsa-p384", "ECDSA P-384", "SHA384"),
        ("ed25519", "Ed25519", "SHA256"),
    ] {
        assert_eq!(desk.json(&format!("key new --force -t {kind} k.pem"))["type"], name);
        desk.stdout("key public k.pem -o k.pub.pem");
        let sign = "image sign -H 0x200 -S 0x8000 --pad-header -v 1 -k k.pem app.bin out.bin";
        let made = desk.json(sign);
        let first = std::fs::read(desk.path("out.bin")).unwrap();
        assert_eq!(desk.json("image verify -k k.pub.pem out.bin")["hash"], made["hash"]);
        let seen = desk.json("image inspect -k k.pub.pem out.bin");
        assert_eq!(seen["signatures"][0]["state"], "good");
        assert_eq!(seen["tlvs"][0]["name"], sha);
        desk.stdout(sign);
        assert_eq!(std::fs::read(desk.path("out.bin")).unwrap(), first, "{kind}: deterministic");
        let (code, text) = desk.refused("image verify -k key.pem out.bin");
        assert_eq!(code, Some(1));
        assert!(text.contains("is not trusted"), "{text}");
    }
}

#[test]
fn verify_says_why_an_image_is_refused() {
    let desk = Desk::new("image-verify");
    desk.stdout(&format!("{SIGN} app.bin app.signed.bin"));
    desk.stdout("key new other.pem");
    let (code, text) = desk.refused("image verify -k other.pem app.signed.bin");
    assert_eq!(code, Some(1));
    assert!(text.contains("signed with a key that is not trusted"), "{text}");
    assert!(text.contains(desk.stdout("key hash key.pem").trim()), "{text}");
    let (code, text) = desk.refused("image verify --board virtual-small -k key.pem app.signed.bin");
    assert_eq!(code, Some(1), "{text}");
    let (code, text) = desk.refused("image verify --board virtual-nor-4k app.signed.bin");
    assert_eq!(code, Some(2));
    assert!(text.contains("-k KEY"), "{text}");
    let (code, _) = desk.refused("image verify --security-counter 1 -k key.pem app.signed.bin");
    assert_eq!(code, Some(1));
    let mut image = std::fs::read(desk.path("app.signed.bin")).unwrap();
    image[3000] ^= 1;
    std::fs::write(desk.path("app.signed.bin"), image).unwrap();
    let (code, text) = desk.refused("image verify -k key.pem app.signed.bin");
    assert_eq!(code, Some(1));
    assert!(text.contains("the content is damaged"), "{text}");
    let (code, text) = desk.refused("image verify -k key.pem app.bin");
    assert_eq!(code, Some(1));
    assert!(text.contains("image magic"), "{text}");
}

#[test]
fn a_key_file_is_for_its_owner_and_is_not_overwritten() {
    let desk = Desk::new("key-new");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(desk.path("key.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let before = std::fs::read(desk.path("key.pem")).unwrap();
    let (code, text) = desk.refused("key new key.pem");
    assert_eq!(code, Some(1));
    assert!(text.contains("exists already"), "{text}");
    assert_eq!(std::fs::read(desk.path("key.pem")).unwrap(), before);
    let made = desk.json("key new --force -t ecdsa-p256 key.pem");
    assert_eq!(made["type"], "ECDSA P-256");
    assert_eq!(desk.stdout("key hash key.pem").trim(), made["hash"]);
    assert_ne!(std::fs::read(desk.path("key.pem")).unwrap(), before);
}

#[test]
fn keys_are_printed_in_every_form() {
    let desk = Desk::new("key-print");
    let pem = desk.stdout("key public key.pem");
    assert_eq!(pem, std::fs::read_to_string(desk.path("key.pub.pem")).unwrap());
    assert_eq!(desk.stdout("key public key.pub.pem"), pem);
    let c = desk.stdout("key public key.pem -e lang-c --name-suffix _2");
    assert!(c.contains("const unsigned int ed25519_pub_key_2_len = 44;"), "{c}");
    let rust = desk.stdout("key public key.pem -e lang-rust");
    assert!(rust.contains("static ED25519_PUB_KEY: &[u8] = &["), "{rust}");
    assert_eq!(desk.run("key public key.pem -e raw").stdout.len(), 44);
    assert_eq!(desk.run("key hash key.pem -e raw").stdout.len(), 32);
    for (sha, len) in [("256", 32), ("384", 48), ("512", 64)] {
        assert_eq!(desk.run(&format!("key hash key.pem -e raw --sha {sha}")).stdout.len(), len);
        assert_eq!(desk.stdout(&format!("key hash key.pem --sha {sha}")).trim().len(), 2 * len);
    }
    assert_eq!(desk.refused("key public key.pem -e raw --name-suffix _2").0, Some(2));
    assert_eq!(desk.refused("key public key.pem -e lang-c --name-suffix a-b").0, Some(2));
    let (code, text) = desk.refused("key private key.pem");
    assert_eq!(code, Some(1));
    assert!(text.contains("it signs, it does not decrypt"), "{text}");
    desk.stdout("key new -t ecdsa-p256 p256.pem");
    let source = desk.stdout("key private p256.pem --minimal");
    assert!(source.contains("const unsigned int enc_priv_key_len = 67;"), "{source}");
    let (code, text) =
        desk.refused("image sign -H 32 -S 0x8000 -v 1 -k key.pub.pem app.bin out.bin");
    assert_eq!(code, Some(1));
    assert!(text.contains("this is a public key"), "{text}");
}

/// The mark that a signature covers the image itself is not signed: without a key to check that
/// signature with, only the hash can tell whether the image is whole.
#[test]
fn a_tampered_pure_image_is_refused_without_a_key_too() {
    let desk = Desk::new("image-pure");
    desk.stdout("key new --type ed25519 ed.pem");
    desk.stdout(
        "image sign -k ed.pem -H 0x200 -S 0x40000 --pad-header -v 1.0.0 --pure app.bin p.img",
    );
    assert!(desk.stdout("image verify p.img").contains("not checked"));
    let mut image = std::fs::read(desk.path("p.img")).unwrap();
    image[0x300] ^= 1;
    std::fs::write(desk.path("p.img"), image).unwrap();
    for line in ["image verify p.img", "image verify -k ed.pem p.img"] {
        let (code, error) = desk.refused(line);
        assert_eq!(code, Some(1), "{line}: {error}");
    }
}

#[test]
fn no_output_replaces_a_private_key() {
    let desk = Desk::new("image-overwrite");
    let key = std::fs::read(desk.path("key.pem")).unwrap();
    for line in [
        "key public key.pem -o key.pem",
        "key hash key.pem -o key.pem",
        "image sign --board virtual-nor-4k -k key.pem -v 1.2.3 app.bin key.pem",
    ] {
        let (code, error) = desk.refused(line);
        assert_eq!(code, Some(2), "{line}: {error}");
        assert!(error.contains("holds a private key"), "{error}");
        assert_eq!(std::fs::read(desk.path("key.pem")).unwrap(), key, "{line}");
    }
}

#[test]
fn options_that_contradict_the_board_are_refused() {
    let desk = Desk::new("image-contradictions");
    for option in [
        "-S 0x20000 --confirm",
        "--max-align 16 --confirm",
        "--align 4",
        "-M 64",
        "--overwrite-only",
    ] {
        let (code, text) = desk.refused(&format!("{SIGN} {option} app.bin out.bin"));
        assert_eq!(code, Some(2), "{option}: {text}");
        assert!(text.contains("the board file decides"), "{text}");
    }
    for (option, reason) in
        [("--non-bootable", "never to be booted"), ("-H 0x20", "its vector table would be at")]
    {
        let (code, text) = desk.refused(&format!("{SIGN} {option} app.bin out.bin"));
        assert_eq!(code, Some(1), "{option}: {text}");
        assert!(text.contains(reason), "{text}");
    }
    assert!(!desk.path("out.bin").exists());
}

#[test]
fn an_image_for_ram_says_where_to() {
    let desk = Desk::new("image-ram");
    let sign = "image sign --board virtual-ram-load -k key.pem -v 1";
    // The board's file says where, unless somebody knows better.
    desk.stdout(&format!("{sign} app.bin out.bin"));
    desk.stdout("image verify --board virtual-ram-load -k key.pem out.bin");
    for (option, reason) in [
        (" -L 0x20000000", "do not lie in RAM for images"),
        (" -L 0x20010010", "its vector table would be at"),
    ] {
        let (code, text) = desk.refused(&format!("{sign}{option} app.bin out.bin"));
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains(reason) && text.contains("try:"), "{text}");
    }
    desk.stdout(&format!("{sign} -L 0x20010000 app.bin out.bin"));
    desk.stdout("image verify --board virtual-ram-load -k key.pem out.bin");
}

#[test]
fn a_trailer_that_the_board_does_not_read_is_refused() {
    let desk = Desk::new("image-foreign-trailer");
    let ids = desk.json("boards virtual-nor-4k");
    let (vendor, class) = (ids["vendor_id"].as_str().unwrap(), ids["class_id"].as_str().unwrap());
    let sign = format!(
        "image sign -k key.pem -v 1 -H 0x200 --pad-header --confirm --vid {vendor} --cid {class}"
    );
    let verify = "image verify --board virtual-nor-4k -k key.pem out.bin";
    for (option, reason) in [
        ("-S 0x40000 --align 8 --max-align 16", "not one that is aligned to 8 bytes"),
        ("-S 0x20000 --align 8", "padded to 131072 bytes"),
        ("-S 0x40000 --align 8 --non-bootable", "never to be booted"),
    ] {
        desk.stdout(&format!("{sign} {option} app.bin out.bin"));
        let (code, text) = desk.refused(verify);
        assert_eq!(code, Some(1), "{option}: {text}");
        assert!(text.contains(reason), "{text}");
    }
    desk.stdout(&format!("{sign} -S 0x40000 --align 8 app.bin out.bin"));
    desk.stdout(verify);
}

#[test]
fn a_build_needs_nothing_but_a_board_and_a_key() {
    let desk = Desk::new("image-short");
    let line = "image sign --board virtual-nor-4k -k key.pem app.bin";
    let signed = desk.json(line);
    assert_eq!(
        (&signed["file"], &signed["version"]),
        (&"app.signed.bin".into(), &"0.0.0+0".into())
    );
    std::fs::write(desk.path("VERSION"), "VERSION_MAJOR = 2\nVERSION_MINOR = 1\n").unwrap();
    assert_eq!(desk.json(line)["version"], "2.1.0+0");
    std::fs::write(desk.path("VERSION"), "2.x\n").unwrap();
    let (code, text) = desk.refused(line);
    assert_eq!(code, Some(2));
    assert!(text.contains("VERSION cannot be used"), "{text}");
}

#[test]
fn a_release_has_to_follow_the_one_in_the_field() {
    let desk = Desk::new("image-previous");
    desk.stdout(&format!("{SIGN} -s 7 app.bin old.bin"));
    let next = "image sign --board virtual-nor-4k -k key.pem --previous old.bin";
    desk.stdout(&format!("{next} -v 1.2.4 -s 7 app.bin new.bin"));
    for (options, reason) in [
        ("-v 1.2.3 -s 8", "version 1.2.3+0 is the same as 1.2.3+0 of old.bin"),
        ("-v 1.2.2+9 -s 8", "version 1.2.2+9 is below 1.2.3+0 of old.bin"),
        ("-v 1.2.4 -s 6", "the security counter is 6, and 7 in old.bin"),
        ("-v 1.2.4", "the security counter is none, and 7 in old.bin"),
    ] {
        let (code, text) = desk.refused(&format!("{next} {options} app.bin out.bin"));
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains(reason), "{text}");
        assert!(!desk.path("out.bin").exists());
    }
}

#[test]
fn firmware_that_was_linked_for_another_place_is_not_signed() {
    let desk = Desk::new("image-vectors");
    let firmware = |name: &str, stack: u32, reset: u32| {
        let mut bytes = [stack.to_le_bytes(), reset.to_le_bytes()].concat();
        bytes.resize(4096, 0);
        std::fs::write(desk.path(name), bytes).unwrap();
    };
    firmware("primary.bin", 0x2000_2000, 0xc200 | 1);
    firmware("secondary.bin", 0x2000_2000, 0x4c200 | 1);
    // No stack pointer, so no vector table.
    firmware("data.bin", 0x1234_5678, 0x4c200 | 1);
    desk.stdout(&format!("{SIGN} primary.bin out.bin"));
    desk.stdout(&format!("{SIGN} data.bin out.bin"));
    let (code, text) = desk.refused(&format!("{SIGN} secondary.bin refused.bin"));
    assert_eq!(code, Some(1));
    assert!(
        text.contains("its reset vector is 0x4c201, and it runs from 0xc200 to 0x4c000"),
        "{text}"
    );
    assert!(!desk.path("refused.bin").exists());
    // Where images run in either slot, either is right.
    let xip = "image sign --board virtual-xip -k key.pem -v 1";
    desk.stdout(&format!("{xip} primary.bin out.bin"));
    desk.stdout(&format!("{xip} secondary.bin out.bin"));
    desk.refused(&format!("{xip} -F 0xc000 secondary.bin out.bin"));
}

#[test]
fn published_keys_sign_no_release() {
    let desk = Desk::new("image-release");
    std::fs::write(desk.path("sample.pem"), SAMPLE_KEY).unwrap();
    let sign = "image sign --board virtual-nor-4k -k sample.pem -v 1 --release";
    let (code, text) = desk.refused(&format!("{sign} app.bin out.bin"));
    assert_eq!(code, Some(2));
    assert!(text.contains("sample.pem is root-ed25519"), "{text}");
    assert!(!desk.path("out.bin").exists());
    desk.stdout(&format!("{sign} --allow-sample-key app.bin out.bin"));
    desk.stdout(&format!("{SIGN} --release app.bin out.bin"));
}

#[test]
fn two_images_are_compared_and_the_update_is_priced() {
    let desk = Desk::new("image-diff");
    desk.stdout(&format!("{SIGN} app.bin old.bin"));
    let mut build = std::fs::read(desk.path("app.bin")).unwrap();
    build[9000] ^= 1;
    build.extend([7; 4096]);
    std::fs::write(desk.path("app.bin"), build).unwrap();
    desk.stdout("image sign --board virtual-nor-4k -k key.pem -v 1.3 -s 4 app.bin new.bin");
    let diff = desk.json("image diff --board virtual-nor-4k old.bin new.bin");
    let names = |key: &str| -> Vec<String> {
        let changes = diff["diff"][key].as_array().unwrap().iter();
        changes.map(|change| change["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("fields"), ["version", "body", "protected TLVs"]);
    assert_eq!(names("tlvs"), ["SHA256", "ED25519", "SEC_CNT"]);
    let sectors = ["changed", "same", "changed", "same", "same", "changed", "added"];
    // The header is in the first one, the TLVs are in the last.
    assert_eq!(diff["diff"]["sectors"], Value::from(sectors[..].to_vec()), "{diff:#}");
    assert_eq!(diff["diff"]["same_body"], 19_999);
    // Three for each sector and one for each trailer, but none for what is there already.
    let update = &diff["update"];
    let erases = update["erases"].as_u64().unwrap();
    assert!((7..=3 * 7 + 2 - 3).contains(&erases), "{diff:#}");
    let areas = update["erases_by_area"].as_object().unwrap().values();
    assert_eq!(areas.filter_map(Value::as_u64).sum::<u64>(), erases, "{diff:#}");
    let text = desk.stdout("image diff --board virtual-nor-4k old.bin new.bin");
    assert!(text.contains(&format!("{erases} sectors: primary ")), "{text}");
    let text = desk.stdout("image diff --board virtual-overwrite old.bin new.bin");
    assert!(text.contains("not rehearsed: the bootloader would refuse it: made for another board"));
    let text = desk.stdout("image diff --sector-size 8192 old.bin new.bin");
    assert!(text.contains("3 changed, + 1 added, - 0 removed of 4"), "{text}");
}

#[test]
fn a_dump_tells_what_the_bootloader_will_do_next() {
    let desk = Desk::new("image-dump");
    desk.stdout(&format!("{SIGN} app.bin old.bin"));
    desk.stdout("image sign --board virtual-nor-4k -k key.pem -v 1.3 --pad app.bin new.bin");
    let mut flash = vec![0xff; 1 << 20];
    let mut put = |name: &str, at: usize| {
        let image = std::fs::read(desk.path(name)).unwrap();
        flash[at..at + image.len()].copy_from_slice(&image);
    };
    put("old.bin", 0xc000);
    put("new.bin", 0x4c000);
    std::fs::write(desk.path("flash.bin"), &flash).unwrap();
    let dump = "image inspect --dump-of virtual-nor-4k -k key.pub.pem";
    let next = &desk.json(&format!("{dump} flash.bin"))["next_boot"];
    assert_eq!(next["events"][0], "new image installed (test)");
    assert_eq!(next["outcome"]["starts"]["version"], "1.3.0+0");
    assert!(next["reasons"][0].as_str().unwrap().contains("to be tested"), "{next:#}");
    assert_eq!(next["slots"][1]["version"], "1.2.3+0");
    assert_eq!(std::fs::read(desk.path("flash.bin")).unwrap(), flash, "the dump stays as it is");
    desk.stdout("key new other.pem");
    let other = "image inspect --dump-of virtual-nor-4k -k other.pem flash.bin";
    let next = &desk.json(other)["next_boot"];
    assert_eq!(next["outcome"]["starts"], Value::Null);
    let (code, text) = desk.refused(&format!("{dump} old.bin"));
    assert_eq!(code, Some(2));
    assert!(text.contains("a dump of virtual-nor-4k has 1048576 bytes"), "{text}");
}

#[test]
fn a_picture_shows_where_each_byte_goes() {
    let desk = Desk::new("image-svg");
    desk.stdout(&format!("{SIGN} app.bin app.signed.bin"));
    desk.stdout("image inspect --svg app.svg app.signed.bin");
    let svg = std::fs::read_to_string(desk.path("app.svg")).unwrap();
    assert!(svg.starts_with("<svg xmlns=") && svg.ends_with("</svg>\n"), "{svg}");
    for name in ["header padding", "body", "protected TLVs"] {
        assert!(svg.contains(name), "{name}");
    }
}

#[test]
fn imgtools_verdict_is_told_where_it_is_another() {
    let desk = Desk::new("image-verdicts");
    desk.stdout(&format!("{SIGN} app.bin out.bin"));
    let both = desk.json("image verify -k key.pem out.bin");
    assert_eq!(both["imgtool"]["valid"], true);
    // Too large for the board: only the bootloader minds.
    std::fs::write(desk.path("big.bin"), vec![1; 255_000]).unwrap();
    desk.stdout("image sign -k key.pem -v 1 -H 0x200 -S 0x80000 --pad-header big.bin big.s.bin");
    let line = "image verify --board virtual-nor-4k -k key.pem big.s.bin";
    let (code, text) = desk.refused(line);
    assert_eq!(code, Some(1));
    assert!(text.contains("imgtool's verify takes this image"), "{text}");
    // Encrypted: imgtool hashes the ciphertext.
    desk.stdout("key new -t x25519 device.pem");
    desk.stdout(
        "image sign -k key.pem -v 1 -H 0x200 -S 0x40000 --pad-header -E device.pem app.bin e.bin",
    );
    let ours = desk.json("image verify -k key.pem --decrypt device.pem e.bin");
    assert_eq!(ours["imgtool"]["reason"], "Image has an invalid hash");
}

#[test]
fn every_subcommand_has_a_manual_page() {
    let desk = Desk::new("man");
    desk.stdout("man pages");
    let page = std::fs::read_to_string(desk.path("pages/updraft-image-sign.1")).unwrap();
    assert!(page.contains(".TH") && page.contains("security\\-counter"), "{page}");
}
