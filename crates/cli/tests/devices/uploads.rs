//! Uploads that are given up, taken up again, and in each other's way.

use std::sync::Barrier;

use updraft_smp::client::{Status, UploadError};

use crate::support::{Bench, Chance, HOST, SELF, Sending};

#[test]
fn an_upload_given_up_half_way_is_resumed_by_another_client() {
    let bench = Bench::new("resume");
    let (old, new) = (bench.image("1.0.0", SELF), bench.image_of(100_000, "1.1.0", HOST));
    let device = bench.device_with(&old);
    let mut first = Sending::new(&device.address, &new.bytes, 1);
    while first.acked() < 50_000 && first.step() == Status::Running {}
    let half = first.acked();
    drop(first);

    // Half an image is not listed, and cannot be booted.
    let listed = device.smp("--json image list").json();
    assert_eq!(listed["images"].as_array().unwrap().len(), 1);
    device.smp(&format!("image test {}", new.file)).complains(&["group 1, rc 8"]);

    let mut second = Sending::new(&device.address, &new.bytes, 1);
    while second.acked() == 0 && second.step() == Status::Running {}
    assert!(second.acked() >= half, "resumed at {} and not at {half}", second.acked());
    assert_eq!(second.datagrams, 1, "the device answered where to go on");
    let outcome = second.finish().unwrap();
    assert!(outcome.verified && !outcome.already_there);
    device.smp(&format!("image test {}", new.file)).ok();
    device.smp("os reset").ok();
    device.starts("1.1.0");
    assert!(bench.slots().run(&new));
}

/// After a reset too, and after the device's process was killed: it keeps how far it has come.
#[test]
fn the_usual_client_resumes_as_well_whatever_came_between() {
    let bench = Bench::new("resume-cli");
    let (old, new) = (bench.image("1.0.0", SELF), bench.image_of(100_000, "1.1.0", HOST));
    let mut device = bench.device_with(&old);
    for between in ["nothing", "reset", "power cut"] {
        let mut sending = Sending::new(&device.address, &new.bytes, 3);
        while sending.acked() < 30_000 && sending.step() == Status::Running {}
        let acked = sending.acked();
        match between {
            "reset" => {
                device.type_line("reset");
                device.wait("started, LED");
            }
            "power cut" => {
                device.kill();
                device = bench.device().start();
                device.wait("app: self-test passed");
            }
            _ => {}
        }
        let said = device.smp(&format!("--json image upload {}", new.file)).json();
        assert_eq!(said["verified"], true);
        let resumed_at = said["resumed_at"].as_u64().unwrap() as u32;
        assert!(resumed_at > 20_000 && resumed_at <= acked + 3000, "{between}: {resumed_at}");
        assert!(bench.slots().hold(&new));
        assert!(!bench.path("dev.flash.upload").exists(), "nothing is left to go on with");
        device.smp("image erase").ok();
    }
}

#[test]
fn another_image_takes_the_place_of_one_given_up() {
    let bench = Bench::new("instead");
    let old = bench.image("1.0.0", SELF);
    let (given_up, wanted) = (bench.image_of(90_000, "1.1.0", HOST), bench.image("1.2.0", HOST));
    let device = bench.device_with(&old);
    let mut sending = Sending::new(&device.address, &given_up.bytes, 2);
    while sending.acked() < 60_000 && sending.step() == Status::Running {}
    device.try_out(&wanted);
    assert!(bench.slots().run(&wanted) && bench.slots().on_trial());
}

/// What two clients may tell of an upload to the same slot at the same time.
fn is_clear(outcome: &Result<updraft_smp::client::Outcome, UploadError>) -> bool {
    match outcome {
        // Not verified: the device has taken as many bytes, but of the other's session.
        Ok(_) => true,
        Err(UploadError::AnotherClient) => true,
        Err(UploadError::HashMismatch | UploadError::Unsettled { .. }) => true,
        // Chunks of a longer file behind the end of a shorter one.
        Err(UploadError::PastEnd { .. }) => true,
        Err(UploadError::Refused(refusal)) => refusal.image_error().is_some(),
        Err(_) => false,
    }
}

#[test]
fn two_clients_that_take_turns_with_different_images_leave_a_device_in_order() {
    for seed in [1, Chance::seed()] {
        let mut chance = Chance::of(seed);
        let bench = Bench::new("turns");
        let old = bench.image("1.0.0", SELF);
        let images = [bench.image_of(60_000, "1.1.0", HOST), bench.image_of(61_000, "1.2.0", HOST)];
        let device = bench.device_with(&old);
        let before = bench.area("primary");
        let mut verified = 0;
        for round in 0..4 {
            let context = format!("seed {seed}, round {round}");
            let mut sendings = images
                .each_ref()
                .map(|image| Some(Sending::new(&device.address, &image.bytes, 1 + round)));
            let mut outcomes = [None, None];
            while outcomes.iter().any(Option::is_none) {
                let turn = chance.below(2);
                let Some(sending) = &mut sendings[turn] else { continue };
                for _ in 0..1 + chance.below(30) {
                    outcomes[turn] = match sending.step() {
                        Status::Running => continue,
                        Status::Done(outcome) => Some(Ok(outcome)),
                        Status::Failed(error) => Some(Err(error)),
                    };
                    sendings[turn] = None;
                    break;
                }
            }
            for outcome in outcomes.iter().flatten() {
                assert!(is_clear(outcome), "{context}: {outcome:?}");
                verified += usize::from(matches!(outcome, Ok(outcome) if outcome.verified));
            }
            assert_eq!(bench.area("primary"), before, "{context}");
            assert_eq!(bench.slots().secondary(), "erased", "{context}");
            device.smp("image erase").ok();
        }
        device.try_out(&images[1]);
        assert!(bench.slots().run(&images[1]), "seed {seed}");
        println!("two uploads at once, seed {seed}: {verified} of 8 ended verified");
    }
}

#[test]
fn two_clients_at_the_same_time_end_and_the_device_is_fine() {
    let bench = Bench::new("both");
    let old = bench.image("1.0.0", SELF);
    let images = [bench.image_of(150_000, "1.1.0", HOST), bench.image_of(150_000, "1.2.0", HOST)];
    let device = bench.device_with(&old);
    let before = bench.area("primary");
    for _ in 0..3 {
        let start = Barrier::new(2);
        let upload = |image: &str| {
            start.wait();
            device.smp(&format!("image upload --again {image}"))
        };
        let said = std::thread::scope(|scope| {
            let clients = images.each_ref().map(|image| scope.spawn(|| upload(&image.file)));
            clients.map(|client| client.join().unwrap())
        });
        for said in said {
            match said.code {
                Some(0) => assert!(said.out.contains("hash "), "{said:?}"),
                _ => assert!(said.code == Some(1) && said.err.starts_with("error: "), "{said:?}"),
            }
        }
        assert_eq!(bench.area("primary"), before);
        device.smp("image erase").ok();
    }
    device.try_out(&images[0]);
    assert!(bench.slots().run(&images[0]));
}
