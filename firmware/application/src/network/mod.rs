//! The application on a network: fetches its updates over MQTT, with TLS or without; besides, SMP
//! is spoken over the console's line and over UDP.
//!
//! ```text
//! Ethernet (the board's) ─ stack ─ line (TCP) ─ tls ─┬─ update: MQTT ─ agent ─ the other slot
//!                            └ UDP ─ SMP             └─ echo
//! ```
//! While a connection is waited for, light, watchdog and SMP go on (`ground`).

mod echo;
mod ethernet;
mod ground;
mod identity;
mod line;
mod random;
mod settings;
mod stack;
mod tls;
mod update;

use core::cell::RefCell;
use core::time::Duration;

use firmware_board::{Board, Keys, say};
use smoltcp::wire::Ipv4Address;
use updraft_dfu::{DfuSlots, SlotTable};
use updraft_flash::{AreaId, FlashMap, Keep};
use updraft_image::PublicKey;
use updraft_mqtt::{Client, Patience};
use updraft_ota::dfu::Slot;
use updraft_ota::infineon::{Device, Identity as Names, Prefix, Settings as Infineon, Timers};
use updraft_ota::json::Text as Json;
use updraft_ota::{Agent, Config, Endpoint, Record, Transport};
use updraft_smp::server::{ImageGroup, OsGroup};

pub use ethernet::{Ethernet, LONGEST_FRAME};
pub use stack::Buffers;
pub use tls::Records;

use crate::{Description, Started, WHO};
use ground::{Ground, Shared};
use identity::{Identity, OwnName};
use line::{Line, Tcp};
use random::Random;
use settings::{Ask, Settings};
use stack::Gone;
use tls::Tls;
use update::{Chip, Updating};

/// Blocks of the longest image that account is kept of.
const BLOCKS: usize = 256;
/// Bytes of the longest MQTT packet: a block, its header, its topic.
const LONGEST_PACKET: usize = 4096 + 512;

/// The memory of the application: SMP messages of at most `N` bytes, `R` bytes that have come over a
/// connection and are not read yet.
#[derive(Debug)]
pub struct Memory<const N: usize, const LINES: usize, const R: usize> {
    smp: crate::Memory<N, LINES>,
    buffers: Buffers<R>,
    records: Records,
    inbox: [u8; LONGEST_PACKET],
    outbox: [u8; 1536],
    job: [u8; 1024],
    record: [u8; Record::size(BLOCKS)],
}

impl<const N: usize, const LINES: usize, const R: usize> Memory<N, LINES, R> {
    /// Nothing has come yet.
    pub const fn new() -> Self {
        Self {
            smp: crate::Memory::new(),
            buffers: Buffers::new(),
            records: Records::new(),
            inbox: [0; LONGEST_PACKET],
            outbox: [0; 1536],
            job: [0; 1024],
            record: [0; Record::size(BLOCKS)],
        }
    }
}

impl<const N: usize, const LINES: usize, const R: usize> Default for Memory<N, LINES, R> {
    fn default() -> Self {
        Self::new()
    }
}

/// What the image carries besides its program, and what the board has.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// What the application does.
    pub description: &'static [u8],
    /// Whom it trusts, and who it is.
    pub identity: &'static [u8],
    /// The area for what outlives resets.
    pub storage: Option<AreaId>,
    /// Random bytes of the board; empty if it has no source of them.
    pub entropy: &'static [u8],
}

