//! Reason codes of MQTT 5 (2.4) for refusals of the bridge itself. EMQX defines which one stands for which refusal.

pub const IMPLEMENTATION_SPECIFIC: u8 = 131;
pub const TOPIC_NAME_INVALID: u8 = 144;
pub const QUOTA_EXCEEDED: u8 = 151;
pub const RETAIN_NOT_SUPPORTED: u8 = 154;
pub const QOS_NOT_SUPPORTED: u8 = 155;
