//! A certificate, and whether it may be believed.

use core::net::Ipv4Addr;

use crate::der::{BIT_STRING, BOOLEAN, Der, INTEGER, OBJECT, OCTET_STRING, SEQUENCE};
use crate::{Malformed, Moment, Revoked};

/// ecdsa-with-SHA256.
const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
/// id-ecPublicKey, and prime256v1.
const EC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
/// Extensions: key usage, other names, constraints, extended key usage.
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];
const NAMES: &[u8] = &[0x55, 0x1d, 17];
const CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
const PURPOSES: &[u8] = &[0x55, 0x1d, 37];
/// Of key usage: signatures, those of certificates.
const SIGNS: u8 = 0x80;
const SIGNS_CERTIFICATES: u8 = 0x04;
/// id-kp-serverAuth.
const FOR_SERVERS: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
/// Names: DNS, and address.
const DNS: u8 = 0x82;
const ADDRESS: u8 = 0x87;

/// Why a server is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Somebody else has issued its certificate.
    Issuer,
    /// The issuer's is no authority's.
    Authority,
    /// It has another name.
    Name,
    /// It is not for servers.
    Purpose,
    /// It ended before the device was given its own.
    Expired,
    /// The authority has taken it back.
    Revoked,
    /// Which ones were taken back cannot be read.
    List,
}

impl Unfit {
    /// The reason in words.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Issuer => "its certificate is not of the authority that this device knows",
            Self::Authority => "the authority that this device knows may not issue certificates",
            Self::Name => "its certificate has another name",
            Self::Purpose => "its certificate is not for servers",
            Self::Expired => "its certificate expired before this device got its own",
            Self::Revoked => "its certificate was revoked",
            Self::List => "this device's list of revoked certificates is damaged",
        }
    }
}

impl core::fmt::Display for Unfit {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for Unfit {}

/// A certificate of version 3.
#[derive(Clone, Copy, Debug)]
pub struct Certificate<'c> {
    signed: &'c [u8],
    signature: &'c [u8],
    serial: &'c [u8],
    issuer: &'c [u8],
    starts: Moment,
    ends: Moment,
    subject: &'c [u8],
    key: &'c [u8],
    /// Names that stand in the extension, if it is there.
    names: &'c [u8],
    /// What it may be used for; everything, if it does not say.
    purposes: Option<&'c [u8]>,
    /// What its key may be used for; everything, if it does not say.
    usage: u8,
    is_authority: bool,
}

impl<'c> Certificate<'c> {
    /// Reads a certificate.
    ///
    /// # Errors
    /// What is no DER, has a key or signature of another kind, no whole number as its serial number, no
    /// moments of which it is valid, or an extension that must be understood and is not.
    pub fn parse(der: &'c [u8]) -> Result<Self, Malformed> {
        let mut outer = Der(der);
        let mut parts = outer.sequence()?;
        outer.end()?;
        let to_be_signed = parts.expect(SEQUENCE)?;
        algorithm(&mut parts)?;
        let signature = parts.bits()?;
        parts.end()?;

        let mut fields = Der(to_be_signed.content);
        // Version 3: those before it have no extensions, and so no names.
        if fields.expect(0xa0)?.content != [INTEGER, 1, 2] {
            return Err(Malformed);
        }
        let serial = fields.expect(INTEGER)?.content;
        algorithm(&mut fields)?;
        let issuer = fields.expect(SEQUENCE)?.whole;
        let mut validity = fields.sequence()?;
        let (starts, ends) = (Moment::read(&mut validity)?, Moment::read(&mut validity)?);
        validity.end()?;
        let subject = fields.expect(SEQUENCE)?.whole;
        let key = key(&mut fields)?;
        fields.optional(0x81)?;
        fields.optional(0x82)?;
        let extensions = fields.optional(0xa3)?;
        fields.end()?;
        let mut found = Self {
            signed: to_be_signed.whole,
            signature,
            serial,
            issuer,
            starts,
            ends,
            subject,
            key,
            names: &[],
            purposes: None,
            usage: u8::MAX,
            is_authority: false,
        };
        if let Some(extensions) = extensions {
            found.extend(Der(extensions.content))?;
        }
        Ok(found)
    }

