//! Which message is the response to which request.

use std::time::Duration;

use super::*;

fn response(topic: &str, data: Option<&'static [u8]>) -> Received {
    let mut message = Received { topic: topic.as_bytes().to_vec(), ..Received::default() };
    message.properties.correlation_data = data.map(Bytes::from_static);
    message
}

/// Opens a request that is known by this number. Returns `None` if its topic is taken.
fn open(requests: &mut Requests, topic: &str, correlation: Correlation, deadline: Instant, who: u32) -> Option<Number> {
    let filter = TopicFilter::try_from(who.to_string()).unwrap();
    let (topic, on_response) = (topic.to_owned(), Box::new(|_| ()));
    let request = Request { topic, filter, correlation, deadline, on_response, is_written: false };
    (!requests.is_taken(&request)).then(|| requests.open(request))
}

fn who_is(request: &Request) -> u32 {
    request.filter.as_str().parse().unwrap()
}

fn respond(requests: &mut Requests, topic: &str, data: Option<&'static [u8]>) -> Option<u32> {
    requests.respond(&response(topic, data)).as_ref().map(who_is)
}

fn expire(requests: &mut Requests, now: Instant) -> Vec<u32> {
    requests.expire(now).iter().map(who_is).collect()
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

#[test]
fn a_response_goes_to_its_requester() {
    let mut requests = Requests::default();
    let own = |data| Correlation::OwnTopic(Bytes::from_static(data));
    let shared = |data| Correlation::SharedTopic(Bytes::from_static(data));
    assert_eq!(open(&mut requests, "r/1", own(b"1"), later(), 1), Some(0));
    assert_eq!(open(&mut requests, "r/2", own(b"2"), later(), 2), Some(1));
    assert_eq!(open(&mut requests, "r", shared(b"3"), later(), 3), Some(2));
    assert_eq!(open(&mut requests, "r", shared(b"4"), later(), 4), Some(3));
    for (topic, data, requester) in [
        ("r/1", Some(b"2".as_slice()), None),
        ("r", None, None),
        ("r", Some(b"1"), None),
        ("other", Some(b"1"), None),
        ("r", Some(b"4"), Some(4)),
        ("r", Some(b"4"), None),
        ("r/1", Some(b"1"), Some(1)),
        ("r/2", None, Some(2)),
        ("r", Some(b"3"), Some(3)),
    ] {
        assert_eq!(respond(&mut requests, topic, data), requester, "{topic} {data:?}");
    }
    assert_eq!(requests.len(), 0);
}

#[test]
fn without_correlation_a_topic_has_one_request_at_a_time() {
    let mut requests = Requests::default();
    assert_eq!(open(&mut requests, "r", Correlation::None, later(), 1), Some(0));
    assert_eq!(open(&mut requests, "r", Correlation::None, later(), 2), None);
    assert_eq!(respond(&mut requests, "r", None), None, "the request was not sent yet");
    requests.written(0);
    assert_eq!(respond(&mut requests, "r", None), Some(1));
    assert_eq!(open(&mut requests, "r", Correlation::None, later(), 2), Some(1));
}

#[test]
fn a_deadline_counts_from_the_publish_on() {
    let mut requests = Requests::default();
    let now = Instant::now();
    let number = open(&mut requests, "r", Correlation::None, now, 1).unwrap();
    assert_eq!((requests.next_deadline(), expire(&mut requests, now)), (None, vec![]));
    requests.published(number);
    assert_eq!((requests.next_deadline(), expire(&mut requests, now)), (Some(now), vec![1]));
    assert!(requests.close(number).is_none());
}
