//! Releases: who signs them, what they follow, and what is said of them.

use crate::support::Desk;

const SIGN: &str = "image sign --board virtual-nor-4k -k key.pem -v 1.2.3";
const BILL: &str = r#"{"bomFormat":"CycloneDX","specVersion":"1.6"}"#;

/// MCUboot's X25519 key, which anybody can read.
const SAMPLE_DEVICE_KEY: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VuAyEApnrfU1lvc6n45HmsC6ogwvmJkv+Wltehx3CxYYsqD3A=
-----END PUBLIC KEY-----
";

/// A firmware that begins with a vector table.
fn firmware(desk: &Desk, name: &str, stack: u32, reset: u32) {
    let mut bytes = [stack.to_le_bytes(), reset.to_le_bytes()].concat();
    bytes.resize(4096, 0);
    std::fs::write(desk.path(name), bytes).unwrap();
}

#[test]
fn firmware_that_cannot_run_is_not_signed() {
    let desk = Desk::new("releases-vectors");
    std::fs::write(desk.path("empty.bin"), b"").unwrap();
    for line in
        [SIGN, "image sign -H 0x200 -S 0x40000 --pad-header -v 1 -k key.pem"].map(str::to_owned)
    {
        let (code, text) = desk.refused(&format!("{line} empty.bin out.bin"));
        assert_eq!(code, Some(1));
        assert!(text.contains("empty.bin is empty"), "{text}");
    }
    // A header and nothing behind it.
    std::fs::write(desk.path("header.bin"), [0; 0x200]).unwrap();
    let (_, text) = desk.refused(&format!("{SIGN} --pad-header=false header.bin out.bin"));
    assert!(text.contains("there is no firmware in it"), "{text}");
    firmware(&desk, "even.bin", 0x2000_2000, 0xc200);
    let (code, text) = desk.refused(&format!("{SIGN} even.bin out.bin"));
    assert_eq!(code, Some(1));
    assert!(text.contains("its reset vector is 0xc200, without the bit for Thumb code"), "{text}");
    assert!(!desk.path("out.bin").exists());
    // What has no vector table is signed, and said to be so.
    let said = |build: &str| {
        let output = desk.run(&format!("{SIGN} {build} out.bin"));
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(said("app.bin").contains("begins with no vector table"));
    firmware(&desk, "good.bin", 0x2000_2000, 0xc201);
    assert!(!said("good.bin").contains("vector table"));
}

#[test]
fn an_image_for_an_address_where_no_slot_begins_is_refused() {
    let desk = Desk::new("releases-fixed");
    let xip = "image sign --board virtual-xip -k key.pem -v 1 --pad";
    let (code, text) = desk.refused(&format!("{xip} -F 0x999000 app.bin out.bin"));
    assert_eq!(code, Some(1));
    assert!(text.contains("it is for the slot at 0x999000"), "{text}");
    assert!(text.contains("--rom-fixed 0xc000 or 0x4c000"), "{text}");
    desk.stdout(&format!("{xip} -F 0x4c000 app.bin out.bin"));
    desk.stdout("image verify --board virtual-xip -k key.pem out.bin");
    let ids = desk.json("boards virtual-xip");
    let (vendor, class) = (ids["vendor_id"].as_str().unwrap(), ids["class_id"].as_str().unwrap());
    desk.stdout(&format!(
        "image sign -k key.pem -v 1 -H 0x200 -S 0x40000 --pad-header -F 0x999000 --vid {vendor} \
         --cid {class} app.bin out.bin"
    ));
    let (_, text) = desk.refused("image verify --board virtual-xip -k key.pem out.bin");
    assert!(text.contains("it is for the slot at 0x999000"), "{text}");
}

#[test]
fn a_build_number_alone_is_no_update_where_it_is_not_looked_at() {
    let desk = Desk::new("releases-build-number");
    for (board, refused) in [("virtual-xip", true), ("virtual-nor-4k", false)] {
        let sign = format!("image sign --board {board} -k key.pem");
        desk.stdout(&format!("{sign} -v 1.0.0 app.bin old.bin"));
        let line = format!("{sign} --previous old.bin -v 1.0.0+1 app.bin new.bin");
        if !refused {
            desk.stdout(&line);
            continue;
        }
        let (code, text) = desk.refused(&line);
        assert_eq!(code, Some(2));
        assert!(text.contains("in its build number alone"), "{text}");
        desk.stdout(&format!("{sign} --previous old.bin -v 1.0.1 app.bin new.bin"));
    }
}

#[test]
fn a_version_file_without_a_version_is_not_taken_for_one() {
    let desk = Desk::new("releases-version");
    std::fs::write(desk.path("VERSION"), "FOO=1\n").unwrap();
    let (code, text) = desk.refused("image sign --board virtual-nor-4k -k key.pem app.bin");
    assert_eq!(code, Some(2));
    assert!(text.contains("it has none of VERSION_MAJOR"), "{text}");
}

#[test]
fn no_release_is_encrypted_for_a_published_key() {
    let desk = Desk::new("releases-encryption");
    std::fs::write(desk.path("device.pem"), SAMPLE_DEVICE_KEY).unwrap();
    let sign = "image sign -k key.pem -v 1 -H 0x200 -S 0x40000 --pad-header -E device.pem";
    let (code, text) = desk.refused(&format!("{sign} --release app.bin out.bin"));
    assert_eq!(code, Some(2));
    assert!(text.contains("anybody can decrypt what is made for it"), "{text}");
    assert!(!desk.path("out.bin").exists());
    desk.stdout(&format!("{sign} --release --allow-sample-key app.bin out.bin"));
}

#[test]
fn a_bill_of_materials_is_the_images_own() {
    let desk = Desk::new("releases-bill");
    std::fs::write(desk.path("bom.json"), BILL).unwrap();
    std::fs::write(desk.path("other.json"), BILL.replace("1.6", "1.5")).unwrap();
    desk.stdout(&format!("{SIGN} --sbom bom.json app.bin out.bin"));
    let verify = "image verify --board virtual-nor-4k -k key.pub.pem";
    desk.stdout(&format!("{verify} --sbom bom.json out.bin"));
    let (code, text) = desk.refused(&format!("{verify} --sbom other.json out.bin"));
    assert_eq!(code, Some(1));
    assert!(text.contains("the image was made with another bill of materials"), "{text}");
    let (_, text) = desk.refused(&format!("{SIGN} --sbom app.bin app.bin bad.bin"));
    assert!(text.contains("app.bin cannot be used"), "{text}");
    desk.stdout(&format!("{SIGN} app.bin plain.bin"));
    let (_, text) = desk.refused(&format!("{verify} --sbom bom.json plain.bin"));
    assert!(text.contains("the image names no bill of materials"), "{text}");
}

#[test]
fn a_manifest_vouches_for_one_file_of_one_board() {
    let desk = Desk::new("releases-manifest");
    std::fs::write(desk.path("bom.json"), BILL).unwrap();
    desk.stdout(&format!("{SIGN} --sbom bom.json --manifest app.bin out.bin"));
    let manifest = "--manifest out.bin.manifest.json";
    let verify = "image verify --board virtual-nor-4k -k key.pub.pem";
    let said = desk.json(&format!("{verify} {manifest} --sbom bom.json out.bin"));
    assert_eq!(said["manifest"]["board"], "virtual-nor-4k");
    assert_eq!(said["manifest"]["sbom"]["name"], "bom.json");

    // Another file, another signer, nothing at all.
    desk.stdout(&format!("{SIGN} -s 1 app.bin other.bin"));
    let (code, text) = desk.refused(&format!("{verify} {manifest} other.bin"));
    assert_eq!(code, Some(1));
    assert!(text.contains("the manifest is about a file with SHA-256"), "{text}");
    assert!(!text.contains("imgtool"), "{text}");
    desk.stdout("key new other.pem");
    desk.stdout("image sign --board virtual-nor-4k -k other.pem -v 1 --manifest app.bin other.bin");
    let (_, text) = desk.refused(&format!("{verify} --manifest other.bin.manifest.json out.bin"));
    assert!(text.contains("signed by none of the keys"), "{text}");
    let (_, text) = desk.refused(&format!("{verify} --manifest app.bin out.bin"));
    assert!(text.contains("app.bin cannot be read"), "{text}");

    // What it says is not so: of the board, or of the bill of materials.
    let board = include_str!("../../../../boards/virtual-nor-4k.toml");
    let board = board.replace("name = \"virtual-nor-4k\"", "name = \"other\"");
    std::fs::write(desk.path("other.toml"), board).unwrap();
    let (code, text) =
        desk.refused(&format!("image verify --board other.toml -k key.pem {manifest} out.bin"));
    assert_eq!(code, Some(1));
    assert!(text.contains("it is about an image for virtual-nor-4k, not for other"), "{text}");
    let hash = said["manifest"]["sbom"]["sha256"].as_str().unwrap();
    let bill = format!("--custom-tlv 0x5b0e 0x{hash}");
    desk.stdout(&format!("{SIGN} {bill} --manifest app.bin out.bin"));
    desk.stdout(&format!("{verify} --sbom bom.json out.bin"));
    let (_, text) = desk.refused(&format!("{verify} {manifest} --sbom bom.json out.bin"));
    assert!(text.contains("it names no bill of materials"), "{text}");
}

#[test]
fn a_program_signs_for_the_command() {
    let desk = Desk::new("releases-signer");
    desk.stdout("key new -t ecdsa-p256 p256.pem");
    desk.stdout("key public p256.pem -o p256.pub.pem");
    // OpenSSL signs the digest; words with blanks in them are a script's business.
    let script = "openssl pkeyutl -sign -inkey p256.pem\n";
    std::fs::write(desk.path("signer.sh"), script).unwrap();
    let sign = "image sign -k p256.pub.pem -v 1 -H 0x200 -S 0x40000 --pad-header app.bin out.bin";
    let run = |program: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_updraft"));
        command.args(sign.split(' ')).args(["--signer", program]).current_dir(desk.path("."));
        command.env("UPDRAFT_KEY_PASSPHRASE", "abc").env("UPDRAFT_PKCS11_PIN", "1234");
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    let (signed, text) = run("sh signer.sh");
    assert!(signed, "{text}");
    desk.stdout("image verify -k p256.pub.pem out.bin");
    // It is told no secrets of other keys.
    let (signed, text) = run("sh -c 'env | grep ^UPDRAFT | sort | tr \"\\n\" \" \" >&2; exit 1'");
    assert!(!signed);
    assert!(text.contains("UPDRAFT_SIGN_HASH=sha256 UPDRAFT_SIGN_SCHEME=ecdsa-p256"), "{text}");
    assert!(!text.contains("abc") && !text.contains("1234"), "{text}");
}

#[test]
fn the_key_that_verified_is_named() {
    let desk = Desk::new("releases-which-key");
    desk.stdout(&format!("{SIGN} app.bin out.bin"));
    desk.stdout("key new -t x25519 device.pem");
    desk.stdout("key new other.pem");
    let said = desk.json("image verify -k device.pem -k other.pem -k key.pem out.bin");
    assert_eq!(said["key"], "key.pem");
}

#[cfg(unix)]
#[test]
fn an_image_is_read_once() {
    let desk = Desk::new("releases-pipe");
    desk.stdout(&format!("{SIGN} --manifest app.bin out.bin"));
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_updraft"));
    let line = "image verify --board virtual-nor-4k -k key.pem --manifest \
                out.bin.manifest.json /dev/stdin --json";
    command.args(line.split(' ')).current_dir(desk.path("."));
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let image = std::fs::read(desk.path("out.bin")).unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), &image).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["imgtool"]["valid"], true);
}