    fn extend(&mut self, mut extensions: Der<'c>) -> Result<(), Malformed> {
        let mut list = extensions.sequence()?;
        extensions.end()?;
        let mut seen = [false; 4];
        while !list.0.is_empty() {
            let mut fields = list.sequence()?;
            let kind = fields.expect(OBJECT)?.content;
            let critical = fields.optional(BOOLEAN)?.is_some_and(|value| value.content != [0]);
            let mut value = Der(fields.expect(OCTET_STRING)?.content);
            fields.end()?;
            let place = match kind {
                NAMES => {
                    self.names = value.sequence()?.0;
                    0
                }
                PURPOSES => {
                    self.purposes = Some(value.sequence()?.0);
                    1
                }
                CONSTRAINTS => {
                    let mut constraints = value.sequence()?;
                    let flag = constraints.optional(BOOLEAN)?;
                    self.is_authority = flag.is_some_and(|flag| flag.content != [0]);
                    2
                }
                KEY_USAGE => {
                    // How many bits at the end do not count, and the bits.
                    let [_, usage, ..] = value.expect(BIT_STRING)?.content else {
                        return Err(Malformed);
                    };
                    self.usage = *usage;
                    3
                }
                _ if critical => return Err(Malformed),
                _ => continue,
            };
            let again = seen.get_mut(place).is_none_or(|seen| core::mem::replace(seen, true));
            if again {
                return Err(Malformed);
            }
        }
        Ok(())
    }

    /// The bytes that its issuer has signed.
    pub fn signed(&self) -> &'c [u8] {
        self.signed
    }

    /// The issuer's signature, DER.
    pub fn signature(&self) -> &'c [u8] {
        self.signature
    }

    /// Its public key, a point on P-256 as in SEC 1.
    pub fn key(&self) -> &'c [u8] {
        self.key
    }

    /// Whether this is a certificate of `authority`'s for a server called `name`. The signature is
    /// another matter.
    ///
    /// # Errors
    /// Why not.
    pub fn fits(&self, authority: &Certificate<'_>, name: &str) -> Result<(), Unfit> {
        if self.issuer != authority.subject {
            return Err(Unfit::Issuer);
        }
        if !authority.is_authority || authority.usage & SIGNS_CERTIFICATES == 0 {
            return Err(Unfit::Authority);
        }
        if !self.is_called(name) {
            return Err(Unfit::Name);
        }
        if !self.serves() {
            return Err(Unfit::Purpose);
        }
        Ok(())
    }

    /// From when on it is valid. Whoever holds a certificate that was issued for this device knows that
    /// this moment has passed.
    pub fn starts(&self) -> Moment {
        self.starts
    }

    /// Whether it still stands, of an authority that has `revoked` others: it has not ended before
    /// `earliest`, a moment that has surely passed.
    ///
    /// # Errors
    /// Why not.
    pub fn stands(&self, revoked: Revoked<'_>, earliest: Moment) -> Result<(), Unfit> {
        revoked.look_for(self.serial)?;
        if self.ends < earliest { Err(Unfit::Expired) } else { Ok(()) }
    }

    /// Whether it is for `name`, a DNS name or an address of version 4. What stands in the subject
    /// does not count, as devices have names there as well.
    fn is_called(&self, name: &str) -> bool {
        let address = name.parse::<Ipv4Addr>().ok().map(|address| address.octets());
        let mut names = Der(self.names);
        while let Ok(value) = names.next() {
            let fits = match (value.tag, &address) {
                (DNS, None) => same_name(value.content, name.as_bytes()),
                (ADDRESS, Some(address)) => value.content == address,
                _ => false,
            };
            if fits {
                return true;
            }
        }
        false
    }

    fn serves(&self) -> bool {
        if self.usage & SIGNS == 0 {
            return false;
        }
        let Some(purposes) = self.purposes else { return true };
        let mut purposes = Der(purposes);
        while let Ok(purpose) = purposes.next() {
            if purpose.tag == OBJECT && purpose.content == FOR_SERVERS {
                return true;
            }
        }
        false
    }
}

/// Only one is known.
fn algorithm(from: &mut Der<'_>) -> Result<(), Malformed> {
    let mut algorithm = from.sequence()?;
    let kind = algorithm.expect(OBJECT)?.content;
    algorithm.end()?;
    if kind == ECDSA_SHA256 { Ok(()) } else { Err(Malformed) }
}

fn key<'c>(from: &mut Der<'c>) -> Result<&'c [u8], Malformed> {
    let mut info = from.sequence()?;
    let mut algorithm = info.sequence()?;
    let kinds = [algorithm.expect(OBJECT)?.content, algorithm.expect(OBJECT)?.content];
    algorithm.end()?;
    let key = info.bits()?;
    info.end()?;
    if kinds == [EC_KEY, P256] { Ok(key) } else { Err(Malformed) }
}

/// Whether `pattern` stands for `name`: the same but for case, or with `*` as the whole first label
/// of at least three (RFC 9525, section 6.3).
fn same_name(pattern: &[u8], name: &[u8]) -> bool {
    let Some(above) = pattern.strip_prefix(b"*.") else {
        return !pattern.is_empty() && pattern.eq_ignore_ascii_case(name);
    };
    let dot = name.iter().position(|byte| *byte == b'.');
    let Some((label, rest)) = dot.and_then(|at| name.split_at_checked(at)) else { return false };
    let rest = rest.strip_prefix(b".").unwrap_or_default();
    !label.is_empty() && above.contains(&b'.') && above.eq_ignore_ascii_case(rest)
}
