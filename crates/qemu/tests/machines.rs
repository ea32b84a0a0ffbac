//! A machine that runs eighteen instructions.

#![cfg(unix)]

mod parrot;

use std::fs::File;
use std::io::{Read, Write};
use std::time::Duration;

use parrot::parrot;
use updraft_qemu::{Error, Machine, Setup};

const PATIENCE: Duration = Duration::from_secs(20);

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
