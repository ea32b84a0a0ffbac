//! From the secret of the key exchange to records (RFC 8446, sections 5.2 and 7).

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes128Gcm, Nonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use crate::CONTENT;

/// The secret that keys come from, as far as the handshake is.
pub struct Schedule {
    secret: Hkdf<Sha256>,
}

/// Records of one side.
pub struct Direction {
    secret: Hkdf<Sha256>,
    cipher: Aes128Gcm,
    iv: [u8; 12],
    count: u64,
}

fn expand<const N: usize>(secret: &Hkdf<Sha256>, label: &str, context: &[u8]) -> [u8; N] {
    let label = format!("tls13 {label}");
    let info = [
        &(N as u16).to_be_bytes()[..],
        &[label.len() as u8],
        label.as_bytes(),
        &[context.len() as u8],
        context,
    ];
    let mut out = [0; N];
    secret.expand(&info.concat(), &mut out).expect("keys are short");
    out
}

/// The secret behind another, with what is new.
fn next(secret: &Hkdf<Sha256>, fresh: &[u8]) -> Hkdf<Sha256> {
    let salt: [u8; 32] = expand(secret, "derived", &Sha256::digest([]));
    Hkdf::new(Some(&salt), fresh)
}

impl Schedule {
    /// Keys for the handshake: the client's, then the server's.
    pub fn begin(shared: &[u8], hellos: &[u8]) -> (Self, Direction, Direction) {
        let early = Hkdf::new(None, &[0; 32]);
        let secret = next(&early, shared);
        let [client, server] = ["c hs traffic", "s hs traffic"]
            .map(|label| Direction::new(expand(&secret, label, hellos)));
        (Self { secret }, client, server)
    }

    /// Keys for what comes behind the handshake.
    pub fn open(&self, handshake: &[u8]) -> (Direction, Direction) {
        let secret = next(&self.secret, &[0; 32]);
        let [client, server] = ["c ap traffic", "s ap traffic"]
            .map(|label| Direction::new(expand(&secret, label, handshake)));
        (client, server)
    }
}

impl Direction {
    fn new(secret: [u8; 32]) -> Self {
        let secret = Hkdf::from_prk(&secret).expect("as long as the hash");
        let key: [u8; 16] = expand(&secret, "key", &[]);
        let iv = expand(&secret, "iv", &[]);
        Self { cipher: Aes128Gcm::new(&key.into()), secret, iv, count: 0 }
    }

    /// What the message at the end of the handshake says.
    pub fn finished(&self, transcript: &[u8]) -> Vec<u8> {
        let key: [u8; 32] = expand(&self.secret, "finished", &[]);
        let mut sum = Hmac::<Sha256>::new_from_slice(&key).expect("any length will do");
        sum.update(transcript);
        sum.finalize().into_bytes().to_vec()
    }

    fn nonce(&mut self) -> Nonce<aes_gcm::aead::consts::U12> {
        let count = self.count.to_be_bytes();
        self.count += 1;
        let mut nonce = self.iv;
        nonce[4..].iter_mut().zip(count).for_each(|(to, from)| *to ^= from);
        nonce.into()
    }

    /// A sealed record.
    pub fn seal(&mut self, held: &[u8]) -> Vec<u8> {
        let len = u16::try_from(held.len() + 16).expect("a record is no longer").to_be_bytes();
        let head = [CONTENT, 3, 3, len[0], len[1]];
        let payload = Payload { msg: held, aad: &head };
        let nonce = self.nonce();
        let sealed = self.cipher.encrypt(&nonce, payload).expect("short enough");
        [&head[..], &sealed].concat()
    }

    /// What a sealed record holds, without padding.
    pub fn open(&mut self, head: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let nonce = self.nonce();
        let mut held = self.cipher.decrypt(&nonce, Payload { msg: sealed, aad: head }).ok()?;
        let len = held.iter().rposition(|byte| *byte != 0)? + 1;
        held.truncate(len);
        Some(held)
    }
}
