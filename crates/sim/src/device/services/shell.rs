//! The device's shell: a few commands about what it is.

use std::fmt::Write as _;
use std::time::Duration;

use updraft_smp::server::{InfoField, Os, Shell, ShellReply};

use super::Platform;

/// What a shell answers when it does not know a command, as Zephyr's does.
const UNKNOWN: i32 = -8;

/// What the commands tell of and give orders to.
pub(super) struct Commands<'a> {
    pub platform: &'a Platform,
    /// The images, a line each.
    pub images: &'a str,
    /// Since the application was started.
    pub uptime: Duration,
    /// Set when the device is to be reset.
    pub reboot: &'a mut bool,
    pub output: String,
}

const HELP: &str = "\
help              this list
version           name and version of the application
image list        the images in the slots
kernel uptime     milliseconds since the start
kernel version    the kernel
kernel reboot     reset the device
reboot            the same
echo TEXT         say it again
";

impl Shell for Commands<'_> {
    fn execute(&mut self, line: &str) -> ShellReply<'_> {
        self.output.clear();
        let ret = self.run(line.trim());
        // Terminals on a serial line want both.
        self.output = self.output.replace('\n', "\r\n");
        ShellReply { output: &self.output, ret }
    }
}

impl Commands<'_> {
    fn run(&mut self, line: &str) -> i32 {
        let info = |field| self.platform.info(field).unwrap_or_default();
        let out = &mut self.output;
        let words: Vec<&str> = line.split_whitespace().collect();
        // Writing to a `String` cannot fail.
        let _ = match words.as_slice() {
            ["help"] => write!(out, "{HELP}"),
            ["version"] => {
                writeln!(out, "{} {}", info(InfoField::Node), info(InfoField::Version))
            }
            ["image" | "images", "list"] => write!(out, "{}", self.images),
            ["kernel", "uptime"] => writeln!(out, "Uptime: {} ms", self.uptime.as_millis()),
            ["kernel", "version"] => {
                writeln!(out, "{} version {}", info(InfoField::Kernel), info(InfoField::Version))
            }
            ["reboot"] | ["kernel", "reboot"] | ["kernel", "reboot", "cold" | "warm"] => {
                *self.reboot = true;
                writeln!(out, "rebooting")
            }
            ["echo", ..] => writeln!(out, "{}", line.get(4..).unwrap_or_default().trim_start()),
            _ => {
                let _ = writeln!(out, "{line}: command not found; help lists those that are there");
                return UNKNOWN;
            }
        };
        0
    }
}
