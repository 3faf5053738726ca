//! The hooks of docs/recipes-devices.md take what these devices and services send.

use std::process::Command;

use crate::support::daemon::Daemon;
use crate::support::folder::Folder;
use crate::support::hook::Hook;
use crate::support::http::Reply;
use crate::support::mosquitto::Mosquitto;
use crate::support::page::block;
use crate::support::process::Process;

const PAGE: &str = include_str!("../../docs/recipes-devices.md");
const SECRET: &str = "hunter2";

/// A bridge with the hook of one recipe.
struct Recipe {
    broker: Mosquitto,
    daemon: Daemon,
    hook: Hook,
    _folder: Folder,
}

impl Recipe {
    fn new(heading: &str) -> Self {
        let (broker, folder, hook) = (Mosquitto::start(), Folder::new(), Hook::new("any", "POST", "any", ""));
        let name = heading.to_lowercase().replace("ip ", "");
        let file = folder.write("secret", &format!("{SECRET}\n"));
        let table = block(PAGE, heading, "toml").replace('…', hook.sha256());
        let table = table.replace(&format!("{name}-secret"), file.to_str().unwrap());
        let network = block(PAGE, "Recipes: devices and services that call a URL", "toml network");
        let network = network.replace("listen = \"192.168.1.10:8000\"\n", "");
        let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\n{table}{network}", broker.port()));
        Self { broker, daemon, hook, _folder: folder }
    }

    /// Sends this head, in which `SECRET` stands for the secret, and this body. Returns the answer and the message.
    fn send(&self, head: &str, body: &str) -> (Reply, String) {
        let mut subscriber = self.broker.subscribe("#", 1, "%t %P|%p");
        let head = head.replace("SECRET", &self.hook.secret).replace('\n', "\r\n");
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let mut connection = self.daemon.connect();
        connection.send(format!("{head}\r\n{length}\r\n{body}").as_bytes());
        let reply = connection.reply();
        assert_eq!((reply.status, reply.code()), (200, 0), "{reply:?}");
        subscriber.wait_for_end();
        (reply, String::from_utf8(subscriber.stdout()).unwrap())
    }
}

/// The path in the URL of a recipe.
fn path(heading: &str) -> String {
    block(PAGE, heading, "text url").trim().strip_prefix("http://192.168.1.10:8000").unwrap().to_owned()
}

/// `openssl dgst` with the secret of the recipes, in hexadecimal digits.
fn signed(body: &str) -> String {
    let folder = Folder::new();
    let file = folder.write("body", body);
    let mut openssl =
        Process::start(Command::new("openssl").args(["dgst", "-sha256", "-hmac", SECRET, "-r"]).arg(file));
    assert!(openssl.wait_for_end().success(), "{:?}", openssl.lines());
    String::from_utf8(openssl.stdout()).unwrap().split(' ').next().unwrap().to_owned()
}

#[test]
fn what_a_shelly_sends_is_published() {
    let recipe = Recipe::new("Shelly");
    let head = format!("GET {} HTTP/1.1\nHost: 192.168.1.10:8000\nUser-Agent: Shelly/1.4.4", path("Shelly"));
    let (_, message) = recipe.send(&head, "");
    assert_eq!(message, format!("shelly/pump/on |{}", block(PAGE, "Shelly", "json shown").trim()));
}

/// Some send `Mozilla/` in `User-Agent`, but none sends `Accept-Language`.
#[test]
fn what_a_camera_sends_is_published() {
    let recipe = Recipe::new("IP camera");
    let lines = "Host: 192.168.1.10:8000\nUser-Agent: Mozilla/5.0\nConnection: close";
    for method in ["GET", "POST"] {
        let (_, message) = recipe.send(
            &format!("{method} {} HTTP/1.1\n{lines}", path("IP camera")),
            if method == "GET" { "" } else { "\u{ff}" },
        );
        assert_eq!(message, "cameras/yard/motion |1");
    }
}

/// As "Webhook events and payloads" in its documentation shows it.
#[test]
fn what_github_sends_is_published() {
    let recipe = Recipe::new("GitHub");
    let body = r#"{"zen":"Design for failure.","hook_id":1,"hook":{"type":"Repository","events":["push"]}}"#;
    let head = format!(
        "POST /hooks/github HTTP/1.1\nHost: 192.168.1.10:8000\nUser-Agent: GitHub-Hookshot/044aadd\nAccept: */*\n\
         Content-Type: application/json\nX-GitHub-Delivery: 72d3162e-cc78-11e3-81ab-4c9367dc0958\n\
         X-GitHub-Event: ping\nX-Hub-Signature: sha1=7d38cdd689735b008b3c702edd92eea23791c5f6\n\
         X-Hub-Signature-256: sha256={}",
        signed(body)
    );
    let (_, message) = recipe.send(&head, body);
    assert_eq!(message, format!("github/ping X-GitHub-Delivery:72d3162e-cc78-11e3-81ab-4c9367dc0958|{body}"));
}

/// As Alertmanager 0.25.0 sends it: recorded, and shortened.
#[test]
fn what_alertmanager_sends_is_published() {
    let recipe = Recipe::new("Alertmanager");
    let body = concat!(
        r#"{"receiver":"mqtt","status":"firing","alerts":[{"status":"firing","labels":{"alertname":"DiskFull"}}],"#,
        r#""groupLabels":{"alertname":"DiskFull"},"version":"4","truncatedAlerts":0}"#,
        "\n"
    );
    let head = "POST /hooks/alertmanager/SECRET HTTP/1.1\nHost: 192.168.1.10:8000\nUser-Agent: Alertmanager/0.25.0\n\
                Content-Type: application/json";
    let (_, message) = recipe.send(head, body);
    assert_eq!(message, format!("alerts/firing/DiskFull |{body}"));
}

/// As "HMAC signature" in the documentation of its webhook describes it.
#[test]
fn what_grafana_sends_is_published() {
    let recipe = Recipe::new("Grafana");
    let body = r#"{"receiver":"mqtt","status":"firing","alerts":[],"title":"[FIRING:1] DiskFull (db-1)"}"#;
    let head = format!(
        "POST /hooks/grafana HTTP/1.1\nHost: 192.168.1.10:8000\nUser-Agent: Grafana\nContent-Type: application/json\n\
         X-Grafana-Alerting-Signature: {}\nAccept-Encoding: gzip",
        signed(body)
    );
    let (_, message) = recipe.send(&head, body);
    assert_eq!(message, format!("alerts/grafana/firing |{body}"));
}
