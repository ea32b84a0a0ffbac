//! The central on its thread.

use std::fmt::Debug;
use std::sync::mpsc::Sender;
use std::time::Duration;

use anyhow::anyhow;
use bt_hci::cmd::le::LeReadLocalSupportedFeatures;
use embassy_futures::select::{Either, Either3, select, select3};
use embassy_time::{Instant, Timer, with_timeout};
use updraft_ble::trouble_host::att::AttErrorCode;
use updraft_ble::trouble_host::prelude::{
    Central, Characteristic, ConnectConfig, Connection, ConnectionEvent, DefaultPacketPool,
    GattClient, HostResources, NotificationListener, PhyKind, RequestedConnParams, ScanConfig,
    Uuid,
};
use updraft_ble::trouble_host::{
    self, Address, BleHostError, BondInformation, Error, IoCapabilities, Stack,
    config::GATT_CLIENT_NOTIFICATION_MTU,
};
use updraft_ble::{Bonds, CHARACTERISTIC, SERVICE};
use updraft_smp::framing::{Reassembler, fragments};

use super::scan::{Host, Seen, is_address, listen, ticks};
use super::{Event, Orders, Peer};
use crate::bluetooth::{BondFile, Hci, block_on};
use crate::report::Hint;

/// Written with a response, it shows whether the device demands security where writes without one
/// would be dropped in silence. No message begins with it.
const PROBE: &[u8] = &[];

type Pool = DefaultPacketPool;
type Client<'c, 'h> = GattClient<'c, Host<'h>, Pool, SERVICES>;

/// Services of a device that are looked at.
const SERVICES: usize = 16;
/// Bytes of the largest message that is taken.
const SIZE: usize = 16 * 1024;
/// How long a device may take to be heard, and to be connected to.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a device may hang up before a message was carried.
const TRIES: u32 = 3;
/// How long pairing may take; somebody may have to look for digits.
const PAIRING: Duration = Duration::from_secs(30);
/// How long a device may take to be gone.
const FAREWELL: Duration = Duration::from_millis(500);
/// Bytes of data in a packet over the air, and the microseconds they take at the slowest.
const DATA_LENGTH: (u16, u16) = (251, 2120);

/// Finds the device, connects, and carries messages until it is told to close.
pub(super) fn run(
    hci: &Hci,
    peer: &Peer,
    mut bonds: BondFile,
    orders: &Orders,
    events: &Sender<Event>,
) -> anyhow::Result<()> {
    let mut resources: HostResources<Pool, 1, 3> = HostResources::new();
    let capabilities = match peer.passkey {
        Some(_) => IoCapabilities::KeyboardOnly,
        None => IoCapabilities::NoInputNoOutput,
    };
    let stack = trouble_host::new(Host::new(hci), &mut resources)
        .set_random_address(Address::random(bonds.address()))
        .set_io_capabilities(capabilities)
        .build();
    Bonds::load(&mut bonds, &mut |bond| {
        // What the stack has no room for has to pair anew.
        let _ = stack.add_bond_information(bond);
    });
    let seen = Seen::default();
    let mut runner = stack.runner();
    let work = async {
        let mut talk = Talk {
            stack: &stack,
            seen: &seen,
            peer,
            bonds,
            orders,
            events,
            was_ready: false,
            bonded: false,
        };
        let outcome = match select(talk.run(), orders.close.wait()).await {
            Either::First(outcome) => outcome,
            Either::Second(()) => Ok(()),
        };
        let until = Instant::now() + ticks(FAREWELL);
        stack.connections().for_each(|connection| connection.disconnect());
        while stack.connections().next().is_some() && Instant::now() < until {
            Timer::after_millis(2).await;
        }
        outcome
    };
    match block_on(select(runner.run_with_handler(&seen), work)) {
        Either::First(result) => result.map_err(stack_error),
        Either::Second(outcome) => outcome,
    }
}

/// How pairing ended.
enum Paired {
    /// With this bond, if the device makes any.
    With(Option<BondInformation>),
    /// The device is gone.
    Away,
}

