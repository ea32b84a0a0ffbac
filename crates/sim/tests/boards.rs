//! One board file, one truth: what the board file says and what bootloader and application do.

use std::time::Duration;

use updraft_board::{Board, RecoveryWay, Role, built_in};
use updraft_boot::{AnyStrategy, Bootloader};
use updraft_image::UpgradeMode;
use updraft_sim::device::{Device, Keys, Status, dfu, flash_in_memory, program};
use updraft_sim::{Loader, UnplayableBoard};

fn playable() -> Vec<Board> {
    let boards = built_in().map(|name| Board::load(name).expect("a built-in board loads"));
    boards.filter(|board| Loader::new(board).is_ok()).collect()
}

#[test]
fn board_file_and_bootloader_agree_on_the_largest_image() {
    for board in playable() {
        let bootloader = Loader::new(&board).expect("the board is playable");
        let flash = flash_in_memory(&board);
        let limit = board.capacity(0);
        assert_eq!(
            bootloader.max_image_size(&flash, 0),
            Ok(limit.max_image),
            "{}: {}",
            board.name(),
            limit.working
        );
        // The same without being told: the bootloader's own arithmetic.
        let scratch = board.area(Role::Scratch).map(|area| area.id);
        let Some(strategy) = AnyStrategy::new(board.mode(), scratch) else { continue };
        let mut config = *bootloader.config();
        config.rules.max_size = 0;
        let found = Bootloader::new(config, strategy).max_image_size(&flash, 0);
        assert_eq!(found, Ok(limit.max_image), "{}: {}", board.name(), limit.working);
    }
}

#[test]
fn board_file_and_application_agree_on_the_trailers() {
    // What a status area has is shown in another layout than that of the slots' own trailers.
    let in_slots = |board: &Board| board.mode() != UpgradeMode::StatusPartition;
    for board in playable().into_iter().filter(in_slots) {
        let dfu = dfu(&board, &flash_in_memory(&board)).unwrap();
        let secondary = board.areas().iter().find(|area| area.id == dfu.config().slots.secondary);
        let trailer = board.trailer(secondary.expect("the area is there"));
        assert_eq!(trailer.as_ref(), Some(dfu.secondary_trailer().layout()), "{}", board.name());
    }
}

#[test]
fn what_virtual_devices_cannot_do_is_refused_by_name() {
    for board in built_in().map(|name| Board::load(name).unwrap()) {
        let (mode, flash) = (board.mode(), flash_in_memory(&board));
        let playable = Loader::new(&board).is_ok();
        match Device::new(board, flash, Keys::unsigned()) {
            Ok(_) => assert!(playable),
            Err(error) => assert_eq!((error, playable), (UnplayableBoard::Mode(mode), false)),
        }
    }
}

#[test]
fn an_empty_device_stops_in_the_bootloader_and_says_so() {
    for board in playable() {
        let flash = flash_in_memory(&board);
        let mut device = Device::new(board, flash, Keys::unsigned()).unwrap();
        device.power_on(Duration::ZERO);
        let stays = match device.board().recovery() {
            Some(recovery) if recovery.enters_by(RecoveryWay::NoImage) => Status::Recovering,
            _ => Status::Stopped,
        };
        assert_eq!(device.status(), stays);
        let console = device.console().join("\n");
        assert!(console.contains("nothing to boot"), "{console}");
    }
}

#[test]
fn programming_more_than_an_area_holds_is_refused() {
    for board in playable() {
        let mut flash = flash_in_memory(&board);
        let area = board.areas().first().expect("every board has areas");
        let too_much = vec![0; area.size as usize + 1];
        assert!(program(&mut flash, area.id, &too_much).is_err());
        assert!(flash.bytes(area.id).iter().all(|byte| *byte == board.device(area).erased));
    }
}
