//! Links that do to packets and bytes what links do: between a client and a device.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::Chance;

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    ToDevice,
    ToClient,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Passes,
    Lost,
    Doubled,
    /// Comes behind the next one of its way, or a moment later.
    Overtaken,
}

/// How many of 100 packets meet with what.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    pub lost: usize,
    pub doubled: usize,
    pub overtaken: usize,
}

impl Weather {
    /// Draws a packet's fate.
    pub fn fate(&self, chance: &mut Chance) -> Fate {
        let drawn = chance.below(100);
        let [lost, doubled] = [self.lost, self.lost + self.doubled];
        match drawn {
            _ if drawn < lost => Fate::Lost,
            _ if drawn < doubled => Fate::Doubled,
            _ if drawn < doubled + self.overtaken => Fate::Overtaken,
            _ => Fate::Passes,
        }
    }
}

/// A UDP link: clients talk to its address instead of the device's.
pub struct Relay {
    pub address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    over: Arc<AtomicBool>,
}

/// A packet that came by.
type Seen = (Way, Vec<u8>, Fate);

/// How long a packet waits to be overtaken.
const HELD: Duration = Duration::from_millis(5);

impl Relay {
    /// A link to `device` on which `fate` decides over every packet.
    pub fn to(device: &str, mut fate: impl FnMut(Way, &[u8]) -> Fate + Send + 'static) -> Self {
        let device: SocketAddr = device.parse().expect("an address with a port");
        let any = SocketAddr::new(device.ip(), 0);
        let (near, far) = (UdpSocket::bind(any).unwrap(), UdpSocket::bind(any).unwrap());
        far.connect(device).unwrap();
        let address = near.local_addr().unwrap().to_string();
        let (seen, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let link = Self { address, seen: Arc::clone(&seen), over: Arc::clone(&over) };
        std::thread::spawn(move || {
            near.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
            far.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
            let (mut buffer, mut client) = (vec![0; 65536], None);
            let mut held: Vec<(Way, Vec<u8>, Instant)> = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let send = |client: Option<SocketAddr>, way, packet: &[u8]| {
                    // A device that is away, or a client that has left, is no fault of the link's.
                    let _ = match (way, client) {
                        (Way::ToDevice, _) => far.send(packet),
                        (Way::ToClient, Some(client)) => near.send_to(packet, client),
                        (Way::ToClient, None) => Ok(0),
                    };
                };
                for way in [Way::ToDevice, Way::ToClient] {
                    let received = match way {
                        Way::ToDevice => near.recv_from(&mut buffer).map(|(len, from)| {
                            client = Some(from);
                            len
                        }),
                        Way::ToClient => far.recv(&mut buffer),
                    };
                    let Ok(len) = received else { continue };
                    let packet = &buffer[..len];
                    let fate = fate(way, packet);
                    seen.lock().unwrap().push((way, packet.to_vec(), fate));
                    match fate {
                        Fate::Lost => continue,
                        Fate::Overtaken => {
                            held.push((way, packet.to_vec(), Instant::now()));
                            continue;
                        }
                        Fate::Passes => send(client, way, packet),
                        Fate::Doubled => (0..2).for_each(|_| send(client, way, packet)),
                    }
                    held.retain(|(of, packet, _)| {
                        if *of == way {
                            send(client, way, packet);
                        }
                        *of != way
                    });
                }
                held.retain(|(way, packet, since)| {
                    let late = since.elapsed() > HELD;
                    if late {
                        send(client, *way, packet);
                    }
                    !late
                });
            }
        });
        link
    }

    /// A link with such weather.
    pub fn through(device: &str, weather: Weather, seed: u64) -> Self {
        let mut chance = Chance::of(seed);
        Self::to(device, move |_, _| weather.fate(&mut chance))
    }

    /// A link that loses every answer to a command: group and id.
    pub fn without_answers(device: &str, to: (u16, u8)) -> Self {
        Self::to(device, move |way, packet| match (way, command(packet) == Some(to)) {
            (Way::ToClient, true) => Fate::Lost,
            _ => Fate::Passes,
        })
    }

    /// How many requests for a command have passed: group and id.
    pub fn requests(&self, of: (u16, u8)) -> usize {
        let seen = self.seen.lock().unwrap();
        let passed =
            seen.iter().filter(|(way, _, fate)| (*way, *fate) != (Way::ToDevice, Fate::Lost));
        passed
            .filter(|(way, packet, _)| (*way, command(packet)) == (Way::ToDevice, Some(of)))
            .count()
    }

    /// How many packets met with this.
    pub fn count(&self, of: Fate) -> usize {
        self.seen.lock().unwrap().iter().filter(|(.., fate)| *fate == of).count()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// Group and command of a message.
fn command(packet: &[u8]) -> Option<(u16, u8)> {
    match packet {
        [_, _, _, _, high, low, _, id, ..] => Some((u16::from_be_bytes([*high, *low]), *id)),
        _ => None,
    }
}
