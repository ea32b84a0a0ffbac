//! A board that QEMU plays: its programs, and the flash that outlives its power.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use updraft_board::{Area, Board};

use crate::models::{Button, Keeper, Model};
use crate::{Error, Machine, Setup};

/// Where the applications answer SMP over UDP.
const SMP_PORT: u16 = 1337;

/// A board, its bootloader, and its flash in a file.
#[derive(Debug)]
pub struct Emulated {
    board: Board,
    model: &'static Model,
    bootloader: PathBuf,
    path: PathBuf,
    file: File,
    new: bool,
    smp: Option<SocketAddr>,
}

impl Emulated {
    /// The board with the bootloader in `programs` (a folder with `bootloader.elf` and
    /// `bootloader.bin`). What its file has of flash is kept in the file `flash`, which is made, as
    /// erased flash, if it is not there.
    ///
    /// # Errors
    /// If QEMU has no machine for the board, nobody has built its bootloader, or the file is another
    /// board's or in use.
    pub fn new(board: Board, programs: &Path, flash: &Path) -> Result<Self, Error> {
        let model = Model::of(board.name()).ok_or_else(|| Error::NoMachine(board.name().into()))?;
        let bootloader = programs.join(match model.keeper {
            Keeper::Qemu { .. } => "bootloader.elf",
            Keeper::Debugger => "bootloader.bin",
        });
        if !bootloader.exists() {
            return Err(Error::NoProgram { board: board.name().into(), path: bootloader });
        }
        let of_flash = |source| Error::Flash { path: flash.to_owned(), source };
        let (file, new) = open(&board, model, flash).map_err(of_flash)?;
        Ok(Self { board, model, bootloader, path: flash.to_owned(), file, new, smp: None })
    }

    /// On a network: the host is 10.0.2.2 there, and what comes to this address of the host goes to the
    /// board's SMP over UDP.
    #[must_use]
    pub fn on_network(mut self, smp: SocketAddr) -> Self {
        self.smp = Some(smp);
        self
    }

    /// Its board file.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// How QEMU plays it.
    pub fn model(&self) -> &'static Model {
        self.model
    }

    /// Whether nothing was in its flash when this was made.
    pub fn is_new(&self) -> bool {
        self.new
    }

    /// Programs `bytes` into an area, from `offset` on, as a probe does: no rule is asked. The board
    /// has no power.
    ///
    /// # Errors
    /// If they do not fit, or the file cannot be written.
    pub fn put(&self, area: &Area, offset: usize, bytes: &[u8]) -> Result<(), Error> {
        let end = offset.checked_add(bytes.len());
        if end.is_none_or(|end| end > area.size as usize) {
            return Err(self.flash_error(io::Error::other(format!(
                "{} bytes at {offset:#x} are more than the {} of area {}",
                bytes.len(),
                area.size,
                area.name
            ))));
        }
        let start = self.place(area)? + offset as u64;
        self.file.write_all_at(bytes, start).map_err(|error| self.flash_error(error))
    }

    /// What an area holds, as the file has it: where the flash is in QEMU's memory, as it was when the
    /// power was last taken away.
    ///
    /// # Errors
    /// If the file has no such area, or cannot be read.
    pub fn area(&self, area: &Area) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; area.size as usize];
        self.file
            .read_exact_at(&mut bytes, self.place(area)?)
            .map_err(|error| self.flash_error(error))?;
        Ok(bytes)
    }

    /// What each device of the board file holds, as [`Emulated::area`] has it; nothing of those that the
    /// file does not have.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn devices(&self) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let mut start = 0;
        let mut devices = Vec::new();
        for (index, device) in self.board.flash().iter().enumerate() {
            if index < self.model.first {
                devices.push(None);
                continue;
            }
            let mut bytes = vec![0; device.size() as usize];
            let read = self.file.read_exact_at(&mut bytes, start);
            read.map_err(|error| self.flash_error(error))?;
            start += bytes.len() as u64;
            devices.push(Some(bytes));
        }
        Ok(devices)
    }

    /// Where in the file an area begins.
    fn place(&self, area: &Area) -> Result<u64, Error> {
        let devices = self.board.flash();
        let before = devices.get(self.model.first..area.device).ok_or_else(|| {
            self.flash_error(io::Error::other(format!(
                "area {} is on a device that the file does not have",
                area.name
            )))
        })?;
        let start: u64 = before.iter().map(|device| u64::from(device.size())).sum();
        Ok(start + u64::from(area.offset))
    }

    fn flash_error(&self, source: io::Error) -> Error {
        Error::Flash { path: self.path.clone(), source }
    }

    /// The machine, which [`Emulated::start`] starts: for whoever wants more of it.
    ///
    /// # Errors
    /// If the flash or the bootloader cannot be read.
    pub fn setup(&self) -> Result<Setup, Error> {
        let mut setup = Setup::new(self.model.machine);
        match self.model.keeper {
            Keeper::Qemu { options, .. } => {
                setup = setup.args(options(&self.path));
                setup = setup.args(["-kernel".into(), self.bootloader.clone().into_os_string()]);
            }
            Keeper::Debugger => {
                let bootloader = std::fs::read(&self.bootloader)?;
                let flash = self.devices()?.swap_remove(self.model.first).unwrap_or_default();
                let base = self.base();
                setup = setup.program(base, flash).program(base, bootloader);
            }
        }
        if matches!(self.model.button, Some(Button::Pin { .. })) {
            setup = setup.pins();
        }
        if let Some(smp) = self.smp.filter(|_| self.model.network) {
            let nic = format!("user,hostfwd=udp:{smp}-:{SMP_PORT}");
            setup = setup.args(["-nic".to_owned(), nic]);
        }
        Ok(setup)
    }

    /// Turns the power on.
    ///
    /// # Errors
    /// As [`Setup::start`].
    pub fn start(&self) -> Result<Powered<'_>, Error> {
        let powered = self.start_paused(self.setup()?)?;
        powered.machine().resume()?;
        Ok(powered)
    }

    /// The same with its setup at hand, stopped before the first instruction.
    ///
    /// # Errors
    /// As [`Setup::start`].
    pub fn start_paused(&self, setup: Setup) -> Result<Powered<'_>, Error> {
        Ok(Powered { emulated: self, machine: Some(setup.start_paused()?) })
    }

    /// Where the flash that is in QEMU's memory begins.
    fn base(&self) -> u32 {
        self.board.flash().get(self.model.first).and_then(|device| device.base).unwrap_or(0)
    }
}

