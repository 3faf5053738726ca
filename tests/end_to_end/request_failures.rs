//! `POST /request` under adverse conditions: MQTT 3.1.1, missing rights, a stopping broker or daemon.

use std::thread;

use serde_json::{Value, json};

use crate::requests::{Setup, assert_answered};
use crate::subscriptions::listed;
use crate::support::daemon::Daemon;
use crate::support::folder::Folder;
use crate::support::free_port;
use crate::support::mosquitto::Mosquitto;
use crate::support::scripted_broker::{
    CONNECT, PUBACK, PUBLISH, Packet, SUBSCRIBE, ScriptedBroker, acknowledgement_with, answer_filters, behave, publish,
};
use crate::support::token::Token;

#[test]
fn in_mqtt_3_1_1_the_caller_must_name_the_response_topic() {
    let setup = Setup::with("protocol = \"3.1.1\"");
    let reply = setup.ask(&json!({"topic": "dev/echo", "msg": "x"}));
    assert_eq!((reply.status, reply.code()), (400, 3), "{reply:?}");
    assert!(reply.error().contains("`response_topic`"), "{}", reply.error());
    for payload in ["1", "2"] {
        let body = json!({"topic": "dev/echo", "msg": payload, "response_topic": "answers/echo"});
        let answer = assert_answered(&setup.ask(&body), payload);
        assert_eq!(answer, json!({"code": 0, "topic": "answers/echo", "payload": payload}));
    }
    // two answers: nobody waits for the second one
    let body = json!({"topic": "dev/twice", "msg": "first", "response_topic": "answers/twice"});
    assert_answered(&setup.ask(&body), "first");
    let body =
        json!({"topic": "dev/echo", "msg": "x", "response_topic": "answers/echo", "properties": {"content_type": "x"}});
    let reply = setup.ask(&body);
    assert_eq!((reply.status, reply.code()), (501, 10), "{reply:?}");
}

#[test]
fn in_mqtt_3_1_1_one_request_at_a_time_waits_on_a_response_topic() {
    let setup = Setup::with("protocol = \"3.1.1\"");
    let on = |topic: &str, payload: &str| json!({"topic": "dev/held", "msg": payload, "response_topic": topic, "timeout": 20});
    let mut first = setup.begin(&on("answers/held", "first"));
    setup.device.wait_for("asked held first");
    let reply = setup.ask(&on("answers/held", "second"));
    assert_eq!((reply.status, reply.code()), (503, 15), "{reply:?}");
    assert!(reply.header("retry-after").is_some(), "{reply:?}");
    assert_eq!(listed(&setup.daemon, "answers/held").unwrap()["source"], "request");
    // another response topic is free
    let other = json!({"topic": "dev/echo", "msg": "other", "response_topic": "answers/echo"});
    assert_answered(&setup.ask(&other), "other");
    setup.release("forwards");
    assert_answered(&first.reply(), "first");
    // and this one is free again
    let mut third = setup.begin(&on("answers/held", "third"));
    setup.device.wait_for("asked held third");
    setup.release("forwards");
    assert_answered(&third.reply(), "third");
    assert!(setup.device.lines_with("second").is_empty(), "what is refused is not sent");
}

