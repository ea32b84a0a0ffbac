//! Devices that advertise.

use std::cell::RefCell;
use std::time::Duration;

use anyhow::Context;
use embassy_futures::select::{Either, select};
use embassy_time::{Instant, Timer};
use updraft_ble::SERVICE;
use updraft_ble::trouble_host::prelude::{
    AdStructure, BdAddr, Central, DefaultPacketPool, EventHandler, ExternalController,
    HostResources, LeAdvReportsIter, LeExtAdvReportsIter, ScanConfig, Scanner,
};
use updraft_ble::trouble_host::{self, Address};

use crate::bluetooth::{Controller, Hci, block_on};
use crate::smp::link::Heard;

pub(super) type Host<'h> = ExternalController<&'h Hci, 10>;

/// How often it is looked at what was heard.
const GLANCE: Duration = Duration::from_millis(10);

/// Everything that was heard.
#[derive(Debug, Default)]
pub(super) struct Seen(RefCell<Vec<(Address, Heard)>>);

impl Seen {
    pub fn clear(&self) {
        self.0.borrow_mut().clear();
    }

    pub fn all(&self) -> Vec<Heard> {
        self.0.borrow().iter().map(|(_, heard)| heard.clone()).collect()
    }

    pub fn find(&self, device: &str) -> Option<Address> {
        self.0.borrow().iter().find(|(_, heard)| heard.is(device)).map(|(at, _)| *at)
    }

    fn note(&self, at: Address, rssi: i8, data: &[u8]) {
        let mut all = self.0.borrow_mut();
        let index = all.iter().position(|(known, _)| *known == at).unwrap_or_else(|| {
            let address = at.to_string();
            all.push((at, Heard { address, name: None, smp: false, rssi }));
            all.len() - 1
        });
        let Some((_, heard)) = all.get_mut(index) else { return };
        heard.rssi = rssi;
        for structure in AdStructure::decode(data).flatten() {
            match structure {
                AdStructure::CompleteLocalName(name) => {
                    heard.name = Some(String::from_utf8_lossy(name).into_owned());
                }
                AdStructure::ShortenedLocalName(name) if heard.name.is_none() => {
                    heard.name = Some(String::from_utf8_lossy(name).into_owned());
                }
                AdStructure::CompleteServiceUuids128(uuids)
                | AdStructure::IncompleteServiceUuids128(uuids) => {
                    heard.smp |= uuids.contains(&SERVICE.to_le_bytes());
                }
                _ => {}
            }
        }
    }
}

impl EventHandler for Seen {
    fn on_adv_reports(&self, reports: LeAdvReportsIter<'_>) {
        for report in reports.flatten() {
            self.note(Address::new(report.addr_kind, report.addr), report.rssi, report.data);
        }
    }

    fn on_ext_adv_reports(&self, reports: LeExtAdvReportsIter<'_>) {
        for report in reports.flatten() {
            self.note(Address::new(report.addr_kind, report.addr), report.rssi, report.data);
        }
    }
}

/// Listens until `done` says so, or for `patience`.
pub(super) async fn listen<T>(
    central: &mut Central<'_, Host<'_>, DefaultPacketPool>,
    seen: &Seen,
    patience: Option<Duration>,
    done: impl Fn(&Seen) -> Option<T>,
) -> anyhow::Result<Option<T>> {
    let until = patience.map(|patience| Instant::now() + ticks(patience));
    seen.clear();
    let mut scanner = Scanner::new(central);
    let config = ScanConfig {
        interval: embassy_time::Duration::from_millis(100),
        window: embassy_time::Duration::from_millis(100),
        ..ScanConfig::default()
    };
    let session = scanner.scan(&config).await.map_err(super::central::stack_error)?;
    let found = loop {
        let found = done(seen);
        if found.is_some() || until.is_some_and(|until| Instant::now() >= until) {
            break found;
        }
        Timer::after(ticks(GLANCE)).await;
    };
    session.stop().await;
    Ok(found)
}

pub(super) fn ticks(duration: Duration) -> embassy_time::Duration {
    duration.try_into().unwrap_or(embassy_time::Duration::MAX)
}

/// The devices that advertise within `patience`.
pub fn heard(controller: &Controller, patience: Duration) -> anyhow::Result<Vec<Heard>> {
    let hci = controller.open()?;
    let seen = Seen::default();
    let mut resources: HostResources<DefaultPacketPool, 1, 2> = HostResources::new();
    let stack = trouble_host::new(Host::new(&hci), &mut resources).build();
    let (mut runner, mut central) = (stack.runner(), stack.central());
    let listening = listen(&mut central, &seen, Some(patience), |_| None::<()>);
    match block_on(select(runner.run_with_handler(&seen), listening)) {
        Either::First(result) => result.map_err(super::central::stack_error)?,
        Either::Second(result) => drop(result.context("the controller does not listen")?),
    }
    Ok(seen.all())
}

/// Whether a text is an address of six bytes.
pub(super) fn is_address(text: &str) -> bool {
    let mut parts = text.split(':');
    let good = |part: &str| part.len() == 2 && u8::from_str_radix(part, 16).is_ok();
    parts.by_ref().filter(|part| good(part)).count() == BdAddr::default().raw().len()
        && text.len() == 17
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_services_are_read_from_what_is_advertised() {
        let seen = Seen::default();
        let at = Address::random([6, 5, 4, 3, 2, 0xc1]);
        let uuid = SERVICE.to_le_bytes();
        let shown = [&[2, 1, 6, 17, 7][..], &uuid, &[4, 8, b'u', b'p', b'd']].concat();
        seen.note(at, -50, &shown);
        seen.note(at, -40, &[8, 9, b'u', b'p', b'd', b'r', b'a', b'f', b't']);
        // What is cut off or empty tells nothing.
        seen.note(at, -40, &[30, 9, b'x']);
        seen.note(at, -40, &[0, 0]);
        let [heard] = seen.all().try_into().unwrap();
        assert_eq!(heard.name.as_deref(), Some("updraft"));
        assert!(heard.smp);
        assert_eq!((heard.rssi, heard.address.as_str()), (-40, "C1:02:03:04:05:06"));
        assert_eq!(seen.find("c1:02:03:04:05:06"), Some(at));
        assert_eq!(seen.find("updraft"), Some(at));
        assert_eq!(seen.find("upd"), None);
    }

    #[test]
    fn addresses_are_told_from_names() {
        assert!(is_address("C1:02:03:04:05:06"));
        for name in ["updraft", "C1:02:03:04:05", "C1:02:03:04:05:06:07", "G1:02:03:04:05:06"] {
            assert!(!is_address(name), "{name}");
        }
    }
}
