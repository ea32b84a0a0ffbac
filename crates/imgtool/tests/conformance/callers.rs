//! The command lines of build systems, as they call imgtool.

use updraft_sign::hex::{Segment, emit};

use crate::compare::{Expect, same};
use crate::peer::Peer;
use crate::workspace::{enter, ours, words};

/// Of each build system, what it runs: names in capitals are files.
const LINES: &[(&str, &str)] = &[
    (
        "Zephyr, swap",
        "sign --version 1.2.3+4 --header-size 0x200 --slot-size 0x67000 --align 4 --key RSA ROOM.bin OUT.bin",
    ),
    (
        "Zephyr, swap",
        "sign --version 1.2.3+4 --header-size 0x200 --slot-size 0x67000 --align 4 --key RSA ROOM.hex OUT.hex",
    ),
    (
        "Zephyr, confirmed",
        "sign --version 1.2.3+4 --header-size 0x200 --slot-size 0x67000 --align 4 --key RSA --pad --confirm ROOM.bin OUT.bin",
    ),
    (
        "Zephyr, confirmed",
        "sign --version 1.2.3+4 --header-size 0x200 --slot-size 0x67000 --align 4 --key RSA --pad --confirm ROOM.hex OUT.hex",
    ),
    (
        "Zephyr, overwrite-only",
        "sign --version 1.2.3+4 --header-size 0x200 --slot-size 0x67000 --overwrite-only --align 1 --key P256 ROOM.bin OUT.bin",
    ),
    (
        "Zephyr, RAM-load",
        "sign --version 1.2.3+4 --header-size 0x200 --slot-size 0x67000 --align 1 --load-addr 0x20000000 --key RSA --hex-addr 0xc000 ROOM.bin OUT.hex",
    ),
    (
        "Zephyr, encrypted",
        "sign --version 1.2.3+4 --header-size 0x200 --slot-size 0x67000 --align 4 --key P256 --encrypt keys/enc-ecdsa-p256.pem ROOM.bin OUT.bin",
    ),
    (
        "Zephyr, no key",
        "sign --version 0.0.0+0 --header-size 0x200 --slot-size 0x67000 --align 4 ROOM.bin OUT.bin",
    ),
    (
        "west sign",
        "sign --version 0.0.0+0 --align 8 --header-size 512 --slot-size 421888 --key RSA ROOM.bin OUT.bin",
    ),
    (
        "west sign, twice",
        "sign --version 0.0.0+0 --align 8 --header-size 512 --slot-size 421888 --version 2.0.0 --key RSA ROOM.bin OUT.bin",
    ),
    ("MCUboot for Zephyr", "getpub -k RSA"),
    ("MCUboot for Zephyr", "keyinfo --key P256PUB --require public"),
    ("MCUboot for Zephyr", "keyinfo --key P256 --require public"),
    ("MCUboot for Zephyr", "getpub -k P256PUB --name-suffix _2"),
    ("MCUboot for Zephyr", "getpriv -k keys/enc-rsa-2048.pem"),
    ("MCUboot for Zephyr", "getpriv -k keys/enc-ecdsa-p256.pem"),
    ("MCUboot for Zephyr", "getpriv -k keys/enc-x25519.pem"),
    (
        "MCUboot's samples",
        "sign --key RSA --header-size 0x200 --align 8 --version 1.2 --slot-size 0x60000 --pad ROOM.bin OUT.bin",
    ),
    (
        "nRF Connect, partition manager",
        "sign --version 0.0.0+0 --align 4 --slot-size 0x7e000 --pad-header --header-size 0x200 -k P256 IN.bin OUT.bin",
    ),
    (
        "nRF Connect, nRF54L",
        "sign --version 0.0.0+0 --align 16 --slot-size 0x7e000 --header-size 0x800 -k ED25519 --pure ROOM.bin OUT.bin",
    ),
    (
        "nRF Connect, nRF54L",
        "sign --version 0.0.0+0 --align 16 --slot-size 0x7e000 --header-size 0x800 -k ED25519 --sha 512 ROOM.bin OUT.bin",
    ),
    (
        "nRF Connect, compressed",
        "sign --version 0.0.0+0 --align 4 --slot-size 0x7e000 --pad-header --header-size 0x200 --rom-fixed 0xc000 -k P256 --security-counter 3 --compression lzma2armthumb IN.bin OUT.bin",
    ),
    (
        "nRF Connect, encrypted HEX",
        "sign --version 0.0.0+0 --align 4 --slot-size 0x7e000 --pad-header --header-size 0x200 -k P256 --encrypt-keylen 256 --encrypt keys/enc-ecdsa-p256.pem --clear IN.hex OUT.hex",
    ),
    (
        "nRF Connect, encrypted HEX",
        "sign --version 0.0.0+0 --align 4 --slot-size 0x7e000 --pad-header --header-size 0x200 -k ED25519 --hmac-sha 512 --encrypt keys/enc-x25519.pem IN.hex OUT.hex",
    ),
    (
        "nRF Connect, confirmed HEX",
        "sign --version 0.0.0+0 --align 4 --slot-size 0x7e000 --pad-header --header-size 0x200 -k P256 --confirm IN.hex OUT.hex",
    ),
    (
        "nRF Connect's fork only",
        "sign --version 0.0.0+0 --align 4 --slot-size 0x7e000 --pad-header --header-size 0x200 --pad-value 0 IN.bin OUT.bin",
    ),
    (
        "nRF Connect, ids",
        "sign --version 0.0.0+0 --align 4 --slot-size 0x7e000 --pad-header --header-size 0x200 --vid nordicsemi.com --cid nRF54L15 -k ED25519 IN.bin OUT.bin",
    ),
    (
        "ModusToolbox, v2",
        "sign --header-size 0x400 --pad-header --align 8 -v 1.0.0 -S 0xEE000 -M 1904 --overwrite-only -R 0 -k P256 IN.hex OUT.hex",
    ),
    (
        "ModusToolbox, v5",
        "sign --header-size 0x400 --pad-header --align 8 -M 512 -v 1.2.3 -d (1,1.2.3) -S 0x1c0000 -R 0xff -k P256 IN.hex OUT.hex",
    ),
    (
        "ModusToolbox, v5",
        "sign --header-size 0x400 --pad-header --align 8 -M 512 -v 1.2.3 -d (1,1.2.3) -S 0x1c0000 -R 0xff --overwrite-only --pad -k P256 IN.hex OUT.hex",
    ),
    (
        "ModusToolbox, sign_script",
        "sign -e little --pad-header --align 8 -H 0x400 -M 512 -v 1.0.0 -L 0x10000 -S 0x1c0000 -k P256 IN.hex OUT.hex",
    ),
    (
        "ModusToolbox, sign_script",
        "sign -R 0 -e little --pad-header --align 8 -H 0x400 -M 512 -v 1.0.0 -L 0x10000 -S 0x1c0000 -k P256 IN.hex OUT.hex",
    ),
    (
        "ModusToolbox, another erased value",
        "sign --header-size 0x400 --pad-header --align 8 -v 1.0.0 -S 0xEE000 -R 0x00 -k P256 IN.hex OUT.hex",
    ),
    (
        "Trusted Firmware-M",
        "sign -v 2.2.0 -k keys/rsa-3072.pem --public-key-format full --align 1 --pad --pad-header -H 0x400 -s 1 -d (1,0.0.0+0) --overwrite-only --boot-record SPE -S 0x80000 IN.bin OUT.bin",
    ),
    (
        "Trusted Firmware-M, glued",
        "sign -v 2.2.0 -k RSA --align 1 --pad-header -H 0x400 -d '(0, 1.2.3)' -Ekeys/enc-rsa-2048.pub.pem -S 0x80000 IN.bin OUT.bin",
    ),
    (
        "Mbed OS",
        "sign --key RSA --align 4 --version 1.2.3 --header-size 0x1000 --pad-header --slot-size 0xC0000 IN.hex OUT.hex",
    ),
    (
        "Mbed OS, --clear alone",
        "sign --key RSA --align 4 --version 1.2.3 --header-size 0x1000 --pad-header --slot-size 0xC0000 --clear IN.hex OUT.hex",
    ),
    (
        "Mbed OS, encrypted",
        "sign --key RSA --align 4 --version 1.2.3 --header-size 0x1000 --pad-header --slot-size 0xC0000 --encrypt keys/enc-rsa-2048.pub.pem IN.hex OUT.hex",
    ),
    ("Mbed OS", "getpub --key RSA --output OUT.c"),
    ("Mbed OS", "getpriv --key RSA"),
    ("Espressif", "sign --align 4 -v 0 -H 32 --pad-header -S 0x100000 IN.bin OUT.bin"),
    (
        "Espressif",
        "sign -k P256 --pad --pad-sig --align 4 -v 0 -H 32 --pad-header -S 0x00100000 IN.bin OUT.bin",
    ),
    (
        "Espressif, flash encryption",
        "sign -k ED25519 --pad --pad-sig --align 32 --max-align 32 -v 0 -H 32 --pad-header -S 0x100000 IN.bin OUT.bin",
    ),
    (
        "Espressif, dependency",
        "sign --align 4 -v 1.0.0 -d '(1, 0.0.1+0)' -H 32 --pad-header -S 0x100000 IN.bin OUT.bin",
    ),
    ("NuttX, probe", "version"),
    (
        "NuttX",
        "sign --pad --align 4 -v 1.2.3 -s auto -H 0x20 --pad-header -S 0x100000 IN.hex OUT.bin",
    ),
    (
        "NuttX",
        "sign --pad --confirm --align 4 -v 1.2.3 -s auto -H 0x20 --pad-header -S 0x100000 IN.hex OUT.bin",
    ),
    (
        "MCUXpresso",
        "sign --key RSA --align 16 --version 1.1 --slot-size 0x100000 --header-size 0x400 --pad-header IN.bin OUT.bin",
    ),
    (
        "MCUXpresso, older",
        "create --align 4 --max-sectors 32 --version 1.1 --slot-size 0x100000 --header-size 0x400 --pad-header IN.bin OUT.bin",
    ),
    (
        "Arduino, smaller header",
        "sign --key P256 --encrypt keys/enc-ecdsa-p256.pub.pem IN.bin OUT.bin --align 32 --max-align 32 --version 1.2.3+4 --header-size 0x2000 --pad-header --slot-size 0x1E0000",
    ),
    (
        "CMSIS",
        "sign -k RSA --public-key-format full --align 16 --pad --pad-header --boot-record NSPE --header-size 0x400 --slot-size 0xA0000 --security-counter 5 --confirm --dependencies (0,1.6.0+0) -v 1.6.0 IN.bin OUT.bin",
    ),
    ("scripts", "verify --key P256 img/ecdsa-p256.bin"),
    ("scripts", "verify img/unsigned.bin"),
    ("scripts", "dumpinfo img/ecdsa-p256.bin"),
    ("scripts", "dumpinfo --format json img/rsa-2048.bin"),
    ("scripts", "dumpinfo -o OUT.yaml img/rsa-2048.bin"),
    ("scripts", "getpubhash -k P256 -o OUT.c"),
    ("scripts", "getpub -k ED25519 -e pem -o OUT.pem"),
];

