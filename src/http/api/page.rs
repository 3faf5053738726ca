//! `GET /`: a web page to try the bridge, without external resources.

use std::sync::{Arc, LazyLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::call::Handled;
use super::context::Context;
use crate::http::input::requirements::{READ, require_method};
use crate::http::reply::Reply;
use crate::http::server::Head;

const PAGE: &str = include_str!("page.html");

/// The content security policy (CSP 3): the page may only use its own script and style, and call this server. Injected
/// code may do nothing.
static POLICY: LazyLock<Arc<str>> = LazyLock::new(|| {
    let [style, script] = ["style", "script"].map(|name| hash(element(name)));
    format!(
        "default-src 'none'; script-src '{script}'; style-src '{style}'; img-src data:; connect-src 'self'; \
         form-action 'none'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'"
    )
    .into()
});

pub fn page(_: &Context, head: Head) -> Result<Handled, Reply> {
    require_method(head, READ)?;
    Ok(Handled::Reply(Reply::page(PAGE, POLICY.clone())))
}

/// The text of the only element of this name.
fn element(name: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(&format!("<{name}>")).unwrap_or_default();
    rest.split_once(&format!("</{name}>")).unwrap_or_default().0
}

/// The source expression for a text (CSP 3, 2.3.1).
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_small_and_has_no_external_resources() {
        assert!(PAGE.len() < 30_000, "{} bytes", PAGE.len());
        for name in ["style", "script"] {
            assert_eq!(PAGE.matches(&format!("<{name}")).count(), 1, "{name}");
            assert!(!element(name).is_empty(), "{name}");
        }
        for outside in ["http:", "https:", "//www", "src=", "@import", "url(", "style=", "onclick", "innerHTML"] {
            assert!(!PAGE.contains(outside), "{outside}");
        }
        assert_eq!(PAGE.matches("href=").count(), PAGE.matches("href=\"data:,\"").count());
    }

    #[test]
    fn the_page_contains_the_function_of_the_documentation() {
        let page = include_str!("../../../docs/security.md");
        let (_, rest) = page.split_once("```js\n").unwrap();
        let (function, _) = rest.split_once("```\n").unwrap();
        assert!(function.starts_with("async function listen(") && function.lines().count() <= 25, "{function}");
        assert!(element("script").contains(function));
    }

    #[test]
    fn the_policy_names_the_script_and_the_style_by_their_hashes() {
        // of the empty text, by `openssl dgst -sha256 -binary | base64`
        assert_eq!(hash(""), "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        for name in ["style", "script"] {
            assert!(POLICY.contains(&format!("{name}-src '{}'", hash(element(name)))), "{name}");
        }
    }
}
