//! Arbitrary packets to a whole device, then a reset.
//!
//! Asserts: answers fit the server's promised buffer and parse as messages; whatever was sent, the
//! device runs after the reset, and after another one, when an image on trial is reverted.

use std::time::Duration;

use updraft_image::{Digest, HashKind, Version};
use updraft_sim::device::{BUFFERS, Status};
use updraft_smp::Op;
use updraft_smp::client::{Answer, Limits, Requests, Upload, UploadOptions};

use crate::{device, packets};

/// Takes one input.
pub fn run(data: &[u8]) {
    play(data);
}

/// Plays an input; what comes back are the versions that ran after each of the two resets.
fn play(data: &[u8]) -> [Option<Version>; 2] {
    let mut device = device::running(&device::image(Version::new(1, 0, 0, 0), 600));
    assert_eq!(device.status(), Status::Running);
    let mut now = Duration::ZERO;
    for packet in packets::split(data).take(64) {
        device.packet(packet, now, |answer| {
            assert!(answer.len() <= BUFFERS.size as usize, "{} bytes", answer.len());
            assert!(Answer::parse(answer).is_some(), "{answer:02x?}");
        });
        now += Duration::from_millis(10);
        device.poll(now);
    }
    [(); 2].map(|()| {
        now += Duration::from_secs(1);
        device.reset(now);
        assert_eq!(device.status(), Status::Running, "{:?}", device.console());
        device.running()
    })
}

/// Every request that a client makes, and a whole update.
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
    keep(requests.erase(&mut buffer, Some(1)));
    keep(requests.erase(&mut buffer, None));
    keep(requests.confirm(&mut buffer, None));
    keep(requests.raw(&mut buffer, Op::Write, (0, 5), &[0xbf, 0xff]));
    keep(requests.raw(
        &mut buffer,
        Op::Read,
        (0, 7),
        &[0xa1, 0x66, b'f', b'o', b'r', b'm', b'a', b't', 0x61, b'a'],
    ));
    keep(requests.raw(&mut buffer, Op::Read, (0, 8), &[0xa0]));

    let image = device::image(Version::new(2, 0, 0, 0), 900);
    let mut update = upload(&image);
    let end = image.len() - 40;
    let hash = Digest::of(HashKind::Sha256, &image[..end]);
    let mut keep = |message: Result<&[u8], _>| {
        update.push(message.expect("a request fits").to_vec());
    };
    keep(requests.test(&mut buffer, hash.as_bytes()));
    keep(requests.confirm(&mut buffer, Some(hash.as_bytes())));
    keep(requests.image_list(&mut buffer));

    let mut seeds: Vec<_> = single.iter().map(|packet| packets::join([packet])).collect();
    seeds.push(packets::join(&single));
    seeds.push(packets::join(&update));
    seeds
}

/// The packets of an upload, recorded from one to a device.
fn upload(image: &[u8]) -> Vec<Vec<u8>> {
    let mut device = device::running(&device::image(Version::new(1, 0, 0, 0), 600));
    let options = UploadOptions::new(Limits { frame: 300, window: 1 });
    let mut upload = Upload::new(image, options).expect("an image that can be sent");
    let (mut sent, mut buffer) = (Vec::new(), [0; 300]);
    while let Some(len) = upload.poll_transmit(Duration::ZERO, &mut buffer) {
        sent.push(buffer[..len].to_vec());
        let mut answers = Vec::new();
        device.packet(&buffer[..len], Duration::ZERO, |answer| answers.push(answer.to_vec()));
        answers.iter().for_each(|answer| {
            upload.handle(answer, Duration::ZERO);
        });
    }
    sent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_seed_is_a_whole_update() {
        let update = seeds().pop().expect("seeds");
        let [first, _] = play(&update);
        assert_eq!(first, Some(Version::new(2, 0, 0, 0)));
    }
}
