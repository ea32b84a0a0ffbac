//! Devices on the network: those of this computer, of its local networks, or of a network named.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use updraft_smp::client::{Answer, Requests};

use super::{Found, Look, Way, introduce};
use crate::report::Hint;
use crate::smp::Udp;
use crate::smp::link::{UDP_PORT, resolve};

/// How often everybody is asked.
const ROUNDS: u32 = 3;
/// Networks with more addresses than 2 to the power of this are not asked through.
const BITS_MAX: u32 = 10;
/// How many devices are asked for particulars at the same time.
const AT_ONCE: usize = 64;

/// Asks everybody for the size of his buffers, and whoever answers for the rest.
pub(super) fn scan(look: &Look, tell: &(dyn Fn(Found) + Sync)) -> anyhow::Result<()> {
    let targets = match look.places.as_slice() {
        [] => nearby(),
        places => {
            let all: Result<Vec<_>, _> = places.iter().map(|place| targets(place)).collect();
            all?.concat()
        }
    };
    let found: Vec<SocketAddr> = answering(&targets, look.wait)?.into_iter().collect();
    for some in found.chunks(AT_ONCE) {
        thread::scope(|scope| {
            for address in some {
                scope.spawn(move || {
                    let link = Udp::connect(&address.to_string());
                    let facts = link.ok().and_then(|link| introduce(Box::new(link), look.wait));
                    tell(Found {
                        way: Way::Udp,
                        options: format!("--udp {address}"),
                        // It has answered once.
                        device: Some(facts.unwrap_or_default()),
                        remark: None,
                    });
                });
            }
        });
    }
    Ok(())
}

/// Everybody who may be near: this computer, and all that hear a broadcast.
fn nearby() -> Vec<SocketAddr> {
    let mut all: Vec<SocketAddr> = vec![
        (Ipv4Addr::LOCALHOST, UDP_PORT).into(),
        (Ipv6Addr::LOCALHOST, UDP_PORT).into(),
        (Ipv4Addr::BROADCAST, UDP_PORT).into(),
    ];
    // IPv6 has a group of all nodes instead, on each network by itself. Where the numbers of the
    // networks cannot be read, devices have to be named.
    let interfaces = std::fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let numbers = interfaces.filter_map(|interface| {
        let number = std::fs::read_to_string(interface.path().join("ifindex")).ok()?;
        number.trim().parse::<u32>().ok()
    });
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    all.extend(
        numbers.map(|number| SocketAddr::from(SocketAddrV6::new(group, UDP_PORT, 0, number))),
    );
    all
}

/// The addresses of a place: a host, an address, or a network such as 192.0.2.0/24.
fn targets(place: &str) -> anyhow::Result<Vec<SocketAddr>> {
    let Some((network, prefix)) = place.split_once('/') else { return Ok(vec![resolve(place)?]) };
    let network: Ipv4Addr = network.parse().map_err(|_| anyhow!("{place} is no network")).usage(
        "networks are named like 192.0.2.0/24; those of IPv6 are too large to be searched",
    )?;
    let bits = prefix.parse::<u32>().ok().and_then(|prefix| 32_u32.checked_sub(prefix));
    let bits = bits
        .filter(|bits| *bits <= BITS_MAX)
        .ok_or_else(|| anyhow!("{place} is no network that can be searched"))
        .usage(format!("its prefix has to be from {} to 32", 32 - BITS_MAX))?;
    let count = 1_u32 << bits;
    let first = network.to_bits() & !(count - 1);
    Ok((0..count).map(|n| (IpAddr::V4(Ipv4Addr::from_bits(first + n)), UDP_PORT).into()).collect())
}

/// Who answers within `wait`.
fn answering(targets: &[SocketAddr], wait: Duration) -> anyhow::Result<BTreeSet<SocketAddr>> {
    let any: [SocketAddr; 2] = [([0, 0, 0, 0], 0).into(), ([0_u16; 8], 0).into()];
    // A computer may lack one of the two.
    let sockets: Vec<UdpSocket> = any.iter().filter_map(|any| UdpSocket::bind(any).ok()).collect();
    if sockets.is_empty() {
        return Err(anyhow!("no UDP socket could be opened"));
    }
    for socket in &sockets {
        let is_v4 = socket.local_addr().is_ok_and(|address| address.is_ipv4());
        if is_v4 {
            socket.set_broadcast(true).context("the socket cannot broadcast")?;
        }
        socket.set_read_timeout(Some(Duration::from_millis(5)))?;
    }
    let mut message = [0; 16];
    let message = Requests::default().params(&mut message).context("the request is no message")?;
    let (began, mut answered) = (Instant::now(), BTreeSet::new());
    let mut buffer = [0; 2048];
    for round in 1..=ROUNDS {
        for target in targets.iter().filter(|target| !answered.contains(*target)) {
            let fits = |socket: &&UdpSocket| {
                socket.local_addr().is_ok_and(|address| address.is_ipv4() == target.is_ipv4())
            };
            // A network that is not there answers nothing either.
            let _ = sockets.iter().find(fits).map(|socket| socket.send_to(message, target));
        }
        let until = began + wait * round / ROUNDS;
        while Instant::now() < until {
            for socket in &sockets {
                while let Ok((len, from)) = socket.recv_from(&mut buffer) {
                    if Answer::parse(buffer.get(..len).unwrap_or_default()).is_some() {
                        answered.insert(from);
                    }
                    if Instant::now() >= until {
                        break;
                    }
                }
            }
        }
    }
    Ok(answered)
}

#[cfg(test)]
mod tests {
    use super::targets;

    #[test]
    fn a_network_is_all_of_its_addresses() {
        let found = targets("192.0.2.77/30").unwrap();
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        let all = ["192.0.2.76", "192.0.2.77", "192.0.2.78", "192.0.2.79"];
        assert_eq!(found, all.map(|address| format!("{address}:1337")));
        assert_eq!(targets("10.0.0.0/22").unwrap().len(), 1024);
        assert_eq!(targets("[::1]:7").unwrap()[0].to_string(), "[::1]:7");
        for wrong in ["10.0.0.0/21", "10.0.0.0/33", "::/120", "10.0.0/24"] {
            assert!(targets(wrong).is_err(), "{wrong}");
        }
    }
}
