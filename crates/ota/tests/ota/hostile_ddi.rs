//! Answers of hawkBit's kind that are not as they should be, and servers of files that misbehave: a
//! named reason each, the slot never marked, the running image untouched, the next attempt possible.

use updraft_image::SwapType;
use updraft_ota::ddi::{Execution, Finished};
use updraft_ota::json::Malformed;
use updraft_ota::{Protocol, Reason};

use crate::common::{Board, Line, PRIMARY, image, reasons};
use crate::ddi::{Hawk, device, on};
use crate::http::{Like, Wrong};
use crate::infineon::{V1, V2};

/// What has happened after an hour and a poll with this server, and with a good one afterwards.
fn refused(name: &str, hawk: &mut Hawk, expected: Reason) {
    let good = image(V2, 20_000);
    let mut board = Board::new(V1);
    let before = board.flash.bytes(PRIMARY);
    let mut first = device(&mut board);
    let mut line = Line::new();
    first.start(line.now);
    on(&mut line, &mut first, hawk);
    let found = reasons(first.agent());
    assert!(found.iter().any(|it| it.is_like(expected)), "{name}: {found:?}");
    drop(first);
    assert_eq!(board.swap_type(), SwapType::None, "{name}");
    assert_eq!(board.flash.bytes(PRIMARY), before, "{name}");
    let mut next = device(&mut board);
    let mut line = Line::new();
    next.start(line.now);
    on(&mut line, &mut next, &mut Hawk::new(good.clone()));
    // What another server said about the size is found out.
    let found = reasons(next.agent());
    assert!(
        found.iter().all(|it| it.is_like(Reason::ChunkTotal { total: 0 })),
        "{name}: {found:?}"
    );
    drop(next);
    assert!(board.holds(&good), "{name}, afterwards");
    assert_eq!(board.swap_type(), SwapType::Test, "{name}, afterwards");
}

