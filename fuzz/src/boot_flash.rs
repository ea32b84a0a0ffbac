//! The bootloader over arbitrary slots and trailers.
//!
//! ```text
//! pieces, each with its length in front: slot (1), where (2), bytes
//! ```
//! Every piece is laid over one of the two slots, counted from its start or back from its end.
//! Asserts: the bootloader comes to an end, twice; what it boots is intact, so that the device
//! either runs or says that there is nothing to boot; and once it runs, it still does after the
//! next reset.

use std::time::Duration;

use updraft_board::Role;
use updraft_image::{TrailerLayout, Version, magic_bytes};
use updraft_sim::device::Status;

use crate::{device, packets};

const MAX_ALIGN: u32 = 8;

/// Takes one input.
pub fn run(data: &[u8]) {
    play(data);
}

/// Plays an input; what comes back are the versions that ran after each of the two boots.
fn play(data: &[u8]) -> [Option<Version>; 2] {
    let mut device = device::with(&device::image(Version::new(1, 0, 0, 0), 600));
    for piece in packets::split(data).take(16) {
        let Some(([slot, low, high], bytes)) = piece.split_first_chunk() else { continue };
        let role = if slot & 1 == 0 { Role::Primary } else { Role::Secondary };
        let area = device::board().slot(0, role).expect("two slots").clone();
        let at = u32::from(u16::from_le_bytes([*low, *high])) % area.size;
        let at = if slot & 2 == 0 { at } else { area.size - 1 - at };
        let bytes = &bytes[..bytes.len().min((area.size - at) as usize)];
        device.flash().load(area.id, at, bytes).expect("inside the slot");
    }
    device.power_on(Duration::ZERO);
    let first = device.running();
    device.reset(Duration::from_secs(1));
    if first.is_some() {
        assert_eq!(device.status(), Status::Running, "{:?}", device.console());
    }
    [first, device.running()]
}

/// An update in the secondary slot, with each request that a trailer can hold.
pub fn seeds() -> Vec<Vec<u8>> {
    let slot = device::board().slot(0, Role::Secondary).expect("a secondary slot");
    let layout: TrailerLayout = device::board().trailer(slot).expect("a trailer");
    let update = device::image(Version::new(2, 0, 0, 0), 900);
    let from_end = |at: u32| ((slot.size - 1 - at) as u16).to_le_bytes();
    let piece = |which: u8, at: u32, bytes: &[u8]| {
        let [low, high] = from_end(at);
        [&[which | 2, low, high], bytes].concat()
    };
    let image = [&[1, 0, 0], &update[..]].concat();
    let magic = |which| piece(which, layout.magic(), &magic_bytes(MAX_ALIGN));
    let set = |which, at| piece(which, at, &[1]);
    vec![
        packets::join([image.clone(), magic(1)]),
        packets::join([image.clone(), magic(1), set(1, layout.image_ok())]),
        packets::join([image.clone(), magic(0), set(0, layout.copy_done())]),
        packets::join([
            image.clone(),
            magic(0),
            set(0, layout.swap_info()),
            set(0, layout.status()),
        ]),
        packets::join([image, magic(1), set(1, layout.swap_info()), set(1, layout.copy_done())]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_seeds_are_an_update_on_trial_and_one_for_good() {
        let [one, two] = [1, 2].map(|major| Some(Version::new(major, 0, 0, 0)));
        let seeds = seeds();
        assert_eq!(play(&seeds[0]), [two, one], "on trial, then reverted");
        assert_eq!(play(&seeds[1]), [two, two], "for good");
    }
}
