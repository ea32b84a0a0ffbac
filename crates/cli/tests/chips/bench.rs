//! A bench: a folder with images, and one chip whose flash outlives its power.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use object::read::elf::ElfFile32;
use object::{Object as _, ObjectSection as _};
use updraft_board::{Area, Board, Role};
use updraft_image::UpgradeMode;
use updraft_qemu::{Emulated, Machine, Setup};

/// How long anything may take on a machine with other things to do.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of the description in an application.
const DESCRIPTION: usize = 256;
/// Of the emulated MPS2: the register of its lights.
const LIGHTS: u32 = 0x4002_f004;
/// Its timer, as the board's driver sets it up.
const TIMER: u32 = 0x4000_2004;
const TICKS_PER_SECOND: f64 = 25e6 / 16.0;
/// Changes of a light that are measured.
const EDGES: usize = 6;
/// The applications of boards.
const APPLICATION: &str = "application.bin";
const NETWORKED: &str = "networked.bin";
/// The application's other flavour, of `mps2-an386`.
const UPGRADE: &str = "upgrade.bin";

/// An emulated chip.
#[derive(Clone, Copy, Debug)]
pub struct Chip {
    /// Its board file.
    pub board: &'static str,
    /// Which of the board's applications.
    application: &'static str,
    /// Whether its board file is beside its programs, and it trusts a test key of the vectors.
    is_variant: bool,
}

/// A board with the application that every board has.
const fn chip(board: &'static str) -> Chip {
    Chip { board, application: APPLICATION, is_variant: false }
}

/// Cortex-M4, flash in a file.
pub const MPS2: Chip = chip("mps2-an386");

/// The same on a network, with the application that uses it.
pub const MPS2_NETWORKED: Chip = Chip { application: NETWORKED, ..MPS2 };

/// The first with the other flavour of its application.
pub const MPS2_UPGRADE: Chip = Chip { application: UPGRADE, ..MPS2 };

/// The same with a factory image, and a button.
pub const MPS2_FACTORY: Chip = Chip { board: "mps2-an386-factory", ..MPS2_NETWORKED };

/// The first with updates on a second device, and P-256.
pub const MPS2_EXTERNAL: Chip = chip("mps2-an386-external");

/// Cortex-M0 with 16 KiB of RAM, flash behind its controller; in three modes, with serial
/// recovery, and with a factory image.
pub const MICROBIT: Chip = chip("microbit");
pub const MICROBIT_OFFSET: Chip = chip("microbit-offset");
pub const MICROBIT_RECOVERY: Chip = chip("microbit-recovery");
pub const MICROBIT_FACTORY: Chip = chip("microbit-factory");
pub const MICROBIT_SCRATCH: Chip = chip("microbit-scratch");

/// The same in Zephyr's layout, for images that nobody has signed.
pub const MICROBIT_ZEPHYR: Chip = chip("microbit-zephyr");

/// Cortex-M3, images on SPI flash that run from RAM; and the same on a network.
pub const SF2: Chip = chip("emcraft-sf2");
pub const SF2_NETWORKED: Chip = Chip { application: NETWORKED, ..SF2 };

impl Chip {
    /// A bootloader, and nothing else, for images that are signed in another way than the board's.
    pub const fn variant(name: &'static str) -> Self {
        Self { is_variant: true, ..chip(name) }
    }

    /// The name of its board file, or where it is.
    fn file(&self, programs: &Path) -> String {
        match self.is_variant {
            true => programs.join("board.toml").display().to_string(),
            false => self.board.to_owned(),
        }
    }

    /// Whether images run from either slot, and have to be confirmed there.
    fn has_trials(&self) -> bool {
        !self.is_variant && Board::load(self.board).unwrap().has_trials()
    }

    /// What the bootloader says when it goes back from an image under test.
    pub fn reverted(&self) -> &'static str {
        match self.has_trials() {
            // It chooses among the two anew.
            true => "boot: starting 1.0.0",
            false => "boot: image under test not confirmed: reverted\r\nboot: starting 1.0.0",
        }
    }

    /// What it says once it has found nothing to start.
    pub fn without_image(&self) -> &'static str {
        match Board::load(self.board).unwrap().recovery() {
            Some(_) => "boot: serial recovery",
            None => "boot: nothing to start: put an image into the primary slot",
        }
    }

    /// What it says when it throws an update away.
    pub fn refused(&self) -> &'static str {
        match self.has_trials() {
            true => "boot: area 2 left out: ",
            false => "boot: secondary slot erased",
        }
    }
}

