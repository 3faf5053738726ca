//! Chunks (RFC 9112, 7.1), where `tiny_http` leaves them to us. Trailers are read and dropped.

use std::io::{self, ErrorKind, Read};

use super::framing::is_token;

/// Bytes that extensions and trailers may take together: as many as a head.
const MAX_EXTRAS: usize = 16 * 1024;
/// The most digits of a size, zeros before it included.
const MAX_DIGITS: usize = 32;

/// What is known of a body from one read to the next.
#[derive(Debug, Default)]
pub struct Chunks {
    place: Place,
    /// Bytes of extensions and trailers so far.
    extras: usize,
}

/// What comes next.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    #[default]
    Size,
    /// So many bytes of a chunk.
    Data(u64),
    /// The line end behind them.
    EndOfData,
    Trailers,
    Nothing,
}

impl Chunks {
    /// Reads data; nothing only behind the last chunk and its trailers, of which not a byte more is taken.
    ///
    /// # Errors
    /// Of the source; `UnexpectedEof` where it ends too early, and `InvalidData` with words for what no chunks are.
    pub fn read(&mut self, source: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            self.place = match self.place {
                Place::Size => match self.size(source)? {
                    0 => Place::Trailers,
                    size => Place::Data(size),
                },
                Place::Data(left) => {
                    let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                    let read = source.read(&mut buffer[..most])?;
                    if read == 0 {
                        return Err(ErrorKind::UnexpectedEof.into());
                    }
                    let left = left - read as u64;
                    self.place = if left == 0 { Place::EndOfData } else { Place::Data(left) };
                    return Ok(read);
                }
                Place::EndOfData if byte(source)? == b'\r' && byte(source)? == b'\n' => Place::Size,
                Place::EndOfData => return Err(invalid("a chunk is longer than its size")),
                Place::Trailers => match self.trailer(source)? {
                    None => Place::Nothing,
                    Some(name) if str::from_utf8(&name).is_ok_and(is_token) => Place::Trailers,
                    Some(_) => return Err(invalid("a trailer's name must be a token")),
                },
                Place::Nothing => return Ok(0),
            };
        }
    }

    /// Whether the last chunk and its trailers were read.
    pub fn are_complete(&self) -> bool {
        self.place == Place::Nothing
    }

    /// The size of the next chunk. What extends it counts for nothing.
    fn size(&mut self, source: &mut dyn Read) -> io::Result<u64> {
        let line = line(source, MAX_DIGITS + MAX_EXTRAS - self.extras)?;
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
        self.extras += line.len() - digits.len();
        // what the line has less of the one, it may not have more of the other
        if digits.len() > MAX_DIGITS || self.extras > MAX_EXTRAS {
            return Err(invalid("a line is too long"));
        }
        let digit = |byte: &u8| char::from(*byte).to_digit(16).map(u64::from);
        let add = |size: u64, byte| Some(size.checked_mul(16)? | digit(byte)?);
        let size = digits.iter().try_fold(0, add).filter(|_| !digits.is_empty());
        size.ok_or_else(|| invalid("the size of a chunk must be a hexadecimal number"))
    }

    /// The name of the next trailer; nothing behind the last.
    fn trailer(&mut self, source: &mut dyn Read) -> io::Result<Option<Vec<u8>>> {
        let mut line = line(source, MAX_EXTRAS - self.extras)?;
        self.extras += line.len();
        if line.is_empty() {
            return Ok(None);
        }
        let colon = line.iter().position(|byte| *byte == b':').ok_or_else(|| invalid("a trailer has no colon"))?;
        line.truncate(colon);
        Ok(Some(line))
    }
}

/// A line of so many bytes at most, without its end.
fn line(source: &mut dyn Read, max: usize) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    loop {
        match byte(source)? {
            b'\r' if byte(source)? == b'\n' => return Ok(line),
            b'\t' | b' '..=b'~' | 0x80.. if line.len() == max => return Err(invalid("a line is too long")),
            byte @ (b'\t' | b' '..=b'~' | 0x80..) => line.push(byte),
            _ => return Err(invalid("a line must not contain control characters")),
        }
    }
}

fn byte(source: &mut dyn Read) -> io::Result<u8> {
    let mut byte = [0];
    source.read_exact(&mut byte).map(|()| byte[0])
}

