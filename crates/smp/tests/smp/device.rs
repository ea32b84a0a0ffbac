//! A device in memory: slots that behave like a swapping bootloader's, and a platform.

use minicbor::encode::write::Cursor;
use updraft_image::{Digest, Flags, HashKind, Header, SwapType, UpgradeMode, Version};
use updraft_smp::server::{
    BootloaderInfo, Buffers, Clock, Failure, ImageGroup, Incoming, InfoField, Os, OsGroup, Policy,
    Pool, Refused, Reset, Server, SlotImage, Slots, Task, Trial,
};
use updraft_smp::{
    DateTime, Header as Message, ImageError, Op, OsError, Rc, Version as Protocol, group,
};

/// A signed-looking file: header, `body` bytes, and a hash TLV that is right.
pub fn file(version: Version, body: usize) -> Vec<u8> {
    let header = Header { hdr_size: 32, img_size: body as u32, version, ..Header::default() };
    let mut file = header.emit().to_vec();
    file.extend((0..body).map(|at| (at * 7 + version.minor as usize) as u8));
    let hash = Digest::of(HashKind::Sha256, &file);
    file.extend_from_slice(&tlvs(hash.as_bytes()));
    file
}

/// A TLV area with one SHA-256 entry.
pub fn tlvs(hash: &[u8]) -> Vec<u8> {
    let mut area = vec![0x07, 0x69, 40, 0, 0x10, 0, 32, 0];
    area.extend_from_slice(hash);
    area
}

/// The hash in the TLV of a file from [`file`].
pub fn hash_of(file: &[u8]) -> [u8; 32] {
    *file.last_chunk().expect("a TLV at the end")
}

pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Digest::of(HashKind::Sha256, bytes).as_bytes().try_into().expect("32 bytes")
}

/// What the fake slots answer when told to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Write,
    Erase,
    WrongBoard,
    BadSignature,
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Write => ImageError::FlashWriteFailed.into(),
            Fault::Erase => ImageError::FlashEraseFailed.into(),
            Fault::WrongBoard => Self::unverified("wrong board"),
            Fault::BadSignature => Self::unverified("bad signature"),
        }
    }
}

/// Slots in memory.
#[derive(Clone, Debug)]
pub struct Memory {
    pub slots: Vec<Option<Vec<u8>>>,
    pub mode: UpgradeMode,
    pub active: Vec<Option<u8>>,
    /// Request to swap, per image: permanent or not.
    pub pending: Vec<Option<bool>>,
    /// Image on trial, per image.
    pub trial: Vec<bool>,
    pub trials: Vec<Trial>,
    /// Slots whose image the mode hides after a swap for good (swap by offset).
    pub hidden: Vec<bool>,
    /// Whether an image is checked before it is marked.
    pub verify: bool,
    /// Whether the bootloader finds the pending image not valid.
    pub boot_refuses: bool,
    pub max_image_size: Option<u32>,
    pub fault: Option<Fault>,
    pub erases: usize,
    /// Keeps how far an upload has come, over resets, in steps of so many bytes; 0 does not.
    pub keeps: u32,
    kept: Option<(Incoming, u32)>,
    upload: Option<(u8, u32)>,
}

impl Memory {
    pub fn new(images: usize, size: usize) -> Self {
        Self {
            slots: vec![Some(vec![0xff; size]); images * 2],
            mode: UpgradeMode::SwapOffset,
            active: (0..images).map(|image| Some(image as u8 * 2)).collect(),
            pending: vec![None; images],
            trial: vec![false; images],
            trials: vec![Trial::Unset; images * 2],
            hidden: vec![false; images * 2],
            verify: true,
            boot_refuses: false,
            max_image_size: None,
            fault: None,
            erases: 0,
            keeps: 0,
            kept: None,
            upload: None,
        }
    }

    pub fn put(&mut self, slot: u8, file: &[u8]) {
        self.slot_mut(slot)[..file.len()].copy_from_slice(file);
    }

    pub fn slot(&self, slot: u8) -> &[u8] {
        self.slots[slot as usize].as_deref().expect("the slot exists")
    }

    fn slot_mut(&mut self, slot: u8) -> &mut Vec<u8> {
        self.slots[slot as usize].as_mut().expect("the slot exists")
    }

