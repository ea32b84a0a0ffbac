//! Writes archives: the same for the same images, byte for byte.

use core::fmt::{self, Write as _};

use super::{HEAD, IMAGES, KINDS, LIST, LONGEST_LIST, RECORD, filled, record};
use crate::Version;
use crate::json::{Text, Writer};
use crate::label::Label;

/// An image for an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'m> {
    /// What its file is called: 1 to 99 bytes of printable ASCII, no `/`.
    pub name: &'m str,
    /// Its number: 0, the application, or 1, the secure part.
    pub image: u8,
    /// It.
    pub data: &'m [u8],
}

/// Why an archive cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteError<E> {
    /// The application's image is not among them, or one is there twice, or has no such number.
    Images,
    /// A name is empty, too long, of other characters, or there twice; or the list gets too long.
    Names,
    /// An image is empty, or they are too large together.
    Size,
    /// What it is written to says so.
    Sink(E),
}

impl<E: fmt::Display> fmt::Display for WriteError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Images => write!(
                f,
                "an archive has the application's image (0), and may have the secure part's (1): \
                 each once"
            ),
            Self::Names => f.write_str(
                "files in an archive have different names of 1 to 99 printable characters, \
                 without a slash",
            ),
            Self::Size => f.write_str("images in an archive have bytes, and less than 4 GiB"),
            Self::Sink(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for WriteError<E> {}

fn list(version: Version, members: &[Member<'_>], to: &mut [u8]) -> Option<usize> {
    let mut version_text = Label::<17>::EMPTY;
    write!(version_text, "{version}").ok()?;
    let count = u32::try_from(members.len()).ok()?.checked_add(1)?;
    let mut to = Writer::new(to);
    to.begin("{").key("numberOfComponents").raw("\"").number(count).raw("\"");
    to.member("version", Some(Text::new(version_text.text())));
    to.key("files").begin("[").item().begin("{").member("fileName", Some(Text::new(LIST)));
    to.member("fileType", Some(Text::new("component_list"))).end("}");
    for Member { name, image, data } in members {
        let kind = KINDS.get(usize::from(*image))?;
        to.item().begin("{").member("fileName", Some(Text::new(name)));
        to.member("fileType", Some(Text::new(kind)));
        to.key("fileSize").raw("\"").number(u32::try_from(data.len()).ok()?).raw("\"").end("}");
    }
    to.end("]").end("}");
    to.finish().ok()
}

/// Writes an archive of `members`, in their order, to `sink`, piece by piece; returns its bytes.
///
/// # Errors
/// If no device could read it, before anything is written; or if the sink fails.
pub fn write<E>(
    version: Version,
    members: &[Member<'_>],
    mut sink: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<u32, WriteError<E>> {
    check(members)?;
    let mut text = [0; LONGEST_LIST];
    let len = list(version, members, &mut text).ok_or(WriteError::Names)?;
    let text = text.get(..len).unwrap_or_default();
    let mut put = |bytes: &[u8]| sink(bytes).map_err(WriteError::Sink);
    let mut written = 0u32;
    let files = members.iter().map(|member| (member.name, member.data));
    for (name, data) in [(LIST, text)].into_iter().chain(files) {
        let size = u32::try_from(data.len()).map_err(|_| WriteError::Size)?;
        let all = filled(size).ok_or(WriteError::Size)?;
        put(&record::write(name, size))?;
        put(data)?;
        put([0; RECORD].get(..(all - size) as usize).unwrap_or_default())?;
        written = written.saturating_add(all).saturating_add(RECORD as u32);
    }
    // Two records of zeros are the end.
    put(&[0; 2 * RECORD])?;
    Ok(written.saturating_add(2 * RECORD as u32))
}

/// Bytes of the archive that [`write()`] makes of `members`.
///
/// # Errors
/// If it cannot be written.
pub fn size(version: Version, members: &[Member<'_>]) -> Result<u32, WriteError<fmt::Error>> {
    write(version, members, |_| Ok(()))
}

fn check<E>(members: &[Member<'_>]) -> Result<(), WriteError<E>> {
    let mut seen = [false; IMAGES];
    let mut total = (HEAD + (IMAGES + 2) * RECORD) as u32;
    for (at, member) in members.iter().enumerate() {
        let room = seen.get_mut(usize::from(member.image)).ok_or(WriteError::Images)?;
        if core::mem::replace(room, true) {
            return Err(WriteError::Images);
        }
        let printable = |byte: u8| byte.is_ascii_graphic() && byte != b'/';
        let named = (1..100).contains(&member.name.len()) && member.name.bytes().all(printable);
        let before = members.get(..at).unwrap_or_default();
        let twice = before.iter().any(|other| other.name == member.name);
        if !named || twice || member.name == LIST {
            return Err(WriteError::Names);
        }
        let size = u32::try_from(member.data.len()).ok().filter(|size| *size > 0);
        total = size
            .and_then(filled)
            .and_then(|size| total.checked_add(size))
            .ok_or(WriteError::Size)?;
    }
    if seen.first() == Some(&true) { Ok(()) } else { Err(WriteError::Images) }
}
