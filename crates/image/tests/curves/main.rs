//! Signatures over P-256 and Ed25519: the verdicts of other implementations, and the corners that
//! verification is known to go wrong in.

mod ecdsa;
mod ed25519;
mod foreign;

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
