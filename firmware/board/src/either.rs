//! Two kinds of flash device on one board.

use updraft_flash::{Device, Geometry};

/// A device of one kind, or of another.
#[derive(Debug)]
pub enum Either<A, B> {
    /// Of the one.
    A(A),
    /// Of the other.
    B(B),
}

impl<A: Device, B: Device<Error = A::Error>> Device for Either<A, B> {
    type Error = A::Error;

    fn geometry(&self) -> Geometry<'_> {
        match self {
            Self::A(device) => device.geometry(),
            Self::B(device) => device.geometry(),
        }
    }

    fn read(&mut self, address: u32, buf: &mut [u8]) -> Result<(), A::Error> {
        match self {
            Self::A(device) => device.read(address, buf),
            Self::B(device) => device.read(address, buf),
        }
    }

    fn write(&mut self, address: u32, data: &[u8]) -> Result<(), A::Error> {
        match self {
            Self::A(device) => device.write(address, data),
            Self::B(device) => device.write(address, data),
        }
    }

    fn erase(&mut self, address: u32, len: u32) -> Result<(), A::Error> {
        match self {
            Self::A(device) => device.erase(address, len),
            Self::B(device) => device.erase(address, len),
        }
    }
}
