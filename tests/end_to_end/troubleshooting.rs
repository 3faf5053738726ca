//! docs/troubleshooting.md has what each warning and error means, and what to do: the texts are collected from the source.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = include_str!("../../docs/troubleshooting.md");

/// What a text is the argument of that a record is made of, and how many of them there are at least.
const MARKS: [(&str, usize); 11] = [
    ("log::warn!(", 25),
    ("log::error!(", 3),
    ("::warning(", 1),
    ("Lost::new(", 10),
    ("Lost::because(", 3),
    ("Lost::unanswered(", 1),
    ("Lost::coded(", 2),
    // both in the constructors of `Lost`
    ("Self::because(", 2),
    ("Unusable::new(", 3),
    ("let what = ", 7),
    ("fault(", 10),
];

/// A file with this word says why there is no TLS, in all of its texts.
const OF_TLS: &str = "CertificateError::";

/// Texts that no mark tells.
const OTHERS: [&str; 12] = [
    "cannot write records:",
    "cannot wait for signals:",
    "cannot start:",
    "ended unexpectedly:",
    "cannot print to standard output:",
    "took nothing for",
    "names no key of the configuration",
    "does not answer:",
    "the MQTT thread hangs",
    "threads of connections cannot be freed",
    "trying again for",
    "a start would wait for that",
];

/// The marks of what a connection or the daemon itself says, each of which has an entry.
const EACH: [&str; 7] = [
    "log::warn!(",
    "log::error!(",
    "Lost::new(",
    "Lost::because(",
    "Lost::unanswered(",
    "Lost::coded(",
    "Self::because(",
];

/// A text on the configuration that says by itself what is wrong with which key: the page has these as a kind.
const RULES: [&str; 5] = ["must ", " needs ", "is missing in", "is there twice", "is subscribed to twice"];

/// So much of a text is looked for.
const LONGEST: usize = 60;

/// The source files but for tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let paths = entries.filter(|path| !matches!(path.file_stem().unwrap().to_str(), Some("tests")));
    paths.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// A text without its tests and comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// How far literals are looked for.
enum To {
    /// That of the argument list that is open.
    EndOfArguments,
    EndOfStatement,
    End,
}

/// The string literals from here on.
fn literals(text: &str, to: &To) -> Vec<String> {
    let (mut found, mut depth) = (Vec::new(), 1);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            '\'' => {
                // a letter, of which a quotation mark is none of a string, or a lifetime
                let mut ahead = letters.clone();
                let first = ahead.next();
                if first == Some('\\') {
                    letters.nth(2);
                } else if ahead.next() == Some('\'') {
                    letters.nth(1);
                }
            }
            '"' => found.push(literal(&mut letters)),
            _ => {}
        }
        let is_end = match to {
            To::EndOfArguments => depth == 0,
            To::EndOfStatement => letter == ';',
            To::End => false,
        };
        if is_end {
            break;
        }
    }
    found
}

/// The rest of a string literal.
fn literal(letters: &mut std::str::Chars) -> String {
    let mut text = String::new();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => break,
            '\\' => match letters.next().unwrap() {
                // the literal goes on in the next line
                '\n' => *letters = letters.as_str().trim_start().chars(),
                'n' => text.push('\n'),
                other => text.push(other),
            },
            other => text.push(other),
        }
    }
    text
}

/// The longest part of a text that is the same whatever it is about, cut at a word.
fn fragment(text: &str) -> String {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for letter in text.replace("{{", "(").replace("}}", ")").chars() {
        match letter {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                parts.push(String::new());
            }
            '`' => {}
            _ if depth == 0 => parts.last_mut().unwrap().push(letter),
            _ => {}
        }
    }
    let longest = parts.into_iter().max_by_key(String::len).unwrap();
    let end = longest.char_indices().map(|(at, _)| at).take_while(|&at| at <= LONGEST).last().unwrap_or(0);
    let cut = if longest.len() > LONGEST { longest[..end].rsplit_once(' ').unwrap().0 } else { &longest };
    cut.trim_matches([' ', ';', ':', ',']).to_owned()
}

