//! Handlers of interrupts, behind the table that every program has.

use embassy_nrf::interrupt::typelevel::{
    Binding, CLOCK_POWER, EGU0_SWI0, Interrupt, RADIO, RTC0, TIMER0,
};
use nrf_mpsl::{ClockInterruptHandler, HighPrioInterruptHandler, LowPrioInterruptHandler, raw};

type Handler = unsafe extern "C" fn();

/// An nRF52840 has so many interrupts, and an nRF52832 fewer.
const INTERRUPTS: usize = 48;

// SAFETY: the linker script puts it behind the table of the processor's exceptions.
#[unsafe(link_section = ".vectors.interrupts")]
#[used]
static TABLE: [Handler; INTERRUPTS] = {
    let mut table = [unexpected as Handler; INTERRUPTS];
    table[CLOCK_POWER::IRQ as usize] = raw::MPSL_IRQ_CLOCK_Handler;
    table[RADIO::IRQ as usize] = raw::MPSL_IRQ_RADIO_Handler;
    table[TIMER0::IRQ as usize] = raw::MPSL_IRQ_TIMER0_Handler;
    table[RTC0::IRQ as usize] = raw::MPSL_IRQ_RTC0_Handler;
    table[EGU0_SWI0::IRQ as usize] = woken;
    table
};

/// There is something to process, and the processor is awake.
unsafe extern "C" fn woken() {}

/// Nobody has enabled it: something is wrong, as with a fault.
unsafe extern "C" fn unexpected() {
    firmware_cortex_m::reset(0)
}

/// That they are there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Handlers;

// SAFETY: the table has the same functions that these handlers call; the one for what is to be
// processed may do nothing, as that is looked for in every turn.
unsafe impl Binding<CLOCK_POWER, ClockInterruptHandler> for Handlers {}
unsafe impl Binding<RADIO, HighPrioInterruptHandler> for Handlers {}
unsafe impl Binding<TIMER0, HighPrioInterruptHandler> for Handlers {}
unsafe impl Binding<RTC0, HighPrioInterruptHandler> for Handlers {}
unsafe impl Binding<EGU0_SWI0, LowPrioInterruptHandler> for Handlers {}
