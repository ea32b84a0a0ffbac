//! `updraft smp scan`: who is there?

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use anyhow::anyhow;
use serde_json::json;

use super::connection::Connection;
use crate::output::{DIM, GOOD, Output, styled};
use crate::report::Hint;
use crate::smp::{Found, Way};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  updraft smp scan
  updraft smp scan --via udp
  updraft smp --controller hci-uart:/dev/ttyACM1 scan --via ble
  updraft smp scan 192.0.2.0/24 '[fe80::1%2]:1337'
  updraft smp scan /dev/ttyACM0 --baud 1000000

Without places, every serial port is asked, and on the network this computer and all that hear a
broadcast on SMP's port; with a --controller, those are listed too that advertise over Bluetooth.
Asking sends a few bytes: where a device on a serial port must not be sent any, name the other ports
instead.")]
pub struct Command {
    /// Serial ports, hosts, addresses, and networks such as 192.0.2.0/24.
    places: Vec<String>,
    /// Look only this way.
    #[arg(long, value_enum, value_name = "WAY", conflicts_with = "places")]
    via: Vec<Way>,
    /// Seconds that a device may take to answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    wait: f64,
}

pub fn run(connection: &Connection, command: Command, out: &Output) -> anyhow::Result<()> {
    let wait = Duration::try_from_secs_f64(command.wait)
        .ok()
        .filter(|wait| !wait.is_zero() && *wait <= Duration::from_secs(60))
        .ok_or_else(|| anyhow!("{} seconds is no time to wait", command.wait))
        .usage("--wait takes seconds above 0 and up to a minute, such as 2.5")?;
    let ways: Vec<Way> = match (command.via.as_slice(), command.places.as_slice()) {
        // Without a controller there is nothing to listen with.
        ([], []) => Way::ALL
            .into_iter()
            .filter(|way| *way != Way::Ble || connection.has_controller())
            .collect(),
        ([], places) => {
            let needed = |way: &Way| places.iter().any(|place| Way::to(place) == *way);
            Way::ALL.into_iter().filter(needed).collect()
        }
        (via, _) => via.to_vec(),
    };
    let all = Mutex::new(Vec::new());
    let tell = |found: Found| {
        // A terminal that is gone does not end the search.
        let _ = out.line(line(&found));
        all.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(found);
    };
    let outcome = thread::scope(|scope| {
        let scans: Vec<_> = ways
            .iter()
            .map(|way| {
                let places = command.places.iter().filter(|place| Way::to(place) == *way).cloned();
                let look = connection.look(places.collect(), wait);
                let tell = &tell;
                scope.spawn(move || way.scan(&look, tell))
            })
            .collect();
        scans.into_iter().try_for_each(|scan| match scan.join() {
            Ok(outcome) => outcome,
            Err(_) => Err(anyhow!("the search was broken off")),
        })
    });
    let mut all = all.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    all.sort_by(|one, other| one.options.cmp(&other.options));
    // What was found on one way is not lost for programs because another one cannot be looked.
    outcome.fact("places", json!(all))?;
    let devices = all.iter().filter(|found| found.device.is_some()).count();
    out.result(&json!({ "places": all }), |w| match devices {
        0 => writeln!(w, "no devices found"),
        1 => writeln!(w, "1 device"),
        _ => writeln!(w, "{devices} devices"),
    })
}

fn line(found: &Found) -> String {
    let options = &found.options;
    let Some(device) = &found.device else {
        let remark = found.remark.as_deref().unwrap_or("no answer");
        return styled(DIM, format!("{options:<40} {remark}"));
    };
    let facts = [&device.name, &device.board, &device.version];
    let facts: Vec<&str> = facts.into_iter().flatten().map(String::as_str).collect();
    let facts = if facts.is_empty() { "answers".into() } else { facts.join(", ") };
    format!("{} {facts}", styled(GOOD, format!("{options:<40}")))
}
