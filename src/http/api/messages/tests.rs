//! What the query asks for, and where a stream begins.

use super::*;

#[test]
fn the_query_has_one_filter() {
    let parse = |text: &str| Parameters::parse(text).and_then(parse);
    let filter = |text: &str| TopicFilter::try_from(text.to_owned()).unwrap();
    let query = |text, qos, last_id: Option<&str>| Ok((filter(text), qos, last_id.map(str::to_owned)));
    assert_eq!(parse("topic=a/%23"), query("a/#", Qos::AtMostOnce, None));
    assert_eq!(parse("qos=1&topic=+/b"), query("+/b", Qos::AtLeastOnce, None));
    for name in ["lastEventId", "last-event-id"] {
        assert_eq!(parse(&format!("topic=a&{name}=1-2-%33")), query("a", Qos::AtMostOnce, Some("1-2-3")));
    }
    for (text, error) in [
        ("", "parameter `topic` is missing"),
        ("topic=", "`topic` must not be empty"),
        ("topic=a%23", "`topic` `#` must be the last level, and all of it"),
        ("topic=a&topic=b", "parameter `topic` is there twice"),
        ("topic=a&x=1", "unknown parameter `x`: there are `topic`, `qos` and `lastEventId`"),
        (
            "topic=a&lastEventId=1&last-event-id=1",
            "parameters `lastEventId` and `last-event-id` are two names for one thing",
        ),
        ("topic=a&qos=3", "`qos` must be 0, 1 or 2, not 3"),
        ("topic=$share/g/a", "`topic` must not be a shared subscription: each listener gets every message"),
    ] {
        assert_eq!(parse(text).unwrap_err(), error, "{text}");
    }
}

#[test]
fn the_last_identifier_is_where_the_stream_resumes() {
    assert_eq!(start("1f-a-10", 0x1f), Start::After(10, 16));
    for id in ["1e-a-10", "", "1f", "1f-a", "1f-a-", "1f-a-10-1", "x-y-z", "1f-a-fffffffffffffffff"] {
        assert_eq!(start(id, 0x1f), Start::Unknown, "{id}");
    }
}
