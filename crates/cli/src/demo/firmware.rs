//! The demo's firmware: bodies that describe what they do, signed for the board.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use updraft_board::Board;
use updraft_image::{Header, Version};
use updraft_sign::{Key, Padding, SignOptions, sign};
use updraft_sim::device::{ConfirmedBy, Descriptor, Keys, SelfTest};

use crate::output::size;
use crate::report::Hint;
use crate::signing::for_board;
use crate::smp::Preflight;

/// Bytes of the demo's own firmware, where the slots are large enough.
const BODY: usize = 48 * 1024;
const SELF_TEST_MS: u32 = 300;

/// A signed image on disk.
#[derive(Clone, Debug)]
pub struct Firmware {
    /// Its version.
    pub version: Version,
    /// Its hash, as devices list it.
    pub hash: Vec<u8>,
    path: PathBuf,
}

impl Firmware {
    /// Where it lies.
    #[cfg(feature = "air")]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The image.
    pub fn read(&self) -> anyhow::Result<Vec<u8>> {
        std::fs::read(&self.path).with_context(|| format!("{} cannot be read", self.path.display()))
    }
}

/// Makes firmware for a board with a key of its own.
#[derive(Debug)]
pub struct Maker {
    board: Board,
    directory: PathBuf,
    key: Key,
    firmware: Option<Vec<u8>>,
}

impl Maker {
    /// Makes a key for `board` in `directory`. `image` is firmware to use instead of the demo's.
    pub fn new(board: &Board, directory: &Path, image: Option<Vec<u8>>) -> anyhow::Result<Self> {
        let scheme = board.boot().signature.scheme().with_context(|| {
            format!("{} boots unsigned images; the demo is about signed ones", board.name())
        })?;
        let key = Key::generate(scheme)?;
        let write = |name: &str, text: &str| {
            let path = directory.join(name);
            std::fs::write(&path, text)
                .with_context(|| format!("{} cannot be written", path.display()))
        };
        write("key.pem", &key.to_pem())?;
        write("key.pub.pem", &key.public().to_pem())?;
        if image.as_ref().is_some_and(Vec::is_empty) {
            return Err(anyhow!("the firmware is an empty file"))
                .hint("give a plain binary as the linker makes it, or a signed image");
        }
        let firmware = image.map(|image| match Header::parse(&image) {
            Ok(header) => body(&image, &header),
            Err(_) => Ok(image),
        });
        let firmware = firmware.transpose()?;
        Ok(Self { board: board.clone(), directory: directory.to_owned(), key, firmware })
    }

    /// What the device is to trust.
    pub fn trusted(&self) -> anyhow::Result<Keys> {
        Ok(Keys::trusting(vec![self.key.public().as_der().to_vec()])?)
    }

    /// What it works with, in a line.
    pub fn describe(&self) -> String {
        let board = self.board.name();
        let firmware = match &self.firmware {
            Some(firmware) => format!("your firmware, {}", size(firmware.len() as u64)),
            None => format!("firmware of {}", size(self.body_size() as u64)),
        };
        format!("{board}, {}, {} key, {firmware}", self.board.mode(), self.key.kind())
    }

    /// Two thirds of what the slots take, or less.
    fn body_size(&self) -> usize {
        BODY.min(self.board.capacity(0).max_image as usize / 3 * 2)
    }

    /// How long self-tests take, in milliseconds.
    pub fn self_test_ms(&self) -> u32 {
        SELF_TEST_MS
    }

    /// Builds and signs a version that behaves as told.
    pub fn build(
        &self,
        version: Version,
        self_test: SelfTest,
        confirm: ConfirmedBy,
    ) -> anyhow::Result<Firmware> {
        self.build_with(&self.key, version, self_test, confirm)
    }

    /// The same with a key that the device does not trust.
    pub fn build_foreign(&self, version: Version) -> anyhow::Result<Firmware> {
        let stranger = Key::generate(self.key.kind())?;
        self.build_with(&stranger, version, SelfTest::Pass, ConfirmedBy::Application)
    }

    fn build_with(
        &self,
        key: &Key,
        version: Version,
        self_test: SelfTest,
        confirm: ConfirmedBy,
    ) -> anyhow::Result<Firmware> {
        let descriptor = Descriptor {
            name: "blinky".into(),
            blink_ms: 1000 / u32::from(version.minor + 1),
            self_test,
            self_test_ms: SELF_TEST_MS,
            confirm,
            updates: None,
        };
        self.sign(key, version, &descriptor)
    }

    /// Builds and signs an application.
    #[cfg(feature = "air")]
    pub fn application(
        &self,
        version: Version,
        descriptor: &Descriptor,
    ) -> anyhow::Result<Firmware> {
        self.sign(&self.key, version, descriptor)
    }

    fn sign(
        &self,
        key: &Key,
        version: Version,
        descriptor: &Descriptor,
    ) -> anyhow::Result<Firmware> {
        let mut body = descriptor.to_string().into_bytes();
        body.push(0);
        match &self.firmware {
            Some(firmware) => body.extend_from_slice(firmware),
            None => fill(&mut body, self.body_size(), version),
        }
        let signing = self.board.signing(0);
        let signing = signing.with_context(|| format!("{} has no slot", self.board.name()))?;
        // What is uploaded is not padded, and the body has no room for the header.
        let options = SignOptions {
            pad_header: true,
            padding: Padding::None,
            ..for_board(&signing, version)
        };
        let image = sign(&body, &options, Some(key))?;
        let path = self.directory.join(format!("{}-{version}.signed.bin", descriptor.name));
        std::fs::write(&path, &image)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        let hash = Preflight::of(&image)?.hash.as_bytes().to_vec();
        Ok(Firmware { version, hash, path })
    }
}

/// The body of an image that is signed already.
fn body(image: &[u8], header: &Header) -> anyhow::Result<Vec<u8>> {
    let start = usize::from(header.hdr_size);
    let end = header.tlv_offset()? as usize;
    let body = image.get(start..end).context("the image is cut short")?;
    Ok(body.to_vec())
}

/// Bytes that look like code: different in every version, so that a swap moves all of them.
fn fill(body: &mut Vec<u8>, len: usize, version: Version) {
    let mut state =
        u32::from_le_bytes([version.major, version.minor, version.revision as u8, 0x5a]);
    while body.len() < len {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        body.extend_from_slice(&state.to_be_bytes());
    }
}
