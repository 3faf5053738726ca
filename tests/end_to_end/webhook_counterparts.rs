//! Webhooks to endpoints of others: behind TLS with a private authority, and behind nginx.

use std::fs;
use std::time::Duration;

use crate::support::certificates::{Authority, Certificate, Contents};
use crate::support::clients::python;
use crate::support::endpoint::{Endpoint, texts};
use crate::support::folder::Folder;
use crate::support::mosquitto::Mosquitto;
use crate::support::process::Process;
use crate::support::waiting::eventually;
use crate::support::webhook::{orders, publish, records};
use crate::support::{free_port, nginx};

/// The endpoint in Python with this certificate, and its port.
fn behind_tls(certificate: &Certificate) -> (Process, u16) {
    let port = free_port();
    let files = [&certificate.certificate, &certificate.key].map(|path| path.display().to_string());
    let endpoint = Process::start(&mut python("webhook_endpoint.py", &[&port.to_string(), "", &files[0], &files[1]]));
    endpoint.wait_for("ready");
    (endpoint, port)
}

#[test]
fn a_private_authority_is_trusted_by_its_file() {
    let (broker, authority) = (Mosquitto::start(), Authority::new());
    let (endpoint, port) = behind_tls(&authority.issue("endpoint"));
    for (host, count) in [("localhost", 1), ("127.0.0.1", 2)] {
        let daemon = orders(&broker, &format!("https://{host}:{port}/mqtt"), &authority.trusted());
        publish(&broker, "orders/1", ["tea"]);
        endpoint.wait_for_nth(count, ": tea");
        assert!(records(&daemon, "orders").is_empty(), "{:?}", records(&daemon, "orders"));
    }
}

#[test]
fn what_is_wrong_with_a_certificate_is_recorded() {
    let (authority, other) = (Authority::new(), Authority::named("other"));
    let expired = Contents { until: "20210101000000Z", ..Contents::default() };
    let elsewhere = Contents { extensions: "subjectAltName = DNS:elsewhere.example\n", ..Contents::default() };
    for (certificate, trusted, said) in [
        (authority.issue("wrong-authority"), &other, "UnknownIssuer|unknown issuer|not trusted|no authority"),
        (authority.issue_with("expired", &expired), &authority, "expired"),
        (authority.issue_with("elsewhere", &elsewhere), &authority, "elsewhere.example|not valid for"),
    ] {
        let broker = Mosquitto::start();
        let (endpoint, port) = behind_tls(&certificate);
        let daemon = orders(&broker, &format!("https://localhost:{port}/"), &trusted.trusted());
        publish(&broker, "orders/1", ["tea"]);
        let records = eventually("a record", || records(&daemon, "orders"), |records| !records.is_empty());
        assert!(said.split('|').any(|word| records[0].contains(word)), "{said}: {records:?}");
        assert!(endpoint.lines_with("got ").is_empty());
    }
}

#[test]
fn a_replaced_file_of_authorities_is_used_without_a_restart() {
    let (broker, folder) = (Mosquitto::start(), Folder::new());
    let (first, second) = (Authority::named("first"), Authority::named("second"));
    let file = folder.path().join("ca.crt");
    fs::copy(first.certificate(), &file).unwrap();
    let (endpoint, port) = behind_tls(&second.issue("endpoint"));
    let lines = format!("ca-file = \"{}\"", file.display());
    let daemon = orders(&broker, &format!("https://localhost:{port}/"), &lines);
    publish(&broker, "orders/1", ["tea"]);
    eventually("a record", || records(&daemon, "orders"), |records| !records.is_empty());
    // as tools do that renew certificates: never half a file
    fs::copy(second.certificate(), folder.path().join("new")).unwrap();
    fs::rename(folder.path().join("new"), &file).unwrap();
    endpoint.wait_for(": tea");
}

#[test]
fn an_endpoint_without_tls_at_a_url_of_https_is_recorded() {
    let (broker, authority, endpoint) = (Mosquitto::start(), Authority::new(), Endpoint::willing());
    let daemon = orders(&broker, &format!("https://localhost:{}/", endpoint.port()), &authority.trusted());
    publish(&broker, "orders/1", ["tea"]);
    let records = eventually("a record", || records(&daemon, "orders"), |records| !records.is_empty());
    assert!(records[0].to_lowercase().contains("tls"), "{records:?}");
}

#[test]
fn behind_nginx_outages_and_limits_are_waited_for() {
    let (broker, folder, mut endpoint) = (Mosquitto::start(), Folder::new(), Endpoint::willing());
    let address = format!("127.0.0.1:{}", free_port());
    let servers = format!(
        "limit_req_zone $server_port zone=z:1m rate=30r/m;\n\
         server {{\nlisten {address};\nclient_max_body_size 2k;\n\
         location /mqtt {{\nlimit_req zone=z;\nlimit_req_status 429;\nproxy_pass http://127.0.0.1:{};\n\
         error_page 429 = @limited;\nerror_page 502 504 = @away;\n}}\n\
         location @limited {{\nadd_header Retry-After 2 always;\nreturn 429;\n}}\n\
         location @away {{\nadd_header Retry-After 1 always;\nreturn 503;\n}}\n}}\n",
        endpoint.port()
    );
    let _nginx = nginx::start(&folder, &servers, &address);
    let lines = "dead-letter = \"dead\"";
    let daemon = orders(&broker, &format!("http://{address}/mqtt"), lines);
    endpoint.stop();
    publish(&broker, "orders/1", ["0"]);
    let first = eventually("a record", || records(&daemon, "orders"), |records| !records.is_empty());
    assert!(first[0].contains("503"), "{first:?}");
    endpoint.resume();
    publish(&broker, "orders/1", ["1", "2"]);
    let requests = endpoint.await_requests(3);
    assert_eq!(texts(&requests), ["0", "1", "2"]);
    let passed = requests[2].at.duration_since(requests[0].at);
    assert!(passed > Duration::from_millis(3900), "one in two seconds: {passed:?}");
    // nginx refuses what is larger than its limit
    let mut subscriber = broker.subscribe("dead", 1, "%l");
    publish(&broker, "orders/1", ["x".repeat(3000), "last".to_owned()]);
    subscriber.wait_for_end();
    assert_eq!(subscriber.stdout(), b"3000");
    assert_eq!(texts(&endpoint.await_requests(4)[3..]), ["last"]);
}
