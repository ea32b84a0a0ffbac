//! Group 3, settings: values by name.
//!
//! Source: Zephyr documentation, "Settings (Config) Management Group".

use super::{Answer, Failure, Group, Request, Reset};
use crate::{Op, Rc, SettingsError, settings};

/// The settings of a device. Names are paths such as `net/address`.
pub trait Settings {
    /// Bytes of the longest name.
    const MAX_NAME: usize = 32;
    /// Bytes of the longest value.
    const MAX_VALUE: usize = 64;

    /// The value of a setting, of which no more than [`MAX_VALUE`](Self::MAX_VALUE) bytes are told.
    fn read(&mut self, name: &str) -> Result<&[u8], Failure>;

    /// Changes a setting, or makes it.
    fn write(&mut self, name: &str, value: &[u8]) -> Result<(), Failure>;

    /// Deletes a setting.
    fn delete(&mut self, name: &str) -> Result<(), Failure>;

    /// Lets changed settings take effect. By default they do at once.
    fn commit(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    /// Loads all settings from storage again. By default there is none.
    fn load(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    /// Saves all settings, or the one called `subtree` and those of the branch of that name. By
    /// default there is nowhere to save them to.
    fn save(&mut self, subtree: Option<&str>) -> Result<(), Failure> {
        let _ = subtree;
        Err(SettingsError::SaveNotSupported.into())
    }
}

/// The settings group over the settings of a device.
#[derive(Clone, Copy, Debug, Default)]
pub struct SettingsGroup<S>(pub S);

/// The arguments that the commands have among them.
#[derive(Default)]
struct Arguments<'p> {
    name: Option<&'p str>,
    value: Option<&'p [u8]>,
    max_size: Option<u32>,
}

impl<'p> Arguments<'p> {
    fn of(request: &Request<'p>) -> Result<Self, Failure> {
        let mut this = Self::default();
        request.fields(|key, value| match key {
            "name" => value.str(&mut this.name),
            // The first generation has texts.
            "val" => value.bytes_or_str(&mut this.value),
            "max_size" => value.u32(&mut this.max_size),
            _ => Ok(()),
        })?;
        Ok(this)
    }

    fn name<S: Settings>(&self) -> Result<&'p str, Failure> {
        let name = self.name.filter(|name| !name.is_empty()).ok_or(Rc::INVALID)?;
        if name.len() > S::MAX_NAME {
            return Err(SettingsError::KeyTooLong.into());
        }
        Ok(name)
    }
}

impl<S: Settings> SettingsGroup<S> {
    fn read(&mut self, arguments: &Arguments<'_>, answer: &mut Answer<'_>) -> Result<(), Failure> {
        let wanted = arguments.max_size.and_then(|size| usize::try_from(size).ok());
        let value = self.0.read(arguments.name::<S>()?)?;
        let len = value.len().min(S::MAX_VALUE).min(wanted.unwrap_or(S::MAX_VALUE));
        answer.bytes("val", value.get(..len).unwrap_or_default())?;
        if arguments.max_size.is_some() && wanted.is_none_or(|wanted| wanted > S::MAX_VALUE) {
            answer.u32("max_size", u32::try_from(S::MAX_VALUE).unwrap_or(u32::MAX))?;
        }
        Ok(())
    }

    fn write(&mut self, arguments: &Arguments<'_>) -> Result<(), Failure> {
        let name = arguments.name::<S>()?;
        let value = arguments.value.filter(|value| value.len() <= S::MAX_VALUE);
        self.0.write(name, value.ok_or(Rc::INVALID)?)
    }
}

impl<S: Settings> Group for SettingsGroup<S> {
    const ID: u16 = crate::group::SETTINGS;
    const NAME: Option<&'static str> = Some("settings mgmt");

    fn commands(&self) -> u32 {
        4
    }

    fn handle(
        &mut self,
        request: &Request<'_>,
        answer: &mut Answer<'_>,
    ) -> Result<Option<Reset>, Failure> {
        let arguments = || Arguments::of(request);
        match request.command() {
            (settings::VALUE, Op::Read) => self.read(&arguments()?, answer)?,
            (settings::VALUE, Op::Write) => self.write(&arguments()?)?,
            (settings::DELETE, Op::Write) => self.0.delete(arguments()?.name::<S>()?)?,
            (settings::COMMIT, Op::Write) => self.0.commit()?,
            (settings::STORAGE, Op::Read) => self.0.load()?,
            (settings::STORAGE, Op::Write) => {
                let subtree = arguments()?.name.map(|name| name.trim_end_matches('/'));
                self.0.save(subtree.filter(|name| !name.is_empty()))?;
            }
            _ => return Err(Rc::NOT_SUPPORTED.into()),
        }
        Ok(None)
    }
}
