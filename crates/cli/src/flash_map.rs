//! Draws the flash devices of a board to scale, with what lies in their areas.
//!
//! ```text
//! internal  1 MiB at 0x0, sectors 256 × 4 KiB, nor that writes 8 B and erases to 0xff
//! ┌─────┬─────────────────────┬─────────────────────┬─────┬┈┈┈┈┈┈┈┈┐
//! │A    │B primary            │C secondary          │D    │        ┊    letters lead to the list below
//! │     │1.2.0 confirmed      │1.1.0                │     │        ┊    contents, if any are given
//! │     │█████████░░░░░░░░░░▒▒│████████░░░░░░░░░░░▒▒│     │        ┊    used, free, trailer
//! └─────┴─────────────────────┴─────────────────────┴─────┴┈┈┈┈┈┈┈┈┘
//! 0     c000                  4c000                 8c000 9c000  100000
//! ```
//! One column stands for the same number of bytes all over a device, except that no part gets
//! narrower than its border and two characters.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use updraft_board::{Area, Board, FlashDevice, Role};
use updraft_flash::{AreaId, Kind};

use crate::output::{DIM, HEADING, size};

/// Columns that the narrowest part gets: its left border and two characters.
const NARROWEST: usize = 3;

/// A board's flash map with contents, ready to be drawn.
#[derive(Clone, Debug)]
pub struct FlashMapView<'b> {
    board: &'b Board,
    contents: Vec<Content>,
    listed: bool,
}

/// What lies in an area.
#[derive(Clone, Debug)]
struct Content {
    area: AreaId,
    label: String,
    used: u32,
}

/// A part of a device from its left border to the next: an area, or free flash.
struct Part<'b> {
    area: Option<&'b Area>,
    /// Its letter in the drawing; a space for free flash.
    letter: char,
    offset: u32,
    size: u32,
    /// Columns, the left border included.
    columns: usize,
}

impl<'b> FlashMapView<'b> {
    /// The map of `board`, without contents.
    pub fn new(board: &'b Board) -> Self {
        Self { board, contents: Vec::new(), listed: true }
    }

    /// Says what lies in `area`: a short label, and the bytes that it takes from the beginning on.
    /// Saying it again replaces what was said before.
    pub fn with_content(mut self, area: AreaId, label: impl Into<String>, used_bytes: u32) -> Self {
        self.contents.retain(|content| content.area != area);
        self.contents.push(Content { area, label: label.into(), used: used_bytes });
        self
    }

    /// Leaves out the list of areas below each device, for those who have seen it.
    pub fn without_list(self) -> Self {
        Self { listed: false, ..self }
    }

    /// The drawing, at most `width` columns wide unless there are more parts than fit, with or
    /// without colours.
    pub fn render(&self, width: usize, color: bool) -> String {
        let mut out = String::new();
        let mut letters = ('A'..='Z').chain('a'..='z').chain(std::iter::repeat('*'));
        for (index, device) in self.board.flash().iter().enumerate() {
            let parts = self.parts(index, device, width, &mut letters);
            let painter = Painter { color };
            let _ = writeln!(out, "{}", painter.paint(HEADING, &device.name) + &describe(device));
            self.draw(&mut out, &parts, &painter);
            if self.listed {
                self.list(&mut out, device, &parts, &painter);
            }
            if index + 1 < self.board.flash().len() {
                out.push('\n');
            }
        }
        out
    }

