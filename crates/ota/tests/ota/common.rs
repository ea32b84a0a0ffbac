//! A device with two slots of 64 KiB, images for it, and a line to whom it talks to.

use std::collections::VecDeque;
use std::time::Duration;

use updraft_dfu::{Config as DfuConfig, Dfu};
use updraft_flash::{AreaEntry, AreaId, Keep, SlotPair, TrailerFormat};
use updraft_image::{
    Digest, HashKind, HashOnly, Header, Rules, SwapType, TlvKind, TlvType, TlvWriter, UpgradeMode,
    magic_bytes,
};
use updraft_ota::dfu::{Slot, System};
use updraft_ota::{
    Agent, Answer, Config, Gate, Input, Note, Output, Protocol, Reason, Record, Version,
};
use updraft_sim::flash::{DeviceSpec, SimFlash};

pub const PRIMARY: AreaId = AreaId(1);
pub const SECONDARY: AreaId = AreaId(2);
pub const SLOT: u32 = 64 * 1024;
pub const BOARD: &str = "APP_CY8CPROTO_062_4343W";
pub const SECOND: Duration = Duration::from_secs(1);

/// An unsigned image with an intact hash.
pub fn image(version: Version, body_len: usize) -> Vec<u8> {
    image_with(version, body_len, &[])
}

/// The same with protected TLVs.
pub fn image_with(version: Version, body_len: usize, tlvs: &[(TlvType, &[u8])]) -> Vec<u8> {
    let Version { major, minor, build } = version;
    let version = updraft_image::Version::new(major as u8, minor as u8, build, 0);
    let mut area = [0; 128];
    let mut writer = TlvWriter::new(TlvKind::Protected, &mut area).expect("there is room");
    for (kind, payload) in tlvs {
        writer.push(*kind, payload).expect("there is room");
    }
    let protected = if tlvs.is_empty() { &[] } else { writer.finish() };
    let header = Header {
        hdr_size: 32,
        protect_tlv_size: protected.len() as u16,
        img_size: body_len as u32,
        version,
        ..Header::default()
    };
    let mut image = header.emit().to_vec();
    image.extend((0..body_len).map(|i| (i * 7 + i / 4096) as u8));
    image.extend_from_slice(protected);
    let hash = Digest::of(HashKind::Sha256, &image);
    let mut area = [0; 64];
    let mut tlvs = TlvWriter::new(TlvKind::Unprotected, &mut area).expect("there is room");
    tlvs.push(TlvType::SHA256, hash.as_bytes()).expect("there is room");
    image.extend_from_slice(tlvs.finish());
    image
}

/// What survives resets.
pub struct Board {
    pub flash: SimFlash,
    pub mode: UpgradeMode,
    /// What the bootloader asks of images.
    pub rules: Rules,
    pub settings: Settings,
}

/// Whether a signature is that of a certificate over a hash.
pub type Signer = fn(&[u8], &[u8], &str) -> bool;

/// What is neither flash nor boot flags.
#[derive(Clone, Default)]
pub struct Settings {
    pub record: Option<Vec<u8>>,
    pub saves: usize,
    pub resets: usize,
    pub closed: Vec<(Gate, Answer)>,
    /// The record's place is broken.
    pub unreadable: bool,
    /// Nothing more can be kept.
    pub full: bool,
    /// The key that jobs are signed with.
    pub signer: Option<Signer>,
    /// Flash for the record, in place of `record`.
    pub store: Option<Store>,
}

/// Where a chip keeps its record: in an area of its own.
#[derive(Clone)]
pub struct Store {
    flash: SimFlash,
    place: Keep,
}

impl Store {
    /// Of the same kind as `spec`, with the power of `board`; small, so that it is soon full and has
    /// to be erased.
    pub fn new(board: &SimFlash, spec: &DeviceSpec) -> Self {
        const AREA: AreaId = AreaId(9);
        let nor = DeviceSpec::nor(4, 512, spec.write_size);
        let area = AreaEntry { id: AREA, device: 0, offset: 0, size: nor.size() };
        let flash = board.beside(vec![DeviceSpec { kind: spec.kind, ..nor }], vec![area]);
        let place = Keep::new(&flash, AREA, 0, Record::size(256) as u32);
        Self { place: place.expect("the area holds two records"), flash }
    }
}

impl System for Settings {
    type Error = ();

    fn reset(&mut self) {
        self.resets += 1;
    }

    fn load(&mut self, record: &mut [u8]) -> Result<Option<usize>, ()> {
        if self.unreadable {
            return Err(());
        }
        if let Some(Store { flash, place }) = &mut self.store {
            return Ok(place.load(flash, record));
        }
        let Some(kept) = &self.record else { return Ok(None) };
        for (to, from) in record.iter_mut().zip(kept) {
            *to = *from;
        }
        Ok(Some(kept.len()))
    }

