//! Versions as the image group spells them.

use updraft_image::Version;

/// `major.minor.revision`, with `.build` only where it is not 0: the group's own spelling.
pub(super) struct VersionText {
    text: [u8; Self::MAX],
    len: usize,
}

impl VersionText {
    /// `255.255.65535.4294967295` and no more.
    const MAX: usize = 24;

    pub(super) fn new(version: &Version) -> Self {
        let mut this = Self { text: [0; Self::MAX], len: 0 };
        this.number(version.major.into());
        this.byte(b'.');
        this.number(version.minor.into());
        this.byte(b'.');
        this.number(version.revision.into());
        if version.build != 0 {
            this.byte(b'.');
            this.number(version.build);
        }
        this
    }

    fn number(&mut self, number: u32) {
        if number >= 10 {
            self.number(number / 10);
        }
        self.byte(b'0'.wrapping_add((number % 10) as u8));
    }

    fn byte(&mut self, byte: u8) {
        if let Some(place) = self.text.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    pub(super) fn as_str(&self) -> &str {
        self.text
            .get(..self.len)
            .and_then(|text| core::str::from_utf8(text).ok())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spells_the_longest_version() {
        let version = Version::new(255, 255, 65535, u32::MAX);
        assert_eq!(VersionText::new(&version).as_str(), "255.255.65535.4294967295");
    }

    #[test]
    fn leaves_out_a_build_number_of_zero() {
        assert_eq!(VersionText::new(&Version::new(1, 20, 3, 0)).as_str(), "1.20.3");
    }
}
