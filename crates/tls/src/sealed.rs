//! AES-GCM that looks at what a record held before the library does.
//!
//! The library panics at records without content, and at every message of a handshake that comes when
//! the handshake is over, except for tickets. So what must not reach it is replaced here, where a record
//! has just been opened:
//!
//! ```text
//! tickets, after the handshake      an empty record: nobody takes a session up again
//! what a record must not hold       a record of a kind that the library turns down: `Unimplemented`
//! ```
//! A cipher is made anew for each record and is told nothing but the record's head. The gate, which
//! knows whether the handshake is over, says so there: in the version, which the library does not read.
//! [`Phase::of`] puts it right again before the head is authenticated.

use aes_gcm::aead::{
    AeadCore, AeadInPlace, Buffer, Error, Key, KeyInit, KeySizeUser, Nonce, Result, Tag,
};
use embedded_tls::{Aes128GcmSha256, TlsCipherSuite};

/// The library's own.
type Plain = <Aes128GcmSha256 as TlsCipherSuite>::Cipher;

/// TLS_AES_128_GCM_SHA256.
#[derive(Debug)]
pub struct Suite;

impl TlsCipherSuite for Suite {
    const CODE_POINT: u16 = Aes128GcmSha256::CODE_POINT;
    type Cipher = Sealed;
    type KeyLen = <Aes128GcmSha256 as TlsCipherSuite>::KeyLen;
    type IvLen = <Aes128GcmSha256 as TlsCipherSuite>::IvLen;
    type Hash = <Aes128GcmSha256 as TlsCipherSuite>::Hash;
    type LabelBufferSize = <Aes128GcmSha256 as TlsCipherSuite>::LabelBufferSize;
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Hands are being shaken.
    Handshake,
    /// That is done.
    Open,
}

/// The version that every sealed record names (RFC 8446, section 5.2), and what marks one that has
/// come after the handshake.
const VERSION: u8 = 3;
const OPEN: u8 = 0x7f;

impl Phase {
    /// Writes the phase into the head of a record whose version is what it should be. Any other
    /// version is left alone: its record will not be genuine.
    pub fn mark(self, head: &mut [u8; 5]) {
        match (self, head) {
            (Self::Open, [_, VERSION, version @ VERSION, ..]) => *version = OPEN,
            // Nobody else marks records.
            (_, [_, _, version @ OPEN, ..]) => *version = 0,
            _ => {}
        }
    }

    /// The phase in a head, and the head as it came.
    fn of(head: &[u8]) -> (Self, [u8; 5]) {
        let mut whole = [0; 5];
        whole.iter_mut().zip(head).for_each(|(to, from)| *to = *from);
        match &mut whole {
            [_, _, version @ OPEN, ..] => {
                *version = VERSION;
                (Self::Open, whole)
            }
            _ => (Self::Handshake, whole),
        }
    }
}

/// What a record holds, at its end, before the padding.
const ALERT: u8 = 21;
const MESSAGES: u8 = 22;
const CONTENT: u8 = 23;
/// A kind of record that is never sealed.
const TURNED_DOWN: u8 = 20;
/// The one message after the handshake that asks for nothing.
const TICKET: u8 = 4;

/// What becomes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Passes,
    IsEmpty,
    IsTurnedDown,
}

fn verdict(phase: Phase, record: &[u8]) -> Verdict {
    let kind = record.iter().rposition(|byte| *byte != 0);
    let Some((content, [kind, ..])) = kind.and_then(|at| record.split_at_checked(at)) else {
        return Verdict::IsTurnedDown;
    };
    match (phase, *kind) {
        (Phase::Handshake, MESSAGES) | (Phase::Open, CONTENT) | (_, ALERT) => Verdict::Passes,
        (Phase::Open, MESSAGES) if are_tickets(content) => Verdict::IsEmpty,
        _ => Verdict::IsTurnedDown,
    }
}

/// Whether there is nothing but whole tickets.
fn are_tickets(mut messages: &[u8]) -> bool {
    if messages.is_empty() {
        return false;
    }
    while let [TICKET, long, high, low, rest @ ..] = messages {
        let len = u32::from_be_bytes([0, *long, *high, *low]) as usize;
        let Some((_, rest)) = rest.split_at_checked(len) else { return false };
        messages = rest;
    }
    messages.is_empty()
}

/// AES-GCM, and a look at what comes out of it.
pub struct Sealed(Plain);

impl KeySizeUser for Sealed {
    type KeySize = <Plain as KeySizeUser>::KeySize;
}

impl KeyInit for Sealed {
    fn new(key: &Key<Self>) -> Self {
        Self(Plain::new(key))
    }
}

impl AeadCore for Sealed {
    type NonceSize = <Plain as AeadCore>::NonceSize;
    type TagSize = <Plain as AeadCore>::TagSize;
    type CiphertextOverhead = <Plain as AeadCore>::CiphertextOverhead;
}

impl AeadInPlace for Sealed {
    fn encrypt_in_place_detached(
        &self,
        nonce: &Nonce<Self>,
        head: &[u8],
        record: &mut [u8],
    ) -> Result<Tag<Self>> {
        self.0.encrypt_in_place_detached(nonce, head, record)
    }

    /// The library opens records by [`decrypt_in_place`](Self::decrypt_in_place).
    fn decrypt_in_place_detached(
        &self,
        _: &Nonce<Self>,
        _: &[u8],
        _: &mut [u8],
        _: &Tag<Self>,
    ) -> Result<()> {
        Err(Error)
    }

    fn decrypt_in_place(
        &self,
        nonce: &Nonce<Self>,
        head: &[u8],
        record: &mut dyn Buffer,
    ) -> Result<()> {
        let (phase, head) = Phase::of(head);
        self.0.decrypt_in_place(nonce, &head, record)?;
        let kind = match verdict(phase, record.as_ref()) {
            Verdict::Passes => return Ok(()),
            Verdict::IsEmpty => CONTENT,
            Verdict::IsTurnedDown => TURNED_DOWN,
        };
        record.truncate(1);
        match record.as_mut() {
            [only] => {
                *only = kind;
                Ok(())
            }
            // Nothing was in it; the library must not see that either.
            _ => Err(Error),
        }
    }
}
