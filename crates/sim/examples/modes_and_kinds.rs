//! Prints `docs/modes-and-flash-kinds.md`; `cargo xtask tables` puts it there.

fn main() {
    print!("{}", updraft_sim::matrix::modes_and_kinds());
}
