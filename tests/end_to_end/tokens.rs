//! With tokens configured, each request needs one, and each message must be within the rights of its token.

use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::thread;

use crate::support::daemon::{Daemon, program};
use crate::support::folder::Folder;
use crate::support::http::Reply;
use crate::support::mosquitto::Mosquitto;
use crate::support::process::Process;
use crate::support::token::Token;

const UNKNOWN: &str = "Bearer 0000000000000000000000000000000000000000000000000000000000000000";

/// A daemon for this broker with these tokens.
fn daemon(broker: &Mosquitto, tokens: &[&Token], http: &str) -> Daemon {
    let tables = tokens.iter().map(|token| token.table.as_str()).collect::<Vec<_>>().concat();
    Daemon::connected_with(&format!("[mqtt]\nport = {}\n{tables}[http]\n{http}", broker.port()))
}

/// `POST /publish` of a message at QoS 1 to this topic.
fn publish(daemon: &Daemon, authorization: &str, topic: &str) -> Reply {
    let body = format!(r#"{{"topic":"{topic}","msg":"x","qos":1}}"#);
    daemon.connect().request("POST", "/publish", &[("Authorization", authorization)], body.as_bytes())
}

#[test]
fn a_token_publishes_within_its_filters_only() {
    let broker = Mosquitto::start();
    let (kitchen, door) = (Token::new("kitchen", r#"["kitchen/#", "+/state"]"#), Token::new("door", "[]"));
    let daemon = daemon(&broker, &[&kitchen, &door], "");
    let mut subscriber = broker.subscribe("#", 4, "%t ");
    for topic in ["cellar", "kitchen2", "a/b/state", "state"] {
        publish(&daemon, &kitchen.bearer(), topic).assert_refused(
            403,
            12,
            &format!("not sent: token `kitchen` may not publish to `{topic}`"),
        );
    }
    publish(&daemon, &door.bearer(), "kitchen").assert_refused(
        403,
        12,
        "not sent: token `door` may not publish to `kitchen`",
    );
    for topic in ["kitchen", "kitchen/light", "cellar/state", "kitchen/end"] {
        assert_eq!(publish(&daemon, &kitchen.bearer(), topic).status, 200, "{topic}");
    }
    subscriber.wait_for_end();
    assert_eq!(subscriber.stdout(), b"kitchen kitchen/light cellar/state kitchen/end ", "nothing else was published");
}

#[test]
fn without_a_known_token_the_reply_is_a_challenge() {
    let broker = Mosquitto::start();
    let token = Token::new("all", r##"["#"]"##);
    let daemon = daemon(&broker, &[&token], "allow-anonymous = true\n");
    for path in ["/publish", "/nothing"] {
        let missing = daemon.connect().request("POST", path, &[], b"no JSON");
        missing.assert_refused(
            401,
            11,
            "this needs a token: `Authorization: Bearer SECRET`, or `Basic` with its name and its secret",
        );
        assert_eq!(missing.header("www-authenticate"), Some(r#"Bearer realm="mqtt-bridge""#));
        let wrong = daemon.connect().request("POST", path, &[("Authorization", UNKNOWN)], b"no JSON");
        wrong.assert_refused(401, 11, "this token is not known");
        assert_eq!(wrong.header("www-authenticate"), Some(r#"Bearer realm="mqtt-bridge", error="invalid_token""#));
    }
    let mut unread = daemon.connect();
    // no byte of the body is sent
    unread.send(b"POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000\r\n\r\n");
    assert_eq!(unread.reply().status, 401);
    assert_eq!(publish(&daemon, &token.bearer(), "t").status, 200);
    broker.wait_for("Received PUBLISH");
    assert_eq!(broker.log_with("Received PUBLISH").len(), 1, "nothing else was published");
}

#[test]
fn two_authorization_headers_are_refused() {
    let broker = Mosquitto::start();
    let token = Token::new("all", r##"["#"]"##);
    let daemon = daemon(&broker, &[&token], "");
    let both = [("Authorization", UNKNOWN), ("Authorization", &token.bearer())];
    daemon.connect().request("POST", "/publish", &both, b"{}").assert_refused(
        400,
        3,
        "`Authorization` must not be there twice",
    );
}

#[test]
fn the_rate_of_a_token_applies_across_connections_and_workers() {
    let broker = Mosquitto::start();
    let slow = Token::new("slow", r##"["#"]"##).with("rate = 0.01");
    let free = Token::new("free", r##"["#"]"##);
    let daemon = daemon(&broker, &[&slow, &free], "workers = 8\n");
    // a request refused for another reason does not count
    daemon.connect().request("POST", "/publish", &[("Authorization", &slow.bearer())], b"{}").assert_refused(
        400,
        3,
        "field `topic` is missing",
    );
    let replies: Vec<Reply> = thread::scope(|scope| {
        let one = || scope.spawn(|| publish(&daemon, &slow.bearer(), "t"));
        let requests: Vec<_> = std::iter::repeat_with(one).take(8).collect();
        requests.into_iter().map(|request| request.join().unwrap()).collect()
    });
    let (published, refused): (Vec<&Reply>, Vec<&Reply>) = replies.iter().partition(|reply| reply.status == 200);
    assert_eq!(published.len(), 1, "{replies:?}");
    for reply in refused {
        reply.assert_refused(429, 15, "not sent: token `slow` is over its rate");
        let seconds: u64 = reply.header("retry-after").unwrap().parse().unwrap();
        assert!((60..=100).contains(&seconds), "{seconds}");
    }
    for _ in 0..20 {
        assert_eq!(publish(&daemon, &free.bearer(), "t").status, 200, "another token has its own");
    }
}

#[test]
fn a_proxied_request_needs_tokens_or_allow_anonymous() {
    let broker = Mosquitto::start();
    let token = Token::new("all", r##"["#"]"##);
    let body = br#"{"topic":"t","msg":"x"}"#;
    let through_a_proxy = |daemon: &Daemon, authorization: &str| {
        let mut connection = daemon.connect();
        // as nginx and Caddy send it
        let head = "POST /publish HTTP/1.1\r\nHost: bridge.example.com\r\nX-Forwarded-For: 192.0.2.1\r\n";
        connection.send(format!("{head}{authorization}Content-Length: {}\r\n\r\n", body.len()).as_bytes());
        connection.send(body);
        connection.reply()
    };
    let host = "allowed-hosts = [\"bridge.example.com\"]\n";
    through_a_proxy(&daemon(&broker, &[], host), "").assert_refused(
        403,
        12,
        "`X-Forwarded-For` tells of a proxy, and there are no tokens: configure a [[token]], or `allow-anonymous`",
    );
    let open = daemon(&broker, &[], &format!("{host}allow-anonymous = true\n"));
    through_a_proxy(&open, "").assert_published();
    let with_tokens = daemon(&broker, &[&token], host);
    assert_eq!(through_a_proxy(&with_tokens, "").status, 401);
    through_a_proxy(&with_tokens, &format!("Authorization: {}\r\n", token.bearer())).assert_published();
}

#[test]
fn curl_publishes_with_a_token_as_in_the_readme_and_no_record_shows_the_secret() {
    let broker = Mosquitto::start();
    let token = Token::new("kitchen", r#"["kitchen/#"]"#);
    let daemon = daemon(&broker, &[&token], "");
    let url = format!("http://{}/publish", daemon.address());
    let header = format!("Authorization: {}", token.bearer());
    let body = r#"{"topic": "kitchen/light", "msg": "on"}"#;
    let mut curl = Process::start(Command::new("curl").args(["-sS", "-H", &header, "-d", body, &url]));
    assert!(curl.wait_for_end().success());
    assert_eq!(curl.stdout(), br#"{"code":0}"#);
    publish(&daemon, &format!("{}0", token.bearer()), "t").assert_refused(401, 11, "this token is not known");
    assert!(daemon.lines_with(&token.secret).is_empty(), "{:?}", daemon.lines());
}

#[test]
fn a_missing_token_is_logged_once_for_each_address() {
    let (broker, folder) = (Mosquitto::start(), Folder::new());
    let token = Token::new("all", r##"["#"]"##);
    let daemon = daemon(&broker, &[&token], "");
    let ask = |authorization: &str| {
        let headers = [("Authorization", authorization), ("X-Forwarded-For", "198.51.100.7")];
        daemon.connect().request("GET", "/status", &headers, b"").status
    };
    for authorization in [UNKNOWN, &token.secret, UNKNOWN, ""] {
        assert_eq!(ask(authorization), 401);
    }
    assert_eq!(ask(&token.bearer()), 200);
    daemon.wait_for("warning: unauthorized: 127.0.0.1 sent a token that is not known");
    let lines = daemon.lines();
    let told = lines.iter().filter(|line| line.contains("unauthorized")).count();
    assert_eq!(told, 1, "{lines:?}");
    let secrets = [token.secret.as_str(), UNKNOWN.split_once(' ').unwrap().1];
    assert!(!lines.iter().any(|line| secrets.iter().any(|secret| line.contains(secret))), "{lines:?}");
    for (listen, client) in [("[::1]:0".to_owned(), "::1"), (folder.path().join("s").display().to_string(), "")] {
        let is_unix = client.is_empty();
        let listen = if is_unix { format!("unix:{listen}") } else { listen };
        let http = format!("[http]\nlisten = \"{listen}\"");
        let config = folder.write("other.toml", &format!("[mqtt]\nport = {}\n{}{http}", broker.port(), token.table));
        let other = Process::start(program().arg("--config").arg(config));
        let line = other.wait_for("listening on ");
        let request = b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n";
        if is_unix {
            UnixStream::connect(folder.path().join("s")).unwrap().write_all(request).unwrap();
        } else {
            TcpStream::connect(line.split("http://").nth(1).unwrap()).unwrap().write_all(request).unwrap();
        }
        let who = if is_unix { "a Unix socket" } else { client };
        other.wait_for(&format!("warning: unauthorized: {who} sent no token"));
    }
}

/// What fail2ban makes of a filter: `<ADDR>` matches an address, and timestamps are already removed.
const FILTER: &str = r"
import re, sys
regex = re.compile(sys.argv[1].replace('<ADDR>', r'(?P<ip>(?:\d+\.){3}\d+|[0-9a-f:]*:[0-9a-f:.]*)'))
for line in sys.argv[2:]:
    found = regex.search(line)
    print(found['ip'] if found else '-')
";

#[test]
fn fail2ban_finds_the_address_with_the_filter_of_the_page() {
    let page = include_str!("../../docs/security.md");
    let regex = page.lines().find_map(|line| line.strip_prefix("failregex = ")).unwrap();
    let known = "unauthorized: 192.0.2.1 sent no token";
    let lines = [
        // with and without the prefix that fail2ban makes of a journal record
        ("warning: unauthorized: 192.0.2.1 sent a token that is not known", "192.0.2.1"),
        (" warning: unauthorized: 2001:db8::1 sent no token", "2001:db8::1"),
        ("host mqtt-bridge[123]: unauthorized: 192.0.2.1 sent no token", "192.0.2.1"),
        ("warning: unauthorized: 192.0.2.1 sent an unknown hook or a wrong secret", "192.0.2.1"),
        ("warning: unauthorized: 192.0.2.1 sent a wrong signature", "192.0.2.1"),
        ("warning: unauthorized: 192.0.2.1 sent no token (request 5f2c6a90b1e3d874-1f)", "192.0.2.1"),
        // nobody can get others banned
        (&format!("Received message on topic: {known}"), "-"),
        (&format!("host mqtt-bridge[123]: Received message on topic: a with payload: {known}"), "-"),
        (&format!("host mqtt-bridge[123]: token a may not read x mqtt-bridge[1]: {known}"), "-"),
        ("warning: unauthorized: a Unix socket sent no token", "-"),
        (&format!("{known} x"), "-"),
    ];
    let output =
        Command::new("python3").args(["-c", FILTER, regex]).args(lines.map(|(line, _)| line)).output().unwrap();
    let found = String::from_utf8(output.stdout).unwrap();
    let expected = lines.map(|(_, address)| address);
    assert_eq!(found.lines().collect::<Vec<_>>(), expected, "{}", String::from_utf8_lossy(&output.stderr));
}
