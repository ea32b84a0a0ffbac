//! Dispatch: one request in, one answer out.

use updraft_flash::FlashMap;
use updraft_image::{Strictness, Verifier};
use updraft_smp::server::{Answer, Failure, Request, Reset};
use updraft_smp::{Header, Op, Rc, group, image, os};

use crate::upload::Session;
use crate::{Config, Hooks};

/// What a request led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Bytes of the answer at the start of the buffer; 0 if even an error does not fit.
    pub len: usize,
    /// A reset to carry out once the answer has left, a quarter of a second later by custom.
    pub reset: Option<Reset>,
}

/// The recovery of a device. Holds the one upload.
///
/// `HEAD` is how much of an upload is kept back to the end, in bytes: a multiple of every slot's
/// write size, and at least 32.
#[derive(Debug)]
pub struct Recovery<M, V, H, const HEAD: usize = 32> {
    pub(crate) config: Config,
    pub(crate) map: M,
    pub(crate) verifier: V,
    pub(crate) hooks: H,
    pub(crate) session: Session<HEAD>,
}

impl<M: FlashMap, V: Verifier, H: Hooks, const HEAD: usize> Recovery<M, V, H, HEAD> {
    /// The recovery of a device with the flash `map`, which trusts the keys of `verifier`.
    pub fn new(config: Config, map: M, verifier: V, hooks: H) -> Self {
        Self { config, map, verifier, hooks, session: Session::Idle }
    }

    /// The flash.
    pub fn map(&mut self) -> &mut M {
        &mut self.map
    }

    /// What the board adds.
    pub fn hooks(&mut self) -> &mut H {
        &mut self.hooks
    }

    /// Gives flash, verifier and hooks back.
    pub fn into_parts(self) -> (M, V, H) {
        (self.map, self.verifier, self.hooks)
    }

    /// Bytes received and expected, while an upload is going on.
    pub fn upload(&self) -> Option<(u32, u32)> {
        self.session.progress()
    }

    pub(crate) fn strict(&self) -> bool {
        self.config.rules.strictness == Strictness::Strict
    }

    /// Answers the request in `message`; the answer is built in `buffer`. Nothing is said to what
    /// is no request, nor to one that is longer than its header says.
    pub fn handle(&mut self, message: &[u8], buffer: &mut [u8]) -> Option<Reply> {
        let (header, payload) = Header::parse(message).ok()?;
        let is_request = matches!(header.op, Op::Read | Op::Write);
        if !is_request || payload.len() > header.length.into() {
            return None;
        }
        // Errors are told the way of version 1, whatever the request's version.
        let answer_header = Header { op: header.op.response(), flags: 0, ..header };
        let outcome = Answer::begin(buffer).and_then(|mut answer| {
            let reset = self.command(&Request { header, payload }, &mut answer)?;
            Ok(Reply { len: answer.finish(answer_header)?, reset })
        });
        Some(outcome.unwrap_or_else(|failure| {
            let len = failure.emit(answer_header, self.strict(), buffer);
            Reply { len, reset: None }
        }))
    }

    fn command(
        &mut self,
        request: &Request<'_>,
        answer: &mut Answer<'_>,
    ) -> Result<Option<Reset>, Failure> {
        let done = |answer: &mut Answer<'_>| answer.u32("rc", Rc::OK.0);
        match (request.header.group, request.header.id) {
            (group::IMAGE, image::STATE) => match request.header.op {
                Op::Read => self.list(answer)?,
                _ => self.set_state(request, answer)?,
            },
            (group::IMAGE, image::UPLOAD) => {
                let off = self.chunk(request)?;
                done(answer)?;
                answer.u32("off", off)?;
            }
            (group::IMAGE, image::SLOT_INFO)
                if H::OFFERS.slot_info && request.header.op == Op::Read =>
            {
                self.slot_info(answer)?;
            }
            (group::OS, os::ECHO) if H::OFFERS.echo => echo(request, answer)?,
            // Old clients turn the echo off before anything else.
            (group::OS, os::CONSOLE_ECHO) => done(answer)?,
            (group::OS, os::PARAMS) if H::OFFERS.params => {
                answer.u32("buf_size", self.config.buffer)?;
                answer.u32("buf_count", 1)?;
            }
            (group::OS, os::RESET) => {
                let reset = Reset::requested(request);
                if !self.hooks.may_reset(reset.force) {
                    return Err(Rc::BUSY.into());
                }
                done(answer)?;
                return Ok(Some(reset));
            }
            (group::OS | group::IMAGE, _) => return Err(Rc::NOT_SUPPORTED.into()),
            _ => self.hooks.command(&mut self.map, request, answer)?,
        }
        Ok(None)
    }
}

fn echo(request: &Request<'_>, answer: &mut Answer<'_>) -> Result<(), Failure> {
    let mut text = None;
    request.fields(|key, value| match key {
        "d" => value.str(&mut text),
        _ => Ok(()),
    })?;
    answer.str("r", text.ok_or(Rc::INVALID)?)
}
