//! The row of a message in the file of the outbox.

use mqtt_bridge::outbox::row_again;

use super::assert_one_printable_line;

/// A row is refused in one line, or is written again as it was: nothing of it is passed over.
pub fn outbox_row(row: &[u8]) {
    match row_again(row) {
        Ok(again) => assert_eq!(again, row),
        Err(error) => assert_one_printable_line(&error),
    }
}
