//! `code`, the number in every JSON body that says what became of the request.

/// The `code` of the tutorial: the return codes of the Paho client library, by its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReturnCode {
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
