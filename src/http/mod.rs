//! The HTTP interface, in the order of a request's way: `listener` takes it, `request` says what it must be,
//! an endpoint reads it, and `reply` writes the answer.

mod listener;
mod request;

mod fields;
mod publish;

mod reply;

pub use listener::{BindError, Listener, THREAD};

use self::reply::Reply;
use crate::mqtt::Publisher;

/// What the endpoints answer with.
#[derive(Clone)]
struct Endpoints {
    publisher: Publisher,
    /// Bytes.
    max_body: usize,
}

impl Endpoints {
    /// Finds the endpoint of a request and lets it answer.
    fn answer(&self, request: &mut tiny_http::Request) -> Reply {
        let url = request.url().to_owned();
        let (path, query) = url.split_once('?').map_or((url.as_str(), None), |(path, query)| (path, Some(query)));
        let answer = match path {
            "/publish" => publish::answer(self, request, query),
            _ => Err(Reply::not_found(path)),
        };
        answer.unwrap_or_else(|refusal| refusal)
    }
}
