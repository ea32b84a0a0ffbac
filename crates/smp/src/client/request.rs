//! Requests: a version, a running sequence number, and the messages built with them.

use core::fmt;

use minicbor::Encoder;
use minicbor::encode::write::{Cursor, EndOfSlice};

use crate::{Header, Op, Version};

/// The buffer does not hold the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferTooSmall {
    /// Bytes of the buffer.
    pub size: usize,
}

impl fmt::Display for BufferTooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the request does not fit the {} bytes that a message may have", self.size)
    }
}

impl core::error::Error for BufferTooSmall {}

pub(super) type Cbor<'b> = Encoder<Cursor<&'b mut [u8]>>;
pub(super) type Encoded = Result<(), minicbor::encode::Error<EndOfSlice>>;

/// Builds a message in `buffer` and returns its length.
pub(super) fn encode(
    buffer: &mut [u8],
    header: Header,
    payload: impl FnOnce(&mut Cbor<'_>) -> Encoded,
) -> Result<usize, BufferTooSmall> {
    let too_small = BufferTooSmall { size: buffer.len() };
    let mut cursor = Cursor::new(&mut *buffer);
    cursor.set_position(Header::SIZE);
    let mut cbor = Encoder::new(cursor);
    payload(&mut cbor).map_err(|_| too_small)?;
    let end = cbor.writer().position();
    let length = end.checked_sub(Header::SIZE).and_then(|n| u16::try_from(n).ok());
    let header = Header { length: length.ok_or(too_small)?, ..header };
    buffer.get_mut(..Header::SIZE).ok_or(too_small)?.copy_from_slice(&header.emit());
    Ok(end)
}

/// Makes requests with rising sequence numbers. Each method builds one in the buffer given and
/// returns the message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// Protocol version to speak. Servers of the first generation answer both.
    pub version: Version,
    /// Sequence number of the next request.
    pub sequence: u8,
}

impl Requests {
    /// Version 2, counting from `sequence`.
    pub fn starting_at(sequence: u8) -> Self {
        Self { version: Version::V2, sequence }
    }

    /// A request of any group, with its payload as it stands.
    pub fn raw<'b>(
        &mut self,
        buffer: &'b mut [u8],
        op: Op,
        (group, id): (u16, u8),
        payload: &[u8],
    ) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, op, (group, id), |cbor| {
            minicbor::encode::Write::write_all(cbor.writer_mut(), payload)
                .map_err(minicbor::encode::Error::write)
        })
    }

    pub(super) fn build<'b>(
        &mut self,
        buffer: &'b mut [u8],
        op: Op,
        (group, id): (u16, u8),
        payload: impl FnOnce(&mut Cbor<'_>) -> Encoded,
    ) -> Result<&'b [u8], BufferTooSmall> {
        let header = Header::request(self.version, op, group, id, self.sequence);
        let size = buffer.len();
        let len = encode(buffer, header, payload)?;
        self.sequence = self.sequence.wrapping_add(1);
        buffer.get(..len).ok_or(BufferTooSmall { size })
    }
}
