//! The page in a browser: its form and keys, with and without a token and a broker.

use std::time::Duration;

use crate::support::clients::node;
use crate::support::daemon::Daemon;
use crate::support::free_port;
use crate::support::mosquitto::Mosquitto;
use crate::support::process::Process;
use crate::support::token::Token;

/// Far longer than a browser needs.
const LONG: Duration = Duration::from_secs(120);
const SUBSCRIBED: &str = "[[subscribe]]\ntopic = \"django/mqtt\"\nqos = 1";

/// Runs `page.mjs`, which checks the page, and stops and starts the broker when it asks for that.
fn visit(table: &str, arguments: &[&str]) {
    let mut broker = Mosquitto::start();
    let mqtt = format!("[mqtt]\nport = {}\nreconnect-max = 0.1", broker.port());
    let daemon = Daemon::connected_with(&format!("{mqtt}\n{SUBSCRIBED}\n[publish]\ntimeout = 0.5\n{table}"));
    daemon.wait_for("subscribed to django/mqtt");
    let url = format!("http://{}/", daemon.address());
    let mut visitor = Process::start(&mut node("page.mjs", &[&[url.as_str()], arguments].concat()));
    visitor.wait_for_within(LONG, "the broker may go");
    broker.kill();
    visitor.wait_for_within(LONG, "the broker may come");
    broker.restart();
    assert!(visitor.wait_for_end_within(LONG).success(), "see standard error of the visitor");
}

#[test]
fn a_visitor_publishes_listens_and_sees_the_broker_leave_and_return() {
    visit("", &[""]);
}

/// With `PAGE_SCREENSHOT` it also makes the picture in README.
#[test]
fn a_visitor_with_a_token_is_asked_for_it_and_then_served() {
    let token = Token::new("visitor", r##"["#"]"##);
    let table = token.table.replace("subscribe = []", r#"subscribe = ["page/#", "kitchen/#"]"#);
    let picture = std::env::var("PAGE_SCREENSHOT").unwrap_or_default();
    visit(&table, &[&token.secret, &picture]);
}

#[test]
fn the_page_has_a_strict_content_security_policy() {
    let daemon = Daemon::start(free_port());
    let reply = daemon.get("/");
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = reply.header("content-security-policy").unwrap();
    for part in ["default-src 'none'", "connect-src 'self'", "form-action 'none'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{part} in {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(reply.header("referrer-policy"), Some("no-referrer"));
    assert!(reply.body.len() < 30_000, "{} bytes", reply.body.len());
}
