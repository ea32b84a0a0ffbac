//! Certificates that do not fit, on either side: each is named, with advice.

use updraft_online::{Credentials, Session, Settings, TlsError, Trust};
use updraft_ota::Transport;

use crate::broker::{Broker, Folder, free_port, openssl, plain, tls};
use crate::talker::{Talker, fails, talk};

#[test]
fn a_client_without_a_certificate_is_told_that_it_needs_one() {
    let folder = Folder::with_lab("127.0.0.1");
    let broker = Broker::start(&folder);
    let settings = tls(&folder.trust(), None, None, "nobody").unwrap();
    let why = fails(Talker::mqtt(broker.tls), settings);
    assert!(why.contains("wants one, and none was given") && why.contains("--tls-cert"), "{why}");
}

#[test]
fn a_certificate_of_another_authority_is_refused_by_either_side() {
    let (folder, other) = (Folder::with_lab("127.0.0.1"), Folder::with_lab("127.0.0.1"));
    let broker = Broker::start(&folder);
    let settings = tls(&folder.trust(), Some(&other.client()), None, "stranger").unwrap();
    let why = fails(Talker::mqtt(broker.tls), settings);
    assert!(why.contains("refuses this client's certificate"), "{why}");
    let settings = tls(&other.trust(), Some(&folder.client()), None, "wary").unwrap();
    let why = fails(Talker::mqtt(broker.tls), settings);
    assert!(why.contains("is not trusted") && why.contains("--ca"), "{why}");
    let why = fails(Talker::mqtt(broker.tls), tls(&Trust::System, None, None, "wary").unwrap());
    assert!(why.contains("unknown authority"), "{why}");
}

