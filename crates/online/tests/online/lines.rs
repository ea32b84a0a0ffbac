//! Sessions and bytes: what goes over a line, and what becomes of one that breaks.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use updraft_online::{Memory, Online, Session, Settings, Will};
use updraft_ota::Transport;

use crate::broker::{Broker, Folder, free_port, plain};
use crate::talker::{Does, Talker, fails, talk, until};

#[test]
fn messages_go_both_ways_with_tls_and_without() {
    let folder = Folder::with_lab("127.0.0.1");
    let broker = Broker::start(&folder);
    let lines = [(broker.plain, plain("one")), (broker.tls, folder.settings("two"))];
    for (port, settings) in lines {
        let listener = broker.listen("from/device", 1);
        let talker = Talker::mqtt(port)
            .listens("to/device")
            .says("from/device", "good morning")
            .says("to/device", "hello");
        assert_eq!(talk(talker, settings, "hello"), ["opened", "to/device: hello"]);
        let heard = listener.wait_with_output().unwrap();
        assert!(String::from_utf8_lossy(&heard.stdout).contains("good morning"));
    }
}

#[test]
fn more_than_the_outbox_holds_is_sent_all_the_same_and_in_order() {
    let folder = Folder::new();
    let broker = Broker::start(&folder);
    let mut talker = Talker::mqtt(broker.plain).listens("echo");
    for number in 0..200 {
        talker = talker.says("echo", &format!("{number:03}{}", ".".repeat(2000)));
    }
    let mut memory = Memory::of_device(4096);
    let mut online = Online::new().unwrap();
    online.add(talker, plain("chatty"), &mut memory);
    let mut lost = Vec::new();
    until(&mut online, &mut lost, |online, _| online.machine(0).unwrap().heard.len() == 201);
    assert_eq!(lost, Vec::<String>::new());
    for (number, heard) in online.machine(0).unwrap().heard.iter().skip(1).enumerate() {
        assert!(heard.starts_with(&format!("echo: {number:03}.")), "{number}: {heard}");
    }
    let traffic = online.traffic(0);
    assert!(traffic.sent > 400_000 && traffic.received > 400_000, "{traffic:?}");
}

#[test]
fn a_message_that_can_never_be_sent_is_named() {
    let folder = Folder::new();
    let broker = Broker::start(&folder);
    let talker = Talker::mqtt(broker.plain).says("topic", &".".repeat(5000));
    let why = fails(talker, plain("boaster"));
    assert!(why.starts_with("a message of 50") && why.ends_with("send smaller pieces"), "{why}");
}

/// A broker redirects to a server of files, which hears nothing of MQTT.
#[test]
fn what_was_said_over_mqtt_does_not_go_to_the_next_server() {
    let folder = Folder::new();
    let broker = Broker::start(&folder);
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = server.local_addr().unwrap().port();
    let heard = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let (mut socket, _) = server.accept().unwrap();
        socket.read_exact(&mut [0; 3]).unwrap();
        socket.write_all(b"answer").unwrap();
        socket.read_to_end(&mut bytes).unwrap();
        bytes
    });
    let mut memory = Memory::of_device(4096);
    let mut online = Online::new().unwrap();
    online.add(Talker::mqtt(broker.plain).listens("jobs"), plain("redirected"), &mut memory);
    let mut lost = Vec::new();
    until(&mut online, &mut lost, |online, _| online.machine(0).unwrap().heard.len() == 1);
    let next = [
        Does::Close,
        Does::Open(Transport::Http, "127.0.0.1".into(), port),
        Does::Send(b"GET".to_vec()),
    ];
    online.machine(0).unwrap().does.extend(next);
    online.wake(0);
    until(&mut online, &mut lost, |online, _| {
        online.machine(0).unwrap().heard.iter().any(|it| it == "answer")
    });
    online.machine(0).unwrap().does.push_back(Does::Close);
    online.wake(0);
    for _ in 0..10 {
        online.turn(Duration::from_millis(20), &mut |_, _| ()).unwrap();
    }
    assert_eq!(heard.join().unwrap(), b"");
    assert_eq!(lost, Vec::<String>::new());
}

