//! Certificates that their authority has taken back.

use crate::der::{Der, INTEGER, SEQUENCE};
use crate::{Malformed, Unfit};

/// Serial numbers of revoked certificates, as a device carries them: for each one a byte that says how
/// long it is, and its bytes. Whoever gives a device such a list has made sure of where it comes from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Revoked<'r>(pub &'r [u8]);

impl Revoked<'_> {
    /// Looks for a serial number.
    ///
    /// # Errors
    /// It is there; or the list has no end, so that nobody knows.
    pub(crate) fn look_for(self, serial: &[u8]) -> Result<(), Unfit> {
        let mut rest = self.0;
        while let Some((len, behind)) = rest.split_first() {
            let (listed, behind) = behind.split_at_checked((*len).into()).ok_or(Unfit::List)?;
            if without_zeros(listed) == without_zeros(serial) {
                return Err(Unfit::Revoked);
            }
            rest = behind;
        }
        Ok(())
    }
}

/// Whole numbers have a zero in front where they would be negative.
fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// The serial numbers on an authority's list of revoked certificates, DER (RFC 5280, section 5.1), to be
/// made [`Revoked`] of. Whether the authority has signed it is another matter.
///
/// # Errors
/// What is no such list.
pub fn serials(list: &[u8]) -> Result<impl Iterator<Item = Result<&[u8], Malformed>>, Malformed> {
    let mut outer = Der(list);
    let mut parts = outer.sequence()?;
    outer.end()?;
    let mut fields = parts.sequence()?;
    fields.optional(INTEGER)?;
    // How it is signed, by whom, from when on and until when.
    fields.expect(SEQUENCE)?;
    fields.expect(SEQUENCE)?;
    crate::Moment::read(&mut fields)?;
    if crate::Moment::read(&mut fields.clone()).is_ok() {
        fields.next()?;
    }
    let mut entries = match fields.optional(SEQUENCE)? {
        Some(entries) => Der(entries.content),
        None => Der(&[]),
    };
    Ok(core::iter::from_fn(move || {
        let has_more = !entries.0.is_empty();
        has_more.then(|| {
            let entry = entries.sequence();
            let serial = entry.and_then(|mut entry| entry.expect(INTEGER));
            if serial.is_err() {
                entries = Der(&[]);
            }
            serial.map(|serial| serial.content)
        })
    }))
}
