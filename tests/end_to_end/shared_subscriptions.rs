//! Shared subscriptions: daemons of one group divide the messages.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::events::Listener;
use crate::support::folder::Folder;
use crate::support::http::{Connection, Reply};
use crate::support::mosquitto::Mosquitto;
use crate::support::nginx;
use crate::support::process::Process;
use crate::support::scripted_broker::{
    DISCONNECT, SUBSCRIBE, ScriptedBroker, UNSUBSCRIBE, answer_filters, behave, suback,
};
use crate::support::token::Token;
use crate::support::waiting::eventually;
use crate::support::{PATIENCE, free_port};

const SHARED: &str = "$share/group/work/#";
const COUNT: usize = 600;

/// A daemon that joins the group by its configuration.
fn member(broker: &Mosquitto, protocol: &str, id: &str) -> Daemon {
    let daemon = Daemon::with(&format!(
        "[mqtt]\nport = {}\nprotocol = \"{protocol}\"\nclient-id = \"{id}\"\n[[subscribe]]\ntopic = \"{SHARED}\"\nqos = 1",
        broker.port()
    ));
    daemon.wait_for(&format!("subscribed to {SHARED} at QoS 1"));
    daemon
}

/// Publishes these numbers at QoS 1.
fn publish(through: &Daemon, numbers: std::ops::Range<usize>) {
    let messages: Vec<Value> = numbers.map(|n| json!({"topic": format!("work/{n}"), "msg": n, "qos": 1})).collect();
    let reply = through.connect().post("/publish/bulk", json!(messages).to_string().as_bytes());
    assert_eq!(reply.status, 200, "{reply:?}");
}

/// The numbers that a daemon recorded, in order.
fn recorded(daemon: &Daemon) -> Vec<usize> {
    let lines = daemon.lines_with("Received message on topic: ");
    lines.iter().map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect()
}

/// Waits until the daemons together have recorded this many messages.
#[track_caller]
fn await_all(daemons: &[&Daemon], count: usize) -> Vec<Vec<usize>> {
    let look = || daemons.iter().map(|daemon| recorded(daemon)).collect::<Vec<_>>();
    let total = |parts: &Vec<Vec<usize>>| parts.iter().map(Vec::len).sum::<usize>();
    eventually(&format!("{count} records"), look, |parts| total(parts) >= count)
}

/// Each number was recorded once.
#[track_caller]
fn assert_divided(parts: &[Vec<usize>], count: usize) {
    let all: Vec<usize> = parts.concat();
    assert_eq!(all.iter().copied().collect::<BTreeSet<_>>(), (0..count).collect::<BTreeSet<_>>());
    assert_eq!(all.len(), count, "none twice");
}

#[test]
fn two_daemons_divide_the_messages_of_a_group() {
    for protocol in ["5", "3.1.1"] {
        let broker = Mosquitto::start();
        let (one, other) = (member(&broker, protocol, "one"), member(&broker, protocol, "other"));
        let publisher = Daemon::connected(broker.port());
        publish(&publisher, 0..COUNT);
        let parts = await_all(&[&one, &other], COUNT);
        assert_divided(&parts, COUNT);
        assert!(
            parts.iter().all(|part| part.len() > COUNT / 4),
            "{protocol}: {} and {}",
            parts[0].len(),
            parts[1].len()
        );
        assert!(parts.iter().all(|part| part.is_sorted()), "{protocol}: in order for each");
    }
}

#[test]
fn a_group_is_joined_and_left_at_run_time() {
    for protocol in ["5", "3.1.1"] {
        let broker = Mosquitto::start();
        let one = member(&broker, protocol, "one");
        let other = Daemon::speaking(protocol, broker.port());
        let ask = |path: &str| other.connect().post(path, json!({"topic": SHARED, "qos": 1}).to_string().as_bytes());
        let leave = || other.connect().post("/unsubscribe", json!({"topic": SHARED}).to_string().as_bytes());
        let assert_done = |reply: Reply| assert_eq!(reply.status, 200, "{reply:?}");
        publish(&one, 0..10);
        await_all(&[&one], 10);
        assert_done(ask("/subscribe"));
        publish(&one, 10..210);
        let parts = await_all(&[&one, &other], 210);
        assert_divided(&parts, 210);
        assert!(parts[1].len() > 50, "{protocol}: {}", parts[1].len());
        assert_done(leave());
        let before = parts[1].len();
        publish(&one, 210..220);
        assert_divided(&await_all(&[&one, &other], 220), 220);
        assert_eq!(recorded(&other).len(), before, "{protocol}: it gets nothing more");
    }
}