/// A socket tells once that it takes bytes again.
#[test]
fn a_server_that_reads_slowly_gets_everything() {
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = server.local_addr().unwrap().port();
    let (pieces, len) = (100, 60_000);
    let reader = std::thread::spawn(move || {
        let (mut socket, _) = server.accept().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        let mut bytes = vec![0; pieces * len];
        socket.read_exact(&mut bytes).unwrap();
        socket.write_all(b"thanks").unwrap();
        bytes.iter().all(|byte| *byte == 7)
    });
    let mut talker = Talker::to(Transport::Http, "127.0.0.1", port);
    for _ in 0..pieces {
        talker = talker.and(Does::Send(vec![7; len]));
    }
    assert_eq!(talk(talker, plain("sender"), "thanks"), ["opened", "thanks"]);
    assert!(reader.join().unwrap());
}

#[test]
fn a_server_that_takes_the_call_and_says_nothing_is_given_up() {
    let folder = Folder::with_lab("127.0.0.1");
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = server.local_addr().unwrap().port();
    let settings = Settings { patience: Duration::from_millis(300), ..folder.settings("patient") };
    let why = fails(Talker::mqtt(port), settings);
    assert!(why.contains("timed out"), "{why}");
}

#[test]
fn the_last_will_is_published_when_the_machine_is_gone_and_not_when_it_leaves() {
    let folder = Folder::new();
    let broker = Broker::start(&folder);
    let will = Some(Will { topic: "gone".into(), payload: b"alas".to_vec() });
    let session = Session { will, ..Session::new("mortal") };
    let listener = broker.listen("gone", 1);
    // A new session of the same client ends the old one; it is then let go without a word.
    talk(Talker::mqtt(broker.plain), Settings::plain(session.clone()), "opened");
    let heard = listener.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&heard.stdout).contains("alas"));

    let mut listener = broker.listen("gone", 1);
    let mut memory = Memory::of_device(4096);
    let mut online = Online::new().unwrap();
    online.add(Talker::mqtt(broker.plain), Settings::plain(session), &mut memory);
    until(&mut online, &mut Vec::new(), |online, _| online.machine(0).unwrap().heard.len() == 1);
    online.machine(0).unwrap().does.push_back(Does::Close);
    online.wake(0);
    for _ in 0..10 {
        online.turn(Duration::from_millis(20), &mut |_, _| ()).unwrap();
    }
    drop(online);
    std::thread::sleep(Duration::from_millis(200));
    assert!(listener.try_wait().unwrap().is_none());
    listener.kill().unwrap();
    listener.wait().unwrap();
}

#[test]
fn a_session_that_is_kept_brings_what_came_in_between() {
    let folder = Folder::new();
    let broker = Broker::start(&folder);
    let settings = Settings::plain(Session { clean: false, ..Session::new("keeper") });
    talk(
        Talker::mqtt(broker.plain).listens("jobs").says("jobs", "first"),
        settings.clone(),
        "first",
    );
    broker.publish("jobs", "while away");
    let heard = talk(Talker::mqtt(broker.plain), settings, "while away");
    assert_eq!(heard, ["opened", "jobs: while away"]);
}

#[test]
fn a_clean_session_does_not_repeat_what_the_last_one_left_unacknowledged() {
    let folder = Folder::new();
    let broker = Broker::start(&folder);
    let (port, mut lost) = (broker.plain, Vec::new());
    let listener = broker.listen("topic", 2);
    let mut memory = Memory::of_device(4096);
    let mut online = Online::new().unwrap();
    online.add(Talker::mqtt(port), plain("forgetful"), &mut memory);
    until(&mut online, &mut lost, |online, _| online.machine(0).unwrap().heard.len() == 1);
    // Closed before the broker's answer can be read.
    online.machine(0).unwrap().does.extend([
        Does::Publish("topic".into(), b"once".to_vec()),
        Does::Close,
        Does::Open(Transport::Mqtt, "127.0.0.1".into(), port),
        Does::Publish("topic".into(), b"last".to_vec()),
    ]);
    online.wake(0);
    until(&mut online, &mut lost, |online, _| online.machine(0).unwrap().heard.len() == 2);
    until(&mut online, &mut lost, |online, _| online.traffic(0).received >= 12);
    let heard = String::from_utf8(listener.wait_with_output().unwrap().stdout).unwrap();
    let said: Vec<_> = heard.lines().filter(|line| matches!(*line, "once" | "last")).collect();
    assert_eq!(said, ["once", "last"]);
}

