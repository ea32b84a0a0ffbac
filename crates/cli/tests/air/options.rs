//! What a broker keeps, tells and forbids: wills, sessions that stay, access lists; and updates that
//! have to wait.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::broken::until_it_holds;
use crate::support::{Lab, Process, foreign};

const KIT: &str = "-k KIT-1";
const NOTIFY: &str = "OTAUpdate/APP_KIT_1/publish_notify";

/// mosquitto's own client, once it listens; what it hears, a line each.
struct Sub {
    process: Process,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Sub {
    fn new(lab: &Lab, port: u16, options: &str) -> Self {
        let mut sub = Command::new("stdbuf");
        sub.args(["-oL", "mosquitto_sub", "-h", "127.0.0.1", "-p", &port.to_string(), "-d"]);
        sub.args(["-q", "1", "-W", "30", "-F", "heard %t %p"]).args(options.split(' '));
        let mut child = sub.current_dir(lab.path("")).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut sub = Self { process: Process(child), lines };
        sub.until("SUBACK");
        sub
    }

    /// Lines up to the one with this text in it.
    fn until(&mut self, text: &str) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            let line = self.lines.next().unwrap_or_else(|| panic!("no {text}: {seen:?}")).unwrap();
            let found = line.contains(text);
            seen.push(line);
            if found {
                return seen;
            }
        }
    }

    /// What it has heard when it is ended.
    fn ends(mut self) -> Vec<String> {
        self.process.kill();
        self.lines.map_while(Result::ok).filter(|line| line.starts_with("heard ")).collect()
    }
}

fn publishes(lab: &Lab, port: u16, topic: &str, message: &str, options: &str) -> bool {
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1", "-t", topic]);
    command.args(["-m", message]).args(options.split_whitespace());
    command.current_dir(lab.path("")).status().unwrap().success()
}

#[test]
fn the_broker_tells_of_a_device_that_is_gone_without_a_word() {
    if !foreign("mosquitto") {
        return;
    }
    let lab = Lab::new("will", 100_000);
    let _broker = lab.broker();
    let mut sub = Sub::new(&lab, lab.plain, "-t cy_ota_device/will");
    let _publisher = lab.publish(lab.plain, &format!("{KIT} -f 1.1.0.bin --pause 40"));
    let fetch = format!("{} {KIT}", lab.fetch(lab.plain, "got.bin"));
    let mut device = lab.start(&fetch);
    until_it_holds(&lab, "got.bin", 3);
    device.kill();
    sub.until("heard cy_ota_device/will MQTT demo unexpectedly disconnected.");
    // Of one that takes its leave there is nothing to tell.
    assert_eq!(lab.ok(&fetch), "installed 1.1.0\n");
    assert_eq!(sub.ends(), [""; 0]);
}

#[test]
fn a_session_that_is_kept_brings_a_publisher_what_it_has_missed() {
    if !foreign("mosquitto") {
        return;
    }
    let lab = Lab::new("kept-session", 5_000);
    let _broker = lab.broker();
    let topic = "OTAUpdate/APP_KIT_1/OTAImage/7";
    let question = format!(
        r#"{{"Message":"Update Availability","Version":"1.0.0","UniqueTopicName":"{topic}"}}"#
    );
    for (more, waits) in [("", false), ("--keep-session --client-id publisher-1", true)] {
        let mut publisher = lab.publish(lab.plain, &format!("{KIT} -f 1.1.0.bin {more}"));
        // Whoever is answered knows that it listens.
        let fetch = lab.fetch(lab.plain, &format!("got-{waits}.bin"));
        assert_eq!(lab.ok(&format!("{fetch} {KIT}")), "installed 1.1.0\n");
        publisher.kill();
        assert!(publishes(&lab, lab.plain, NOTIFY, &question, ""));
        let mut sub = Sub::new(&lab, lab.plain, &format!("-t {topic}"));
        let _publisher = lab.publish(lab.plain, &format!("{KIT} -f 1.1.0.bin {more}"));
        if waits {
            sub.until("Update Available");
        } else {
            std::thread::sleep(Duration::from_millis(700));
            assert_eq!(sub.ends(), [""; 0]);
        }
    }
}

