//! Servers that do not read, do not answer, or do not stop; machines that are due without end.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use updraft_online::{Memory, Online, Session, Settings};
use updraft_ota::{Input, Output, Protocol, Transport};

use crate::broker::{Folder, LONG, plain};
use crate::talker::{Does, Talker, until};

const PIECE: usize = 16 * 1024;

/// A server of TLS that reads nothing before it is told to, and then more slowly than anybody writes.
/// Tells how much came before the client said that nothing follows.
fn late_reader(
    folder: &Folder,
    told: mpsc::Receiver<()>,
) -> (u16, std::thread::JoinHandle<std::io::Result<usize>>) {
    let chain = CertificateDer::from_pem_file(folder.file("mosquitto_server.crt")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.file("mosquitto_server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .unwrap();
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = server.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (mut socket, _) = server.accept().unwrap();
        let mut tls = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        told.recv().unwrap();
        let (mut piece, mut count) = ([0; 64 * 1024], 0);
        loop {
            // An end without goodbye is an error.
            match rustls::Stream::new(&mut tls, &mut socket).read(&mut piece)? {
                0 => return Ok(count),
                len => count += piece[..len].iter().filter(|byte| **byte == 7).count(),
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    (port, thread)
}

#[test]
fn goodbye_is_said_behind_all_that_was_written_and_nobody_spins_until_then() {
    let folder = Folder::with_lab("127.0.0.1");
    let (tell, told) = mpsc::channel();
    let (port, served) = late_reader(&folder, told);
    let mut memory = Memory::of_device(4096);
    let mut online = Online::new().unwrap();
    let talker = Talker::to(Transport::Https, "127.0.0.1", port);
    online.add(talker, folder.settings("hasty"), &mut memory);
    until(&mut online, &mut Vec::new(), |online, _| !online.machine(0).unwrap().heard.is_empty());
    let mut pieces = 0;
    let mut send = |online: &mut Online<'_, Talker>| {
        let before = online.traffic(0).sent;
        online.machine(0).unwrap().does.push_back(Does::Send(vec![7; PIECE]));
        online.wake(0);
        online.turn(Duration::ZERO, &mut |_, _| ()).unwrap();
        pieces += 1;
        online.traffic(0).sent > before
    };
    while send(&mut online) {}
    // TLS holds four of them, the others wait in front of it.
    for _ in 0..5 {
        assert!(!send(&mut online));
    }
    online.machine(0).unwrap().does.push_back(Does::Close);
    online.wake(0);
    let (mut turns, start) = (0, Instant::now());
    while !served.is_finished() {
        assert!(start.elapsed() < LONG, "the line is not left");
        online.turn(Duration::from_millis(50), &mut |_, _| ()).unwrap();
        turns += 1;
        if turns == 3 {
            assert!(online.machine(0).unwrap().does.is_empty(), "it has not left");
            tell.send(()).unwrap();
        }
    }
    assert_eq!(served.join().unwrap().unwrap(), pieces * PIECE);
    // A turn for each time that the socket takes something, and no others.
    assert!(turns < 5000, "{turns} turns in {:?}", start.elapsed());
}

#[test]
fn a_server_that_goes_on_talking_to_who_has_left_holds_up_nobody() {
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = server.local_addr().unwrap().port();
    let served = std::thread::spawn(move || {
        let (mut socket, _) = server.accept().unwrap();
        socket.read_exact(&mut [0; 3]).unwrap();
        let (start, piece) = (Instant::now(), vec![0; 64 * 1024]);
        while socket.write_all(&piece).is_ok() {
            assert!(start.elapsed() < LONG, "nobody hangs up");
        }
        start.elapsed()
    });
    let talker = Talker::to(Transport::Http, "127.0.0.1", port)
        .and(Does::Send(b"GET".to_vec()))
        .and(Does::Close);
    let mut memory = Memory::of_device(4096);
    let mut online = Online::new().unwrap();
    online.add(talker, plain("leaver"), &mut memory);
    while !served.is_finished() {
        online.turn(Duration::from_millis(20), &mut |_, _| ()).unwrap();
    }
    let took = served.join().unwrap();
    assert!(took < Duration::from_secs(3), "it was listened to for {took:?}");
}

/// A machine that is due all the time, as one is whose messages wait for the line.
#[derive(Default)]
struct Due {
    calls: usize,
}

impl Protocol for Due {
    fn start(&mut self, _: Duration) {}

    fn handle(&mut self, _: Input<'_>, _: Duration) {}

    fn poll(&mut self, _: Duration) {
        self.calls += 1;
    }

    fn output<'o>(&'o mut self, _: &'o mut [u8]) -> Option<Output<'o>> {
        None
    }

    fn deadline(&self) -> Option<Duration> {
        Some(Duration::ZERO)
    }
}

#[test]
fn a_machine_that_is_due_without_end_does_not_keep_the_thread_busy() {
    let mut memory = Memory::of_device(4096);
    let mut online = Online::new().unwrap();
    online.add(Due::default(), plain("due"), &mut memory);
    let (mut turns, start) = (0, Instant::now());
    while start.elapsed() < Duration::from_millis(500) {
        online.turn(Duration::from_millis(50), &mut |_, _| ()).unwrap();
        turns += 1;
    }
    let calls = online.machine(0).unwrap().calls;
    assert!((1..500).contains(&calls) && turns < 100, "{calls} calls in {turns} turns");
}

/// A broker that acknowledges nothing at first: the session is kept, and so is what it did not take.
#[test]
fn a_session_that_is_kept_connects_again_however_much_it_has_to_say() {
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = server.local_addr().unwrap().port();
    let served = std::thread::spawn(move || {
        let greet = || {
            let (mut line, _) = server.accept().unwrap();
            let mut head = [0; 2];
            line.read_exact(&mut head).unwrap();
            assert_eq!(head[0], 0x10, "it does not begin with CONNECT");
            line.read_exact(&mut vec![0; head[1].into()]).unwrap();
            line.write_all(&[0x20, 2, 1, 0]).unwrap();
            line
        };
        let mut line = greet();
        // Until nothing more comes.
        line.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        while line.read(&mut [0; 4096]).is_ok_and(|len| len > 0) {}
        drop(line);
        let mut line = greet();
        let (mut packet, mut found) = (vec![0; 103], 0);
        while found < 30 {
            line.read_exact(&mut packet).unwrap();
            assert_eq!(packet[0] & 0xf0, 0x30, "no message");
            // Its identifier stands behind the topic.
            line.write_all(&[0x40, 2, packet[5], packet[6]]).unwrap();
            found += 1;
        }
    });
    let mut talker = Talker::mqtt(port);
    for _ in 0..30 {
        talker = talker.says("t", &".".repeat(96));
    }
    let session = Session { clean: false, ..Session::new("a".repeat(60)) };
    let mut memory = Memory::new(512, 400);
    let mut online = Online::new().unwrap();
    online.add(talker, Settings::plain(session), &mut memory);
    let mut lost = Vec::new();
    until(&mut online, &mut lost, |_, lost| lost.len() == 1);
    let open = Does::Open(Transport::Mqtt, "127.0.0.1".into(), port);
    online.machine(0).unwrap().does.push_front(open);
    online.wake(0);
    let start = Instant::now();
    while !served.is_finished() {
        assert!(start.elapsed() < LONG, "{lost:?}");
        let hear = &mut |_, event: updraft_online::Event<'_>| {
            if let updraft_online::Event::Lost(error) = event {
                lost.push(error.to_string());
            }
        };
        online.turn(Duration::from_millis(50), hear).unwrap();
    }
    served.join().unwrap();
}
