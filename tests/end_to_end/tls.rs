//! Brokers behind TLS: trust, client certificates, and what is logged when either fails.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;

use crate::support::certificates::{Authority, Certificate, Contents, shown};
use crate::support::daemon::{Daemon, program};
use crate::support::free_port;
use crate::support::process::Process;
use crate::support::tls_broker::{TlsBroker, asks_for_certificates, assert_acknowledged, impatient, with_protocol};

#[test]
fn a_broker_behind_tls_is_reached_by_name_and_by_address() {
    let authority = Authority::new();
    let broker = TlsBroker::start(&authority.issue("broker"));
    for (protocol, name) in [("5", "localhost"), ("3.1.1", "127.0.0.1")] {
        let daemon = Daemon::with(&with_protocol(&broker.known_as(name, &authority.trusted()), protocol));
        daemon.wait_for(&format!("connected to mqtts://{name}:{}", broker.port));
        let mut subscriber = broker.mosquitto.subscribe("t", 1, "%p");
        assert_acknowledged(&daemon, "hello");
        subscriber.wait_for_end();
        assert_eq!(subscriber.stdout(), b"hello");
    }
    // a self-signed certificate is trusted when it is the `ca-file`
    authority.openssl("req -x509 -key broker.key -subj /CN=alone -addext basicConstraints=CA:FALSE -addext subjectAltName=DNS:localhost -out alone.crt");
    let alone = Certificate { certificate: authority.file("alone.crt"), key: authority.file("broker.key") };
    let broker = TlsBroker::start(&alone);
    let daemon = Daemon::with(&broker.known_as("localhost", &format!("ca-file = \"{}\"", alone.certificate.display())));
    assert_acknowledged(&daemon, "hello");
}

#[test]
fn without_a_ca_file_only_the_systems_authorities_are_trusted() {
    let authority = Authority::new();
    let broker = TlsBroker::start(&authority.issue("broker"));
    let configuration = broker.known_as("localhost", "");
    let stranger = Daemon::with(&configuration);
    stranger.wait_for(
        "the broker's certificate is of no authority that this system trusts: name that one's in `ca-file`, or have the broker send the certificates between them too; trying again",
    );
    let acquainted = Daemon::run(&configuration, |config| {
        let mut command = program();
        // the system's authorities, by the variable that OpenSSL defines
        command.env("SSL_CERT_FILE", authority.certificate()).arg("--config").arg(config);
        command
    });
    acquainted.wait_for("connected to mqtts://localhost:");
}

#[test]
fn each_fault_of_the_brokers_certificate_is_logged_once() {
    let authority = Authority::new();
    let (other, namesake) = (Authority::named("other"), Authority::new());
    let san = Contents::default().extensions;
    let issue = |name: &str, extensions: &str, from: &str, until: &str| {
        authority.issue_with(name, &Contents { extensions, from, until })
    };
    let (from, until) = ("20200101000000Z", "21000101000000Z");
    let own = authority.certificate().display().to_string();
    let cases = [
        (
            issue("expired", san, from, "20200303120000Z"),
            "expired on Tue, 03 Mar 2020 12:00:00 GMT: it has to be renewed there, unless our clock is wrong".to_owned(),
        ),
        (
            issue("early", san, "20990101000000Z", until),
            "is valid from Thu, 01 Jan 2099 00:00:00 GMT on: is our clock right?".to_owned(),
        ),
        (other.issue("stranger"), format!("is of no authority in {own}: put that one into it, or have the broker send the certificates between them too")),
        (
            namesake.issue("stranger"),
            format!("is not signed by the authority of its name in {own}: that may be an old one"),
        ),
        (
            issue("elsewhere", "subjectAltName = DNS:a.example, IP:192.0.2.1, DNS:*.b.example", from, until),
            "is for a.example, 192.0.2.1, *.b.example, and not for localhost: set `server` to such a name, or have it renewed with this one".to_owned(),
        ),
        (
            issue("nameless", "keyUsage = digitalSignature", from, until),
            "is for no name at all (subjectAltName), and so not for localhost: it needs another one".to_owned(),
        ),
        (
            issue("old", "", from, until),
            "is of version 1: make it again with extensions (`openssl x509 -extfile`), subjectAltName among them".to_owned(),
        ),
        (
            issue("authority", &format!("{san}\nbasicConstraints = CA:TRUE"), from, until),
            "is one of an authority (CA:TRUE): make it one for a server, signed by that authority or with CA:FALSE".to_owned(),
        ),
        (
            issue("client", &format!("{san}\nextendedKeyUsage = clientAuth"), from, until),
            "is not for servers: make it again with extendedKeyUsage serverAuth, or without".to_owned(),
        ),
    ];
    for (number, (certificate, words)) in cases.iter().enumerate() {
        let broker = TlsBroker::start(certificate);
        let protocol = ["5", "3.1.1"][number % 2];
        let daemon = Daemon::with(&with_protocol(&broker.known_as("localhost", &authority.trusted()), protocol));
        broker.await_connections(5);
        let told = daemon.wait_for("cannot connect");
        let start = format!("warning: cannot connect to mqtts://localhost:{}: the broker's certificate ", broker.port);
        assert_eq!(told, format!("{start}{words}; trying again"));
        assert_eq!(daemon.lines_with("cannot connect").len(), 1, "{:?}", daemon.lines());
    }
}