#[test]
fn a_device_keeps_its_session_if_it_is_told_to() {
    if !foreign("mosquitto") {
        return;
    }
    let lab = Lab::new("kept-device", 5_000);
    let config = std::fs::read_to_string(lab.path("mosquitto.conf")).unwrap();
    std::fs::write(lab.path("mosquitto.conf"), format!("{config}sys_interval 1\n")).unwrap();
    let _broker = lab.broker();
    let mut sub = Sub::new(&lab, lab.plain, "-t $SYS/broker/clients/disconnected");
    let _publisher = lab.publish(lab.plain, &format!("{KIT} -f 1.1.0.bin"));
    let fetch = format!("{} {KIT} --client-id kit-1", lab.fetch(lab.plain, "got.bin"));
    assert_eq!(lab.ok(&fetch), "installed 1.1.0\n");
    sub.until("disconnected 0");
    assert_eq!(lab.ok(&format!("{fetch} --keep-session")), "there is no update\n");
    sub.until("disconnected 1");
}

#[test]
fn keys_are_spelled_as_devices_or_as_jobs_do() {
    if !foreign("mosquitto") {
        return;
    }
    let lab = Lab::new("spelling", 5_000);
    let _broker = lab.broker();
    let _publisher = lab.publish(lab.plain, &format!("{KIT} -f 1.1.0.bin"));
    for (spelling, key) in [("device", "\"BoardName\":"), ("job", "\"Board\":")] {
        let mut sub = Sub::new(&lab, lab.plain, &format!("-t {NOTIFY}"));
        let fetch = lab.fetch(lab.plain, &format!("{spelling}.bin"));
        let said = lab.ok(&format!("{fetch} {KIT} --spelling {spelling}"));
        assert_eq!(said, "installed 1.1.0\n");
        let heard = sub.until("Update Availability").pop().unwrap();
        assert!(heard.contains(key), "{heard}");
    }
}

#[test]
fn an_update_waits_for_gates_that_files_keep_closed_and_names_them() {
    if !foreign("mosquitto") {
        return;
    }
    let lab = Lab::new("gates", 40_000);
    let _broker = lab.broker();
    let _publisher = lab.publish(lab.plain, &format!("{KIT} -f 1.1.0.bin"));
    for gate in ["battery", "network", "user"] {
        std::fs::write(lab.path("gate"), "wait\n").unwrap();
        let fetch = lab.fetch(lab.plain, &format!("{gate}.bin"));
        let mut device = lab.start(&format!("{fetch} {KIT} --gate {gate}=gate"));
        assert_eq!(device.wait("deferred")["why"], gate);
        std::fs::write(lab.path("gate"), "full\n").unwrap();
        assert_eq!(device.wait("resumed")["why"], gate);
        assert!(device.ends().0);
        assert!(lab.holds(&format!("{gate}.bin"), "1.1.0"));
    }
    std::fs::write(lab.path("gate"), "never").unwrap();
    let fetch = lab.fetch(lab.plain, "never.bin");
    let said = lab.fails(&format!("{fetch} {KIT} --gate network=other --gate user=gate"));
    assert!(said.contains("refused by the user"), "{said}");
    assert!(!lab.path("never.bin").exists());
}

#[test]
fn with_an_access_list_devices_read_what_is_theirs_and_nobody_else_sends_images() {
    if !foreign("mosquitto") {
        return;
    }
    let lab = Lab::new("access", 20_000);
    lab.ok("certs device kit-1 kit-2");
    let list = lab.path("devices.acl");
    lab.configure(&format!("--acl {}", list.display()));
    let _broker = lab.broker();
    let tls = |name: &str| format!("--cafile mosquitto_ca.crt --cert {name}.crt --key {name}.key");
    let topics = "-t OTAUpdate/APP_KIT_1/kit-1/# -t OTAUpdate/APP_KIT_1/kit-2/#";
    let spy = Sub::new(&lab, lab.tls, &format!("{topics} {}", tls("kit-2")));
    let _publisher = lab.publish(lab.tls, &format!("{KIT} -f 1.1.0.bin"));
    let fetch = |identity: &str, device: &str, file: &str| {
        let tls = format!("--tls-cert {identity}.crt --tls-key {identity}.key");
        format!("{} {KIT} {tls} --device {device}", lab.fetch(lab.tls, file))
    };
    assert_eq!(lab.ok(&fetch("kit-1", "kit-1", "one.bin")), "installed 1.1.0\n");
    assert!(lab.holds("one.bin", "1.1.0"));
    // Nor does a device send what others take for the publisher's.
    let other = "OTAUpdate/APP_KIT_1/kit-2/OTAImage/9";
    publishes(&lab, lab.tls, other, "forged", &tls("kit-1"));
    assert!(publishes(&lab, lab.tls, other, "real", &tls("mosquitto_client")));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(spy.ends(), [format!("heard {other} real")]);
    // Under another's name nothing comes.
    let said = lab.fails(&format!("{} --timeout 3", fetch("kit-2", "kit-1", "two.bin")));
    assert!(said.contains("--timeout"), "{said}");
    assert!(!lab.path("two.bin").exists());
}
