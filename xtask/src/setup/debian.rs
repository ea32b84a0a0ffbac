//! Packages of the system. They are looked for by what they bring, so that other systems' packages
//! count as well.

use std::path::Path;

use anyhow::Result;

use super::Need;
use crate::process::{program, run, succeeds};

struct Package {
    name: &'static str,
    purpose: &'static str,
    brings: fn() -> bool,
}

pub fn needs() -> Vec<Box<dyn Need>> {
    vec![
        Box::new(Package {
            name: "python3-venv",
            purpose: "imgtool and smpmgr run in a virtual environment",
            brings: || succeeds(&mut program("python3", ["-c", "import ensurepip, venv"])),
        }),
        Box::new(Package {
            name: "iproute2",
            purpose: "the Zephyr server runs in a network namespace",
            brings: || succeeds(&mut program("ip", ["-V"])),
        }),
        Box::new(Package {
            name: "libc6-i386",
            purpose: "the Zephyr server is a 32-bit program",
            brings: || Path::new("/lib/ld-linux.so.2").exists(),
        }),
        Box::new(Package {
            name: "qemu-system-arm",
            purpose: "emulated microcontrollers",
            brings: || succeeds(&mut program("qemu-system-arm", ["--version"])),
        }),
        Box::new(Package {
            name: "mosquitto",
            purpose: "MQTT clients and devices talk to a broker",
            brings: || {
                succeeds(&mut program(
                    "sh",
                    ["-c", "PATH=$PATH:/usr/sbin mosquitto -h | grep -q MQTT"],
                ))
            },
        }),
        Box::new(Package {
            name: "mosquitto-clients",
            purpose: "MQTT clients and devices talk to other clients",
            brings: || succeeds(&mut program("sh", ["-c", "command -v mosquitto_pub"])),
        }),
        Box::new(Package {
            name: "softhsm2",
            purpose: "images are signed with the keys of a token",
            brings: || succeeds(&mut program("softhsm2-util", ["--version"])),
        }),
        Box::new(Package {
            name: "opensc",
            purpose: "keys of a token are made that want their PIN each time",
            brings: || succeeds(&mut program("sh", ["-c", "command -v pkcs11-tool"])),
        }),
        Box::new(Package {
            name: "openocd",
            purpose: "chips are programmed by it",
            brings: || succeeds(&mut program("openocd", ["--version"])),
        }),
        Box::new(Package {
            name: "device-tree-compiler",
            purpose: "partitions for Zephyr are read by another program",
            brings: || succeeds(&mut program("dtc", ["--version"])),
        }),
        Box::new(Package {
            name: "make",
            purpose: "variables for makefiles are read by it",
            brings: || succeeds(&mut program("make", ["--version"])),
        }),
        Box::new(Package {
            name: "openssl",
            purpose: "images are signed by another program",
            brings: || succeeds(&mut program("openssl", ["version"])),
        }),
        Box::new(Package {
            name: "curl",
            purpose: "the fleet server is asked by another client",
            brings: || succeeds(&mut program("curl", ["--version"])),
        }),
        Box::new(Package {
            name: "lib32gcc-s1",
            purpose: "the Zephyr server is a 32-bit program",
            brings: || {
                ["/usr/lib32", "/usr/lib/i386-linux-gnu", "/lib/i386-linux-gnu", "/usr/lib"]
                    .iter()
                    .any(|dir| is_elf32(&Path::new(dir).join("libgcc_s.so.1")))
            },
        }),
    ]
}

/// Whether a file is a 32-bit ELF object: its fifth byte says so.
fn is_elf32(file: &Path) -> bool {
    std::fs::read(file).is_ok_and(|bytes| bytes.starts_with(b"\x7fELF\x01"))
}

impl Need for Package {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn purpose(&self) -> &'static str {
        self.purpose
    }

    fn is_met(&self) -> bool {
        (self.brings)()
    }

    fn install(&self) -> Result<()> {
        // The list of packages may be missing or too old to find one.
        install(self.name).or_else(|_| {
            update()?;
            install(self.name)
        })
    }

    fn needs_root(&self) -> bool {
        true
    }
}

/// Installs a package.
pub fn install(name: &str) -> Result<()> {
    let args = ["install", "-qq", "--yes", "--no-install-recommends", "-oDpkg::Use-Pty=0"];
    run(program("apt-get", args).arg(name).env("DEBIAN_FRONTEND", "noninteractive"))
}

/// Fetches the list of packages.
pub fn update() -> Result<()> {
    run(&mut program("apt-get", ["update", "-qq"]))
}