/// The line of which only the exit code is another one, as the documentation says.
const ARDUINO: &str = "sign --key P256 --encrypt keys/enc-ecdsa-p256.pub.pem IN.bin OUT.bin \
     --align 32 --max-align 32 --version 1.2.3+4 --header-size 0x20000 --pad-header \
     --slot-size 0x1E0000";

fn args(line: &str) -> Vec<String> {
    let key = |word: &str| match word {
        "RSA" => "keys/rsa-2048.pem".to_owned(),
        "P256" => "keys/ecdsa-p256.pem".into(),
        "P256PUB" => "keys/ecdsa-p256.pub.pem".into(),
        "ED25519" => "keys/ed25519.pem".into(),
        word => word.to_owned(),
    };
    words(line).iter().map(|word| key(word)).collect()
}

#[test]
fn the_command_lines_of_build_systems_do_what_they_do_with_imgtool() {
    let _turn = enter("callers");
    let Some(mut peer) = Peer::start() else { return };
    let code: Vec<u8> = (0..9000_u32).map(|at| ((at * at) >> 7) as u8 & 0x3f).collect();
    let hex = |bytes: &[u8]| emit(&[Segment { address: 0x1000_c000, bytes: bytes.to_vec() }]);
    let room = [&[0; 0x800][..], &code].concat();
    std::fs::write("IN.bin", &code).unwrap();
    std::fs::write("IN.hex", hex(&code)).unwrap();
    std::fs::write("ROOM.bin", &room).unwrap();
    std::fs::write("ROOM.hex", hex(&room)).unwrap();
    let mut made = 0;
    for (who, line) in LINES {
        let args = args(line);
        let output = args.iter().find(|word| word.starts_with("OUT."));
        let run = |outcome: crate::workspace::Outcome| {
            let file = output.and_then(|name| std::fs::read(name).ok());
            output.iter().for_each(|name| drop(std::fs::remove_file(name)));
            (outcome, file)
        };
        let (theirs, their_file) = run(peer.run(&args, &[]));
        let (our, our_file) = run(ours(&args, &[]));
        let told = format!("{who}: imgtool {line}\n{}{}", our.said(), our.err);
        assert_eq!((our.code, our.said()), (theirs.code, theirs.said()), "{told}");
        if theirs.code == 2 {
            assert_eq!(our.error(), theirs.error(), "{told}");
        }
        let (Some(theirs), Some(our)) = (their_file, our_file) else {
            assert!(output.is_none() || theirs.code != 0, "{told}");
            continue;
        };
        made += 1;
        if our == theirs {
            continue;
        }
        let random = line.contains("RSA") || line.contains("P256") || line.contains("rsa-3072");
        let encrypts = words(line).iter().any(|word| word == "--encrypt" || word.starts_with("-E"));
        let name = words(line).into_iter().find(|word| word.contains("keys/enc-"));
        let device = name.filter(|_| encrypts && !line.contains("--clear")).map(|name| {
            let name = name.trim_start_matches("-E").replace(".pub", "");
            let text = std::fs::read_to_string(name).unwrap();
            updraft_sign::DecryptionKey::from_text(&text).unwrap()
        });
        let erased = if line.contains("-R 0 ") { 0 } else { 0xff };
        let is_hex = output.is_some_and(|name| name.ends_with(".hex"));
        let expect = Expect { big_endian: false, random, device, erased, is_hex };
        same(&our, &theirs, &expect).unwrap_or_else(|what| panic!("{what}: {told}"));
    }
    let (theirs, our) = (peer.run(&args(ARDUINO), &[]), ours(&args(ARDUINO), &[]));
    assert_eq!((theirs.code, our.code), (1, 2), "{}", our.err);
    assert!(our.error().contains("does not fit its 16-bit field"), "{}", our.err);
    println!("command lines of build systems: {0} run / {0} total, {made} files", LINES.len() + 1);
}
