#!/usr/bin/env python3
"""Puts the same load on the daemon and on its alternatives in turns, and prints the figures of each.

usage: cargo build --profile dist && bench/peers.py [--seconds S] [--rounds N] [--connections 1,16,64,256] [--batch] [--save] [NAME…]

Packages of a peer are installed into target/peers by pip, npm and cargo, in the versions pinned in bench/competitors;
wrk, mosquitto and its clients, Node.js, RabbitMQ and protoc (to build rmqtt) by apt where they are missing, which takes
root. All child processes are ended.

Each round starts a broker, a counting subscriber and the daemon, loads and ends them, and does the same with the peer:
A B A B, so that noise of the machine affects both. All of them share this machine. The daemon runs with the scheduling
policy of its unit, CPUSchedulingPolicy=batch; with --batch the peer does, too.

--save writes all figures to docs/figures/peers.json (peers-batch.json with --batch), and the table in docs/peers.md.
"""

import argparse
import contextlib
import dataclasses
import importlib.util
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from measuring import (
    AS_BATCH,
    DAEMON,
    ROOT,
    answers,
    connects,
    cpu_seconds,
    free_port,
    mosquitto,
    proportional_mebibytes,
    resident_mebibytes,
    running,
    save,
    save_table,
    settled_size,
    subscriber,
    tree,
    until,
    wrk,
)

HERE = ROOT / "bench/competitors"
PLACE = ROOT / "target/peers"
PYTHON = PLACE / "venv/bin"
# the number of connections for which the summary has all figures
SHOWN = 64
BODY = b'{"topic":"bench/t","msg":"hello"}'
# packages that start a service
SERVICES = ["mosquitto", "rabbitmq-server"]
# programs of every round, and their packages
TOOLS = {"wrk": "wrk", "mosquitto": "mosquitto", "mosquitto_sub": "mosquitto-clients", "chrt": "util-linux"}


@dataclasses.dataclass
class Peer:
    """One way to publish the message of a request."""

    name: str
    # how its work differs from the daemon's
    does: str
    install: Callable[[], None]
    # the command and its environment, given a folder, the broker's port and its own
    command: Callable[[pathlib.Path, int, int], tuple[list, dict]]
    path: str = "/publish"
    body: bytes = BODY
    headers: dict = dataclasses.field(default_factory=dict)
    # mosquitto, itself or none
    broker: str = "mosquitto"
    # whether --batch applies to it: the daemon always has its policy
    is_other: bool = True


def run(*command, **options):
    subprocess.run(command, check=True, stdout=sys.stderr, **options)


def once(mark, *sources):
    """False if these files were installed before; else a function that marks them as installed."""
    wanted = b"".join((HERE / source).read_bytes() for source in sources)
    path = PLACE / f"{mark}.installed"
    if path.exists() and path.read_bytes() == wanted:
        return False
    PLACE.mkdir(parents=True, exist_ok=True)
    return lambda: path.write_bytes(wanted)


def install_python():
    apt("python3-venv", importlib.util.find_spec("ensurepip"))
    if done := once("venv", "requirements.txt"):
        run(sys.executable, "-m", "venv", "--clear", PLACE / "venv")
        run(PYTHON / "pip", "install", "-q", "--disable-pip-version-check", "-r", HERE / "requirements.txt")
        done()


def install_node():
    apt("nodejs", shutil.which("node"))
    apt("npm", shutil.which("npm"))
    if done := once("node", "package.json"):
        shutil.copy(HERE / "package.json", PLACE)
        run("npm", "install", "--prefix", PLACE, "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock")
        done()
    # modules are searched beside the script
    for name in ("node.mjs", "node-red.cjs", "webhook.mjs", "webhook-node-red.cjs", "context-node-red.cjs"):
        shutil.copy(HERE / name, PLACE)


def cargo(folder):
    def install():
        target = {**os.environ, "CARGO_TARGET_DIR": str(PLACE / folder)}
        run("cargo", "build", "--release", "--locked", "--quiet", cwd=HERE / folder, env=target)

    return install


def apt(package, is_there):
    if is_there:
        return
    if os.geteuid():
        sys.exit(f"as root: apt-get install {package}")
    run("apt-get", "update", "-q")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "install", "-q", "-y", "--no-install-recommends", package, env=quiet)
    # Debian starts it as a service
    if package in SERVICES and pathlib.Path("/run/systemd/system").exists():
        run("systemctl", "disable", "--now", package)


