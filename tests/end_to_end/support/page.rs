//! A page of documentation as its reader takes it: blocks of code under headings, to be run as they stand.

/// A fenced block.
#[derive(Debug, Clone)]
pub struct Block {
    /// The heading that it stands under.
    pub heading: String,
    /// What stands behind the fence: the language, and perhaps a word for the test.
    pub info: String,
    pub text: String,
    /// Nothing but empty lines stands between it and the block before.
    pub follows: bool,
}

/// The blocks of a page in Markdown, in order.
pub fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let (mut heading, mut follows) = ("", false);
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(info) = line.trim_start().strip_prefix("```") {
            let indented = line.len() - line.trim_start().len();
            let text = lines.by_ref().take_while(|line| line.trim() != "```");
            let text = text.map(|line| line.get(indented..).unwrap_or_default());
            let text = text.fold(String::new(), |text, line| text + line + "\n");
            blocks.push(Block { heading: heading.to_owned(), info: info.to_owned(), text, follows });
            follows = true;
        } else if line.starts_with('#') {
            (heading, follows) = (line.trim_start_matches('#').trim(), false);
        } else if !line.trim().is_empty() {
            follows = false;
        }
    }
    blocks
}

/// The blocks under this heading with this behind the fence, of which there is one at least.
#[track_caller]
pub fn section(page: &str, heading: &str, info: &str) -> Vec<String> {
    let is_it = |block: &Block| block.heading == heading && block.info == info;
    let found: Vec<String> = blocks(page).into_iter().filter(is_it).map(|block| block.text).collect();
    assert!(!found.is_empty(), "there is no {info} under {heading:?}");
    found
}

/// The only block under this heading with this behind the fence.
#[track_caller]
pub fn block(page: &str, heading: &str, info: &str) -> String {
    let mut found = section(page, heading, info);
    assert_eq!(found.len(), 1, "there is more than one {info} under {heading:?}");
    found.remove(0)
}

/// Output without what differs each time: numbers of packets, times, identifiers.
pub fn masked(output: &str) -> String {
    const VARYING: [(&str, &[char]); 11] = [
        ("\"packet_id\":", &[',', '}']),
        ("\"time\":", &[',', '}']),
        ("\"id\":\"", &['"']),
        ("\"stored\":", &[',', '}']),
        ("\"expires\":", &[',', '}']),
        ("\"settled\":", &[',', '}']),
        ("/response/mqtt-bridge-1/", &['"']),
        ("Date: ", &['\r', '\n']),
        ("retry: ", &['\n']),
        ("id: ", &['\n']),
        ("\"uptime_seconds\":", &[',']),
    ];
    let mut masked = output.replace("\r\n", "\n").trim().to_owned();
    for (before, behind) in VARYING {
        let mut parts = masked.split(before);
        let mut rest = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            rest.push_str(before);
            rest.push('…');
            rest.push_str(&part[part.find(behind).unwrap_or(part.len())..]);
        }
        masked = rest;
    }
    masked
}
