//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): a name by which a repetition of a request is known.

use std::fmt;

use crate::http::reply::Reply;
use crate::http::server::Head;

/// The most characters of a key.
const MAX: usize = 255;
const RULE: &str = "`Idempotency-Key` must have 1 to 255 characters: visible ones of ASCII without `\"`, `,` and `;`, \
                    or a string in quotes (RFC 8941, 3.3.3)";

/// A decoded key: printable ASCII. It may be a secret, so that no record shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key of a request, if it has one.
    ///
    /// # Errors
    /// 400 if there are two, or if it breaks the rule. The text does not repeat it.
    pub fn of(head: Head) -> Result<Option<Self>, Reply> {
        let Some(value) = head.header("Idempotency-Key")? else { return Ok(None) };
        let key = decode(value.trim()).filter(|key| (1..=MAX).contains(&key.len()));
        key.map(|key| Some(Self(key))).ok_or_else(|| Reply::invalid(RULE.to_owned()))
    }

    /// The key itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdempotencyKey")
    }
}

/// The text of a bare key, or of a string of a structured field. `None` for any other.
fn decode(value: &str) -> Option<String> {
    let Some(quoted) = value.strip_prefix('"') else {
        let is_bare = |byte: u8| byte.is_ascii_graphic() && !b"\",;".contains(&byte);
        return value.bytes().all(is_bare).then(|| value.to_owned());
    };
    let (mut text, mut rest) = (String::new(), quoted.chars());
    loop {
        match rest.next()? {
            '"' => return rest.as_str().is_empty().then_some(text),
            '\\' => text.push(rest.next().filter(|escaped| matches!(escaped, '"' | '\\'))?),
            character if matches!(character, ' '..='~') => text.push(character),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::server::TestHead;

    fn key(value: &str) -> Result<Option<String>, Reply> {
        let key = IdempotencyKey::of(TestHead::post(&[("idempotency-key", value)]).head());
        key.map(|key| key.map(|IdempotencyKey(key)| key))
    }

    #[test]
    fn a_bare_key_and_a_string_name_the_same_key() {
        let uuid = "8e03978e-40d5-43dd-bc93-6894a57f9324";
        assert_eq!(key(uuid), Ok(Some(uuid.to_owned())));
        assert_eq!(key(&format!("\"{uuid}\"")), Ok(Some(uuid.to_owned())));
        assert_eq!(key("a\\b"), Ok(Some("a\\b".to_owned())), "a bare key has no escapes");
        assert_eq!(key(r#""a\\\" b,;""#), Ok(Some("a\\\" b,;".to_owned())));
        assert_eq!(key(&"k".repeat(255)), Ok(Some("k".repeat(255))));
        assert_eq!(key(&format!("\"{}\"", "\\\"".repeat(255))), Ok(Some("\"".repeat(255))));
        assert_eq!(IdempotencyKey::of(TestHead::post(&[]).head()), Ok(None));
    }

    #[test]
    fn other_values_are_refused_and_not_repeated() {
        let long = "k".repeat(256);
        let quoted = format!("\"{long}\"");
        let values = [
            "", "\"\"", "\"", "\"a", "a b", "a,b", "a;b", "a\"", "\"a\"b", "\"a\";b", r#""\a""#, "\"\\\"", &long,
            &quoted,
        ];
        for value in values {
            assert_eq!(key(value), Err(Reply::invalid(RULE.to_owned())), "{value}");
        }
        let twice = TestHead::post(&[("Idempotency-Key", "a"), ("Idempotency-Key", "a")]);
        assert!(IdempotencyKey::of(twice.head()).is_err());
        assert_eq!(format!("{:?}", IdempotencyKey("secret".to_owned())), "IdempotencyKey");
    }
}
