//! A machine: the process, its lines and its debugger.

use std::ffi::OsString;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use updraft_pty::Pty;

use crate::line::Ears;
use crate::pins::Pins;
use crate::stub::Stub;
use crate::{Error, Line, Registers};

const PROGRAM: &str = "qemu-system-arm";
/// How long QEMU may take to start, on a machine with other things to do.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the monitor is asked for how many instructions were carried out.
const COUNT: &str = "info replay";

/// How a machine is started.
pub struct Setup {
    machine: String,
    serials: usize,
    program: Vec<(u32, Vec<u8>)>,
    args: Vec<OsString>,
    ears: Option<Ears>,
    port: Option<Arc<Pty>>,
    pins: bool,
    detached: bool,
    counting: bool,
}

impl Setup {
    /// A machine by the name that QEMU has for it, with one serial line, and nothing in its flash.
    pub fn new(machine: &str) -> Self {
        let machine = machine.to_owned();
        let (program, args) = (Vec::new(), Vec::new());
        let (ears, port) = (None, None);
        let (pins, detached, counting) = (false, false, false);
        Self { machine, serials: 1, program, args, ears, port, pins, detached, counting }
    }

    /// Writes `bytes` at `address`, once, before the first instruction.
    #[must_use]
    pub fn program(mut self, address: u32, bytes: impl Into<Vec<u8>>) -> Self {
        self.program.push((address, bytes.into()));
        self
    }

    /// With so many serial lines.
    #[must_use]
    pub fn serials(mut self, serials: usize) -> Self {
        self.serials = serials;
        self
    }

    /// Lets the machine be deaf on its first line for a time: what is sent to it then is lost, as
    /// on a wire at whose end no UART is turned on. `ears` is told what the machine prints, before
    /// any client sees it, and says whether it hears from then on; `None` changes nothing.
    ///
    /// The nRF51 of QEMU needs this while a bootloader runs that has turned its UART on and does
    /// not read it: the six bytes that it keeps are one event, which the application's driver
    /// clears, and then there is no room for a byte that would bring another.
    #[must_use]
    pub fn ears(mut self, ears: impl FnMut(&[u8]) -> Option<bool> + Send + 'static) -> Self {
        self.ears = Some(Box::new(ears));
        self
    }

    /// Its first line ends in this pseudo-terminal, as a cable that stays where it is while the machine
    /// has no power. What was sent to it meanwhile is lost.
    #[must_use]
    pub fn port(mut self, port: Arc<Pty>) -> Self {
        self.port = Some(port);
        self
    }

    /// Leaves it to this process what a signal of the terminal's does, such as Ctrl-C: QEMU does not
    /// hear it.
    #[must_use]
    pub fn detached(mut self) -> Self {
        self.detached = true;
        self
    }

    /// With pins that [`Machine::set_pin`] drives.
    #[must_use]
    pub fn pins(mut self) -> Self {
        self.pins = true;
        self
    }

    /// Counts instructions, for [`Machine::instructions`]. Its clock goes by them then, a nanosecond for
    /// each: every run of a program takes the same time.
    #[must_use]
    pub fn counting(mut self) -> Self {
        self.counting = true;
        self
    }

    /// With further options of QEMU's.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Starts the machine: programs it, resets it and lets it run.
    ///
    /// # Errors
    /// If there is no QEMU, or if it does not know the machine or takes offence at an option.
    pub fn start(self) -> Result<Machine, Error> {
        let machine = self.start_paused()?;
        machine.resume()?;
        Ok(machine)
    }

