//! The query of a request target: its parameters, and how one is read as a type.

use std::str::FromStr;

use serde_json::json;

use super::named::Named;
use super::percent::decode;
use super::values::Scalar;
use crate::http::reply::{in_field, shown};

/// The most parameters of a query: each is compared with all others.
const MAX_PARAMETERS: usize = 32;

/// The decoded parameters.
pub type Parameters = Named<Parameter>;

impl Parameters {
    /// Reads `name=value&name=value`. A plus is not a space here, as topic filters contain it.
    pub fn parse(query: &str) -> Result<Self, String> {
        let mut parameters: Vec<(String, Parameter)> = Vec::new();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let name = decode(name).map_err(|what| format!("the name of a parameter {what}"))?;
            let value = in_field(&name, decode(value))?;
            if parameters.iter().any(|(other, _)| *other == name) {
                return Err(format!("parameter `{}` is there twice", shown(&name)));
            }
            if parameters.len() == MAX_PARAMETERS {
                return Err(format!("more than {MAX_PARAMETERS} parameters"));
            }
            parameters.push((name, Parameter(value)));
        }
        Ok(Self::new("parameter", parameters))
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(other, _)| *other == name).map(|(_, Parameter(value))| value.as_str())
    }

    /// All parameters as a JSON object of strings, in their order.
    pub fn to_json(&self) -> Vec<u8> {
        let pairs: Vec<_> =
            self.iter().map(|(name, Parameter(value))| format!("{}:{}", json!(name), json!(value))).collect();
        format!("{{{}}}", pairs.join(",")).into_bytes()
    }
}

#[derive(Debug)]
pub struct Parameter(String);

impl Scalar for Parameter {
    fn text(self) -> Result<String, String> {
        Ok(self.0)
    }

    fn boolean(self) -> Result<bool, String> {
        self.0.parse().map_err(|_| self.not("true or false"))
    }

    fn integer(self) -> Result<i64, String> {
        self.parse_digits("").ok_or_else(|| self.not("a whole number"))
    }

    fn number(self) -> Result<f64, String> {
        self.parse_digits(".e-").ok_or_else(|| self.not("a number"))
    }
}

impl Parameter {
    /// A number that JSON has too: digits, a minus before them, and these other characters.
    fn parse_digits<T: FromStr>(&self, others: &str) -> Option<T> {
        let digits = self.0.strip_prefix('-').unwrap_or(&self.0);
        let is_plain = digits.chars().all(|c| c.is_ascii_digit() || others.contains(c));
        self.0.parse().ok().filter(|_| is_plain)
    }

    fn not(&self, expected: &str) -> String {
        format!("must be {expected}, not `{}`", shown(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parameters_are_decoded_once_and_a_plus_stays() {
        let mut parameters = Parameters::parse("a=1+2%2B&%62=%252F&c&=x&&d=%C3%B6=").unwrap();
        let mut take = |name| parameters.take(name).map(|Parameter(text)| text);
        assert_eq!(take("a").as_deref(), Some("1+2+"));
        assert_eq!(take("b").as_deref(), Some("%2F"));
        assert_eq!([take("c").as_deref(), take("").as_deref()], [Some(""), Some("x")]);
        assert_eq!(take("d").as_deref(), Some("ö="));
        assert_eq!(take("d"), None, "it was taken");
        assert_eq!(parameters.finish("none"), Ok(()));
        assert_eq!(Parameters::parse("").unwrap().finish("none"), Ok(()));
    }

    #[test]
    fn each_error_names_the_parameter_and_the_rule() {
        let many = (0..=MAX_PARAMETERS).map(|n| format!("p{n}=&")).collect::<Vec<_>>().concat();
        let escape = "has a `%` without two hexadecimal digits behind it: a percent sign itself is `%25`";
        for (query, error) in [
            ("a=1&a=1", "parameter `a` is there twice"),
            ("a=1&%61=2", "parameter `a` is there twice"),
            ("a=%", &format!("`a` {escape}")),
            ("a=%2", &format!("`a` {escape}")),
            ("a=%zz", &format!("`a` {escape}")),
            ("a=%+1", &format!("`a` {escape}")),
            ("%=1", &format!("the name of a parameter {escape}")),
            ("a=%FF", "`a` is not UTF-8 when it is decoded"),
            ("a=%C3%28", "`a` is not UTF-8 when it is decoded"),
            ("a=%ED%A0%80", "`a` is not UTF-8 when it is decoded"),
            ("%FF=1", "the name of a parameter is not UTF-8 when it is decoded"),
            (&many, "more than 32 parameters"),
        ] {
            assert_eq!(Parameters::parse(query).unwrap_err(), error, "{query}");
        }
        let unknown = Parameters::parse("A%0A=1").unwrap();
        assert_eq!(unknown.finish("`a`").unwrap_err(), "unknown parameter `A\\n`: there are `a`; did you mean `a`?");
    }

    fn parameter(text: &str) -> Parameter {
        Parameter(text.to_owned())
    }

    #[test]
    fn each_type_has_one_notation() {
        let number = |text| parameter(text).integer();
        assert_eq!([number("0"), number("-1"), number("007")], [Ok(0), Ok(-1), Ok(7)]);
        for text in ["+1", "1.0", "", "-", "1e3", " 1", "0x1", "99999999999999999999", "١"] {
            assert_eq!(number(text), Err(format!("must be a whole number, not `{text}`")));
        }
        assert_eq!([parameter("0.5").number(), parameter("5e-1").number()], [Ok(0.5), Ok(0.5)]);
        for text in ["inf", "NaN", "-inf", "1e", "+1", "", ".", "1,5", "infinity"] {
            assert_eq!(parameter(text).number(), Err(format!("must be a number, not `{text}`")));
        }
        assert_eq!([parameter("true").boolean(), parameter("false").boolean()], [Ok(true), Ok(false)]);
        for text in ["1", "True", "yes", ""] {
            assert_eq!(parameter(text).boolean(), Err(format!("must be true or false, not `{text}`")));
        }
        assert_eq!(parameter("\x1b").boolean(), Err("must be true or false, not `\\x1b`".to_owned()));
    }

    proptest! {
        #![proptest_config(crate::proptests::config())]

        #[test]
        fn no_query_panics(query in "[a-c%=&+0-9A-F]{0,30}") {
            let _ = Parameters::parse(&query);
        }
    }
}
