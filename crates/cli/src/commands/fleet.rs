//! `updraft fleet`: a fleet server from the shell.

mod release;
mod token;

use crate::output::Output;

/// Options of `updraft fleet`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  updraft fleet token new ci --data fleet
  export UPDRAFT_FLEET_SERVER=http://127.0.0.1:8580 UPDRAFT_FLEET_TOKEN=updraft_…
  updraft fleet release add app.signed.bin --name blinky-1.2.0 --board virtual-nor-4k
  updraft fleet release list")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Releases on a server.
    #[command(subcommand)]
    Release(release::Command),
    /// Who may ask a server for what; run where its data is.
    #[command(subcommand)]
    Token(token::Command),
}

/// Runs it.
pub fn run(args: Args, out: &Output) -> anyhow::Result<()> {
    match args.command {
        Command::Release(command) => release::run(command, out),
        Command::Token(command) => token::run(command, out),
    }
}

/// The day of a time in seconds since 1970, UTC: `2026-11-22`.
fn day(time: u64) -> String {
    // Days are counted from 1 March of the year 0, so that leap days come last.
    let days = time / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = match month {
        0..=9 => (era * 400 + year, month + 3),
        _ => (era * 400 + year + 1, month - 9),
    };
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::day;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (time, expected) in [
            (0, "1970-01-01"),
            (86_399, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_800_000_000, "2027-01-15"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(day(time), expected);
        }
    }
}
