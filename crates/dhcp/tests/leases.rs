//! Leases of hostile and of ordinary servers, and what the real stack makes of them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::socket::dhcpv4;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, Ipv4Address, UdpPacket};
use updraft_dhcp::tame;

const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
const SERVER: [u8; 4] = [10, 0, 2, 2];
const OFFERED: [u8; 4] = [10, 0, 2, 15];

/// A cable: frames to the stack, and from it.
#[derive(Default)]
struct Cable {
    to: Vec<Vec<u8>>,
    from: Vec<Vec<u8>>,
}

struct Rx(Vec<u8>);
struct Tx<'c>(&'c mut Vec<Vec<u8>>);

impl phy::RxToken for Rx {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl phy::TxToken for Tx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.push(frame);
        result
    }
}

impl Device for Cable {
    type RxToken<'c> = Rx;
    type TxToken<'c> = Tx<'c>;

    fn receive(&mut self, _: Instant) -> Option<(Rx, Tx<'_>)> {
        let frame = (!self.to.is_empty()).then(|| self.to.remove(0))?;
        Some((Rx(frame), Tx(&mut self.from)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Tx<'_>> {
        Some(Tx(&mut self.from))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
}

/// An answer of a DHCP server, with these options behind its kind and its name.
fn answer(transaction: [u8; 4], kind: u8, options: &[u8], has_checksum: bool) -> Vec<u8> {
    let mut bootp = vec![2, 1, 6, 0];
    bootp.extend(transaction);
    bootp.extend([0; 8]);
    bootp.extend(OFFERED);
    bootp.extend([SERVER, [0; 4]].concat());
    bootp.extend(MAC);
    bootp.resize(236, 0);
    bootp.extend([99, 130, 83, 99, 53, 1, kind, 54, 4]);
    bootp.extend(SERVER);
    bootp.extend([1, 4, 255, 255, 255, 0]);
    bootp.extend(options);
    bootp.push(255);
    let len = bootp.len() as u16;
    let mut udp = [[0, 67], [0, 68], (len + 8).to_be_bytes(), [0, 0]].concat();
    udp.extend(bootp);
    if has_checksum {
        UdpPacket::new_unchecked(&mut udp[..])
            .fill_checksum(&Ipv4Address::from(SERVER).into(), &Ipv4Address::BROADCAST.into());
    }
    let mut ip = vec![0x45, 0];
    ip.extend((len + 28).to_be_bytes());
    ip.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    ip.extend(SERVER);
    ip.extend([255; 4]);
    smoltcp::wire::Ipv4Packet::new_unchecked(&mut ip[..]).fill_checksum();
    [&[255; 6][..], &[2; 6], &[8, 0], &ip, &udp].concat()
}

/// A stack that asks for an address, and is answered so; its address after a while.
fn address(options: &[u8], has_checksum: bool, tamed: bool) -> Option<Ipv4Address> {
    let mut cable = Cable::default();
    let mut now = 0;
    let config = Config::new(EthernetAddress(MAC).into());
    let mut interface = Interface::new(config, &mut cable, Instant::ZERO);
    let mut sockets = SocketSet::new(Vec::new());
    let dhcp = sockets.add(dhcpv4::Socket::new());
    let mut found = None;
    for _ in 0..200 {
        now += 500;
        interface.poll(Instant::from_millis(now), &mut cable, &mut sockets);
        match sockets.get_mut::<dhcpv4::Socket<'_>>(dhcp).poll() {
            Some(dhcpv4::Event::Configured(lease)) => found = Some(lease.address.address()),
            Some(dhcpv4::Event::Deconfigured) => found = None,
            None => {}
        }
        for frame in std::mem::take(&mut cable.from) {
            let Some(bootp) = frame.get(42..).filter(|it| it.first() == Some(&1)) else { continue };
            let kind = bootp.windows(3).find(|it| it.starts_with(&[53, 1])).unwrap()[2];
            let reply = if kind == 1 { 2 } else { 5 };
            let transaction = bootp[4..8].try_into().unwrap();
            let mut frame = answer(transaction, reply, options, has_checksum);
            if !tamed || tame(&mut frame) {
                cable.to.push(frame);
            }
        }
    }
    found
}

fn time(option: u8, seconds: u32) -> Vec<u8> {
    [&[option, 4][..], &seconds.to_be_bytes()].concat()
}

/// Times that fit together, and such as do not.
fn leases() -> Vec<Vec<u8>> {
    let seconds = [0, 1, 59, 60, 3600, u32::MAX];
    let mut all = vec![Vec::new()];
    for lease in seconds {
        all.push(time(51, lease));
        for other in seconds {
            all.push([time(51, lease), time(58, other)].concat());
            // The order does not matter, nor padding before, which moves words by a byte.
            all.push([vec![0], time(59, other), time(51, lease)].concat());
            all.push([time(58, other), vec![0, 0, 0], time(59, lease), time(51, 3600)].concat());
        }
    }
    all
}

#[test]
fn every_lease_that_a_server_can_give_leaves_the_device_with_an_address() {
    for options in leases() {
        for has_checksum in [true, false] {
            let found = address(&options, has_checksum, true);
            assert_eq!(found, Some(Ipv4Address::from(OFFERED)), "{options:?}");
        }
    }
}

#[test]
fn the_stack_itself_does_not_survive_them() {
    // If this is no longer so, the crate has nothing left to do but to keep leases from being short.
    let ends_early = [time(51, 60), time(58, 3600)].concat();
    let survives =
        |tamed| catch_unwind(AssertUnwindSafe(|| address(&ends_early, true, tamed))).is_ok();
    assert!(!survives(false));
    assert!(survives(true));
}

#[test]
fn what_a_server_says_beyond_times_stays_as_it_is() {
    let ordinary =
        answer([1, 2, 3, 4], 5, &[&time(51, 3600)[..], &[3, 4, 10, 0, 2, 2]].concat(), true);
    let mut tamed = ordinary.clone();
    assert!(tame(&mut tamed));
    assert_eq!(tamed, ordinary);
    // Neither what is no answer, nor what only looks like a time.
    let mut elsewhere = answer([1; 4], 5, &time(58, 9), true);
    elsewhere[37] = 69;
    let mut looks = answer([1; 4], 5, &[43, 6, 58, 4, 0, 0, 0, 1], true);
    for frame in [&mut elsewhere, &mut looks] {
        let before = frame.clone();
        assert!(tame(frame));
        assert_eq!(*frame, before);
    }
}

#[test]
fn a_damaged_answer_stays_damaged() {
    let mut frame = answer([1; 4], 5, &[time(58, 77), time(51, 1)].concat(), true);
    let is_whole = |frame: &[u8]| {
        let udp = UdpPacket::new_checked(&frame[34..]).unwrap();
        udp.verify_checksum(&Ipv4Address::from(SERVER).into(), &Ipv4Address::BROADCAST.into())
    };
    let mut damaged = frame.clone();
    damaged[60] ^= 4;
    for (frame, whole) in [(&mut frame, true), (&mut damaged, false)] {
        assert_eq!(is_whole(frame), whole);
        assert!(tame(frame));
        assert_eq!(is_whole(frame), whole);
    }
}

#[test]
fn fragments_do_not_reach_the_stack() {
    let whole = answer([1; 4], 5, &[], true);
    for (flags, offset, passes) in [(0x40, 0, true), (0x20, 0, false), (0, 1, false), (1, 0, false)]
    {
        let mut frame = whole.clone();
        frame[20..22].copy_from_slice(&[flags, offset]);
        assert_eq!(tame(&mut frame), passes, "{flags:x} {offset}");
    }
}

#[test]
fn frames_that_end_anywhere_do_no_harm() {
    let frame = answer([1; 4], 5, &leases().concat(), true);
    for len in 0..frame.len() {
        let mut cut = frame[..len].to_vec();
        tame(&mut cut);
        // With lengths that say so, too.
        let mut cut = frame[..len].to_vec();
        if let Some(total) = cut.get_mut(16..18) {
            total.copy_from_slice(&(len.saturating_sub(14) as u16).to_be_bytes());
        }
        tame(&mut cut);
        if let Some(version) = cut.get_mut(14) {
            *version |= 0xf;
        }
        tame(&mut cut);
    }
}
