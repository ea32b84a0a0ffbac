//! The power of a board: operations are counted over all of its devices, and cut off together.

use crate::flash::Torn;

/// One operation that a device carried out, or began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Op {
    /// Index of the device.
    pub device: usize,
    /// Where, in bytes from the start of the device.
    pub address: u32,
    /// How long, in bytes.
    pub len: u32,
    /// What.
    pub kind: OpKind,
}

impl Op {
    /// Whether it erases a sector.
    pub fn is_erase(&self) -> bool {
        self.kind == OpKind::Erase
    }
}

/// What an operation does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpKind {
    /// Erases one sector.
    Erase,
    /// Programs these bytes.
    Write(Vec<u8>),
}

/// The power supply of a board.
#[derive(Clone, Debug)]
pub struct Supply {
    on: bool,
    operations: u64,
    cut: Option<(u64, Torn)>,
    time_us: u64,
    log: Option<Vec<Op>>,
}

impl Default for Supply {
    fn default() -> Self {
        Self { on: true, operations: 0, cut: None, time_us: 0, log: None }
    }
}

/// What becomes of an operation.
#[derive(Clone, Copy)]
pub(crate) enum Fate {
    /// It is carried out.
    Done,
    /// The power fails within it.
    Cut(Torn),
    /// There is no power.
    Off,
}

impl Supply {
    /// Whether the board has power.
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Writes and erases that were begun while there was power. A sector is one erase.
    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// Time that writes and erases have taken, in microseconds of the model.
    pub fn time_us(&self) -> u64 {
        self.time_us
    }

    /// Plans a cut within operation number `operation`, counted from 0 from now on.
    pub fn cut_at(&mut self, operation: u64, torn: Torn) {
        self.cut = Some((self.operations + operation, torn));
    }

    /// Gives power again and forgets a planned cut.
    pub fn power_on(&mut self) {
        self.on = true;
        self.cut = None;
    }

    /// Takes the power away between two operations.
    pub fn power_off(&mut self) {
        self.on = false;
    }

    /// Begins to keep operations, or stops and forgets them.
    pub fn record(&mut self, on: bool) {
        self.log = on.then(Vec::new);
    }

    /// The operations kept so far; keeping goes on.
    pub fn take_log(&mut self) -> Vec<Op> {
        self.log.as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub(crate) fn begin(&mut self, op: impl FnOnce() -> Op, time_us: u64) -> Fate {
        if !self.on {
            return Fate::Off;
        }
        let number = self.operations;
        self.operations += 1;
        self.time_us += time_us;
        if let Some(log) = &mut self.log {
            log.push(op());
        }
        match self.cut {
            Some((at, torn)) if at == number => {
                self.on = false;
                Fate::Cut(torn)
            }
            _ => Fate::Done,
        }
    }
}
