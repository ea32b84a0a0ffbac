//! Devices in one thread, a publisher in another, a broker in a process.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use updraft_board::{Board, Role};
use updraft_image::{Digest, HashKind};
use updraft_online::{Credentials, Memory, Online, Session, Settings, Tls, Trust};
use updraft_ota::dfu::{Slot, System};
use updraft_ota::infineon::{self, CHUNK_HEADER, Chunk, Document, Identity, Request, Timers};
use updraft_ota::json::Text;
use updraft_ota::{Agent, Config, Endpoint, Input, Output, Protocol, Record, Transport, ddi};
use updraft_publisher::{Job, Publisher};
use updraft_sign::PublicKey;
use updraft_sim::device::{Keys, dfu, flash_in_memory, program};
use updraft_sim::flash::SimFlash;

const BOARD: &str = "APP_KIT";
const BLOCK: usize = 4096;

/// How an image comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// A job, then the whole image.
    Whole,
    /// A job, then a question for each chunk.
    Chunks,
    /// The whole image, without a job.
    Direct,
}

/// How the broker is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    Plain,
    Tls,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    /// Images whose SHA-256 is that of what was published.
    pub identical: usize,
    pub took: Duration,
    /// Bytes to all devices, and from them.
    pub received: u64,
    pub sent: u64,
    /// Blocks that came although the device held them, and such that it asked for.
    pub came_again: u64,
    pub asked_again: u64,
    /// Blocks that were held when the broker was killed.
    pub held: u64,
}

/// What happens meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    Fair,
    /// The broker is killed once half of all blocks are held, and started again a second later.
    KillsTheBroker,
}

/// A folder with a key, images, certificates, and a broker.
pub struct Lab {
    folder: PathBuf,
    ports: [u16; 2],
    broker: Child,
    board: Board,
}

impl Lab {
    pub fn new(name: &str, application: usize) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("ota-{name}"));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let updraft = |line: &str| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_updraft"));
            let output = command.args(line.split(' ')).current_dir(&folder).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        let bytes: Vec<u8> = (0..application).map(|i| (i * 7 + i / BLOCK) as u8 | 1).collect();
        std::fs::write(folder.join("app.bin"), bytes).unwrap();
        updraft("key new --type ed25519 key.pem");
        for version in ["1.0.0", "1.1.0"] {
            let sign = "image sign --board virtual-nor-4k --key key.pem --version";
            updraft(&format!("{sign} {version} app.bin {version}.bin"));
        }
        updraft("certs lab 127.0.0.1");
        let ports = [free_port(), free_port()];
        let config = updraft(&format!(
            "certs mosquitto --address 127.0.0.1 --plain {} --port {} --dir {}",
            ports[0],
            ports[1],
            folder.display()
        ));
        // As root it would become another user, who may not read the folder.
        let user = std::env::var("USER").unwrap_or_else(|_| "root".into());
        let global = "set_tcp_nodelay true\nsys_interval 1\n";
        let config = format!("user {user}\n{global}{config}");
        std::fs::write(folder.join("mosquitto.conf"), config).unwrap();
        let broker = start_broker(&folder, ports[0]);
        let board = Board::load("virtual-nor-4k").unwrap();
        Self { folder, ports, broker, board }
    }

    /// Kills the broker, with all that waits in it, and starts it again after a while.
    fn kill_broker(&mut self, after: Duration) {
        let _ = self.broker.kill();
        let _ = self.broker.wait();
        std::thread::sleep(after);
        self.broker = start_broker(&self.folder, self.ports[0]);
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.join(name)).unwrap()
    }

    pub fn image(&self) -> Vec<u8> {
        self.read("1.1.0.bin")
    }

    /// What a device is that runs the old image.
    fn flash(&self) -> SimFlash {
        let mut flash = flash_in_memory(&self.board);
        let primary = self.board.slot(0, Role::Primary).unwrap().id;
        program(&mut flash, primary, &self.read("1.0.0.bin")).unwrap();
        flash
    }

    fn keys(&self) -> Keys {
        let pem = String::from_utf8(self.read("key.pem")).unwrap();
        Keys::trusting(vec![PublicKey::from_pem(&pem).unwrap().as_der().to_vec()]).unwrap()
    }

    fn port(&self, line: Line) -> u16 {
        let [plain, tls] = self.ports;
        if line == Line::Plain { plain } else { tls }
    }

    /// How each of many is connected; what they have in common of TLS is read once.
    fn settings(&self, line: Line) -> impl Fn(String) -> Settings + use<> {
        let file = |name: &str| self.folder.join(name);
        let (certificate, key) = (file("mosquitto_client.crt"), file("mosquitto_client.key"));
        let trust = Trust::File(file("mosquitto_ca.crt"));
        let tls = Tls::new(&trust, Some(&Credentials { certificate, key }), None).unwrap();
        let tls = Arc::new(tls);
        move |name| match line {
            Line::Plain => Settings::plain(Session::new(name)),
            Line::Tls => Settings::tls(Session::new(name), Arc::clone(&tls)),
        }
    }
}

