//! What is issued says what it should, and what is wrong with others is told.

use std::time::{Duration, SystemTime};

use updraft_certs::{
    Authority, CertsError, Concern, HostName, LabFile, Lifetime, Subject, Use, certificates, lab,
};

fn inspected(text: &str) -> updraft_certs::Inspected {
    let mut found = certificates(text, SystemTime::now()).unwrap();
    assert_eq!(found.len(), 1);
    found.remove(0)
}

fn hosts(names: &[&str]) -> Vec<HostName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

#[test]
fn a_lab_has_six_files_under_the_names_that_kits_know() {
    let files = lab(&hosts(&["192.168.1.10"]), None).unwrap();
    let names: Vec<_> = files.iter().map(|LabFile { name, .. }| name.as_str()).collect();
    let expected = ["mosquitto_ca", "mosquitto_server", "mosquitto_client"];
    let expected: Vec<_> =
        expected.iter().flat_map(|stem| [format!("{stem}.crt"), format!("{stem}.key")]).collect();
    assert_eq!(names, expected);
    for LabFile { name, content, is_secret } in &files {
        assert_eq!(*is_secret, name.ends_with(".key"));
        let label = if *is_secret { "PRIVATE KEY" } else { "CERTIFICATE" };
        assert!(content.starts_with(&format!("-----BEGIN {label}-----\n")), "{name}");
    }
}

#[test]
fn the_server_is_found_by_its_address_and_by_the_name_that_kits_ask_for() {
    let files = lab(&hosts(&["192.168.1.10", "broker.lan", "::1"]), None).unwrap();
    let server = inspected(&files[2].content);
    assert_eq!(server.hosts, ["192.168.1.10", "broker.lan", "::1", "mosquitto_server"]);
    assert_eq!((server.version, server.key.as_str()), (3, "P-256"));
    assert_eq!(server.uses, [Use::Server]);
    assert_eq!(server.concerns, []);
}

#[test]
fn a_device_has_its_identity_in_the_common_name_and_is_a_client() {
    let authority = Authority::new("Factory 7", Lifetime::AUTHORITY).unwrap();
    let subject = Subject::Device { name: "kit-0042".to_owned() };
    let device = inspected(&authority.issue(&subject, Lifetime::DEVICE).unwrap().certificate);
    assert_eq!(device.name.as_deref(), Some("kit-0042"));
    assert_eq!((device.uses.as_slice(), device.version), (&[Use::Client][..], 3));
    assert_eq!(device.issuer, "CN=Factory 7");
    assert_eq!(device.concerns, []);
}

#[test]
fn an_authority_goes_on_issuing_from_its_files() {
    let authority = Authority::new("Lab", Lifetime::AUTHORITY).unwrap();
    let kept = authority.to_pem().unwrap();
    let again = Authority::from_pem(&kept.certificate, &kept.key).unwrap();
    let subject = Subject::Device { name: "later".to_owned() };
    let issued = again.issue(&subject, Lifetime::DEVICE).unwrap();
    assert!(matches!(
        Authority::from_pem(&issued.certificate, &issued.key),
        Err(CertsError::NoAuthority { .. })
    ));
    let other = Authority::new("Lab", Lifetime::AUTHORITY).unwrap().to_pem().unwrap();
    assert!(matches!(
        Authority::from_pem(&kept.certificate, &other.key),
        Err(CertsError::OtherKey)
    ));
    assert!(matches!(Authority::from_pem("", &kept.key), Err(CertsError::NoCertificate)));
    assert!(matches!(Authority::from_pem(&kept.certificate, ""), Err(CertsError::Key(_))));
}

#[test]
fn no_certificate_outlives_its_authority() {
    let authority = Authority::new("Lab", Lifetime::days(10).unwrap()).unwrap();
    let subject = Subject::Device { name: "kit".to_owned() };
    assert!(matches!(
        authority.issue(&subject, Lifetime::days(11).unwrap()),
        Err(CertsError::AuthorityExpires { .. })
    ));
    let issued = authority.issue(&subject, Lifetime::days(9).unwrap()).unwrap();
    let found = inspected(&issued.certificate);
    assert_eq!(found.concerns, [Concern::ExpiresSoon]);
    assert!(Lifetime::days(0).is_err());
    assert!(Lifetime::days(Lifetime::MOST_DAYS + 1).is_err());
}

#[test]
fn names_that_would_not_be_understood_are_refused() {
    for name in ["", "a..b", "192.168.1", "256.1.1.1", "host name", "*", "x/y", "ä"] {
        assert!(name.parse::<HostName>().is_err(), "{name}");
    }
    for name in ["localhost", "broker.example.com", "*.example.com", "10.0.0.1", "[fe80::1]"] {
        assert!(name.parse::<HostName>().is_ok(), "{name}");
    }
    let authority = Authority::new("Lab", Lifetime::AUTHORITY).unwrap();
    for name in ["", "a,O=b", "a+b", "../a", "a/b", "a\nb", " a"] {
        let subject = Subject::Device { name: name.to_owned() };
        let refused = authority.issue(&subject, Lifetime::DEVICE);
        assert!(matches!(refused, Err(CertsError::Name { .. })), "{name}");
    }
}

#[test]
fn a_certificate_that_has_expired_or_not_begun_is_told() {
    let files = lab(&hosts(&["10.0.0.1"]), None).unwrap();
    let server = &files[2].content;
    let concerns = |at| certificates(server, at).unwrap()[0].concerns.clone();
    let year = Duration::from_secs(365 * 86_400);
    assert_eq!(concerns(SystemTime::now() + 3 * year), [Concern::Expired]);
    assert_eq!(concerns(SystemTime::now() - year), [Concern::NotYetValid]);
}

#[test]
fn damaged_files_are_told_with_the_number_of_the_certificate() {
    let files = lab(&hosts(&["10.0.0.1"]), None).unwrap();
    let good = files[0].content.as_str();
    let now = SystemTime::now();
    assert!(matches!(certificates("", now), Err(CertsError::NoCertificate)));
    assert!(matches!(certificates(&files[1].content, now), Err(CertsError::NoCertificate)));
    let half = good.get(..good.len() / 2).unwrap();
    for bad in [half.to_owned(), good.replacen("MII", "?II", 1), good.replacen("MII", "AAA", 1)] {
        let refused = certificates(&format!("{good}{bad}"), now);
        assert!(matches!(refused, Err(CertsError::Damaged { number: 2, .. })), "{refused:?}");
    }
    assert_eq!(certificates(&format!("{good}{good}"), now).unwrap().len(), 2);
}

/// Made by OpenSSL 3: `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256`.
const GOOD: &str = include_str!("openssl-p256.crt");

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,400}", at in 0usize..600, byte: u8) {
        let now = SystemTime::now();
        let _ = certificates(&text, now);
        let _ = text.parse::<HostName>();
        let framed = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----");
        let _ = certificates(&framed, now);
        let mut good = GOOD.as_bytes().to_vec();
        if let Some(there) = good.get_mut(at) {
            *there = byte;
        }
        let _ = certificates(&String::from_utf8_lossy(&good), now);
    }
}
