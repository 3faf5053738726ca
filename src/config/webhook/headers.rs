//! The headers that each request has besides those that the bridge sets. Faults never show their values.

use toml::{Table, Value};

use crate::config::fault::Fault;
use crate::config::kind::is_header_name;
use crate::config::mqtt::Secret;
use crate::config::secret_file::SecretFile;

/// The header whose value may be in a file.
pub const AUTHORIZATION: &str = "Authorization";
const MAX_HEADERS: usize = 32;
/// Of names and values together: by default, nginx and Apache refuse a single line that is longer.
const MAX_BYTES: usize = 8192;
/// What a value must be.
const VALUE_RULE: &str = "visible ASCII characters, with spaces and tabs only between them";

/// Headers that the bridge sets, or that belong to the transfer (RFC 9110, 7.6.1; RFC 9112).
const OWN: [&str; 11] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// How the names of others begin that the bridge sets.
const OWN_PREFIXES: [&str; 3] = ["mqtt-", "webhook-", "x-amz-mqtt5-"];

kinds! {
    struct Headers -> Vec<(String, Secret)> = headers;
}

fn headers(value: &Value) -> Result<Vec<(String, Secret)>, String> {
    let Value::Table(table) = value else {
        return Err("must be names and strings in braces, such as { X-Source = \"bridge\" }".to_owned());
    };
    if table.len() > MAX_HEADERS {
        return Err(format!("must have at most {MAX_HEADERS} headers"));
    }
    let headers = table.iter().map(|(name, value)| header(name, value, table)).collect::<Result<Vec<_>, _>>()?;
    let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.reveal().len()).sum();
    if bytes > MAX_BYTES {
        return Err(format!("must have at most {MAX_BYTES} bytes in all names and values together"));
    }
    Ok(headers)
}

fn header(name: &str, value: &Value, all: &Table) -> Result<(String, Secret), String> {
    if !is_header_name(name) {
        // the name is not shown: a whole line with a secret may stand in its place
        return Err("must have names of headers (RFC 9110, 5.1), each with a string".to_owned());
    }
    let lower = name.to_ascii_lowercase();
    if OWN.contains(&lower.as_str()) || OWN_PREFIXES.iter().any(|prefix| lower.starts_with(prefix)) {
        return Err(format!("must not have \"{name}\", which the bridge sets itself"));
    }
    if all.keys().filter(|other| other.eq_ignore_ascii_case(name)).count() > 1 {
        return Err(format!("must not have \"{name}\" twice: upper and lower case are the same in names"));
    }
    let value = value.as_str().filter(|value| is_value(value));
    let value = value.ok_or_else(|| format!("must have for \"{name}\" a string of {VALUE_RULE}"))?;
    Ok((name.to_owned(), Secret(value.to_owned())))
}

/// The value of [`AUTHORIZATION`] in a file.
pub fn authorization(file: &SecretFile) -> Result<Secret, Fault> {
    let value = file.line(MAX_BYTES as u64, &format!("value of {AUTHORIZATION}"))?;
    if value.is_empty() || !is_value(&value) {
        return Err(file.fault(&format!("must have {VALUE_RULE}")));
    }
    Ok(Secret(value))
}

/// A field value (RFC 9110, 5.5), without the bytes that RFC 9110 calls obsolete.
fn is_value(text: &str) -> bool {
    let is_blank = |c: char| matches!(c, ' ' | '\t');
    let is_allowed = |c: char| c.is_ascii_graphic() || is_blank(c);
    text.chars().all(is_allowed) && !text.starts_with(is_blank) && !text.ends_with(is_blank)
}
