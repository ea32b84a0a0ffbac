//! What a virtual application does, as written in its own image.
//!
//! A virtual device cannot execute Cortex-M code; it plays the application that the running image
//! describes. The description is plain text within the first [`SEARCHED`] bytes of the image body,
//! from the line `updraft-app 1` to a NUL byte or the end of the body:
//!
//! ```text
//! updraft-app 1
//! name = blinky
//! blink-ms = 500
//! self-test = pass
//! self-test-ms = 200
//! confirm = self
//! ```
//!
//! | key | values | default | meaning |
//! |---|---|---|---|
//! | `name` | up to 64 characters | `app` | what the console of the device calls it |
//! | `blink-ms` | 1 to 3600000 | 500 | half a period of the LED, in milliseconds |
//! | `self-test` | `pass`, `fail`, `hang`, `crash` | `pass` | how the self-test after each start ends |
//! | `self-test-ms` | 0 to 3600000 | 200 | how long it takes, in milliseconds |
//! | `confirm` | `self`, `host` | `self` | who confirms an image that passed its self-test |
//! | `does` | `update` | | the application fetches its updates, on a device that has a network |
//! | `ask` | seconds up to 3600, `button` | 10 | when it asks for one |
//! | `prefix` | 1 to 64 characters | `OTAUpdate` | what the topics begin with |
//! | `wait` | a gate and seconds up to 3600, as `battery:5` | | updates wait at it so long after the start: `battery`, `network`, `space`, `user` |
//!
//! The last four are those of the firmware for boards with a network (`firmware/application`), and
//! any of them, or its `server`, says that the application fetches its updates. Which server that is
//! depends on the network that the device is on: what an image says of it is for boards.
//!
//! Keys may come in any order; unknown keys are ignored, so that a later version of the
//! description still runs here. A body without a description is an application that just runs and
//! leaves the confirming to the host.

use std::fmt;
use std::time::Duration;

/// How many bytes of the body are searched for the first line.
pub const SEARCHED: usize = 4096;
/// The first line.
const FIRST_LINE: &str = "updraft-app 1\n";
const LONGEST_MS: u32 = 3_600_000;

/// How the self-test of an application ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelfTest {
    /// All is well.
    Pass,
    /// The application finds a fault and resets the device.
    Fail,
    /// The application stops answering; the watchdog resets the device.
    Hang,
    /// The processor faults; the device resets at once.
    Crash,
}

/// Who confirms an image under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfirmedBy {
    /// The application, as soon as its self-test has passed.
    Application,
    /// Somebody outside, by SMP.
    Host,
}

/// When an application asks for an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// So long after its start.
    After(Duration),
    /// When the button is pressed.
    AtButton,
}

/// How an application fetches its updates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Updates {
    /// When it asks.
    pub ask: Ask,
    /// What topics begin with.
    pub prefix: String,
    /// What they wait for.
    pub wait: Option<Wait>,
}

/// What lets updates wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// One of [`GATES`].
    pub gate: String,
    /// How long after the start.
    pub time: Duration,
}

/// What updates may wait for, as the update agent calls it.
pub const GATES: [&str; 4] = ["battery", "network", "space", "user"];

impl Default for Updates {
    fn default() -> Self {
        Self {
            ask: Ask::After(Duration::from_secs(10)),
            prefix: "OTAUpdate".to_owned(),
            wait: None,
        }
    }
}

/// The behaviour of a virtual application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Its name.
    pub name: String,
    /// Half a period of its LED, in milliseconds.
    pub blink_ms: u32,
    /// How its self-test ends.
    pub self_test: SelfTest,
    /// How long the self-test takes, in milliseconds.
    pub self_test_ms: u32,
    /// Who confirms it.
    pub confirm: ConfirmedBy,
    /// How it fetches its updates, if it does.
    pub updates: Option<Updates>,
}

impl Default for Descriptor {
    fn default() -> Self {
        Self {
            name: "app".to_owned(),
            blink_ms: 500,
            self_test: SelfTest::Pass,
            self_test_ms: 200,
            confirm: ConfirmedBy::Application,
            updates: None,
        }
    }
}

