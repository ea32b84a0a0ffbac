//! Boards whose bootloader is eighteen instructions long, and the flash that outlives their power.

#![cfg(unix)]

mod parrot;

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parrot::parrot;
use updraft_board::{Board, Role};
use updraft_pty::Pty;
use updraft_qemu::{Emulated, Error};

const PATIENCE: Duration = Duration::from_secs(20);

/// A folder with the programs of a `microbit`, gone when the test has passed.
struct Desk(PathBuf);

impl Desk {
    fn new(test: &str) -> Self {
        let name = format!("updraft-qemu-{test}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("bootloader.bin"), parrot()).unwrap();
        Self(folder)
    }

    fn board(&self) -> Result<Emulated, Error> {
        Emulated::new(Board::load("microbit").unwrap(), &self.0, &self.0.join("flash"))
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }
}

/// Whether this run does without foreign tools; it has said so.
fn is_left_out() -> bool {
    let core = std::env::var_os("UPDRAFT_CORE").is_some();
    if core {
        println!("left out: UPDRAFT_CORE is set, and this needs qemu-system-arm");
    }
    core
}

#[test]
fn what_a_board_has_in_flash_outlives_its_power() {
    if is_left_out() {
        return;
    }
    let desk = Desk::new("outlives");
    let emulated = desk.board().unwrap();
    let primary = emulated.board().area(Role::Primary).unwrap();
    assert!(emulated.is_new() && emulated.area(primary).unwrap().iter().all(|byte| *byte == 0xff));
    emulated.put(primary, 16, b"before").unwrap();

    let board = emulated.start().unwrap();
    board.machine().line(0).wait(">", PATIENCE).unwrap();
    let at = primary.address.unwrap();
    assert_eq!(board.machine().read(at + 16, 6).unwrap(), b"before");
    board.machine().write(at + 16, b"behind").unwrap();
    assert_eq!(board.cut().unwrap(), "");
    assert_eq!(emulated.area(primary).unwrap()[16..22], *b"behind");

    // Another process, another emulator, and the bootloader is there again.
    drop(emulated);
    let emulated = desk.board().unwrap();
    assert!(!emulated.is_new());
    let board = emulated.start().unwrap();
    board.machine().line(0).wait(">", PATIENCE).unwrap();
    assert_eq!(board.machine().read(at + 16, 6).unwrap(), b"behind");
}

#[test]
fn a_port_stays_where_it_is_while_there_is_no_power() {
    if is_left_out() {
        return;
    }
    let desk = Desk::new("port");
    let emulated = desk.board().unwrap();
    let port = Arc::new(Pty::open().unwrap());
    let mut client = File::options().read(true).write(true).open(port.path()).unwrap();
    for said in ["one", "two"] {
        // Nobody hears this.
        client.write_all(b"lost").unwrap();
        let setup = emulated.setup().unwrap().port(Arc::clone(&port));
        let board = emulated.start_paused(setup).unwrap();
        board.machine().resume().unwrap();
        let line = board.machine().line(0);
        assert_eq!(line.path(), port.path());
        line.wait(">", PATIENCE).unwrap();
        client.write_all(said.as_bytes()).unwrap();
        // The debugger wakes the UART: this program has no timers.
        board.machine().read(0, 4).unwrap();
        line.wait(said, PATIENCE).unwrap();
        assert_eq!(line.printed(), format!(">{said}"));
    }
}

#[test]
fn a_board_stops_before_each_store_that_is_waited_for() {
    if is_left_out() {
        return;
    }
    const TXD: (u32, u32) = (0x4000_251c, 4);
    let desk = Desk::new("stores");
    let emulated = desk.board().unwrap();
    let board = emulated.start_paused(emulated.setup().unwrap()).unwrap();
    let (machine, glance) = (board.machine(), Duration::from_millis(500));
    assert!(machine.run_to_store(&[TXD], PATIENCE).unwrap());
    assert_eq!(machine.line(0).printed(), "");
    // It goes on, and there is nothing more to say.
    assert!(!machine.run_to_store(&[TXD], glance).unwrap());
    machine.line(0).wait(">", PATIENCE).unwrap();
    machine.line(0).send(b"?").unwrap();
    assert!(machine.run_to_store(&[TXD], PATIENCE).unwrap());
    assert_eq!(machine.line(0).printed(), ">");
    machine.resume().unwrap();
    machine.line(0).wait("?", PATIENCE).unwrap();
}

#[test]
fn a_flash_file_is_refused_that_is_in_use_or_of_another_size() {
    let desk = Desk::new("refused");
    let emulated = desk.board().unwrap();
    let error = desk.board().unwrap_err().to_string();
    assert!(error.contains("flash of a device that is running"), "{error}");
    drop(emulated);
    std::fs::write(desk.0.join("flash"), b"short").unwrap();
    let error = desk.board().unwrap_err().to_string();
    assert!(error.contains("it has 5 bytes, and the flash of microbit 262144"), "{error}");
}

#[test]
fn what_cannot_be_played_is_told() {
    let desk = Desk::new("unplayable");
    let new = |board: &str| {
        let board = Board::load(board).unwrap();
        Emulated::new(board, &desk.0, &desk.0.join("flash")).unwrap_err()
    };
    let error = new("pinetime");
    assert!(error.to_string().contains("no machine for pinetime, but for mps2-an386"), "{error}");
    // Its bootloader is wanted as a program that is linked.
    let error = new("mps2-an386");
    assert!(matches!(&error, Error::NoProgram { path, .. } if path.ends_with("bootloader.elf")));
    assert!(!desk.0.join("flash").exists(), "no file is made for nothing");
}
