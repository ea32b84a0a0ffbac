//! A TLS 1.3 server for tests, which says what it is told to, in any order: no other server leaves out
//! its certificate, signs with a key that is not its own, or asks who is there when that is long known.
//!
//! ```text
//! Impostor    hello, keys, and every message of a server by itself    (here)
//! messages    how they are written                                    (messages)
//! keys        from the secret to records                              (keys)
//! ```
//! The cryptography is real and not that of the clients under test. Nothing is random, and the server
//! checks only what it needs to go on: it is nobody to talk to outside tests. One suite,
//! TLS_AES_128_GCM_SHA256, and one curve, P-256. Format source: RFC 8446.

mod keys;
pub mod messages;

use std::io::{Error, Read, Result, Write};

use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::DecodePrivateKey;
use p256::{PublicKey, SecretKey};
use sha2::{Digest, Sha256};

use keys::{Direction, Schedule};

/// Kinds of records.
pub const CHANGE_CIPHER: u8 = 20;
/// An alert.
pub const ALERT: u8 = 21;
/// Messages of the handshake.
pub const HANDSHAKE: u8 = 22;
/// What the connection is for, or anything that is sealed.
pub const CONTENT: u8 = 23;

/// The server's part of the key exchange.
const SECRET: [u8; 32] = [0x5e; 32];

/// A server that has said hello.
pub struct Impostor<S> {
    stream: S,
    transcript: Sha256,
    schedule: Schedule,
    from_client: Direction,
    to_client: Direction,
    next_from_client: Option<Direction>,
}

impl<S> std::fmt::Debug for Impostor<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Impostor").finish_non_exhaustive()
    }
}

impl<S: Read + Write> Impostor<S> {
    /// Answers a client's hello with one's own, so that both sides have keys.
    ///
    /// # Errors
    /// What the stream has, or a hello that offers no share on P-256.
    pub fn accept(mut stream: S) -> Result<Self> {
        let (_, hello) = record(&mut stream)?;
        let theirs = messages::share(&hello).ok_or_else(|| Error::other("no share on P-256"))?;
        let theirs = PublicKey::from_sec1_bytes(theirs).map_err(Error::other)?;
        let own = SecretKey::from_slice(&SECRET).map_err(Error::other)?;
        let answer = messages::server_hello(&own.public_key().to_sec1_bytes());
        let mut transcript = Sha256::new();
        transcript.update(&hello);
        transcript.update(&answer);
        write(&mut stream, HANDSHAKE, &answer)?;
        let shared = p256::ecdh::diffie_hellman(own.to_nonzero_scalar(), theirs.as_affine());
        let (schedule, from_client, to_client) =
            Schedule::begin(shared.raw_secret_bytes(), &transcript.clone().finalize());
        Ok(Self { stream, transcript, schedule, from_client, to_client, next_from_client: None })
    }

    /// The stream underneath.
    pub fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Sends an open record.
    ///
    /// # Errors
    /// What the stream has.
    pub fn open(&mut self, kind: u8, content: &[u8]) -> Result<()> {
        write(&mut self.stream, kind, content)
    }

    /// Sends a sealed record that holds these bytes, the last of which that is not zero tells what kind
    /// they are.
    ///
    /// # Errors
    /// What the stream has.
    pub fn seal(&mut self, held: &[u8]) -> Result<()> {
        let sealed = self.to_client.seal(held);
        self.stream.write_all(&sealed)?;
        self.stream.flush()
    }

    /// A sealed record as it would be sent.
    pub fn sealed(&mut self, held: &[u8]) -> Vec<u8> {
        self.to_client.seal(held)
    }

    /// Sends content.
    ///
    /// # Errors
    /// What the stream has.
    pub fn content(&mut self, bytes: &[u8]) -> Result<()> {
        self.seal(&[bytes, &[CONTENT]].concat())
    }

