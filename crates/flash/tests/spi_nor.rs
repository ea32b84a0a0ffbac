//! The driver of NOR flash behind SPI, on a chip that can be absent, asleep, of another make, protected,
//! worn out and stuck.

use std::cell::RefCell;
use std::rc::Rc;

use updraft_flash::{
    Data, Device, Geometry, Kind, NorCommands, SectorRun, Spi, SpiNor, Violation, checked,
};

const SECTOR: u32 = 4096;
const PAGE: usize = 256;
const SIZE: usize = 0x1_0000;
const GEOMETRY: Geometry<'static> = Geometry {
    kind: Kind::Nor,
    write_size: 1,
    erased: 0xff,
    sectors: &[SectorRun { count: SIZE as u32 / SECTOR, size: SECTOR }],
};
const COMMANDS: NorCommands = NorCommands {
    read: 0x03,
    program: 0x02,
    erase: 0x20,
    long_addresses: false,
    page: PAGE,
    failed: None,
};
/// The bits of a status that tell of a failure on a chip that has them, and what clears them.
const TELLS: NorCommands = NorCommands { failed: Some((0x60, 0x30)), ..COMMANDS };
const BUSY: u8 = 1;
const ENABLED: u8 = 2;

/// What is the matter with a chip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Trouble {
    #[default]
    None,
    /// Nothing is there, and the line reads as this.
    Missing(u8),
    /// It takes no change, and says that it is done.
    Protected,
    /// The same, and says so.
    Failing,
    /// One bit of it is worn out, and stays as it is.
    Worn(usize),
    /// It is at work, for good.
    Stuck,
}

/// A chip as its data sheet has it.
#[derive(Debug)]
struct Chip {
    cells: Vec<u8>,
    status: u8,
    id: [u8; 3],
    trouble: Trouble,
    /// Transfers that it does not hear: for good until it is woken, and then a few more.
    asleep: bool,
    deaf: u32,
    /// Looks at the status until an operation is over.
    work: u32,
    left: u32,
    /// Commands that it has heard.
    heard: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Line(Rc<RefCell<Chip>>);

impl Line {
    fn new() -> Self {
        Self(Rc::new(RefCell::new(Chip {
            cells: vec![0xff; SIZE],
            status: 0,
            id: [0xef, 0x40, 0x16],
            trouble: Trouble::None,
            asleep: false,
            deaf: 0,
            work: 3,
            left: 0,
            heard: Vec::new(),
        })))
    }

    fn with(change: impl FnOnce(&mut Chip)) -> Self {
        let line = Self::new();
        change(&mut line.0.borrow_mut());
        line
    }

    fn open(&self, commands: NorCommands) -> SpiNor<Self> {
        SpiNor::open(self.clone(), &GEOMETRY, commands)
    }

    fn cells(&self) -> Vec<u8> {
        self.0.borrow().cells.clone()
    }

    /// From now on.
    fn trouble(&self, trouble: Trouble) {
        self.0.borrow_mut().trouble = trouble;
    }
}

impl Spi for Line {
    fn transfer(&mut self, command: &[u8], data: Data<'_>) {
        self.0.borrow_mut().hear(command, data);
    }
}

impl Chip {
    fn hear(&mut self, command: &[u8], data: Data<'_>) {
        if let Trouble::Missing(level) = self.trouble {
            return fill(data, level);
        }
        if self.asleep {
            self.asleep = command[0] != 0xab;
            return fill(data, 0xff);
        }
        if self.deaf > 0 {
            self.deaf -= 1;
            return fill(data, 0xff);
        }
        self.heard.push(command[0]);
        if self.status & BUSY != 0 && command[0] != 0x05 && command[0] != 0x30 {
            // It is at work, and hears nothing else.
            return fill(data, 0xff);
        }
        let address = command.get(1..4).map(|at| at.iter().fold(0, |a, b| a << 8 | *b as usize));
        match (command[0], address, data) {
            (0x9f, _, Data::In(bytes)) => bytes.copy_from_slice(&self.id[..bytes.len()]),
            (0x05, _, Data::In(bytes)) => bytes.fill_with(|| self.look()),
            (0x06, _, Data::None) => self.status |= ENABLED,
            (0x30, _, Data::None) => self.status = 0,
            (0x03, Some(at), Data::In(bytes)) => {
                bytes.iter_mut().zip(&self.cells[at..]).for_each(|(byte, cell)| *byte = *cell);
            }
            (0x02, Some(at), Data::Out(bytes)) => self.change(|cells| {
                for (offset, byte) in bytes.iter().enumerate() {
                    // What passes the end of a page begins anew with it.
                    cells[at / PAGE * PAGE + (at + offset) % PAGE] &= byte;
                }
            }),
            (0x20, Some(at), Data::None) => {
                let first = at / SECTOR as usize * SECTOR as usize;
                self.change(|cells| cells[first..first + SECTOR as usize].fill(0xff));
            }
            (_, _, data) => fill(data, 0xff),
        }
    }