#[test]
fn a_token_requests_within_its_publish_and_subscribe_filters() {
    let token =
        Token::new("asker", r#"["dev/#"]"#).reading(r#"["answers/+"]"#).with("response-topics = [\"answers/#\"]");
    let setup = Setup::with(&token.table);
    let ask = |body: Value| {
        let mut connection = setup.daemon.connect();
        connection.request("POST", "/request", &[("Authorization", &token.bearer())], body.to_string().as_bytes())
    };
    let to = |response_topic: &str| json!({"topic": "dev/echo", "msg": "x", "response_topic": response_topic});
    assert_answered(&ask(json!({"topic": "dev/echo", "msg": "x"})), "x");
    assert_answered(&ask(to("answers/x")), "x");
    for refused in [to("other"), to("answers/x/y"), to("answers"), json!({"topic": "other", "msg": "x"})] {
        let reply = ask(refused.clone());
        assert_eq!((reply.status, reply.code()), (403, 12), "{refused}: {reply:?}");
        assert!(reply.error().contains("token `asker`"), "{}", reply.error());
    }
    assert_eq!(setup.ask(&to("answers/x")).status, 401);
    assert_eq!(setup.device.lines_with("asked").len(), 2);
}

#[test]
fn every_refused_body_names_the_field_and_the_rule_and_is_not_sent() {
    let setup = Setup::new();
    let base = |more: Value| {
        let mut body = json!({"topic": "dev/echo", "msg": "x"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body.to_string()
    };
    let response_topic = |topic: Value| base(json!({ "response_topic": topic }));
    let cases = [
        (String::new(), "the body is empty"),
        ("[]".to_owned(), "must be a JSON object"),
        ("{}".to_owned(), "`topic` is missing"),
        (r#"{"topic":"dev/echo"}"#.to_owned(), "`msg` is missing"),
        (r#"{"topic":"dev/#","msg":1}"#.to_owned(), "`topic`"),
        (base(json!({"payload": "x"})), "`payload`"),
        (base(json!({"retain": true})), "unknown field `retain`"),
        (base(json!({"qos": 3})), "`qos`"),
        (base(json!({"qos": "1"})), "`qos`"),
        (base(json!({"timeout": 0})), "`timeout`"),
        (base(json!({"timeout": 60.5})), "`timeout`"),
        (base(json!({"payload_encoding": "hex"})), "`payload_encoding`"),
        (base(json!({"payload_encoding": "base64"})), "`msg`"),
        (base(json!({"properties": {"response_topic": "a"}})), "`response_topic`"),
        (base(json!({"properties": {"correlation_data": "a"}})), "`correlation_data`"),
        (base(json!({"properties": {"color": "red"}})), "`color`"),
        (response_topic(json!("answers/#")), "`response_topic`"),
        (response_topic(json!("answers/+")), "`response_topic`"),
        (response_topic(json!("")), "`response_topic`"),
        (response_topic(json!("$SYS/a")), "`response_topic`"),
        (response_topic(json!("a\0b")), "`response_topic`"),
        (response_topic(json!(7)), "`response_topic` must be a string, not 7"),
        (response_topic(json!(["a"])), "`response_topic` must be a string, not an array"),
        (response_topic(json!("/".repeat(128))), "128"),
    ];
    for (body, words) in cases {
        let reply = setup.daemon.connect().post("/request", body.as_bytes());
        assert_eq!((reply.status, reply.code()), (400, 3), "{body}: {reply:?}");
        assert!(reply.error().contains(words), "{body}: {}", reply.error());
    }
    for method in ["GET", "PUT", "DELETE"] {
        let reply = setup.daemon.connect().request(method, "/request", &[], b"");
        reply.assert_refused(405, 3, "the method must be POST");
        assert_eq!(reply.header("allow"), Some("POST"));
    }
    let reply = setup.daemon.connect().post("/request?timeout=1", br#"{"topic":"dev/echo","msg":1}"#);
    reply.assert_refused(400, 3, "this path takes no parameters, not `?timeout=1`");
    assert_answered(&setup.ask(&json!({"topic": "dev/echo", "msg": "end"})), "end");
    assert_eq!(setup.device.lines_with("asked").len(), 1, "nothing else reached the device");
}

#[test]
fn without_a_broker_a_request_is_503_in_time() {
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}\n[publish]\ntimeout = 0.5", free_port()));
    daemon.wait_for("cannot connect");
    let reply = daemon.connect().post("/request", br#"{"topic":"dev/echo","msg":"x"}"#);
    assert_eq!((reply.status, reply.code()), (503, 4), "{reply:?}");
    assert!(reply.header("retry-after").is_some(), "{reply:?}");
}

#[test]
fn a_request_denied_by_access_control_is_403() {
    let folder = Folder::new();
    let acl = folder.write("acl", "topic readwrite allowed/#\ntopic readwrite mqtt-bridge/#\n");
    let configuration = format!("allow_anonymous true\nacl_file {}", acl.display());
    let broker = Mosquitto::on_port(free_port(), &configuration);
    let daemon = Daemon::connected(broker.port());
    let reply = daemon.connect().post("/request", br#"{"topic":"denied","msg":"x"}"#);
    assert_eq!((reply.status, reply.code(), &reply.json()["reason_code"]), (403, 12, &json!(135)), "{reply:?}");
}

/// The response topic of this PUBLISH, chosen by the daemon.
fn response_topic(request: &Packet) -> String {
    let start = request.body.windows(12).position(|bytes| bytes == b"mqtt-bridge/").expect("a topic of ours");
    let length = usize::from(u16::from_be_bytes([request.body[start - 2], request.body[start - 1]]));
    String::from_utf8(request.body[start..start + length].to_vec()).unwrap()
}

#[test]
fn a_devices_answer_may_precede_the_acknowledgement() {
    for acknowledges in [true, false] {
        let mut properties = Vec::new();
        let broker = ScriptedBroker::start(move |_, packet| {
            Some(match packet.kind {
                SUBSCRIBE => {
                    properties = packet.subscription_properties().to_vec();
                    answer_filters(packet, |_| None)
                }
                PUBLISH => {
                    let answer = publish(&response_topic(packet), "fast", &properties);
                    let acknowledgement = if acknowledges { behave(packet, &[]) } else { Vec::new() };
                    [answer, acknowledgement].concat()
                }
                _ => behave(packet, &[]),
            })
        });
        let daemon = Daemon::connected(broker.port());
        let reply = daemon.connect().post("/request", br#"{"topic":"dev/echo","msg":"x","timeout":5}"#);
        assert_answered(&reply, "fast");
    }
}

#[test]
fn a_resent_request_waits_for_the_answer_to_the_first() {
    let mut properties = Vec::new();
    let broker = ScriptedBroker::start(move |n, packet| {
        Some(match packet.kind {
            SUBSCRIBE => {
                properties = packet.subscription_properties().to_vec();
                answer_filters(packet, |_| None)
            }
            // the device has received it, but the acknowledgement is lost
            PUBLISH if n == 0 => return None,
            PUBLISH => {
                let nobody = acknowledgement_with(PUBACK, packet.identifier(), 16);
                [nobody, publish(&response_topic(packet), "first", &properties)].concat()
            }
            _ => behave(packet, &[]),
        })
    });
    let daemon = Daemon::connected(broker.port());
    let reply = daemon.connect().post("/request", br#"{"topic":"dev/echo","msg":"x","timeout":20}"#);
    assert_answered(&reply, "first");
}

#[test]
fn a_request_is_not_sent_without_its_response_subscription() {
    let broker = ScriptedBroker::start(|_, packet| {
        Some(match packet.kind {
            SUBSCRIBE => answer_filters(packet, |_| Some(135)),
            _ => behave(packet, &[]),
        })
    });
    let daemon = Daemon::connected(broker.port());
    for body in [r#"{"topic":"dev/echo","msg":"x"}"#, r#"{"topic":"dev/echo","msg":"x","response_topic":"a"}"#] {
        let reply = daemon.connect().post("/request", body.as_bytes());
        assert_eq!((reply.status, reply.code(), &reply.json()["reason_code"]), (403, 12, &json!(135)), "{reply:?}");
    }
    let sent = broker.others().into_iter().filter(|packet| packet.kind == PUBLISH).count();
    assert_eq!(sent, 0);
}

#[test]
fn a_request_survives_a_restart_of_the_broker() {
    let mut setup = Setup::new();
    let mut waiting = setup.begin(&json!({"topic": "dev/held", "msg": "patient", "timeout": 60}));
    setup.device.wait_for("asked held patient");
    setup.broker.kill();
    setup.daemon.wait_for("lost: ");
    setup.broker.restart();
    setup.broker.wait_for("\tmqtt-bridge/response/me/");
    setup.device.wait_for_nth(2, "ready");
    setup.release("forwards");
    assert_answered(&waiting.reply(), "patient");
    assert_answered(&setup.ask(&json!({"topic": "dev/echo", "msg": "x"})), "x");
    // no second answer follows
    waiting.get("/healthz").assert_published();
}

#[test]
fn each_waiting_request_gets_one_reply_at_a_stop() {
    let mut setup = Setup::with("[publish]\ntimeout = 2");
    let bodies = (0..10).map(|n| json!({"topic": "dev/held", "msg": n.to_string(), "timeout": 60}));
    let mut waiting: Vec<_> = bodies.map(|body| setup.begin(&body)).collect();
    setup.device.wait_for_nth(10, "asked held");
    setup.daemon.signal("TERM");
    let replies: Vec<_> = thread::scope(|scope| {
        let reading = waiting.iter_mut().map(|connection| {
            scope.spawn(|| {
                let reply = connection.reply();
                (reply, String::from_utf8(connection.rest()).unwrap())
            })
        });
        reading.collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(setup.daemon.wait_for_end().code(), Some(0));
    for (reply, rest) in replies {
        // the device has received it, and its answer can no longer arrive
        assert_eq!((reply.status, reply.code(), rest.as_str()), (504, 7, ""), "{reply:?}");
    }
}

#[test]
fn an_answer_during_a_stop_is_the_reply() {
    let mut setup = Setup::new();
    let mut waiting = setup.begin(&json!({"topic": "dev/held", "msg": "late", "timeout": 60}));
    setup.device.wait_for("asked held late");
    setup.daemon.signal("TERM");
    setup.daemon.wait_for("stopping");
    setup.release("forwards");
    assert_answered(&waiting.reply(), "late");
    assert_eq!(setup.daemon.wait_for_end().code(), Some(0));
}

/// A PUBLISH of MQTT 3.1.1 at QoS 0.
fn old_publish(topic: &str, payload: &str) -> Vec<u8> {
    let byte = |length: usize| u8::try_from(length).ok().filter(|length| *length < 128).expect("a short message");
    let length = byte(2 + topic.len() + payload.len());
    [&[0x30, length, 0, byte(topic.len())], topic.as_bytes(), payload.as_bytes()].concat()
}

#[test]
fn in_mqtt_3_1_1_a_message_before_the_request_is_not_its_answer() {
    for qos in [0, 1, 2] {
        let broker = ScriptedBroker::start(|_, packet| {
            Some(match packet.kind {
                CONNECT => vec![0x20, 2, 0, 0],
                // another client's message arrives with the SUBACK
                SUBSCRIBE => {
                    let granted = [0x90, 3, packet.body[0], packet.body[1], 1];
                    [&granted[..], &old_publish("answers", "old")].concat()
                }
                // an answer may precede the acknowledgement
                PUBLISH => [old_publish("answers", "new"), behave(packet, &[])].concat(),
                _ => behave(packet, &[]),
            })
        });
        let daemon = Daemon::speaking("3.1.1", broker.port());
        let body = json!({"topic": "device", "msg": "x", "qos": qos, "response_topic": "answers", "timeout": 20});
        assert_answered(&daemon.connect().post("/request", body.to_string().as_bytes()), "new");
    }
}
