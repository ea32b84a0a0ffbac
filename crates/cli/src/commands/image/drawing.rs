//! An image file as a bar, to scale, with a list of its byte ranges.
//!
//! ```text
//! ┌──┬──────────────────────────┬──┬──────────────────┬──┐
//! │A │B                         │C │D                 │E │
//! │██│██████████████████████████│▒▒│░░░░░░░░░░░░░░░░░░│▓▓│
//! └──┴──────────────────────────┴──┴──────────────────┴──┘
//!   A         0        20  header          32 B   hashed
//! ```
//! One column stands for the same number of bytes, except that no range gets narrower than two.

use std::fmt::Write as _;

use updraft_sign::inspect::{Region, RegionKind};

use crate::output::size;

const NARROWEST: usize = 2;

/// The drawing, at most `width` columns wide.
pub fn draw(regions: &[Region], width: usize) -> String {
    let mut out = String::new();
    let columns = columns(regions, width);
    let line = |left: &str, middle: &str, right: &str, fill: &dyn Fn(usize) -> String| {
        let parts: Vec<_> = (0..regions.len()).map(fill).collect();
        format!("{left}{}{right}\n", parts.join(middle))
    };
    let rule = |index: usize| "─".repeat(columns[index]);
    out += &line("┌", "┬", "┐", &rule);
    out += &line("│", "│", "│", &|index| {
        format!("{:width$}", letter(index), width = columns[index])
    });
    out += &line("│", "│", "│", &|index| fill(regions[index].kind).repeat(columns[index]));
    out += &line("└", "┴", "┘", &rule);
    for (index, Region { kind, offset, len }) in regions.iter().enumerate() {
        let hashed = if kind.is_hashed() { "hashed" } else { "" };
        let row = format!(
            "  {} {offset:>8x} {:>8x}  {:16} {:>10}  {hashed}",
            letter(index),
            offset + len,
            kind.name(),
            size(*len as u64)
        );
        let _ = writeln!(out, "{}", row.trim_end());
    }
    out
}

/// The same as a picture for a page or a report: a bar to scale, and the list below it.
pub fn svg(title: &str, regions: &[Region]) -> String {
    const WIDTH: usize = 960;
    const ROW: usize = 22;
    const BAR: usize = 56;
    let widths = shares(regions, WIDTH, 18);
    let height = BAR + 64 + ROW * regions.len();
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {height}\" \
         font-family=\"monospace\" font-size=\"14\">\n<title>{title}</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"20\" y=\"24\" font-weight=\"bold\">{title}</text>\n",
        WIDTH + 40,
        title = escaped(title),
    );
    let mut x = 20;
    for (index, Region { kind, offset, len }) in regions.iter().enumerate() {
        let (letter, width) = (letter(index), widths[index]);
        let (color, y) = (color(*kind), 40 + BAR + ROW * (index + 1));
        let hashed = if kind.is_hashed() { "hashed" } else { "" };
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" y=\"36\" width=\"{width}\" height=\"{BAR}\" fill=\"{color}\" \
             stroke=\"#333\"><title>{name}: {len} bytes from {offset:#x}</title></rect>\n\
             <text x=\"{middle}\" y=\"{letter_y}\" text-anchor=\"middle\">{letter}</text>\n\
             <rect x=\"20\" y=\"{square}\" width=\"12\" height=\"12\" fill=\"{color}\" \
             stroke=\"#333\"/>\n\
             <text x=\"40\" y=\"{y}\" xml:space=\"preserve\">{letter} {offset:>8x} {end:>8x}  \
             {name:16} {size:>10}  {hashed}</text>",
            name = kind.name(),
            middle = x + width / 2,
            letter_y = 36 + BAR / 2 + 5,
            square = y - 11,
            end = offset + len,
            size = size(*len as u64),
        );
        x += width;
    }
    out += "</svg>\n";
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

fn color(kind: RegionKind) -> &'static str {
    match kind {
        RegionKind::Header => "#8fb8de",
        RegionKind::HeaderPadding => "#d4e4f2",
        RegionKind::Body => "#9fd3a8",
        RegionKind::ProtectedTlvs => "#f2c879",
        RegionKind::Tlvs => "#f7e1b5",
        RegionKind::Padding => "#eeeeee",
        RegionKind::Trailer => "#d9a7c7",
        RegionKind::Behind => "#e88f8f",
    }
}

/// Columns of each range without its borders.
fn columns(regions: &[Region], width: usize) -> Vec<usize> {
    shares(regions, width.saturating_sub(regions.len() + 1), NARROWEST)
}

/// `width` divided by size, but none narrower than `narrowest`.
fn shares(regions: &[Region], width: usize, narrowest: usize) -> Vec<usize> {
    let spare = width.saturating_sub(regions.len() * narrowest);
    let total: usize = regions.iter().map(|region| region.len).sum();
    let share = |region: &Region| spare * region.len / total.max(1);
    regions.iter().map(|region| narrowest + share(region)).collect()
}

fn letter(index: usize) -> char {
    ('A'..='Z').nth(index).unwrap_or('*')
}

fn fill(kind: RegionKind) -> &'static str {
    match kind {
        RegionKind::Header | RegionKind::HeaderPadding | RegionKind::ProtectedTlvs => "▓",
        RegionKind::Body => "█",
        RegionKind::Tlvs | RegionKind::Trailer => "▒",
        RegionKind::Padding => "░",
        RegionKind::Behind => "?",
    }
}
