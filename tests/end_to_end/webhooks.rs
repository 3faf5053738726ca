//! What `[[webhook]]` sends: the request that a message becomes, and the order of requests.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::endpoint::{Endpoint, Request};
use crate::support::folder::Folder;
use crate::support::mosquitto::Mosquitto;
use crate::support::webhook::{orders, publish, subscribed, table};

/// The options of `mosquitto_pub` for a message with all properties.
const WITH_PROPERTIES: [&str; 27] = [
    "-V",
    "5",
    "-q",
    "1",
    "-D",
    "publish",
    "content-type",
    "text/plain",
    "-D",
    "publish",
    "user-property",
    "a",
    "1",
    "-D",
    "publish",
    "user-property",
    "a",
    "ö",
    "-D",
    "publish",
    "correlation-data",
    "123",
    "-D",
    "publish",
    "payload-format-indicator",
    "1",
    "-r",
];

fn seconds(request: &Request) -> u64 {
    request.one("webhook-timestamp").parse().unwrap()
}

#[test]
fn a_raw_request_has_the_payload_as_its_body_and_the_rest_in_headers() {
    let (broker, endpoint) = (Mosquitto::start(), Endpoint::willing());
    let _daemon = orders(&broker, &endpoint.url(), "format = \"raw\"");
    let of_response = ["-D", "publish", "response-topic", "an/ö %", "-t", "orders/ü %1", "-m", "tea, grün"];
    broker.publish(&[&WITH_PROPERTIES[..26], &of_response].concat());
    let request = &endpoint.await_requests(1)[0];
    assert_eq!((&*request.method, &*request.path, &*request.text()), ("POST", "/mqtt", "tea, grün"));
    for (name, value) in [
        ("Host", format!("127.0.0.1:{}", endpoint.port()).as_str()),
        ("Content-Type", "text/plain"),
        ("Content-Length", "10"),
        ("MQTT-Topic", "orders/%C3%BC%20%251"),
        ("MQTT-QoS", "1"),
        ("MQTT-Retain", "false"),
        ("MQTT-Dup", "false"),
        ("MQTT-Response-Topic", "an/%C3%B6%20%25"),
        // [{"a":"1"},{"a":"ö"}]
        ("x-amz-mqtt5-user-properties", "W3siYSI6IjEifSx7ImEiOiLDtiJ9XQ=="),
        ("x-amz-mqtt5-correlation-data", "MTIz"),
        ("x-amz-mqtt5-payload-format-indicator", "UTF8_DATA"),
    ] {
        assert_eq!(request.one(name), value, "{name}");
    }
}

#[test]
fn a_raw_request_has_any_bytes_and_no_headers_for_what_a_message_lacks() {
    let (broker, endpoint, folder) = (Mosquitto::start(), Endpoint::willing(), Folder::new());
    let _daemon = orders(&broker, &endpoint.url(), "");
    let bytes: Vec<u8> = (0..=255).cycle().take(1_000_000).collect();
    let file = folder.path().join("bytes");
    std::fs::write(&file, &bytes).unwrap();
    broker.publish(&["-q", "1", "-t", "orders/1", "-f", &file.display().to_string()]);
    broker.publish(&["-q", "0", "-t", "orders", "-n"]);
    let requests = endpoint.await_requests(2);
    assert!(requests[0].body == bytes, "{} bytes", requests[0].body.len());
    assert_eq!((requests[1].body.len(), requests[1].one("Content-Length"), requests[1].one("MQTT-QoS")), (0, "0", "0"));
    assert_eq!((requests[0].one("MQTT-Topic"), requests[1].one("MQTT-Topic")), ("orders/1", "orders"));
    for request in &requests {
        assert_eq!(request.one("Content-Type"), "application/octet-stream");
        let others =
            request.headers.iter().filter(|(name, _)| name.starts_with("x-amz") || name == "mqtt-response-topic");
        assert_eq!(others.collect::<Vec<_>>(), Vec::<&(String, String)>::new());
    }
}