/// A field of a slot's trailer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Asked,
    Confirmed,
    Started,
}

/// A folder with everything that a test needs, gone when the test has passed.
pub struct Bench {
    pub chip: Chip,
    folder: PathBuf,
    programs: PathBuf,
    /// The board with its flash.
    emulated: Emulated,
    /// What images carry besides their description, by its first line.
    identity: RefCell<Vec<u8>>,
    /// A port of the host that leads to the chip's SMP over UDP.
    pub smp_port: u16,
}

/// A signed image.
pub struct Image {
    pub path: PathBuf,
    pub bytes: Vec<u8>,
}

/// How a command ended and what it said.
pub struct Said {
    pub line: String,
    pub ok: bool,
    pub text: String,
}

impl Said {
    fn new(command: &Command, output: &Output) -> Self {
        let text = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
        Self { line: format!("{command:?}"), ok: output.status.success(), text }
    }

    /// What it said; it has to have succeeded.
    pub fn ok(self) -> String {
        assert!(self.ok, "{}\n{}", self.line, self.text);
        self.text
    }

    /// What it said; it has to have failed.
    pub fn refused(self) -> String {
        assert!(!self.ok, "{}\n{}", self.line, self.text);
        self.text
    }
}

impl Bench {
    /// A chip with erased flash. `None`: nobody has built its programs, and this has said so.
    pub fn new(chip: Chip, test: &str) -> Option<Self> {
        let Some(programs) = std::env::var_os("UPDRAFT_FIRMWARE") else {
            println!("left out: UPDRAFT_FIRMWARE is not set; `cargo xtask qemu --test` runs this");
            return None;
        };
        let programs = PathBuf::from(programs).join(chip.board);
        let name = format!("updraft-chips-{}-{test}-{}", chip.board, std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let board = Board::load(&chip.file(&programs)).unwrap();
        let emulated = Emulated::new(board, &programs, &folder.join("flash.bin"));
        let mut emulated = emulated.unwrap_or_else(|error| panic!("{error}"));
        let smp_port = free_port();
        if chip.application == NETWORKED {
            emulated = emulated.on_network(SocketAddr::from((Ipv4Addr::LOCALHOST, smp_port)));
        }
        Some(Self { chip, folder, programs, emulated, identity: RefCell::default(), smp_port })
    }

    /// One of its programs.
    pub fn program(&self, name: &str) -> PathBuf {
        let path = self.programs.join(name);
        assert!(path.exists(), "{} is not there: `cargo xtask firmware`", path.display());
        path
    }

    /// Runs `updraft` in the folder.
    pub fn updraft(&self, args: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_updraft"));
        command.args(args).current_dir(&self.folder).stdin(Stdio::null());
        let output = command.output().unwrap();
        Said::new(&command, &output)
    }

    /// The key that its images are signed with.
    pub fn sample_key(&self) -> String {
        match self.chip.is_variant {
            true => format!("vectors/mcuboot/keys/{}.pem", self.scheme()),
            false => format!("firmware/keys/sample-{}.pem", self.scheme()),
        }
    }

    /// How its images are signed.
    pub fn scheme(&self) -> &'static str {
        self.emulated.board().boot().signature.name()
    }

    /// The application, which behaves as the lines of `app` say, signed with the sample key.
    pub fn image(&self, version: &str, app: &str) -> Image {
        self.signed_with(&self.sample_key(), version, app)
    }

    /// The same with so many bytes behind the program that no other version has: sectors that two
    /// images have in common are not moved.
    pub fn image_with_tail(&self, version: &str, app: &str, tail: usize) -> Image {
        self.sign(&self.sample_key(), version, app, tail)
    }

    /// The same, signed with another key of the project's.
    pub fn signed_with(&self, key: &str, version: &str, app: &str) -> Image {
        self.sign(key, version, app, 0)
    }

    /// The application as it was built, with its own description.
    pub fn as_built(&self, version: &str) -> Image {
        let program = std::fs::read(self.program(self.chip.application)).unwrap();
        self.seal(&self.sample_key(), version, program)
    }

    fn sign(&self, key: &str, version: &str, app: &str, tail: usize) -> Image {
        let mut program = std::fs::read(self.program(self.chip.application)).unwrap();
        let mut text = format!("updraft-app 1\nname = blinky\n{app}").into_bytes();
        assert!(text.len() <= DESCRIPTION);
        text.resize(DESCRIPTION, 0);
        fill(&mut program, b"updraft-app 1\n", &text);
        let identity = self.identity.borrow();
        if !identity.is_empty() {
            fill(&mut program, b"updraft-tls 1\n", &identity);
        }
        let mut chance = Chance(version.bytes().fold(1, |sum, byte| sum * 31 + u64::from(byte)));
        program.extend((0..tail).map(|_| chance.below(256) as u8));
        self.seal(key, version, program)
    }

