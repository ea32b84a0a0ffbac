//! The rules by which imgtool reads its arguments: those of the Python library click.
//!
//! Options stand before, between and behind the arguments, up to `--`. A value follows its option,
//! behind `=` or glued to a short one, whatever it looks like. Of an option that is repeated the
//! last one counts. Values are checked in the order in which their options were first given.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::python::{based, decimal, repr};
use crate::{Console, Failure, similar};

/// A subcommand.
pub struct Command {
    pub name: &'static str,
    /// What it does, for the help.
    pub about: &'static str,
    pub options: &'static [Opt],
    pub arguments: &'static [&'static str],
    pub run: fn(&Values, &mut dyn Console) -> Result<(), Failure>,
}

/// Says what is wrong with a value.
pub type Check = fn(&str) -> Result<(), String>;

/// An option.
pub struct Opt {
    /// Its name, with both dashes.
    pub long: &'static str,
    pub short: Option<char>,
    pub takes: Takes,
    pub required: bool,
    /// What a value has to be beyond its type.
    pub check: Option<Check>,
    pub help: &'static str,
}

/// What an option takes.
#[derive(Clone, Copy)]
pub enum Takes {
    /// Nothing: it is there or not.
    Nothing,
    /// A text; what the help calls it.
    Text(&'static str),
    /// One of these.
    Choice(&'static [&'static str]),
    /// One of these; what the help calls it.
    Named(&'static str, &'static [&'static str]),
    /// A number with a prefix for its base.
    Based,
    /// A decimal number.
    Decimal,
    /// Two texts, and more of them each time it is given.
    Pair(&'static str),
}

impl Opt {
    /// A switch.
    pub const fn flag(long: &'static str, help: &'static str) -> Self {
        Self::new(long, Takes::Nothing, help)
    }

    /// An option with a value.
    pub const fn new(long: &'static str, takes: Takes, help: &'static str) -> Self {
        Self { long, short: None, takes, required: false, check: None, help }
    }

    /// The same with a short name.
    pub const fn short(self, short: char) -> Self {
        Self { short: Some(short), ..self }
    }

    /// The same, but it cannot be left out.
    pub const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// The same with values that are checked.
    pub const fn checked(self, check: Check) -> Self {
        Self { check: Some(check), ..self }
    }

    /// How errors name it.
    fn hint(&self) -> String {
        match self.short {
            Some(short) => format!("'-{short}' / '{}'", self.long),
            None => format!("'{}'", self.long),
        }
    }

    fn values(&self) -> usize {
        match self.takes {
            Takes::Nothing => 0,
            Takes::Pair(_) => 2,
            _ => 1,
        }
    }

    fn accepts(&self, value: &OsStr) -> Result<(), Failure> {
        let text = value.to_string_lossy();
        let wrong =
            |message| Failure::Usage(format!("Invalid value for {}: {message}", self.hint()));
        match self.takes {
            Takes::Choice(choices) | Takes::Named(_, choices)
                if !choices.contains(&text.as_ref()) =>
            {
                let choices: Vec<_> = choices.iter().map(|choice| repr(choice)).collect();
                let message = format!("{} is not one of {}.", repr(&text), choices.join(", "));
                return Err(wrong(message));
            }
            Takes::Based if based(&text).is_none() => return Err(wrong(no_integer(&text))),
            Takes::Decimal if decimal(&text).is_none() => {
                return Err(wrong(format!("{} is not a valid integer.", repr(&text))));
            }
            _ => {}
        }
        self.check.map_or(Ok(()), |check| check(&text)).map_err(wrong)
    }
}

/// What is wrong with a text that is no number.
pub fn no_integer(text: &str) -> String {
    format!(
        "{text} is not a valid integer. Please use code literals prefixed with 0b/0B, 0o/0O, or \
         0x/0X as necessary."
    )
}

/// What a command was called with.
#[derive(Debug, Default)]
pub struct Values {
    options: HashMap<&'static str, Vec<OsString>>,
    arguments: Vec<OsString>,
}

impl Values {
    /// Whether a switch is on.
    pub fn flag(&self, long: &str) -> bool {
        self.options.contains_key(long)
    }

    /// Of an option that is repeated, the last one counts.
    fn value(&self, long: &str) -> Option<&OsStr> {
        self.options.get(long)?.last().map(OsString::as_os_str)
    }

    /// The value of an option; `Err` if it is no Unicode.
    pub fn text(&self, long: &str) -> Result<Option<&str>, Failure> {
        self.value(long).map(text).transpose()
    }

    /// The value of an option with choices, or that was checked to be a number.
    pub fn choice(&self, long: &str) -> Option<&str> {
        self.value(long)?.to_str()
    }

    /// The number behind an option.
    pub fn number(&self, long: &str) -> Option<i128> {
        based(self.choice(long)?)
    }

    /// The decimal number behind an option.
    pub fn decimal(&self, long: &str) -> Option<i128> {
        decimal(self.choice(long)?)
    }

    /// The file behind an option; an empty name is none.
    pub fn file(&self, long: &str) -> Option<PathBuf> {
        let name = self.value(long)?;
        (!name.is_empty()).then(|| name.into())
    }

    /// Every pair of values behind an option.
    pub fn pairs(&self, long: &str) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        let values = self.options.get(long).map_or(&[][..], Vec::as_slice);
        values.chunks_exact(2).map(|pair| (pair[0].as_os_str(), pair[1].as_os_str()))
    }

    /// The argument at a position that the command has.
    pub fn argument(&self, at: usize) -> &Path {
        Path::new(&self.arguments[at])
    }
}

/// A value that has to be Unicode.
pub fn text(value: &OsStr) -> Result<&str, Failure> {
    value.to_str().ok_or_else(|| {
        let cause = format!("`{}` is not Unicode", value.to_string_lossy());
        Failure::error(cause, "only names of files may be anything")
    })
}

/// Arguments, read.
pub enum Parsed {
    /// Only the help is wanted.
    Help,
    /// The command is to run with these.
    Call(Values),
}

/// What has been read, in the order in which it came.
struct Reader<'c> {
    command: &'c Command,
    values: Values,
    order: Vec<&'static str>,
    help: bool,
}

/// Reads the arguments of a command.
pub fn parse(command: &Command, args: &[OsString]) -> Result<Parsed, Failure> {
    let mut reader = Reader { command, values: Values::default(), order: Vec::new(), help: false };
    reader.read(args)?;
    if reader.help {
        return Ok(Parsed::Help);
    }
    let Reader { mut values, order, .. } = reader;
    for name in order {
        let option = command.options.iter().find(|option| option.long == name);
        let Some(option) = option.filter(|option| option.values() > 0) else { continue };
        // Only what counts is looked at.
        let given = &values.options[name];
        let counts = if option.values() == 1 { &given[given.len() - 1..] } else { given };
        counts.iter().try_for_each(|value| option.accepts(value))?;
    }
    if let Some(missing) = command.arguments.get(values.arguments.len()) {
        return Err(Failure::Usage(format!("Missing argument '{missing}'.")));
    }
    let missing = |option: &&Opt| option.required && !values.flag(option.long);
    if let Some(option) = command.options.iter().find(missing) {
        return Err(Failure::Usage(format!("Missing option {}.", option.hint())));
    }
    let more = values.arguments.split_off(command.arguments.len());
    if !more.is_empty() {
        let more: Vec<_> = more.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
        let s = if more.len() > 1 { "s" } else { "" };
        let more = more.join(" ");
        return Err(Failure::Usage(format!("Got unexpected extra argument{s} ({more})")));
    }
    Ok(Parsed::Call(values))
}

impl Reader<'_> {
    fn read(&mut self, args: &[OsString]) -> Result<(), Failure> {
        let mut rest = args;
        while let Some((arg, behind)) = rest.split_first() {
            rest = behind;
            // What is not Unicode is a file's name.
            match arg.to_str() {
                Some("--") => {
                    self.values.arguments.extend_from_slice(rest);
                    return Ok(());
                }
                Some(option) if option.len() > 1 && option.starts_with('-') => {
                    self.option(option, &mut rest)?;
                }
                _ => self.values.arguments.push(arg.clone()),
            }
        }
        Ok(())
    }

