//! The keys that a board trusts.

use core::marker::PhantomData;

use updraft_image::{Decision, Digest, PublicKey, Software, Verifier};

use crate::Board;

/// Checks signatures in software, if the board file says that there are any: of a board whose images
/// are not signed, hashes alone are checked, and anybody can make an image.
#[derive(Clone, Copy, Debug)]
pub struct Keys<'k, B> {
    software: Software<'k>,
    board: PhantomData<B>,
}

impl<'k, B: Board> Keys<'k, B> {
    /// The board trusts `keys`.
    pub fn new(keys: &'k [PublicKey<'k>]) -> Self {
        Self { software: Software::new(keys), board: PhantomData }
    }
}

impl<'k, B: Board> Verifier for Keys<'k, B> {
    type Pure = <Software<'k> as Verifier>::Pure;

    fn demands_signature(&self) -> bool {
        B::FACTS.signature.is_some()
    }

    fn key(&self, index: usize) -> Option<PublicKey<'_>> {
        self.software.key(index)
    }

    fn verify(&mut self, index: usize, digest: &Digest, signature: &[u8]) -> Decision {
        self.software.verify(index, digest, signature)
    }

    fn verify_pure(&mut self, index: usize, signature: &[u8; 64]) -> Option<Self::Pure> {
        self.software.verify_pure(index, signature)
    }
}
