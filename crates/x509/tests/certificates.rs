//! Certificates of a lab, of OpenSSL's, and ones that somebody has tampered with.

use std::process::{Command, Stdio};

use updraft_certs::{Authority, HostName, Issued, Lifetime, Subject};
use updraft_x509::{Certificate, Malformed, Moment, Revoked, Unfit, serials};

fn der(pem: &str) -> Vec<u8> {
    pem_rfc7468::decode_vec(pem.as_bytes()).unwrap().1
}

fn authority(name: &str) -> (Authority, Vec<u8>) {
    let authority = Authority::new(name, Lifetime::AUTHORITY).unwrap();
    let certificate = der(&authority.to_pem().unwrap().certificate);
    (authority, certificate)
}

fn server(authority: &Authority, hosts: &[&str]) -> Vec<u8> {
    let hosts = hosts.iter().map(|host| host.parse::<HostName>().unwrap()).collect();
    let subject = Subject::Server { name: hosts_name(), hosts };
    let Issued { certificate, .. } = authority.issue(&subject, Lifetime::SERVER).unwrap();
    der(&certificate)
}

fn hosts_name() -> String {
    "server".to_owned()
}

#[test]
fn a_server_is_believed_by_its_names_and_addresses() {
    let (lab, top) = authority("lab");
    let server = server(&lab, &["192.168.7.20", "broker.lan", "*.fleet.example"]);
    let (top, server) = (Certificate::parse(&top).unwrap(), Certificate::parse(&server).unwrap());
    for name in ["192.168.7.20", "broker.lan", "BROKER.LAN", "eu.fleet.example"] {
        assert_eq!(server.fits(&top, name), Ok(()), "{name}");
    }
    for name in [
        "192.168.7.21",
        "broker",
        "broker.lan.",
        "a.broker.lan",
        "fleet.example",
        ".fleet.example",
        "a.b.fleet.example",
        "",
        // Its subject, which is no name.
        "server",
    ] {
        assert_eq!(server.fits(&top, name), Err(Unfit::Name), "{name}");
    }
    assert_eq!((top.key().len(), server.key().len()), (65, 65));
}

#[test]
fn only_the_authority_itself_issues_certificates_for_servers() {
    let ((lab, top), (_, other)) = (authority("lab"), authority("another lab"));
    let one = server(&lab, &["broker.lan"]);
    let subject = Subject::Device { name: "kit-0001".to_owned() };
    let device = der(&lab.issue(&subject, Lifetime::DEVICE).unwrap().certificate);
    let [top, other, one, device] =
        [&top, &other, &one, &device].map(|it| Certificate::parse(it).unwrap());
    assert_eq!(one.fits(&other, "broker.lan"), Err(Unfit::Issuer));
    assert_eq!(one.fits(&device, "broker.lan"), Err(Unfit::Issuer));
    assert_eq!(top.fits(&top, "lab"), Err(Unfit::Name));
    assert_eq!(device.fits(&top, "kit-0001"), Err(Unfit::Name));
}

/// What OpenSSL makes of these options, self-signed; `None`: this run does without foreign tools.
fn openssl(options: &[&str]) -> Option<Vec<u8>> {
    if std::env::var_os("UPDRAFT_CORE").is_some() {
        println!("left out: UPDRAFT_CORE is set, and this needs openssl");
        return None;
    }
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-nodes", "-keyout", "/dev/null", "-outform", "DER"]);
    command.args(["-subj", "/CN=lab"]).args(options).stderr(Stdio::null());
    let output = command.output().expect("openssl: `cargo xtask setup` installs it");
    assert!(output.status.success());
    Some(output.stdout)
}

const EC: [&str; 4] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];

#[test]
fn what_a_certificate_is_for_counts() {
    let called = "subjectAltName=DNS:mosquitto_server,DNS:IP:127.0.0.1";
    for (purpose, fits) in [
        ("extendedKeyUsage=serverAuth", Ok(())),
        ("extendedKeyUsage=clientAuth,serverAuth", Ok(())),
        ("extendedKeyUsage=clientAuth", Err(Unfit::Purpose)),
        ("keyUsage=critical,digitalSignature,keyCertSign", Ok(())),
        ("keyUsage=critical,digitalSignature", Err(Unfit::Authority)),
        ("keyUsage=critical,keyCertSign", Err(Unfit::Purpose)),
    ] {
        let options = [&EC[..], &["-addext", called, "-addext", purpose]].concat();
        let Some(der) = openssl(&options) else { return };
        let own = Certificate::parse(&der).unwrap();
        assert_eq!(own.fits(&own, "mosquitto_server"), fits, "{purpose}");
    }
    let no_authority = ["-addext", called, "-addext", "basicConstraints=critical,CA:FALSE"];
    let Some(der) = openssl(&[&EC[..], &no_authority].concat()) else { return };
    let own = Certificate::parse(&der).unwrap();
    assert_eq!(own.fits(&own, "mosquitto_server"), Err(Unfit::Authority));
}

/// The numbers of a list as devices carry them.
fn packed(list: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut packed = Vec::new();
    for serial in serials(list)? {
        let serial = serial?;
        packed.push(serial.len() as u8);
        packed.extend(serial);
    }
    Ok(packed)
}

