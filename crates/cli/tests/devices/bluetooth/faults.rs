//! Connections that break and devices that reset in the middle of an upload.

use super::Air;
use crate::support::{HOST, Image};

/// Bytes of firmware that take some five hundred packets.
const SIZE: usize = 96 * 1024;

impl Air {
    /// An image to upload. What there is to be paired has been paired.
    fn image(&self) -> Image {
        self.updraft("os echo hello").ok();
        self.bench.image_of(SIZE, "1.1.0", HOST)
    }

    fn holds(&self, image: &Image) {
        assert!(self.bench.slots().hold(image));
        let area = self.bench.area("secondary");
        assert!(area.windows(image.bytes.len()).any(|bytes| bytes == image.bytes));
    }
}

#[test]
fn an_upload_survives_the_loss_of_the_connection_wherever_it_happens() {
    let Some(mut air) = Air::new("ble-cut") else { return };
    let (_device, _) = air.running(&[]);
    let image = air.image();
    for packets in [3, 12, 25, 60, 200, 400] {
        air.updraft("image erase").ok();
        air.program.say(&format!("cut {packets}"));
        air.updraft(&format!("image upload {}", image.file)).ok();
        air.holds(&image);
    }
}

#[test]
fn an_upload_survives_one_loss_after_the_other() {
    let Some(mut air) = Air::new("ble-cuts") else { return };
    let (_device, _) = air.running(&[]);
    let image = air.image();
    air.program.say("tell 60");
    let upload = air.start(&format!("image upload {}", image.file));
    for _ in 0..4 {
        assert_eq!(air.program.line(), "there");
        air.program.say("tell 110");
        air.program.say("cut");
    }
    upload.ended().ok();
    air.holds(&image);
}

#[test]
fn an_upload_survives_resets_of_the_device() {
    let Some(mut air) = Air::new("ble-reset") else { return };
    let (mut device, _) = air.running(&[]);
    let image = air.image();
    for packets in [40, 300] {
        air.updraft("image erase").ok();
        air.program.say(&format!("tell {packets}"));
        let upload = air.start(&format!("image upload {}", image.file));
        assert_eq!(air.program.line(), "there");
        device.type_line("reset");
        device.wait("reset by pin");
        upload.ended().ok();
        air.holds(&image);
    }
}

#[test]
fn an_upload_survives_the_loss_of_power() {
    let Some(mut air) = Air::new("ble-power") else { return };
    let (mut device, _) = air.running(&[]);
    let image = air.image();
    air.program.say("tell 200");
    let upload = air.start(&format!("image upload {}", image.file));
    assert_eq!(air.program.line(), "there");
    device.type_line("cut 2");
    device.wait("power lost");
    device.type_line("on");
    upload.ended().ok();
    air.holds(&image);
}

#[test]
fn fragments_that_are_lost_cost_time_and_nothing_else() {
    let Some(mut air) = Air::new("ble-lost") else { return };
    let (_device, _) = air.running(&[]);
    let image = air.image();
    for packet in [30, 77, 133] {
        air.updraft("image erase").ok();
        air.program.say(&format!("lose {packet}"));
        air.updraft(&format!("image upload {}", image.file)).ok();
        air.holds(&image);
    }
}

#[test]
fn fragments_that_make_no_message_are_answered_or_passed_over() {
    let Some(air) = Air::new("ble-fragments") else { return };
    let (_device, _) = air.running(&[]);
    let said = air.python("raw.py", "fragments").ok();
    assert!(said.contains("5 times all right"), "{said}");
}
