//! Boots millions of devices with any bytes in them. Prints a table of Markdown; what it is at goes
//! to standard error. `cargo xtask long hostile` runs it; the number of boots is an argument.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use updraft_sim::hostile::{Counts, Device, Finding, Random};
use updraft_sim::matrix::cells;

/// Boots, unless told otherwise.
const BOOTS: u64 = 12_000_000;
/// Findings that are shown.
const SHOWN: usize = 20;

fn main() -> ExitCode {
    let argument = |at: usize| std::env::args().nth(at).and_then(|text| text.parse().ok());
    let (boots, seed) = (argument(1).unwrap_or(BOOTS), argument(2).unwrap_or(1));
    let devices: Vec<Device> =
        cells().into_iter().filter_map(|cell| Device::new(cell).ok()).collect();
    let share = boots / devices.len() as u64 + 1;
    let began = Instant::now();
    let next = AtomicUsize::new(0);
    let seen = Mutex::new((BTreeMap::<String, Counts>::new(), Vec::<Finding>::new()));
    std::panic::set_hook(Box::new(|_| ()));
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(device) = devices.get(at) else { break };
            let mut random = Random::new(seed ^ (at as u64) << 32);
            let mut counts = Counts::default();
            let mut findings = Vec::new();
            while counts.boots < share && findings.len() < SHOWN {
                findings.extend(device.try_out(random.any(), &mut counts).err());
            }
            let mut seen = seen.lock().expect("nobody panics with it");
            let cell = device.cell();
            seen.0.entry(format!("{} | {}", cell.mode, cell.kind.name())).or_default().add(&counts);
            seen.1.extend(findings);
            let seconds = began.elapsed().as_secs_f64();
            eprintln!("{}/{}, {seconds:.0} s: {cell}", at + 1, devices.len());
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let (rows, findings) = seen.into_inner().expect("nobody panics with it");
    println!("{} devices of the matrix, seed {seed}.\n", devices.len());
    println!(
        "| mode | kind | altered | boots | started an image | most flash operations of a boot |"
    );
    println!("| --- | --- | ---: | ---: | ---: | ---: |");
    let mut total = Counts::default();
    for (row, counts) in &rows {
        print(row, counts);
        total.add(counts);
    }
    print("all | all", &total);
    println!("\nFindings: {}.", findings.len());
    findings.iter().take(SHOWN).for_each(|finding| println!("- {finding}"));
    if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print(row: &str, counts: &Counts) {
    let Counts { devices, boots, started, most_operations } = counts;
    println!("| {row} | {devices} | {boots} | {started} | {most_operations} |");
}
