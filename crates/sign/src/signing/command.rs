//! A program that signs.

use std::io::Write;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use updraft_image::{Digest, HashKind, Scheme};

use super::{SigningKey, checked_digest, checked_message};
use crate::{KeyError, PublicKey};

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
}

/// A key that a program signs with.
///
/// The program gets on its standard input the bytes to sign: the digest for ECDSA and RSA-PSS, the
/// message for Ed25519. It writes the signature to its standard output, as bytes or in base64;
/// ECDSA in DER, or as two numbers of the curve's length. `UPDRAFT_SIGN_SCHEME` tells it the scheme
/// by imgtool's name, such as `ecdsa-p256`, and `UPDRAFT_SIGN_HASH` the digest's: `sha256`,
/// `sha384`, `sha512`, or `none` where the input is the message.
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
        let mut child = Command::new(&program)
            .args(arguments)
            .env("UPDRAFT_SIGN_SCHEME", scheme)
            .env("UPDRAFT_SIGN_HASH", hash)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let mut pipe = child.stdin.take();
        let input = input.to_vec();
        // A program may answer before it has read everything, and a pipe holds only so much.
        let writer = std::thread::spawn(move || pipe.as_mut().map(|pipe| pipe.write_all(&input)));
        let output = child.wait_with_output().map_err(failed)?;
        // One that does not read its input is judged by its signature.
        let _ = writer.join();
        match output.status.success() {
            true => Ok(signature(output.stdout)),
            false => {
                let said = String::from_utf8_lossy(&output.stderr);
                let said = said.trim().lines().last().unwrap_or("it said nothing").to_owned();
                Err(CommandError::Failed { program, status: output.status, said })
            }
        }
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
