//! Decodes chunks (RFC 9112, 7.1) where tiny_http gives the raw bytes. Trailers are read and dropped.

use std::io::{self, ErrorKind, Read};

use super::framing::is_token;

/// The most bytes of extensions and trailers together: as many as of a head.
const MAX_EXTRAS: usize = 16 * 1024;
/// The most digits of a size, leading zeros included.
const MAX_DIGITS: usize = 32;

/// The state of the decoder between two reads.
#[derive(Debug, Default)]
pub struct Chunks {
    next: Next,
    /// Bytes of extensions and trailers so far.
    extras: usize,
}

/// What comes next in the body.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Next {
    #[default]
    Size,
    /// This many bytes of a chunk, and the line end behind it.
    Data(u64),
    Trailers,
    Nothing,
}

impl Chunks {
    /// Reads data. Returns 0 behind the last chunk and its trailers only, and reads not a byte beyond them.
    ///
    /// # Errors
    /// Those of the source; `UnexpectedEof` where it ends too early, and `InvalidData` for invalid chunks.
    pub fn read(&mut self, source: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            self.next = match self.next {
                Next::Size => match self.size(source)? {
                    0 => Next::Trailers,
                    size => Next::Data(size),
                },
                Next::Data(0) if byte(source)? == b'\r' && byte(source)? == b'\n' => Next::Size,
                Next::Data(0) => return Err(invalid("a chunk is longer than its size")),
                Next::Data(left) => {
                    let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                    let read = source.read(&mut buffer[..most])?;
                    if read == 0 {
                        return Err(ErrorKind::UnexpectedEof.into());
                    }
                    self.next = Next::Data(left - read as u64);
                    return Ok(read);
                }
                Next::Trailers => match self.trailer(source)? {
                    None => Next::Nothing,
                    Some(name) if str::from_utf8(&name).is_ok_and(is_token) => Next::Trailers,
                    Some(_) => return Err(invalid("a trailer's name must be a token")),
                },
                Next::Nothing => return Ok(0),
            };
        }
    }

    /// Whether the last chunk and its trailers were read.
    pub fn are_complete(&self) -> bool {
        self.next == Next::Nothing
    }

    /// Reads the size of the next chunk, and ignores its extensions.
    fn size(&mut self, source: &mut dyn Read) -> io::Result<u64> {
        let line = line(source, MAX_DIGITS + MAX_EXTRAS - self.extras)?;
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
        self.extras += line.len() - digits.len();
        // the line was limited by the sum of both
        if digits.len() > MAX_DIGITS || self.extras > MAX_EXTRAS {
            return Err(invalid("a line is too long"));
        }
        let digit = |byte: &u8| char::from(*byte).to_digit(16).map(u64::from);
        let add = |size: u64, byte| Some(size.checked_mul(16)? | digit(byte)?);
        let size = digits.iter().try_fold(0, add).filter(|_| !digits.is_empty());
        size.ok_or_else(|| invalid("the size of a chunk must be a hexadecimal number"))
    }

    /// Reads the next trailer and returns its name; `None` behind the last.
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

/// Reads a line of at most `max` bytes, and returns it without its end.
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

fn invalid(message: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns the data and the bytes behind the chunks, or the error.
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
    fn sizes_extensions_and_trailers_are_removed() {
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
    fn invalid_chunks_are_refused() {
        let long = format!("1;{}\r\n", "x".repeat(MAX_EXTRAS + MAX_DIGITS));
        let many = format!("0\r\n{}", format!("X: {}\r\n", "y".repeat(1000)).repeat(20));
        let extended = format!("1;{}\r\na\r\n", "y".repeat(1000)).repeat(20);
        let size = "the size of a chunk must be a hexadecimal number";
        let control = "a line must not contain control characters";
        for (bytes, message) in [
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
            let expected = Err((ErrorKind::InvalidData, message.to_owned()));
            assert_eq!(decode(bytes.as_bytes(), 10), expected, "{}", &bytes[..bytes.len().min(30)]);
        }
    }

    #[test]
    fn extensions_and_trailers_together_are_limited() {
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
        #![proptest_config(crate::proptests::config())]

        #[test]
        fn chunks_of_any_size_are_decoded_and_incomplete_ones_are_refused(
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
        fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), piece in 1usize..20) {
            let _ = decode(&bytes, piece);
        }
    }
}