    /// The same, but it stands before its first instruction until [`Machine::resume`].
    ///
    /// # Errors
    /// As [`Setup::start`].
    pub fn start_paused(self) -> Result<Machine, Error> {
        let folder = Folder::new()?;
        let mut command = Command::new(PROGRAM);
        command.args(["-machine", &self.machine, "-nodefaults", "-display", "none", "-S"]);
        // Accesses that the hardware would refuse are told in a file.
        command.args(["-d", "guest_errors", "-D"]).arg(folder.0.join("errors"));
        let mut listeners = Vec::new();
        for name in (0..self.serials).map(|at| format!("uart{at}")).chain(["debugger".into()]) {
            let path = folder.0.join(&name);
            listeners.push(UnixListener::bind(&path)?);
            command.arg("-chardev").arg(format!("socket,id={name},path={}", path.display()));
            match name.as_str() {
                "debugger" => command.args(["-gdb", "chardev:debugger"]),
                _ => command.args(["-serial", &format!("chardev:{name}")]),
            };
        }
        if self.pins {
            let path = folder.0.join("pins");
            listeners.push(UnixListener::bind(&path)?);
            command.args(["-qtest-log", "none", "-qtest"]).arg(format!("unix:{}", path.display()));
        }
        if self.counting {
            // It counts exactly only what it could play again.
            command.arg("-icount");
            let record = folder.0.join("record");
            command.arg(format!("shift=0,rr=record,rrfile={}", record.display()));
        }
        let stderr = File::create(folder.0.join("stderr"))?;
        command.args(self.args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        if self.detached {
            command.process_group(0);
        }
        let child = command.spawn().map_err(Error::Missing)?;
        let mut process = Process { child, folder };

        let mut streams = Vec::new();
        for listener in &listeners {
            streams.push(process.accept(listener)?);
        }
        let pins = self.pins.then(|| streams.pop()).flatten().map(Pins::new).map(Mutex::new);
        let debugger = streams.pop().expect("the debugger's is the last one");
        let (mut ears, mut port) = (self.ears, self.port);
        let lines = streams.into_iter().map(|stream| {
            let pty = port.take().map_or_else(|| Pty::open().map(Arc::new), Ok)?;
            Line::new(stream, pty, ears.take())
        });
        let lines = lines.collect::<Result<Vec<_>, _>>()?;
        let mut stub = Stub::new(debugger)?;
        for (address, bytes) in &self.program {
            stub.write(*address, bytes)?;
        }
        // Stack and entry are read from flash at a reset, and it was empty at the first.
        stub.reset()?;
        // QEMU itself has read them before there were any.
        let own_errors = process.errors().len();
        Ok(Machine { process, lines, stub: Mutex::new(stub), pins, own_errors })
    }
}

/// A running machine. It is killed when it is dropped.
#[derive(Debug)]
pub struct Machine {
    // The process goes first: what is at the other ends of its sockets may be waiting for it.
    process: Process,
    lines: Vec<Line>,
    stub: Mutex<Stub>,
    pins: Option<Mutex<Pins>>,
    /// Bytes of complaints that are not the program's.
    own_errors: usize,
}

impl Machine {
    /// One of its serial lines, the first is 0.
    ///
    /// # Panics
    /// If it has not so many.
    pub fn line(&self, number: usize) -> &Line {
        self.lines.get(number).expect("a machine has the lines that it was set up with")
    }

    fn stub(&self) -> MutexGuard<'_, Stub> {
        self.stub.lock().expect("no panic holds it")
    }

