//! Against imgtool itself, over generated options: the same image from both, ours verified by it,
//! its verified by us, and keys read both ways.
//!
//! `UPDRAFT_IMGTOOL` or `.tools/venv/bin/imgtool` is the program; without it these tests fail,
//! unless `UPDRAFT_CORE=1` leaves out what needs foreign tools. `UPDRAFT_SEED` replays a run.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

use updraft_image::{
    Dependency, Flags, HashKind, Header, Rules, Scheme, Signed, Software, TlvType, UpgradeMode,
    Version, validate,
};
use updraft_sign::inspect::SignatureState;
use updraft_sign::signing::SigningKey;
use updraft_sign::{
    Compression, Key, KeyFormat, KeyKind, Language, NamedKey, Padding, Placement, PrivateForm,
    PublicKey, SecurityCounter, SignOptions, inspect, listing, sign,
};

use crate::replay::{RANDOM, same_but_for_the_signature};
use crate::vectors::{path, text};

const CASES: usize = 24;

/// The program, or `None` if foreign tools are left out of this run.
pub fn imgtool() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = match std::env::var_os("UPDRAFT_IMGTOOL") {
        Some(path) => path.into(),
        None => root.join(".tools/venv/bin/imgtool"),
    };
    if path.exists() {
        return Some(path);
    }
    assert!(
        std::env::var_os("UPDRAFT_CORE").is_some_and(|value| value == "1"),
        "imgtool is missing at {}: run `cargo xtask setup`",
        path.display()
    );
    println!("left out: imgtool is missing, and UPDRAFT_CORE=1 asks for no foreign tools");
    None
}

fn run(program: &Path, args: &[String]) -> Output {
    Command::new(program).args(args).output().unwrap()
}

/// Runs imgtool and expects success; returns its standard output.
pub fn succeed(program: &Path, args: &[String]) -> Vec<u8> {
    let output = run(program, args);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "imgtool {}\n{errors}", args.join(" "));
    output.stdout
}

fn words(args: &[&str]) -> Vec<String> {
    args.iter().map(|arg| (*arg).to_owned()).collect()
}

/// A folder of this test's own.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Random numbers from a seed (splitmix64).
pub struct Random(u64);

impl Random {
    /// Of the seed in `UPDRAFT_SEED`, or of a fresh one, which is printed.
    pub fn from_clock(what: &str) -> Self {
        let [_, seed] = seeds();
        println!("{what}: UPDRAFT_SEED={seed}");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }

    pub fn bytes(&mut self, len: u64) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }

    fn version(&mut self) -> Version {
        let n = self.next();
        Version::new(n as u8, (n >> 8) as u8, (n >> 16) as u16, (n >> 32) as u32)
    }
}

/// Options, and the same for imgtool.
struct Case {
    options: SignOptions,
    scheme: Option<Scheme>,
    args: Vec<String>,
    input: Vec<u8>,
}