#[test]
fn a_broker_that_is_killed_is_noticed_and_found_again() {
    let folder = Folder::new();
    let mut broker = Broker::start(&folder);
    let (port, mut lost) = (broker.plain, Vec::new());
    let mut memory = Memory::of_device(4096);
    let mut online = Online::new().unwrap();
    online.add(Talker::mqtt(port), plain("patient"), &mut memory);
    until(&mut online, &mut lost, |online, _| online.machine(0).unwrap().heard.len() == 1);
    broker.stop();
    until(&mut online, &mut lost, |online, _| online.machine(0).unwrap().heard.len() == 2);
    assert!(lost[0].contains(&format!("127.0.0.1:{port}")), "{lost:?}");
    broker.restart();
    let open = || Does::Open(Transport::Mqtt, "127.0.0.1".into(), port);
    online.machine(0).unwrap().does.push_back(open());
    online.machine(0).unwrap().does.push_back(Does::Subscribe("again".into()));
    online.machine(0).unwrap().does.push_back(Does::Publish("again".into(), b"back".to_vec()));
    online.wake(0);
    until(&mut online, &mut lost, |online, _| {
        online.machine(0).unwrap().heard.last().is_some_and(|last| last == "again: back")
    });
    let closed = Does::Open(Transport::Mqtt, "127.0.0.1".into(), free_port());
    online.machine(0).unwrap().does.push_back(closed);
    online.wake(0);
    until(&mut online, &mut lost, |_, lost| lost.len() == 2);
    assert!(lost[1].contains("cannot be reached"), "{lost:?}");
}

#[test]
fn a_name_is_looked_up_and_one_that_is_not_found_is_named() {
    let folder = Folder::new();
    let broker = Broker::start(&folder);
    let talker = Talker::to(Transport::Mqtt, "localhost", broker.plain);
    assert_eq!(talk(talker, plain("named"), "opened"), ["opened"]);
    let why = fails(Talker::to(Transport::Mqtt, "no.such.name.invalid", 1883), plain("lost"));
    assert!(why.starts_with("the server no.such.name.invalid is not found"), "{why}");
}

#[test]
fn a_session_that_is_refused_is_named() {
    let folder = Folder::new();
    let broker = Broker::with(&folder, "allow_anonymous false\npassword_file /dev/null");
    let why = fails(Talker::mqtt(broker.plain), plain("nobody"));
    assert!(why.contains("refuses the connection") && why.contains("user name"), "{why}");
}

#[test]
fn a_subscription_that_is_not_granted_is_named() {
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = server.local_addr().unwrap().port();
    let served = std::thread::spawn(move || {
        let (mut line, _) = server.accept().unwrap();
        let mut read = |len| {
            let mut packet = vec![0; len];
            line.read_exact(&mut packet).unwrap();
            packet
        };
        let connect = read(2);
        read(connect[1].into());
        line.write_all(&[0x20, 2, 0, 0]).unwrap();
        let mut subscribe = [0; 4];
        line.read_exact(&mut subscribe).unwrap();
        line.write_all(&[0x90, 3, subscribe[2], subscribe[3], 0x80]).unwrap();
        // Until the client has had enough.
        let _ = line.read_to_end(&mut Vec::new());
    });
    let why = fails(Talker::mqtt(port).listens("secret/topic"), plain("curious"));
    assert!(why.contains("does not let this client listen to secret/topic"), "{why}");
    served.join().unwrap();
}

#[test]
fn bytes_of_http_go_both_ways_until_the_server_closes() {
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = server.local_addr().unwrap().port();
    let served = std::thread::spawn(move || {
        let (mut line, _) = server.accept().unwrap();
        let mut request = vec![0; 5];
        line.read_exact(&mut request).unwrap();
        line.write_all(b"pong!").unwrap();
        request
    });
    let talker = Talker::to(Transport::Http, "127.0.0.1", port).and(Does::Send(b"ping?".to_vec()));
    assert_eq!(talk(talker, plain(""), "closed"), ["opened", "pong!", "closed"]);
    assert_eq!(served.join().unwrap(), b"ping?");
}
