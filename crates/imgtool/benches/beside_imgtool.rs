//! Whole processes of both tools on the same files: `cargo bench -p updraft-imgtool`.
//!
//! Both take turns, so that whatever else the machine does falls on both; the table has the middle
//! of each one's times, and of the quotients of neighbours. imgtool's runs go down to a tenth of a
//! second each because Python starts; that is what builds wait for, and so it counts. Both write
//! their output where nothing is yet: replacing a file takes filesystems another millisecond.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Turns of each tool.
const TURNS: usize = 11;
const KEYS: [&str; 6] = ["-", "ed25519", "ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-3072"];
const SIZES: [(usize, &str); 2] = [(16 << 10, "16 KiB"), (1 << 20, "1 MiB")];

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let theirs = match std::env::var_os("UPDRAFT_IMGTOOL") {
        Some(path) => PathBuf::from(path),
        None => root.join(".tools/venv/bin/imgtool"),
    };
    if !theirs.exists() {
        println!("left out: imgtool is missing at {}: run `cargo xtask setup`", theirs.display());
        return;
    }
    let ours = Path::new(env!("CARGO_BIN_EXE_updraft-imgtool"));
    let keys = root.join("vectors/mcuboot/keys").canonicalize().unwrap();
    let folder = std::env::temp_dir().join(format!("updraft-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    println!("| command | image | key | imgtool 2.5.0 | updraft-imgtool | times faster |");
    println!("|---|---|---|---:|---:|---:|");
    for (size, shown) in SIZES {
        let firmware: Vec<u8> =
            (0..size as u32).map(|at| (at.wrapping_mul(at) >> 9) as u8).collect();
        std::fs::write(folder.join("in.bin"), firmware).unwrap();
        for key in KEYS {
            let with_key = |ending: &str| {
                let pem = keys.join(format!("{key}{ending}"));
                match key {
                    "-" => Vec::new(),
                    _ => vec!["-k".to_owned(), pem.to_str().unwrap().to_owned()],
                }
            };
            let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
            let sign = "sign -v 1.2.3 -H 0x200 -S 0x180000 --align 8 --pad-header in.bin out.bin";
            let commands = [
                ("sign", [words(sign), with_key(".pem")].concat()),
                ("verify", [words("verify out.bin"), with_key(".pub.pem")].concat()),
                ("dumpinfo", words("dumpinfo out.bin")),
            ];
            for (name, args) in commands {
                // What an image is signed with makes no difference to dumps.
                if name == "dumpinfo" && key != "ed25519" {
                    continue;
                }
                let [their, our, times] = beside(&theirs, ours, &args, &folder);
                let ms = |seconds: f64| format!("{:.1} ms", 1000.0 * seconds);
                let key = if key == "-" { "none" } else { key };
                println!("| {name} | {shown} | {key} | {} | {} | {times:.0} |", ms(their), ms(our));
            }
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// The middle of both times in seconds, and of the quotients.
fn beside(theirs: &Path, ours: &Path, args: &[String], folder: &Path) -> [f64; 3] {
    let run = |program: &Path| -> f64 {
        if args[0] == "sign" {
            let _ = std::fs::remove_file(folder.join("out.bin"));
        }
        let start = Instant::now();
        let mut command = Command::new(program);
        let command = command.args(args).current_dir(folder).stdout(Stdio::null());
        assert!(command.status().unwrap().success(), "{} {}", program.display(), args.join(" "));
        Duration::as_secs_f64(&start.elapsed())
    };
    // Both files are in memory once they have run.
    let (_, _) = (run(theirs), run(ours));
    let pairs: Vec<_> = (0..TURNS).map(|_| (run(theirs), run(ours))).collect();
    let middle = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    [
        middle(pairs.iter().map(|pair| pair.0).collect()),
        middle(pairs.iter().map(|pair| pair.1).collect()),
        middle(pairs.iter().map(|pair| pair.0 / pair.1).collect()),
    ]
}
