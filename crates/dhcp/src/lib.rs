//! What comes from an Ethernet before a TCP/IP stack sees it: leases without times that the stack does
//! not survive, and no fragments, which a stack without reassembly would take for whole packets.
//!
//! Anybody on an Ethernet can be its DHCP server, and smoltcp (0.12 to 0.14) panics at a lease that ends
//! before it is to be renewed. When to renew one is up to the client (RFC 2131, section 4.4.5): so what a
//! server says of that is taken out, and smoltcp renews at half of the time. A lease of less than a minute
//! is made one of a minute, as otherwise the device would do nothing but ask.
//!
//! ```text
//! Ethernet │ IPv4 │ UDP to port 68 │ BOOTP … options: 51 lease, 58 renewal, 59 rebinding │
//!                    checksum                            ≥ 60    gone (padding)
//! ```
//! Frames are changed in place; the checksum of UDP is changed along, so that damage stays damage.
#![no_std]

/// Bytes before what Ethernet carries: two addresses and the type.
const ETHERNET: usize = 14;
/// IPv4, as the type.
const IPV4: [u8; 2] = [8, 0];
const UDP: u8 = 17;
/// Bytes of UDP's own: ports, length, checksum.
const UDP_HEAD: usize = 8;
/// Where the checksum is in them.
const CHECKSUM: usize = 6;
/// Where a client hears its answers.
const CLIENT_PORT: [u8; 2] = [0, 68];
/// Bytes before the options of BOOTP, the magic number included.
const OPTIONS: usize = 240;

/// Options.
const PAD: u8 = 0;
const LEASE: u8 = 51;
const RENEWAL: u8 = 58;
const REBINDING: u8 = 59;
const END: u8 = 255;

/// Seconds of the shortest lease.
const SHORTEST: u32 = 60;

/// Makes a frame one that the stack survives; says whether it may see it.
pub fn tame(frame: &mut [u8]) -> bool {
    match packet(frame) {
        Packet::Datagram(datagram) => {
            if datagram.get(2..4) == Some(&CLIENT_PORT) {
                tame_lease(datagram);
            }
            true
        }
        Packet::Fragment => false,
        Packet::Other => true,
    }
}

enum Packet<'f> {
    /// UDP, its head included.
    Datagram(&'f mut [u8]),
    /// Of something.
    Fragment,
    /// Nothing that this is about.
    Other,
}

fn packet(frame: &mut [u8]) -> Packet<'_> {
    let Some((ethernet, packet)) = frame.split_at_mut_checked(ETHERNET) else {
        return Packet::Other;
    };
    if !ethernet.ends_with(&IPV4) {
        return Packet::Other;
    }
    let Some(&[version, _, high, low, _, _, flags, offset, _, protocol]) = packet.first_chunk()
    else {
        return Packet::Other;
    };
    // More to come, or something before.
    if flags & 0x3f != 0 || offset != 0 {
        return Packet::Fragment;
    }
    let (head, len) = (usize::from(version & 0xf) * 4, u16::from_be_bytes([high, low]).into());
    match packet.get_mut(head..len) {
        Some(datagram) if protocol == UDP => Packet::Datagram(datagram),
        _ => Packet::Other,
    }
}

fn tame_lease(datagram: &mut [u8]) {
    let mut at = UDP_HEAD + OPTIONS;
    loop {
        match datagram.get(at) {
            None | Some(&END) => return,
            Some(&PAD) => at += 1,
            Some(&kind) => {
                let Some(&len) = datagram.get(at + 1) else { return };
                let next = at + 2 + usize::from(len);
                if next > datagram.len() {
                    return;
                }
                match kind {
                    RENEWAL | REBINDING => (at..next).for_each(|at| change(datagram, at, PAD)),
                    LEASE => lengthen(datagram, at + 2..next),
                    _ => {}
                }
                at = next;
            }
        }
    }
}

fn lengthen(datagram: &mut [u8], place: core::ops::Range<usize>) {
    let seconds = datagram.get(place.clone()).and_then(|it| <[u8; 4]>::try_from(it).ok());
    if seconds.is_some_and(|seconds| u32::from_be_bytes(seconds) < SHORTEST) {
        place.zip(SHORTEST.to_be_bytes()).for_each(|(at, byte)| change(datagram, at, byte));
    }
}

/// Changes a byte, and the checksum with it (RFC 1624); a datagram without one stays without.
fn change(datagram: &mut [u8], at: usize, to: u8) {
    let Some(byte) = datagram.get_mut(at) else { return };
    let from = core::mem::replace(byte, to);
    let Some([high, low]) = datagram.get_mut(CHECKSUM..CHECKSUM + 2) else { return };
    let old = u16::from_be_bytes([*high, *low]);
    if old == 0 {
        return;
    }
    // The byte as a part of its word.
    let word = |byte: u8| if at.is_multiple_of(2) { u32::from(byte) << 8 } else { u32::from(byte) };
    let sum = u32::from(!old) + (0xffff - word(from)) + word(to);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    // A checksum that comes to none is written as its other zero.
    [*high, *low] = if sum == 0 { [0xff; 2] } else { sum.to_be_bytes() };
}
