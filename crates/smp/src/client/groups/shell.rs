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
    /// What a command line came to. Older servers call its result `rc`: beside an output that is no
    /// refusal.
    pub fn shell(&self) -> Result<ShellOutput<'p>, AnswerError> {
        let (mut output, mut ret, mut rc, mut refused) = (None, None, None, false);
        let read = crate::fields(self.payload, |key, value| match key {
            "o" => value.str(&mut output),
            "ret" => value.i32(&mut ret),
            "rc" => value.i32(&mut rc),
            "err" => {
                refused = true;
                Ok(())
            }
            _ => Ok(()),
        });
        match (read, output) {
            (Ok(()), Some(output)) if !refused => {
                Ok(ShellOutput { output, ret: ret.or(rc).unwrap_or(0) })
            }
            (read, _) => {
                self.check()?;
                read?;
                Err(self.incomplete())
            }
        }
    }
}
