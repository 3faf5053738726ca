//! `[[token]]`: who may do what, and how much of what all share.

use toml::Value;

use super::fault::Fault;
use super::http::Http;
use super::key::Key;
use super::kind::{Filters, Rate, Whole, choice, whole_number};
use super::publish::Publish;
use super::secret::{self, Name};
use super::table::Several;

/// Topic filters that may be wanted at run time for the journal, and as many for streams and requests.
pub const MAX_FILTERS: usize = MOST_FILTERS as usize;
const MOST_FILTERS: u32 = 1000;
/// Bytes of either of these together: what is kept of a filter grows with its length.
pub const MAX_FILTER_BYTES: usize = 128 * 1024;

table! {
    /// One `[[token]]`: what the bearer of a secret may do.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Token from TokenKeys "[[token]]" {
        /// Unique; error texts name it.
        name: Name,
        /// SHA-256 of the secret; unique.
        sha256: TokenHash,
        /// Where it may publish; none of them is shared.
        publish: Filters = Vec::new(),
        /// What it may read; none of them is shared.
        subscribe: Filters = Vec::new(),
        /// Where answers to its messages may be published, in addition to `publish`; none of them is shared.
        response_topics: Filters = Vec::new(),
        /// Messages per second, above 0; `None` is no limit.
        rate: Option<Rate> = None,
        /// Topic filters that it may have at run time; 0 allows none.
        max_subscriptions: Whole<usize, 0, MOST_FILTERS> = half(MAX_FILTERS),
        /// Streams of received messages that it may have open at a time.
        max_listeners: Share = 0,
        /// Its publishes and requests that may be unanswered at a time.
        max_waiting: Share = 0,
        /// What it sees of others.
        sees: Sees = Sees::All,
    }
}

/// What the bearer of a token sees of the filters and streams of others, and of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sees {
    /// Everything.
    All,
    /// Only what it has itself.
    Own,
}

impl Token {
    /// What it is the name of, and that name: the rules of a hook have a name of two words.
    #[must_use]
    pub fn kind_and_name(&self) -> (&str, &str) {
        self.name.split_once(' ').unwrap_or(("token", &self.name))
    }
}

/// The tokens. What one of them may have is at most what all may have together.
pub fn read(tables: &Several<TokenKeys>, publish: &Publish, http: &Http) -> Result<Vec<Token>, Fault> {
    let mut tokens: Vec<Token> = Vec::new();
    for keys in tables.tables() {
        let token = Token {
            max_listeners: share(&keys.max_listeners, 0, http.max_listeners)?,
            max_waiting: share(&keys.max_waiting, 1, publish.max_waiting)?,
            ..keys.read_each()?
        };
        let twice = |key, needs| format!("this {key} is there twice: each [[token]] needs {needs} of its own");
        if tokens.iter().any(|other| other.name == token.name) {
            return Err(keys.name.fault(twice(keys.name.to_string(), "one")));
        }
        if tokens.iter().any(|other| other.sha256 == token.sha256) {
            return Err(keys.sha256.fault(twice(keys.sha256.to_string(), "a secret")));
        }
        tokens.push(token);
    }
    Ok(tokens)
}

/// Reads what one token may have of a total, which the key of this name in another table has.
fn share(key: &Key<Share>, least: usize, total: usize) -> Result<usize, Fault> {
    let check = |value: &Value| whole_number(value, least..=total);
    let given = key.read_as(|value| check(value).map_err(|error| format!("{error}: {total} is the {key} of all")))?;
    Ok(given.unwrap_or_else(|| half(total)))
}

/// The default share leaves as much for the others. If there is only one, each token may have it.
pub fn half(total: usize) -> usize {
    (total / 2).max(total.min(1))
}

kinds! {
    /// A number that [`share`] reads: its limit is the value of a key in another table.
    struct Share -> usize = |_| Ok(0);
    /// Errors never show the value: it may be the secret itself.
    struct TokenHash -> [u8; 32] = token_hash;
    Sees = |value| choice(value, &[("all", Self::All), ("own", Self::Own)]);
}

fn token_hash(value: &Value) -> Result<[u8; 32], String> {
    secret::parse_hash(value.as_str().unwrap_or_default()).ok_or_else(|| {
        "must be a string of 64 hexadecimal digits, the SHA-256 of a secret: `mqtt-bridge --new-token NAME` makes both"
            .to_owned()
    })
}