    /// What a swapping bootloader does at a reset.
    pub fn boot(&mut self) {
        for image in 0..self.pending.len() {
            let (primary, secondary) = (image * 2, image * 2 + 1);
            match self.pending[image].take() {
                Some(_) if self.boot_refuses => {
                    self.slot_mut(secondary as u8).fill(0xff);
                    self.boot_refuses = false;
                }
                Some(permanent) => {
                    self.slots.swap(primary, secondary);
                    self.trial[image] = !permanent;
                    self.hidden[secondary] = permanent && self.mode == UpgradeMode::SwapOffset;
                }
                None if self.trial[image] => {
                    self.slots.swap(primary, secondary);
                    self.trial[image] = false;
                }
                None => {}
            }
        }
    }

    fn blank(&mut self, slot: u8) -> Result<(), Fault> {
        if self.fault == Some(Fault::Erase) {
            return Err(Fault::Erase);
        }
        assert_ne!(self.active[slot as usize / 2], Some(slot), "the running slot is never erased");
        if self.slot(slot).iter().any(|byte| *byte != 0xff) {
            self.erases += 1;
        }
        self.slot_mut(slot).fill(0xff);
        self.pending[slot as usize / 2] = None;
        self.hidden[slot as usize] = false;
        (self.upload, self.kept) = (None, None);
        Ok(())
    }
}

impl Slots for Memory {
    type Error = Fault;

    fn images(&self) -> u8 {
        self.active.len() as u8
    }

    fn mode(&self) -> UpgradeMode {
        self.mode
    }

    fn slot_size(&self, slot: u8) -> Option<u32> {
        Some(self.slots.get(slot as usize)?.as_ref()?.len() as u32)
    }

    fn max_image_size(&self, slot: u8) -> Option<u32> {
        self.max_image_size.or(self.slot_size(slot))
    }

    fn active_slot(&self, image: u8) -> Option<u8> {
        self.active[image as usize]
    }

    fn image_info(&mut self, slot: u8) -> Result<Option<SlotImage>, Fault> {
        if self.slot_size(slot).is_none() || self.hidden[slot as usize] {
            return Ok(None);
        }
        let bytes = self.slot(slot);
        Ok(Header::parse(bytes).ok().and_then(|header| {
            let at = header.tlv_offset().ok()? as usize;
            let area = bytes.get(at..at.checked_add(40)?)?;
            let hash = Digest::from_slice(HashKind::Sha256, &area[8..])?;
            let plausible = area[..2] == [0x07, 0x69] && area[4..6] == [0x10, 0];
            plausible.then_some(SlotImage { version: header.version, hash, flags: header.flags })
        }))
    }

    fn swap_type(&mut self, image: u8) -> Result<SwapType, Fault> {
        Ok(match (self.pending[image as usize], self.trial[image as usize]) {
            (Some(true), _) => SwapType::Permanent,
            (Some(false), _) => SwapType::Test,
            (None, true) => SwapType::Revert,
            (None, false) => SwapType::None,
        })
    }

    fn trial(&mut self, slot: u8) -> Result<Trial, Fault> {
        Ok(self.trials[slot as usize])
    }

    fn admit(&mut self, upload: &Incoming) -> Result<(), Fault> {
        match upload.header.flags.contains(Flags::RAM_LOAD) {
            true => Err(Fault::WrongBoard),
            false => Ok(()),
        }
    }

    fn begin_upload(&mut self, upload: &Incoming) -> Result<u32, Fault> {
        if let Some((kept, off)) = self.kept.filter(|_| self.keeps > 0)
            && (kept.slot, kept.len, kept.sha256) == (upload.slot, upload.len, upload.sha256)
            && upload.sha256.is_some()
        {
            self.slot_mut(upload.slot)[off as usize..].fill(0xff);
            self.upload = Some((upload.slot, off));
            return Ok(off);
        }
        self.blank(upload.slot)?;
        self.upload = Some((upload.slot, 0));
        self.kept = Some((*upload, 0));
        Ok(0)
    }

    fn write(&mut self, offset: u32, data: &[u8]) -> Result<(), Fault> {
        let (slot, wanted) = self.upload.expect("an upload was begun");
        assert_eq!(offset, wanted, "writes follow each other");
        if self.fault == Some(Fault::Write) {
            return Err(Fault::Write);
        }
        self.slot_mut(slot)[offset as usize..][..data.len()].copy_from_slice(data);
        let end = offset + data.len() as u32;
        self.upload = Some((slot, end));
        if let Some((_, kept)) = &mut self.kept
            && self.keeps > 0
        {
            *kept = end - end % self.keeps;
        }
        Ok(())
    }

