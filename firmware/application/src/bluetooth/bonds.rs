//! Bonds with peers, in the board's area for what outlives resets; a board without one forgets them.

use core::cell::RefCell;

use firmware_board::Board;
use updraft_ble::trouble_host::BondInformation;
use updraft_ble::{BOND_SIZE, Bonds, InMemory, bond_from_bytes, bond_to_bytes};
use updraft_flash::{AreaId, Keep};

use crate::Application;

/// Peers that are remembered.
const PEERS: usize = 4;

/// Bonds, in memory and in flash.
pub(super) struct Kept<'r, 'a, B: Board, const N: usize, const LINES: usize> {
    application: &'r RefCell<Application<'a, B, N, LINES>>,
    place: Option<Keep>,
    bonds: InMemory<PEERS>,
}

impl<'r, 'a, B: Board, const N: usize, const LINES: usize> Kept<'r, 'a, B, N, LINES> {
    /// Those that are there.
    pub fn new(
        application: &'r RefCell<Application<'a, B, N, LINES>>,
        storage: Option<AreaId>,
    ) -> Self {
        let mut bonds = InMemory::default();
        let place = application.borrow_mut().groups.1.slots().image(B::FACTS.slots.image).and_then(
            |(flash, _)| {
                let place = Keep::new(flash, storage?, 0, (PEERS * BOND_SIZE) as u32)?;
                let mut bytes = [0; PEERS * BOND_SIZE];
                let len = place.load(flash, &mut bytes).unwrap_or(0);
                let (kept, _) = bytes.get(..len).unwrap_or_default().as_chunks();
                kept.iter().filter_map(bond_from_bytes).for_each(|bond| bonds.keep(&bond));
                Some(place)
            },
        );
        Self { application, place, bonds }
    }
}

impl<B: Board, const N: usize, const LINES: usize> Bonds for Kept<'_, '_, B, N, LINES> {
    fn load(&mut self, each: &mut dyn FnMut(BondInformation)) {
        self.bonds.load(each);
    }

    fn keep(&mut self, bond: &BondInformation) {
        self.bonds.keep(bond);
        let mut bytes = [[0; BOND_SIZE]; PEERS];
        let mut places = bytes.iter_mut();
        self.bonds.load(&mut |bond| {
            if let Some(place) = places.next() {
                *place = bond_to_bytes(&bond);
            }
        });
        let mut application = self.application.borrow_mut();
        let flash = application.groups.1.slots().image(B::FACTS.slots.image);
        if let (Some(place), Some((flash, _))) = (self.place, flash) {
            // One that is not kept holds until the next reset.
            let _ = place.save(flash, bytes.as_flattened());
        }
    }
}
