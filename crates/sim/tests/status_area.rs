//! Devices that keep trailers in a status area: the real bootloader and the real DFU library.

use updraft_board::{Board, Role};
use updraft_dfu::{Dfu, SlotWriter, Upgrade};
use updraft_flash::{FlashMap, TrailerAccess};
use updraft_image::{SwapType, magic_bytes};
use updraft_sim::Loader;
use updraft_sim::device::{dfu, flash_in_memory, program};
use updraft_sim::flash::SimFlash;
use updraft_sim::matrix::{image, keys};

struct Device {
    board: Board,
    loader: Loader,
    flash: SimFlash,
    dfu: Dfu,
}

/// A device of `name` that runs version 1.
fn device(name: &str) -> Device {
    let toml = Board::load(name).unwrap().to_toml();
    let toml = toml.replace("signature = \"ecdsa-p256\"", "signature = \"none\"");
    let toml =
        toml.lines().filter(|line| !line.starts_with("vendor") && !line.starts_with("class"));
    let board = Board::parse(&toml.collect::<Vec<_>>().join("\n"), name).unwrap();
    let loader = Loader::new(&board).unwrap();
    let mut flash = flash_in_memory(&board);
    let primary = board.area(Role::Primary).unwrap().id;
    program(&mut flash, primary, &image(&board, 1, 30_000).unwrap()).unwrap();
    let dfu = dfu(&board, &flash).unwrap();
    Device { board, loader, flash, dfu }
}

impl Device {
    fn boot(&mut self) -> u8 {
        let booted = self.loader.boot(&mut self.flash, keys(&self.board), |_, _| ());
        booted.unwrap().header.version.major
    }

    fn upload(&mut self, version: u8, size: u32) {
        let start = self.dfu.update_start(&self.flash);
        let trailer = self.dfu.secondary_trailer();
        let mut writer = SlotWriter::<512>::new(&mut self.flash, trailer, start).unwrap();
        writer.write(&mut self.flash, &image(&self.board, version, size).unwrap()).unwrap();
        writer.finish(&mut self.flash).unwrap();
    }

    fn request(&mut self, upgrade: Upgrade) {
        self.dfu.request_upgrade(&mut self.flash, &mut keys(&self.board), upgrade).unwrap();
    }

    /// The trailer in a slot itself.
    fn own(&self, role: Role) -> TrailerAccess {
        let area = self.board.area(role).unwrap();
        TrailerAccess::new(area.id, self.board.trailer(area).unwrap())
    }
}

const BOARDS: [&str; 2] = ["virtual-psoc6-status", "virtual-psoc6-external"];

#[test]
fn an_update_is_tested_reverted_tested_again_and_confirmed() {
    for name in BOARDS {
        let mut device = device(name);
        device.upload(2, 41_000);
        assert_eq!(device.boot(), 1, "{name}: nobody asked");
        device.request(Upgrade::Test);
        assert_eq!(device.dfu.swap_type(&mut device.flash).unwrap(), SwapType::Test);
        assert_eq!(device.boot(), 2, "{name}");
        assert!(!device.dfu.is_confirmed(&mut device.flash).unwrap());
        assert_eq!(device.boot(), 1, "{name}: reverted");
        assert!(device.dfu.is_confirmed(&mut device.flash).unwrap());
        device.upload(3, 20_000);
        device.request(Upgrade::Test);
        assert_eq!(device.boot(), 3, "{name}");
        device.dfu.confirm(&mut device.flash).unwrap();
        assert_eq!([device.boot(), device.boot()], [3, 3], "{name}");
        device.upload(4, 50_000);
        device.request(Upgrade::Permanent);
        assert_eq!([device.boot(), device.boot()], [4, 4], "{name}");
    }
}

/// The largest image goes through, and with another one as large.
#[test]
fn the_largest_images_are_exchanged() {
    for name in BOARDS {
        let mut device = device(name);
        let max = device.board.capacity(0).max_image;
        assert_eq!(device.loader.max_image_size(&device.flash, 0), Ok(max), "{name}");
        device.upload(2, max);
        device.request(Upgrade::Permanent);
        assert_eq!(device.boot(), 2, "{name}");
        device.upload(3, max - 100);
        device.request(Upgrade::Test);
        assert_eq!([device.boot(), device.boot()], [3, 2], "{name}");
    }
}

/// Such as a foreign programmer writes, and an application that has the slot's trailer only.
#[test]
fn a_padded_image_is_installed_and_confirmed_in_the_slot() {
    for name in BOARDS {
        let mut device = device(name);
        let secondary = device.board.area(Role::Secondary).unwrap().clone();
        let padded = image(&device.board, 2, 41_000).unwrap();
        program(&mut device.flash, secondary.id, &padded).unwrap();
        device.flash.load(secondary.id, secondary.size - 16, &magic_bytes(8)).unwrap();
        assert_eq!(device.boot(), 2, "{name}");
        let own = device.own(Role::Primary);
        let mut bytes = [0];
        let offset = own.layout().copy_done();
        bytes[0] = device.flash.bytes(own.area())[offset as usize];
        assert_eq!(bytes, [1], "{name}: the trailer is copied to the slot");
        device.flash.load(own.area(), own.layout().image_ok(), &[1]).unwrap();
        assert_eq!([device.boot(), device.boot()], [2, 2], "{name}");
    }
}

#[test]
fn a_boot_with_nothing_to_do_writes_nothing() {
    for name in BOARDS {
        let mut device = device(name);
        device.upload(2, 41_000);
        device.request(Upgrade::Permanent);
        assert_eq!(device.boot(), 2);
        device.flash.reset_counts();
        assert_eq!(device.boot(), 2);
        assert_eq!(device.flash.counts(), Default::default(), "{name}");
        assert!(device.flash.info(device.own(Role::Primary).area()).is_some());
    }
}

/// What the status area tells of the images that were there before is of no concern to new ones.
#[test]
fn a_used_device_that_is_programmed_anew_starts_like_a_new_one() {
    for name in BOARDS {
        let [primary, secondary] = [Role::Primary, Role::Secondary];
        let mut used = device(name);
        assert_eq!(used.boot(), 1);
        used.upload(2, 20_000);
        used.request(Upgrade::Test);
        let area = |device: &Device, role| device.board.area(role).unwrap().id;

        let mut tested = device(name);
        tested.flash = used.flash.clone();
        assert_eq!(tested.boot(), 2);
        let new = image(&tested.board, 3, 25_000).unwrap();
        let slot = area(&tested, primary);
        program(&mut tested.flash, slot, &new).unwrap();
        assert_eq!([tested.boot(), tested.boot()], [3, 3], "{name}: nothing is on trial");

        let new = image(&used.board, 4, 25_000).unwrap();
        let slot = area(&used, secondary);
        program(&mut used.flash, slot, &new).unwrap();
        assert_eq!([used.boot(), used.boot()], [1, 1], "{name}: nobody asks for it");
    }
}
