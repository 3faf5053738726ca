//! The `OpenAPI` document describes what the daemon does: generated clients work.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::requests::Setup;
use crate::support::clients::{node, python, python_program};
use crate::support::daemon::Daemon;
use crate::support::folder::Folder;
use crate::support::free_port;
use crate::support::hook::Hook;
use crate::support::mosquitto::Mosquitto;
use crate::support::outbox::{ASYNC, LONG as LONGEST, body, id};
use crate::support::process::Process;
use crate::support::token::Token;

/// Far longer than schemathesis needs for its cases.
const LONG: Duration = Duration::from_secs(300);

fn url(daemon: &Daemon) -> String {
    format!("http://{}/openapi.json", daemon.address())
}

#[test]
fn the_document_and_its_examples_are_valid() {
    let daemon = Daemon::start(free_port());
    let mut checked = Process::start(&mut python("openapi.py", &[&url(&daemon)]));
    assert!(checked.wait_for_end().success(), "see standard error");
    let told = String::from_utf8(checked.stdout()).unwrap();
    assert!(told.contains(" operations, "), "{told}");
}

#[test]
fn the_document_needs_no_token_and_has_the_configured_limits() {
    let token = Token::new("all", r##"["#"]"##);
    let limits = "[publish]\ntimeout = 1\nmax-timeout = 2.5";
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}\n{limits}\n{}", free_port(), token.table));
    let reply = daemon.get("/openapi.json");
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    let document = reply.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(document["components"]["schemas"]["Timeout"]["maximum"], 2.5);
}

/// Generated clients and collections need an absolute URL.
#[test]
fn the_document_names_the_host_of_the_request() {
    let daemon = Daemon::start(free_port());
    let server = |headers: &[(&str, &str)]| {
        let head = headers.iter().fold(String::new(), |head, (name, value)| format!("{head}{name}: {value}\r\n"));
        let mut connection = daemon.connect();
        connection.send(format!("GET /openapi.json HTTP/1.1\r\n{head}\r\n").as_bytes());
        connection.reply().json()["servers"][0]["url"].as_str().unwrap().to_owned()
    };
    assert_eq!(server(&[("Host", "localhost:1")]), "http://localhost:1");
    assert_eq!(server(&[("Host", "[::1]")]), "http://[::1]");
    let mut connection = daemon.connect();
    connection.send(b"GET /openapi.json HTTP/1.0\r\n\r\n");
    assert_eq!(connection.reply().json()["servers"][0]["url"], "/");
}

#[test]
fn behind_a_proxy_the_document_has_the_forwarded_scheme() {
    let token = Token::new("all", r##"["#"]"##);
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}\n{}", free_port(), token.table));
    for (proto, scheme) in [("https", "https"), ("HTTPS", "https"), ("http", "http"), ("ftp", "http")] {
        let reply = daemon.connect().request("GET", "/openapi.json", &[("X-Forwarded-Proto", proto)], b"");
        let url = reply.json()["servers"][0]["url"].as_str().unwrap().to_owned();
        assert!(url.starts_with(&format!("{scheme}://")), "{proto}: {url}");
    }
}

