//! What the agent goes by: how it is set up, what a job says, how long it waits for what.

use core::time::Duration;

use updraft_image::{HashKind, Hasher};

use crate::json::Text;
use crate::{Gate, Version};

/// What happens when an update has waited as long as allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// It is broken off; what is held is used if it comes again.
    GiveUp,
    /// It goes on nevertheless.
    GoOn,
}

/// How long an update waits at a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeferRule {
    /// The gate is looked at again after so long, and a jitter.
    pub again: Duration,
    /// Longest wait.
    pub longest: Duration,
    /// What comes then.
    pub then: Limit,
}

/// An update that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deferral {
    /// For what.
    pub gate: Gate,
    /// Since when.
    pub since: Duration,
    /// When the gate is looked at again.
    pub again: Duration,
}

/// How the agent is set up.
#[derive(Clone, Copy, Debug)]
pub struct Config<'c> {
    /// What jobs call this board.
    pub board: &'c str,
    /// Bytes of a block, which is what is asked for at once. A multiple of the flash's write size;
    /// for archives of 512, and at least 2,048. Infineon's publishers send pieces of 4,096, of which
    /// it has to be a divisor; AWS takes 256 to 131,072.
    pub block: u32,
    /// The record is kept after so many blocks. More of them wear the record's flash less, and are
    /// fetched again after a power cut.
    pub save_every: u16,
    /// Progress is reported after so many blocks.
    pub report_every: u16,
    /// So many refused messages in a row break an update off.
    pub tolerance: u8,
    /// So many times the same update may fail.
    pub attempts: u8,
    /// How long a new image has to pass its test.
    pub self_test: Duration,
    /// Waiting for the battery, the network, room and the user.
    pub defer: [DeferRule; Gate::ALL.len()],
    /// Spreads devices over time; should differ from device to device.
    pub seed: u32,
}

impl<'c> Config<'c> {
    /// For `board`: blocks of 4 KiB, the record kept after each, 2 attempts, 16 messages, a test of
    /// 60 s, and these waits:
    ///
    /// | gate | looked at again | at most | then |
    /// |---|---|---|---|
    /// | battery | 10 min | 24 h | given up |
    /// | network | 1 min | 6 h | given up |
    /// | space | 10 min | 1 h | given up |
    /// | user | 15 min | 72 h | given up |
    pub const fn new(board: &'c str) -> Self {
        const fn rule(again: u64, longest: u64) -> DeferRule {
            DeferRule {
                again: Duration::from_secs(60 * again),
                longest: Duration::from_secs(60 * longest),
                then: Limit::GiveUp,
            }
        }
        Self {
            board,
            block: 4096,
            save_every: 1,
            report_every: 64,
            tolerance: 16,
            attempts: 2,
            self_test: Duration::from_secs(60),
            defer: [rule(10, 24 * 60), rule(1, 6 * 60), rule(10, 60), rule(15, 72 * 60)],
            seed: 1,
        }
    }

    pub(super) fn rule(&self, gate: Gate) -> DeferRule {
        let [battery, network, space, user] = self.defer;
        match gate {
            Gate::Battery => battery,
            Gate::Network => network,
            Gate::Space => space,
            Gate::User => user,
        }
    }
}

/// A signature that a job brings, besides those in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature<'o> {
    /// Over the SHA-256 of the whole file.
    pub bytes: &'o [u8],
    /// The certificate that the job names.
    pub certificate: &'o str,
}

/// A job, as every protocol has it. What it does not say is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offer<'o> {
    /// What the server calls it, up to 72 bytes; may be empty.
    pub id: &'o str,
    /// The board that it is for.
    pub board: Option<Text<'o>>,
    /// Version of the image.
    pub version: Option<Version>,
    /// Bytes of the image.
    pub size: Option<u32>,
    /// SHA-256 of the image.
    pub sha256: Option<[u8; 32]>,
    /// Signature over the image.
    pub signature: Option<Signature<'o>>,
    /// Where it comes from: file, stream.
    pub source: Option<Text<'o>>,
}

impl Offer<'_> {
    /// Whether nothing in it would change if another image stood where it points to.
    pub(super) fn is_nameless(&self) -> bool {
        self.id.is_empty() && self.version.is_none() && self.sha256.is_none()
    }

    /// What tells this update from others.
    pub(super) fn fingerprint(&self) -> [u8; 16] {
        let mut hasher = Hasher::new(HashKind::Sha256);
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u32).to_le_bytes());
            hasher.update(bytes);
        };
        part(self.id.as_bytes());
        if let Some(Version { major, minor, build }) = self.version {
            [major, minor, build].iter().for_each(|number| part(&number.to_le_bytes()));
        }
        part(&self.size.unwrap_or(0).to_le_bytes());
        part(self.sha256.as_ref().map_or(&[], |hash| hash));
        for c in self.source.iter().flat_map(|source| source.chars()) {
            part(&u32::from(c).to_le_bytes());
        }
        hasher.finish().as_bytes().first_chunk().copied().unwrap_or_default()
    }
}
