//! What is written: all that belongs together, and never over what was read.

use crate::support::Desk;

const SIGN: &str = "image sign --board virtual-nor-4k -k key.pem -v 1.2.3";

#[test]
fn an_image_without_its_manifest_is_not_left_behind() {
    let desk = Desk::new("outputs-together");
    let (code, text) =
        desk.refused(&format!("{SIGN} app.bin out.bin --manifest=missing/out.manifest.json"));
    assert_eq!(code, Some(1));
    assert!(text.contains("missing/out.manifest.json cannot be written"), "{text}");
    assert!(!desk.path("out.bin").exists());
    let (code, text) = desk.refused(&format!("{SIGN} app.bin out.bin --manifest=./out.bin"));
    assert_eq!(code, Some(2));
    assert!(text.contains("two outputs would be ./out.bin"), "{text}");
    assert!(!desk.path("out.bin").exists());
}

#[test]
fn what_is_read_is_not_replaced() {
    let desk = Desk::new("outputs-inputs");
    desk.stdout(&format!("{SIGN} app.bin old.bin"));
    std::fs::write(desk.path("bom.json"), r#"{"bomFormat":"CycloneDX"}"#).unwrap();
    for (line, kept) in [
        (format!("{SIGN} app.bin app.bin"), "app.bin"),
        (format!("{SIGN} app.bin out.bin --manifest=app.bin"), "app.bin"),
        (
            format!("{SIGN} -v 2 --previous old.bin app.bin old.bin").replace("-v 1.2.3 ", ""),
            "old.bin",
        ),
        (format!("{SIGN} --sbom bom.json app.bin bom.json"), "bom.json"),
        ("image inspect --svg old.bin old.bin".to_owned(), "old.bin"),
    ] {
        let before = std::fs::read(desk.path(kept)).unwrap();
        let (code, text) = desk.refused(&line);
        assert_eq!(code, Some(2), "{line}: {text}");
        assert!(text.contains(&format!("{kept} is read, and would be replaced")), "{text}");
        assert_eq!(std::fs::read(desk.path(kept)).unwrap(), before, "{line}");
        assert!(!desk.path("out.bin").exists(), "{line}");
    }
}
