//! docs/configuration.md is the one place where the keys are explained: it is held to the daemon, to the shipped file
//! and to the man page.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use mqtt_bridge::config::{Config, Environment, Source};

use crate::support::daemon::program;
use crate::support::folder::Folder;
use crate::support::process::Process;

const PAGE: &str = include_str!("../../docs/configuration.md");
const SHIPPED: &str = include_str!("../../bridge.toml");

/// A row of the page.
struct Row {
    /// As in the file, with its brackets.
    table: String,
    key: String,
    default: String,
    values: String,
}

impl Row {
    /// The default, if it is one value that could be written into the file.
    fn literal(&self) -> Option<&str> {
        let inner = code(&self.default)?;
        (inner != "mqtt-bridge-").then_some(inner)
    }

    fn name(&self) -> String {
        format!("{} {}", self.table, self.key)
    }

    /// What must be there for the key to be used.
    fn context(&self) -> &'static str {
        match (self.table.as_str(), self.key.as_str()) {
            ("[mqtt.tls]", "enabled") => "",
            ("[mqtt.tls]", _) => "enabled = true",
            ("[mqtt.will]", "topic") => "payload = \"b\"",
            ("[mqtt.will]", "payload") => "topic = \"a\"",
            ("[mqtt.will]", _) => "topic = \"a\"\npayload = \"b\"",
            ("[[subscribe]]", key) if key != "topic" => "topic = \"a\"",
            ("[[token]]", _) => {
                "name = \"a\"\nsha256 = \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\""
            }
            ("[[hook]]", "encoding") => {
                "name = \"a\"\ntopic = \"a\"\nsignature = \"hmac-sha256\"\nheader = \"a\"\n\
                 signature-secret-file = \"/proc/sys/kernel/ostype\""
            }
            ("[[hook]]", _) => {
                "name = \"a\"\ntopic = \"a\"\n\
                 secret-sha256 = \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\""
            }
            ("[[webhook]]", _) => "name = \"a\"\ntopic = \"a\"\nurl = \"http://localhost\"",
            _ => "",
        }
    }

    /// What other tables must have for the key to be used.
    fn others(&self) -> &'static str {
        match (self.table.as_str(), self.key.as_str()) {
            ("[publish]", "store") => "[outbox]\npath = \"a\"",
            ("[[hook]]", "ttl") => "[outbox]\npath = \"a\"\n[publish]\nstore = true",
            _ => "",
        }
    }

    fn load(&self, line: &str) -> Result<Config, String> {
        let text = format!("{}\n{}\n{}\n{line}", self.others(), self.table, self.context());
        let config = Config::parse(&text, &Source::File("bridge.toml".into()), &Environment::default());
        config.map_err(|fault| fault.to_string())
    }

    fn with(&self, value: &str) -> Result<Config, String> {
        self.load(&format!("{} = {value}", self.key))
    }

    #[track_caller]
    fn assert_taken(&self, value: &str) {
        self.with(value).unwrap_or_else(|fault| panic!("{} takes {value}: {fault}", self.name()));
    }

    #[track_caller]
    fn assert_refused(&self, value: &str) {
        let fault = self.with(value).err().unwrap_or_else(|| panic!("{} refuses {value}", self.name()));
        assert!(fault.contains(&format!("`{}` must be", self.key)), "{fault}");
    }
}

/// What is in a single pair of backticks.
fn code(text: &str) -> Option<&str> {
    text.strip_prefix('`')?.strip_suffix('`').filter(|inner| !inner.contains('`'))
}

/// The rows of all tables of keys.
fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for section in PAGE.split("\n## `").skip(1) {
        let table = section.split('`').next().unwrap();
        let lines = section.lines().skip_while(|line| !line.starts_with("| key |")).skip(2);
        for line in lines.take_while(|line| line.starts_with('|')) {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [key, default, values, meaning] = cells[..] else { panic!("four cells: {line}") };
            assert!(meaning.ends_with('.'), "{meaning}");
            let key = code(key).unwrap_or_else(|| panic!("a key: {line}"));
            rows.push(Row {
                table: table.to_owned(),
                key: key.to_owned(),
                default: default.into(),
                values: values.into(),
            });
        }
    }
    assert!(rows.len() > 40, "the page was read");
    rows
}

fn names(rows: &[Row]) -> BTreeSet<String> {
    let names: BTreeSet<String> = rows.iter().map(Row::name).collect();
    assert_eq!(names.len(), rows.len(), "each key is there once");
    names
}

/// The keys of the shipped file with their tables and values, and whether they are commented out.
fn shipped() -> Vec<(String, String, bool)> {
    let (mut table, mut keys) = (String::new(), Vec::new());
    for line in SHIPPED.lines() {
        let bare = line.trim_start_matches("# ");
        if bare.starts_with('[') {
            bare.clone_into(&mut table);
        } else if let Some((key, value)) = bare.split_once(" = ").filter(|(key, _)| !key.contains(' ')) {
            keys.push((format!("{table} {key}"), value.to_owned(), line.starts_with('#')));
        }
    }
    keys
}

