//! What a server needs to start, and how it ends.

use crate::support::Lab;

#[test]
fn a_server_does_not_start_where_it_could_not_be_trusted() {
    let lab = Lab::new("starting");
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../../firmware/keys/sample-ed25519.pub.pem");
    std::fs::write(lab.path("file"), b"").unwrap();
    std::fs::write(lab.path("empty.pem"), b"").unwrap();
    for (line, code, expected) in [
        ("serve --data data --listen 0.0.0.0:0", 2, "can be reached from other computers"),
        (&*format!("serve --data data --trust {sample}"), 2, "everybody has its private half"),
        ("serve --data file", 1, "file cannot be used"),
        ("serve --data data --trust app.bin", 1, "app.bin cannot be used"),
        ("serve --data data --board nowhere.toml", 1, "cannot read the board file"),
        ("serve --data data --tls-cert key.pem --tls-key key.pem", 1, "holds no certificate"),
        ("serve --data data --tls-cert empty.pem --tls-key key.pem", 1, "holds no certificate"),
        ("serve --data data --tls-cert key.pem", 2, "--tls-key"),
        ("serve", 2, "--data"),
        ("fleet token list --data nowhere", 2, "there is no folder nowhere"),
    ] {
        let (found, said) = lab.refused(line);
        assert_eq!(found, Some(code), "{line}: {said}");
        assert!(said.contains(expected), "{line}: {said}");
    }
}

#[test]
fn two_servers_do_not_share_a_folder_or_an_address() {
    let lab = Lab::new("sharing");
    let server = lab.serve("");
    let (code, said) = lab.refused("serve --data data --listen 127.0.0.1:0");
    assert_eq!(code, Some(1));
    assert!(said.contains("another server uses data"), "{said}");
    let address = server.url.strip_prefix("http://").unwrap();
    let (code, said) = lab.refused(&format!("serve --data other --listen {address}"));
    assert_eq!(code, Some(1));
    assert!(said.contains("does another program listen there?"), "{said}");
}

#[test]
fn whoever_starts_a_server_is_told_what_is_missing() {
    let lab = Lab::new("remarks");
    drop(lab.serve("--allow-sample-key"));
    let log = std::fs::read_to_string(lab.path("server.log")).unwrap();
    for remark in ["no signature is checked", "this server is for tests", "nobody has a token"] {
        assert!(log.contains(remark), "{remark}: {log}");
    }
}

#[cfg(unix)]
#[test]
fn a_server_that_is_asked_to_stop_ends_well() {
    let lab = Lab::new("stopping");
    let token = lab.token("ci");
    let server = lab.serve("");
    lab.stdout(&server.line("add old.bin --name a", &token));
    assert_eq!(server.terminate().code(), Some(0));
    assert!(std::fs::read_to_string(lab.path("server.log")).unwrap().contains("stopping"));
    let server = lab.serve("");
    assert!(lab.stdout(&server.line("list", &token)).contains("1.0.0+0"));
}

#[cfg(unix)]
#[test]
fn a_disk_without_room_is_told() {
    let lab = Lab::new("disk");
    let token = lab.token("ci");
    // No file of the server may pass 160 blocks of 512 or 1024 bytes from here on, and it is told so instead of killed.
    let mut command = std::process::Command::new("sh");
    let script = "trap '' XFSZ; ulimit -f 160; exec \"$0\" serve --data data --listen 127.0.0.1:0";
    command.args(["-c", script, env!("CARGO_BIN_EXE_updraft")]).current_dir(lab.path("."));
    let body: Vec<u8> = (0..200_000u32).map(|n| (n >> 3) as u8 | 1).collect();
    std::fs::write(lab.path("large.bin"), body).unwrap();
    lab.stdout("image sign -k key.pem -v 1 -H 0x200 -S 0x80000 --pad-header large.bin large.img");
    let server = lab.start(command);
    let (code, said) = lab.refused(&server.line("add large.img --name large", &token));
    assert_eq!(code, Some(1));
    assert!(said.contains("make room on the disk"), "{said}");
    // Smaller ones still go, and nothing of the large one is left.
    lab.stdout(&server.line("add old.bin --name small", &token));
    assert_eq!(std::fs::read_dir(lab.path("data/artifacts/incoming")).unwrap().count(), 0);
}