    /// Says messages of the handshake, in one sealed record.
    ///
    /// # Errors
    /// What the stream has.
    pub fn say(&mut self, messages: &[Vec<u8>]) -> Result<()> {
        let all = messages.concat();
        self.transcript.update(&all);
        self.seal(&[&all[..], &[HANDSHAKE]].concat())
    }

    /// The message that shows that one has a key, PKCS #8 in PEM: signs what was said so far.
    ///
    /// # Errors
    /// A key that is none on P-256.
    pub fn proof(&self, key: &str) -> Result<Vec<u8>> {
        let key = SigningKey::from_pkcs8_pem(key).map_err(Error::other)?;
        let hash = self.transcript.clone().finalize();
        let mut signed = vec![b' '; 64];
        signed.extend(b"TLS 1.3, server CertificateVerify\0");
        signed.extend_from_slice(&hash);
        let signature: DerSignature = key.sign(&signed);
        Ok(messages::certificate_verify(signature.as_bytes()))
    }

    /// Encrypted extensions, certificate and proof, each in a record of its own.
    ///
    /// # Errors
    /// What the stream has, or a key that is none on P-256.
    pub fn present(&mut self, certificates: &[&[u8]], key: &str) -> Result<()> {
        self.say(&[messages::encrypted_extensions()])?;
        self.say(&[messages::certificate(certificates)])?;
        let proof = self.proof(key)?;
        self.say(&[proof])
    }

    /// Says that the handshake is done; from now on, what is sent is sealed as content is.
    ///
    /// # Errors
    /// What the stream has.
    pub fn finish(&mut self) -> Result<()> {
        let finished =
            messages::finished(&self.to_client.finished(&self.transcript.clone().finalize()));
        self.say(&[finished])?;
        let (from_client, to_client) = self.schedule.open(&self.transcript.clone().finalize());
        self.to_client = to_client;
        // What the client still has to say of the handshake is sealed as before.
        self.next_from_client = Some(from_client);
        Ok(())
    }

    /// What the client says to end the handshake: its messages, its certificate among them if it was
    /// asked for one.
    ///
    /// # Errors
    /// What the stream has, a record that is not genuine, or a client that does not agree on what was
    /// said.
    pub fn read_finished(&mut self) -> Result<Vec<u8>> {
        let mut said = Vec::new();
        loop {
            let held = self.read()?;
            let Some((&HANDSHAKE, messages)) = held.split_last() else {
                return Err(Error::other("no message of a handshake"));
            };
            let hash = self.transcript.clone().finalize();
            if messages.starts_with(&[messages::FINISHED]) {
                if messages[4..] != self.from_client.finished(&hash) {
                    return Err(Error::other("the client has heard something else"));
                }
                if let Some(next) = self.next_from_client.take() {
                    self.from_client = next;
                }
                return Ok(said);
            }
            self.transcript.update(messages);
            said.extend_from_slice(messages);
        }
    }

    /// What the next sealed record of the client's holds, its kind as the last byte.
    ///
    /// # Errors
    /// What the stream has, or a record that is not genuine.
    pub fn read(&mut self) -> Result<Vec<u8>> {
        loop {
            let (head, sealed) = record(&mut self.stream)?;
            if head[0] == CONTENT {
                return self.from_client.open(&head, &sealed).ok_or_else(|| Error::other("damage"));
            }
        }
    }
}

/// Reads a record: its head, and the rest.
fn record(stream: &mut impl Read) -> Result<([u8; 5], Vec<u8>)> {
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    let mut rest = vec![0; u16::from_be_bytes([head[3], head[4]]).into()];
    stream.read_exact(&mut rest)?;
    Ok((head, rest))
}

fn write(stream: &mut impl Write, kind: u8, content: &[u8]) -> Result<()> {
    let len = u16::try_from(content.len()).map_err(Error::other)?.to_be_bytes();
    stream.write_all(&[&[kind, 3, 3], &len[..], content].concat())?;
    stream.flush()
}
