//! `updraft smp basic`, `crash` and `run`: a device's storage erased, its faults and its tests.

use clap::Subcommand;
use clap::builder::PossibleValuesParser;
use serde_json::json;
use updraft_smp::server::Fault;

use super::Talk;
use crate::output::Output;

#[derive(Subcommand)]
#[command(after_help = "Examples:
  updraft smp --udp 192.0.2.7 basic erase-storage")]
pub enum Basic {
    /// Erase the device's storage: its settings, and files where they are kept there. Devices
    /// whose file systems stay mounted over it want a reset next.
    EraseStorage,
}

pub fn basic(session: &mut Talk, command: Basic, out: &Output) -> anyhow::Result<()> {
    let Basic::EraseStorage = command;
    session.erase_storage()?;
    out.result(&json!({ "erased": true }), |w| writeln!(w, "the storage is erased"))
}

#[derive(clap::Args)]
#[command(after_help = "Examples:
  updraft smp --serial /dev/ttyACM0 crash div0")]
pub struct Crash {
    /// How: divide by zero, jump to or read from address 0, fail an assertion, let the watchdog
    /// bite.
    #[arg(value_parser = PossibleValuesParser::new(Fault::ALL.map(Fault::name)))]
    how: String,
}

pub fn crash(session: &mut Talk, command: Crash, out: &Output) -> anyhow::Result<()> {
    let answered = session.crash(&command.how)?;
    out.result(&json!({ "crash": command.how, "answered": answered }), |w| match answered {
        true => writeln!(w, "the device crashes"),
        false => writeln!(w, "the device has stopped answering: it has crashed"),
    })
}

#[derive(Subcommand)]
#[command(after_help = "Examples:
  updraft smp --serial /dev/ttyACM0 run list
  updraft smp --serial /dev/ttyACM0 run test flash --token night-run-7")]
pub enum Run {
    /// The tests that there are.
    List,
    /// Start a test, or all.
    Test {
        /// Name of the test.
        name: Option<String>,
        /// A word that comes back in the test's report.
        #[arg(long)]
        token: Option<String>,
    },
}

pub fn run(session: &mut Talk, command: Run, out: &Output) -> anyhow::Result<()> {
    match command {
        Run::List => {
            let tests = session.device_tests()?;
            out.result(&json!({ "tests": tests }), |w| {
                tests.iter().try_for_each(|test| writeln!(w, "{test}"))
            })
        }
        Run::Test { name, token } => {
            session.run_test(name.as_deref(), token.as_deref())?;
            out.result(&json!({ "started": true }), |w| writeln!(w, "started"))
        }
    }
}
