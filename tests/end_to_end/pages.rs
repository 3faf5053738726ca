//! The commands of the pages in `docs/` do what stands below them: each is run as it stands, one after the other.
//!
//! A block of `sh` is run, and its output is that of the block of `json` or `text` behind it. `sh beside` runs beside what
//! comes, as in a window of its own, and may show what `text shown` has; a bridge has what `text log` has in its log.
//! `sh ignore` is not for this machine.

use crate::support::daemon::Daemon;
use crate::support::folder::Folder;
use crate::support::hook::Hook;
use crate::support::mosquitto::Mosquitto;
use crate::support::page::{Block, block, blocks, masked};
use crate::support::reader::{Reader, Window};

const HTTP_API: &str = include_str!("../../docs/http-api.md");
const EMQX_API: &str = include_str!("../../docs/emqx-api.md");
const SUBSCRIPTIONS: &str = include_str!("../../docs/subscriptions.md");
const HOOKS: &str = include_str!("../../docs/hooks.md");
const HTTP_PROTOCOL: &str = include_str!("../../docs/http-protocol.md");
const TUTORIAL: &str = include_str!("../../docs/tutorial.md");
const READING: &str = include_str!("../../docs/reading.md");
const EVENT_STREAMS: &str = include_str!("../../docs/event-streams.md");

/// Somebody who has done the tutorial.
struct Desk {
    /// What the shell knows in each window.
    variables: String,
    windows: Vec<Window>,
    reader: Reader,
    daemon: Daemon,
    broker: Mosquitto,
}

impl Desk {
    fn new() -> Self {
        Self::with("")
    }

    /// The same with these tables in the configuration.
    fn with(tables: &str) -> Self {
        let broker = Mosquitto::start();
        let subscribed = "[[subscribe]]\ntopic = \"django/mqtt\"\nqos = 1";
        let configuration =
            format!("[mqtt]\nport = {}\nclient-id = \"mqtt-bridge-1\"\n{subscribed}\n{tables}", broker.port());
        let daemon = Daemon::connected_with(&configuration);
        daemon.wait_for("subscribed to django/mqtt");
        let reader = Reader::of(&broker);
        reader.save("picture.jpg", "a picture");
        Self { variables: String::new(), windows: Vec::new(), reader, daemon, broker }
    }

    fn shell(&self, script: &str) -> Window {
        let script = script.replace("127.0.0.1:8000", self.daemon.address());
        self.reader.shell(&format!("{}{script}", self.variables))
    }

    /// Goes through a page, and returns how many commands and looks it had.
    fn follow(&mut self, page: &str) -> usize {
        let blocks = blocks(page);
        let mut count = 0;
        for (index, block) in blocks.iter().enumerate() {
            let behind = blocks.get(index + 1).filter(|block| block.follows);
            match block.info.as_str() {
                "sh" => self.run(block, behind),
                "sh beside" => self.open(block),
                "text shown" => self.look(block),
                _ => continue,
            }
            count += 1;
        }
        count
    }

    fn run(&self, block: &Block, behind: Option<&Block>) {
        let output = self.shell(&block.text).output().replace(self.daemon.address(), "127.0.0.1:8000");
        if let Some(expected) = behind.filter(|block| matches!(block.info.as_str(), "json" | "text")) {
            assert_eq!(masked(&output), masked(&expected.text), "{}", block.text);
        }
    }

    /// Opens a window, in which somebody subscribes.
    fn open(&mut self, block: &Block) {
        let subscriptions = self.broker.log_with("Sending SUBACK to ").len();
        self.windows.push(self.shell(&block.text));
        self.broker.wait_for_nth(subscriptions + 1, "Sending SUBACK to ");
    }

    /// Looks into the window that was opened last.
    fn look(&mut self, block: &Block) {
        let window = self.windows.last_mut().expect("a window").process();
        let last = block.text.trim_end().lines().last().unwrap();
        window.wait_for_output(last.split("\"time\":").next().unwrap());
        let shown = String::from_utf8(window.stdout()).unwrap();
        assert_eq!(masked(&shown), masked(&block.text));
    }
}