fn start_broker(folder: &Path, port: u16) -> Child {
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("mosquitto");
    command.env("PATH", path).arg("-c").arg(folder.join("mosquitto.conf"));
    let broker = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let broker = broker.expect("mosquitto: `cargo xtask setup` installs it");
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        std::thread::sleep(Duration::from_millis(20));
    }
    broker
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.broker.kill();
        let _ = self.broker.wait();
    }
}

fn free_port() -> u16 {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    free.local_addr().unwrap().port()
}

/// What is neither flash nor boot flags.
#[derive(Default)]
struct Rest {
    record: Option<Vec<u8>>,
    resets: usize,
}

impl System for Rest {
    type Error = ();

    fn reset(&mut self) {
        self.resets += 1;
    }

    fn load(&mut self, record: &mut [u8]) -> Result<Option<usize>, ()> {
        let Some(kept) = &self.record else { return Ok(None) };
        record.iter_mut().zip(kept).for_each(|(to, from)| *to = *from);
        Ok(Some(kept.len()))
    }

    fn save(&mut self, record: &[u8]) -> Result<(), ()> {
        self.record = Some(record.to_vec());
        Ok(())
    }
}

type Device<'b> = infineon::Device<'b, Slot<SimFlash, Keys, Rest>>;

/// A device, and what it is sent and asks for although it holds that.
struct Counted<'b> {
    device: Device<'b>,
    /// Which blocks it holds.
    held: Vec<bool>,
    came_again: u64,
    asked_again: u64,
}

impl Protocol for Counted<'_> {
    fn start(&mut self, now: Duration) {
        self.device.start(now);
    }

    fn handle(&mut self, input: Input<'_>, now: Duration) {
        let chunk = match input {
            Input::Message { payload, .. } => Chunk::decode(payload).ok(),
            _ => None,
        };
        let block = chunk.map(|chunk| chunk.offset as usize / BLOCK);
        if let Some(held) = block.and_then(|block| self.held.get(block)) {
            self.came_again += u64::from(*held);
        }
        self.device.handle(input, now);
        if let Some(block) = block {
            let agent = self.device.agent();
            let holds = agent.is_fetching() && !agent.misses(block as u32);
            self.held.resize(self.held.len().max(block + 1), false);
            self.held[block] |= holds;
        }
    }

    fn poll(&mut self, now: Duration) {
        self.device.poll(now);
    }

    fn output<'o>(&'o mut self, buffer: &'o mut [u8]) -> Option<Output<'o>> {
        let output = self.device.output(buffer)?;
        if let Output::Publish { payload, .. } = output
            && let Ok(document) = Document::decode(payload)
            && let Ok(Request::Chunk { offset, .. }) = document.request()
        {
            let held = self.held.get(offset as usize / BLOCK).copied().unwrap_or(false);
            self.asked_again += u64::from(held);
        }
        Some(output)
    }

    fn deadline(&self) -> Option<Duration> {
        self.device.deadline()
    }
}

/// Memory of one device.
struct Room {
    record: Vec<u8>,
    job: Vec<u8>,
    number: String,
}