    fn change(&mut self, how: impl FnOnce(&mut [u8])) {
        if self.status & ENABLED == 0 {
            return;
        }
        self.status &= !ENABLED;
        match self.trouble {
            Trouble::Protected => {}
            Trouble::Failing => self.status |= 0x20 | BUSY,
            Trouble::Worn(at) => {
                let bit = self.cells[at] & 0x10;
                how(&mut self.cells);
                self.cells[at] = self.cells[at] & !0x10 | bit;
            }
            _ => how(&mut self.cells),
        }
        self.status |= BUSY;
        self.left = self.work;
    }

    fn look(&mut self) -> u8 {
        let status = self.status;
        self.left = self.left.saturating_sub(1);
        if self.left == 0 && !matches!(self.trouble, Trouble::Stuck | Trouble::Failing) {
            self.status &= !BUSY;
        }
        status
    }
}

fn fill(data: Data<'_>, level: u8) {
    if let Data::In(bytes) = data {
        bytes.fill(level);
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 256) as u8).collect()
}

#[test]
fn what_is_written_across_pages_lands_where_it_belongs() {
    let line = Line::new();
    let mut chip = line.open(COMMANDS);
    for (at, len) in [(0, 1), (250, 6), (250, 7), (0x1fe, 2 * PAGE + 3), (0x2000, 4 * PAGE)] {
        let data = pattern(len);
        chip.erase(0, 0x4000).unwrap();
        chip.write(at, &data).unwrap();
        let cells = line.cells();
        assert_eq!(cells[at as usize..][..len], data, "{len} bytes at {at:#x}");
        assert!(cells[..at as usize].iter().all(|cell| *cell == 0xff), "nothing in front");
        assert!(cells[at as usize + len..].iter().all(|cell| *cell == 0xff), "nothing behind");
        let mut read = vec![0; len];
        chip.read(at, &mut read).unwrap();
        assert_eq!(read, data);
    }
}

#[test]
fn a_chip_that_is_not_there_is_told_whichever_way_its_line_hangs() {
    for level in [0x00, 0xff] {
        let line = Line::with(|chip| chip.trouble = Trouble::Missing(level));
        let mut chip = line.open(COMMANDS);
        assert!(!chip.is_there());
        assert_eq!(chip.read(0, &mut [0; 4]), Err(Violation::Silent));
        assert_eq!(chip.write(0, &[0; 4]), Err(Violation::Silent));
        assert_eq!(chip.erase(0, SECTOR), Err(Violation::Silent));
    }
}

#[test]
fn a_chip_of_an_unknown_make_is_told_apart_and_works() {
    let line = Line::with(|chip| chip.id = [0x12, 0x34, 0x56]);
    let mut chip = line.open(COMMANDS);
    assert!(chip.is_there());
    assert_eq!(chip.id(), [0x12, 0x34, 0x56]);
    chip.write(0, &pattern(300)).unwrap();
    assert_eq!(line.cells()[..300], pattern(300));
}

#[test]
fn a_chip_that_sleeps_is_woken_and_given_time() {
    let line = Line::with(|chip| (chip.asleep, chip.deaf) = (true, 20));
    let chip = line.open(COMMANDS);
    assert!(chip.is_there());
    assert_eq!(chip.id(), [0xef, 0x40, 0x16]);
}