#[test]
fn a_json_request_has_the_object_of_an_event_stream() {
    let (broker, endpoint, folder) = (Mosquitto::start(), Endpoint::willing(), Folder::new());
    let _daemon = orders(&broker, &endpoint.url(), "format = \"json\"");
    broker.publish(&[&WITH_PROPERTIES[..26], &["-t", "orders/ü", "-m", "tea"]].concat());
    let file = folder.path().join("bytes");
    std::fs::write(&file, [0xff, 0]).unwrap();
    broker.publish(&["-q", "1", "-t", "orders/1", "-f", &file.display().to_string()]);
    let requests = endpoint.await_requests(2);
    let mut objects = Vec::new();
    for request in &requests {
        assert_eq!(request.one("Content-Type"), "application/json");
        assert!(!request.headers.iter().any(|(name, _)| name.starts_with("x-amz")), "{:?}", request.headers);
        let mut object: Value = serde_json::from_slice(&request.body).unwrap();
        let time = object.as_object_mut().unwrap().remove("time").unwrap().to_string();
        let whole: u64 = time.split('.').next().unwrap().parse().unwrap();
        assert!(whole.abs_diff(seconds(request)) < 40, "{time}");
        objects.push(object);
    }
    let properties = json!({"payload_format_indicator": 1, "correlation_data": "123", "content_type": "text/plain",
        "user_properties": [["a", "1"], ["a", "ö"]]});
    assert_eq!(
        objects,
        [
            json!({"topic": "orders/ü", "payload": "tea", "qos": 1, "retain": false, "properties": properties}),
            json!({"topic": "orders/1", "payload_base64": STANDARD.encode([0xff, 0]), "qos": 1, "retain": false}),
        ]
    );
}

#[test]
fn each_request_has_an_identifier_and_a_time_and_no_signature_without_a_secret() {
    let (broker, endpoint) = (Mosquitto::start(), Endpoint::willing());
    let tables = [
        table("raw", "orders/#", &endpoint.url(), ""),
        table("json", "orders/#", &endpoint.url(), "format = \"json\""),
    ];
    let _daemon = subscribed(&broker, "", &["raw", "json"], &tables.concat());
    publish(&broker, "orders/1", 0..10);
    let requests = endpoint.await_requests(20);
    let ids: BTreeSet<&str> = requests.iter().map(Request::id).collect();
    assert_eq!(ids.len(), 20, "an identifier for each webhook and message: {ids:?}");
    assert!(ids.iter().all(|id| id.bytes().all(|byte| byte.is_ascii_graphic()) && id.len() <= 256), "{ids:?}");
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!(requests.iter().all(|request| (now - 40..=now).contains(&seconds(request))), "{now}");
    assert!(requests.iter().all(|request| request.header("webhook-signature").is_none()));
}

#[test]
fn a_message_of_mqtt_3_1_1_is_sent_too() {
    let (broker, endpoint) = (Mosquitto::start(), Endpoint::willing());
    let tables = [
        table("raw", "orders/#", &endpoint.url(), ""),
        table("json", "orders/#", &endpoint.url(), "format = \"json\"\nqos = 0"),
    ];
    let _daemon = subscribed(&broker, "protocol = \"3.1.1\"", &["raw", "json"], &tables.concat());
    broker.publish(&["-q", "1", "-t", "orders/1", "-m", "tea"]);
    let mut requests = endpoint.await_requests(2);
    requests.sort_by_key(|request| request.body.len());
    assert_eq!((&*requests[0].text(), requests[0].one("MQTT-QoS")), ("tea", "1"));
    let object: Value = serde_json::from_slice(&requests[1].body).unwrap();
    assert_eq!((&object["payload"], &object["qos"]), (&json!("tea"), &json!(0)));
}

