//! The reason codes of MQTT 5 as numbers, from rumqttc's enums.

use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, PubAckReason, PubRecReason, SubscribeReasonCode, UnsubAckReason};

/// The granted QoS, or the reason code of a refusal (MQTT 5, 3.9.3).
pub fn granted(code: SubscribeReasonCode) -> Result<u8, u8> {
    match code {
        SubscribeReasonCode::Success(qos) => Ok(qos as u8),
        SubscribeReasonCode::Failure | SubscribeReasonCode::Unspecified => Err(128),
        SubscribeReasonCode::ImplementationSpecific => Err(131),
        SubscribeReasonCode::NotAuthorized => Err(135),
        SubscribeReasonCode::TopicFilterInvalid => Err(143),
        SubscribeReasonCode::PkidInUse => Err(145),
        SubscribeReasonCode::QuotaExceeded => Err(151),
        SubscribeReasonCode::SharedSubscriptionsNotSupported => Err(158),
        SubscribeReasonCode::SubscriptionIdNotSupported => Err(161),
        SubscribeReasonCode::WildcardSubscriptionsNotSupported => Err(162),
    }
}

/// The reason code of a failure (MQTT 5, 3.11.3). No subscription existed: that is not one.
pub fn unsuback_failure(reason: UnsubAckReason) -> Option<u8> {
    match reason {
        UnsubAckReason::Success | UnsubAckReason::NoSubscriptionExisted => None,
        UnsubAckReason::UnspecifiedError => Some(128),
        UnsubAckReason::ImplementationSpecificError => Some(131),
        UnsubAckReason::NotAuthorized => Some(135),
        UnsubAckReason::TopicFilterInvalid => Some(143),
        UnsubAckReason::PacketIdentifierInUse => Some(145),
    }
}

/// The code in a PUBACK (MQTT 5, 3.4.2.1).
pub fn puback_code(reason: PubAckReason) -> u8 {
    match reason {
        PubAckReason::Success => 0,
        PubAckReason::NoMatchingSubscribers => 16,
        PubAckReason::UnspecifiedError => 128,
        PubAckReason::ImplementationSpecificError => 131,
        PubAckReason::NotAuthorized => 135,
        PubAckReason::TopicNameInvalid => 144,
        PubAckReason::PacketIdentifierInUse => 145,
        PubAckReason::QuotaExceeded => 151,
        PubAckReason::PayloadFormatInvalid => 153,
    }
}

/// The code in a PUBREC (MQTT 5, 3.5.2.1).
pub fn pubrec_code(reason: PubRecReason) -> u8 {
    match reason {
        PubRecReason::Success => 0,
        PubRecReason::NoMatchingSubscribers => 16,
        PubRecReason::UnspecifiedError => 128,
        PubRecReason::ImplementationSpecificError => 131,
        PubRecReason::NotAuthorized => 135,
        PubRecReason::TopicNameInvalid => 144,
        PubRecReason::PacketIdentifierInUse => 145,
        PubRecReason::QuotaExceeded => 151,
        PubRecReason::PayloadFormatInvalid => 153,
    }
}

/// The code in a CONNACK (MQTT 5, 3.2.2.2).
pub fn connack_code(code: ConnectReturnCode) -> u8 {
    match code {
        ConnectReturnCode::Success => 0,
        ConnectReturnCode::RefusedProtocolVersion => 1,
        ConnectReturnCode::BadClientId => 2,
        ConnectReturnCode::ServiceUnavailable => 3,
        ConnectReturnCode::UnspecifiedError => 128,
        ConnectReturnCode::MalformedPacket => 129,
        ConnectReturnCode::ProtocolError => 130,
        ConnectReturnCode::ImplementationSpecificError => 131,
        ConnectReturnCode::UnsupportedProtocolVersion => 132,
        ConnectReturnCode::ClientIdentifierNotValid => 133,
        ConnectReturnCode::BadUserNamePassword => 134,
        ConnectReturnCode::NotAuthorized => 135,
        ConnectReturnCode::ServerUnavailable => 136,
        ConnectReturnCode::ServerBusy => 137,
        ConnectReturnCode::Banned => 138,
        ConnectReturnCode::BadAuthenticationMethod => 140,
        ConnectReturnCode::TopicNameInvalid => 144,
        ConnectReturnCode::PacketTooLarge => 149,
        ConnectReturnCode::QuotaExceeded => 151,
        ConnectReturnCode::PayloadFormatInvalid => 153,
        ConnectReturnCode::RetainNotSupported => 154,
        ConnectReturnCode::QoSNotSupported => 155,
        ConnectReturnCode::UseAnotherServer => 156,
        ConnectReturnCode::ServerMoved => 157,
        ConnectReturnCode::ConnectionRateExceeded => 159,
    }
}