    fn parts(
        &self,
        index: usize,
        device: &FlashDevice,
        width: usize,
        letters: &mut impl Iterator<Item = char>,
    ) -> Vec<Part<'b>> {
        let board: &'b Board = self.board;
        let mut areas: Vec<_> = board.areas().iter().filter(|area| area.device == index).collect();
        areas.sort_by_key(|area| area.offset);
        let mut parts: Vec<Part<'b>> = Vec::new();
        let mut at = 0;
        let free = |from: u32, to: u32| Part {
            area: None,
            letter: ' ',
            offset: from,
            size: to - from,
            columns: 0,
        };
        for area in areas {
            if area.offset > at {
                parts.push(free(at, area.offset));
            }
            let letter = letters.next().unwrap_or('*');
            let Area { offset, size, .. } = *area;
            parts.push(Part { area: Some(area), letter, offset, size, columns: 0 });
            at = area.end();
        }
        if at < device.size() {
            parts.push(free(at, device.size()));
        }
        let sizes: Vec<_> = parts.iter().map(|part| part.size).collect();
        for (part, columns) in parts.iter_mut().zip(columns(&sizes, width.saturating_sub(1))) {
            part.columns = columns;
        }
        parts
    }

    fn content(&self, area: Option<&Area>) -> Option<&Content> {
        self.contents.iter().find(|content| area.is_some_and(|area| area.id == content.area))
    }

    fn draw(&self, out: &mut String, parts: &[Part<'_>], painter: &Painter) {
        let edge = |left: char, between: char, right: char| {
            let mut line = String::new();
            for (index, part) in parts.iter().enumerate() {
                line.push(if index == 0 { left } else { between });
                let dash = if part.area.is_some() { '─' } else { '┈' };
                line.extend(std::iter::repeat_n(dash, part.columns - 1));
            }
            line.push(right);
            painter.paint(DIM, &line)
        };
        let _ = writeln!(out, "{}", edge('┌', '┬', '┐'));
        let row = |out: &mut String, cell: &dyn Fn(&Part<'_>, usize) -> (Style, String)| {
            for part in parts {
                let (style, text) = cell(part, part.columns - 1);
                out.push_str(&painter.paint(DIM, "│"));
                out.push_str(&painter.paint(style, &text));
            }
            let _ = writeln!(out, "{}", painter.paint(DIM, "│"));
        };
        row(out, &|part, inner| {
            let name = part.area.map_or("free", |area| &area.name);
            let whole = match part.letter {
                ' ' => name.to_owned(),
                letter => format!("{letter} {name}"),
            };
            let fits = whole.chars().count() <= inner;
            let label = if fits { whole } else { part.letter.to_string() };
            (block(part), format!("{label:inner$}"))
        });
        if parts.iter().any(|part| self.content(part.area).is_some_and(|c| !c.label.is_empty())) {
            row(out, &|part, inner| {
                let label = self.content(part.area).map_or("", |content| &content.label);
                (block(part), format!("{:inner$}", shortened(label, inner)))
            });
        }
        if parts.iter().any(|part| part.area.is_some_and(|area| area.role.is_slot())) {
            row(out, &|part, inner| (line(part), self.usage(part, inner)));
        }
        let _ = writeln!(out, "{}", edge('└', '┴', '┘'));
        let _ = writeln!(out, "{}", painter.paint(DIM, &ruler(parts)));
    }

    /// The row that shows how much of a part is used, and its trailer.
    fn usage(&self, part: &Part<'_>, inner: usize) -> String {
        let Some(area) = part.area else { return " ".repeat(inner) };
        let trailer = match self.board.trailer(area) {
            Some(trailer) if area.role.is_slot() => scaled(trailer.size(), part.size, inner),
            _ => 0,
        };
        let content = self.content(Some(area));
        let used = content.map_or(0, |c| scaled(c.used, part.size, inner)).min(inner - trailer);
        let free = if content.is_some() || trailer > 0 { '░' } else { ' ' };
        let mut row = "█".repeat(used);
        row.extend(std::iter::repeat_n(free, inner - used - trailer));
        row.extend(std::iter::repeat_n('▒', trailer));
        row
    }

    fn list(&self, out: &mut String, device: &FlashDevice, parts: &[Part<'_>], painter: &Painter) {
        let names = parts.iter().filter_map(|part| part.area).map(|area| area.name.chars().count());
        let names = names.max().unwrap_or(0).max(4);
        let digits = format!("{:x}", device.size()).len();
        for part in parts {
            let name = part.area.map_or("free", |area| &area.name);
            let _ = write!(
                out,
                "  {}  {name:names$}  {:#0width$x} – {:#0width$x}  {:>8}",
                painter.paint(line(part), &part.letter.to_string()),
                part.offset,
                part.offset + part.size,
                size(part.size.into()),
                width = digits + 2,
            );
            if let Some(area) = part.area {
                let _ = write!(out, "  {}", painter.paint(DIM, &self.remarks(area)));
            }
            out.push('\n');
        }
    }

    fn remarks(&self, area: &Area) -> String {
        let mut text = format!("area {}", area.id);
        if area.role.name() != area.name {
            let _ = write!(text, ", {}", area.role.name());
        }
        if area.role.is_per_image() && self.board.images() > 1 {
            let _ = write!(text, " of image {}", area.image);
        }
        if let Some(trailer) = self.board.trailer(area) {
            let _ = write!(text, ", trailer {} B from {:#x}", trailer.size(), trailer.status());
        }
        if let Some(content) = self.content(Some(area)).filter(|c| !c.label.is_empty()) {
            let _ = write!(text, ", {}", content.label);
        }
        text
    }
}

/// Paints text, or leaves it as it is.
struct Painter {
    color: bool,
}

impl Painter {
    fn paint(&self, style: Style, text: &str) -> String {
        if self.color { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

fn color(role: Role) -> AnsiColor {
    match role {
        Role::Bootloader => AnsiColor::Magenta,
        Role::Primary => AnsiColor::Green,
        Role::Secondary => AnsiColor::Blue,
        Role::Scratch | Role::Status => AnsiColor::Yellow,
        Role::Factory => AnsiColor::Cyan,
        Role::Storage => AnsiColor::White,
        Role::Reserved => AnsiColor::Red,
    }
}

/// Black on the colour of the part's role.
fn block(part: &Part<'_>) -> Style {
    part.area.map_or(DIM, |area| AnsiColor::Black.on(color(area.role)))
}

/// The colour of the part's role.
fn line(part: &Part<'_>) -> Style {
    part.area.map_or(DIM, |area| color(area.role).on_default())
}

/// What follows the name of a device.
fn describe(device: &FlashDevice) -> String {
    let at = device.base.map_or("not mapped".to_owned(), |base| format!("at {base:#x}"));
    let sectors: Vec<_> = device
        .sectors
        .iter()
        .map(|run| format!("{} × {}", run.count, size(run.size.into())))
        .collect();
    let limit = match device.kind() {
        Kind::NorLimited { word, programs } => {
            format!(" ({programs} writes of {} between erases)", size(word.into()))
        }
        _ => String::new(),
    };
    format!(
        "  {} {at}, sectors {}, {}{limit} that writes {} and erases to {:#04x}",
        size(device.size().into()),
        sectors.join(" + "),
        device.kind_name(),
        size(device.write_size.into()),
        device.erased,
    )
}

/// Shares `total` columns among parts by their sizes, none below [`NARROWEST`]; more than `total`
/// in all if they do not fit. The result adds up exactly and a larger part is never narrower.
fn columns(sizes: &[u32], total: usize) -> Vec<usize> {
    let mut columns = vec![NARROWEST; sizes.len()];
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|index| sizes[*index]);
    // The smallest first: what they take beyond their share, the larger ones have to give.
    let mut columns_left = total.max(NARROWEST * sizes.len());
    let mut bytes_left: u64 = sizes.iter().map(|size| u64::from(*size)).sum();
    for index in order {
        let size = u64::from(sizes[index]);
        let share = (columns_left as u64 * size) / bytes_left.max(1);
        columns[index] = (share as usize).max(NARROWEST);
        columns_left -= columns[index];
        bytes_left -= size;
    }
    columns
}

/// How many of `inner` columns show `part` of `whole` bytes: at least one if it is not nothing.
fn scaled(part: u32, whole: u32, inner: usize) -> usize {
    if part == 0 || inner == 0 {
        return 0;
    }
    let exact = f64::from(part) / f64::from(whole.max(1)) * inner as f64;
    (exact.round() as usize).clamp(1, inner)
}

/// `text` in at most `width` characters.
fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short.chars().take(width).collect()
}

/// The offsets of the borders in hexadecimal, as far as there is room; the end always.
fn ruler(parts: &[Part<'_>]) -> String {
    let total: usize = parts.iter().map(|part| part.columns).sum::<usize>() + 1;
    let end = parts.last().map_or(0, |part| part.offset + part.size);
    let end = format!("{end:x}");
    let room = total.saturating_sub(end.len());
    let mut line = String::new();
    let mut at = 0;
    for part in parts {
        let offset = format!("{:x}", part.offset);
        if (line.is_empty() || line.len() < at) && at + offset.len() < room {
            let _ = write!(line, "{}{offset}", " ".repeat(at - line.len()));
        }
        at += part.columns;
    }
    format!("{line:room$}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(name: &str) -> Board {
        Board::load(name).unwrap()
    }

    #[test]
    fn columns_add_up_and_keep_order() {
        for sizes in [
            &[48, 256, 256, 256, 64, 144][..],
            &[1, 1, 1_000_000],
            &[1, 4_000_000_000, 4_000_000_000, 1],
            &[7],
            &[5, 5, 5],
        ] {
            for total in [3, 10, 39, 79, 160] {
                let columns = columns(sizes, total);
                let sum: usize = columns.iter().sum();
                assert_eq!(sum, total.max(NARROWEST * sizes.len()), "{sizes:?} in {total}");
                assert!(columns.iter().all(|columns| *columns >= NARROWEST));
                for (a, one) in sizes.iter().enumerate() {
                    for (b, other) in sizes.iter().enumerate() {
                        assert!(one >= other || columns[a] <= columns[b], "{sizes:?} in {total}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_row_of_the_drawing_is_as_wide_as_asked() {
        for name in updraft_board::built_in() {
            let board = board(name);
            for width in [40, 60, 100, 160] {
                let drawing = FlashMapView::new(&board)
                    .with_content(AreaId(1), "1.2.0 confirmed", 100_000)
                    .render(width, false);
                let rows = drawing.lines().filter(|line| line.starts_with(['┌', '│', '└']));
                for row in rows {
                    assert_eq!(row.chars().count(), width, "{name} at {width}:\n{drawing}");
                }
            }
        }
    }

    #[test]
    fn every_area_is_drawn_and_listed() {
        for name in updraft_board::built_in() {
            let board = board(name);
            let drawing = FlashMapView::new(&board).render(40, false);
            for (area, letter) in board.areas().iter().zip('A'..) {
                assert!(drawing.contains(&format!("│{letter}")), "{name}:\n{drawing}");
                let line = drawing.lines().find(|line| {
                    line.starts_with("  ") && line.split_whitespace().nth(1) == Some(&area.name)
                });
                assert!(line.is_some(), "{name}: {} is not listed:\n{drawing}", area.name);
            }
        }
    }

    #[test]
    fn trailers_contents_and_gaps_show() {
        let board = board("virtual-nor-4k");
        let drawing = FlashMapView::new(&board)
            .with_content(AreaId(1), "1.2.0 confirmed", 128 << 10)
            .with_content(AreaId(2), "", 0)
            .render(80, false);
        assert!(drawing.contains("│1.2.0 confirmed"), "{drawing}");
        assert!(drawing.contains("│██████████░░░░░░░░▒│░░░░░░░░░░░░░░░░░░▒│"), "{drawing}");
        assert!(drawing.contains("free"), "{drawing}");
        assert!(drawing.contains("trailer 3120 B from 0x3f3d0, 1.2.0 confirmed"), "{drawing}");
        assert!(!drawing.contains('\x1b'));
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        let board = board("virtual-uneven");
        let view = FlashMapView::new(&board).with_content(AreaId(1), "2.0.0", 5000);
        let coloured = view.render(80, true);
        assert!(coloured.contains('\x1b'));
        let stripped = anstream::adapter::strip_str(&coloured).to_string();
        assert_eq!(stripped, view.render(80, false));
    }
}
