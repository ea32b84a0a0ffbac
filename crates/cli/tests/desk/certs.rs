//! `updraft certs`, against OpenSSL and mosquitto.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::Desk;

/// A lab at the loopback address.
fn lab(name: &str) -> Desk {
    let desk = Desk::new(name);
    desk.stdout("certs lab 127.0.0.1 broker.lan");
    desk
}

fn openssl(desk: &Desk, args: &[&str]) -> Output {
    let ended = Command::new("openssl").args(args).current_dir(desk.path("")).output();
    ended.expect("openssl: `cargo xtask setup` installs it")
}

/// What was printed by a command that found something wrong.
fn found_wrong(desk: &Desk, line: &str) -> String {
    let output = desk.run(line);
    assert_eq!(output.status.code(), Some(1), "{line}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn openssl_finds_the_server_by_address_and_by_name_and_trusts_the_chain() {
    let desk = lab("certs-openssl");
    let verify = |more: &[&str]| {
        let base = ["verify", "-x509_strict", "-CAfile", "mosquitto_ca.crt"];
        openssl(&desk, &[&base, more].concat()).status.success()
    };
    for name in [["-verify_ip", "127.0.0.1"], ["-verify_hostname", "broker.lan"]] {
        assert!(verify(
            &[&["-purpose", "sslserver"], &name[..], &["mosquitto_server.crt"]].concat()
        ));
    }
    assert!(verify(&["-verify_hostname", "mosquitto_server", "mosquitto_server.crt"]));
    assert!(!verify(&["-verify_ip", "127.0.0.2", "mosquitto_server.crt"]));
    assert!(verify(&["-purpose", "sslclient", "mosquitto_client.crt"]));
    assert!(!verify(&["-purpose", "sslserver", "mosquitto_client.crt"]));
    for name in ["mosquitto_ca.key", "mosquitto_server.key", "mosquitto_client.key"] {
        assert!(openssl(&desk, &["pkey", "-in", name, "-noout", "-check"]).status.success());
    }
}

#[test]
fn what_was_revoked_openssl_refuses_and_the_list_grows() {
    let desk = lab("certs-revoked");
    desk.stdout("certs device kit-1 kit-2");
    let verifies = |name: &str| {
        let base = ["verify", "-crl_check", "-CAfile", "mosquitto_ca.crt"];
        let more = ["-CRLfile", "mosquitto_ca.crl", name];
        let ended = openssl(&desk, &[&base[..], &more].concat());
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.success() || said.contains("certificate revoked"), "{said}");
        ended.status.success()
    };
    let lists = |revoked: usize, number: &str| {
        let line = ["crl", "-in", "mosquitto_ca.crl", "-CAfile", "mosquitto_ca.crt", "-text"];
        let ended = openssl(&desk, &line);
        let said = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
        assert!(said.contains("verify OK"), "{said}");
        assert_eq!(said.matches("Revocation Date").count(), revoked, "{said}");
        let (_, behind) = said.split_once("X509v3 CRL Number:").unwrap();
        assert_eq!(behind.split_whitespace().next(), Some(number), "{said}");
    };
    desk.stdout("certs revoke");
    lists(0, "1");
    assert!(verifies("kit-1.crt"));
    let said = desk.stdout("certs revoke kit-1.crt");
    assert!(said.contains("mosquitto_ca.crl  1 revoked"), "{said}");
    lists(1, "2");
    assert!(!verifies("kit-1.crt") && verifies("kit-2.crt"));
    // Twice is once.
    desk.stdout("certs revoke kit-1.crt kit-2.crt mosquitto_server.crt --days 30");
    lists(3, "3");
    assert!(!verifies("kit-1.crt") && !verifies("kit-2.crt") && verifies("mosquitto_client.crt"));
    std::fs::create_dir(desk.path("other")).unwrap();
    desk.stdout("certs lab 127.0.0.1 --dir other");
    let why = desk.run("certs revoke other/mosquitto_client.crt");
    let why = String::from_utf8_lossy(&why.stderr).into_owned();
    assert!(why.contains("was not signed by this authority"), "{why}");
}

