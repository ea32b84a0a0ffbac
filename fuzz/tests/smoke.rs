//! Every target over its seeds, and over random changes of them, for as long as
//! `UPDRAFT_FUZZ_SECONDS` says. `UPDRAFT_SEED` replays a run.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::{Duration, Instant};
use std::{env, fs};

use updraft_fuzz::{TARGETS, Target};

/// Longest input.
const LONGEST: usize = 8192;
/// Changed inputs that are changed further.
const POOL: usize = 256;

/// Marsaglia's xorshift with a multiplication at the end.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`, or 0.
    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 16) as usize % bound.max(1)
    }
}

/// One random change.
fn change(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    const TELLING: [u32; 10] =
        [0, 1, 0x7f, 0xff, 0x100, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_fff0, 0xffff_ffff];
    // Lengths and offsets stand at the beginnings and ends of things.
    let near = if random.below(2) == 0 { 64 } else { input.len() };
    let mut at = random.below(near.min(input.len()));
    if random.below(3) == 0 {
        at = input.len().saturating_sub(1 + at);
    }
    match random.below(7) {
        0 => input.truncate(at),
        1 => {
            let from = random.below(other.len());
            let to = from + random.below(other.len() - from + 1);
            input.splice(at..at, other[from..to].iter().copied());
        }
        2 => {
            let value = TELLING[random.below(TELLING.len())].to_le_bytes();
            let width = 1 << random.below(3);
            for (byte, value) in input.iter_mut().skip(at).zip(&value[..width]) {
                *byte = *value;
            }
        }
        3 => {
            let end = (at + 1 + random.below(16)).min(input.len());
            input.drain(at.min(end)..end);
        }
        4 => input.insert(at, random.next() as u8),
        _ => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
    }
    input.truncate(LONGEST);
}

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn attempt(target: &Target, input: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.run)(input))) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts").join(target.name);
        fs::create_dir_all(&folder).expect("a folder for the input");
        let file = folder.join("smoke");
        fs::write(&file, input).expect("room for the input");
        eprintln!("{}: the input is in {}", target.name, file.display());
        resume_unwind(panic);
    }
}

fn drive(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    let seed = number("UPDRAFT_SEED", 1);
    let time = Duration::from_secs(number("UPDRAFT_FUZZ_SECONDS", 1));
    let mut random = Random(seed.wrapping_mul(2).wrapping_add(1));
    let mut pool = target.seeds();
    let seeds = pool.len();
    pool.iter().for_each(|seed| attempt(target, seed));
    let (start, mut inputs) = (Instant::now(), seeds);
    while start.elapsed() < time {
        // Changes of changes go deep, but most of them only go astray.
        let among = if random.below(4) == 0 { pool.len() } else { seeds };
        let mut input = pool[random.below(among)].clone();
        let other = pool[random.below(pool.len())].clone();
        for _ in 0..1 + random.below(4) {
            change(&mut input, &other, &mut random);
        }
        attempt(target, &input);
        inputs += 1;
        if pool.len() < seeds + POOL {
            pool.push(input);
        } else if random.below(4) == 0 {
            let at = seeds + random.below(POOL);
            pool[at] = input;
        }
    }
    println!("{name}: {inputs} inputs, {seeds} of them seeds, seed {seed}");
}

macro_rules! driven {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            drive(stringify!($name));
        })*

        #[test]
        fn every_target_is_driven() {
            let driven = [$(stringify!($name)),*];
            let left_out = TARGETS.iter().find(|target| !driven.contains(&target.name));
            assert!(left_out.is_none(), "{} has no test here", left_out.unwrap().name);
        }
    };
}

driven! {
    image_validate
    image_decompress
    image_decrypt
    boot_flash
    smp_datagram
    smp_client_answer
    smp_fragments
    smp_framing
    smp_os
    smp_image
    smp_statistics
    smp_settings
    smp_log
    smp_crash
    smp_run
    smp_files
    smp_shell
    smp_enumeration
    smp_basic
    mqtt_client
    ota_infineon
    ota_aws
    ota_ddi
    ota_http
    ota_archive
    ota_devices
    publisher
    x509_certificate
    certificates
    recovery
    board_toml
    key_file
    elf_file
    fleet_upload
    release_files
    imgtool_files
}
