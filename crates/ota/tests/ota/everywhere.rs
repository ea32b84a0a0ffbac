//! Every flow of every dialect, killed at every block boundary, and with the power cut at any flash
//! operation from the first block through the boot to the confirmation: the slots', and those that
//! keep the agent's record.

use std::time::Duration;

use updraft_boot::{
    AnyStrategy, Bootloader, Config as BootConfig, Images, Platform as BootPlatform,
};
use updraft_flash::SlotPair;
use updraft_image::{HashOnly, Rules};
use updraft_ota::aws::{Format, Status};
use updraft_ota::ddi::{Execution, Finished};
use updraft_ota::infineon::Flow;
use updraft_ota::json::Text;
use updraft_ota::{Agent, Endpoint, Input, Output, Protocol, State, Transport, Version};
use updraft_sim::flash::{DeviceSpec, Torn};

use crate::cloud::Cloud;
use crate::common::{Board, Flash, Line, PRIMARY, SECONDARY, Server, image};
use crate::ddi::Hawk;
use crate::http::Files;
use crate::infineon::{Publisher, V1, V2};
use crate::{aws, ddi, infineon};

const BLOCK: u32 = 4096;

/// How an image comes to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Infineon's job, chunk by chunk.
    Chunks,
    /// Infineon's job, the whole image at once.
    Whole,
    /// Infineon's direct flow over MQTT.
    Direct,
    /// A job and its image from a file server.
    Files,
    /// A file without a job.
    File,
    /// AWS's streams.
    Cbor,
    Json,
    /// A signed address of AWS.
    Signed,
    /// hawkBit.
    Ddi,
}

const WAYS: [Way; 9] = [
    Way::Chunks,
    Way::Whole,
    Way::Direct,
    Way::Files,
    Way::File,
    Way::Cbor,
    Way::Json,
    Way::Signed,
    Way::Ddi,
];

impl Way {
    /// Whether whoever has the image hears how the update ended, after the reset.
    fn is_told(self) -> bool {
        matches!(self, Self::Cbor | Self::Json | Self::Signed | Self::Ddi)
    }
}

/// A device of any dialect. There is one at a time, on the stack.
#[expect(clippy::large_enum_variant)]
enum Any<'b> {
    Infineon(updraft_ota::infineon::Device<'b, Flash<'b>>),
    Aws(updraft_ota::aws::Device<'b, Flash<'b>>),
    Ddi(updraft_ota::ddi::Device<'b, Flash<'b>>),
}

macro_rules! each {
    ($any:expr, $device:ident => $does:expr) => {
        match $any {
            Any::Infineon($device) => $does,
            Any::Aws($device) => $does,
            Any::Ddi($device) => $does,
        }
    };
}

impl Protocol for Any<'_> {
    fn start(&mut self, now: Duration) {
        each!(self, device => device.start(now));
    }

    fn handle(&mut self, input: Input<'_>, now: Duration) {
        each!(self, device => device.handle(input, now));
    }

    fn poll(&mut self, now: Duration) {
        each!(self, device => device.poll(now));
    }

    fn output<'o>(&'o mut self, buffer: &'o mut [u8]) -> Option<Output<'o>> {
        each!(self, device => device.output(buffer))
    }

    fn deadline(&self) -> Option<Duration> {
        each!(self, device => device.deadline())
    }
}

impl<'b> Any<'b> {
    fn agent(&mut self) -> &mut Agent<'b, Flash<'b>> {
        each!(self, device => device.agent())
    }

    fn is_off(&mut self) -> bool {
        !self.agent().platform().map().supply().is_on()
    }

    fn wants_reset(&mut self) -> bool {
        self.agent().platform().system().resets > 0
    }

    /// The new image runs, and those who want to know that do.
    fn wants_test(&mut self) -> bool {
        let knows = if let Self::Aws(device) = self { device.is_testing() } else { true };
        knows && self.agent().state() == State::SelfTest
    }
}