/// What the daemon says which keys a table has.
fn known(table: &str) -> BTreeSet<String> {
    let folder = Folder::new();
    let file = folder.write("bridge.toml", &format!("{table}\nx = 1\n"));
    let mut check = Process::start(program().arg("--check").arg("--config").arg(file));
    assert_eq!(check.wait_for_end().code(), Some(78));
    let words = check.lines().join("\n");
    let keys = words.split("expected one of ").nth(1).unwrap_or_else(|| panic!("{words}"));
    keys.split('`').skip(1).step_by(2).map(|key| format!("{table} {key}")).collect()
}

#[test]
fn the_page_has_each_key_of_the_daemon_once_and_no_other() {
    let rows = rows();
    let tables: BTreeSet<&str> = rows.iter().map(|row| row.table.as_str()).collect();
    let mut of_daemon: BTreeSet<String> = tables.iter().flat_map(|table| known(table)).collect();
    // the tables within [mqtt]
    assert!(of_daemon.remove("[mqtt] tls") && of_daemon.remove("[mqtt] will"));
    assert_eq!(names(&rows), of_daemon);
}

#[test]
fn the_page_has_each_key_of_the_shipped_file_and_the_other_way_round() {
    let shipped: BTreeSet<String> = shipped().into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names(&rows()), shipped);
}

#[test]
fn a_default_is_the_same_on_the_page_in_the_shipped_file_and_in_the_daemon() {
    let shipped = shipped();
    for row in rows() {
        let name = row.name();
        let (_, value, is_comment) = shipped.iter().find(|(other, ..)| *other == name).expect("the key");
        let is_example = row.table == "[[subscribe]]" || name == "[[token]] publish";
        match row.literal() {
            Some(literal) => {
                assert!(is_example || literal == value, "{name} is {literal} on the page, {value} in the file");
                let (said, unsaid) = (row.with(literal), row.load(""));
                assert!(said == unsaid && said.is_ok(), "{name} is {literal} by itself: {said:?}, {unsaid:?}");
            }
            None => assert!(is_example || *is_comment, "{name} has a value in the file, and none on the page"),
        }
    }
}

#[test]
fn a_key_takes_the_values_that_the_page_names_and_no_others() {
    let (mut ranges, mut words) = (0, 0);
    for row in rows() {
        let first = row.values.split(' ').next().unwrap();
        let bounds = row.values.split_once(" to ").map(|(_, rest)| (first, rest.split(' ').next().unwrap()));
        if let Some((least, most)) = bounds.filter(|(least, _)| least.parse::<f64>().is_ok()) {
            ranges += 1;
            // a length, or half a sentence
            if row.values.contains("characters") {
                continue;
            }
            let is_time = row.values.ends_with(" seconds") && !row.values.contains("whole");
            let beyond = |bound: &str, step: i64| match bound.parse::<i64>() {
                Ok(bound) if !is_time => (bound + step).to_string(),
                _ => format!(
                    "{:.6}",
                    bound.parse::<f64>().unwrap() * (1.0 + 0.01 * f64::from(i32::try_from(step).unwrap()))
                ),
            };
            row.assert_taken(least);
            row.assert_refused(&beyond(least, -1));
            // or else it is another key that bounds it
            if most.parse::<f64>().is_ok() {
                row.assert_taken(most);
                row.assert_refused(&beyond(most, 1));
            }
            let fraction = format!("{}.5", least.split('.').next().unwrap());
            if is_time { row.assert_taken(&fraction) } else { row.assert_refused(&fraction) }
        } else if let Some(most) = ["0 or 1", "0, 1 or 2"].iter().position(|values| row.values == *values) {
            for value in 0..=most + 1 {
                row.assert_taken(&value.to_string());
            }
            for value in ["-1", &(most + 2).to_string(), "\"1\""] {
                row.assert_refused(value);
            }
        } else if row.values.starts_with('`') && !row.values.contains('/') {
            words += 1;
            // these depend on other keys
            if !matches!(row.key.as_str(), "transport" | "signature") {
                row.values.split('`').skip(1).step_by(2).for_each(|value| row.assert_taken(value));
            }
            row.assert_refused("\"other\"");
        }
    }
    assert!(ranges > 15 && words > 8, "{ranges} ranges and {words} choices were tried");
}

#[test]
fn the_man_page_is_what_scripts_man_makes_of_the_page() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut man = Process::start(Command::new("python3").arg(repository.join("scripts/man")));
    let status = man.wait_for_end();
    assert!(status.success(), "{:?}", man.lines());
    let made = String::from_utf8(man.stdout()).unwrap();
    let packaged = include_str!("../../packaging/bridge.toml.5");
    assert!(made == packaged, "packaging/bridge.toml.5 is old: scripts/man >packaging/bridge.toml.5");
    for row in rows() {
        assert!(made.contains(&format!("\n.BR {} \" (", row.key.replace('-', "\\-"))), "{} is in it", row.key);
    }
}
