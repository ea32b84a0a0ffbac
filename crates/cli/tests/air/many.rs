//! Many devices at once: the long proof `ota`, with fewer of them.

#[path = "../../benches/ota/fleet.rs"]
mod fleet;
#[path = "../../benches/ota/wire.rs"]
mod wire;

use std::time::Duration;

use crate::support::foreign;

#[test]
fn fifty_devices_update_at_once_and_every_image_is_identical() {
    if !foreign("mosquitto") {
        return;
    }
    const MANY: usize = 50;
    let limit = Duration::from_secs(120);
    let mut lab = fleet::Lab::new("many", 60_000);
    let image = lab.image().len() as u64;
    for line in [fleet::Line::Plain, fleet::Line::Tls] {
        for weather in [fleet::Weather::Fair, fleet::Weather::KillsTheBroker] {
            let sum = fleet::update(&mut lab, line, fleet::Flow::Whole, MANY, weather, limit);
            let (identical, seconds) = (sum.identical, sum.took.as_secs_f64());
            let each = sum.received as f64 / (MANY as u64 * image) as f64;
            println!(
                "images identical {identical} / {MANY} ({line:?}, {weather:?}) in {seconds:.1} s, {each:.3} bytes for each"
            );
            assert_eq!(identical, MANY, "{line:?}, {weather:?}");
            assert_eq!(sum.asked_again, 0, "{line:?}, {weather:?}");
            let killed = weather == fleet::Weather::KillsTheBroker;
            assert_eq!(sum.held > 0, killed, "blocks were held when the broker was killed");
            // What is on its way when the broker is killed is lost with it.
            let most = if weather == fleet::Weather::Fair { 1.2 } else { 2.0 };
            assert!(each < most, "{weather:?}: {each} bytes over the line for each of an image");
        }
    }
    let sum = fleet::fan_out(&lab, MANY, limit);
    assert_eq!(sum.identical, MANY);
    assert!(sum.sent > 0);
    assert_eq!(fleet::by_mosquitto(&lab, 5, limit).identical, 5);
}

#[test]
fn every_flow_costs_little_more_than_its_image() {
    if !foreign("mosquitto") {
        return;
    }
    let mut lab = fleet::Lab::new("wire", 60_000);
    let image = lab.image().len();
    wire::table(&mut lab, image);
}
