//! Files of certificates and keys: invalid ones, the credential of the unit, and renewed ones.

use std::fs::{self, File};
use std::process::Command;
use std::time::SystemTime;

use crate::support::certificates::{Authority, Certificate, Contents, shown};
use crate::support::daemon::{Daemon, program};
use crate::support::folder::Folder;
use crate::support::free_port;
use crate::support::mosquitto::Mosquitto;
use crate::support::process::Process;
use crate::support::tls_broker::{TlsBroker, asks_for_certificates, assert_acknowledged};

/// Lines of `[mqtt.tls]` from its third line on, the line and the text of their error; FOLDER is the folder of all
/// files.
const FAULTS: [(&str, u32, &str); 19] = [
    ("ca-file = 'none'", 3, "`ca-file` FOLDER/none cannot be read: No such file or directory (os error 2)"),
    ("ca-file = '/'", 3, "`ca-file` / cannot be read: Is a directory (os error 21)"),
    ("ca-file = '/dev/zero'", 3, "`ca-file` /dev/zero cannot be read: it is longer than 1048576 bytes"),
    ("ca-file = 'pipe'", 3, "`ca-file` FOLDER/pipe cannot be read: it is a pipe"),
    (
        "ca-file = 'empty'",
        3,
        "`ca-file` FOLDER/empty has no certificate in it: PEM is expected, -----BEGIN CERTIFICATE-----",
    ),
    (
        "ca-file = 'own.der'",
        3,
        "`ca-file` FOLDER/own.der has no certificate in it: PEM is expected, -----BEGIN CERTIFICATE-----",
    ),
    ("ca-file = 'cut'", 3, "`ca-file` FOLDER/cut is damaged: it is no whole PEM"),
    ("ca-file = 'nonsense'", 3, "`ca-file` FOLDER/nonsense is damaged: certificate 1 in it makes no sense"),
    (
        "cert-file = 'empty'\nkey-file = 'own.key'",
        3,
        "`cert-file` FOLDER/empty has no certificate in it: PEM is expected, -----BEGIN CERTIFICATE-----",
    ),
    (
        "cert-file = 'nonsense'\nkey-file = 'own.key'",
        3,
        "`cert-file` FOLDER/nonsense is damaged: certificate 1 in it makes no sense",
    ),
    (
        "cert-file = 'old.crt'\nkey-file = 'own.key'",
        4,
        "`key-file` FOLDER/own.key does not belong to the certificate in FOLDER/old.crt",
    ),
    (
        "cert-file = 'own.crt'\nkey-file = 'none'",
        4,
        "`key-file` FOLDER/none cannot be read: No such file or directory (os error 2)",
    ),
    (
        "cert-file = 'own.crt'\nkey-file = 'own.crt'",
        4,
        "`key-file` FOLDER/own.crt has no key in it: PEM is expected, PKCS#8, SEC1 or PKCS#1",
    ),
    (
        "cert-file = 'own.crt'\nkey-file = 'other.key'",
        4,
        "`key-file` FOLDER/other.key does not belong to the certificate in FOLDER/own.crt",
    ),
    (
        "cert-file = 'own.crt'\nkey-file = 'odd'",
        4,
        "`key-file` FOLDER/odd is none that can be used: RSA from 2048 bits on, ECDSA with P-256 or P-384, or Ed25519",
    ),
    (
        "cert-file = 'own.crt'\nkey-file = 'encrypted'",
        4,
        "`key-file` FOLDER/encrypted is encrypted, and there is nobody to ask for its passphrase: `openssl pkey` writes it without",
    ),
    (
        "cert-file = 'own.crt'\nkey-file = 'encrypted8'",
        4,
        "`key-file` FOLDER/encrypted8 is encrypted, and there is nobody to ask for its passphrase: `openssl pkey` writes it without",
    ),
    ("cert-file = 'own.crt'", 3, "`cert-file` needs a `key-file` or the credential mqtt-key to go with it"),
    ("key-file = 'own.key'", 3, "there is a key but no `cert-file` to go with it"),
];

