//! The numbers by which answers say what became of a request.

/// The tutorial's `code`, with the meanings and numbers of paho's return codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    Success = 0,
    Invalid = 3,
    NoConnection = 4,
    NotFound = 6,
    ConnectionLost = 7,
    PayloadSize = 9,
    NotSupported = 10,
    Authentication = 11,
    AclDenied = 12,
    Unknown = 13,
    QueueSize = 15,
}
