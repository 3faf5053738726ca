//! Signed calls of hooks: each signature is made as its sender documents it, or by the sender's own package.

use std::fmt::Write;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::clients::{node, python};
use crate::support::daemon::Daemon;
use crate::support::folder::Folder;
use crate::support::free_port;
use crate::support::hook::{await_waiting, talkative};
use crate::support::http::{Connection, Reply};
use crate::support::mosquitto::Mosquitto;
use crate::support::process::Process;
use crate::support::request::{raw, request};
use crate::support::waiting::eventually;

/// Of Stripe and of Standard Webhooks: base64 after the prefix.
const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const MISMATCH: &str = "the signature does not match";
const LATE: &str = "the timestamp is more than 300 s from the clock of the bridge";

/// A daemon with one signed hook, and its broker.
struct Signed {
    broker: Mosquitto,
    daemon: Daemon,
    _folder: Folder,
}

impl Signed {
    /// With these lines in its table and this file of secrets.
    fn new(lines: &str, secrets: &str) -> Self {
        let (broker, folder) = (Mosquitto::start(), Folder::new());
        let file = folder.write("secrets", secrets);
        let table = format!("[[hook]]\nname = \"h\"\ntopic = \"signed\"\n{lines}\n");
        let daemon = talkative(broker.port(), &format!("{table}signature-secret-file = \"{}\"\n", file.display()));
        Self { broker, daemon, _folder: folder }
    }

    fn call(&self, headers: &[(String, String)], body: &str) -> Reply {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let reply = self.daemon.connect().request("POST", "/hooks/h", &headers, body.as_bytes());
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        reply
    }

    #[track_caller]
    fn assert_refused(&self, headers: &[(String, String)], body: &str, what: &str) {
        self.call(headers, body).assert_refused(403, 12, &format!("not sent: hook `h`: {what}"));
    }

    /// How many messages were published; the daemon shows none of these secrets anywhere.
    #[track_caller]
    fn published(&self, secrets: &[&str]) -> usize {
        let shown = ["/status", "/metrics"].map(|path| String::from_utf8(self.daemon.get(path).body).unwrap());
        let told = [&self.daemon.lines()[..], &shown].concat();
        assert!(!told.iter().any(|line| secrets.iter().any(|secret| line.contains(secret))), "{told:?}");
        self.broker.log_with("Received PUBLISH").len()
    }
}

/// Seconds since 1970, and this many.
fn now(ahead: i64) -> String {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    (now + ahead).to_string()
}

/// The lines that a program prints, as headers.
#[track_caller]
fn headers(mut command: Command) -> Vec<(String, String)> {
    let mut process = Process::start(&mut command);
    assert!(process.wait_for_end().success(), "{:?}", process.lines());
    let output = String::from_utf8(process.stdout()).unwrap();
    output
        .lines()
        .map(|line| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap())
        .collect()
}

fn one(name: &str, value: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), value.to_owned())]
}

/// What `openssl dgst` makes of a body, in hexadecimal digits.
fn openssl(secret: &str, body: &str) -> String {
    let folder = Folder::new();
    let file = folder.write("body", body);
    let mut openssl =
        Process::start(Command::new("openssl").args(["dgst", "-sha256", "-hmac", secret, "-r"]).arg(file));
    assert!(openssl.wait_for_end().success(), "{:?}", openssl.lines());
    String::from_utf8(openssl.stdout()).unwrap().split(' ').next().unwrap().to_owned()
}

fn stripe(secret: &str, body: &str, time: &str) -> Vec<(String, String)> {
    headers(python("signatures.py", &["stripe", secret, body, "", time]))
}

fn standard(secret: &str, body: &str, id: &str, time: &str) -> Vec<(String, String)> {
    headers(python("signatures.py", &["standard", secret, body, id, time]))
}

