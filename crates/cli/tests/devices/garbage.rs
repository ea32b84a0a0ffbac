//! Datagrams that nobody should send.

use std::time::Duration;

use updraft_smp::client::{Limits, Requests, Upload, UploadOptions};

use crate::support::{Bench, Chance, Device, HOST, Raw, SELF};

const DATAGRAMS: usize = 6000;

/// Requests as clients send them, to be damaged.
fn requests(hash: &[u8], image: &[u8]) -> Vec<Vec<u8>> {
    let mut made = Vec::new();
    let mut buffer = [0; Limits::UDP_FRAME];
    let mut requests = Requests::starting_at(1);
    made.push(requests.echo(&mut buffer, "hello").unwrap().to_vec());
    made.push(requests.info(&mut buffer, "a").unwrap().to_vec());
    made.push(requests.bootloader_info(&mut buffer, Some("mode")).unwrap().to_vec());
    made.push(requests.image_list(&mut buffer).unwrap().to_vec());
    made.push(requests.slot_info(&mut buffer).unwrap().to_vec());
    made.push(requests.test(&mut buffer, hash).unwrap().to_vec());
    made.push(requests.confirm(&mut buffer, None).unwrap().to_vec());
    made.push(requests.erase(&mut buffer, Some(1)).unwrap().to_vec());
    let limits = Limits { frame: 700, window: 1 };
    let mut upload = Upload::new(image, UploadOptions::new(limits)).unwrap();
    let len = upload.poll_transmit(Duration::ZERO, &mut buffer).unwrap();
    made.push(buffer[..len].to_vec());
    made
}

/// Flips bits, cuts, repeats, grows.
fn mutate(mut message: Vec<u8>, chance: &mut Chance) -> Vec<u8> {
    for _ in 0..=chance.below(4) {
        let at = chance.below(message.len());
        match chance.below(5) {
            0 => message.truncate(at),
            1 => message.extend(chance.bytes(64)),
            2 if !message.is_empty() => message[at] = chance.below(256) as u8,
            3 if !message.is_empty() => message[at] ^= 1 << chance.below(8),
            _ => {
                let copy: Vec<u8> = message[at..].to_vec();
                message.extend(copy);
            }
        }
    }
    message
}

fn pelt(device: &Device, raw: &mut Raw, chance: &mut Chance, requests: &[Vec<u8>]) {
    for count in 0..DATAGRAMS {
        let datagram = match chance.below(3) {
            0 => chance.bytes(1400),
            _ => mutate(requests[chance.below(requests.len())].clone(), chance),
        };
        // The operating system may have had enough of them for the moment.
        let _ = raw.socket.send(&datagram);
        // No more than the device has buffers for, so that every one of them arrives.
        if count % 5 == 0 {
            device.raw().echo("still there");
        }
    }
}

#[test]
fn thousands_of_random_and_damaged_datagrams_leave_the_running_image_alone() {
    for seed in [1, Chance::seed()] {
        let mut chance = Chance::of(seed);
        let bench = Bench::new("garbage");
        let (old, new) = (bench.image("1.0.0", SELF), bench.image("1.1.0", HOST));
        let device = bench.device_with(&old);
        let before = bench.area("primary");
        let hash: Vec<u8> = (0..32).map(|_| chance.below(256) as u8).collect();
        let requests = requests(&hash, &new.bytes);
        pelt(&device, &mut device.raw(), &mut chance, &requests);

        assert_eq!(bench.area("primary"), before, "seed {seed}");
        assert!(!device.printed().contains("power lost"));
        // Damaged requests may have begun an upload or erased the other slot, and no more.
        device.try_out(&new);
        assert!(bench.slots().run(&new), "seed {seed}");
        device.smp("image confirm").ok();
        println!("garbage, seed {seed}: {DATAGRAMS} datagrams");
    }
}

#[test]
fn a_datagram_longer_than_a_frame_loses_its_end() {
    let bench = Bench::new("frames");
    let device = bench.device_with(&bench.image("1.0.0", SELF));
    let mut raw = device.raw();
    raw.echo("awake");
    let mut packet = [0; 4096];
    // An echo of 2990 bytes.
    let mut echo = vec![0x0a, 0, 0x0b, 0xb0, 0, 0, 7, 0];
    echo.extend([0xbf, 0x61, b'd', 0x79, 0x0b, 0xa9]);
    echo.resize(8 + 0xbb0 - 1, b'x');
    echo.push(0xff);
    raw.socket.send(&echo).unwrap();
    raw.socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let len = raw.socket.recv(&mut packet).unwrap();
    assert_eq!(packet[8..len], *b"\xbf\x62rc\x09\xff", "cut, and called corrupt");

    let params = [0x08, 0, 0, 0, 0, 0, 8, 6];
    raw.socket.send(&params.repeat(8000)).unwrap();
    raw.socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let answers = std::iter::from_fn(|| raw.socket.recv(&mut packet).ok()).count();
    assert_eq!(answers, 1500 / params.len());
}

#[test]
fn a_datagram_of_any_size_is_survived() {
    let bench = Bench::new("sizes");
    let device = bench.device_with(&bench.image("1.0.0", SELF));
    let raw = device.raw();
    for size in [0, 1, 7, 8, 9, 2047, 2048, 2049, 9000, 65_000] {
        for byte in [0x00, 0x0a, 0xff] {
            raw.socket.send(&vec![byte; size]).unwrap();
        }
        device.raw().echo("hello");
    }
}
