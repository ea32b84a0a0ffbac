//! What goes out.

use core::fmt::Write as _;

use super::{Device, Peer, Todo, Told};
use crate::aws::{
    Answer, BlockRequest, Details, Format, Status, StreamTopic, Update, job_topic, stream_topic,
    update_topic,
};
use crate::http::{Request, Url};
use crate::io::{Endpoint, Output};
use crate::json::{Text, Writer};
use crate::label::Label;
use crate::platform::Platform;

/// Bytes of the longest bitmap that is sent.
const BITMAP: usize = 128;
/// Blocks that one question can ask for.
pub(super) const ASKED: u32 = 8 * BITMAP as u32;

/// The first block of a bitmap that asks for `wanted`.
pub(super) fn first_asked(wanted: u32) -> u32 {
    wanted / 8 * 8
}

impl<P: Platform> Device<'_, P> {
    pub(super) fn write<'o>(&'o mut self, todo: Todo, buffer: &'o mut [u8]) -> Option<Output<'o>> {
        let thing = self.settings.thing;
        let mut topic = Label::<255>::EMPTY;
        match todo {
            Todo::Open if self.peer == Peer::Broker => Some(Output::Open(self.settings.server)),
            Todo::Open => self.file_server().map(|(server, _)| Output::Open(server)),
            Todo::Close => Some(Output::Close),
            Todo::Subscribe(which, answer) => {
                job_topic(&mut topic, thing, which, answer).ok()?;
                Output::subscribe(&topic, buffer)
            }
            Todo::SubscribeStream(which) => {
                self.stream_topic(&mut topic, which)?;
                Output::subscribe(&topic, buffer)
            }
            Todo::AskJob => {
                self.questions = self.questions.wrapping_add(1);
                job_topic(&mut topic, thing, super::JobTopic::NextGet, Answer::Question).ok()?;
                let mut token = Label::<160>::EMPTY;
                write!(token, "{}:{thing}", self.questions).ok()?;
                Output::publish(&topic, true, buffer, |to| {
                    let mut to = Writer::new(to);
                    to.begin("{").member("clientToken", Some(Text::new(token.text()))).end("}");
                    to.finish().ok()
                })
            }
            Todo::AskBlocks => self.write_question(buffer),
            Todo::AskPart { offset, len } => {
                let (server, path) = self.file_server()?;
                let get = Request::get(server.host, server.other_port(), path);
                let range = Some((offset, len));
                let len = Request { range, ..get }.encode(buffer).ok()?;
                Some(Output::Send(buffer.get(..len)?))
            }
            Todo::Tell(told) => self.write_report(told, buffer),
        }
    }

    fn stream_topic(&self, to: &mut Label<255>, which: StreamTopic) -> Option<()> {
        let stream = Label::<44>::of(self.current()?.stream?)?;
        let Self { settings, .. } = self;
        stream_topic(to, settings.thing, stream.text(), which, settings.format).ok()
    }

    /// Server and path of the job's address.
    pub(super) fn file_server(&self) -> Option<(Endpoint<'_>, Text<'_>)> {
        let url = Url::split(self.current()?.file.url?.plain()?)?;
        Some((url.server, url.path))
    }

    fn write_question<'o>(&self, buffer: &'o mut [u8]) -> Option<Output<'o>> {
        let mut topic = Label::<255>::EMPTY;
        self.stream_topic(&mut topic, StreamTopic::Get)?;
        let block = self.agent.block_size();
        let first = first_asked(self.agent.wanted(0)?.offset / block);
        let mut bitmap = [0; BITMAP];
        let mut len = 0;
        let (_, blocks) = self.agent.progress();
        for (at, number) in (first..blocks).enumerate().take(ASKED as usize) {
            if let Some(byte) = bitmap.get_mut(at / 8) {
                *byte |= u8::from(self.agent.misses(number)) << (at % 8);
                len = at / 8 + 1;
            }
        }
        let request = BlockRequest {
            token: Some("rdy"),
            version: None,
            file: self.current()?.file.id,
            size: block,
            offset: first,
            bitmap: bitmap.get(..len),
            count: Some(self.settings.at_once),
        };
        let format = self.settings.format;
        Output::publish(&topic, false, buffer, |to| request.encode(format, to).ok())
    }

    fn write_report<'o>(&mut self, told: Told, buffer: &'o mut [u8]) -> Option<Output<'o>> {
        let mut topic = Label::<255>::EMPTY;
        let id = self.job_id();
        if id.is_empty() {
            return None;
        }
        update_topic(&mut topic, self.settings.thing, id.text(), Answer::Question).ok()?;
        let running = self.agent.running();
        let (_, blocks) = self.agent.progress();
        let (mut first, mut word) = (Label::<48>::EMPTY, Label::<20>::EMPTY);
        write!(word, "{:#010x}", running.word()).ok()?;
        let mut progress = Label::<24>::EMPTY;
        let mut details = Details::default();
        let status = match told {
            Told::Receive(held) => {
                write!(first, "{held}/{blocks}").ok()?;
                details.receive = Some(Text::new(first.text()));
                Status::InProgress
            }
            Told::Waits(gate) => {
                // These take the place of what was told before.
                write!(first, "waits: {}", gate.name()).ok()?;
                write!(progress, "{}/{blocks}", self.agent.progress().0).ok()?;
                details.reason = Some(Text::new(first.text()));
                details.receive = Some(Text::new(progress.text()));
                Status::InProgress
            }
            Told::Ready | Told::Active => {
                let name = if told == Told::Ready { "ready" } else { "active" };
                details.self_test = Some(Text::new(name));
                details.updated_by = Some(Text::new(word.text()));
                Status::InProgress
            }
            Told::Succeeded => {
                write!(first, "accepted v{running}").ok()?;
                word = Label::EMPTY;
                if let Some(began) = self.began {
                    write!(word, "v{began}").ok()?;
                    details.updated_by = Some(Text::new(word.text()));
                }
                details.reason = Some(Text::new(first.text()));
                Status::Succeeded
            }
            Told::Refused(code) => {
                write!(first, "rejected: {code:#010x}").ok()?;
                details.reason = Some(Text::new(first.text()));
                Status::Failed
            }
            Told::Wrong(code) => {
                write!(first, "{code:#010x}: 0x00000000").ok()?;
                details.reason = Some(Text::new(first.text()));
                Status::Failed
            }
        };
        let update = Update { status, expected_version: None, details: Some(details), token: None };
        Output::publish(&topic, !matches!(told, Told::Receive(_)), buffer, |to| {
            update.encode(to).ok()
        })
    }

    pub(super) fn is_json(&self) -> bool {
        self.settings.format == Format::Json
    }
}
