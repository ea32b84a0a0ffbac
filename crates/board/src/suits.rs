//! What a board's bootloader asks of an image beyond its content: that it may be booted, where it
//! runs, and what stands in the trailer behind it.

use updraft_image::{Flags, Header, Magic, TrailerLayout, UpgradeMode, magic_bytes};

use crate::{Area, Board, Role};

/// Why a board does not boot an image that is valid, and what to do.
pub type Unsuited = (String, String);

/// Where the bootloader meets image number `image`: in the slot that updates are written to.
pub fn slot(board: &Board, image: u8) -> Option<&Area> {
    board.slot(image, Role::Secondary).or_else(|| board.slot(image, Role::Primary))
}

/// What `slot` holds with the image `file` in it; `None` if there is no room for it.
pub fn in_slot(board: &Board, slot: &Area, file: &[u8]) -> Option<Vec<u8>> {
    let size = usize::try_from(slot.size).ok().filter(|size| file.len() <= *size)?;
    let mut bytes = file.to_vec();
    bytes.resize(size, board.device(slot).erased);
    Some(bytes)
}

/// Looks at image number `image` of `board`, whose header is `header`, in `file`: the image alone,
/// or padded to the slot.
pub fn check(board: &Board, image: u8, header: &Header, file: &[u8]) -> Result<(), Unsuited> {
    if header.flags.contains(Flags::NON_BOOTABLE) {
        let hint = "leave --non-bootable out";
        return Err(("it is marked as never to be booted".into(), hint.into()));
    }
    if header.img_size == 0 {
        let hint = "did the build, or objcopy, go wrong?";
        return Err(("there is no firmware in it".into(), hint.into()));
    }
    placement(board, image, header)?;
    fixed_place(board, image, header)?;
    reset_vector(board, image, header, file)?;
    match board.signing(image) {
        Some(signing) => trailer(&signing.trailer, signing.erased, file),
        None => Ok(()),
    }
}

/// Whether its vector table is where the processor can use it.
fn placement(board: &Board, image: u8, header: &Header) -> Result<(), Unsuited> {
    let start = match &board.boot().ram_load {
        Some(region) if loads(board) => {
            let (base, end) = (region.base, u64::from(region.base) + u64::from(region.size));
            let hint = format!("give --load-addr, from {base:#x} on and below {end:#x}");
            if !header.flags.contains(Flags::RAM_LOAD) {
                return Err((format!("{} runs images from RAM", board.name()), hint));
            }
            let size = u64::from(header.hdr_size) + u64::from(header.img_size);
            let start = header.load_addr;
            if start < base || u64::from(start) + size > end {
                let reason = format!("{size:#x} bytes at {start:#x} do not lie in RAM for images");
                return Err((reason, hint));
            }
            Some(start)
        }
        _ => board.slot(image, Role::Primary).and_then(|primary| primary.address),
    };
    let Some(start) = start else { return Ok(()) };
    let align = board.cores().iter().map(|core| core.vector_align).max().unwrap_or(4).max(1);
    let vectors = u64::from(start) + u64::from(header.hdr_size);
    let over = vectors % u64::from(align);
    if over == 0 {
        return Ok(());
    }
    let reason = format!(
        "its vector table would be at {vectors:#x} ({start:#x} + {:#x}), {over:#x} past a multiple \
         of {align:#x}",
        header.hdr_size
    );
    Err((reason, format!("--header-size is {:#x} here", board.image_defaults().header_size)))
}

/// Whether an image for one address lies there in some slot.
fn fixed_place(board: &Board, image: u8, header: &Header) -> Result<(), Unsuited> {
    let fixed = header.flags.contains(Flags::ROM_FIXED) && !loads(board);
    let starts: Vec<_> =
        slots(board, image).iter().map(|(start, _)| format!("{start:#x}")).collect();
    if !fixed || starts.is_empty() || !places(board, image, header).is_empty() {
        return Ok(());
    }
    let reason =
        format!("it is for the slot at {:#x}, and it runs from no slot there", header.load_addr);
    Err((reason, format!("give --rom-fixed {}, or leave it out", starts.join(" or "))))
}

/// The first two words of the body: stack pointer and reset vector, if the board's processors begin
/// with them and the first is an address in its RAM.
fn vectors(board: &Board, header: &Header, file: &[u8]) -> Option<(u32, u32)> {
    let word = |index: usize| {
        let at = usize::from(header.hdr_size) + 4 * index;
        file.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
    };
    let (stack, reset) = (word(0)?, word(1)?);
    let in_ram = board.ram().iter().any(|ram| {
        let top = u64::from(ram.base) + u64::from(ram.size);
        stack > ram.base && u64::from(stack) <= top && stack.is_multiple_of(4)
    });
    in_ram.then_some((stack, reset))
}

