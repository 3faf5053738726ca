//! Daemons with an outbox, and what it says about its messages.

use serde_json::{Value, json};

use super::daemon::Daemon;
use super::folder::Folder;
use super::http::Reply;
use super::waiting::eventually;

/// What asks for the outbox.
pub const ASYNC: (&str, &str) = ("Prefer", "respond-async");
/// Seconds that no test takes.
pub const LONG: f64 = 600.0;

/// Tables for the broker on this port with more lines in `[mqtt]`, and for the outbox in this folder with more lines
/// and tables.
pub fn configuration(port: u16, mqtt: &str, folder: &Folder, outbox: &str) -> String {
    let path = folder.path().join("outbox");
    format!("[mqtt]\nport = {port}\nreconnect-max = 0.2\n{mqtt}\n[outbox]\npath = \"{}\"\n{outbox}\n", path.display())
}

/// A daemon with an outbox that is kept over restarts.
pub struct Setup {
    pub folder: Folder,
    pub configuration: String,
    pub daemon: Daemon,
}

impl Setup {
    /// For the broker on this port, with more lines in `[outbox]` and tables behind it.
    pub fn new(port: u16, outbox: &str) -> Self {
        Self::speaking("5", port, outbox)
    }

    pub fn speaking(protocol: &str, port: u16, outbox: &str) -> Self {
        let folder = Folder::new();
        let configuration = configuration(port, &format!("protocol = \"{protocol}\""), &folder, outbox);
        let daemon = Daemon::with(&configuration);
        Self { folder, configuration, daemon }
    }

    /// Stops the daemon, and starts it again.
    pub fn restart(self) -> Self {
        let Self { folder, configuration, mut daemon } = self;
        daemon.signal("TERM");
        assert_eq!(daemon.wait_for_end().code(), Some(0));
        let daemon = Daemon::with(&configuration);
        Self { folder, configuration, daemon }
    }

    pub fn delete(&self, id: &str) -> Reply {
        self.daemon.connect().request("DELETE", &format!("/outbox/{id}"), &[], b"")
    }
}

/// The body of a message with this topic, which is its payload too, at QoS 1.
pub fn body(topic: &str, ttl: f64) -> String {
    json!({ "topic": topic, "msg": topic, "qos": 1, "ttl": ttl }).to_string()
}

/// Asks for the outbox with this body.
pub fn ask(daemon: &Daemon, path: &str, body: &str) -> Reply {
    daemon.connect().request("POST", path, &[("Content-Type", "application/json"), ASYNC], body.as_bytes())
}

/// Stores a message with this topic, and returns its identifier.
#[track_caller]
pub fn store(daemon: &Daemon, topic: &str, ttl: f64) -> String {
    id(&ask(daemon, "/publish", &body(topic, ttl)))
}

/// The identifier in the reply to one stored message.
#[track_caller]
pub fn id(reply: &Reply) -> String {
    let answer = reply.json();
    let id = answer["id"].as_str().unwrap_or_else(|| panic!("no id: {reply:?}")).to_owned();
    assert_eq!((reply.status, &answer), (202, &json!({ "code": 0, "id": id })), "{reply:?}");
    let location = format!("/outbox/{id}");
    let headers = (reply.header("location"), reply.header("preference-applied"));
    assert_eq!(headers, (Some(location.as_str()), Some("respond-async")), "{reply:?}");
    id
}

/// What the outbox says about a message.
#[track_caller]
pub fn entry(daemon: &Daemon, id: &str) -> Value {
    let reply = daemon.get(&format!("/outbox/{id}"));
    assert_eq!((reply.status, reply.code()), (200, 0), "{reply:?}");
    reply.json()
}

/// Waits for a state of a message, and returns what the outbox says then.
#[track_caller]
pub fn await_state(daemon: &Daemon, id: &str, state: &str) -> Value {
    eventually(&format!("{id} is {state}"), || entry(daemon, id), |entry| entry["state"] == state)
}

/// All that the outbox has, page by page, in its order.
pub fn all(daemon: &Daemon) -> Vec<Value> {
    let mut connection = daemon.connect();
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let reply = connection.get(&format!("/outbox?limit=1000{after}"));
        assert_eq!((reply.status, reply.code()), (200, 0), "{reply:?}");
        let page = reply.json();
        all.extend(page["messages"].as_array().unwrap().iter().cloned());
        let Some(next) = page["next"].as_str() else { return all };
        after = format!("&after={next}");
    }
}

/// How many messages are in this state.
pub fn count(daemon: &Daemon, state: &str) -> u64 {
    let list = daemon.get("/outbox?limit=1").json();
    list["counts"][state].as_u64().unwrap_or_else(|| panic!("no count of {state}: {list}"))
}
