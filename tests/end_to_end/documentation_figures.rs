//! Measured figures on the pages come from docs/figures, which the programs of bench/ write.
//!
//! A comment `<!-- figures: NAME.json -->` stands before each paragraph, list or table that quotes figures.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Units of what is measured.
const UNITS: [&str; 11] = [
    " ms",
    " µs",
    " MB",
    " MiB",
    " %",
    " req/s",
    " requests per second",
    " messages per second",
    " times as",
    " cores",
    "/s",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The figures by the names of their files.
fn files() -> BTreeMap<String, Value> {
    let entries = fs::read_dir(root().join("docs/figures")).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let figures = serde_json::from_str(&text).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
        (path.file_name().unwrap().to_str().unwrap().to_owned(), figures)
    };
    entries.map(read).collect()
}

/// The pages that quote figures.
fn pages() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    pages.extend(["README.md", "SECURITY.md", "CONTRIBUTING.md"].map(|name| root().join(name)));
    pages
}

/// A paragraph, list or table, and the files that the comment before it names.
struct Block {
    at: String,
    files: Vec<String>,
    lines: Vec<String>,
}

impl Block {
    fn is_table(&self) -> bool {
        self.lines.iter().all(|line| line.starts_with('|'))
    }

    fn text(&self) -> String {
        self.lines.join("\n")
    }

    /// What is in backticks and begins with `bench/`.
    fn commands(&self) -> Vec<String> {
        let text = self.text();
        let quoted = text.split('`').skip(1).step_by(2);
        quoted.filter(|quoted| quoted.starts_with("bench/")).map(str::to_owned).collect()
    }
}

/// The blocks of a page outside of its fenced code.
fn blocks(path: &Path) -> Vec<Block> {
    let (mut blocks, mut is_code) = (Vec::<Block>::new(), false);
    let mut open = false;
    for (number, line) in fs::read_to_string(path).unwrap().lines().enumerate() {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        if is_code || is_fence || line.trim().is_empty() || line.starts_with('#') {
            open = false;
            continue;
        }
        let named =
            line.strip_prefix("<!-- figures: ").map(|rest| rest.strip_suffix(" -->").expect("the end of a comment"));
        if !open || named.is_some() {
            let at = format!("{}:{}", path.file_name().unwrap().display(), number + 1);
            let files = named.into_iter().flat_map(|names| names.split(' ').map(str::to_owned)).collect();
            blocks.push(Block { at, files, lines: Vec::new() });
            open = true;
        }
        if named.is_none() {
            blocks.last_mut().unwrap().lines.push(line.to_owned());
        }
    }
    blocks
}

/// The numbers in a text, without separators of thousands and final zeros.
fn numbers(text: &str) -> Vec<String> {
    let words = text.split(|letter: char| !(letter.is_ascii_digit() || ",.".contains(letter)));
    let words = words.map(|word| word.trim_matches([',', '.']).replace(',', "")).filter(|word| !word.is_empty());
    words.map(|word| word.parse::<f64>().map_or(word, |number| number.to_string())).collect()
}

/// The same, without names that have a number, and without what is in backticks or the target of a link.
fn quoted(text: &str) -> Vec<String> {
    let mut text: String = text.split('`').step_by(2).collect::<Vec<_>>().join(" ");
    while let Some(start) = text.find("](") {
        let end = text[start..].find(')').expect("the end of a link") + start;
        text.replace_range(start..=end, "]");
    }
    for name in ["MQTT 5", "MQTT 3.1.1", "QoS 0", "QoS 1", "QoS 2", "p50", "p99"] {
        text = text.replace(name, "");
    }
    numbers(&text)
}

/// All numbers in a value.
fn leaves(value: &Value) -> Vec<String> {
    match value {
        Value::Number(number) => numbers(&number.to_string()),
        Value::String(text) => numbers(text),
        Value::Array(values) => values.iter().flat_map(leaves).collect(),
        Value::Object(values) => values.iter().flat_map(|(_, value)| leaves(value)).collect(),
        Value::Null | Value::Bool(_) => Vec::new(),
    }
}

#[test]
fn every_file_says_how_its_figures_were_measured() {
    for (name, file) in files() {
        for key in ["command", "date"] {
            assert!(file[key].is_string(), "{name}: {key}");
        }
        let program = file["command"].as_str().unwrap().split(' ').next().unwrap();
        assert!(root().join(program).exists(), "{name}: {program}");
        assert!(file["machine"]["cores"].is_number() && file["machine"]["kernel"].is_string(), "{name}: machine");
        assert!(file["versions"]["mqtt-bridge"].is_string(), "{name}: versions");
        assert!(file["figures"].is_object(), "{name}: figures");
    }
}

#[test]
fn quoted_figures_are_those_of_their_files() {
    let files = files();
    let mut faults = Vec::new();
    for block in pages().iter().flat_map(|page| blocks(page)).filter(|block| !block.files.is_empty()) {
        let named = block.files.iter().map(|name| files.get(name).unwrap_or_else(|| panic!("{}: no {name}", block.at)));
        let named: Vec<&Value> = named.collect();
        let known: BTreeSet<String> = named.iter().flat_map(|file| leaves(file)).collect();
        faults.extend(
            quoted(&block.text())
                .into_iter()
                .filter(|number| !known.contains(number))
                .map(|number| format!("{}: {number} is not in {}", block.at, block.files.join(", "))),
        );
        for command in block.commands() {
            if !named.iter().any(|file| file["command"].as_str().unwrap().contains(&command)) {
                faults.push(format!("{}: {command} is not the command of {}", block.at, block.files.join(", ")));
            }
        }
        // a table that shows all rows of a file
        if let Some(rows) = named[0]["figures"]["rows"].as_array().filter(|_| block.is_table() && named.len() == 1) {
            let sorted = |mut numbers: Vec<String>| {
                numbers.sort();
                numbers
            };
            let shown: Vec<_> = block.lines.iter().skip(2).map(|line| sorted(numbers(line))).collect();
            let saved: Vec<_> = rows.iter().map(|row| sorted(leaves(row))).collect();
            if shown != saved {
                let differing = shown.iter().zip(&saved).find(|(shown, saved)| shown != saved);
                faults.push(format!("{}: the rows are not those of {}: {differing:?}", block.at, block.files[0]));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_saved_figure_is_quoted() {
    let blocks: Vec<Block> = pages().iter().flat_map(|page| blocks(page)).collect();
    for (name, file) in files() {
        let of_it = blocks.iter().filter(|block| block.files.contains(&name));
        let shown: BTreeSet<String> = of_it.flat_map(|block| numbers(&block.text())).collect();
        for figure in leaves(&file["figures"]) {
            assert!(shown.contains(&figure), "no page quotes {figure} of {name}");
        }
    }
}

#[test]
fn measured_figures_name_their_file() {
    const MEASURED: [&str; 3] = ["performance.md", "growth.md", "peers.md"];
    let is_picture = |block: &Block| block.lines.iter().all(|line| line.starts_with("!["));
    let mut faults = Vec::new();
    for block in
        pages().iter().flat_map(|page| blocks(page)).filter(|block| block.files.is_empty() && !is_picture(block))
    {
        let text = block.text();
        let has_unit = UNITS.iter().any(|unit| {
            text.match_indices(unit).any(|(at, _)| text[..at].ends_with(|before: char| before.is_ascii_digit()))
        });
        let is_measured = !block.commands().is_empty() && !quoted(&text).is_empty();
        let page = block.at.split(':').next().unwrap();
        if is_measured || (MEASURED.contains(&page) && has_unit) {
            faults.push(format!("{}: name the file of these figures: {text}", block.at));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