fn case(random: &mut Random) -> Case {
    let scheme = match random.one_in(6) {
        true => None,
        false => Some(random.of(&Scheme::ALL)),
    };
    let header_size = random.of(&[32, 64, 0x80, 0x200, 0x401]);
    let version = random.version();
    let mut o = SignOptions::new(version, header_size, random.of(&[0x8000, 0x10000, 0x18000]));
    let mut args = words(&["sign", "-v", &version.to_string()]);
    let mut arg = |name: &str, value: String| args.extend([name.to_owned(), value]);
    arg("-H", header_size.to_string());
    arg("-S", format!("{:#x}", o.slot_size));
    o.align = random.of(&[1, 2, 4, 8, 16, 32]);
    arg("--align", o.align.to_string());
    if random.one_in(3) {
        o.max_align = Some(random.of(&[8, 16, 32]).max(o.align));
        arg("--max-align", o.trailer_align().to_string());
    }
    if random.one_in(2) {
        o.max_sectors = 1 + random.below(60) as u32;
        arg("-M", o.max_sectors.to_string());
    }
    if random.one_in(3) {
        o.erased = random.of(&[0, 0xff]);
        arg("-R", if o.erased == 0 { "0".into() } else { "0xff".into() });
    }
    match random.below(4) {
        0 => {
            o.security_counter = Some(SecurityCounter::FromVersion);
            arg("-s", "auto".into());
        }
        1 => {
            let value = random.next() as u32;
            o.security_counter = Some(SecurityCounter::Value(value));
            arg("-s", value.to_string());
        }
        _ => {}
    }
    if random.one_in(3) {
        o.dependencies = (0..=random.below(2))
            .map(|_| Dependency { image: random.below(256) as u8, version: random.version() })
            .collect();
        let list = o.dependencies.iter().map(|one| format!("({}, {})", one.image, one.version));
        arg("-d", list.collect::<Vec<_>>().join(","));
    }
    if random.one_in(3) {
        let vendor = format!("vendor-{}.example", random.below(1000));
        o.vendor_id = Some(updraft_board::vendor_id(&vendor).unwrap());
        arg("--vid", vendor);
        if random.one_in(2) {
            let class = format!("Bœrd {}", random.below(1000));
            o.class_id = Some(updraft_board::class_id(&class, o.vendor_id).unwrap());
            arg("--cid", class);
        }
    }
    match random.below(5) {
        0 => {
            let address = 1 + random.below(u32::MAX.into()) as u32;
            o.placement = Placement::RamLoad(address);
            arg("-L", format!("{address:#x}"));
        }
        1 => {
            let address = 1 + random.below(u32::MAX.into()) as u32;
            o.placement = Placement::RomFixed(address);
            arg("-F", format!("{address:#x}"));
        }
        _ => {}
    }
    if random.one_in(4) {
        let name: String = "NSPE-firmwar".chars().take(1 + random.below(12) as usize).collect();
        o.boot_record = Some(name.clone());
        arg("--boot-record", name);
    }
    match random.below(6) {
        0 => {
            o.compression = Some(Compression::Lzma2);
            arg("--compression", "lzma2".into());
        }
        1 => {
            o.compression = Some(Compression::Lzma2ArmThumb);
            arg("--compression", "lzma2armthumb".into());
        }
        _ => {}
    }
    for kind in [0xa0, 0x1a2, 0xfffe] {
        if random.one_in(3) {
            let len = random.below(40);
            let value = random.bytes(len);
            let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
            args.extend(words(&["--custom-tlv", &kind.to_string(), &format!("0x{hex}")]));
            o.custom_tlvs.push((TlvType(kind), value));
        }
    }
    let mut flag = |name: &str| args.push(name.to_owned());
    match random.below(6) {
        0 => {
            o.padding = Padding::Pending;
            flag(random.of(&["--pad", "--test"]));
        }
        1 => {
            o.padding = Padding::Confirmed;
            flag("--confirm");
        }
        _ => {}
    }
    if random.one_in(4) {
        o.mode = UpgradeMode::OverwriteOnly;
        flag("--overwrite-only");
    }
    // imgtool forgets the flag when it compresses.
    if o.compression.is_none() && random.one_in(6) {
        o.non_bootable = true;
        flag("--non-bootable");
    }
    match scheme {
        None => {
            o.hash = random.of(&[None, Some(HashKind::Sha384), Some(HashKind::Sha512)]);
        }
        Some(Scheme::EcdsaP256 | Scheme::EcdsaP384) if random.one_in(3) => {
            o.pad_signature = true;
            flag("--pad-sig");
        }
        Some(Scheme::Ed25519) => match random.below(3) {
            0 => {
                o.pure = true;
                flag("--pure");
            }
            1 => o.hash = Some(HashKind::Sha512),
            _ => {}
        },
        Some(_) => {}
    }
    match o.hash {
        Some(HashKind::Sha384) => args.extend(words(&["--sha", "384"])),
        Some(HashKind::Sha512) => args.extend(words(&["--sha", "512"])),
        _ => {}
    }
    if random.one_in(5) {
        o.key_format = KeyFormat::Full;
        args.extend(words(&["--public-key-format", "full"]));
    }
    let len = 1 + random.below(6000);
    let mut input = random.bytes(len);
    if o.compression.is_some() && !random.one_in(6) {
        // imgtool asks for room in the slot before it compresses.
        input = input.repeat(1 + 12_000 / input.len());
    }
    o.pad_header = !random.one_in(3);
    match o.pad_header {
        true => args.push("--pad-header".into()),
        false => input.splice(0..0, vec![0; header_size as usize]).for_each(drop),
    }
    Case { options: o, scheme, args, input }
}

