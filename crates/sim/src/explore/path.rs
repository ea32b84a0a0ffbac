//! The cuts that lead to a state, as people pass them around.

use std::fmt;
use std::str::FromStr;

use crate::flash::Torn;

/// A power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Which flash operation it falls into, counted from 0 since the last time the power came on.
    pub operation: u64,
    /// How much of that operation takes place.
    pub torn: Torn,
}

/// A story and the power cuts that it is told with, such as `revert-used@17:half,3:bits-5`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The story's name.
    pub story: String,
    /// The first cut falls into the story's activity, each further one into the boot after the
    /// one before.
    pub cuts: Vec<Cut>,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.story)?;
        for (index, cut) in self.cuts.iter().enumerate() {
            let before = if index == 0 { '@' } else { ',' };
            write!(f, "{before}{}:{}", cut.operation, name(cut.torn))?;
        }
        Ok(())
    }
}

fn name(torn: Torn) -> String {
    match torn {
        Torn::Skip => "nothing".into(),
        Torn::Half => "half".into(),
        Torn::OneBit(seed) => format!("one-{seed}"),
        Torn::AllButOneBit(seed) => format!("but-one-{seed}"),
        Torn::Bits(seed) => format!("bits-{seed}"),
        Torn::Unstable(seed) => format!("unstable-{seed}"),
        Torn::Unreadable(seed) => format!("unreadable-{seed}"),
    }
}

/// Text that is no [`Path`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no cut: it has the form STORY@OPERATION:CLASS[,OPERATION:CLASS…], \
     where CLASS is nothing, half, one-SEED, but-one-SEED, bits-SEED, unstable-SEED or unreadable-SEED"
)]
pub struct PathError(String);

impl FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let wrong = || PathError(text.into());
        let (story, cuts) = text.split_once('@').ok_or_else(wrong)?;
        let cut = |text: &str| -> Option<Cut> {
            let (operation, class) = text.split_once(':')?;
            let seed = |prefix| class.strip_prefix(prefix)?.parse().ok();
            let torn = match class {
                "nothing" => Torn::Skip,
                "half" => Torn::Half,
                _ => seed("but-one-")
                    .map(Torn::AllButOneBit)
                    .or_else(|| seed("one-").map(Torn::OneBit))
                    .or_else(|| seed("bits-").map(Torn::Bits))
                    .or_else(|| seed("unstable-").map(Torn::Unstable))
                    .or_else(|| seed("unreadable-").map(Torn::Unreadable))?,
            };
            Some(Cut { operation: operation.parse().ok()?, torn })
        };
        let cuts: Option<Vec<_>> = cuts.split(',').map(cut).collect();
        Ok(Self { story: story.into(), cuts: cuts.ok_or_else(wrong)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_as_it_is_written() {
        let cut = |operation, torn| Cut { operation, torn };
        let cuts = vec![
            cut(17, Torn::Half),
            cut(0, Torn::Skip),
            cut(3, Torn::Bits(5)),
            cut(7, Torn::OneBit(6)),
            cut(8, Torn::AllButOneBit(1)),
            cut(9, Torn::Unstable(2)),
            cut(10, Torn::Unreadable(3)),
        ];
        let path = Path { story: "revert-used".into(), cuts };
        let text = "revert-used@17:half,0:nothing,3:bits-5,7:one-6,8:but-one-1,9:unstable-2,10:unreadable-3";
        assert_eq!(path.to_string(), text);
        assert_eq!(text.parse(), Ok(path));
        for wrong in ["", "revert", "revert@", "revert@x:half", "revert@1:all", "revert@1:bits-"] {
            assert_eq!(wrong.parse::<Path>(), Err(PathError(wrong.into())));
        }
    }
}