#[test]
fn unusable_files_prevent_the_start() {
    let authority = Authority::new();
    let own = authority.issue("own");
    authority.issue("other");
    authority.issue_with("old", &Contents { extensions: "", ..Contents::default() });
    authority.openssl("ec -aes128 -passout pass:secret -in own.key -out encrypted");
    authority.openssl("pkcs8 -topk8 -passout pass:secret -in own.key -out encrypted8");
    authority.openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp521r1 -out odd");
    authority.openssl("x509 -in own.crt -outform DER -out own.der");
    let whole = fs::read(&own.certificate).unwrap();
    fs::write(authority.file("cut"), &whole[..whole.len() / 2]).unwrap();
    fs::write(authority.file("nonsense"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    fs::write(authority.file("empty"), "").unwrap();
    assert!(Process::start(Command::new("mkfifo").arg(authority.file("pipe"))).wait_for_end().success());
    let config = authority.file("bridge.toml");
    let folder = config.parent().unwrap().display().to_string();
    for (lines, line, fault) in FAULTS {
        fs::write(&config, format!("[mqtt.tls]\nenabled = true\n{lines}\n")).unwrap();
        for arguments in [&["--check"][..], &[]] {
            let mut daemon = Process::start(program().arg("--config").arg(&config).args(arguments));
            // a start waits for a missing file
            let may_pass = fault.contains("No such file") && arguments.is_empty();
            assert_eq!(daemon.wait_for_end().code(), Some(if may_pass { 1 } else { 78 }), "{lines}");
            let fault = fault.replace("FOLDER", &folder);
            let said = daemon.lines();
            assert_eq!(said.last(), Some(&format!("mqtt-bridge: {}:{line}: {fault}", config.display())));
            assert_eq!(said.len(), if may_pass { 2 } else { 1 });
        }
    }
    fs::write(&config, format!("[mqtt.tls]\nenabled = true\n{}\n{}\n", authority.trusted(), own.shown())).unwrap();
    let mut check = Process::start(program().arg("--check").arg("--config").arg(&config));
    assert!(check.wait_for_end().success(), "{:?}", check.lines());
}

#[test]
fn the_units_key_is_a_credential_and_errors_name_the_original_file() {
    let authority = Authority::new();
    let own = authority.issue("bridge");
    let other = authority.issue("other");
    let folder = Folder::new();
    let lines =
        format!("[mqtt.tls]\nenabled = true\n{}\ncert-file = \"{}\"\n", authority.trusted(), own.certificate.display());
    let config = folder.write("bridge.toml", &format!("{lines}key-file = \"not-used\"\n"));
    let check = |credential: &[u8]| {
        fs::write(folder.path().join("mqtt-key"), credential).unwrap();
        let mut check = Process::start(
            program().env("CREDENTIALS_DIRECTORY", folder.path()).arg("--check").arg("--config").arg(&config),
        );
        let status = check.wait_for_end().code();
        (status, check.lines())
    };
    // the folder also holds bridge.toml, which is not a credential
    assert_eq!(check(&fs::read(&own.key).unwrap()), (Some(0), Vec::new()));
    let (status, lines) = check(&fs::read(&other.key).unwrap());
    let words =
        format!("`key-file` /etc/mqtt-bridge/key does not belong to the certificate in {}", own.certificate.display());
    assert_eq!((status, lines), (Some(78), vec![format!("mqtt-bridge: credential mqtt-key: {words}")]));
    // the unit sets a line end where there is no key
    let (status, lines) = check(b"\n");
    assert!(status == Some(78) && lines[0].contains("not-used cannot be read"), "{lines:?}");
}

#[test]
fn an_unusable_file_is_read_again_even_with_the_same_time_and_length() {
    let authority = Authority::new();
    let own = authority.issue("own");
    let good = fs::read(&own.certificate).unwrap();
    let served = authority.issue("broker").served();
    let mut broker = TlsBroker::with(&served);
    let tls = format!("{}\n{}", authority.trusted(), own.shown());
    let daemon = Daemon::with(&broker.known_as("localhost", &tls));
    daemon.wait_for("connected to");
    let now = SystemTime::now();
    // written in place while the daemon is connected and does not check the files
    let write = |text: &[u8]| {
        fs::write(&own.certificate, text).unwrap();
        File::options().write(true).open(&own.certificate).unwrap().set_modified(now).unwrap();
    };
    write(&vec![b'x'; good.len()]);
    broker.mosquitto.kill();
    daemon.wait_for("has no certificate in it");
    broker.mosquitto.restart();
    daemon.wait_for_nth(2, "connected to");
    write(&good);
    broker.mosquitto.kill();
    daemon.wait_for("have changed, and were read again");
    assert_eq!(daemon.lines_with("has no certificate in it").len(), 1, "{:?}", daemon.lines());
}

#[test]
fn renewed_certificates_are_used_for_the_next_connection_and_invalid_ones_are_not() {
    const KEPT: &str = "; what was read before is used on";
    const READ_AGAIN: &str = "certificates have changed, and were read again: ";
    let (old, new) = (Authority::new(), Authority::named("new"));
    let folder = Folder::new();
    let trusted = folder.path().join("ca.crt");
    let (certificate, key) = (folder.path().join("own.crt"), folder.path().join("own.key"));
    let install = |authority: &Authority, issued: &Certificate| {
        fs::copy(authority.certificate(), &trusted).unwrap();
        fs::copy(&issued.certificate, &certificate).unwrap();
        fs::copy(&issued.key, &key).unwrap();
    };
    install(&old, &old.issue("first"));
    let mut broker = TlsBroker::with(&asks_for_certificates(&old));
    let tls = format!("ca-file = \"{}\"\n{}", trusted.display(), shown(&certificate, &key));
    let daemon = Daemon::with(&broker.known_as("localhost", &tls));
    daemon.wait_for("connected to");
    broker.mosquitto.wait_for("u'first'");

    // the new certificate without its key
    fs::copy(old.issue("second").certificate, &certificate).unwrap();
    broker.mosquitto.kill();
    broker.mosquitto.restart();
    daemon.wait_for_nth(2, "connected to");
    let told = daemon.wait_for(KEPT);
    let words = format!("`key-file` {} does not belong to the certificate in {}", key.display(), certificate.display());
    assert_eq!(told, format!("warning: {words}{KEPT}"));
    assert_acknowledged(&daemon, "with the old one");
    broker.mosquitto.kill();
    broker.mosquitto.restart();
    daemon.wait_for_nth(3, "connected to");
    assert_eq!(daemon.lines_with(KEPT).len(), 1, "{:?}", daemon.lines());

    // first invalid in another way, and then valid
    fs::write(&trusted, "nothing").unwrap();
    broker.mosquitto.kill();
    daemon.wait_for("ca.crt has no certificate in it");
    assert_eq!(daemon.lines_with(READ_AGAIN).len(), 0, "{:?}", daemon.lines());
    fs::copy(old.certificate(), &trusted).unwrap();
    fs::copy(old.file("second.key"), &key).unwrap();
    let told = daemon.wait_for(READ_AGAIN);
    let names = [&trusted, &certificate, &key].map(|path| path.display().to_string()).join(", ");
    assert_eq!(told, format!("{READ_AGAIN}{names}"));
    broker.mosquitto.restart();
    daemon.wait_for_nth(4, "connected to");
    broker.mosquitto.wait_for("u'second'");

    // also while the broker's certificate is refused
    drop(broker.mosquitto);
    let issued = new.issue("third");
    let port = broker.port;
    let broker = Mosquitto::on_port(
        free_port(),
        &format!("allow_anonymous true\nlistener {port} 127.0.0.1\n{}", asks_for_certificates(&new)),
    );
    daemon.wait_for("the broker's certificate is of no authority in");
    install(&new, &issued);
    daemon.wait_for_nth(5, "connected to");
    broker.wait_for("u'third'");
    assert_acknowledged(&daemon, "with the new one");
}