def install_rmqtt():
    # its plugin depends on gRPC, whose build needs protoc
    apt("protobuf-compiler", shutil.which("protoc"))
    cargo("rmqtt")()


def install_rabbitmq():
    apt("rabbitmq-server", pathlib.Path("/usr/lib/rabbitmq").exists())


def daemon_alone(folder, mqtt, http):
    config = folder / "bridge.toml"
    config.write_text(f'[mqtt]\nport = {mqtt}\n[http]\nlisten = "127.0.0.1:{http}"\n')
    return [DAEMON[-1], "--config", config], {}


def daemon(folder, mqtt, http):
    command, env = daemon_alone(folder, mqtt, http)
    return [*AS_BATCH, *command], env


def django(*server):
    def command(_folder, mqtt, http):
        words = [str(word).format(port=http) for word in server]
        env = {"MQTT_PORT": mqtt, "DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": HERE / "django"}
        return words, env

    return command


def fastapi(_folder, mqtt, http):
    serve = [PYTHON / "uvicorn", "--app-dir", HERE, "--port", str(http), "--no-access-log", "fastapi_app:app"]
    return serve, {"MQTT_PORT": mqtt}


def node(_folder, mqtt, http):
    return ["node", PLACE / "node.mjs"], {"MQTT_PORT": mqtt, "PORT": http}


def node_red(folder, mqtt, http):
    red = ["node", PLACE / "node_modules/node-red/red.js", "--settings", PLACE / "node-red.cjs"]
    return red, {"MQTT_PORT": mqtt, "PORT": http, "NODE_RED_FOLDER": folder}


def ceiling(name):
    return lambda _folder, mqtt, http: ([PLACE / "ceilings/release" / name], {"MQTT_PORT": mqtt, "PORT": http})


def rmqtt(_folder, mqtt, http):
    return [PLACE / "rmqtt/release/rmqtt-peer"], {"MQTT_PORT": mqtt, "PORT": http}


