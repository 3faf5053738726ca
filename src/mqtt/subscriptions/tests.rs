//! The table of topic filters, event by event.
