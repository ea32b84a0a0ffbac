//! A server for measuring clients: it takes images, does nothing else, and takes no time for it.

use std::time::Instant;

use minicbor::Decoder;
use minicbor::data::Type;
use minicbor::encode::write::{Cursor, EndOfArray};
use updraft_smp::{Header, Op, group, image, os};

type Encoder = minicbor::Encoder<Cursor<[u8; 1024]>>;
type Encoded = Result<(), minicbor::encode::Error<EndOfArray>>;
type Payload = Result<Vec<u8>, Box<dyn std::error::Error>>;

/// What a server has room for, as it tells its clients.
#[derive(Clone, Copy, Debug)]
pub struct Buffers {
    /// Bytes of a buffer.
    pub size: usize,
    /// How many buffers there are for requests and answers.
    pub count: usize,
}

/// What an upload was, as the server saw it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// The first and the last moment of the upload.
    pub time: Option<(Instant, Instant)>,
    /// Image bytes of the first chunk, whose arrival is the first moment.
    pub first: usize,
    /// Upload requests.
    pub requests: usize,
    /// The most image bytes in one of them.
    pub chunk: usize,
    /// Requests for which there was no buffer.
    pub dropped: usize,
}

/// The server.
pub struct Stub {
    pub buffers: Buffers,
    pub seen: Seen,
    /// Version and hash of the image that will be in slot 1.
    offered: (String, Vec<u8>),
    len: u64,
    off: u64,
}

impl Stub {
    pub fn new(buffers: Buffers, offered: (String, Vec<u8>)) -> Self {
        Self { buffers, seen: Seen::default(), offered, len: u64::MAX, off: 0 }
    }

    /// The answer to a request that came at `at`. Whoever carries it says when it has gone.
    pub fn answer(&mut self, message: &[u8], at: Instant) -> Option<Vec<u8>> {
        let (header, payload) = Header::parse(message).ok()?;
        let write = header.op == Op::Write;
        let answer = match (header.group, header.id, write) {
            (group::OS, os::PARAMS, false) => self.params(),
            (group::OS, os::ECHO, _) => echo(payload),
            (group::IMAGE, image::STATE, _) => self.state(),
            (group::IMAGE, image::UPLOAD, true) => self.upload(payload, at),
            _ => rc(8),
        };
        let payload = answer.or_else(|_| rc(3)).ok()?;
        let header = header.answer(payload.len().try_into().ok()?);
        Some([&header.emit()[..], &payload].concat())
    }

    /// An answer has gone at `at`.
    pub fn answered(&mut self, at: Instant) {
        if let Some((_, last)) = &mut self.seen.time
            && self.off <= self.len
        {
            *last = at;
        }
    }

    fn params(&self) -> Payload {
        encoded(|e| {
            e.map(2)?.str("buf_size")?.u64(self.buffers.size as u64)?;
            e.str("buf_count")?.u64(self.buffers.count as u64)?.ok()
        })
    }

    fn state(&self) -> Payload {
        let slot = |e: &mut Encoder, slot: u8, version: &str, hash: &[u8]| -> Encoded {
            e.map(8)?.str("slot")?.u8(slot)?.str("version")?.str(version)?;
            e.str("hash")?.bytes(hash)?;
            for flag in ["bootable", "pending", "confirmed", "active", "permanent"] {
                let runs = slot == 0 && ["confirmed", "active"].contains(&flag);
                e.str(flag)?.bool(flag == "bootable" || runs)?;
            }
            Ok(())
        };
        encoded(|e| {
            let here = self.off >= self.len;
            e.map(1)?.str("images")?.array(1 + u64::from(here))?;
            slot(e, 0, "1.0.0", &[0x11; 32])?;
            if here {
                slot(e, 1, &self.offered.0, &self.offered.1)?;
            }
            Ok(())
        })
    }

    fn upload(&mut self, payload: &[u8], at: Instant) -> Payload {
        let mut d = Decoder::new(payload);
        let (mut off, mut data, mut len) = (0, 0, None);
        for _ in 0..d.map()?.unwrap_or(0) {
            match d.str()? {
                "off" => off = d.u64()?,
                "len" => len = Some(d.u64()?),
                "data" => data = d.bytes()?.len(),
                _ => d.skip()?,
            }
        }
        if off == 0 {
            self.off = 0;
            self.len = len.ok_or("a first chunk tells the length")?;
            self.seen.time = Some((at, at));
            self.seen.first = data;
        }
        if off == self.off {
            self.off += data as u64;
        }
        self.seen.requests += 1;
        self.seen.chunk = self.seen.chunk.max(data);
        encoded(|e| e.map(1)?.str("off")?.u64(self.off)?.ok())
    }
}

fn echo(payload: &[u8]) -> Payload {
    let mut d = Decoder::new(payload);
    let mut text = "";
    for _ in 0..d.map()?.unwrap_or(0) {
        match (d.str()?, d.datatype()?) {
            ("d", Type::String) => text = d.str()?,
            _ => d.skip()?,
        }
    }
    encoded(|e| e.map(1)?.str("r")?.str(text)?.ok())
}

fn rc(code: u8) -> Payload {
    encoded(|e| e.map(1)?.str("rc")?.u8(code)?.ok())
}

fn encoded(write: impl FnOnce(&mut Encoder) -> Encoded) -> Payload {
    let mut e = Encoder::new(Cursor::new([0; 1024]));
    write(&mut e)?;
    let cursor = e.into_writer();
    let len = cursor.position();
    Ok(cursor.into_inner()[..len].to_vec())
}