/// Runs the application; ends by a reset.
pub fn run<B: Board, E: Ethernet, const N: usize, const LINES: usize, const R: usize>(
    (mut board, chip): (B, E),
    setup: Setup,
    keys: &[PublicKey<'_>],
    memory: &'static mut Memory<N, LINES, R>,
) -> ! {
    let description = Description::of(setup.description);
    let settings = Settings::of(setup.description);
    let identity = Identity::of(setup.identity);
    let facts = &B::FACTS;
    let Memory { smp, buffers, records, inbox, outbox, job, record } = memory;
    let Ok(mut flash) = board.flash() else { board.reset(0) };
    let Some(dfu) = crate::dfu(facts, &flash) else { board.reset(0) };
    let own = dfu;
    let version = dfu.header(&mut flash, dfu.active_slot()).map(|header| header.version);
    say(&mut board, WHO, &Started { description, version: version.unwrap_or_default() });

    let places = setup.storage.and_then(|area| {
        let starts = Keep::new(&flash, area, 0, 4)?;
        let record = Record::size(BLOCKS) as u32;
        Some((starts, Keep::new(&flash, area, starts.end(), record)?))
    });
    let (starts, kept) = places.unzip();
    let starts = count(starts, &mut flash);
    let flash = RefCell::new(flash);
    let mut places = stack::Places::new();
    let mac = chip.address();
    let (own_name, serial_number) = (OwnName::new(facts.name, mac), OwnName::new("", mac));
    let mut random = Random::new(identity.key, &mac, starts, setup.entropy);
    if settings.tls.is_some() && identity.key.is_empty() && setup.entropy.is_empty() {
        say(&mut board, WHO, &"no source of random numbers: TLS keeps nothing secret");
    }
    let now = board.now();
    let seed = rand_core::RngCore::next_u64(&mut random);
    let slots = DfuSlots::new(Shared(&flash), Keys::new(keys), SlotTable::new(dfu));
    let ground = RefCell::new(Ground {
        stack: stack::Stack::new(chip, (buffers, &mut places), seed, now),
        board,
        blink_ms: description.blink_ms,
        groups: (OsGroup(crate::os::Platform::new(facts, N as u32)), ImageGroup::new(slots)),
        access: settings.smp,
        memory: smp,
        reset: None,
    });
    let test_at = now.saturating_add(description.self_test);
    let Some((host, port)) = settings.server.rsplit_once(':') else {
        ground.borrow_mut().say(&"there is no server");
        loop {
            ground.borrow_mut().turn();
        }
    };
    let mut connecting =
        Connecting { ground: &ground, settings: &settings, identity, records, random };
    if settings.echoes {
        loop {
            let done = connecting.open(settings.server(), |line| {
                ground.borrow_mut().say(&"connected");
                let Gone = echo::echo(&ground, line);
            });
            ground.borrow_mut().say(&if done.is_some() { "closed" } else { "not connected" });
            let again = ground.borrow_mut().turn().saturating_add(Duration::from_secs(1));
            while ground.borrow_mut().turn() < again {
                ground.borrow_mut().board.idle();
            }
        }
    }

    let wait = settings.wait.map(|(gate, time)| (gate, now.saturating_add(time)));
    let system = Chip { ground: &ground, flash: &flash, place: kept, wait };
    let slot = Slot::new(own, Shared(&flash), Keys::new(keys), system);
    let mut config = Config { seed: seed as u32, report_every: 8, ..Config::new(facts.name) };
    if wait.is_some() {
        // What ends after seconds is looked at every second.
        config.defer.iter_mut().for_each(|rule| rule.again = Duration::from_secs(1));
    }
    let agent = Agent::new(slot, config, record);
    let server = Endpoint {
        transport: Transport::Mqtt,
        host: Json::new(host),
        port: port.parse().unwrap_or(Transport::Mqtt.port()),
    };
    let first_check = match settings.ask {
        Ask::After(time) => time,
        Ask::AtButton => Duration::MAX,
    };
    let device = Device::new(
        agent,
        Infineon {
            prefix: Prefix::Own(settings.prefix),
            identity: Names {
                product: description.name,
                serial_number: serial_number.text(),
                ..Names::default()
            },
            session: seed as u16,
            timers: Timers { first_check, ..Timers::default() },
            ..Infineon::new(server)
        },
        job,
        &mut [],
    );
    let mut updating = Updating {
        ground: &ground,
        device,
        client: Client::new(inbox, outbox, Patience::default()),
        name: own_name.text(),
        test: Some((test_at, description.outcome)),
        button: (settings.ask == Ask::AtButton).then_some(true),
        said: [0; 1024],
    };
    updating.begin(now);
    loop {
        let to = updating.without_line();
        let spoken = connecting.open(to, |line| updating.over(line));
        if spoken.is_none() {
            updating.refused();
        }
    }
}

/// Counts the starts, this one included.
fn count<M: FlashMap>(place: Option<Keep>, flash: &mut M) -> u32 {
    let Some(place) = place else { return 0 };
    let mut count = [0; 4];
    place.load(flash, &mut count);
    let starts = u32::from_le_bytes(count).wrapping_add(1);
    // Worn out or not, the device goes on.
    let _ = place.save(flash, &starts.to_le_bytes());
    starts
}

/// How connections are made.
struct Connecting<'c, 'f, 'k, B: Board, E, const N: usize, const LINES: usize> {
    ground: &'c RefCell<Ground<'f, 'k, B, E, N, LINES>>,
    settings: &'c Settings<'static>,
    identity: Identity,
    records: &'static mut Records,
    random: Random,
}

impl<B: Board, E: Ethernet, const N: usize, const LINES: usize>
    Connecting<'_, '_, '_, B, E, N, LINES>
{
    /// Connects, speaks, and closes the connection; `None` if there was none.
    fn open(
        &mut self,
        to: Option<(Ipv4Address, u16)>,
        speak: impl FnOnce(&mut dyn Line),
    ) -> Option<()> {
        let ground = self.ground;
        let mut tcp = Tcp::connect(ground, to?).ok()?;
        let spoken = match self.settings.tls {
            None => {
                speak(&mut tcp);
                Some(())
            }
            Some(name) => {
                let whom = (name, self.identity, &mut self.random);
                let watch = tls::Watch::new();
                Tls::open(tcp, (self.records, &watch), whom).map(|mut tls| speak(&mut tls))
            }
        };
        Tcp::close(ground);
        spoken
    }
}
