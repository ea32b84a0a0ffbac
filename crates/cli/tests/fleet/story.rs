//! From a token to a release, and what people and programs get to see on the way.

use crate::support::{Lab, json};

#[test]
fn a_release_goes_from_the_desk_to_the_server_and_away_again() {
    let lab = Lab::new("story");
    let token = lab.token("ci");
    let server = lab.serve("--trust key.pem");
    let line = |command: &str| server.line(command, &token);
    let add = "add old.bin --name blinky-1.0.0 --board virtual-nor-4k";
    let said = lab.stdout(&line(add));
    assert!(said.starts_with("added blinky-1.0.0: version 1.0.0+0\nimage 0:"), "{said}");
    assert!(said.contains("signed  good, by key.pem"), "{said}");
    let said = lab.stdout(&line(add));
    assert!(said.starts_with("there already blinky-1.0.0"), "{said}");
    let (code, said) = lab.refused(&line(&add.replace("old", "new")));
    assert_eq!(code, Some(1));
    assert_eq!(
        said,
        "error: the release blinky-1.0.0 is not added
  because: there is a release blinky-1.0.0 with other content
  try: give it another name, or remove the release that is there
"
    );
    lab.stdout(&line("add new.bin --name blinky-1.1.0"));
    let said = lab.stdout(&line("list"));
    let rows: Vec<Vec<&str>> = said.lines().map(|row| row.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["RELEASE", "VERSION", "ADDED", "BOARD"]);
    assert_eq!((rows[1][0], rows[1][1], rows[1][3]), ("blinky-1.0.0", "1.0.0+0", "virtual-nor-4k"));
    assert_eq!((rows[2][0], rows[2][3]), ("blinky-1.1.0", "any"));
    let shown = json(&lab.run(&line("show blinky-1.0.0 --json")));
    assert_eq!(shown["images"][0]["signature"]["key"], "key.pem");
    assert_eq!(json(&lab.run(&line("list --json"))).as_array().unwrap().len(), 2);
    lab.stdout(&line("remove blinky-1.0.0"));
    let (code, said) = lab.refused(&line("show blinky-1.0.0"));
    assert_eq!(code, Some(1));
    assert!(said.contains("there is no release blinky-1.0.0"), "{said}");
    assert!(std::fs::read_to_string(lab.path("server.log")).unwrap().contains(" 201 POST "));
}

#[test]
fn what_nobody_trusted_has_signed_is_refused() {
    let lab = Lab::new("untrusted");
    let token = lab.token("ci");
    lab.stdout("key new other.pem");
    let server = lab.serve("--trust other.pem");
    let output = lab.run(&server.line("add old.bin --name a --json", &token));
    assert_eq!(output.status.code(), Some(1));
    let said = json(&output);
    assert_eq!(said["problem"]["type"], "urn:updraft:problem:invalid-image");
    assert_eq!(said["problem"]["status"], 422);
    assert!(said["causes"][0].as_str().unwrap().contains("is not trusted"), "{said}");
}

#[test]
fn a_token_is_shown_once_and_good_until_it_is_revoked() {
    let lab = Lab::new("tokens");
    let (writer, reader) =
        (lab.token("ci"), lab.stdout("fleet token new look --data data --read-only"));
    let (code, said) = lab.refused("fleet token new ci --data data");
    assert_eq!(code, Some(1));
    assert!(said.contains("ci has a token already"), "{said}");
    let listed = lab.stdout("fleet token list --data data");
    assert!(listed.contains("ci    write") && listed.contains("look  read"), "{listed}");
    assert!(!listed.contains(&writer), "{listed}");
    let server = lab.serve("");
    let (code, said) = lab.refused(&server.line("add old.bin --name a", reader.trim()));
    assert_eq!(code, Some(1));
    assert!(said.contains("the token \"look\" is for reading alone"), "{said}");
    std::fs::write(lab.path("token"), format!("{writer}\n")).unwrap();
    let with_file =
        format!("fleet release add old.bin --name a --server {} --token-file token", server.url);
    lab.stdout(&with_file);
    // The server learns of it at once.
    lab.stdout("fleet token revoke ci --data data");
    let (code, said) = lab.refused(&with_file);
    assert_eq!(code, Some(1));
    assert!(said.contains("the token is none of this server's"), "{said}");
    // More than fits in any buffer on its way: the refusal is heard all the same.
    let mut large = std::fs::read(lab.path("old.bin")).unwrap();
    large.resize(8 << 20, 0xff);
    std::fs::write(lab.path("large.bin"), large).unwrap();
    let (code, said) = lab.refused(&with_file.replace("old.bin", "large.bin"));
    assert_eq!(code, Some(1));
    assert!(said.contains("the token is none of this server's"), "{said}");
}

#[test]
fn a_server_that_cannot_be_asked_is_told_from_one_that_refuses() {
    let lab = Lab::new("asking");
    let at =
        |url: &str| lab.refused(&format!("fleet release list --server {url} --token updraft_0"));
    let (code, said) = at("http://127.0.0.1:9");
    assert_eq!(code, Some(1));
    assert!(said.contains("does `updraft serve` run there"), "{said}");
    let (code, said) = at("http://192.0.2.1:8580");
    assert_eq!(code, Some(2));
    assert!(said.contains("anybody in between can read the token"), "{said}");
    let (code, said) = at("fleet.example");
    assert_eq!(code, Some(2));
    assert!(said.contains("is no address of a server"), "{said}");
    let (code, said) = lab.refused("fleet release list --server http://127.0.0.1:9");
    assert_eq!(code, Some(2));
    assert!(said.contains("the server asks for a token"), "{said}");
    let (code, said) = lab.refused("fleet release show a/b --server http://x --token y");
    assert_eq!(code, Some(2));
    assert!(said.contains("'/' may not stand in a name"), "{said}");
}