#[test]
fn headers_of_the_file_are_sent() {
    let (broker, endpoint, folder) = (Mosquitto::start(), Endpoint::willing(), Folder::new());
    let file = folder.write("authorization", "Bearer hunter3\n");
    let tables = [
        table(
            "inline",
            "orders/#",
            &endpoint.url(),
            "headers = { Authorization = \"Basic aHVudGVyMg==\", X-Source = \"mqtt\" }",
        ),
        table("file", "orders/#", &endpoint.url(), &format!("authorization-file = \"{}\"", file.display())),
    ];
    let daemon = subscribed(&broker, "", &["inline", "file"], &tables.concat());
    publish(&broker, "orders/1", ["tea"]);
    let mut requests = endpoint.await_requests(2);
    requests.sort_by_key(|request| request.header("x-source").is_some());
    assert_eq!(requests[0].one("Authorization"), "Bearer hunter3");
    assert_eq!((requests[1].one("Authorization"), requests[1].one("X-Source")), ("Basic aHVudGVyMg==", "mqtt"));
    let shown = ["/status", "/metrics"].map(|path| String::from_utf8(daemon.get(path).body).unwrap());
    let told = [&daemon.lines()[..], &shown].concat();
    assert!(!told.iter().any(|line| line.contains("hunter3") || line.contains("aHVudGVyMg")), "{told:?}");
}

#[test]
fn one_request_at_a_time_keeps_the_order() {
    const COUNT: usize = 300;
    let (broker, endpoint) = (Mosquitto::start(), Endpoint::holding());
    let daemon = orders(&broker, &endpoint.url(), "");
    let message = |n: usize| json!({"topic": format!("orders/{}", n % 7), "msg": n, "qos": 1});
    for start in (0..COUNT).step_by(100) {
        let messages: Vec<Value> = (start..start + 100).map(message).collect();
        assert_eq!(daemon.connect().post("/publish/bulk", json!(messages).to_string().as_bytes()).status, 200);
    }
    (0..COUNT).for_each(|number| {
        endpoint.await_requests(number + 1);
        endpoint.release(number);
    });
    let expected: Vec<String> = (0..COUNT).map(|n| n.to_string()).collect();
    assert_eq!((endpoint.texts(), endpoint.most_under_way()), (expected, 1));
}

#[test]
fn sixteen_requests_are_under_way_at_a_time_and_never_more() {
    const COUNT: usize = 80;
    let (broker, endpoint) = (Mosquitto::start(), Endpoint::holding());
    let _daemon = orders(&broker, &endpoint.url(), "in-flight = 16");
    publish(&broker, "orders/1", 0..COUNT);
    endpoint.await_requests(16);
    // out of order, so that those that wait longer hold up no others
    (0..COUNT).rev().for_each(|number| endpoint.release(number));
    let requests = endpoint.await_requests(COUNT);
    assert_eq!(endpoint.most_under_way(), 16);
    let bodies: BTreeSet<String> = requests.iter().map(Request::text).collect();
    assert_eq!(bodies.len(), COUNT);
}

#[test]
fn each_webhook_gets_the_messages_of_its_topic_filter() {
    let (broker, endpoints) = (Mosquitto::start(), [Endpoint::willing(), Endpoint::willing()]);
    let tables = [table("one", "a/+", &endpoints[0].url(), ""), table("two", "a/#", &endpoints[1].url(), "")];
    let _daemon = subscribed(&broker, "", &["one", "two"], &tables.concat());
    for topic in ["a", "a/b", "a/b/c", "b", "a/last"] {
        broker.publish(&["-q", "1", "-t", topic, "-m", topic]);
    }
    endpoints[0].await_requests(2);
    endpoints[1].await_requests(4);
    assert_eq!(endpoints[0].texts(), ["a/b", "a/last"]);
    assert_eq!(endpoints[1].texts(), ["a", "a/b", "a/b/c", "a/last"]);
}