struct Talk<'t, 's, 'h> {
    stack: &'t Stack<'s, Host<'h>, Pool>,
    seen: &'t Seen,
    peer: &'t Peer,
    bonds: BondFile,
    orders: &'t Orders,
    events: &'t Sender<Event>,
    /// Whether messages have been carried.
    was_ready: bool,
    /// Whether this computer has a key that is shared with the device.
    bonded: bool,
}

impl<'t, 'h> Talk<'t, '_, 'h> {
    /// Goes on for ever, unless the device cannot be found at the beginning or does not do.
    async fn run(&mut self) -> anyhow::Result<()> {
        let mut central = self.stack.central();
        let mut tries = 0;
        loop {
            // Once it was there the device may be resetting, for as long as it likes.
            let patience = (!self.was_ready).then_some(PATIENCE);
            let address = self.find(&mut central, patience).await?;
            match self.connect(&mut central, address).await {
                Ok(connection) => self.converse(&connection).await?,
                Err(_) if self.was_ready => {}
                Err(error) => return Err(error),
            }
            tries += 1;
            if !self.was_ready && tries == TRIES && self.bonded {
                return Err(anyhow!(
                    "{} does not know this computer any more: it hangs up on the key that both had",
                    self.peer.device
                ))
                .hint(self.forget());
            }
            if !self.was_ready && tries == TRIES {
                return Err(anyhow!("{} hangs up at once", self.peer.device))
                    .hint("does it take peers that it is not bonded with?");
            }
        }
    }

    async fn find(
        &self,
        central: &mut Central<'_, Host<'_>, Pool>,
        patience: Option<Duration>,
    ) -> anyhow::Result<Address> {
        let device = &self.peer.device;
        let found = listen(central, self.seen, patience, |seen| seen.find(device)).await?;
        found.ok_or_else(|| anyhow!("no device {device} is heard")).hint(self.who_is_there())
    }

    fn who_is_there(&self) -> String {
        let all = self.seen.all();
        let names: Vec<&str> = all
            .iter()
            .filter(|heard| heard.smp || heard.name.is_some())
            .map(|heard| heard.name.as_deref().unwrap_or(&heard.address))
            .collect();
        match (names.as_slice(), is_address(&self.peer.device)) {
            ([], _) => "is it on, in reach, and not connected to somebody else?".into(),
            (names, true) => format!("there are {}; has it changed its address?", names.join(", ")),
            (names, false) => format!("there are {}", names.join(", ")),
        }
    }

    async fn connect(
        &self,
        central: &mut Central<'t, Host<'h>, Pool>,
        address: Address,
    ) -> anyhow::Result<Connection<'t, Pool>> {
        let ms = embassy_time::Duration::from_millis;
        let config = ConnectConfig {
            scan_config: ScanConfig {
                filter_accept_list: &[address],
                interval: ms(100),
                window: ms(100),
                ..ScanConfig::default()
            },
            connect_params: RequestedConnParams {
                min_connection_interval: embassy_time::Duration::from_micros(7_500),
                max_connection_interval: ms(15),
                max_latency: 0,
                min_event_length: ms(0),
                max_event_length: ms(15),
                supervision_timeout: ms(4000),
            },
        };
        let connecting = with_timeout(ticks(PATIENCE), central.connect(&config));
        let connection = match connecting.await {
            Ok(connection) => connection.map_err(stack_error),
            Err(_) => Err(anyhow!("{} does not let us connect", self.peer.device)),
        };
        connection.hint("is it connected to somebody else?")
    }

    async fn converse(&mut self, connection: &Connection<'t, Pool>) -> anyhow::Result<()> {
        self.bonded |= connection.is_bonded_peer();
        // Controllers that know neither are slower, but do.
        let features = self.stack.command(LeReadLocalSupportedFeatures::new()).await;
        if features.is_ok_and(|features| features.supports_le_2m_phy()) {
            let _ = connection.set_phy(self.stack, PhyKind::Le2M).await;
        }
        let (octets, time) = DATA_LENGTH;
        let _ = connection.update_data_length(self.stack, octets, time).await;
        connection.set_bondable(true).map_err(host_error)?;
        let client = match GattClient::new(self.stack, connection).await {
            Ok(client) => client,
            Err(BleHostError::BleHost(Error::Disconnected)) => return Ok(()),
            Err(error) => return Err(stack_error(error)),
        };
        match select(client.task(), self.exchange(&client, connection)).await {
            Either::First(_) => Ok(()),
            Either::Second(end) => end,
        }
    }

    async fn exchange(
        &mut self,
        client: &Client<'t, 'h>,
        connection: &Connection<'t, Pool>,
    ) -> anyhow::Result<()> {
        let Some(characteristic) = lost(self.characteristic(client).await)? else {
            return Ok(());
        };
        let Some(mut listener) = self.subscribe(client, connection, &characteristic).await? else {
            return Ok(());
        };
        let mtu = connection.att_mtu();
        // What was asked of the device before it went away is not asked again behind one's back.
        self.orders.messages.clear();
        self.was_ready = true;
        if self.events.send(Event::Ready(mtu)).is_err() {
            return Ok(());
        }
        let ended = select3(
            self.send(client, &characteristic, mtu),
            self.receive(&mut listener),
            gone(connection),
        );
        match ended.await {
            Either3::First(Err(BleHostError::BleHost(Error::Disconnected))) => Ok(()),
            Either3::First(Err(error)) => Err(stack_error(error)),
            Either3::First(Ok(())) | Either3::Second(()) | Either3::Third(()) => Ok(()),
        }
    }

    async fn characteristic(
        &self,
        client: &Client<'t, 'h>,
    ) -> Result<anyhow::Result<Characteristic<[u8]>>, BleHostError<crate::bluetooth::HciError>>
    {
        let missing = || {
            let device = &self.peer.device;
            Err(anyhow!("{device} does not serve SMP")).hint("is it the right device?")
        };
        let services = client.services_by_uuid(&uuid(SERVICE)).await?;
        let Some(service) = services.first() else { return Ok(missing()) };
        match client.characteristic_by_uuid(service, &uuid(CHARACTERISTIC)).await {
            Err(BleHostError::BleHost(Error::NotFound)) => Ok(missing()),
            other => other.map(Ok),
        }
    }

    /// Asks for answers to be notified, and pairs if the device demands that. `None`: it is gone.
    async fn subscribe<'c>(
        &mut self,
        client: &'c Client<'t, 'h>,
        connection: &Connection<'t, Pool>,
        characteristic: &Characteristic<[u8]>,
    ) -> anyhow::Result<Option<NotificationListener<'c, GATT_CLIENT_NOTIFICATION_MTU>>> {
        let mut listener = client.subscribe(characteristic, false).await;
        let demand = match &listener {
            Ok(_) => client.write_characteristic(characteristic, PROBE).await.err(),
            Err(_) => None,
        };
        let wanting = |error: &BleHostError<_>| match error {
            BleHostError::BleHost(Error::Att(code)) => asks_for_security(*code),
            _ => false,
        };
        if demand.as_ref().or(listener.as_ref().err()).is_some_and(wanting) {
            drop(listener);
            let bond = match self.pair(connection).await? {
                Paired::With(bond) => bond,
                Paired::Away => return Ok(None),
            };
            listener = client.subscribe(characteristic, false).await;
            if let (Ok(_), Some(bond)) = (&listener, bond) {
                self.bonds.keep(&bond);
            }
        }
        match listener {
            Ok(listener) => Ok(Some(listener)),
            Err(BleHostError::BleHost(Error::Disconnected)) => Ok(None),
            Err(error) if wanting(&error) => Err(self.distrusted()),
            Err(error) => Err(stack_error(error)),
        }
    }

    fn distrusted(&self) -> anyhow::Error {
        let device = &self.peer.device;
        let error: anyhow::Result<()> = Err(anyhow!("{device} does not trust this computer"))
            .hint("give the digits that it shows or that came with it: --passkey 123456");
        error.expect_err("just made")
    }

    async fn pair(&self, connection: &Connection<'t, Pool>) -> anyhow::Result<Paired> {
        let device = &self.peer.device;
        if connection.is_bonded_peer() {
            return Err(anyhow!(
                "{device} does not know this computer any more, or not well enough"
            ))
            .hint(self.forget());
        }
        connection.request_security().map_err(host_error)?;
        let until = Instant::now() + ticks(PAIRING);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(event) = with_timeout(left, connection.next()).await else {
                return Err(anyhow!("{device} does not finish pairing"));
            };
            match event {
                ConnectionEvent::PairingComplete { bond, .. } => return Ok(Paired::With(bond)),
                ConnectionEvent::PassKeyInput => match self.peer.passkey {
                    Some(passkey) => connection.pass_key_input(passkey).map_err(host_error)?,
                    None => connection.pass_key_cancel().map_err(host_error)?,
                },
                ConnectionEvent::PassKeyConfirm(_) => {
                    connection.pass_key_confirm().map_err(host_error)?;
                }
                ConnectionEvent::BondLost => {
                    return Err(anyhow!("{device} does not know this computer any more"))
                        .hint(self.forget());
                }
                ConnectionEvent::PairingFailed(error) => {
                    return Err(anyhow!("pairing with {device} failed: {error:?}")).hint(
                        "does it take new peers now, and are these its digits? --passkey 123456",
                    );
                }
                ConnectionEvent::Disconnected { .. } => return Ok(Paired::Away),
                _ => {}
            }
        }
    }

    fn forget(&self) -> String {
        let file = self.bonds.path().map(|path| path.display().to_string());
        format!(
            "delete {} to pair anew, with --passkey if the device has digits",
            file.as_deref().unwrap_or("the bonds")
        )
    }

    async fn send(
        &self,
        client: &Client<'t, 'h>,
        characteristic: &Characteristic<[u8]>,
        mtu: u16,
    ) -> Result<(), BleHostError<crate::bluetooth::HciError>> {
        loop {
            let message = self.orders.messages.receive().await;
            for fragment in fragments(&message, mtu) {
                while let Err(error) =
                    client.write_characteristic_without_response(characteristic, fragment).await
                {
                    match error {
                        // All packets are on their way.
                        BleHostError::BleHost(Error::OutOfMemory) => Timer::after_millis(1).await,
                        other => return Err(other),
                    }
                }
            }
        }
    }

    async fn receive(&self, listener: &mut NotificationListener<'_, GATT_CLIENT_NOTIFICATION_MTU>) {
        let mut reassembler = Box::new(Reassembler::<SIZE>::default());
        loop {
            let fragment = listener.next().await;
            let now = Duration::from_micros(Instant::now().as_micros());
            if let Ok(Some(packet)) = reassembler.receive(fragment.as_ref(), now)
                && self.events.send(Event::Packet(packet.to_vec())).is_err()
            {
                return;
            }
        }
    }
}

