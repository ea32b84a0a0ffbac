//! A folder of each test's own, with the recorded keys and images in it, and our tool run there.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use updraft_imgtool::{Console, run_on};
use zeroize::Zeroizing;

/// What a command line came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub code: u8,
    pub out: Vec<u8>,
    pub err: String,
}

impl Outcome {
    /// What was printed.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    /// The error in the last words.
    pub fn error(&self) -> &str {
        self.err.find("Error: ").map_or("", |at| self.err[at..].trim_end())
    }
}

#[derive(Default)]
struct Recorder {
    out: Vec<u8>,
    err: String,
    passphrases: VecDeque<String>,
}

impl Console for Recorder {
    fn out(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn err(&mut self, line: &str) {
        self.err += line;
        self.err.push('\n');
    }

    fn ask(&mut self, _: &str) -> Option<String> {
        None
    }

    fn ask_passphrase(&mut self, _: &str) -> Option<Zeroizing<String>> {
        self.passphrases.pop_front().map(Zeroizing::new)
    }
}

/// Makes a fresh folder, and moves into it: relative names are those of the recorded commands. A
/// process has one current folder, so that tests take turns; a turn lasts as long as what this
/// returns.
pub fn enter(name: &str) -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    // A test that failed has left nothing that the next one looks at.
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("imgtool-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    for part in ["keys", "payload", "img", "hex", "bad"] {
        std::os::unix::fs::symlink(vectors().join(part), folder.join(part)).unwrap();
    }
    std::env::set_current_dir(&folder).unwrap();
    turn
}

/// The recorded files.
pub fn vectors() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/mcuboot");
    path.canonicalize().unwrap()
}

/// Runs our tool.
pub fn ours(args: &[String], passphrases: &[&str]) -> Outcome {
    let args: Vec<_> = args.iter().map(OsString::from).collect();
    let passphrases = passphrases.iter().map(|it| (*it).to_owned()).collect();
    let mut console = Recorder { passphrases, ..Recorder::default() };
    let code = run_on(&mut console, "imgtool", &args);
    Outcome { code, out: console.out, err: console.err }
}

/// Splits as a shell does, as far as quotes go.
pub fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (c, quote) {
            (c, Some(q)) if c == q => quote = None,
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (' ', None) => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}
