//! Prints a page of `docs` that is made from the code; `cargo xtask tables` puts it there.

use std::process::ExitCode;

use updraft_sim::matrix::{flash_operations, modes_and_kinds};

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("modes-and-flash-kinds") => print!("{}", modes_and_kinds()),
        Some("flash-operations") => print!("{}", flash_operations()),
        other => {
            eprintln!("no page {other:?}: modes-and-flash-kinds, flash-operations");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
