//! A real broker with its clients; its log is the reference for what it received.

use std::process::Command;

use super::folder::Folder;
use super::free_port;
use super::process::Process;

pub struct Mosquitto {
    folder: Folder,
    port: u16,
    process: Process,
}

impl Mosquitto {
    pub fn start() -> Self {
        Self::on_port(free_port(), "allow_anonymous true")
    }

    /// A broker without Nagle's algorithm and without a queue limit.
    pub fn unlimited() -> Self {
        Self::on_port(free_port(), "allow_anonymous true\nmax_queued_messages 0\nset_tcp_nodelay true")
    }

    /// A broker with these lines in its configuration.
    pub fn on_port(port: u16, configuration: &str) -> Self {
        Self::in_folder(Folder::new(), port, configuration)
    }

    /// A broker with this highest TLS version in OpenSSL's notation: `tls_version` only sets the lowest one.
    pub fn with_tls_up_to(version: &str, port: u16, configuration: &str) -> Self {
        let folder = Folder::new();
        let sections = "openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = default\n[default]";
        folder.write("openssl.cnf", &format!("{sections}\nMaxProtocol = {version}\n"));
        Self::in_folder(folder, port, configuration)
    }

    /// A broker that accepts only `user`.
    pub fn with_password(user: &str, password: &str) -> Self {
        Self::with_password_on_port(free_port(), user, password)
    }

    pub fn with_password_on_port(port: u16, user: &str, password: &str) -> Self {
        let folder = Folder::new();
        let passwords = folder.write("passwords", "");
        let made = Command::new("mosquitto_passwd").arg("-b").arg(&passwords).args([user, password]).output();
        assert!(made.expect("mosquitto_passwd is needed for this test").status.success());
        let configuration = format!("allow_anonymous false\npassword_file {}", passwords.display());
        Self::in_folder(folder, port, &configuration)
    }

    /// A broker that keeps its sessions over a restart, and over SIGKILL after [`Self::save`]. No setting makes it write its
    /// file before it acknowledges: with `autosave_on_changes` it does so after most packets, which takes its time, and
    /// not after it passed a message on.
    pub fn persistent(configuration: &str) -> Self {
        let folder = Folder::new();
        let persistence = format!("persistence true\npersistence_location {}/", folder.path().display());
        Self::in_folder(folder, free_port(), &format!("allow_anonymous true\n{persistence}\n{configuration}"))
    }

    fn in_folder(folder: Folder, port: u16, configuration: &str) -> Self {
        // without `user` mosquitto drops root, and then cannot read the files of the test
        let always = format!("user root\nlistener {port} 127.0.0.1\nlog_dest stderr\nlog_type all\n");
        folder.write("mosquitto.conf", &format!("{always}{configuration}\n"));
        let process = Self::spawn(&folder);
        Self { folder, port, process }
    }

    fn spawn(folder: &Folder) -> Process {
        let mut command = Command::new("mosquitto");
        let openssl = folder.path().join("openssl.cnf");
        if openssl.exists() {
            command.env("OPENSSL_CONF", openssl);
        }
        let process = Process::start(command.arg("-c").arg(folder.path().join("mosquitto.conf")));
        process.wait_for(" running");
        process
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Has it write its file, and waits until it has.
    pub fn save(&self) {
        self.signal("USR1");
        // it looks at the signal after it has answered a packet, and before the next one
        for _ in 0..2 {
            self.publish(&["-q", "1", "-t", "saved", "-n"]);
        }
    }

    /// Starts it again on the same port.
    pub fn restart(&mut self) {
        self.process = Self::spawn(&self.folder);
    }

    pub fn wait_for(&self, text: &str) -> String {
        self.process.wait_for(text)
    }

    pub fn wait_for_nth(&self, n: usize, text: &str) -> String {
        self.process.wait_for_nth(n, text)
    }

    pub fn log_with(&self, text: &str) -> Vec<String> {
        self.process.lines_with(text)
    }

    /// Publishes with `mosquitto_pub` and waits until it ends.
    pub fn publish(&self, arguments: &[&str]) {
        let port = self.port.to_string();
        let mut process = Process::start(Command::new("mosquitto_pub").args(["-p", &port]).args(arguments));
        assert!(process.wait_for_end().success());
    }

    /// Publishes each of these lines as a message. The process must be kept until they have arrived: sometimes
    /// `mosquitto_pub` does not end by itself.
    pub fn publish_lines(&self, topic: &str, lines: impl IntoIterator<Item = String>) -> Process {
        let folder = Folder::new();
        let lines = folder.write("lines", &lines.into_iter().map(|line| line + "\n").collect::<String>());
        let mut command = Command::new("sh");
        command.args(["-c", "exec mosquitto_pub -p \"$1\" -t \"$2\" -l <\"$3\"", "sh"]);
        let connections = self.log_with("Sending CONNACK to auto-").len();
        let publisher = Process::start(command.args([&self.port.to_string(), topic]).arg(lines));
        // the shell has opened the file by now
        self.process.wait_for_nth(connections + 1, "Sending CONNACK to auto-");
        publisher
    }

    /// A subscriber whose subscription is acknowledged; it prints each payload with `format`, without separators, and
    /// ends after `count` messages.
    pub fn subscribe(&self, topic: &str, count: usize, format: &str) -> Process {
        let id = format!("subscriber-{}-{}", std::process::id(), free_port());
        let (port, count) = (self.port.to_string(), count.to_string());
        let arguments = ["-V", "5", "-p", &port, "-i", &id, "-t", topic, "-q", "2", "-C", &count, "-N", "-F", format];
        let subscriber = Process::start(Command::new("mosquitto_sub").args(arguments));
        self.wait_for(&format!("Sending SUBACK to {id}"));
        subscriber
    }
}
