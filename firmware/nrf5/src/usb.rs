//! The USB of an nRF52840, as a serial port (CDC-ACM) beside the UART.
//!
//! ```text
//! host ══ USB ══ nrf-usbd ── usb-device, usbd-serial ── Packets ── bytes ── application
//! ```
//! Nothing here waits for a host: without a cable nothing is powered, and what nobody fetches within
//! a second is dropped.
//!
//! Source: "nRF52840 Product Specification", chapters USBD, POWER, CLOCK.

use core::fmt;

use firmware_cortex_m::{Line, Register, Single, Wake};
use nrf_usbd::{UsbPeripheral, Usbd};
use updraft_smp::framing::Packets;
use usb_device::bus::{UsbBus, UsbBusAllocator};
use usb_device::device::{
    StringDescriptors, UsbDevice, UsbDeviceBuilder, UsbDeviceState, UsbVidPid,
};
use usbd_serial::{CdcAcmClass, USB_CLASS_CDC};

use crate::{Uart, at};

/// The registers of the driver.
struct Registers;

// SAFETY: the chip has them there, and `BUS` is taken once.
unsafe impl UsbPeripheral for Registers {
    const REGISTERS: *const () = 0x4002_7000 as *const ();
}

type Bus = Usbd<Registers>;

static BUS: Single<Option<UsbBusAllocator<Bus>>> = Single::new(None);

/// Bytes of a packet at full speed.
const PACKET: usize = 64;
/// Attempts to get rid of a packet before its reader is taken to have gone: about a second.
const PATIENCE: u32 = 200_000;

/// What a device says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// Who sells it, and what it is: numbers that its maker has been given.
    pub ids: [u16; 2],
    /// Its maker.
    pub manufacturer: &'static str,
    /// Its name.
    pub product: &'static str,
}

/// The serial port, once there was a host to be one for.
struct Port {
    device: UsbDevice<'static, Bus>,
    class: CdcAcmClass<'static, Bus>,
    /// Whether the cable has been in since.
    powered: bool,
}

/// The UART with the console, and the serial port on USB.
pub struct WithUsb {
    uart: Uart,
    identity: Identity,
    bus: Option<&'static mut Option<UsbBusAllocator<Bus>>>,
    port: Option<Port>,
    packets: Packets<PACKET>,
    /// Somebody reads what is sent.
    heard: bool,
}

impl fmt::Debug for WithUsb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithUsb").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl WithUsb {
    const START_CRYSTAL: Register = at(0x4000_0000);
    const CRYSTAL_STARTED: Register = at(0x4000_0100);
    /// Power from the cable: it is in, and its regulator is ready.
    const POWER: Register = at(0x4000_0438);
    const POWERED: u32 = 0b11;
    const ENDPOINT_EVENT: Register = at(0x4002_7160);
    const INTERRUPT_ON: Register = at(0x4002_7304);
    const ENABLE: Register = at(0x4002_7500);
    const PULL_UP: Register = at(0x4002_7504);
    /// Reset, control data, bus events, control requests, data.
    const EVENTS: u32 = 1 | 1 << 10 | 1 << 22 | 1 << 23 | 1 << 24;
    const WAKE: Wake = Wake(1 << 39);

    /// The two of them.
    ///
    /// # Panics
    /// If there is one already.
    pub fn new(uart: Uart, identity: Identity) -> Self {
        // USB wants a clock of crystal's precision.
        Self::START_CRYSTAL.write(1);
        let (bus, packets) = (Some(BUS.take()), Packets::new());
        Self { uart, identity, bus, port: None, packets, heard: false }
    }

    /// The port, if the cable is in.
    fn powered(&mut self) -> Option<&mut Port> {
        let powered = Self::POWER.read() & Self::POWERED == Self::POWERED
            && Self::CRYSTAL_STARTED.read() != 0;
        if powered && self.port.is_none() {
            let bus = self.bus.take()?.insert(UsbBusAllocator::new(Usbd::new(Registers)));
            let class = CdcAcmClass::new(bus, PACKET as u16);
            let [vendor, product] = self.identity.ids;
            let strings = StringDescriptors::default()
                .manufacturer(self.identity.manufacturer)
                .product(self.identity.product);
            let device = UsbDeviceBuilder::new(bus, UsbVidPid(vendor, product))
                .strings(&[strings])
                .ok()?
                .device_class(USB_CLASS_CDC)
                .max_packet_size_0(PACKET as u8)
                .ok()?
                .build();
            Self::INTERRUPT_ON.write(Self::EVENTS);
            Self::WAKE.enable();
            self.port = Some(Port { device, class, powered: true });
        }
        let port = self.port.as_mut()?;
        match (powered, port.powered) {
            (true, false) => Usbd::new(Registers).enable(),
            (false, true) => {
                Self::PULL_UP.write(0);
                Self::ENABLE.write(0);
                self.packets.reset();
            }
            _ => {}
        }
        port.powered = powered;
        powered.then_some(port)
    }

    /// Does what the host asks for, and fetches a packet if there is room for it; then, if `flush`
    /// says so, sends what is to be sent. Says whether there is a host.
    fn poll(&mut self, flush: bool) -> bool {
        if self.powered().is_none() {
            return false;
        }
        let Some(Port { device, class, .. }) = &mut self.port else { return false };
        Self::ENDPOINT_EVENT.write(0);
        device.poll(&mut [class]);
        if device.state() != UsbDeviceState::Configured {
            self.packets.reset();
            return false;
        }
        self.packets.receive_with(|buf| {
            let len = class.read_packet(buf).ok()?;
            self.heard = true;
            Some(len)
        });
        if flush {
            self.packets.send_with(|packet| class.write_packet(packet).is_ok());
        }
        true
    }

    fn send_usb(&mut self, byte: u8) {
        let mut attempts = 0;
        while self.heard && !self.packets.put(byte) {
            attempts += 1;
            self.heard = self.poll(true) && attempts < PATIENCE;
        }
        if !self.heard {
            self.packets.reset();
        }
    }
}

impl Line for WithUsb {
    const LINES: usize = 2;

    fn receive(&mut self) -> Option<u8> {
        self.uart.receive()
    }

    fn send(&mut self, byte: u8) {
        self.uart.send(byte);
    }

    fn idle(&mut self) {
        Uart::idle_unless(|| {
            Self::WAKE.forget();
            self.poll(true);
            self.packets.has_come() || self.packets.is_waiting()
        });
    }

    fn receive_on(&mut self, number: usize) -> Option<u8> {
        if number == 0 {
            return self.uart.receive();
        }
        if let Some(byte) = self.packets.take() {
            return Some(byte);
        }
        // Whoever looks for the next byte has nothing to add to what was said.
        self.poll(true);
        self.packets.take()
    }

    fn send_on(&mut self, number: usize, byte: u8) {
        if number == 0 { self.uart.send(byte) } else { self.send_usb(byte) }
    }
}
