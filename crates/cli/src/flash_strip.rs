//! The slots of a board in one line, a character for each sector or few: what an update has made
//! of them.

use std::collections::HashMap;

use updraft_board::{Area, Board, Role};
use updraft_flash::AreaId;
use updraft_sim::explore::Story;
use updraft_sim::flash::{Op, SimFlash};

/// Letters of an area at most.
const LONGEST: usize = 40;

/// What a sector holds. The more it tells about an update, the greater it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Holds {
    Nothing,
    /// A part of the old image as it was uploaded, if that is not how it runs.
    OldUploaded,
    Old,
    NewUploaded,
    New,
    /// Anything else.
    Remains,
}

impl Holds {
    fn letter(self) -> char {
        match self {
            Self::Nothing => '.',
            Self::OldUploaded => 'O',
            Self::Old => 'o',
            Self::NewUploaded => 'N',
            Self::New => 'n',
            Self::Remains => 't',
        }
    }
}

/// What sectors full of the images look like.
#[derive(Debug, Default)]
struct Known(HashMap<Vec<u8>, Holds>);

impl Known {
    /// Learns an image, cut at these sectors; what is known already stays.
    fn learn(&mut self, image: &[u8], holds: Holds, sectors: &[usize], erased: u8) {
        let mut rest = image;
        for size in sectors {
            let (bytes, behind) = rest.split_at(rest.len().min(*size));
            if bytes.is_empty() {
                break;
            }
            let mut sector = bytes.to_vec();
            sector.resize(*size, erased);
            self.0.entry(sector).or_insert(holds);
            rest = behind;
        }
    }

    fn look(&self, sector: &[u8], erased: u8) -> Holds {
        match self.0.get(sector) {
            Some(holds) => *holds,
            None if sector.iter().all(|byte| *byte == erased) => Holds::Nothing,
            None => Holds::Remains,
        }
    }
}

/// An area that is drawn.
#[derive(Debug)]
struct Shown {
    name: String,
    id: AreaId,
    erased: u8,
    /// Sizes of its sectors.
    sectors: Vec<usize>,
}

/// Draws the slots and the scratch area of a board.
#[derive(Debug)]
pub struct FlashStrip<'b> {
    board: &'b Board,
    shown: Vec<Shown>,
    known: Known,
    /// Whether images are uploaded otherwise than they run.
    encrypted: bool,
}

impl<'b> FlashStrip<'b> {
    /// For the images of `story`.
    pub fn new(board: &'b Board, story: &Story) -> Self {
        let is_shown = |area: &&Area| area.role.is_slot() || area.role == Role::Scratch;
        let areas = board.areas().iter().filter(is_shown);
        let shown = areas.map(|area| {
            let runs = board.sectors(area).into_iter();
            let sizes = runs.flat_map(|run| vec![run.size as usize; run.count as usize]);
            Shown {
                name: area.name.clone(),
                id: area.id,
                erased: board.device(area).erased,
                sectors: sizes.collect(),
            }
        });
        let shown: Vec<_> = shown.collect();
        let ([old, new], uploaded) = (story.running(), [story.old(), story.new_image()]);
        let mut known = Known::default();
        for Shown { sectors, erased, .. } in &shown {
            known.learn(old, Holds::Old, sectors, *erased);
            known.learn(new, Holds::New, sectors, *erased);
        }
        for Shown { sectors, erased, .. } in &shown {
            known.learn(uploaded[0], Holds::OldUploaded, sectors, *erased);
            known.learn(uploaded[1], Holds::NewUploaded, sectors, *erased);
        }
        Self { board, shown, known, encrypted: [old, new] != uploaded }
    }

    /// What the letters mean.
    pub fn legend(&self) -> String {
        let areas = self.shown.iter().map(|area| (area.name.as_str(), area.sectors.len()));
        legend(self.encrypted, areas)
    }

