//! `updraft-imgtool`: imgtool's command line as a command of its own.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let program = args.next().unwrap_or_default();
    let program = Path::new(&program).file_name().unwrap_or_default().to_string_lossy();
    updraft_imgtool::run(&program, args)
}
