//! The radio of a virtual device: a Bluetooth LE peripheral on a controller, as the device's
//! application has one. It goes with the application, and comes back with the next one.

use std::time::Duration;

use embassy_time::Timer;
use updraft_ble::trouble_host::BleHostError;
use updraft_ble::trouble_host::prelude::ExternalController;
use updraft_ble::{Answers, Peripheral, Reply};
use updraft_sim::device::BUFFERS;
use updraft_smp::server::LinkSecurity;

use super::Remote;
use crate::bluetooth::{BondFile, Controller, Hci, block_on};

/// Bytes of the largest message that is taken.
const SIZE: usize = BUFFERS.size as usize;
/// How soon the radio follows the application.
const GLANCE: embassy_time::Duration = embassy_time::Duration::from_millis(10);
/// How long to wait before a controller that failed is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// A virtual device's radio.
#[derive(Debug)]
pub struct Radio {
    controller: Controller,
    hci: Hci,
}

impl Radio {
    /// A radio that uses `controller`.
    pub fn open(controller: Controller) -> anyhow::Result<Self> {
        let hci = controller.open()?;
        Ok(Self { controller, hci })
    }

    /// Advertises and answers on a thread of its own, as long as there is a device. `complain` gets
    /// what went wrong.
    pub fn play(
        self,
        remote: Remote,
        peripheral: Peripheral<'static>,
        mut bonds: BondFile,
        complain: impl Fn(&str) + Send + 'static,
    ) -> std::io::Result<()> {
        let Self { controller, mut hci } = self;
        let work = move || {
            while let Some(boots) = remote.wait_until_it_runs() {
                let mut device = Bridge(&remote);
                let gone = async {
                    while remote.runs() == Some(boots) {
                        Timer::after(GLANCE).await;
                    }
                };
                let stack = ExternalController::<_, 10>::new(&hci);
                let served = peripheral.serve::<_, SIZE>(stack, &mut device, &mut bonds, gone);
                let Err(error) = block_on(served) else { continue };
                complain(&match error {
                    BleHostError::Controller(error) => error.to_string(),
                    BleHostError::BleHost(error) => format!("Bluetooth: {error:?}"),
                });
                std::thread::sleep(PAUSE);
                if let Ok(again) = controller.open() {
                    hci = again;
                }
            }
        };
        std::thread::Builder::new().name("radio".into()).spawn(work).map(drop)
    }
}

/// Hands packets to the device, which is played on another thread.
struct Bridge<'r>(&'r Remote);

impl Answers for Bridge<'_> {
    async fn answer(&mut self, packet: &[u8], link: LinkSecurity, reply: &Reply<'_, '_, '_>) {
        let packet = packet.to_vec();
        let answers = self.0.with(move |device, now| {
            let mut answers = Vec::new();
            device.bluetooth(&packet, link, now, |answer| answers.push(answer.to_vec()));
            answers
        });
        // A device that has stopped answers nothing.
        for answer in answers.unwrap_or_default() {
            reply.send(&answer).await;
        }
    }
}
