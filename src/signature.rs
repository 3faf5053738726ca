//! HMAC with SHA-256 (RFC 2104), which signs the requests of webhooks and the calls of hooks.

use ring::hmac;

/// The signature of the parts, one after another.
#[must_use]
pub fn sign(key: &[u8], signed: &[&[u8]]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in signed {
        context.update(part);
    }
    context.sign()
}
