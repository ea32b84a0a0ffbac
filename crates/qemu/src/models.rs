//! How QEMU plays the boards of `boards/`: a row for each family of them. Whatever starts an emulated
//! board takes it from here.

use std::ffi::OsString;
use std::path::Path;

use updraft_board::Board;

/// How QEMU plays a family of boards.
#[derive(Debug)]
pub struct Model {
    /// The board whose variants these are: called like it, with something behind a hyphen.
    pub board: &'static str,
    /// QEMU's machine, with its own options.
    pub(crate) machine: &'static str,
    /// The device of the board file that the flash file begins with; those after it follow.
    pub(crate) first: usize,
    pub(crate) keeper: Keeper,
    pub(crate) button: Option<Button>,
    /// Whether it has Ethernet.
    pub network: bool,
    /// Where a store changes flash: its memory, or the registers that erase it (address, bytes).
    pub(crate) stores: &'static [(u32, u32)],
}

/// Who keeps the flash while the board has no power.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keeper {
    /// QEMU, in a file that these options name. The bootloader lies elsewhere, where QEMU puts it at
    /// every reset.
    Qemu {
        options: fn(&Path) -> Vec<OsString>,
        /// The file is written later than the machine believes: it is stopped before it is killed,
        /// which ends that.
        lags: bool,
    },
    /// Nobody. It is in QEMU's memory, where the debugger puts it before the first instruction and
    /// fetches it from after the last one; the bootloader is in it.
    Debugger,
}

/// What stands for the button.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Button {
    /// A word of memory that no program uses: 1 while it is pressed.
    Word(u32),
    /// An input of the device that QEMU has at `path`, low while it is pressed.
    Pin { path: &'static str, pin: u32 },
}

/// Every family that QEMU has a machine for.
pub const MODELS: &[Model] = &[MPS2_AN386, MICROBIT, EMCRAFT_SF2];

/// Cortex-M4. It has no flash: what stands for it is its RAM, which QEMU keeps in a file. The word of
/// the button is the first one of the block RAM.
const MPS2_AN386: Model = Model {
    board: "mps2-an386",
    machine: "mps2-an386,memory-backend=flash",
    first: 1,
    keeper: Keeper::Qemu {
        options: |file| {
            // Without `prealloc`, a page that is written first is not in the file when QEMU is killed.
            let mut object: OsString =
                "memory-backend-file,id=flash,size=16M,share=on,prealloc=on,mem-path=".into();
            object.push(file);
            vec!["-object".into(), object]
        },
        lags: false,
    },
    button: Some(Button::Word(0x0100_0000)),
    network: true,
    stores: &[(0x2100_0000, 16 << 20)],
};

/// Cortex-M0 with a flash controller. Button A pulls its pin down.
const MICROBIT: Model = Model {
    board: "microbit",
    machine: "microbit",
    first: 0,
    keeper: Keeper::Debugger,
    button: Some(Button::Pin { path: "/machine/nrf51", pin: 17 }),
    network: false,
    stores: &[(0x4001_e508, 4), (0, 256 << 10)],
};

/// Cortex-M3 whose images are on SPI flash, which QEMU keeps in a file. Flash changes by what is sent
/// over SPI.
const EMCRAFT_SF2: Model = Model {
    board: "emcraft-sf2",
    machine: "emcraft-sf2",
    first: 1,
    keeper: Keeper::Qemu {
        options: |file| {
            let mut drive: OsString = "if=mtd,format=raw,file=".into();
            drive.push(file);
            vec!["-drive".into(), drive]
        },
        lags: true,
    },
    button: None,
    network: true,
    // The controller's settings, which are written anew for each transfer.
    stores: &[(0x4000_1000, 4)],
};

impl Model {
    /// How QEMU plays the board of this name; `None` if it does not.
    pub fn of(board: &str) -> Option<&'static Self> {
        let fits = |model: &&Self| {
            board
                .strip_prefix(model.board)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        MODELS.iter().find(fits)
    }

    /// Whether the board has a button that can be pressed.
    pub fn has_button(&self, board: &Board) -> bool {
        self.button.is_some() && !board.buttons().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_is_played_as_its_family_is() {
        let machine = |board| Model::of(board).map(|model| model.board);
        assert_eq!(machine("mps2-an386-factory"), Some("mps2-an386"));
        assert_eq!(machine("microbit"), Some("microbit"));
        assert_eq!(machine("microbits"), None);
        assert_eq!(machine("virtual-nor-4k"), None);
    }

    #[test]
    fn every_family_has_a_board_file_and_its_flash_file_a_beginning() {
        for model in MODELS {
            let board = Board::load(model.board).unwrap();
            assert!(model.first < board.flash().len(), "{}", model.board);
            if matches!(model.keeper, Keeper::Debugger) {
                assert!(board.flash()[model.first].base.is_some(), "{}", model.board);
            }
        }
    }
}
