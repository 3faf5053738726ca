//! Suggestions for names that do not exist.

/// The name that is most similar to `word`, if one is similar enough.
pub fn similar<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    // with more, a name of two or three letters would be similar to any other
    let most = match word.len() {
        0..4 => 1,
        4..9 => 2,
        9..=MAX_NAME => 3,
        _ => return None,
    };
    let near = names.into_iter().filter_map(|name| {
        let distance = distance(word.as_bytes(), name.to_ascii_lowercase().as_bytes());
        (distance <= most || is_shortened(&word, name)).then_some((distance, name))
    });
    near.min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// The end of a sentence that suggests one of the names that `words` have in backticks; empty if none is similar.
pub fn hint(word: &str, words: &str) -> String {
    let names = words.split('`').skip(1).step_by(2).filter(|name| *name != word);
    similar(word, names).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

/// The longest word for which a suggestion is sought, in bytes.
const MAX_NAME: usize = 40;

/// How many letters must be added, removed or replaced to turn one into the other (Levenshtein).
fn distance(one: &[u8], other: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (position, byte) in one.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], position + 1);
        for (column, of_other) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(byte != of_other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

/// Whether one is the other without some letters, as `msg` is `message`.
fn is_shortened(word: &str, name: &str) -> bool {
    let (short, long) = if word.len() < name.len() { (word, name) } else { (name, word) };
    let mut letters = long.bytes();
    short.len() == 3
        && long.len() <= MAX_NAME
        && short.as_bytes().first() == long.as_bytes().first()
        && short.bytes().all(|letter| letters.any(|other| other == letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_is_found_and_another_word_is_not() {
        let names = ["server", "port", "keepalive", "user", "password", "clean-session", "msg", "qos", "topic"];
        for (word, meant) in [
            ("prot", Some("port")),
            ("Port", Some("port")),
            ("clean_session", Some("clean-session")),
            ("message", Some("msg")),
            ("sever", Some("server")),
            ("topics", Some("topic")),
            ("colour", None),
            ("x", None),
            ("", None),
            ("priority", None),
        ] {
            assert_eq!(similar(word, names), meant, "{word}");
        }
        assert_eq!(similar(&"p".repeat(100_000), names), None);
    }

    #[test]
    fn the_distance_is_that_of_levenshtein() {
        for (one, other, expected) in [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "abc", 0), ("prot", "port", 2)]
        {
            assert_eq!(distance(one.as_bytes(), other.as_bytes()), expected, "{one} {other}");
        }
    }
}
