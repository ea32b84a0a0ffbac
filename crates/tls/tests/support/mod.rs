//! A lab, and a device that meets a server of it.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rand_core::{CryptoRng, RngCore};
use updraft_certs::{Authority, Issued, Lifetime, Subject};
use updraft_impostor::Impostor;
use updraft_tls::{Device, Gone, Records, Refused, Tls, Watch, Wire};

pub type Server = Impostor<TcpStream>;

/// What the device calls its server.
const NAME: &str = "broker.lan";

fn der(pem: &str) -> Vec<u8> {
    pem_rfc7468::decode_vec(pem.as_bytes()).unwrap().1
}

/// A certificate, DER, and its key, PEM.
pub struct Papers {
    pub certificate: Vec<u8>,
    pub key: String,
}

/// The authority that the device knows, and whoever has papers.
pub struct Lab {
    pub authority: Vec<u8>,
    pub server: Papers,
    pub device: Papers,
    /// Of this lab, for another name.
    pub elsewhere: Papers,
    /// Of this lab and with the server's name, but for clients.
    pub impersonator: Papers,
    /// Of this lab and with the server's name, over since long ago.
    pub expired: Papers,
    /// Of another lab: of the same name, and of another.
    pub stranger: Papers,
    pub foreign: Papers,
    /// Issued by the device of this lab.
    pub issued_by_device: Papers,
}

fn issue(by: &Authority, subject: &Subject) -> Papers {
    let Issued { certificate, key } = by.issue(subject, Lifetime::SERVER).unwrap();
    Papers { certificate: der(&certificate), key: key.to_string() }
}

fn server(name: &str) -> Subject {
    Subject::Server { name: name.to_owned(), hosts: vec![name.parse().unwrap()] }
}

impl Lab {
    pub fn new() -> Self {
        let [lab, other, foreign, climber] = ["lab", "lab", "another lab", "kit-0001"]
            .map(|name| Authority::new(name, Lifetime::AUTHORITY).unwrap());
        let device = Subject::Device { name: "kit-0001".to_owned() };
        let mut impersonator = issue(&lab, &server(NAME));
        let purpose = [0x2b, 6, 1, 5, 5, 7, 3, 1];
        let at = impersonator.certificate.windows(8).position(|it| it == purpose).unwrap();
        impersonator.certificate[at + 7] = 2;
        let mut expired = issue(&lab, &server(NAME));
        let ends = expired.certificate.windows(2).rposition(|it| it == [0x17, 13]).unwrap();
        expired.certificate[ends + 2..ends + 4].copy_from_slice(b"20");
        Self {
            authority: der(&lab.to_pem().unwrap().certificate),
            server: issue(&lab, &server(NAME)),
            device: issue(&lab, &device),
            elsewhere: issue(&lab, &server("elsewhere.lan")),
            impersonator,
            expired,
            stranger: issue(&other, &server(NAME)),
            foreign: issue(&foreign, &server(NAME)),
            issued_by_device: issue(&climber, &server(NAME)),
        }
    }

    /// The device's private key by itself.
    fn device_key(&self) -> Vec<u8> {
        let pkcs8 = der(&self.device.key);
        let at = pkcs8.windows(5).position(|it| it == [2, 1, 1, 4, 32]).unwrap();
        pkcs8[at + 5..at + 37].to_vec()
    }
}

/// A device that calls a server.
pub struct Meeting<'l> {
    pub lab: &'l Lab,
    pub authority: &'l [u8],
    /// Serial numbers that it has revoked, each behind its length.
    pub revoked: &'l [u8],
    /// How much faster the device's clock runs.
    pub speed: u32,
}

impl<'l> Meeting<'l> {
    pub fn new(lab: &'l Lab) -> Self {
        Self { lab, authority: &lab.authority, revoked: &[], speed: 1 }
    }

