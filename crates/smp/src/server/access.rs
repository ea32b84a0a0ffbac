//! Permissions: what may be asked for over a transport.
//!
//! ```text
//! request ─▶ Guarded ─ link safe enough? a rule for this command? ─▶ the groups
//!                    └─ no ─▶ rc 11
//! ```
//! Every transport of a device has an [`Access`] of its own, and guards the same groups with it.
//! Without one nothing is checked, and nothing of this is compiled in.

use super::{Answer, Failure, GroupInfo, Groups, Request, Reset};
use crate::{Op, Rc, group, os, settings};

/// A rule on some commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    allow: bool,
    group: Option<u16>,
    id: Option<u8>,
    op: Option<Op>,
}

impl Rule {
    /// Allows everything, unless it is narrowed down.
    pub const fn allow() -> Self {
        Self { allow: true, group: None, id: None, op: None }
    }

    /// Refuses everything, unless it is narrowed down.
    pub const fn refuse() -> Self {
        Self { allow: false, ..Self::allow() }
    }

    /// The same for one group only.
    pub const fn group(self, group: u16) -> Self {
        Self { group: Some(group), ..self }
    }

    /// The same for one command only.
    pub const fn command(self, group: u16, id: u8) -> Self {
        Self { group: Some(group), id: Some(id), ..self }
    }

    /// The same for reading only.
    pub const fn reads(self) -> Self {
        Self { op: Some(Op::Read), ..self }
    }

    /// The same for writing only.
    pub const fn writes(self) -> Self {
        Self { op: Some(Op::Write), ..self }
    }

    fn fits(&self, group: u16, (id, op): (u8, Op)) -> bool {
        self.group.is_none_or(|wanted| wanted == group)
            && self.id.is_none_or(|wanted| wanted == id)
            && self.op.is_none_or(|wanted| wanted == op)
    }
}

/// How safe a link is, as its transport knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkSecurity {
    /// Nobody else can read or change what goes over it.
    pub encrypted: bool,
    /// The peer is one that was paired with before, and its key is kept.
    pub bonded: bool,
}

/// What is asked of a link before anything else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Demand {
    /// Nothing.
    #[default]
    Nothing,
    /// That it is encrypted.
    Encrypted,
    /// That it is encrypted, and bonded.
    EncryptedAndBonded,
}

impl Demand {
    fn met_by(self, link: LinkSecurity) -> bool {
        match self {
            Self::Nothing => true,
            Self::Encrypted => link.encrypted,
            Self::EncryptedAndBonded => link.encrypted && link.bonded,
        }
    }
}

/// What may be asked for over a transport: of the rules that fit a command, the first decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access<'r> {
    /// The rules.
    pub rules: &'r [Rule],
    /// What is asked of the link.
    pub demand: Demand,
}

impl Access<'static> {
    /// Everything is allowed.
    pub const EVERYTHING: Self = Self { rules: &[Rule::allow()], demand: Demand::Nothing };

    /// What changes nothing is allowed. What a device keeps is told: files and settings are to be
    /// refused by a rule of one's own where they are secret.
    pub const READ_ONLY: Self = Self {
        rules: &[
            Rule::allow().command(group::OS, os::ECHO),
            // Reads by name that replace the settings in use.
            Rule::refuse().command(group::SETTINGS, settings::STORAGE),
            Rule::refuse().writes(),
            Rule::allow().reads(),
        ],
        demand: Demand::Nothing,
    };

    /// Only what an update takes: images, information about the device, reset.
    pub const UPDATE_ONLY: Self = Self {
        rules: &[
            Rule::allow().group(group::IMAGE),
            Rule::allow().command(group::OS, os::ECHO),
            Rule::allow().command(group::OS, os::RESET),
            Rule::allow().command(group::OS, os::PARAMS).reads(),
            Rule::allow().command(group::OS, os::INFO).reads(),
            Rule::allow().command(group::OS, os::BOOTLOADER_INFO).reads(),
            Rule::allow().group(group::ENUMERATION).reads(),
            Rule::refuse(),
        ],
        demand: Demand::Nothing,
    };

    /// What Bluetooth LE starts from: everything, over an encrypted link to a bonded peer. Anybody
    /// may be in reach of the radio.
    pub const BLUETOOTH: Self = Self { demand: Demand::EncryptedAndBonded, ..Self::EVERYTHING };
}

impl<'r> Access<'r> {
    /// The same with another demand on the link.
    pub const fn demanding(self, demand: Demand) -> Self {
        Self { demand, ..self }
    }

    /// Whether a command may be asked for over a link of this kind. What no rule fits is refused.
    pub fn allows(&self, group: u16, command: (u8, Op), link: LinkSecurity) -> bool {
        let rule = self.rules.iter().find(|rule| rule.fits(group, command));
        self.demand.met_by(link) && rule.is_some_and(|rule| rule.allow)
    }

    /// Puts the permissions in front of groups.
    pub fn guard<G: Groups>(self, link: LinkSecurity, groups: G) -> Guarded<'r, G> {
        Guarded { access: self, link, groups }
    }
}

/// Groups behind permissions.
#[derive(Clone, Copy, Debug)]
pub struct Guarded<'r, G> {
    access: Access<'r>,
    link: LinkSecurity,
    groups: G,
}

impl<G: Groups> Groups for Guarded<'_, G> {
    fn each(&self, each: &mut dyn FnMut(GroupInfo)) {
        self.groups.each(each);
    }

    fn handle(
        &mut self,
        request: &Request<'_>,
        answer: &mut Answer<'_>,
    ) -> Result<Option<Reset>, Failure> {
        match self.access.allows(request.header.group, request.command(), self.link) {
            true => self.groups.handle(request, answer),
            false => Err(Rc::ACCESS_DENIED.into()),
        }
    }
}
