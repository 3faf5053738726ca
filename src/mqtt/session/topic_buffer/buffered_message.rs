//! A message in a topic buffer.

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use crate::message::Received;

/// Bytes that a buffered message takes besides its message: its entries in the buffer, and the JSON around the parts of
/// the message.
const OVERHEAD: usize = 512;

/// A received message with its serialized form, which is made once for all readers.
#[derive(Debug)]
pub struct BufferedMessage {
    /// The message.
    pub message: Arc<Received>,
    /// When it came.
    pub time: SystemTime,
    form: OnceLock<Box<[u8]>>,
    /// Bytes that it takes in memory, its form included.
    pub(super) size: usize,
}

impl BufferedMessage {
    /// For a message that came just now.
    pub fn new(message: Arc<Received>) -> Self {
        let size = message.size() + message_form_size(&message) + OVERHEAD;
        Self { message, time: SystemTime::now(), form: OnceLock::new(), size }
    }

    /// Its serialized form. All readers must pass the same `make`.
    pub fn form(&self, make: impl FnOnce(&Self) -> Vec<u8>) -> &[u8] {
        self.form.get_or_init(|| make(self).into_boxed_slice())
    }
}

/// The maximum length of a message as JSON.
fn message_form_size(message: &Received) -> usize {
    let properties = &message.properties;
    let texts = [&properties.response_topic, &properties.content_type].into_iter().flatten().map(String::as_bytes);
    let pairs = properties.user_properties.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
    let parts = [message.topic.as_slice(), message.payload.as_slice()].into_iter();
    let parts = parts.chain(properties.correlation_data.as_deref()).chain(texts);
    // with quotation marks, brackets and commas
    parts.map(form_size).sum::<usize>() + pairs.map(|text| form_size(text) + 4).sum::<usize>()
}

/// The maximum length of a text as JSON, where some bytes are written as `\u0001`, or as base64.
fn form_size(payload: &[u8]) -> usize {
    let length = |byte: &u8| match byte {
        0..0x20 => 6,
        b'"' | b'\\' | 0x80.. => 2,
        _ => 1,
    };
    payload.iter().map(length).sum::<usize>().max(payload.len() * 4 / 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_covers_the_longest_form() {
        for text in ["text", "\u{1}\u{2}", "\"\\", "\u{7f}\u{80}ö\n"] {
            assert!(form_size(text.as_bytes()) + 2 >= serde_json::to_string(text).unwrap().len(), "{text:?}");
        }
        assert!(form_size(&[0xff; 90]) >= 120, "as base64");
        assert_eq!(form_size(b"\x01a\""), 9);
    }
}
