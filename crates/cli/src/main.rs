//! The `updraft` command: wiring only. One file per subcommand in `commands`; what a command does
//! is in the library crates.

#[cfg(feature = "air")]
mod air;
mod bluetooth;
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

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use updraft_imgtool::{is_imgtool, passphrase};

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
    /// Take the passphrase of private keys from the first line of this file; without it from
    /// UPDRAFT_KEY_PASSPHRASE, or asked for.
    #[arg(long, global = true, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

/// The arguments that are imgtool's, and what it is called, if that is who is called.
fn as_imgtool(mut args: Vec<OsString>) -> Option<(String, Vec<OsString>)> {
    let program = args.first()?;
    if is_imgtool(program) {
        let name = Path::new(program).file_name()?.to_string_lossy().into_owned();
        return Some((name, args.split_off(1)));
    }
    (args.get(1)? == "imgtool").then(|| ("updraft imgtool".into(), args.split_off(2)))
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
    /// Answer Infineon's devices that ask for updates over MQTT.
    #[cfg(feature = "air")]
    Publish(Box<commands::publish::Args>),
    /// Ask for an update over the air, as a device does, and take it.
    #[cfg(feature = "air")]
    Fetch(Box<commands::fetch::Args>),
    /// Run the fleet server: releases that are checked, and the files of their images.
    #[cfg(feature = "fleet")]
    Serve(Box<commands::serve::Args>),
    /// Add and list releases on a fleet server, and say who may.
    #[cfg(feature = "fleet")]
    Fleet(Box<commands::fleet::Args>),
    /// Certificates for TLS: a lab's own authority, servers, devices; and what is wrong with others.
    Certs(commands::certs::Args),
    /// Take the command lines of MCUboot's imgtool 2.5.0; also when called `imgtool`.
    #[command(
        disable_help_flag = true,
        after_help = "Nothing before `imgtool` is an option of its own:
  updraft imgtool --help
  updraft imgtool sign -k key.pem -H 0x200 -S 0x40000 --pad-header -v 1.2.3 in.bin out.bin"
    )]
    Imgtool {
        /// imgtool's own command and options.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Print a completion script for a shell.
    Completions(commands::completions::Args),
    /// Write manual pages.
    Man(commands::completions::Man),
}

fn main() -> ExitCode {
    // Its arguments follow other rules, and what looks like one of ours is one of them.
    if let Some((program, args)) = as_imgtool(std::env::args_os().collect()) {
        return updraft_imgtool::run(&program, args.into_iter());
    }
    let cli = Cli::parse();
    let out = Output::new(cli.json, cli.quiet);
    if let Some(path) = &cli.passphrase_file
        && let Err(error) = passphrase::read_from(path)
    {
        let error = anyhow::Error::new(error);
        let what = format!("the passphrase in {} cannot be read", path.display());
        return report::fail(&out, &error.context(what));
    }
    let result = match cli.command {
        Command::Boards(args) => commands::boards::run(args, &out),
        Command::Key(args) => commands::key::run(args, &out),
        Command::Image(args) => commands::image::run(args, &out),
        Command::Flash(args) => commands::flash::run(args, &out),
        Command::Demo(args) => commands::demo::run(args, &out),
        Command::Explore(args) => commands::explore::run(args, &out),
        Command::Device(args) => commands::device::run(args, &out),
        Command::Smp(args) => commands::smp::run(args, &out),
        #[cfg(feature = "air")]
        Command::Publish(args) => commands::publish::run(&args, &out),
        #[cfg(feature = "air")]
        Command::Fetch(args) => commands::fetch::run(&args, &out),
        #[cfg(feature = "fleet")]
        Command::Serve(args) => commands::serve::run(&args, &out),
        #[cfg(feature = "fleet")]
        Command::Fleet(args) => commands::fleet::run(*args, &out),
        Command::Certs(args) => commands::certs::run(args, &out),
        Command::Imgtool { args } => {
            return updraft_imgtool::run("updraft imgtool", args.into_iter());
        }
        Command::Man(args) => commands::completions::man::<Cli>(args, &out),
        Command::Completions(args) => commands::completions::run::<Cli>(args, &out),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report::fail(&out, &error),
    }
}
