//! `GET` and `POST /hooks/{name}/{secret}`: what a call publishes, and who may call.

use crate::support::brokers::{Broker, Make};
use crate::support::daemon::{Daemon, program};
use crate::support::folder::Folder;
use crate::support::free_port;
use crate::support::hook::{Hook, await_waiting, talkative};
use crate::support::http::Reply;
use crate::support::mosquitto::Mosquitto;
use crate::support::mqtt_clients::{Client, Delivered};
use crate::support::process::Process;
use crate::support::request::raw;
use crate::support::token::Token;

const UNKNOWN: &str = "there is no such hook, or the secret in the path is wrong";
/// What a browser sends with each request, also over plain HTTP.
const AGENT: [(&str, &str); 2] = [
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("Accept-Language", "en"),
];

fn door() -> Hook {
    Hook::new("door", "GET", "home/{query.button}", "msg = \"pressed\"")
}

/// An answer that no cache stores.
#[track_caller]
fn assert_answered(reply: &Reply, status: u16) {
    assert_eq!((reply.status, reply.header("cache-control")), (status, Some("no-store")), "{reply:?}");
}

#[test]
fn a_url_publishes_on_brokers_of_three_makes() {
    for (make, protocol) in [
        (Make::Mosquitto, "5"),
        (Make::Mosquitto, "3.1.1"),
        (Make::Rumqttd, "5"),
        (Make::Rumqttd, "3.1.1"),
        (Make::Aedes, "3.1.1"),
    ] {
        let broker = Broker::start(make, protocol);
        let hook = Hook::new("door", "GET", "home/{query.button}", "msg = \"pressed\"\nqos = 2\nretain = true");
        let speaks = format!("[mqtt]\nport = {}\nprotocol = \"{protocol}\"\n", broker.port());
        let daemon = Daemon::connected_with(&format!("{speaks}{}", hook.table));
        let reply = daemon.get(&format!("{}?button=left", hook.path));
        assert_answered(&reply, 200);
        assert!(reply.json()["packet_id"].is_u64() && reply.code() == 0, "{make:?}: {reply:?}");
        let kept = Client::Mosquitto.subscribe(broker.port(), protocol, "home/left").next();
        assert_eq!(kept, Delivered { qos: 2, retain: true, payload: b"pressed".to_vec() }, "{make:?}");
    }
}

#[test]
fn a_get_without_msg_publishes_its_query_as_json() {
    let broker = Mosquitto::start();
    let hook = Hook::new("door", "GET", "home/door", "");
    let mut subscriber = broker.subscribe("#", 1, "%t %q %r %C %p");
    let reply = hook.daemon(broker.port()).get(&format!("{}?id=1+2&state=%22on%22&empty", hook.path));
    assert_answered(&reply, 200);
    subscriber.wait_for_end();
    let expected = r#"home/door 1 0 application/json {"id":"1+2","state":"\"on\"","empty":""}"#;
    assert_eq!(String::from_utf8(subscriber.stdout()).unwrap(), expected);
}

#[test]
fn a_post_publishes_its_body_with_its_type_and_the_named_headers() {
    let broker = Mosquitto::start();
    let lines = "properties = [\"X-Event\"]\nqos = 0";
    let [own, other] = [("own", ""), ("other", "content-type = \"text/x\"")]
        .map(|(name, typed)| Hook::new(name, "POST", name, &format!("{lines}\n{typed}")));
    let daemon = talkative(broker.port(), &format!("{}{}", own.table, other.table));
    let mut subscriber = broker.subscribe("#", 4, "%t|%C|%P|%q|%p\n");
    let headers = [("Content-Type", "image/png"), ("x-event", "push"), ("X-Other", "y"), ("Authorization", "z")];
    for path in [&own.path, &other.path] {
        daemon.connect().request("POST", path, &headers, b"\x89PNG\0").assert_published();
    }
    daemon.connect().request("POST", &own.path, &[], b"").assert_published();
    let mut chunked = daemon.connect();
    let lines = "Transfer-Encoding: chunked\r\n";
    chunked.send(raw(&format!("POST {}", own.path), lines, "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n").as_bytes());
    chunked.reply().assert_published();
    subscriber.wait_for_end();
    let expected =
        b"own|image/png|X-Event:push|0|\x89PNG\0\nother|text/x|X-Event:push|0|\x89PNG\0\nown|||0|\nown|||0|abc\n";
    assert_eq!(subscriber.stdout(), expected);
}

