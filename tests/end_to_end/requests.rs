//! `POST /request` sends a message to a device, which uses another MQTT client, and replies with its answer.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::clients;
use crate::support::daemon::Daemon;
use crate::support::http::{Connection, Reply};
use crate::support::metrics::{await_figure, metrics, value};
use crate::support::mosquitto::Mosquitto;
use crate::support::process::Process;

/// A broker, a device and a daemon.
pub struct Setup {
    pub broker: Mosquitto,
    pub device: Process,
    pub daemon: Daemon,
}

impl Setup {
    pub fn new() -> Self {
        Self::with("")
    }

    /// With these lines in `[mqtt]` of the daemon, and tables after them.
    pub fn with(configuration: &str) -> Self {
        let broker = Mosquitto::start();
        let device = Process::start(&mut clients::python("device.py", &[&broker.port().to_string()]));
        device.wait_for("ready");
        let port = broker.port();
        let mqtt = format!("[mqtt]\nport = {port}\nclient-id = \"me\"\nreconnect-max = 0.1\n{configuration}");
        let daemon = Daemon::connected_with(&mqtt);
        Self { broker, device, daemon }
    }

    pub fn ask(&self, body: &Value) -> Reply {
        self.daemon.connect().post("/request", body.to_string().as_bytes())
    }

    /// Sends a request without waiting for the reply, which [`Connection::reply`] then has.
    pub fn begin(&self, body: &Value) -> Connection {
        self.daemon.begin("/request", body.to_string())
    }

    /// Makes the device send the answers that it holds back.
    pub fn release(&self, order: &str) {
        self.broker.publish(&["-t", "dev/release", "-q", "1", "-m", order]);
    }
}

