//! A device: a process, its console, and the client that talks to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::{Bench, Image, Raw, Said, Space};

/// Much longer than anything takes, on a machine with other things to do.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a client reaches a device.
#[derive(Clone, Copy, Debug)]
pub enum Over {
    Udp,
    Serial,
}

/// How a device is started.
pub struct Setup<'b> {
    bench: &'b Bench,
    space: Arc<Space>,
    udp: String,
    keys: Vec<String>,
    more: Vec<String>,
    flash: String,
}

impl<'b> Setup<'b> {
    pub(super) fn new(bench: &'b Bench) -> Self {
        Self {
            bench,
            space: Arc::new(Space::Host),
            udp: "127.0.0.1:0".into(),
            keys: vec!["--key".into(), "key.pub.pem".into()],
            more: Vec::new(),
            flash: "dev.flash".into(),
        }
    }

    /// Programs an image before the power is turned on.
    pub fn load(mut self, area: &str, image: &Image) -> Self {
        self.more.extend(["--load".into(), format!("{area}={}", image.file)]);
        self
    }

    /// Trusts other keys than the usual one; none at all is a device for unsigned images.
    pub fn trusting(mut self, keys: &[&str]) -> Self {
        self.keys = keys.iter().flat_map(|key| ["--key".to_owned(), key.to_string()]).collect();
        if keys.is_empty() {
            self.keys.push("--unsigned".into());
        }
        self
    }

    /// Takes images that are encrypted for this key.
    pub fn decrypting_with(mut self, key: &str) -> Self {
        self.more.extend(["--private-key".into(), key.into()]);
        self
    }

    /// With these options too.
    pub fn with(mut self, options: &[&str]) -> Self {
        self.more.extend(options.iter().map(|option| option.to_string()));
        self
    }

    /// On another address than any port of IPv4's loopback.
    pub fn on(self, address: &str) -> Self {
        Self { udp: address.into(), ..self }
    }

    /// With a serial line.
    pub fn serial(mut self) -> Self {
        self.more.extend(["--serial".into(), "auto".into()]);
        self
    }

    /// Another flash file than `dev.flash`.
    pub fn flash(mut self, name: &str) -> Self {
        self.flash = name.into();
        self
    }

    /// In a network of its own, on SMP's usual port.
    pub fn within(mut self, space: Arc<Space>) -> Self {
        self.space = space;
        self.udp = "127.0.0.1:1337".into();
        self
    }

    /// Starts it, and waits until its socket is there.
    pub fn start(self) -> Device {
        let mut command = self.space.command(env!("CARGO_BIN_EXE_updraft"));
        command.args(["device", "run", "--board", &self.bench.board, "--flash", &self.flash]);
        command.args(["--udp", &self.udp]).args(&self.keys).args(&self.more);
        command.current_dir(&self.bench.folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let console = Arc::new(Console::default());
        Console::follow(&console, 0, child.stdout.take().unwrap());
        Console::follow(&console, 1, child.stderr.take().unwrap());
        let input = child.stdin.take();
        let folder = self.bench.folder.clone();
        let address = String::new();
        let mut device = Device { child, input, console, address, space: self.space, folder };
        let line = device.wait("SMP on ");
        device.address = line.rsplit(' ').next().unwrap().to_owned();
        device
    }
}

/// What a device has printed: on standard output, and the remarks on standard error. Which line of
/// one came before which line of the other cannot be told.
#[derive(Default)]
struct Console {
    said: Mutex<[Stream; 2]>,
    more: Condvar,
}

#[derive(Default)]
struct Stream {
    lines: Vec<String>,
    /// Lines before this one have been waited for.
    seen: usize,
}

impl Stream {
    fn next(&mut self, texts: &[&str]) -> Option<String> {
        let fits = |line: &String| texts.iter().any(|text| line.contains(text));
        let at = self.lines[self.seen..].iter().position(fits)?;
        self.seen += at + 1;
        Some(self.lines[self.seen - 1].clone())
    }
}

impl Console {
    fn streams(&self) -> MutexGuard<'_, [Stream; 2]> {
        self.said.lock().expect("no panic holds it")
    }

