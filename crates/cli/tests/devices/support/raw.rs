//! A low-level client: whatever is to be sent is sent.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use updraft_image::{Digest, HashKind};
use updraft_smp::client::{
    Answer, AnswerError, BufferTooSmall, Code, Exchange, Limits, Link, Outcome, Params, Patience,
    Poll, Requests, Status, Upload, UploadError, UploadOptions,
};

/// Sends single requests.
pub struct Raw {
    pub socket: UdpSocket,
    requests: Requests,
}

impl Raw {
    pub(super) fn new(address: &str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(address).unwrap();
        Self { socket, requests: Requests::starting_at(1) }
    }

    /// Sends a request until it is answered.
    pub fn ask<T>(
        &mut self,
        build: impl for<'b> FnOnce(&mut Requests, &'b mut [u8]) -> Result<&'b [u8], BufferTooSmall>,
        read: impl FnOnce(&Answer<'_>) -> Result<T, AnswerError>,
    ) -> Result<T, AnswerError> {
        let mut buffer = [0; Limits::UDP_FRAME];
        let message = build(&mut self.requests, &mut buffer).unwrap();
        let mut exchange = Exchange::new(message, Patience::QUICK).unwrap();
        let start = Instant::now();
        let mut packet = vec![0; 65536];
        loop {
            match exchange.poll(start.elapsed()) {
                Poll::Send(message) => drop(self.socket.send(message)),
                Poll::Wait(until) => {
                    let wait = until.saturating_sub(start.elapsed()).max(Duration::from_millis(1));
                    self.socket.set_read_timeout(Some(wait)).unwrap();
                    let Ok(len) = self.socket.recv(&mut packet) else { continue };
                    if let Some(answer) = exchange.handle(&packet[..len]) {
                        return read(&answer);
                    }
                }
                Poll::GaveUp { sends } => panic!("no answer to {sends} requests"),
                Poll::Answered => unreachable!("the answer was returned"),
            }
        }
    }

    /// Sends a request once. Whether an answer comes within a moment.
    pub fn try_once(
        &mut self,
        build: impl for<'b> FnOnce(&mut Requests, &'b mut [u8]) -> Result<&'b [u8], BufferTooSmall>,
    ) -> bool {
        let mut buffer = [0; Limits::UDP_FRAME];
        let message = build(&mut self.requests, &mut buffer).unwrap();
        self.socket.send(message).unwrap();
        self.socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        self.socket.recv(&mut [0; 4096]).is_ok()
    }

    /// Has `text` come back.
    pub fn echo(&mut self, text: &str) {
        let answer = self.ask(|r, b| r.echo(b, text), |answer| answer.echo().map(str::to_owned));
        assert_eq!(answer.unwrap(), text);
    }
}

/// Group and code of a refusal; the group is `None` for generic codes.
pub fn code<T>(answer: Result<T, AnswerError>) -> Option<(Option<u32>, u32)> {
    match answer {
        Err(AnswerError::Refused(refusal)) => Some(code_of(refusal.code)),
        _ => None,
    }
}

fn code_of(code: Code) -> (Option<u32>, u32) {
    match code {
        Code::Generic(rc) => (None, rc.0),
        Code::Group { group, rc } => (Some(group), rc),
    }
}

/// An upload step by step.
pub struct Sending<'i> {
    upload: Upload<'i>,
    socket: UdpSocket,
    start: Instant,
    buffer: Vec<u8>,
    /// Datagrams sent.
    pub datagrams: usize,
}

impl<'i> Sending<'i> {
    /// An upload with a window of `window` requests to the device at `address`. Nothing is asked
    /// before.
    pub fn new(address: &str, file: &'i [u8], window: usize) -> Self {
        let params = Params { buf_size: 1024, buf_count: 8 };
        let limits = Limits { window, ..Limits::of(Link::Udp, Some(params)) };
        let digest = Digest::of(HashKind::Sha256, file);
        let sha256 = digest.as_bytes().try_into().unwrap();
        let upload = Upload::new(file, UploadOptions::new(limits).with_sha256(sha256)).unwrap();
        let socket = Raw::new(address).socket;
        Self { upload, socket, start: Instant::now(), buffer: vec![0; 65536], datagrams: 0 }
    }

    /// Sends a chunk if the window has room, takes an answer if one comes within a moment.
    pub fn step(&mut self) -> Status {
        if let Some(len) = self.upload.poll_transmit(self.start.elapsed(), &mut self.buffer) {
            // A device that is away is no error.
            let _ = self.socket.send(&self.buffer[..len]);
            self.datagrams += 1;
        }
        self.socket.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
        if let Ok(len) = self.socket.recv(&mut self.buffer) {
            self.upload.handle(&self.buffer[..len], self.start.elapsed());
        }
        assert!(self.start.elapsed() < Duration::from_secs(60), "the upload goes on for ever");
        self.upload.status()
    }

    /// Bytes that the device has taken.
    pub fn acked(&self) -> u32 {
        self.upload.progress().acked
    }

    /// Goes on to the end.
    pub fn finish(mut self) -> Result<Outcome, UploadError> {
        loop {
            match self.step() {
                Status::Running => {}
                Status::Done(outcome) => return Ok(outcome),
                Status::Failed(error) => return Err(error),
            }
        }
    }

    /// Goes on to the device's refusal: group and code.
    pub fn refused(self) -> (Option<u32>, u32) {
        match self.finish() {
            Err(UploadError::Refused(refusal)) => code_of(refusal.code),
            other => panic!("not refused: {other:?}"),
        }
    }
}
