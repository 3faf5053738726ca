//! The URL of an endpoint. Path and query may have a secret in them: faults and records never show them.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::config::kind::{is_host_name, text};
use crate::tls::is_server_name;

/// In bytes.
const MAX_URL: usize = 2048;

/// The URL of an endpoint, without user name, password and fragment. Shown up to its path.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// As it is in the configuration.
    pub text: String,
    /// It begins with `https://`.
    pub is_https: bool,
    /// Host name or address, an IPv6 address without brackets.
    pub host: String,
}

impl Url {
    /// Whether the host is this machine, so that nobody else sees what is sent (RFC 6761, 6.3).
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = self.host.to_ascii_lowercase();
        let name = host.strip_suffix('.').unwrap_or(&host);
        name == "localhost"
            || name.ends_with(".localhost")
            || host.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback())
            || host.parse().is_ok_and(|address: Ipv6Addr| address.is_loopback())
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.text.find("://").map_or(0, |at| at + 3);
        let end = self.text[start..].find(['/', '?']).map(|at| start + at);
        match end {
            Some(end) => write!(f, "{}/…", &self.text[..end]),
            None => f.write_str(&self.text),
        }
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

kinds! {
    Url = |value| text(value).and_then(parse);
}

fn parse(text: String) -> Result<Url, String> {
    if text.len() > MAX_URL {
        return Err(format!("must be at most {MAX_URL} bytes long"));
    }
    let (is_https, rest) = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
        _ => return Err("must begin with https:// or http://".to_owned()),
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if authority.contains('@') {
        let what = "must have no user name and password in it: set `headers` or `authorization-file`";
        return Err(what.to_owned());
    }
    if path.contains('#') {
        return Err("must have no fragment, which begins with #: it is never sent".to_owned());
    }
    // RFC 3986, 2; brackets are common in queries
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-._~:/?[]@!$&'()*+,;=%".contains(c);
    if !path.chars().all(is_allowed) {
        return Err("must have only characters of URLs, without spaces: %20 is a space".to_owned());
    }
    let (name, port) = match authority.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (authority, None),
    };
    let is_port = |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse().is_ok_and(|port: u16| port > 0);
    if !port.is_none_or(is_port) {
        return Err("must have a port from 1 to 65535 behind the host, or none".to_owned());
    }
    let allowed = "must have a host that is a name of DNS or an address, an IPv6 address in brackets";
    let host = host(name).ok_or(allowed)?.to_owned();
    Ok(Url { text, is_https, host })
}

fn host(name: &str) -> Option<&str> {
    match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok().then_some(address),
        None => Some(name).filter(|name| is_host_name(name, |c| c.is_ascii_alphanumeric()) && is_server_name(name)),
    }
}
