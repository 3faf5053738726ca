//! docs/outbox.md, and what docs/hooks.md has of it, followed as they stand.

use crate::support::daemon::Daemon;
use crate::support::folder::Folder;
use crate::support::hook::Hook;
use crate::support::mosquitto::Mosquitto;
use crate::support::page::{block, blocks, masked};
use crate::support::reader::Reader;
use crate::support::waiting::eventually;

const PAGE: &str = include_str!("../../docs/outbox.md");
const HOOKS: &str = include_str!("../../docs/hooks.md");

/// Somebody who has done the tutorial, and has an outbox as the page has it.
struct Desk {
    _folder: Folder,
    reader: Reader,
    daemon: Daemon,
    broker: Mosquitto,
}

impl Desk {
    fn new() -> Self {
        Self::with(&block(PAGE, "Store a message", "toml"))
    }

    fn with(tables: &str) -> Self {
        let (broker, folder) = (Mosquitto::start(), Folder::new());
        let path = folder.path().join("outbox.db").display().to_string();
        let table = tables.replace("outbox.db", &path);
        assert_ne!(table, tables);
        let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\n{table}", broker.port()));
        Self { _folder: folder, reader: Reader::of(&broker), daemon, broker }
    }

    #[track_caller]
    fn run(&self, script: &str) -> String {
        self.reader.shell(&script.replace("127.0.0.1:8000", self.daemon.address())).output()
    }
}

#[test]
fn the_page_on_the_outbox_leads_to_its_end() {
    let desk = Desk::new();
    let (mut id, mut output, mut count) = (String::new(), String::new(), 0);
    for step in blocks(PAGE) {
        count += 1;
        match step.info.as_str() {
            "sh" => output = desk.run(&step.text),
            "sh ask" => {
                let script = format!("ID={id}\n{}", step.text);
                output = eventually("an outcome", || desk.run(&script), |told| told.contains("\"acknowledged\""));
            }
            "json" if step.follows => {
                assert_eq!(masked(&output), masked(&step.text));
                let of_answer = output.split("\"id\":\"").nth(1).and_then(|rest| rest.split('"').next());
                id = of_answer.map_or(id, str::to_owned);
            }
            _ => count -= 1,
        }
    }
    assert_eq!(count, 14);
    assert_eq!(desk.broker.log_with("Received PUBLISH").len(), 3, "a repetition publishes nothing");
}

#[test]
fn the_script_of_the_page_publishes_each_file_once() {
    let desk = Desk::new();
    let script = block(PAGE, "A program that retries", "sh script");
    desk.reader.save("publish-files", &script.replace("127.0.0.1:8000", desk.daemon.address()));
    let write = "mkdir -p work && echo 21.5 >work/2026-11-29T12:00-power && echo 22 >work/2026-11-29T12:01-power";
    let run = "sh publish-files work; echo $?; ls work";
    let published = || desk.broker.log_with("Received PUBLISH").len();
    assert_eq!(desk.run(&format!("{write}\n{run}")), "0\n");
    assert_eq!(published(), 2);
    // as if it had seen no answer
    assert_eq!(desk.run(&format!("{write}\n{run}")), "0\n");
    assert_eq!(published(), 2);
    let other = "echo 23 >work/2026-11-29T12:00-power\n";
    let told = desk.run(&format!("{other}{run}"));
    assert_eq!(told, "1\n2026-11-29T12:00-power.refused\n", "another file of the same name");
    assert_eq!(desk.run(run), "0\n2026-11-29T12:00-power.refused\n");
    assert_eq!(published(), 2, "what was refused stays so");
}

#[test]
fn a_hook_stores_with_the_tables_of_the_page_on_hooks() {
    let hook = Hook::new("door", "GET", "home/door", "msg = \"pressed\"\nttl = 60");
    let desk = Desk::with(&format!("{}{}", block(HOOKS, "Answers", "toml stored"), hook.table));
    let reply = desk.daemon.get(&hook.path);
    assert_eq!(reply.status, 202, "{reply:?}");
    desk.broker.wait_for("Received PUBLISH");
}
