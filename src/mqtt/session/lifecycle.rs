//! How far a stop of the process has come.

/// The phases of the publisher and of the subscriber.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Lifecycle {
    #[default]
    Running,
    /// Nothing new is accepted, and what was accepted is settled.
    Draining,
    /// Everything is settled: the connection is to end, and no deadlines count any more.
    Ended,
}
