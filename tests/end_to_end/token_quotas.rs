//! Quotas of a token: its share of common limits, and what it sees of others.

use serde_json::{Value, json};

use crate::listeners::refusal;
use crate::support::daemon::Daemon;
use crate::support::events::{Listener, target};
use crate::support::free_port;
use crate::support::http::{Connection, Reply};
use crate::support::mosquitto::Mosquitto;
use crate::support::request::{raw, request};
use crate::support::token::Token;
use crate::support::waiting::eventually;

/// A token that may publish to and subscribe to everything.
fn token(name: &str) -> Token {
    Token::new(name, r##"["#"]"##).reading(r##"["#"]"##)
}

fn daemon(broker: &Mosquitto, tokens: &[&Token], rest: &str) -> Daemon {
    Daemon::connected_with(&configuration(broker.port(), tokens, rest))
}

fn configuration(port: u16, tokens: &[&Token], rest: &str) -> String {
    let tables = tokens.iter().map(|token| token.table.as_str()).collect::<Vec<_>>().concat();
    format!("[mqtt]\nport = {port}\n{tables}{rest}")
}

fn post(connection: &mut Connection, token: &Token, path: &str, body: &Value) -> Reply {
    connection.request("POST", path, &[("Authorization", &token.bearer())], body.to_string().as_bytes())
}

fn subscribe(daemon: &Daemon, token: &Token, topic: &str) -> Reply {
    post(&mut daemon.connect(), token, "/subscribe", &json!({"topic": topic, "qos": 1}))
}

fn unsubscribe(daemon: &Daemon, token: &Token, topic: &str) -> Reply {
    post(&mut daemon.connect(), token, "/unsubscribe", &json!({ "topic": topic }))
}

fn get(daemon: &Daemon, token: &Token, path: &str) -> Reply {
    daemon.connect().request("GET", path, &[("Authorization", &token.bearer())], b"")
}

fn listen(daemon: &Daemon, token: &Token, filter: &str) -> Listener {
    Listener::ask(daemon, &target(filter), &[("Authorization", &token.bearer())]).expect("a stream")
}

/// The filters that a token is shown.
fn seen(daemon: &Daemon, token: &Token) -> Vec<String> {
    let listed = get(daemon, token, "/subscriptions").json()["subscriptions"].clone();
    let topic = |entry: &Value| entry["topic"].as_str().unwrap().to_owned();
    let mut topics: Vec<String> = listed.as_array().unwrap().iter().map(topic).collect();
    topics.sort();
    topics
}

#[track_caller]
fn assert_share_taken(reply: &Reply, key: &str) {
    assert_eq!((reply.status, reply.code()), (429, 15), "{reply:?}");
    assert!(reply.error().contains(key), "{}", reply.error());
    assert_eq!(reply.header("retry-after"), Some("1"), "{reply:?}");
}

#[test]
fn a_token_gets_half_of_the_filters_at_most() {
    let broker = Mosquitto::start();
    let (greedy, other, small) = (token("greedy"), token("other"), token("small").with("max-subscriptions = 1"));
    let daemon = daemon(&broker, &[&greedy, &other, &small], "");
    let mut connection = daemon.connect();
    for number in 0..500 {
        let reply = post(&mut connection, &greedy, "/subscribe", &json!({"topic": format!("a/{number}")}));
        assert_eq!(reply.status, 200, "{number}: {reply:?}");
    }
    for _ in 0..2 {
        assert_share_taken(&subscribe(&daemon, &greedy, "a/500"), "`max-subscriptions`");
        assert_eq!(subscribe(&daemon, &greedy, "a/499").status, 200, "it already has this one");
    }
    for number in 0..3 {
        assert_eq!(subscribe(&daemon, &other, &format!("b/{number}")).status, 200);
    }
    assert_eq!(unsubscribe(&daemon, &greedy, "a/0").status, 200);
    assert_eq!(subscribe(&daemon, &greedy, "a/500").status, 200, "there is quota again");
    assert_eq!(subscribe(&daemon, &small, "c/0").status, 200);
    assert_share_taken(&subscribe(&daemon, &small, "c/1"), "`max-subscriptions`");
}

#[test]
fn long_filters_of_one_token_leave_quota_to_others() {
    let broker = Mosquitto::start();
    let (greedy, other) = (token("greedy"), token("other"));
    let daemon = daemon(&broker, &[&greedy, &other], "");
    let long = |number: u32| format!("{number}{}", "x".repeat(32_000));
    for number in 0..2 {
        assert_eq!(subscribe(&daemon, &greedy, &long(number)).status, 200);
    }
    assert_share_taken(&subscribe(&daemon, &greedy, &long(2)), "`max-subscriptions`");
    assert_eq!(subscribe(&daemon, &other, &long(3)).status, 200);
}

#[test]
fn a_token_gets_half_of_the_listeners_at_most() {
    let broker = Mosquitto::start();
    let (greedy, other, mute) = (token("greedy"), token("other"), token("mute").with("max-listeners = 0"));
    let daemon = daemon(&broker, &[&greedy, &other, &mute], "[http]\nmax-listeners = 5\n");
    let refused = |token: &Token| refusal(&daemon, &target("a"), &[("Authorization", &token.bearer())]);
    let mut streams = vec![listen(&daemon, &greedy, "a"), listen(&daemon, &greedy, "b")];
    assert_share_taken(&refused(&greedy), "`max-listeners`");
    let _others = listen(&daemon, &other, "a");
    assert_share_taken(&refused(&mute), "`max-listeners`");
    streams.pop();
    let ask = || Listener::ask(&daemon, &target("c"), &[("Authorization", &greedy.bearer())]);
    let answers =
        |answer: &Result<Listener, Reply>| answer.as_ref().map_err(|reply| assert_eq!(reply.status, 429)).is_ok();
    let _granted = eventually("room for one more listener", ask, answers);
}

#[test]
fn the_quota_of_a_token_allows_the_longest_bulk() {
    let broker = Mosquitto::start();
    let token = token("bulk");
    let daemon = daemon(&broker, &[&token], "");
    let items: Vec<Value> = (0..1000).map(|number| json!({"topic": "a", "msg": number, "qos": 1})).collect();
    let reply = post(&mut daemon.connect(), &token, "/publish/bulk", &json!(items));
    assert_eq!((reply.status, reply.code()), (200, 0), "{}", reply.error());
}

/// Waits until this many publishes and requests of a token wait.
#[track_caller]
fn await_waiting(daemon: &Daemon, token: &Token, count: u64) {
    let status = || get(daemon, token, "/status").json();
    eventually(&format!("{count} waiting"), status, |status| status["publishes"]["waiting"] == count);
}

#[test]
fn a_token_gets_half_of_max_waiting_at_most() {
    let (greedy, other, many) = (token("greedy").with("sees = \"own\""), token("other"), token("many"));
    let tokens = [&greedy, &other, &many];
    let daemon = Daemon::with(&configuration(free_port(), &tokens, "[publish]\nmax-waiting = 4\n"));
    get(&daemon, &greedy, "/readyz").assert_refused(503, 4, "the bridge is not ready");
    assert!(
        get(&daemon, &other, "/readyz").error().contains("127.0.0.1:"),
        "a token that sees everything gets the reason"
    );
    let message = |seconds: f64| json!({"topic": "a", "msg": "x", "timeout": seconds});
    let mut waiting: Vec<Connection> = Vec::new();
    for number in 1..=2 {
        let mut connection = daemon.connect();
        let headers = [("Authorization", &*greedy.bearer())];
        connection.send(&request("POST", "/publish", &headers, message(60.0).to_string()));
        waiting.push(connection);
        if number == 1 {
            await_waiting(&daemon, &greedy, 1);
        }
    }
    await_waiting(&daemon, &greedy, 2);
    for (path, body) in [
        ("/publish", message(1.0)),
        ("/request", message(1.0)),
        ("/api/v5/publish", json!({"topic": "a", "payload": "x"})),
    ] {
        let reply = post(&mut daemon.connect(), &greedy, path, &body);
        assert_eq!(reply.status, 429, "{path}: {reply:?}");
        assert!(String::from_utf8_lossy(&reply.body).contains("`max-waiting`"), "{reply:?}");
    }
    let of_other = post(&mut daemon.connect(), &other, "/publish", &message(0.1));
    assert_eq!((of_other.status, of_other.code()), (503, 4), "it waited for the broker: {of_other:?}");
    let items = json!([{"topic": "a", "msg": 1}, {"topic": "a", "msg": 2}, {"topic": "a", "msg": 3}]);
    let reply = post(&mut daemon.connect(), &many, "/publish/bulk?timeout=0.1", &items);
    let codes: Vec<Value> =
        reply.json()["results"].as_array().unwrap().iter().map(|item| item["code"].clone()).collect();
    assert_eq!((reply.status, codes), (207, vec![json!(4), json!(4), json!(15)]), "{reply:?}");
}

#[test]
fn large_messages_of_one_token_leave_quota_to_others() {
    let (greedy, other) = (token("greedy").with("sees = \"own\""), token("other"));
    let mqtt = format!("{}\nmax-packet-size = 20000000", free_port());
    let tables = [&greedy, &other].map(|token| token.table.as_str()).concat();
    let daemon = Daemon::with(&format!("[mqtt]\nport = {mqtt}\n{tables}[http]\nmax-body = 20000000\n"));
    let send = |token: &Token, seconds: f64| {
        let mut connection = daemon.connect();
        let headers = [("Authorization", &*token.bearer())];
        let target = format!("/topics/a?timeout={seconds}");
        connection.send(&request("POST", &target, &headers, vec![b'x'; 16_000_000]));
        connection
    };
    let mut waiting = Vec::new();
    for count in 1..=3 {
        waiting.push(send(&greedy, 60.0));
        await_waiting(&daemon, &greedy, count);
    }
    assert_share_taken(&send(&greedy, 60.0).reply(), "half of the bytes of all");
    assert_eq!(send(&other, 0.1).reply().code(), 4, "it waited for the broker");
}

#[test]
fn unfinished_bodies_and_requests_of_one_token_leave_quota_to_others() {
    let (greedy, other) = (token("greedy"), token("other"));
    let tables = [&greedy, &other].map(|token| token.table.as_str()).concat();
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}\n{tables}", free_port()));
    let body = json!({"topic": "a", "msg": "x".repeat(1_000_000), "timeout": 60}).to_string();
    let begin = |token: &Token, path: &str, bytes: &str| {
        let mut connection = daemon.connect();
        let lines = format!("Content-Length: {}\r\nAuthorization: {}\r\n", body.len(), token.bearer());
        connection.send(raw(&format!("POST {path}"), &lines, bytes).as_bytes());
        connection
    };
    // those beyond the quota are answered, and the others wait
    let unfinished: Vec<Connection> = (0..60).map(|_| begin(&greedy, "/publish", &body[..body.len() - 10])).collect();
    let requests: Vec<Connection> = (0..60).map(|_| begin(&greedy, "/request", &body)).collect();
    let refused = "not sent: as many publishes and requests of this token or hook wait";
    await_reply(&daemon, &greedy, "/request", &body, 429, refused);
    let small = json!({"topic": "a", "msg": "x".repeat(900_000), "timeout": 0.1}).to_string();
    await_reply(&daemon, &other, "/publish", &small, 503, "not sent: there was no connection");
    drop((unfinished, requests));
}

