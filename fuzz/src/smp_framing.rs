//! Arbitrary bytes on a serial line, to receivers of console lines and of bare messages.
//!
//! Asserts: no message is empty or longer than its receiver holds; what came out of one line goes
//! through another one unchanged; text comes out in order and nothing is made up.

use std::time::Duration;

use updraft_smp::framing::{Console, Framing, Raw, Received};
use updraft_smp::{Header, Op, Version};

/// Largest message of the small receivers, in bytes.
const SMALL: usize = 40;
const LARGE: usize = 1024;

/// Takes one input.
pub fn run(data: &[u8]) {
    messages::<Console<SMALL>, SMALL>(Console::new(), data);
    messages::<Console<LARGE>, LARGE>(Console::new(), data);
    messages::<Raw<SMALL>, SMALL>(Raw::default(), data);
    messages::<Raw<LARGE>, LARGE>(Raw::default(), data);
}

/// The messages that come out of `framing`, which holds `N` bytes.
fn messages<F: Framing + Clone, const N: usize>(mut framing: F, data: &[u8]) -> Vec<Vec<u8>> {
    let fresh = framing.clone();
    let mut found = Vec::new();
    let mut rest = data.iter();
    for (now, byte) in data.iter().enumerate() {
        match framing.receive(*byte, Duration::from_millis(now as u64)) {
            Some(Received::Message(message)) => {
                assert!((1..=N).contains(&message.len()), "{} bytes", message.len());
                found.push(message.to_vec());
            }
            Some(Received::Text(text)) => {
                for byte in text {
                    assert!(rest.any(|sent| sent == byte), "{text:02x?} was not on the line");
                }
            }
            None => {}
        }
    }
    for message in &found {
        let (mut line, mut again) = (Vec::new(), Vec::new());
        F::send(message, |piece| line.extend(piece)).expect("a message that was received");
        let mut framing = fresh.clone();
        for byte in line {
            if let Some(Received::Message(message)) = framing.receive(byte, Duration::ZERO) {
                again.push(message.to_vec());
            }
        }
        assert_eq!(again, [message.as_slice()]);
    }
    found
}

/// Messages of several lengths in either framing, one behind the other and among text.
pub fn seeds() -> Vec<Vec<u8>> {
    let message = |len: usize| {
        let mut header = Header::request(Version::V2, Op::Write, 1, 1, len as u8);
        header.length = len as u16;
        let payload = (0..len).map(|at| at as u8);
        header.emit().into_iter().chain(payload).collect::<Vec<_>>()
    };
    let mut seeds = vec![b"*** Booting\n\x04\x06uart:~$ \n".to_vec()];
    let (mut mixed, mut bare) = (Vec::new(), Vec::new());
    for len in [0, 5, 32, 100, 300] {
        let message = message(len);
        let mut lines = Vec::new();
        Console::<0>::send(&message, |line| lines.extend(line)).expect("a short message");
        mixed.extend(b"log: ");
        mixed.extend(&lines);
        bare.extend(&message);
        seeds.extend([lines, message]);
    }
    seeds.extend([mixed, bare]);
    seeds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_carry_messages() {
        let seeds = seeds();
        let [mixed, bare] = seeds.last_chunk().expect("seeds");
        assert_eq!(messages::<Console<LARGE>, LARGE>(Console::new(), mixed).len(), 5);
        assert_eq!(messages::<Raw<LARGE>, LARGE>(Raw::default(), bare).len(), 5);
    }
}
