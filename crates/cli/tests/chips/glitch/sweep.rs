//! The sweep: a boot instruction by instruction, and at each of them a way aside, on which that one is
//! skipped and the boot goes on to whatever end it comes to.
//!
//! ```text
//!  S0 ─▶ S1 ─▶ S2 ─▶ … ─▶ Sn     the boot, in single steps; arithmetic is run through
//!        │      └ skip ─▶ … an end     then back: registers, RAM and flash as they were at S2
//!        └ skip ─▶ … an end
//! ```

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use updraft_qemu::{Error, Machine, Registers, Setup};

use super::program::Program;

/// How long a boot may take on a host with other things to do.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long the machine runs until somebody looks whether it will ever stop.
const GLANCE: Duration = Duration::from_millis(200);
/// Ticks of the timer that no way aside takes, each 640 instructions: several whole boots.
const LONGEST: u32 = 60_000_000 / 640;
/// Looks at a machine whose timer stands still.
const LOOKS: u32 = 25;
/// Resets on one way aside: the first one ends what the skipped instruction has led to.
const RESETS: u32 = 3;
/// The timer, which counts down, and the switch of the watchdog.
const TIMER: u32 = 0x4000_2004;
const WATCHDOG: u32 = 0x4000_8008;
const RAM: u32 = 0x2000_0000;
/// What the emulator keeps in a file.
const FLASH: u32 = 0x2100_0000;
const FLASH_SIZE: u32 = 16 << 20;
/// Flash is put back in pieces of this size, in bytes.
const PAGE: usize = 4096;
/// Steps that are not worth a breakpoint.
const FAR: usize = 6;

/// Instructions that tell where a boot has come to: interrupts on, which stands right before the
/// jump; and sleep.
const INTERRUPTS_ON: u16 = 0xb662;
const SLEEP: u16 = 0xbf30;
/// Change of the interrupt mask, whichever.
const MASK: u16 = 0xb660;

/// A chip whose boot is swept.
pub struct Target {
    pub program: Program,
    pub elf: PathBuf,
    pub machine: String,
    /// What its flash holds before the boot.
    pub flash: Vec<u8>,
    /// The slots: where they are in that, and their sizes.
    pub slots: [(usize, usize); 2],
    /// The image that may be started, if there is one. The first slot is the one that runs.
    pub good: Option<Vec<u8>>,
    /// Where files are kept.
    pub folder: PathBuf,
    /// Where the application's last instruction is, from the beginning of the first slot.
    pub end: u32,
}

/// Where a boot came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum End {
    /// Nothing is started: the bootloader waits for an image.
    Refused,
    /// The image that may be started is.
    Good,
    /// Another one is.
    Booted,
    /// Nowhere: the processor goes round in a circle, for a watchdog to end.
    Hung,
    /// The processor has locked up.
    LockedUp,
}

/// One boot as it goes, without what is run through.
pub struct Trace {
    /// The address of each instruction.
    pub steps: Vec<u32>,
}

/// What became of the skips.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub ends: HashMap<End, usize>,
    /// Of these, after a reset.
    pub resets: usize,
    /// Those that started an image that is not to be started: which step, and where.
    pub broken: Vec<(usize, u32)>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        for (end, count) in other.ends {
            *self.ends.entry(end).or_default() += count;
        }
        self.resets += other.resets;
        self.broken.extend(other.broken);
    }

    pub fn count(&self, end: End) -> usize {
        self.ends.get(&end).copied().unwrap_or(0)
    }

    pub fn all(&self) -> usize {
        self.ends.values().sum()
    }
}

/// A chip between two instructions.
#[derive(Clone)]
struct State {
    registers: Registers,
    ram: Vec<u8>,
    slots: Rc<Vec<u8>>,
}

struct Device<'t> {
    target: &'t Target,
    path: PathBuf,
    file: File,
    machine: Machine,
    /// Bytes of RAM that the program uses.
    ram: usize,
    /// Where it waits for an image, or for time to pass.
    waits: Vec<u32>,
    jump: u32,
    reset: u32,
    /// The boot itself begins here: all devices are set up.
    ready: u32,
}

