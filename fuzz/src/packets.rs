//! Several packets in one input: each with its length in front, 16 bits, little-endian. What is
//! left at the end is one more.

/// The packets of an input.
pub fn split(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (len, rest) = match data.split_first_chunk() {
            Some((len, rest)) => (usize::from(u16::from_le_bytes(*len)), rest),
            None => return None,
        };
        let (packet, rest) = rest.split_at(len.min(rest.len()));
        data = rest;
        Some(packet)
    })
}

/// One input of several packets.
pub fn join<P: AsRef<[u8]>>(packets: impl IntoIterator<Item = P>) -> Vec<u8> {
    let mut input = Vec::new();
    for packet in packets {
        let packet = packet.as_ref();
        input.extend((packet.len() as u16).to_le_bytes());
        input.extend(packet);
    }
    input
}