/// Waits until the device is gone.
async fn gone(connection: &Connection<'_, Pool>) {
    while !matches!(connection.next().await, ConnectionEvent::Disconnected { .. }) {}
}

fn asks_for_security(code: AttErrorCode) -> bool {
    code == AttErrorCode::INSUFFICIENT_AUTHENTICATION
        || code == AttErrorCode::INSUFFICIENT_ENCRYPTION
}

fn uuid(uuid: u128) -> Uuid {
    Uuid::new_long(uuid.to_le_bytes())
}

/// A device that is gone is no failure.
fn lost<T, E: Debug + std::fmt::Display>(
    outcome: Result<anyhow::Result<T>, BleHostError<E>>,
) -> anyhow::Result<Option<T>> {
    match outcome {
        Ok(outcome) => outcome.map(Some),
        Err(BleHostError::BleHost(Error::Disconnected)) => Ok(None),
        Err(error) => Err(stack_error(error)),
    }
}

/// What the stack says, which has no words for it.
pub(super) fn stack_error<E: std::fmt::Display>(error: BleHostError<E>) -> anyhow::Error {
    match error {
        BleHostError::Controller(error) => anyhow!("{error}"),
        BleHostError::BleHost(error) => host_error(error),
    }
}

fn host_error(error: Error) -> anyhow::Error {
    anyhow!("Bluetooth: {error:?}")
}
