//! The authority of a URL, `HOST` or `HOST:PORT`: the name by which a client calls us.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A well-formed authority without user information (RFC 3986, 3.2).
#[derive(Debug, Clone, Copy)]
pub struct Authority<'a> {
    text: &'a str,
    /// Without brackets.
    host: &'a str,
    address: Option<IpAddr>,
}

impl<'a> Authority<'a> {
    /// Returns `None` if the text is malformed.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port),
            _ => (text, ""),
        };
        let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let address = match literal {
            Some(literal) => Some(IpAddr::V6(literal.parse::<Ipv6Addr>().ok()?)),
            None => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        };
        let is_name = literal.is_some() || host.bytes().all(is_name_character);
        let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
        (is_name && is_port).then_some(Self { text, host: literal.unwrap_or(host), address })
    }

    /// Whether the host is empty.
    pub fn is_empty(&self) -> bool {
        self.host.is_empty()
    }

    /// The text as it was sent.
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// Whether it can only mean this machine, whatever DNS says.
    pub fn is_loopback(&self) -> bool {
        self.address.map_or(self.host.eq_ignore_ascii_case("localhost"), |address| address.is_loopback())
    }

    /// Whether its host is one of these, which are canonical and in lower case as the configuration has them.
    pub fn is_one_of(&self, hosts: &[String]) -> bool {
        match self.address {
            Some(address) => hosts.contains(&address.to_string()),
            None => hosts.iter().any(|host| self.host.eq_ignore_ascii_case(host)),
        }
    }

    /// Whether a page of this origin was served under this authority.
    pub fn is_of_origin(&self, origin: &str) -> bool {
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        authority.is_some_and(|authority| !authority.is_empty() && authority.eq_ignore_ascii_case(self.text))
    }
}

/// The characters of a registered name (RFC 3986, 3.2.2).
fn is_name_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::server::{Target, TestHead};

    #[test]
    fn only_a_host_with_an_optional_port_is_well_formed() {
        for good in ["localhost", "a:80", "a:", "", "127.0.0.1:8000", "[::1]", "[::1]:8000", "a_b-c.example", "xn--a"] {
            assert!(Authority::parse(good).is_some(), "{good}");
        }
        for bad in
            ["u@a", "a b", "a/b", "a:b", "a:80:80", "::1", "[::1", "[a]", "[::1]x", "a?b", "a#b", "a\\b", "[::1%25lo]"]
        {
            assert!(Authority::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn only_names_that_need_no_dns_are_loopback() {
        for host in ["localhost", "LocalHost:1", "127.0.0.1", "127.255.255.254:80", "[::1]:8000", "[0:0::1]"] {
            assert!(Authority::parse(host).expect(host).is_loopback(), "{host}");
        }
        for host in ["localhost.", "localhost.evil.example", "0.0.0.0", "127.0.0.1.evil.example", "127.1", "[::]", ""] {
            assert!(!Authority::parse(host).expect(host).is_loopback(), "{host}");
        }
    }

    #[test]
    fn hosts_are_compared_without_port_or_case() {
        let hosts = ["bridge.example", "192.0.2.1", "2001:db8::1"].map(str::to_owned);
        for host in ["bridge.example", "BRIDGE.example:443", "192.0.2.1:80", "[2001:DB8:0::1]:80"] {
            assert!(Authority::parse(host).expect(host).is_one_of(&hosts), "{host}");
        }
        for host in ["bridge", "a.bridge.example", "bridge.example.", "192.0.2.10", "[2001:db8::2]", ""] {
            assert!(!Authority::parse(host).expect(host).is_one_of(&hosts), "{host}");
        }
    }

    #[test]
    fn our_own_origin_has_our_authority_and_an_http_scheme() {
        let here = Authority::parse("bridge.example:8000").unwrap();
        for origin in ["http://bridge.example:8000", "https://Bridge.example:8000"] {
            assert!(here.is_of_origin(origin), "{origin}");
        }
        for origin in
            ["null", "", "http://", "http://bridge.example", "ftp://bridge.example:8000", "bridge.example:8000"]
        {
            assert!(!here.is_of_origin(origin), "{origin}");
        }
        assert!(!Authority::parse("").unwrap().is_of_origin("http://"));
    }

    #[test]
    fn a_target_in_absolute_form_has_an_authority() {
        for (target, authority) in [
            ("/publish", None),
            ("/a?b=http://c/", None),
            ("*", None),
            ("http://host:1/publish", Some("host:1")),
            ("HTTPS://host", Some("host")),
            ("http://u@host?x", Some("u@host")),
            ("http:///x", Some("")),
        ] {
            let request = TestHead::get(target);
            assert_eq!(Target::authority_of(request.head()), authority, "{target}");
        }
    }
}
