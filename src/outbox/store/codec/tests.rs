//! What is written is read again, and what is damaged is an error.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::reader::{Malformed, VERSION};
use super::*;
use crate::message::{Message, MqttString, Properties, Qos, TopicName};
use crate::outbox::{Answer, KeyRecord, Settled, Settlement, Stored};
use crate::proptests;

fn time() -> impl Strategy<Value = SystemTime> {
    any::<u64>().prop_map(|nanoseconds| UNIX_EPOCH + Duration::from_nanos(nanoseconds))
}

fn topic() -> impl Strategy<Value = TopicName> {
    "[a-zé/]{1,20}".prop_map(|name| TopicName::try_from(name).unwrap())
}

fn mqtt_string() -> impl Strategy<Value = MqttString> {
    "[ -~é]{0,20}".prop_map(|text| MqttString::try_from(text).unwrap())
}

fn data() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

fn properties() -> impl Strategy<Value = Properties> {
    let parts = (
        any::<Option<bool>>(),
        any::<Option<u32>>(),
        option::of(topic()),
        option::of(data()),
        option::of(mqtt_string()),
        vec((mqtt_string(), mqtt_string()), 0..4),
    );
    parts.prop_map(|parts| Properties {
        payload_format_indicator: parts.0,
        message_expiry_interval: parts.1,
        response_topic: parts.2,
        correlation_data: parts.3,
        content_type: parts.4,
        user_properties: parts.5,
    })
}

fn settled() -> impl Strategy<Value = Settled> {
    let result = prop_oneof![Just(Settlement::Acknowledged), Just(Settlement::Expired), Just(Settlement::Refused)];
    let parts = (time(), result, any::<Option<u8>>(), any::<Option<String>>(), any::<bool>());
    parts.prop_map(|(at, result, reason_code, error, may_have_arrived)| Settled {
        at,
        result,
        reason_code,
        error: error.map(Into::into),
        may_have_arrived,
    })
}

fn stored() -> impl Strategy<Value = Stored> {
    let qos = prop_oneof![Just(Qos::AtMostOnce), Just(Qos::AtLeastOnce), Just(Qos::ExactlyOnce)];
    let message = (topic(), data(), qos, any::<bool>(), properties());
    let rest = (any::<u64>(), any::<String>(), time(), time(), option::of(settled()));
    (message, rest).prop_map(|((topic, payload, qos, retain, properties), rest)| Stored {
        message: Message { topic, payload, qos, retain, properties },
        size: rest.0,
        owner: rest.1.into(),
        since: rest.2,
        until: rest.3,
        settled: rest.4,
    })
}

fn record() -> impl Strategy<Value = KeyRecord> {
    let answer = (any::<u16>(), any::<u8>(), any::<Vec<u8>>(), any::<Option<String>>(), any::<bool>());
    let answer = answer.prop_map(|(status, code, body, location, not_stored)| Answer {
        status,
        code,
        body: body.into(),
        location: location.map(Into::into),
        not_stored,
    });
    let parts = (any::<String>(), any::<[u8; 32]>(), time(), option::of(answer));
    parts.prop_map(|(owner, request, since, answer)| KeyRecord { owner: owner.into(), request, since, answer })
}

proptest! {
    #![proptest_config(proptests::config())]

    #[test]
    fn a_message_is_written_and_read_again(stored in stored()) {
        let row = encode(&stored);
        prop_assert_eq!(decode(&row), Ok(stored));
    }

    #[test]
    fn a_key_is_written_and_read_again(record in record()) {
        prop_assert_eq!(decode_key(&encode_key(&record)), Ok(record));
    }

    #[test]
    fn no_part_of_a_row_and_no_longer_one_is_read(stored in stored(), record in record(), cut: prop::sample::Index) {
        let (mut message, mut key) = (encode(&stored), encode_key(&record));
        prop_assert!(decode(&message[..cut.index(message.len())]).is_err());
        prop_assert!(decode_key(&key[..cut.index(key.len())]).is_err());
        message.push(0);
        key.push(0);
        prop_assert_eq!(decode(&message), Err(Malformed::Length));
        prop_assert_eq!(decode_key(&key), Err(Malformed::Length));
    }

    /// What is read can only be written in one way, so that nothing of a row is passed over.
    #[test]
    fn a_changed_row_is_an_error_or_another_message(stored in stored(), at: prop::sample::Index, to: u8) {
        let mut row = encode(&stored);
        *at.get_mut(&mut row) = to;
        if let Ok(read) = decode(&row) {
            prop_assert_eq!(encode(&read), row);
        }
    }

    #[test]
    fn any_bytes_are_read_or_are_an_error(mut row: Vec<u8>) {
        if let Some(first) = row.first_mut() {
            *first = VERSION;
        }
        if let Ok(record) = decode_key(&row) {
            prop_assert_eq!(encode_key(&record), row.clone());
        }
        if let Ok(stored) = decode(&row) {
            prop_assert_eq!(encode(&stored), row);
        }
    }
}

#[test]
fn a_row_of_another_version_is_named() {
    assert_eq!(decode(&[2, 0]), Err(Malformed::Version(2)));
    assert_eq!(decode_key(&[]), Err(Malformed::Length));
    assert_eq!(Malformed::Version(2).to_string(), "version 2");
}

#[test]
fn a_time_before_1970_becomes_1970() {
    let early = UNIX_EPOCH - Duration::from_secs(1);
    let record = KeyRecord { owner: "".into(), request: [0; 32], since: early, answer: None };
    assert_eq!(decode_key(&encode_key(&record)).unwrap().since, UNIX_EPOCH);
}

/// The form of a row does not change while its version is 1.
#[test]
fn the_rows_of_the_corpus_are_read() {
    let row = include_bytes!("../../../../fuzz/corpus/outbox_row/all-properties");
    let stored = decode(row).unwrap();
    let Message { topic, payload, qos, retain, properties } = stored.message;
    assert_eq!((topic.as_str(), &*payload, qos, retain), ("doors/front", &b"hello"[..], Qos::ExactlyOnce, true));
    let text = |text: &str| MqttString::try_from(text.to_owned()).unwrap();
    let expected = Properties {
        payload_format_indicator: Some(true),
        message_expiry_interval: Some(60),
        response_topic: Some(TopicName::try_from("answers/1".to_owned()).unwrap()),
        correlation_data: Some(Bytes::from_static(b"\0\xff")),
        content_type: Some(text("text/plain")),
        user_properties: vec![(text("name"), text("wert\u{fc}")), (text(""), text(""))],
    };
    assert_eq!(properties, expected);
    let row = include_bytes!("../../../../fuzz/corpus/outbox_row/refused");
    let settled = decode(row).unwrap().settled.unwrap();
    assert_eq!((settled.result, settled.reason_code), (Settlement::Refused, Some(0x87)));
    assert_eq!((settled.error.as_deref(), settled.may_have_arrived), (Some("not authorized"), false));
}