#[test]
fn imgtools_verdict_goes_with_refusals_of_the_bootloader_alone() {
    let desk = Desk::new("releases-imgtool");
    desk.stdout(&format!("{SIGN} app.bin out.bin"));
    for (line, code) in [
        ("image verify --board nowhere -k key.pem out.bin", 1),
        ("image verify --board virtual-nor-4k out.bin", 2),
        ("image verify -k key.pem missing.bin", 1),
        ("image verify -k key.pem --manifest app.bin out.bin", 1),
    ] {
        let (found, text) = desk.refused(line);
        assert!(found == Some(code) || found == Some(2), "{line}: {text}");
        assert!(!text.contains("imgtool"), "{line}: {text}");
    }
    let refused = |line: &str| -> serde_json::Value {
        let output = desk.run(&format!("{line} --json"));
        assert!(!output.status.success());
        serde_json::from_slice(&output.stdout).unwrap()
    };
    // Made for another board: the bootloader minds alone.
    let said = refused("image verify --board virtual-logical -k key.pem out.bin");
    assert_eq!(said["imgtool"]["valid"], true);
    let hints = said["hints"].as_array().unwrap();
    let board = hints.iter().filter(|it| it.as_str().unwrap().contains("--board NAME")).count();
    assert_eq!(board, 1, "{said:#}");
    // Larger than the slot.
    let sign = "image sign -k key.pem -v 1 -H 0x200 -S 0x80000 --pad-header";
    std::fs::write(desk.path("large.bin"), vec![1; 0x40001]).unwrap();
    desk.stdout(&format!("{sign} large.bin large.s.bin"));
    let said = refused("image verify --board virtual-nor-4k -k key.pem large.s.bin");
    assert!(said["causes"].to_string().contains("do not fit in a slot of 262144"), "{said:#}");
    assert_eq!(said["imgtool"]["valid"], true);
    let mut image = std::fs::read(desk.path("out.bin")).unwrap();
    image[0x300] ^= 1;
    std::fs::write(desk.path("out.bin"), image).unwrap();
    let said = refused("image verify -k key.pem out.bin");
    assert_eq!(said["imgtool"]["reason"], "Image has an invalid hash");
    assert!(!said["hints"].to_string().contains("imgtool"), "{said:#}");
}