#[test]
fn what_github_signs_is_published() {
    let signed =
        Signed::new("signature = \"github\"\nproperties = [\"X-GitHub-Event\"]", "old secret\nIt's a Secret\n");
    let body = r#"{"action": "opened", "text": "Grüße"}"#;
    let mut subscriber = signed.broker.subscribe("#", 3, "%t %C %P %p\n");
    let by_node = headers(node("signatures.mjs", &["It's a Secret", body]));
    let by_openssl = one("X-Hub-Signature-256", &format!("sha256={}", openssl("old secret", body)));
    for headers in [&by_node, &by_openssl] {
        let more = one("X-GitHub-Event", "issues");
        let all = [&headers[..], &more, &one("Content-Type", "application/json")].concat();
        assert_eq!(signed.call(&all, body).status, 200);
    }
    let mut chunked = signed.daemon.connect();
    let lines = format!("{}: {}\r\nTransfer-Encoding: chunked\r\n", by_node[0].0, by_node[0].1);
    let (start, end) = body.split_at(7);
    let chunks = format!("7\r\n{start}\r\n{:x}\r\n{end}\r\n0\r\n\r\n", end.len());
    chunked.send(raw("POST /hooks/h", &lines, &chunks).as_bytes());
    assert_eq!(chunked.reply().status, 200, "what is signed is the body without its chunks");
    subscriber.wait_for_end();
    let typed = format!("signed application/json X-GitHub-Event:issues {body}\n");
    assert_eq!(String::from_utf8(subscriber.stdout()).unwrap(), format!("{typed}{typed}signed   {body}\n"));

    signed.assert_refused(&[], body, "header `X-Hub-Signature-256` is missing");
    let value = &by_node[0].1;
    for wrong in [
        "",
        "sha256=",
        &value[7..],
        &value.replace("sha256=", "sha1="),
        &value[..value.len() - 2],
        &format!("{value}00"),
    ] {
        signed.assert_refused(&one("X-Hub-Signature-256", wrong), body, MISMATCH);
    }
    signed.assert_refused(&by_node, &body.replace("opened", "closed"), MISMATCH);
    signed.assert_refused(
        &one("X-Hub-Signature-256", &format!("sha256={}", openssl("new secret", body))),
        body,
        MISMATCH,
    );
    let twice = [&by_node[..], &by_node].concat();
    signed.assert_refused(&twice, body, "header `X-Hub-Signature-256` must not be there twice");
    signed.daemon.wait_for("warning: unauthorized: 127.0.0.1 sent a wrong signature");
    assert_eq!(signed.daemon.lines_with("unauthorized").len(), 1, "once a minute");
    assert_eq!(signed.published(&["old secret", "It's a Secret"]), 3);
}

#[test]
fn what_stripe_signs_is_published_for_a_while() {
    let signed = Signed::new("signature = \"stripe\"", &format!("{WHSEC}\n"));
    let body = r#"{"id": "evt_1", "type": "charge.succeeded"}"#;
    for ahead in [0, -290, 290] {
        assert_eq!(signed.call(&stripe(WHSEC, body, &now(ahead)), body).status, 200, "{ahead}");
    }
    let good = &stripe(WHSEC, body, &now(0))[0].1;
    let renewed = format!("{good},v1={}", "0".repeat(64));
    assert_eq!(signed.call(&one("Stripe-Signature", &renewed), body).status, 200, "while a secret is renewed");
    for ahead in [-310, 310] {
        signed.assert_refused(&stripe(WHSEC, body, &now(ahead)), body, LATE);
    }
    let recorded = signed.daemon.lines_with("unauthorized");
    assert!(recorded.is_empty(), "a sender with a wrong clock would be blocked: {recorded:?}");
    signed.assert_refused(&stripe("whsec_other", body, &now(0)), body, MISMATCH);
    signed.assert_refused(&stripe(WHSEC, body, &now(0)), "{}", MISMATCH);
    signed.assert_refused(&[], body, "header `Stripe-Signature` is missing");
    signed.assert_refused(
        &one("Stripe-Signature", &good[good.find('v').unwrap()..]),
        body,
        "header `Stripe-Signature` has no `t`",
    );
    for wrong in [good.replace("v1=", "v0="), good.replace("t=", "t=1"), good.split(',').next().unwrap().to_owned()] {
        signed.assert_refused(&one("Stripe-Signature", &wrong), body, MISMATCH);
    }
    assert_eq!(signed.published(&[WHSEC]), 4);
}

#[test]
fn what_standard_webhooks_sign_is_published_once() {
    let signed = Signed::new("signature = \"standard\"", WHSEC);
    let body = r#"{"type": "contact.created"}"#;
    let first = signed.call(&standard(WHSEC, body, "msg_1", &now(0)), body);
    assert_eq!(first.status, 200);
    // again with another timestamp, as a sender does that saw no answer
    for ahead in [0, -290, 290] {
        let again = signed.call(&standard(WHSEC, body, "msg_1", &now(ahead)), body);
        assert_eq!((again.status, again.body), (200, first.body.clone()), "answered as the first");
    }
    assert_eq!(signed.call(&standard(WHSEC, body, "msg_2", &now(0)), body).status, 200);
    for ahead in [-310, 310] {
        signed.assert_refused(&standard(WHSEC, body, "msg_1", &now(ahead)), body, LATE);
    }
    let good = standard(WHSEC, body, "msg_3", &now(0));
    for (index, name) in ["webhook-id", "webhook-timestamp", "webhook-signature"].into_iter().enumerate() {
        let mut without = good.clone();
        assert_eq!(without.remove(index).0, name);
        signed.assert_refused(&without, body, &format!("header `{name}` is missing"));
        let mut wrong = good.clone();
        wrong[index].1 = wrong[index].1.replace(['1', 'm'], "2");
        signed.assert_refused(&wrong, body, MISMATCH);
    }
    signed.assert_refused(&standard("whsec_b3RoZXI=", body, "msg_3", &now(0)), body, MISMATCH);
    let long = standard(WHSEC, body, &"m".repeat(257), &now(0));
    signed.assert_refused(&long, body, "header `webhook-id` is over the limit of 256 bytes");
    assert_eq!(signed.published(&[WHSEC, &WHSEC[6..]]), 2);
}

