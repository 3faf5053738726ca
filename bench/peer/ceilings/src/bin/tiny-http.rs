//! tiny_http alone, in the shape of the daemon: two workers that read a request and its body, and answer 200.

use std::sync::Arc;
use std::thread;

use tiny_http::{Header, Response, Server};

fn main() {
    let port = std::env::var("PORT").expect("PORT is set");
    let server = Arc::new(Server::http(format!("127.0.0.1:{port}")).expect("the port is free"));
    let workers: Vec<_> = (0..2)
        .map(|_| {
            let server = server.clone();
            thread::spawn(move || {
                for mut request in server.incoming_requests() {
                    let mut body = Vec::new();
                    let _ = request.as_reader().read_to_end(&mut body);
                    let json = Header::from_bytes("Content-Type", "application/json").expect("a header");
                    let _ = request.respond(Response::from_string(r#"{"code":0}"#).with_header(json));
                }
            })
        })
        .collect();
    for worker in workers {
        let _ = worker.join();
    }
}
