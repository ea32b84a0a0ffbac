//! Messages of a server, and what is needed of a client's.

/// Numbers of messages.
pub const SERVER_HELLO: u8 = 2;
/// A session that could be taken up again.
pub const TICKET: u8 = 4;
/// What else the server agrees to.
pub const ENCRYPTED_EXTENSIONS: u8 = 8;
/// Certificates.
pub const CERTIFICATE: u8 = 11;
/// Asks the client who it is.
pub const CERTIFICATE_REQUEST: u8 = 13;
/// Shows that one has the key of the certificate.
pub const CERTIFICATE_VERIFY: u8 = 15;
/// The handshake is done.
pub const FINISHED: u8 = 20;
/// Other keys from now on.
pub const KEY_UPDATE: u8 = 24;

/// A message: number, length, body.
pub fn message(number: u8, body: &[u8]) -> Vec<u8> {
    [&[number], &counted::<3>(body)[..]].concat()
}

/// Bytes behind their length.
fn counted<const N: usize>(bytes: &[u8]) -> Vec<u8> {
    let len = (bytes.len() as u64).to_be_bytes();
    [&len[8 - N..], bytes].concat()
}

/// The answer to a client's hello: the server's share, a point as in SEC 1.
pub fn server_hello(share: &[u8]) -> Vec<u8> {
    let versions = [&[0, 43][..], &counted::<2>(&[3, 4])].concat();
    let share = [&[0, 51][..], &counted::<2>(&[&[0, 23], &counted::<2>(share)[..]].concat())];
    let extensions = counted::<2>(&[&versions[..], &share.concat()].concat());
    // No session, the suite, no compression.
    let body = [&[3, 3], &[0x33; 32][..], &[0], &[0x13, 0x01], &[0], &extensions];
    message(SERVER_HELLO, &body.concat())
}

/// Nothing more is agreed to.
pub fn encrypted_extensions() -> Vec<u8> {
    message(ENCRYPTED_EXTENSIONS, &[0, 0])
}

/// Certificates, DER, the server's own first.
pub fn certificate(certificates: &[&[u8]]) -> Vec<u8> {
    let entry = |der: &&[u8]| [counted::<3>(der), vec![0, 0]].concat();
    let entries: Vec<u8> = certificates.iter().flat_map(entry).collect();
    message(CERTIFICATE, &[&[0], &counted::<3>(&entries)[..]].concat())
}

/// A signature, DER, of ECDSA over P-256 with SHA-256.
pub fn certificate_verify(signature: &[u8]) -> Vec<u8> {
    message(CERTIFICATE_VERIFY, &[&[4, 3], &counted::<2>(signature)[..]].concat())
}

/// Asks who is there; `context` comes back with the answer.
pub fn certificate_request(context: &[u8]) -> Vec<u8> {
    let schemes = [&[0, 13][..], &counted::<2>(&counted::<2>(&[4, 3]))].concat();
    message(CERTIFICATE_REQUEST, &[counted::<1>(context), counted::<2>(&schemes)].concat())
}

/// The end of the handshake.
pub fn finished(sum: &[u8]) -> Vec<u8> {
    message(FINISHED, sum)
}

/// A ticket.
pub fn ticket() -> Vec<u8> {
    let body = [&[0, 0, 1, 0, 9, 9, 9, 9][..], &counted::<1>(&[1]), &counted::<2>(&[7; 32])];
    message(TICKET, &[&body.concat()[..], &[0, 0]].concat())
}

/// Asks for other keys.
pub fn key_update() -> Vec<u8> {
    message(KEY_UPDATE, &[0])
}

/// The client's share on P-256, in its hello.
pub fn share(hello: &[u8]) -> Option<&[u8]> {
    // Number and length, version, random bytes; then session, suites, compression.
    let mut rest = hello.get(4 + 2 + 32..)?;
    for width in [1, 2, 1] {
        rest = take(rest, width)?.1;
    }
    let (mut extensions, _) = take(rest, 2)?;
    while let Some((kind, behind)) = extensions.split_first_chunk::<2>() {
        let (value, behind) = take(behind, 2)?;
        extensions = behind;
        if *kind != [0, 51] {
            continue;
        }
        let (mut shares, _) = take(value, 2)?;
        while let Some((group, behind)) = shares.split_first_chunk::<2>() {
            let (point, behind) = take(behind, 2)?;
            shares = behind;
            if *group == [0, 23] {
                return Some(point);
            }
        }
    }
    None
}

/// Bytes behind their length, which has `width` bytes, and the rest.
fn take(bytes: &[u8], width: usize) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_at_checked(width)?;
    rest.split_at_checked(len.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)))
}