    fn save(&mut self, record: &[u8]) -> Result<(), ()> {
        if self.full {
            return Err(());
        }
        self.saves += 1;
        if let Some(Store { flash, place }) = &mut self.store {
            return place.save(flash, record).map_err(|_| ());
        }
        self.record = Some(record.to_vec());
        Ok(())
    }

    fn gate(&mut self, gate: Gate) -> Answer {
        let found = self.closed.iter().find(|(closed, _)| *closed == gate);
        found.map_or(Answer::Go, |(_, answer)| *answer)
    }

    fn is_signed(&mut self, digest: &Digest, signature: &[u8], certificate: &str) -> bool {
        self.signer.is_some_and(|signer| signer(digest.as_bytes(), signature, certificate))
    }

    fn demands_job_signature(&self) -> bool {
        self.signer.is_some()
    }
}

pub type Flash<'f> = Slot<&'f mut SimFlash, HashOnly, &'f mut Settings>;

impl Board {
    /// It runs an image of `running`.
    pub fn new(running: Version) -> Self {
        Self::with(running, DeviceSpec::nor(32, 4096, 8))
    }

    pub fn with(running: Version, spec: DeviceSpec) -> Self {
        let area = |id, offset| AreaEntry { id, device: 0, offset, size: SLOT };
        let areas = vec![area(PRIMARY, 0), area(SECONDARY, SLOT)];
        let mut flash = SimFlash::new(vec![spec], areas);
        flash.load(PRIMARY, 0, &image(running, 3000)).unwrap();
        let (mode, rules) = (UpgradeMode::SwapMove, Rules::default());
        Self { flash, mode, rules, settings: Settings::default() }
    }

    /// The same, with its record on flash of the same kind: a power cut can hit that as well.
    pub fn keeping(running: Version, spec: DeviceSpec) -> Self {
        let mut board = Self::with(running, spec.clone());
        board.settings.store = Some(Store::new(&board.flash, &spec));
        board
    }

    pub fn dfu(&self) -> Dfu {
        let config = DfuConfig {
            slots: SlotPair { image: 0, primary: PRIMARY, secondary: SECONDARY },
            trailers: TrailerFormat { mode: self.mode, max_align: 8, max_sectors: 128, keys: None },
            rules: self.rules,
        };
        Dfu::new(&self.flash, config).expect("the slots hold a trailer")
    }

    pub fn agent(&mut self, config: Config<'static>) -> Agent<'_, Flash<'_>> {
        let dfu = self.dfu();
        let platform = Slot::new(dfu, &mut self.flash, HashOnly, &mut self.settings);
        Agent::new(platform, config, vec![0; Record::size(256)].leak())
    }

    /// What the next boot does.
    pub fn swap_type(&mut self) -> SwapType {
        let dfu = self.dfu();
        dfu.swap_type(&mut self.flash).unwrap()
    }

    pub fn holds(&self, image: &[u8]) -> bool {
        self.flash.bytes(SECONDARY).starts_with(image)
    }

    /// What the bootloader makes of a request: the images change places, and the new one is on
    /// trial.
    pub fn boot(&mut self) {
        let [old, new] = [PRIMARY, SECONDARY].map(|area| self.flash.bytes(area));
        let body = SLOT as usize - 4096;
        match self.swap_type() {
            SwapType::None => {}
            SwapType::Revert => {
                self.load(&new[..body], &old[..body]);
                self.trailer(true);
            }
            _ => {
                self.load(&new[..body], &old[..body]);
                self.trailer(false);
            }
        }
    }

    fn load(&mut self, primary: &[u8], secondary: &[u8]) {
        let blank = vec![0xff; SLOT as usize];
        for (area, bytes) in [(PRIMARY, primary), (SECONDARY, secondary)] {
            self.flash.load(area, 0, &blank).unwrap();
            self.flash.load(area, 0, bytes).unwrap();
        }
    }

    fn trailer(&mut self, confirmed: bool) {
        self.flash.load(PRIMARY, SLOT - 16, &magic_bytes(8)).unwrap();
        self.flash.load(PRIMARY, SLOT - 32, &[1]).unwrap();
        if confirmed {
            self.flash.load(PRIMARY, SLOT - 24, &[1]).unwrap();
        }
    }
}

/// What a server makes of what it hears.
pub trait Server {
    /// A connection is made to it; `false` if it does not take it.
    fn open(&mut self, _host: &str, _port: u16) -> bool {
        true
    }

    /// A message, and its answers.
    fn message(&mut self, topic: &str, payload: &[u8]) -> Vec<(String, Vec<u8>)>;

