//! Certificates that do not fit are named by both commands, with what to do.

use std::time::Duration;

use crate::files::late;
use crate::support::{Lab, foreign};

#[test]
fn certificates_that_do_not_fit_end_both_commands_with_advice() {
    if !foreign("mosquitto") {
        return;
    }
    let lab = Lab::new("certificates", 5_000);
    let _broker = lab.broker();
    std::fs::create_dir(lab.path("other")).unwrap();
    lab.ok("certs lab 127.0.0.1 --dir other");
    let both = |more: &str| {
        let publish = format!("publish -b 127.0.0.1:{} -f 1.1.0.bin {more}", lab.tls);
        [publish, format!("{} {more}", lab.fetch(lab.tls, "got.bin"))]
    };
    for (more, why, advice) in [
        ("--certs other --ca mosquitto_ca.crt", "refuses this client's certificate", "certs show"),
        ("--ca other/mosquitto_ca.crt", "of the same name, and another one", "--ca FILE"),
        ("--certs nowhere --ca mosquitto_ca.crt", "none was given", "--tls-cert and --tls-key"),
        ("--server-name broker.lan", "its certificate is for", "--server-name"),
        (
            "--tls-cert mosquitto_client.crt --tls-key other/mosquitto_client.key",
            "is not that of the certificate",
            "made together",
        ),
        ("--ca nowhere.crt", "nowhere.crt cannot be read", "path"),
    ] {
        for line in both(more) {
            let said = lab.fails(&line);
            assert!(said.contains(why) && said.contains(advice), "{line}\n{said}");
        }
    }
    // And one that has been made for the name that is expected.
    lab.publish(lab.tls, "-f 1.1.0.bin --server-name mosquitto_server");
}

#[test]
fn a_server_whose_certificate_was_revoked_ends_both_commands() {
    if !foreign("mosquitto") {
        return;
    }
    let lab = Lab::new("revoked", 5_000);
    let _broker = lab.broker();
    lab.ok("certs revoke");
    let publish = format!("publish -b 127.0.0.1:{} -f 1.1.0.bin", lab.tls);
    let publisher = lab.publish(lab.tls, "-f 1.1.0.bin");
    assert_eq!(lab.ok(&lab.fetch(lab.tls, "got.bin")), "installed 1.1.0\n");
    drop(publisher);
    lab.ok("certs revoke mosquitto_server.crt");
    for line in [publish, lab.fetch(lab.tls, "got.bin")] {
        let said = lab.fails(&line);
        assert!(said.contains("its certificate was revoked"), "{line}\n{said}");
        let said = lab.fails(&format!("{line} --crl mosquitto_ca.crt"));
        assert!(said.contains("holds no list of revoked certificates"), "{said}");
    }
}

#[test]
fn images_that_are_not_signed_by_the_key_are_refused_and_nothing_is_kept() {
    if !foreign("mosquitto") {
        return;
    }
    let lab = Lab::new("strangers", 9_000);
    let _broker = lab.broker();
    lab.ok("key new --type ed25519 stranger.pem");
    let _publisher = lab.publish(lab.tls, "-f 1.1.0.bin");
    let line = lab.fetch(lab.tls, "got.bin").replace("key.pem", "stranger.pem");
    let said = lab.fails(&line);
    assert!(said.contains("the bootloader would refuse the image"), "{said}");
    assert!(!lab.path("got.bin").exists());
    let unsigned = lab.fetch(lab.tls, "got.bin").replace("--key key.pem", "--unsigned");
    assert_eq!(lab.ok(&unsigned), "installed 1.1.0\n");
}

#[test]
fn a_publisher_that_has_served_waits_for_a_broker_whose_certificate_has_expired() {
    if !foreign("mosquitto and openssl") {
        return;
    }
    let lab = Lab::new("expires", 5_000);
    late(&lab);
    let mut broker = lab.broker();
    let mut publisher = lab.publish(lab.tls, "-f 1.1.0.bin");
    // Longer than a broker takes to refuse what it refuses.
    std::thread::sleep(Duration::from_millis(2500));
    let files = [("late.crt", "mosquitto_server.crt"), ("late.key", "mosquitto_server.key")];
    let good = files.map(|(_, file)| std::fs::read(lab.path(file)).unwrap());
    for (late, file) in files {
        std::fs::copy(lab.path(late), lab.path(file)).unwrap();
    }
    broker.kill();
    let mut broker = lab.broker();
    let said = lab.fails(&lab.fetch(lab.tls, "got.bin"));
    assert!(said.contains("its certificate has expired"), "{said}");
    std::thread::sleep(Duration::from_millis(2500));
    // Who begins now has to be told.
    let said = lab.fails(&format!("publish -b 127.0.0.1:{} -f 1.1.0.bin", lab.tls));
    assert!(said.contains("its certificate has expired"), "{said}");
    for ((_, file), bytes) in files.iter().zip(good) {
        std::fs::write(lab.path(file), bytes).unwrap();
    }
    broker.kill();
    let _broker = lab.broker();
    publisher.wait("connected");
    assert_eq!(lab.ok(&lab.fetch(lab.tls, "got.bin")), "installed 1.1.0\n");
}
