//! Writes a stream for as long as the client reads it.

use std::io;
use std::time::{Duration, Instant};

use super::events::{COMMENT, END, PIECE, append_data, append_head, append_missed, append_refused, beginning};
use crate::http::server::Stream;
use crate::mqtt::{Handle, Listener};

/// The pause after which a comment is written, so that both ends notice a lost connection.
const COMMENT_PAUSE: Duration = Duration::from_secs(15);
/// How often the connection is checked for a client that may be gone.
const CHECK_PAUSE: Duration = Duration::from_secs(2);
/// The most comments that are written when a client can send nothing more. A client that is gone answers the first with
/// a reset, which the second reports; one that has only closed its sending side continues to read.
const MAX_PROBES: u32 = 2;
/// The time for which a client may read nothing before its stream ends.
const STALLED: Duration = Duration::from_secs(60);

/// Writes what the listener gets, until the client is gone or nothing more can come.
pub fn write(mut stream: Stream, mut listener: Listener, run: u64) -> io::Result<()> {
    let mut bytes = beginning();
    let (mut written, mut probes) = (Instant::now(), 0);
    loop {
        if !bytes.is_empty() {
            send(&mut stream, &bytes, &listener)?;
            bytes.clear();
            written = Instant::now();
        }
        let batch = listener.read((Instant::now() + CHECK_PAUSE).min(written + COMMENT_PAUSE));
        if let Some(missed) = batch.missed {
            append_missed(&mut bytes, missed)?;
        }
        for (position, event) in batch.messages {
            append_head(&mut bytes, (run, listener.buffer(), position))?;
            write_data(&mut stream, &listener, &event, &mut bytes)?;
        }
        if let Some(refusal) = batch.refused {
            append_refused(&mut bytes, refusal)?;
        }
        if batch.ended {
            return send(&mut stream, &bytes, &listener).and_then(|()| stream.finish());
        }
        if bytes.is_empty() {
            let is_probe = probes < MAX_PROBES && stream.is_at_end();
            probes += u32::from(is_probe);
            if is_probe || written.elapsed() >= COMMENT_PAUSE {
                bytes.extend_from_slice(COMMENT);
            }
        }
    }
}

/// Appends the data of a message event and its end, and sends what is more than a piece.
fn write_data(stream: &mut Stream, listener: &Listener, event: &Handle, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut rest = Some(0);
    while let Some(from) = rest {
        rest = append_data(event, from, bytes)?;
        if bytes.len() >= PIECE {
            send(stream, bytes, listener)?;
            bytes.clear();
        }
    }
    bytes.extend_from_slice(END);
    Ok(())
}

fn send(stream: &mut Stream, bytes: &[u8], listener: &Listener) -> io::Result<()> {
    stream.send(bytes, STALLED, || listener.is_ended())
}
