#!/usr/bin/env python3
"""Hands messages over that must be kept while the broker is away: rates of the daemon's outbox and of others.

usage: cargo build --profile dist && bench/outbox.py [--rounds N] [--seconds S] [--messages N] [--save] [PART…]

A PART is mqtt-bridge, connected, mosquitto, mosquitto-saving, node-red, disk, publish or start; all by default. Needs
mosquitto, mosquitto-clients, wrk, cargo for the clients of bench/fakes, and Node.js for Node-RED, which npm installs
into target/peers.

The first five take messages of 100 bytes at QoS 1 over 1, 16 and 64 connections, one at a time on each, in turns:
mqtt-bridge answers 202 to `POST /publish` with `ttl` while its broker is away, and connected while it is there;
mosquitto acknowledges what its bridge queues for a broker that is away, with its defaults and with the most frequent
saving that it has; Node-RED answers when the message is in the file of a context. In the first round those that took
messages are killed and started again, their broker comes back, and what arrives is counted. disk is a program that
writes 4 KiB at a time and calls fdatasync.

publish: `POST /publish` without `ttl`, of a daemon with an outbox and of one without, in turns. start: a daemon with
many queued messages, its time until it answers `GET /healthz` and until the broker has the first message, beside one
with an empty outbox; how fast the broker gets all of them, beside `POST /publish/bulk`.

All of them share this machine, so only ratios within a round are saved.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable

from measuring import (
    AS_BATCH,
    DAEMON,
    FAKES,
    answers,
    bridge,
    build_fakes,
    configured,
    connects,
    cpu_seconds,
    free_port,
    mosquitto,
    running,
    save,
    save_table,
    settled_size,
    until,
    wrk,
)
from peers import PLACE, in_table, install_node

CONNECTIONS = (1, 16, 64)
SIZE = 100
TOPIC = "bench/t"
ITEM = {"topic": TOPIC, "msg": "x" * SIZE, "qos": 1}
STORE, PLAIN = json.dumps({**ITEM, "ttl": 3600}).encode(), json.dumps(ITEM).encode()
PREFER = {"Prefer": "respond-async"}
# more than a run stores
LIMITS = ["max-messages = 1000000", "max-bytes = 4294967296"]
# with Nagle's algorithm, its default, mosquitto waits for acknowledgements of TCP again and again
BROKER = "set_tcp_nodelay true"
# messages that the context of Node-RED has at most
KEPT = 100
PAGE = 4096
BULK = 100
BULK_CONNECTIONS = 16
# the connections of the loads of `publish`
PUBLISHING = 16
TURNS = 5
# seconds for all messages
PATIENCE = 180
# seconds without a message, after which the rest is lost
SILENCE = 15


@dataclasses.dataclass
class Peer:
    """One way to keep messages."""

    name: str
    does: str
    # given a folder: what runs, as a context whose value loads it
    serve: Callable
    install: Callable[[], None] = build_fakes
    # whether it is the daemon
    is_ours: bool = False


@dataclasses.dataclass
class Served:
    """A running peer: how many messages it answered for in a load, and the seconds; how many arrive after a kill."""

    load: Callable[[int, int], tuple[int, float]]
    arrive: Callable[[], int] | None = None


def kill(process):
    """Without a chance to finish anything."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def asked(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as response:
        return response.read().decode()


def store(folder, port, connections, seconds):
    load = wrk(folder, f"http://127.0.0.1:{port}/publish", STORE, connections, seconds, PREFER)
    assert not load["failed"], f"{load['failed']} of {load['requests']} were not stored"
    return load["requests"], load["requests"] / load["rate"]


