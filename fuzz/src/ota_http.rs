//! Answers of HTTP servers: whatever comes, and in whatever pieces, no more is kept than was asked
//! for, and the same is made of it.

use updraft_ota::http::Exchange;

/// The first byte says in what pieces, the second one which part was asked for.
pub fn run(data: &[u8]) {
    let Some(([piece, part], stream)) = data.split_first_chunk() else { return };
    let part = part.checked_sub(1).map(|from| (u32::from(from), 64));
    let take = |size: usize| {
        let mut memory = [0; 128];
        let mut exchange = Exchange::new(&mut memory);
        exchange.begin(part);
        for bytes in stream.chunks(size) {
            match exchange.take(bytes) {
                Ok(taken) if taken < bytes.len() => break,
                Ok(_) => {}
                Err(reason) => return Err(reason),
            }
        }
        if exchange.is_awaited() {
            exchange.closed()?;
        }
        let answer = exchange.answer().map(|answer| {
            assert!(answer.body.len() <= 128);
            let good = part.map(|(from, len)| answer.part(from, len).map(|it| it.0.len()));
            assert!(good.is_none_or(|good| good.is_ok_and(|len| len <= 64)) || part.is_some());
            (answer.head, answer.body.to_vec())
        });
        Ok(answer)
    };
    assert_eq!(take(usize::from(*piece) + 1), take(stream.len().max(1)));
}

/// Answers that go well.
pub fn seeds() -> Vec<Vec<u8>> {
    let part = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-3/4\r\nContent-Length: 4\r\n\r\nabcd";
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\n\r\n";
    let open = b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nabc";
    let hint = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nRetry-After: 3\r\n\r\n";
    vec![
        [&[0, 1][..], part].concat(),
        [&[9, 0][..], chunked].concat(),
        [&[255, 0][..], open].concat(),
        [&[3, 0][..], hint].concat(),
    ]
}