impl Target {
    /// Lets the boot go its way. The emulator writes down each instruction but those of arithmetic,
    /// in front of which it is told to look away.
    pub fn trace(&self) -> Trace {
        let log = self.folder.join("trace.log");
        let device = Device::start(self, "trace", &["-d", "nochain", "-D", log.to_str().unwrap()]);
        let machine = &device.machine;
        let look = |on: bool| {
            let (what, singly) = if on { ("exec,nochain", "on") } else { ("nochain", "off") };
            machine.monitor(&format!("log {what}")).unwrap();
            machine.monitor(&format!("singlestep {singly}")).unwrap();
            for entry in self.program.arithmetic_entries() {
                machine.set_breakpoint(entry, on).unwrap();
            }
        };
        machine.step().unwrap();
        look(true);
        let end = loop {
            assert!(machine.run_to_breakpoint(PATIENCE).unwrap());
            let registers = machine.registers().unwrap();
            let pc = registers.pc();
            if device.waits.contains(&pc) {
                break End::Refused;
            } else if pc == device.jump {
                break End::Good;
            }
            look(false);
            while device.run_through(&machine.registers().unwrap()) {}
            look(true);
        };
        assert_eq!(end == End::Good, self.good.is_some(), "{end:?}");
        drop(device);
        let text = std::fs::read_to_string(&log).unwrap();
        std::fs::remove_file(&log).unwrap();
        // The first instruction was carried out unseen.
        let mut steps = vec![self.program.symbol("_reset")];
        for entry in text.split("Trace ").skip(1) {
            let pc =
                entry.split('/').nth(1).and_then(|pc| u32::from_str_radix(pc, 16).ok()).unwrap();
            // An access to a device is begun once more, as the last one of what is translated.
            let again = steps.last() == Some(&pc);
            if !again && !entry.contains("Stopped execution") {
                steps.push(pc);
            }
        }
        Trace { steps }
    }

    /// Skips the instructions at `picks`, steps of the trace in rising order, one by one.
    pub fn sweep(&self, picks: &[usize], trace: &Trace) -> Tally {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let shares = picks.chunks(picks.len().div_ceil(workers).max(1)).enumerate();
        std::thread::scope(|scope| {
            let sweep = |(number, share)| {
                scope.spawn(move || {
                    Device::start(self, &format!("{number}"), &[]).sweep(share, trace)
                })
            };
            let threads: Vec<_> = shares.map(sweep).collect();
            let mut tally = Tally::default();
            threads.into_iter().for_each(|thread| tally.add(thread.join().unwrap()));
            tally
        })
    }
}

impl<'t> Device<'t> {
    fn start(target: &'t Target, name: &str, options: &[&str]) -> Self {
        let path = target.folder.join(format!("flash-{name}.bin"));
        std::fs::write(&path, &target.flash).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let program = &target.program;
        let mut waits: Vec<u32> = program.places(SLEEP).collect();
        waits.push(program.symbol("recovery::run"));
        let [jump] = program.places(INTERRUPTS_ON).collect::<Vec<_>>()[..] else {
            panic!("there is one place to jump from");
        };
        let device = Self {
            target,
            machine: Self::machine(target, &path, options),
            path,
            file,
            ram: (program.symbol("_bss_end").next_multiple_of(4) - RAM) as usize,
            waits,
            jump,
            reset: program.symbol("_reset"),
            ready: program.symbol("load::boot"),
        };
        device.arm();
        device
    }

    /// A machine of its own, before its first instruction. Its clock goes by instructions.
    fn machine(target: &Target, path: &Path, options: &[&str]) -> Machine {
        let object = format!(
            "memory-backend-file,id=flash,size=16M,share=on,prealloc=on,mem-path={}",
            path.display()
        );
        let elf = target.elf.to_str().unwrap();
        let machine = format!("{},memory-backend=flash", target.machine);
        let setup = Setup::new(&machine).args(["-object", &object, "-kernel", elf]);
        setup.args(["-icount", "shift=0"]).args(options).start_paused().unwrap()
    }

    fn arm(&self) {
        let end = [FLASH + self.target.end, self.jump, self.reset];
        for place in self.waits.iter().chain(&end) {
            self.machine.set_breakpoint(*place, true).unwrap();
        }
    }

