//! The `updraft` command: wiring only. One file per subcommand in `commands`; what a command does
//! is in the library crates.

mod commands;
mod demo;
mod device;
mod files;
mod flash_map;
mod flash_strip;
mod input;
mod output;
mod programming;
mod report;
mod signing;
mod smp;
mod suits;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::output::Output;

/// Firmware updates for microcontrollers, from the build to a running, confirmed chip.
#[derive(Parser)]
#[command(name = "updraft", version, propagate_version = true, max_term_width = 100)]
struct Cli {
    /// Print results as JSON, one object on standard output.
    #[arg(long, global = true)]
    json: bool,
    /// Say nothing but results and errors.
    #[arg(short, long, global = true)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the boards, or draw one's flash map.
    Boards(commands::boards::Args),
    /// Make keys, and print them in the forms that bootloaders embed.
    Key(commands::key::Args),
    /// Sign, verify and inspect images.
    Image(commands::image::Args),
    /// Program a new device: bootloader, application, factory image.
    Flash(commands::flash::Args),
    /// The whole story in one terminal: update, test, revert, survive power cuts.
    Demo(commands::demo::Args),
    /// Cut the power everywhere in an update, and see that the device survives.
    Explore(commands::explore::Args),
    /// Play a virtual device.
    Device(commands::device::Args),
    /// Talk to a device over SMP (MCUmgr).
    Smp(commands::smp::Args),
    /// Print a completion script for a shell.
    Completions(commands::completions::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let out = Output::new(cli.json, cli.quiet);
    let result = match cli.command {
        Command::Boards(args) => commands::boards::run(args, &out),
        Command::Key(args) => commands::key::run(args, &out),
        Command::Image(args) => commands::image::run(args, &out),
        Command::Flash(args) => commands::flash::run(args, &out),
        Command::Demo(args) => commands::demo::run(args, &out),
        Command::Explore(args) => commands::explore::run(args, &out),
        Command::Device(args) => commands::device::run(args, &out),
        Command::Smp(args) => commands::smp::run(args, &out),
        Command::Completions(args) => commands::completions::run::<Cli>(args, &out),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report::fail(&out, &error),
    }
}
