//! The outbox: the ways to store a message, what can be seen and taken back, and what is refused.

use serde_json::{Value, json};

use crate::support::daemon::{Daemon, program};
use crate::support::free_port;
use crate::support::hook::Hook;
use crate::support::http::Reply;
use crate::support::mosquitto::Mosquitto;
use crate::support::outbox::{ASYNC, LONG, Setup, all, ask, await_state, body, count, entry, id, store};
use crate::support::process::Process;
use crate::support::token::Token;
use crate::support::waiting::eventually;

#[test]
fn each_way_of_publishing_stores_and_delivers_in_both_versions() {
    for (protocol, reason_code) in [("5", json!(0)), ("3.1.1", Value::Null)] {
        let broker = Mosquitto::start();
        let hook = Hook::new("door", "GET", "hook", "msg = \"pressed\"\nqos = 1\nttl = 60");
        let tables = format!("[publish]\nstore = true\n{}", hook.table);
        let Setup { folder: _folder, daemon, .. } = Setup::speaking(protocol, broker.port(), &tables);
        let mut subscriber = broker.subscribe("#", 7, "%t %p %q %r;");
        let request = |method: &str, path: &str, body: &str| {
            let headers = [("Content-Type", "application/json"), ASYNC];
            daemon.connect().request(method, path, &headers, body.as_bytes())
        };
        let mut ids =
            vec![id(&request("POST", "/publish", r#"{"topic":"one","msg":1,"qos":2,"retain":true,"ttl":60}"#))];
        let items = json!([{"topic": "two", "msg": 2, "qos": 1}, {"topic": "three", "msg": 3, "qos": 1}]);
        let reply = request("POST", "/publish/bulk?ttl=60", &items.to_string());
        assert_eq!((reply.status, reply.header("location")), (202, None), "{reply:?}");
        assert_eq!(reply.header("preference-applied"), Some("respond-async"));
        let of_bulk: Vec<String> = serde_json::from_value(reply.json()["ids"].clone()).unwrap();
        assert_eq!((of_bulk.len(), reply.json()), (2, json!({"code": 0, "ids": of_bulk})));
        ids.extend(of_bulk);
        ids.push(id(&request("POST", "/topics/four?qos=1&ttl=60", "4")));
        ids.push(id(&request("PUT", "/topics/five?qos=1&ttl=60", "5")));
        ids.push(id(&request("DELETE", "/topics/one?qos=1&ttl=60", "")));
        // without the preference, which its callers cannot send
        let reply = daemon.get(&hook.path);
        assert_eq!((reply.status, reply.header("cache-control")), (202, Some("no-store")), "{reply:?}");
        ids.push(reply.json()["id"].as_str().unwrap().to_owned());
        for (id, topic) in ids.iter().zip(["one", "two", "three", "four", "five", "one", "hook"]) {
            let entry = await_state(&daemon, id, "acknowledged");
            // no subscribers is a success too
            assert_eq!((&entry["topic"], &entry["reason_code"]), (&json!(topic), &reason_code), "{entry}");
        }
        subscriber.wait_for_end();
        let got = String::from_utf8(subscriber.stdout()).unwrap();
        let mut got: Vec<_> = got.split_terminator(';').collect();
        // one at QoS 2 is passed on when it is released, after others
        got.sort_unstable();
        let expected =
            ["five 5 1 0", "four 4 1 0", "hook pressed 1 0", "one  1 0", "one 1 2 0", "three 3 1 0", "two 2 1 0"];
        assert_eq!(got, expected, "{protocol}");
    }
}

#[test]
fn the_preference_is_read_as_the_rfc_says() {
    let broker = Mosquitto::start();
    let setup = Setup::new(broker.port(), "");
    let post = |headers: &[(&str, &str)], body: &str| {
        let headers = [&[("Content-Type", "application/json")], headers].concat();
        setup.daemon.connect().request("POST", "/publish", &headers, body.as_bytes())
    };
    for headers in [
        &[("prefer", "RESPOND-ASYNC")][..],
        &[("Prefer", "wait=10, respond-async")],
        &[("Prefer", "return=minimal"), ("Prefer", "respond-async; x=\"y, z\"")],
    ] {
        id(&post(headers, &body("t", LONG)));
    }
    for headers in [&[][..], &[("Prefer", "wait=10")], &[("Prefer", "x=\"respond-async\"")]] {
        post(headers, &body("t", LONG)).assert_refused(400, 3, "`ttl` needs the header `Prefer: respond-async`");
    }
    // a preference may be ignored
    let reply = post(&[ASYNC], r#"{"topic":"t","msg":1,"qos":1}"#);
    assert_eq!((reply.status, reply.header("preference-applied")), (200, None), "{reply:?}");
}

#[test]
fn what_cannot_be_stored_is_refused_in_words() {
    let setup = Setup::new(free_port(), "max-ttl = 100");
    let daemon = &setup.daemon;
    let expiry = "a message expiry interval must not be there with `ttl`: what remains of `ttl` takes its place";
    for (path, body, words) in [
        ("/publish", r#"{"topic":"t","msg":1,"ttl":1}"#, "`qos` must be 1 or 2 with `ttl`"),
        ("/publish", r#"{"topic":"t","msg":1,"qos":0,"ttl":1}"#, "`qos` must be 1 or 2 with `ttl`"),
        (
            "/publish",
            r#"{"topic":"t","msg":1,"qos":1,"ttl":0}"#,
            "`ttl` must be a number of seconds above 0 and up to 100",
        ),
        (
            "/publish",
            r#"{"topic":"t","msg":1,"qos":1,"ttl":-1}"#,
            "`ttl` must be a number of seconds above 0 and up to 100",
        ),
        (
            "/publish",
            r#"{"topic":"t","msg":1,"qos":1,"ttl":100.5}"#,
            "`ttl` must be a number of seconds above 0 and up to 100",
        ),
        ("/publish", r#"{"topic":"t","msg":1,"qos":1,"ttl":"1"}"#, "`ttl`"),
        ("/publish", r#"{"topic":"t","msg":1,"qos":1,"ttl":1,"properties":{"message_expiry_interval":5}}"#, expiry),
        ("/publish", r#"{"topic":"a/#","msg":1,"qos":1,"ttl":1}"#, "`topic` must not contain the wildcard `#`"),
        ("/publish/bulk?ttl=1", r#"[{"topic":"t","msg":1}]"#, "`qos` must be 1 or 2 with `ttl`"),
        (
            "/publish/bulk?ttl=101",
            r#"[{"topic":"t","msg":1,"qos":1}]"#,
            "`ttl` must be a number of seconds above 0 and up to 100",
        ),
        ("/publish/bulk", r#"[{"topic":"t","msg":1,"qos":1,"ttl":1}]"#, "`ttl`"),
        (
            "/publish/bulk?ttl=1",
            r#"[{"topic":"t","msg":1,"qos":1,"properties":{"message_expiry_interval":5}}]"#,
            expiry,
        ),
        ("/topics/t?ttl=1", "x", "`qos` must be 1 or 2 with `ttl`"),
        ("/topics/t?qos=1&ttl=1&messageExpiry=5", "x", expiry),
        ("/topics/t?qos=1&ttl=x", "x", "`ttl`"),
        ("/request", r#"{"topic":"t","msg":1,"qos":1,"ttl":1}"#, "unknown field `ttl`"),
        ("/api/v5/publish", r#"{"topic":"t","payload":"1","qos":1,"ttl":1}"#, "unknown field `ttl`"),
    ] {
        let reply = ask(daemon, path, body);
        let text = String::from_utf8_lossy(&reply.body);
        assert!(reply.status == 400 && text.contains(words), "{path} {body}: {reply:?}, {text}");
    }
    // a `timeout` is for the disk
    let body = r#"{"topic":"t","msg":1,"qos":1,"ttl":100,"timeout":5}"#;
    let stored = id(&ask(daemon, "/publish", body));
    assert_eq!(all(daemon).iter().map(|entry| &entry["id"]).collect::<Vec<_>>(), [&json!(stored)], "nothing else");
}

#[test]
fn without_an_outbox_the_answer_says_how_to_get_one() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let words = "there is no outbox: set `path` in the table [outbox] of the configuration, and restart the bridge";
    let code = ask(&daemon, "/publish", &body("t", 1.0)).code();
    for reply in [
        ask(&daemon, "/publish", &body("t", 1.0)),
        ask(&daemon, "/publish/bulk?ttl=1", r#"[{"topic":"t","msg":1,"qos":1}]"#),
        ask(&daemon, "/topics/t?qos=1&ttl=1", "x"),
        daemon.get("/outbox"),
        daemon.get("/outbox/0123456789abcdef01234567"),
        daemon.connect().request("DELETE", "/outbox/0123456789abcdef01234567", &[], b""),
    ] {
        reply.assert_refused(501, code, words);
    }
}

#[test]
fn a_full_outbox_refuses_and_a_bulk_is_stored_as_a_whole_or_not_at_all() {
    let port = free_port();
    let setup = Setup::new(port, "max-messages = 3");
    let items =
        |count: u32| (0..count).map(|n| json!({"topic": "b", "msg": n, "qos": 1})).collect::<Value>().to_string();
    let bulk = |count| ask(&setup.daemon, "/publish/bulk?ttl=600", &items(count));
    let (first, second) = (store(&setup.daemon, "1", LONG), store(&setup.daemon, "2", LONG));
    let full = |reply: Reply| assert!(reply.status == 507 && reply.error().starts_with("not stored: "), "{reply:?}");
    full(bulk(2));
    let third = store(&setup.daemon, "3", LONG);
    full(ask(&setup.daemon, "/publish", &body("4", LONG)));
    // taken back, there is room for another one
    assert_eq!(setup.delete(&second).status, 200);
    let fourth = store(&setup.daemon, "4", LONG);
    full(bulk(1));
    let setup = setup.restart();
    full(ask(&setup.daemon, "/publish", &body("5", LONG)));
    let listed: Vec<_> = all(&setup.daemon).iter().map(|entry| entry["id"].clone()).collect();
    assert_eq!(listed, [&first, &third, &fourth].map(|id| json!(id)));
    let _broker = Mosquitto::on_port(port, "allow_anonymous true");
    eventually("nothing is queued", || count(&setup.daemon, "acknowledged"), |count| *count == 3);
    let reply = ask(&setup.daemon, "/publish/bulk?ttl=600", &items(3));
    assert_eq!(reply.status, 202, "what was delivered takes no room: {reply:?}");
}

#[test]
fn bytes_are_limited_too() {
    let setup = Setup::new(free_port(), "max-bytes = 1048576");
    let payload = "x".repeat(400_000);
    let store = || ask(&setup.daemon, "/topics/t?qos=1&ttl=600", &payload);
    (0..2).for_each(|_| drop(id(&store())));
    let reply = store();
    assert!(reply.status == 507 && reply.error().starts_with("not stored: "), "{reply:?}");
    id(&ask(&setup.daemon, "/publish", &body("small", LONG)));
}

#[test]
fn the_list_has_counts_states_and_pages() {
    let port = free_port();
    let broker = Mosquitto::on_port(port, "allow_anonymous true");
    let setup = Setup::new(port, "");
    let daemon = &setup.daemon;
    let done: Vec<String> = (0..3).map(|n| store(daemon, &format!("done/{n}"), LONG)).collect();
    for id in &done {
        await_state(daemon, id, "acknowledged");
    }
    drop(broker);
    daemon.wait_for("lost");
    let queued: Vec<String> = (0..5).map(|n| store(daemon, &format!("queued/{n}"), LONG)).collect();
    let list = |query: &str| {
        let reply = daemon.get(&format!("/outbox{query}"));
        assert_eq!((reply.status, reply.code()), (200, 0), "{reply:?}");
        let page = reply.json();
        assert_eq!(
            page["counts"],
            json!({"queued": 5, "sent": 0, "acknowledged": 3, "expired": 0, "refused": 0}),
            "{query}"
        );
        let ids = page["messages"].as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap().to_owned());
        (ids.collect::<Vec<_>>(), page["next"].as_str().map(str::to_owned))
    };
    let every = [&done[..], &queued[..]].concat();
    assert_eq!(list(""), (every.clone(), None));
    assert_eq!(list("?state=acknowledged"), (done.clone(), None));
    assert_eq!(list("?state=expired"), (vec![], None));
    let (page, next) = list("?state=queued&limit=2");
    assert_eq!((page.as_slice(), next.as_ref()), (&queued[..2], Some(&queued[1])));
    let (page, next) = list(&format!("?state=queued&limit=2&after={}", next.unwrap()));
    assert_eq!((page.as_slice(), next.as_ref()), (&queued[2..4], Some(&queued[3])));
    let (page, next) = list(&format!("?state=queued&limit=2&after={}", next.unwrap()));
    assert_eq!((page.as_slice(), next), (&queued[4..], None));
    for query in ["?state=lost", "?limit=0", "?limit=x", "?after=1", "?what=1", "?limit=1&limit=1"] {
        assert_eq!(daemon.get(&format!("/outbox{query}")).status, 400, "{query}");
    }
    assert_eq!(daemon.connect().post("/outbox", b"").status, 405);
}

#[test]
fn what_was_not_sent_can_be_taken_back() {
    let port = free_port();
    let setup = Setup::new(port, "");
    let (kept, back) = (store(&setup.daemon, "kept", LONG), store(&setup.daemon, "back", LONG));
    let reply = setup.delete(&back);
    assert_eq!((reply.status, reply.json()), (200, json!({"code": 0})));
    for unknown in [&back, "0123456789abcdef01234567"] {
        assert_eq!(setup.delete(unknown).status, 404, "{unknown}");
        assert_eq!(setup.daemon.get(&format!("/outbox/{unknown}")).status, 404, "{unknown}");
    }
    let setup = setup.restart();
    assert_eq!(setup.daemon.get(&format!("/outbox/{back}")).status, 404);
    let broker = Mosquitto::on_port(port, "allow_anonymous true");
    await_state(&setup.daemon, &kept, "acknowledged");
    assert_eq!(setup.delete(&kept).status, 409, "it was sent");
    assert_eq!(entry(&setup.daemon, &kept)["state"], "acknowledged");
    assert_eq!(broker.log_with("Received PUBLISH").len(), 1);
}

#[test]
fn a_token_that_sees_its_own_sees_only_what_it_stored() {
    let broker = Mosquitto::start();
    let all = Token::new("all", r##"["#"]"##);
    let own = Token::new("own", r#"["own/#"]"#).with("sees = \"own\"");
    let other = Token::new("other", r#"["other/#"]"#).with("sees = \"own\"");
    // one that sees all, but may publish nothing
    let reader = Token::new("reader", "[]");
    let port = broker.port();
    drop(broker);
    let tables = [&all, &own, &other, &reader].map(|token| token.table.as_str()).concat();
    let setup = Setup::new(port, &tables);
    let request = |token: &Token, method: &str, path: &str, body: &str| {
        let bearer = token.bearer();
        let headers = [("Content-Type", "application/json"), ("Authorization", bearer.as_str()), ASYNC];
        setup.daemon.connect().request(method, path, &headers, body.as_bytes())
    };
    request(&own, "POST", "/publish", &body("other/1", LONG)).assert_refused(
        403,
        12,
        "not sent: token `own` may not publish to `other/1`",
    );
    let first = id(&request(&own, "POST", "/publish", &body("own/1", LONG)));
    let second = id(&request(&other, "POST", "/publish", &body("other/1", LONG)));
    let listed = |token: &Token| {
        let list = request(token, "GET", "/outbox", "").json();
        let ids: Vec<_> = list["messages"].as_array().unwrap().iter().map(|entry| entry["id"].clone()).collect();
        assert_eq!(list["counts"]["queued"], ids.len(), "{list}");
        ids
    };
    assert_eq!(listed(&own), [first.as_str()]);
    assert_eq!(listed(&other), [second.as_str()]);
    assert_eq!(listed(&all), [first.as_str(), second.as_str()]);
    let of_second = format!("/outbox/{second}");
    for method in ["GET", "DELETE"] {
        assert_eq!(request(&own, method, &of_second, "").status, 404, "{method}");
    }
    assert_eq!(request(&reader, "GET", &of_second, "").status, 200);
    assert_eq!(request(&reader, "DELETE", &of_second, "").status, 403);
    assert_eq!(setup.daemon.get(&of_second).status, 401);
    assert_eq!(request(&other, "DELETE", &of_second, "").status, 200);
    assert_eq!(request(&all, "DELETE", &format!("/outbox/{first}"), "").status, 200);
}

#[test]
fn two_bridges_do_not_share_a_file() {
    let setup = Setup::new(free_port(), "");
    let config =
        setup.folder.write("second.toml", &format!("{}[http]\nlisten = \"127.0.0.1:0\"\n", setup.configuration));
    let mut command = program();
    let mut second = Process::start(command.arg("--config").arg(config));
    assert_ne!(second.wait_for_end().code(), Some(0));
    let path = setup.folder.path().join("outbox").display().to_string();
    assert!(second.lines().iter().any(|line| line.contains(&path)), "{:?}", second.lines());
    store(&setup.daemon, "t", LONG);
}
