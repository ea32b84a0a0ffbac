//! Devices with any bytes in them: some thousands in each run, millions in the long one.

use std::time::{SystemTime, UNIX_EPOCH};

use updraft_sim::hostile::{Counts, Device, Random};
use updraft_sim::matrix::cells;

/// A fresh seed, or the one to replay.
fn seed() -> u64 {
    let fresh = || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::from(now.subsec_nanos()) ^ now.as_secs() << 20
    };
    let given = std::env::var("UPDRAFT_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(fresh)
}

#[test]
fn every_boot_of_an_altered_device_comes_to_an_end() {
    let seed = seed();
    let mut random = Random::new(seed);
    let cells = cells();
    let mut counts = Counts::default();
    while counts.boots < 60_000 {
        let Some(cell) = random.of(&cells) else { return };
        let Ok(device) = Device::new(cell) else { continue };
        for _ in 0..200 {
            let found = device.try_out(random.any(), &mut counts);
            found.unwrap_or_else(|finding| panic!("seed {seed}: {finding}"));
        }
    }
    println!("hostile: {counts:?}");
}
