//! `components.json`: which file is which image.

use super::{IMAGES, KINDS, LIST, Malformed};
use crate::Version;
use crate::json::{Object, Text, Value};

/// What the list says of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed<'l> {
    pub name: Text<'l>,
    pub size: u32,
}

/// The list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List<'l> {
    pub version: Version,
    /// By the image's number.
    pub images: [Option<Listed<'l>>; IMAGES],
}

fn text<'l>(object: Object<'l>, key: &'static str) -> Result<Text<'l>, Malformed> {
    let value = object.member(key).ok().flatten().and_then(Value::text);
    value.ok_or(Malformed::List(key))
}

/// Numbers are written as texts, and read as either.
fn number(object: Object<'_>, key: &'static str) -> Result<u32, Malformed> {
    let value = object.member(key).ok().flatten();
    let number = value.and_then(|value| value.number().or_else(|| value.text()?.number()));
    number.ok_or(Malformed::List(key))
}

impl<'l> List<'l> {
    pub fn parse(bytes: &'l [u8]) -> Result<Self, Malformed> {
        const FILES: Malformed = Malformed::List("files");
        const NAME: Malformed = Malformed::List("fileName");
        const KIND: Malformed = Malformed::List("fileType");
        let all = Value::parse(bytes).ok().and_then(Value::object).ok_or(Malformed::List(LIST))?;
        let version = text(all, "version")?.plain().and_then(Version::parse);
        let files = all.member("files").ok().flatten().and_then(Value::array).ok_or(FILES)?;
        let (mut images, mut count, mut itself) = ([None; IMAGES], 0u32, false);
        for file in files.values() {
            count = count.saturating_add(1);
            let file = file.object().ok_or(FILES)?;
            let (name, kind) = (text(file, "fileName")?, text(file, "fileType")?);
            if kind.is("component_list") {
                if core::mem::replace(&mut itself, true) || !name.is(LIST) {
                    return Err(NAME);
                }
                continue;
            }
            let image = KINDS.iter().position(|known| kind.is(known)).ok_or(KIND)?;
            let size = number(file, "fileSize")?;
            if size == 0 {
                return Err(Malformed::List("fileSize"));
            }
            let others = images.iter().flatten();
            let same = |other: &Listed<'_>| other.name.chars().eq(name.chars());
            if name.is_empty() || name.is(LIST) || others.copied().any(|other| same(&other)) {
                return Err(NAME);
            }
            let room = images.get_mut(image).ok_or(KIND)?;
            if room.replace(Listed { name, size }).is_some() {
                return Err(KIND);
            }
        }
        if images.first().is_none_or(Option::is_none) {
            return Err(FILES);
        }
        if number(all, "numberOfComponents")? != count || !itself {
            return Err(Malformed::List("numberOfComponents"));
        }
        Ok(Self { version: version.ok_or(Malformed::List("version"))?, images })
    }
}