/// The flash file, locked, and whether it is a new one.
fn open(board: &Board, model: &Model, path: &Path) -> io::Result<(File, bool)> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let text = "it is the flash of a device that is running";
            return Err(io::Error::new(ErrorKind::ResourceBusy, text));
        }
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let devices = board.flash().get(model.first..).unwrap_or_default();
    let size: u64 = devices.iter().map(|device| u64::from(device.size())).sum();
    let found = file.metadata()?.len();
    if found == 0 {
        for device in devices {
            (&file).write_all(&vec![device.erased; device.size() as usize])?;
        }
    } else if found != size {
        let text = format!("it has {found} bytes, and the flash of {} {size}", board.name());
        return Err(io::Error::new(ErrorKind::InvalidData, text));
    }
    Ok((file, found == 0))
}

/// A board that has power, until this is dropped.
#[derive(Debug)]
pub struct Powered<'e> {
    emulated: &'e Emulated,
    machine: Option<Machine>,
}

impl Powered<'_> {
    /// The machine.
    ///
    /// # Panics
    /// Never: it goes when this does.
    pub fn machine(&self) -> &Machine {
        self.machine.as_ref().expect("it goes when this does")
    }

    /// Fails if QEMU has ended.
    ///
    /// # Errors
    /// [`Error::Ended`], with what it said.
    pub fn lives(&mut self) -> Result<(), Error> {
        self.machine.as_mut().map_or(Ok(()), Machine::lives)
    }

    /// Presses or releases the button.
    ///
    /// # Errors
    /// If QEMU has ended.
    pub fn press(&self, pressed: bool) -> Result<(), Error> {
        match self.emulated.model.button {
            Some(Button::Word(place)) => {
                self.machine().write(place, &u32::from(pressed).to_le_bytes())
            }
            Some(Button::Pin { path, pin }) => self.machine().set_pin(path, pin, !pressed),
            None => Ok(()),
        }
    }

    /// Resets it, its button as it is held then: QEMU forgets what pins are driven to. A reset that the
    /// program makes does that as well, so that whoever holds a button presses it again and again.
    ///
    /// # Errors
    /// If QEMU has ended.
    pub fn reset(&self, pressed: bool) -> Result<(), Error> {
        self.machine().pause()?;
        self.machine().reset()?;
        self.press(pressed)?;
        self.machine().resume()
    }

    /// Lets it run until it is about to store to flash, or to a register that erases some; says whether
    /// it came so far within `patience`. Called again, it goes on from there.
    ///
    /// # Errors
    /// If QEMU has ended.
    pub fn run_to_flash(&self, patience: Duration) -> Result<bool, Error> {
        self.machine().run_to_store(self.emulated.model.stores, patience)
    }

    /// Brings what is in flash into its file, where QEMU itself does not; the board stands still
    /// meanwhile.
    ///
    /// # Errors
    /// If QEMU has ended, or the file cannot be written.
    pub fn save(&self) -> Result<(), Error> {
        let Keeper::Debugger = self.emulated.model.keeper else { return Ok(()) };
        let Emulated { board, model, file, .. } = self.emulated;
        let size = board.flash().get(model.first).map_or(0, |device| device.size());
        let flash = self.machine().read(self.emulated.base(), size as usize)?;
        file.write_all_at(&flash, 0).map_err(|error| self.emulated.flash_error(error))
    }

    /// Takes the power away, wherever the board is. What the program did that the hardware does not
    /// allow is the answer, a line for each time.
    ///
    /// # Errors
    /// If QEMU has ended before, or the flash cannot be written to its file.
    pub fn cut(mut self) -> Result<String, Error> {
        self.end()
    }

    fn end(&mut self) -> Result<String, Error> {
        let Some(machine) = &self.machine else { return Ok(String::new()) };
        let saved = match self.emulated.model.keeper {
            Keeper::Qemu { lags: false, .. } => Ok(()),
            Keeper::Qemu { lags: true, .. } => machine.pause(),
            Keeper::Debugger => machine.pause().and_then(|()| self.save()),
        };
        let errors = machine.guest_errors();
        self.machine = None;
        saved.map(|()| errors)
    }
}

impl Drop for Powered<'_> {
    fn drop(&mut self) {
        // Whoever wants to know calls `cut`.
        let _ = self.end();
    }
}
