//! The Ethernet MAC, which takes frames from memory and puts them there by itself.
//!
//! ```text
//! descriptor: address of the frame │ its length, and whether the place is empty │ next descriptor
//! ```
//! Received frames go round a ring; one that is sent has a place of its own. To the sender an empty
//! place is the end, to the receiver one that is not.
//!
//! Sources: UG0331, "Ethernet MAC".

use core::cell::UnsafeCell;
use core::sync::atomic::{Ordering, fence};

use firmware_application::network::{Ethernet, LONGEST_FRAME};
use firmware_cortex_m::{Register, Single, Wake};

const fn at(offset: u32) -> Register {
    // SAFETY: every offset below is a register of the MAC.
    unsafe { Register::at(0x4004_1000 + offset) }
}

const MAC: Register = at(0x00);
const MAC_2: Register = at(0x04);
const ADDRESS: [Register; 2] = [at(0x40), at(0x44)];
const FIFOS: Register = at(0x48);
const SEND: Register = at(0x180);
const SEND_FROM: Register = at(0x184);
const SEND_STATUS: Register = at(0x188);
const RECEIVE: Register = at(0x18c);
const RECEIVE_TO: Register = at(0x190);
const RECEIVE_STATUS: Register = at(0x194);
const INTERRUPTS: Register = at(0x198);

const RESET: u32 = 1 << 31;
const RECEIVER_ON: u32 = 1 << 2;
const SENDER_ON: u32 = 1;
/// Preamble of seven bytes, 100 Mbit/s, pads and adds checksums, full duplex.
const SETTINGS: u32 = 7 << 12 | 1 << 8 | 1 << 2 | 1;
/// All five parts of the FIFOs.
const FIFOS_ON: u32 = 0x1f << 8;
const ON: u32 = 1;
/// Of either status: a frame is done, which counts down when it is written. To the sender, nothing is
/// left; to the receiver, there was no room.
const DONE: u32 = 1;
const UNDERRUN: u32 = 1 << 1;
const OVERFLOW: u32 = 1 << 2;
/// A frame has come, or found no room.
const WAKES: u32 = (DONE | OVERFLOW) << 4;
const WAKE: Wake = Wake(1 << 12);

/// In a descriptor: the place is empty.
const EMPTY: u32 = 1 << 31;
const LENGTH: u32 = 0x7ff;
/// Bytes of a place: the longest frame and its checksum, in whole words.
const PLACE: usize = 1536;
/// Places for frames that have come.
const PLACES: usize = 8;

/// Nobody has bought addresses for emulated boards: a locally administered one.
const OWN_ADDRESS: [u8; 6] = [0x02, 0x53, 0x46, 0x32, 0x00, 0x01];

/// A place for a frame. The MAC writes into it whenever it likes.
#[repr(C, align(4))]
#[derive(Debug)]
struct Place {
    address: UnsafeCell<u32>,
    length: UnsafeCell<u32>,
    next: UnsafeCell<u32>,
    frame: UnsafeCell<[u8; PLACE]>,
}

// SAFETY: one thread has the places, and what the MAC shares with it is read and written whole.
unsafe impl Sync for Place {}

impl Place {
    const fn new() -> Self {
        Self {
            address: UnsafeCell::new(0),
            length: UnsafeCell::new(0),
            next: UnsafeCell::new(0),
            frame: UnsafeCell::new([0; PLACE]),
        }
    }

    fn set_up(&self, next: &Self, length: u32) {
        // SAFETY: words of the place.
        unsafe {
            self.address.get().write_volatile(self.frame.get() as u32);
            self.next.get().write_volatile(next.at());
        }
        self.set_length(length);
    }

    fn at(&self) -> u32 {
        core::ptr::from_ref(self) as u32
    }

    fn length(&self) -> u32 {
        // SAFETY: a word of the place.
        let length = unsafe { self.length.get().read_volatile() };
        // The frame is looked at after this.
        fence(Ordering::SeqCst);
        length
    }

    fn set_length(&self, length: u32) {
        // The frame was written before this.
        fence(Ordering::SeqCst);
        // SAFETY: a word of the place.
        unsafe { self.length.get().write_volatile(length) };
    }

    fn is_empty(&self) -> bool {
        self.length() & EMPTY != 0
    }
}

#[derive(Debug)]
struct Places {
    received: [Place; PLACES],
    sent: Place,
}

static ALL: Single<Places> =
    Single::new(Places { received: [const { Place::new() }; PLACES], sent: Place::new() });

/// The MAC.
#[derive(Debug)]
pub struct Emac {
    places: &'static Places,
    /// Where the next frame comes.
    next: usize,
}

impl Emac {
    /// Resets the MAC, and turns both directions on.
    pub fn open() -> Self {
        let places: &Places = ALL.take();
        let Places { received, sent } = places;
        for (place, next) in received.iter().zip(received.iter().cycle().skip(1)) {
            place.set_up(next, EMPTY);
        }
        sent.set_up(sent, EMPTY);
        MAC.write(RESET);
        MAC.write(0);
        MAC_2.write(SETTINGS);
        let [a, b, c, d, e, f] = OWN_ADDRESS;
        ADDRESS[0].write(u32::from_be_bytes([a, b, c, d]));
        ADDRESS[1].write(u32::from_be_bytes([e, f, 0, 0]));
        FIFOS.write(FIFOS_ON);
        MAC.write(RECEIVER_ON | SENDER_ON);
        let emac = Self { places, next: 0 };
        emac.receive_from_here();
        INTERRUPTS.write(WAKES);
        WAKE.enable();
        emac
    }

    /// Forgets that frames have come.
    pub fn forget() {
        WAKE.forget();
    }

    /// Whether a frame waits.
    pub fn has_frame() -> bool {
        RECEIVE_STATUS.read() & (DONE | OVERFLOW) != 0
    }

    fn place(&self) -> Option<&'static Place> {
        self.places.received.get(self.next)
    }

    fn receive_from_here(&self) {
        RECEIVE_TO.write(self.place().map_or(0, Place::at));
        RECEIVE.write(ON);
    }
}

impl Ethernet for Emac {
    fn address(&self) -> [u8; 6] {
        OWN_ADDRESS
    }

    fn receive(&mut self, frame: &mut [u8; LONGEST_FRAME]) -> Option<usize> {
        while let Some(place) = self.place() {
            if place.is_empty() {
                break;
            }
            let len = (place.length() & LENGTH) as usize;
            let taken = frame.get_mut(..len).map(|to| {
                // SAFETY: the MAC is done with a place that is not empty.
                let from = unsafe { &*place.frame.get() };
                to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
                len
            });
            place.set_length(EMPTY);
            self.next = (self.next + 1) % PLACES;
            RECEIVE_STATUS.write(DONE);
            if taken.is_some() {
                return taken;
            }
        }
        if RECEIVE_STATUS.read() & OVERFLOW != 0 {
            // It has stopped, and all places are empty by now.
            RECEIVE_STATUS.write(OVERFLOW);
            self.receive_from_here();
        }
        None
    }

    fn has_room(&mut self) -> bool {
        self.places.sent.is_empty()
    }

    fn send(&mut self, frame: &[u8]) {
        let place = &self.places.sent;
        // SAFETY: there was room, so that the MAC is done with it; and one thread sends.
        let to = unsafe { &mut *place.frame.get() };
        to.iter_mut().zip(frame).for_each(|(to, from)| *to = *from);
        place.set_length(frame.len().min(PLACE) as u32);
        SEND_STATUS.write(DONE | UNDERRUN);
        SEND_FROM.write(place.at());
        SEND.write(ON);
    }
}