    fn finish_upload(&mut self) -> Result<(), Fault> {
        (self.upload, self.kept) = (None, None);
        Ok(())
    }

    fn matches(&mut self, slot: u8, len: u32, wanted: &[u8; 32]) -> Result<bool, Fault> {
        Ok(sha256(&self.slot(slot)[..len as usize]) == *wanted)
    }

    fn erase_slot(&mut self, slot: u8) -> Result<(), Fault> {
        self.blank(slot)
    }

    fn request_boot(&mut self, slot: u8, permanent: bool) -> Result<(), Fault> {
        let image = slot as usize / 2;
        if self.verify {
            let bytes = self.slot(slot);
            let end = Header::parse(bytes).ok().and_then(|header| header.tlv_offset().ok());
            let end = end.expect("only listed images are marked") as usize;
            if sha256(&bytes[..end]) != bytes[end + 8..end + 40] {
                return Err(Fault::BadSignature);
            }
        }
        self.pending[image] = Some(permanent);
        Ok(())
    }

    fn confirm(&mut self, slot: u8) -> Result<(), Fault> {
        let image = slot as usize / 2;
        self.trial[image] = false;
        self.hidden[slot as usize ^ 1] = self.mode == UpgradeMode::SwapOffset;
        Ok(())
    }
}

/// The platform that answered the recorded requests.
#[derive(Clone, Debug)]
pub struct Platform {
    pub buffers: Buffers,
    pub bootloader: Option<(i32, bool)>,
    pub busy: bool,
    pub clock: Option<Rtc>,
    pub console_echo: Option<bool>,
    pub pools: Vec<Pool<'static>>,
}

/// A clock that stands still.
#[derive(Clone, Debug, Default)]
pub struct Rtc {
    pub moment: Option<DateTime>,
    pub broken: bool,
}

impl Clock for Rtc {
    fn read(&mut self) -> Result<Option<DateTime>, OsError> {
        Ok(self.moment)
    }

    fn set(&mut self, moment: DateTime) -> Result<(), OsError> {
        if self.broken {
            return Err(OsError::RtcCommandFailed);
        }
        self.moment = Some(moment);
        Ok(())
    }
}

impl Default for Platform {
    fn default() -> Self {
        Self {
            buffers: Buffers { size: 2048, count: 2 },
            bootloader: None,
            busy: false,
            clock: None,
            console_echo: None,
            pools: Vec::new(),
        }
    }
}

/// The threads of the recorded server: name, priority, state, size of the stack.
const TASKS: [(&str, i32, u32, u32); 9] = [
    ("mcumgr smp", 3, 128, 512),
    ("smp_udp4", 0, 2, 256),
    ("conn_mgr_monitor", -1, 2, 128),
    ("rx_q[0]", -1, 2, 375),
    ("net_mgmt", -1, 2, 192),
    ("sysworkq", -1, 2, 576),
    ("shell_dummy", 14, 2, 512),
    ("idle", 15, 0, 64),
    ("main", 0, 4, 544),
];

impl Os for Platform {
    fn buffers(&self) -> Buffers {
        self.buffers
    }

    fn info(&self, field: InfoField) -> Option<&str> {
        Some(match field {
            InfoField::Kernel | InfoField::OperatingSystem => "Zephyr",
            InfoField::Node => return None,
            InfoField::Release => "684c9e8f32e4",
            InfoField::Version => "4.4.0",
            InfoField::Build => "Wed Jun  3 22:19:37 2026",
            InfoField::Machine => "posix",
            InfoField::Processor => "x86",
            InfoField::Platform => "native_sim/native",
        })
    }

