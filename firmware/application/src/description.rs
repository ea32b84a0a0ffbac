//! What the application does, as written in its image.
//!
//! ```text
//! updraft-app 1
//! name = blinky
//! blink-ms = 1000          between two changes of the LED
//! self-test = pass         pass, fail, hang or crash
//! self-test-ms = 200
//! confirm = host           host or self
//! ```
//! Text up to the first zero byte. What is missing or cannot be read has the values above.

use core::time::Duration;

/// How the self-test ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelfTest {
    /// All is well.
    Pass,
    /// The application finds a fault.
    Fail,
    /// It stops.
    Hang,
    /// It crashes.
    Crash,
}

/// What the application does.
#[derive(Clone, Copy, Debug)]
pub struct Description<'t> {
    /// Its name.
    pub name: &'t str,
    /// Milliseconds between two changes of the LED.
    pub blink_ms: u32,
    /// How the self-test ends.
    pub outcome: SelfTest,
    /// How long it takes.
    pub self_test: Duration,
    /// Whether the application confirms itself.
    pub confirms: bool,
}

impl<'t> Description<'t> {
    /// What `text` says.
    pub fn of(text: &'t [u8]) -> Self {
        let mut found = Self {
            name: "blinky",
            blink_ms: 1000,
            outcome: SelfTest::Pass,
            self_test: Duration::from_millis(200),
            confirms: false,
        };
        for (key, value) in lines(text) {
            match key {
                b"name" => found.name = str::from_utf8(value).unwrap_or(found.name),
                b"blink-ms" => {
                    found.blink_ms = number(value).filter(|ms| *ms > 0).unwrap_or(found.blink_ms);
                }
                b"self-test" => {
                    found.outcome = match value {
                        b"fail" => SelfTest::Fail,
                        b"hang" => SelfTest::Hang,
                        b"crash" => SelfTest::Crash,
                        _ => SelfTest::Pass,
                    };
                }
                b"self-test-ms" => {
                    let ms = number(value).map(|ms| Duration::from_millis(ms.into()));
                    found.self_test = ms.unwrap_or(found.self_test);
                }
                b"confirm" => found.confirms = value == b"self",
                _ => {}
            }
        }
        found
    }
}

/// Both sides of every `key = value`.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    text.split(|byte| *byte == b'\n').filter_map(pair)
}

fn pair(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = line.iter().position(|byte| *byte == b'=')?;
    let (key, value) = line.split_at_checked(at)?;
    Some((key.trim_ascii(), value.get(1..)?.trim_ascii()))
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0u32, |number, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    })
}
