//! The boards that come with the program.

use std::fs;
use std::path::Path;

use updraft_board::{Board, LoadError, Role, built_in};

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../boards")
}

#[test]
fn every_file_is_built_in_and_loads_under_its_own_name() {
    let mut files: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".toml").map(str::to_owned))
        .collect();
    files.sort();
    assert_eq!(files, built_in().collect::<Vec<_>>());
    for name in files {
        let board = Board::load(&name).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(board.name(), name);
        assert!(board.ids().is_some(), "{name} has no ids: images for it fit any board");
        for image in 0..board.images() {
            let capacity = board.capacity(image);
            let primary = board.slot(image, Role::Primary).unwrap();
            assert!(capacity.max_image < primary.size, "{name}: {}", capacity.working);
            assert!(capacity.max_image > 10 * board.image_defaults().header_size, "{name}");
        }
    }
}

#[test]
fn a_path_loads_the_same_board_as_its_name() {
    let path = folder().join("virtual-nor-4k.toml");
    let by_path = Board::load(path.to_str().unwrap()).unwrap();
    assert_eq!(by_path, Board::load("virtual-nor-4k").unwrap());
}

#[test]
fn writing_a_board_out_and_reading_it_again_changes_nothing() {
    for name in built_in() {
        let board = Board::load(name).unwrap();
        let again = Board::parse(&board.to_toml(), "again.toml").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(again, board);
    }
}

#[test]
fn an_unknown_name_is_answered_with_the_nearest_ones() {
    let error = Board::load("virtual-nro-4k").unwrap_err();
    assert!(matches!(error, LoadError::Unknown { .. }));
    assert_eq!(
        error.to_string(),
        "there is no board \"virtual-nro-4k\"; did you mean virtual-nor-4k or \
         virtual-nrf52?"
    );
    let error = Board::load("esp32").unwrap_err().to_string();
    assert!(error.ends_with(", or give the path of a board file"), "{error}");
}

#[test]
fn a_missing_file_is_named() {
    let error = Board::load("no/such.toml").unwrap_err();
    assert_eq!(error.to_string(), "cannot read the board file no/such.toml");
}
