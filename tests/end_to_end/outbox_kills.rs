//! Kills the bridge at random moments, while messages are stored and the broker comes and goes: each that was answered
//! with 202 arrives or can be seen in the outbox, and nothing is sent after its `ttl`.
//!
//! `OUTBOX_KILLS`, which is 200 for all tests together, makes it longer, as `bench/chaos` does; each test prints a row
//! of figures. `OUTBOX_SEED` is where its random numbers begin: the row has it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::{self, Display};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::folder::Folder;
use crate::support::http::{Connection, Reply};
use crate::support::mosquitto::Mosquitto;
use crate::support::outbox::{ASYNC, LONG, all, configuration, count};
use crate::support::process::Process;
use crate::support::proxy::{Loss, Proxy};
use crate::support::stalls::Stalls;
use crate::support::waiting::{eventually, eventually_within, pause};
use crate::support::{PATIENCE, free_port};

const CLIENTS: usize = 4;
const EXAMPLES: usize = 3;
const BULK: usize = 3;
/// Milliseconds of a `ttl` that may end while the broker is away: for `AWAY` of `PERIOD` kills.
const SHORT: (u64, u64) = (300, 2500);
const PERIOD: usize = 12;
const AWAY: usize = 7;
/// Milliseconds between two kills, and the part of all kills in percent, with a clean session and with a kept one: in
/// that of an earlier process, the bridge first releases all packet identifiers, for a second or two.
const CLEAN: ((u64, u64), u64) = ((30, 300), 40);
const KEPT: ((u64, u64), u64) = ((50, 3500), 10);
/// What may pass between the end of a `ttl` and the clock of the subscriber: the 100 ms for which the bridge may hand a
/// message over, and the way through proxy, broker and subscriber. Stalls of the machine are measured and added.
const TOLERANCE: Duration = Duration::from_millis(400);

/// A message that was answered with 202.
struct Taken {
    id: String,
    ttl: f64,
    /// When the answer came. Its time began before.
    at: f64,
    is_taken_back: bool,
}

/// What all clients know.
#[derive(Default)]
struct Load {
    /// Where the running daemon listens.
    address: Mutex<String>,
    is_over: AtomicBool,
    numbers: AtomicUsize,
}

/// Random numbers (xorshift64).
struct Random(u64);

#[test]
fn mqtt_5_clean_session() {
    run("5", true);
}

#[test]
fn mqtt_5_kept_session() {
    run("5", false);
}

#[test]
fn mqtt_3_1_1_clean_session() {
    run("3.1.1", true);
}

#[test]
fn mqtt_3_1_1_kept_session() {
    run("3.1.1", false);
}

fn run(protocol: &str, clean_session: bool) {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
    };
    let (between, percent) = if clean_session { CLEAN } else { KEPT };
    let (kills, seed) = (number("OUTBOX_KILLS", 200) * percent / 100, number("OUTBOX_SEED", 22));
    // above its limit, which is 20 by default, mosquitto 2.0.11 acknowledges what it does not keep (MQTT 3.1.1)
    let limits = "allow_anonymous true\nmax_queued_messages 0\nset_tcp_nodelay true\nmax_inflight_messages 1000";
    // a kept session is released with 65,535 packets at each start
    let settings = format!("{limits}\nlog_type none\nlog_type information");
    let (broker, folder) = (Mosquitto::on_port(free_port(), &settings), Folder::new());
    let proxy = Proxy::start(broker.port(), Duration::ZERO);
    let subscriber = subscribe(&broker);
    let session = format!("protocol = \"{protocol}\"\nclean-session = {clean_session}\nclient-id = \"kills\"");
    // so that nothing is refused
    let limits = "max-messages = 1000000\nmax-bytes = 4294967296";
    let configuration = configuration(proxy.port(), &session, &folder, limits);
    let (stalls, begun, mut random) = (Stalls::start(), Instant::now(), Random::of(seed, 0));
    let (load, mut daemon) = (Load::default(), Daemon::with(&configuration));
    let taken: BTreeMap<usize, Taken> = thread::scope(|scope| {
        load.renew(&daemon);
        let clients: Vec<_> = (1..=CLIENTS)
            .map(|client| {
                let (load, random) = (&load, Random::of(seed, client));
                scope.spawn(move || load.apply(random))
            })
            .collect();
        for kill in 0..usize::try_from(kills).unwrap() {
            match kill % PERIOD {
                1 => proxy.set_away(true),
                n if n == 1 + AWAY => proxy.set_away(false),
                _ if random.up_to(2) == 0 => {
                    proxy.cut([Loss::ToBroker, Loss::ToClient, Loss::Both][kill % 3], Duration::from_millis(3));
                }
                _ => {}
            }
            pause(Duration::from_millis(random.between(between)));
            daemon = after_kill(daemon, &configuration);
            load.renew(&daemon);
        }
        proxy.set_away(true);
        pause(Duration::from_millis(random.between(between)));
        // the last one, in the midst of the load
        drop(daemon);
        load.is_over.store(true, Ordering::SeqCst);
        clients.into_iter().flat_map(|client| client.join().expect("answers as they should be")).collect()
    });
    let daemon = Daemon::with(&configuration);
    let visible = by_id(&daemon);
    let not_visible = taken.values().filter(|taken| !taken.is_taken_back && !visible.contains_key(&taken.id)).count();
    let before = arrivals(&subscriber);
    let lost_while_away = taken
        .iter()
        .filter(|(n, taken)| !taken.is_taken_back && taken.ttl >= LONG && !before.contains_key(n))
        .filter(|(_, taken)| !visible.get(&taken.id).is_some_and(is_waiting))
        .count();
    proxy.set_away(false);
    eventually_within(
        PATIENCE * 3,
        "nothing is queued",
        || [count(&daemon, "queued"), count(&daemon, "sent")],
        |counts| *counts == [0, 0],
    );
    mark(&broker, &subscriber);
    let tolerance = TOLERANCE + stalls.longest();
    let figures = Figures::of(&taken, &by_id(&daemon), &arrivals(&subscriber), tolerance);
    let figures = Figures { not_visible, lost_while_away, meanwhile: before.len(), ..figures };
    let name = format!("MQTT {protocol}, {}", if clean_session { "clean" } else { "kept" });
    println!(
        "{name:28} {:8} messages stored, killed {kills} times (seed {seed}) in {:5.1} s | {figures}",
        taken.len(),
        begun.elapsed().as_secs_f64()
    );
    figures.judge();
}

