//! Virtual devices and those who talk to them, as the processes that they are in use: `updraft
//! device run`, `updraft smp`, foreign clients and servers. What became of a device is read from
//! its flash file, not from what a client said.

mod bluetooth;
mod console;
mod first_generation;
mod garbage;
mod go_mcumgr;
mod groups;
#[cfg(unix)]
mod lines;
mod links;
mod losses;
#[cfg(unix)]
mod mcuboot;
#[cfg(unix)]
mod mcuboot_recovery;
mod mcumgrctl;
mod monitor;
mod power;
mod profiles;
#[cfg(unix)]
mod recovery;
mod refusals;
mod scan;
mod self_tests;
#[cfg(unix)]
mod serial;
mod smpmgr;
mod support;
#[cfg(unix)]
mod top;
mod two_images;
mod updates;
mod upgrades;
mod uploads;
mod zephyr;
#[cfg(unix)]
mod zephyr_serial;
