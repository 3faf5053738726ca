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

impl ReturnCode {
    /// The one with this number, which was one of them.
    pub fn of(number: u8) -> Self {
        match number {
            0 => Self::Success,
            3 => Self::Invalid,
            4 => Self::NoConnection,
            6 => Self::NotFound,
            7 => Self::ConnectionLost,
            9 => Self::PayloadSize,
            10 => Self::NotSupported,
            11 => Self::Authentication,
            12 => Self::AclDenied,
            15 => Self::QueueSize,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_found_by_its_number() {
        for number in [0, 3, 4, 6, 7, 9, 10, 11, 12, 13, 15] {
            assert_eq!(ReturnCode::of(number) as u8, number);
        }
    }
}
