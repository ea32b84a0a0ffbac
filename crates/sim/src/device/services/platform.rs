//! What the device says of itself.

use std::time::Duration;

use updraft_board::{Board, DowngradePrevention};
use updraft_image::{UpgradeMode, Version};
use updraft_smp::server::{BootloaderInfo, Buffers, Clock, Failure, InfoField, Os, Pool, Task};

use super::clock::RealTime;
use crate::device::app::BUFFERS;
use crate::device::descriptor::Descriptor;

/// What does not change while the application runs.
#[derive(Debug)]
pub(in crate::device) struct Platform {
    board: String,
    arch: String,
    processor: String,
    application: String,
    version: String,
    mode: UpgradeMode,
    no_downgrade: bool,
}

impl Platform {
    pub fn new(board: &Board, descriptor: &Descriptor, version: Version) -> Self {
        let core = board.cores().first();
        Self {
            board: board.name().to_owned(),
            arch: core.map_or_else(String::new, |core| core.arch.clone()),
            processor: core.map_or_else(String::new, |core| core.name.clone()),
            application: descriptor.name.clone(),
            version: version.to_string(),
            mode: board.mode(),
            no_downgrade: board.boot().downgrade_prevention != DowngradePrevention::None,
        }
    }
}

impl Os for Platform {
    fn buffers(&self) -> Buffers {
        BUFFERS
    }

    fn info(&self, field: InfoField) -> Option<&str> {
        match field {
            InfoField::Kernel | InfoField::OperatingSystem => Some("Updraft"),
            InfoField::Node => Some(&self.application),
            InfoField::Release | InfoField::Version => Some(&self.version),
            InfoField::Machine => Some(&self.arch),
            InfoField::Processor => Some(&self.processor),
            InfoField::Platform => Some(&self.board),
            InfoField::Build => None,
        }
    }

    fn bootloader(&self) -> Option<BootloaderInfo<'_>> {
        let mode = i32::from(self.mode as u8);
        Some(BootloaderInfo { name: "MCUboot", mode, no_downgrade: self.no_downgrade })
    }
}

/// The platform as it is at a request.
pub(super) struct Running<'a> {
    pub platform: &'a Platform,
    pub clock: &'a mut RealTime,
    pub uptime: Duration,
    pub requests: u64,
}

/// States of tasks, in Zephyr's bits.
const PENDING: u32 = 2;
const QUEUED: u32 = 128;

impl Os for Running<'_> {
    fn buffers(&self) -> Buffers {
        self.platform.buffers()
    }

    fn info(&self, field: InfoField) -> Option<&str> {
        self.platform.info(field)
    }

    fn bootloader(&self) -> Option<BootloaderInfo<'_>> {
        self.platform.bootloader()
    }

    fn console_echo(&mut self, _: bool) -> Result<(), Failure> {
        // Nothing is typed here that could be echoed; clients that turn it off get on.
        Ok(())
    }

    fn tasks(
        &mut self,
        mut each: impl FnMut(&Task<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let requests = u32::try_from(self.requests).unwrap_or(u32::MAX);
        let run_time = u64::try_from(self.uptime.as_millis()).unwrap_or(u64::MAX);
        let smp = Task {
            name: "smp",
            priority: 3,
            id: 0,
            state: QUEUED,
            stack: Some((1024, 400)),
            switches: Some(requests),
            run_time: Some(self.requests),
        };
        let blink = Task {
            name: "blink",
            priority: 7,
            id: 1,
            state: PENDING,
            stack: Some((128, 60)),
            switches: None,
            run_time: None,
        };
        let idle = Task {
            name: "idle",
            priority: 15,
            id: 2,
            state: 0,
            stack: Some((64, 20)),
            switches: None,
            run_time: Some(run_time),
        };
        [smp, blink, idle].iter().try_for_each(&mut each)
    }

    fn pools(
        &mut self,
        mut each: impl FnMut(&Pool<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        // One holds the request, one its answer.
        let free = BUFFERS.count - 2;
        each(&Pool {
            name: "smp_buffers",
            block_size: BUFFERS.size,
            blocks: BUFFERS.count,
            free,
            least_free: free,
        })
    }

    fn clock(&mut self) -> Option<&mut dyn Clock> {
        Some(self.clock)
    }
}
