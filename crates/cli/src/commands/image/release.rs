//! From a build to a release: its version, its name, what it follows, and what is said of it.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use updraft_image::{Header, TlvArea, TlvType, UpgradeMode, Version};
use updraft_sign::manifest::{Manifest, Resource, SBOM, sbom_hash};
use updraft_sign::{PublicKey, inspect};

use crate::input::read;
use crate::output::{Output, WARN, styled};
use crate::report::Hint;

/// The version: as told, or of the file VERSION, or 0.0.0.
pub fn version(given: Option<Version>, build: &Path, out: &Output) -> anyhow::Result<Version> {
    if let Some(version) = given {
        return Ok(version);
    }
    let beside = build.with_file_name("VERSION");
    let file = [beside, PathBuf::from("VERSION")].into_iter().find(|path| path.is_file());
    let Some(file) = file else {
        let version = Version::default();
        out.note(format_args!(
            "{} no -v VERSION and no file VERSION: this is {version}",
            styled(WARN, "note:")
        ));
        return Ok(version);
    };
    let text = std::fs::read_to_string(&file);
    let text = text.with_context(|| format!("{} cannot be read", file.display()))?;
    parse(&text)
        .with_context(|| format!("{} cannot be used", file.display()))
        .usage("a line such as 1.2.3+4, or VERSION_MAJOR = 1 and so on; or give -v VERSION")
}

/// A version in one line, or in Zephyr's lines `VERSION_MAJOR = 1`, `VERSION_MINOR`, `PATCHLEVEL`
/// and `VERSION_TWEAK`.
fn parse(text: &str) -> anyhow::Result<Version> {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let field = |name: &str| {
        let value = lines().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            (key.trim() == name).then(|| value.trim().to_owned())
        });
        match value.as_deref() {
            None | Some("") => Ok(0u32),
            Some(value) => value.parse().with_context(|| format!("{name} is {value}")),
        }
    };
    const FIELDS: [&str; 4] = ["VERSION_MAJOR", "VERSION_MINOR", "PATCHLEVEL", "VERSION_TWEAK"];
    if lines().any(|line| line.contains('=')) {
        let key = |line: &str| line.split_once('=').map(|(key, _)| key.trim().to_owned());
        if !lines().filter_map(key).any(|key| FIELDS.contains(&key.as_str())) {
            return Err(anyhow!("it has none of {}", FIELDS.join(", ")));
        }
        let (major, minor) = (field("VERSION_MAJOR")?, field("VERSION_MINOR")?);
        let (patch, tweak) = (field("PATCHLEVEL")?, field("VERSION_TWEAK")?);
        let text = format!("{major}.{minor}.{patch}+{tweak}");
        return text.parse().with_context(|| text.clone());
    }
    let line = lines().next().ok_or_else(|| anyhow!("it is empty"))?;
    line.parse().with_context(|| line.to_owned())
}

/// Where the image goes if nobody says: `app.signed.bin` for `app.bin`.
pub fn output(build: &Path) -> PathBuf {
    match build.extension().and_then(|extension| extension.to_str()) {
        Some(extension) => build.with_extension(format!("signed.{extension}")),
        None => build.with_extension("signed.bin"),
    }
}

/// Where a manifest goes if nobody says.
pub fn manifest_of(image: &Path) -> PathBuf {
    let mut name = image.as_os_str().to_owned();
    name.push(".manifest.json");
    name.into()
}

/// The manifest of the file `output`, which will hold `bytes`: the image `image` for `board`.
pub fn manifest(
    output: &Path,
    bytes: &[u8],
    image: &[u8],
    board: Option<&str>,
) -> anyhow::Result<Manifest> {
    let name = output.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(Manifest::new(&name.unwrap_or_default(), bytes, &inspect(image, &[])?, board))
}

/// The bill of materials in `path`: what a manifest says of it, and the TLV with its hash.
pub fn sbom(path: &Path) -> anyhow::Result<(Resource, (TlvType, Vec<u8>))> {
    let bytes = std::fs::read(path);
    let bytes = bytes.with_context(|| format!("{} cannot be read", path.display()))?;
    let hash = sbom_hash(&bytes)
        .with_context(|| format!("{} cannot be used", path.display()))
        .hint("tools such as cargo-cyclonedx or west spdx with a converter write one")?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let resource = Resource::of(name.unwrap_or_default(), &bytes);
    Ok((resource, (SBOM, hash.as_bytes().to_vec())))
}

/// Reads the manifest in `path`, which one of `keys` has to have signed, and `file` has to be the
/// file that it is about.
pub fn open_manifest(path: &Path, keys: &[PublicKey], file: &[u8]) -> anyhow::Result<Manifest> {
    let text = std::fs::read_to_string(path);
    let text = text.with_context(|| format!("{} cannot be read", path.display()))?;
    let manifest = Manifest::open(&text, keys).and_then(|manifest| {
        manifest.check(file)?;
        Ok(manifest)
    });
    manifest.with_context(|| format!("{} does not vouch for the file", path.display()))
}

