//! What it costs to keep many states of a flash and to tell them apart: the steps of a search over
//! power cuts. Run with `cargo run --release -p updraft-sim --example flash_cost`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use updraft_flash::{AreaEntry, AreaId, FlashMap, Kind};
use updraft_sim::flash::{DeviceSpec, SimFlash, Torn};

const AREA: AreaId = AreaId(1);

fn flash(kind: Kind, sectors: u32, size: u32, write_size: u32) -> SimFlash {
    let spec = DeviceSpec { kind, ..DeviceSpec::nor(sectors, size, write_size) };
    let table = vec![AreaEntry { id: AREA, device: 0, offset: 0, size: sectors * size }];
    let mut flash = SimFlash::new(vec![spec], table);
    let image: Vec<u8> = (0..sectors * size / 2).map(|n| n as u8 ^ (n >> 8) as u8).collect();
    flash.load(AREA, 0, &image).expect("half of the device");
    flash
}

/// The shortest of many runs.
fn time<T>(mut run: impl FnMut() -> T) -> Duration {
    let once = |run: &mut dyn FnMut() -> T| {
        let start = Instant::now();
        black_box(run());
        start.elapsed()
    };
    (0..200).map(|_| once(&mut run)).min().unwrap_or_default()
}

fn main() {
    println!(
        "{:24} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>12}",
        "", "copy of", "clone", "+ 8 bytes", "+ 1 KiB", "+ erase", "+ print", "256 KiB,"
    );
    println!(
        "{:24} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>12}",
        "flash", "its bytes", "", "written", "written", "", "", "recorded"
    );
    let limited = Kind::NorLimited { word: 4, programs: 2 };
    for (name, kind, sectors, size, write_size) in [
        ("64 × 512 B, NOR", Kind::Nor, 64, 512, 4),
        ("256 × 4 KiB, NOR", Kind::Nor, 256, 4096, 8),
        ("256 × 4 KiB, limited", limited, 256, 4096, 4),
        ("128 × 2 KiB, ECC words", Kind::EccWords, 128, 2048, 8),
        ("4096 × 512 B, rows", Kind::SelfErasingRows, 4096, 512, 512),
        ("256 × 256 KiB, NOR", Kind::Nor, 256, 256 << 10, 1),
    ] {
        let flash = flash(kind, sectors, size, write_size);
        let end = sectors * size - 4096.max(size);
        let bytes = flash.bytes(AREA);
        flash.fingerprint();
        let word = vec![0x5a; write_size.max(8) as usize];
        let piece = vec![0x5a; 1024];
        let write = |data: &[u8]| {
            let mut state = flash.clone();
            state.write(AREA, end, data).expect("erased");
            state
        };
        let erased = || {
            let mut state = flash.clone();
            state.erase(AREA, end, size).expect("a sector");
            state
        };
        let printed = || {
            let mut state = flash.clone();
            state.supply().cut_at(0, Torn::Bits(1));
            let _ = state.write(AREA, end, &word);
            state.fingerprint()
        };
        let recorded = || {
            let mut state = flash.clone();
            state.supply().record(true);
            let len = (256 << 10).min(sectors * size / 2);
            for at in (sectors * size / 2..).step_by(1024).take(len as usize / 1024) {
                state.write(AREA, at, &piece).expect("erased");
            }
            state.take_log()
        };
        println!(
            "{name:24} {:>10.1?} {:>10.1?} {:>10.1?} {:>10.1?} {:>10.1?} {:>10.1?} {:>12.1?}",
            time(|| bytes.clone()),
            time(|| flash.clone()),
            time(|| write(&word)),
            time(|| write(&piece)),
            time(erased),
            time(printed),
            time(recorded),
        );
    }
}