@contextlib.contextmanager
def coming_back(folder, mqtt):
    """A broker that comes back with a subscriber; yields a function that waits for messages and counts them."""
    received, place = folder / "received", folder / "back"
    place.mkdir()
    with contextlib.ExitStack() as stack:
        stack.enter_context(mosquitto(place, mqtt, BROKER))
        sink = stack.enter_context(received.open("wb"))
        command = ["mosquitto_sub", "-p", str(mqtt), "-t", TOPIC, "-t", "ready", "-q", "1", "-N", "-F", "x"]
        stack.enter_context(running(command, stdout=sink))
        ready = ["mosquitto_pub", "-p", str(mqtt), "-t", "ready", "-m", "x"]
        until(lambda: subprocess.run(ready, check=True) and received.stat().st_size, "the subscriber", pause=0.2)
        before = settled_size(received)

        def arriving(wanted):
            # until no more come
            last, since = -1, time.monotonic()
            while last < wanted and time.monotonic() < since + SILENCE:
                if (count := received.stat().st_size - before) != last:
                    last, since = count, time.monotonic()
                time.sleep(0.1)
            return settled_size(received) - before

        yield arriving


def with_outbox(folder, mqtt):
    return configured(folder, mqtt, "reconnect-max = 0.2", "[outbox]", f'path = "{folder}/outbox"', *LIMITS)


@contextlib.contextmanager
def daemon(config, http, path="/healthz"):
    with running([*AS_BATCH, DAEMON[-1], "--config", config]) as process:
        until(lambda: answers(f"http://127.0.0.1:{http}{path}"), "the daemon", PATIENCE, process=process)
        yield process


@contextlib.contextmanager
def outbox(folder):
    mqtt = free_port()
    config, http = with_outbox(folder, mqtt)
    taken = 0

    def load(connections, seconds):
        nonlocal taken
        count, took = store(folder, http, connections, seconds)
        taken += count
        return count, took

    def arrive():
        kill(process)
        with coming_back(folder, mqtt) as arriving, daemon(config, http):
            return taken, arriving(taken)

    with daemon(config, http) as process:
        yield Served(load, arrive)


@contextlib.contextmanager
def connected(folder):
    mqtt = free_port()
    config, http = with_outbox(folder, mqtt)
    with mosquitto(folder, mqtt, BROKER), daemon(config, http, "/readyz"):
        yield Served(lambda connections, seconds: store(folder, http, connections, seconds))


def mosquitto_bridge(*lines):
    """A mosquitto whose bridge queues messages for a broker that is away."""

    @contextlib.contextmanager
    def serve(folder):
        here, away, taken = free_port(), free_port(), 0
        connection = [f"connection away\naddress 127.0.0.1:{away}", f"topic {TOPIC} out 1", "cleansession false"]
        persistence = ["persistence true", f"persistence_location {folder}/"]
        # root may not write where its own user may
        configuration = [BROKER, "user root", *persistence, *lines, *connection, "restart_timeout 1", "notifications false"]

        def load(clients, seconds):
            nonlocal taken
            command = [FAKES / "publisher", here, TOPIC, clients, seconds]
            ran = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
            count, took = ran.stdout.split()
            taken += int(count)
            return int(count), float(took)

        def arrive():
            kill(process)
            with coming_back(folder, away) as arriving, mosquitto(folder, here, *configuration):
                return taken, arriving(taken)

        with mosquitto(folder, here, *configuration) as process:
            yield Served(load, arrive)

    return serve


@contextlib.contextmanager
def node_red(folder):
    port = free_port()
    red = ["node", PLACE / "node_modules/node-red/red.js", "--settings", PLACE / "context-node-red.cjs"]
    with running(red, {"PORT": port, "KEPT": KEPT, "NODE_RED_FOLDER": folder}, cwd=folder) as process:
        until(lambda: connects(port), "node-red", process=process)
        # the flow starts some time after the server
        until(lambda: stores(port), "node-red", process=process, pause=0.1)
        yield Served(lambda connections, seconds: store(folder, port, connections, seconds))


def stores(port):
    with contextlib.suppress(OSError):
        request = urllib.request.Request(f"http://127.0.0.1:{port}/publish", STORE, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=5) as response:
            return response.status == 202