#[test]
fn an_entry_of_the_wrong_type_in_the_brokers_certificate_is_logged() {
    let authority = Authority::new();
    let of_other_kinds = "is for an email address, a name of another type, mqtts://a.example, and not for localhost: set `server` to such a name, or have it renewed with this one";
    for (host, entries, words) in [
        (
            "127.0.0.1",
            "DNS:127.0.0.1",
            "has 127.0.0.1 in an entry of the wrong type, DNS: make it again with IP:127.0.0.1 (subjectAltName)",
        ),
        (
            "localhost",
            "DNS:a.example, URI:mqtts://LOCALHOST:8883/x",
            "has localhost in an entry of the wrong type, URI: make it again with DNS:localhost (subjectAltName)",
        ),
        ("localhost", "email:localhost@a.example, RID:1.2.3.4, URI:mqtts://a.example", of_other_kinds),
    ] {
        let extensions = format!("subjectAltName = {entries}");
        let contents = Contents { extensions: &extensions, ..Contents::default() };
        let broker = TlsBroker::start(&authority.issue_with("broker", &contents));
        let daemon = Daemon::with(&broker.known_as(host, &authority.trusted()));
        daemon.wait_for(&format!(": the broker's certificate {words}; trying again"));
    }
}

#[test]
fn a_fault_of_an_intermediate_certificate_is_logged_as_such() {
    let authority = Authority::new();
    let is_authority = "basicConstraints = critical,CA:TRUE\n";
    for (extensions, from, until, words) in [
        (
            is_authority,
            "20200101000000Z",
            "20200303120000Z",
            "expired on Tue, 03 Mar 2020 12:00:00 GMT: it has to be renewed there, unless our clock is wrong",
        ),
        (
            is_authority,
            "20990101000000Z",
            "21000101000000Z",
            "is valid from Thu, 01 Jan 2099 00:00:00 GMT on: is our clock right?",
        ),
        (
            "basicConstraints = CA:FALSE",
            "20200101000000Z",
            "21000101000000Z",
            "is none of an authority: make it again with basicConstraints CA:TRUE",
        ),
    ] {
        let between = authority.issue_with("between", &Contents { extensions, from, until });
        let own = authority.issue("broker");
        authority.openssl("x509 -req -in broker.csr -CA between.crt -CAkey between.key -CAcreateserial -sha256 -days 3 -extfile broker.ext -out broker.crt");
        let chain = [&own.certificate, &between.certificate].map(|file| fs::read_to_string(file).unwrap()).concat();
        fs::write(authority.file("chain.crt"), chain).unwrap();
        let broker = TlsBroker::start(&Certificate { certificate: authority.file("chain.crt"), key: own.key });
        for protocol in ["5", "3.1.1"] {
            let daemon = Daemon::with(&with_protocol(&broker.known_as("localhost", &authority.trusted()), protocol));
            daemon.wait_for(&format!(
                ": a certificate that the broker sends between its own and its authority's {words}; trying again"
            ));
        }
    }
}

#[test]
fn a_client_certificate_of_version_1_is_accepted() {
    let authority = Authority::new();
    // as mosquitto-tls(7) describes
    authority.openssl("genrsa -out client.key 2048");
    authority.openssl("req -out client.csr -key client.key -new -subj /CN=client");
    authority.openssl("x509 -req -in client.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out client.crt -days 3");
    let text = authority.openssl_output("x509 -in client.crt -noout -text");
    assert!(text.contains("Version: 1 (0x0)"), "{text}");
    let other = authority.issue_with("other", &Contents { extensions: "", ..Contents::default() });
    let lines = asks_for_certificates(&authority);
    for version in ["TLSv1.2", "TLSv1.3"] {
        let broker = TlsBroker::up_to(version, &lines);
        for (protocol, name, files) in [
            ("5", "client", shown(&authority.file("client.crt"), &authority.file("client.key"))),
            ("3.1.1", "other", other.shown()),
        ] {
            let tls = format!("{}\n{files}", authority.trusted());
            let daemon = Daemon::with(&with_protocol(&broker.known_as("localhost", &tls), protocol));
            assert_acknowledged(&daemon, name);
            broker.mosquitto.wait_for(&format!("u'{name}'"));
        }
    }
}

