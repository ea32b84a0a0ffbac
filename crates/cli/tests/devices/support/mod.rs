//! A bench: a folder with keys, builds, images and the flash files of devices.

mod chance;
mod device;
mod foreign;
mod raw;
mod relay;
#[cfg(unix)]
mod wire;

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use updraft_board::Board;

pub use chance::Chance;
pub use device::{Device, Over, Setup};
pub use foreign::{Space, later_zephyr, tool, zephyr};
pub use raw::{Raw, Sending, code};
pub use relay::{Fate, Relay, Way, Weather};
#[cfg(unix)]
pub use wire::Wire;

/// An application that waits for a host to confirm it.
pub const HOST: &str = "confirm = host\nself-test-ms = 0\n";
/// One that confirms itself at once.
pub const SELF: &str = "confirm = self\nself-test-ms = 0\n";
/// Bytes of firmware where the size does not matter.
const BODY: usize = 24 * 1024;

/// A folder with everything that a test needs, gone when the test has passed.
pub struct Bench {
    folder: PathBuf,
    /// Name or file of the board.
    board: String,
}

/// A signed image.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its file in the folder of the bench.
    pub file: String,
    /// Its version, as it was given to the signer.
    pub version: String,
    /// The image.
    pub bytes: Vec<u8>,
    /// Its hash in hexadecimal.
    pub hash: String,
}

/// How a command ended and what it said.
#[derive(Debug)]
pub struct Said {
    pub line: String,
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    pub fn new(line: &str, output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("commands speak UTF-8");
        let (out, err) = (text(output.stdout), text(output.stderr));
        Self { line: line.to_owned(), code: output.status.code(), out, err }
    }

    /// What it said; it has to have succeeded.
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}\n{}{}", self.line, self.out, self.err);
        self.out
    }

    /// The JSON that it printed; it has to have succeeded.
    pub fn json(self) -> Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// What it complained of; it has to have failed with this exit code.
    pub fn fails(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}\n{}{}", self.line, self.out, self.err);
        self.err
    }

    /// The same, and the complaint has to hold all of these texts.
    pub fn complains(self, of: &[&str]) {
        let line = self.line.clone();
        let complaint = self.fails(1);
        for text in of {
            assert!(complaint.contains(text), "{line}: no `{text}` in\n{complaint}");
        }
    }
}

impl Bench {
    /// A bench for devices of kind virtual-nor-4k, which has a key in `key.pem` and `key.pub.pem`.
    pub fn new(name: &str) -> Self {
        Self::with_board(name, "virtual-nor-4k")
    }