    /// Lets arithmetic go on to where it returns to. Whether there was any.
    fn run_through(&self, registers: &Registers) -> bool {
        let function = self.target.program.function(registers.pc());
        if !function.is_some_and(|function| function.arithmetic) {
            return false;
        }
        self.go_to(registers.general[14] & !1);
        true
    }

    fn sweep(mut self, picks: &[usize], trace: &Trace) -> Tally {
        let mut tally = Tally::default();
        let mut slots = Rc::new(self.slots());
        let mut step = 0;
        for pick in picks {
            self.travel(step, *pick, trace);
            step = *pick;
            let registers = self.machine.registers().unwrap();
            assert_eq!(registers.pc(), trace.steps[*pick], "the same boot, step {pick}");
            let now = self.slots();
            if *slots != now {
                slots = Rc::new(now);
            }
            let ram = self.machine.read(RAM, self.ram).unwrap();
            let state = State { registers, ram, slots: slots.clone() };
            let (end, resets) = self.attempt(&state);
            self.back_to(&state);
            *tally.ends.entry(end).or_default() += 1;
            tally.resets += usize::from(resets > 0);
            if end == End::Booted {
                tally.broken.push((*pick, state.registers.pc()));
            }
        }
        tally
    }

    /// From one step of the trace to a later one: at one go to the last instruction that is reached
    /// for the only time on the way, then in single steps.
    fn travel(&self, from: usize, to: usize, trace: &Trace) {
        let mut step = from;
        let way = &trace.steps[from..to];
        if way.len() > FAR {
            let mut times: HashMap<u32, u32> = HashMap::new();
            trace.steps[from..=to].iter().for_each(|place| *times.entry(*place).or_default() += 1);
            // What arithmetic calls comes by more often than the trace tells.
            let alone = |place: &u32| times[place] == 1 && !self.target.program.is_shared(*place);
            let mut places = (from + 1..=to).rev();
            if let Some(landmark) = places.find(|step| alone(&trace.steps[*step])) {
                let place = trace.steps[landmark];
                self.machine.step().unwrap();
                if self.machine.registers().unwrap().pc() != place {
                    self.go_to(place);
                }
                step = landmark;
            }
        }
        loop {
            let registers = self.machine.registers().unwrap();
            if self.run_through(&registers) {
                continue;
            }
            if step == to {
                break;
            }
            self.machine.step().unwrap();
            step += 1;
        }
    }

    /// Runs to an instruction.
    fn go_to(&self, place: u32) {
        self.machine.set_breakpoint(place, true).unwrap();
        loop {
            assert!(self.machine.run_to_breakpoint(PATIENCE).unwrap());
            if self.machine.registers().unwrap().pc() == place {
                break;
            }
            self.machine.step().unwrap();
        }
        self.machine.set_breakpoint(place, false).unwrap();
    }

    /// From `state` on without its next instruction. Where that leads to, and over how many resets.
    fn attempt(&mut self, state: &State) -> (End, u32) {
        let mut registers = state.registers;
        let pc = registers.pc();
        registers.general[15] = pc + self.target.program.len(pc);
        registers.status = passed(registers.status);
        self.machine.set_registers(&registers).unwrap();
        let mut resets = 0;
        let end = match self.run(&mut resets) {
            Ok(end) => end,
            Err(Error::Ended(_)) => End::LockedUp,
            Err(error) => panic!("{error}"),
        };
        let mask = self.target.program.instruction(pc) & 0xffe8 == MASK;
        let watched = || self.machine.read(WATCHDOG, 4).unwrap() != [0; 4];
        // What this machine has for flash takes any store; a reset loads it again.
        let code = self.target.program.code();
        let changed = || self.machine.read(0, code.len()).unwrap() != code;
        match end {
            End::LockedUp => {
                self.machine = Self::machine(self.target, &self.path, &[]);
                self.arm();
                self.set_up(state);
            }
            End::Refused if resets == 0 && !mask && !watched() && !changed() => {}
            _ => self.set_up(state),
        }
        (end, resets)
    }

