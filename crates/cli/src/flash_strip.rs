//! The slots of a board in one line, a character per sector: what an update has made of each.

use std::collections::HashMap;
use std::fmt::Write as _;

use updraft_board::{Area, Board, Role};
use updraft_sim::explore::Story;
use updraft_sim::flash::{Op, SimFlash};

/// Sectors of a slot that are drawn at most.
const LONGEST: usize = 40;

/// Draws the slots and the scratch area of a board.
#[derive(Debug)]
pub struct FlashStrip<'b> {
    board: &'b Board,
    areas: Vec<&'b Area>,
    /// What a sector full of one of the images looks like.
    known: HashMap<Vec<u8>, char>,
}

impl<'b> FlashStrip<'b> {
    /// For the images of `story`.
    pub fn new(board: &'b Board, story: &Story) -> Self {
        let shown = |area: &&Area| area.role.is_slot() || area.role == Role::Scratch;
        let areas: Vec<_> = board.areas().iter().filter(shown).collect();
        let mut known = HashMap::new();
        for area in &areas {
            let erased = board.device(area).erased;
            let runs = board.sectors(area);
            for (image, letter) in [(story.old(), 'o'), (story.new_image(), 'n')] {
                let mut at = 0;
                for size in runs.iter().flat_map(|run| vec![run.size as usize; run.count as usize])
                {
                    let Some(rest) = image.get(at..).filter(|rest| !rest.is_empty()) else { break };
                    let mut sector = rest[..rest.len().min(size)].to_vec();
                    sector.resize(size, erased);
                    known.insert(sector, letter);
                    at += size;
                }
            }
        }
        Self { board, areas, known }
    }

    /// What the letters mean.
    pub fn legend(&self) -> String {
        "o old image, n new image, t trailer or remains, . erased; one letter per sector".into()
    }

    /// The state of `flash`.
    pub fn draw(&self, flash: &SimFlash) -> String {
        let mut line = String::new();
        for area in &self.areas {
            let erased = self.board.device(area).erased;
            let bytes = flash.bytes(area.id);
            let mut letters = Vec::new();
            let mut at = 0;
            for run in self.board.sectors(area) {
                for _ in 0..run.count {
                    let sector = bytes.get(at..at + run.size as usize).unwrap_or_default();
                    at += run.size as usize;
                    letters.push(match self.known.get(sector) {
                        Some(letter) => *letter,
                        None if sector.iter().all(|byte| *byte == erased) => '.',
                        None => 't',
                    });
                }
            }
            let _ = write!(line, "{} {} ", area.name, shortened(&letters));
        }
        line.trim_end().to_owned()
    }

    /// What an operation does, and where.
    pub fn describe(&self, op: &Op) -> String {
        let inside = |area: &&Area| {
            area.device == op.device && (area.offset..area.end()).contains(&op.address)
        };
        let what = if op.is_erase() { "erase" } else { "write" };
        match self.board.areas().iter().find(inside) {
            Some(area) => {
                let at = op.address - area.offset;
                format!("{what} {} {at:#x}, {} B", area.name, op.len)
            }
            None => format!("{what} {:#x}, {} B", op.address, op.len),
        }
    }
}

/// The beginning and the end, if all is too long: images begin at the one, trailers are at the
/// other.
fn shortened(letters: &[char]) -> String {
    if letters.len() <= LONGEST {
        return letters.iter().collect();
    }
    let (head, tail) = (&letters[..LONGEST - 8], &letters[letters.len() - 7..]);
    head.iter().chain(&['…']).chain(tail).collect()
}
