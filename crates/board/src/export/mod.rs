//! What others read instead of a board file: linker scripts, sources, partition tables made from it.

mod c;
mod devicetree;
mod kconfig;
mod make;
mod memory;
mod rust;
mod svg;

use crate::Board;
use crate::schema::Role;

/// Which of a board's programs a linker script is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The bootloader.
    Bootloader,
    /// An application that runs from the primary slot of the image with this number.
    Application(u8),
}

/// Why something cannot be made from a board file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// The board has no such area.
    #[error("the board has no {role} area{of}", role = .0.name(), of = of(*.1))]
    NoArea(Role, u8),
    /// The area is on a device that code cannot run from.
    #[error("\"{0}\" is not mapped into memory: its flash has no `base`")]
    NotMapped(String),
    /// The board names no RAM.
    #[error("the board has no [[ram]]")]
    NoRam,
}

/// Names in sources: what is no letter and no digit becomes `_`.
fn identifier(name: &str) -> String {
    name.replace(|c: char| !c.is_ascii_alphanumeric(), "_")
}

fn of(image: u8) -> String {
    if image == 0 { String::new() } else { format!(" for image {image}") }
}

impl Board {
    /// The memory of a program as a linker script (`memory.x` of the crate `cortex-m-rt`): regions
    /// `FLASH` and `RAM`, and the addresses of all areas as symbols.
    pub fn memory_x(&self, program: Program) -> Result<String, ExportError> {
        memory::script(self, program)
    }

    /// The flash map and what else programs need to know of the board, as a Rust source over
    /// `updraft-flash` and `updraft-image`.
    pub fn rust(&self) -> Result<String, ExportError> {
        rust::source(self)
    }

    /// Its partitions as an overlay of Zephyr's devicetree. The node of the chip's own flash is
    /// `flash0`, as everywhere in Zephyr; others are called like the devices in the board file,
    /// unless `nodes` has a node for a device.
    pub fn devicetree(&self, nodes: &[(String, String)]) -> Result<String, ExportError> {
        devicetree::overlay(self, nodes)
    }

    /// What a Zephyr application has to be configured with beside its partitions, as a fragment
    /// of Kconfig.
    pub fn kconfig(&self) -> Result<String, ExportError> {
        kconfig::fragment(self)
    }

    /// Its flash map and how images are made for it, as a header of C.
    pub fn c_header(&self) -> Result<String, ExportError> {
        c::header(self)
    }

    /// Its slots as the make variables that Infineon's bootloader examples take.
    pub fn make_variables(&self) -> Result<String, ExportError> {
        make::variables(self)
    }

    /// How an image is signed for it, in words that fit into a comment of any language.
    fn how_to_sign(&self) -> String {
        let signed = match self.boot().signature.scheme() {
            Some(scheme) => format!("Images are signed with {scheme}"),
            None => "Images are not signed".to_owned(),
        };
        let key = if self.boot().signature.scheme().is_some() { " --key KEY.pem" } else { "" };
        format!(
            "{signed}: updraft image sign --board {}{key} --version 1.2.3 IN.bin OUT.bin",
            self.name()
        )
    }

    /// Its flash map as a picture, in SVG.
    pub fn picture(&self) -> String {
        svg::picture(self)
    }
}
