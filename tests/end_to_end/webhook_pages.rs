//! docs/webhooks.md and docs/recipes-webhooks.md, followed as they stand.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use serde_json::Value;

use crate::support::clients;
use crate::support::daemon::Daemon;
use crate::support::folder::Folder;
use crate::support::free_port;
use crate::support::mosquitto::Mosquitto;
use crate::support::page::{block, blocks, masked};
use crate::support::reader::{Reader, Window};
use crate::support::waiting::eventually;

const PAGE: &str = include_str!("../../docs/webhooks.md");
const RECIPES: &str = include_str!("../../docs/recipes-webhooks.md");
const BROKERS: &str = include_str!("../../docs/brokers.md");
const CLIENT_ID: &str = "client-id = \"bridge\"";

/// Waits until somebody listens there.
fn await_endpoint(port: u16) {
    eventually("an endpoint that listens", || TcpStream::connect(("127.0.0.1", port)).is_ok(), |listens| *listens);
}

/// Somebody at a desk with an endpoint.
struct Desk {
    port: u16,
    endpoint: Option<Window>,
    daemon: Option<Daemon>,
    reader: Reader,
    broker: Mosquitto,
}

impl Desk {
    fn new() -> Self {
        let broker = Mosquitto::start();
        Self { port: free_port(), endpoint: None, daemon: None, reader: Reader::of(&broker), broker }
    }

    /// With the endpoint of this desk in place of that of the page.
    fn adapted(&self, text: &str) -> String {
        [":", "\", ", "listen("].iter().fold(text.to_owned(), |text, before| {
            text.replace(&format!("{before}9000"), &format!("{before}{}", self.port))
        })
    }

    fn configure(&mut self, tables: &str) {
        let tables = self.adapted(tables);
        let daemon = Daemon::with(&format!("[mqtt]\nport = {}\n{CLIENT_ID}\n{tables}", self.broker.port()));
        daemon.wait_for("subscribed to orders/#");
        self.daemon = Some(daemon);
    }

    fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("a bridge")
    }

    fn start_endpoint(&mut self, script: &str) {
        self.endpoint = Some(self.reader.shell(script));
        await_endpoint(self.port);
    }

    #[track_caller]
    fn run(&self, script: &str) -> String {
        let address = self.daemon.as_ref().map_or("127.0.0.1:8000", Daemon::address);
        self.reader.shell(&script.replace("127.0.0.1:8000", address)).output()
    }

    fn await_shown(&mut self, text: &str) {
        self.endpoint.as_mut().expect("an endpoint").process().wait_for_output(text.trim());
    }

    fn sessions_begun(&self) -> usize {
        self.broker.log_with("Sending CONNACK to bridge-hook-orders (0, 0)").len()
    }
}

/// With `N` in place of each number.
fn without_numbers(text: &str) -> String {
    let parts = text.split(|c: char| c.is_ascii_digit() || c == '.').filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("N")
}

#[test]
fn the_page_on_webhooks_leads_to_its_end() {
    let mut desk = Desk::new();
    let steps = blocks(PAGE);
    let start = block(PAGE, "A first webhook", "sh beside");
    let (mut output, mut count) = (String::new(), 0);
    for step in &steps {
        count += 1;
        match step.info.as_str() {
            "python" => desk.reader.save("endpoint.py", &desk.adapted(&step.text)),
            "sh beside" => desk.start_endpoint(&step.text),
            "toml" => desk.configure(&step.text),
            "text shown" => desk.await_shown(&step.text),
            "sh" => output = desk.run(&step.text),
            "sh stopped" => {
                desk.endpoint = None;
                let listens = || TcpStream::connect(("127.0.0.1", desk.port)).is_ok();
                eventually("no endpoint", listens, |listens| !listens);
                desk.run(&step.text);
            }
            "text log" => {
                let (begun, over) = step.text.trim().split_once('\n').unwrap();
                desk.daemon().wait_for(begun);
                desk.start_endpoint(&start);
                desk.await_shown("orders/2 {\"item\": \"milk\"}");
                let line = desk.daemon().wait_for("webhook orders: the outage is over");
                assert_eq!(without_numbers(&line), without_numbers(over));
            }
            "sh dead" => {
                desk.run(&step.text);
                desk.daemon().wait_for("it is published on bridge/dead/orders");
            }
            "sh sent" => {
                output = desk.run(&step.text);
                desk.daemon().wait_for_nth(2, "it is published on bridge/dead/orders");
            }
            "json" if step.follows => assert_eq!(masked(&output), masked(&step.text)),
            "sh removed" => {
                desk.daemon = None;
                assert_eq!(desk.sessions_begun(), 1);
                desk.run(&step.text);
                desk.configure(&block(PAGE, "A first webhook", "toml"));
                assert_eq!(desk.sessions_begun(), 3, "the session went on");
            }
            _ => count -= 1,
        }
    }
    assert_eq!(count, 15);
}

