//! The metrics of `GET /metrics`.

use super::http::Connection;
use super::waiting::eventually;

/// The text of `/metrics`.
pub fn metrics(address: &str) -> String {
    let reply = Connection::open(address).get("/metrics");
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/plain; version=0.0.4")), "{reply:?}");
    String::from_utf8(reply.body).unwrap()
}

/// The value of one line of `/metrics`, as text.
#[track_caller]
pub fn figure<'a>(metrics: &'a str, name: &str) -> &'a str {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {metrics}"))
}

/// The same as a number.
#[track_caller]
pub fn value(metrics: &str, name: &str) -> f64 {
    figure(metrics, name).parse().unwrap()
}

/// Waits until a metric has this value.
#[track_caller]
pub fn await_figure(address: &str, name: &str, expected: &str) {
    eventually(name, || figure(&metrics(address), name).to_owned(), |found| found == expected);
}
