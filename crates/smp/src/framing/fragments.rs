//! Messages in pieces, over a link that keeps pieces apart and in order: ATT writes and
//! notifications of Bluetooth LE.
//!
//! ```text
//! message    header, 8 bytes: its length says where the message ends │ payload
//! fragments  [ ATT_MTU - 3 bytes ][ ATT_MTU - 3 bytes ] … [ the rest ]
//! ```
//! A message begins where a fragment begins; only the last fragment of a message is shorter than
//! one before it. That tells when a fragment is missing, as far as that can be told: fragments
//! have no numbers. Sources: Zephyr, `MCUMGR_TRANSPORT_BT_REASSEMBLY`, and the "SMP over
//! Bluetooth" page of its documentation.

use core::fmt;
use core::slice::Chunks;
use core::time::Duration;

use crate::{Header, Op};

/// Bytes of a write or notification that are not its value: operation and handle.
const ATT_OVERHEAD: u16 = 3;

/// The ATT MTU of a connection on which none was agreed upon, in bytes.
pub const ATT_MTU_MIN: u16 = 23;

/// Cuts `message` into the values of writes or notifications over a connection whose ATT MTU is
/// `mtu` bytes.
pub fn fragments(message: &[u8], mtu: u16) -> Chunks<'_, u8> {
    message.chunks(usize::from(mtu.max(ATT_MTU_MIN) - ATT_OVERHEAD))
}

/// Why a fragment came to nothing, or a message did not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken<'f> {
    /// A fragment that no message begins with, and none was waiting for: something is missing, or
    /// came in the wrong order.
    Stray,
    /// A message that is longer than what is held; the rest of it will be passed over.
    TooLong {
        /// Its length in bytes, header included.
        len: usize,
        /// What has come of it: at least the header, so that it can be answered.
        head: &'f [u8],
    },
    /// A message that lacks a fragment. It is dropped; the fragment that shows it may have begun
    /// the next one.
    Incomplete,
}

impl fmt::Display for Broken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stray => f.write_str("a fragment that belongs to no message"),
            Self::TooLong { len, .. } => write!(f, "a message of {len} bytes is too long"),
            Self::Incomplete => f.write_str("a fragment of the message is missing"),
        }
    }
}

impl core::error::Error for Broken<'_> {}

/// Puts messages of at most `N` bytes together, header included.
#[derive(Clone, Debug)]
pub struct Reassembler<const N: usize> {
    buffer: [u8; N],
    len: usize,
    /// Bytes of the message that is coming in; 0 if there is none.
    expected: usize,
    /// Bytes of its longest fragment yet, or of the first one of a message that is passed over.
    full: usize,
    /// Bytes to come of a message that is too long.
    skipped: usize,
    last: Duration,
    patience: Duration,
}

impl<const N: usize> Default for Reassembler<N> {
    fn default() -> Self {
        Self::new(Self::PATIENCE)
    }
}

impl<const N: usize> Reassembler<N> {
    /// Half a message that is not continued for so long was given up by its sender.
    pub const PATIENCE: Duration = Duration::from_secs(3);

    /// Drops half a message when nothing came for `patience`.
    pub const fn new(patience: Duration) -> Self {
        Self {
            buffer: [0; N],
            len: 0,
            expected: 0,
            full: 0,
            skipped: 0,
            last: Duration::ZERO,
            patience,
        }
    }

    /// Forgets what has come: the link is a new one.
    pub fn clear(&mut self) {
        (self.len, self.expected, self.full, self.skipped) = (0, 0, 0, 0);
    }

    /// Takes the fragment that arrived at `now`, a time that never goes back. It may complete a
    /// message; what stands behind a message that is whole in its fragment is left there, as
    /// servers take several messages at once.
    pub fn receive<'f>(
        &'f mut self,
        fragment: &'f [u8],
        now: Duration,
    ) -> Result<Option<&'f [u8]>, Broken<'f>> {
        if now.saturating_sub(self.last) >= self.patience {
            self.clear();
        }
        self.last = now;
        if self.skipped > 0 {
            let belongs = fragment.len() <= self.skipped;
            // Only the last one is shorter, should others have been lost.
            let more = fragment.len() >= self.full;
            self.skipped = if more { self.skipped.saturating_sub(fragment.len()) } else { 0 };
            if belongs {
                return Ok(None);
            }
            self.clear();
        }
        if self.expected == 0 {
            return self.begin(fragment);
        }
        if self.is_another(fragment) {
            self.clear();
            return self.begin(fragment);
        }
        let missing = self.expected - self.len;
        let belongs =
            fragment.len() == missing || (fragment.len() < missing && fragment.len() >= self.full);
        if !belongs {
            self.clear();
            // What shows the gap is often the next message already.
            return match self.begin(fragment) {
                Ok(None) | Err(Broken::Stray) => Err(Broken::Incomplete),
                other => other,
            };
        }
        self.put(fragment);
        match self.len == self.expected {
            true => {
                let len = self.expected;
                self.clear();
                Ok(self.buffer.get(..len))
            }
            false => Ok(None),
        }
    }

    fn begin<'f>(&'f mut self, fragment: &'f [u8]) -> Result<Option<&'f [u8]>, Broken<'f>> {
        let (header, rest) = Header::parse(fragment).map_err(|_| Broken::Stray)?;
        let payload = usize::from(header.length);
        let len = Header::SIZE + payload;
        if rest.len() >= payload {
            return Ok(Some(fragment));
        }
        if matches!(header.op, Op::Undefined(_)) || header.version().is_none() {
            return Err(Broken::Stray);
        }
        if len > N {
            self.skipped = payload - rest.len();
            self.full = fragment.len();
            return Err(Broken::TooLong { len, head: fragment });
        }
        self.expected = len;
        self.put(fragment);
        Ok(None)
    }

    /// Whether a fragment begins a message while another one is coming in: the same one, whose
    /// sender did not wait for the answer any longer, or the next request of its kind. That
    /// anything else within a message looks like this is left to chance.
    fn is_another(&self, fragment: &[u8]) -> bool {
        let header = |bytes| Header::parse(bytes).ok().map(|(header, _)| header);
        let (Some(this), Some(other)) = (header(&self.buffer), header(fragment)) else {
            return false;
        };
        let next = Header { length: other.length, sequence: this.sequence.wrapping_add(1), ..this };
        other == this || other == next
    }

    fn put(&mut self, fragment: &[u8]) {
        for (to, from) in self.buffer.iter_mut().skip(self.len).zip(fragment) {
            *to = *from;
        }
        self.len += fragment.len();
        self.full = self.full.max(fragment.len());
    }
}