@contextlib.contextmanager
def disk(folder):
    def load(_connections, seconds):
        with (folder / "disk").open("wb", buffering=0) as file:
            # a file that does not grow, so that only the page has to be written
            file.write(bytes(PAGE))
            os.fsync(file)
            count, start = 0, time.monotonic()
            while time.monotonic() < start + seconds:
                os.pwrite(file.fileno(), os.urandom(PAGE), 0)
                os.fdatasync(file)
                count += 1
            return count, time.monotonic() - start

    yield Served(load)


BRIDGE = Peer("mqtt-bridge", "", outbox, is_ours=True)
OTHERS = [
    Peer("mosquitto", "acknowledges first; writes its file every 30 minutes and when it stops", mosquitto_bridge()),
    Peer(
        "mosquitto-saving",
        "acknowledges first; writes its whole file after a change",
        mosquitto_bridge("autosave_on_changes true", "autosave_interval 1"),
    ),
    Peer("node-red", f"writes its whole file for each message, without fsync; keeps {KEPT} messages", node_red, install_node),
]
CONNECTED = Peer("connected", "", connected, is_ours=True)
DISK = Peer("disk", "", disk)
PEERS = [BRIDGE, CONNECTED, *OTHERS, DISK]
PUBLISH, START = "publish", "start"


def measure(peer, connections, seconds, is_killed):
    """The rate; where it is killed also how many messages it had answered for, and how many arrived."""
    with tempfile.TemporaryDirectory() as name, peer.serve(pathlib.Path(name)) as served:
        count, took = served.load(connections, seconds)
        figures = {"rate": count / took}
        if is_killed and served.arrive:
            taken, arrived = served.arrive()
            figures |= {"taken": taken, "arrived": arrived, "lost": max(0, taken - arrived)}
    words = ", ".join(f"{key} {value:.0f}" for key, value in figures.items())
    print(f"{peer.name:16} {connections:3} connections: {words}", flush=True)
    return figures


def take_turns(args):
    """Figures of all rounds by who and connections."""
    runs = {}
    for number in range(args.rounds):
        print(f"round {number + 1} of {args.rounds}, load {os.getloadavg()[0]:.1f}", flush=True)
        for connections in CONNECTIONS:
            for peer in PEERS:
                if peer.name in args.names and (peer != DISK or connections == 1):
                    # all are killed once, with the largest load
                    is_killed = number == 0 and connections == max(CONNECTIONS)
                    figures = measure(peer, connections, args.seconds, is_killed)
                    runs.setdefault((peer.name, connections), []).append(figures)
    return runs


def measure_publishing(args):
    """Ratios of the rates of `POST /publish` with and without an outbox, and of the CPU time for each request."""
    ratios, cpu_ratios = [], []
    with contextlib.ExitStack() as stack:
        folder, mqtt = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory())), free_port()
        stack.enter_context(mosquitto(folder, mqtt, BROKER))
        daemons = {}
        for name in ("with", "without"):
            place = folder / name
            place.mkdir()
            lines = ["[outbox]", f'path = "{place}/outbox"'] if name == "with" else []
            daemons[name] = stack.enter_context(bridge(place, mqtt, *lines))
        # many short turns: other programs disturb a few of them
        for number in range(TURNS * args.rounds):
            rates, cpu = {}, {}
            # the other one first in every second round
            for each in sorted(daemons, reverse=number % 2):
                process, port = daemons[each]
                before = cpu_seconds(process.pid)
                load = wrk(folder, f"http://127.0.0.1:{port}/publish", PLAIN, PUBLISHING, 1)
                cpu[each] = (cpu_seconds(process.pid) - before) / load["requests"]
                assert not load["failed"], f"{load['failed']} of {load['requests']} publishes failed"
                rates[each] = load["rate"]
            ratios.append(rates["with"] / rates["without"])
            cpu_ratios.append(cpu["with"] / cpu["without"])
            print(f"POST /publish, with an outbox: {rates['with']:.0f}, without {rates['without']:.0f}", flush=True)
    print(f"with to without: rates {spread(ratios)}, CPU for each request {spread(cpu_ratios)}", flush=True)
    return ratios, cpu_ratios


