use super::*;

#[test]
fn alignments_that_the_trailer_has_no_form_for() {
    assert_eq!(
        refusal(&[("max_sectors = 64", "max_align = 24")]),
        "boot.max_align: 24 is none of 8, 16, 32"
    );
}

#[test]
fn no_sectors_or_more_than_a_swap_can_count() {
    for (sectors, shown) in [("0", "0"), ("0x10000", "65536")] {
        assert_eq!(
            refusal(&[("max_sectors = 64", &format!("max_sectors = {sectors}"))]),
            format!("boot.max_sectors: {shown} is not in 1..=65535")
        );
    }
}

#[test]
fn signatures_that_do_not_go_with_the_hash() {
    assert_eq!(
        refusal(&[("max_sectors = 64", "signature = \"ecdsa-p256\"\nhash = \"sha512\"")]),
        "boot.hash: ecdsa-p256 signs hashes of sha256, not sha512"
    );
    assert_eq!(
        refusal(&[("max_sectors = 64", "signature = \"none\"\npure = true")]),
        "boot.pure: without a signature nothing covers the image itself"
    );
    assert_eq!(
        refusal(&[("max_sectors = 64", "signature = \"ecdsa-p256\"\npure = true")]),
        "boot.pure: ecdsa-p256 cannot sign the image itself"
    );
    assert_eq!(
        refusal(&[("max_sectors = 64", "signature = \"ed25519\"\nhash = \"sha384\"")]),
        "boot.hash: ed25519 signs hashes of sha256 or sha512, not sha384"
    );
    assert_eq!(
        refusal(&[("max_sectors = 64", "pure = true\nhash = \"sha256\"")]),
        "boot.hash: ed25519 signs the image itself, with sha512, not sha256"
    );
}

#[test]
fn encrypted_images_that_nothing_would_decrypt() {
    let encrypted = "max_sectors = 64\nencryption = { wrap = \"ecies-p256\" }";
    load(&[("max_sectors = 64", encrypted)]);
    let mapped =
        ("[[flash]]\nname = \"external\"", "[[flash]]\nbase = 0x90000000\nname = \"external\"");
    for (mode, place) in [
        ("direct-xip", "where they were uploaded"),
        ("direct-xip-revert", "where they were uploaded"),
        ("single-slot", "where they were programmed"),
        ("firmware-loader", "where they were programmed"),
    ] {
        assert_eq!(
            refusal(&[("swap-move", mode), ("max_sectors = 64", encrypted), mapped]),
            format!(
                "boot.encryption: {mode} runs images {place}: nothing decrypts them on the way"
            )
        );
    }
}

#[test]
fn compressed_images_without_a_place_to_decompress_them_to() {
    let compressed = "max_sectors = 64\ncompression = true";
    let expected = "boot.compression: swap-move keeps images as they are: only overwrite-only \
                        decompresses";
    assert_eq!(refusal(&[("max_sectors = 64", compressed)]), expected);
}

#[test]
fn ram_load_without_a_region_in_ram() {
    assert_eq!(
        refusal(&[("swap-move", "ram-load")]),
        "boot.ram_load: ram-load needs `ram_load = { base, size }`"
    );
    assert_eq!(
        refusal(&[(
            "mode = \"swap-move\"",
            "mode = \"ram-load\"\nram_load = { base = 0x20008000, size = \"64K\" }"
        )]),
        "boot.ram_load: 0x20008000 to 0x20018000 lies in no [[ram]] region"
    );
}

#[test]
fn a_time_to_hold_a_button_for_nothing_or_for_ever() {
    let factory = ("role = \"bootloader\"", "role = \"factory\"");
    let held = |ms: &str| format!("max_sectors = 64\nrollback_hold_ms = {ms}");
    let button = "[image]\nheader_size = 0x200\n[[button]]\nname = \"b\"\npin = \"P0\"";
    let button = ("[image]\nheader_size = 0x200", button);
    assert_eq!(
        refusal(&[("max_sectors = 64", &held("5000")), button]),
        "boot.rollback_hold_ms: there is no area with the role factory to go back to"
    );
    assert_eq!(
        refusal(&[("max_sectors = 64", &held("0")), factory]),
        "boot.rollback_hold_ms: there is no [[button]] to hold"
    );
    assert_eq!(
        refusal(&[("max_sectors = 64", &held("60001")), factory, button]),
        "boot.rollback_hold_ms: 60001 ms are 1 past the longest, 60000"
    );
    let board = load(&[("max_sectors = 64", &held("60000")), factory, button]);
    assert_eq!(board.rollback_hold(), Some(std::time::Duration::from_secs(60)));
    let negative = text(&[("max_sectors = 64", &held("-1")), factory, button]);
    assert!(Board::parse(&negative, "test.toml").is_err());
}

#[test]
fn a_choice_to_revert_in_a_mode_that_has_none() {
    let revert = |mode: &str| refusal(&[("mode = \"swap-move\"", mode)]);
    assert_eq!(
        revert("mode = \"swap-move\"\nrevert = true"),
        "boot.revert: swap-move has no such choice: it reverts anyway"
    );
    assert_eq!(
        revert("mode = \"overwrite-only\"\nrevert = true"),
        "boot.revert: overwrite-only has no such choice"
    );
}
