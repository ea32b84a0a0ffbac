//! Others' programs: imgtool makes what is uploaded, curl uploads and downloads it.

use std::process::Command;

use serde_json::Value;

use crate::support::{Lab, answer, program, tool};

#[test]
fn images_made_by_imgtool_are_admitted() {
    let Some(imgtool) = tool("venv/bin/imgtool") else { return };
    let lab = Lab::new("imgtool");
    let token = lab.token("ci");
    let kinds = ["ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048", "rsa-3072"];
    let mut trust = Vec::new();
    for kind in kinds {
        answer(Command::new(&imgtool).current_dir(lab.path(".")).args([
            "keygen",
            "-k",
            &format!("{kind}.pem"),
            "-t",
            kind,
        ]));
        trust.push(format!("--trust {kind}.pem"));
        answer(Command::new(&imgtool).current_dir(lab.path(".")).args([
            "sign",
            "-k",
            &format!("{kind}.pem"),
            "-H",
            "0x200",
            "--pad-header",
            "-S",
            "0x40000",
            "--align",
            "8",
            "-v",
            "1.2.3",
            "app.bin",
            &format!("{kind}.bin"),
        ]));
    }
    let server = lab.serve(&trust.join(" "));
    for kind in kinds {
        let said = lab.stdout(&server.line(&format!("add {kind}.bin --name {kind}"), &token));
        assert!(said.contains(&format!("signed  good, by {kind}.pem")), "{said}");
    }
    println!("{} of {} of imgtool's signatures found good", kinds.len(), kinds.len());
}

/// curl with a token, asking for `path`.
fn curl(url: &str, token: &str, options: &[&str], path: &str) -> Option<Command> {
    let mut command = program("curl")?;
    command.args(["--silent", "--show-error", "--noproxy", "*"]);
    command.args(["-H", &format!("Authorization: Bearer {token}")]);
    command.args(options).arg(format!("{url}{path}"));
    Some(command)
}

#[test]
fn curl_uploads_a_body_or_a_form_and_downloads_in_pieces() {
    let lab = Lab::new("curl");
    let token = lab.token("ci");
    let server = lab.serve("");
    let file = std::fs::read(lab.path("old.bin")).unwrap();
    let (body, form) = (format!("@{}", lab.path("old.bin").display()), lab.path("new.bin"));
    let form = format!("image=@{}", form.display());
    let ask = |options: &[&str], path: &str| {
        curl(&server.url, &token, options, path).map(|mut command| answer(&mut command))
    };
    let octets = "Content-Type: application/octet-stream";
    let upload = ["--fail", "-H", octets, "--data-binary", &body];
    let Some(added) = ask(&upload, "/api/v1/releases?name=body&board=virtual-nor-4k") else {
        return;
    };
    let added: Value = serde_json::from_slice(&added).unwrap();
    let fields = ["--fail", "-F", "name=form", "-F", "board=virtual-nor-4k", "-F", &form];
    ask(&fields, "/api/v1/releases");
    let path = format!("/artifacts/{}", added["images"][0]["sha256"].as_str().unwrap());
    assert_eq!(ask(&["--fail"], &path).unwrap(), file);
    let mut pieces = Vec::new();
    while pieces.len() < file.len() {
        let range = format!("{}-{}", pieces.len(), pieces.len() + 4095);
        pieces.extend(ask(&["--fail", "--range", &range], &path).unwrap());
    }
    assert_eq!(pieces, file);
    // A download that was broken off goes on where it stopped.
    let part = lab.path("part.bin");
    std::fs::write(&part, &file[..5000]).unwrap();
    let part_name = part.display().to_string();
    ask(&["--fail", "--continue-at", "-", "--output", &part_name], &path);
    assert_eq!(std::fs::read(&part).unwrap(), file);
    let refused = ask(&["--data-binary", "nonsense"], "/api/v1/releases?name=x").unwrap();
    let refused: Value = serde_json::from_slice(&refused).unwrap();
    assert_eq!(refused["type"], "urn:updraft:problem:not-an-image");
}

/// A certificate authority and a server's certificate for 127.0.0.1, made by OpenSSL.
fn certificates(lab: &Lab) -> Option<()> {
    program("openssl")?;
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let openssl = |args: &[&str]| {
        answer(Command::new("openssl").current_dir(lab.path(".")).args(args));
    };
    let ca = ["-x509", "-subj", "/CN=Test CA", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem"];
    openssl(&[&["req"], &key[..], &ca[..]].concat());
    let request = ["-subj", "/CN=fleet", "-keyout", "server.key", "-out", "server.csr"];
    openssl(&[&["req"], &key[..], &request[..]].concat());
    std::fs::write(lab.path("ext"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
        .unwrap();
    openssl(&[
        "x509",
        "-req",
        "-in",
        "server.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "2",
        "-extfile",
        "ext",
        "-out",
        "server.pem",
    ]);
    Some(())
}

#[test]
fn a_server_with_a_certificate_is_asked_by_those_who_trust_it() {
    let lab = Lab::new("tls");
    let Some(()) = certificates(&lab) else { return };
    let token = lab.token("ci");
    let server = lab.serve("--tls-cert server.pem --tls-key server.key");
    assert!(server.url.starts_with("https://"), "{}", server.url);
    lab.stdout(&format!("{} --ca ca.pem", server.line("add old.bin --name a", &token)));
    let (code, said) = lab.refused(&server.line("list", &token));
    assert_eq!(code, Some(1));
    assert!(said.contains("--ca FILE"), "{said}");
    let ca = lab.path("ca.pem").display().to_string();
    let listed = curl(&server.url, &token, &["--fail", "--cacert", &ca], "/api/v1/releases");
    let listed: Value = serde_json::from_slice(&answer(&mut listed.unwrap())).unwrap();
    assert_eq!(listed["releases"][0]["name"], "a");
    // Somebody who speaks no TLS is no trouble to the others.
    let plain = server.url.replace("https", "http");
    assert!(!curl(&plain, &token, &[], "/").unwrap().output().unwrap().status.success());
    lab.stdout(&format!("{} --ca ca.pem", server.line("list", &token)));
}