fn invalid(words: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, words)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The data, and what is left behind it; or what is wrong.
    fn decode(bytes: &[u8], piece: usize) -> Result<(Vec<u8>, Vec<u8>), (ErrorKind, String)> {
        let (mut chunks, mut source, mut data) = (Chunks::default(), bytes, Vec::new());
        loop {
            let mut buffer = vec![0; piece];
            let read = chunks.read(&mut source, &mut buffer).map_err(|error| (error.kind(), error.to_string()))?;
            if read == 0 {
                assert!(chunks.are_complete());
                return Ok((data, source.to_vec()));
            }
            data.extend_from_slice(&buffer[..read]);
        }
    }

    #[test]
    fn data_is_what_is_left_without_sizes_extensions_and_trailers() {
        for (bytes, data, rest) in [
            ("0\r\n\r\n", "", ""),
            ("3\r\nabc\r\n0\r\n\r\n", "abc", ""),
            ("001\r\na\r\n2;x=\"y\"\r\nbc\r\n00;z\r\n\r\nGET", "abc", "GET"),
            ("a \t;x\r\n0123456789\r\n0\r\nX-A: 1\r\nx-b:ö\r\n\r\n\r\n", "0123456789", "\r\n"),
            ("4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n", ""),
        ] {
            for piece in [1, 2, 3, 100] {
                assert_eq!(decode(bytes.as_bytes(), piece), Ok((data.into(), rest.into())), "{bytes:?}");
            }
        }
    }

    #[test]
    fn what_no_chunks_are_is_refused() {
        let long = format!("1;{}\r\n", "x".repeat(MAX_EXTRAS + MAX_DIGITS));
        let many = format!("0\r\n{}", format!("X: {}\r\n", "y".repeat(1000)).repeat(20));
        let extended = format!("1;{}\r\na\r\n", "y".repeat(1000)).repeat(20);
        let size = "the size of a chunk must be a hexadecimal number";
        let control = "a line must not contain control characters";
        for (bytes, words) in [
            ("\r\n", size),
            (";\r\n", size),
            ("zz\r\n", size),
            ("-1\r\n", size),
            ("+1\r\n", size),
            ("0x1\r\n", size),
            (" 1\r\n", size),
            ("1 1\r\n", size),
            ("10000000000000000\r\n", size),
            ("1\na\r\n", control),
            ("1\ra\r\n", control),
            ("1\0\r\n", control),
            ("2\r\nabc\r\n0\r\n\r\n", "a chunk is longer than its size"),
            ("0\r\nX\r\n\r\n", "a trailer has no colon"),
            ("0\r\n: 1\r\n\r\n", "a trailer's name must be a token"),
            ("0\r\nX : 1\r\n\r\n", "a trailer's name must be a token"),
            ("0\r\n X: 1\r\n\r\n", "a trailer's name must be a token"),
            (&long, "a line is too long"),
            (&many, "a line is too long"),
            (&extended, "a line is too long"),
        ] {
            let expected = Err((ErrorKind::InvalidData, words.to_owned()));
            assert_eq!(decode(bytes.as_bytes(), 10), expected, "{}", &bytes[..bytes.len().min(30)]);
        }
    }

    #[test]
    fn extensions_and_trailers_together_are_no_longer_than_a_head() {
        let too_long = Err((ErrorKind::InvalidData, "a line is too long".to_owned()));
        for extension in MAX_EXTRAS - 1..=MAX_EXTRAS + MAX_DIGITS {
            let line = format!("0;{}\r\n", "x".repeat(extension - 1));
            let is_allowed = extension <= MAX_EXTRAS;
            let expected = if is_allowed { Ok((Vec::new(), Vec::new())) } else { too_long.clone() };
            assert_eq!(decode(format!("{line}\r\n").as_bytes(), 10), expected, "{extension} bytes");
            let trailer = format!("{line}X: 1\r\n\r\n");
            assert_eq!(decode(trailer.as_bytes(), 10), too_long, "{extension} bytes and a trailer");
            let endless = format!("{line}X: {}", "y".repeat(4 * MAX_EXTRAS));
            assert_eq!(decode(endless.as_bytes(), 10), too_long, "{extension} bytes and a long trailer");
        }
        for digits in [MAX_DIGITS - 1, MAX_DIGITS] {
            let line = format!("{}\r\n\r\n", "0".repeat(digits));
            assert_eq!(decode(line.as_bytes(), 10), Ok((Vec::new(), Vec::new())), "{digits} digits");
        }
        let digits = format!("{}\r\n\r\n", "0".repeat(MAX_DIGITS + 1));
        assert_eq!(decode(digits.as_bytes(), 10), too_long);
    }

    proptest! {
        #[test]
        fn however_it_is_divided_it_comes_back_and_no_part_of_it_is_whole(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
            piece in 1usize..50,
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = Vec::new();
            for data in &pieces {
                bytes.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
                bytes.extend_from_slice(data);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\nX: 1\r\n\r\n");
            prop_assert_eq!(decode(&bytes, piece), Ok((pieces.concat(), Vec::new())));
            let part = &bytes[..cut.index(bytes.len())];
            prop_assert_eq!(decode(part, piece).map_err(|(kind, _)| kind), Err(ErrorKind::UnexpectedEof));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), piece in 1usize..20) {
            let _ = decode(&bytes, piece);
        }
    }
}