/// A description that begins but cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DescriptorError {
    /// The text is not UTF-8.
    #[error("the application's description is not UTF-8 text")]
    Encoding,
    /// A line is not `key = value`.
    #[error("line {line} of the application's description is not `key = value`: {text}")]
    Line {
        /// Number of the line; the first line is 1.
        line: usize,
        /// The line.
        text: String,
    },
    /// A value is not one of those that its key allows.
    #[error("`{key} = {value}` in the application's description: expected {expected}")]
    Value {
        /// The key.
        key: &'static str,
        /// The value found.
        value: String,
        /// What would do.
        expected: &'static str,
    },
}

impl Descriptor {
    /// The description in an image body; `None` if there is none.
    pub fn find(body: &[u8]) -> Result<Option<Self>, DescriptorError> {
        let searched = body.get(..SEARCHED).unwrap_or(body);
        let first = FIRST_LINE.as_bytes();
        let Some(start) = searched.windows(first.len()).position(|window| window == first) else {
            return Ok(None);
        };
        let text = body.get(start..).unwrap_or_default();
        let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
        let text = std::str::from_utf8(text).map_err(|_| DescriptorError::Encoding)?;
        let mut app = Self::default();
        for (index, line) in text.lines().enumerate().skip(1) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, value) = line
                .split_once('=')
                .ok_or_else(|| DescriptorError::Line { line: index + 1, text: line.to_owned() })?;
            app.set(key.trim(), value.trim())?;
        }
        Ok(Some(app))
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), DescriptorError> {
        let wrong =
            |key, expected| DescriptorError::Value { key, value: value.to_owned(), expected };
        let milliseconds = |key, lowest| {
            let expected = "milliseconds up to 3600000 (an hour)";
            let in_range = |ms: &u32| (lowest..=LONGEST_MS).contains(ms);
            value.parse().ok().filter(in_range).ok_or_else(|| wrong(key, expected))
        };
        match key {
            "name" if value.is_empty() || value.chars().count() > 64 => {
                return Err(wrong("name", "1 to 64 characters"));
            }
            "name" => self.name = value.to_owned(),
            "blink-ms" => self.blink_ms = milliseconds("blink-ms", 1)?,
            "self-test-ms" => self.self_test_ms = milliseconds("self-test-ms", 0)?,
            "self-test" => {
                self.self_test = match value {
                    "pass" => SelfTest::Pass,
                    "fail" => SelfTest::Fail,
                    "hang" => SelfTest::Hang,
                    "crash" => SelfTest::Crash,
                    _ => return Err(wrong("self-test", "pass, fail, hang or crash")),
                };
            }
            "confirm" => {
                self.confirm = match value {
                    "self" => ConfirmedBy::Application,
                    "host" => ConfirmedBy::Host,
                    _ => return Err(wrong("confirm", "self or host")),
                };
            }
            "does" | "ask" | "server" | "prefix" | "wait" => self.set_update(key, value)?,
            _ => {}
        }
        Ok(())
    }

    fn set_update(&mut self, key: &str, value: &str) -> Result<(), DescriptorError> {
        let wrong =
            |key, expected| DescriptorError::Value { key, value: value.to_owned(), expected };
        // What else an application does is none of a virtual one's business.
        if key == "does" && value != "update" {
            return Ok(());
        }
        let seconds = |text: &str| {
            let seconds = text.parse::<u32>().ok().filter(|s| *s <= LONGEST_MS / 1000);
            seconds.map(|seconds| Duration::from_secs(seconds.into()))
        };
        let updates = self.updates.get_or_insert_default();
        match key {
            "ask" if value == "button" => updates.ask = Ask::AtButton,
            "ask" => {
                let time = seconds(value);
                let time = time.ok_or_else(|| wrong("ask", "seconds up to 3600, or button"))?;
                updates.ask = Ask::After(time);
            }
            "wait" => {
                let (gate, time) = value.split_once(':').unwrap_or_default();
                let time = seconds(time).filter(|_| GATES.contains(&gate));
                let expected = "battery, network, space or user, and seconds: battery:5";
                let time = time.ok_or_else(|| wrong("wait", expected))?;
                updates.wait = Some(Wait { gate: gate.to_owned(), time });
            }
            "prefix" if value.is_empty() || value.chars().count() > 64 => {
                return Err(wrong("prefix", "1 to 64 characters"));
            }
            "prefix" => updates.prefix = value.to_owned(),
            _ => {}
        }
        Ok(())
    }
}

