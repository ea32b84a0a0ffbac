//! Arbitrary answers to a client: read as every kind of answer, and given to an upload.
//!
//! Asserts: an upload ends, one way or the other, whatever the server says; and no message is
//! longer than the link allows.

use std::time::Duration;

use updraft_smp::client::{Answer, Limits, Status, Upload, UploadOptions};
use updraft_smp::{Header, Op, Version, group, image};

use crate::packets;

const FRAME: usize = 200;
/// Turns that an upload of [`FILE`] may take at most: every packet of the input costs at most a
/// restart, and every restart its timeouts.
const TURNS: usize = 20_000;
const FILE: [u8; 700] = [0x5a; 700];

/// Takes one input.
pub fn run(data: &[u8]) {
    packets::split(data).for_each(read);
    upload(data);
}

/// Reads a packet as every kind of answer.
fn read(packet: &[u8]) {
    let Some(answer) = Answer::parse(packet) else { return };
    let _ = answer.check();
    let _ = answer.echo();
    let _ = answer.info();
    let _ = answer.params();
    let _ = answer.bootloader();
    let _ = answer.images(|_| ());
    let _ = answer.slots(|_| ());
    let _ = answer.upload();
}

/// Lets a server say whatever the input says, with the right sequence number if the packet is
/// short, then nothing more.
fn upload(data: &[u8]) {
    let options = UploadOptions::new(Limits { frame: FRAME, window: 3 });
    let mut upload = Upload::new(&FILE, options).expect("a file that can be sent");
    let mut answers = packets::split(data).take(200);
    let (mut now, mut buffer, mut sequence) = (Duration::ZERO, [0; FRAME], 0);
    for _ in 0..TURNS {
        if matches!(upload.status(), Status::Done(_) | Status::Failed(_)) {
            return;
        }
        while let Some(len) = upload.poll_transmit(now, &mut buffer) {
            assert!(len <= FRAME);
            sequence = Header::parse(&buffer[..len]).expect("a message").0.sequence;
        }
        match answers.next() {
            Some([delay, bytes @ ..]) if bytes.len() < 12 => {
                let length = bytes.len() as u16;
                let request = Header {
                    length,
                    ..Header::request(
                        Version::V2,
                        Op::WriteResponse,
                        group::IMAGE,
                        image::UPLOAD,
                        sequence,
                    )
                };
                upload.handle(&[&request.emit()[..], bytes].concat(), now);
                now += Duration::from_millis((*delay).into());
            }
            Some(packet) => {
                upload.handle(packet, now);
            }
            None => now = upload.deadline().unwrap_or(now).max(now + Duration::from_millis(1)),
        }
    }
    panic!("the upload does not end: {:?}", upload.status());
}

/// Answers to uploads, good and bad, and one of each other kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let offset = |off: u16| {
        let [high, low] = off.to_be_bytes();
        [&[1, 0xa1, 0x63][..], b"off", &[0x19, high, low]].concat()
    };
    let busy = [&[1, 0xa1, 0x62][..], b"rc", &[10]].concat();
    let whole = |op: Op, (group, id), payload: &[u8]| {
        let length = payload.len() as u16;
        let header = Header { length, ..Header::request(Version::V2, op, group, id, 0) };
        [&header.emit()[..], payload].concat()
    };
    let list = [
        &[0xbf, 0x66][..],
        b"images",
        &[0x9f, 0xbf, 0x64],
        b"slot",
        &[0, 0x67],
        b"version",
        &[0x65],
        b"1.2.3",
        &[0x64],
        b"hash",
        &[0x41, 7, 0xff, 0xff, 0xff],
    ]
    .concat();
    let error =
        [&[0xbf, 0x63][..], b"err", &[0xbf, 0x65], b"group", &[1, 0x62], b"rc", &[24, 0xff, 0xff]]
            .concat();
    vec![
        packets::join([150, 300, 450, 600, 700].map(offset)),
        packets::join([150, 0, 700, 20, 150, 151].map(offset)),
        packets::join([offset(150), busy.clone(), busy, offset(700)]),
        packets::join([whole(Op::ReadResponse, (group::IMAGE, image::STATE), &list)]),
        packets::join([whole(Op::WriteResponse, (group::IMAGE, image::UPLOAD), &error)]),
    ]
}