#[test]
fn a_client_certificate_is_sent_on_request_and_its_refusal_logged() {
    let authority = Authority::new();
    let own =
        authority.issue_with("bridge", &Contents { extensions: "keyUsage = digitalSignature", ..Contents::default() });
    // with an RSA key, which has an old format too
    authority.openssl("genrsa -traditional -out pkcs1.key 2048");
    authority.openssl("req -new -key pkcs1.key -subj /CN=bridge -out pkcs1.csr");
    authority.sign("pkcs1", &Contents::default());
    authority.openssl("ec -in bridge.key -out sec1.key");
    let expired = authority.issue_with("expired", &Contents { until: "20200303120000Z", ..Contents::default() });
    let other = Authority::named("other");
    let strange = other.issue("strange");
    let lines = asks_for_certificates(&authority);
    for version in ["TLSv1.2", "TLSv1.3"] {
        let broker = TlsBroker::up_to(version, &lines);
        let daemon = |protocol: &str, files: &str| {
            let tls = format!("{}\n{files}", authority.trusted());
            Daemon::with(&with_protocol(&broker.known_as("localhost", &tls), protocol))
        };
        for (protocol, key) in [("5", "bridge.key"), ("3.1.1", "sec1.key"), ("5", "pkcs1.key")] {
            let certificate = if key == "pkcs1.key" { authority.file("pkcs1.crt") } else { own.certificate.clone() };
            let daemon = daemon(protocol, &shown(&certificate, &authority.file(key)));
            assert_acknowledged(&daemon, key);
            broker.mosquitto.wait_for("u'bridge'");
        }
        // TLS 1.2 has one alert for several causes
        let unless = if version == "TLSv1.2" {
            "; unless the broker has no certificate of a kind that we take "
        } else {
            "; trying"
        };
        for protocol in ["5", "3.1.1"] {
            let told = |files: &str, words: &str| {
                let daemon = daemon(protocol, files);
                let line = daemon.wait_for(words);
                assert!(line.ends_with("; trying again"), "{line}");
            };
            told("", &format!(": the broker wants a certificate of ours: set `cert-file` and `key-file`{unless}"));
            told(&expired.shown(), "the broker says that our certificate has expired: renew ");
            told(&strange.shown(), " (UnknownCA): is it of an authority that the broker trusts?; ");
        }
    }
}

#[test]
fn a_missing_tls_on_either_side_is_logged() {
    let authority = Authority::new();
    let broker = TlsBroker::start(&authority.issue("broker"));
    for protocol in ["5", "3.1.1"] {
        let to_plain = impatient("localhost", broker.mosquitto.port(), &authority.trusted());
        let to_plain = Daemon::with(&with_protocol(&to_plain, protocol));
        to_plain.wait_for(" before TLS began: is this the port of MQTT without TLS?; trying again");
        let to_tls = format!("[mqtt]\nport = {}\nprotocol = \"{protocol}\"\nreconnect-max = 0.02", broker.port);
        Daemon::with(&to_tls).wait_for("; what answers there speaks TLS: set `enabled = true` in [mqtt.tls]; ");
    }
    // a server that answers, but without TLS
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            drop(stream.read(&mut [0; 1024]));
            drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
        }
    });
    Daemon::with(&impatient("localhost", port, &authority.trusted())).wait_for(
        ": what answers there is not TLS: is this the port of MQTT without TLS, or of something else?; trying",
    );
    // and one that does not answer
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    Daemon::with(&impatient("localhost", port, &authority.trusted()))
        .wait_for(": no answer within 5 s, which may be for want of TLS on this port; ");
}

#[test]
fn unsupported_kinds_of_certificates_are_logged() {
    let authority = Authority::new();
    let own = authority.issue("bridge");
    authority.openssl(
        "req -newkey ec -pkeyopt ec_paramgen_curve:secp521r1 -nodes -keyout odd.key -out odd.csr -subj /CN=odd",
    );
    authority.sign("odd", &Contents::default());
    let odd = TlsBroker::start(&Certificate { certificate: authority.file("odd.crt"), key: authority.file("odd.key") });
    let kinds = "the broker has no certificate of a kind that we take (RSA, ECDSA with P-256 or P-384, Ed25519) or no cipher in common with us; trying again";
    Daemon::with(&odd.known_as("localhost", &authority.trusted())).wait_for(&format!("; unless {kinds}"));
    let shown = format!("{}\n{}", authority.trusted(), own.shown());
    Daemon::with(&odd.known_as("localhost", &shown)).wait_for(&format!(": {kinds}"));
    let signed = authority.issue("signed");
    authority.openssl(
        "x509 -req -in signed.csr -CA ca.crt -CAkey ca.key -CAcreateserial -sha512 -extfile signed.ext -out signed.crt",
    );
    Daemon::with(&TlsBroker::start(&signed).known_as("localhost", &authority.trusted())).wait_for(
        ": the broker's certificate is signed in a way that we do not take, or one between it and its authority is: that may be SHA-1, or a curve that does not go with its hash; trying again",
    );
}

