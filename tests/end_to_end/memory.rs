//! Memory under the heaviest loads: less than half of `MemoryMax=` of the unit.

use std::io::Read;
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::events::Listener;
use crate::support::free_port;
use crate::support::http::{Connection, Reply};
use crate::support::limited::Limited;
use crate::support::mosquitto::Mosquitto;
use crate::support::request::{post, request};
use crate::support::scripted_broker::{PUBACK, PUBLISH, Packet, ScriptedBroker, acknowledgement, behave};

/// The limit for the daemon in KiB, half of `MemoryMax=` of the unit.
const MOST_KIB: usize = 256 * 1024;
/// The defaults of `max-body` and `max-packet-size`.
pub const LARGE: usize = 1_048_576;
const NO_ROOM: &str = "not sent: all requests together hold as much memory as they may";
const TOO_MANY: &str = "not sent: too many requests at a time";
pub const RECORDED: &str = "Received message on topic: ";
/// How long all replies together may take on a busy machine.
const LONGEST: Duration = Duration::from_secs(150);

#[track_caller]
pub fn assert_modest(daemon: &Limited) {
    let peak = daemon.resources().peak_kib;
    eprintln!("peak: {} MiB", peak / 1024);
    assert!(peak < MOST_KIB, "{} MiB", peak / 1024);
}

/// Sends all of these at once, each on its own connection, and returns the replies.
fn post_all(daemon: &Limited, requests: &[(&str, Vec<u8>)]) -> Vec<Reply> {
    thread::scope(|scope| {
        let ask = |(path, body): &(&str, Vec<u8>)| {
            let mut connection = daemon.connect();
            connection.set_patience(LONGEST);
            connection.post(path, body)
        };
        let asking: Vec<_> = requests.iter().map(|request| scope.spawn(move || ask(request))).collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    })
}

/// A daemon without a broker, so that requests wait until the last one has arrived.
fn without_broker() -> Limited {
    let port = free_port();
    Limited::with(&format!("[mqtt]\nport = {port}\nreconnect-max = 1\n[http]\nrequest-timeout = 120"))
}

/// Opens this many listeners; half of them read and discard events. Returns the others.
pub fn listen(daemon: &Limited, count: usize, filter: impl Fn(usize) -> String + Sync) -> Vec<Listener> {
    let filter = &filter;
    thread::scope(|scope| {
        // without a broker each stream opens after a second
        let opening: Vec<_> = (0..count)
            .map(|number| scope.spawn(move || Listener::with_small_buffer(daemon, &filter(number))))
            .collect();
        let listeners = opening.into_iter().map(|opening| opening.join().unwrap());
        let (reading, silent): (Vec<_>, Vec<_>) = listeners.enumerate().partition(|(number, _)| number % 2 == 1);
        for (_, listener) in reading {
            read_on(listener);
        }
        silent.into_iter().map(|(_, listener)| listener).collect()
    })
}

/// Reads until the stream ends with the daemon.
fn read_on(listener: Listener) {
    thread::spawn(move || {
        let mut socket = listener.connection().socket();
        socket.set_read_timeout(None).unwrap();
        let mut buffer = vec![0; LARGE];
        while socket.read(&mut buffer).is_ok_and(|read| read > 0) {}
    });
}

#[test]
fn bulk_replies_and_metrics_are_served_when_request_memory_is_full() {
    let broker = Mosquitto::on_port(free_port(), "allow_anonymous true\nmax_inflight_messages 1000");
    let config = format!("[mqtt]\nport = {}\n[http]\nrequest-timeout = 120", broker.port());
    let daemon = Limited::with(&config);
    daemon.wait_for("connected to");
    broker.signal("STOP");
    let item = r#"{"topic":"t","msg":"x","qos":1}"#;
    let many = format!("[{}]", vec![item; 300].join(","));
    let mut bulk = daemon.connect();
    bulk.set_patience(LONGEST);
    bulk.send(&post("/publish/bulk?timeout=20", &many));
    let message = |length: usize, timeout: f64| {
        json!({"topic": "t", "msg": "x".repeat(length), "qos": 1, "timeout": timeout}).to_string()
    };
    let begin = |body: &str, kept_back: usize| {
        let mut connection = daemon.connect();
        let request = post("/publish", body);
        connection.send(&request[..request.len() - kept_back]);
        connection
    };
    let large = message(1_000_000, 60.0);
    let mut waiting: Vec<Connection> = (0..60).map(|_| begin(&large, 10)).collect();
    // with ever smaller messages, until no memory is left
    for length in [1_000_000, 100_000, 10_000] {
        let is_full = || daemon.connect().post("/publish", message(length, 0.1).as_bytes()).error() == NO_ROOM;
        while !is_full() {
            assert!(waiting.len() < 200, "it is never full");
            waiting.push(begin(&message(length, 60.0), 0));
        }
    }
    let figures = daemon.get("/metrics");
    assert_eq!(figures.status, 200, "{figures:?}");
    let reply = bulk.reply();
    let results = reply.json()["results"].as_array().unwrap().clone();
    assert_eq!((results.len(), reply.code()), (300, 7), "{reply:?}");
    broker.signal("CONT");
    drop(waiting);
}

