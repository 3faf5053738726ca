//! The credentials of a request, which identify a token.

use crate::http::input::values::base64;

pub struct Credentials {
    /// The name of the token, which `Bearer` leaves out.
    pub name: Option<String>,
    pub secret: String,
}

impl Credentials {
    /// `Bearer SECRET` (RFC 6750, 2.1), or `Basic` with the base64 of `NAME:SECRET` (RFC 7617, 2).
    pub fn parse(authorization: &str) -> Option<Self> {
        let (scheme, value) = authorization.split_once(' ')?;
        let value = value.trim();
        if scheme.eq_ignore_ascii_case("Bearer") {
            return Some(Self { name: None, secret: value.to_owned() });
        }
        let is_basic = scheme.eq_ignore_ascii_case("Basic");
        let pair = String::from_utf8(base64(value).ok().filter(|_| is_basic)?).ok()?;
        pair.split_once(':').map(|(name, secret)| Self { name: Some(name.to_owned()), secret: secret.to_owned() })
    }
}
