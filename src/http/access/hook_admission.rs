//! Which calls of a hook are admitted.

use super::Access;
use super::hooks::{Hook, is_browser, is_prefetch};
use super::hosts::Hosts;
use super::tokens::Token;
use crate::http::reply::Reply;
use crate::http::server::Head;

impl Access {
    /// Admits the call of a hook: `secret` is what follows its name in the path. Does not check a signature.
    pub fn admit_hook(&self, head: Head, name: &str, secret: Option<&str>) -> Result<&(Hook, Token), Reply> {
        let hosts = Hosts::of(head)?;
        self.allowed_hosts.check(hosts)?;
        self.allowed_origins.check_preflight(head)?;
        let hook = self.tokens.hook(name, secret);
        let for_browsers = hook.is_some_and(|(hook, _)| hook.table.allow_browsers);
        if !for_browsers {
            // before the record: a page must not cause a record with the address of its visitor
            self.allowed_origins.check(head, hosts)?;
        }
        let hook = hook.ok_or_else(|| {
            self.refused_callers.log(head.client(), "an unknown hook or a wrong secret");
            Reply::hook_unknown()
        })?;
        if !for_browsers && head.method() != "POST" && is_browser(head) {
            return Err(Reply::browser_denied(name));
        }
        if is_prefetch(head) { Err(Reply::prefetch_refused()) } else { Ok(hook) }
    }

    /// Checks the signature of a call, if the hook needs one. Returns the identifier of the call, if it is signed too.
    /// A sender with a right signature has no record, whatever its clock shows.
    pub fn verify_call(&self, hook: &Hook, head: Head, body: &[u8]) -> Result<Option<String>, Reply> {
        hook.verify(head, body).map_err(|denied| {
            if !denied.is_signed {
                self.refused_callers.log(head.client(), "a wrong signature");
            }
            Reply::signature_denied(&hook.table.name, &denied.words)
        })
    }
}
