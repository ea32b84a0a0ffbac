//! Certificates that were revoked, and lists that tell so: our own and OpenSSL's.

use std::path::PathBuf;
use std::sync::Arc;

use updraft_certs::{Authority, Lifetime};
use updraft_online::{Credentials, Session, Settings, Tls, TlsError, Trust};

use crate::broker::{Broker, Folder, openssl};
use crate::talker::{Talker, fails, talk};

const LIST: &str = "mosquitto_ca.crl";

fn read(folder: &Folder, name: &str) -> String {
    std::fs::read_to_string(folder.file(name)).unwrap()
}

/// The lab's list, with these certificates on it.
fn list(folder: &Folder, certificates: &[&str]) -> String {
    let [certificate, key] = ["mosquitto_ca.crt", "mosquitto_ca.key"].map(|it| read(folder, it));
    let authority = Authority::from_pem(&certificate, &key).unwrap();
    let texts: Vec<String> = certificates.iter().map(|name| read(folder, name)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    authority.revoke(None, &texts, Lifetime::LIST).unwrap().list
}

fn with_lists(
    trust: &Trust,
    credentials: &Credentials,
    lists: &[PathBuf],
) -> Result<Settings, TlsError> {
    let tls = Tls::with_lists(trust, Some(credentials), None, lists)?;
    Ok(Settings::tls(Session::new("device"), Arc::new(tls)))
}

#[test]
fn a_server_whose_certificate_was_revoked_is_named_and_others_are_not() {
    let folder = Folder::with_lab("127.0.0.1");
    let broker = Broker::start(&folder);
    let path = folder.file("list.crl");
    let settings =
        || with_lists(&folder.trust(), &folder.client(), std::slice::from_ref(&path)).unwrap();
    std::fs::write(&path, list(&folder, &[])).unwrap();
    assert_eq!(talk(Talker::mqtt(broker.tls), settings(), "opened"), ["opened"]);
    std::fs::write(&path, list(&folder, &["mosquitto_client.crt"])).unwrap();
    assert_eq!(talk(Talker::mqtt(broker.tls), settings(), "opened"), ["opened"]);
    std::fs::write(&path, list(&folder, &["mosquitto_server.crt"])).unwrap();
    let why = fails(Talker::mqtt(broker.tls), settings());
    assert!(why.contains("its certificate was revoked; do not talk to it"), "{why}");
}

#[test]
fn a_client_whose_certificate_was_revoked_is_told_so_by_the_broker() {
    let folder = Folder::with_lab("127.0.0.1");
    std::fs::write(folder.file(LIST), list(&folder, &["mosquitto_client.crt"])).unwrap();
    let broker = Broker::start(&folder);
    let why = fails(Talker::mqtt(broker.tls), folder.settings("revoked"));
    assert!(why.contains("refuses this client's certificate: it was revoked"), "{why}");
}

/// OpenSSL's own authority: an index of what it has issued, and the list that it makes of that.
#[test]
fn lists_of_openssl_are_gone_by_and_one_that_is_out_of_date_believes_nobody() {
    let folder = Folder::with_lab("127.0.0.1");
    let broker = Broker::start(&folder);
    let config = "[ca]\ndefault_ca=lab\n[lab]\ndatabase=index.txt\ncrlnumber=number\n\
                  default_md=sha256\n";
    std::fs::write(folder.file("ca.cnf"), config).unwrap();
    std::fs::write(folder.file("index.txt"), "").unwrap();
    std::fs::write(folder.file("number"), "01\n").unwrap();
    let ca = "ca -config ca.cnf -cert mosquitto_ca.crt -keyfile mosquitto_ca.key";
    let tells = |times: &str| {
        openssl(&folder.0, &format!("{ca} -gencrl {times} -out list.crl"));
        let lists = [folder.file("list.crl")];
        with_lists(&folder.trust(), &folder.client(), &lists).unwrap()
    };
    assert_eq!(talk(Talker::mqtt(broker.tls), tells("-crldays 7"), "opened"), ["opened"]);
    let long_ago = "-crl_lastupdate 20200101000000Z -crl_nextupdate 20200201000000Z";
    let why = fails(Talker::mqtt(broker.tls), tells(long_ago));
    assert!(why.contains("the list of revoked certificates is out of date; get"), "{why}");
    openssl(&folder.0, &format!("{ca} -revoke mosquitto_server.crt"));
    let why = fails(Talker::mqtt(broker.tls), tells("-crldays 7"));
    assert!(why.contains("its certificate was revoked"), "{why}");
}

#[test]
fn lists_of_others_and_files_that_are_none_are_told_apart() {
    let (folder, other) = (Folder::with_lab("127.0.0.1"), Folder::with_lab("127.0.0.1"));
    let broker = Broker::start(&folder);
    let path = folder.file("list.crl");
    std::fs::write(&path, list(&other, &["mosquitto_server.crt"])).unwrap();
    let settings =
        with_lists(&folder.trust(), &folder.client(), std::slice::from_ref(&path)).unwrap();
    let why = fails(Talker::mqtt(broker.tls), settings);
    assert!(why.contains("BadSignature; give the list of who has signed"), "{why}");
    let refused = |content: &str| {
        std::fs::write(&path, content).unwrap();
        with_lists(&folder.trust(), &folder.client(), std::slice::from_ref(&path)).unwrap_err()
    };
    assert!(matches!(refused(&read(&folder, "mosquitto_ca.crt")), TlsError::NoList(_)));
    let damaged = "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n";
    assert!(matches!(refused(damaged), TlsError::List { .. }));
    let nowhere = [folder.file("nowhere.crl")];
    let error = with_lists(&folder.trust(), &folder.client(), &nowhere).unwrap_err();
    assert!(matches!(error, TlsError::Unreadable { .. }));
}
