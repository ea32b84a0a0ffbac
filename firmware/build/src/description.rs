//! What the application does, as text that its image carries.

use crate::variable;

/// Bytes of the text, padded with zeros: it can be changed after the build as long as it fits.
const SIZE: usize = 256;

/// The text of the flavour that was asked for.
pub fn bytes() -> Vec<u8> {
    let flavour = variable("UPDRAFT_APP").unwrap_or_else(|| "boot".to_owned());
    // As often as the original's two flavours change their LED.
    let blink_ms = match flavour.as_str() {
        "boot" => 1000,
        "upgrade" => 250,
        other => panic!("UPDRAFT_APP is \"{other}\"; there are boot and upgrade"),
    };
    let text = format!(
        "updraft-app 1\nname = blinky\nblink-ms = {blink_ms}\nself-test = pass\nself-test-ms = 200\n\
         confirm = host\n"
    );
    let mut bytes = text.into_bytes();
    bytes.resize(SIZE, 0);
    bytes
}