#[test]
fn a_body_alone_is_signed_in_hexadecimal_or_base64() {
    let body = "temperature=21";
    let digits = openssl("hunter2", body);
    let bytes = format!("printf '%s' '{body}' | openssl dgst -sha256 -hmac hunter2 -binary | openssl base64");
    let mut openssl = Process::start(Command::new("sh").args(["-c", &bytes]));
    assert!(openssl.wait_for_end().success(), "{:?}", openssl.lines());
    let base64 = String::from_utf8(openssl.stdout()).unwrap().trim().to_owned();
    for (encoding, good, bad) in [
        ("", &digits, &base64),
        ("\nencoding = \"hex\"", &digits, &base64),
        ("\nencoding = \"base64\"", &base64, &digits),
    ] {
        let signed = Signed::new(&format!("signature = \"hmac-sha256\"\nheader = \"X-Sign\"{encoding}"), "hunter2\n");
        assert_eq!(signed.call(&one("x-sign", good), body).status, 200, "{encoding}");
        assert_eq!(signed.call(&one("X-Sign", &format!("sha256={good}")), body).status, 200, "{encoding}");
        signed.assert_refused(&one("X-Sign", bad), body, MISMATCH);
        signed.assert_refused(&one("X-Hub-Signature-256", good), body, "header `X-Sign` is missing");
        assert_eq!(signed.published(&["hunter2"]), 2);
    }
}

#[test]
fn concurrent_replays_get_the_answer_of_the_first_and_are_published_once() {
    let (port, folder) = (free_port(), Folder::new());
    let file = folder.write("secret", WHSEC);
    let lines = "timeout = 30\nrate = 0.01\nsignature = \"standard\"";
    let table =
        format!("[[hook]]\nname = \"h\"\ntopic = \"t\"\n{lines}\nsignature-secret-file = \"{}\"", file.display());
    let log = "[log]\nlevel = \"debug\"\n[publish]\nmax-waiting = 2";
    let daemon = Daemon::with(&format!("[mqtt]\nport = {port}\nreconnect-max = 0.1\n{log}\n{table}"));
    let headers = standard(WHSEC, "x", "msg_1", &now(0));
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let begin = |body: &str| -> Connection {
        let mut connection = daemon.served_connection();
        connection.send(&request("POST", "/hooks/h", &headers, body));
        connection
    };
    let mut first = begin("x");
    await_waiting(&daemon);
    // they count neither for its rate nor for what may wait
    let mut others: Vec<_> = std::iter::repeat_with(|| begin("x")).take(5).collect();
    others.iter().for_each(Connection::await_read);
    let broker = Mosquitto::on_port(port, "allow_anonymous true");
    let answer = first.reply();
    assert_eq!(answer.status, 200);
    for other in &mut others {
        assert_eq!(other.reply().body, answer.body);
    }
    assert_eq!(begin("x").reply().body, answer.body, "and later");
    assert_eq!(broker.log_with("Received PUBLISH").len(), 1);
}

#[test]
fn a_call_whose_message_was_not_sent_may_be_repeated() {
    let mut signed = Signed::new("signature = \"standard\"\ntimeout = 0.3", WHSEC);
    let headers = standard(WHSEC, "x", "msg_1", &now(0));
    signed.broker.kill();
    signed.daemon.wait_for("lost");
    assert_eq!(signed.call(&headers, "x").status, 503);
    signed.broker.restart();
    eventually("a repetition publishes", || signed.call(&headers, "x").status, |status| *status == 200);
    assert_eq!(signed.published(&[WHSEC]), 1);
}

#[test]
fn a_call_whose_outcome_is_unknown_is_not_published_again() {
    let signed = Signed::new("signature = \"standard\"\ntimeout = 0.3", WHSEC);
    let headers = standard(WHSEC, "x", "msg_1", &now(0));
    signed.broker.signal("STOP");
    let unknown = "sent, outcome unknown: no acknowledgement from the broker in time";
    signed.call(&headers, "x").assert_refused(504, 7, unknown);
    signed.broker.signal("CONT");
    signed.broker.wait_for("Received PUBLISH");
    signed.call(&headers, "x").assert_refused(504, 7, unknown);
    assert_eq!(signed.call(&standard(WHSEC, "x", "msg_2", &now(0)), "x").status, 200);
    assert_eq!(signed.published(&[WHSEC]), 2);
}

#[test]
fn wrong_signatures_count_for_no_rate() {
    let signed = Signed::new("signature = \"github\"\nrate = 0.01", "hunter2");
    let mut digits = String::new();
    for byte in 0..5 {
        write!(digits, "{byte:02x}").unwrap();
        signed.assert_refused(&one("X-Hub-Signature-256", &format!("sha256={digits}")), "x", MISMATCH);
    }
    let good = one("X-Hub-Signature-256", &format!("sha256={}", openssl("hunter2", "x")));
    assert_eq!(signed.call(&good, "x").status, 200);
    signed.call(&good, "x").assert_refused(429, 15, "not sent: hook `h` is over its rate");
}
