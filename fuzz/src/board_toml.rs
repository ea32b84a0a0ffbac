//! Arbitrary text as a board file.
//!
//! Asserts: a board that is accepted is accepted again, as the same board, once written out; and
//! everything that it can be asked for comes out.

use updraft_board::Board;

/// Takes one input.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let board = match Board::parse(text, "board.toml") {
        Ok(board) => board,
        Err(error) => {
            let _ = error.to_string();
            return;
        }
    };
    let again = Board::parse(&board.to_toml(), "board.toml");
    assert_eq!(again.as_ref().ok(), Some(&board), "{again:?}");
    let _ = board.area_table();
    for area in board.areas() {
        assert!(area.end() <= board.device(area).size());
        let sectors = board.sectors(area);
        let covered: u64 =
            sectors.iter().map(|run| u64::from(run.size) * u64::from(run.count)).sum();
        assert!(covered >= u64::from(area.size), "{sectors:?} for {area:?}");
        let _ = board.trailer(area);
    }
    for image in 0..board.images() {
        let _ = (board.signing(image), board.rules(image));
    }
}

/// The boards of this repository.
pub fn seeds() -> Vec<Vec<u8>> {
    crate::repository_names("boards")
        .iter()
        .filter(|name| name.ends_with(".toml"))
        .map(|name| crate::repository_file(&format!("boards/{name}")))
        .collect()
}
