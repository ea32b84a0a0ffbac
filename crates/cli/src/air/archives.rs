//! Archives of several images: built of files, and looked at before they are sent.

use std::path::{Path, PathBuf};

use updraft_image::Header;
use updraft_ota::Version;
use updraft_ota::archive::{self, IMAGES, KINDS, Malformed, Member, Piece, Reader, WriteError};

use super::target::header_of;

/// A file that becomes a part of an archive: `NSPE=app.bin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The image's number: 0, the application, or 1, the secure part.
    pub image: u8,
    /// Where it lies.
    pub path: PathBuf,
}

impl std::str::FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, path) = text.split_once('=').ok_or("KIND=FILE, as in NSPE=app.bin")?;
        let image = KINDS.iter().position(|known| kind.eq_ignore_ascii_case(known));
        let image = image.ok_or("the kinds are NSPE, the application, and SPE, the secure part")?;
        if path.is_empty() {
            return Err("it names no file".into());
        }
        Ok(Self { image: image as u8, path: path.into() })
    }
}

/// Why an archive cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The application's image says no version.
    #[error(
        "{} is no MCUboot image, so that its version has to be given: --version", .0.display()
    )]
    NoVersion(PathBuf),
    /// The version that is given is none.
    #[error("`{0}` is no version, such as 1.2.3")]
    Version(String),
    /// What the format says.
    #[error("no archive can be made of these files: {0}")]
    Write(WriteError<std::convert::Infallible>),
}

/// Builds the archive of files with these bytes, the secure part first, as in the field: `version`,
/// or else that of the application.
pub fn build(
    version: Option<&str>,
    parts: &[(Part, Vec<u8>)],
) -> Result<(Version, Vec<u8>), ArchiveError> {
    let version = match version {
        Some(text) => Version::parse(text).ok_or_else(|| ArchiveError::Version(text.to_owned()))?,
        None => {
            let application = parts.iter().find(|(part, _)| part.image == 0);
            let (part, data) = application.ok_or(ArchiveError::Write(WriteError::Images))?;
            let header = header_of(data);
            header.ok_or_else(|| ArchiveError::NoVersion(part.path.clone()))?.version.into()
        }
    };
    let name = |path: &Path| path.file_name().and_then(|name| name.to_str().map(str::to_owned));
    let names: Vec<_> = parts.iter().map(|(part, _)| name(&part.path)).collect();
    let members = parts.iter().zip(&names).map(|((part, data), name)| {
        let name = name.as_deref().unwrap_or_default();
        Member { name, image: part.image, data }
    });
    let mut members: Vec<_> = members.collect();
    members.sort_by_key(|member| std::cmp::Reverse(member.image));
    let mut bytes = Vec::new();
    let written = archive::write(version, &members, |piece| {
        bytes.extend_from_slice(piece);
        Ok(())
    });
    written.map_err(ArchiveError::Write)?;
    Ok((version, bytes))
}

/// What a file that is published holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Contents {
    /// One image.
    Image(Header),
    /// Several; the headers by their numbers, of those that have one.
    Archive { version: Version, images: [Option<Option<Header>>; IMAGES] },
    /// An archive that devices would refuse.
    Spoilt(Malformed),
    /// Something else.
    Unknown,
}

impl Contents {
    /// Looks at a file.
    pub fn of(file: &[u8]) -> Self {
        match header_of(file) {
            Some(header) => Self::Image(header),
            None if archive::is_one(file) => read(file).unwrap_or_else(Self::Spoilt),
            None => Self::Unknown,
        }
    }

    /// The version that devices go by before they have fetched all of it.
    pub fn version(&self) -> Option<Version> {
        match self {
            Self::Image(header) => Some(header.version.into()),
            Self::Archive { version, .. } => Some(*version),
            Self::Spoilt(_) | Self::Unknown => None,
        }
    }
}

fn read(file: &[u8]) -> Result<Contents, Malformed> {
    let mut reader = Reader::new(u32::try_from(file.len()).map_err(|_| Malformed::Cut)?);
    let mut images = [None; IMAGES];
    let (mut at, mut rest) = (0, file);
    while !rest.is_empty() {
        let (piece, more) = reader.next(at, rest)?;
        match piece {
            Piece::Image { image, offset: 0, data } => {
                if let Some(room) = images.get_mut(usize::from(image)) {
                    *room = Some(header_of(data));
                }
            }
            Piece::Image { .. } | Piece::Frame => {}
            Piece::Ahead => return Err(Malformed::Cut),
        }
        at += (rest.len() - more.len()) as u32;
        rest = more;
    }
    if reader.needs().is_some() {
        return Err(Malformed::Cut);
    }
    let version = reader.version().ok_or(Malformed::Cut)?;
    Ok(Contents::Archive { version, images })
}

#[cfg(test)]
mod tests {
    use super::{Contents, Part, build};

    fn image(version: u8) -> Vec<u8> {
        let version = updraft_image::Version::new(version, 0, 0, 0);
        let header = updraft_image::Header { hdr_size: 32, version, ..Default::default() };
        [&header.emit()[..], &[7; 3000]].concat()
    }

    fn part(text: &str) -> Part {
        text.parse().unwrap()
    }

    #[test]
    fn parts_say_which_image_a_file_is() {
        assert_eq!((part("NSPE=a=b.bin").image, part("spe=x").image), (0, 1));
        assert_eq!(part("NSPE=a=b.bin").path.to_str(), Some("a=b.bin"));
        for wrong in ["", "a.bin", "NSPE=", "FWDB=a.bin"] {
            assert!(wrong.parse::<Part>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_archive_is_read_as_it_was_built_and_a_spoilt_one_is_found_out() {
        let parts = [(part("NSPE=/x/app.bin"), image(2)), (part("SPE=/x/cm0.bin"), image(1))];
        let (version, bytes) = build(None, &parts).unwrap();
        assert_eq!(version.to_string(), "2.0.0");
        let Contents::Archive { version: read, images } = Contents::of(&bytes) else { panic!() };
        assert_eq!(read, version);
        let versions = images.map(|image| image.flatten().unwrap().version.to_string());
        assert!(versions[0].starts_with("2.0.0") && versions[1].starts_with("1.0.0"));
        assert_eq!(build(Some("3.1.4"), &parts).unwrap().0.to_string(), "3.1.4");
        for len in [600, 2000, bytes.len() - 2048] {
            assert!(matches!(Contents::of(&bytes[..len]), Contents::Spoilt(_)), "{len}");
        }
        assert_eq!(Contents::of(b"text"), Contents::Unknown);
    }

    #[test]
    fn what_is_no_archive_for_devices_is_not_built() {
        let (app, other) = (part("NSPE=x/app.bin"), part("SPE=y/app.bin"));
        for (parts, why) in [
            (vec![(other.clone(), image(1))], "the application's image (0)"),
            (vec![(app.clone(), image(1)), (other, image(1))], "different names"),
            (vec![(app.clone(), Vec::from(*b"text"))], "--version"),
        ] {
            let said = build(None, &parts).unwrap_err().to_string();
            assert!(said.contains(why), "{said}");
        }
        assert!(build(Some("1.2"), &[(app, image(1))]).is_err());
    }
}
