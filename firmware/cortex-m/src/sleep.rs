//! Sleeping until something happens. A masked interrupt wakes the processor and is not taken.
//!
//! A program that takes interrupts (feature `interrupts`) leaves disabled what is only to wake it: that
//! such an interrupt is there to be taken counts as an event, and events are what it waits for.
//!
//! A processor that polls keeps its bus busy, and under an emulator the host that it waits for.

use core::arch::asm;

use crate::Register;

const fn at(address: u32) -> Register {
    // SAFETY: every address below is a register that all Cortex-M have, or one that is ignored where
    // there is no system timer.
    unsafe { Register::at(address) }
}

/// System timer: control, reload value, current value.
const TIMER: [Register; 3] = [at(0xe000_e010), at(0xe000_e014), at(0xe000_e018)];
/// Counts the processor's clock, and interrupts.
const TIMER_ON: u32 = 7;
/// Interrupt control and state.
const ICSR: Register = at(0xe000_ed04);
const FORGET_TICK: u32 = 1 << 25;
/// System control: an interrupt that is disabled counts as an event.
#[cfg(feature = "interrupts")]
const SCR: Register = at(0xe000_ed10);
#[cfg(feature = "interrupts")]
const EVENT_ON_PENDING: u32 = 1 << 4;
/// Interrupts 0 to 31, and 32 to 63: enable, forget.
const ENABLE: [Register; 2] = [at(0xe000_e100), at(0xe000_e104)];
const FORGET: [Register; 2] = [at(0xe000_e280), at(0xe000_e284)];
/// Interrupts 0 to 31, which are all that a bootloader enables: disable.
const DISABLE: Register = at(0xe000_e180);
/// The same for 32 to 63, which other bootloaders may have enabled.
#[cfg(feature = "interrupts")]
const DISABLE_MORE: Register = at(0xe000_e184);

/// The interrupts that wake the processor, one bit each.
#[derive(Clone, Copy, Debug)]
pub struct Wake(pub u64);

impl Wake {
    /// From now on they do.
    #[inline(always)]
    pub fn enable(self) {
        if !cfg!(feature = "interrupts") {
            self.write(ENABLE);
        }
    }

    /// Forgets those that have come. To be followed by a look at what they tell of, and only then
    /// by [`sleep`]: what comes in between is not missed.
    #[inline(always)]
    pub fn forget(self) {
        self.write(FORGET);
        ICSR.write(FORGET_TICK);
    }

    /// Small processors have no second register.
    #[inline(always)]
    fn write(self, [first, second]: [Register; 2]) {
        first.write(self.0 as u32);
        let high = (self.0 >> 32) as u32;
        if high != 0 {
            second.write(high);
        }
    }
}

/// Has the system timer wake the processor every so many clocks, at most 2^24.
pub fn tick_every(clocks: u32) {
    let [control, reload, value] = TIMER;
    reload.write(clocks.saturating_sub(1));
    value.write(0);
    control.write(TIMER_ON);
}

/// Sleeps until an interrupt has come since [`Wake::forget`].
#[cfg(feature = "interrupts")]
pub fn sleep() {
    // Whoever brings the radio up may have left it otherwise.
    SCR.write(EVENT_ON_PENDING);
    // SAFETY: the processor goes on behind it.
    unsafe { asm!("dsb", "wfe", options(nomem, nostack, preserves_flags)) }
}

/// Has interrupts taken that are enabled from now on: those that a bootloader has left enabled are not.
///
/// # Safety
/// The vector table in use has to have a handler for each of them, and nobody may rely on being alone
/// who shares something with a handler.
#[cfg(feature = "interrupts")]
pub unsafe fn take_interrupts() {
    [DISABLE, DISABLE_MORE].into_iter().chain(FORGET).for_each(|all| all.write(u32::MAX));
    // SAFETY: the caller says that there are handlers.
    unsafe { asm!("cpsie i", options(nostack, preserves_flags)) }
}

/// The system timer has ticked, which has woken the processor.
#[cfg(feature = "interrupts")]
// SAFETY: the vector table has it, by the linker script.
#[unsafe(no_mangle)]
extern "C" fn _tick() {}

/// Sleeps until an interrupt has come since [`Wake::forget`].
#[cfg(not(feature = "interrupts"))]
pub fn sleep() {
    // SAFETY: the processor goes on behind it.
    unsafe { asm!("wfi", options(nomem, nostack, preserves_flags)) }
}

/// Leaves no interrupt to whoever comes next.
pub(crate) fn forget() {
    TIMER[0].write(0);
    DISABLE.write(u32::MAX);
    Wake(u32::MAX.into()).forget();
}
