//! Recovery behind its serial line.

use std::time::Duration;

use updraft_image::{HashOnly, UpgradeMode};
use updraft_recovery::{Heard, Port, Recovery};
use updraft_smp::framing::{Console, Framing, Raw, Received};

use crate::common::{Everything, HEAD, config, nor};

const ECHO: [u8; 13] = [2, 0, 0, 5, 0, 0, 1, 0, 0xa1, 0x61, b'd', 0x61, b'x'];
const RESET: [u8; 9] = [2, 0, 0, 1, 0, 0, 2, 5, 0xa0];

/// What comes back for `bytes`: the answers, and what the line reports.
fn play<F: Framing>(
    framing: F,
    other_end: &mut impl Framing,
    bytes: &[u8],
) -> (Vec<Vec<u8>>, Heard) {
    let config = config(UpgradeMode::SwapMove);
    let mut recovery =
        Recovery::<_, _, _, HEAD>::new(config, nor(), HashOnly, Everything::default());
    let mut port = Port::<_, 512>::new(framing);
    let mut line = Vec::new();
    let heard =
        port.receive(&mut recovery, bytes, Duration::ZERO, |piece| line.extend_from_slice(piece));
    let mut answers = Vec::new();
    for byte in line {
        if let Some(Received::Message(answer)) = other_end.receive(byte, Duration::ZERO) {
            answers.push(answer.to_vec());
        }
    }
    (answers, heard)
}

#[test]
fn requests_on_console_lines_are_answered_on_console_lines() {
    let mut line = b"uart:~$ ".to_vec();
    Console::<0>::send(&ECHO, |piece| line.extend(piece)).unwrap();
    line.extend(b"log\n");
    Console::<0>::send(&ECHO, |piece| line.extend(piece)).unwrap();
    let (answers, heard) = play(Console::<1024>::new(), &mut Console::<512>::new(), &line);
    assert_eq!(answers.len(), 2);
    assert!(answers[0].ends_with(&[0x61, b'r', 0x61, b'x', 0xff]));
    assert_eq!(heard, Heard { requests: 2, reset: None });
}

#[test]
fn raw_requests_are_answered_raw() {
    let line = [&ECHO[..], &ECHO].concat();
    let (answers, heard) = play(Raw::<1024>::default(), &mut Raw::<512>::default(), &line);
    assert_eq!((answers.len(), heard.requests), (2, 2));
}

#[test]
fn text_and_other_peoples_answers_are_not_requests() {
    let mut line = b"hello\n".to_vec();
    let mut answer = ECHO;
    answer[0] = 3;
    Console::<0>::send(&answer, |piece| line.extend(piece)).unwrap();
    let (answers, heard) = play(Console::<1024>::new(), &mut Console::<512>::new(), &line);
    assert_eq!((answers.len(), heard), (0, Heard::default()));
}

#[test]
fn nothing_behind_a_reset_is_looked_at() {
    let line = [&RESET[..], &ECHO].concat();
    let (answers, heard) = play(Raw::<1024>::default(), &mut Raw::<512>::default(), &line);
    assert_eq!((answers.len(), heard.requests), (1, 1));
    assert!(heard.reset.is_some());
}