/// The answer has this payload; returns the whole reply.
#[track_caller]
pub fn assert_answered(reply: &Reply, payload: &str) -> Value {
    assert_eq!((reply.status, reply.code()), (200, 0), "{reply:?}");
    assert!(reply.body.starts_with(br#"{"code":0,"#), "{reply:?}");
    let answer = reply.json();
    assert_eq!(answer["payload"], payload, "{answer}");
    answer
}

#[test]
fn the_devices_answer_is_the_reply() {
    let setup = Setup::new();
    for payload in ["hello", "", "zw\u{f6}lf \u{1f600}", "a\nb\"\\"] {
        let answer = assert_answered(&setup.ask(&json!({"topic": "dev/echo", "msg": payload})), payload);
        assert!(answer["topic"].as_str().unwrap().starts_with("mqtt-bridge/response/me/"), "{answer}");
        assert_eq!((answer.get("payload_base64"), answer.get("content_type")), (None, None), "{answer}");
    }
    let answer = setup.ask(&json!({"topic": "dev/echo", "payload": {"a": [1, null]}, "qos": 2, "timeout": 20}));
    assert_answered(&answer, r#"{"a":[1,null]}"#);
    assert_answered(&setup.ask(&json!({"topic": "dev/echo", "msg": "x", "qos": 0})), "x");
    let encoded = json!({"topic": "dev/echo", "msg": "aGVsbG8=", "payload_encoding": "base64"});
    assert_answered(&setup.ask(&encoded), "hello");
    assert!(setup.daemon.lines_with("Received message").is_empty(), "answers are no records");
}

#[test]
fn mosquitto_rr_gets_the_same_answer_from_the_same_device() {
    let setup = Setup::new();
    let port = setup.broker.port().to_string();
    for (way, encoded) in [("echo", None), ("binary", Some("/wBhIGI="))] {
        let topic = format!("dev/{way}");
        let arguments = ["-V", "5", "-p", &port, "-t", &topic, "-e", "of/rr", "-q", "1", "-m", "a b", "-W", "20"];
        let mut reference = Process::start(Command::new("mosquitto_rr").args(arguments));
        assert!(reference.wait_for_end().success(), "mosquitto_rr has an answer");
        let reply = setup.ask(&json!({"topic": topic, "msg": "a b"}));
        let answer = reply.json();
        if let Some(encoded) = encoded {
            assert_eq!(reference.stdout(), b"\xff\0a b\n");
            assert_eq!((&answer["payload_base64"], answer.get("payload")), (&json!(encoded), None), "{answer}");
        } else {
            assert_eq!(reference.stdout(), format!("{}\n", answer["payload"].as_str().unwrap()).as_bytes());
        }
    }
}

#[test]
fn the_reply_has_the_properties_of_the_answer() {
    let setup = Setup::new();
    let answer = assert_answered(&setup.ask(&json!({"topic": "dev/described", "msg": "x"})), "x");
    assert_eq!(answer["content_type"], "text/x", "{answer}");
    let properties = &answer["properties"];
    assert_eq!(properties["user_properties"], json!([["b", "2"], ["a", "1"], ["b", "2"]]), "{answer}");
    assert_eq!(properties["payload_format_indicator"], 1, "{answer}");
}

#[test]
fn the_device_gets_the_callers_properties_and_a_response_topic() {
    let setup = Setup::new();
    let seen = |body: Value| -> Value {
        let reply = setup.ask(&body);
        serde_json::from_str(reply.json()["payload"].as_str().unwrap_or_else(|| panic!("{reply:?}"))).unwrap()
    };
    let properties = json!({"content_type": "text/plain", "user_properties": [["k", "v"], ["k", "w"]]});
    let full = seen(json!({"topic": "dev/mirror", "msg": "x", "properties": properties}));
    assert_eq!((&full["qos"], &full["ContentType"]), (&json!(1), &json!("text/plain")), "{full}");
    assert_eq!(full["UserProperty"], json!([["k", "v"], ["k", "w"]]), "{full}");
    assert!(full["ResponseTopic"].as_str().unwrap().starts_with("mqtt-bridge/response/me/"), "{full}");
    assert_eq!(full["correlated"], true);
    let given = seen(json!({"topic": "dev/mirror", "msg": "x", "qos": 0, "response_topic": "answers/mine"}));
    assert_eq!((&given["qos"], &given["ResponseTopic"]), (&json!(0), &json!("answers/mine")), "{given}");
    assert_eq!(given["correlated"], true);
}

#[test]
fn an_answer_with_wrong_correlation_data_is_ignored() {
    let setup = Setup::new();
    assert_answered(&setup.ask(&json!({"topic": "dev/wrong", "msg": "right"})), "right");
    let given = json!({"topic": "dev/wrong", "msg": "right", "response_topic": "answers/x"});
    assert_eq!(assert_answered(&setup.ask(&given), "right")["topic"], "answers/x");
    // on the daemon's own topic the data may be missing, on another one it is required
    assert_answered(&setup.ask(&json!({"topic": "dev/bare", "msg": "bare"})), "bare");
    let reply = setup.ask(&json!({"topic": "dev/bare", "msg": "x", "response_topic": "answers/x", "timeout": 1}));
    assert_eq!((reply.status, reply.code()), (504, 7), "{reply:?}");
}

#[test]
fn a_retained_message_is_not_an_answer() {
    let setup = Setup::new();
    setup.broker.publish(&["-t", "answers/echo", "-r", "-q", "1", "-m", "old"]);
    let given = json!({"topic": "dev/echo", "msg": "new", "response_topic": "answers/echo"});
    assert_answered(&setup.ask(&given), "new");
    let old = Setup::with("protocol = \"3.1.1\"");
    old.broker.publish(&["-t", "answers/silent", "-r", "-q", "1", "-m", "old"]);
    let given = json!({"topic": "dev/silent", "msg": "x", "response_topic": "answers/silent", "timeout": 1});
    let reply = old.ask(&given);
    assert_eq!((reply.status, reply.code()), (504, 7), "{reply:?}");
}

#[test]
fn a_request_without_an_answer_is_504_in_time() {
    let setup = Setup::new();
    let begun = Instant::now();
    let reply = setup.ask(&json!({"topic": "dev/silent", "msg": "x", "timeout": 0.7}));
    assert_eq!((reply.status, reply.code()), (504, 7), "{reply:?}");
    assert!(begun.elapsed() >= Duration::from_millis(700), "{:?}", begun.elapsed());
    assert!(!reply.error().is_empty());
    let reply = Setup::with("[publish]\ntimeout = 0.3").ask(&json!({"topic": "dev/silent", "msg": "x"}));
    assert_eq!((reply.status, reply.code()), (504, 7), "{reply:?}");
}

#[test]
fn a_request_without_subscribers_is_404_at_once() {
    let setup = Setup::new();
    let begun = Instant::now();
    let reply = setup.ask(&json!({"topic": "nobody", "msg": "x", "timeout": 60}));
    assert_eq!((reply.status, reply.code(), &reply.json()["reason_code"]), (404, 6, &json!(16)), "{reply:?}");
    assert!(begun.elapsed() < Duration::from_secs(30), "long before the timeout");
    assert_answered(&setup.ask(&json!({"topic": "dev/echo", "msg": "x"})), "x");
}

#[test]
fn a_late_answer_is_counted_and_dropped() {
    let setup = Setup::new();
    for (round, given) in [(1, json!({})), (2, json!({"response_topic": "answers/x"}))] {
        let before = value(&metrics(setup.daemon.address()), "mqtt_bridge_late_answers_total");
        let body = |payload: &str, timeout: f64| {
            let mut body = json!({"topic": "dev/held", "msg": payload, "timeout": timeout});
            body.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
            body
        };
        assert_eq!(setup.ask(&body("early", 0.5)).status, 504);
        let mut second = setup.begin(&body("second", 20.0));
        setup.device.wait_for_nth(round, "asked held second");
        setup.release("forwards");
        assert_answered(&second.reply(), "second");
        if given == json!({}) {
            await_figure(setup.daemon.address(), "mqtt_bridge_late_answers_total", &(before + 1.0).to_string());
        }
    }
}

#[test]
fn the_first_of_two_answers_is_the_reply() {
    let setup = Setup::new();
    for payload in ["1", "2", "3"] {
        assert_answered(&setup.ask(&json!({"topic": "dev/twice", "msg": payload})), payload);
    }
    await_figure(setup.daemon.address(), "mqtt_bridge_late_answers_total", "3");
}

#[test]
fn a_hundred_concurrent_requests_get_their_own_answers() {
    let setup = Setup::new();
    for response_topic in [None, Some("answers/all")] {
        let mut waiting: Vec<Connection> = (0..100)
            .map(|n| {
                let mut body = json!({"topic": "dev/held", "msg": format!("number {n}"), "timeout": 60});
                if let Some(topic) = response_topic {
                    body["response_topic"] = topic.into();
                }
                setup.begin(&body)
            })
            .collect();
        setup.device.wait_for_nth(if response_topic.is_none() { 100 } else { 200 }, "asked held");
        // other requests are served meanwhile
        assert_answered(&setup.ask(&json!({"topic": "dev/echo", "msg": "x"})), "x");
        setup.release("backwards");
        for (n, connection) in waiting.iter_mut().enumerate() {
            assert_answered(&connection.reply(), &format!("number {n}"));
        }
    }
    assert_eq!(value(&metrics(setup.daemon.address()), "mqtt_bridge_late_answers_total").to_bits(), 0);
}
