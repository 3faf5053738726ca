//! Kinds of values: what TOML may have for a key, and what is made of it.

/// Declares kinds by the functions that read them: names for such, and then types that are their own kind.
macro_rules! kinds {
    ($($(#[$comment:meta])* struct $name:ident -> $value:ty = $check:expr;)* $($type:ty = $read:expr;)*) => {
        $(
            $(#[$comment])*
            pub struct $name;
            kinds!(@impl $name, $value, $check);
        )*
        $(kinds!(@impl $type, Self, $read);)*
    };
    (@impl $kind:ty, $value:ty, $read:expr) => {
        impl $crate::config::kind::Kind for $kind {
            type Value = $value;

            fn read(value: &toml::Value) -> Result<Self::Value, String> {
                $read(value)
            }
        }
    };
}

mod address;
mod base;
mod number;
mod text;
mod topic;

pub use self::address::{Hosts, Origins, is_host_name, unix_path, unix_rule};
pub use self::base::{Kind, choice, list, shown};
pub use self::number::{InBytes, InSeconds, LARGEST_PACKET, Rate, Seconds, Whole, whole_number};
pub use self::text::{Alpn, FilePath, MqttText, Payload, SecretText, Text, is_header_name, text};
pub use self::topic::Filters;
