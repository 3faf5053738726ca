#!/usr/bin/env python3
"""Sends messages of MQTT to an HTTP endpoint, with 1 and 16 requests in flight: rates of the daemon and of others.

usage: cargo build --profile dist && bench/webhook.py [--rounds N] [--messages N] [--seconds S] [--save] [PART…]

A PART is mqtt-bridge, node-fetch, node-http, node-red, endpoint or publish; all by default. Needs mosquitto,
mosquitto-clients, wrk, cargo for the endpoint of bench/fakes, and Node.js for the alternatives, which npm installs into
target/peers.

A round starts a broker and the daemon, which makes a session; kills the daemon; publishes all messages at QoS 1, which
the broker keeps; starts the daemon again and reads from the endpoint when each message arrived. The alternatives do the
same in the same round, and wrk shows what the endpoint can take. In the first round a second run of each is killed when
half of the messages have arrived, and started again: how many messages never arrive, and how many arrive twice.

publish: `POST /publish` of a daemon whose webhook waits for an endpoint that never answers, with the messages waiting
at the broker, and of one without a webhook, in turns.

All of them share this machine, so only ratios within a round are saved.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
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
    settled,
    until,
    wrk,
)
from peers import PLACE, in_table, install_node

IN_FLIGHT = (1, 16)
TOPIC, FILTER = "hook/bench", "hook/#"
SIZE = 100
# larger than those of the measured messages
PREPARING = 900_000_000
# the part of the messages between which rate and CPU are measured: the first ones meet a program that warms up
FROM, TO = 0.2, 0.95
# the webhook that waits, and its daemon
STUCK = "stuck"
PUBLISH = b'{"topic":"bench/t","msg":"hello","qos":1}'
CONNECTIONS = 16
# with Nagle's algorithm, its default, the broker waits for acknowledgements of TCP again and again
BROKER = "set_tcp_nodelay true"
# the rounds with runs that are killed
KILLS = 1
# seconds for all messages
PATIENCE = 90


@dataclasses.dataclass
class Peer:
    """One way to send messages to an endpoint."""

    name: str
    does: str
    install: Callable[[], None]
    # the command and its environment, given a folder, the broker's port, the URL and the requests in flight
    command: Callable[[pathlib.Path, int, str, int], tuple[list, dict]]
    # whether a kept order is part of the promise with one request in flight
    keeps_order: bool = True


def webhook(name, topic, url, in_flight):
    values = {"name": name, "topic": topic, "url": url, "in-flight": in_flight}
    # JSON strings and numbers are TOML
    return ["[[webhook]]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]


def daemon(folder, mqtt, url, in_flight):
    config, _ = configured(folder, mqtt, 'client-id = "bench"', *webhook("bench", FILTER, url, in_flight))
    return [*AS_BATCH, DAEMON[-1], "--config", config], {}


def settings(mqtt, url, in_flight):
    return {"MQTT_PORT": mqtt, "ENDPOINT": url, "TOPIC": FILTER, "IN_FLIGHT": in_flight}


def node(client):
    def command(_folder, mqtt, url, in_flight):
        return ["node", PLACE / "webhook.mjs"], {**settings(mqtt, url, in_flight), "CLIENT": client}

    return command


def node_red(folder, mqtt, url, in_flight):
    red = ["node", PLACE / "node_modules/node-red/red.js", "--settings", PLACE / "webhook-node-red.cjs"]
    return red, {**settings(mqtt, url, in_flight), "PORT": free_port(), "NODE_RED_FOLDER": folder}


NODE_DOES = "tries again; one at a time: a request longer than the keep-alive costs the connection"
BRIDGE = Peer("mqtt-bridge", "", lambda: None, daemon)
PEERS = [
    BRIDGE,
    Peer("node-fetch", NODE_DOES, install_node, node("fetch")),
    Peer("node-http", "the same, with node:http instead of fetch", install_node, node("http")),
    Peer("node-red", "acknowledges before the request; does not try again", install_node, node_red, keeps_order=False),
]
ENDPOINT, PUBLISHING = "endpoint", "publish"


@contextlib.contextmanager
def endpoint():
    """The endpoint, when it listens: its URL."""
    port = free_port()
    with running([FAKES / "endpoint", str(port)], stderr=None) as process:
        until(lambda: connects(port), "the endpoint", process=process)
        yield f"http://127.0.0.1:{port}"


def asked(url):
    with urllib.request.urlopen(url, timeout=20) as response:
        return response.read().decode()


def arrived(url):
    return int(asked(f"{url}/count"))


def publish(port, numbers):
    """Publishes these numbers at QoS 1; returns when the broker has acknowledged all."""
    lines = "".join(f"{number:09} ".ljust(SIZE, "x") + "\n" for number in numbers)
    command = ["mosquitto_pub", "-p", str(port), "-q", "1", "-t", TOPIC, "-l"]
    subprocess.run(command, input=lines, text=True, check=True)


def kill(process):
    """Without a chance to finish anything."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def make_session(folder, peer, mqtt, in_flight):
    """Starts the peer until its subscription is there, with an endpoint of its own, and kills it."""
    with endpoint() as url:
        command, env = peer.command(folder, mqtt, url, in_flight)
        with running(command, env, cwd=folder) as process:
            numbers = range(PREPARING, PREPARING + in_flight)
            until(lambda: publish(mqtt, numbers) or arrived(url) == in_flight, peer.name, pause=0.2)
            settled(lambda: len(asked(f"{url}/log")))
            kill(process)