    fn follow(this: &Arc<Self>, index: usize, stream: impl Read + Send + 'static) {
        let this = Arc::clone(this);
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                this.streams()[index].lines.push(line);
                this.more.notify_all();
            }
        });
    }
}

/// A running device; it is killed when it is dropped.
pub struct Device {
    child: Child,
    input: Option<ChildStdin>,
    console: Arc<Console>,
    space: Arc<Space>,
    folder: std::path::PathBuf,
    /// Where it answers.
    pub address: String,
}

impl Device {
    /// Waits for a line that holds `text`, and returns it. Lines are waited for in their order.
    pub fn wait(&self, text: &str) -> String {
        self.wait_any(&[text])
    }

    /// Waits for a line that holds one of `texts`, and returns it.
    pub fn wait_any(&self, texts: &[&str]) -> String {
        let end = Instant::now() + PATIENCE;
        let mut streams = self.console.streams();
        loop {
            if let Some(line) = streams.iter_mut().find_map(|stream| stream.next(texts)) {
                return line;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(streams);
                panic!("none of {texts:?} on the console within {PATIENCE:?}");
            }
            streams = self.console.more.wait_timeout(streams, left).expect("no panic holds it").0;
        }
    }

    /// Waits for the application of this version to have started.
    pub fn starts(&self, version: &str) {
        self.wait(&format!("{version}+0 started, LED"));
    }

    /// Everything that it has printed.
    pub fn printed(&self) -> String {
        let [console, remarks] = &*self.console.streams();
        [console.lines.join("\n"), remarks.lines.join("\n")].join("\nremarks:\n")
    }

    /// Types a line.
    pub fn type_line(&mut self, line: &str) {
        let input = self.input.as_mut().expect("standard input is closed");
        // A device that has stopped takes no input; what it printed tells more.
        let _ = writeln!(input, "{line}");
    }

    /// Closes standard input.
    pub fn hang_up(&mut self) {
        self.input = None;
    }

    /// Takes the power away for good, wherever it is: SIGKILL.
    pub fn kill(mut self) {
        self.stop();
    }

    /// Waits for it to end by itself.
    pub fn ended(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Runs `updraft smp` against it.
    pub fn smp(&self, line: &str) -> Said {
        let line = format!("smp --udp {} {line}", self.address);
        let updraft = env!("CARGO_BIN_EXE_updraft");
        self.client(updraft, &line.split(' ').collect::<Vec<_>>())
    }

    /// The same with something on its standard input.
    pub fn smp_with_input(&self, line: &str, input: &str) -> Said {
        self.run_with_input(&format!("smp --udp {} {line}", self.address), input)
    }

    /// Runs `updraft` in its folder, with something on its standard input.
    pub fn run_with_input(&self, line: &str, input: &str) -> Said {
        let updraft = env!("CARGO_BIN_EXE_updraft");
        let mut command = self.client_command(updraft, &line.split(' ').collect::<Vec<_>>());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Said::new(line, child.wait_with_output().unwrap())
    }

    /// Runs any program against it, in its folder and its network.
    pub fn client(&self, program: &str, args: &[&str]) -> Said {
        let mut command = self.client_command(program, args);
        let output = command.output().unwrap_or_else(|error| panic!("{program}: {error}"));
        Said::new(&format!("{program} {}", args.join(" ")), output)
    }

    /// A program that is to be run against it.
    pub fn client_command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = self.space.command(program);
        command.args(args).current_dir(&self.folder).env("COLUMNS", "300");
        command
    }

    /// The path of its serial line.
    pub fn serial_line(&self) -> String {
        let line = self.wait("serial line at ");
        line.rsplit(' ').next().unwrap().to_owned()
    }

    /// A low-level client.
    pub fn raw(&self) -> Raw {
        Raw::new(&self.address)
    }

    /// Uploads `image` and has it booted on trial. Returns when its application has started.
    pub fn try_out(&self, image: &Image) {
        self.smp(&format!("image upload {}", image.file)).ok();
        self.smp(&format!("image test {}", image.file)).ok();
        self.smp("os reset").ok();
        self.starts(&image.version);
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("console of the device:\n{}", self.printed());
        }
        self.stop();
    }
}
