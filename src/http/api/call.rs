//! What an endpoint gets, one admitted request, and what it returns.

use super::context::Context;
use crate::http::access::Principal;
use crate::http::input::query::Parameters;
use crate::http::input::requirements::{require_json, require_method};
use crate::http::reply::Reply;
use crate::http::server::{Exchange, Head, Responder, SMALL_BODY, Target};

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What an endpoint returns, unless it refuses the request.
pub enum Handled {
    /// The reply is known already.
    Reply(Reply),
    /// The reply takes time. This starts the work, which replies by the responder. It must not block.
    Later(Box<dyn FnOnce(Responder) + Send>),
}

impl Handled {
    /// Work that replies later.
    pub fn later(start: impl FnOnce(Responder) + Send + 'static) -> Self {
        Self::Later(Box::new(start))
    }
}

/// One admitted request.
pub struct Call<'a> {
    pub context: &'a Context,
    /// What the sender may do.
    pub principal: Principal<'a>,
    pub target: &'a Target,
    pub exchange: &'a mut Exchange,
}

impl Call<'_> {
    pub fn head(&self) -> Result<Head<'_>, Reply> {
        self.exchange.head().ok_or_else(Reply::busy)
    }

    /// Requires one of these methods, and no parameters.
    pub fn require(&self, methods: &'static str) -> Result<(), Reply> {
        require_method(self.head()?, methods)?;
        self.target.require_no_parameters()
    }

    /// Requires one of these methods, and reads the parameters.
    pub fn parameters(&self, methods: &'static str) -> Result<Parameters, Reply> {
        require_method(self.head()?, methods)?;
        Ok(Parameters::parse(self.target.query.as_deref().unwrap_or_default())?)
    }

    /// Requires that the request has no body, because the reply does not wait for one. `what` is its name in the error.
    pub fn require_no_body(&self, what: &str) -> Result<(), Reply> {
        if self.exchange.may_wait() || self.head()?.body_length().is_some_and(|length| length > 0) {
            return Err(Reply::invalid(format!("{what} must have no body")));
        }
        Ok(())
    }

    /// The whole body, of any type.
    pub fn body(&mut self) -> Result<Vec<u8>, Reply> {
        self.exchange.body(self.context.max_body)
    }

    /// The whole body, which must be JSON. A byte order mark before it is ignored (RFC 8259, 8.1).
    pub fn json(&mut self) -> Result<Vec<u8>, Reply> {
        require_json(self.head()?)?;
        let mut body = self.body()?;
        if body.starts_with(BYTE_ORDER_MARK) {
            body.drain(..BYTE_ORDER_MARK.len());
        }
        // the message made of it takes as much memory again
        if body.len() as u64 > SMALL_BODY {
            self.exchange.make_room(2 * body.len())?;
        }
        Ok(body)
    }
}
