//! A program that signs.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use updraft_image::{Digest, HashKind, Scheme};

use super::{SigningKey, checked_digest, checked_message};
use crate::{KeyError, PublicKey};

/// What a program may write: signatures have some hundred bytes.
const LONGEST: usize = 64 * 1024;
/// How long its pipes are waited for when it has ended and another process still holds them.
const GRACE: Duration = Duration::from_millis(500);
/// Secrets that are none of its business.
const SECRETS: [&str; 2] = ["UPDRAFT_KEY_PASSPHRASE", "UPDRAFT_PKCS11_PIN"];

/// Why a program did not sign.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The command line names no program, or has an open quote.
    #[error("`{0}` is no command line")]
    Line(String),
    /// It could not be started, or its pipes broke.
    #[error("{program} cannot be run: {source}")]
    Run {
        /// The program.
        program: String,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// It failed.
    #[error("{program} failed, {status}: {said}")]
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// The last line on its standard error.
        said: String,
    },
    /// It wrote and wrote.
    #[error("{program} wrote more than {LONGEST} bytes, which is no signature")]
    TooLong {
        /// The program.
        program: String,
    },
}

/// A key that a program signs with.
///
/// The program gets on its standard input the bytes to sign: the digest for ECDSA and RSA-PSS, the
/// message for Ed25519. It writes the signature to its standard output, as bytes or in base64;
/// ECDSA in DER, or as two numbers of the curve's length. `UPDRAFT_SIGN_SCHEME` tells it the scheme
/// by imgtool's name, such as `ecdsa-p256`, and `UPDRAFT_SIGN_HASH` the digest's: `sha256`,
/// `sha384`, `sha512`, or `none` where the input is the message. The passphrases and PINs of other
/// keys, `UPDRAFT_KEY_PASSPHRASE` and `UPDRAFT_PKCS11_PIN`, are taken out of its environment.
#[derive(Clone, Debug)]
pub struct CommandKey {
    words: Vec<String>,
    public: PublicKey,
}

impl CommandKey {
    /// The command line `line` signs with the private half of `public`. Words are separated by
    /// blanks; quotes keep blanks in a word.
    pub fn new(line: &str, public: PublicKey) -> Result<Self, CommandError> {
        let words = words(line).filter(|words| !words.is_empty());
        let words = words.ok_or_else(|| CommandError::Line(line.into()))?;
        Ok(Self { words, public })
    }

    fn run(&self, input: &[u8], hash: &str) -> Result<Vec<u8>, CommandError> {
        let (program, arguments) = match self.words.split_first() {
            Some((program, arguments)) => (program.clone(), arguments),
            None => return Err(CommandError::Line(String::new())),
        };
        let failed = |source| CommandError::Run { program: program.clone(), source };
        let scheme = self.public.scheme().map_or("none", Scheme::name);
        let mut command = Command::new(&program);
        SECRETS.iter().for_each(|secret| {
            command.env_remove(secret);
        });
        let mut child = command
            .args(arguments)
            .env("UPDRAFT_SIGN_SCHEME", scheme)
            .env("UPDRAFT_SIGN_HASH", hash)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let output = child.stdout.take().map(|pipe| Collected::from(pipe, Full::Stop));
        let errors = child.stderr.take().map(|pipe| Collected::from(pipe, Full::KeepTheEnd));
        let mut pipe = child.stdin.take();
        let input = input.to_vec();
        // A program may answer before it has read everything, and a pipe holds only so much. One
        // that does not read its input is judged by its signature.
        thread::spawn(move || pipe.as_mut().map(|pipe| pipe.write_all(&input)));
        let status = child.wait().map_err(failed)?;
        let output = output.map_or(Vec::new(), Collected::bytes);
        if output.len() > LONGEST {
            return Err(CommandError::TooLong { program });
        }
        if status.success() {
            return Ok(signature(output));
        }
        let errors = errors.map_or(Vec::new(), Collected::bytes);
        let said = String::from_utf8_lossy(&errors);
        let said = said.trim().lines().last().unwrap_or("it said nothing").to_owned();
        Err(CommandError::Failed { program, status, said })
    }
}

/// What becomes of output past [`LONGEST`].
#[derive(Clone, Copy, PartialEq, Eq)]
enum Full {
    /// The pipe is closed, which ends the program.
    Stop,
    /// What was written first is dropped.
    KeepTheEnd,
}

/// What a program writes into a pipe, read while it runs.
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    ended: Receiver<()>,
}

impl Collected {
    fn from(mut pipe: impl Read + Send + 'static, full: Full) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let (end, ended) = channel();
        let into = Arc::clone(&bytes);
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(read @ 1..) = pipe.read(&mut chunk) {
                let mut bytes = into.lock().unwrap_or_else(PoisonError::into_inner);
                bytes.extend_from_slice(&chunk[..read]);
                match (bytes.len().checked_sub(LONGEST), full) {
                    (Some(1..), Full::Stop) => break,
                    (Some(over), Full::KeepTheEnd) => drop(bytes.drain(..over)),
                    _ => {}
                }
            }
            drop(end);
        });
        Self { bytes, ended }
    }

    /// All of it: the pipe ends with the program, unless that has left another process behind.
    fn bytes(self) -> Vec<u8> {
        // That the other end is gone is the message.
        let _ = self.ended.recv_timeout(GRACE);
        std::mem::take(&mut *self.bytes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl SigningKey for CommandKey {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign_digest(&self, digest: &Digest) -> Result<Vec<u8>, KeyError> {
        let hash = match (self.public.scheme(), digest.kind()) {
            (Some(Scheme::Ed25519), _) => "none",
            (_, HashKind::Sha256) => "sha256",
            (_, HashKind::Sha384) => "sha384",
            (_, HashKind::Sha512) => "sha512",
        };
        checked_digest(&self.public, digest, self.run(digest.as_bytes(), hash)?)
    }

    fn sign_message(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        checked_message(&self.public, message, self.run(message, "none")?)
    }
}

/// Bytes, or base64 of them.
fn signature(output: Vec<u8>) -> Vec<u8> {
    let text: Vec<u8> = output.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    match BASE64.decode(&text) {
        // Binary signatures are not text by chance: they are 64 random bytes and more.
        Ok(decoded) if !decoded.is_empty() => decoded,
        _ => output,
    }
}

/// The words of a command line, as a shell separates them.
fn words(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn command_lines_are_split_as_a_shell_does() {
        let split = |line| words(line).unwrap();
        assert_eq!(split(" sign  --key 'a b' \"c d\"e ''"), ["sign", "--key", "a b", "c de", ""]);
        assert!(split("").is_empty());
        assert_eq!(words("sign 'a"), None);
    }
}
