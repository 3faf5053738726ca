//! The last messages of each topic filter, which any number of readers read at their own pace.
//!
//! A reader that falls behind loses the oldest messages and is told how many. Nothing waits for a reader.

mod batch;
mod budget;
mod buffered_message;
mod gaps;

mod buffer;
mod reader;

mod notices;

pub use self::batch::{Batch, Handle, Missed};
pub use self::budget::Budget;
pub use self::buffer::{Retained, TopicBuffer};
pub use self::buffered_message::BufferedMessage;
pub use self::reader::{Reader, Start};

#[cfg(test)]
mod tests;