    /// A bench for devices of another kind.
    pub fn with_board(name: &str, board: &str) -> Self {
        let name = format!("{name}-{}", std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let bench = Self { folder, board: board.to_owned() };
        let signature = Board::load(board).unwrap().boot().signature.name();
        bench.updraft(&format!("key new key.pem --type {signature}")).ok();
        bench.updraft("key public key.pem -o key.pub.pem").ok();
        bench
    }

    /// A bench for virtual-nor-4k with another line in its board file.
    pub fn with_line(name: &str, line: &str, instead: &str) -> Self {
        Self::with_board_line(name, "virtual-nor-4k", line, instead)
    }

    /// A bench for a board with another line in its board file.
    pub fn with_board_line(name: &str, board: &str, line: &str, instead: &str) -> Self {
        let mut bench = Self::with_board(name, board);
        let text = bench.board().to_toml();
        assert!(text.contains(line), "{line} is not in\n{text}");
        let file = bench.path("board.toml");
        std::fs::write(&file, text.replace(line, instead)).unwrap();
        bench.board = file.display().to_string();
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn board(&self) -> Board {
        Board::load(&self.board).unwrap()
    }

    /// Runs the command in the folder; its arguments are separated by single spaces.
    pub fn updraft(&self, line: &str) -> Said {
        let mut command = Space::Host.command(env!("CARGO_BIN_EXE_updraft"));
        let command = command.args(line.split(' ')).current_dir(&self.folder).env("COLUMNS", "80");
        let command = command.env("UPDRAFT_DEVICES", self.path("devices.toml"));
        Said::new(line, command.output().unwrap())
    }

    /// Signs firmware that behaves as the lines of `app` describe.
    pub fn image(&self, version: &str, app: &str) -> Image {
        self.image_of(BODY, version, app)
    }

    /// The same with firmware of `size` bytes.
    pub fn image_of(&self, size: usize, version: &str, app: &str) -> Image {
        let text = format!("updraft-app 1\nname = blinky\n{app}\0");
        self.signed(version, &firmware(text.into_bytes(), size, version), "-k key.pem")
    }

    /// Signs with a foreign imgtool what [`Bench::image`] signs with our own.
    pub fn signed_by(&self, imgtool: &str, version: &str, app: &str) -> Image {
        let Image { file, .. } = self.image(version, app);
        let board = self.board();
        let signing = board.signing(0).unwrap();
        let ids = board.ids().unwrap();
        let id =
            |bytes: [u8; 16]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let line = format!(
            "sign --header-size {} --pad-header --slot-size {} --align {} --version {version} \
             --vid {} --cid {} --key key.pem {version}.bin {file}",
            signing.header_size,
            signing.slot_size,
            signing.align,
            id(ids.vendor.unwrap()),
            id(ids.class.unwrap()),
        );
        let mut command = Space::Host.command(imgtool);
        let output = command.args(line.split(' ')).current_dir(&self.folder).output().unwrap();
        Said::new(&line, output).ok();
        let seen = self.updraft(&format!("image inspect {file} --json")).json();
        let hash = seen["hash"]["stored"].as_str().unwrap().to_owned();
        let bytes = std::fs::read(self.path(&file)).unwrap();
        Image { file, version: version.to_owned(), bytes, hash }
    }

    /// Signs a body for the board, with further options.
    pub fn signed(&self, version: &str, body: &[u8], options: &str) -> Image {
        self.sign(version, body, &format!("--board {} {options}", self.board))
    }

    /// Signs a body as the options say, for virtual-nor-4k or not.
    pub fn sign(&self, version: &str, body: &[u8], options: &str) -> Image {
        let (build, file) = (format!("{version}.bin"), format!("{version}.signed.bin"));
        std::fs::write(self.path(&build), body).unwrap();
        let line = format!("image sign -v {version} {options} {build} {file}");
        let hash =
            self.updraft(&format!("{line} --json")).json()["hash"].as_str().map(str::to_owned);
        let bytes = std::fs::read(self.path(&file)).unwrap();
        Image { file, version: version.to_owned(), bytes, hash: hash.unwrap() }
    }

    /// A file in the folder.
    pub fn file(&self, name: &str, bytes: &[u8]) -> String {
        std::fs::write(self.path(name), bytes).unwrap();
        name.to_owned()
    }

    /// A device on the flash file `dev.flash` that trusts `key.pub.pem`.
    pub fn device(&self) -> Setup<'_> {
        Setup::new(self)
    }

    /// A device that runs `image`, confirmed.
    pub fn device_with(&self, image: &Image) -> Device {
        let device = self.device().load("primary", image).start();
        device.wait("app: self-test passed");
        device
    }

    /// What the flash file of the device holds.
    pub fn slots(&self) -> Slots {
        let line = format!("device show --board {} --flash dev.flash --json", self.board);
        Slots(self.updraft(&line).json())
    }

    /// The bytes of an area in the flash file.
    pub fn area(&self, name: &str) -> Vec<u8> {
        let board = self.board();
        let area = board.area_named(name).unwrap();
        let before: u32 = board.flash()[..area.device].iter().map(|device| device.size()).sum();
        let start = (before + area.offset) as usize;
        std::fs::read(self.path("dev.flash")).unwrap()[start..start + area.size as usize].to_vec()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // What a failed test leaves is what one wants to look at.
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// `text`, filled up to `size` bytes that differ from version to version.
pub fn firmware(mut text: Vec<u8>, size: usize, version: &str) -> Vec<u8> {
    let mut chance =
        Chance::of(version.bytes().map(u64::from).fold(7, |sum, byte| sum * 31 + byte));
    text.resize_with(size.max(text.len()), || chance.below(256) as u8);
    text
}

/// The slots in a flash file.
#[derive(Debug)]
pub struct Slots(Value);

impl Slots {
    fn text(&self, slot: usize, key: &str) -> &str {
        self.0[slot][key].as_str().unwrap_or("")
    }

    /// The slots of another image.
    pub fn of(&self, image: usize) -> Self {
        let of = |slot: usize| self.0[2 * image + slot].clone();
        Self(Value::Array(vec![of(0), of(1)]))
    }

    /// Whether the primary slot holds `image`.
    pub fn run(&self, image: &Image) -> bool {
        self.text(0, "hash") == image.hash
    }

    /// Whether the secondary slot holds `image`.
    pub fn hold(&self, image: &Image) -> bool {
        self.text(1, "hash") == image.hash
    }

    /// The trailer of the primary slot.
    pub fn primary(&self) -> &str {
        self.text(0, "trailer")
    }

    /// The trailer of the secondary slot.
    pub fn secondary(&self) -> &str {
        self.text(1, "trailer")
    }

    /// Whether the image in the primary slot stays.
    pub fn confirmed(&self) -> bool {
        self.primary() == "erased" || self.primary().ends_with(", image_ok")
    }

    /// Whether the image in the primary slot is on trial.
    pub fn on_trial(&self) -> bool {
        self.primary().contains("copy_done") && !self.confirmed()
    }
}
