//! A retained message is cleared only by a request that explicitly says so, not by a body that was lost on the way.

use crate::support::daemon::Daemon;
use crate::support::http::{Connection, Reply};
use crate::support::http_setup::assert_last;
use crate::support::mosquitto::Mosquitto;
use crate::support::token::Token;

const UNSAID: &str = "not sent: an empty body clears what is retained only with `Content-Length: 0`, \
                      and so does `DELETE /topics/{topic}`";
const OLD: &str = "not sent: in HTTP/1.0 a body must come with `Content-Length`";

struct Setup {
    broker: Mosquitto,
    daemon: Daemon,
}

impl Setup {
    /// A broker that retains `22.5` on `kept`.
    fn start() -> Self {
        let broker = Mosquitto::start();
        let daemon = Daemon::connected(broker.port());
        let setup = Self { broker, daemon };
        setup.request("PUT", "/topics/kept?retain=true&qos=1", b"22.5");
        setup
    }

    fn request(&self, method: &str, path: &str, body: &[u8]) -> Reply {
        self.daemon.connect().request(method, path, &[], body)
    }

    fn send(&self, bytes: &str) -> Connection {
        let mut connection = self.daemon.connect();
        connection.send(bytes.as_bytes());
        connection
    }

    /// The first message for a new subscriber: the retained one, or the one published here to show that there is none.
    fn kept(&self) -> String {
        let mut subscriber = self.broker.subscribe("kept", 1, "%p");
        self.request("POST", "/topics/kept?qos=1", b"nothing");
        subscriber.wait_for_end();
        String::from_utf8(subscriber.stdout()).unwrap()
    }
}

#[test]
fn an_http_1_0_body_without_a_length_is_refused_and_clears_nothing() {
    let setup = Setup::start();
    let json = r#"{"topic":"kept","msg":null,"retain":true}"#;
    for (method, path, body) in [
        ("POST", "/topics/kept?retain=true", "22.5"),
        ("POST", "/topics/kept?retain=true", ""),
        ("POST", "/topics/kept", "22.5"),
        ("PUT", "/topics/kept?retain=true", "22.5"),
        ("POST", "/publish", json),
        ("POST", "/publish/bulk", "[]"),
        ("POST", "/subscribe", "{}"),
        ("POST", "/unsubscribe", "{}"),
        ("POST", "/request", "{}"),
        ("POST", "/nothing", "{}"),
    ] {
        for keep in ["", "Connection: keep-alive\r\n"] {
            let mut connection = setup.send(&format!("{method} {path} HTTP/1.0\r\n{keep}\r\n{body}"));
            let reply = connection.reply();
            reply.assert_refused(411, 3, OLD);
            assert_last(&reply);
            connection.assert_ended();
        }
    }
    for path in ["/api/v5/publish", "/api/v5/publish/bulk"] {
        let reply = setup.send(&format!("POST {path} HTTP/1.0\r\n\r\n{json}")).reply();
        assert_eq!((reply.status, &reply.json()["message"]), (411, &OLD.into()), "{reply:?}");
    }
    // a client that sends the body later can still read the error
    let mut late = setup.send("POST /topics/kept?retain=true HTTP/1.0\r\n\r\n");
    assert!(late.try_send(b"22.5"));
    late.reply().assert_refused(411, 3, OLD);
    assert_eq!(setup.kept(), "22.5");
    for length in ["Content-Length: 0\r\n", "Content-Length: 1\r\n"] {
        let reply = setup.send(&format!("POST /topics/old?retain=true HTTP/1.0\r\n{length}\r\nx")).reply();
        reply.assert_published();
    }
    for line in ["GET /healthz", "HEAD /healthz", "DELETE /topics/old"] {
        assert_eq!(setup.send(&format!("{line} HTTP/1.0\r\n\r\n")).reply_to_head().status, 200, "{line}");
    }
}

#[test]
fn an_empty_body_clears_only_with_content_length_0() {
    let setup = Setup::start();
    let chunked = "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    for (method, rest) in [("POST", "\r\n"), ("PUT", "\r\n"), ("POST", chunked), ("PUT", chunked)] {
        let target = "/topics/kept?qos=1&retain=true";
        let reply = setup.send(&format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{rest}")).reply();
        reply.assert_refused(411, 3, UNSAID);
    }
    assert_eq!(setup.kept(), "22.5");
    // these are not retained, so that nothing can be cleared
    for rest in ["\r\n", chunked] {
        let bell = format!("POST /topics/bell HTTP/1.1\r\nHost: localhost\r\n{rest}");
        setup.send(&bell).reply().assert_published();
    }
    for said in [
        "POST /topics/kept?retain=true&qos=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
        "POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 49\r\n\r\n{\"topic\":\"kept\",\"msg\":\"\",\"retain\":true,\"qos\":1  }",
        "POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 49\r\n\r\n{\"topic\":\"kept\",\"msg\":null,\"retain\":true,\"qos\":1}",
        "DELETE /topics/kept?qos=1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        setup.request("PUT", "/topics/kept?retain=true&qos=1", b"22.5");
        assert_eq!(setup.send(said).reply().status, 200, "{said}");
        assert_eq!(setup.kept(), "nothing", "{said}");
    }
}

#[test]
fn delete_clears_a_topic_and_replies_like_a_publish() {
    let setup = Setup::start();
    let mut connection = setup.daemon.connect();
    let mut watcher = setup.broker.subscribe("kept", 2, "%r %q <%p>");
    let cleared = connection.request("DELETE", "/topics/kept?qos=1&timeout=5", &[], b"");
    assert_eq!((cleared.status, cleared.code()), (200, 0), "{cleared:?}");
    assert!(cleared.json()["packet_id"].as_u64().is_some(), "{cleared:?}");
    watcher.wait_for_end();
    assert_eq!(watcher.stdout(), b"1 1 <22.5>0 1 <>");
    connection.request("DELETE", "/topics/never", &[], b"").assert_published();
    for (path, error) in [
        ("/topics/", "`topic` must not be empty"),
        ("/topics/a?qos=3", "`qos` must be 0, 1 or 2, not 3"),
        ("/topics/a?retain=false", "unknown parameter `retain`: there are `qos`, `timeout` and `ttl`"),
    ] {
        connection.request("DELETE", path, &[], b"").assert_refused(400, 3, error);
    }
    let with_body = connection.request("DELETE", "/topics/kept", &[], b"22.5");
    with_body.assert_refused(400, 3, "a request that clears a topic must have no body");
    let elsewhere = connection.request("DELETE", "/publish", &[], b"");
    elsewhere.assert_refused(405, 3, "the method must be POST");
}

#[test]
fn delete_needs_the_right_to_publish() {
    let broker = Mosquitto::start();
    let token = Token::new("kitchen", r#"["kitchen/#"]"#);
    let daemon = token.daemon(broker.port());
    let bearer = token.bearer();
    let delete = |path: &str, headers: &[_]| daemon.connect().request("DELETE", path, headers, b"");
    delete("/topics/kitchen/light", &[("Authorization", bearer.as_str())]).assert_published();
    let refused = delete("/topics/cellar", &[("Authorization", bearer.as_str())]);
    refused.assert_refused(403, 12, "not sent: token `kitchen` may not publish to `cellar`");
    assert_eq!(delete("/topics/kitchen/light", &[]).status, 401);
}