    /// Any program as an image.
    pub fn seal(&self, key: &str, version: &str, program: Vec<u8>) -> Image {
        self.seal_for(&self.chip.file(&self.programs), key, version, program)
    }

    /// The same for a board that is another one by its class alone.
    pub fn seal_for_another(&self, key: &str, version: &str, program: Vec<u8>) -> Image {
        let name = self.chip.board;
        let file = format!("{}/../../boards/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let board = std::fs::read_to_string(file).unwrap();
        let class = format!("class = \"{name}\"");
        assert!(board.contains(&class));
        let path = self.folder.join("another.toml");
        std::fs::write(&path, board.replace(&class, "class = \"another\"")).unwrap();
        self.seal_for(path.to_str().unwrap(), key, version, program)
    }

    fn seal_for(&self, board: &str, key: &str, version: &str, program: Vec<u8>) -> Image {
        let build = self.folder.join(format!("{version}.bin"));
        std::fs::write(&build, program).unwrap();
        let path = self.folder.join(format!("{version}.signed.bin"));
        let key = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(key);
        let [key, build, image] = [&key, &build, &path].map(|path| path.to_str().unwrap());
        let signed = ["--allow-sample-key", "--key", key];
        let signed = &signed[..if self.scheme() == "none" { 0 } else { signed.len() }];
        let options = [&["--board", board, "--version", version], signed].concat();
        // The running application marks what it takes.
        let plain = &["--no-pad"][..usize::from(self.chip.has_trials())];
        self.updraft(&[&["image", "sign"][..], &options, plain, &[build, image]].concat()).ok();
        let bytes = std::fs::read(&path).unwrap();
        Image { path, bytes }
    }

    /// A file in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A tool of the system in its folder.
    pub fn tool(&self, name: &str, args: &[&str]) -> Command {
        let mut command = Command::new(name);
        command.args(args).current_dir(&self.folder).stdin(Stdio::null());
        command
    }

    /// Makes the certificates of a lab. From now on, images carry its authority's, and `device`'s
    /// with its key, if there is one.
    pub fn lab(&self, device: Option<&str>) {
        self.updraft(&["certs", "lab", "127.0.0.1"]).ok();
        let der = |kind: &str, file: &str| {
            let output = self.tool("openssl", &[kind, "-in", file, "-outform", "DER"]).output();
            output.expect("openssl: `cargo xtask setup` installs it").stdout
        };
        let [mut certificate, mut key] = [Vec::new(), Vec::new()];
        if let Some(name) = device {
            certificate = der("x509", &format!("{name}.crt"));
            let pkcs8 = der("pkey", &format!("{name}.key"));
            // The number itself is an octet string of 32 bytes.
            let at = pkcs8.windows(5).position(|window| window == [2, 1, 1, 4, 32]).unwrap();
            key = pkcs8[at + 5..at + 37].to_vec();
        }
        let mut identity = b"updraft-tls 1\n".to_vec();
        for part in [der("x509", "mosquitto_ca.crt"), certificate, key] {
            identity.extend(u16::try_from(part.len()).unwrap().to_le_bytes());
            identity.extend(part);
        }
        *self.identity.borrow_mut() = identity;
    }

    /// How long its button is held for the factory image.
    pub fn rollback_hold(&self) -> Duration {
        self.emulated.board().rollback_hold().unwrap()
    }

    /// A slot.
    pub fn area(&self, role: Role) -> &Area {
        self.emulated.board().area(role).unwrap()
    }

    /// Where a slot begins, if code can run from it.
    pub fn address(&self, role: Role) -> u32 {
        let area = self.area(role);
        self.emulated.board().flash()[area.device].base.unwrap() + area.offset
    }

    /// Programs `bytes` into a slot, from `offset` on. The chip has no power.
    pub fn put(&self, role: Role, offset: usize, bytes: &[u8]) {
        self.emulated.put(self.area(role), offset, bytes).unwrap();
    }

    /// What a slot holds; flash that is in no file has to be without power.
    pub fn slot(&self, role: Role) -> Vec<u8> {
        self.emulated.area(self.area(role)).unwrap()
    }

    /// Where in the secondary slot updates begin.
    pub fn update_start(&self) -> usize {
        let board = self.emulated.board();
        let sector = board.sectors(self.area(Role::Secondary))[0].size as usize;
        if board.mode() == UpgradeMode::SwapOffset { sector } else { 0 }
    }

    /// Whether a slot holds the image: at its beginning, or where updates begin.
    pub fn holds(&self, role: Role, image: &Image) -> bool {
        let slot = self.slot(role);
        let there = |at: usize| slot[at..].starts_with(&image.bytes);
        there(0) || (role == Role::Secondary && there(self.update_start()))
    }

    /// A chip with this image and nothing else.
    pub fn provision(&self, image: &Image) {
        for role in [Role::Primary, Role::Secondary] {
            self.put(role, 0, &vec![0xff; self.area(role).size as usize]);
        }
        self.put(Role::Primary, 0, &image.bytes);
        if self.chip.has_trials() {
            // What nobody has asked for runs only if there is nothing better.
            self.mark(Role::Primary, &[Mark::Asked, Mark::Confirmed, Mark::Started]);
        }
    }

    /// Writes fields of a slot's trailer.
    pub fn mark(&self, role: Role, fields: &[Mark]) {
        let layout = self.emulated.board().trailer(self.area(role)).unwrap();
        for field in fields {
            let magic = updraft_image::magic_bytes(layout.max_align());
            let (at, bytes) = match field {
                Mark::Asked => (layout.magic(), &magic[..]),
                Mark::Confirmed => (layout.image_ok(), &[1][..]),
                Mark::Started => (layout.copy_done(), &[1][..]),
            };
            self.put(role, at as usize, bytes);
        }
    }

    /// Where the first update of a provisioned chip runs from.
    pub fn updated(&self) -> Role {
        // Where slots are of equal rank, nothing is moved.
        if self.chip.has_trials() { Role::Secondary } else { Role::Primary }
    }

    /// Whether such an update has taken place: the new image is where it runs from, the old one in the
    /// other slot.
    pub fn is_updated(&self, new: &Image, old: &Image) -> bool {
        let other = match self.updated() {
            Role::Primary => Role::Secondary,
            _ => Role::Primary,
        };
        self.holds(self.updated(), new) && self.holds(other, old)
    }

    /// Puts an update into the secondary slot and asks for it, for good or for a test, as an
    /// application would.
    pub fn request(&self, image: &[u8], permanent: bool) {
        self.put(Role::Secondary, self.update_start(), image);
        let fields = [Mark::Asked, Mark::Confirmed];
        self.mark(Role::Secondary, &fields[..if permanent { 2 } else { 1 }]);
    }

    /// The chip with power. On a network its clock goes by its instructions: a host with other things
    /// to do would let it be late, and its watchdog reset it, while it shakes hands.
    pub fn start(&self) -> Powered<'_> {
        let clock = ["-icount", "shift=6"];
        let is_networked = self.chip.application == NETWORKED;
        let chip = self.start_with(|setup| setup.args(clock.into_iter().filter(|_| is_networked)));
        chip.machine().resume().unwrap();
        chip
    }

