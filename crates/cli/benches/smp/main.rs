//! Uploads of 512 KiB by our client and by others, to the same server that takes no time of its
//! own: `cargo bench -p updraft-cli --bench smp`, with `-- udp` or `-- serial` one half of it.
//!
//! The clients take turns, so that whatever else the machine does falls on all of them. A rate
//! counts image bytes from the first chunk's arrival to the last answer's departure; the time of
//! the whole process stands beside it.

#[cfg(unix)]
mod clients;
#[cfg(unix)]
mod links;
#[cfg(unix)]
mod rows;
#[cfg(unix)]
mod stub;

fn main() {
    #[cfg(unix)]
    rows::run();
    #[cfg(not(unix))]
    println!("left out: this system has no pseudo-terminals");
}
