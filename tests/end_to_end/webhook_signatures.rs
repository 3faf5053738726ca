//! Requests with a secret are signed by the scheme of Standard Webhooks: its own package verifies them.

use std::process::Command;

use crate::support::clients::python;
use crate::support::daemon::program;
use crate::support::endpoint::{Answer, Endpoint, Request};
use crate::support::folder::Folder;
use crate::support::free_port;
use crate::support::mosquitto::Mosquitto;
use crate::support::process::Process;
use crate::support::webhook::{orders, publish, records, subscribed, table};

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEXT: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// The endpoint in Python with these keys.
fn verifying(keys: &str) -> (Process, String) {
    let port = free_port();
    let endpoint = Process::start(&mut python("webhook_endpoint.py", &[&port.to_string(), keys]));
    endpoint.wait_for("ready");
    (endpoint, format!("http://127.0.0.1:{port}/"))
}

/// The table of the webhook `orders` with a file of these keys.
fn signed(folder: &Folder, url: &str, keys: &str, lines: &str) -> String {
    let file = folder.write("keys", keys);
    table("orders", "orders/#", url, &format!("secret-file = \"{}\"\n{lines}", file.display()))
}

#[test]
fn the_package_of_standard_webhooks_verifies_what_is_sent() {
    for format in ["raw", "json"] {
        let (broker, folder) = (Mosquitto::start(), Folder::new());
        let (endpoint, url) = verifying(KEY);
        let table = signed(&folder, &url, &format!("{KEY}\n"), &format!("format = \"{format}\""));
        let daemon = subscribed(&broker, "", &["orders"], &table);
        publish(&broker, "orders/1", [r#"{"tea": "grün"}"#, "no JSON", "last"]);
        endpoint.wait_for("last");
        assert_eq!(endpoint.lines_with("got 204 ").len(), 3, "{format}: {:?}", endpoint.lines());
        let shown = ["/status", "/metrics"].map(|path| String::from_utf8(daemon.get(path).body).unwrap());
        let told = [&daemon.lines()[..], &shown].concat();
        assert!(!told.iter().any(|line| line.contains(&KEY[6..])), "{told:?}");
    }
}

#[test]
fn both_keys_sign_while_one_is_renewed() {
    let (broker, folder) = (Mosquitto::start(), Folder::new());
    let [(old, old_url), (new, new_url), (both, both_url)] = [KEY, NEXT, &format!("{KEY},{NEXT}")].map(verifying);
    let file = folder.write("keys", &format!("{KEY}\n{NEXT}\n"));
    let tables = [("old", old_url), ("new", new_url), ("both", both_url)]
        .map(|(name, url)| table(name, "t", &url, &format!("secret-file = \"{}\"", file.display())));
    let _daemon = subscribed(&broker, "", &["old", "new", "both"], &tables.concat());
    publish(&broker, "t", ["tea"]);
    old.wait_for("got 204 ");
    new.wait_for("got 204 ");
    let line = both.wait_for("got 204 ");
    assert!(line.contains(" by 2: tea"), "{line}");
}

#[test]
fn another_key_is_refused_and_the_record_says_so() {
    let (broker, folder) = (Mosquitto::start(), Folder::new());
    let (endpoint, url) = verifying(NEXT);
    let daemon = subscribed(&broker, "", &["orders"], &signed(&folder, &url, KEY, ""));
    publish(&broker, "orders/1", ["tea"]);
    endpoint.wait_for_nth(2, "got 401 ");
    let records = records(&daemon, "orders");
    assert!(records.len() == 1 && records[0].contains("401"), "{records:?}");
}

#[test]
fn each_attempt_has_a_time_and_a_signature_of_its_own() {
    let (broker, folder) = (Mosquitto::start(), Folder::new());
    let endpoint = Endpoint::answering(vec![Answer::With(503, "Retry-After: 2".to_owned())]);
    let table = signed(&folder, &endpoint.url(), &format!("{KEY}\n{NEXT}\n"), "");
    let _daemon = subscribed(&broker, "", &["orders"], &table);
    publish(&broker, "orders/1", ["tea"]);
    let requests = endpoint.await_requests(2);
    let signatures: Vec<Vec<&str>> =
        requests.iter().map(|request| request.one("webhook-signature").split(' ').collect()).collect();
    for (request, signatures) in requests.iter().zip(&signatures) {
        let expected: Vec<String> = [KEY, NEXT].iter().map(|key| signature(key, request)).collect();
        assert_eq!(signatures, &expected);
    }
    assert_eq!(requests[0].id(), requests[1].id());
    assert_ne!(requests[0].one("webhook-timestamp"), requests[1].one("webhook-timestamp"));
}

/// What the package makes of a request.
fn signature(key: &str, request: &Request) -> String {
    let (body, id, time) = (request.text(), request.id(), request.one("webhook-timestamp"));
    let mut process = Process::start(&mut python("signatures.py", &["standard", key, &body, id, time]));
    assert!(process.wait_for_end().success(), "{:?}", process.lines());
    let output = String::from_utf8(process.stdout()).unwrap();
    output.split("webhook-signature: ").nth(1).unwrap().trim().to_owned()
}

#[test]
fn a_credential_of_the_unit_has_the_secret() {
    let (broker, folder) = (Mosquitto::start(), Folder::new());
    let (endpoint, url) = verifying(KEY);
    folder.write("webhook-orders", &format!("{KEY}\n"));
    let configuration = format!("[mqtt]\nport = {}\nclient-id = \"b\"\n", broker.port());
    let table = table("orders", "orders/#", &url, "");
    let _daemon = crate::support::daemon::Daemon::run(&format!("{configuration}{table}"), |config| {
        let mut command: Command = program();
        command.env("CREDENTIALS_DIRECTORY", folder.path()).arg("--config").arg(config);
        command
    });
    broker.wait_for("Sending SUBACK to b-hook-orders");
    publish(&broker, "orders/1", ["tea"]);
    endpoint.wait_for("got 204 ");
}

#[test]
fn without_a_secret_a_verifier_takes_nothing() {
    let broker = Mosquitto::start();
    let (endpoint, url) = verifying(KEY);
    let _daemon = orders(&broker, &url, "");
    publish(&broker, "orders/1", ["tea"]);
    endpoint.wait_for("got 401 ");
}
