//! A bootloader that measures what it starts, and tells the application about the boot.

use core::cell::RefCell;
use core::hint::black_box;

use updraft_boot::{
    Boot, BootError, BootInfo, Event, Hooks, SharedData, SharedRecovery, SharedSignature,
};
use updraft_flash::FlashMap;
use updraft_image::{UpgradeMode, Version};

use crate::alone::Alone;

/// The memory that a reset keeps, and the application knows.
pub static MEMORY: Alone<[u8; 512]> = Alone(RefCell::new([0; 512]));

pub struct Measures<'m>(pub SharedData<'m>);

impl Measures<'_> {
    /// What there is to tell once it is known what is started.
    pub fn tell(&mut self, boot: &Boot) {
        let info = BootInfo {
            mode: UpgradeMode::SwapMove,
            signature: SharedSignature::Ed25519,
            recovery: SharedRecovery::None,
            running_slot: 0,
            bootloader: Version::new(1, 0, 0, 0),
            max_app_size: black_box(0x3f000),
        };
        black_box(self.0.add_boot_info::<()>(&info, boot).is_ok());
    }
}

impl<E> Hooks<E> for Measures<'_> {
    fn event(&mut self, _: u8, _: Event<E>) {}

    fn ready<M: FlashMap<Error = E>>(
        &mut self,
        flash: &mut M,
        boot: &Boot,
    ) -> Result<(), BootError<E>> {
        Ok(self.0.add_boot_record(flash, boot)?)
    }
}