    fn bootloader(&self) -> Option<BootloaderInfo<'_>> {
        self.bootloader.map(|(mode, no_downgrade)| BootloaderInfo {
            name: "MCUboot",
            mode,
            no_downgrade,
        })
    }

    fn may_reset(&mut self, force: bool) -> bool {
        force || !self.busy
    }

    fn extra_info(&self, letter: char) -> Option<&str> {
        (letter == 'X').then_some("extra")
    }

    fn console_echo(&mut self, on: bool) -> Result<(), Failure> {
        *self.console_echo.as_mut().ok_or(Rc::NOT_SUPPORTED)? = on;
        Ok(())
    }

    fn tasks(
        &mut self,
        mut each: impl FnMut(&Task<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        TASKS.into_iter().zip(0..).try_for_each(|((name, priority, state, size), id)| {
            let stack = Some((size, 6));
            each(&Task { name, priority, id, state, stack, ..Task::default() })
        })
    }

    fn pools(&mut self, each: impl FnMut(&Pool<'_>) -> Result<(), Failure>) -> Result<(), Failure> {
        if self.pools.is_empty() {
            return Err(Rc::NOT_SUPPORTED.into());
        }
        self.pools.iter().try_for_each(each)
    }

    fn clock(&mut self) -> Option<&mut dyn Clock> {
        self.clock.as_mut().map(|clock| clock as &mut dyn Clock)
    }
}

/// A whole device.
pub struct Device {
    pub server: Server,
    pub groups: (OsGroup<Platform>, ImageGroup<Memory>),
    pub resets: Vec<Reset>,
}

impl Device {
    pub fn new(memory: Memory) -> Self {
        Self::with_policy(memory, Policy::default())
    }

    pub fn with_policy(memory: Memory, policy: Policy) -> Self {
        let groups = (OsGroup(Platform::default()), ImageGroup::with_policy(memory, policy));
        Self { server: Server::default(), groups, resets: Vec::new() }
    }

    /// One image A 0.0.0 in the primary slot of 64 KiB.
    pub fn factory() -> Self {
        let mut memory = Memory::new(1, 64 * 1024);
        memory.put(0, &file(Version::new(0, 0, 0, 0), 1000));
        Self::new(memory)
    }

    pub fn memory(&mut self) -> &mut Memory {
        self.groups.1.slots()
    }

    /// The answers to a packet.
    pub fn answers(&mut self, packet: &[u8]) -> Vec<Vec<u8>> {
        let mut buffer = vec![0; self.groups.0.0.buffers.size as usize];
        let mut answers = Vec::new();
        let reset = self
            .server
            .handle(packet, &mut self.groups, &mut buffer, |answer| answers.push(answer.to_vec()));
        self.resets.extend(reset);
        answers
    }

    /// The one answer to a packet.
    pub fn answer(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut answers = self.answers(packet);
        assert_eq!(answers.len(), 1, "one answer to {packet:02x?}");
        answers.remove(0)
    }

    /// The bootloader runs; the upload session in RAM is gone.
    pub fn reboot(&mut self) {
        let mut memory = self.memory().clone();
        memory.boot();
        memory.upload = None;
        self.groups.1 = ImageGroup::new(memory);
    }
}

/// A request of version 2 with a payload given as it stands.
pub fn request(op: Op, group: u16, id: u8, payload: &[u8]) -> Vec<u8> {
    versioned(Protocol::V2, op, group, id, payload)
}

pub fn versioned(version: Protocol, op: Op, group: u16, id: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u16;
    let header = Message { length, ..Message::request(version, op, group, id, 0x42) };
    [&header.emit()[..], payload].concat()
}

pub fn image_write(id: u8, payload: &[u8]) -> Vec<u8> {
    request(Op::Write, group::IMAGE, id, payload)
}

/// A definite map with text keys.
pub fn map(fields: &[(&str, Cbor<'_>)]) -> Vec<u8> {
    let mut bytes = vec![0; 128 * 1024];
    let mut cbor = minicbor::Encoder::new(Cursor::new(&mut bytes[..]));
    cbor.map(fields.len() as u64).expect("it fits");
    for (key, value) in fields {
        cbor.str(key).expect("it fits");
        match value {
            Cbor::Uint(n) => cbor.u64(*n),
            Cbor::Bool(b) => cbor.bool(*b),
            Cbor::Text(t) => cbor.str(t),
            Cbor::Bytes(b) => cbor.bytes(b),
        }
        .expect("it fits");
    }
    let len = cbor.writer().position();
    bytes.truncate(len);
    bytes
}

#[derive(Clone, Copy)]
pub enum Cbor<'a> {
    Uint(u64),
    Bool(bool),
    Text(&'a str),
    Bytes(&'a [u8]),
}