/// All devices ask for an update at once, and get it.
pub fn update(
    lab: &mut Lab,
    line: Line,
    flow: Flow,
    devices: usize,
    weather: Weather,
    limit: Duration,
) -> Sum {
    let (image, port) = (lab.image(), lab.port(line));
    let settings = lab.settings(line);
    let done = Arc::new(AtomicBool::new(false));
    let publisher = publish(&image, port, settings("publisher".into()), Arc::clone(&done));

    let secondary = lab.board.slot(0, Role::Secondary).unwrap().id;
    let (flash, keys) = (lab.flash(), lab.keys());
    let room = |number| Room {
        record: vec![0; Record::size(128)],
        job: vec![0; 1024],
        number: format!("S{number}"),
    };
    let mut rooms: Vec<Room> = (0..devices).map(room).collect();
    let mut memories = vec![Memory::of_device(BLOCK); devices];
    let mut online = Online::new().unwrap();
    let start = Instant::now();
    for (number, (room, memory)) in rooms.iter_mut().zip(&mut memories).enumerate() {
        // Copies share what they do not write.
        let flash = flash.clone();
        let dfu = dfu(&lab.board, &flash).unwrap();
        let slot = Slot::new(dfu, flash, keys.clone(), Rest::default());
        let config = Config { seed: number as u32, ..Config::new(BOARD) };
        let agent = Agent::new(slot, config, &mut room.record);
        let server = Endpoint { transport: Transport::Mqtt, host: Text::new("127.0.0.1"), port };
        let mut of_device = infineon::Settings::new(server);
        of_device.identity = Identity { serial_number: &room.number, ..Identity::default() };
        of_device.session = number as u16;
        match flow {
            Flow::Whole => {}
            Flow::Chunks => of_device.piecewise = true,
            Flow::Direct => of_device.flow = infineon::Flow::Direct,
        }
        of_device.timers = Timers { first_check: Duration::ZERO, ..Timers::default() };
        let device: Device<'_> = Device::new(agent, of_device, &mut room.job, &mut []);
        let device = Counted { device, held: Vec::new(), came_again: 0, asked_again: 0 };
        online.add(device, settings(format!("device{number}")), memory);
    }
    let mut marked = vec![false; devices];
    let mut missing = devices;
    let blocks = image.len().div_ceil(BLOCK) as u64;
    let (mut held_then, mut next_look) = (0, Instant::now());
    while missing > 0 && start.elapsed() < limit {
        let lost = &mut |number, event: updraft_online::Event<'_>| {
            // The others tell the same.
            if let (updraft_online::Event::Lost(error), 0) = (event, number) {
                eprintln!("device {number}: {error}");
            }
        };
        online.turn(Duration::from_millis(100), lost).unwrap();
        if weather == Weather::KillsTheBroker && held_then == 0 && Instant::now() >= next_look {
            next_look = Instant::now() + Duration::from_millis(20);
            let held =
                |number| u64::from(online.machine(number).unwrap().device.agent().progress().0);
            let held: u64 = (0..devices).map(held).sum();
            if 2 * held >= blocks * devices as u64 {
                held_then = held;
                lab.kill_broker(Duration::from_secs(1));
            }
        }
        for (number, marked) in marked.iter_mut().enumerate().filter(|(_, marked)| !**marked) {
            let device = &mut online.machine(number).unwrap().device;
            *marked = device.agent().is_activated();
            missing -= usize::from(*marked);
        }
    }
    let took = start.elapsed();
    let mut sum = Sum { took, held: held_then, ..Sum::default() };
    let published = Digest::of(HashKind::Sha256, &image);
    for (number, marked) in marked.into_iter().enumerate() {
        let traffic = online.traffic(number);
        sum.received += traffic.received;
        sum.sent += traffic.sent;
        let machine = online.machine(number).unwrap();
        sum.came_again += machine.came_again;
        sum.asked_again += machine.asked_again;
        let slot = machine.device.agent().platform();
        let held = slot.map().bytes(secondary);
        let is_same = Digest::of(HashKind::Sha256, &held[..image.len()]) == published;
        sum.identical += usize::from(is_same && marked);
    }
    done.store(true, Ordering::SeqCst);
    publisher.join().unwrap();
    sum
}

/// A job document.
pub fn document(connection: &str) -> String {
    let file = if connection == "HTTP" { r#","File":"/app.bin""# } else { "" };
    format!(
        r#"{{"Message":"Update Available","Board":"{BOARD}","Version":"1.1.0","Connection":"{connection}"{file}}}"#
    )
}

fn publish(
    image: &[u8],
    port: u16,
    line: Settings,
    done: Arc<AtomicBool>,
) -> std::thread::JoinHandle<()> {
    let job = Arc::new(Job::new(document("MQTT").as_bytes(), image.into()).unwrap());
    let (tell, told) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let settings = updraft_publisher::Settings::new("127.0.0.1", port, BOARD);
        let mut memory = Memory::new(BLOCK, 9 * (BLOCK + 512));
        let mut online = Online::new().unwrap();
        online.add(Publisher::new(job, settings), line, &mut memory);
        while !done.load(Ordering::SeqCst) {
            let hear = &mut |_, event: updraft_online::Event<'_>| match event {
                updraft_online::Event::Opened { .. } => {
                    let _ = tell.send(());
                }
                updraft_online::Event::Lost(error) => eprintln!("publisher: {error}"),
                _ => {}
            };
            online.turn(Duration::from_millis(50), hear).unwrap();
            while online.machine(0).is_some_and(|publisher| publisher.event().is_some()) {}
        }
    });
    told.recv().unwrap();
    // Its subscription follows the greeting at once.
    std::thread::sleep(Duration::from_millis(200));
    thread
}

