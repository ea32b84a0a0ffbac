//! Every parser of outside bytes, held against arbitrary ones. A target is a module with two
//! functions: `run` takes an input and panics if something is wrong, `seeds` gives inputs to start
//! from. `fuzz_targets` hands them to libFuzzer, `tests/smoke.rs` to a driver that needs no tools.
//!
//! All of them look for panics, overflows and endless loops; what else a target asserts is said
//! in its module.
#![forbid(unsafe_code)]

pub mod board_toml;
pub mod boot_flash;
pub mod certificates;
pub mod device;
pub mod elf_file;
pub mod fleet_upload;
pub mod image_decompress;
pub mod image_decrypt;
pub mod image_validate;
pub mod imgtool_files;
pub mod key_file;
pub mod mqtt_client;
pub mod ota_archive;
pub mod ota_aws;
pub mod ota_ddi;
pub mod ota_devices;
pub mod ota_http;
pub mod ota_infineon;
pub mod packets;
pub mod publisher;
pub mod recovery;
pub mod release_files;
pub mod smp_client_answer;
pub mod smp_datagram;
pub mod smp_fragments;
pub mod smp_framing;
pub mod smp_groups;
pub mod x509_certificate;

/// A target.
pub struct Target {
    /// Its name, which is that of its module and of its libFuzzer program.
    pub name: &'static str,
    /// Takes one input.
    pub run: fn(&[u8]),
    seeds: fn() -> Vec<Vec<u8>>,
}

impl Target {
    /// Inputs to start from: the target's seeds, and every input that ever found a fault, which
    /// are kept in `regressions/NAME`.
    pub fn seeds(&self) -> Vec<Vec<u8>> {
        let mut seeds = (self.seeds)();
        let folder = format!("fuzz/regressions/{}", self.name);
        for name in repository_names(&folder) {
            seeds.push(repository_file(&format!("{folder}/{name}")));
        }
        seeds
    }
}

/// Every target.
pub const TARGETS: [Target; 36] = [
    Target { name: "image_validate", run: image_validate::run, seeds: image_validate::seeds },
    Target { name: "image_decrypt", run: image_decrypt::run, seeds: image_decrypt::seeds },
    Target { name: "image_decompress", run: image_decompress::run, seeds: image_decompress::seeds },
    Target { name: "boot_flash", run: boot_flash::run, seeds: boot_flash::seeds },
    Target { name: "smp_datagram", run: smp_datagram::run, seeds: smp_datagram::seeds },
    Target {
        name: "smp_client_answer",
        run: smp_client_answer::run,
        seeds: smp_client_answer::seeds,
    },
    Target { name: "mqtt_client", run: mqtt_client::run, seeds: mqtt_client::seeds },
    Target { name: "x509_certificate", run: x509_certificate::run, seeds: x509_certificate::seeds },
    Target { name: "certificates", run: certificates::run, seeds: certificates::seeds },
    Target { name: "ota_infineon", run: ota_infineon::run, seeds: ota_infineon::seeds },
    Target { name: "ota_aws", run: ota_aws::run, seeds: ota_aws::seeds },
    Target { name: "ota_ddi", run: ota_ddi::run, seeds: ota_ddi::seeds },
    Target { name: "ota_devices", run: ota_devices::run, seeds: ota_devices::seeds },
    Target { name: "publisher", run: publisher::run, seeds: publisher::seeds },
    Target { name: "ota_http", run: ota_http::run, seeds: ota_http::seeds },
    Target { name: "ota_archive", run: ota_archive::run, seeds: ota_archive::seeds },
    Target { name: "recovery", run: recovery::run, seeds: recovery::seeds },
    Target { name: "smp_fragments", run: smp_fragments::run, seeds: smp_fragments::seeds },
    Target { name: "smp_framing", run: smp_framing::run, seeds: smp_framing::seeds },
    Target { name: "smp_os", run: smp_groups::smp_os::run, seeds: smp_groups::smp_os::seeds },
    Target {
        name: "smp_image",
        run: smp_groups::smp_image::run,
        seeds: smp_groups::smp_image::seeds,
    },
    Target {
        name: "smp_statistics",
        run: smp_groups::smp_statistics::run,
        seeds: smp_groups::smp_statistics::seeds,
    },
    Target {
        name: "smp_settings",
        run: smp_groups::smp_settings::run,
        seeds: smp_groups::smp_settings::seeds,
    },
    Target { name: "smp_log", run: smp_groups::smp_log::run, seeds: smp_groups::smp_log::seeds },
    Target {
        name: "smp_crash",
        run: smp_groups::smp_crash::run,
        seeds: smp_groups::smp_crash::seeds,
    },
    Target { name: "smp_run", run: smp_groups::smp_run::run, seeds: smp_groups::smp_run::seeds },
    Target {
        name: "smp_files",
        run: smp_groups::smp_files::run,
        seeds: smp_groups::smp_files::seeds,
    },
    Target {
        name: "smp_shell",
        run: smp_groups::smp_shell::run,
        seeds: smp_groups::smp_shell::seeds,
    },
    Target {
        name: "smp_enumeration",
        run: smp_groups::smp_enumeration::run,
        seeds: smp_groups::smp_enumeration::seeds,
    },
    Target {
        name: "smp_basic",
        run: smp_groups::smp_basic::run,
        seeds: smp_groups::smp_basic::seeds,
    },
    Target { name: "key_file", run: key_file::run, seeds: key_file::seeds },
    Target { name: "release_files", run: release_files::run, seeds: release_files::seeds },
    Target { name: "fleet_upload", run: fleet_upload::run, seeds: fleet_upload::seeds },
    Target { name: "elf_file", run: elf_file::run, seeds: elf_file::seeds },
    Target { name: "imgtool_files", run: imgtool_files::run, seeds: imgtool_files::seeds },
    Target { name: "board_toml", run: board_toml::run, seeds: board_toml::seeds },
];

/// The file of the repository at `path`.
fn repository_file(path: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of the files in a folder of the repository, sorted; none if there is no such folder.
fn repository_names(folder: &str) -> Vec<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    let Ok(entries) = std::fs::read_dir(&path) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("a readable folder").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