/// What a bootloader says that looks its keys up by their hash.
fn accepts(image: &[u8], key: &Key, options: &SignOptions) -> bool {
    let keys = [key.public().as_embedded().unwrap()];
    let hash = options.hash.or(key.scheme().and_then(|it| it.usual_hash(options.pure))).unwrap();
    let signed = if options.pure { Signed::Image } else { Signed::Hash };
    let rules = Rules { hash, signed, supported: Flags::COMPRESSED, ..Rules::default() };
    let header = Header::parse(image).unwrap();
    // A slot is larger than its image.
    let slot = [image, &[0xff; 32]].concat();
    validate(&mut slot.as_slice(), &header, &rules, &mut Software::new(&keys)).is_ok()
}

fn check(imgtool: &Path, folder: &Path, case: &Case, key: Option<(&Key, &Path)>) {
    let Case { options, args, input, .. } = case;
    let name = |path: &Path| path.to_str().unwrap().to_owned();
    let [input_file, theirs_file, ours_file] =
        ["input.bin", "theirs.bin", "ours.bin"].map(|name| folder.join(name));
    std::fs::write(&input_file, input).unwrap();
    let mut args = args.clone();
    let mut verify = words(&["verify"]);
    if let Some((_, key)) = key {
        args.extend(["-k".into(), name(key)]);
        verify.extend(["-k".into(), name(key)]);
    }
    args.extend([name(&input_file), name(&theirs_file)]);
    verify.push(name(&ours_file));
    succeed(imgtool, &args);
    let theirs = std::fs::read(&theirs_file).unwrap();
    let signer = key.map(|(key, _)| key);
    let ours = sign(input, options, signer.map(|key| key as &dyn SigningKey)).unwrap();

    let line = args.join(" ");
    if case.scheme.is_some_and(|scheme| RANDOM.contains(&scheme.tlv())) {
        assert!(same_but_for_the_signature(&ours, &theirs, options.erased), "imgtool {line}");
    } else {
        assert!(ours == theirs, "imgtool {line}");
    }
    std::fs::write(&ours_file, &ours).unwrap();
    // imgtool verifies hashes other than SHA-256 with a key that goes with them only.
    if signer.is_some() || matches!(options.hash, None | Some(HashKind::Sha256)) {
        let said = String::from_utf8(succeed(imgtool, &verify)).unwrap();
        assert!(said.contains("Image was correctly validated"), "{said}");
        assert!(said.contains(&format!("Image version: {}", options.version)), "{said}");
    }
    let Some(key) = signer else {
        return;
    };
    let named = [NamedKey { name: "key".into(), key: key.public().clone() }];
    for image in [&ours, &theirs] {
        let inspection = inspect(image, &named).unwrap();
        assert_eq!(inspection.signatures[0].state, SignatureState::Good, "imgtool {line}");
        let inside = inspection.uncompressed.iter().flat_map(|inside| &inside.signatures);
        assert!(inside.clone().all(|found| found.state == SignatureState::Good), "imgtool {line}");
        let compressed = Header::parse(image).unwrap().flags.intersects(Flags::COMPRESSED);
        assert_eq!(inside.count(), usize::from(compressed), "imgtool {line}");
        // With the full key in the image the bootloader looks keys up in hardware.
        if options.key_format == KeyFormat::Hash {
            assert!(accepts(image, key, options), "imgtool {line}");
        }
    }
    let mut altered = ours.clone();
    let at = options.header_size as usize;
    altered[at] ^= 1;
    std::fs::write(&ours_file, &altered).unwrap();
    assert!(!run(imgtool, &verify).status.success(), "imgtool {line}");
    assert!(!accepts(&altered, key, options), "imgtool {line}");
}

