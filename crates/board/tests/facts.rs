//! What a board says about its flash, its images and its upgrades.

use updraft_board::{Board, DowngradePrevention, KeyWrap, Role, Signature, built_in};
use updraft_flash::{AreaId, Kind, SectorRun};
use updraft_image::{Flags, HashKind, Scheme, Signed, Strictness, UpgradeMode};

/// A board with one device of `sectors` 4 KiB sectors and a pair of slots.
fn pair(mode: &str, primary: u32, secondary: u32, boot: &str) -> Board {
    let text = format!(
        "name = 'pair'\ndescription = ''\n\
         core = [{{ name = 'app', arch = 'cortex-m4', target = 'thumbv7em-none-eabi', mhz = 1 }}]\n\
         flash = [{{ name = 'f', base = 0, write_size = 8, sectors = [{{ size = '4K', count = 1024 }}] }}]\n\
         area = [\n\
         {{ name = 'a', role = 'primary', flash = 'f', offset = 0, size = {primary} }},\n\
         {{ name = 'b', role = 'secondary', flash = 'f', offset = '1M', size = {secondary} }},\n\
         {{ name = 's', role = 'scratch', flash = 'f', offset = '2M', size = '64K' }},\n\
         ]\n\
         [boot]\nmode = '{mode}'\n{boot}\n"
    );
    Board::parse(&text, "pair.toml").unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn areas_have_the_classic_numbers() {
    let board = Board::load("virtual-nor-4k").unwrap();
    let ids: Vec<_> = board.areas().iter().map(|area| (area.name.as_str(), area.id.0)).collect();
    assert_eq!(
        ids,
        [("bootloader", 0), ("primary", 1), ("secondary", 2), ("factory", 16), ("storage", 17)]
    );
    let uneven = Board::load("virtual-uneven").unwrap();
    assert_eq!(uneven.area(Role::Scratch).unwrap().id, AreaId(3));
}

#[test]
fn slots_of_further_images_are_numbered_from_4_on() {
    let text = r#"
        name = "two"
        description = ""
        core = [{ name = "app", arch = "cortex-m4", target = "thumbv7em-none-eabi", mhz = 1 }]
        flash = [{ name = "f", base = 0, write_size = 8, sectors = [{ size = "4K", count = 64 }] }]
        area = [
            { name = "net-b", role = "secondary", image = 1, flash = "f", offset = "192K", size = "64K" },
            { name = "app-a", role = "primary", flash = "f", offset = "0K", size = "64K" },
            { name = "net-a", role = "primary", image = 1, flash = "f", offset = "64K", size = "64K" },
            { name = "app-b", role = "secondary", flash = "f", offset = "128K", size = "64K" },
        ]
        [boot]
        mode = "swap-move"
    "#;
    let board = Board::parse(text, "two.toml").unwrap();
    assert_eq!(board.images(), 2);
    assert_eq!(board.slot(1, Role::Primary).unwrap().id, AreaId(4));
    assert_eq!(board.slot(1, Role::Secondary).unwrap().id, AreaId(5));
    assert_eq!(board.slot(0, Role::Secondary).unwrap().name, "app-b");
    assert_eq!(board.area(Role::Primary).unwrap().name, "app-a");
}

#[test]
fn ids_are_made_from_names_as_imgtool_makes_them() {
    let ids = Board::load("virtual-nor-4k").unwrap().ids().unwrap();
    let hex = |id: [u8; 16]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    // uuid5(NAMESPACE_DNS, "updraft.example") and uuid5(that, "virtual-nor-4k").
    assert_eq!(hex(ids.vendor.unwrap()), "d4371773449a5c52b33cdd1206a0b3b9");
    assert_eq!(hex(ids.class.unwrap()), "d00e91b3543f575f93dc5d771bd6d489");
}

#[test]
fn ids_may_be_given_as_uuids() {
    let text = Board::load("virtual-nor-4k").unwrap().to_toml();
    let text = text.replace("updraft.example", "00112233-4455-6677-8899-aabbccddeeff");
    let ids = Board::parse(&text, "x.toml").unwrap().ids().unwrap();
    assert_eq!(ids.vendor.unwrap()[..4], [0x00, 0x11, 0x22, 0x33]);
}

#[test]
fn a_vendor_without_a_class_and_a_class_by_itself_are_ids_too() {
    let text = Board::load("virtual-nor-4k").unwrap().to_toml();
    let only_vendor = text.replace("class = \"virtual-nor-4k\"\n", "");
    let ids = Board::parse(&only_vendor, "x.toml").unwrap().ids().unwrap();
    assert!(ids.vendor.is_some() && ids.class.is_none());
    let uuid = "class = \"00112233-4455-6677-8899-aabbccddeeff\"\n";
    let only_class = text
        .replace("class = \"virtual-nor-4k\"\n", uuid)
        .replace("vendor = \"updraft.example\"\n", "");
    let ids = Board::parse(&only_class, "x.toml").unwrap().ids().unwrap();
    assert!(ids.vendor.is_none() && ids.class.is_some());
}

#[test]
fn images_have_to_carry_the_ids_of_a_board_unless_its_file_says_otherwise() {
    let ids = |name| Board::load(name).unwrap().rules(0).board.unwrap();
    assert!(ids("virtual-two-images").required);
    assert!(!ids("virtual-nor-4k").required, "boots what imgtool makes without --vid and --cid");
}

#[test]
fn a_board_with_security_counters_asks_every_image_for_one() {
    let counting = pair("swap-move", 65536, 65536, "downgrade_prevention = \"security-counter\"");
    assert_eq!(counting.rules(0).security_counter, Some(0));
    let plain = pair("swap-move", 65536, 65536, "");
    assert_eq!(plain.rules(0).security_counter, None);
}

#[test]
fn sectors_of_an_area_follow_the_device() {
    let board = Board::load("virtual-uneven").unwrap();
    let run = |count, size| SectorRun { count, size };
    let primary = board.area(Role::Primary).unwrap();
    assert_eq!(board.sectors(primary), [run(1, 64 << 10), run(1, 128 << 10)]);
    let secondary = board.area(Role::Secondary).unwrap();
    assert_eq!(board.sectors(secondary), [run(3, 64 << 10)]);
    assert_eq!((primary.device, secondary.device), (0, 1));
    assert_eq!((primary.address, secondary.address), (Some(0x0801_0000), None));
    assert_eq!(board.device(primary).geometry().kind, Kind::Nor);
}

#[test]
fn trailers_have_the_sizes_of_the_original() {
    let trailer = |name: &str| {
        let board = Board::load(name).unwrap();
        board.trailer(board.area(Role::Primary).unwrap()).unwrap().size()
    };
    assert_eq!(trailer("virtual-nor-4k"), 128 * 3 * 8 + 48);
    assert_eq!(trailer("virtual-offset"), 128 * 2 * 8 + 56);
    assert_eq!(trailer("virtual-erased0"), 128 * 3 + 48);
    assert_eq!(trailer("virtual-wide"), 64 * 3 * 32 + 160);
}

#[test]
fn both_trailers_of_a_pair_count_in_the_writes_of_the_primary_slot() {
    let board = Board::load("virtual-uneven").unwrap();
    let size = |role| board.trailer(board.area(role).unwrap()).unwrap().size();
    assert_eq!(size(Role::Primary), 16 * 3 * 4 + 48);
    assert_eq!(size(Role::Secondary), 16 * 3 * 4 + 48);
    assert_eq!(size(Role::Scratch), 3 * 4 + 48);
    assert!(board.trailer(board.area(Role::Bootloader).unwrap()).is_none());
}

#[test]
fn largest_images_of_every_mode() {
    for (mode, primary, secondary, max, working) in [
        ("swap-move", 54, 54, 52 * 4096, "min(54 − 1 − 1, 54 − 1) sectors × 4096 = 212992"),
        ("swap-move", 55, 54, 53 * 4096, "min(55 − 1 − 1, 54 − 1) sectors × 4096 = 217088"),
        ("swap-offset", 54, 54, 52 * 4096, "min(54 − 1 − 1, 54 − 1) sectors × 4096 = 212992"),
        ("swap-offset", 54, 55, 53 * 4096, "min(55 − 1 − 1, 54 − 1) sectors × 4096 = 217088"),
        ("swap-scratch", 54, 54, 54 * 4096 - 3120, "slot 221184 − trailer 3120 = 218064"),
        ("overwrite-only", 54, 54, 54 * 4096 - 40, "slot 221184 − trailer fields 40 = 221144"),
        ("direct-xip", 54, 50, 50 * 4096 - 40, "slot 204800 − trailer fields 40 = 204760"),
        ("single-slot", 54, 54, 54 * 4096 - 48, "slot 221184 − trailer fields 48 = 221136"),
    ] {
        let board = pair(mode, primary * 4096, secondary * 4096, "");
        let capacity = board.capacity(0);
        assert_eq!(capacity.max_image, max, "{mode}: {}", capacity.working);
        assert!(capacity.working.starts_with(working), "{mode}: {}", capacity.working);
    }
}

#[test]
fn many_records_cost_a_sector_more() {
    let sectors = |max| pair("swap-move", 54 * 4096, 54 * 4096, max).capacity(0).max_image / 4096;
    assert_eq!(sectors("max_sectors = 168"), 52);
    assert_eq!(sectors("max_sectors = 169"), 51);
}

#[test]
fn upgrades_cost_what_the_original_was_measured_to_cost() {
    // 256 KiB images, 4 KiB sectors, in slots with room to spare.
    for (mode, erases, working) in [
        ("swap-move", 194, "3 × 64 + 1 + 1"),
        ("swap-offset", 130, "2 × 64 + 1 + 1"),
        ("swap-scratch", 210, "64 + 64 + 5 × 16 of scratch + 1 + 1"),
        ("overwrite-only", 67, "64 + 1 + 2"),
    ] {
        let board = pair(mode, 384 << 10, 384 << 10, "");
        let cost = board.upgrade_cost(0, 256 << 10).unwrap();
        assert_eq!((cost.erases, cost.working.as_str()), (erases, working), "{mode}");
        assert_eq!(cost.time, None, "no timings in the file");
    }
    assert_eq!(pair("direct-xip", 4096, 4096, "").upgrade_cost(0, 1), None);
}

#[test]
fn every_sector_of_a_logical_one_is_erased() {
    let cost = Board::load("virtual-logical").unwrap().upgrade_cost(0, 4096).unwrap();
    assert_eq!((cost.erases, &cost.working[..]), (8 * 5, "(3 × 1 + 1 + 1) logical sectors"));
    assert_eq!(cost.time.unwrap().as_micros(), 8 * 5 * 5000 + 3 * 1024 * 40);
}

#[test]
fn upgrade_times_follow_from_the_timings_of_the_devices() {
    let board = Board::load("virtual-nor-4k").unwrap();
    let cost = board.upgrade_cost(0, 4096).unwrap();
    assert_eq!((cost.erases, cost.written), (5, 3 * 4096));
    assert_eq!(cost.time.unwrap().as_micros(), 5 * 25_000 + 3 * 512 * 60);
}

#[test]
fn encrypted_images_cost_the_trailer_two_keys() {
    let trailer = |encryption: &str| {
        let board = pair("swap-move", 54 * 4096, 54 * 4096, encryption);
        board.trailer(board.area(Role::Primary).unwrap()).unwrap().size()
    };
    let plain = 128 * 3 * 8 + 48;
    for (encryption, keys) in [
        ("", 0),
        ("encryption = { wrap = 'ecies-p256' }", 2 * 16),
        ("encryption = { wrap = 'rsa-2048', cipher = 'aes256' }", 2 * 32),
        ("encryption = { wrap = 'rsa-2048', save_wrapped = true }", 2 * 256),
        ("encryption = { wrap = 'ecies-p256', save_wrapped = true }", 2 * 120),
        (
            "encryption = { wrap = 'ecies-x25519-sha512', cipher = 'aes256', save_wrapped = true }",
            2 * 128,
        ),
    ] {
        assert_eq!(trailer(encryption), plain + keys, "{encryption}");
    }
}

#[test]
fn encrypted_images_are_accepted_where_the_board_says_so() {
    let board = Board::load("virtual-encrypted").unwrap();
    assert_eq!(board.rules(0).supported, Flags::ENCRYPTED_AES128);
    let encryption = board.signing(0).unwrap().encryption.unwrap();
    assert_eq!(encryption.wrap, KeyWrap::EciesX25519);
    let plain = Board::load("virtual-nor-4k").unwrap();
    assert_eq!((plain.rules(0).supported, plain.signing(0).unwrap().encryption), (Flags(0), None));
}

#[test]
fn signing_defaults_are_what_imgtool_would_be_told() {
    let board = Board::load("virtual-wide").unwrap();
    let signing = board.signing(0).unwrap();
    assert_eq!(signing.header_size, 0x400);
    assert_eq!((signing.align, signing.max_align, signing.max_sectors), (32, 32, 64));
    assert_eq!((signing.slot_size, signing.erased), (256 << 10, 0xff));
    assert_eq!(signing.mode, UpgradeMode::SwapMove);
    assert_eq!((signing.hash, signing.signature), (HashKind::Sha256, Signature::Ed25519));
    assert_eq!(signing.max_image, board.capacity(0).max_image);
    assert_eq!(board.signing(1), None);
}

#[test]
fn rules_are_strict_unless_the_file_says_otherwise() {
    let board = pair("overwrite-only", 65536, 65536, "");
    let rules = board.rules(0);
    assert_eq!((rules.strictness, rules.signed), (Strictness::Strict, Signed::Hash));
    assert_eq!(rules.max_size, 65536 - 40);
    assert!(rules.board.is_none());
    let lax = pair("overwrite-only", 65536, 65536, "strict = false\npure = true");
    assert_eq!(lax.rules(0).strictness, Strictness::Imitate);
    assert_eq!(lax.rules(0).signed, Signed::Image);
    assert_eq!(lax.rules(0).hash, HashKind::Sha512, "what pure signatures go with");
}

#[test]
fn every_signature_scheme_has_its_name_and_its_hash() {
    for scheme in Scheme::ALL {
        let signature = format!("signature = \"{}\"", scheme.name());
        let board = pair("swap-move", 65536, 65536, &signature);
        assert_eq!(board.boot().signature.scheme(), Some(scheme));
        assert_eq!(board.boot().signature.name(), scheme.name());
        assert_eq!(Some(board.rules(0).hash), scheme.usual_hash(false));
    }
}

#[test]
fn nothing_is_weakened_by_default() {
    let board = pair("swap-move", 65536, 65536, "");
    let boot = board.boot();
    assert!(boot.validate_primary && boot.strict && !boot.bootstrap);
    assert_eq!(boot.signature, Signature::Ed25519);
    assert_eq!(boot.downgrade_prevention, DowngradePrevention::None);
}

#[test]
fn area_tables_have_one_row_per_area() {
    for name in built_in() {
        let board = Board::load(name).unwrap();
        let table = board.area_table();
        assert_eq!(table.len(), board.areas().len());
        for (row, area) in table.iter().zip(board.areas()) {
            assert_eq!((row.id, row.device), (area.id, area.device));
            assert_eq!((row.offset, row.size), (area.offset, area.size));
        }
    }
}
