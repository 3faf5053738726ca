//! The JavaScript function of docs/security.md for pages that listen with a token, tested as printed there.

use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::resuming::payloads;
use crate::support::clients::node;
use crate::support::daemon::Daemon;
use crate::support::folder::Folder;
use crate::support::free_port;
use crate::support::mosquitto::Mosquitto;
use crate::support::process::Process;
use crate::support::proxy::{Loss, Proxy};
use crate::support::token::Token;

/// Far longer than a browser needs.
const LONG: Duration = Duration::from_secs(120);

/// Prints what is received on standard error, as the other clients do.
const USE: &str = "
const [url, token] = process.argv.slice(2);
const receive = (name, data) => console.error(`${name} ${JSON.stringify(data)}`);
const tell = error => console.error(error ? `error ${error.message}` : 'open');
const refused = await listen(url, { token, receive, tell });
console.error(`refused ${refused.status}`);
";

/// The first block of JavaScript there.
fn function() -> &'static str {
    let page = include_str!("../../docs/security.md");
    let (_, rest) = page.split_once("```js\n").unwrap();
    rest.split_once("```\n").unwrap().0
}

fn listen(folder: &Folder, port: &str, query: &str, token: &str) -> Process {
    let script = folder.write("listen.mjs", &format!("{}{USE}", function()));
    let url = format!("http://127.0.0.1:{port}/messages?{query}");
    Process::start(Command::new("node").arg(script).args([&url, token]))
}

fn port(daemon: &Daemon) -> &str {
    daemon.address().rsplit_once(':').unwrap().1
}

/// Publishes numbers as payloads, with the listening token.
fn publish(daemon: &Daemon, token: &Token, numbers: std::ops::Range<usize>) {
    let mut connection = daemon.connect();
    for number in numbers {
        let body = json!({"topic": "r/x", "msg": number.to_string(), "qos": 1}).to_string();
        let reply = connection.request("POST", "/publish", &[("Authorization", &token.bearer())], body.as_bytes());
        assert_eq!(reply.status, 200, "{reply:?}");
    }
}

#[test]
fn a_page_with_a_token_reconnects_without_gap_or_repetition() {
    let broker = Mosquitto::unlimited();
    let (token, folder) = (Token::new("page", r#"["r/#"]"#).reading(r#"["r/#"]"#), Folder::new());
    let daemon = token.daemon(broker.port());
    let proxy = Proxy::start(port(&daemon).parse().unwrap(), Duration::ZERO);
    let client = listen(&folder, &proxy.port().to_string(), "topic=r/%2B", &token.secret);
    client.wait_for("open");
    for round in 0..2 {
        let sent = round * 100;
        publish(&daemon, &token, sent..sent + 20);
        client.wait_for(&format!("\"payload\":\"{}\"", sent + 19));
        thread::scope(|scope| {
            scope.spawn(|| publish(&daemon, &token, sent + 20..sent + 100));
            proxy.cut(Loss::ToClient, Duration::from_millis(100));
        });
        client.wait_for_nth(round + 2, "open");
        client.wait_for(&format!("\"payload\":\"{}\"", sent + 99));
    }
    let expected: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    assert_eq!(payloads(&client), expected);
}

#[test]
fn the_function_ends_on_permanent_refusals_only() {
    let broker = Mosquitto::start();
    let (token, folder) = (Token::new("page", "[]").reading(r#"["r/#"]"#).with("max-listeners = 1"), Folder::new());
    let daemon = token.daemon(broker.port());
    for (query, secret, status) in [
        ("topic=r/x", "", 401),
        ("topic=r/x", "wrong", 401),
        ("topic=other", &token.secret, 403),
        ("", &token.secret, 400),
    ] {
        let mut client = listen(&folder, port(&daemon), query, secret);
        client.wait_for(&format!("refused {status}"));
        assert!(client.wait_for_end().success());
    }
    let first = listen(&folder, port(&daemon), "topic=r/x", &token.secret);
    first.wait_for("open");
    let second = listen(&folder, port(&daemon), "topic=r/x", &token.secret);
    second.wait_for("error token `page` has as many listeners as its `max-listeners` allows");
    drop(first);
    second.wait_for("open");
}

#[test]
fn only_a_page_of_an_allowed_origin_can_listen_with_its_token() {
    let broker = Mosquitto::start();
    let (token, folder) = (Token::new("page", "[]").reading(r#"["r/#"]"#), Folder::new());
    let [allowed, foreign] = [free_port(), free_port()].map(|port| format!("http://127.0.0.1:{port}"));
    let http = format!("[http]\nallowed-origins = [\"{allowed}\"]");
    let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\n{}{http}\n", broker.port(), token.table));
    broker.publish(&["-t", "r/x", "-r", "-m", "kept"]);
    let script = folder.write("listen.js", function());
    let url = format!("http://{}/messages?topic=r/x", daemon.address());
    let arguments = [&url, &token.secret, script.to_str().unwrap(), &allowed, &foreign];
    let mut browser = Process::start(&mut node("elsewhere.mjs", &arguments));
    browser.wait_for_within(LONG, &format!("{allowed} open"));
    browser.wait_for_within(LONG, &format!("{allowed} message kept"));
    browser.wait_for_within(LONG, &format!("{foreign} error TypeError"));
    assert!(browser.wait_for_end_within(LONG).success(), "see standard error of the pages");
    assert_eq!(browser.lines_with(&format!("{foreign} open")).len(), 0);
}
