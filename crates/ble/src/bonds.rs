//! Bonds: the keys of peers that were paired with, and where they are kept.

use trouble_host::connection::SecurityLevel;
use trouble_host::prelude::{AddrKind, BdAddr};
use trouble_host::{Address, BondInformation, Identity, IdentityResolvingKey, LongTermKey};

/// Where a device keeps its bonds. They have to outlive resets, or every peer has to pair anew.
pub trait Bonds {
    /// Hands every bond that is kept to `each`; the radio's stack takes ten of them.
    fn load(&mut self, each: &mut dyn FnMut(BondInformation));

    /// Keeps a bond, in place of an older one with the same peer.
    fn keep(&mut self, bond: &BondInformation);

    /// Whether a peer may be bonded with that is connecting now. A device with a button would say
    /// so for a while after it was pressed.
    fn take_new(&mut self) -> bool {
        true
    }
}

impl<B: Bonds + ?Sized> Bonds for &mut B {
    fn load(&mut self, each: &mut dyn FnMut(BondInformation)) {
        (**self).load(each);
    }

    fn keep(&mut self, bond: &BondInformation) {
        (**self).keep(bond);
    }

    fn take_new(&mut self) -> bool {
        (**self).take_new()
    }
}

/// The last `N` bonds, gone with the next reset.
#[derive(Clone, Debug)]
pub struct InMemory<const N: usize> {
    bonds: [Option<BondInformation>; N],
}

impl<const N: usize> Default for InMemory<N> {
    fn default() -> Self {
        Self { bonds: [const { None }; N] }
    }
}

impl<const N: usize> Bonds for InMemory<N> {
    fn load(&mut self, each: &mut dyn FnMut(BondInformation)) {
        self.bonds.iter().flatten().cloned().for_each(each);
    }

    fn keep(&mut self, bond: &BondInformation) {
        let known = |kept: &Option<BondInformation>| {
            kept.as_ref().is_none_or(|kept| kept.identity.match_identity(&bond.identity))
        };
        let at = self.bonds.iter().position(known);
        if at.is_none() && N > 0 {
            // The oldest has to go.
            self.bonds.rotate_left(1);
        }
        let at = at.unwrap_or(N.saturating_sub(1));
        if let Some(place) = self.bonds.get_mut(at) {
            *place = Some(bond.clone());
        }
    }
}

/// Bytes of a bond in storage.
pub const BOND_SIZE: usize = 42;

/// A bond as bytes for a device's storage. They hold a secret key.
///
/// ```text
/// 0      what follows: bit 0 bonded, bit 1 authenticated, bit 2 identity resolving key
/// 1      kind of the peer's address      2..8   the peer's address
/// 8..24  long-term key                   24..40 identity resolving key
/// 40..42 0xa5 0x5a
/// ```
pub fn bond_to_bytes(bond: &BondInformation) -> [u8; BOND_SIZE] {
    let flags = u8::from(bond.is_bonded)
        | u8::from(bond.security_level.authenticated()) << 1
        | u8::from(bond.identity.irk.is_some()) << 2;
    let key = bond.identity.irk.map_or([0; 16], |irk| irk.to_le_bytes());
    let kind = [flags, bond.identity.addr.kind.as_raw()];
    let parts: [&[u8]; 5] =
        [&kind, bond.identity.addr.addr.raw(), &bond.ltk.to_le_bytes(), &key, &MARK];
    let mut bytes = [0; BOND_SIZE];
    for (to, from) in bytes.iter_mut().zip(parts.into_iter().flatten()) {
        *to = *from;
    }
    bytes
}

const MARK: [u8; 2] = [0xa5, 0x5a];

/// The bond that [`bond_to_bytes`] made bytes of; `None` if these are something else, such as
/// erased flash.
pub fn bond_from_bytes(bytes: &[u8; BOND_SIZE]) -> Option<BondInformation> {
    let ([flags, kind], rest) = bytes.split_first_chunk()?;
    let (address, rest) = rest.split_first_chunk()?;
    let (ltk, rest) = rest.split_first_chunk()?;
    let (irk, mark) = rest.split_first_chunk()?;
    if mark != MARK || *flags > 7 || *kind > 1 {
        return None;
    }
    let addr = Address { kind: AddrKind::new(*kind), addr: BdAddr::new(*address) };
    let irk = (flags & 4 != 0).then(|| IdentityResolvingKey::from_le_bytes(*irk)).flatten();
    let level = match flags & 2 {
        0 => SecurityLevel::Encrypted,
        _ => SecurityLevel::EncryptedAuthenticated,
    };
    let ltk = LongTermKey::from_le_bytes(*ltk);
    Some(BondInformation::new(Identity { addr, irk }, ltk, level, flags & 1 != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bond(last: u8) -> BondInformation {
        let identity = Identity { addr: Address::random([1, 2, 3, 4, 5, last]), irk: None };
        BondInformation::new(identity, LongTermKey::new(7), SecurityLevel::Encrypted, true)
    }

    fn loaded<const N: usize>(bonds: &mut InMemory<N>) -> ([u8; 4], usize) {
        let (mut found, mut len) = ([0; 4], 0);
        bonds.load(&mut |bond| {
            found[len] = bond.identity.addr.addr.raw()[5];
            len += 1;
        });
        (found, len)
    }

    #[test]
    fn a_bond_survives_its_storage() {
        let plain = bond(6);
        let mut rich = bond(7);
        rich.identity.irk = IdentityResolvingKey::new(9);
        rich.security_level = SecurityLevel::EncryptedAuthenticated;
        rich.is_bonded = false;
        for bond in [plain, rich] {
            assert_eq!(bond_from_bytes(&bond_to_bytes(&bond)), Some(bond));
        }
    }

    #[test]
    fn what_is_no_bond_is_not_taken_for_one() {
        for nothing in [[0; BOND_SIZE], [0xff; BOND_SIZE]] {
            assert_eq!(bond_from_bytes(&nothing), None);
        }
    }

    #[test]
    fn a_peer_has_one_bond_and_the_oldest_peer_goes_first() {
        let mut bonds = InMemory::<3>::default();
        [1, 2, 2, 3].iter().for_each(|peer| bonds.keep(&bond(*peer)));
        assert_eq!(loaded(&mut bonds), ([1, 2, 3, 0], 3));
        bonds.keep(&bond(4));
        assert_eq!(loaded(&mut bonds), ([2, 3, 4, 0], 3));
        InMemory::<0>::default().keep(&bond(1));
    }
}