def acknowledged(port):
    counts = re.findall(r'publishes_total\{qos="1",result="acknowledged"\} (\d+)', asked(port, "/metrics"))
    return int(counts[0])


def fill(folder, http, messages):
    """Stores so many messages in bulk."""
    body = json.dumps([ITEM] * BULK).encode()
    url = f"http://127.0.0.1:{http}/publish/bulk?ttl=3600"
    headers = {"Content-Type": "application/json", **PREFER}
    for _ in range(messages // BULK):
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as response:
            assert response.status == 202, response.status


def started(config, http, messages):
    """Seconds until `GET /healthz` is answered and until the broker has the first message, and messages per second."""
    begin = time.monotonic()
    with running([*AS_BATCH, DAEMON[-1], "--config", config]) as process:
        until(lambda: answers(f"http://127.0.0.1:{http}/healthz"), "the daemon", PATIENCE, 0.001, process)
        times = {"healthy": time.monotonic() - begin}
        if not messages:
            return times
        until(lambda: acknowledged(http) > 0, "the first message", PATIENCE, 0.001, process)
        first, since = acknowledged(http), time.monotonic()
        times["first"] = since - begin
        until(lambda: acknowledged(http) >= messages, "all messages", PATIENCE, 0.005, process)
        times["rate"] = (acknowledged(http) - first) / (time.monotonic() - since)
        return times


def bulk_rate(folder, http, seconds):
    body = json.dumps([ITEM] * BULK).encode()
    count, start = acknowledged(http), time.monotonic()
    wrk(folder, f"http://127.0.0.1:{http}/publish/bulk", body, BULK_CONNECTIONS, seconds)
    return (acknowledged(http) - count) / (time.monotonic() - start)


def measure_start(args):
    """Rounds with times in milliseconds, and the rate of the drain beside that of bulk publishes."""
    rounds = []
    for _ in range(args.rounds):
        with tempfile.TemporaryDirectory() as name:
            folder, mqtt = pathlib.Path(name), free_port()
            config, http = with_outbox(folder, mqtt)
            with mosquitto(folder, mqtt, BROKER):
                empty = started(config, http, 0)
            with daemon(config, http) as process:
                fill(folder, http, args.messages)
                kill(process)
            size = (folder / "outbox").stat().st_size / 1e6
            with mosquitto(folder, mqtt, BROKER):
                full = started(config, http, args.messages)
            with mosquitto(folder, mqtt, BROKER), bridge(folder, mqtt, "[publish]", "max-waiting = 10000") as (_, web):
                bulk = bulk_rate(folder, web, args.seconds)
        figures = {
            "empty_ms": empty["healthy"] * 1000,
            "healthy_ms": full["healthy"] * 1000,
            "first_ms": full["first"] * 1000,
            "drain_to_bulk": full["rate"] / bulk,
        }
        rounds.append(figures)
        print(
            f"{args.messages} queued in {size:.0f} MB: answers after {figures['healthy_ms']:.0f} ms (empty: "
            f"{figures['empty_ms']:.0f}), first message after {figures['first_ms']:.0f} ms, {full['rate']:.0f} messages "
            f"per second, in bulk {bulk:.0f}",
            flush=True,
        )
    return rounds


def middle(values):
    return statistics.median(values)


def spread(values):
    return [round(value, 2) for value in (middle(values), min(values), max(values))]


def ratios(runs, over, under, connections):
    """Of the rounds."""
    pairs = zip(runs[over.name, connections], runs[under.name, connections])
    return [a["rate"] / b["rate"] for a, b in pairs]


def summaries(runs):
    """A row of the table for each."""
    for peer in [BRIDGE, *OTHERS]:
        killed = runs[peer.name, max(CONNECTIONS)][0]
        of_all = {each: middle(ratios(runs, BRIDGE, peer, each)) for each in CONNECTIONS}
        yield {
            "who": peer.name,
            **{f"ours_to_theirs_{each}": None if peer.is_ours else significant(of_all[each]) for each in CONNECTIONS},
            "lost_percent": round(100 * killed["lost"] / killed["taken"], 1) if "lost" in killed else None,
            "does_less": peer.does,
        }


def significant(ratio):
    """Two significant digits below 1, else one decimal."""
    return float(f"{ratio:.2g}") if ratio < 1 else round(ratio, 1)


def details(runs):
    """Medians, with the smallest and the largest ratio."""
    for peer in [CONNECTED, *OTHERS]:
        for connections in CONNECTIONS:
            values = spread(ratios(runs, BRIDGE, peer, connections))
            yield {"who": peer.name, "connections": connections, "ours_to_theirs": values}
    for connections in CONNECTIONS:
        pairs = zip(runs[BRIDGE.name, connections], runs[DISK.name, 1])
        values = spread([a["rate"] / b["rate"] for a, b in pairs])
        yield {"who": DISK.name, "connections": connections, "ours_to_fdatasync": values}


def row(figures):
    values = figures.values()
    return in_table(*("" if value is None else f"{value:,}" if isinstance(value, int) else str(value) for value in values))


def parsed():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = [*(peer.name for peer in PEERS), PUBLISH, START]
    parser.add_argument("names", nargs="*", metavar="PART", help=", ".join(parts))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of each load")
    parser.add_argument("--messages", type=int, default=100_000, help="queued at the start")
    parser.add_argument("--save", action="store_true", help="write the figures for the pages; of all parts")
    args = parser.parse_args()
    if args.save and args.names:
        parser.error("--save needs all parts")
    if unknown := set(args.names) - set(parts):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    args.names = args.names or parts
    return args


def main():
    args = parsed()
    if not DAEMON[-1].exists():
        sys.exit(f"{DAEMON[-1]} is not there: cargo build --profile dist")
    # where Debian installs daemons, which is not in the PATH of users
    os.environ["PATH"] += ":/usr/sbin"
    for peer in PEERS:
        if peer.name in args.names:
            peer.install()
    load = os.getloadavg()[0]
    runs = take_turns(args)
    publishing, cpu = measure_publishing(args) if PUBLISH in args.names else ([], [])
    starts = measure_start(args) if START in args.names else []
    if len(set(args.names)) < len(PEERS) + 2:
        return
    rows = list(summaries(runs))
    print(*map(row, rows), sep="\n")
    of_starts = {key: [each[key] for each in starts] for key in starts[0]}
    by_connections = {each: middle(ratios(runs, CONNECTED, BRIDGE, each)) for each in CONNECTIONS}
    figures = {
        "rows": rows,
        "connected": {f"to_away_{each}": round(value, 2) for each, value in by_connections.items()},
        "publishing": {"with_to_without": round(middle(publishing), 2), "cpu_with_to_without": round(middle(cpu), 2)},
        "start": {
            "healthy_ms": round(middle(of_starts["healthy_ms"])),
            "empty_ms": round(middle(of_starts["empty_ms"])),
            "first_ms": round(middle(of_starts["first_ms"])),
            "drain_to_bulk": round(middle(of_starts["drain_to_bulk"]), 2),
        },
    }
    more = [*details(runs), {"publish": "with to without", "rates": spread(publishing), "cpu": spread(cpu)}]
    more += [{"start": key, "values": spread(values)} for key, values in of_starts.items()]
    for each in more:
        print(", ".join(f"{key} {value}" for key, value in each.items()))
    conditions = {
        "connections": CONNECTIONS,
        "rounds": args.rounds,
        "seconds": args.seconds,
        "bytes": SIZE,
        "queued": args.messages,
        "publish_connections": PUBLISHING,
        "load_before": round(load, 1),
    }
    save("outbox", figures, conditions, versions=("mosquitto", "wrk", "node"), details=more)
    save_table("performance.md", "outbox", map(row, rows))


if __name__ == "__main__":
    main()
