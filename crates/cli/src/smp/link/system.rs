//! SMP over the Bluetooth stack of the system: BlueZ, CoreBluetooth, Windows. It pairs by itself,
//! and keeps the bonds.
//!
//! Built with the feature `btleplug`. The tests compile it and do not run it: that takes a radio.

use std::pin::Pin;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use btleplug::api::{
    Central as _, Characteristic, Manager as _, Peripheral as _, ScanFilter, ValueNotification,
    WriteType,
};
use btleplug::platform::{Adapter, Manager, Peripheral};
use futures_util::stream::{Stream, StreamExt};
use tokio::runtime::{Builder, Runtime};
use updraft_ble::{CHARACTERISTIC, SERVICE};
use updraft_smp::client;
use updraft_smp::framing::{Reassembler, fragments};
use uuid::Uuid;

use super::{Heard, Link, Peer};
use crate::report::Hint;

/// Bytes of the largest message that is taken.
const SIZE: usize = 16 * 1024;
/// How long a device may take to be heard, and how often it is looked for.
const PATIENCE: Duration = Duration::from_secs(10);
const GLANCE: Duration = Duration::from_millis(100);

type Notifications = Pin<Box<dyn Stream<Item = ValueNotification> + Send>>;

/// A connection to a device.
struct Connection {
    characteristic: Characteristic,
    notifications: Notifications,
    mtu: u16,
}

/// A device that the system's stack reaches.
pub struct System {
    runtime: Runtime,
    peripheral: Peripheral,
    connection: Connection,
    reassembler: Box<Reassembler<SIZE>>,
    clock: Instant,
    packet: Vec<u8>,
}

impl System {
    /// Finds the device with this name or address, and connects to it.
    pub fn connect(peer: &Peer) -> anyhow::Result<Self> {
        if peer.passkey.is_some() {
            return Err(anyhow!("the system's Bluetooth asks for digits itself"))
                .usage("leave --passkey out, or name a --controller");
        }
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (peripheral, connection) = runtime.block_on(async {
            let peripheral = find(&adapter().await?, &peer.device).await?;
            let connection = connect(&peripheral).await?;
            anyhow::Ok((peripheral, connection))
        })?;
        let (reassembler, packet) = (Box::default(), Vec::new());
        Ok(Self { runtime, peripheral, connection, reassembler, clock: Instant::now(), packet })
    }

    /// The devices that advertise within `patience`.
    pub fn heard(patience: Duration) -> anyhow::Result<Vec<Heard>> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let adapter = adapter().await?;
            let scan = adapter.start_scan(ScanFilter::default()).await;
            scan.context("the system does not scan")?;
            tokio::time::sleep(patience).await;
            let mut all = Vec::new();
            for peripheral in adapter.peripherals().await? {
                let Some(known) = peripheral.properties().await? else { continue };
                // The system also knows devices that were there some other day.
                let Some(rssi) = known.rssi else { continue };
                all.push(Heard {
                    address: peripheral.address().to_string(),
                    name: known.local_name,
                    smp: known.services.contains(&Uuid::from_u128(SERVICE)),
                    rssi: i8::try_from(rssi).unwrap_or(i8::MIN),
                });
            }
            adapter.stop_scan().await?;
            Ok(all)
        })
    }
}

async fn adapter() -> anyhow::Result<Adapter> {
    let adapters = async { Manager::new().await?.adapters().await };
    let adapters = adapters.await.context("the system's Bluetooth does not answer");
    let adapters = adapters.hint("is there any, and is it on? --controller names another one")?;
    let first = adapters.into_iter().next();
    first.context("the system has no Bluetooth adapter").hint("--controller names another one")
}

async fn find(adapter: &Adapter, device: &str) -> anyhow::Result<Peripheral> {
    adapter.start_scan(ScanFilter::default()).await.context("the system does not scan")?;
    let until = Instant::now() + PATIENCE;
    let found = loop {
        let mut found = None;
        for peripheral in adapter.peripherals().await? {
            let name = peripheral.properties().await?.and_then(|known| known.local_name);
            let address = peripheral.address().to_string();
            if name.as_deref() == Some(device) || address.eq_ignore_ascii_case(device) {
                found = Some(peripheral);
            }
        }
        if found.is_some() || Instant::now() >= until {
            break found;
        }
        tokio::time::sleep(GLANCE).await;
    };
    adapter.stop_scan().await?;
    found
        .ok_or_else(|| anyhow!("no device {device} is heard"))
        .hint("is it on, in reach, and not connected to somebody else?")
}

async fn connect(peripheral: &Peripheral) -> anyhow::Result<Connection> {
    if !peripheral.is_connected().await? {
        peripheral.connect().await.context("the device does not let us connect")?;
    }
    peripheral.discover_services().await?;
    let (service, uuid) = (Uuid::from_u128(SERVICE), Uuid::from_u128(CHARACTERISTIC));
    let characteristic = peripheral
        .characteristics()
        .into_iter()
        .find(|found| found.service_uuid == service && found.uuid == uuid)
        .context("the device does not serve SMP")
        .hint("is it the right device?")?;
    let notifications = peripheral.notifications().await?;
    peripheral
        .subscribe(&characteristic)
        .await
        .context("the device does not want to answer")
        .hint("pair with it in the system's settings")?;
    Ok(Connection { characteristic, notifications, mtu: peripheral.mtu() })
}

impl Link for System {
    fn kind(&self) -> client::Link {
        client::Link::Ble { mtu: self.connection.mtu }
    }

    fn send(&mut self, message: &[u8]) -> anyhow::Result<()> {
        // A device that is away is no error: nothing will come back.
        if self.reopen().is_err() {
            return Ok(());
        }
        let Self { runtime, peripheral, connection, .. } = self;
        runtime.block_on(async {
            let Connection { characteristic, mtu, .. } = connection;
            for fragment in fragments(message, *mtu) {
                let write = peripheral.write(characteristic, fragment, WriteType::WithoutResponse);
                if write.await.is_err() {
                    break;
                }
            }
        });
        Ok(())
    }

    fn receive(&mut self, timeout: Duration) -> anyhow::Result<Option<&[u8]>> {
        let Self { runtime, connection, reassembler, clock, packet, .. } = self;
        let until = Instant::now() + timeout;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let next = async { tokio::time::timeout(left, connection.notifications.next()).await };
            let Ok(notification) = runtime.block_on(next) else { return Ok(None) };
            let Some(notification) = notification else {
                // The device is away; whoever waits would spin.
                std::thread::sleep(left);
                return Ok(None);
            };
            if notification.uuid != connection.characteristic.uuid {
                continue;
            }
            if let Ok(Some(whole)) = reassembler.receive(&notification.value, clock.elapsed()) {
                packet.clear();
                packet.extend_from_slice(whole);
                return Ok(Some(packet));
            }
        }
    }

    /// Connects again if the device was away.
    fn reopen(&mut self) -> anyhow::Result<()> {
        let Self { runtime, peripheral, connection, reassembler, .. } = self;
        if !runtime.block_on(peripheral.is_connected())? {
            let again = async { tokio::time::timeout(PATIENCE, connect(peripheral)).await };
            *connection = runtime.block_on(again).context("the device is away")??;
            reassembler.clear();
        }
        Ok(())
    }
}

impl Drop for System {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.runtime.block_on(self.peripheral.disconnect());
    }
}