/// A broker that ends with it.
struct Broker {
    child: Child,
    port: u16,
}

impl Broker {
    fn start(desk: &Desk, require: &str) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let options = format!("--port {free} --address 127.0.0.1 --require-certificate {require}");
        let configuration = desk.stdout(&format!("certs mosquitto {options}"));
        // As root it would become another user, who may not read the key.
        let user = std::env::var("USER").unwrap_or_else(|_| "root".into());
        let configuration = format!("user {user}\n{configuration}");
        std::fs::write(desk.path("mosquitto.conf"), configuration).unwrap();
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let child = Command::new("mosquitto")
            .env("PATH", path)
            .args(["-c", "mosquitto.conf"])
            .current_dir(desk.path(""))
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto: `cargo xtask setup` installs it");
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", free)).is_err() {
            assert!(Instant::now() < until, "mosquitto does not start");
            thread::sleep(Duration::from_millis(20));
        }
        Self { child, port: free }
    }

    /// Whether a client with this certificate gets a message to it.
    fn takes(&self, desk: &Desk, identity: Option<&str>) -> bool {
        let port = self.port.to_string();
        let mut client = Command::new("mosquitto_pub");
        client.args(["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", "lab", "-m", "hello"]);
        client.args(["--cafile", "mosquitto_ca.crt"]).current_dir(desk.path(""));
        if let Some(identity) = identity {
            let [certificate, key] = ["crt", "key"].map(|ending| format!("{identity}.{ending}"));
            client.args(["--cert", &certificate, "--key", &key]);
        }
        client.stderr(Stdio::null()).status().expect("mosquitto-clients").success()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn mosquitto_takes_devices_with_a_certificate_of_the_lab_and_nobody_else() {
    let desk = lab("certs-required");
    desk.stdout("certs device kit-0001 kit-0002");
    let broker = Broker::start(&desk, "on");
    for identity in ["mosquitto_client", "kit-0001", "kit-0002"] {
        assert!(broker.takes(&desk, Some(identity)), "{identity}");
    }
    assert!(!broker.takes(&desk, None));
    let other = lab("certs-of-another-lab");
    for file in ["mosquitto_client.crt", "mosquitto_client.key"] {
        let stranger = file.replace("mosquitto_client", "stranger");
        std::fs::copy(other.path(file), desk.path(&stranger)).unwrap();
    }
    assert!(!broker.takes(&desk, Some("stranger")));
}

#[test]
fn mosquitto_takes_anybody_where_no_certificate_is_required() {
    let desk = lab("certs-for-anybody");
    let broker = Broker::start(&desk, "off");
    assert!(broker.takes(&desk, None));
}

#[test]
fn nothing_is_overwritten_unless_it_is_asked_for() {
    let desk = lab("certs-that-stay");
    let read = || {
        let read = |name| std::fs::read(desk.path(name)).unwrap();
        ["mosquitto_ca.crt", "mosquitto_ca.key", "mosquitto_client.crt"].map(read)
    };
    let before = read();
    let (code, told) = desk.refused("certs lab 10.0.0.1");
    assert_eq!(code, Some(1));
    assert!(told.contains("mosquitto_ca.key exists already"), "{told}");
    assert_eq!(read(), before);
    desk.stdout("certs lab 10.0.0.1 --force");
    assert_ne!(read(), before);
}

#[cfg(unix)]
#[test]
fn keys_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let desk = lab("certs-of-their-owner");
    for name in ["mosquitto_ca.key", "mosquitto_server.key", "mosquitto_client.key"] {
        let mode = std::fs::metadata(desk.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

/// As the script that comes with the kits makes them, with the same calls of OpenSSL.
fn as_the_kits_have_them(desk: &Desk) {
    let run = |args: &[&str]| {
        let ended = openssl(desk, args);
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    };
    let rsa = ["-newkey", "rsa:2048", "-nodes", "-sha256"];
    let ca = ["req", "-x509", "-days", "3650", "-subj", "/CN=myCA", "-keyout", "ca.key"];
    run(&[&ca, &rsa[..], &["-out", "ca.crt"]].concat());
    let san = "subjectAltName=DNS:mosquitto_server,DNS:IP:192.168.1.10\n";
    std::fs::write(desk.path("server.ext"), san).unwrap();
    for name in ["server", "client"] {
        let [key, csr, crt] = ["key", "csr", "crt"].map(|ending| format!("{name}.{ending}"));
        let subject = format!("/CN=mosquitto_{name}");
        run(&[&["req", "-subj", &subject, "-keyout", &key], &rsa[..], &["-out", &csr]].concat());
        let sign = ["x509", "-req", "-in", &csr, "-CA", "ca.crt", "-CAkey", "ca.key", "-sha256"];
        let extensions: &[&str] = if name == "server" { &["-extfile", "server.ext"] } else { &[] };
        let rest = ["-CAcreateserial", "-days", "3650", "-out", &crt];
        run(&[&sign, extensions, &rest].concat());
    }
}

#[test]
fn what_is_wrong_with_the_certificates_of_existing_kits_is_told() {
    let desk = Desk::new("certs-of-kits");
    as_the_kits_have_them(&desk);
    let authority = desk.stdout("certs show ca.crt");
    assert!(authority.contains("authority") && authority.contains("RSA-2048"), "{authority}");
    let server = found_wrong(&desk, "certs show server.crt");
    let hidden = "192.168.1.10 stands in a field for names, as `IP:192.168.1.10`";
    assert!(server.contains(hidden), "{server}");
    let text = openssl(&desk, &["x509", "-in", "client.crt", "-noout", "-text"]).stdout;
    assert!(String::from_utf8_lossy(&text).contains("Version: 1 "));
    let client = found_wrong(&desk, "certs show client.crt");
    assert!(client.contains("wrong: X.509 version 1"), "{client}");
    assert!(client.contains("updraft certs device"), "{client}");
    let json = found_wrong(&desk, "certs show client.crt --json");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["certificates"][0]["version"], 1);
    assert_eq!(json["certificates"][0]["name"], "mosquitto_client");
}

#[test]
fn files_are_printed_as_strings_with_their_names_as_given() {
    let desk = Desk::new("certs-as-strings");
    std::fs::write(desk.path("a.crt"), "one\ntwo\n").unwrap();
    std::fs::write(desk.path("b.key"), "three").unwrap();
    let printed = desk.stdout("certs format ./a.crt notes.txt b.key");
    let expected = "String format of ./a.crt file:\n\"one\\n\"\\\n\"two\\n\"\n\n\
                    Pass file with extension (*.crt) (*.pem) or (*.key) only!\n\
                    String format of b.key file:\n\"three\\n\"\n\n";
    assert_eq!(printed, expected);
}

/// What the original printed for the same files.
#[test]
fn files_are_printed_byte_for_byte_as_the_original_has_printed_them() {
    let desk = Desk::new("certs-as-recorded");
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/ota/listing");
    let files = ["ca.crt", "both.pem", "notes.txt", "client.key"];
    for name in files {
        std::fs::copy(folder.join(name), desk.path(name)).unwrap();
    }
    let printed = desk.stdout(&format!("certs format --wait {}", files.join(" ")));
    assert_eq!(printed, std::fs::read_to_string(folder.join("printed.txt")).unwrap());
}

#[test]
fn what_cannot_be_used_is_told_in_a_line() {
    let desk = lab("certs-refused");
    for (line, expected) in [
        ("lab 1.2.3", "it looks like an address and is none"),
        ("device a/b", "`a/b` is no name for a certificate"),
        ("device a --ca mosquitto_client.crt", "does not belong"),
        ("show mosquitto_ca.key", "there is no certificate in it"),
        ("show nowhere.crt", "nowhere.crt cannot be read"),
        ("device a --days 0", "0 days are no lifetime"),
        ("mosquitto --port 1 --plain 1", "both plain and TLS"),
    ] {
        let (code, told) = desk.refused(&format!("certs {line}"));
        assert!(matches!(code, Some(1 | 2)) && told.contains(expected), "{line}: {told}");
    }
    assert!(!desk.path("a.crt").exists());
}
