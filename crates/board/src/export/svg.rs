//! The flash map as a picture: a row for each device, to scale as far as labels allow.
//!
//! ```text
//! internal  1 MiB at 0x0 ┌──┬────────┬────────┬──┐
//!                        └──┴────────┴────────┴──┘
//!                        0x0 0xc000   …
//! ```

use std::fmt::Write as _;

use crate::schema::Role;
use crate::{Area, Board};

/// Pixels of the longest device, and of the narrowest area, so that its name can be read.
const WIDTH: f64 = 960.0;
const NARROWEST: f64 = 66.0;
/// Around everything; above a bar, of a bar, and below it.
const MARGIN: f64 = 16.0;
const ABOVE: f64 = 28.0;
const BAR: f64 = 54.0;
const BELOW: f64 = 30.0;

/// An area, or what lies between two.
struct Part<'b> {
    area: Option<&'b Area>,
    offset: u32,
    size: u32,
}

pub(super) fn picture(board: &Board) -> String {
    let row = ABOVE + BAR + BELOW;
    let height = MARGIN * 2.0 + 24.0 + row * board.flash().len() as f64;
    let total = WIDTH + MARGIN * 2.0;
    let name = escaped(board.name());
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{total}\" height=\"{height}\" \
         viewBox=\"0 0 {total} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>Flash map of {name}</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{MARGIN}\" y=\"{}\" font-size=\"16\" font-weight=\"bold\">{name}</text>\n",
        MARGIN + 12.0
    );
    for (index, device) in board.flash().iter().enumerate() {
        let top = MARGIN + 24.0 + row * index as f64;
        let place = device.base.map_or(String::new(), |base| format!(" at {base:#x}"));
        let title = format!("{}: {}{place}", device.name, size_of(device.size()));
        let _ = writeln!(
            svg,
            "<text x=\"{MARGIN}\" y=\"{}\">{}</text>",
            top + ABOVE - 8.0,
            escaped(&title)
        );
        bar(&mut svg, &parts(board, index), device.base, top + ABOVE);
    }
    svg.push_str("</svg>\n");
    svg
}

/// What a device consists of, from its first byte to its last.
fn parts(board: &Board, device: usize) -> Vec<Part<'_>> {
    let mut areas: Vec<_> = board.areas().iter().filter(|area| area.device == device).collect();
    areas.sort_by_key(|area| area.offset);
    let mut parts = Vec::new();
    let mut at = 0;
    for area in areas {
        if area.offset > at {
            parts.push(Part { area: None, offset: at, size: area.offset - at });
        }
        parts.push(Part { area: Some(area), offset: area.offset, size: area.size });
        at = area.end();
    }
    let end = board.flash().get(device).map_or(at, |device| device.size());
    if end > at {
        parts.push(Part { area: None, offset: at, size: end - at });
    }
    parts
}

/// Draws the parts of a device. Each has room for its name; what is left is divided by size.
fn bar(svg: &mut String, parts: &[Part<'_>], base: Option<u32>, top: f64) {
    let total: f64 = parts.iter().map(|part| f64::from(part.size)).sum();
    let spare = (WIDTH - NARROWEST * parts.len() as f64).max(0.0);
    let mut x = MARGIN;
    for part in parts {
        let width = NARROWEST + spare * f64::from(part.size) / total.max(1.0);
        let name = part.area.map_or("free", |area| &area.name);
        let place = base.unwrap_or(0).wrapping_add(part.offset);
        let size = size_of(part.size);
        let (fill, ink) = part.area.map_or(("#fff", "#888"), |area| colour(area.role));
        let _ = writeln!(
            svg,
            "<g><title>{name}: {place:#x}, {size}</title>\
             <rect x=\"{x:.1}\" y=\"{top}\" width=\"{width:.1}\" height=\"{BAR}\" fill=\"{fill}\" \
             stroke=\"#555\"/>\
             <text x=\"{middle:.1}\" y=\"{first}\" text-anchor=\"middle\" fill=\"{ink}\">{name}</text>\
             <text x=\"{middle:.1}\" y=\"{second}\" text-anchor=\"middle\" fill=\"{ink}\">{size}</text>\
             <text x=\"{x:.1}\" y=\"{below}\" font-size=\"10\">{place:#x}</text></g>",
            name = escaped(name),
            middle = x + width / 2.0,
            first = top + BAR / 2.0 - 4.0,
            second = top + BAR / 2.0 + 14.0,
            below = top + BAR + 14.0,
        );
        x += width;
    }
}

/// The colours of an area and of its name.
fn colour(role: Role) -> (&'static str, &'static str) {
    match role {
        Role::Bootloader => ("#34495e", "#fff"),
        Role::Primary => ("#2e86c1", "#fff"),
        Role::Secondary => ("#85c1e9", "#000"),
        Role::Scratch | Role::Status => ("#f5cba7", "#000"),
        Role::Factory => ("#82c99a", "#000"),
        Role::Storage => ("#d5d8dc", "#000"),
        Role::Reserved => ("#eee", "#555"),
    }
}

/// Text between tags.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A size as board files write it.
fn size_of(bytes: u32) -> String {
    const KIB: u32 = 1024;
    const MIB: u32 = KIB * KIB;
    match bytes {
        _ if bytes > 0 && bytes.is_multiple_of(MIB) => format!("{} MiB", bytes / MIB),
        _ if bytes.is_multiple_of(KIB) => format!("{} KiB", bytes / KIB),
        _ => format!("{bytes} B"),
    }
}
