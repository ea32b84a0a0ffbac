//! Requests and answers of group 9, the shell.

use crate::client::request::{BufferTooSmall, Requests};
use crate::client::{Answer, AnswerError};
use crate::{Op, group, shell};

/// What a command line came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShellOutput<'p> {
    /// What it printed, colours and line ends as the device has them.
    pub output: &'p str,
    /// How it ended; 0 is well.
    pub ret: i32,
}

impl Requests {
    /// Runs a command line, given in words; see [`Answer::shell`].
    pub fn shell<'b>(
        &mut self,
        buffer: &'b mut [u8],
        words: &[&str],
    ) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Write, (group::SHELL, shell::EXECUTE), |c| {
            c.map(1)?.str("argv")?.array(words.len() as u64)?;
            words.iter().try_for_each(|word| c.str(word)?.ok())
        })
    }
}

impl<'p> Answer<'p> {
    /// What a command line came to.
    pub fn shell(&self) -> Result<ShellOutput<'p>, AnswerError> {
        let (mut output, mut ret) = (None, None);
        self.fields(|key, value| match key {
            "o" => value.str(&mut output),
            "ret" => value.i32(&mut ret),
            _ => Ok(()),
        })?;
        let output = output.ok_or(self.incomplete())?;
        Ok(ShellOutput { output, ret: ret.unwrap_or(0) })
    }
}
