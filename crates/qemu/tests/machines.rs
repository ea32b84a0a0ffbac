//! A machine that runs eighteen instructions.

#![cfg(unix)]

use std::fs::File;
use std::io::{Read, Write};
use std::time::Duration;

use updraft_qemu::{Error, Machine, Setup};

const PATIENCE: Duration = Duration::from_secs(20);

/// For the nRF51 of a microbit: prints `>`, then says again what it hears.
const PARROT: [u16; 28] = [
    0x4000, 0x2000, // 00 stack
    0x0009, 0x0000, // 04 entry: 08, Thumb
    0x480a, // 08 ldr r0, =UART
    0x2205, // 0a movs r2, #5
    0x0212, // 0c lsls r2, #8
    0x1812, // 0e adds r2, r0            UART + 0x500
    0x2304, // 10 movs r3, #4
    0x6013, // 12 str r3, [r2, ENABLE]
    0x2101, // 14 movs r1, #1
    0x6001, // 16 str r1, [r0, STARTRX]
    0x6081, // 18 str r1, [r0, STARTTX]
    0x233e, // 1a movs r3, #'>'
    0x61d3, // 1c str r3, [r2, TXD]
    0x2401, // 1e movs r4, #1
    0x0224, // 20 lsls r4, #8
    0x1824, // 22 adds r4, r0            UART + 0x100
    0x68a5, // 24 ldr r5, [r4, RXDRDY]
    0x2d00, // 26 cmp r5, #0
    0xd0fc, // 28 beq 24
    0x2500, // 2a movs r5, #0
    0x60a5, // 2c str r5, [r4, RXDRDY]
    0x6993, // 2e ldr r3, [r2, RXD]
    0x61d3, // 30 str r3, [r2, TXD]
    0xe7f7, // 32 b 24
    0x2000, 0x4000, // 34 UART
];

fn parrot() -> Vec<u8> {
    PARROT.iter().flat_map(|half| half.to_le_bytes()).collect()
}

/// `None`: this run does without foreign tools, and has said so.
fn microbit() -> Option<Machine> {
    if std::env::var_os("UPDRAFT_CORE").is_some() {
        println!("left out: UPDRAFT_CORE is set, and this needs qemu-system-arm");
        return None;
    }
    Some(Setup::new("microbit").program(0, parrot()).start().unwrap())
}

#[test]
fn clients_talk_to_a_machine_over_its_serial_port() {
    let Some(machine) = microbit() else { return };
    machine.line(0).wait(">", PATIENCE).unwrap();
    // QEMU looks whether the UART takes bytes by now when something wakes it. This program wakes
    // nothing, as it has no timers; the debugger does.
    assert_eq!(machine.read(0, 4).unwrap(), parrot()[..4]);
    let port = machine.line(0).path();
    let mut client = File::options().read(true).write(true).open(port).unwrap();
    client.write_all(b"hello").unwrap();
    machine.line(0).wait("hello", PATIENCE).unwrap();
    let mut heard = [0; 6];
    client.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b">hello");
    assert_eq!(machine.line(0).printed(), ">hello");
    assert_eq!(machine.guest_errors(), "");
}

#[test]
fn what_is_written_to_flash_stays_there_over_resets() {
    let Some(machine) = microbit() else { return };
    machine.line(0).wait(">", PATIENCE).unwrap();
    assert_eq!(machine.read(0, 56).unwrap(), parrot());
    let long: Vec<u8> = (0..3000_u32).map(|at| (at % 251) as u8).collect();
    machine.write(0x8000, &long).unwrap();
    machine.write(0x1a, b"<").unwrap();
    machine.reset().unwrap();
    machine.line(0).wait("<", PATIENCE).unwrap();
    assert_eq!(machine.read(0x8000, long.len()).unwrap(), long);
    machine.kill();
}

#[test]
fn a_machine_that_is_paused_says_nothing() {
    let Some(machine) = microbit() else { return };
    machine.line(0).wait(">", PATIENCE).unwrap();
    machine.pause().unwrap();
    machine.line(0).send(b"?").unwrap();
    assert!(machine.line(0).wait("?", Duration::from_millis(200)).is_err());
    machine.resume().unwrap();
    machine.line(0).wait("?", PATIENCE).unwrap();
}

#[test]
fn what_qemu_says_is_told_when_it_does_not_start() {
    if microbit().is_none() {
        return;
    }
    let error = Setup::new("microbit").args(["-abacus"]).start().unwrap_err();
    assert!(matches!(&error, Error::Ended(why) if why.contains("abacus")), "{error}");
}