    /// Bytes, and the bytes of the answers; `None` closes the connection.
    fn bytes(&mut self, _bytes: &[u8]) -> Vec<Option<Vec<u8>>> {
        Vec::new()
    }
}

/// A device's connection in virtual time.
pub struct Line {
    pub now: Duration,
    pub subscribed: Vec<String>,
    pub said: Vec<String>,
    pub opened: Vec<String>,
    waiting: VecDeque<Vec<(String, Vec<u8>)>>,
    is_open: bool,
}

impl Line {
    pub fn new() -> Self {
        Self {
            now: Duration::ZERO,
            subscribed: Vec::new(),
            said: Vec::new(),
            opened: Vec::new(),
            waiting: VecDeque::new(),
            is_open: false,
        }
    }

    /// Goes on until `end` says so, or for so many steps.
    pub fn run<D: Protocol>(
        &mut self,
        device: &mut D,
        server: &mut impl Server,
        end: impl FnMut(&mut D) -> bool,
    ) -> bool {
        self.run_until(device, server, end, false)
    }

    /// The same, but only looks when nothing is on its way.
    pub fn settle<D: Protocol>(
        &mut self,
        device: &mut D,
        server: &mut impl Server,
        end: impl FnMut(&mut D) -> bool,
    ) -> bool {
        self.run_until(device, server, end, true)
    }

    fn run_until<D: Protocol>(
        &mut self,
        device: &mut D,
        server: &mut impl Server,
        mut end: impl FnMut(&mut D) -> bool,
        settled: bool,
    ) -> bool {
        let mut buffer = vec![0; 2048];
        for _ in 0..20_000 {
            if !settled && end(device) {
                return true;
            }
            enum Does {
                Open(String, u16),
                Close,
                Subscribe(String),
                Publish(String, Vec<u8>),
                Send(Vec<u8>),
            }
            let does = device.output(&mut buffer).map(|output| match output {
                Output::Open(server) => Does::Open(server.host.to_string(), server.port),
                Output::Close => Does::Close,
                Output::Subscribe(topic) => Does::Subscribe(topic.into()),
                Output::Publish { topic, payload, .. } => {
                    Does::Publish(topic.into(), payload.into())
                }
                Output::Send(bytes) => Does::Send(bytes.into()),
            });
            match does {
                Some(Does::Open(host, port)) => {
                    self.opened.push(format!("{host}:{port}"));
                    self.is_open = server.open(&host, port);
                    self.subscribed.clear();
                    self.waiting.clear();
                    let input = if self.is_open { Input::Opened } else { Input::Closed };
                    device.handle(input, self.now);
                }
                Some(Does::Close) => {
                    self.is_open = false;
                    self.waiting.clear();
                }
                Some(Does::Subscribe(topic)) => self.subscribed.push(topic),
                Some(Does::Publish(topic, payload)) => {
                    assert!(self.is_open, "says {topic} to nobody");
                    self.said.push(String::from_utf8_lossy(&payload).into_owned());
                    self.waiting.push_back(server.message(&topic, &payload));
                }
                Some(Does::Send(bytes)) => {
                    assert!(self.is_open, "sends to nobody");
                    self.said.push(String::from_utf8_lossy(&bytes).into_owned());
                    for answer in server.bytes(&bytes) {
                        match answer {
                            Some(bytes) => device.handle(Input::Bytes(&bytes), self.now),
                            None => {
                                self.is_open = false;
                                device.handle(Input::Closed, self.now);
                            }
                        }
                    }
                }
                None => {
                    if let Some(messages) = self.waiting.pop_front() {
                        for (topic, payload) in messages {
                            if self.subscribed.contains(&topic) {
                                let topic = &topic;
                                let input = Input::Message { topic, payload: &payload };
                                device.handle(input, self.now);
                            }
                        }
                        continue;
                    }
                    if settled && end(device) {
                        return true;
                    }
                    let Some(deadline) = device.deadline() else { return end(device) };
                    self.now = self.now.max(deadline);
                    device.poll(self.now);
                }
            }
        }
        panic!("it does not come to an end");
    }

    pub fn lose<D: Protocol>(&mut self, device: &mut D) {
        self.is_open = false;
        self.waiting.clear();
        device.handle(Input::Closed, self.now);
    }
}

/// Reasons that the agent has given.
pub fn reasons<P: updraft_ota::Platform>(agent: &mut Agent<'_, P>) -> Vec<Reason> {
    std::iter::from_fn(|| agent.report())
        .filter_map(|report| match report.note {
            Note::Refused(reason) | Note::Failed(reason) | Note::BegunAnew(reason) => Some(reason),
            _ => None,
        })
        .collect()
}
