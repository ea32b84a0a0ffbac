//! imgtool's command line, version 2.5.0: for build systems that call it by name.
//!
//! ```text
//! arguments ─▶ command_line: click's rules ─▶ commands ─▶ updraft-sign ─▶ files
//!                     │                          │
//!                     └── usage error, exit 2    └── messages that scripts read, exit codes
//! ```
//! Options, defaults, files and exit codes are imgtool's; `docs/imgtool.md` lists where this is
//! stricter, and why. What imgtool answers with a Python traceback is one line here: the cause, and
//! what to do about it.

mod command_line;
mod commands;
mod document;
mod help;
mod key_file;
pub mod passphrase;
mod python;
mod similar;
mod terminal;

use std::ffi::OsString;
use std::process::ExitCode;

use zeroize::Zeroizing;

use crate::command_line::Parsed;
use crate::commands::COMMANDS;
use crate::key_file::KeyFile;

pub use terminal::Terminal;

/// The version of imgtool that this stands in for.
pub const VERSION: &str = "2.5.0";

/// Where a command's output goes, and who answers its questions.
pub trait Console {
    /// Writes results.
    fn out(&mut self, bytes: &[u8]) -> std::io::Result<()>;
    /// Writes a line of an error or a warning.
    fn err(&mut self, line: &str);
    /// Asks a question; `None` if nobody is there to answer.
    fn ask(&mut self, question: &str) -> Option<String>;
    /// Asks for a passphrase, which is not shown; `None` if nobody is there to answer.
    fn ask_passphrase(&mut self, question: &str) -> Option<Zeroizing<String>>;
}

/// How a command ends that does not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It was used wrongly: exit code 2.
    Usage(String),
    /// An option was given with too few values, or with too many: exit code 2, and click does not
    /// tell how the command is used.
    Option(String),
    /// It failed: exit code 1.
    Error {
        /// The cause.
        cause: String,
        /// What to do about it.
        hint: String,
    },
    /// It failed, and all has been said: exit code 1.
    Said,
}

impl Failure {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    pub(crate) fn error(cause: impl ToString, hint: impl Into<String>) -> Self {
        Self::Error { cause: cause.to_string(), hint: hint.into() }
    }
}

/// Whether a program that was started under this name is meant to be imgtool.
pub fn is_imgtool(program: &std::ffi::OsStr) -> bool {
    let stem = std::path::Path::new(program).file_stem().unwrap_or_default();
    stem == "imgtool" || stem == "updraft-imgtool"
}

/// Runs a command line, `args` without the program's name, on the terminal that this process has.
pub fn run(program: &str, args: impl Iterator<Item = OsString>) -> ExitCode {
    let args: Vec<_> = args.collect();
    run_on(&mut Terminal, program, &args).into()
}

/// The same on any console. Returns the exit code.
pub fn run_on(console: &mut dyn Console, program: &str, args: &[OsString]) -> u8 {
    let mut rest = args.iter().skip_while(|arg| *arg == "--").peekable();
    let Some(name) = rest.next() else {
        console.err(help::overview(program).trim_end());
        return 2;
    };
    let shown = name.to_string_lossy();
    let overall = |console: &mut dyn Console, message: String| {
        console.err(&format!("Usage: {program} [OPTIONS] COMMAND [ARGS]..."));
        console.err(&format!("Try '{program} --help' for help.\n\nError: {message}"));
        2
    };
    if shown == "-h" || shown == "--help" {
        return print(console, &help::overview(program));
    }
    if shown.len() > 1 && shown.starts_with('-') {
        let option = match shown.strip_prefix("--") {
            Some(_) => shown.split('=').next().unwrap_or_default().to_owned(),
            None => {
                let unknown = shown.chars().skip(1).find(|letter| *letter != 'h');
                unknown.map_or("-h".to_owned(), |letter| format!("-{letter}"))
            }
        };
        let close = similar::suggestion(&option, &["--help"]);
        return overall(console, format!("No such option {}.{close}", python::repr(&option)));
    }
    // `create` is the name that `sign` had first.
    let wanted = if shown == "create" { "sign" } else { &*shown };
    let Some(command) = COMMANDS.iter().find(|command| command.name == wanted) else {
        let mut names: Vec<_> = COMMANDS.iter().map(|command| command.name).collect();
        names.push("create");
        let close = similar::suggestion(&shown, &names);
        return overall(console, format!("No such command {}.{close}", python::repr(&shown)));
    };
    let args: Vec<_> = rest.cloned().collect();
    let done = match command_line::parse(command, &args) {
        Ok(Parsed::Help) => return print(console, &help::of(program, &shown, command)),
        Ok(Parsed::Call(values)) => (command.run)(&values, console),
        Err(failure) => Err(failure),
    };
    match done {
        Ok(()) => 0,
        Err(Failure::Usage(message)) => {
            console.err(&help::usage(program, &shown, command));
            console.err(&format!("Try '{program} {shown} --help' for help.\n\nError: {message}"));
            2
        }
        Err(Failure::Option(message)) => {
            console.err(&format!("Error: {message}"));
            2
        }
        Err(Failure::Error { cause, hint }) => {
            console.err(&format!("Error: {cause}: {hint}"));
            1
        }
        Err(Failure::Said) => 1,
    }
}

/// What `verify` finds of the image in `file`: that it is valid, or the words for what is wrong.
/// `key` is the PEM text of a key without passphrase; without one only the hash is checked.
pub fn verdict(file: &[u8], key: Option<&str>) -> Result<(), String> {
    let key = key.map(KeyFile::parse).transpose().map_err(|error| error.to_string())?;
    match commands::verify(file, key.as_ref()) {
        Ok(verdict) => verdict.refusal().map_or(Ok(()), |refusal| Err(refusal.into())),
        Err(Failure::Error { cause, .. } | Failure::Usage(cause) | Failure::Option(cause)) => {
            Err(cause)
        }
        Err(Failure::Said) => Err(String::new()),
    }
}

fn print(console: &mut dyn Console, text: &str) -> u8 {
    u8::from(console.out(text.as_bytes()).is_err())
}
