//! What lies in the slots of a flash, for people: a table, and the flash map with its contents.

use std::fmt::Write;

use serde::Serialize;
use updraft_board::{Area, Board, Role};
use updraft_flash::SlotSource;
use updraft_image::{
    Digest, Flag, HashKind, Header, Magic, Source, SwapType, TlvArea, TrailerState,
};
use updraft_sim::device::{self, update_start};
use updraft_sim::flash::SimFlash;

use crate::flash_map::FlashMapView;
use crate::output::{DIM, HEADING, size, styled};

/// A slot and what is in it.
#[derive(Clone, Debug, Serialize)]
pub struct SlotView {
    /// Name of the area.
    pub slot: String,
    /// Version of the image.
    pub version: Option<String>,
    /// Bytes of the image, TLVs included.
    pub bytes: u32,
    /// Its hash.
    pub hash: Option<String>,
    /// What the trailer says.
    pub trailer: String,
    #[serde(skip)]
    area: updraft_flash::AreaId,
}

/// Looks at every slot of the board, power or not. No signature is checked.
pub fn slots(board: &Board, flash: &SimFlash) -> Vec<SlotView> {
    // The copy has a power supply of its own.
    let mut snapshot = flash.clone();
    snapshot.supply().power_on();
    let flash = &mut snapshot;
    let is_slot =
        |area: &&Area| matches!(area.role, Role::Primary | Role::Secondary | Role::Factory);
    let areas: Vec<Area> = board.areas().iter().filter(is_slot).cloned().collect();
    areas.iter().map(|area| slot(board, flash, area)).collect()
}

fn slot(board: &Board, flash: &mut SimFlash, area: &Area) -> SlotView {
    let mut view = SlotView {
        slot: area.name.clone(),
        version: None,
        bytes: 0,
        hash: None,
        trailer: trailer(board, flash, area),
        area: area.id,
    };
    // An update may lie further on in its slot than the image that was swapped out.
    let start = update_start(board, flash, area);
    let start = if header(flash, area, start).is_some() { start } else { 0 };
    let header = header(flash, area, start);
    let mut source = SlotSource::at(flash, area.id, start);
    if let Some(header) = header
        && let Ok(tlvs) = TlvArea::open(&mut source, &header)
    {
        view.version = Some(header.version.to_string());
        view.bytes = tlvs.end();
        let mut entries = tlvs.iter();
        while let Ok(Some(entry)) = entries.next(&mut source) {
            let mut buffer = [0; 64];
            if let Some(kind) = HashKind::from_tlv(entry.kind)
                && let Ok(Some(payload)) = entry.payload(&mut source, &mut buffer)
                && let Some(digest) = Digest::from_slice(kind, payload)
            {
                view.hash = Some(digest.to_string());
            }
        }
    }
    view
}

fn header(flash: &mut SimFlash, area: &Area, start: u32) -> Option<Header> {
    let mut bytes = [0; Header::SIZE];
    SlotSource::at(flash, area.id, start).read(0, &mut bytes).ok()?;
    Header::parse(&bytes).ok()
}

fn trailer(board: &Board, flash: &mut SimFlash, area: &Area) -> String {
    let Some(trailer) = device::trailer(board, flash, area.id) else { return "-".into() };
    match trailer.read(flash) {
        Ok(state) if state == TrailerState::UNSET => "erased".into(),
        Ok(state) => describe(&state),
        Err(error) => error.to_string(),
    }
}

fn describe(state: &TrailerState) -> String {
    let mut words = vec![match state.magic {
        Magic::Good => "magic",
        Magic::Bad => "magic damaged",
        Magic::Unset => "no magic",
    }];
    words.extend(match state.swap_info.swap_type {
        SwapType::Test => Some("test"),
        SwapType::Permanent => Some("permanent"),
        SwapType::Revert => Some("revert"),
        SwapType::None | SwapType::Fail => None,
    });
    words.extend(flag(state.copy_done, "copy_done", "copy_done torn"));
    words.extend(flag(state.image_ok, "image_ok", "image_ok torn"));
    words.join(", ")
}

fn flag(flag: Flag, set: &'static str, torn: &'static str) -> Option<&'static str> {
    match flag {
        Flag::Set => Some(set),
        Flag::Bad => Some(torn),
        Flag::Unset => None,
    }
}

/// How much of the flash map to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// The drawing and the list of areas.
    Full,
    /// The drawing alone.
    Brief,
}

/// The flash map with the images in it, and the slots as a table.
pub fn draw(
    board: &Board,
    views: &[SlotView],
    detail: Detail,
    width: usize,
    color: bool,
) -> String {
    let mut map = FlashMapView::new(board);
    if detail == Detail::Brief {
        map = map.without_list();
    }
    for view in views {
        if let Some(version) = &view.version {
            map = map.with_content(view.area, version.clone(), view.bytes);
        }
    }
    let mut text = map.render(width, color);
    let heading =
        format!("{:<12} {:<16} {:>10}  {:<16} trailer", "slot", "version", "size", "hash");
    // Writing to a `String` cannot fail.
    let _ = writeln!(text, "{}", styled(HEADING, heading));
    for view in views {
        let version = view.version.as_deref().unwrap_or("empty");
        let hash = view.hash.as_deref().and_then(|hash| hash.get(..16)).unwrap_or("-");
        let bytes = if view.bytes > 0 { size(view.bytes.into()) } else { "-".into() };
        let trailer = styled(DIM, &view.trailer);
        let _ = writeln!(text, "{:<12} {version:<16} {bytes:>10}  {hash:<16} {trailer}", view.slot);
    }
    text
}
