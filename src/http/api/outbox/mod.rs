//! `GET /outbox` and `GET`, `DELETE /outbox/{id}`: what became of stored messages, and taking them back.

mod json;

use self::json::{MessageJson, PageJson};
use super::call::{Call, Handled};
use crate::http::input::query::Parameters;
use crate::http::input::requirements::{READ, require_method};
use crate::http::reply::Reply;
use crate::message::TopicName;
use crate::outbox::{Id, May, NotStored, Page, Query, State, TakenBack, View};

/// The path before an identifier.
const PATH: &str = "/outbox/";
const METHODS: &str = "GET, HEAD, DELETE";
/// Messages of a page, by default and at most.
const PAGE: usize = 100;
const MAX_PAGE: usize = 1000;

/// Lists stored messages: those of the token if it sees only its own.
pub fn list(call: &mut Call) -> Result<Handled, Reply> {
    require_method(call.head()?, READ)?;
    let query = query(call)?;
    let (outbox, timeout) = (call.context.outbox.clone(), call.context.timeout);
    Ok(Handled::later(move |responder| {
        let listed = move |page: Result<Page, NotStored>| {
            responder.reply(
                page.map_or_else(Reply::outbox_does_not_answer, |page| Reply::json(&PageJson::of(&page)).not_stored()),
            );
        };
        outbox.list(query, timeout, Box::new(listed));
    }))
}

/// Shows one message, or takes it back.
pub fn one(call: &mut Call) -> Result<Handled, Reply> {
    call.require(METHODS)?;
    if !call.context.outbox.is_on() {
        return Err(NotStored::Off.into());
    }
    let text = call.target.path.strip_prefix(PATH).unwrap_or_default();
    let id: Id = text.parse().map_err(|()| Reply::no_stored_message())?;
    let owner = owner(call);
    let (outbox, timeout) = (call.context.outbox.clone(), call.context.timeout);
    if call.head()?.method() == "DELETE" {
        call.require_no_body("a request that takes a message back")?;
        let may = may_publish(call);
        return Ok(Handled::later(move |responder| {
            let done = move |result: Result<TakenBack, NotStored>| {
                responder.reply(result.map_or_else(Reply::outbox_does_not_answer, taken_back));
            };
            outbox.take_back(id, owner.as_deref(), may, timeout, Box::new(done));
        }));
    }
    Ok(Handled::later(move |responder| {
        let found = move |view: Result<Option<View>, NotStored>| {
            let show = |view: Option<View>| {
                view.map_or_else(Reply::no_stored_message, |view| Reply::json(&MessageJson::alone(&view)).not_stored())
            };
            responder.reply(view.map_or_else(Reply::outbox_does_not_answer, show));
        };
        outbox.get(id, owner.as_deref(), timeout, Box::new(found));
    }))
}

/// Whose messages the sender sees; `None` for all.
fn owner(call: &Call) -> Option<Box<str>> {
    let token = call.principal.token.filter(|_| call.principal.restricted_to().is_some());
    token.map(|token| token.rules.name.as_str().into())
}

/// Whether the sender may publish to a topic: who may not, may not take its messages back either.
fn may_publish(call: &Call) -> May {
    let rules = call.principal.token.map(|token| token.rules.clone());
    Box::new(move |topic: &TopicName| {
        rules.as_ref().is_none_or(|rules| rules.publish.iter().any(|filter| filter.matches(topic)))
    })
}

fn query(call: &Call) -> Result<Query, Reply> {
    let parameters = Parameters::parse(call.target.query.as_deref().unwrap_or_default())?;
    let query = read_query(parameters, owner(call))?;
    if !call.context.outbox.is_on() {
        return Err(NotStored::Off.into());
    }
    Ok(query)
}

fn read_query(mut parameters: Parameters, owner: Option<Box<str>>) -> Result<Query, String> {
    let query = Query {
        owner,
        state: parameters.read("state", json::state)?,
        after: parameters.read("after", json::id)?,
        limit: parameters.read("limit", |value| json::limit(value, MAX_PAGE))?.unwrap_or(PAGE),
    };
    parameters.finish("`state`, `after` and `limit`")?;
    Ok(query)
}

fn taken_back(result: TakenBack) -> Reply {
    match result {
        TakenBack::Done => Reply::success(),
        TakenBack::Unknown => Reply::no_stored_message(),
        TakenBack::Denied => Reply::may_not_take_back(),
        TakenBack::Not(state) => Reply::too_late(match state {
            State::Queued | State::Sent => "it was sent",
            State::Acknowledged => "the broker has it",
            State::Expired => "it has expired",
            State::Refused => "it was refused",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Query, String> {
        read_query(Parameters::parse(query)?, None)
    }

    #[test]
    fn every_parameter_is_read() {
        let query = read("state=sent&after=000000ab0000000100000000&limit=7").unwrap();
        assert_eq!((query.state, query.limit), (Some(State::Sent), 7));
        assert_eq!(query.after, Some(Id { file: 0xAB, sequence: 0x1_0000_0000 }));
        assert_eq!(read("").unwrap().limit, 100);
    }

    #[test]
    fn each_error_names_the_parameter_and_the_rule() {
        for (query, error) in [
            ("state=lost", "`state` must be queued, sent, acknowledged, expired or refused, not `lost`"),
            ("after=1", "`after` must be the `id` of a message, which has 24 hexadecimal digits"),
            ("limit=0", "`limit` must be a number from 1 to 1000, not 0"),
            ("limit=1001", "`limit` must be a number from 1 to 1000, not 1001"),
            ("page=2", "unknown parameter `page`: there are `state`, `after` and `limit`"),
        ] {
            assert_eq!(read(query).unwrap_err(), error, "{query}");
        }
    }
}
