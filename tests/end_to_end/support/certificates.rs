//! A certificate authority made with openssl, and the certificates that it issues.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::folder::Folder;

/// The configuration for `openssl ca`.
const CONFIGURATION: &str = "\
[ca]
default_ca = default
[default]
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
unique_subject = no
policy = policy
[policy]
commonName = supplied
";

const NEW_KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";

pub struct Authority {
    folder: Folder,
}

/// A certificate with its key, each in a file.
pub struct Certificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Extensions and validity of a certificate.
pub struct Contents<'a> {
    /// Lines for `-extfile`; without any the certificate is of version 1.
    pub extensions: &'a str,
    /// In the format of `openssl ca`: YYYYMMDDHHMMSSZ.
    pub from: &'a str,
    pub until: &'a str,
}

impl Default for Contents<'_> {
    fn default() -> Self {
        let extensions = "subjectAltName = DNS:localhost, IP:127.0.0.1, IP:::1\n";
        Self { extensions, from: "20200101000000Z", until: "21000101000000Z" }
    }
}

impl Authority {
    pub fn new() -> Self {
        Self::named("authority")
    }

    /// An authority with this name: two of the same name differ only by their signatures.
    pub fn named(name: &str) -> Self {
        let folder = Folder::new();
        folder.write("index.txt", "");
        folder.write("ca.cnf", CONFIGURATION);
        let authority = Self { folder };
        let own = "-keyout ca.key -out ca.crt -days 3 -addext basicConstraints=critical,CA:TRUE";
        authority.openssl(&format!("req -x509 {NEW_KEY} -subj /CN={name} {own}"));
        authority
    }

    /// The file of the authority's own certificate.
    pub fn certificate(&self) -> PathBuf {
        self.file("ca.crt")
    }

    /// A certificate for a broker on this machine.
    pub fn issue(&self, name: &str) -> Certificate {
        self.issue_with(name, &Contents::default())
    }

    /// A certificate for the subject of this name; a second one replaces the first.
    pub fn issue_with(&self, name: &str, contents: &Contents) -> Certificate {
        self.openssl(&format!("req {NEW_KEY} -keyout {name}.key -out {name}.csr -subj /CN={name}"));
        self.sign(name, contents);
        Certificate { certificate: self.file(&format!("{name}.crt")), key: self.file(&format!("{name}.key")) }
    }

    /// Makes NAME.crt of NAME.csr.
    pub fn sign(&self, name: &str, contents: &Contents) {
        let Contents { extensions, from, until } = contents;
        self.folder.write(&format!("{name}.ext"), extensions);
        let extensions = if extensions.is_empty() { String::new() } else { format!("-extfile {name}.ext") };
        let files = format!("-cert ca.crt -keyfile ca.key -in {name}.csr -out {name}.crt {extensions}");
        self.openssl(&format!("ca -batch -config ca.cnf -notext -startdate {from} -enddate {until} {files}"));
    }

    /// Runs openssl in the folder of this authority.
    pub fn openssl(&self, arguments: &str) {
        self.openssl_output(arguments);
    }

    /// The same, and returns its output.
    pub fn openssl_output(&self, arguments: &str) -> String {
        let output =
            Command::new("openssl").current_dir(self.folder.path()).args(arguments.split_whitespace()).output();
        let output = output.expect("openssl is needed for this test");
        assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// A file of this authority.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `ca-file` for this authority.
    pub fn trusted(&self) -> String {
        format!("ca-file = \"{}\"", self.certificate().display())
    }
}

impl Certificate {
    /// Lines for a listener of mosquitto.
    pub fn served(&self) -> String {
        format!("certfile {}\nkeyfile {}", self.certificate.display(), self.key.display())
    }

    /// `cert-file` and `key-file`.
    pub fn shown(&self) -> String {
        shown(&self.certificate, &self.key)
    }
}

/// The same for these files.
pub fn shown(certificate: &Path, key: &Path) -> String {
    format!("cert-file = \"{}\"\nkey-file = \"{}\"", certificate.display(), key.display())
}
