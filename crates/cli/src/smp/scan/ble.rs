//! Devices that advertise SMP over Bluetooth LE. They are heard, not connected to.

use std::time::Duration;

use super::{Facts, Found, Look, Way};
use crate::smp::Bluetooth;

/// Devices that save power are heard every second or two.
const LEAST: Duration = Duration::from_secs(3);

/// Tells of every device that says that it serves SMP.
pub(super) fn scan(look: &Look, tell: &(dyn Fn(Found) + Sync)) -> anyhow::Result<()> {
    let bluetooth = Bluetooth::of(look.controller.as_ref())?;
    for heard in bluetooth.heard(look.wait.max(LEAST))? {
        if heard.smp {
            let device = heard.name.as_deref().unwrap_or(&heard.address);
            let device = match device.contains(' ') {
                true => format!("'{device}'"),
                false => device.to_owned(),
            };
            tell(Found {
                way: Way::Ble,
                options: format!("--ble {device}{}", bluetooth.options()),
                device: Some(Facts { name: heard.name.clone(), ..Facts::default() }),
                remark: Some(format!("{} at {} dBm", heard.address, heard.rssi)),
            });
        }
    }
    Ok(())
}