#[test]
fn refusals_show_hashes_and_ids_whole() {
    let desk = Desk::new("releases-whole");
    desk.stdout(&format!("{SIGN} app.bin out.bin"));
    let hash = desk.json("image verify -k key.pem out.bin")["hash"].as_str().unwrap().to_owned();
    let mut image = std::fs::read(desk.path("out.bin")).unwrap();
    image[0x300] ^= 1;
    std::fs::write(desk.path("bad.bin"), image).unwrap();
    let found = desk.json("image inspect -k key.pem bad.bin")["hash"].clone();
    let (_, text) = desk.refused("image verify -k key.pem bad.bin");
    let said = format!(
        "it hashes to {}, and its hash TLV says {hash}",
        found["computed"].as_str().unwrap()
    );
    assert!(text.replace("\n", " ").contains(&said), "{text}\n{said}");
    // The ids of two boards have 16 bytes each.
    let (_, text) = desk.refused("image verify --board virtual-logical -k key.pem out.bin");
    let ids = text
        .split([' ', ',', '\n'])
        .filter(|word| word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(ids.count(), 2, "{text}");
}

#[test]
fn a_file_that_was_cut_off_is_told_by_how_much() {
    let desk = Desk::new("releases-cut");
    desk.stdout(&format!("{SIGN} app.bin out.bin"));
    let image = std::fs::read(desk.path("out.bin")).unwrap();
    // Within the TLVs the end is known, and within the body that of what is hashed.
    let hashed = 0x200 + 20_000 + 44;
    for (len, missing) in [(image.len() - 1, 1), (image.len() - 50, 50), (9000, hashed - 9000)] {
        std::fs::write(desk.path("cut.bin"), &image[..len]).unwrap();
        for board in ["", "--board virtual-nor-4k "] {
            let (code, text) = desk.refused(&format!("image verify {board}-k key.pub.pem cut.bin"));
            assert_eq!(code, Some(1));
            let said = format!("the file ends {missing} bytes before the image does");
            assert!(text.contains(&said), "{len}: {text}");
        }
    }
}
