//! Every flow from publisher to device.

use std::io::Read;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{Lab, foreign};

const KIT: &str = "-k KIT-1";

#[test]
fn every_flow_brings_the_image_over_tls_and_in_plain_text() {
    if !foreign("mosquitto") {
        return;
    }
    let lab = Lab::new("flows", 60_000);
    let _broker = lab.broker();
    for port in [lab.tls, lab.plain] {
        let mut publisher = lab.publish(port, &format!("{KIT} -f 1.1.0.bin --log"));
        for (number, flow) in ["", "--piecewise", "--direct"].into_iter().enumerate() {
            let file = format!("{port}-{number}.bin");
            let said = lab.ok(&format!("{} {KIT} {flow}", lab.fetch(port, &file)));
            assert_eq!(said, "installed 1.1.0\n", "{flow}");
            assert!(lab.holds(&file, "1.1.0"), "{flow}");
            assert!(!lab.path(&format!("{file}.part")).exists());
            if flow != "--direct" {
                publisher.wait("succeeded");
            }
            // What runs it already has nothing to fetch.
            let again = if flow == "--direct" { "" } else { flow };
            let said = lab.ok(&format!("{} {KIT} {again}", lab.fetch(port, &file)));
            assert_eq!(said, "there is no update\n");
            publisher.wait("nothing-newer");
        }
        let single = publisher.told.iter().filter(|told| told["event"] == "chunk").count();
        assert_eq!(single, 60_000usize.div_ceil(4096), "chunks that were asked for one by one");
    }
}

#[test]
fn witnesses_of_another_make_see_what_goes_over_the_broker() {
    if !foreign("mosquitto_sub") {
        return;
    }
    let lab = Lab::new("witness", 10_000);
    let _broker = lab.broker();
    let port = lab.tls.to_string();
    let mut sub = Command::new("stdbuf");
    sub.args(["-oL", "mosquitto_sub", "-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", "#", "-d"]);
    sub.args(["-F", "witnessed %t %l %x", "--cafile", "mosquitto_ca.crt"]);
    sub.args(["--cert", "mosquitto_client.crt", "--key", "mosquitto_client.key", "-W", "30"]);
    let mut witness = sub.current_dir(lab.path("")).stdout(Stdio::piped()).spawn().unwrap();
    let mut seen = String::new();
    let pipe = witness.stdout.as_mut().unwrap();
    let mut until = |text: &str| {
        let mut byte = [0];
        while !seen.contains(text) {
            assert_eq!(pipe.read(&mut byte).unwrap(), 1, "{seen}");
            seen.push(byte[0].into());
        }
        seen.clone()
    };
    until("SUBACK");
    let mut publisher = lab.publish(lab.tls, &format!("{KIT} -f 1.1.0.bin --count 1"));
    lab.ok(&format!("{} {KIT} --serial S42", lab.fetch(lab.tls, "got.bin")));
    publisher.wait("succeeded");
    let result = "526573756c74205265636569766564"; // Result Received
    let seen = until(result);
    let lines: Vec<&str> = seen.lines().filter(|line| line.starts_with("witnessed ")).collect();
    let notify = "OTAUpdate/APP_KIT_1/publish_notify";
    let asked: Vec<_> = lines.iter().filter(|line| line.contains(notify)).collect();
    assert_eq!(asked.len(), 3, "{asked:?}");
    let chunks = lines.iter().filter(|line| line.contains(" 4f5441496d616765")).count();
    assert_eq!(chunks, lab.image("1.1.0").len().div_ceil(4096));
    witness.kill().unwrap();
    witness.wait().unwrap();
    assert!(publisher.ends().0);
}

#[test]
fn a_job_document_publishes_when_it_is_changed() {
    if !foreign("mosquitto") {
        return;
    }
    let lab = Lab::new("document", 10_000);
    let _broker = lab.broker();
    let document = |version: &str| {
        let text = format!(
            r#"{{"Message":"Update Available","Manufacturer":"Me","Board":"APP_KIT_1",
            "Version":"{version}","Connection":"MQTT","Broker":"127.0.0.1","Port":"{}"}}"#,
            lab.plain
        );
        std::fs::write(lab.path("ota_update.json"), text).unwrap();
        std::fs::copy(lab.path(&format!("{version}.bin")), lab.path("image.bin")).unwrap();
    };
    document("1.1.0");
    // As publisher.py is called, but for the broker's port.
    let _publisher = lab.publish(lab.plain, &format!("{KIT} -f image.bin -l"));
    let fetch = format!("{} {KIT}", lab.fetch(lab.plain, "got.bin"));
    assert_eq!(lab.ok(&fetch), "installed 1.1.0\n");
    assert_eq!(lab.ok(&fetch), "there is no update\n");
    document("1.2.0");
    assert_eq!(lab.ok(&fetch), "installed 1.2.0\n");
    assert!(lab.holds("got.bin", "1.2.0"));
}

#[test]
fn a_virtual_device_boots_what_was_fetched_to_its_flash() {
    if !foreign("mosquitto") {
        return;
    }
    let lab = Lab::new("flash", 50_000);
    let _broker = lab.broker();
    lab.ok("image sign --board virtual-nor-4k --key key.pem --version 9.0.0 app.bin 9.0.0.bin");
    let boots = |more: &str| lab.boots(more);
    assert!(boots("--load primary=1.0.0.bin").contains("starting 1.0.0"));
    let _publisher = lab.publish(lab.tls, &format!("{KIT} -f 1.1.0.bin"));
    let fetch =
        format!("fetch mqtts://127.0.0.1:{} {KIT} --key key.pem --flash dev.flash", lab.tls);
    assert_eq!(lab.ok(&fetch), "installed 1.1.0\n");
    let slots: Value =
        serde_json::from_str(&lab.ok("device show --flash dev.flash --json")).unwrap();
    let said = boots("");
    assert!(
        said.contains("new image installed (test)") && said.contains("starting 1.1.0"),
        "{slots} {said}"
    );
}