#[test]
fn in_mqtt_3_1_1_what_would_be_properties_is_left_out() {
    let broker = Mosquitto::start();
    let hook = Hook::new("door", "POST", "a", "properties = [\"X-Event\"]\ncontent-type = \"text/x\"");
    let daemon =
        Daemon::connected_with(&format!("[mqtt]\nport = {}\nprotocol = \"3.1.1\"\n{}", broker.port(), hook.table));
    let mut subscriber = broker.subscribe("#", 1, "%p|%C|%P");
    let headers = [("Content-Type", "image/png"), ("X-Event", "push"), ("traceparent", "00-1"), ("ce-id", "1")];
    assert_answered(&daemon.connect().request("POST", &hook.path, &headers, b"x"), 200);
    subscriber.wait_for_end();
    assert_eq!(subscriber.stdout(), b"x||");
}

#[test]
fn placeholders_take_values_of_the_query_the_headers_and_the_body() {
    let broker = Mosquitto::start();
    let hook = Hook::new("h", "POST", "{query.q}/{header.X-H}-{json./a~1b/0}/{json./n}", "qos = 0");
    let daemon = hook.daemon(broker.port());
    let mut subscriber = broker.subscribe("#", 2, "%t\n");
    for (body, query) in
        [(r#"{"a/b": ["x"], "n": 1.50}"#, "%C3%BC"), (r#"{"n": true, "a/b": ["\u00e4"]}"#, "b&other=1")]
    {
        let path = format!("{}?q={query}", hook.path);
        daemon.connect().request("POST", &path, &[("x-h", "v")], body.as_bytes()).assert_published();
    }
    subscriber.wait_for_end();
    assert_eq!(String::from_utf8(subscriber.stdout()).unwrap(), "ü/v-x/1.50\nb/v-ä/true\n");
}

#[test]
fn each_value_that_does_not_fit_is_400_with_its_placeholder() {
    let broker = Mosquitto::start();
    let hook = Hook::new("h", "POST", "{query.q}/{header.X-H}/{json./a}", "retain = true");
    let daemon = hook.daemon(broker.port());
    let (one, many) =
        ("it is one level of a topic or a part of it", (0..33).map(|n| format!("p{n}&")).collect::<Vec<_>>().concat());
    let (deep, wide) = ("[".repeat(100_000), (0..1001).map(|n| format!("\"{n}\":0,")).collect::<Vec<_>>().concat());
    let good = r#"{"a": "b"}"#;
    let cases = [
        ("", "v", good, "`{query.q}` is missing".to_owned()),
        ("q=", "v", good, "`{query.q}` must not be empty".to_owned()),
        ("q=a%2Fb", "v", good, format!("`{{query.q}}` must not contain `/`: {one}")),
        ("q=%23", "v", good, format!("`{{query.q}}` must not contain `#`: {one}")),
        ("q=%00", "v", good, "`{query.q}` must not contain the character U+0000".to_owned()),
        ("q=a&q=b", "v", good, "parameter `q` is there twice".to_owned()),
        ("q=%FF", "v", good, "`q` is not UTF-8 when it is decoded".to_owned()),
        (&many, "v", good, "more than 32 parameters".to_owned()),
        ("q=%24SYS", "v", good, "the topic must not start with `$`: such topics belong to the broker".to_owned()),
        ("q=%1B", "v", good, "`{query.q}` must not contain the character U+001B".to_owned()),
        ("q=a", "+", good, format!("`{{header.X-H}}` must not contain `+`: {one}")),
        ("q=a", "", good, "`{header.X-H}` must not be empty".to_owned()),
        ("q=a", "v", "{}", "`{json./a}` is missing".to_owned()),
        ("q=a", "v", "", "`{json./a}` needs a body in JSON".to_owned()),
        ("q=a", "v", "{\"a\":", "`{json./a}` needs a body in JSON".to_owned()),
        ("q=a", "v", "{\"a\": null}", "`{json./a}` must be a string, a number, true or false, not null".to_owned()),
        ("q=a", "v", "{\"a\": {}}", "`{json./a}` must be a string, a number, true or false, not an object".to_owned()),
        ("q=a", "v", "{\"a\": 1e+5}", format!("`{{json./a}}` must not contain `+`: {one}")),
        ("q=a", "v", "{\"a\": 1, \"a\": 2}", "`{json./a}` field `a` is there twice".to_owned()),
        ("q=a", "v", &deep, "`{json./a}` needs a body in JSON".to_owned()),
        (
            "q=a",
            "v",
            &format!("{{{wide}\"a\":0}}"),
            "`{json./a}` must not have more than 1000 fields in one object".to_owned(),
        ),
    ];
    for (query, header, body, error) in cases {
        let path = format!("{}?{query}", hook.path);
        let reply = daemon.connect().request("POST", &path, &[("X-H", header)], body.as_bytes());
        reply.assert_refused(400, 3, &error);
        assert_answered(&reply, 400);
    }
    let path = format!("{}?q=a", hook.path);
    daemon.connect().request("POST", &path, &[("X-H", "a"), ("X-H", "b")], good.as_bytes()).assert_refused(
        400,
        3,
        "`{header.X-H}` header `X-H` must not be there twice",
    );
    assert!(broker.log_with("Received PUBLISH").is_empty(), "nothing was published");
}

#[test]
fn a_hook_that_retains_does_not_clear_by_an_empty_body() {
    let broker = Mosquitto::start();
    let hook = Hook::new("h", "POST", "a", "retain = true");
    let words = "the body is empty, which would clear the retained message: the hook has no `msg`";
    let daemon = hook.daemon(broker.port());
    daemon.connect().request("POST", &hook.path, &[], b"").assert_refused(400, 3, words);
    let gzip = daemon.connect().request("POST", &hook.path, &[("Content-Encoding", "gzip")], b"x");
    gzip.assert_refused(415, 3, "`Content-Encoding: gzip` is not supported");
    let hook = door();
    let daemon = hook.daemon(broker.port());
    let body = daemon.connect().request("GET", &hook.path, &[], b"x");
    body.assert_refused(400, 3, "a call by GET must have no body");
}

#[test]
fn a_wrong_name_or_secret_is_404_and_recorded_once_and_no_record_shows_a_secret() {
    let broker = Mosquitto::start();
    let (old, new, signed) = (door(), door(), Folder::new());
    let file = signed.write("secret", "hunter2");
    let two = format!("[\"{}\", \"{}\"]", old.sha256(), new.sha256());
    let table = old.table.replace(&format!("\"{}\"", old.sha256()), &two);
    let by_signature = "[[hook]]\nname = \"signed\"\ntopic = \"a\"\nsignature = \"github\"\nsignature-secret-file";
    let daemon = talkative(broker.port(), &format!("{table}{by_signature} = \"{}\"\n", file.display()));
    for hook in [&old, &new] {
        assert_answered(&daemon.get(&format!("{}?button=a", hook.path)), 200);
    }
    let secret = &old.secret;
    let mut wrong = vec!["/hooks/".to_owned(), "/hooks/door".to_owned(), "/hooks/door/".to_owned()];
    wrong.extend([format!("/hooks/other/{secret}"), format!("/hooks/signed/{secret}"), format!("{}/", old.path)]);
    wrong.extend([old.path.to_uppercase().replace("HOOKS/DOOR", "hooks/door"), format!("/hooks/door?{secret}")]);
    for path in &wrong {
        let reply = daemon.get(path);
        reply.assert_refused(404, 6, UNKNOWN);
        assert_answered(&reply, 404);
    }
    // misspelt, in another form of the target, or not HTTP
    let others = ["/Hooks/door/", "//hooks/door/", "/%68ooks%2fdoor%2F", "https://localhost/hooks/door/"];
    let errors = others.map(|path| daemon.get(&format!("{path}{secret}"))).map(|reply| (reply.status, reply.error()));
    assert!(errors.iter().all(|(status, error)| *status == 404 && !error.contains(&**secret)), "{errors:?}");
    for request in [format!("GET {} HTTP/9.9\r\n\r\n", old.path), format!("GET {} HTTP/1.1 x\r\n\r\n", old.path)] {
        let mut connection = daemon.connect();
        connection.send(request.as_bytes());
        connection.try_rest();
    }
    let shown =
        ["/status", "/metrics", "/", "/openapi.json"].map(|path| String::from_utf8(daemon.get(path).body).unwrap());
    daemon.wait_for("warning: unauthorized: 127.0.0.1 sent an unknown hook or a wrong secret");
    daemon.wait_for("GET /hooks/door/… is answered with 200");
    daemon.wait_for("hook door publishes to home/a");
    let told = [&daemon.lines()[..], &shown].concat();
    let secrets = [secret.as_str(), &secret.to_uppercase(), &new.secret, "hunter2"];
    assert!(!told.iter().any(|line| secrets.iter().any(|secret| line.contains(secret))), "{told:?}");
    assert_eq!(daemon.lines_with("unauthorized").len(), 1, "once a minute");
    assert_eq!(broker.log_with("Received PUBLISH").len(), 2, "nothing else was published");
}

#[test]
fn a_hook_is_called_by_its_methods_only_and_head_does_nothing() {
    let broker = Mosquitto::start();
    let (get, post) = (door(), Hook::new("post", "POST", "b", ""));
    let both = get.table.replace("[\"GET\"]", "[\"GET\", \"POST\"]").replace("\"door\"", "\"both\"");
    let daemon = talkative(broker.port(), &format!("{}{}{both}", get.table, post.table));
    let both = get.path.replace("door", "both");
    let ask = |method: &str, path: &str| {
        let mut connection = daemon.connect();
        connection.send(format!("{method} {path}?button=a HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        if method == "HEAD" { connection.reply_to_head() } else { connection.reply() }
    };
    for (path, allowed) in [(&get.path, "GET, HEAD"), (&post.path, "POST"), (&both, "GET, HEAD, POST")] {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
            let reply = ask(method, path);
            let (status, allow) = match method {
                _ if !allowed.split(", ").any(|other| other == method) => (405, Some(allowed)),
                "HEAD" => (204, None),
                _ => (200, None),
            };
            assert_answered(&reply, status);
            assert_eq!(reply.header("allow"), allow, "{method} {path}");
        }
    }
    assert_eq!(broker.log_with("Received PUBLISH").len(), 4, "GET and POST, each where it is allowed");
}

#[test]
fn a_prefetch_or_a_link_preview_does_nothing() {
    let broker = Mosquitto::start();
    let hook = Hook::new("door", "GET", "a", "allow-browsers = true");
    let daemon = hook.daemon(broker.port());
    for header in [
        ("Purpose", "prefetch"),
        ("Sec-Purpose", "prefetch;prerender"),
        ("X-Purpose", "preview"),
        ("X-Moz", "prefetch"),
    ] {
        let reply = daemon.connect().request("GET", &hook.path, &[header], b"");
        reply.assert_refused(503, 13, "not sent: a prefetch or a link preview does nothing");
        assert_answered(&reply, 503);
    }
    assert!(broker.log_with("Received PUBLISH").is_empty());
}

#[test]
fn a_page_calls_only_the_hooks_that_allow_browsers() {
    let broker = Mosquitto::start();
    let (closed, open) = (door(), Hook::new("open", "GET", "b", "allow-browsers = true"));
    let (posted, posted_open) =
        (Hook::new("p", "POST", "c", ""), Hook::new("po", "POST", "d", "allow-browsers = true"));
    let tables = [&closed, &open, &posted, &posted_open].map(|hook| hook.table.clone()).concat();
    let http = "[http]\nallowed-origins = [\"https://panel.example\"]\n";
    let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\n{tables}{http}", broker.port()));
    let ask = |method: &str, hook: &Hook, headers: &[(&str, &str)]| {
        daemon.connect().request(method, &format!("{}?button=a", hook.path), headers, b"")
    };
    let images: [&[(&str, &str)]; 6] = [
        &[("Referer", "http://evil.example/")],
        &[("Sec-Fetch-Site", "none")],
        &[("Sec-Fetch-Mode", "no-cors")],
        &[("Origin", "https://panel.example")],
        &[AGENT[0], AGENT[1]],
        &[("Sec-Fetch-Site", "same-origin")],
    ];
    let browsers = "not sent: browsers may not call hook `door`: its `allow-browsers` is false";
    for headers in images {
        ask("GET", &closed, headers).assert_refused(403, 12, browsers);
        assert_eq!(ask("GET", &open, headers).status, 200, "{headers:?}");
    }
    let evil = [("Origin", "https://evil.example"), AGENT[0], AGENT[1]];
    for hook in [&closed, &posted] {
        let method = if hook.path == posted.path { "POST" } else { "GET" };
        for headers in [&evil[..], &[("Sec-Fetch-Site", "cross-site")], &[("Origin", "null")]] {
            assert_answered(&ask(method, hook, headers), 403);
        }
    }
    assert_eq!(ask("POST", &posted_open, &evil).status, 200);
    let panel = ask("POST", &posted, &[("Origin", "https://panel.example")]);
    assert_eq!((panel.status, panel.header("access-control-allow-origin")), (200, Some("https://panel.example")));
    let preflight = [("Origin", "https://evil.example"), ("Access-Control-Request-Method", "POST")];
    assert_eq!(ask("OPTIONS", &posted, &preflight).status, 403);
    // a page must not cause a record of its visitor, and DNS rebinding is refused
    assert_eq!(daemon.connect().request("GET", "/hooks/door/x", &evil, b"").status, 403);
    let mut rebound = daemon.connect();
    rebound.send(format!("GET {} HTTP/1.1\r\nHost: evil.example\r\n\r\n", open.path).as_bytes());
    assert_eq!(rebound.reply().status, 403);
    assert!(daemon.lines_with("unauthorized").is_empty());
    assert_eq!(broker.log_with("Received PUBLISH").len(), images.len() + 2);
}

#[test]
fn a_hook_needs_no_token_and_opens_nothing_else() {
    let broker = Mosquitto::start();
    let (hook, token) = (door(), Token::new("door", "[]"));
    let daemon = talkative(broker.port(), &format!("{}{}", hook.table, token.table));
    let path = format!("{}?button=a", hook.path);
    let proxied = [("X-Forwarded-For", "192.0.2.1"), ("Via", "1.1 proxy")];
    assert_eq!(daemon.connect().request("GET", &path, &proxied, b"").status, 200);
    for header in [format!("Bearer {}", hook.secret), format!("Bearer {}", hook.sha256())] {
        let status = daemon.connect().request("GET", "/status", &[("Authorization", &header)], b"").status;
        assert_eq!(status, 401, "the secret of a hook is no token");
    }
    assert_eq!(daemon.get("/hooks").status, 401);
    let without = hook.daemon(broker.port());
    assert_eq!(without.connect().request("GET", &path, &proxied, b"").status, 200, "it has its secret");
    assert_eq!(without.connect().request("GET", "/status", &proxied, b"").status, 403);
    without.get("/hooks/door/x").assert_refused(404, 6, UNKNOWN);
    let folder = Folder::new();
    let config = folder.write("bridge.toml", &format!("{}[http]\nlisten = \"0.0.0.0:{}\"", hook.table, free_port()));
    let mut beyond = Process::start(program().arg("--config").arg(config));
    assert_eq!(beyond.wait_for_end().code(), Some(78), "{:?}", beyond.lines());
}

#[test]
fn a_hook_has_its_own_rate_and_half_of_those_that_wait() {
    let mut broker = Mosquitto::start();
    let (slow, busy) = (Hook::new("slow", "GET", "a", "rate = 0.01"), Hook::new("busy", "GET", "b", ""));
    let daemon = talkative(broker.port(), &format!("[publish]\nmax-waiting = 2\n{}{}", slow.table, busy.table));
    assert_eq!(daemon.get(&slow.path).status, 200);
    let over = daemon.get(&slow.path);
    over.assert_refused(429, 15, "not sent: hook `slow` is over its rate");
    assert_answered(&over, 429);
    assert!(over.header("retry-after").is_some());
    broker.kill();
    daemon.wait_for("lost: ");
    let mut waiting = daemon.served_connection();
    waiting.send(format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", busy.path).as_bytes());
    await_waiting(&daemon);
    let refused = daemon.get(&busy.path);
    assert_answered(&refused, 429);
    assert!(
        refused.error().starts_with("not sent: as many publishes and requests of this token or hook"),
        "{refused:?}"
    );
    broker.restart();
    assert_eq!(waiting.reply().status, 200);
}

#[test]
fn a_hook_waits_for_the_broker_for_its_timeout() {
    let hook = Hook::new("door", "GET", "a", "timeout = 0.2");
    let others = "[publish]\ntimeout = 60";
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}\n{others}\n{}", free_port(), hook.table));
    let reply = daemon.get(&hook.path);
    reply.assert_refused(503, 4, "not sent: there was no connection to the broker within the timeout");
    assert_answered(&reply, 503);
    assert!(reply.header("retry-after").is_some());
}