    fn run(&self, resets: &mut u32) -> Result<End, Error> {
        let machine = &self.machine;
        let timer = || -> Result<u32, Error> {
            let bytes = machine.read(TIMER, 4)?;
            Ok(u32::from_le_bytes(bytes.try_into().unwrap()))
        };
        let mut began = None;
        let mut looks = 0;
        loop {
            let stopped = machine.run_to_breakpoint(GLANCE)?;
            let pc = machine.registers()?.pc();
            if self.waits.contains(&pc) {
                return Ok(End::Refused);
            } else if (FLASH..FLASH + FLASH_SIZE).contains(&pc) {
                return Ok(self.started(pc));
            } else if pc == self.jump {
                return Ok(self.jump());
            } else if pc == self.reset && stopped {
                *resets += 1;
                if *resets > RESETS {
                    return Ok(End::Hung);
                }
                machine.step()?;
            } else {
                looks += 1;
                let (now, began) = (timer()?, *began.get_or_insert(timer()?));
                if began.wrapping_sub(now) > LONGEST || looks > LOOKS {
                    return Ok(End::Hung);
                }
            }
        }
    }

    /// About to jump: without letting interrupts in.
    fn jump(&self) -> End {
        let machine = &self.machine;
        let mut registers = machine.registers().unwrap();
        registers.general[15] += 2;
        machine.set_registers(&registers).unwrap();
        machine.step().unwrap();
        let pc = machine.registers().unwrap().pc();
        match (FLASH..FLASH + FLASH_SIZE).contains(&pc) {
            true => self.started(pc),
            false => End::Hung,
        }
    }

    /// Something runs from flash: the image that may, or another.
    fn started(&self, pc: u32) -> End {
        let (start, size) = self.target.slots[0];
        let inside = (FLASH + start as u32..FLASH + (start + size) as u32).contains(&pc);
        let good = self.target.good.as_ref().filter(|_| inside);
        match good.is_some_and(|good| self.slots().starts_with(good)) {
            true => End::Good,
            false => End::Booted,
        }
    }

    /// What both slots hold, one behind the other.
    fn slots(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (start, size) in self.target.slots {
            let mut slot = vec![0; size];
            self.file.read_exact_at(&mut slot, start as u64).unwrap();
            bytes.extend(slot);
        }
        bytes
    }

    /// Resets the chip, has it set up its devices, and goes to `state`.
    fn set_up(&mut self, state: &State) {
        self.machine.reset().unwrap();
        self.machine.step().unwrap();
        self.machine.set_breakpoint(self.ready, true).unwrap();
        assert!(self.machine.run_to_breakpoint(Duration::from_secs(20)).unwrap());
        assert_eq!(self.machine.registers().unwrap().pc(), self.ready);
        self.machine.set_breakpoint(self.ready, false).unwrap();
        self.back_to(state);
    }

    fn back_to(&self, state: &State) {
        // By the debugger, as the emulator has to know that code may have changed.
        let mut was = &state.slots[..];
        for (start, size) in self.target.slots {
            let mut slot = vec![0; size];
            self.file.read_exact_at(&mut slot, start as u64).unwrap();
            let (old, rest) = was.split_at(size);
            was = rest;
            for (n, (now, old)) in slot.chunks(PAGE).zip(old.chunks(PAGE)).enumerate() {
                if now != old {
                    let address = FLASH + (start + n * PAGE) as u32;
                    self.machine.write(address, old).unwrap();
                }
            }
        }
        self.machine.write(RAM, &state.ram).unwrap();
        self.machine.set_registers(&state.registers).unwrap();
    }
}

impl Drop for Device<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The processor's status behind an instruction: one of a conditional block counts as passed.
fn passed(status: u32) -> u32 {
    let block = (status >> 8 & 0xfc) | (status >> 25 & 3);
    let next = if block & 7 == 0 { 0 } else { (block & 0xe0) | (block << 1 & 0x1f) };
    (status & !0x0600_fc00) | (next & 0xfc) << 8 | (next & 3) << 25
}

#[test]
fn a_skipped_instruction_of_a_conditional_block_shortens_it() {
    let status = |block: u32| 0x6100_0003 | (block & 0xfc) << 8 | (block & 3) << 25;
    // Two instructions, the second one under the other condition.
    assert_eq!(passed(status(0b0000_1100)), status(0b0001_1000));
    assert_eq!(passed(status(0b0001_1000)), status(0));
    assert_eq!(passed(status(0)), status(0));
}