/// Who has the image.
enum Far {
    Broker(Publisher),
    Files(Files),
    Cloud(Cloud),
    Hawk(Hawk),
}

impl Server for Far {
    fn message(&mut self, topic: &str, payload: &[u8]) -> Vec<(String, Vec<u8>)> {
        match self {
            Self::Broker(it) => it.message(topic, payload),
            Self::Files(it) => it.message(topic, payload),
            Self::Cloud(it) => it.message(topic, payload),
            Self::Hawk(it) => it.message(topic, payload),
        }
    }

    fn bytes(&mut self, bytes: &[u8]) -> Vec<Option<Vec<u8>>> {
        match self {
            Self::Broker(it) => it.bytes(bytes),
            Self::Files(it) => it.bytes(bytes),
            Self::Cloud(it) => it.bytes(bytes),
            Self::Hawk(it) => it.bytes(bytes),
        }
    }
}

impl Far {
    fn new(way: Way, image: Vec<u8>) -> Self {
        match way {
            Way::Chunks | Way::Whole | Way::Direct => Self::Broker(Publisher::new(image, V2)),
            Way::Files | Way::File => Self::Files(Files::new(image)),
            Way::Cbor => Self::Cloud(Cloud::new(image, Format::Cbor)),
            Way::Json => Self::Cloud(Cloud::new(image, Format::Json)),
            Way::Signed => {
                let mut cloud = Cloud::new(image.clone(), Format::Json);
                cloud.url = Some("https://s3.example:9000/fw/new%20image.bin");
                cloud.files = Some(Files::new(image));
                Self::Cloud(cloud)
            }
            Way::Ddi => Self::Hawk(Hawk::new(image)),
        }
    }

    /// The blocks that were served since the last time, by their numbers.
    fn served(&mut self) -> Vec<u32> {
        let ranges = |files: &mut Files| {
            std::mem::take(&mut files.ranges).into_iter().map(|(from, _)| from / BLOCK).collect()
        };
        match self {
            Self::Broker(it) => {
                std::mem::take(&mut it.served).into_iter().map(|at| at / BLOCK).collect()
            }
            Self::Files(it) => ranges(it),
            Self::Cloud(Cloud { files: Some(files), .. }) => ranges(files),
            Self::Cloud(it) => std::mem::take(&mut it.served),
            Self::Hawk(it) => {
                std::mem::take(&mut it.ranges).into_iter().map(|at| at / BLOCK).collect()
            }
        }
    }

    /// Whether it was told that the update is there; `None` for who hears nothing of it.
    fn success(&self) -> Option<bool> {
        match self {
            // Told before the reset or not at all, as the original does; the next question says what
            // runs.
            Self::Broker(_) | Self::Files(_) => None,
            Self::Cloud(it) => Some(it.status == Status::Succeeded),
            Self::Hawk(it) => Some(it.is_told((Execution::Closed, Finished::Success))),
        }
    }

    /// Whether it was told that there will be no update, and takes it for that.
    fn failure(&self) -> bool {
        match self {
            Self::Broker(_) | Self::Files(_) => false,
            Self::Cloud(it) => matches!(it.status, Status::Failed | Status::Rejected),
            Self::Hawk(it) => it.is_told((Execution::Closed, Finished::Failure)),
        }
    }
}