    /// Has the server do what it does, once it has said hello. Says why the handshake did not hold; if
    /// it did, why the connection ended then. Until then the device sends back whatever it is told.
    pub fn with(&self, serve: impl FnOnce(&mut Server) + Send) -> Result<Refused, Refused> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        std::thread::scope(|scope| {
            let server = scope.spawn(move || {
                accepted.set_nodelay(true).unwrap();
                let mut server = Impostor::accept(accepted).unwrap();
                serve(&mut server);
            });
            // The connection ends before the server is waited for, so that it notices.
            let ended = self.call(stream);
            server.join().unwrap();
            ended
        })
    }

    fn call(&self, stream: TcpStream) -> Result<Refused, Refused> {
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
        let begun = Instant::now();
        let line = Line { stream, come: Vec::new(), ended: false, begun, speed: self.speed };
        let key = self.lab.device_key();
        let device = Device {
            server: NAME,
            authority: self.authority,
            revoked: self.revoked,
            certificate: &self.lab.device.certificate,
            key: &key,
            feed: &|| {},
        };
        let mut records = Box::new(Records::new());
        let watch = Watch::new();
        let memory = (&mut *records, &watch);
        let mut tls = Tls::open(line, memory, device, &mut Numbers(begun))?;
        let mut buffer = [0; 1000];
        let mut echo = || -> Result<(), Refused> {
            let len = tls.receive(&mut buffer)?;
            let mut owed = &buffer[..len];
            while !owed.is_empty() {
                let sent = tls.send(owed, begun.elapsed() * self.speed)?;
                owed = &owed[sent..];
            }
            Ok(())
        };
        loop {
            if let Err(ended) = echo() {
                return Ok(ended);
            }
        }
    }
}

/// A socket of the host.
struct Line {
    stream: TcpStream,
    come: Vec<u8>,
    ended: bool,
    begun: Instant,
    speed: u32,
}

impl Line {
    fn fill(&mut self) {
        let mut buffer = [0; 4096];
        while self.come.len() < 4096 && !self.ended {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(len) => self.come.extend_from_slice(&buffer[..len]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.ended = true,
            }
        }
    }
}

impl Wire for Line {
    fn waiting(&mut self) -> usize {
        self.fill();
        self.come.len()
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Gone> {
        self.fill();
        if self.come.is_empty() && self.ended {
            return Err(Gone);
        }
        let len = buffer.len().min(self.come.len());
        self.come.drain(..len).zip(buffer).for_each(|(from, to)| *to = from);
        Ok(len)
    }

    fn has_ended(&mut self) -> bool {
        // Nothing comes between two questions.
        self.ended
    }

    fn send(&mut self, bytes: &[u8]) -> Result<usize, Gone> {
        match self.stream.write(bytes) {
            Ok(sent) => Ok(sent),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(_) => Err(Gone),
        }
    }

    fn now(&mut self) -> Duration {
        self.begun.elapsed() * self.speed
    }

    fn pause(&mut self) {
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Numbers that differ from test to test; nothing here is a secret.
struct Numbers(Instant);

impl RngCore for Numbers {
    fn next_u32(&mut self) -> u32 {
        self.next_u64() as u32
    }

    fn next_u64(&mut self) -> u64 {
        std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), self.0.elapsed())
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        bytes.iter_mut().for_each(|byte| *byte = self.next_u64() as u8);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for Numbers {}

/// Random numbers that can be had again.
pub struct Chance(u64);

impl Chance {
    /// As `UPDRAFT_SEED` says, or new ones; what they came from is printed.
    pub fn new() -> Self {
        let given = std::env::var("UPDRAFT_SEED").ok().and_then(|seed| seed.parse().ok());
        let now = || std::time::UNIX_EPOCH.elapsed().map_or(1, |time| time.as_nanos() as u64);
        let seed = given.unwrap_or_else(now);
        println!("UPDRAFT_SEED={seed} replays this");
        Self(seed | 1)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
