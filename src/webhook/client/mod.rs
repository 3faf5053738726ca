//! The HTTP client of webhooks: ureq 3.5 behind a small interface. Nothing outside this folder names ureq.
//!
//! A webhook has one [`Client`], and each call of [`Client::post`] is one attempt.
//!
//! # What ureq does that we do not want, and where it is cured
//!
//! Time:
//! - It looks a name up in a thread without a name, which stays behind if the name servers do not answer, and before
//!   each request, on a kept connection too. So its resolver looks nothing up, and the connector does so in the calling
//!   thread, for a new connection only: `connector.rs`, which also says what bounds the time of a look-up
//! - Its timeout for writing holds for each system call, and begins again when a slow reader has taken a few bytes. So
//!   sockets have a deadline: `timed.rs`
//! - Its timeout for the whole call includes the body of the answer, which we need only to use the connection again:
//!   `finish` in this file reads no more of it than is quickly there
//! - It shares the time for connecting unevenly among the addresses of a name: `connector.rs`
//!
//! Connections:
//! - On a kept connection that the server closed at the same moment the request fails, though the server is well. Such
//!   an error has a name of its own, and the request is sent once more on a new connection: [`Stale`](link::Stale)
//! - A server that refuses a body before it has read all of it (413) may close the connection, and ureq reports that
//!   the body could not be written instead of the status: `link.rs` reads the answer first
//! - It looks for bytes that nobody asked for in the socket only, and not in what TLS has decrypted: `tls.rs`
//! - It closes idle connections only when it makes or takes one: there are at most as many as requests at a time, until
//!   the next request
//! - Its limit for heads counts the bytes that follow an informational response too, a body among them: `link.rs` says
//!   when a head does not fit into the buffer
//!
//! Settings that it has by default, and that [`Client::new`] switches off: redirects, errors for statuses, proxies from
//! environment variables, buffers of 256 KiB for each connection.
//!
//! Words:
//! - Its errors name what ureq did, and not what the endpoint did: `words.rs`

mod connector;
mod link;
mod timed;
#[cfg(feature = "tls")]
mod tls;
mod words;

#[cfg(test)]
mod tests;

use std::io::Read;
use std::time::{Duration, Instant};

use ureq::http::{HeaderName, HeaderValue, Request, Response, Uri, header};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;
use ureq::{Agent, Body, Error};

use self::connector::Connector;
use crate::config::Webhook;

/// How long an idle connection is kept: less than the 5 s after which many servers close it.
const IDLE: Duration = Duration::from_secs(4);

/// What a connection reads into, in bytes, and so the longest head of an answer.
const INPUT: usize = 64 * 1024;
/// What a connection writes from, in bytes.
const OUTPUT: usize = 16 * 1024;

/// How much of an answer's body is read, in bytes, so that its connection can be used again.
const MAX_BODY: u64 = 64 * 1024;
/// How long that may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest value of `Retry-After` that is looked at, in bytes: dates have 29.
const MAX_RETRY_AFTER: usize = 64;

/// What only this client may say about a request.
const OURS: [HeaderName; 5] =
    [header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION, header::EXPECT];

/// One for each webhook, shared by its threads.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    /// `None` if ureq cannot parse it: then each attempt fails.
    uri: Option<Uri>,
    timeout: Duration,
}

/// What the endpoint answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The final status.
    pub status: u16,
    /// The value of `Retry-After`, if there is one and it is one printable line.
    pub retry_after: Option<String>,
}

impl Client {
    pub fn new(webhook: &Webhook) -> Self {
        let connections = usize::from(webhook.in_flight);
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .user_agent(concat!("mqtt-bridge/", env!("CARGO_PKG_VERSION")))
            .accept("*/*")
            .accept_encoding("")
            .timeout_recv_body(Some(BODY_TIMEOUT))
            .max_response_header_size(usize::MAX)
            .input_buffer_size(INPUT)
            .output_buffer_size(OUTPUT)
            .max_idle_connections(connections)
            .max_idle_connections_per_host(connections)
            .max_idle_age(IDLE)
            .build();
        let agent = Agent::with_parts(config, Connector::new(webhook.tls.clone()), NoLookup);
        Self { agent, uri: webhook.url.text.parse().ok(), timeout: webhook.timeout }
    }

    /// One attempt. The headers are complete except for Host, Content-Length, User-Agent, Accept and what belongs to
    /// the connection.
    ///
    /// # Errors
    /// Printable words why there was no answer, without the URL.
    pub fn post(&self, headers: &[(String, String)], body: &[u8]) -> Result<Answer, String> {
        let begin = Instant::now();
        let request = self.request(headers, body)?;
        let left = |()| self.timeout.saturating_sub(begin.elapsed());
        let answer = match self.send(request.clone(), left(()), IDLE) {
            // all others that are idle may be closed too
            Err(error) if link::is_stale(&error) => self.send(request, left(()), Duration::ZERO),
            other => other,
        };
        answer.map(finish).map_err(|error| words::words(&error, self.timeout))
    }

    fn request<'a>(&self, headers: &[(String, String)], body: &'a [u8]) -> Result<Request<&'a [u8]>, String> {
        let uri = self.uri.clone().ok_or("the URL cannot be used for HTTP")?;
        let mut request = Request::new(body);
        *request.method_mut() = ureq::http::Method::POST;
        *request.uri_mut() = uri;
        for (name, value) in headers {
            match (HeaderName::try_from(name), HeaderValue::from_bytes(value.as_bytes())) {
                (Ok(name), Ok(value)) if !OURS.contains(&name) => request.headers_mut().append(name, value),
                _ => return Err(format!("the header {name} cannot be sent")),
            };
        }
        Ok(request)
    }

    fn send(&self, request: Request<&[u8]>, timeout: Duration, idle: Duration) -> Result<Response<Body>, Error> {
        let configured = self.agent.configure_request(request).timeout_global(Some(timeout)).max_idle_age(idle);
        self.agent.run(configured.build())
    }
}

/// Takes what matters from a head, and reads the body, so that the connection can be used again. A connection whose
/// answer has not been read to its end is closed.
fn finish(mut response: Response<Body>) -> Answer {
    let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = retry_after.filter(|value| !value.is_empty() && value.len() <= MAX_RETRY_AFTER);
    let answer = Answer { status: response.status().as_u16(), retry_after: retry_after.map(str::to_owned) };
    let body = response.body_mut();
    if body.content_length().is_none_or(|length| length <= MAX_BODY) {
        // more than that is left unread, and so are bodies that break off
        let _ = std::io::copy(&mut body.as_reader().take(MAX_BODY + 1), &mut std::io::sink());
    }
    answer
}

/// In place of ureq's look-up of names.
#[derive(Debug)]
struct NoLookup;

impl Resolver for NoLookup {
    fn resolve(&self, _: &Uri, _: &ureq::config::Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        Ok(self.empty())
    }
}
