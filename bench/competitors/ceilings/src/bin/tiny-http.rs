//! `tiny_http` alone: one worker, as the daemon has for short requests, reads a request and replies 200.

use tiny_http::{Header, Response, Server};

fn main() {
    let port = std::env::var("PORT").expect("PORT is set");
    let server = Server::http(format!("127.0.0.1:{port}")).expect("the port is free");
    for mut request in server.incoming_requests() {
        let mut body = Vec::new();
        let _ = request.as_reader().read_to_end(&mut body);
        let json = Header::from_bytes("Content-Type", "application/json").expect("a header");
        let _ = request.respond(Response::from_string(r#"{"code":0}"#).with_header(json));
    }
}
