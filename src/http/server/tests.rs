//! The server as its handler and its clients see it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::config::{Config, Environment, Source};
use crate::http::reply::Reply;

const CONFIG: &str = r#"
[http]
listen = "127.0.0.1:0"
workers = 1
max-connections = 10
max-listeners = 0
max-body = 1000
idle-timeout = 600
request-timeout = 600
"#;
/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a client gets for this request, up to the end of the connection.
fn answer(server: &Server, request: &str) -> String {
    let address = server.listener().address.as_socket().unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("the connection ends");
    answer
}

#[test]
fn a_panic_of_the_handler_ends_its_connection_and_no_other() {
    let http = Config::parse(CONFIG, &Source::BuiltIn, &Environment::from([])).unwrap().http;
    let listener = listen(&http, false).unwrap().remove(0);
    let (watch, _events) = crate::thread::watch();
    let handler: Handler = Arc::new(|mut responder: Responder| {
        let is_fatal = responder.exchange().head().is_some_and(|head| head.target() == "/panic");
        assert!(!is_fatal, "on purpose");
        responder.reply_now(Reply::success());
    });
    let server = Server::start(listener, &http, Memory::new(1_000_000), &watch, handler).unwrap();
    for body in ["", "x"] {
        let length = body.len();
        assert_eq!(answer(&server, &format!("POST /panic HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}")), "");
    }
    let answer = answer(&server, "GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
