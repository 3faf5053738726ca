//! The built daemon with a configuration of the test.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use super::folder::Folder;
use super::http::{Connection, Reply};
use super::process::Process;
use super::request::post;
use super::resources::Resources;

pub struct Daemon {
    process: Process,
    address: String,
    _folder: Folder,
}

/// The program itself.
pub fn program() -> Command {
    clean(Command::new(env!("CARGO_BIN_EXE_mqtt-bridge")))
}

/// The program under strace with these arguments.
pub fn traced(arguments: &[&str], config: &Path) -> Command {
    let mut command = clean(Command::new("strace"));
    // -D: the daemon is the child process of the test, and strace a grandchild that ends with it
    command.args(["-D", "-f"]).args(arguments).arg(program().get_program()).arg("--config").arg(config);
    command
}

/// A command without variables that configure the daemon.
pub fn clean(mut command: Command) -> Command {
    // the machine of the test may have set them
    for name in ["SERVER", "PORT", "KEEPALIVE", "USER", "PASSWORD"] {
        command.env_remove(format!("MQTT_{name}"));
    }
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MQTT_BRIDGE_")) {
        command.env_remove(name);
    }
    for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
        command.env_remove(name);
    }
    command
}

impl Daemon {
    /// Starts it for the broker on `port`, and waits until it serves HTTP.
    pub fn start(port: u16) -> Self {
        Self::with(&format!("[mqtt]\nport = {port}"))
    }

    /// The same, and waits until it is connected to the broker too.
    pub fn connected(port: u16) -> Self {
        Self::connected_with(&format!("[mqtt]\nport = {port}"))
    }

    /// The same with this version of MQTT.
    pub fn speaking(protocol: &str, port: u16) -> Self {
        Self::connected_with(&format!("[mqtt]\nport = {port}\nprotocol = \"{protocol}\""))
    }

    /// Starts it with this configuration, in which `[http]` may only be the last table, and waits until it serves HTTP.
    pub fn with(configuration: &str) -> Self {
        Self::run(configuration, |config| {
            let mut command = program();
            command.arg("--config").arg(config);
            command
        })
    }

    /// The same, and waits until it is connected to the broker too.
    pub fn connected_with(configuration: &str) -> Self {
        let daemon = Self::with(configuration);
        daemon.wait_for("connected to 127.0.0.1:");
        daemon
    }

    /// Starts it with a command that is made from the path of the configuration.
    pub fn run(configuration: &str, command: impl FnOnce(PathBuf) -> Command) -> Self {
        let folder = Folder::new();
        let table = if configuration.contains("[http]") { "" } else { "\n[http]" };
        let config = folder.write("bridge.toml", &format!("{configuration}{table}\nlisten = \"127.0.0.1:0\"\n"));
        let process = Process::start(&mut command(config));
        let line = process.wait_for("listening on http://");
        let address = line.split("http://").nth(1).unwrap().to_owned();
        Self { process, address, _folder: folder }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The resources that it uses.
    pub fn resources(&self) -> Resources {
        Resources::of(self.id())
    }

    pub fn wait_for(&self, text: &str) -> String {
        self.process.wait_for(text)
    }

    pub fn wait_for_within(&self, patience: Duration, text: &str) -> String {
        self.process.wait_for_within(patience, text)
    }

    pub fn wait_for_nth(&self, n: usize, text: &str) -> String {
        self.process.wait_for_nth(n, text)
    }

    pub fn lines(&self) -> Vec<String> {
        self.process.lines()
    }

    pub fn lines_with(&self, text: &str) -> Vec<String> {
        self.process.lines_with(text)
    }

    /// `POST /publish` with this body, on a connection of its own.
    pub fn publish(&self, body: &str) -> Reply {
        self.connect().post("/publish", body.as_bytes())
    }

    pub fn connect(&self) -> Connection {
        Connection::open(&self.address)
    }

    /// `GET` of this path, on a connection of its own.
    pub fn get(&self, path: &str) -> Reply {
        self.connect().get(path)
    }

    /// `POST` of this body without waiting for the answer, which [`Connection::reply`] then has.
    pub fn begin(&self, path: &str, body: impl AsRef<[u8]>) -> Connection {
        let mut connection = self.served_connection();
        connection.send(&post(path, body));
        connection
    }

    /// A connection that a thread already serves: of several that are opened at once, `tiny_http` leaves some without a
    /// thread.
    pub fn served_connection(&self) -> Connection {
        let mut connection = self.connect();
        assert_eq!(connection.get("/nothing").status, 404);
        connection
    }

    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    pub fn wait_for_end(&mut self) -> ExitStatus {
        self.process.wait_for_end()
    }
}
