//! What is to be said to people, without the formatting of `core::fmt`, which takes more room on a
//! chip than everything that there is to say.
//!
//! A [`Describe`] says it in pieces to a [`Text`], which may be a console's serial port. Where
//! there is room, the same goes through [`fmt::Display`], to the letter.

use core::convert::Infallible;
use core::fmt;

/// Something that can be put into words.
pub trait Describe {
    /// Puts it into words.
    fn describe(&self, to: &mut Text<'_>);
}

/// Text on its way out.
pub struct Text<'o> {
    out: &'o mut dyn FnMut(&str),
}

impl<'o> Text<'o> {
    /// Text that goes to `out` piece by piece.
    pub fn new(out: &'o mut dyn FnMut(&str)) -> Self {
        Self { out }
    }

    /// Says `text` as it is.
    pub fn say(&mut self, text: &str) {
        (self.out)(text);
    }

    /// Says `text`, and one of `things` after the other for each `{}` in it.
    pub fn fill(&mut self, text: &str, things: &[&dyn Describe]) {
        let mut rest = text;
        for thing in things {
            let place = rest.bytes().position(|byte| byte == b'{').unwrap_or(rest.len());
            let (before, after) = rest.split_at_checked(place).unwrap_or_default();
            self.say(before);
            let Some(after) = after.get("{}".len()..) else { return };
            thing.describe(self);
            rest = after;
        }
        self.say(rest);
    }

    /// Says `value` to `base` with at least `digits` digits.
    fn number(&mut self, value: u32, base: u32, digits: usize) {
        // The digits, the last one first; 32 bits have no more than ten.
        let mut reversed = [b'0'; 10];
        let mut count = 0;
        let mut left = value;
        for digit in &mut reversed {
            if left == 0 && count >= digits {
                break;
            }
            *digit = b"0123456789abcdef".get((left % base) as usize).copied().unwrap_or_default();
            left /= base;
            count += 1;
        }
        for digit in reversed.iter().take(count).rev() {
            self.say(str::from_utf8(&[*digit]).unwrap_or_default());
        }
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Text")
    }
}

/// Shows by [`fmt::Display`] what `thing` says.
pub fn display(thing: &dyn Describe, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut shown = Ok(());
    thing.describe(&mut Text::new(&mut |piece| {
        if shown.is_ok() {
            shown = f.write_str(piece);
        }
    }));
    shown
}

/// A number in hexadecimal with 0x before it, and at least so many digits.
#[derive(Clone, Copy, Debug)]
pub struct Hex(pub u32, pub usize);

impl Describe for Hex {
    fn describe(&self, to: &mut Text<'_>) {
        let Self(value, digits) = *self;
        to.say("0x");
        to.number(value, 16, digits.max(1));
    }
}

/// Bytes in hexadecimal.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'b>(pub &'b [u8]);

impl Describe for Bytes<'_> {
    fn describe(&self, to: &mut Text<'_>) {
        for byte in self.0 {
            to.number((*byte).into(), 16, 2);
        }
    }
}

impl Describe for u32 {
    fn describe(&self, to: &mut Text<'_>) {
        to.number(*self, 10, 1);
    }
}

impl Describe for u16 {
    fn describe(&self, to: &mut Text<'_>) {
        u32::from(*self).describe(to);
    }
}

impl Describe for u8 {
    fn describe(&self, to: &mut Text<'_>) {
        u32::from(*self).describe(to);
    }
}

/// Lengths of what is in memory, which is less than 4 GiB.
impl Describe for usize {
    fn describe(&self, to: &mut Text<'_>) {
        u32::try_from(*self).unwrap_or(u32::MAX).describe(to);
    }
}

impl Describe for &str {
    fn describe(&self, to: &mut Text<'_>) {
        to.say(self);
    }
}

impl Describe for Infallible {
    fn describe(&self, _: &mut Text<'_>) {
        match *self {}
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::{String, ToString};

    use super::*;

    struct Everything;

    impl Describe for Everything {
        fn describe(&self, to: &mut Text<'_>) {
            to.fill(
                "{} {} {} {} {} {}.",
                &[&0u32, &u32::MAX, &Hex(0, 0), &Hex(0xbeef, 8), &Bytes(&[0, 0xa1]), &"end"],
            );
        }
    }

    impl fmt::Display for Everything {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            display(self, f)
        }
    }

    #[test]
    fn numbers_are_written_as_the_formatter_would() {
        let formatted = std::format!("0 {} {:#x} {:#010x} 00a1 end.", u32::MAX, 0, 0xbeef);
        assert_eq!(Everything.to_string(), formatted);
    }

    #[test]
    fn more_places_than_things_stay_as_they_are() {
        let mut text = String::new();
        Text::new(&mut |piece| text.push_str(piece)).fill("{} and {}", &[&1u8]);
        assert_eq!(text, "1 and {}");
    }
}
