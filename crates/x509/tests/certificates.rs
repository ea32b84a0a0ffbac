//! Certificates of a lab, of OpenSSL's, and ones that somebody has tampered with.

use std::process::{Command, Stdio};

use updraft_certs::{Authority, HostName, Issued, Lifetime, Subject};
use updraft_x509::{Certificate, Malformed, Unfit};

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
