//! The row of a message.

use bytes::Bytes;

use super::reader::{Malformed, Reader};
use super::writer::Writer;
use crate::message::{Message, MqttString, Properties, Qos, TopicName};
use crate::outbox::{Settled, Settlement, Stored};

/// The row of a message.
pub fn encode(stored: &Stored) -> Vec<u8> {
    let message = &stored.message;
    let mut row = Writer::new(message.payload.len() + message.topic.as_str().len() + 128);
    row.bytes(stored.owner.as_bytes());
    row.time(stored.since);
    row.time(stored.until);
    row.array(stored.size.to_le_bytes());
    row.byte(u8::from(stored.settled.is_some()));
    if let Some(settled) = &stored.settled {
        encode_settled(&mut row, settled);
    }
    row.byte(message.qos as u8);
    row.byte(u8::from(message.retain));
    row.bytes(message.topic.as_str().as_bytes());
    encode_properties(&mut row, &message.properties);
    row.bytes(&message.payload);
    row.finish()
}

fn encode_settled(row: &mut Writer, settled: &Settled) {
    row.time(settled.at);
    row.byte(match settled.result {
        Settlement::Acknowledged => 0,
        Settlement::Expired => 1,
        Settlement::Refused => 2,
    });
    row.byte(u8::from(settled.reason_code.is_some()));
    settled.reason_code.iter().for_each(|code| row.byte(*code));
    row.byte(u8::from(settled.error.is_some()));
    settled.error.iter().for_each(|error| row.bytes(error.as_bytes()));
    row.byte(u8::from(settled.may_have_arrived));
}

fn encode_properties(row: &mut Writer, properties: &Properties) {
    row.byte(match properties.payload_format_indicator {
        None => 0,
        Some(false) => 1,
        Some(true) => 2,
    });
    row.byte(u8::from(properties.message_expiry_interval.is_some()));
    properties.message_expiry_interval.iter().for_each(|seconds| row.array(seconds.to_le_bytes()));
    row.byte(u8::from(properties.response_topic.is_some()));
    properties.response_topic.iter().for_each(|topic| row.bytes(topic.as_str().as_bytes()));
    row.byte(u8::from(properties.correlation_data.is_some()));
    properties.correlation_data.iter().for_each(|data| row.bytes(data));
    row.byte(u8::from(properties.content_type.is_some()));
    properties.content_type.iter().for_each(|text| row.bytes(text.as_str().as_bytes()));
    for (name, value) in &properties.user_properties {
        row.byte(1);
        row.bytes(name.as_str().as_bytes());
        row.bytes(value.as_str().as_bytes());
    }
    row.byte(0);
}

/// The message in a row.
pub fn decode(row: &[u8]) -> Result<Stored, Malformed> {
    let mut row = Reader::new(row)?;
    let owner = row.text("the owner")?.into();
    let (since, until) = (row.time()?, row.time()?);
    let size = row.number()?;
    let settled = row.flag("an outcome")?.then(|| settled(&mut row)).transpose()?;
    let qos = Qos::try_from(i64::from(row.byte()?)).map_err(|_| Malformed::Part("the QoS"))?;
    let retain = row.flag("the retain flag")?;
    let topic = topic(&mut row)?;
    let properties = properties(&mut row)?;
    let payload = Bytes::copy_from_slice(row.bytes()?);
    row.end()?;
    let message = Message { topic, payload, qos, retain, properties };
    Ok(Stored { message, size, owner, since, until, settled })
}

fn settled(row: &mut Reader) -> Result<Settled, Malformed> {
    Ok(Settled {
        at: row.time()?,
        result: match row.byte()? {
            0 => Settlement::Acknowledged,
            1 => Settlement::Expired,
            2 => Settlement::Refused,
            _ => return Err(Malformed::Part("an outcome")),
        },
        reason_code: row.flag("a reason code")?.then(|| row.byte()).transpose()?,
        error: row.optional_text("an error")?.map(Into::into),
        may_have_arrived: row.flag("an outcome")?,
    })
}

fn topic(row: &mut Reader) -> Result<TopicName, Malformed> {
    TopicName::try_from(row.text("a topic")?.to_owned()).map_err(|_| Malformed::Part("a topic"))
}

fn mqtt_string(row: &mut Reader) -> Result<MqttString, Malformed> {
    MqttString::try_from(row.text("a property")?.to_owned()).map_err(|_| Malformed::Part("a property"))
}

fn properties(row: &mut Reader) -> Result<Properties, Malformed> {
    const PART: &str = "a property";
    let payload_format_indicator = match row.byte()? {
        0 => None,
        1 => Some(false),
        2 => Some(true),
        _ => return Err(Malformed::Part(PART)),
    };
    let message_expiry_interval = row.flag(PART)?.then(|| row.array().map(u32::from_le_bytes)).transpose()?;
    let response_topic = row.flag(PART)?.then(|| topic(row)).transpose()?;
    let correlation_data = row.flag(PART)?.then(|| row.bytes().map(Bytes::copy_from_slice)).transpose()?;
    let content_type = row.flag(PART)?.then(|| mqtt_string(row)).transpose()?;
    let mut user_properties = Vec::new();
    while row.flag(PART)? {
        user_properties.push((mqtt_string(row)?, mqtt_string(row)?));
    }
    Ok(Properties {
        payload_format_indicator,
        message_expiry_interval,
        response_topic,
        correlation_data,
        content_type,
        user_properties,
    })
}