#[test]
fn the_page_has_each_warning_and_error() {
    let files: Vec<String> =
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).iter().map(|path| code(path)).collect();
    let (mut texts, mut each) = (BTreeSet::new(), BTreeSet::new());
    for (mark, least) in MARKS {
        let to = if mark.ends_with("= ") { To::EndOfStatement } else { To::EndOfArguments };
        let calls = files.iter().flat_map(|file| file.split(mark).skip(1));
        let found: BTreeSet<String> = calls.flat_map(|text| literals(text, &to)).collect();
        assert!(found.len() >= least, "{mark}…) has {} texts: is it called otherwise now?", found.len());
        if EACH.contains(&mark) { each.extend(found) } else { texts.extend(found) }
    }
    let of_tls: Vec<&String> = files.iter().filter(|file| file.contains(OF_TLS)).collect();
    assert!(!of_tls.is_empty(), "there is no {OF_TLS}");
    texts.extend(of_tls.into_iter().flat_map(|file| literals(file, &To::End)));
    // what to do, behind another text
    texts.extend(files.iter().flat_map(|file| literals(file, &To::End)).filter(|text| text.starts_with("; ")));
    for other in OTHERS {
        assert!(files.iter().any(|file| file.contains(other)), "{other} is in no record any more");
        texts.insert(other.to_owned());
    }
    // of error types those that a start or a connection ends with
    let errors = files
        .iter()
        .flat_map(|file| file.split("#[error(").skip(1))
        .flat_map(|text| literals(text, &To::EndOfArguments));
    let of_records = ["cannot ", "can be reached", "packet identifier", "this build has no"];
    texts.extend(errors.filter(|text| of_records.iter().any(|words| text.contains(words))));
    let page = PAGE.replace('`', "").split_whitespace().collect::<Vec<_>>().join(" ");
    let is_rule = |text: &str| RULES.iter().any(|rule| text.contains(rule));
    let missing: Vec<String> = texts
        .iter()
        .filter(|text| !is_rule(text))
        .chain(&each)
        .map(|text| fragment(text))
        .filter(|fragment| fragment.contains(' ') && !page.contains(fragment.as_str()))
        .collect();
    assert!(missing.is_empty(), "docs/troubleshooting.md has no entry for:\n{}", missing.join("\n"));
}

/// Parts of texts of the system and of other crates, and of texts with so many values that no third is in one piece.
const EXEMPT: [&str; 6] = [
    "invalid type",
    "unknown field",
    "(os error ",
    "failed to lookup",
    "subscription to FILTER ",
    "the broker refuses an MQTT packet of N bytes",
];

#[test]
fn the_page_has_no_text_that_the_source_lacks() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let literals = sources(&folder).iter().flat_map(|path| literals(&code(path), &To::End)).collect::<Vec<_>>();
    let texts = literals.join("\n").replace('`', "");
    let rows = PAGE.lines().skip_while(|line| !line.starts_with("| text |")).filter(|line| line.starts_with("| `"));
    let columns = rows.map(|row| row.split(" | ").next().unwrap().replace("``", ""));
    let mut lacking = Vec::new();
    for quoted in columns.flat_map(|column| column.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>())
    {
        let words: Vec<&str> = quoted.split(' ').collect();
        // a third of it in one piece: the rest may be what differs each time
        let enough = words.len().div_ceil(3);
        let is_there = words.windows(enough).any(|piece| texts.contains(piece.join(" ").trim_end_matches(['…', ' '])));
        if !is_there && !EXEMPT.iter().any(|part| quoted.contains(part)) {
            lacking.push(quoted);
        }
    }
    assert!(lacking.is_empty(), "in no source file:\n{}", lacking.join("\n"));
}
