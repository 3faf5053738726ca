//! The value of `server`: a host, a URL or the path of a socket.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;

use toml::Value;

use super::types::Place;
use crate::config::kind::{choice, is_host_name, shown, text, unix_path, unix_rule};

/// Where the broker is according to `server`.
#[derive(Debug, PartialEq, Eq)]
pub enum Location {
    /// A host name or address, IPv6 without brackets.
    Host(String),
    /// The absolute path of a Unix socket.
    Path(PathBuf),
    /// Host, port and the way to reach them.
    Url(Url),
}

/// A URL of a broker; it has no user, no query and no fragment.
#[derive(Debug, PartialEq, Eq)]
pub struct Url {
    pub scheme: &'static Scheme,
    /// With the port of the scheme, if it has none of its own.
    pub place: Place,
    /// Absolute; empty for schemes without a path.
    pub path: String,
}

/// The scheme of a URL.
#[derive(Debug, PartialEq, Eq)]
pub struct Scheme {
    name: &'static str,
    /// How the broker is reached.
    pub transport: Transport,
    /// Whether the connection has TLS.
    pub tls: bool,
    port: u16,
}

/// How a broker is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Tcp,
    Unix,
    WebSocket,
}

const SCHEMES: [Scheme; 4] = [
    Scheme { name: "mqtt", transport: Transport::Tcp, tls: false, port: 1883 },
    Scheme { name: "mqtts", transport: Transport::Tcp, tls: true, port: 8883 },
    Scheme { name: "ws", transport: Transport::WebSocket, tls: false, port: 80 },
    Scheme { name: "wss", transport: Transport::WebSocket, tls: true, port: 443 },
];

kinds! {
    Location = location;
    Transport = |value| {
        choice(value, &[("tcp", Self::Tcp), ("unix", Self::Unix), ("websocket", Self::WebSocket)])
    };
}

fn location(value: &Value) -> Result<Location, String> {
    let text = text(value)?;
    let path = text.strip_prefix("unix://").or(text.strip_prefix("unix:")).unwrap_or(&text);
    if path.starts_with('/') || path.len() < text.len() {
        let rule = || format!("{} where it is the path of a Unix socket", unix_rule());
        return unix_path(path).map(Location::Path).ok_or_else(|| format!("must be {}, not {}", rule(), shown(value)));
    }
    if text.contains('@') {
        // the text is not shown: it may have a password in it
        let what = "must have no user and password in it, which records would show: set `user` and `password`";
        return Err(what.to_owned());
    }
    let location = match text.split_once("://") {
        Some((scheme, rest)) => url(scheme, rest)?.map(Location::Url),
        None => host(&text, char::is_alphanumeric).map(Location::Host),
    };
    let allowed = "a host name or an address, without a port, or a URL such as \"mqtts://HOST:PORT\" or \"unix:/PATH\"";
    location.ok_or_else(|| format!("must be {allowed}, not {}", shown(value)))
}

/// A name or an address without its brackets.
fn host(text: &str, is_letter: impl Fn(char) -> bool) -> Option<String> {
    let address = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let is_ipv6 = address.parse::<Ipv6Addr>().is_ok();
    (is_ipv6 || is_host_name(text, is_letter)).then(|| address.to_owned())
}

/// Parses what is before and behind `://`; `None` if it is no URL of a broker (RFC 3986, 3).
fn url(scheme: &str, rest: &str) -> Result<Option<Url>, String> {
    let Some(scheme) = SCHEMES.iter().find(|known| known.name.eq_ignore_ascii_case(scheme)) else {
        return Err("must begin with mqtt://, mqtts://, ws://, wss:// or unix: where it is a URL".to_owned());
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (name, port) = match authority.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (authority, None),
    };
    let is_path = |c: char| c.is_ascii_alphanumeric() || "-._~%!$&'()*+,;=:/".contains(c);
    let path = match scheme.transport {
        Transport::WebSocket if path.is_empty() => "/",
        Transport::WebSocket if path.chars().all(is_path) => path,
        Transport::Tcp if matches!(path, "" | "/") => "",
        Transport::WebSocket => {
            return Err("must have no query and no fragment, and only what a path may have".to_owned());
        }
        _ => return Err(format!("must end with the port: there is no path in {}://", scheme.name)),
    };
    // an IPv6 address without its brackets would be ambiguous
    let is_bare = name.contains(':') && !name.starts_with('[');
    let host = host(name, |c| c.is_ascii_alphanumeric()).filter(|_| !is_bare);
    let number = |text: &str| text.parse().ok().filter(|&port| port > 0 && text.bytes().all(|b| b.is_ascii_digit()));
    let port = port.map_or(Some(scheme.port), number);
    Ok(host.zip(port).map(|(host, port)| Url { scheme, place: Place { host, port }, path: path.to_owned() }))
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => write!(f, "\"{host}\""),
            Self::Path(path) => write!(f, "\"unix:{}\"", path.display()),
            Self::Url(Url { scheme, place, path }) => write!(f, "\"{}://{place}{path}\"", scheme.name),
        }
    }
}
