//! Group 9, the shell: command lines and what they print.
//!
//! Source: Zephyr documentation, "Shell management".

use super::{Answer, Failure, Group, Request, Reset};
use crate::{Op, Rc, ShellError, shell};

/// What a command line came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShellReply<'a> {
    /// What it printed. What does not fit an answer is cut.
    pub output: &'a str,
    /// How it ended: 0 is well.
    pub ret: i32,
}

/// A shell.
pub trait Shell {
    /// Bytes of the longest command line, [`LINE_MAX`] at most.
    const MAX_LINE: usize = LINE_MAX;

    /// Runs a command line.
    fn execute(&mut self, line: &str) -> ShellReply<'_>;
}

/// Bytes of the longest command line that any shell takes.
pub const LINE_MAX: usize = 255;

/// The shell group over a shell.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShellGroup<S>(pub S);

/// The words of a request, with spaces between them.
struct Line {
    bytes: [u8; LINE_MAX],
    len: usize,
    words: usize,
    limit: usize,
    overflow: bool,
}

impl Line {
    fn push(&mut self, word: &str) {
        let space = if self.words > 0 { " " } else { "" };
        self.words = self.words.saturating_add(1);
        for part in [space, word] {
            let end = self.len.saturating_add(part.len());
            match self.bytes.get_mut(self.len..end).filter(|_| end <= self.limit) {
                Some(place) => {
                    place.copy_from_slice(part.as_bytes());
                    self.len = end;
                }
                None => self.overflow = true,
            }
        }
    }

    fn text(&self) -> Result<&str, Failure> {
        if self.overflow {
            return Err(ShellError::CommandTooLong.into());
        }
        let bytes = self.bytes.get(..self.len).unwrap_or_default();
        let text = core::str::from_utf8(bytes).map_err(|_| Rc::INVALID)?;
        match text.trim().is_empty() {
            true => Err(ShellError::EmptyCommand.into()),
            false => Ok(text),
        }
    }
}

/// Bytes of an answer around the output: its key and head, `ret`, the end of the map.
const AROUND: usize = 2 + 3 + 4 + 5 + 1;

impl<S: Shell> ShellGroup<S> {
    fn execute(&mut self, request: &Request<'_>, answer: &mut Answer<'_>) -> Result<(), Failure> {
        let limit = S::MAX_LINE.min(LINE_MAX);
        let mut line = Line { bytes: [0; LINE_MAX], len: 0, words: 0, limit, overflow: false };
        let mut given = false;
        request.fields(|key, value| match key {
            "argv" if !given => {
                given = true;
                value.list(|item| {
                    let mut word = None;
                    item.str(&mut word)?;
                    line.push(word.unwrap_or_default());
                    Ok(())
                })
            }
            _ => Ok(()),
        })?;
        if !given {
            return Err(Rc::INVALID.into());
        }
        let ShellReply { output, ret } = self.0.execute(line.text()?);
        let room = answer.room().checked_sub(AROUND).ok_or(Rc::MESSAGE_SIZE)?;
        let end = (0..=output.len().min(room)).rev().find(|end| output.is_char_boundary(*end));
        answer.str("o", output.get(..end.unwrap_or(0)).unwrap_or_default())?;
        answer.i32("ret", ret)
    }
}

impl<S: Shell> Group for ShellGroup<S> {
    const ID: u16 = crate::group::SHELL;
    const NAME: Option<&'static str> = Some("shell mgmt");

    fn commands(&self) -> u32 {
        1
    }

    fn handle(
        &mut self,
        request: &Request<'_>,
        answer: &mut Answer<'_>,
    ) -> Result<Option<Reset>, Failure> {
        match request.command() {
            (shell::EXECUTE, Op::Write) => self.execute(request, answer)?,
            _ => return Err(Rc::NOT_SUPPORTED.into()),
        }
        Ok(None)
    }
}