/// Repeats a request until it gets this reply.
#[track_caller]
fn await_reply(daemon: &Daemon, token: &Token, path: &str, body: &str, status: u16, words: &str) {
    let ask = || daemon.connect().request("POST", path, &[("Authorization", &token.bearer())], body.as_bytes());
    eventually(words, ask, |reply| reply.status == status && reply.error().starts_with(words));
}

#[test]
fn a_filter_ends_when_its_last_owner_unsubscribes() {
    let broker = Mosquitto::start();
    let (one, two, three) = (token("one"), token("two"), token("three"));
    let file = "[[subscribe]]\ntopic = \"of/file\"\n";
    let daemon = daemon(&broker, &[&one, &two, &three], file);
    assert_eq!(subscribe(&daemon, &one, "a/#").status, 200);
    unsubscribe(&daemon, &two, "a/#").assert_refused(
        403,
        12,
        "`a/#` was subscribed to by another token: `two` cannot end that",
    );
    let lower = post(&mut daemon.connect(), &two, "/subscribe", &json!({"topic": "a/#", "qos": 0}));
    assert_eq!(lower.json()["granted_qos"], 1, "the other owner keeps its QoS: {lower:?}");
    assert_eq!(unsubscribe(&daemon, &one, "a/#").status, 200);
    assert_eq!(unsubscribe(&daemon, &one, "a/#").status, 403, "it now belongs to the other token only");
    assert_eq!(unsubscribe(&daemon, &three, "never/begun").status, 200);
    assert_eq!(unsubscribe(&daemon, &three, "of/file").status, 409);
    assert_eq!(subscribe(&daemon, &two, "end").status, 200);
    assert_eq!(broker.log_with("Received UNSUBSCRIBE").len(), 0, "the other owner has it still");
    assert_eq!(unsubscribe(&daemon, &two, "a/#").status, 200);
    broker.wait_for_nth(1, "Received UNSUBSCRIBE");
    assert_eq!(seen(&daemon, &three), ["end", "of/file"]);
}

