//! Servers that a job names: they are held to their own names, and are not told who the device is.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};

use updraft_online::{Memory, Online, Session, Settings};
use updraft_ota::Transport;

use crate::broker::{Broker, Folder, plain, tls};
use crate::talker::{Does, Talker, until};

/// What a device hears of its own server at 127.0.0.1, and of the one at localhost that it is sent
/// to then; with what went wrong.
fn redirected(broker: &Broker, settings: Settings) -> (Vec<String>, Vec<String>) {
    let mut memory = Memory::of_device(4096);
    let mut online = Online::new().unwrap();
    online.add(Talker::mqtt(broker.tls), settings, &mut memory);
    let mut lost = Vec::new();
    until(&mut online, &mut lost, |online, _| online.machine(0).unwrap().heard.len() == 1);
    let next = Does::Open(Transport::Mqtt, "localhost".into(), broker.tls);
    online.machine(0).unwrap().does.push_back(next);
    online.wake(0);
    until(&mut online, &mut lost, |online, _| online.machine(0).unwrap().heard.len() == 2);
    (std::mem::take(&mut online.machine(0).unwrap().heard), lost)
}

#[test]
fn the_name_that_is_expected_of_the_own_server_is_not_expected_of_another_one() {
    let folder = Folder::with_lab("broker.lan");
    let broker = Broker::start(&folder);
    let settings =
        || tls(&folder.trust(), Some(&folder.client()), Some("broker.lan"), "device").unwrap();
    // The same broker, by another name: its certificate is not for that.
    let (heard, lost) = redirected(&broker, settings());
    assert_eq!(heard, ["opened", "closed"]);
    assert!(
        lost[0].contains("its certificate is for") && lost[0].contains("broker.lan"),
        "{lost:?}"
    );
}

#[test]
fn a_certificate_is_shown_to_the_own_server_and_to_those_that_may_know() {
    let folder = Folder::with_lab("127.0.0.1 localhost");
    let broker = Broker::start(&folder);
    let (heard, lost) = redirected(&broker, folder.settings("reserved"));
    assert_eq!(heard, ["opened", "closed"]);
    assert!(lost[0].contains("which only this device's own server is told"), "{lost:?}");
    assert!(lost[0].contains("none was given") && lost[0].contains("--also-for HOST"), "{lost:?}");
    let also_for = vec!["localhost".to_owned()];
    let open = Settings { also_for, ..folder.settings("open") };
    let (heard, lost) = redirected(&broker, open);
    assert_eq!((heard.as_slice(), lost.len()), (&["opened".to_owned(), "opened".into()][..], 0));
}

/// A broker that takes everybody, and hands out what they said.
fn listener() -> (u16, std::thread::JoinHandle<Vec<u8>>) {
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = server.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (mut line, _) = server.accept().unwrap();
        let mut connect = vec![0; 2];
        line.read_exact(&mut connect).unwrap();
        connect.resize(2 + usize::from(connect[1]), 0);
        line.read_exact(&mut connect[2..]).unwrap();
        line.write_all(&[0x20, 2, 0, 0]).unwrap();
        let _ = line.read_to_end(&mut Vec::new());
        connect
    });
    (port, thread)
}

#[test]
fn a_password_does_not_follow_a_device_to_another_server() {
    let (own, at_home) = listener();
    let (other, away) = listener();
    let user = Some(("device".to_owned(), "secret".to_owned()));
    let session = Session { user, ..Session::new("device") };
    let mut memory = Memory::of_device(4096);
    let mut online = Online::new().unwrap();
    online.add(Talker::mqtt(own), Settings { session, ..plain("") }, &mut memory);
    let mut lost = Vec::new();
    until(&mut online, &mut lost, |online, _| online.machine(0).unwrap().heard.len() == 1);
    let next = Does::Open(Transport::Mqtt, "localhost".into(), other);
    online.machine(0).unwrap().does.push_back(next);
    online.wake(0);
    until(&mut online, &mut lost, |online, _| online.machine(0).unwrap().heard.len() == 2);
    drop(online);
    let has = |said: Vec<u8>| said.windows(6).any(|it| it == b"secret");
    assert!(has(at_home.join().unwrap()));
    assert!(!has(away.join().unwrap()));
}
