//! The console of a process: its standard streams, and the terminal for passphrases.

use std::io::{self, BufRead, Write};

use zeroize::Zeroizing;

use crate::Console;

/// The streams and the terminal of this process.
#[derive(Clone, Copy, Debug)]
pub struct Terminal;

impl Console for Terminal {
    fn out(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    }

    fn err(&mut self, line: &str) {
        // There is nowhere left to complain.
        let _ = writeln!(io::stderr(), "{line}");
    }

    fn ask(&mut self, question: &str) -> Option<String> {
        self.out(question.as_bytes()).ok()?;
        line(&mut io::stdin().lock())
    }

    fn ask_passphrase(&mut self, question: &str) -> Option<Zeroizing<String>> {
        hidden(question).map(Zeroizing::new)
    }
}

fn line(from: &mut dyn BufRead) -> Option<String> {
    let mut line = String::new();
    (from.read_line(&mut line).ok()? > 0).then_some(())?;
    Some(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// Asks on the terminal, whatever the standard streams are, and without showing the answer; where
/// there is no terminal, on the standard streams.
#[cfg(unix)]
fn hidden(question: &str) -> Option<String> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    use std::fs::File;

    let terminal = File::options().read(true).write(true).open("/dev/tty").ok();
    let Some(mut terminal) = terminal else {
        eprint!("{question}");
        return line(&mut io::stdin().lock());
    };
    write!(terminal, "{question}").ok()?;
    let shown = tcgetattr(&terminal).ok()?;
    let mut silent = shown.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&terminal, OptionalActions::Flush, &silent).ok()?;
    let answer = line(&mut io::BufReader::new(&terminal));
    tcsetattr(&terminal, OptionalActions::Flush, &shown).ok()?;
    writeln!(terminal).ok()?;
    answer
}

#[cfg(not(unix))]
fn hidden(question: &str) -> Option<String> {
    eprint!("{question}");
    line(&mut io::stdin().lock())
}