/// Checks what a manifest says of its image: the version of `header`, the board and the bill of
/// materials, as far as they are given.
pub fn agrees(
    manifest: &Manifest,
    header: &Header,
    board: Option<&str>,
    bill: Option<&Path>,
) -> anyhow::Result<()> {
    let said = &manifest.predicate;
    let version = header.version.to_string();
    if said.version != version {
        return Err(anyhow!("it is about version {}, the image is {version}", said.version));
    }
    if let (Some(said), Some(board)) = (&said.board, board)
        && said != board
    {
        return Err(anyhow!("it is about an image for {said}, not for {board}"));
    }
    let Some(path) = bill else { return Ok(()) };
    let (bill, _) = sbom(path)?;
    match &said.sbom {
        Some(said) if said.sha256 == bill.sha256 => Ok(()),
        Some(said) => Err(anyhow!("its bill of materials is {}, with another content", said.name)),
        None => Err(anyhow!("it names no bill of materials")),
    }
}

/// Checks that `image` was made with the bill of materials in `path`.
pub fn check_sbom(path: &Path, image: &[u8], header: &Header) -> anyhow::Result<()> {
    let (_, (kind, hash)) = sbom(path)?;
    let mut source = image;
    let stored = TlvArea::open(&mut source, header).ok().and_then(|area| {
        let entry = area.iter_bounded().find(&mut source, kind).ok()??;
        let start = entry.offset as usize;
        image.get(start..start.checked_add(entry.len.into())?)
    });
    match stored {
        Some(stored) if stored == hash => Ok(()),
        Some(_) => Err(anyhow!("the image was made with another bill of materials")),
        None => Err(anyhow!("the image names no bill of materials")),
    }
    .with_context(|| format!("{} is not this image's", path.display()))
}

/// Checks that devices which run `previous` take `image` for an upgrade. A bootloader that chooses
/// among slots of equal rank, as one of `mode` may, looks at no build number.
pub fn follows(image: &[u8], previous: &Path, mode: Option<UpgradeMode>) -> anyhow::Result<()> {
    let (before, _) = read(previous)?;
    let old = Header::parse(&before)
        .with_context(|| format!("{} is no image", previous.display()))
        .usage("--previous IMAGE is the signed image that is out in the field")?;
    let new = Header::parse(image)?;
    if let Some(mode) = mode.filter(|mode| chooses_by_version(*mode))
        && new.version > old.version
        && new.version.cmp_ignoring_build(&old.version).is_eq()
    {
        return Err(anyhow!(
            "version {} differs from {} of {} in its build number alone, which {mode} does not \
             look at",
            new.version,
            old.version,
            previous.display()
        ))
        .usage("give a higher one, -v VERSION");
    }
    if new.version <= old.version {
        let order = if new.version == old.version { "the same as" } else { "below" };
        return Err(anyhow!(
            "version {} is {order} {} of {}",
            new.version,
            old.version,
            previous.display()
        ))
        .usage("give a higher one, -v VERSION");
    }
    match (counter(&before, &old), counter(image, &new)) {
        (Some(old), new) if new.is_none_or(|new| new < old) => {
            let new = new.map_or("none".into(), |new| new.to_string());
            Err(anyhow!("the security counter is {new}, and {old} in {}", previous.display()))
                .usage("devices that have stored it refuse less: give -s COUNTER")
        }
        _ => Ok(()),
    }
}

/// Whether the bootloader starts the slot with the highest version.
fn chooses_by_version(mode: UpgradeMode) -> bool {
    use UpgradeMode::{DirectXip, DirectXipRevert, RamLoad};
    matches!(mode, DirectXip | DirectXipRevert | RamLoad)
}

fn counter(image: &[u8], header: &Header) -> Option<u32> {
    let mut source = image;
    let area = TlvArea::open(&mut source, header).ok()?;
    let entry = area.iter_bounded().find(&mut source, TlvType::SEC_CNT).ok()??;
    let at = entry.offset as usize;
    image.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{output, parse};

    #[test]
    fn versions_are_read_from_one_line_or_zephyrs_fields() {
        let read = |text: &str| parse(text).map(|version| version.to_string()).ok();
        assert_eq!(read("1.2.3+4\n").as_deref(), Some("1.2.3+4"));
        assert_eq!(read("\n 2.0\n").as_deref(), Some("2.0.0+0"));
        let zephyr = "VERSION_MAJOR = 1\nVERSION_MINOR = 20\nPATCHLEVEL = 3\nVERSION_TWEAK = 7\n\
                      EXTRAVERSION = rc1\n";
        assert_eq!(read(zephyr).as_deref(), Some("1.20.3+7"));
        assert_eq!(read("VERSION_MAJOR = 1\nVERSION_MINOR =\n").as_deref(), Some("1.0.0+0"));
        for text in ["", "one", "VERSION_MAJOR = x", "VERSION_MAJOR = 256", "1.2.3-rc1", "FOO=1"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn images_are_called_after_their_build() {
        assert_eq!(output(Path::new("out/app.bin")), Path::new("out/app.signed.bin"));
        assert_eq!(output(Path::new("app.HEX")), Path::new("app.signed.HEX"));
        assert_eq!(output(Path::new("app")), Path::new("app.signed.bin"));
    }
}