#[test]
fn a_clean_stop_loses_no_message_of_a_group() {
    for protocol in ["5", "3.1.1"] {
        let broker = Mosquitto::start();
        let (mut one, other) = (member(&broker, protocol, "one"), member(&broker, protocol, "other"));
        let publisher = Daemon::connected(broker.port());
        let is_over = AtomicBool::new(false);
        let count = thread::scope(|scope| {
            let stream = scope.spawn(|| {
                let bulks = (0..500).take_while(|_| !is_over.load(Ordering::Relaxed));
                bulks.map(|n| publish(&publisher, n * 100..(n + 1) * 100)).count() * 100
            });
            await_all(&[&one], 200);
            one.signal("TERM");
            assert_eq!(one.wait_for_end().code(), Some(0));
            is_over.store(true, Ordering::Relaxed);
            stream.join().unwrap()
        });
        // the other daemon continues alone
        publish(&publisher, count..count + 100);
        let count = count + 100;
        let parts = await_all(&[&one, &other], count);
        assert_divided(&parts, count);
        assert!(parts[1].len() > parts[0].len(), "{protocol}: {} and {}", parts[0].len(), parts[1].len());
    }
}

#[test]
fn messages_for_a_leaving_member_are_received_before_the_disconnect() {
    const LEFT: u8 = 5;
    // one message at a time, each after the acknowledgement of the one before
    let message = |n: u8| [&[0x32, 11, 0, 6], b"work/1".as_slice(), &[0, n, 0]].concat();
    let mut sent = 0;
    let broker = ScriptedBroker::start(move |_, packet| {
        let mut answer = if packet.kind == UNSUBSCRIBE { suback(packet, &[0]) } else { behave(packet, &[]) };
        if packet.kind == UNSUBSCRIBE {
            answer[0] = 0xb0;
        }
        if packet.kind == UNSUBSCRIBE || (packet.kind == 4 && sent < LEFT) {
            sent += 1;
            answer.extend_from_slice(&message(sent));
        }
        Some(answer)
    });
    let config = format!("[mqtt]\nport = {}\n[[subscribe]]\ntopic = \"{SHARED}\"\nqos = 1", broker.port());
    let mut daemon = Daemon::with(&config);
    daemon.wait_for("subscribed to");
    daemon.signal("TERM");
    assert_eq!(daemon.wait_for_end().code(), Some(0));
    let (_, before) = broker.wait_for(DISCONNECT);
    assert_eq!(before.iter().filter(|packet| packet.kind == 4).count(), usize::from(LEFT), "{before:?}");
    assert_eq!(daemon.lines_with("Received message").len(), usize::from(LEFT));
}

#[test]
fn a_thousand_shared_filters_are_unsubscribed_before_the_disconnect() {
    let broker = ScriptedBroker::start(|_, packet| {
        Some(match packet.kind {
            SUBSCRIBE | UNSUBSCRIBE => answer_filters(packet, |_| None),
            _ => behave(packet, &[]),
        })
    });
    let tables =
        (0..1000).map(|n| format!("[[subscribe]]\ntopic = \"$share/group/{n}\"\n")).collect::<Vec<_>>().concat();
    let mut daemon = Daemon::with(&format!("[mqtt]\nport = {}\n{tables}", broker.port()));
    daemon.wait_for("subscribed to $share/group/999 ");
    daemon.signal("TERM");
    assert_eq!(daemon.wait_for_end().code(), Some(0));
    let (_, before) = broker.wait_for(DISCONNECT);
    assert_eq!(before.iter().filter(|packet| packet.kind == UNSUBSCRIBE).count(), 1000);
}

