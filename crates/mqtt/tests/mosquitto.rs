//! The client against a broker and clients that others wrote: mosquitto, mosquitto_pub and
//! mosquitto_sub.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use updraft_mqtt::{Client, ClientError, Connect, ConnectCode, Event, LastWill, Patience, QoS};

/// The most that any answer is waited for.
const LONG: Duration = Duration::from_secs(20);

/// A broker on a port of its own. What it holds survives [`Broker::restart`].
struct Broker {
    child: Option<Child>,
    port: u16,
    folder: PathBuf,
}

impl Broker {
    fn start(more: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("updraft-mqtt-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let port = {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            free.local_addr().unwrap().port()
        };
        // As root it would become another user, who may not write to the folder.
        let user = std::env::var("USER").unwrap_or_else(|_| "root".into());
        let config = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\n\
             persistence_location {}/\nautosave_interval 1\nuser {user}\n{more}\n",
            folder.display()
        );
        std::fs::write(folder.join("mosquitto.conf"), config).unwrap();
        let mut broker = Self { child: None, port, folder };
        broker.restart();
        broker
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn restart(&mut self) {
        self.stop();
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let child = Command::new("mosquitto")
            .env("PATH", path)
            .arg("-c")
            .arg(self.folder.join("mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.expect("mosquitto: `cargo xtask setup` installs it"));
        let until = Instant::now() + LONG;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            assert!(Instant::now() < until, "mosquitto does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn publish(&self, topic: &str, payload: &str, more: &[&str]) {
        let port = self.port.to_string();
        let args = ["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", topic, "-m", payload];
        let ended = Command::new("mosquitto_pub").args(args).args(more).status().unwrap();
        assert!(ended.success());
    }

    /// `mosquitto_sub` that ends after a message, once it has subscribed.
    fn listen(&self, topic: &str) -> Child {
        let port = self.port.to_string();
        let args =
            ["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", topic, "-C", "1", "-d", "-W", "20"];
        // A pipe is written to in blocks otherwise.
        let command = &mut Command::new("stdbuf");
        command.args(["-oL", "mosquitto_sub"]).args(args).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut said = String::new();
        let mut byte = [0];
        while !said.contains("SUBACK") {
            child.stdout.as_mut().unwrap().read_exact(&mut byte).unwrap();
            said.push(byte[0].into());
        }
        child
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A client with a socket and a clock.
struct Talk {
    client: Client<'static>,
    socket: Option<TcpStream>,
    clock: Instant,
    unread: Vec<u8>,
}

impl Talk {
    fn new() -> Self {
        let [inbox, outbox] = [5120, 2048].map(|room| Box::leak(vec![0; room].into_boxed_slice()));
        let client = Client::new(inbox, outbox, Patience::default());
        Self { client, socket: None, clock: Instant::now(), unread: Vec::new() }
    }

    fn open(broker: &Broker, connect: &Connect<'_>) -> Self {
        let mut talk = Self::new();
        assert_eq!(talk.reopen(broker, connect), "connected, new session");
        talk
    }

    fn reopen(&mut self, broker: &Broker, connect: &Connect<'_>) -> String {
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, broker.port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        self.socket = Some(socket);
        self.unread.clear();
        self.client.connect(connect, self.clock.elapsed()).unwrap();
        self.next().unwrap()
    }

    /// Sends what waits, and waits for something to happen.
    fn next(&mut self) -> Result<String, ClientError> {
        let until = Instant::now() + LONG;
        loop {
            self.flush();
            if let Some(event) = self.client.event()? {
                return Ok(match event {
                    Event::Connected { session_present: true } => "connected, kept session".into(),
                    Event::Connected { session_present: false } => "connected, new session".into(),
                    Event::Message(it) => {
                        format!("{}: {}", it.topic, String::from_utf8_lossy(it.payload))
                    }
                    Event::Published(_) => "published".into(),
                    Event::Subscribed { codes, .. } => {
                        format!("subscribed {:?}", codes.iter().next().unwrap())
                    }
                    other => format!("{other:?}"),
                });
            }
            self.client.tick(self.clock.elapsed())?;
            assert!(Instant::now() < until, "nothing happens");
            let taken = self.client.receive(&self.unread)?;
            self.unread.drain(..taken);
            if taken == 0 {
                self.read();
            }
        }
    }

    fn flush(&mut self) {
        let Some(socket) = &mut self.socket else { return };
        while !self.client.transmit().is_empty() {
            // In pieces, as a modem may take them.
            let piece = self.client.transmit();
            let piece = &piece[..piece.len().min(7)];
            socket.write_all(piece).unwrap();
            let len = piece.len();
            self.client.sent(len, self.clock.elapsed());
        }
    }

    fn read(&mut self) {
        let mut buffer = [0; 1000];
        match self.socket.as_mut().unwrap().read(&mut buffer) {
            Ok(len) => self.unread.extend(&buffer[..len]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn messages_go_both_ways() {
    let broker = Broker::start("");
    let mut talk = Talk::open(&broker, &Connect::new("device"));
    talk.client.subscribe("to/+/device", true).unwrap();
    assert_eq!(talk.next(), Ok("subscribed Some(AtLeastOnce)".into()));
    broker.publish("to/the/device", "hello", &[]);
    assert_eq!(talk.next(), Ok("to/the/device: hello".into()));
    let listener = broker.listen("from/#");
    talk.client.publish("from/device", b"good morning", true).unwrap();
    assert_eq!(talk.next(), Ok("published".into()));
    let heard = listener.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&heard.stdout).contains("good morning"));
    talk.client.unsubscribe("to/+/device").unwrap();
    assert!(talk.next().unwrap().starts_with("Unsubscribed"));
}

#[test]
fn a_kept_session_gets_what_came_while_the_client_was_away() {
    let broker = Broker::start("");
    let connect = Connect { clean_session: false, ..Connect::new("keeper") };
    let mut talk = Talk::open(&broker, &connect);
    talk.client.subscribe("jobs", true).unwrap();
    talk.next().unwrap();
    talk.socket = None;
    (0..5).for_each(|number| broker.publish("jobs", &format!("job {number}"), &[]));
    assert_eq!(talk.reopen(&broker, &connect), "connected, kept session");
    for number in 0..5 {
        assert_eq!(talk.next(), Ok(format!("jobs: job {number}")));
    }
}

#[test]
fn a_broker_that_is_killed_loses_nothing_that_was_not_acknowledged() {
    let mut broker = Broker::start("");
    let connect = Connect { clean_session: false, ..Connect::new("sender") };
    let mut talk = Talk::open(&broker, &connect);
    broker.stop();
    talk.client.publish("results", b"kept", true).unwrap();
    broker.restart();
    let listener = broker.listen("results");
    assert!(talk.reopen(&broker, &connect).starts_with("connected"));
    assert_eq!(talk.next(), Ok("published".into()));
    let heard = listener.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&heard.stdout).contains("kept"));
}

#[test]
fn the_last_will_is_published_if_a_client_goes_without_a_word() {
    let broker = Broker::start("");
    let will =
        Some(LastWill { topic: "gone", payload: b"alas", qos: QoS::AtLeastOnce, retain: false });
    let mut talk = Talk::open(&broker, &Connect { will, ..Connect::new("mortal") });
    let listener = broker.listen("gone");
    talk.socket = None;
    let heard = listener.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&heard.stdout).contains("alas"));

    let mut talk = Talk::open(&broker, &Connect { will, ..Connect::new("polite") });
    let mut listener = broker.listen("gone");
    talk.client.disconnect().unwrap();
    talk.flush();
    talk.socket = None;
    std::thread::sleep(Duration::from_millis(300));
    assert!(listener.try_wait().unwrap().is_none());
    listener.kill().unwrap();
    listener.wait().unwrap();
}

#[test]
fn a_broker_that_refuses_says_why() {
    let broker = Broker::start("allow_anonymous false\npassword_file /dev/null");
    let mut talk = Talk::new();
    talk.socket = TcpStream::connect((Ipv4Addr::LOCALHOST, broker.port)).ok();
    talk.client.connect(&Connect::new("nobody"), Duration::ZERO).unwrap();
    assert_eq!(talk.next(), Err(ClientError::Refused(ConnectCode::NotAuthorized)));
}

#[test]
fn chunks_of_four_kibibytes_come_whole_and_longer_messages_are_let_go() {
    let broker = Broker::start("");
    let mut talk = Talk::open(&broker, &Connect::new("device"));
    talk.client.subscribe("chunk", true).unwrap();
    talk.next().unwrap();
    let (chunk, long) = ("c".repeat(4096 + 32), "l".repeat(6000));
    for payload in [&chunk, &long, &chunk] {
        broker.publish("chunk", payload, &[]);
    }
    assert_eq!(talk.next(), Ok(format!("chunk: {chunk}")));
    assert_eq!(talk.next(), Ok(format!("TooLong {{ len: {} }}", 3 + 7 + 2 + 6000)));
    assert_eq!(talk.next(), Ok(format!("chunk: {chunk}")));
}

#[test]
fn a_session_outlives_its_keep_alive_by_pings() {
    let broker = Broker::start("");
    let connect = Connect { keep_alive: 1, ..Connect::new("quiet") };
    let mut talk = Talk::open(&broker, &connect);
    talk.client.subscribe("late", false).unwrap();
    talk.next().unwrap();
    let until = Instant::now() + Duration::from_secs(4);
    while Instant::now() < until {
        talk.flush();
        assert_eq!(talk.client.event(), Ok(None));
        talk.client.tick(talk.clock.elapsed()).unwrap();
        let taken = talk.client.receive(&talk.unread).unwrap();
        talk.unread.drain(..taken);
        talk.read();
    }
    broker.publish("late", "still here", &[]);
    assert_eq!(talk.next(), Ok("late: still here".into()));
}