def rabbitmq(folder, mqtt, http):
    config, plugins = folder / "rabbitmq.conf", folder / "plugins"
    config.write_text(
        f"listeners.tcp.1 = 127.0.0.1:{free_port()}\nmqtt.listeners.tcp.1 = 127.0.0.1:{mqtt}\nmqtt.allow_anonymous = true\n"
        f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {http}\n"
    )
    plugins.write_text("[rabbitmq_mqtt,rabbitmq_management].")
    env = {
        "RABBITMQ_CONFIG_FILE": config,
        "RABBITMQ_ENABLED_PLUGINS_FILE": plugins,
        "RABBITMQ_MNESIA_BASE": folder / "mnesia",
        "RABBITMQ_LOG_BASE": folder / "log",
        "HOME": folder,
        "RABBITMQ_NODENAME": "bench@localhost",
        "RABBITMQ_DIST_PORT": free_port(),
        "ERL_EPMD_PORT": free_port(),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
    }
    server = next(pathlib.Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*")) / "sbin/rabbitmq-server"
    return [server], env


MANAGE = [PYTHON / "python", "-m", "django", "runserver", "--noreload", "127.0.0.1:{port}"]
GUNICORN = [PYTHON / "gunicorn", "--bind", "127.0.0.1:{port}", "--workers", "1", "--threads", "4", "wsgi"]
BRIDGE = Peer("mqtt-bridge", "", lambda: None, daemon, is_other=False)
ACKNOWLEDGED = b'{"topic":"bench/t","msg":"hello","qos":1}'
PEERS = [
    Peer("django-runserver", "no checks; 200 though the broker is away", install_python, django(*MANAGE)),
    Peer("django-gunicorn", "the same; one process of four threads", install_python, django(*GUNICORN)),
    Peer("fastapi", "checks types, not topic names", install_python, fastapi),
    Peer("node", "no checks: bad JSON ends the process", install_node, node),
    Peer("node-red", "one check; answers before it publishes", install_node, node_red),
    Peer(
        "rmqtt",
        "is the broker: no second hop; no check of topics; 200 though forwarding failed",
        install_rmqtt,
        rmqtt,
        path="/api/v1/mqtt/publish",
        body=b'{"topic":"bench/t","payload":"hello","qos":0}',
        broker="itself",
    ),
    Peer(
        "rabbitmq",
        "is the broker: no second hop",
        install_rabbitmq,
        rabbitmq,
        path="/api/exchanges/%2F/amq.topic/publish",
        body=b'{"properties":{},"routing_key":"bench.t","payload":"hello","payload_encoding":"string"}',
        headers={"Authorization": "Basic Z3Vlc3Q6Z3Vlc3Q="},
        broker="itself",
    ),
    Peer("qos-1", "the daemon at QoS 1, acknowledged", lambda: None, daemon, body=ACKNOWLEDGED, is_other=False),
    Peer("policy-other", "the daemon under the usual scheduling policy", lambda: None, daemon_alone, is_other=False),
    Peer("least-bridge", "one write for each request, unread: no checks", cargo("ceilings"), ceiling("least-bridge")),
    Peer("tiny-http", "a ceiling: reads, publishes nothing", cargo("ceilings"), ceiling("tiny-http"), broker="none"),
    Peer("bare", "a ceiling: no library, publishes nothing", cargo("ceilings"), ceiling("bare"), broker="none"),
]


@contextlib.contextmanager
def started(peer, folder, as_batch):
    """The peer with broker and subscriber: its URL, process, time to the first 200 and the subscriber's file."""
    mqtt, http, received = free_port(), free_port(), folder / "received"
    received.touch()
    with contextlib.ExitStack() as stack:
        if peer.broker == "mosquitto":
            stack.enter_context(mosquitto(folder, mqtt))
        command, env = peer.command(folder, mqtt, http)
        command = [*AS_BATCH, *command] if as_batch else command
        if "ERL_EPMD_PORT" in env:
            # epmd stays after the end of RabbitMQ
            kill = ["epmd", "-port", str(env["ERL_EPMD_PORT"]), "-kill"]
            stack.callback(subprocess.run, kill, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        url, begun = f"http://127.0.0.1:{http}{peer.path}", time.perf_counter()
        process = stack.enter_context(running(command, env, cwd=folder))
        is_answered = lambda: answers(url, peer.body, peer.headers)
        until(is_answered, peer.name)
        first = time.perf_counter() - begun
        if peer.broker != "none":
            until(lambda: connects(mqtt), "the broker")
            stack.enter_context(subscriber(folder, mqtt, is_answered))
        yield url, process, first, received


def memory_mebibytes(pid):
    """Resident memory; pages that several processes share are counted once."""
    return resident_mebibytes(pid) if len(list(tree(pid))) == 1 else proportional_mebibytes(pid)


def measure(peer, args):
    """The figures of one round by number of connections."""
    figures = {}
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url, process, first, received = stack.enter_context(started(peer, folder, args.batch and peer.is_other))
        idle = memory_mebibytes(process.pid)
        for connections in args.connections:
            before, count = cpu_seconds(process.pid), settled_size(received) // 2
            load = wrk(folder, url, peer.body, connections, args.seconds, peer.headers)
            cpu, loaded = cpu_seconds(process.pid) - before, memory_mebibytes(process.pid)
            figures[connections] = {
                **load,
                "cpu": cpu / max(1, load["requests"]) * 1e6,
                "idle": idle,
                "loaded": loaded,
                "start": first * 1000,
                "answered": load["requests"] - load["failed"],
                "received": settled_size(received) // 2 - count,
            }
    return figures


def middle(rounds, key):
    return statistics.median(each[key] for each in rounds)


def in_table(*cells):
    return "| " + " | ".join(cells) + " |"


def head(*cells):
    return in_table(*cells) + "\n|" + "---|" * len(cells)


def summaries(results, args):
    """The main figures of the daemon and of each peer; `results` has their rounds."""
    shown = SHOWN if SHOWN in args.connections else max(args.connections)
    for peer, rounds, ratios in results:
        yield {
            "who": peer.name,
            **{f"rate_from_{count}": round(middle(rounds[count], "rate")) for count in args.connections},
            "ours_to_theirs": round(statistics.median(ratios[shown]), 1) if ratios else None,
            "p99_ms": round(middle(rounds[shown], "p99"), 1),
            "cpu_us": round(middle(rounds[shown], "cpu")),
            "mib": round(middle(rounds[shown], "loaded")),
            "start_ms": round(middle(rounds[shown], "start")),
            "does_less": peer.does,
        }


def summary_head(args):
    shown = SHOWN if SHOWN in args.connections else max(args.connections)
    rates = [f"req/s from {count}" for count in args.connections]
    return head("who", *rates, f"ours to theirs at {shown}", f"p99 ms at {shown}", "CPU µs", "MiB", "start ms", "does less")


def summary_row(figures):
    """One line of the table in docs/peers.md."""
    return in_table(*("" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
                      for value in figures.values()))


def details(results, args):
    """The spread for each number of connections: medians, with the smallest and the largest of some."""
    for peer, rounds, ratios in results:
        for count in args.connections:
            at, ratio = rounds[count], ratios.get(count)
            answered, received, failed = (sum(each[key] for each in at) for key in ("answered", "received", "failed"))
            yield {
                "who": peer.name,
                "connections": count,
                "rate": spread([each["rate"] for each in at], 0),
                "ours_to_theirs": spread(ratio, 2) if ratio else None,
                "p50_ms": round(middle(at, "p50"), 2),
                "p99_ms": round(middle(at, "p99"), 2),
                "cpu_us": round(middle(at, "cpu")),
                "idle_mib": round(middle(at, "idle")),
                "loaded_mib": round(middle(at, "loaded")),
                "start_ms": round(middle(at, "start")),
                "received": received if peer.broker != "none" else None,
                "answered": answered,
                **({"failed": failed} if failed else {}),
            }


def spread(values, digits):
    return [round(value, digits or None) for value in (statistics.median(values), min(values), max(values))]


def print_details(results, args):
    for each in details(results, args):
        print(", ".join(f"{key} {value}" for key, value in each.items()))


def take_turns(peer, args):
    """All rounds of the daemon and of the peer, and the ratio of their rates, by number of connections."""
    ours, theirs, ratios = ({count: [] for count in args.connections} for _ in range(3))
    for number in range(args.rounds):
        print(f"{peer.name}, round {number + 1} of {args.rounds}", file=sys.stderr, flush=True)
        mine, others = measure(BRIDGE, args), measure(peer, args)
        for count in args.connections:
            ours[count].append(mine[count])
            theirs[count].append(others[count])
            ratios[count].append(mine[count]["rate"] / others[count]["rate"])
    return ours, theirs, ratios


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(peer.name for peer in PEERS))
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    numbers = lambda text: [int(number) for number in text.split(",")]
    parser.add_argument("--connections", type=numbers, default=[1, 16, 64, 256])
    parser.add_argument("--batch", action="store_true", help="the peers get the daemon's scheduling policy, too")
    parser.add_argument("--save", action="store_true", help="write the figures for the pages; of all peers or with --batch")
    args = parser.parse_args()
    if args.save and args.names and not args.batch:
        parser.error("--save needs all peers")
    if unknown := set(args.names) - {peer.name for peer in PEERS}:
        parser.error(f"no such peer: {', '.join(sorted(unknown))}")
    peers = [peer for peer in PEERS if not args.names or peer.name in args.names]
    if not DAEMON[-1].exists():
        sys.exit(f"{DAEMON[-1]} is not there: cargo build --profile dist")
    # where Debian installs daemons, which is not in the PATH of users
    os.environ["PATH"] += ":/usr/sbin"
    for tool, package in TOOLS.items():
        apt(package, shutil.which(tool))
    for peer in peers:
        peer.install()

    all_of_ours, results = {count: [] for count in args.connections}, []
    for peer in peers:
        ours, theirs, ratios = take_turns(peer, args)
        results.append((peer, theirs, ratios))
        # printed early, in case a later peer fails
        with contextlib.redirect_stdout(sys.stderr):
            print_details([(BRIDGE, ours, {}), results[-1]], args)
        for count in args.connections:
            all_of_ours[count] += ours[count]
    results.insert(0, (BRIDGE, all_of_ours, {}))
    rows = list(summaries(results, args))
    print(summary_head(args), *map(summary_row, rows), "", sep="\n")
    print_details(results, args)
    conditions = {"connections": args.connections, "rounds": args.rounds}
    figures = {} if args.batch else {"rows": rows}
    name = "peers-batch" if args.batch else "peers"
    save(name, figures, conditions, versions=("mosquitto", "wrk", "node", "python3"), details=list(details(results, args)))
    if not args.batch:
        save_table("peers.md", name, map(summary_row, rows))


if __name__ == "__main__":
    main()