/// Who counts what comes, or says it.
struct Plain<'m> {
    port: u16,
    todo: Vec<Todo>,
    messages: &'m [Vec<u8>],
    said: usize,
    heard: usize,
    open: bool,
}

#[derive(Clone, Copy)]
enum Todo {
    Open,
    Subscribe,
}

impl Protocol for Plain<'_> {
    fn start(&mut self, _: Duration) {
        self.todo.push(Todo::Open);
    }

    fn handle(&mut self, input: Input<'_>, _: Duration) {
        match input {
            Input::Opened if self.messages.is_empty() => self.todo.push(Todo::Subscribe),
            Input::Opened => self.open = true,
            Input::Message { payload, .. } => self.heard += payload.len(),
            _ => {}
        }
    }

    fn poll(&mut self, _: Duration) {}

    fn output<'o>(&'o mut self, _: &'o mut [u8]) -> Option<Output<'o>> {
        match self.todo.pop() {
            Some(Todo::Open) => {
                let (transport, host) = (Transport::Mqtt, Text::new("127.0.0.1"));
                return Some(Output::Open(Endpoint { transport, host, port: self.port }));
            }
            Some(Todo::Subscribe) => return Some(Output::Subscribe("image")),
            None => {}
        }
        let payload = self.messages.get(self.said).filter(|_| self.open)?;
        self.said += 1;
        Some(Output::Publish { topic: "image", payload, reliably: true })
    }

    fn deadline(&self) -> Option<Duration> {
        None
    }
}

/// The same bytes to as many subscribers of one topic.
pub fn fan_out(lab: &Lab, devices: usize, limit: Duration) -> Sum {
    let image = lab.image();
    let message = |data: &[u8]| [&[0; CHUNK_HEADER][..], data].concat();
    let messages: Vec<Vec<u8>> = image.chunks(BLOCK).map(message).collect();
    let whole: usize = messages.iter().map(Vec::len).sum();
    let (port, settings) = (lab.port(Line::Plain), lab.settings(Line::Plain));
    let plain = |messages| Plain { port, todo: vec![], messages, said: 0, heard: 0, open: false };
    let mut memories = vec![Memory::of_device(BLOCK); devices + 1];
    let mut online = Online::new().unwrap();
    let (of_publisher, of_devices) = memories.split_last_mut().unwrap();
    for (number, memory) in of_devices.iter_mut().enumerate() {
        online.add(plain(&[]), settings(format!("subscriber{number}")), memory);
    }
    let ready = Instant::now() + Duration::from_secs(3);
    while Instant::now() < ready {
        online.turn(Duration::from_millis(50), &mut |_, _| ()).unwrap();
    }
    let start = Instant::now();
    *of_publisher = Memory::new(BLOCK, 9 * (BLOCK + 512));
    online.add(plain(&messages), settings("source".into()), of_publisher);
    let mut whole_at = 0;
    while whole_at < devices && start.elapsed() < limit {
        online.turn(Duration::from_millis(100), &mut |_, _| ()).unwrap();
        let has = |number: &usize| online.machine(*number).is_some_and(|it| it.heard >= whole);
        whole_at = (0..devices).filter(has).count();
    }
    let took = start.elapsed();
    let traffic = (0..devices).map(|number| online.traffic(number));
    let (received, sent) = traffic.fold((0, 0), |sum, it| (sum.0 + it.received, sum.1 + it.sent));
    Sum { identical: whole_at, took, received, sent, ..Sum::default() }
}

