//! What follows when a message is written.

/// What is called when a message is written.
pub struct Done {
    pub(super) call: Box<dyn FnOnce() + Send>,
    /// The broker delivers the message again if this is never called.
    pub(super) is_owed: bool,
}

impl Done {
    /// What is called, and whether the broker delivers the message again if that never happens.
    pub fn new(is_owed: bool, call: impl FnOnce() + Send + 'static) -> Self {
        Self { call: Box::new(call), is_owed }
    }
}
