//! Arbitrary fragments as Bluetooth LE brings them: a byte of length before each.
//!
//! Asserts: what is put together is no longer than the buffer, or came in one fragment; a message
//! comes whole out of its fragments, whatever came before a break of the link.

use std::time::Duration;

use updraft_smp::framing::{Broken, Reassembler, fragments};
use updraft_smp::{Header, Op, Version};

/// Bytes that the reassembler holds.
const SIZE: usize = 300;

/// Takes one input.
pub fn run(data: &[u8]) {
    let mut reassembler = Reassembler::<SIZE>::default();
    messages(&mut reassembler, data);
    reassembler.clear();
    let good = message(SIZE - Header::SIZE);
    let mut out = Vec::new();
    for fragment in fragments(&good, u16::from(data.first().copied().unwrap_or(0))) {
        let received = reassembler.receive(fragment, Duration::MAX);
        out.extend(received.expect("a good fragment").map(<[u8]>::to_vec));
    }
    assert_eq!(out, [good]);
}

/// How many messages come out.
fn messages(reassembler: &mut Reassembler<SIZE>, mut data: &[u8]) -> usize {
    let (mut found, mut now) = (0, Duration::ZERO);
    while let Some((len, rest)) = data.split_first() {
        let (fragment, rest) = rest.split_at(rest.len().min((*len).into()));
        data = rest;
        now += Duration::from_millis((*len).into());
        match reassembler.receive(fragment, now) {
            Ok(Some(message)) => {
                assert!(message.len() <= SIZE && message.len() >= Header::SIZE);
                found += 1;
            }
            Err(Broken::TooLong { len, head }) => {
                assert!(len > SIZE && head.len() >= Header::SIZE);
            }
            Ok(None) | Err(_) => {}
        }
    }
    found
}

/// A message with so much payload.
fn message(len: usize) -> Vec<u8> {
    let mut header = Header::request(Version::V2, Op::Write, 1, 1, len as u8);
    header.length = len as u16;
    header.emit().into_iter().chain((0..len).map(|at| at as u8)).collect()
}

/// Messages of several lengths, cut to several sizes.
pub fn seeds() -> Vec<Vec<u8>> {
    let cut = |len: usize, mtu: u16| {
        let mut bytes = Vec::new();
        for fragment in fragments(&message(len), mtu) {
            bytes.push(fragment.len() as u8);
            bytes.extend(fragment);
        }
        bytes
    };
    let mut seeds: Vec<_> = [(0, 23), (30, 23), (200, 65), (292, 247), (400, 100)]
        .map(|(len, mtu)| cut(len, mtu))
        .into();
    seeds.push([cut(100, 65), cut(250, 65), cut(600, 23), cut(20, 23)].concat());
    seeds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_carry_messages() {
        let found =
            seeds().iter().map(|seed| messages(&mut Reassembler::default(), seed)).collect();
        let found: Vec<usize> = found;
        assert_eq!(found, [1, 1, 1, 1, 0, 3]);
    }
}
