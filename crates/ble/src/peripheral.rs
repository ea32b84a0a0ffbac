//! A whole peripheral with the SMP service.

use core::convert::Infallible;
use core::fmt;

use embassy_futures::select::{Either, select};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_time::Timer;
use trouble_host::prelude::{
    AdStructure, Advertisement, AttributeServer, AttributeTable, BR_EDR_NOT_SUPPORTED,
    DefaultPacketPool, GapConfig, GattConnection, GattConnectionEvent, LE_GENERAL_DISCOVERABLE,
};
use trouble_host::{
    Address, BleHostError, Controller, HostResources, IoCapabilities, Stack, peripheral,
};

use crate::{Answers, Bonds, SERVICE, Security, Service};

/// Attributes of the generic services and of SMP.
const ATTRIBUTES: usize = 8 + Service::<0>::ATTRIBUTES;
/// Peers at a time.
const CONNECTIONS: usize = 1;
/// Signalling and attributes.
const CHANNELS: usize = 2;
/// How long a peer may take to be gone, in milliseconds.
const FAREWELL_MS: u32 = 500;
/// Bytes of legacy advertising data.
const ADVERTISED: usize = 31;

/// A name that neither fits into a scan response nor into the attribute for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameTooLong {
    /// Its length in bytes.
    pub len: usize,
}

impl fmt::Display for NameTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let max = Peripheral::NAME_MAX;
        write!(f, "a name of {} bytes is too long, {max} can be advertised", self.len)
    }
}

impl core::error::Error for NameTooLong {}

/// How a peripheral shows itself.
#[derive(Clone, Copy, Debug)]
pub struct Peripheral<'n> {
    name: &'n str,
    address: Option<Address>,
    security: Security,
}

impl<'n> Peripheral<'n> {
    /// Bytes of the longest name.
    pub const NAME_MAX: usize = 22;

    /// A peripheral called `name`, with the controller's own address, for bonded peers.
    pub fn new(name: &'n str) -> Result<Self, NameTooLong> {
        match name.len() {
            len if len > Self::NAME_MAX => Err(NameTooLong { len }),
            _ => Ok(Self { name, address: None, security: Security::default() }),
        }
    }

    /// With a random static address. Its two highest bits are to be set.
    pub fn with_random_address(self, address: [u8; 6]) -> Self {
        Self { address: Some(Address::random(address)), ..self }
    }

    /// With another demand on the link.
    pub fn with_security(self, security: Security) -> Self {
        Self { security, ..self }
    }

    /// Advertises, lets one peer connect at a time, and answers with `answers` what it asks, in
    /// messages of at most `N` bytes. Takes leave of the peer and returns when `until` is there,
    /// which may be never; fails when the controller does.
    pub async fn serve<C: Controller, const N: usize>(
        &self,
        controller: C,
        answers: &mut impl Answers,
        bonds: &mut impl Bonds,
        until: impl Future<Output = ()>,
    ) -> Result<(), BleHostError<C::Error>> {
        let mut resources: HostResources<DefaultPacketPool, CONNECTIONS, CHANNELS> =
            HostResources::new();
        let mut builder = trouble_host::new(controller, &mut resources);
        if let Some(address) = self.address {
            builder = builder.set_random_address(address);
        }
        builder = match self.security {
            Security::Passkey(passkey) => {
                builder.set_io_capabilities(IoCapabilities::DisplayOnly).set_passkey(Some(passkey))
            }
            _ => builder.set_io_capabilities(IoCapabilities::NoInputNoOutput),
        };
        let stack = builder.build();
        bonds.load(&mut |bond| {
            // What the stack has no room for has to pair anew.
            let _ = stack.add_bond_information(bond);
        });
        let mut runner = stack.runner();
        let work = async {
            let serving = self.connections::<C, N>(&stack, answers, bonds);
            if let Either::First(Err(error)) = select(serving, until).await {
                return Err(error);
            }
            stack.connections().for_each(|connection| connection.disconnect());
            for _ in 0..FAREWELL_MS / 5 {
                if stack.connections().next().is_none() {
                    break;
                }
                Timer::after_millis(5).await;
            }
            Ok(())
        };
        match select(runner.run(), work).await {
            Either::First(result) => result,
            Either::Second(result) => result,
        }
    }

    async fn connections<C: Controller, const N: usize>(
        &self,
        stack: &Stack<'_, C, DefaultPacketPool>,
        answers: &mut impl Answers,
        bonds: &mut impl Bonds,
    ) -> Result<Infallible, BleHostError<C::Error>> {
        let mut table = AttributeTable::<NoopRawMutex, ATTRIBUTES>::new();
        // It fails for long names only.
        let _ = GapConfig::default(self.name).build(&mut table);
        let mut service = Service::<N>::add_to(&mut table, self.security);
        let server = AttributeServer::<_, DefaultPacketPool, ATTRIBUTES, CONNECTIONS>::new(table);
        let mut peripheral = stack.peripheral();
        loop {
            let connection = self.accept(&mut peripheral).await?;
            let connection = connection.with_attribute_server(&server)?;
            if connection.raw().set_bondable(bonds.take_new()).is_err() {
                // It is gone already, which is no reason not to wait for the next one.
                continue;
            }
            service.connected();
            converse(&connection, &mut service, answers, bonds).await;
        }
    }

    /// Advertises until somebody connects: the service, and the name beside it if it is short; a
    /// longer one is in the scan response.
    async fn accept<'s, C: Controller>(
        &self,
        peripheral: &mut peripheral::Peripheral<'s, C, DefaultPacketPool>,
    ) -> Result<trouble_host::connection::Connection<'s, DefaultPacketPool>, BleHostError<C::Error>>
    {
        let flags = AdStructure::Flags(LE_GENERAL_DISCOVERABLE | BR_EDR_NOT_SUPPORTED);
        let service = AdStructure::CompleteServiceUuids128(&[SERVICE.to_le_bytes()]);
        let name = AdStructure::CompleteLocalName(self.name.as_bytes());
        let (mut shown, mut scanned) = ([0; ADVERTISED], [0; ADVERTISED]);
        let shown_len = AdStructure::encode_slice(&[flags, service, name], &mut shown)
            .or_else(|_| AdStructure::encode_slice(&[flags, service], &mut shown))?;
        let scanned_len = AdStructure::encode_slice(&[name], &mut scanned)?;
        let advertisement = Advertisement::ConnectableScannableUndirected {
            adv_data: shown.get(..shown_len).unwrap_or_default(),
            scan_data: scanned.get(..scanned_len).unwrap_or_default(),
        };
        let advertiser = peripheral.advertise(&Default::default(), advertisement).await?;
        Ok(advertiser.accept().await?)
    }
}

/// Serves a peer until it is gone.
async fn converse<const N: usize>(
    connection: &GattConnection<'_, '_, DefaultPacketPool>,
    service: &mut Service<N>,
    answers: &mut impl Answers,
    bonds: &mut impl Bonds,
) {
    loop {
        match connection.next().await {
            GattConnectionEvent::Disconnected { .. } => return,
            GattConnectionEvent::PairingComplete { bond: Some(bond), .. } => bonds.keep(&bond),
            GattConnectionEvent::Gatt { event } => {
                service.handle(connection, event, answers).await;
            }
            _ => {}
        }
    }
}
