//! The row of an idempotency key.

use super::reader::{Malformed, Reader};
use super::writer::Writer;
use crate::outbox::{Answer, KeyRecord};

/// The row of the record.
pub fn encode_key(record: &KeyRecord) -> Vec<u8> {
    let mut row = Writer::new(256);
    row.bytes(record.owner.as_bytes());
    row.array(record.request);
    row.time(record.since);
    row.byte(u8::from(record.answer.is_some()));
    if let Some(answer) = &record.answer {
        row.array(answer.status.to_le_bytes());
        row.byte(answer.code);
        row.bytes(&answer.body);
        row.byte(u8::from(answer.location.is_some()));
        if let Some(location) = &answer.location {
            row.bytes(location.as_bytes());
        }
        row.byte(u8::from(answer.not_stored));
    }
    row.finish()
}

/// The record in a row.
pub fn decode_key(row: &[u8]) -> Result<KeyRecord, Malformed> {
    let mut row = Reader::new(row)?;
    let owner = row.text("the owner")?.into();
    let request = row.array()?;
    let since = row.time()?;
    let answer = row.flag("an answer")?.then(|| decode_answer(&mut row)).transpose()?;
    row.end()?;
    Ok(KeyRecord { owner, request, since, answer })
}

fn decode_answer(row: &mut Reader) -> Result<Answer, Malformed> {
    Ok(Answer {
        status: u16::from_le_bytes(row.array()?),
        code: row.byte()?,
        body: row.bytes()?.into(),
        location: row.optional_text("a location")?.map(Into::into),
        not_stored: row.flag("whether it may be cached")?,
    })
}