#[test]
fn what_the_page_on_publishing_says_happens() {
    assert_eq!(Desk::new().follow(HTTP_API), 12);
}

#[test]
fn what_the_page_on_reading_says_happens() {
    assert_eq!(Desk::new().follow(READING), 4);
}

#[test]
fn what_the_page_for_clients_of_emqx_says_happens() {
    assert_eq!(Desk::new().follow(EMQX_API), 3);
}

#[test]
fn what_the_page_on_subscriptions_says_happens() {
    assert_eq!(Desk::new().follow(SUBSCRIPTIONS), 3);
}

#[test]
fn what_the_page_on_hooks_says_happens() {
    let heading = "A button that fetches a URL";
    let hook = Hook::new("door", "POST", "hooks/door", "");
    let printed = format!("path, shown only now: {}\n{}", hook.path, hook.table);
    let digits = |text: &str| text.trim().replace(|c: char| c.is_ascii_hexdigit(), "x");
    assert_eq!(digits(&printed), digits(&block(HOOKS, heading, "text new")));
    let folder = Folder::new();
    let file = folder.write("github-secret", "hunter2\n");
    let door = block(HOOKS, heading, "toml").replace('…', hook.sha256());
    let github = block(HOOKS, "Signatures", "toml signed").replace("github-secret", file.to_str().unwrap());
    let mut desk = Desk::with(&format!("{door}{github}"));
    desk.variables = format!("SECRET={}\nGITHUB_SECRET=hunter2\n", hook.secret);
    assert_eq!(desk.follow(HOOKS), 6);
}

#[test]
fn what_the_page_on_http_says_happens() {
    assert_eq!(Desk::new().follow(HTTP_PROTOCOL), 1);
}

#[test]
fn what_the_page_on_event_streams_says_happens() {
    assert_eq!(Desk::new().follow(EVENT_STREAMS), 8);
}

/// On a machine with a broker; quickstart has a test for the one without.
#[test]
fn the_tutorial_leads_to_its_end() {
    let broker = Mosquitto::start();
    let reader = Reader::of(&broker);
    reader.save("bridge.toml", include_str!("../../bridge.toml"));
    let steps = blocks(TUTORIAL);
    let start = steps.iter().find(|block| block.info == "sh beside").unwrap();
    let start = start.text.replace("target/release/mqtt-bridge", concat!("exec ", env!("CARGO_BIN_EXE_mqtt-bridge")));
    let start = start.replace("MQTT_PORT=1883", &format!("MQTT_PORT={}", broker.port()));
    let mut bridge = reader.shell(&format!("export MQTT_BRIDGE_HTTP_LISTEN=127.0.0.1:0\n{start}"));
    let bridge = bridge.process();
    bridge.wait_for("subscribed to ");
    let address = bridge.wait_for("listening on http://").split_once("http://").unwrap().1.to_owned();
    let mut subscriber = None;
    let mut answer = String::new();
    for step in &steps {
        match step.info.as_str() {
            "text log" => {
                let broker = format!("127.0.0.1:{}", broker.port());
                for line in step.text.lines().filter(|line| !line.starts_with("mqtt-bridge ")) {
                    bridge.wait_for(&line.replace("127.0.0.1:1883", &broker).replace("127.0.0.1:8000", &address));
                }
            }
            "sh beside" if step.text.starts_with("mosquitto_sub") => {
                subscriber = Some(reader.shell(&step.text));
                broker.wait_for_nth(2, "Sending SUBACK to ");
            }
            "sh" => answer = reader.shell(&step.text.replace("127.0.0.1:8000", &address)).output(),
            "json" if step.follows => assert_eq!(answer, step.text.trim()),
            "text shown" => subscriber.as_mut().unwrap().process().wait_for_output(&step.text),
            "toml" => assert!(parsed(include_str!("../../bridge.toml")).contains(&parsed(&step.text))),
            _ => {}
        }
    }
    assert_eq!(answer, r#"{"code":0}"#);
    bridge.wait_for("Received message on topic: django/mqtt with payload: hello over HTTP");
}

/// The lines that count.
fn parsed(toml: &str) -> String {
    toml.lines().filter(|line| !line.starts_with('#')).fold(String::new(), |text, line| text + line + "\n")
}