#[test]
fn a_token_with_sees_own_is_shown_only_its_own() {
    let broker = Mosquitto::start();
    let (all, own) = (token("all"), token("own").with("sees = \"own\""));
    let daemon = daemon(&broker, &[&all, &own], "[[subscribe]]\ntopic = \"of/file\"\n");
    assert_eq!(subscribe(&daemon, &all, "others").status, 200);
    assert_eq!(subscribe(&daemon, &own, "mine").status, 200);
    let _streams = [listen(&daemon, &all, "others/read"), listen(&daemon, &all, "read"), listen(&daemon, &own, "read")];
    assert_eq!(seen(&daemon, &own), ["mine", "read"]);
    assert_eq!(seen(&daemon, &all), ["mine", "of/file", "others", "others/read", "read"]);
    let listed = get(&daemon, &own, "/subscriptions").json()["subscriptions"].clone();
    let read = listed.as_array().unwrap().iter().find(|entry| entry["topic"] == "read").unwrap().clone();
    assert_eq!(read, json!({"topic": "read", "qos": 0, "granted_qos": 0, "source": "listener", "listeners": 1}));
    let status = get(&daemon, &own, "/status");
    let text = String::from_utf8_lossy(&status.body).into_owned();
    let broker_address = format!("127.0.0.1:{}", broker.port());
    assert_eq!((status.status, &status.json()["connection"]["state"]), (200, &json!("connected")));
    assert!(!text.contains("of/file") && !text.contains(&broker_address) && !text.contains("client_id"), "{text}");
    assert!(String::from_utf8_lossy(&get(&daemon, &all, "/status").body).contains(&broker_address));
}