fn seeds() -> [u64; 2] {
    let given = std::env::var("UPDRAFT_SEED").ok().and_then(|seed| seed.parse().ok());
    let fresh = || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        u64::from(now.subsec_nanos()) ^ (now.as_secs() << 20)
    };
    [1, given.unwrap_or_else(fresh)]
}

#[test]
fn both_make_the_same_image_and_verify_each_others() {
    let Some(imgtool) = imgtool() else {
        return;
    };
    let folder = folder("imgtool-sign");
    // Fixed keys, so that a seed replays everything.
    let keys = Scheme::ALL.map(|scheme| {
        let name = format!("keys/{}.pem", scheme.name());
        (Key::from_pem(&text(&name)).unwrap(), path(&name))
    });
    for seed in seeds() {
        println!("{CASES} cases of UPDRAFT_SEED={seed}");
        let mut random = Random(seed);
        for number in 0..CASES {
            let case = case(&mut random);
            let key = keys.iter().find(|(key, _)| key.scheme() == case.scheme);
            let key = key.map(|(key, path)| (key, path.as_path()));
            println!("  {number}: imgtool {}", case.args.join(" "));
            check(&imgtool, &folder, &case, key);
        }
    }
}

#[test]
fn both_read_each_others_keys() {
    let Some(imgtool) = imgtool() else {
        return;
    };
    let folder = folder("imgtool-keys");
    for kind in KeyKind::ALL {
        let name = kind.name();
        let path = folder.join(format!("{name}.pem"));
        let file = path.to_str().unwrap();
        // Theirs, read by us.
        let _ = std::fs::remove_file(&path);
        succeed(&imgtool, &words(&["keygen", "-t", name, "-k", file]));
        let theirs = Key::from_pem(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(theirs.kind(), kind);
        let pem = succeed(&imgtool, &words(&["getpub", "-k", file, "-e", "pem"]));
        let public = PublicKey::from_pem(&String::from_utf8(pem).unwrap()).unwrap();
        assert_eq!(&public, theirs.public());
        // Ours, read by them: private, then public alone.
        let ours = Key::generate(kind).unwrap();
        for pem in [ours.to_pem().to_string(), ours.public().to_pem()] {
            std::fs::write(&path, pem).unwrap();
            let raw = succeed(&imgtool, &words(&["getpub", "-k", file, "-e", "raw"]));
            assert_eq!(raw, ours.public().as_der());
            let hash = succeed(&imgtool, &words(&["getpubhash", "-k", file, "-e", "raw"]));
            assert_eq!(hash, ours.public().hash(HashKind::Sha256).as_bytes());
        }
        if !kind.decrypts() {
            continue;
        }
        std::fs::write(&path, ours.to_pem().as_bytes()).unwrap();
        for (format, form) in [("pkcs8", PrivateForm::Pkcs8), ("openssl", PrivateForm::Traditional)]
        {
            for minimal in [false, true] {
                let mut args = words(&["getpriv", "-k", file, "-f", format]);
                args.extend(minimal.then(|| "--minimal".to_owned()));
                match ours.private_der(form, minimal) {
                    Ok(der) => {
                        let printed = succeed(&imgtool, &args);
                        let expected = listing(Language::C, "enc_priv_key", "", &der);
                        assert_eq!(String::from_utf8(printed).unwrap(), expected);
                    }
                    Err(_) => assert!(!run(&imgtool, &args).status.success(), "{args:?}"),
                }
            }
        }
    }
}
