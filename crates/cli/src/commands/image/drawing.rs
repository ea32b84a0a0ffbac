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

/// Columns of each range without its borders.
fn columns(regions: &[Region], width: usize) -> Vec<usize> {
    let borders = regions.len() + 1;
    let least = regions.len() * NARROWEST;
    let spare = width.saturating_sub(borders + least);
    let total: usize = regions.iter().map(|region| region.len).sum();
    // What is wider than the narrowest shares the rest by its size.
    let share = |region: &Region| spare * region.len / total.max(1);
    regions.iter().map(|region| NARROWEST + share(region)).collect()
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
