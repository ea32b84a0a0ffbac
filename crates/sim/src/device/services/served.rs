//! The groups of a virtual device, put together for a packet.

use std::fmt::Write as _;
use std::time::Duration;

use updraft_flash::FlashMap;
use updraft_smp::server::{
    Answer, BasicGroup, Crash, CrashGroup, Enumerated, Failure, Fault, Groups, ImageGroup, OsGroup,
    Request, Reset, RunGroup, Server, ShellGroup, Slots, StatisticsGroup, Storage, Tests,
};
use updraft_smp::{Op, Rc, group, image};

use super::platform::Running;
use super::shell::Commands;
use super::{Orders, Platform, Services, Via};
use crate::device::app::Slots as AppSlots;

/// What a packet is answered from.
pub(in crate::device) struct Served<'a, F> {
    pub services: &'a mut Services,
    pub platform: &'a Platform,
    pub image: &'a mut ImageGroup<AppSlots<F>>,
    /// Since the application was started.
    pub uptime: Duration,
    pub orders: Orders,
}

impl<F: FlashMap> Served<'_, F> {
    /// Answers a packet, as far as its transport may ask.
    pub fn answer(
        &mut self,
        packet: &[u8],
        (via, now): (Via, Duration),
        buffer: &mut [u8],
        mut send: impl FnMut(&[u8]),
    ) -> Option<Reset> {
        self.services.clock.now = now;
        self.services.log.0.now = now;
        self.services.counters.bytes_in += packet.len() as u64;
        let access = self.services.access(via);
        let mut sent = 0;
        let mut guarded = access.guard(via.link(), &mut *self);
        let reset = Server::default().handle(packet, &mut guarded, buffer, |answer| {
            sent += answer.len() as u64;
            send(answer);
        });
        self.services.counters.bytes_out += sent;
        reset
    }

    /// The images in the slots, a line each.
    fn images(&mut self) -> String {
        let slots = self.image.slots();
        let mut text = String::new();
        for slot in 0..slots.images().saturating_mul(2) {
            if let Ok(Some(info)) = slots.image_info(slot) {
                let active =
                    if slots.active_slot(slot / 2) == Some(slot) { ", running" } else { "" };
                // Writing to a `String` cannot fail.
                let _ = writeln!(text, "slot {slot}: {} {}{active}", info.version, info.hash);
            }
        }
        text
    }
}

impl<F: FlashMap> Groups for Served<'_, F> {
    fn handle(
        &mut self,
        request: &Request<'_>,
        answer: &mut Answer<'_>,
    ) -> Result<Option<Reset>, Failure> {
        // Who asks for something else does not have the flash read.
        let images = match request.header.group {
            group::SHELL => self.images(),
            _ => String::new(),
        };
        let before = self.image.upload();
        let Services { settings, files, log, clock, counters, .. } = &mut *self.services;
        counters.requests += 1;
        let Orders { reboot, crash, self_test } = &mut self.orders;
        let mut erase = false;
        let running = Running {
            platform: self.platform,
            clock,
            uptime: self.uptime,
            requests: counters.requests,
        };
        let shell = Commands {
            platform: self.platform,
            images: &images,
            uptime: self.uptime,
            reboot,
            output: String::new(),
        };
        let mut groups = Enumerated((
            OsGroup(running),
            &mut *self.image,
            StatisticsGroup(*counters),
            &mut *settings,
            log,
            CrashGroup(Crashing(crash)),
            RunGroup(SelfTest(self_test)),
            &mut *files,
            ShellGroup(shell),
            BasicGroup(Partition(&mut erase)),
        ));
        let mut outcome = groups.handle(request, answer);
        if erase && outcome.is_ok() {
            files.0.erase();
            outcome = settings.0.erase().map(|()| None);
        }
        counters.refused += u64::from(outcome.is_err());
        let command = (request.header.group, request.command());
        if command == (group::IMAGE, (image::UPLOAD, Op::Write)) && outcome.is_ok() {
            counters.uploaded(before, self.image.upload());
        }
        outcome
    }
}

/// Takes note of a crash that is wanted; it comes once the answer has left.
struct Crashing<'a>(&'a mut Option<Fault>);

impl Crash for Crashing<'_> {
    fn crash(&mut self, fault: Fault) -> Result<(), Failure> {
        *self.0 = Some(fault);
        Ok(())
    }
}

/// The application's self-test, which can be run again.
struct SelfTest<'a>(&'a mut bool);

impl Tests for SelfTest<'_> {
    fn tests(&mut self, mut each: impl FnMut(&str) -> Result<(), Failure>) -> Result<(), Failure> {
        each("self-test")
    }

    fn run(&mut self, name: Option<&str>, _: Option<&str>) -> Result<(), Failure> {
        if name.is_some_and(|name| name != "self-test") {
            return Err(Rc::NO_ENTRY.into());
        }
        *self.0 = true;
        Ok(())
    }
}

/// Takes note that the storage is to be erased.
struct Partition<'a>(&'a mut bool);

impl Storage for Partition<'_> {
    fn erase(&mut self) -> Result<(), Failure> {
        *self.0 = true;
        Ok(())
    }
}