/// Whether a body that should begin with a vector table does not, so that nothing can be told of
/// where it was linked for.
pub fn lacks_vectors(board: &Board, header: &Header, file: &[u8]) -> bool {
    is_cortex_m(board)
        && !board.ram().is_empty()
        && !header.flags.intersects(Flags::COMPRESSED)
        && vectors(board, header, file).is_none()
}

fn is_cortex_m(board: &Board) -> bool {
    board.cores().iter().all(|core| core.arch.starts_with("cortex-m"))
}

/// Whether the firmware was linked for where it will run. A body that does not begin with a stack
/// pointer into the board's RAM is taken for something without a vector table.
fn reset_vector(board: &Board, image: u8, header: &Header, file: &[u8]) -> Result<(), Unsuited> {
    if header.flags.intersects(Flags::COMPRESSED) {
        return Ok(());
    }
    let Some((_, reset)) = vectors(board, header, file) else { return Ok(()) };
    if is_cortex_m(board) && reset.is_multiple_of(2) {
        let reason = format!("its reset vector is {reset:#x}, without the bit for Thumb code");
        let hint = "Cortex-M processors run nothing else: is this the right build?";
        return Err((reason, hint.into()));
    }
    let places = places(board, image, header);
    let runs = |(start, size): &(u32, u32)| {
        let code = u64::from(*start) + u64::from(header.hdr_size);
        (code..u64::from(*start) + u64::from(*size)).contains(&u64::from(reset))
    };
    if places.is_empty() || places.iter().any(runs) {
        return Ok(());
    }
    let wanted: Vec<_> = places
        .iter()
        .map(|(start, size)| {
            let from = u64::from(*start) + u64::from(header.hdr_size);
            format!("{from:#x} to {:#x}", u64::from(*start) + u64::from(*size))
        })
        .collect();
    let reason = format!(
        "its reset vector is {reset:#x}, and it runs from {}: it was linked for another place",
        wanted.join(" or ")
    );
    let hint = "link it for where it runs: an update and a factory image are linked for the \
                primary slot, wherever they are stored";
    Err((reason, hint.into()))
}

/// Whether images are copied to RAM and run there.
fn loads(board: &Board) -> bool {
    matches!(board.mode(), UpgradeMode::RamLoad | UpgradeMode::SingleSlotRamLoad)
}

/// Where the image may run: addresses and sizes in bytes.
fn places(board: &Board, image: u8, header: &Header) -> Vec<(u32, u32)> {
    if let Some(region) = &board.boot().ram_load
        && loads(board)
    {
        return vec![(
            header.load_addr,
            region.base.saturating_add(region.size) - header.load_addr,
        )];
    }
    let mut places = slots(board, image);
    if header.flags.contains(Flags::ROM_FIXED) {
        places.retain(|(start, _)| *start == header.load_addr);
    }
    places
}

/// The slots that images run in where they lie.
fn slots(board: &Board, image: u8) -> Vec<(u32, u32)> {
    let roles: &[Role] = match board.mode() {
        UpgradeMode::DirectXip | UpgradeMode::DirectXipRevert | UpgradeMode::FirmwareLoader => {
            &[Role::Primary, Role::Secondary]
        }
        _ => &[Role::Primary],
    };
    let slots = roles.iter().filter_map(|role| board.slot(image, *role));
    slots.filter_map(|area| Some((area.address?, area.size))).collect()
}

/// Whether a padded file has its trailer where the bootloader reads it.
fn trailer(layout: &TrailerLayout, erased: u8, file: &[u8]) -> Result<(), Unsuited> {
    let slot = layout.slot_size() as usize;
    let hint = || "leave -S and --max-align out: the board file says what they are".to_owned();
    let is_magic = |found: &&[u8; 16]| {
        TrailerLayout::MAX_ALIGNS.iter().any(|align| **found == magic_bytes(*align))
    };
    let Some(last) = file.last_chunk::<16>() else { return Ok(()) };
    if file.len() < slot && Some(last).filter(is_magic).is_some() {
        let reason = format!("it is padded to {} bytes, and the slot has {slot}", file.len());
        return Err((reason, hint()));
    }
    if file.len() == slot && Magic::decode(last, layout.max_align(), erased) == Magic::Bad {
        let align = layout.max_align();
        let reason = format!("its trailer is not one that is aligned to {align} bytes");
        return Err((reason, hint()));
    }
    Ok(())
}
