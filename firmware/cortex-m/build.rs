//! Lets linkers find the script.

fn main() {
    println!("cargo::rerun-if-changed=program.x");
    println!("cargo::rustc-link-search={}", env!("CARGO_MANIFEST_DIR"));
}