/// Kills it with SIGKILL, and starts another one.
fn after_kill(daemon: Daemon, configuration: &str) -> Daemon {
    drop(daemon);
    Daemon::with(configuration)
}

/// A subscriber that is there all the time, and prints when each message came.
fn subscribe(broker: &Mosquitto) -> Process {
    let port = broker.port().to_string();
    let mut command = Command::new("mosquitto_sub");
    command.args(["-V", "5", "-p", &port, "-t", "k/#", "-q", "1", "-F", "%U %t"]);
    let subscriber = Process::start(&mut command);
    mark(broker, &subscriber);
    subscriber
}

/// Waits until a subscriber has all that the broker has.
fn mark(broker: &Mosquitto, subscriber: &Process) {
    let marks = || arrivals(subscriber).get(&0).map_or(0, Vec::len);
    let before = marks();
    let look = || {
        // it may not be subscribed yet
        broker.publish(&["-q", "1", "-t", "k/0", "-m", "x"]);
        marks()
    };
    eventually("a message that was published last", look, |now| *now > before);
}

/// When each message arrived, in seconds since 1970.
fn arrivals(subscriber: &Process) -> HashMap<usize, Vec<f64>> {
    let printed = String::from_utf8(subscriber.stdout()).unwrap();
    let mut arrivals = HashMap::<usize, Vec<f64>>::new();
    // the last line may not be whole
    let whole = printed.rsplit_once('\n').map_or("", |(whole, _)| whole);
    for (time, topic) in whole.lines().map(|line| line.split_once(" k/").expect("a time and a topic")) {
        arrivals.entry(topic.parse().unwrap()).or_default().push(time.parse().unwrap());
    }
    arrivals
}

fn by_id(daemon: &Daemon) -> HashMap<String, Value> {
    let all = all(daemon);
    let count = all.len();
    let by_id: HashMap<_, _> = all.into_iter().map(|entry| (entry["id"].as_str().unwrap().to_owned(), entry)).collect();
    assert_eq!(by_id.len(), count, "each is listed once");
    by_id
}

