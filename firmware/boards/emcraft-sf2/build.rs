//! Memory map, constants and key.

fn main() {
    firmware_build::make();
}