fn device(way: Way, board: &mut Board) -> Any<'_> {
    let settings = match way {
        Way::Chunks => updraft_ota::infineon::Settings { piecewise: true, ..infineon::settings() },
        Way::Whole => infineon::settings(),
        Way::Direct => {
            updraft_ota::infineon::Settings { flow: Flow::Direct, ..infineon::settings() }
        }
        Way::Files | Way::File => {
            let (transport, host) = (Transport::Http, Text::new("files"));
            let server = Endpoint { transport, host, port: 8080 };
            let usual = updraft_ota::infineon::Settings { server, ..infineon::settings() };
            let file = Text::new("fw/new image.bin");
            match way {
                Way::File => updraft_ota::infineon::Settings { flow: Flow::Direct, file, ..usual },
                _ => usual,
            }
        }
        Way::Cbor => return Any::Aws(aws::device(board, aws::settings(Format::Cbor))),
        Way::Json | Way::Signed => {
            return Any::Aws(aws::device(board, aws::settings(Format::Json)));
        }
        Way::Ddi => return Any::Ddi(ddi::device(board)),
    };
    Any::Infineon(infineon::device(board, settings))
}

#[test]
fn an_agent_that_is_killed_at_any_block_boundary_fetches_only_what_it_misses() {
    let new = image(V2, 45_000);
    let blocks = new.len().div_ceil(BLOCK as usize) as u32;
    let mut kills = 0;
    for way in WAYS {
        for stop in 0..blocks {
            let (mut board, mut network) =
                (Board::new(V1), Network::new(Far::new(way, new.clone())));
            // Of what comes by itself.
            network.carries = Some(stop);
            let mut first = device(way, &mut board);
            let mut line = Line::new();
            first.start(line.now);
            let reached = line.run(&mut first, &mut network, |device| {
                device.agent().is_fetching() && device.agent().progress().0 == stop
            });
            assert!(reached, "{way:?}");
            let held: Vec<u32> = match stop {
                0 => Vec::new(),
                _ => (0..blocks).filter(|block| !first.agent().misses(*block)).collect(),
            };
            assert_eq!(held.len(), stop as usize, "{way:?}");
            drop(first);
            kills += 1;
            let mut far = network.far;
            far.served();
            let mut second = device(way, &mut board);
            let mut line = Line::new();
            second.start(line.now);
            assert!(line.run(&mut second, &mut far, Any::wants_reset), "{way:?}");
            drop(second);
            let mut served = far.served();
            served.sort_unstable();
            let again = served.iter().filter(|block| held.contains(block)).count();
            // Without a job it is the first block that says whether the file is still the same, and
            // whoever sends whole images to nobody in particular does not ask what is missing.
            let may = match way {
                Way::File => 1,
                Way::Direct => stop as usize,
                _ => 0,
            };
            assert!(
                again <= may,
                "{way:?}, killed at {stop}: {served:?} although it held {held:?}"
            );
            let missing = (0..blocks).filter(|block| !held.contains(block));
            assert!(missing.clone().all(|block| served.contains(&block)), "{way:?} at {stop}");
            assert!(board.holds(&new), "{way:?}, killed at {stop}");
        }
    }
    println!("killed {kills} / {kills} times, in {} flows", WAYS.len());
}

/// Boots with the real bootloader, as often as the power goes meanwhile; says whether it went.
fn boot(board: &mut Board) -> bool {
    board.settings.resets = 0;
    let mut went = false;
    loop {
        if !board.flash.supply().is_on() {
            board.flash.supply().power_on();
        }
        let slots = SlotPair { image: 0, primary: PRIMARY, secondary: SECONDARY };
        let images = Images::new(&[slots]).unwrap();
        let config = BootConfig { images, ..BootConfig::new(slots, Rules::default()) };
        let strategy = AnyStrategy::new(board.mode, None).unwrap();
        let mut platform = BootPlatform::new(&mut board.flash, HashOnly);
        let booted = Bootloader::new(config, strategy).boot(&mut platform);
        if board.flash.supply().is_on() {
            booted.expect("it boots");
            return went;
        }
        went = true;
    }
}

fn running(board: &mut Board) -> (Version, bool) {
    let dfu = board.dfu();
    let header = dfu.header(&mut board.flash, dfu.active_slot()).unwrap();
    (header.version.into(), dfu.is_confirmed(&mut board.flash).unwrap())
}

