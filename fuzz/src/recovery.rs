//! Arbitrary messages to a device in serial recovery, which has an image in its primary slot.
//!
//! Asserts: answers fit the buffer and parse as messages; whatever was sent, a slot that begins
//! like an image holds a valid one, and there is an image in the primary slot as long as no upload
//! to it was begun.

use std::sync::OnceLock;
use std::time::Duration;

use updraft_board::Role;
use updraft_flash::{AreaId, FlashMap, SlotSource, TrailerFormat};
use updraft_image::{HashOnly, Header, Version, validate};
use updraft_recovery::{Config, Hooks, ImageSlots, Images, Offers, Recovery};
use updraft_sim::device::{flash_in_memory, program};
use updraft_sim::flash::SimFlash;
use updraft_smp::client::{Answer, Limits, Requests, Upload, UploadOptions};
use updraft_smp::{Op, group};

use crate::{device, packets};

/// Answers are built in so many bytes.
const ANSWER: usize = 400;

struct Everything;

impl Hooks for Everything {
    const OFFERS: Offers = Offers::ALL;
}

fn slot(role: Role) -> AreaId {
    device::board().slot(0, role).expect("two slots").id
}

fn config() -> &'static Config {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    CONFIG.get_or_init(|| {
        let board = device::board();
        let boot = board.boot();
        let (mode, max_align, max_sectors) = (board.mode(), boot.max_align, boot.max_sectors);
        Config {
            images: Images::one(ImageSlots {
                primary: slot(Role::Primary),
                secondary: Some(slot(Role::Secondary)),
                max_size: board.capacity(0).max_image,
            }),
            trailers: TrailerFormat { mode, max_align, max_sectors, keys: None },
            scratch: None,
            rules: board.rules(0),
            buffer: 1024,
        }
    })
}

fn recovery() -> Recovery<SimFlash, HashOnly, Everything, 32> {
    let mut flash = flash_in_memory(device::board());
    let image = device::image(Version::new(1, 0, 0, 0), 600);
    program(&mut flash, slot(Role::Primary), &image).expect("the image fits");
    Recovery::new(*config(), flash, HashOnly, Everything)
}

/// Takes one input.
pub fn run(data: &[u8]) {
    play(data);
}

/// Plays an input; what comes back is the version in the primary slot.
fn play(data: &[u8]) -> Option<Version> {
    let mut recovery = recovery();
    for packet in packets::split(data).take(64) {
        let mut buffer = [0; ANSWER];
        if let Some(reply) = recovery.handle(packet, &mut buffer) {
            let answer = &buffer[..reply.len];
            assert!(Answer::parse(answer).is_some(), "{answer:02x?}");
        }
    }
    let (mut flash, ..) = recovery.into_parts();
    let touched = flash.counts().writes + flash.counts().erases > 0;
    let [primary, secondary] =
        [Role::Primary, Role::Secondary].map(|role| version(&mut flash, slot(role)));
    assert!(touched || primary.is_some());
    assert!(secondary.is_none() || touched);
    primary
}

/// The version in a slot; one that begins like an image has to be valid.
fn version(flash: &mut SimFlash, area: AreaId) -> Option<Version> {
    let mut bytes = [0; Header::SIZE];
    flash.read(area, 0, &mut bytes).expect("a slot that can be read");
    let header = Header::parse(&bytes).ok()?;
    let mut slot = SlotSource::new(flash, area);
    let valid = validate(&mut slot, &header, &config().rules, &mut HashOnly);
    assert!(valid.is_ok(), "{valid:?}");
    Some(header.version)
}

/// Every request that recovery knows, and a whole upload.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut single = Vec::new();
    let mut requests = Requests::starting_at(1);
    let mut buffer = [0; 512];
    let mut keep = |message: Result<&[u8], _>| {
        single.push(message.expect("a request fits").to_vec());
    };
    keep(requests.echo(&mut buffer, "hello"));
    keep(requests.params(&mut buffer));
    keep(requests.image_list(&mut buffer));
    keep(requests.slot_info(&mut buffer));
    keep(requests.confirm(&mut buffer, None));
    keep(requests.raw(&mut buffer, Op::Write, (group::OS, 1), &[0xa0]));
    keep(requests.raw(&mut buffer, Op::Write, (group::OS, 5), &[0xbf, 0xff]));
    keep(requests.raw(&mut buffer, Op::Write, (64, 0), &[0xa0]));

    let mut update = upload(&device::image(Version::new(2, 0, 0, 0), 900));
    update.push(requests.image_list(&mut buffer).expect("a request fits").to_vec());
    let mut seeds: Vec<_> = single.iter().map(|packet| packets::join([packet])).collect();
    seeds.push(packets::join(&single));
    seeds.push(packets::join(&update));
    seeds
}

/// The messages of an upload, recorded from one to a device.
fn upload(image: &[u8]) -> Vec<Vec<u8>> {
    let mut recovery = recovery();
    let options = UploadOptions::new(Limits { frame: 300, window: 1 });
    let mut upload = Upload::new(image, options).expect("an image that can be sent");
    let (mut sent, mut request) = (Vec::new(), [0; 300]);
    while let Some(len) = upload.poll_transmit(Duration::ZERO, &mut request) {
        sent.push(request[..len].to_vec());
        let mut answer = [0; ANSWER];
        if let Some(reply) = recovery.handle(&request[..len], &mut answer) {
            upload.handle(&answer[..reply.len], Duration::ZERO);
        }
    }
    sent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_seed_is_a_whole_upload() {
        let upload = seeds().pop().expect("seeds");
        assert_eq!(play(&upload), Some(Version::new(2, 0, 0, 0)));
    }
}