#[test]
fn a_certificate_on_its_authoritys_list_does_not_stand() {
    let (lab, _) = authority("lab");
    let subject = Subject::Server { name: hosts_name(), hosts: vec!["a.lan".parse().unwrap()] };
    let issued: Vec<String> =
        (0..3).map(|_| lab.issue(&subject, Lifetime::SERVER).unwrap().certificate).collect();
    let list = |revoked: &[&str]| der(&lab.revoke(None, revoked, Lifetime::SERVER).unwrap().list);
    let standing = |list: &[u8], number: usize| {
        let certificate = der(&issued[number]);
        let certificate = Certificate::parse(&certificate).unwrap();
        certificate.stands(Revoked(list), Moment::default())
    };
    let nobody = packed(&list(&[])).unwrap();
    let two = packed(&list(&[&issued[0], &issued[2]])).unwrap();
    for number in 0..3 {
        assert_eq!(standing(&nobody, number), Ok(()));
        let fits = if number == 1 { Ok(()) } else { Err(Unfit::Revoked) };
        assert_eq!(standing(&two, number), fits, "{number}");
    }
    // Zeros in front say no more than that a number is not negative.
    let zeros = [&[two[0] + 1, 0], &two[1..]].concat();
    assert_eq!(standing(&zeros, 0), Err(Unfit::Revoked));
    // A list that has lost its end may have lost anybody.
    assert_eq!(standing(&two[..two.len() - 1], 1), Err(Unfit::List));
    let whole = list(&[&issued[0], &issued[2]]);
    assert!(packed(&der(&issued[0])).is_err());
    for len in 0..whole.len() {
        assert_eq!(packed(&whole[..len]), Err(Malformed), "{len}");
    }
}

#[test]
fn a_certificate_that_ended_before_a_known_moment_does_not_stand() {
    let (lab, _) = authority("lab");
    let now = server(&lab, &["broker.lan"]);
    let device = Certificate::parse(&now).unwrap().starts();
    // Moments of two digits' years: when it begins, and when it ends.
    let ends = now.windows(2).rposition(|bytes| bytes == [0x17, 13]).unwrap() + 2;
    let with = |year: &[u8; 2]| {
        let mut other = now.clone();
        other[ends..ends + 2].copy_from_slice(year);
        other
    };
    for (year, fits) in [
        (b"49", Ok(())),
        (b"99", Err(Unfit::Expired)),
        (b"50", Err(Unfit::Expired)),
        (b"12", Err(Unfit::Expired)),
    ] {
        let other = with(year);
        let other = Certificate::parse(&other).unwrap();
        assert_eq!(other.stands(Revoked(&[]), device), fits, "{year:?}");
        // Without a moment that is known to have passed, nothing is.
        assert_eq!(other.stands(Revoked(&[]), Moment::default()), Ok(()));
        assert_eq!(other.stands(Revoked(&[]), other.starts()), fits, "{year:?}");
    }
    for no_year in [b"2x", b"+1"] {
        assert_eq!(Certificate::parse(&with(no_year)).map(|_| ()), Err(Malformed));
    }
    // Years of four digits, as certificates without an end have them.
    let Some(long) = openssl(&[&EC[..], &["-days", "40000"]].concat()) else { return };
    let long = Certificate::parse(&long).unwrap();
    assert_eq!(long.stands(Revoked(&[]), device), Ok(()));
}

#[test]
fn keys_and_extensions_that_are_not_understood_are_refused() {
    let unknown = ["-addext", "1.2.3.4=critical,ASN1:NULL"];
    for options in [
        &["-newkey", "rsa:2048"][..],
        &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
        &["-newkey", "ed25519"],
        &[&EC[..], &unknown].concat(),
    ] {
        let Some(der) = openssl(options) else { return };
        assert_eq!(Certificate::parse(&der).map(|_| ()), Err(Malformed), "{options:?}");
    }
    let known = ["-addext", "1.2.3.4=ASN1:NULL"];
    assert!(Certificate::parse(&openssl(&[&EC[..], &known].concat()).unwrap()).is_ok());
}

#[test]
fn damage_is_refused_or_harmless() {
    let (lab, top) = authority("lab");
    let whole = server(&lab, &["broker.lan"]);
    let top = Certificate::parse(&top).unwrap();
    for len in 0..whole.len() {
        assert_eq!(Certificate::parse(&whole[..len]).map(|_| ()), Err(Malformed), "{len}");
    }
    let mut read = 0;
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << bit;
            if let Ok(certificate) = Certificate::parse(&damaged) {
                // Whatever was changed is under the signature, or is the signature.
                assert!(
                    certificate.signed() != Certificate::parse(&whole).unwrap().signed()
                        || certificate.signature()
                            != Certificate::parse(&whole).unwrap().signature(),
                    "byte {at}"
                );
                let _ = certificate.fits(&top, "broker.lan");
                read += 1;
            }
        }
    }
    println!("{read} / {} altered certificates can be read", whole.len() * 8);
    let mut longer = whole;
    longer.push(0);
    assert_eq!(Certificate::parse(&longer).map(|_| ()), Err(Malformed));
}