#[test]
fn a_response_topic_must_be_in_publish_or_response_topics() {
    let broker = Mosquitto::start();
    let token = Token::new("asker", r#"["dev/#"]"#).reading(r##"["#"]"##).with("response-topics = [\"answers/+\"]");
    let daemon = daemon(&broker, &[&token], "");
    let words = |topic: &str| {
        format!(
            "not sent: token `asker` may not ask for answers on `{topic}`, which is neither in its `publish` nor in its \
             `response-topics`"
        )
    };
    let ask = |path: &str, topic: &str| {
        let properties = json!({ "response_topic": topic });
        let item = json!({"topic": "dev/x", "msg": "x", "properties": properties});
        let emqx = json!({"topic": "dev/x", "payload": "x", "properties": properties});
        let body = match path {
            "/publish" => item,
            "/publish/bulk" => json!([item]),
            "/api/v5/publish" => emqx,
            "/api/v5/publish/bulk" => json!([emqx]),
            "/request" => json!({"topic": "dev/x", "msg": "x", "response_topic": topic, "timeout": 0.1}),
            _ => json!("x"),
        };
        post(&mut daemon.connect(), &token, path, &body)
    };
    let paths = ["/publish", "/publish/bulk", "/api/v5/publish", "/api/v5/publish/bulk", "/request"];
    for denied in ["door/open", "answers", "answers/a/b"] {
        let of_topic = format!("/topics/dev/x?responseTopic={denied}");
        for path in paths.into_iter().chain([of_topic.as_str()]) {
            let reply = ask(path, denied);
            assert_eq!(reply.status, 403, "{path}: {reply:?}");
            let text = String::from_utf8_lossy(&reply.body).into_owned();
            assert!(text.contains(&words(denied)), "{path}: {text}");
        }
    }
    assert!(broker.log_with("Received PUBLISH").is_empty(), "nothing was sent");
    for allowed in ["dev/answers", "answers/a"] {
        for path in paths.into_iter().chain([format!("/topics/dev/x?responseTopic={allowed}").as_str()]) {
            assert_ne!(ask(path, allowed).status, 403, "{path} {allowed}");
        }
    }
}
