//! Images that need each other in certain versions.
//!
//! Each image may name others and the lowest version of each that will do, in its protected TLVs.
//! What counts is what is about to run. Source: MCUboot `docs/design.md`, "Dependency check".

use updraft_flash::FlashMap;
use updraft_image::{Dependency, Refusal, TlvArea, TlvType};

use crate::outcome::Step;
use crate::slots::Slot;
use crate::{BootError, Event, Hooks, Unmet};

/// The first of `images` that would not get what it needs, after reporting what that is.
/// There are those that are `known`; `will_run` names the slot of an image's next run; `None` if there is no such image, or none of
/// it is there.
pub(crate) fn unmet<M: FlashMap>(
    flash: &mut M,
    hooks: &mut impl Hooks<M::Error>,
    images: impl IntoIterator<Item = u8>,
    known: impl Iterator<Item = u8> + Clone,
    mut will_run: impl FnMut(&mut M, u8) -> Step<Option<Slot>, M>,
) -> Step<Option<u8>, M> {
    for image in images {
        let Some(slot) = will_run(flash, image)? else { continue };
        let mut index = 0;
        let unmet = loop {
            let needed = match dependency(flash, &slot, index) {
                Ok(Some(needed)) => needed,
                Ok(None) => break None,
                Err(refusal) => break Some(Unmet::Unreadable(refusal)),
            };
            let Dependency { image, version: minimum } = needed;
            if !known.clone().any(|other| other == image) {
                break Some(Unmet::NoSuchImage { image });
            }
            let found = match will_run(flash, image)? {
                Some(slot) => slot.version(flash).map_err(BootError::Flash)?,
                None => None,
            };
            if !found.is_some_and(|found| found.cmp_ignoring_build(&minimum).is_ge()) {
                break Some(Unmet::TooOld { image, found, minimum });
            }
            index += 1;
        };
        if let Some(unmet) = unmet {
            hooks.event(image, Event::DependencyUnmet(unmet));
            return Ok(Some(image));
        }
    }
    Ok(None)
}

/// Dependency number `index` of the image in `slot`.
fn dependency<M: FlashMap>(
    flash: &mut M,
    slot: &Slot,
    index: usize,
) -> Result<Option<Dependency>, Refusal<M::Error>> {
    let header = slot.header(flash)?;
    let mut source = slot.source(flash);
    let mut tlvs = TlvArea::open(&mut source, &header)?.iter_protected();
    let mut seen = 0;
    while let Some(entry) = tlvs.find(&mut source, TlvType::DEPENDENCY)? {
        if seen == index {
            let mut bytes = [0; Dependency::SIZE];
            let payload = entry.payload(&mut source, &mut bytes).map_err(Refusal::Read)?;
            let Some(Ok(payload)) = payload.map(TryInto::try_into) else {
                return Err(Refusal::TlvLength { entry });
            };
            return Ok(Some(Dependency::from_bytes(payload)));
        }
        seen += 1;
    }
    Ok(None)
}