    /// The same, stopped before its first instruction.
    pub fn start_paused(&self) -> Powered<'_> {
        self.start_with(|setup| setup)
    }

    /// The same, its instructions are counted.
    pub fn start_counting(&self) -> Powered<'_> {
        self.start_with(Setup::counting)
    }

    /// The chip with another bootloader: the same with other bytes wherever the ELF file's `section` has
    /// some, and how often that is.
    pub fn start_patched(
        &self,
        section: &str,
        changes: &[([u8; 4], [u8; 4])],
        len: usize,
    ) -> (usize, Powered<'_>) {
        let mut program = std::fs::read(self.program("bootloader.elf")).unwrap();
        let section = {
            let file = ElfFile32::<object::Endianness>::parse(&*program).unwrap();
            let (start, size) = file.section_by_name(section).unwrap().file_range().unwrap();
            start as usize..(start + size) as usize
        };
        let mut places = 0;
        for (from, to) in changes {
            for at in section.start..=section.end - len {
                if program[at..].starts_with(&from[..len]) {
                    program[at..at + len].copy_from_slice(&to[..len]);
                    places += 1;
                }
            }
        }
        let path = self.folder.join("patched.elf");
        std::fs::write(&path, program).unwrap();
        // The last one counts.
        let chip = self.start_with(|setup| setup.args(["-kernel".into(), path.into_os_string()]));
        chip.machine().resume().unwrap();
        (places, chip)
    }

    fn start_with(&self, more: impl FnOnce(Setup) -> Setup) -> Powered<'_> {
        let chip = self.emulated.start_paused(more(self.emulated.setup().unwrap()));
        Powered { bench: self, chip: Some(chip.unwrap_or_else(|error| panic!("{error}"))) }
    }
}

