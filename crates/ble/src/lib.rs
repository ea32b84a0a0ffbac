//! SMP over Bluetooth LE on the device: advertises, pairs, and hands what is asked to the groups.
//!
//! ```text
//! controller (radio, or HCI) ─ trouble-host ─ GATT: service 8d53dc1d-…, one characteristic
//!                                               write without response ─▶ fragments ─▶ Answers
//!                                               notify ◀─ fragments ◀──────── Reply ◀─────┘
//! ```
//! Any [`trouble_host::Controller`] does. [`Peripheral::serve`] is a whole peripheral for devices that offer
//! nothing else over Bluetooth; one that does puts a [`Service`] into its own attribute table.
//!
//! Unless told otherwise the service is for bonded peers on an encrypted link ([`Security`]): what
//! is written before that is refused with "insufficient authentication", which has phones and
//! computers pair. What a client may ask for is decided by `updraft_smp::server::Access` with the
//! [`LinkSecurity`](updraft_smp::server::LinkSecurity) that comes with each message.
//!
//! The radio's stack keeps writes that were not looked at yet in a queue of its own
//! (`l2cap-rx-queue-size-N` of `trouble-host`) and drops what does not fit: buffers times their
//! size, as the operating-system group reports them, should not be more than N writes hold.
//!
//! Sources: Zephyr's "SMP over Bluetooth" page, for UUIDs and properties; Bluetooth Core
//! Specification, volume 3, parts F to H.
#![no_std]

mod bonds;
mod peripheral;
mod service;

pub use bonds::{BOND_SIZE, Bonds, InMemory, bond_from_bytes, bond_to_bytes};
pub use peripheral::{NameTooLong, Peripheral};
pub use service::{Answers, Reply, Security, Service};
pub use trouble_host;

/// UUID of the SMP service.
pub const SERVICE: u128 = 0x8d53_dc1d_1db7_4cd3_868b_8a52_7460_aa84;
/// UUID of its characteristic: requests are written to it, answers are notified.
pub const CHARACTERISTIC: u128 = 0xda2e_7828_fbce_4e01_ae9e_2611_7499_7c48;
