//! What is underneath, and why it ends.

use core::time::Duration;

use updraft_x509::Unfit;

/// The connection underneath is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl core::fmt::Display for Gone {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the connection is gone")
    }
}

impl core::error::Error for Gone {}

/// A connection, and what goes on besides.
pub trait Wire {
    /// Bytes that have come and are not read yet.
    fn waiting(&mut self) -> usize;

    /// Reads what has come, nothing if nothing has.
    ///
    /// # Errors
    /// There is nothing left to read, and nothing will come any more.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Gone>;

    /// Whether nothing more will come, whatever is still waiting.
    fn has_ended(&mut self) -> bool;

    /// Takes as much of `bytes` as there is room for.
    ///
    /// # Errors
    /// Nobody is there to take it.
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Gone>;

    /// What time it is.
    fn now(&mut self) -> Duration;

    /// Lets everything else go on for a moment; bytes come and go only meanwhile.
    fn pause(&mut self);
}

/// Why there is no connection over TLS, or not any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Its certificate is not one to believe.
    Unfit(Unfit),
    /// Its certificate is none, or none that is understood.
    Certificate,
    /// Certificate or handshake are signed by somebody else.
    Signature,
    /// It has not shown that it has the key of a certificate.
    Unproven,
    /// It says that it wants nothing to do with this device, or has found a fault.
    Alert,
    /// It asks for what this device does not do.
    Unasked,
    /// A record is not from who has shaken hands.
    Damaged,
    /// A record stands where it must not, or is longer than any.
    Record,
    /// It says a lot, and nothing in it.
    Idle,
    /// It takes too long.
    Late,
    /// It has ended the connection as it should be ended.
    Closed,
    /// The connection is gone.
    Gone,
    /// Whatever it says, it is no TLS 1.3 that is understood.
    Unclear,
}

impl Refused {
    /// The reason in words, of the server.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Unfit(unfit) => unfit.text(),
            Self::Certificate => "its certificate cannot be understood",
            Self::Signature => "its certificate or its signature is not genuine",
            Self::Unproven => "it has not shown that it has the key of a certificate",
            Self::Alert => "it does not want this device",
            Self::Unasked => "it asks for what this device does not do",
            Self::Damaged => "a record is damaged, or somebody else's",
            Self::Record => "a record stands where it must not",
            Self::Idle => "it says a lot, and nothing in it",
            Self::Late => "it takes too long",
            Self::Closed => "it has closed the connection",
            Self::Gone => "it has gone",
            Self::Unclear => "what it says cannot be understood",
        }
    }
}

impl core::fmt::Display for Refused {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for Refused {}

impl From<Gone> for Refused {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}