def sent(peer, in_flight, messages, is_killed=False):
    """Lets a peer send all messages: the log of the endpoint, and the CPU seconds for each message."""
    with contextlib.ExitStack() as stack:
        folder, mqtt = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory())), free_port()
        stack.enter_context(mosquitto(folder, mqtt, BROKER))
        make_session(folder, peer, mqtt, in_flight)
        publish(mqtt, range(1, messages + 1))
        url = stack.enter_context(endpoint())
        command, env = peer.command(folder, mqtt, url, in_flight)
        cpu = None
        if is_killed:
            with running(command, env, cwd=folder) as process:
                wait_for(url, messages // 2, process)
                kill(process)
            # what does not come after two starts is lost
            for _ in range(2):
                with running(command, env, cwd=folder) as process:
                    stays(url, messages, process)
        else:
            with running(command, env, cwd=folder) as process:
                samples = []
                for part in (FROM, TO):
                    count = wait_for(url, int(messages * part), process)
                    samples.append((cpu_seconds(process.pid), count))
                (before, first), (after, last) = samples
                cpu = (after - before) / max(1, last - first)
                wait_for(url, messages, process)
                # a request may come again
                settled(lambda: len(asked(f"{url}/log")))
        lines = asked(f"{url}/log").splitlines()
    log = [tuple(map(int, line.split())) for line in lines]
    # the last one of the preparation may come again
    return [each for each in log if each[0] < PREPARING], cpu


def wait_for(url, count, process):
    until(lambda: arrived(url) >= count, f"{count} messages", PATIENCE, 0.02, process)
    return arrived(url)


def stays(url, messages, process):
    """Until all messages have arrived, or none comes for 5 s."""
    last, since = -1, time.monotonic()
    while time.monotonic() < since + 5 and last < messages:
        if process.poll() is not None:
            raise RuntimeError(f"ended with {process.returncode}")
        if (count := arrived(url)) != last:
            last, since = count, time.monotonic()
        time.sleep(0.05)
    settled(lambda: len(asked(f"{url}/log")))


def out_of_order(log):
    """How many messages came after a later one."""
    highest = late = 0
    for number, _ in log:
        late += number < highest
        highest = max(highest, number)
    return late


def measure(peer, in_flight, messages):
    log, cpu = sent(peer, in_flight, messages)
    lost, late = messages - len({number for number, _ in log}), out_of_order(log)
    assert lost == 0, f"{peer.name}: {lost} lost"
    assert not (peer.keeps_order and in_flight == 1 and late), f"{peer.name}: {late} out of order"
    first, last = log[int(messages * FROM)], log[int(messages * TO)]
    rate = int(messages * (TO - FROM)) / (last[1] - first[1]) * 1e6
    return {"rate": rate, "cpu": cpu * 1e6, "repeated": len(log) - messages, "out_of_order": late}


def measure_kill(peer, in_flight, messages):
    log, _ = sent(peer, in_flight, messages, is_killed=True)
    different = len({number for number, _ in log})
    return {"lost": messages - different, "repeated": len(log) - different, "out_of_order": out_of_order(log)}


def capacity(in_flight, seconds):
    """What the endpoint takes from wrk over as many connections."""
    with endpoint() as url, tempfile.TemporaryDirectory() as name:
        return {"rate": wrk(pathlib.Path(name), url, b"1".ljust(SIZE, b"x"), in_flight, seconds)["rate"]}


def show(name, in_flight, figures):
    words = ", ".join(f"{key} {value:.0f}" for key, value in figures.items())
    print(f"{name:12} {in_flight:3} in flight: {words}", flush=True)
    return figures


def take_turns(args):
    """Figures of all rounds by who and requests in flight, and those of the runs that were killed."""
    peers = [peer for peer in PEERS if peer.name in args.names]
    runs, kills = {}, {}
    for number in range(args.rounds):
        print(f"round {number + 1} of {args.rounds}, load {os.getloadavg()[0]:.1f}", flush=True)
        for in_flight in IN_FLIGHT:
            for peer in peers:
                figures = show(peer.name, in_flight, measure(peer, in_flight, args.messages))
                runs.setdefault((peer.name, in_flight), []).append(figures)
            if ENDPOINT in args.names:
                figures = show(ENDPOINT, in_flight, capacity(in_flight, args.seconds))
                runs.setdefault((ENDPOINT, in_flight), []).append(figures)
            for peer in peers if number < KILLS else []:
                figures = show(f"{peer.name}, killed", in_flight, measure_kill(peer, in_flight, args.messages))
                kills.setdefault((peer.name, in_flight), []).append(figures)
    return runs, kills


@contextlib.contextmanager
def stuck(folder, in_flight, messages):
    """A daemon with a webhook whose endpoint never answers, and one without: their HTTP ports."""
    with contextlib.ExitStack() as stack:
        mqtt = free_port()
        stack.enter_context(mosquitto(folder, mqtt, BROKER))
        url = stack.enter_context(endpoint())
        ports = {}
        for name, lines in (("without", []), (STUCK, webhook(STUCK, FILTER, f"{url}/stuck", in_flight))):
            place = folder / name
            place.mkdir()
            _, ports[name] = stack.enter_context(bridge(place, mqtt, f'client-id = "{name}"', *lines))
        # from here on the webhook is subscribed
        until(lambda: publish(mqtt, [PREPARING]) or arrived(url), "the webhook", pause=0.2)
        publish(mqtt, range(1, messages + 1))
        until(lambda: arrived(url) == in_flight, "the requests in flight")
        yield folder, ports


def measure_publishing(args):
    """Ratios of the rates of `POST /publish` with and without a stuck webhook, by requests in flight."""
    ratios = {}
    for in_flight in IN_FLIGHT:
        with tempfile.TemporaryDirectory() as name, stuck(pathlib.Path(name), in_flight, args.messages) as (folder, ports):
            for number in range(args.rounds):
                rates = {}
                # the other one first in every second round
                for each in sorted(ports, reverse=number % 2):
                    load = wrk(folder, f"http://127.0.0.1:{ports[each]}/publish", PUBLISH, CONNECTIONS, args.seconds)
                    assert not load["failed"], f"{load['failed']} of {load['requests']} publishes failed"
                    rates[each] = load["rate"]
                ratios.setdefault(in_flight, []).append(rates[STUCK] / rates["without"])
                print(f"POST /publish, {in_flight} stuck: {rates[STUCK]:.0f}, without {rates['without']:.0f}", flush=True)
    return ratios


def middle(values):
    return statistics.median(values)


def spread(values):
    return [round(value, 2) for value in (middle(values), min(values), max(values))]


def ratios(runs, over, under, key):
    """Of the rounds, by requests in flight."""
    pairs = {each: zip(runs[over, each], runs[under, each]) for each in IN_FLIGHT}
    return {each: [a[key] / b[key] for a, b in pairs[each]] for each in IN_FLIGHT}


def summaries(runs, kills):
    """A row of the table for each."""
    for peer in PEERS:
        of_kills = [figures for in_flight in IN_FLIGHT for figures in kills[peer.name, in_flight]]
        rates, cpu = ratios(runs, BRIDGE.name, peer.name, "rate"), ratios(runs, peer.name, BRIDGE.name, "cpu")
        is_other = peer != BRIDGE
        yield {
            "who": peer.name,
            **{f"ours_to_theirs_{each}": round(middle(rates[each]), 1) if is_other else None for each in IN_FLIGHT},
            **{f"cpu_to_ours_{each}": round(middle(cpu[each]), 1) if is_other else None for each in IN_FLIGHT},
            "lost": max(each["lost"] for each in of_kills),
            "repeated": max(each["repeated"] for each in of_kills),
            "does_less": peer.does,
        }


def details(runs, kills):
    """Medians, with the smallest and the largest ratio."""
    for (who, in_flight), rounds in runs.items():
        rates = ratios(runs, BRIDGE.name, who, "rate")[in_flight]
        keys = ("repeated", "out_of_order")
        yield {
            "who": who,
            "in_flight": in_flight,
            "ours_to_theirs": spread(rates),
            **{key: max(each[key] for each in rounds) for key in keys if key in rounds[0]},
        }
    for (who, in_flight), rounds in kills.items():
        yield {"who": f"{who}, killed", "in_flight": in_flight, **{key: [each[key] for each in rounds] for key in rounds[0]}}


def row(figures):
    values = figures.values()
    return in_table(*("" if value is None else f"{value:,}" if isinstance(value, int) else str(value) for value in values))


def parsed():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = [*(peer.name for peer in PEERS), ENDPOINT, PUBLISHING]
    parser.add_argument("names", nargs="*", metavar="PART", help=", ".join(parts))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=3, help="of each load of wrk")
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
    build_fakes()
    for peer in PEERS:
        if peer.name in args.names:
            peer.install()
    load = os.getloadavg()[0]
    runs, kills = take_turns(args)
    publishing = measure_publishing(args) if PUBLISHING in args.names else {}
    if len(set(args.names)) < len(PEERS) + 2:
        return
    rows, takes = list(summaries(runs, kills)), ratios(runs, ENDPOINT, BRIDGE.name, "rate")
    print(*map(row, rows), sep="\n")
    figures = {
        "rows": rows,
        "endpoint": {f"takes_{each}": round(middle(takes[each]), 1) for each in IN_FLIGHT},
        "publishing": {f"with_stuck_{each}": round(middle(publishing[each]), 2) for each in IN_FLIGHT},
    }
    more = [*details(runs, kills), *({"publish, in flight": each, "with_stuck": spread(publishing[each])} for each in IN_FLIGHT)]
    for each in more:
        print(", ".join(f"{key} {value}" for key, value in each.items()))
    conditions = {
        "in_flight": IN_FLIGHT,
        "messages": args.messages,
        "rounds": args.rounds,
        "bytes": SIZE,
        "publish_connections": CONNECTIONS,
        "load_before": round(load, 1),
    }
    save("webhook", figures, conditions, versions=("mosquitto", "wrk", "node"), details=more)
    save_table("performance.md", "webhook", map(row, rows))


if __name__ == "__main__":
    main()