#[test]
fn deployments_that_break_the_rules_are_closed_as_failed_by_name() {
    const FILE: &str = r#""filename":"fw.bin""#;
    let artifact = r#"{"filename":"b","size":5,"_links":{"download":{"href":"h"}}}"#;
    let long = |what: &str| format!("https://hawk/{}", what.repeat(512));
    let sha = "\"sha256\":\"";
    let cases = [
        (r#"{"id":"8""#, "{".into(), Reason::NotJson(Malformed { offset: 1 })),
        (r#""id":"8","#, String::new(), Reason::Missing("id")),
        (r#""id":"8""#, r#""id":8"#.into(), Reason::WrongType("id")),
        (r#""id":"8""#, r#""id":"""#.into(), Reason::BadValue("id")),
        (r#""id":"8""#, r#""id":"8/../9""#.into(), Reason::BadValue("id")),
        (r#""id":"8""#, format!(r#""id":"{}""#, "8".repeat(73)), Reason::TooLong("id")),
        (r#""id":"8""#, r#""id":"8","id":"9""#.into(), Reason::Repeated("id")),
        (r#""deployment""#, r#""employment""#.into(), Reason::Missing("deployment")),
        (r#""deployment":{"#, r#""deployment":[],"x":{"#.into(), Reason::WrongType("deployment")),
        (r#""chunks""#, r#""hunks""#.into(), Reason::Missing("chunks")),
        (r#""chunks":["#, r#""chunks":[],"x":["#.into(), Reason::Missing("chunks")),
        (r#""chunks":["#, r#""chunks":{},"x":["#.into(), Reason::WrongType("chunks")),
        (r#""chunks":["#, r#""chunks":[{},"#.into(), Reason::Repeated("chunks")),
        (r#""chunks":["#, r#""chunks":[],"chunks":["#.into(), Reason::Repeated("chunks")),
        (r#""artifacts""#, r#""facts""#.into(), Reason::Missing("artifacts")),
        (r#""artifacts":["#, r#""artifacts":[],"x":["#.into(), Reason::Missing("artifacts")),
        (r#""artifacts":["#, format!(r#""artifacts":[{artifact},"#), Reason::Repeated("artifacts")),
        (FILE, r#""filename":5"#.into(), Reason::WrongType("filename")),
        (FILE, format!(r#"{FILE},"size":5"#), Reason::Repeated("size")),
        (r#""size":"#, r#""wise":"#.into(), Reason::Missing("size")),
        (r#""size":"#, r#""size":0,"x":"#.into(), Reason::BadValue("size")),
        (r#""size":"#, r#""size":-1,"x":"#.into(), Reason::WrongType("size")),
        (r#""size":"#, r#""size":"20","x":"#.into(), Reason::WrongType("size")),
        (r#""size":"#, r#""size":4294967296,"x":"#.into(), Reason::WrongType("size")),
        (
            r#""size":"#,
            r#""size":4294967295,"x":"#.into(),
            Reason::TooLarge { size: u32::MAX, max: 0 },
        ),
        (sha, format!("{sha}0"), Reason::BadValue("sha256")),
        (sha, format!("{sha}zz\",\"x\":\""), Reason::BadValue("sha256")),
        (sha, "\"sha256\":5,\"x\":\"".into(), Reason::WrongType("sha256")),
        (r#""download":{"#, r#""upload":{"#.into(), Reason::Missing("download")),
        ("https://hawk/default/artifacts", "ftp://hawk".into(), Reason::BadValue("href")),
        ("https://hawk/default/artifacts", long("a"), Reason::TooLong("href")),
    ];
    let count = cases.len();
    for (from, to, reason) in cases {
        let name = to.clone();
        let mut hawk = Hawk::new(image(V2, 20_000));
        hawk.change = Some((from, to));
        refused(&name, &mut hawk, reason);
        assert_eq!(hawk.last(), (Execution::Closed, Finished::Failure), "{name}");
        assert!(hawk.ranges.is_empty(), "{name}");
    }
    println!("{count} / {count} deployments refused");
}

#[test]
fn answers_to_polls_that_break_the_rules_are_refused_by_name_and_it_is_polled_again() {
    let href = "https://hawk/default/controller/v1/device-1/deploymentBase";
    let cases = [
        (r#"{"config""#, "[".into(), Reason::NotJson(Malformed { offset: 1 })),
        (r#""sleep":""#, r#""sleep":"5","x":""#.into(), Reason::BadValue("sleep")),
        (r#""sleep":""#, r#""sleep":"00:60:00","x":""#.into(), Reason::BadValue("sleep")),
        (r#""sleep":""#, r#""sleep":5,"x":""#.into(), Reason::WrongType("sleep")),
        (r#""sleep":""#, r#""sleep":"","sleep":""#.into(), Reason::Repeated("sleep")),
        (r#""_links":{"#, r#""_links":[],"x":{"#.into(), Reason::WrongType("_links")),
        (href, format!("{href}/{}", "8".repeat(255)), Reason::TooLong("href")),
        (
            r#""_links":{"#,
            r#""_links":{"cancelAction":5,"#.into(),
            Reason::WrongType("cancelAction"),
        ),
        (r#""_links":{"#, format!(r#""x":"{}","_links":{{"#, "x".repeat(4096)), Reason::TooMuch),
    ];
    let count = cases.len();
    for (from, to, reason) in cases {
        let name = to.clone();
        let mut hawk = Hawk::new(image(V2, 20_000));
        hawk.change_base = Some((from, to));
        refused(&name, &mut hawk, reason);
        assert!(hawk.feedback.is_empty() && hawk.ranges.is_empty(), "{name}");
    }
    println!("{count} / {count} answers refused");
}

#[test]
fn cancellations_that_break_the_rules_cancel_nothing() {
    let cases = [
        (r#"{"id":"9""#, "[".into(), Reason::NotJson(Malformed { offset: 1 })),
        (r#""id":"9","#, String::new(), Reason::Missing("id")),
        (r#""stopId""#, r#""stop""#.into(), Reason::Missing("stopId")),
        (r#""stopId":"8""#, r#""stopId":8"#.into(), Reason::WrongType("stopId")),
        (r#""cancelAction""#, r#""x""#.into(), Reason::Missing("cancelAction")),
        (r#""stopId""#, r#""stopId":"7","stopId""#.into(), Reason::Repeated("stopId")),
    ];
    let count = cases.len();
    for (from, to, reason) in cases {
        let name: String = to.clone();
        let mut hawk = Hawk::new(image(V2, 20_000));
        hawk.cancels = true;
        hawk.change_cancel = Some((from, to));
        refused(&name, &mut hawk, reason);
        assert!(hawk.feedback.is_empty() && hawk.open, "{name}");
    }
    println!("{count} / {count} cancellations refused");
}

/// The same servers that Infineon's devices have to put up with.
#[test]
fn servers_of_files_that_send_something_else_are_refused_by_name() {
    let count = Wrong::REFUSED.len();
    for (wrong, reason) in Wrong::REFUSED {
        let mut hawk = Hawk::new(image(V2, 20_000));
        hawk.wrong = wrong;
        refused(&format!("{wrong:?}"), &mut hawk, reason);
    }
    println!("{count} / {count} servers refused");
}

#[test]
fn servers_of_files_that_close_connections_are_put_up_with() {
    for wrong in [Wrong::ClosesAfterEach, Wrong::ClosesInTheMiddle] {
        let new = image(V2, 30_000);
        let mut hawk = Hawk::new(new.clone());
        hawk.wrong = wrong;
        let mut board = Board::new(V1);
        let mut device = device(&mut board);
        let mut line = Line::new();
        device.start(line.now);
        on(&mut line, &mut device, &mut hawk);
        drop(device);
        assert!(board.holds(&new), "{wrong:?}");
        assert_eq!(board.swap_type(), SwapType::Test, "{wrong:?}");
    }
}