/// The same bytes by mosquitto's own programs: `mosquitto_pub` to as many `mosquitto_sub` on one
/// topic. Text of the same length, as the former sends lines.
pub fn by_mosquitto(lab: &Lab, devices: usize, limit: Duration) -> Sum {
    let (image, port) = (lab.image(), lab.port(Line::Plain).to_string());
    let lines: Vec<String> =
        image.chunks(BLOCK).map(|data| "x".repeat(CHUNK_HEADER + data.len())).collect();
    let file = lab.folder.join("lines");
    std::fs::write(&file, lines.join("\n") + "\n").unwrap();
    let (count, patience) = (lines.len().to_string(), limit.as_secs().to_string());
    let to = ["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", "image"];
    let subscriber = || {
        let mut command = Command::new("mosquitto_sub");
        command.args(to).args(["-C", &count, "-W", &patience]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut subscribers: Vec<Child> = (0..devices).map(|_| subscriber()).collect();
    let until = Instant::now() + limit;
    // What the broker tells is up to a second old, and may count the question before.
    let mut seen = 0;
    while seen < 2 {
        assert!(Instant::now() < until, "mosquitto_sub does not subscribe");
        std::thread::sleep(Duration::from_millis(1500));
        seen = if subscriptions(&port) == devices { seen + 1 } else { 0 };
    }
    let start = Instant::now();
    let mut publisher = Command::new("mosquitto_pub");
    publisher.args(to).arg("-l").stdin(std::fs::File::open(&file).unwrap());
    assert!(publisher.status().unwrap().success());
    let whole = subscribers.iter_mut().filter_map(|it| it.wait().ok()).filter(|it| it.success());
    let identical = whole.count();
    Sum { identical, took: start.elapsed(), ..Sum::default() }
}

/// How many the broker has, as it has told last: that is before this question is one of them.
fn subscriptions(port: &str) -> usize {
    let mut command = Command::new("mosquitto_sub");
    command.args(["-h", "127.0.0.1", "-p", port, "-C", "1", "-W", "5", "--retained-only"]);
    let said = command.args(["-t", "$SYS/broker/subscriptions/count"]).output().unwrap();
    String::from_utf8_lossy(&said.stdout).trim().parse().unwrap_or(0)
}

/// What is spoken over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http {
    Job,
    Direct,
    Ddi,
}

/// One device, from a server at this port.
pub fn over_http(lab: &Lab, port: u16, http: Http, limit: Duration) -> Sum {
    let (mut record, mut job, mut answers) =
        (vec![0; Record::size(128)], vec![0; 1024], vec![0; 8192]);
    let flash = lab.flash();
    let dfu = dfu(&lab.board, &flash).unwrap();
    let slot = Slot::new(dfu, flash, lab.keys(), Rest::default());
    let agent = Agent::new(slot, Config::new(BOARD), &mut record);
    let server = Endpoint { transport: Transport::Http, host: Text::new("127.0.0.1"), port };
    let (first_check, reset) = (Duration::ZERO, Duration::ZERO);
    if http == Http::Ddi {
        let settings = ddi::Settings {
            server,
            tenant: "T",
            controller: "C",
            authorization: "",
            attributes: &[],
            timers: ddi::Timers { first_check, reset, ..ddi::Timers::default() },
        };
        let device = ddi::Device::new(agent, settings, &mut answers);
        return alone(
            lab,
            device,
            limit,
            |device| device.agent().platform().system().resets > 0,
            |device| {
                device
                    .agent()
                    .platform()
                    .map()
                    .bytes(lab.board.slot(0, Role::Secondary).unwrap().id)
            },
        );
    }
    let flow = if http == Http::Job { infineon::Flow::Job } else { infineon::Flow::Direct };
    let file = if http == Http::Job { "/ota_update.json" } else { "/app.bin" };
    let settings = infineon::Settings {
        file: Text::new(file),
        flow,
        timers: Timers { first_check, reset, ..Timers::default() },
        ..infineon::Settings::new(server)
    };
    let device: Device<'_> = Device::new(agent, settings, &mut job, &mut answers);
    alone(
        lab,
        device,
        limit,
        |device| device.agent().platform().system().resets > 0,
        |device| {
            device.agent().platform().map().bytes(lab.board.slot(0, Role::Secondary).unwrap().id)
        },
    )
}

/// Drives one machine until its end.
fn alone<P: Protocol>(
    lab: &Lab,
    machine: P,
    limit: Duration,
    ends: impl Fn(&mut P) -> bool,
    held: impl Fn(&mut P) -> Vec<u8>,
) -> Sum {
    let mut memory = Memory::of_device(BLOCK);
    let mut online = Online::new().unwrap();
    let start = Instant::now();
    online.add(machine, Settings::plain(Session::new("alone")), &mut memory);
    while !ends(online.machine(0).unwrap()) && start.elapsed() < limit {
        online.turn(Duration::from_millis(20), &mut |_, _| ()).unwrap();
    }
    let (took, traffic) = (start.elapsed(), online.traffic(0));
    let held = held(online.machine(0).unwrap());
    let identical = usize::from(held.starts_with(&lab.image()));
    Sum { identical, took, received: traffic.received, sent: traffic.sent, ..Sum::default() }
}
