//! Plays a board in QEMU: its own bootloader and application on an emulated processor. What a user
//! does to it comes as lines; what it prints goes to the console.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use serde_json::json;
use updraft_board::{Area, Board, Role};
use updraft_pty::Pty;
use updraft_qemu::{Emulated, Error, Powered};
use updraft_sim::device::{flash_in_memory, update_start};
use updraft_smp::framing::{Console, Framing, Received};

use super::{Detail, Emulation, Serial, draw, slots};
use crate::output::{DIM, GOOD, Output, WARN, styled, tame};
use crate::report::Hint;

/// The longest wait for something to be printed, so that commands are not left waiting.
const NAP: Duration = Duration::from_millis(20);
/// The longest message on the line.
const MESSAGE: usize = 4096;

/// What can be done to the board, for people.
const CONSOLE: &str = "Commands on standard input, a line each:
  reset             reset pin
  button [MS]       press the button for MS milliseconds (default 100)
  hold | release    hold the button down, let it go
  cut [N]           cut the power before the Nth store to flash from now; at once without N
  on                power on: a new emulator on the same flash
  slots             show flash map and slots
  quit              stop; the flash file stays";

/// A board in QEMU, off.
pub struct Emulator {
    emulated: Emulated,
    port: Arc<Pty>,
    stop: Arc<AtomicBool>,
    out: Output,
    /// A flash that nobody asked to keep.
    forgotten: Option<PathBuf>,
}

impl Emulator {
    /// Finds what it takes, and says how to talk to it.
    pub fn new(emulation: &Emulation<'_>, out: &Output) -> anyhow::Result<Self> {
        let Emulation { board, firmware, flash, serial, network } = *emulation;
        let name = board.name();
        let programs = firmware.join(name);
        let forgotten = flash.is_none().then(|| {
            std::env::temp_dir().join(format!("updraft-flash-{}.bin", std::process::id()))
        });
        let path = flash.or(forgotten.as_deref()).unwrap_or(Path::new("flash.bin"));
        let mut emulated = match Emulated::new(board.clone(), &programs, path) {
            Err(error @ Error::NoMachine(_)) => Err(error).usage("--board mps2-an386"),
            Err(error @ Error::NoProgram { .. }) => Err(error).hint(format!(
                "`cargo xtask firmware {name}` in Updraft's source builds it; give the folder \
                 target/firmware there as --firmware"
            )),
            Err(error @ Error::Flash { .. }) => {
                Err(error).hint("give another file, or stop the device that has this one")
            }
            made => made.context("QEMU cannot play the board"),
        }?;
        if let Some(smp) = network {
            if !emulated.model().network {
                return Err(anyhow!("{name} has no network in QEMU")).usage("leave --network out");
            }
            emulated = emulated.on_network(smp);
        }
        let port = Serial::open(serial.filter(|path| path.as_os_str() != "auto"))?;
        let port = Arc::new(port.into_pty());
        let stop = Arc::new(AtomicBool::new(false));
        // The flash of some boards is in QEMU's memory, and has to be fetched from there at the end.
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&stop))
                .context("the system hands no signals over")?;
        }
        Ok(Self { emulated, port, stop, out: *out, forgotten })
    }

    /// Whether nothing has ever been in its flash.
    pub fn is_new(&self) -> bool {
        self.emulated.is_new()
    }

    /// Programs an image into an area, as a probe does.
    pub fn load(&self, area: &Area, image: &[u8]) -> anyhow::Result<()> {
        let board = self.emulated.board();
        let erased = board.device(area).erased;
        let start = update_start(board, &flash_in_memory(board), area) as usize;
        if start + image.len() > area.size as usize {
            let (size, name) = (image.len(), &area.name);
            return Err(anyhow!("{size} bytes do not fit the {}-byte area {name}", area.size));
        }
        self.emulated.put(area, 0, &vec![erased; area.size as usize])?;
        Ok(self.emulated.put(area, start, image)?)
    }

    /// Turns the power on and plays the board until it is told to stop.
    pub fn run(
        self,
        network: Option<SocketAddr>,
        commands: &Receiver<String>,
    ) -> anyhow::Result<()> {
        self.greet(network)?;
        let mut bench = Bench { of: &self, held: false, release: None, cut: None, power: None };
        bench.on()?;
        let mut commands = Some(commands);
        loop {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            bench.pass_time()?;
            match commands.map(Receiver::try_recv) {
                Some(Ok(line)) => {
                    if bench.command(line.trim())? {
                        break;
                    }
                }
                Some(Err(TryRecvError::Disconnected)) => commands = None,
                Some(Err(TryRecvError::Empty)) | None => {}
            }
        }
        bench.off()
    }

    /// How to talk to it.
    fn greet(&self, network: Option<SocketAddr>) -> anyhow::Result<()> {
        let (out, path) = (&self.out, self.port.path());
        let said = styled(GOOD, "device:");
        if out.json() {
            out.event(&json!({ "event": "serial", "path": path }), "")?;
            if let Some(address) = network {
                out.event(&json!({ "event": "listening", "address": address }), "")?;
            }
            return Ok(());
        }
        let (board, model) = (self.emulated.board(), self.emulated.model());
        out.note(format!("{said} QEMU plays {}: {}", board.name(), board.description()));
        out.note(format!("{said} serial line at {}", path.display()));
        out.note(format!("  updraft smp --serial {} image list", path.display()));
        if let Some(address) = network {
            out.note(format!("{said} SMP on {address}; this computer is 10.0.2.2 to the board"));
        }
        if model.has_button(board) {
            let what = match board.area(Role::Factory) {
                Some(_) => {
                    "`hold`, `reset`: back to the factory image; an empty board wants `button`"
                }
                None => {
                    "`hold`, `reset`, `release`: what the board does with its button at a reset"
                }
            };
            out.note(format!("{said} {what}"));
        }
        Ok(())
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        if let Some(flash) = &self.forgotten {
            let _ = std::fs::remove_file(flash);
        }
    }
}

