//! Images that need each other in certain versions.
//!
//! Each image may name others and the lowest version of each that will do, in its protected TLVs.
//! What counts is what would run after the upgrades that are planned. Source: MCUboot
//! `docs/design.md`, "Dependency check".

use updraft_flash::{FlashMap, SlotPair};
use updraft_image::{Dependency, Refusal, TlvArea, TlvType, Verifier, Version};

use crate::course::Course;
use crate::outcome::Step;
use crate::upgrade::Plan;
use crate::{BootError, Bootloader, Event, Hooks, Platform, SecurityCounters, Strategy, Unmet};

/// Whether every image would get what it needs. The first one that would not is reported.
pub(crate) fn are_met<'c, S, M, V, C, H>(
    loader: &Bootloader<S>,
    platform: &mut Platform<M, V, C, H>,
    plans: impl Iterator<Item = (&'c SlotPair, Plan)> + Clone,
) -> Step<bool, M>
where
    S: Strategy,
    M: FlashMap,
    V: Verifier,
    C: SecurityCounters,
    H: Hooks<M::Error>,
{
    for (pair, plan) in plans.clone() {
        let mut course = loader.course(platform, pair.image)?;
        // An image that is not there needs nothing.
        if !plan.upgrades() && course.is_unprovisioned()? {
            continue;
        }
        let mut index = 0;
        loop {
            let mut course = loader.course(platform, pair.image)?;
            let needed = match course.dependency(plan, index) {
                Ok(Some(needed)) => needed,
                Ok(None) => break,
                Err(refusal) => {
                    course.tell(Event::DependencyUnmet(Unmet::Unreadable(refusal)));
                    return Ok(false);
                }
            };
            let image = needed.image;
            let Some((_, plan)) = plans.clone().find(|(pair, _)| pair.image == image) else {
                course.tell(Event::DependencyUnmet(Unmet::NoSuchImage { image }));
                return Ok(false);
            };
            let found = loader.course(platform, image)?.version(plan)?;
            if !found.is_some_and(|found| found.cmp_ignoring_build(&needed.version).is_ge()) {
                let unmet = Unmet::TooOld { image, found, minimum: needed.version };
                platform.hooks.event(pair.image, Event::DependencyUnmet(unmet));
                return Ok(false);
            }
            index += 1;
        }
    }
    Ok(true)
}

impl<S, M, V, C, H> Course<'_, S, M, V, C, H>
where
    S: Strategy,
    M: FlashMap,
    V: Verifier,
    C: SecurityCounters,
    H: Hooks<M::Error>,
{
    /// The version that will run once `plan` has been carried out.
    fn version(&mut self, plan: Plan) -> Step<Option<Version>, M> {
        let slot = self.will_run(plan);
        let head = slot.head(&mut self.platform.flash).map_err(BootError::Flash)?;
        Ok(head.header().ok().map(|header| header.version))
    }

    /// What the image that will run needs: entry number `index` of its dependencies.
    fn dependency(
        &mut self,
        plan: Plan,
        index: usize,
    ) -> Result<Option<Dependency>, Refusal<M::Error>> {
        let slot = self.will_run(plan);
        let head = slot.head(&mut self.platform.flash).map_err(Refusal::Read)?;
        let header = head.header().map_err(Refusal::Header)?;
        let mut source = slot.source(&mut self.platform.flash);
        let mut tlvs = TlvArea::open(&mut source, &header)?.iter_protected();
        let mut seen = 0;
        while let Some(entry) = tlvs.find(&mut source, TlvType::DEPENDENCY)? {
            if seen == index {
                let mut bytes = [0; Dependency::SIZE];
                let payload = entry.payload(&mut source, &mut bytes).map_err(Refusal::Read)?;
                let payload = payload.map(TryInto::try_into);
                let Some(Ok(payload)) = payload else {
                    return Err(Refusal::TlvLength { entry });
                };
                return Ok(Some(Dependency::from_bytes(payload)));
            }
            seen += 1;
        }
        Ok(None)
    }
}