/// Lives until the device has nothing left to do; the power goes at a flash operation on the way, if
/// there are so many. Says whether it went.
fn lives(way: Way, board: &mut Board, far: &mut Far, cut: Option<(u64, Torn)>) -> bool {
    if let Some((at, torn)) = cut {
        board.flash.supply().cut_at(at, torn);
    }
    let mut went = false;
    let mut line = Line::new();
    for life in 0..12 {
        let (mut off, mut reset) = (false, false);
        let mut device = device(way, board);
        device.start(line.now);
        let over = 'life: {
            let (mut test, mut done) = (false, false);
            line.run(&mut device, far, |device| {
                off = device.is_off();
                reset = device.wants_reset();
                test = device.wants_test();
                let rests = device.agent().state() == State::Waiting && !device.agent().is_busy();
                // Or it fell back, and has told who then has no update for it any more.
                let ended = way.is_told() && device.agent().reason().is_some();
                done = rests && life > 0 && (device.agent().running() == V2 || ended);
                off || reset || test || done
            });
            if off || reset {
                break 'life false;
            }
            if done {
                // What it has said is still to be sent.
                line.settle(&mut device, far, |_| true);
            }
            if test {
                device.agent().self_test(true, line.now);
                off = device.is_off();
                if off {
                    break 'life false;
                }
                // Whoever wants to know it is told.
                line.settle(&mut device, far, |device| {
                    off = device.is_off();
                    off || device.agent().state() == State::Waiting
                });
                if off {
                    break 'life false;
                }
            }
            true
        };
        drop(device);
        if over {
            return went;
        }
        went |= off;
        went |= boot(board);
        let (version, confirmed) = running(board);
        if version == V1 && confirmed && far.failure() {
            return went;
        }
    }
    panic!("{way:?}, cut at {cut:?}: it does not come to an end");
}

#[test]
fn a_power_cut_from_the_first_block_to_the_confirmation_ends_in_the_new_image_or_the_old_one() {
    let new = image(V2, 9_000);
    let long = std::env::var_os("UPDRAFT_LONG").is_some();
    let (mut cuts, mut fell_back) = (0, 0);
    for (number, way) in WAYS.into_iter().enumerate() {
        // All of one way, and some of the others: the flash sees much the same of each.
        let (stride, from) = if long || way == Way::Chunks { (1, 0) } else { (9, number as u64) };
        for at in (from..).step_by(stride) {
            let mut went = false;
            for torn in [Torn::Skip, Torn::Half] {
                let nor = DeviceSpec::nor(32, 4096, 8);
                let (mut board, mut far) = (Board::keeping(V1, nor), Far::new(way, new.clone()));
                // What an older update has left has to be erased.
                board.flash.load(SECONDARY, 0, &image(V1, 12_000)).unwrap();
                let off = lives(way, &mut board, &mut far, Some((at, torn)));
                went |= off;
                cuts += u32::from(off);
                let (version, confirmed) = running(&mut board);
                assert!(confirmed, "{way:?}, {torn:?} at {at}: {version:?} is on trial");
                if version == V1 {
                    assert!(far.failure(), "{way:?}, {torn:?} at {at}: no update");
                    fell_back += 1;
                } else {
                    assert_ne!(far.success(), Some(false), "{way:?}, {torn:?} at {at}");
                }
            }
            if !went {
                break;
            }
        }
    }
    println!("{cuts} / {cuts} cuts survived; {fell_back} devices fell back, and told so");
    assert!(cuts > 200, "{cuts}");
}

/// A network between a device and who has the image.
struct Network {
    far: Far,
    is_cut: bool,
    /// Blocks that a broker still carries.
    carries: Option<u32>,
    /// What the broker does to messages: nothing, or anything that it may do.
    storm: Option<u32>,
    /// Messages that come later, or once more.
    late: Vec<(String, Vec<u8>)>,
}

impl Network {
    fn new(far: Far) -> Self {
        Self { far, is_cut: false, carries: None, storm: None, late: Vec::new() }
    }

