//! The recipes in `docs/` do what they promise: programs are run as they stand, and of what does not run here the request
//! is sent as it sends it.

use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::support::PATIENCE;
use crate::support::clients;
use crate::support::daemon::Daemon;
use crate::support::free_port;
use crate::support::http::Reply;
use crate::support::mosquitto::Mosquitto;
use crate::support::page::{block, masked};
use crate::support::reader::{Reader, Window};
use crate::support::token::Token;

const CLIENTS: &str = include_str!("../../docs/recipes-clients.md");
const ALERTS: &str = include_str!("../../docs/recipes-alerts.md");

/// A bridge that knows one token, and a reader of the recipes.
struct Kitchen {
    reader: Reader,
    token: Token,
    daemon: Daemon,
    broker: Mosquitto,
}

impl Kitchen {
    fn new() -> Self {
        Self::with("", |token| token)
    }

    fn with(tables: &str, change: impl FnOnce(Token) -> Token) -> Self {
        let broker = Mosquitto::start();
        let token = change(Token::new("alerts", r##"["#"]"##).reading(r##"["#"]"##));
        let log = "[log]\nlevel = \"debug\"";
        let daemon =
            Daemon::connected_with(&format!("[mqtt]\nport = {}\n{log}\n{}{tables}", broker.port(), token.table));
        Self { reader: Reader::of(&broker), token, daemon, broker }
    }

    fn program(&self, command: Command) -> Window {
        self.reader.program(command, self.daemon.address(), &self.token.secret)
    }

    fn shell(&self, script: &str) -> Window {
        let mut command = Command::new("sh");
        command.args(["-c", &script.replace("127.0.0.1:8000", self.daemon.address())]);
        self.program(command)
    }

    /// Sends a request as somebody else does, with the token in place of `SECRET`.
    fn replay(&self, head: &str, body: &str) -> Reply {
        let basic = STANDARD.encode(format!("alerts:{}", self.token.secret));
        let head =
            head.replace("Bearer SECRET", &self.token.bearer()).replace("Basic SECRET", &format!("Basic {basic}"));
        let head = head.lines().fold(String::new(), |head, line| head + line.trim() + "\r\n");
        let mut connection = self.daemon.connect();
        connection.send(format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes());
        // most of them write the body apart
        connection.send(body.as_bytes());
        connection.reply()
    }

    /// The body of the next message of a topic.
    fn subscribe(&self, topic: &str) -> impl FnOnce() -> String {
        let mut subscriber = self.broker.subscribe(topic, 1, "%p");
        move || {
            assert!(subscriber.wait_for_end().success());
            String::from_utf8(subscriber.stdout()).unwrap()
        }
    }

    /// Has somebody else's alert come through, by either way of saying who one is, and looks at what the page shows.
    fn alert(&self, heading: &str, url: &str, head: &str, body: &str) {
        let path = url.strip_prefix("http://127.0.0.1:8000").unwrap();
        let topic = path.strip_prefix("/topics/").unwrap().split('?').next().unwrap();
        for secret in ["Bearer SECRET", "Basic SECRET"] {
            let subscriptions = self.broker.log_with("Sending SUBACK to ").len();
            let mut window = self.shell(&block(ALERTS, heading, "sh beside"));
            self.broker.wait_for_nth(subscriptions + 1, "Sending SUBACK to ");
            let received = self.subscribe(topic);
            let reply = self.replay(&head.replace("PATH", path).replace("Bearer SECRET", secret), body);
            assert_eq!((reply.status, reply.code()), (200, 0), "{reply:?}");
            assert_eq!(received(), body);
            window.process().wait_for_output(&block(ALERTS, heading, "text shown"));
        }
        assert_eq!(self.replay(&head.replace("PATH", path).replace("Bearer SECRET", "Bearer x"), body).status, 401);
    }
}

fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// The URL in a block or a table of a page.
fn url(text: &str) -> &str {
    let start = text.find("http://").unwrap();
    let end = text[start..].find(['\n', '"', '`', '\'']).unwrap();
    &text[start..start + end]
}

#[test]
fn curl_in_a_shell_publishes() {
    let kitchen = Kitchen::new();
    let received = kitchen.subscribe("kitchen/temperature");
    let answer = kitchen.shell(&block(CLIENTS, "Shell", "sh")).output();
    assert_eq!(masked(&answer), masked(&block(CLIENTS, "Shell", "json")));
    assert_eq!(received(), "21.5");
}

#[test]
fn the_script_tries_again_what_was_not_sent_and_nothing_else() {
    let mut kitchen = Kitchen::with("[publish]\ntimeout = 3\n", |token| token);
    kitchen.reader.save("mqtt-publish", &block(CLIENTS, "Shell", "sh script"));
    let publish = |topic, payload| kitchen.program(command("sh", &["mqtt-publish", topic, payload]));
    publish("door", "open").output();

    let mut refused = publish("a%2B", "x");
    assert_eq!(refused.process().wait_for_end().code(), Some(1));
    assert!(refused.process().lines()[0].starts_with(r#"{"code":3,"#), "{:?}", refused.process().lines());

    kitchen.broker.signal("STOP");
    let mut unknown = publish("door", "unknown");
    assert_eq!(unknown.process().wait_for_end().code(), Some(1));
    assert!(unknown.process().lines()[0].ends_with(" 504"), "{:?}", unknown.process().lines());
    kitchen.broker.signal("CONT");

    let nowhere = format!("127.0.0.1:{}", free_port());
    let mut unreached = kitchen.reader.program(command("sh", &["mqtt-publish", "door", "open"]), &nowhere, "");
    unreached.process().wait_for_nth(2, " 000");

    kitchen.broker.kill();
    let publish = |payload| kitchen.program(command("sh", &["mqtt-publish", "door", payload]));
    let mut patient = publish("after a while");
    patient.process().wait_for(r#"{"code":4,"#);
    kitchen.broker.restart();
    patient.output();
    kitchen.broker.wait_for("Received PUBLISH from mqtt-bridge-");
}

#[test]
fn the_cron_job_publishes_what_it_measures() {
    let kitchen = Kitchen::new();
    let table = block(CLIENTS, "Cron", "cron");
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!((lines.len(), lines[0]), (2, "BRIDGE_TOKEN=…"));
    let fields: Vec<&str> = lines[1].splitn(7, ' ').collect();
    assert_eq!(fields[..6], ["*/5", "*", "*", "*", "*", "nobody"]);
    assert!(!fields[6].contains('%'), "cron takes it for the end of a line");
    let received = kitchen.subscribe("hosts/web-1/disk");
    assert_eq!(kitchen.shell(fields[6]).output(), "");
    let received = received();
    assert!(received.parse::<u8>().is_ok_and(|percent| percent <= 100), "{received:?}");
}

#[test]
fn python_publishes_and_tries_again() {
    let kitchen = Kitchen::with("", |token| token.with("rate = 0.25"));
    kitchen.reader.save("publish.py", &block(CLIENTS, "Python", "python"));
    let python = |arguments: &[&str]| {
        let mut command = clients::python_program("python");
        command.args(arguments);
        kitchen.program(command)
    };
    let received = kitchen.subscribe("kitchen/climate");
    assert_eq!(pythons(&python(&["publish.py"]).output()), pythons(&block(CLIENTS, "Python", "text")));
    assert_eq!(received(), r#"{"celsius":21.5}"#);

    let twice = "from publish import publish\nprint(publish('a', 1)['code'], publish('a', 2)['code'])";
    assert_eq!(python(&["-c", twice]).output(), "0 0\n");
    kitchen.daemon.wait_for("POST /publish is answered with 429");
    let mut refused = python(&["-c", "from publish import publish\npublish('a/+', 1)"]);
    assert_eq!(refused.process().wait_for_end().code(), Some(1));
    refused.process().wait_for("RuntimeError: 400: `topic` must not contain the wildcard `+`");
}

/// What Python shows of an answer, without what differs.
fn pythons(answer: &str) -> String {
    masked(&answer.replace('\'', "\"").replace("\"packet_id\": ", "\"packet_id\":"))
}

#[test]
fn python_receives() {
    let kitchen = Kitchen::new();
    kitchen.reader.save("publish.py", &block(CLIENTS, "Python", "python"));
    let script = block(CLIENTS, "Python", "python listen");
    let mut python = clients::python_program("python");
    python.args(["-c", &script]);
    let mut listener = kitchen.program(python);
    kitchen.broker.wait_for("Sending SUBACK to ");
    for payload in ["180", "Gr\u{fc}\u{df}e"] {
        kitchen.broker.publish(&["-t", "kitchen/oven", "-m", payload]);
        listener.process().wait_for_output(&format!("kitchen/oven {payload}\n"));
    }
}

#[test]
fn node_publishes_and_tries_again() {
    let kitchen = Kitchen::with("", |token| token.with("rate = 0.25"));
    kitchen.reader.save("publish.mjs", &block(CLIENTS, "Node.js", "js"));
    let received = kitchen.subscribe("kitchen/climate");
    let digits = |text: &str| text.replace(|letter: char| letter.is_ascii_digit(), "");
    let answer = kitchen.program(command("node", &["publish.mjs"])).output();
    assert_eq!(digits(&answer), digits(&block(CLIENTS, "Node.js", "text")));
    assert_eq!(received(), r#"{"celsius":21.5}"#);

    let more = "import { publish } from './publish.mjs';\nconsole.log((await publish('a', 2)).code);\n";
    kitchen.reader.save("more.mjs", &format!("{more}await publish('a/+', 1);\n"));
    let mut more = kitchen.program(command("node", &["more.mjs"]));
    assert_eq!(more.process().wait_for_end().code(), Some(1));
    more.process().wait_for("Error: 400: `topic` must not contain the wildcard `+`");
    assert!(String::from_utf8(more.process().stdout()).unwrap().ends_with("\n0\n"));
    kitchen.daemon.wait_for("POST /publish is answered with 429");
}

#[test]
fn java_publishes_and_tries_again() {
    let mut kitchen = Kitchen::with("[publish]\ntimeout = 3\n", |token| token);
    kitchen.reader.save("Publish.java", &block(CLIENTS, "Java", "java"));
    let java = |kitchen: &Kitchen| kitchen.program(command("java", &["Publish.java"]));
    let received = kitchen.subscribe("kitchen/temperature");
    assert_eq!(masked(&java(&kitchen).output()), masked(&block(CLIENTS, "Java", "text")));
    assert_eq!(received(), "21.5");
    kitchen.broker.kill();
    let patient = java(&kitchen);
    // on a busy machine Java needs most of the time to start
    kitchen.daemon.wait_for_within(3 * PATIENCE, "is answered with 503");
    kitchen.broker.restart();
    assert!(patient.output().starts_with(r#"{"code":0,"packet_id":"#));
}

/// As `HTTPClient` of arduino-esp32 writes it: `sendHeader` and `sendRequest` in its `HTTPClient.cpp`.
#[test]
fn what_an_esp32_sends_is_published() {
    let kitchen = Kitchen::with("[http]\nallowed-hosts = [\"192.168.1.10\"]", |token| token);
    let sketch = block(CLIENTS, "ESP32 and Arduino", "cpp");
    let path = url(&sketch).strip_prefix("http://192.168.1.10:8000").unwrap();
    let received = kitchen.subscribe("sensors/attic/temperature");
    let head = format!(
        "POST {path} HTTP/1.1\nHost: 192.168.1.10:8000\nUser-Agent: ESP32HTTPClient\nConnection: keep-alive\n\
         Accept-Encoding: identity;q=1,chunked;q=0.1,*;q=0\nContent-Type: text/plain\nAuthorization: Bearer SECRET"
    );
    assert_eq!(kitchen.replay(&head, "53.3").status, 200);
    assert_eq!(received(), "53.3");
    let basic = head.replace("Content-Type: text/plain\nAuthorization: Bearer", "Authorization: Basic");
    assert_eq!(kitchen.replay(&basic, "53.3").status, 200);
    assert_eq!(kitchen.replay(&head.replace("192.168.1.10", "192.168.1.11"), "53.3").status, 403);
}

/// As its `rest_command` sends it: recorded from aiohttp 3.14.
#[test]
fn what_home_assistant_sends_is_published() {
    let kitchen = Kitchen::new();
    let configuration = block(CLIENTS, "Home Assistant", "yaml");
    let action = block(CLIENTS, "Home Assistant", "yaml action");
    let template = url(&configuration).strip_prefix("http://127.0.0.1:8000").unwrap();
    assert!(action.contains("topic: home/light\n    payload: \"on\"\n"));
    let path = template.replace("{{ topic }}", "home/light");
    let received = kitchen.subscribe("home/light");
    let head = format!(
        "POST {path} HTTP/1.1\nHost: 127.0.0.1:8000\nUser-Agent: HomeAssistant/2026.11.0 aiohttp/3.14.5 Python/3.13\n\
         Authorization: Bearer SECRET\nContent-Type: text/plain\nAccept: */*\nAccept-Encoding: gzip, deflate"
    );
    assert_eq!(kitchen.replay(&head, "on").status, 200);
    assert_eq!(received(), "on");
}

/// As Alertmanager 0.25.0 sends it: recorded.
#[test]
fn what_alertmanager_sends_is_published() {
    let body = concat!(
        r#"{"receiver":"mqtt","status":"firing","alerts":[{"status":"firing","labels":{"alertname":"DiskFull","#,
        r#""instance":"db-1","severity":"critical"},"annotations":{"summary":"disk of db-1 is full"},"#,
        r#""startsAt":"2026-11-29T15:56:19.279244628Z","endsAt":"0001-01-01T00:00:00Z","#,
        r#""generatorURL":"http://prometheus.example:9090/graph","fingerprint":"9556f853bb27ef8b"}],"groupLabels":{},"#,
        r#""commonLabels":{"alertname":"DiskFull","instance":"db-1","severity":"critical"},"#,
        r#""commonAnnotations":{"summary":"disk of db-1 is full"},"externalURL":"http://vm:9093","version":"4","#,
        r#""groupKey":"{}:{}","truncatedAlerts":0}"#,
        "\n"
    );
    let head = "POST PATH HTTP/1.1\nHost: 127.0.0.1:8000\nUser-Agent: Alertmanager/0.25.0\n\
         Authorization: Bearer SECRET\nContent-Type: application/json";
    let configuration = block(ALERTS, "Alertmanager", "yaml");
    Kitchen::new().alert("Alertmanager", url(&configuration), head, body);
}

/// As `grafana/alerting` sends it: `SendWebhook` in its `http/client.go`, and `webhookMessage` of its receiver.
#[test]
fn what_grafana_sends_is_published() {
    let body = concat!(
        r#"{"receiver":"mqtt","status":"firing","alerts":[{"status":"firing","labels":{"alertname":"DiskFull","#,
        r#""instance":"db-1"},"annotations":{"summary":"disk of db-1 is full"},"startsAt":"2026-11-29T15:50:00Z","#,
        r#""endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://grafana.example:3000/alerting/grafana/a/view","#,
        r#""fingerprint":"9556f853bb27ef8b","silenceURL":"http://grafana.example:3000/alerting/silence/new","#,
        r#""dashboardURL":"","panelURL":"","values":{"B":97.2,"C":1},"valueString":""}],"#,
        r#""groupLabels":{"alertname":"DiskFull"},"commonLabels":{"alertname":"DiskFull","instance":"db-1"},"#,
        r#""commonAnnotations":{"summary":"disk of db-1 is full"},"externalURL":"http://grafana.example:3000/","#,
        r#""version":"1","groupKey":"{}:{alertname=\"DiskFull\"}","truncatedAlerts":0,"orgId":1,"#,
        r#""title":"[FIRING:1] DiskFull (db-1)","state":"alerting","message":"**Firing**\n\nValue: B=97.2, C=1"}"#
    );
    let configuration = block(ALERTS, "Grafana", "yaml");
    let kitchen = Kitchen::new();
    for method in ["POST", "PUT"] {
        let head = format!(
            "{method} PATH HTTP/1.1\nHost: 127.0.0.1:8000\nUser-Agent: Grafana\nAuthorization: Bearer SECRET\n\
             Content-Type: application/json\nAccept-Encoding: gzip"
        );
        kitchen.alert("Grafana", url(&configuration), &head, body);
    }
}

/// As its webhook sends it: recorded from axios 1.21.
#[test]
fn what_uptime_kuma_sends_is_published() {
    let body = concat!(
        r#"{"heartbeat":{"monitorID":1,"status":0,"time":"2026-11-29 15:55:07.000","#,
        r#""msg":"connect ECONNREFUSED 10.0.0.7:443","important":true,"duration":60,"timezone":"UTC","#,
        r#""timezoneOffset":"+00:00","localDateTime":"2026-11-29 15:55:07"},"monitor":{"id":1,"name":"shop","#,
        r#""url":"https://shop.example.com","type":"http"},"#,
        r#""msg":"[shop] [🔴 Down] connect ECONNREFUSED 10.0.0.7:443"}"#
    );
    let head = "POST PATH HTTP/1.1\nAccept: application/json, text/plain, */*\nContent-Type: application/json\n\
         Authorization: Bearer SECRET\nUser-Agent: axios/1.21.1\nAccept-Encoding: gzip, compress, deflate, br\n\
         Host: 127.0.0.1:8000\nConnection: keep-alive";
    let settings = &ALERTS[ALERTS.find("| Post URL").unwrap()..];
    Kitchen::new().alert("Uptime Kuma", url(settings), head, body);
    assert_eq!(block(ALERTS, "Uptime Kuma", "json"), "{\"Authorization\": \"Bearer SECRET\"}\n");
}
