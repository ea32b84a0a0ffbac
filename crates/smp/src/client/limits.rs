//! How large a message may be and how many may be outstanding.

use crate::Header;

/// The buffers that a server reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// Bytes of the largest message that it buffers, header included.
    pub buf_size: u32,
    /// How many of them it has, for requests and answers together.
    pub buf_count: u32,
}

/// The kind of link, which has limits of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// One datagram a message, over IPv4; no fragments below it.
    Udp,
    /// The same over IPv6, whose header is longer.
    Udp6,
    /// Console lines. The server decodes length, message and CRC into its buffer, so a message
    /// has to stay 4 bytes below it.
    Console,
    /// Bytes without framing.
    RawSerial,
    /// Bluetooth LE notifications and writes; the server puts fragments together.
    Ble {
        /// ATT MTU in bytes.
        mtu: u16,
    },
}

/// What a client may send at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the largest message, header included.
    pub frame: usize,
    /// How many requests may be unanswered.
    pub window: usize,
}

impl Limits {
    /// A message in one Ethernet frame, under IPv4 and UDP headers. A server's own socket buffer
    /// is often no larger, whatever `buf_size` says.
    pub const UDP_FRAME: usize = 1472;
    /// The same under IPv6.
    pub const UDP6_FRAME: usize = 1452;
    /// What the header's length can say, whatever a server claims to buffer.
    const LONGEST: usize = Header::SIZE + u16::MAX as usize;
    /// What the length of a packet in console lines can say: it counts the CRC and no more.
    const LONGEST_IN_LINES: usize = u16::MAX as usize - 2;

    /// The limits of a link to a server that reported `params`, or that knows no such command.
    ///
    /// The answers need buffers out of the same pool, so of n buffers at most n - 1 are filled
    /// with requests.
    pub fn of(link: Link, params: Option<Params>) -> Self {
        let Some(params) = params else {
            return Self { frame: Self::safe_frame(link), window: 1 };
        };
        let size = usize::try_from(params.buf_size).unwrap_or(usize::MAX).min(Self::LONGEST);
        let frame = match link {
            Link::Udp => size.min(Self::UDP_FRAME),
            Link::Udp6 => size.min(Self::UDP6_FRAME),
            Link::Console => size.saturating_sub(4).min(Self::LONGEST_IN_LINES),
            Link::RawSerial | Link::Ble { .. } => size,
        };
        let window = usize::try_from(params.buf_count).unwrap_or(usize::MAX);
        Self { frame, window: window.saturating_sub(1).max(1) }
    }

    /// Bytes of the largest message that every server on such a link takes: over UDP no network's
    /// limit is near, and over Bluetooth no fragments have to be put together.
    pub fn safe_frame(link: Link) -> usize {
        match link {
            Link::Udp | Link::Udp6 => 1024,
            Link::Console | Link::RawSerial => 182,
            Link::Ble { mtu } => usize::from(mtu).saturating_sub(3),
        }
    }
}
