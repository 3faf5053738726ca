//! Each check, and the order of the checks.

mod hosts;
mod origins;
mod tokens;

use super::*;
use crate::config::{Environment, Source, hash};
use crate::http::server::TestHead;
use crate::memory::Memory;
use crate::message::{Message, Qos, TopicName};

const HERE: (&str, &str) = ("Host", "localhost:8000");
const PREFLIGHT: (&str, &str) = ("Access-Control-Request-Method", "POST");

/// The checks of a configuration, whose `[[token]]` tables must come before its `[http]`.
fn access(configuration: &str, reach: Reach) -> Access {
    let config = Config::parse(configuration, &Source::BuiltIn, &Environment::from([])).expect(configuration);
    Access::new(&config, Tokens::new(&config, &Memory::new(usize::MAX)), reach)
}

/// The checks with tokens `a` and `b`, whose secrets are `secret-a` and `secret-b`.
fn access_with_tokens(rest: &str) -> Access {
    let sha256 = |secret| hash(secret).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let (a, b) = (sha256("secret-a"), sha256("secret-b"));
    let tokens = format!(
        "[[token]]\nname = \"a\"\nsha256 = \"{a}\"\npublish = [\"a/#\", \"c/+\"]\nrate = 0.25\n\
         [[token]]\nname = \"b\"\nsha256 = \"{b}\"\n"
    );
    access(&format!("{tokens}{rest}"), Reach::Loopback)
}

fn request(method: &str, target: &str, fields: &[(&str, &str)]) -> TestHead {
    TestHead::new(method, target, (1, 1), fields)
}

/// Status and error text of a refusal, or 200 and an empty text.
fn answer(access: &Access, request: &TestHead) -> (u16, String) {
    match access.admit(request.head()) {
        Ok(_) => (200, String::new()),
        Err(reply) => (reply.status(), error(&reply)),
    }
}

fn error(reply: &Reply) -> String {
    let body: serde_json::Value = serde_json::from_slice(&reply.body()).unwrap_or_default();
    body["error"].as_str().unwrap_or_default().to_owned()
}

fn header_of<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    reply.headers().find(|(other, _)| *other == name).map(|(_, value)| value)
}

fn message(topic: &str) -> Message {
    let topic = TopicName::try_from(topic.to_owned()).unwrap();
    let (payload, properties) = (bytes::Bytes::new(), crate::message::Properties::default());
    Message { topic, payload, qos: Qos::AtMostOnce, retain: false, properties }
}