#[test]
fn a_client_generated_by_openapi_python_client_works() {
    let token = Token::new("all", r##"["#"]"##).reading(r##"["#"]"##);
    let setup = Setup::with(&token.table);
    let (url, folder) = (format!("http://{}", setup.daemon.address()), Folder::new());
    let arguments = [&url, &token.secret, folder.path().to_str().unwrap()];
    let mut made = Process::start(python("generated.py", &arguments).current_dir(folder.path()));
    assert!(made.wait_for_end().success(), "see standard error");
    assert_eq!(made.stdout(), b"published, asked and read\n");
}

#[test]
fn a_collection_generated_by_openapi_to_postman_can_be_sent() {
    let token = Token::new("all", r##"["#"]"##);
    let broker = Mosquitto::start();
    // EMQX replies with another status when there are no subscribers
    let mut subscriber = broker.subscribe("#", 7, "%t %p");
    let daemon = token.daemon(broker.port());
    let url = format!("http://{}", daemon.address());
    let mut sent = Process::start(&mut node("postman.mjs", &[&url, &token.secret]));
    assert!(sent.wait_for_end().success(), "see standard error");
    assert_eq!(String::from_utf8(sent.stdout()).unwrap().lines().count(), 7);
    assert!(subscriber.wait_for_end().success());
}

#[test]
fn a_stream_of_messages_conforms_to_the_document() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let url = format!("http://{}", daemon.address());
    let mut checked = Process::start(&mut python("openapi_messages.py", &[&url]));
    assert!(checked.wait_for_end().success(), "see standard error");
    assert_eq!(checked.stdout(), b"three events\n");
}

#[test]
fn refusals_before_the_endpoint_conform_to_the_document() {
    let conformance = Conformance::start();
    let url = format!("http://{}", conformance.daemon.address());
    let mut checked = Process::start(&mut python(
        "openapi_refusals.py",
        &[&url, &conformance.token.bearer(), &conformance.hook.path],
    ));
    assert!(checked.wait_for_end().success(), "see standard error");
    let told = String::from_utf8(checked.stdout()).unwrap();
    let count: usize = told.trim().strip_suffix(" refusals").unwrap().parse().unwrap();
    assert!(count >= 7 * conformance.operations, "{told}");
}

/// All checks of schemathesis, with the same cases in every run: valid requests are accepted, invalid ones refused, and
/// every response has a documented status, headers and body.
#[test]
fn schemathesis_finds_no_disagreement_between_document_and_daemon() {
    let conformance = Conformance::start();
    conformance
        .run(conformance.operations - 1, &["--exclude-path", "/messages", "--phases", "examples,coverage,fuzzing"]);
}

/// Only refusals are tested: schemathesis waits for the end of a response, and a stream does not end.
#[test]
fn schemathesis_finds_no_disagreement_about_the_refusals_of_a_stream() {
    let conformance = Conformance::start();
    let refused = ["--include-path", "/messages", "--mode", "negative", "--phases", "coverage,fuzzing"];
    // where any text is valid there are no negative cases
    conformance.run(1, &[&refused[..], &["--suppress-health-check", "filter_too_much"]].concat());
}

struct Conformance {
    _broker: Mosquitto,
    daemon: Daemon,
    token: Token,
    hook: Hook,
    /// A message in the outbox.
    stored: String,
    folder: Folder,
    document: PathBuf,
    operations: usize,
}

impl Conformance {
    fn start() -> Self {
        let broker = Mosquitto::start();
        let token = Token::new("all", r##"["#"]"##);
        let table = token.table.replace("subscribe = []", r##"subscribe = ["#"]"##);
        // short timeouts, since some requests wait for nothing
        let limits = "[publish]\ntimeout = 1\nmax-timeout = 1";
        let http = "[http]\nretained-wait = 0.05";
        let folder = Folder::new();
        let hook = Hook::new("h", "GET\", \"POST", "hooks/h", "");
        let file = format!("signature-secret-file = \"{}\"", folder.write("secret", "hunter2").display());
        let signed = format!("[[hook]]\nname = \"signed\"\ntopic = \"a\"\nsignature = \"github\"\n{file}\n");
        let outbox = format!("[outbox]\npath = \"{}\"", folder.path().join("outbox").display());
        let tables = format!("{limits}\n{outbox}\n{table}{}{signed}", hook.table);
        let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\n{tables}{http}", broker.port()));
        let reply = daemon.get("/openapi.json");
        let paths = reply.json()["paths"].as_object().unwrap().clone();
        // schemathesis would leave out the path of the document if it fetched it by itself
        let document = folder.write("openapi.json", std::str::from_utf8(&reply.body).unwrap());
        let headers = [("Authorization", &*token.bearer()), ("Content-Type", "application/json"), ASYNC];
        let reply = daemon.connect().request("POST", "/publish", &headers, body("a", LONGEST).as_bytes());
        let stored = id(&reply);
        let operations = paths.values().map(|path| path.as_object().unwrap().len()).sum();
        Self { _broker: broker, daemon, token, hook, stored, folder, document, operations }
    }

    /// Runs schemathesis on this many operations, none of which may be left out.
    fn run(&self, operations: usize, arguments: &[&str]) {
        let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
        let mut command = python_program("schemathesis");
        command.current_dir(self.folder.path()).env("PYTHONPATH", &clients);
        command
            .env("SCHEMATHESIS_HOOKS", "schemathesis_hooks")
            .env("HOOK_SECRET", &self.hook.secret)
            .env("STORED_ID", &self.stored);
        command.arg("--config-file").arg(clients.join("schemathesis.toml"));
        command.arg("run").arg(&self.document).args(["--url", &format!("http://{}", self.daemon.address())]);
        command.args(["-H", &format!("Authorization: {}", self.token.bearer())]);
        command.args(["--checks", "all", "--max-examples", "30", "--seed", "1", "--request-timeout", "10"]);
        let mut schemathesis = Process::start(command.args(arguments));
        let status = schemathesis.wait_for_end_within(LONG);
        let found = String::from_utf8_lossy(&schemathesis.stdout()).into_owned();
        assert!(status.success() && found.contains("No issues found"), "{found}");
        for line in [format!("Selected: {operations}/{}", self.operations), format!("Tested: {operations}\n")] {
            assert!(found.contains(&line), "no {line:?} in {found}");
        }
        let lost = self.daemon.lines_with("lost");
        assert!(lost.is_empty(), "a connection that others share was disturbed: {lost:?}");
    }
}