fn is_waiting(entry: &Value) -> bool {
    ["queued", "sent"].contains(&entry["state"].as_str().unwrap())
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

impl Load {
    fn renew(&self, daemon: &Daemon) {
        daemon.address().clone_into(&mut self.address.lock().unwrap());
    }

    /// Stores messages one request after another until the end, whatever happens to the daemon.
    fn apply(&self, mut random: Random) -> Vec<(usize, Taken)> {
        let mut taken = Vec::new();
        while !self.is_over.load(Ordering::SeqCst) {
            let address = self.address.lock().unwrap().clone();
            let Some(mut connection) = Connection::try_open(&address) else {
                pause(Duration::from_millis(1));
                continue;
            };
            while let Some(new) = self.request(&mut connection, &mut random) {
                taken.extend(new);
                pause(Duration::from_millis(random.up_to(4)));
            }
        }
        taken
    }

    /// One request: a message, or several in bulk, and sometimes takes a message back. `None` if there is no answer.
    fn request(&self, connection: &mut Connection, random: &mut Random) -> Option<Vec<(usize, Taken)>> {
        let count = if random.up_to(5) == 0 { BULK } else { 1 };
        let first = self.numbers.fetch_add(count, Ordering::SeqCst) + 1;
        let (is_short, qos) = (random.up_to(3) == 0, 1 + random.up_to(2));
        let ttl = if is_short { Duration::from_millis(random.between(SHORT)).as_secs_f64() } else { LONG };
        let mut items: Vec<Value> =
            (first..first + count).map(|n| json!({ "topic": format!("k/{n}"), "msg": n, "qos": qos })).collect();
        let mut post = |path: &str, body: &Value| {
            let headers = [("Content-Type", "application/json"), ASYNC];
            connection.try_request("POST", path, &headers, body.to_string().as_bytes())
        };
        let ids = if count == 1 {
            items[0]["ttl"] = ttl.into();
            vec![answer(&post("/publish", &items[0])?)["id"].clone()]
        } else {
            let answer = answer(&post(&format!("/publish/bulk?ttl={ttl}"), &items.into())?);
            answer["ids"].as_array().unwrap().clone()
        };
        assert_eq!(ids.len(), count);
        let at = now();
        let id = |id: &Value| id.as_str().unwrap().to_owned();
        let mut new: Vec<_> =
            (first..).zip(&ids).map(|(n, of)| (n, Taken { id: id(of), ttl, at, is_taken_back: false })).collect();
        if !is_short && random.up_to(8) == 0 {
            match connection.try_request("DELETE", &format!("/outbox/{}", id(&ids[0])), &[], b"") {
                // nobody knows
                None => drop(new.remove(0)),
                Some(reply) if reply.status == 200 => new[0].1.is_taken_back = true,
                Some(reply) => assert_eq!(reply.status, 409, "{reply:?}"),
            }
        }
        Some(new)
    }
}

#[track_caller]
fn answer(reply: &Reply) -> Value {
    assert_eq!((reply.status, reply.code()), (202, 0), "{reply:?}");
    reply.json()
}

impl Random {
    fn of(seed: u64, who: usize) -> Self {
        let mut random = Self(seed.wrapping_add(who as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        // numbers near each other begin alike
        for _ in 0..8 {
            random.next();
        }
        random
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }

    fn up_to(&mut self, count: u64) -> u64 {
        self.next() % count
    }

    fn between(&mut self, (least, most): (u64, u64)) -> u64 {
        least + self.up_to(most - least)
    }
}

/// What must not be, and what may be.
#[derive(Debug, Default)]
struct Figures {
    tolerance: f64,
    /// Answered with 202, and the outbox does not know them after the last kill.
    not_visible: usize,
    /// Neither arrived nor queued, while the broker was away.
    lost_while_away: usize,
    /// Never arrived, although their time was not over.
    lost: usize,
    /// Arrived after their time.
    late: usize,
    /// Identifiers that two messages have.
    twice: usize,
    /// Identifiers of another message than the one that was answered with it.
    of_another: usize,
    /// Taken back, and arrived or still listed.
    taken_back: usize,
    /// States that contradict what arrived.
    wrong_states: usize,
    expired: usize,
    again: usize,
    /// Arrived between the kills.
    meanwhile: usize,
    /// Some of what is wrong.
    examples: Vec<String>,
}

impl Figures {
    fn of(
        taken: &BTreeMap<usize, Taken>,
        visible: &HashMap<String, Value>,
        arrivals: &HashMap<usize, Vec<f64>>,
        tolerance: Duration,
    ) -> Self {
        let mut figures = Self { tolerance: tolerance.as_secs_f64(), ..Self::default() };
        let mut ids = BTreeSet::new();
        for (n, message) in taken {
            let came = arrivals.get(n).map(Vec::as_slice).unwrap_or_default();
            figures.twice += usize::from(!ids.insert(&message.id));
            let entry = visible.get(&message.id);
            if message.is_taken_back {
                figures.taken_back += usize::from(!came.is_empty() || entry.is_some());
                continue;
            }
            figures.lost += usize::from(message.ttl >= LONG && came.is_empty());
            let end = message.at + message.ttl + figures.tolerance;
            figures.late += came.iter().filter(|time| **time > end).count();
            figures.again += came.len().saturating_sub(1);
            let Some(entry) = entry else { continue };
            figures.of_another += usize::from(entry["topic"] != format!("k/{n}"));
            let is_right = match entry["state"].as_str().unwrap() {
                "acknowledged" => !came.is_empty(),
                "expired" => message.ttl < LONG && (came.is_empty() || entry["may_have_arrived"] == true),
                _ => false,
            };
            figures.wrong_states += usize::from(!is_right);
            if !is_right && figures.examples.len() < EXAMPLES {
                figures.examples.push(format!("{entry}, which came at {came:?}"));
            }
            figures.expired += usize::from(entry["state"] == "expired");
        }
        figures
    }

    fn judge(&self) {
        let wrong = [
            self.not_visible,
            self.lost_while_away,
            self.lost,
            self.late,
            self.twice,
            self.of_another,
            self.taken_back,
            self.wrong_states,
        ];
        assert_eq!(wrong, [0; 8], "{self:?}");
        assert!(self.expired > 0 && self.meanwhile > 0, "some expire, and some do not: {self:?}");
    }
}

impl Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "not visible {} | lost {} | sent after their ttl {} (by more than {:.1} s) | identifiers given twice {}, of \
             another {} | taken back and received {} | wrong states {} | received between the kills {}, again {} | expired {}",
            self.not_visible,
            self.lost_while_away + self.lost,
            self.late,
            self.tolerance,
            self.twice,
            self.of_another,
            self.taken_back,
            self.wrong_states,
            self.meanwhile,
            self.again,
            self.expired
        )
    }
}