    /// Stops it between two instructions.
    ///
    /// # Errors
    /// If QEMU has ended.
    pub fn pause(&self) -> Result<(), Error> {
        self.stub().pause()
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// If QEMU has ended.
    pub fn resume(&self) -> Result<(), Error> {
        self.stub().resume()
    }

    /// Lets it run until it is about to write to one of these places (address, bytes), and stops it
    /// there; says whether it came so far within `patience`. Called again, it goes on from there.
    ///
    /// # Errors
    /// If QEMU has ended.
    pub fn run_to_store(&self, places: &[(u32, u32)], patience: Duration) -> Result<bool, Error> {
        self.stub().run_to_store(places, patience)
    }

    /// What the processor's registers hold; it stands still from now on.
    ///
    /// # Errors
    /// If QEMU has ended.
    pub fn registers(&self) -> Result<Registers, Error> {
        self.stub().standing(Stub::registers)
    }

    /// Has the processor go on with these registers.
    ///
    /// # Errors
    /// If QEMU has ended.
    pub fn set_registers(&self, registers: &Registers) -> Result<(), Error> {
        self.stub().standing(|stub| stub.set_registers(registers))
    }

    /// Has it carry out one instruction, and stand still.
    ///
    /// # Errors
    /// If QEMU has ended.
    pub fn step(&self) -> Result<(), Error> {
        self.stub().step()
    }

    /// Sets a breakpoint, or takes it away. Whoever goes on from one steps first.
    ///
    /// # Errors
    /// If QEMU has ended.
    pub fn set_breakpoint(&self, address: u32, there: bool) -> Result<(), Error> {
        self.stub().standing(|stub| stub.set_breakpoint(address, there))
    }

    /// Lets it run to the next breakpoint, and says whether it came to one within `patience`. It
    /// stands still then.
    ///
    /// # Errors
    /// If QEMU has ended.
    pub fn run_to_breakpoint(&self, patience: Duration) -> Result<bool, Error> {
        self.stub().run(patience)
    }

    /// Has QEMU's monitor carry out a command that has nothing to say; it stands still from now on.
    ///
    /// # Errors
    /// If there is no such command, or QEMU has ended.
    pub fn monitor(&self, command: &str) -> Result<(), Error> {
        self.stub().standing(|stub| stub.monitor(command))
    }

    /// How many instructions it has carried out since it was started, the one that it stands before not
    /// among them; it stands still from now on.
    ///
    /// # Errors
    /// If it was set up without [`Setup::counting`], or QEMU has ended.
    pub fn instructions(&self) -> Result<u64, Error> {
        let said = self.stub().standing(|stub| stub.ask(COUNT))?;
        let count = said.trim().rsplit_once("instruction count = ").map(|(_, count)| count.parse());
        match count {
            Some(Ok(count)) => Ok(count),
            _ => Err(Error::Refused { command: COUNT.into(), answer: said }),
        }
    }

    /// Drives an input of the device that QEMU has at `path`, `/machine/nrf51` for example.
    ///
    /// # Errors
    /// If QEMU knows no such device, or has ended.
    ///
    /// # Panics
    /// If it was set up without [`Setup::pins`].
    pub fn set_pin(&self, path: &str, pin: u32, high: bool) -> Result<(), Error> {
        let pins = self.pins.as_ref().expect("a machine whose pins are driven is set up so");
        pins.lock().expect("no panic holds it").set(path, pin, high)
    }

    /// Resets it; memory keeps its content.
    ///
    /// # Errors
    /// If QEMU has ended.
    pub fn reset(&self) -> Result<(), Error> {
        self.stub().at_rest(Stub::reset)
    }

    /// What its memory holds.
    ///
    /// # Errors
    /// If there is no memory at the address.
    pub fn read(&self, address: u32, len: usize) -> Result<Vec<u8>, Error> {
        self.stub().at_rest(|stub| stub.read(address, len))
    }

    /// Changes what its memory holds, flash as well.
    ///
    /// # Errors
    /// If there is no memory at the address.
    pub fn write(&self, address: u32, bytes: &[u8]) -> Result<(), Error> {
        self.stub().at_rest(|stub| stub.write(address, bytes))
    }

    /// Fails if QEMU has ended.
    ///
    /// # Errors
    /// [`Error::Ended`], with what it said.
    pub fn lives(&mut self) -> Result<(), Error> {
        self.process.lives()
    }

    /// What the program did that the hardware does not allow, one line for each time.
    pub fn guest_errors(&self) -> String {
        self.process.errors().split_off(self.own_errors)
    }

    /// Takes the power away: whatever is under way is not ended. What it has written until then
    /// can be read before, after [`Machine::pause`], or is in the file that QEMU keeps it in.
    pub fn kill(self) {}
}

#[derive(Debug)]
struct Process {
    child: Child,
    folder: Folder,
}

impl Process {
    fn errors(&self) -> String {
        std::fs::read_to_string(self.folder.0.join("errors")).unwrap_or_default()
    }

    fn lives(&mut self) -> Result<(), Error> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                let said = std::fs::read_to_string(self.folder.0.join("stderr"))?;
                let said = said.trim();
                let why = if said.is_empty() { status.to_string() } else { said.to_owned() };
                Err(Error::Ended(why))
            }
        }
    }

    /// The connection that QEMU makes.
    fn accept(&mut self, listener: &UnixListener) -> Result<UnixStream, Error> {
        listener.set_nonblocking(true)?;
        let end = Instant::now() + PATIENCE;
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false)?;
                    return Ok(stream);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < end => {}
                Err(error) => return Err(error.into()),
            }
            self.lives()?;
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder for sockets; their paths have to be short.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, Error> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("updraft-qemu-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // A process of this number may have been killed before it could clear up.
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
