//! What an answer that is lost must not cost.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use updraft_smp::server::{Failure, LogEntry, LogGroup, LogKind, LogMessage, Logs, Server};

use crate::support::{Bench, Fate, HOST, Relay, SELF, Way};

const RESET: (u16, u8) = (0, 5);

/// A reset whose answer is lost must not be asked for again: the new image is on trial by then,
/// and the second reset would revert it.
#[test]
fn a_lost_answer_to_a_reset_does_not_cost_the_update() {
    let bench = Bench::new("lost-reset");
    let (old, new) = (bench.image("1.0.0", SELF), bench.image("1.1.0", HOST));
    let device = bench.device_with(&old);
    device.smp(&format!("image upload {}", new.file)).ok();
    device.smp(&format!("image test {}", new.file)).ok();
    let mut lost = false;
    let link = Relay::to(&device.address, move |way, packet| {
        let is_reset = matches!(packet, [_, _, _, _, 0, 0, _, 5, ..]);
        match is_reset && way == Way::ToClient && !std::mem::replace(&mut lost, true) {
            true => Fate::Lost,
            false => Fate::Passes,
        }
    });
    bench.updraft(&format!("smp --udp {} --timeout 0.3 os reset", link.address)).ok();
    device.starts("1.1.0");
    assert_eq!((link.count(Fate::Lost), link.requests(RESET)), (1, 1));
    assert!(bench.slots().run(&new) && bench.slots().on_trial(), "{:?}", bench.slots());
}

#[test]
fn what_a_copy_would_do_again_is_asked_for_once() {
    let bench = Bench::new("once");
    let device = bench.device_with(&bench.image("1.0.0", SELF));
    let settings = r#"custom 3 0 {"name":"a","val":{"$hex":"01"}} --write"#;
    let lines = [
        ((4, 2), "log append console hello"),
        ((7, 0), "run test self-test"),
        ((9, 0), "shell version"),
        ((3, 0), settings),
    ];
    std::thread::scope(|scope| {
        for (command, line) in lines {
            let (bench, address) = (&bench, &device.address);
            scope.spawn(move || {
                let link = Relay::without_answers(address, command);
                let line = format!("smp --udp {} --timeout 0.1 {line}", link.address);
                bench.updraft(&line).complains(&["no answer from the device (1 requests sent)"]);
                assert_eq!(link.requests(command), 1, "{line}");
            });
        }
    });
    let log = device.smp("--json log show console").json();
    let hello =
        log["entries"].as_array().unwrap().iter().filter(|entry| entry["message"] == "hello");
    assert_eq!(hello.count(), 1);
}

#[test]
fn a_device_that_crashes_before_it_can_answer_has_crashed() {
    let bench = Bench::new("crash-silent");
    let device = bench.device_with(&bench.image("1.0.0", SELF));
    let link = Relay::without_answers(&device.address, (5, 0));
    let line = format!("smp --udp {} --timeout 0.2 crash div0", link.address);
    assert!(bench.updraft(&line).ok().contains("stopped answering: it has crashed"));
    device.wait("app: hard fault (div0)");
    device.starts("1.0.0");
    let said: Value = bench.updraft(&format!("--json {line}")).json();
    assert_eq!(said, json!({ "crash": "div0", "answered": false }));
    assert_eq!(link.requests((5, 0)), 2);

    // Somebody who never answered has not crashed.
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap();
    let nowhere = nobody.local_addr().unwrap();
    let line = format!("smp --udp {nowhere} --timeout 0.1 crash div0");
    bench.updraft(&line).complains(&["no answer from the device"]);
}

/// A log that has an entry more after every look at it.
struct Chatty(Vec<String>);

impl Logs for Chatty {
    fn log(&self, number: usize) -> Option<(&str, LogKind)> {
        (number == 0).then_some(("chatty", LogKind::Memory))
    }

    fn next_index(&self) -> u32 {
        self.0.len() as u32
    }

    fn entries(
        &mut self,
        _: usize,
        mut each: impl FnMut(&LogEntry<'_>) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        for (index, text) in (0..).zip(&self.0) {
            let message = LogMessage::Text(text);
            if !each(&LogEntry { index, timestamp: 0, module: 0, level: 1, message })? {
                break;
            }
        }
        self.0.push(format!("looked at {} times", self.0.len()));
        Ok(())
    }

    fn clear(&mut self, _: usize) -> Result<(), Failure> {
        Ok(())
    }

    fn modules(&mut self, _: impl FnMut(&str, u8) -> Result<(), Failure>) -> Result<(), Failure> {
        Ok(())
    }
}

#[test]
fn a_device_that_logs_every_request_is_read_to_the_end() {
    static OVER: AtomicBool = AtomicBool::new(false);
    let bench = Bench::new("chatty");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_millis(50))).unwrap();
    let address = socket.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let mut groups = (LogGroup(Chatty(vec!["x".repeat(100); 20])),);
        let (mut request, mut answer) = ([0; 2048], [0; 512]);
        while !OVER.load(Ordering::Relaxed) {
            let Ok((len, client)) = socket.recv_from(&mut request) else { continue };
            Server::default().handle(&request[..len], &mut groups, &mut answer, |answer| {
                socket.send_to(answer, client).unwrap();
            });
        }
        groups.0.0.0.len()
    });
    let said = bench.updraft(&format!("--json smp --udp {address} log show")).json();
    let entries = said["entries"].as_array().unwrap();
    let indices: Vec<_> = entries.iter().map(|entry| entry["index"].as_u64().unwrap()).collect();
    assert_eq!(indices[..20], (0..20).collect::<Vec<_>>());
    OVER.store(true, Ordering::Relaxed);
    assert!(server.join().unwrap() < 30, "no more than it takes to read 20 entries");
}