    fn option(&mut self, arg: &str, rest: &mut &[OsString]) -> Result<(), Failure> {
        if !arg.starts_with("--") {
            return self.shorts(arg, rest);
        }
        let (name, value) = match arg.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (arg, None),
        };
        if name == "--help" {
            return self.help(name, value);
        }
        match self.command.options.iter().find(|option| option.long == name) {
            Some(option) => self.take(option, name, value, rest),
            None => {
                let mut names: Vec<_> = self.command.options.iter().map(|it| it.long).collect();
                names.push("--help");
                let close = similar::suggestion(name, &names);
                Err(Failure::Usage(format!("No such option {}.{close}", repr(name))))
            }
        }
    }

    /// Letters behind one dash: switches, up to one with a value, which is the rest.
    fn shorts(&mut self, arg: &str, rest: &mut &[OsString]) -> Result<(), Failure> {
        let mut letters = arg[1..].chars();
        while let Some(letter) = letters.next() {
            let name = format!("-{letter}");
            if letter == 'h' {
                self.help(&name, None)?;
                continue;
            }
            let option = self.command.options.iter().find(|it| it.short == Some(letter));
            let option =
                option.ok_or_else(|| Failure::Usage(format!("No such option {}.", repr(&name))))?;
            let glued = letters.as_str();
            if option.values() > 0 && !glued.is_empty() {
                return self.take(option, &name, Some(glued), rest);
            }
            self.take(option, &name, None, rest)?;
        }
        Ok(())
    }

    fn help(&mut self, name: &str, value: Option<&str>) -> Result<(), Failure> {
        self.help = true;
        match value {
            Some(_) => Err(no_value(name)),
            None => Ok(()),
        }
    }

    fn take(
        &mut self,
        option: &Opt,
        name: &str,
        value: Option<&str>,
        rest: &mut &[OsString],
    ) -> Result<(), Failure> {
        let wanted = option.values();
        if wanted == 0 && value.is_some() {
            return Err(no_value(name));
        }
        let mut taken: Vec<OsString> = value.map(OsString::from).into_iter().collect();
        let missing = wanted - taken.len();
        let Some((more, behind)) = rest.split_at_checked(missing) else {
            let name = repr(name);
            return Err(Failure::Option(match wanted {
                1 => format!("Option {name} requires an argument."),
                _ => format!("Option {name} requires {wanted} arguments."),
            }));
        };
        taken.extend_from_slice(more);
        *rest = behind;
        self.values.options.entry(option.long).or_default().extend(taken);
        if !self.order.contains(&option.long) {
            self.order.push(option.long);
        }
        Ok(())
    }
}

fn no_value(name: &str) -> Failure {
    Failure::Option(format!("Option {} does not take a value.", repr(name)))
}