/// A port of the host that nobody listens at.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Puts `bytes` where `program` has `first`.
fn fill(program: &mut [u8], first: &[u8], bytes: &[u8]) {
    let at = program.windows(first.len()).position(|window| window == first).unwrap();
    program[at..at + bytes.len()].copy_from_slice(bytes);
}

impl Drop for Bench {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// A chip with power. Dropping it takes the power away.
pub struct Powered<'b> {
    bench: &'b Bench,
    chip: Option<updraft_qemu::Powered<'b>>,
}

impl Powered<'_> {
    /// The machine.
    pub fn machine(&self) -> &Machine {
        self.chip.as_ref().unwrap().machine()
    }

    /// Presses or releases the button.
    pub fn press(&self, pressed: bool) {
        self.chip.as_ref().unwrap().press(pressed).unwrap();
    }

    /// How long the light stays as it is, over some changes, by the chip's own clock: looking at it
    /// stops the chip.
    pub fn half_period(&self) -> Duration {
        let until = Instant::now() + PATIENCE;
        let word = |place| {
            let bytes = self.machine().read(place, 4).unwrap();
            u32::from_le_bytes(bytes.try_into().unwrap())
        };
        let mut edges = Vec::new();
        let mut last = word(LIGHTS) & 1;
        while edges.len() <= EDGES {
            assert!(Instant::now() < until, "{} changes of the light", edges.len());
            std::thread::sleep(Duration::from_millis(5));
            if word(LIGHTS) & 1 != last {
                last ^= 1;
                edges.push(word(TIMER));
            }
        }
        // It counts down.
        let ticks = edges[0].wrapping_sub(edges[EDGES]) / EDGES as u32;
        Duration::from_secs_f64(f64::from(ticks) / TICKS_PER_SECOND)
    }

    /// Its board file.
    pub fn board(&self) -> &'static str {
        self.bench.chip.board
    }

    /// Waits for a text on the console.
    pub fn wait(&self, text: &str) {
        self.machine().line(0).wait(text, PATIENCE).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Everything that was printed.
    pub fn printed(&self) -> String {
        self.machine().line(0).printed()
    }

    /// Our client.
    pub fn smp(&self, args: &[&str]) -> Said {
        let line = self.machine().line(0).path().to_str().unwrap();
        self.bench.updraft(&[&["smp", "--serial", line], args].concat())
    }

    /// Our client, still at work.
    pub fn smp_begun(&self, args: &[&str]) -> std::process::Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_updraft"));
        command.arg("smp").arg("--serial").arg(self.machine().line(0).path()).args(args);
        command.current_dir(&self.bench.folder).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// smpmgr. `None`: this run does without foreign tools, and has said so.
    pub fn smpmgr(&self, args: &[&str]) -> Option<Said> {
        if std::env::var_os("UPDRAFT_CORE").is_some() {
            println!("left out: UPDRAFT_CORE is set, and this needs smpmgr");
            return None;
        }
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools");
        let mut command = Command::new(tools.join("venv/bin/smpmgr"));
        command.arg("--port").arg(self.machine().line(0).path()).args(args).stdin(Stdio::null());
        let output = command.output().expect("smpmgr is not there: `cargo xtask setup` brings it");
        Some(Said::new(&command, &output))
    }

    /// Brings what is in flash to where [`Bench::slot`] finds it, and lets the chip stand still.
    pub fn save(&self) {
        self.machine().pause().unwrap();
        self.chip.as_ref().unwrap().save().unwrap();
    }

    /// Takes the power away, wherever the chip is.
    pub fn cut(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some(chip) = self.chip.take() else { return };
        let errors = chip.cut();
        assert!(
            std::thread::panicking() || errors.as_ref().is_ok_and(String::is_empty),
            "the chip does not allow: {errors:?}"
        );
    }
}

impl Drop for Powered<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

/// Random numbers that can be had again.
pub struct Chance(u64);

impl Chance {
    /// As `UPDRAFT_SEED` says, or new ones; what they came from is printed.
    pub fn new() -> Self {
        let given = std::env::var("UPDRAFT_SEED").ok().and_then(|seed| seed.parse().ok());
        let now = || std::time::UNIX_EPOCH.elapsed().map_or(1, |time| time.as_nanos() as u64);
        let seed = given.unwrap_or_else(now);
        println!("UPDRAFT_SEED={seed} replays this");
        Self(seed | 1)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
