//! The target of a request (RFC 9112, 3.2): its path, its query, and the authority in absolute form.

use super::head::Head;
use crate::http::input::percent::decode;
use crate::http::reply::{Reply, SHOWN};
use crate::printable::Printable;

/// How the path of a hook begins, perhaps misspelt.
const HOOK: &str = "hook";
/// The beginning of paths with a topic. The topic may look like the path of a hook.
const TOPICS: &str = "/topics/";

/// So many hexadecimal digits in a row are not shown.
const SECRET_DIGITS: usize = 32;

/// The parts of a request target.
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    /// As it was sent: not decoded and not normalized.
    pub path: String,
    /// What follows the question mark, if there is one.
    pub query: Option<String>,
}

impl Target {
    /// Parses a target in origin form or in absolute form, which a server must accept too (RFC 9112, 3.2.2).
    pub fn of(head: Head) -> Self {
        let target = head.target();
        let absolute = Absolute::parse(target).filter(|absolute| absolute.scheme.eq_ignore_ascii_case("http"));
        let (start, rest) = match absolute {
            // an empty path means `/` (RFC 9110, 4.2.3)
            Some(Absolute { rest, .. }) if !rest.starts_with('/') => ("/", rest),
            Some(Absolute { rest, .. }) => ("", rest),
            None => ("", target),
        };
        let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query.to_owned())));
        Self { path: format!("{start}{path}"), query }
    }

    /// The authority of a target in absolute form, as it was sent; `None` in any other form.
    pub fn authority_of(head: Head<'_>) -> Option<&str> {
        Absolute::parse(head.target()).map(|absolute| absolute.authority)
    }

    /// The path by which the endpoint is found. Monitoring systems may add a slash; no other path has two forms, since
    /// a proxy may block a path by its exact name.
    pub fn endpoint(&self) -> &str {
        match self.path.as_str() {
            "/healthz/" => "/healthz",
            "/readyz/" => "/readyz",
            path => path,
        }
    }

    /// The path as records and errors show it: without what follows the name of a hook, which is a secret, however the
    /// path before it is written.
    pub fn shown_path(&self) -> String {
        if self.path.starts_with(TOPICS) {
            return self.path.clone();
        }
        let Ok(path) = decode(&self.path) else { return "…".to_owned() };
        let mut segments = path.split_inclusive('/');
        let before = segments.by_ref().take_while(|segment| !is_hook(segment)).map(str::len).sum::<usize>();
        let named = path[before..].split_inclusive('/').take(2).map(str::len).sum::<usize>();
        let shown = before + named;
        let shown = if shown == path.len() { self.path.clone() } else { format!("{}…", &path[..shown]) };
        without_secrets(&shown)
    }

    /// Refuses parameters, which would be ignored silently.
    pub fn require_no_parameters(&self) -> Result<(), Reply> {
        match self.query.as_deref() {
            None | Some("") => Ok(()),
            Some(query) => {
                Err(Reply::invalid(format!("this path takes no parameters, not `?{}`", Printable::new(query, SHOWN))))
            }
        }
    }
}

/// A text without what looks like a secret that `--new-hook` made: as many hexadecimal digits as half of one.
pub fn without_secrets(text: &str) -> String {
    let (mut shown, mut digits) = (String::new(), String::new());
    for character in text.chars().chain(['/']) {
        if character.is_ascii_hexdigit() {
            digits.push(character);
            continue;
        }
        shown.push_str(if digits.len() < SECRET_DIGITS { &digits } else { "…" });
        digits.clear();
        shown.push(character);
    }
    shown.pop();
    shown
}

/// A target in absolute form, `scheme://authority` and the rest. The path and the authority are both taken from here,
/// so that they cannot be parsed in two ways.
#[derive(Debug, PartialEq, Eq)]
struct Absolute<'a> {
    scheme: &'a str,
    authority: &'a str,
    /// Path, query and fragment, each of which may be empty.
    rest: &'a str,
}

impl<'a> Absolute<'a> {
    /// `None` in any other form.
    fn parse(target: &'a str) -> Option<Self> {
        let (scheme, rest) = target.split_once("://").filter(|(scheme, _)| is_scheme(scheme))?;
        let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        Some(Self { scheme, authority, rest })
    }
}

fn is_hook(segment: &str) -> bool {
    segment.get(..HOOK.len()).is_some_and(|start| start.eq_ignore_ascii_case(HOOK))
}

/// Whether a text is a scheme (RFC 3986, 3.1).
fn is_scheme(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::super::head::testing::TestHead;
    use super::*;

    #[test]
    fn targets_are_split_into_path_and_query() {
        for (target, path, query) in [
            ("/publish", "/publish", None),
            ("/publish?", "/publish", Some("")),
            ("/a?b?c", "/a", Some("b?c")),
            ("http://host:1/publish?x", "/publish", Some("x")),
            ("HTTP://host", "/", None),
            ("http://host?x=/publish", "/", Some("x=/publish")),
            ("http://host?", "/", Some("")),
            ("http://host#/publish", "/#/publish", None),
            ("http://host/a?b=http://c/publish", "/a", Some("b=http://c/publish")),
            ("/a?b=http://c/publish", "/a", Some("b=http://c/publish")),
            ("x?http://host/publish", "x", Some("http://host/publish")),
            ("https://host/publish", "https://host/publish", None),
            ("ftp://host/publish", "ftp://host/publish", None),
            ("*", "*", None),
        ] {
            let expected = Target { path: path.to_owned(), query: query.map(str::to_owned) };
            assert_eq!(Target::of(TestHead::get(target).head()), expected, "{target}");
        }
    }

    #[test]
    fn the_secret_of_a_hook_is_not_shown() {
        for (target, shown) in [
            ("/hooks/door/secret", "/hooks/door/…"),
            ("/hooks/door/secret/x?y", "/hooks/door/…"),
            ("//Hooks/door/secret", "//Hooks/door/…"),
            ("/hook/door/secret", "/hook/door/…"),
            ("/api/hooks/door/secret", "/api/hooks/door/…"),
            ("/%68ooks%2Fdoor%2Fsecret", "/hooks/door/…"),
            ("/%68ooks/door/secret%", "…"),
            ("http://host/hooks/door/secret", "/hooks/door/…"),
            ("https://host/hooks/door/secret", "https://host/hooks/door/…"),
            ("/hooks/door/", "/hooks/door/"),
            ("/hooks/door", "/hooks/door"),
            ("/topics/hooks/a/b", "/topics/hooks/a/b"),
            ("/publish", "/publish"),
        ] {
            assert_eq!(Target::of(TestHead::get(target).head()).shown_path(), shown, "{target}");
        }
        // what looks like a secret is not shown, wherever it is
        let secret = "0123456789abcdef".repeat(4);
        for (start, shown) in [
            ("/hooks/", "/hooks/…"),
            ("/webhooks/door/", "/webhooks/door/…"),
            ("/hook-door/", "/hook-door/…"),
            ("/hooks%252Fdoor%252F", "/hooks%252Fdoor%…"),
            ("/", "/…"),
        ] {
            assert_eq!(Target::of(TestHead::get(&format!("{start}{secret}")).head()).shown_path(), shown);
        }
        assert_eq!(without_secrets(&format!("/hooks/door/{secret} GET")), "/hooks/door/… GET");
        assert_eq!(without_secrets("/0123456789abcdef/x"), "/0123456789abcdef/x");
    }
}
