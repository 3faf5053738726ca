//! Hosts, origins and the paths of sockets.

use std::net::Ipv6Addr;
use std::path::PathBuf;

use toml::Value;

use super::base::{list, shown};

/// The longest path of a Unix socket, in bytes: 108 with the NUL after it (unix(7)).
const MAX_UNIX_PATH: usize = 107;

kinds! {
    /// Names in lower case, addresses in their shortest form and without brackets.
    struct Hosts -> Vec<String> = hosts;
    /// Origins as browsers write them (RFC 6454, 6.2), so that they can be compared byte by byte.
    struct Origins -> Vec<String> = origins;
}

pub fn unix_path(path: &str) -> Option<PathBuf> {
    let is_good = path.starts_with('/') && path.len() <= MAX_UNIX_PATH && !path.contains('\0');
    is_good.then(|| path.into())
}

/// What must hold for [`unix_path`].
pub fn unix_rule() -> String {
    format!("\"unix:\" and an absolute path of at most {MAX_UNIX_PATH} bytes")
}

/// Whether a text has only the characters of host names, and those that `is_letter` accepts.
pub fn is_host_name(text: &str, is_letter: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(|c| is_letter(c) || matches!(c, '.' | '-' | '_'))
}

fn is_ascii_host_name(text: &str) -> bool {
    is_host_name(text, |c| c.is_ascii_alphanumeric())
}

fn hosts(value: &Value) -> Result<Vec<String>, String> {
    list(value, "host names or addresses", |item| {
        let name = item.as_str().unwrap_or_default().to_ascii_lowercase();
        let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&name);
        match address.parse::<Ipv6Addr>() {
            Ok(address) => Ok(address.to_string()),
            Err(_) if is_ascii_host_name(&name) => Ok(name),
            Err(_) => {
                let allowed = "must be host names or addresses, without scheme, port and wildcard";
                Err(format!("{allowed}, not {}", shown(item)))
            }
        }
    })
}

fn origins(value: &Value) -> Result<Vec<String>, String> {
    list(value, "origins", |item| {
        let origin = item.as_str().unwrap_or_default().to_ascii_lowercase();
        let allowed = "must be origins such as \"https://example.com\" or \"http://example.com:8080\"";
        if is_origin(&origin) {
            Ok(origin)
        } else {
            Err(format!("{allowed}, without path, default port and wildcard, not {}", shown(item)))
        }
    })
}

fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_ipv6 = address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    let is_default = matches!((scheme, port), ("http", Some("80")) | ("https", Some("443")));
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(is_scheme)
        && (is_ipv6 || is_ascii_host_name(host))
        && port.is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok())
        && !is_default
}
