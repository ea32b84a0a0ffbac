//! A network that carries nothing any more and does not say so.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use updraft_online::{Memory, Online, Session, Settings};
use updraft_ota::Transport;

use crate::broker::{Broker, Folder};
use crate::talker::{Does, Talker, until};

/// A network between here and a server, which can be made to stall.
fn network(server: u16) -> (u16, Arc<AtomicBool>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let stalled = Arc::new(AtomicBool::new(false));
    let stalls = Arc::clone(&stalled);
    std::thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)) else { continue };
            let ends = (near.try_clone().unwrap(), far.try_clone().unwrap());
            for (from, to) in [(near, far), (ends.1, ends.0)] {
                let stalls = Arc::clone(&stalls);
                std::thread::spawn(move || carry(from, to, &stalls));
            }
        }
    });
    (port, stalled)
}

fn carry(mut from: TcpStream, mut to: TcpStream, stalled: &AtomicBool) {
    let mut buffer = [0; 4096];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        while stalled.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(10));
        }
        if to.write_all(&buffer[..len]).is_err() {
            return;
        }
    }
}

#[test]
fn a_line_that_stalls_is_given_up_after_the_keep_alive_and_what_was_said_arrives_later() {
    let folder = Folder::new();
    let broker = Broker::start(&folder);
    let (port, stalled) = network(broker.plain);
    let listener = broker.listen("from/device", 2);
    let session = Session { clean: false, keep_alive: 1, ..Session::new("patient") };
    let mut memory = Memory::of_device(4096);
    let mut online = Online::new().unwrap();
    let talker = Talker::mqtt(port).says("from/device", "before");
    online.add(talker, Settings::plain(session), &mut memory);
    let mut lost = Vec::new();
    until(&mut online, &mut lost, |online, _| online.traffic(0).received >= 8);
    stalled.store(true, Ordering::SeqCst);
    let stall = Instant::now();
    let said = Does::Publish("from/device".into(), b"while it stalls".to_vec());
    online.machine(0).unwrap().does.push_back(said);
    online.wake(0);
    until(&mut online, &mut lost, |_, lost| !lost.is_empty());
    assert!(lost[0].contains("the server does not answer"), "{lost:?}");
    let took = stall.elapsed();
    assert!((10..15).contains(&took.as_secs()), "given up after {took:?}");
    stalled.store(false, Ordering::SeqCst);
    let open = Does::Open(Transport::Mqtt, "127.0.0.1".into(), port);
    online.machine(0).unwrap().does.push_back(open);
    online.wake(0);
    until(&mut online, &mut lost, |online, _| {
        online.machine(0).unwrap().heard.last().is_some_and(|last| last == "opened")
    });
    until(&mut online, &mut lost, |online, _| online.traffic(0).received >= 16);
    let heard = String::from_utf8(listener.wait_with_output().unwrap().stdout).unwrap();
    assert!(heard.contains("before") && heard.contains("while it stalls"), "{heard}");
}