/// The board on the bench: its power, and whose finger is on it.
struct Bench<'e> {
    of: &'e Emulator,
    held: bool,
    /// When the button is let go.
    release: Option<Instant>,
    /// Stores to flash that there still are before the power is cut.
    cut: Option<u64>,
    power: Option<Life<'e>>,
}

/// A board between power on and power off.
struct Life<'e> {
    board: Powered<'e>,
    /// Bytes of the line that were seen.
    seen: usize,
    framing: Box<Console<MESSAGE>>,
    /// A line that has not ended.
    text: Vec<u8>,
}

impl Bench<'_> {
    fn on(&mut self) -> anyhow::Result<()> {
        if self.power.is_some() {
            return Ok(());
        }
        let Emulator { emulated, port, .. } = self.of;
        let setup = emulated.setup()?.port(Arc::clone(port)).detached();
        let board = match emulated.start_paused(setup) {
            Err(Error::Missing(why)) => Err(anyhow!("qemu-system-arm is not there ({why})"))
                .hint("on Debian: apt-get install qemu-system-arm"),
            started => started.context("QEMU does not start"),
        }?;
        if self.held {
            board.press(true)?;
        }
        board.machine().resume()?;
        let framing = Box::default();
        self.power = Some(Life { board, seen: 0, framing, text: Vec::new() });
        Ok(())
    }

    /// Takes the power away, and keeps what is in flash.
    fn off(&mut self) -> anyhow::Result<()> {
        self.cut = None;
        let Some(mut life) = self.power.take() else { return Ok(()) };
        life.board.lives()?;
        life.listen(&self.of.out, Duration::ZERO)?;
        for line in life.board.cut()?.lines() {
            self.of.out.note(format!("{} {line}", styled(WARN, "the chip does not allow:")));
        }
        Ok(())
    }

    /// Lets the board run for a moment.
    fn pass_time(&mut self) -> anyhow::Result<()> {
        let over = self.release.is_some_and(|release| Instant::now() >= release);
        if over {
            self.press(false)?;
        }
        let Some(life) = &mut self.power else {
            std::thread::sleep(NAP);
            return Ok(());
        };
        if self.held {
            life.board.press(true)?;
        }
        let Some(left) = &mut self.cut else {
            life.board.lives()?;
            return life.listen(&self.of.out, NAP);
        };
        if life.board.run_to_flash(NAP)? {
            *left = left.saturating_sub(1);
        }
        let now = *left == 0;
        life.listen(&self.of.out, Duration::ZERO)?;
        if now {
            self.off()?;
            self.of.out.note(styled(DIM, "power cut before a store to flash"));
        }
        Ok(())
    }

    fn press(&mut self, pressed: bool) -> anyhow::Result<()> {
        (self.held, self.release) = (pressed, None);
        if let Some(life) = &self.power {
            life.board.press(pressed)?;
        }
        Ok(())
    }

    /// Carries out one line; `true` to stop.
    fn command(&mut self, line: &str) -> anyhow::Result<bool> {
        let out = &self.of.out;
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let Ok(number) = (!rest.is_empty()).then(|| rest.trim().parse::<u64>()).transpose() else {
            out.note(format!("`{rest}` is no number"));
            return Ok(false);
        };
        match (word, &self.power) {
            ("", _) => {}
            ("quit", _) => return Ok(true),
            ("on", _) => self.on()?,
            ("hold", _) => self.press(true)?,
            ("release", _) => self.press(false)?,
            ("reset" | "button" | "cut", None) => out.note("the power is off: `on`"),
            ("reset", Some(life)) => life.board.reset(self.held)?,
            ("button", Some(_)) => {
                self.press(true)?;
                let hold = Duration::from_millis(number.unwrap_or(100));
                self.release = Instant::now().checked_add(hold);
            }
            ("cut", Some(_)) => match number {
                None | Some(0) => {
                    self.off()?;
                    out.note(styled(DIM, "power cut now"));
                }
                Some(stores) => self.cut = Some(stores),
            },
            ("slots", _) => self.slots()?,
            _ => out.note(CONSOLE),
        }
        Ok(false)
    }

    fn slots(&self) -> anyhow::Result<()> {
        let Emulator { emulated, out, .. } = self.of;
        if let Some(life) = &self.power {
            life.board.save()?;
        }
        let board: &Board = emulated.board();
        let mut flash = flash_in_memory(board);
        for (index, bytes) in emulated.devices()?.into_iter().enumerate() {
            if let Some(bytes) = bytes {
                flash.load_device(index, 0, &bytes)?;
            }
        }
        let views = slots(board, &flash);
        let text = draw(board, &views, Detail::Brief, out.width(), out.is_terminal());
        out.event(&json!({ "event": "slots", "slots": views }), text)
    }
}

impl Life<'_> {
    /// Shows the lines that the board has printed, without the messages that travel beside them.
    fn listen(&mut self, out: &Output, patience: Duration) -> anyhow::Result<()> {
        let printed = self.board.machine().line(0).printed_since(self.seen, patience);
        self.seen += printed.len();
        for byte in printed {
            let Some(Received::Text(text)) = self.framing.receive(byte, Duration::ZERO) else {
                continue;
            };
            for byte in text {
                match byte {
                    b'\n' => {
                        let line = String::from_utf8_lossy(&self.text).into_owned();
                        self.text.clear();
                        let line = tame(line.trim_end());
                        if !line.is_empty() {
                            // A console that nobody reads does not stop the board.
                            let event = json!({ "event": "console", "line": line });
                            let _ = out.event(&event, &line);
                        }
                    }
                    byte => self.text.push(*byte),
                }
            }
        }
        Ok(())
    }
}