/// What an endpoint gets, head and body, of as many messages.
fn requests(listener: TcpListener, count: usize) -> thread::JoinHandle<Vec<(String, String)>> {
    thread::spawn(move || {
        let take = |stream: TcpStream| {
            let mut reader = BufReader::new(stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
            }
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            let mut body = vec![0; length.parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            reader.into_inner().write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").unwrap();
            (head, String::from_utf8(body).unwrap())
        };
        listener.incoming().take(count).map(|stream| take(stream.unwrap())).collect()
    })
}

/// The lines of a head in any order, without the values that differ each time.
fn lines_of(head: &str) -> BTreeSet<String> {
    const VARYING: [&str; 4] = ["host", "webhook-id", "webhook-timestamp", "webhook-signature"];
    let line = |line: &str| match line.split_once(": ") {
        Some((name, _)) if VARYING.contains(&name) => name.to_owned(),
        _ => line.to_owned(),
    };
    head.lines().filter(|line| !line.is_empty()).map(line).collect()
}

#[test]
fn requests_are_as_the_page_shows_them() {
    let (broker, folder) = (Mosquitto::start(), Folder::new());
    let secret = folder.write("secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
    let listener = TcpListener::bind(("127.0.0.1", free_port())).unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let table = |name: &str, more: &str| {
        format!("[[webhook]]\nname = \"{name}\"\ntopic = \"orders/#\"\nurl = \"{url}\"\n{more}\n")
    };
    let secret = format!("secret-file = \"{}\"", secret.display());
    let (raw, json) = (table("raw", &secret), table("json", "format = \"json\""));
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}\n{raw}{json}", broker.port()));
    daemon.wait_for_nth(2, "subscribed to orders/#");
    let requests = requests(listener, 2);
    let properties = "-D PUBLISH content-type application/json -D PUBLISH user-property source shop \
        -D PUBLISH response-topic orders/answers -D PUBLISH correlation-data abc \
        -D PUBLISH payload-format-indicator 1 -D PUBLISH message-expiry-interval 600";
    let message = ["-V", "5", "-q", "1", "-t", "orders/1", "-m", "{\"item\": \"tea\"}"];
    broker.publish(&message.into_iter().chain(properties.split_whitespace()).collect::<Vec<_>>());
    let mut requests = requests.join().unwrap();
    requests.sort_by_key(|(head, _)| !head.contains("mqtt-topic"));
    let (head, body) = &requests[0];
    let shown = block(PAGE, "What a request has", "http");
    let (shown_head, shown_body) = shown.split_once("\n\n").unwrap();
    assert_eq!((lines_of(head), body.as_str()), (lines_of(shown_head), shown_body.trim()));
    let (head, body) = &requests[1];
    assert!(head.contains("content-type: application/json\r\n") && !head.contains("\r\nmqtt-"), "{head}");
    let body: Value = serde_json::from_str(body).unwrap();
    let mut shown: Value = serde_json::from_str(&block(PAGE, "What a request has", "json")).unwrap();
    for (name, value) in shown["properties"].as_object().unwrap() {
        assert_eq!(body["properties"][name], *value);
    }
    shown["properties"] = body["properties"].clone();
    shown["time"] = body["time"].clone();
    assert_eq!(body, shown);
}

/// A request that nobody signed is refused, and those of the bridge are not.
fn check_recipe(program: Command, name: &str, info: &str) {
    let heading = if info == "js" { "Node.js" } else { "Python" };
    let mut desk = Desk::new();
    desk.run(&block(PAGE, "Signatures", "sh"));
    desk.reader.save(name, &desk.adapted(&block(RECIPES, heading, info)));
    let mut program = program;
    program.arg(name);
    desk.endpoint = Some(desk.reader.start(program));
    await_endpoint(desk.port);
    let forged = "curl -s -o answer -w '%{http_code}' -H 'webhook-id: 1' -H \"webhook-timestamp: $(date +%s)\" \
        -H 'webhook-signature: v1,AAAA' -d '{}' http://127.0.0.1:9000/";
    assert_eq!(desk.run(&desk.adapted(forged)), "401");
    let secret = desk.run("printf %s \"$PWD/webhook-secret\"");
    let table = block(PAGE, "A first webhook", "toml");
    desk.configure(&format!("{table}secret-file = \"{secret}\"\n"));
    desk.run(&block(PAGE, "A first webhook", "sh").replace("tea", "t\u{e9}"));
    desk.await_shown("signed: {\"item\": \"t\u{e9}\"}");
}

#[test]
fn the_endpoint_in_python_checks_signatures() {
    check_recipe(clients::python_program("python"), "endpoint.py", "python");
}

#[test]
fn the_endpoint_in_node_checks_signatures() {
    check_recipe(Command::new("node"), "endpoint.js", "js");
}

#[test]
fn mosquitto_takes_the_lines_of_the_pages() {
    let (folder, port) = (Folder::new(), free_port());
    let acl = folder.write("acl", &block(PAGE, "Rights at the broker", "text acl"));
    let passwords = folder.write("passwords", "");
    let made = Command::new("mosquitto_passwd").arg("-b").arg(&passwords).args(["bridge", "s3cret"]).output();
    assert!(made.expect("mosquitto_passwd is needed for this test").status.success());
    let queue = block(BROKERS, "The queue of a session", "text mosquitto");
    let files = format!("password_file {}\nacl_file {}\n", passwords.display(), acl.display());
    let broker = Mosquitto::on_port(port, &format!("{files}{queue}"));
    let login = "user = \"bridge\"\npassword = \"s3cret\"";
    let table = block(PAGE, "A first webhook", "toml");
    let daemon = Daemon::with(&format!("[mqtt]\nport = {port}\n{login}\n{CLIENT_ID}\n{table}"));
    daemon.wait_for("subscribed to orders/#");
    broker.wait_for("Sending SUBACK to bridge-hook-orders");
}
