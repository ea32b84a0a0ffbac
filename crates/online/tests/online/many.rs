//! Many machines in one thread.

use std::time::Instant;

use updraft_online::{Memory, Online};

use crate::broker::{Broker, Folder, plain};
use crate::talker::{Talker, until};

#[test]
fn two_hundred_machines_talk_over_tls_in_one_thread() {
    const MANY: usize = 200;
    let folder = Folder::with_lab("127.0.0.1");
    let broker = Broker::start(&folder);
    let mut memories: Vec<Memory> = (0..MANY).map(|_| Memory::new(512, 512)).collect();
    let mut online = Online::new().unwrap();
    let start = Instant::now();
    for (number, memory) in memories.iter_mut().enumerate() {
        let (topic, name) = (format!("talk/{number}"), format!("device{number}"));
        let talker = Talker::mqtt(broker.tls).listens(&topic).says(&topic, &name);
        online.add(talker, folder.settings(&name), memory);
    }
    let mut lost = Vec::new();
    until(&mut online, &mut lost, |online, _| {
        (0..MANY).all(|number| {
            let heard = &online.machine(number).unwrap().heard;
            heard.last().is_some_and(|last| *last == format!("talk/{number}: device{number}"))
        })
    });
    assert_eq!(lost, Vec::<String>::new());
    println!("machines {MANY} / {MANY} in {:.1} s", start.elapsed().as_secs_f64());
}

#[test]
fn a_server_that_does_not_answer_holds_up_nobody() {
    let folder = Folder::new();
    let broker = Broker::start(&folder);
    let silent = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut memories = vec![Memory::new(512, 512); 3];
    let mut online = Online::new().unwrap();
    let ports = [silent.local_addr().unwrap().port(), broker.plain, broker.plain];
    for (memory, (number, port)) in memories.iter_mut().zip(ports.into_iter().enumerate()) {
        online.add(Talker::mqtt(port), plain(&format!("device{number}")), memory);
    }
    let start = Instant::now();
    until(&mut online, &mut Vec::new(), |online, _| {
        (1..3).all(|number| online.machine(number).unwrap().heard == ["opened"])
    });
    assert!(start.elapsed().as_secs() < 5);
    assert!(online.machine(0).unwrap().heard.is_empty());
}
