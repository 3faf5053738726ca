//! `[[token]]`: who may do what, and how much of what all share.

use toml::Spanned;

use super::super::table::{Table, table};
use super::super::{Fault, Http, MAX_FILTERS, Publish, Sees, Token, value};
use super::{File, Key};

table! {
    pub struct TokenTable {
        name,
        sha256,
        publish,
        subscribe,
        response_topics,
        rate,
        max_subscriptions,
        max_listeners,
        max_waiting,
        sees,
    }
}

/// The tokens, whose bounds lie within those of all.
pub fn read(file: &File, tables: &[Table<TokenTable>], publish: &Publish, http: &Http) -> Result<Vec<Token>, Fault> {
    let mut tokens: Vec<Token> = Vec::with_capacity(tables.len());
    for table in tables {
        let token = read_token(file, table, publish, http)?;
        let fault = |key: &Key, what| Err(file.fault(key.as_ref().map(Spanned::span), what));
        if tokens.iter().any(|other| other.name == token.name) {
            return fault(&table.keys.name, "this `name` is there twice: each [[token]] needs one of its own");
        }
        if tokens.iter().any(|other| other.sha256 == token.sha256) {
            return fault(&table.keys.sha256, "this `sha256` is there twice: each [[token]] needs a secret of its own");
        }
        tokens.push(token);
    }
    Ok(tokens)
}

fn read_token(
    file: &File,
    Table { span, keys }: &Table<TokenTable>,
    publish: &Publish,
    http: &Http,
) -> Result<Token, Fault> {
    let missing = |name| file.fault(Some(span.clone()), &format!("`{name}` is missing in this [[token]]"));
    let filters = |name, key| file.read(name, key, value::token_filters).map(Option::unwrap_or_default);
    let (listeners, waiting) = (http.max_listeners, publish.max_waiting);
    let max_listeners =
        file.read("max-listeners", &keys.max_listeners, |v| value::share(v, 0, listeners, "max-listeners"))?;
    let max_waiting = file.read("max-waiting", &keys.max_waiting, |v| value::share(v, 1, waiting, "max-waiting"))?;
    let max_subscriptions = file.read("max-subscriptions", &keys.max_subscriptions, value::max_subscriptions)?;
    Ok(Token {
        name: file.read("name", &keys.name, value::token_name)?.ok_or_else(|| missing("name"))?,
        sha256: file.read("sha256", &keys.sha256, value::token_hash)?.ok_or_else(|| missing("sha256"))?,
        publish: filters("publish", &keys.publish)?,
        subscribe: filters("subscribe", &keys.subscribe)?,
        response_topics: filters("response-topics", &keys.response_topics)?,
        rate: file.read("rate", &keys.rate, value::rate)?,
        max_subscriptions: max_subscriptions.unwrap_or_else(|| half(MAX_FILTERS)),
        max_listeners: max_listeners.unwrap_or_else(|| half(listeners)),
        max_waiting: max_waiting.unwrap_or_else(|| half(waiting)),
        sees: file.read("sees", &keys.sees, value::sees)?.unwrap_or(Sees::All),
    })
}

/// What one token takes leaves as much for the others; one place, where there are any, is everybody's.
fn half(total: usize) -> usize {
    (total / 2).max(total.min(1))
}