/// The text form, ready to be put at the start of a body.
impl fmt::Display for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let self_test = match self.self_test {
            SelfTest::Pass => "pass",
            SelfTest::Fail => "fail",
            SelfTest::Hang => "hang",
            SelfTest::Crash => "crash",
        };
        let confirm = match self.confirm {
            ConfirmedBy::Application => "self",
            ConfirmedBy::Host => "host",
        };
        writeln!(f, "updraft-app 1\nname = {}\nblink-ms = {}", self.name, self.blink_ms)?;
        writeln!(f, "self-test = {self_test}\nself-test-ms = {}", self.self_test_ms)?;
        writeln!(f, "confirm = {confirm}")?;
        let Some(updates) = &self.updates else { return Ok(()) };
        writeln!(f, "does = update\nprefix = {}", updates.prefix)?;
        if let Some(Wait { gate, time }) = &updates.wait {
            writeln!(f, "wait = {gate}:{}", time.as_secs())?;
        }
        match updates.ask {
            Ask::After(time) => writeln!(f, "ask = {}", time.as_secs()),
            Ask::AtButton => writeln!(f, "ask = button"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_survives_the_round_trip_behind_a_vector_table() {
        let app = Descriptor {
            name: "blinky".into(),
            blink_ms: 125,
            self_test: SelfTest::Hang,
            self_test_ms: 0,
            confirm: ConfirmedBy::Host,
            updates: Some(Updates {
                ask: Ask::AtButton,
                prefix: "MyUniqueTopic".into(),
                wait: Some(Wait { gate: "user".into(), time: Duration::from_secs(7) }),
            }),
        };
        let mut body = vec![0x20; 0x100];
        body.extend_from_slice(app.to_string().as_bytes());
        body.extend_from_slice(&[0, 0xff, 0xfe]);
        assert_eq!(Descriptor::find(&body), Ok(Some(app)));
    }

    #[test]
    fn a_body_without_a_description_is_not_an_error() {
        assert_eq!(Descriptor::find(&[0xff; 10_000]), Ok(None));
        assert_eq!(Descriptor::find(&[]), Ok(None));
    }

    #[test]
    fn a_wrong_value_names_the_key_and_what_would_do() {
        let error = Descriptor::find(b"updraft-app 1\nself-test = maybe\n").unwrap_err();
        assert!(error.to_string().contains("pass, fail, hang or crash"), "{error}");
        let error = Descriptor::find(b"updraft-app 1\nblink-ms = 0\n").unwrap_err();
        assert!(error.to_string().contains("blink-ms = 0"), "{error}");
        let wrong_waits =
            ["wait = battery", "wait = moon:5", "wait = user:soon", "wait = user:9999"];
        for wrong in ["ask = soon", "ask = 99999", "prefix ="].into_iter().chain(wrong_waits) {
            let error = Descriptor::find(format!("updraft-app 1\n{wrong}\n").as_bytes());
            assert!(error.unwrap_err().to_string().contains(wrong), "{wrong}");
        }
    }

    #[test]
    fn images_for_boards_with_a_network_say_how_they_are_updated() {
        let find = |text: &str| {
            let text = format!("updraft-app 1\n{text}\n");
            Descriptor::find(text.as_bytes()).unwrap().unwrap().updates
        };
        assert_eq!(find("name = x"), None);
        assert_eq!(find("does = echo"), None);
        for text in ["does = update", "server = 10.0.2.2:1883"] {
            assert_eq!(find(text), Some(Updates::default()), "{text}");
        }
        let at_button = Updates { ask: Ask::AtButton, ..Updates::default() };
        assert_eq!(find("ask = button"), Some(at_button));
        let after = Ask::After(Duration::from_secs(1));
        assert_eq!(find("ask = 1").map(|updates| updates.ask), Some(after));
    }

    #[test]
    fn unknown_keys_are_left_to_later_versions() {
        let app = Descriptor::find(b"updraft-app 1\ncolour = red\nname = x\n").unwrap().unwrap();
        assert_eq!(app.name, "x");
    }
}