#[test]
fn a_chip_that_takes_no_changes_is_no_success() {
    let line = Line::new();
    let mut chip = line.open(COMMANDS);
    chip.write(0, &[0; 16]).unwrap();
    line.trouble(Trouble::Protected);
    assert_eq!(chip.write(0x100, &[0x55]), Err(Violation::NotDone));
    assert_eq!(chip.erase(0, SECTOR), Err(Violation::NotDone));
    // What is there already needs no change.
    assert_eq!(chip.erase(0x1000, SECTOR), Ok(()));
    let mut read = [1; 16];
    chip.read(0, &mut read).unwrap();
    assert_eq!(read, [0; 16], "it can be read");
}

#[test]
fn a_chip_that_says_what_failed_is_believed_and_made_to_listen_again() {
    let line = Line::new();
    let mut chip = line.open(TELLS);
    line.trouble(Trouble::Failing);
    assert_eq!(chip.write(0, &[0x55]), Err(Violation::NotDone));
    assert_eq!(chip.erase(0, SECTOR), Err(Violation::NotDone));
    line.trouble(Trouble::None);
    assert_eq!(chip.write(0, &[0x55]), Ok(()));
    assert_eq!(line.cells()[0], 0x55);
    assert!(line.0.borrow().heard.contains(&0x30));
}

#[test]
fn a_single_bit_that_stays_as_it_is_is_noticed() {
    for at in [0, 31, 32, 255, 256, 4095] {
        let line = Line::new();
        let mut chip = line.open(COMMANDS);
        line.trouble(Trouble::Worn(at));
        assert_eq!(chip.write(0, &[0; 4096]), Err(Violation::NotDone), "{at}");
        line.trouble(Trouble::None);
        chip.write(0, &[0; 4096]).unwrap();
        line.trouble(Trouble::Worn(at));
        assert_eq!(chip.erase(0, SECTOR), Err(Violation::NotDone), "{at}");
    }
}

#[test]
fn what_is_not_erased_is_not_written_over() {
    let line = Line::new();
    let mut chip = line.open(COMMANDS);
    chip.write(0, &[0x0f]).unwrap();
    assert_eq!(chip.write(0, &[0xf0]), Err(Violation::NotDone));
    assert_eq!(chip.write(0, &[0x00]), Ok(()), "bits that go to zero are no problem");
}

#[test]
fn a_chip_that_is_never_done_is_given_up() {
    let line = Line::new();
    let mut chip = line.open(COMMANDS);
    line.trouble(Trouble::Stuck);
    assert_eq!(chip.write(0, &[0x55]), Err(Violation::Silent));
    assert_eq!(chip.erase(0, SECTOR), Err(Violation::Silent));
}

#[test]
fn a_chip_that_goes_away_is_no_success() {
    for (level, error) in [(0xff, Violation::Silent), (0x00, Violation::NotDone)] {
        for commands in [COMMANDS, TELLS] {
            let line = Line::new();
            let mut chip = line.open(commands);
            line.trouble(Trouble::Missing(level));
            assert_eq!(chip.write(0, &[0x55]), Err(error), "{level}");
            assert_eq!(chip.erase(0, SECTOR), Err(error), "{level}");
        }
    }
}

#[test]
fn what_leaves_the_chip_or_a_sector_is_refused_before_anything_is_sent() {
    let line = Line::new();
    let mut chip = line.open(COMMANDS);
    line.0.borrow_mut().heard.clear();
    let size = SIZE as u32;
    assert_eq!(chip.read(size - 1, &mut [0; 2]), Err(Violation::Outside));
    assert_eq!(chip.write(size, &[0]), Err(Violation::Outside));
    assert_eq!(chip.write(u32::MAX, &[0]), Err(Violation::Outside));
    assert_eq!(chip.erase(size - SECTOR, 2 * SECTOR), Err(Violation::Outside));
    assert_eq!(chip.erase(1, SECTOR), Err(Violation::Misaligned));
    assert_eq!(chip.erase(0, SECTOR - 1), Err(Violation::Misaligned));
    assert!(line.0.borrow().heard.is_empty());
    assert_eq!(checked(&GEOMETRY, 0, SIZE, SECTOR), Ok(size));
}
