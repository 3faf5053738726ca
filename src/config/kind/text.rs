//! Texts.

use toml::Value;

use super::base::{list, shown};
use crate::message::MqttString;

/// The longest UTF-8 string in MQTT, in bytes (MQTT 5, 1.5.4).
const MAX_STRING: usize = 65_535;
/// The longest path that Linux takes, in bytes: `PATH_MAX` without the NUL after it.
const MAX_PATH: usize = 4095;

kinds! {
    struct Text -> String = text;
    /// A user name or a client identifier: brokers end the connection over other strings (MQTT 5, 1.5.4).
    struct MqttText -> String = mqtt_text;
    /// A password. Errors never show any of it.
    struct SecretText -> String = secret_text;
    /// A payload: CONNECT has two bytes for the length of that of a last will (MQTT 5, 3.1.3.4).
    struct Payload -> String = payload;
    /// The path of a file.
    struct FilePath -> String = file_path;
    /// Names of protocols (RFC 7301, 3.1).
    struct Alpn -> Vec<String> = alpn;
}

pub fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        _ => Err(format!("must be a string, not {}", shown(value))),
    }
}

/// Whether it is a token, as names of headers are (RFC 9110, 5.1).
pub fn is_header_name(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token)
}

fn mqtt_text(value: &Value) -> Result<String, String> {
    let text = without_controls(text(value)?)?;
    MqttString::try_from(text).map(|text| text.as_str().to_owned()).map_err(|error| error.to_string())
}

fn secret_text(value: &Value) -> Result<String, String> {
    let text = value.as_str().ok_or("must be a string")?;
    without_controls(text.to_owned())
}

/// A text that was read from a file or put into a variable easily ends with a line end that nobody sees.
fn without_controls(text: String) -> Result<String, String> {
    let text = limited(text)?;
    if text.starts_with('\u{feff}') {
        Err("must not begin with a byte order mark (U+FEFF), which some editors write and nobody sees".to_owned())
    } else if text.ends_with('\n') {
        Err("must not end with a line end, as `echo` writes one".to_owned())
    } else if text.contains(char::is_control) {
        Err("must not contain control characters, such as a line end".to_owned())
    } else {
        Ok(text)
    }
}

fn payload(value: &Value) -> Result<String, String> {
    limited(text(value)?)
}

fn limited(text: String) -> Result<String, String> {
    if text.len() > MAX_STRING { Err(format!("must be at most {MAX_STRING} bytes long")) } else { Ok(text) }
}

fn file_path(value: &Value) -> Result<String, String> {
    let path = text(value)?;
    if path.is_empty() || path.len() > MAX_PATH || path.contains('\0') {
        Err("must be the path of a file".to_owned())
    } else {
        Ok(path)
    }
}

fn alpn(value: &Value) -> Result<Vec<String>, String> {
    list(value, "names of protocols", |item| {
        let name = text(item)?;
        let is_name = (1..=255).contains(&name.len());
        if is_name { Ok(name) } else { Err(format!("must be names of 1 to 255 bytes, not {}", shown(item))) }
    })
}
