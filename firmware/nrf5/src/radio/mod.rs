//! The radio of an nRF52, behind Nordic's controller for Bluetooth LE.
//!
//! ```text
//! application ─ updraft-ble ─ HCI ─ SoftDevice Controller ─┐
//!      └ flash ─ gaps ─────────────── timeslots ───────── MPSL ─ RADIO, TIMER0, RTC0, CLOCK, EGU0
//! ```
//! The multiprotocol service layer (MPSL) shares the radio's time out. It takes its interrupts at the
//! highest priority (`vectors`); what it has to do besides is done in [`process`], which the program
//! calls in each of its turns, so that nothing of Rust's runs in an interrupt. Whoever waits for flash
//! in between looks after it, too.
//!
//! It counts by the crystal for 32 kHz, which the boards here have: the PineTime by Apache Mynewt's
//! `hw/bsp/pinetime` (`MCU_LFCLK_SOURCE: LFXO`), the RAK4631 by RAK's `variant.h` (`USE_LFXO`). Without
//! one [`open`] never returns, and a watchdog is what helps.
//!
//! Sources: Nordic Semiconductor, nrfxlib, headers and pages of "mpsl" and "softdevice_controller".

pub(crate) mod gaps;
mod time;
mod vectors;

use core::sync::atomic::{AtomicBool, Ordering};

use embassy_nrf::interrupt::typelevel::{CLOCK_POWER, EGU0_SWI0, Interrupt, RADIO, RTC0, TIMER0};
use embassy_nrf::mode::Blocking;
use embassy_nrf::peripherals as the;
use embassy_nrf::rng::Rng;
use firmware_cortex_m::{Register, Single, take_interrupts};
use nrf_mpsl::{Flash, MultiprotocolServiceLayer, Peripherals, SessionMem, raw};
use nrf_sdc::{Builder, Mem};

use crate::at;
use vectors::Handlers;

pub use nrf_sdc::{Error, SoftdeviceController};

/// Bytes of a packet in the air, and packets in each direction.
const PACKET: u16 = 251;
const PACKETS: u8 = 3;
/// Bytes that the controller works in. For one peer and one advertisement its headers
/// (`SDC_MEM_PER_PERIPHERAL_LINK`, `SDC_MEM_PER_ADV_SET`, `SDC_MEM_FAL`) come to 3,094; too few are an
/// error of [`open`].
const MEMORY: usize = 4096;
/// Who asks for gaps: flash.
const SESSIONS: usize = 1;

/// Whether the layer is there.
static ON: AtomicBool = AtomicBool::new(false);
static LAYER: Single<Option<MultiprotocolServiceLayer<'static>>> = Single::new(None);
static SLOTS: Single<Option<SessionMem<SESSIONS>>> = Single::new(None);
static CONTROLLER: Single<Option<Mem<MEMORY>>> = Single::new(None);
static NUMBERS: Single<Option<Rng<'static, Blocking>>> = Single::new(None);

/// The radio, on.
pub struct Radio {
    /// Speaks HCI.
    pub controller: SoftdeviceController<'static>,
    /// A random static address: the chip's, the same after every reset.
    pub address: [u8; 6],
}

/// Turns it on. From now on flash in the chip is programmed and erased in the radio's gaps.
///
/// # Errors
/// What the layer or the controller has against its settings.
///
/// # Panics
/// If it is on already.
pub fn open() -> Result<Radio, Error> {
    let slots = SLOTS.take().insert(SessionMem::new());
    stop_timer();
    // SAFETY: the handlers are in the vector table, and share nothing with what runs beside them.
    unsafe { take_interrupts() };
    let clock = raw::mpsl_clock_lfclk_cfg_t {
        source: raw::MPSL_CLOCK_LF_SRC_XTAL as u8,
        rc_ctiv: 0,
        rc_temp_ctiv: 0,
        // What any such crystal keeps to; peers listen a little longer than they had to.
        accuracy_ppm: raw::MPSL_DEFAULT_CLOCK_ACCURACY_PPM as u16,
        skip_wait_lfclk_started: false,
    };
    let layer = MultiprotocolServiceLayer::with_timeslots(for_layer(), Handlers, clock, slots)?;
    let layer = LAYER.take().insert(layer);
    ON.store(true, Ordering::Relaxed);
    // SAFETY: their handlers are there.
    unsafe {
        CLOCK_POWER::enable();
        RADIO::enable();
        TIMER0::enable();
        RTC0::enable();
        EGU0_SWI0::enable();
    }
    // SAFETY: nobody else has it: this happens once, or `SLOTS.take` panics.
    let (numbers, flash) = unsafe { (the::RNG::steal(), the::NVMC::steal()) };
    gaps::open(Flash::take(layer, flash));
    let numbers = NUMBERS.take().insert(Rng::new_blocking(numbers));
    numbers.set_bias_correction(true);
    let controller = Builder::new()?
        .support_adv()
        .support_peripheral()
        .support_dle_peripheral()
        .support_le_2m_phy()
        .support_phy_update_peripheral()
        .peripheral_count(1)?
        .buffer_cfg(PACKET, PACKET, PACKETS, PACKETS)?
        .build(for_controller(), numbers, layer, CONTROLLER.take().insert(Mem::new()))?;
    Ok(Radio { controller, address: address() })
}

/// What the radio has to do outside its interrupts, several times a second, also while something else
/// is waited for. Nothing, if it is off.
pub fn process() {
    if ON.load(Ordering::Relaxed) {
        // SAFETY: the layer is there; the one thread calls this, and is in no other function of the
        // layer's.
        unsafe { raw::mpsl_low_priority_process() };
    }
}

/// The bootloader's clock may have left it running, and the layer has not said that it stops it.
fn stop_timer() {
    const STOP: Register = at(0x4000_8004);
    const CLEAR: Register = at(0x4000_800c);
    const SHUTDOWN: Register = at(0x4000_8010);
    [STOP, CLEAR, SHUTDOWN].iter().for_each(|task| task.write(1));
}

/// The address that the chip was made with. Two bits say that it is a random static one.
fn address() -> [u8; 6] {
    const DEVICE_ADDRESS: [Register; 2] = [at(0x1000_00a4), at(0x1000_00a8)];
    let [low, high] = DEVICE_ADDRESS.map(|half| half.read().to_le_bytes());
    let [a, b, c, d] = low;
    let [e, f, ..] = high;
    [a, b, c, d, e, f | 0xc0]
}

fn for_layer() -> Peripherals<'static> {
    // SAFETY: nothing else in a program with the radio uses these.
    unsafe {
        Peripherals::new(
            the::RTC0::steal(),
            the::TIMER0::steal(),
            the::TEMP::steal(),
            the::PPI_CH19::steal(),
            the::PPI_CH30::steal(),
            the::PPI_CH31::steal(),
        )
    }
}

fn for_controller() -> nrf_sdc::Peripherals<'static> {
    // SAFETY: as above.
    unsafe {
        nrf_sdc::Peripherals::new(
            the::PPI_CH17::steal(),
            the::PPI_CH18::steal(),
            the::PPI_CH20::steal(),
            the::PPI_CH21::steal(),
            the::PPI_CH22::steal(),
            the::PPI_CH23::steal(),
            the::PPI_CH24::steal(),
            the::PPI_CH25::steal(),
            the::PPI_CH26::steal(),
            the::PPI_CH27::steal(),
            the::PPI_CH28::steal(),
            the::PPI_CH29::steal(),
        )
    }
}
