//! Many devices at once: the long proof `ota`, with fewer of them.

#[path = "../../benches/ota/fleet.rs"]
mod fleet;

use std::time::Duration;

use crate::support::foreign;

#[test]
fn fifty_devices_update_at_once_and_every_image_is_identical() {
    if !foreign("mosquitto") {
        return;
    }
    const MANY: usize = 50;
    let lab = fleet::Lab::new("many", 60_000);
    let image = lab.image().len() as u64;
    for line in [fleet::Line::Plain, fleet::Line::Tls] {
        let sum = fleet::update(&lab, line, MANY, Duration::from_secs(120));
        let (identical, seconds) = (sum.identical, sum.took.as_secs_f64());
        let each = sum.received as f64 / (MANY as u64 * image) as f64;
        println!(
            "images identical {identical} / {MANY} ({line:?}) in {seconds:.1} s, {each:.3} bytes for each"
        );
        assert_eq!(identical, MANY, "{line:?}");
        assert!(each < 1.2, "{each} bytes over the line for each of an image");
    }
    let sum = fleet::fan_out(&lab, MANY, Duration::from_secs(120));
    assert_eq!(sum.identical, MANY);
    assert!(sum.sent > 0);
}