#[test]
fn messages_of_a_kept_session_wait_for_its_daemon() {
    let broker = Mosquitto::start();
    let config = format!("[mqtt]\nport = {}\nclient-id = \"one\"\nclean-session = false", broker.port());
    let config = format!("{config}\n[[subscribe]]\ntopic = \"{SHARED}\"\nqos = 1");
    let (mut one, other) = (Daemon::connected_with(&config), member(&broker, "5", "other"));
    one.wait_for(&format!("subscribed to {SHARED}"));
    one.signal("TERM");
    assert_eq!(one.wait_for_end().code(), Some(0));
    publish(&other, 0..200);
    let again = Daemon::connected_with(&config);
    assert_divided(&await_all(&[&again, &other], 200), 200);
}

/// The indented lines of docs/several.md from this one on.
fn example(first: &'static str) -> Vec<&'static str> {
    let page = include_str!("../../docs/several.md");
    let (_, after) = page.split_once(&format!("\n    {first}\n")).expect(first);
    [first].into_iter().chain(after.lines().map_while(|line| line.strip_prefix("    "))).collect()
}

/// One of the documented daemons.
fn bridge(broker: &Mosquitto, number: usize, token: &Token) -> Daemon {
    let lines: Vec<&str> = example("[mqtt]").into_iter().filter(|line| !line.starts_with("listen")).collect();
    let text = lines.join("\n");
    let (before, after) = text.split_once("[[token]]").unwrap();
    let (_, http) = after.split_once("[http]").unwrap();
    let server = format!("server = \"127.0.0.1\"\nport = {}", broker.port());
    let before = before.replace("server = \"broker.example.com\"", &server);
    let before = before.replace("bridge-1", &format!("bridge-{number}"));
    let daemon = Daemon::connected_with(&format!("{before}{}[http]{http}", token.table));
    daemon.wait_for("subscribed to $share/bridges/orders/# at QoS 1");
    daemon
}

/// The documented nginx without TLS, in front of these daemons, and its address.
fn documented_nginx(folder: &Folder, daemons: &[Daemon; 2]) -> (Process, String) {
    nginx_without(&[], folder, daemons)
}

/// The same without the lines that contain one of these words.
fn nginx_without(left_out: &[&str], folder: &Folder, daemons: &[Daemon; 2]) -> (Process, String) {
    let address = format!("127.0.0.1:{}", free_port());
    let mut lines = example("upstream bridges {");
    lines.retain(|line| !line.contains("ssl_") && !left_out.iter().any(|word| line.contains(word)));
    let servers = lines.join("\n");
    let servers = servers
        .replace("listen 443 ssl", &format!("listen {address}"))
        .replace("10.0.0.11:8000", daemons[0].address())
        .replace("10.0.0.12:8000", daemons[1].address());
    assert_eq!(servers.matches(daemons[0].address()).count(), 2, "{servers}");
    let process = nginx::start(folder, &servers, &address);
    (process, address)
}

#[test]
fn two_bridges_behind_the_documented_nginx_lose_no_message() {
    const EACH: usize = 100;
    let (broker, folder) = (Mosquitto::start(), Folder::new());
    let token = Token::new("shop", "[\"orders/#\"]").reading("[\"orders/#\"]");
    let mut daemons = [1, 2].map(|number| bridge(&broker, number, &token));
    let (_nginx, address) = documented_nginx(&folder, &daemons);
    let bearer = token.bearer();
    let headers = [("Authorization", bearer.as_str())];
    let mut reader = broker.subscribe("orders/#", 4 * EACH, "%p ");
    let mut presence = broker.subscribe("bridges/bridge-1", 2, "%p ");
    let head = format!("GET /messages?topic=orders/%23 HTTP/1.1\r\nHost: localhost\r\nAuthorization: {bearer}\r\n\r\n");
    let mut listener = Listener::on(Connection::open(&address), &head).unwrap();
    // four clients publish while one of the daemons stops
    thread::scope(|scope| {
        for client in 0..4 {
            let (address, headers) = (&address, &headers);
            scope.spawn(move || {
                let mut connection = Connection::open(address);
                for n in client * EACH..(client + 1) * EACH {
                    let body = json!({"topic": format!("orders/{n}"), "msg": n, "qos": 1}).to_string();
                    let mut publish = || connection.request("POST", "/publish", headers, body.as_bytes());
                    // 503: the daemon is about to stop; 502: it stopped before it accepted the connection
                    let reply = (0..10)
                        .map(|_| publish())
                        .find(|reply| !matches!(reply.status, 502 | 503))
                        .expect("a bridge that is there");
                    assert_eq!(reply.status, 200, "{n}: {reply:?}");
                }
            });
        }
        assert!(listener.event_within(PATIENCE).is_some(), "a stream through nginx");
        daemons[0].signal("TERM");
        assert_eq!(daemons[0].wait_for_end().code(), Some(0));
    });
    assert!(reader.wait_for_end().success());
    let published: Vec<usize> =
        String::from_utf8(reader.stdout()).unwrap().split_whitespace().map(|n| n.parse().unwrap()).collect();
    assert_divided(&[published], 4 * EACH);
    assert_divided(&await_all(&[&daemons[0], &daemons[1]], 4 * EACH), 4 * EACH);
    assert!(presence.wait_for_end().success());
    assert_eq!(String::from_utf8(presence.stdout()).unwrap(), "online offline ");
}

/// A request for this target with these header lines.
fn head(target: &[u8], lines: &[u8]) -> Vec<u8> {
    [b"GET ", target, b" HTTP/1.1\r\nHost: bridge.example.com\r\n", lines, b"\r\n"].concat()
}

/// A city in ISO 8859-1 and in UTF-8.
const CITIES: [&[u8]; 2] = [b"Z\xfcrich", "Zürich".as_bytes()];

/// Two daemons that serve anonymous clients behind nginx.
fn open_bridges(broker: &Mosquitto) -> [Daemon; 2] {
    let http = "[http]\nallow-anonymous = true\nallowed-hosts = [\"bridge.example.com\"]";
    [1, 2].map(|_| Daemon::connected_with(&format!("[mqtt]\nport = {}\n{http}", broker.port())))
}

#[test]
fn a_byte_outside_ascii_reaches_no_bridge_through_the_documented_nginx() {
    let (broker, folder) = (Mosquitto::start(), Folder::new());
    let daemons = open_bridges(&broker);
    let (_nginx, address) = documented_nginx(&folder, &daemons);
    let get = |target: &[u8], lines: &[u8]| {
        let mut connection = Connection::open(&address);
        connection.send(&head(target, lines));
        connection.reply().status
    };
    for city in CITIES {
        let line = |name: &str| [name.as_bytes(), b": ", city, b"\r\n"].concat();
        for name in ["X-City", "Cookie", "User-Agent", "X-Forwarded-For"] {
            assert_eq!(get(b"/healthz", &line(name)), 200, "{name}");
        }
        for name in ["Authorization", "Origin", "Last-Event-ID", "Content-Type", "Content-Encoding", "Sec-Fetch-Site"] {
            assert_eq!(get(b"/healthz", &line(name)), 400, "{name}");
        }
        assert_eq!(get(&[b"/topics/", city].concat(), b""), 400);
        assert_eq!(get(b"/healthz", b""), 200, "the next valid request");
    }
}

#[test]
fn no_client_can_make_nginx_mark_the_bridges_as_down() {
    let (broker, folder) = (Mosquitto::start(), Folder::new());
    let daemons = open_bridges(&broker);
    // without this line the byte reaches the daemons
    let left_out = ["proxy_pass_request_headers"];
    let (_nginx, address) = nginx_without(&left_out, &folder, &daemons);
    for city in CITIES {
        let line = [b"X-City: ", city, b"\r\n"].concat();
        let mut connection = Connection::open(&address);
        connection.send(&head(b"/healthz", &line));
        assert_eq!(connection.reply().status, 502, "no daemon answered");
        for _ in 0..10 {
            let mut valid = Connection::open(&address);
            valid.send(&head(b"/healthz", b""));
            assert_eq!(valid.reply().status, 200);
        }
    }
}