#[test]
fn expired_certificates_are_named_on_either_side() {
    let folder = Folder::with_lab("127.0.0.1");
    let issue = "x509 -req -CA mosquitto_ca.crt -CAkey mosquitto_ca.key -CAcreateserial -days -1";
    for (stem, extensions) in [
        ("late_server", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n"),
        ("late_client", "extendedKeyUsage=clientAuth\n"),
    ] {
        std::fs::write(folder.file("extensions"), extensions).unwrap();
        openssl(&folder.0, &format!("ecparam -genkey -name prime256v1 -noout -out {stem}.key"));
        openssl(&folder.0, &format!("req -new -key {stem}.key -subj /CN=late -out {stem}.csr"));
        let args = format!("{issue} -in {stem}.csr -out {stem}.crt -extfile extensions");
        openssl(&folder.0, &args);
    }
    let broker = Broker::start(&folder);
    let late = folder.credentials("late_client");
    let why =
        fails(Talker::mqtt(broker.tls), tls(&folder.trust(), Some(&late), None, "late").unwrap());
    assert!(why.contains("refuses this client's certificate: it has expired"), "{why}");
    drop(broker);
    for ending in ["crt", "key"] {
        let [from, to] = ["late_server", "mosquitto_server"].map(|it| format!("{it}.{ending}"));
        std::fs::copy(folder.file(&from), folder.file(&to)).unwrap();
    }
    let broker = Broker::start(&folder);
    let why = fails(Talker::mqtt(broker.tls), folder.settings("punctual"));
    assert!(why.contains("its certificate has expired; make a new one"), "{why}");
}

#[test]
fn a_server_of_another_name_is_refused_unless_that_name_is_expected() {
    let folder = Folder::with_lab("broker.lan");
    let broker = Broker::start(&folder);
    let settings = |name| tls(&folder.trust(), Some(&folder.client()), name, "device").unwrap();
    let why = fails(Talker::mqtt(broker.tls), settings(None));
    assert!(why.contains("is for") && why.contains("broker.lan"), "{why}");
    assert!(why.contains("--server-name"), "{why}");
    let why = fails(Talker::mqtt(broker.tls), settings(Some("other.lan")));
    assert!(why.contains("is not trusted"), "{why}");
    for name in ["broker.lan", "mosquitto_server"] {
        let talker = Talker::mqtt(broker.tls);
        assert_eq!(talk(talker, settings(Some(name)), "opened"), ["opened"], "{name}");
    }
}

/// A broker that speaks one version of TLS only, as OpenSSL's client finds out.
#[test]
fn both_versions_of_tls_are_spoken_with_certificates_on_both_sides() {
    for (version, other) in [("1.2", "-tls1_3"), ("1.3", "-tls1_2")] {
        let folder = Folder::with_lab("127.0.0.1");
        // What mosquitto lets be set is the lowest version alone.
        let only = format!("MinProtocol = TLSv{version}\nMaxProtocol = TLSv{version}\n");
        let config = "openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = only\n";
        std::fs::write(folder.file("openssl.cnf"), format!("{config}[only]\n{only}")).unwrap();
        let broker = Broker::start(&folder);
        let client = |option: &str| {
            let port = format!("127.0.0.1:{}", broker.tls);
            let mut command = std::process::Command::new("openssl");
            command.args(["s_client", "-brief", "-connect", &port, option]);
            command.stdin(std::process::Stdio::null()).output().unwrap().stderr
        };
        let refused = String::from_utf8(client(other)).unwrap();
        assert!(refused.contains("protocol version"), "{version}: {refused}");
        let talker = Talker::mqtt(broker.tls);
        assert_eq!(talk(talker, folder.settings("both"), "opened"), ["opened"], "{version}");
    }
}

#[test]
fn certificates_of_the_first_version_are_sent_and_left_to_the_server() {
    let folder = Folder::with_lab("127.0.0.1");
    // As the script that comes with kits makes them: RSA, without extensions.
    openssl(&folder.0, "genrsa -out old.key 2048");
    openssl(&folder.0, "req -new -key old.key -subj /CN=mosquitto_client -out old.csr");
    openssl(
        &folder.0,
        "x509 -req -CA mosquitto_ca.crt -CAkey mosquitto_ca.key -CAcreateserial -in old.csr -out \
         old.crt -days 3",
    );
    let broker = Broker::start(&folder);
    let settings = tls(&folder.trust(), Some(&folder.credentials("old")), None, "old").unwrap();
    assert_eq!(talk(Talker::mqtt(broker.tls), settings, "opened"), ["opened"]);
}

#[test]
fn files_that_do_not_fit_are_named_before_anything_is_connected() {
    let (folder, other) = (Folder::with_lab("127.0.0.1"), Folder::with_lab("127.0.0.1"));
    let why = |trust: &Trust, credentials: &Credentials| {
        let error = tls(trust, Some(credentials), None, "x").unwrap_err();
        assert!(!error.hint().is_empty());
        error
    };
    let client = folder.client();
    let mixed = Credentials { key: other.client().key, ..client.clone() };
    assert!(matches!(why(&folder.trust(), &mixed), TlsError::Pair { .. }));
    let swapped = Credentials { certificate: client.key.clone(), key: client.certificate.clone() };
    assert!(matches!(why(&folder.trust(), &swapped), TlsError::NoCertificate(_)));
    let keyless = Credentials { key: client.certificate.clone(), ..client.clone() };
    assert!(matches!(why(&folder.trust(), &keyless), TlsError::NoKey(_)));
    let nowhere = Trust::File(folder.file("nowhere.crt"));
    assert!(matches!(why(&nowhere, &client), TlsError::Unreadable { .. }));
    let name = tls(&folder.trust(), None, Some("not a name"), "x").unwrap_err();
    assert!(matches!(name, TlsError::ServerName(_)));
}

#[test]
fn tls_that_meets_a_plain_port_and_the_reverse_are_told_apart() {
    let folder = Folder::with_lab("127.0.0.1");
    let broker = Broker::start(&folder);
    let why = fails(Talker::mqtt(broker.tls), plain("plain"));
    assert!(why.contains("without a greeting") && why.contains("TLS"), "{why}");
    // mosquitto takes a greeting of TLS for a broken packet, and says nothing.
    let why = fails(Talker::mqtt(broker.plain), folder.settings("tls"));
    assert!(why.contains("closed the connection without a greeting"), "{why}");
    let unset = Settings { plain: false, ..Settings::plain(Session::new("unset")) };
    let why = fails(Talker::to(Transport::Https, "127.0.0.1", free_port()), unset);
    assert!(why.contains("over TLS, which is not set up"), "{why}");
}
