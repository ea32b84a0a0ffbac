//! The application that fetches its updates over Ethernet.
#![no_std]
#![no_main]

use core::hint::black_box;

use emcraft_sf2::{Emac, KEYS, Sf2, board};
use firmware_application::network::{Memory, Setup};
use firmware_application::{BUFFER, lines};
use firmware_board::Board;
use firmware_cortex_m::Single;

/// What has come over a connection and is not read yet: two of its largest messages.
const RECEIVED: usize = 8192;

static MEMORY: Single<Memory<BUFFER, { lines::<Sf2>() }, RECEIVED>> = Single::new(Memory::new());

firmware_cortex_m::description!(
    DESCRIPTION,
    include_bytes!(concat!(env!("OUT_DIR"), "/description.bin"))
);
firmware_cortex_m::description!(
    IDENTITY,
    include_bytes!(concat!(env!("OUT_DIR"), "/identity.bin"))
);

fn update() -> ! {
    // Both may be others than when this was compiled.
    let (description, identity) = (black_box(&DESCRIPTION), black_box(&IDENTITY));
    // The emulator has no source of random numbers.
    let setup = Setup { description, identity, storage: board::STORAGE, entropy: &[] };
    let board = (Sf2::open(), Emac::open());
    firmware_application::network::run(board, setup, &KEYS, MEMORY.take())
}

firmware_cortex_m::program!(update);
