//! Two hosts and a link between them that can fail: network namespaces that end with the test. Needs root.

use std::process::Command;

use super::process::Process;

/// The broker's address inside the namespaces.
pub const BROKER: &str = "10.0.0.2";
const DAEMON: &str = "10.0.0.1";
/// Kills the process that holds a namespace when the thread that started it ends.
const MORTAL: [&str; 3] = ["setpriv", "--pdeathsig", "KILL"];

pub struct Network {
    daemon: Process,
    broker: Process,
}

/// Faults of the link.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// Three of ten packets are lost, in each direction.
    Loss,
    /// All packets are lost.
    BlackHole,
    /// Each packet to the broker is answered with a reset.
    Reset,
    /// The broker's interface is down.
    LinkDown,
    /// 64 kbit/s in each direction.
    Slow,
}

impl Network {
    pub fn new() -> Self {
        let network = Self { daemon: namespace(), broker: namespace() };
        let peer = network.broker.id();
        network.at_daemon(&format!("ip link add veth type veth peer name veth netns {peer}"));
        network.at_daemon(&format!("ip address add {DAEMON}/24 dev veth && ip link set veth up"));
        network.at_broker(&format!("ip address add {BROKER}/24 dev veth && ip link set veth up"));
        network
    }

    /// The command of a program on the daemon's host.
    pub fn beside_daemon(&self, program: &str) -> Command {
        enter(&self.daemon, program)
    }

    /// The command of a program on the broker's host.
    pub fn beside_broker(&self, program: &str) -> Command {
        enter(&self.broker, program)
    }

    pub fn fail(&self, fault: Fault) {
        match fault {
            Fault::Loss => self.filter("numgen random mod 100 < 30 drop"),
            Fault::BlackHole => self.filter("drop"),
            Fault::Reset => self.filter("meta l4proto tcp reject with tcp reset"),
            Fault::LinkDown => self.at_broker("ip link set veth down"),
            Fault::Slow => {
                const LIMIT: &str = "tc qdisc add dev veth root tbf rate 64kbit burst 2k latency 400ms";
                self.at_daemon(LIMIT);
                self.at_broker(LIMIT);
            }
        }
    }

    pub fn repair(&self, fault: Fault) {
        match fault {
            Fault::Loss | Fault::BlackHole | Fault::Reset => self.at_broker("nft delete table inet fault"),
            Fault::LinkDown => self.at_broker("ip link set veth up"),
            Fault::Slow => {
                self.at_daemon("tc qdisc delete dev veth root");
                self.at_broker("tc qdisc delete dev veth root");
            }
        }
    }

    /// Applies a rule to each packet to and from the broker.
    fn filter(&self, rule: &str) {
        let chain = |hook: &str| format!("chain {hook} {{\ntype filter hook {hook} priority 0\n{rule}\n}}\n");
        // outgoing packets cannot be rejected
        let output = if rule.contains("reject") { String::new() } else { chain("output") };
        self.at_broker(&format!("nft -f - <<'END'\ntable inet fault {{\n{}{output}}}\nEND", chain("input")));
    }

    fn at_daemon(&self, script: &str) {
        run(self.beside_daemon("sh").args(["-c", script]));
    }

    fn at_broker(&self, script: &str) {
        run(self.beside_broker("sh").args(["-c", script]));
    }
}

/// A network namespace that lasts as long as this process.
fn namespace() -> Process {
    let mut command = Command::new(MORTAL[0]);
    command.args(&MORTAL[1..]).args(["unshare", "--net", "sh", "-c"]);
    command.arg("ip link set lo up && echo ready >&2 && exec tail -f /dev/null");
    let process = Process::start(&mut command);
    process.wait_for("ready");
    process
}

fn enter(namespace: &Process, program: &str) -> Command {
    let mut command = Command::new(MORTAL[0]);
    command.args(&MORTAL[1..]).arg("nsenter").arg(format!("--net=/proc/{}/ns/net", namespace.id())).arg(program);
    command
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
