//! Archives of images: whatever comes, and in whatever order, what is taken for an image lies within
//! its size and is where the reader says afterwards; and the same is made of it in any pieces.

use updraft_ota::archive::{IMAGES, Malformed, Member, Piece, Place, Reader, write};

/// Bytes of the pieces that they come in.
const PIECES: [usize; 3] = [512, 4096, usize::MAX];

/// Reads it in order; returns what was found of the images.
fn read(file: &[u8], piece: usize) -> Result<Vec<Vec<u8>>, Malformed> {
    let mut reader = Reader::new(file.len() as u32);
    let mut images = vec![Vec::new(); IMAGES];
    for (number, block) in file.chunks(piece.min(file.len().max(1))).enumerate() {
        let (mut at, mut rest) = ((number * piece.min(file.len())) as u32, block);
        while !rest.is_empty() {
            let before = reader.needs();
            let (found, more) = reader.next(at, rest)?;
            match found {
                Piece::Image { image, offset, data } => {
                    let size = reader.image(image).expect("there is one");
                    assert!(offset as usize + data.len() <= size as usize && !data.is_empty());
                    assert!(
                        matches!(reader.place(at), Place::Image { image: i, offset: o, .. } if i == image && o == offset)
                    );
                    images[usize::from(image)].extend_from_slice(data);
                }
                Piece::Frame => assert!(more.len() < rest.len()),
                Piece::Ahead => unreachable!("in order, everything is known"),
            }
            assert!(reader.needs() >= before || reader.needs().is_none());
            at += (rest.len() - more.len()) as u32;
            rest = more;
        }
    }
    Ok(images)
}

/// Gives every record the sum that it should have: without, hardly a change comes further.
fn with_sums(file: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    for record in file.chunks_exact_mut(512).filter(|record| record[257..262] == *b"ustar") {
        record[148..156].fill(b' ');
        let sum: u32 = record.iter().map(|byte| u32::from(*byte)).sum();
        record[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    file
}

/// The first byte says in what order they come besides, and whether their sums are mended.
pub fn run(data: &[u8]) {
    let Some((stride, file)) = data.split_first() else { return };
    let mended = if stride & 1 == 1 { with_sums(file) } else { file.to_vec() };
    let file = &mended[..];
    let [small, block, whole] = PIECES.map(|piece| read(file, piece));
    // What is refused is refused in each, though not necessarily for the same reason.
    assert!(small.is_ok() == block.is_ok() && block.is_ok() == whole.is_ok());
    if let (Ok(small), Ok(block), Ok(whole)) = (&small, &block, &whole) {
        assert!(small == block && block == whole);
    }
    let mut reader = Reader::new(file.len() as u32);
    let (count, stride) = (file.len() / 512, usize::from(*stride));
    for turn in 0..2 * count {
        let number = turn * (2 * stride + 1) % count;
        let Ok((piece, _)) = reader.next(512 * number as u32, &file[512 * number..][..512]) else {
            break;
        };
        if let Piece::Image { image, offset, data } = piece {
            let size = reader.image(image).expect("there is one");
            assert!(offset as usize + data.len() <= size as usize);
        }
    }
}

/// Archives of one image and of two.
pub fn seeds() -> Vec<Vec<u8>> {
    let data: Vec<u8> = (0..1500u32).map(|at| at as u8).collect();
    let application = Member { name: "cm4.bin", image: 0, data: &data };
    let secure = Member { name: "cm0.bin", image: 1, data: &data[..600] };
    let lists: [&[Member<'_>]; 2] = [&[application], &[secure, application]];
    let written = lists.map(|members| {
        let mut file = vec![3];
        let sink = |piece: &[u8]| -> Result<(), std::convert::Infallible> {
            file.extend_from_slice(piece);
            Ok(())
        };
        write(updraft_ota::Version::new(2, 0, 0), members, sink).expect("it can be written");
        file
    });
    let foreign = crate::repository_file("vectors/ota/archive-gnu.tar");
    written.into_iter().chain([[&[5][..], &foreign].concat()]).collect()
}
