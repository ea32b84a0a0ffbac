//! Strings for C sources, as Infineon's `format_cert_key.py` prints them.

use updraft_certs::{is_listed, listing};

#[test]
fn each_line_is_a_string_and_all_but_the_last_go_on() {
    let text = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    assert_eq!(
        listing("ca.crt", text),
        "String format of ca.crt file:\n\
         \"-----BEGIN CERTIFICATE-----\\n\"\\\n\
         \"MIIB\\n\"\\\n\
         \"-----END CERTIFICATE-----\\n\"\n\
         \n"
    );
}

#[test]
fn an_empty_file_is_a_heading_alone() {
    assert_eq!(listing("a.key", ""), "String format of a.key file:\n\n");
}

#[test]
fn lines_end_wherever_python_ends_them() {
    let body = |text| {
        let listed = listing("a", text);
        listed.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(body("a\r\nb\rc"), [r#""a\n"\"#, r#""b\n"\"#, r#""c\n""#, ""]);
    assert_eq!(body("a\n\nb"), [r#""a\n"\"#, r#""\n"\"#, r#""b\n""#, ""]);
    assert_eq!(body("a\u{2028}b\u{b}"), [r#""a\n"\"#, r#""b\n""#, ""]);
}

#[test]
fn only_three_endings_are_taken() {
    assert!(["a.crt", "a.pem", "dir/a.key"].iter().all(|name| is_listed(name)));
    assert!(!["a.der", "a.crt.bak", "crt", "a.CRT"].iter().any(|name| is_listed(name)));
}