    /// The state of `flash`.
    pub fn draw(&self, flash: &SimFlash) -> String {
        let areas = self.shown.iter().map(|Shown { name, id, erased, sectors }| {
            let bytes = flash.bytes(*id);
            let mut rest = bytes.as_slice();
            let sectors = sectors.iter().map(|size| {
                let (sector, behind) = rest.split_at(rest.len().min(*size));
                rest = behind;
                self.known.look(sector, *erased)
            });
            format!("{name} {}", letters(&sectors.collect::<Vec<_>>()))
        });
        areas.collect::<Vec<_>>().join(" ")
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

/// How many neighbouring sectors share a letter in an area of so many.
fn group(sectors: usize) -> usize {
    sectors.div_ceil(LONGEST).max(1)
}

/// A letter for each group of sectors: that of the sector that tells most. None is left out.
fn letters(sectors: &[Holds]) -> String {
    let groups = sectors.chunks(group(sectors.len()));
    groups.filter_map(|group| group.iter().max()).map(|holds| holds.letter()).collect()
}

/// What the letters mean in areas with these names and numbers of sectors.
fn legend<'a>(encrypted: bool, areas: impl Iterator<Item = (&'a str, usize)>) -> String {
    let images = match encrypted {
        true => "o old image and n new image in plain, O and N encrypted as they were uploaded",
        false => "o old image, n new image",
    };
    let grouped = areas.filter(|(_, sectors)| group(*sectors) > 1);
    let grouped: Vec<_> =
        grouped.map(|(name, sectors)| format!("{name}: per {}", group(sectors))).collect();
    let sectors = match grouped.is_empty() {
        true => String::new(),
        false => {
            format!(" ({}, the first of t, n, N, o, O that is among them)", grouped.join(", "))
        }
    };
    format!("{images}, t trailer or remains, . erased; one letter per sector{sectors}")
}

#[cfg(test)]
mod tests {
    use super::{Holds, Known, LONGEST, legend, letters};

    #[test]
    fn sectors_of_an_image_are_known_in_plain_and_as_they_were_uploaded() {
        let sectors = [4, 4, 4];
        let mut known = Known::default();
        // The header is the same in both forms.
        known.learn(b"headold.o", Holds::Old, &sectors, 0xff);
        known.learn(b"headnew", Holds::New, &sectors, 0xff);
        known.learn(b"headOLD.O", Holds::OldUploaded, &sectors, 0xff);
        known.learn(b"headNEW", Holds::NewUploaded, &sectors, 0xff);
        let draw = |flash: &[&[u8; 4]]| {
            letters(&flash.iter().map(|sector| known.look(*sector, 0xff)).collect::<Vec<_>>())
        };
        assert_eq!(draw(&[b"head", b"old.", b"o\xff\xff\xff"]), "ooo");
        assert_eq!(draw(&[b"head", b"OLD.", b"O\xff\xff\xff"]), "oOO");
        assert_eq!(draw(&[b"new\xff", b"NEW\xff", b"\xff\xff\xff\xff", b"ne\xff\xff"]), "nN.t");
    }

    #[test]
    fn no_sector_is_left_out_of_the_drawing() {
        for count in [1, LONGEST, LONGEST + 1, 100, 256, 1904] {
            let per = count.div_ceil(LONGEST);
            for at in 0..count {
                let mut sectors = vec![Holds::Old; count];
                sectors[at] = Holds::Remains;
                let drawn = letters(&sectors);
                assert_eq!(drawn.len(), count.div_ceil(per), "{count}");
                assert_eq!(drawn.find('t'), Some(at / per), "{at} of {count}: {drawn}");
                assert_eq!(drawn.matches('t').count(), 1, "{at} of {count}: {drawn}");
            }
        }
    }

    #[test]
    fn a_group_is_drawn_as_the_sector_that_tells_most() {
        let order = [
            Holds::Remains,
            Holds::New,
            Holds::NewUploaded,
            Holds::Old,
            Holds::OldUploaded,
            Holds::Nothing,
        ];
        for pair in order.windows(2) {
            // Two sectors a letter, the more telling one first or last.
            let sectors = [[pair[0], pair[1]], [pair[1], pair[0]]].concat().repeat(LONGEST / 2);
            let letter = pair[0].letter().to_string();
            assert_eq!(letters(&sectors), letter.repeat(LONGEST), "{pair:?}");
        }
        let named: String = order.iter().map(|holds| holds.letter()).collect();
        assert_eq!(named, "tnNoO.", "the order that the legend names");
    }

    #[test]
    fn the_legend_says_what_a_letter_stands_for() {
        let plain = legend(false, [("primary", LONGEST), ("scratch", 1)].into_iter());
        assert_eq!(
            plain,
            "o old image, n new image, t trailer or remains, . erased; one letter per sector"
        );
        let many = [("primary", 64), ("secondary", 100), ("scratch", 1)].into_iter();
        let encrypted = legend(true, many);
        assert!(encrypted.contains("O and N encrypted as they were uploaded"), "{encrypted}");
        assert!(encrypted.contains("(primary: per 2, secondary: per 3, the first"), "{encrypted}");
    }
}
