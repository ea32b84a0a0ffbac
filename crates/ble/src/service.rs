//! The SMP service in a GATT attribute table.

use core::time::Duration;

use embassy_sync::blocking_mutex::raw::RawMutex;
use embassy_time::{Instant, Timer};
use trouble_host::att::{AttClient, AttCmd};
use trouble_host::prelude::{
    AttributeTable, Characteristic, CharacteristicProp, DefaultPacketPool, GattConnection,
    GattEvent, PermissionLevel, Service as Attributes, Uuid,
};
use trouble_host::{Error, PacketPool};
use updraft_smp::framing::{Broken, Reassembler, fragments};
use updraft_smp::server::LinkSecurity;

use crate::{CHARACTERISTIC, SERVICE};

/// How long the keys of a bond may take once the link is encrypted, in milliseconds.
const BONDING_MS: u32 = 1000;

/// What a link has to be before anything may be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// Encrypted; the peer was paired with, which anybody in reach can have done. Whether a peer
    /// may be bonded with is for [`Bonds::take_new`](crate::Bonds::take_new) to say.
    #[default]
    Encrypted,
    /// Encrypted, by a peer that knew these six digits when it was paired with.
    Passkey(u32),
    /// Anything: whoever is in reach can read along, and ask for whatever is not forbidden.
    UnsafeOpen,
}

impl Security {
    fn permission(self) -> PermissionLevel {
        match self {
            Self::Encrypted => PermissionLevel::EncryptionRequired,
            Self::Passkey(_) => PermissionLevel::AuthenticationRequired,
            Self::UnsafeOpen => PermissionLevel::Allowed,
        }
    }
}

/// What answers requests.
pub trait Answers {
    /// Answers the requests of `packet`, which came over a link that is as safe as `link` says.
    ///
    /// `updraft_smp::server::Packet::answer_next` builds the answers one by one.
    #[allow(async_fn_in_trait, reason = "the peripheral runs on one executor")]
    async fn answer(&mut self, packet: &[u8], link: LinkSecurity, reply: &Reply<'_, '_, '_>);
}

/// Where answers go: to the peer that asked.
pub struct Reply<'c, 'stack, 'server> {
    connection: &'c GattConnection<'stack, 'server, DefaultPacketPool>,
    characteristic: Characteristic<u8>,
}

impl core::fmt::Debug for Reply<'_, '_, '_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Reply").field(&self.connection.raw().peer_address()).finish()
    }
}

impl Reply<'_, '_, '_> {
    /// How often a fragment is tried while there is no packet for it, every few milliseconds.
    const TRIES: u32 = 400;

    /// Sends a message. One that cannot be sent is lost: the client asks again.
    pub async fn send(&self, message: &[u8]) {
        for fragment in fragments(message, self.connection.raw().att_mtu()) {
            if self.notify(fragment).await.is_err() {
                return;
            }
        }
    }

    async fn notify(&self, fragment: &[u8]) -> Result<(), Error> {
        for _ in 0..Self::TRIES {
            match self.characteristic.notify_raw(self.connection, fragment, false).await {
                Err(Error::OutOfMemory) => Timer::after_millis(5).await,
                other => return other,
            }
        }
        Err(Error::OutOfMemory)
    }
}

/// The service, and what has come of a message: at most `N` bytes, header included.
#[derive(Debug)]
pub struct Service<const N: usize> {
    characteristic: Characteristic<u8>,
    security: Security,
    reassembler: Reassembler<N>,
    /// Whether a bond of this connection was waited for.
    waited: bool,
}

impl<const N: usize> Service<N> {
    /// Attributes that it takes in a table.
    pub const ATTRIBUTES: usize = 4;

    /// Adds it to a table, which panics if it is full.
    pub fn add_to<M: RawMutex, const MAX: usize>(
        table: &mut AttributeTable<'_, M, MAX>,
        security: Security,
    ) -> Self {
        let mut service = table.add_service(Attributes::new(uuid(SERVICE)));
        let properties = [CharacteristicProp::WriteWithoutResponse, CharacteristicProp::Notify];
        let characteristic = service
            .add_characteristic_small(uuid(CHARACTERISTIC), properties, 0)
            .write_permission(security.permission())
            .cccd_permission(security.permission())
            .build();
        let reassembler = Reassembler::default();
        Self { characteristic, security, reassembler, waited: false }
    }

    /// Forgets half a message: the connection is a new one.
    pub fn connected(&mut self) {
        self.reassembler.clear();
        self.waited = false;
    }

    /// What is known of the link. A peer may ask as soon as it is encrypted, a moment before the
    /// keys of the bond have been exchanged.
    async fn link(
        &mut self,
        connection: &GattConnection<'_, '_, DefaultPacketPool>,
    ) -> LinkSecurity {
        let connection = connection.raw();
        let encrypted = connection.security_level().is_ok_and(|level| level.encrypted());
        if encrypted && self.security != Security::UnsafeOpen && !self.waited {
            for _ in 0..BONDING_MS / 10 {
                if connection.is_bonded_peer() || !connection.is_connected() {
                    break;
                }
                Timer::after_millis(10).await;
            }
            self.waited = true;
        }
        LinkSecurity { encrypted, bonded: connection.is_bonded_peer() }
    }

    /// Handles an event of a connection: what is written to the service, and with that whatever
    /// else its attributes are asked for.
    pub async fn handle(
        &mut self,
        connection: &GattConnection<'_, '_, DefaultPacketPool>,
        event: GattEvent<'_, '_, DefaultPacketPool>,
        answers: &mut impl Answers,
    ) {
        match event {
            GattEvent::Write(write) if write.handle() == self.characteristic.handle => {
                let mut fragment = [0; DefaultPacketPool::MTU];
                let len = write.with_data(|_, data| {
                    fragment.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
                    data.len()
                });
                // The packet is free again before answers want one.
                if let Ok(reply) = write.accept_unprocessed() {
                    reply.send().await;
                }
                let fragment = fragment.get(..len).unwrap_or_default();
                let link = self.link(connection).await;
                let now = Duration::from_micros(Instant::now().as_micros());
                let packet = match self.reassembler.receive(fragment, now) {
                    Ok(Some(packet)) => packet,
                    // The server says that its end is missing.
                    Err(Broken::TooLong { head, .. }) => head,
                    Ok(None) | Err(_) => return,
                };
                let reply = Reply { connection, characteristic: self.characteristic };
                answers.answer(packet, link, &reply).await;
            }
            // Commands are not answered, not even with an error.
            GattEvent::NotAllowed(refused)
                if matches!(
                    refused.payload().incoming(),
                    AttClient::Command(AttCmd::Write { .. })
                ) =>
            {
                drop(refused.into_payload());
            }
            other => {
                if let Ok(reply) = other.accept() {
                    reply.send().await;
                }
            }
        }
    }
}

fn uuid(uuid: u128) -> Uuid {
    Uuid::new_long(uuid.to_le_bytes())
}