    fn chance(&mut self, of: u32) -> u32 {
        let Some(seed) = &mut self.storm else { return of };
        *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (*seed >> 8) % of
    }
}

impl Server for Network {
    fn open(&mut self, _: &str, _: u16) -> bool {
        !self.is_cut
    }

    fn message(&mut self, topic: &str, payload: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut messages = self.far.message(topic, payload);
        if let Some(carries) = &mut self.carries {
            messages.retain(|(topic, payload)| {
                let is_block = payload.starts_with(b"OTAImage") || topic.contains("/data/");
                let arrives = !is_block || *carries > 0;
                *carries -= u32::from(is_block && arrives);
                arrives
            });
        }
        if self.storm.is_none() {
            return messages;
        }
        let mut arrive = Vec::new();
        for message in messages {
            match self.chance(10) {
                0 => {}
                1 => self.late.push(message),
                2 => arrive.extend([message.clone(), message]),
                3 => arrive.insert(0, message),
                4 => {
                    self.late.push(message.clone());
                    arrive.push(message);
                }
                _ => arrive.push(message),
            }
        }
        if self.chance(3) == 0 {
            arrive.append(&mut self.late);
        }
        arrive
    }

    fn bytes(&mut self, bytes: &[u8]) -> Vec<Option<Vec<u8>>> {
        self.far.bytes(bytes)
    }
}

#[test]
fn a_network_that_is_cut_for_ten_minutes_costs_nothing_of_what_is_held() {
    const OUTAGE: Duration = Duration::from_secs(600);
    let new = image(V2, 45_000);
    let blocks = new.len().div_ceil(BLOCK as usize) as u32;
    for way in WAYS {
        let (mut board, mut network) = (Board::new(V1), Network::new(Far::new(way, new.clone())));
        network.carries = Some(5);
        let mut device = device(way, &mut board);
        let mut line = Line::new();
        device.start(line.now);
        line.run(&mut device, &mut network, |device| {
            device.agent().is_fetching() && device.agent().progress().0 == 5
        });
        let held: Vec<u32> = (0..blocks).filter(|block| !device.agent().misses(*block)).collect();
        network.far.served();
        line.lose(&mut device);
        network.is_cut = true;
        let until = line.now + OUTAGE;
        let waits = line.run(&mut device, &mut network, |device| {
            device.deadline().is_some_and(|at| at > until)
        });
        assert!(waits, "{way:?}: {:?}", device.agent().state());
        (network.is_cut, network.carries) = (false, None);
        assert!(line.run(&mut device, &mut network, Any::wants_reset), "{way:?}");
        assert!(line.now >= until, "{way:?}");
        let served = network.far.served();
        let again = served.iter().filter(|block| held.contains(block)).count();
        let may = if matches!(way, Way::File) { 1 } else { 0 };
        let may = if way == Way::Direct { held.len() } else { may };
        assert!(again <= may, "{way:?}: {served:?} although it held {held:?}");
        drop(device);
        assert!(board.holds(&new), "{way:?}");
    }
}

#[test]
fn a_broker_that_redelivers_reorders_and_drops_brings_the_image_all_the_same() {
    let new = image(V2, 45_000);
    let mut storms = 0;
    for way in [Way::Chunks, Way::Whole, Way::Direct, Way::Cbor, Way::Json] {
        for seed in 1..=20 {
            let (mut board, mut network) =
                (Board::new(V1), Network::new(Far::new(way, new.clone())));
            network.storm = Some(seed);
            let mut device = device(way, &mut board);
            let mut line = Line::new();
            device.start(line.now);
            assert!(line.run(&mut device, &mut network, Any::wants_reset), "{way:?}, {seed}");
            drop(device);
            assert!(board.holds(&new), "{way:?}, storm {seed}");
            storms += 1;
        }
    }
    println!("{storms} / {storms} storms survived");
}