#[test]
fn too_many_user_properties_are_refused_before_they_are_parsed() {
    let daemon = without_broker();
    let pairs = |pair: &str, count: usize| vec![pair; count].join(",");
    let publish = |pairs: &str| {
        format!(r#"{{"topic":"t","msg":"x","timeout":15,"properties":{{"user_properties":[{pairs}]}}}}"#).into_bytes()
    };
    let heavy = publish(&pairs(r#"["",""]"#, 130_000));
    assert!(heavy.len() > 1_040_000 && heavy.len() < LARGE);
    let words = "`properties` `user_properties` must not have more than 100 pairs";
    let requests = vec![("/publish", heavy); 120];
    let replies = post_all(&daemon, &requests);
    assert_modest(&daemon);
    // some find no memory, since requests arrive faster than they are read
    let expected = |reply: &&Reply| [words, NO_ROOM, TOO_MANY].contains(&reply.error().as_str());
    assert_eq!(replies.iter().filter(expected).count(), requests.len());
    assert!(replies.iter().any(|reply| reply.status == 400));
    let objects = publish(&pairs(r#"{"key":"","value":""}"#, 101));
    let arrays = publish(&pairs("[]", 300_000));
    let of_object: Vec<String> = (0..101).map(|n| format!(r#""{n}":"""#)).collect();
    let object =
        format!(r#"{{"topic":"t","payload":"x","properties":{{"user_properties":{{{}}}}}}}"#, of_object.join(","));
    let header = STANDARD.encode(format!("[{}]", pairs(r#"{"a":"b"}"#, 101)));
    let header = [("x-amz-mqtt5-user-properties", header.as_str())];
    for (path, body, headers, error) in [
        ("/publish", objects.clone(), [].as_slice(), words.to_owned()),
        ("/publish", arrays, &[], words.to_owned()),
        ("/request", objects.clone(), &[], words.to_owned()),
        ("/publish/bulk", [b"[", objects.as_slice(), b"]"].concat(), &[], format!("item 0: {words}")),
        (
            "/topics/t",
            b"x".to_vec(),
            &header,
            "`x-amz-mqtt5-user-properties` must not have more than 100 pairs".to_owned(),
        ),
    ] {
        daemon.connect().request("POST", path, headers, &body).assert_refused(400, 3, &error);
    }
    for (path, body) in [("/api/v5/publish", object.clone()), ("/api/v5/publish/bulk", format!("[{object}]"))] {
        let reply = daemon.connect().post(path, body.as_bytes());
        assert!(reply.status == 400 && reply.json()["message"].as_str().unwrap().ends_with(words), "{reply:?}");
    }
}

/// How many requests waited for the broker, at least in part, and how many found no memory.
fn count_outcomes(replies: &[Reply]) -> (usize, usize) {
    let is_refused = |reply: &&Reply| {
        assert!(matches!(reply.status, 503 | 207), "{} {:?}", reply.status, reply.headers);
        let words = String::from_utf8_lossy(&reply.body);
        let is_refused = words.contains(NO_ROOM) || words.contains(TOO_MANY);
        assert!(!is_refused || reply.status == 207 || reply.header("retry-after") == Some("1"), "{:?}", reply.headers);
        is_refused && !words.contains("no connection")
    };
    let refused = replies.iter().filter(is_refused).count();
    (replies.len() - refused, refused)
}

#[test]
fn waiting_requests_share_a_memory_limit() {
    let daemon = without_broker();
    let _listeners = listen(&daemon, 64, |number| format!("t/{number}"));
    let pairs = |text: &str| vec![json!([text, text]); 100];
    // each pair takes eleven times its length in memory
    let item = json!({"topic": "t", "payload": "", "qos": 1, "properties": {"user_properties": pairs("a")}});
    let items = serde_json::to_vec(&vec![item; (LARGE - 1000) / 1100]).unwrap();
    let paths = ["/publish/bulk?timeout=5", "/api/v5/publish/bulk"];
    let bulk: Vec<_> = paths.iter().cycle().take(40).map(|path| (*path, items.clone())).collect();
    let (waited, refused) = count_outcomes(&post_all(&daemon, &bulk));
    assert_modest(&daemon);
    assert!(waited > 0 && refused > 0, "{waited} {refused}");
    let message = |text: &str, payload: usize| {
        let properties = json!({"user_properties": pairs(text)});
        let message =
            json!({"topic": "t", "msg": "x".repeat(payload), "qos": 1, "timeout": 15, "properties": properties});
        serde_json::to_vec(&message).unwrap()
    };
    let all = [
        ("/publish", message("a", LARGE - 2000)),
        ("/publish", message(&"b".repeat(5000), 10)),
        ("/request", message("a", LARGE - 2000)),
        ("/topics/t?qos=1&timeout=15", vec![b'x'; LARGE - 1000]),
        ("/publish/bulk?timeout=15", items),
    ];
    assert!(all.iter().all(|(_, body)| body.len() > LARGE * 9 / 10 && body.len() <= LARGE));
    let (waited, refused) = count_outcomes(&post_all(&daemon, &vec![all; 40].concat()));
    assert_modest(&daemon);
    assert!(waited > 30 && refused > 30, "{waited} {refused}");
    // all memory is released
    let small = daemon.publish(r#"{"topic":"t","msg":"x","timeout":0.1}"#);
    assert_eq!(small.code(), 4, "{small:?}");
    let long = json!({"topic": "t", "msg": "x".repeat(LARGE - 1000), "timeout": 0.1}).to_string();
    assert_eq!(daemon.publish(&long).code(), 4);
}

/// A Variable Byte Integer (MQTT 5, 1.5.5).
pub fn variable(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = u8::try_from(value % 128).unwrap();
        value /= 128;
        bytes.push(if value == 0 { byte } else { byte | 0x80 });
        if value == 0 {
            return bytes;
        }
    }
}

/// A PUBLISH of MQTT 5 at QoS 0.
pub fn published(topic: &str, properties: &[u8], payload: &[u8]) -> Vec<u8> {
    let length = [0, u8::try_from(topic.len()).unwrap()];
    let rest = [&length, topic.as_bytes(), &variable(properties.len()), properties, payload].concat();
    [&[0x30], variable(rest.len()).as_slice(), &rest].concat()
}

/// The response topic and the correlation data of a PUBLISH at QoS 1, in the order in which rumqttc writes them.
fn response_address(publish: &Packet) -> (String, Vec<u8>) {
    let mut rest = &publish.body[2 + publish.topic().len() + 2 + 1..];
    let mut take = |identifier: u8| {
        assert_eq!(rest[0], identifier);
        let length = usize::from(u16::from_be_bytes([rest[1], rest[2]]));
        let value = rest[3..3 + length].to_vec();
        rest = &rest[3 + length..];
        value
    };
    (String::from_utf8(take(8)).unwrap(), take(9))
}

#[test]
fn unread_answers_of_devices_share_a_memory_limit() {
    let payload = vec![1; LARGE - 1000];
    // answers are held back until all requests are acknowledged, which a busy machine could not read in time behind them
    let mut held = Some(Vec::new());
    let broker = ScriptedBroker::start(move |_, packet| {
        Some(match packet.kind {
            PUBLISH if packet.topic() == "end" => {
                [held.take().unwrap_or_default(), published("end", &[], b"x")].concat()
            }
            PUBLISH => {
                let (topic, data) = response_address(packet);
                let length = u16::try_from(data.len()).unwrap().to_be_bytes();
                let answer = published(&topic, &[&[9], length.as_slice(), &data].concat(), &payload);
                let acknowledged = acknowledgement(PUBACK, packet.identifier());
                if let Some(held) = &mut held {
                    held.extend(answer);
                    return Some(acknowledged);
                }
                [acknowledged, answer].concat()
            }
            _ => behave(packet, &[]),
        })
    });
    let daemon =
        Limited::with(&format!("[mqtt]\nport = {}\nkeepalive = 600\n[[subscribe]]\ntopic = \"end\"", broker.port()));
    daemon.wait_for("subscribed to end");
    let body = r#"{"topic":"device","msg":"?","timeout":60}"#;
    let request = request("POST", "/request", &[("Connection", "close")], body);
    let mut asking = Vec::new();
    for _ in 0..48 {
        let mut connection = Connection::with_receive_buffer(daemon.address(), 4096);
        connection.send(&request);
        asking.push(connection);
    }
    for _ in 0..asking.len() {
        broker.wait_for(PUBLISH);
    }
    // after all answers
    assert_eq!(daemon.publish(r#"{"topic":"end","msg":"x"}"#).status, 200);
    daemon.wait_for(&format!("{RECORDED}end"));
    assert_modest(&daemon);
    let words =
        "sent and answered, but all requests together hold as much memory as they may, so that the answer is dropped";
    let mut outcomes = Vec::new();
    for mut connection in asking {
        connection.set_patience(LONGEST);
        let Some(reply) = whole_reply(&mut connection) else { continue };
        if reply["code"] != 0 {
            assert_eq!(reply["code"], 7, "{reply}");
        }
        // on a very busy machine some requests time out
        outcomes.push(reply["error"].as_str().unwrap_or_default().to_owned());
    }
    assert!(outcomes.iter().any(|error| error == words) && outcomes.iter().any(String::is_empty), "{outcomes:?}");
    let reply = daemon.connect().post("/request", body.as_bytes());
    assert_eq!(reply.status, 200, "the memory is released");
    assert_modest(&daemon);
}

/// The body of a reply, unless the daemon gave up writing it.
fn whole_reply(connection: &mut Connection) -> Option<Value> {
    let bytes = connection.rest();
    let start = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    serde_json::from_slice(&bytes[start..]).ok()
}
