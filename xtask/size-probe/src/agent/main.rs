//! The update agent as an application would put it together, without the application: flash, clock
//! and network are opaque to the compiler, so that it keeps whatever a device needs and no more.

#![no_std]
#![no_main]

#[path = "../chip.rs"]
mod chip;
#[path = "../keys.rs"]
mod keys;

use core::hint::black_box;
use core::panic::PanicInfo;
use core::time::Duration;

use firmware_routines as _;
use updraft_dfu::{Config as DfuConfig, Dfu};
use updraft_flash::TrailerFormat;
use updraft_image::{Rules, UpgradeMode};
use updraft_ota::dfu::{Slot, System};
use updraft_ota::json::Text;
use updraft_ota::{Agent, Config, Endpoint, Input, Protocol, Record, Transport};

/// Bytes of a block, and blocks of a slot.
const BLOCK: usize = 4096;
const BLOCKS: usize = 64;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

/// Where records are kept, and who resets.
struct Rest;

impl System for Rest {
    type Error = ();

    #[inline(never)]
    fn reset(&mut self) {
        black_box(0);
    }

    #[inline(never)]
    fn load(&mut self, record: &mut [u8]) -> Result<Option<usize>, ()> {
        record.fill(black_box(0));
        Ok(black_box(Some(record.len())))
    }

    #[inline(never)]
    fn save(&mut self, record: &[u8]) -> Result<(), ()> {
        black_box(record);
        black_box(Ok(()))
    }
}

fn now() -> Duration {
    Duration::from_millis(u64::from(black_box(0u32)))
}

/// Goes on as a device does: what comes, what is due, what is to be done.
fn run(device: &mut impl Protocol, buffer: &mut [u8], line: &mut [u8]) -> ! {
    device.start(now());
    loop {
        let topic = black_box("topic");
        let input = match black_box(0u8) {
            0 => Input::Opened,
            1 => Input::Closed,
            2 => Input::Message { topic, payload: black_box(&line[..]) },
            _ => Input::Bytes(black_box(&line[..])),
        };
        device.handle(input, now());
        device.poll(now());
        while let Some(output) = device.output(buffer) {
            black_box(&output);
        }
        black_box(device.deadline());
    }
}

/// Where an application begins with it.
#[unsafe(no_mangle)]
pub extern "C" fn entry() -> ! {
    let flash = chip::flash();
    let trailers =
        TrailerFormat { mode: UpgradeMode::SwapMove, max_align: 8, max_sectors: 128, keys: None };
    let config = DfuConfig { slots: chip::SLOTS, trailers, rules: Rules::default() };
    let Ok(dfu) = Dfu::new(&flash, config) else { loop {} };
    let slot = Slot::new(dfu, flash, keys::verifier(), Rest);
    let mut record = [0; Record::size(BLOCKS)];
    let agent = Agent::new(slot, Config::new(black_box("BOARD")), &mut record);
    let host = Text::new(black_box("server"));
    let server = Endpoint { transport: black_box(Transport::Mqtt), host, port: black_box(8883) };
    let mut answers = [0; BLOCK + 1024];
    let (mut buffer, mut line) = ([0; 1024], [0; 64]);
    #[cfg(feature = "agent-infineon")]
    {
        use updraft_ota::infineon::{Device, Settings};
        let mut job = [0; 1024];
        let mut settings = Settings::new(server);
        settings.piecewise = black_box(false);
        settings.flow = black_box(settings.flow);
        let mut device = Device::new(agent, settings, &mut job, &mut answers);
        run(&mut device, &mut buffer, &mut line)
    }
    #[cfg(feature = "agent-aws")]
    {
        use updraft_ota::aws::{Device, Settings};
        let mut job = [0; 2560];
        let mut settings = Settings::new(black_box("thing"), server);
        settings.format = black_box(settings.format);
        let mut device = Device::new(agent, settings, &mut job, &mut answers);
        run(&mut device, &mut buffer, &mut line)
    }
    #[cfg(feature = "agent-ddi")]
    {
        use updraft_ota::ddi::{Device, Settings, Timers};
        let settings = Settings {
            server,
            tenant: black_box("DEFAULT"),
            controller: black_box("device"),
            authorization: black_box("TargetToken x"),
            attributes: &[("serial", "1")],
            timers: Timers::default(),
        };
        let mut device = Device::new(agent, settings, &mut answers);
        run(&mut device, &mut buffer, &mut line)
    }
}
