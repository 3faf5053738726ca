//! The reverse proxies of docs/security.md, as printed there but for addresses and certificates.

use std::process::Command;

use crate::support::daemon::Daemon;
use crate::support::folder::Folder;
use crate::support::free_port;
use crate::support::http::{Connection, Reply};
use crate::support::mosquitto::Mosquitto;
use crate::support::nginx;
use crate::support::page::blocks;
use crate::support::process::Process;
use crate::support::token::Token;
use crate::support::waiting::eventually;

const PAGE: &str = include_str!("../../docs/security.md");
const HEADING: &str = "Behind a reverse proxy";
/// A body for which tiny_http would keep a thread for good, in bytes.
const TOO_LARGE: usize = 64 * 1024 * 1024 + 1;

/// The block of the section that contains this text.
fn example(text: &str) -> String {
    let mut found = blocks(PAGE).into_iter().filter(|block| block.heading == HEADING && block.text.contains(text));
    found.next().unwrap_or_else(|| panic!("there is no block with {text:?}")).text
}

/// A daemon with the configuration of the page and, perhaps, a token.
fn daemon(broker: &Mosquitto, token: Option<&Token>) -> Daemon {
    let table = token.map_or("", |token| token.table.as_str());
    Daemon::connected_with(&format!("[mqtt]\nport = {}\n{table}{}", broker.port(), example("allowed-hosts")))
}

/// Publishes through the proxy, by the name that the page gives the bridge.
fn publish(proxy: &str, token: Option<&Token>, body: &[u8]) -> Reply {
    let authorization = token.map_or_else(String::new, |token| format!("Authorization: {}\r\n", token.bearer()));
    let length = body.len();
    let head = format!(
        "POST /publish HTTP/1.1\r\nHost: bridge.example.com\r\n{authorization}Content-Length: {length}\r\n\r\n"
    );
    let mut connection = Connection::open(proxy);
    connection.send(&[head.as_bytes(), body].concat());
    connection.reply()
}

/// Announces a body of this length, and sends nothing of it.
fn announce(proxy: &str, token: &Token, length: usize) -> Reply {
    let authorization = token.bearer();
    let head = format!(
        "POST /publish HTTP/1.1\r\nHost: bridge.example.com\r\nAuthorization: {authorization}\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    let mut connection = Connection::open(proxy);
    connection.send(head.as_bytes());
    connection.reply()
}

/// Publishes with a token, and is refused without one, and for a body over the limit of the proxy.
fn assert_works(start: impl Fn(&Folder, &Daemon) -> (Process, String)) {
    let (broker, token) = (Mosquitto::start(), Token::new("a", "[\"a/#\"]"));
    let body = br#"{"topic":"a/b","msg":"through the proxy"}"#;
    {
        let (folder, daemon) = (Folder::new(), daemon(&broker, Some(&token)));
        let (_proxy, address) = start(&folder, &daemon);
        assert_eq!(publish(&address, Some(&token), body).status, 200);
        assert_eq!(publish(&address, None, body).status, 401);
        let refused = announce(&address, &token, TOO_LARGE);
        assert_eq!((refused.status, refused.body.first() == Some(&b'{')), (413, false), "by the proxy: {refused:?}");
        let direct = daemon.connect().request("POST", "/publish", &[("Authorization", &token.bearer())], body);
        assert_eq!(direct.status, 200, "loopback needs no proxy");
    }
    let (folder, daemon) = (Folder::new(), daemon(&broker, None));
    let (_proxy, address) = start(&folder, &daemon);
    assert_eq!(publish(&address, None, body).status, 403, "without tokens nothing passes a proxy");
}

#[test]
fn nginx_of_the_page_passes_requests_with_a_token() {
    assert_works(|folder, daemon| {
        let address = format!("127.0.0.1:{}", free_port());
        let example = example("proxy_pass");
        let lines: Vec<&str> = example.lines().filter(|line| !line.contains("ssl_")).collect();
        let servers = lines.join("\n");
        let servers =
            servers.replace("listen 443 ssl", &format!("listen {address}")).replace("127.0.0.1:8000", daemon.address());
        assert!(servers.contains(daemon.address()) && servers.contains(&address), "{servers}");
        (nginx::start(folder, &servers, &address), address)
    });
}

#[test]
fn caddy_of_the_page_passes_requests_with_a_token() {
    assert_works(|folder, daemon| {
        let address = format!("127.0.0.1:{}", free_port());
        let site = example("reverse_proxy")
            .replace(
                "bridge.example.com",
                &format!("http://bridge.example.com:{}", address.rsplit(':').next().unwrap()),
            )
            .replace("127.0.0.1:8000", daemon.address());
        assert!(site.contains(daemon.address()), "{site}");
        let config = folder.write("Caddyfile", &format!("{{\nadmin off\nauto_https off\n}}\n{site}"));
        let mut command = Command::new("caddy");
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(config).env("HOME", folder.path());
        let process = Process::start(&mut command);
        eventually("Caddy listens", || Connection::try_open(&address).is_some(), |listens| *listens);
        (process, address)
    });
}