#[test]
fn garbage_on_an_established_tls_connection_is_logged_as_a_loss() {
    let authority = Authority::new();
    let certificate = authority.issue("broker");
    let script = "\
import os, socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
server = socket.create_server(('127.0.0.1', int(sys.argv[1])))
while True:
    stream = context.wrap_socket(server.accept()[0], server_side=True)
    stream.recv(1000)
    stream.sendall(b'\\x20\\x03\\0\\0\\0' if sys.argv[4] == '5' else b'\\x20\\x02\\0\\0')
    # after the SUBSCRIBE, bytes that are not TLS
    stream.recv(1000)
    os.write(stream.detach(), bytes(100))
";
    for protocol in ["5", "3.1.1"] {
        let port = free_port();
        let mut broker = Command::new("python3");
        broker
            .args(["-c", script, &port.to_string()])
            .arg(&certificate.certificate)
            .arg(&certificate.key)
            .arg(protocol);
        let _broker = Process::start(&mut broker);
        let tables = with_protocol(&impatient("localhost", port, &authority.trusted()), protocol);
        let daemon = Daemon::with(&format!("{tables}[[subscribe]]\ntopic = \"t\"\n"));
        let line = daemon.wait_for("lost: ");
        assert!(line.contains("lost: TLS: received corrupt message"), "{line}");
    }
}

#[test]
fn a_lost_tls_connection_is_restored_and_carries_large_messages() {
    let authority = Authority::new();
    let mut broker = TlsBroker::start(&authority.issue("broker"));
    for protocol in ["5", "3.1.1"] {
        let configuration = with_protocol(&broker.known_as("localhost", &authority.trusted()), protocol);
        let configuration = configuration.replacen("[mqtt]", "[mqtt]\nmax-packet-size = 2000000", 1);
        let daemon = Daemon::with(&format!("{configuration}[[subscribe]]\ntopic = \"back\"\nqos = 1"));
        daemon.wait_for("subscribed to back");
        broker.mosquitto.kill();
        let lost = daemon.wait_for("lost");
        let start = format!("warning: connection to mqtts://localhost:{} lost: ", broker.port);
        assert_eq!(lost, format!("{start}closed by the broker; connecting again"));
        broker.mosquitto.restart();
        daemon.wait_for_nth(2, "subscribed to back");
        let payload: Vec<u8> = (0..1 << 20).map(|n: u32| n.to_be_bytes()[3] ^ n.to_be_bytes()[1]).collect();
        let mut subscriber = broker.mosquitto.subscribe("back", 1, "%p");
        let reply = daemon.connect().post("/topics/back?qos=1", &payload);
        assert_eq!(reply.status, 200, "{reply:?}");
        subscriber.wait_for_end();
        assert!(subscriber.stdout() == payload, "the payload arrives unchanged");
        daemon.wait_for(" of 1048576 bytes)");
    }
}

#[test]
fn alpn_protocols_are_offered_and_their_refusal_logged() {
    let authority = Authority::new();
    let certificate = authority.issue("broker");
    let tls = format!("{}\nalpn = [\"x-amzn-mqtt-ca\", \"mqtt\"]", authority.trusted());
    let port = free_port();
    let script = "\
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
context.set_alpn_protocols(['h2', 'mqtt'])
server = socket.create_server(('127.0.0.1', int(sys.argv[1])))
while True:
    stream = context.wrap_socket(server.accept()[0], server_side=True)
    print('selected', stream.selected_alpn_protocol(), flush=True)
";
    let mut taking = Command::new("python3");
    taking.args(["-c", script, &port.to_string()]).arg(&certificate.certificate).arg(&certificate.key);
    let taking = Process::start(&mut taking);
    let daemon = Daemon::with(&impatient("localhost", port, &tls));
    taking.wait_for_output("selected mqtt\n");
    drop(daemon);
    let port = free_port();
    let mut refusing = Command::new("openssl");
    refusing.args(["s_server", "-www", "-alpn", "h2", "-accept", &format!("127.0.0.1:{port}")]);
    let _refusing =
        Process::start(refusing.arg("-cert").arg(&certificate.certificate).arg("-key").arg(&certificate.key));
    Daemon::with(&impatient("localhost", port, &tls))
        .wait_for(": the broker takes none of the protocols in `alpn`; trying again");
    // a broker without ALPN is accepted
    let broker = TlsBroker::start(&certificate);
    Daemon::with(&broker.known_as("localhost", &tls)).wait_for("connected to");
}
