//! What an update changes: two images side by side.

use std::fmt;

use serde::Serialize;

use crate::Inspection;
use crate::inspect::TlvInfo;

/// How two images differ.
#[derive(Clone, Debug, Serialize)]
pub struct Diff {
    /// The header's fields that differ, in their order.
    pub fields: Vec<Change>,
    /// The TLVs that differ: changed, removed, added.
    pub tlvs: Vec<Change>,
    /// Bytes of the body that are the same at the same offset.
    pub same_body: usize,
    /// Bytes of the old and the new body.
    pub bodies: [usize; 2],
    /// What becomes of each sector that either image lies in.
    pub sectors: Vec<Sector>,
}

/// Something that one image has and the other has not, or has otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// What it was; `None` if it is new.
    pub old: Option<String>,
    /// What it is; `None` if it is gone.
    pub new: Option<String>,
}

/// What becomes of a sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sector {
    /// Both images have the same bytes in it.
    Same,
    /// The images have other bytes in it.
    Changed,
    /// Only the new image reaches it.
    Added,
    /// Only the old image reaches it.
    Removed,
}

impl fmt::Display for Sector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Same => "same",
            Self::Changed => "changed",
            Self::Added => "added",
            Self::Removed => "removed",
        })
    }
}

/// An image and what there is to know of it.
#[derive(Clone, Copy, Debug)]
pub struct Side<'i> {
    /// The file.
    pub file: &'i [u8],
    /// Its explanation.
    pub inspection: &'i Inspection,
}

impl<'i> Side<'i> {
    /// The image without padding and trailer, as far as it can be told.
    fn image(&self) -> &'i [u8] {
        let len = self.inspection.image_size.and_then(|size| usize::try_from(size).ok());
        self.file.get(..len.unwrap_or(self.file.len())).unwrap_or(self.file)
    }

    fn body(&self) -> &'i [u8] {
        let header = &self.inspection.header;
        let body = self.file.get(header.header_size.into()..).unwrap_or_default();
        &body[..body.len().min(header.body_size as usize)]
    }
}

impl Diff {
    /// Compares `old` with `new`; `sectors` are the sizes in bytes of those that they lie in, from
    /// the beginning of the slot on.
    pub fn new(old: Side<'_>, new: Side<'_>, sectors: impl IntoIterator<Item = u32>) -> Self {
        let bodies = [old.body(), new.body()];
        let same = bodies[0].iter().zip(bodies[1]).filter(|(old, new)| old == new).count();
        Self {
            fields: fields(old.inspection, new.inspection),
            tlvs: tlvs(&old.inspection.tlvs, &new.inspection.tlvs),
            same_body: same,
            bodies: bodies.map(<[u8]>::len),
            sectors: compare(old.image(), new.image(), sectors),
        }
    }

    /// How many sectors are in `state`.
    pub fn count(&self, state: Sector) -> usize {
        self.sectors.iter().filter(|sector| **sector == state).count()
    }
}

fn fields(old: &Inspection, new: &Inspection) -> Vec<Change> {
    let values = |inspection: &Inspection| {
        let header = &inspection.header;
        [
            ("version", header.version.clone()),
            ("header size", format!("{:#x}", header.header_size)),
            ("body", format!("{} bytes", header.body_size)),
            ("protected TLVs", format!("{} bytes", header.protected_tlv_size)),
            ("load address", format!("{:#x}", header.load_addr)),
            ("flags", header.flag_names.clone()),
        ]
    };
    let pairs = values(old).into_iter().zip(values(new));
    let differing = pairs.filter(|(old, new)| old.1 != new.1);
    differing.map(|((name, old), (_, new))| change(name, Some(old), Some(new))).collect()
}

fn change(name: impl Into<String>, old: Option<String>, new: Option<String>) -> Change {
    Change { name: name.into(), old, new }
}

/// TLVs of one type are compared in their order.
fn tlvs(old: &[TlvInfo], new: &[TlvInfo]) -> Vec<Change> {
    let mut kinds = Vec::new();
    for tlv in old.iter().chain(new) {
        let kind = (tlv.kind, tlv.protected);
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    let mut changes = Vec::new();
    for kind in kinds {
        let of_kind = |tlv: &&TlvInfo| (tlv.kind, tlv.protected) == kind;
        let mut old = old.iter().filter(of_kind);
        let mut new = new.iter().filter(of_kind);
        loop {
            let (old, new) = (old.next(), new.next());
            let Some(name) = old.or(new).map(|tlv| tlv.name.clone()) else { break };
            if old.map(|tlv| &tlv.data) != new.map(|tlv| &tlv.data) {
                changes.push(change(name, old.map(describe), new.map(describe)));
            }
        }
    }
    changes
}

fn describe(tlv: &TlvInfo) -> String {
    const DIGITS: usize = 16;
    let data = match tlv.data.get(..DIGITS) {
        Some(start) if tlv.data.len() > DIGITS => format!("{start}…"),
        _ => tlv.data.clone(),
    };
    match &tlv.meaning {
        Some(meaning) => format!("{data} ({meaning})"),
        None => data,
    }
}

fn compare(old: &[u8], new: &[u8], sizes: impl IntoIterator<Item = u32>) -> Vec<Sector> {
    let mut sectors = Vec::new();
    let mut at = 0usize;
    for size in sizes {
        if at >= old.len().max(new.len()) {
            break;
        }
        let end = at.saturating_add(size as usize);
        let part = |image: &[u8]| image.get(at..image.len().min(end)).map(<[u8]>::to_vec);
        sectors.push(match (part(old), part(new)) {
            (old, None) if old.is_some() => Sector::Removed,
            (None, _) => Sector::Added,
            (old, new) if old == new => Sector::Same,
            _ => Sector::Changed,
        });
        at = end;
    }
    sectors
}

#[cfg(test)]
mod tests {
    use super::{Sector, compare};

    #[test]
    fn sectors_are_compared_up_to_the_end_of_the_longer_image() {
        use Sector::{Added, Changed, Removed, Same};
        let old = [1; 10];
        let mut new = [1; 18];
        new[5] = 2;
        let sizes = [4, 4, 4, 4, 4, 4];
        assert_eq!(compare(&old, &new, sizes), [Same, Changed, Changed, Added, Added]);
        assert_eq!(compare(&new, &old, sizes), [Same, Changed, Changed, Removed, Removed]);
        assert_eq!(compare(&old, &old, sizes), [Same, Same, Same]);
        assert_eq!(compare(&old[..8], &new[..8], sizes), [Same, Changed]);
    }
}
