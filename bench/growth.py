#!/usr/bin/env python3
"""Measures how the daemon's figures grow with connections, payload, waiting publishes and latency, and plots them.

usage: cargo build --profile dist && bench/growth.py [--seconds S] [--rounds N] [--draw] [--save] [AXIS…]

An AXIS is connections, payload, waiting or link; all by default. Figures of other axes are kept. --draw only draws the
plots from the existing figures. Both are in docs/growth. --save writes the figures that the pages quote to
docs/figures/growth.json. Needs wrk, mosquitto and cargo, which builds the broker and
the relay of bench/fakes into target/fakes. All child processes are ended.

wrk, the broker and the daemon share this machine. Each figure is the median of several rounds, each with a new broker
and daemon; a round passes all points, so that noise of the machine affects all of them.
"""

import argparse
import collections
import contextlib
import dataclasses
import datetime
import json
import math
import os
import pathlib
import platform
import re
import resource
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable

from measuring import (
    DAEMON,
    FAKES,
    ROOT,
    build_fakes,
    connects,
    cpu_seconds,
    free_port,
    mosquitto,
    resident_mebibytes,
    running,
    save,
    until,
    wrk,
)
from plots import Panel, Plot

PLACE = ROOT / "docs/growth"
FIGURES = PLACE / "figures.json"
# limits for 1,000 connections and 1 MiB, and a short timeout for the stop; otherwise the defaults
CONFIGURATION = """\
[mqtt]
port = {mqtt}
max-packet-size = 2097152
[publish]
timeout = 5
max-waiting = 2000
[http]
listen = "127.0.0.1:{http}"
max-body = 2097152
max-connections = 2000
"""
# numbers of the load and of the default limits, which the pages quote with the figures
CONDITIONS = {
    "connections": [1, 10, 16, 64, 100, 1000],
    "payload": "1 KiB, 1 MiB",
    "waiting": [10, 500],
    "round_trip_ms": 50,
    "window": 20,
    "max_inflight": 1000,
    "publishes_per_second": 1_000_000,
}
DESCRIPTORS = 5000
# the daemon disconnects a broker that withholds an acknowledgement for 30 s
MOST_SECONDS = 20
KIB, MIB = 1024, 1024 * 1024


@dataclasses.dataclass
class Series:
    """One line of a plot."""

    name: str
    qos: int
    # lines of mosquitto's configuration
    broker: tuple[str, ...] = ()


@dataclasses.dataclass
class Axis:
    """What grows; `measure` gets a folder, the series, the value and seconds."""

    title: str
    label: str
    # the values, and how they are written
    at: dict[int, str]
    measure: Callable[[pathlib.Path, Series, int, int], dict]
    load: str
    series: tuple[Series, ...] = (Series("QoS 0", 0), Series("QoS 1", 1))
    panels: tuple[Panel, ...] = ()


def post(url, qos):
    """The status of a publish with a timeout of three seconds."""
    body = json.dumps({"topic": "bench/t", "msg": "hello", "qos": qos, "timeout": 3}).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=10) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


@contextlib.contextmanager
def bridge(folder, mqtt):
    """The daemon, connected to the broker on this port: its process and the URL for publishes."""
    http, config = free_port(), folder / "bridge.toml"
    config.write_text(CONFIGURATION.format(mqtt=mqtt, http=http))
    with running([*DAEMON, "--config", config]) as process:
        url = f"http://127.0.0.1:{http}/publish"
        until(lambda: post(url, 0) == 200, "the daemon")
        yield process, url


def load(folder, process, url, qos, connections, seconds, size=5):
    """Loads the daemon, and returns its figures."""
    body = json.dumps({"topic": "bench/t", "qos": qos, "msg": "hello" if size == 5 else "x" * size}).encode()
    before = cpu_seconds(process.pid)
    counted = wrk(folder, url, body, connections, seconds)
    cpu, answered = cpu_seconds(process.pid) - before, counted["requests"] - counted["failed"]
    rate = counted["rate"] * answered / max(1, counted["requests"])
    return {
        "rate": rate,
        "p50": counted["p50"],
        "p99": counted["p99"],
        "cpu": cpu / max(1, answered) * 1e6,
        "rss": resident_mebibytes(process.pid),
        "megabytes": rate * size / 1e6,
        "answered": answered,
        "failed": counted["failed"],
    }


def with_connections(folder, series, count, seconds):
    mqtt = free_port()
    with mosquitto(folder, mqtt, *series.broker) as broker, bridge(folder, mqtt) as (process, url):
        before = cpu_seconds(broker.pid)
        figures = load(folder, process, url, series.qos, count, seconds)
        spent = cpu_seconds(broker.pid) - before
        return {**figures, "broker": spent / max(1, figures["answered"]) * 1e6}


def with_payload(folder, series, size, seconds):
    mqtt = free_port()
    with mosquitto(folder, mqtt, *series.broker), bridge(folder, mqtt) as (process, url):
        return load(folder, process, url, series.qos, 16, seconds, size)


def with_waiting(folder, series, count, seconds):
    mqtt = free_port()
    with fake("withholding", mqtt), bridge(folder, mqtt) as (process, url), held(process, url, count):
        figures = load(folder, process, url, series.qos, 16, seconds)
        # messages that pass before it stands still give no rate
        return figures if post(url, series.qos) == 200 else {"passed": figures["answered"]}


def with_link(folder, series, milliseconds, seconds):
    broker, relay = free_port(), free_port()
    with mosquitto(folder, broker, *series.broker), fake("delaying", relay, broker, milliseconds):
        with bridge(folder, relay) as (process, url):
            return load(folder, process, url, series.qos, 64, seconds)


@contextlib.contextmanager
def fake(name, port, *arguments):
    with running([FAKES / name, *map(str, [port, *arguments])]):
        until(lambda: connects(port), name)
        yield


@contextlib.contextmanager
def held(process, url, count):
    """Publishes that the broker does not acknowledge. Ends the daemon, and checks that each gets one response."""
    host, port = re.search(r"//(.+):(\d+)/", url).groups()
    body = b'{"topic":"hold","msg":"hello","qos":1,"timeout":60}'
    request = b"POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(socket.create_connection((host, port), 10)) for _ in range(count)]
        for connection in connections:
            connection.sendall(request)
        until(lambda: unacknowledged(url) == count, f"{count} publishes that wait")
        yield
        process.terminate()
        process.wait(20)
        answers = collections.Counter(connection.recv(4096)[9:12].decode() for connection in connections)
        # handed over to a connection, so that the outcome is unknown
        if answers != collections.Counter({"504": count} if count else {}):
            raise RuntimeError(f"{count} publishes waited, and were answered {dict(answers)}")


def unacknowledged(url):
    with urllib.request.urlopen(url.replace("/publish", "/status"), timeout=10) as response:
        return json.load(response)["publishes"]["unacknowledged"]


WINDOWS = (
    Series("QoS 0", 0),
    Series("QoS 1, window 20", 1),
    Series("window 20, no delay", 1, ("set_tcp_nodelay true",)),
    Series("QoS 1, window 1,000", 1, ("max_inflight_messages 1000",)),
)
AXES = {
    "connections": Axis(
        "By connections",
        "connections, each with one request at a time",
        {count: f"{count:,}" for count in (1, 10, 100, 1000)},
        with_connections,
        "mosquitto with its defaults, a payload of 5 B",
        panels=(Panel("broker", "the broker's CPU µs per request"),),
    ),
    "payload": Axis(
        "By the size of the payload",
        "payload",
        {5: "5 B", KIB: "1 KiB", 16 * KIB: "16 KiB", 128 * KIB: "128 KiB", MIB: "1 MiB"},
        with_payload,
        "mosquitto with its defaults, 16 connections",
        panels=(Panel("megabytes", "MB/s of payload", is_log=True),),
    ),
    "waiting": Axis(
        "While the broker withholds acknowledgements",
        "publishes at QoS 1 that wait",
        {count: f"{count:,}" for count in (0, 10, 100, 500, 1000)},
        with_waiting,
        "a broker of our own (bench/fakes), 16 connections, a payload of 5 B",
    ),
    "link": Axis(
        "By the round trip to the broker",
        "milliseconds to the broker and back",
        {0: "0", 10: "10", 50: "50", 200: "200"},
        with_link,
        "mosquitto behind a relay that delays (bench/fakes), 64 connections, a payload of 5 B",
        series=WINDOWS,
    ),
}
PANELS = (
    Panel("rate", "req/s", is_wide=True, tells_stops=True),
    Panel("p50", "p50, ms", is_log=True),
    Panel("p99", "p99, ms", is_log=True),
    Panel("cpu", "CPU µs per request"),
    Panel("rss", "resident memory, MiB"),
)


def middle(rounds):
    """The medians of all rounds, and the range of the rate. If one round stood still, the point counts as such."""
    if passed := [each["passed"] for each in rounds if "passed" in each]:
        return {"passed": round(statistics.median(passed))}
    figures = {key: round(statistics.median(each[key] for each in rounds), 3) for key in rounds[0]}
    rates = [round(each["rate"], 3) for each in rounds]
    return {**figures, "failed": sum(each["failed"] for each in rounds), "rates": [min(rates), max(rates)]}


def measure(name, args):
    axis, rounds = AXES[name], collections.defaultdict(list)
    for number in range(args.rounds):
        for at in axis.at:
            for series in axis.series:
                with tempfile.TemporaryDirectory() as folder:
                    figures = axis.measure(pathlib.Path(folder), series, at, args.seconds)
                rounds[series.name, at].append(figures)
                where = f"{name}, round {number + 1} of {args.rounds}, {axis.at[at]}, {series.name}"
                print(f"{where}: {in_words(figures)}", file=sys.stderr, flush=True)
    series = {each.name: [{"at": at, **middle(rounds[each.name, at])} for at in axis.at] for each in axis.series}
    return {**circumstances(args), "load": axis.load, "series": series}


def in_words(figures):
    if "passed" in figures:
        return f"stands still after {figures['passed']:,}"
    failed = f", {figures['failed']} failed" if figures["failed"] else ""
    return f"{figures['rate']:,.0f} req/s{failed}"


def circumstances(args):
    models = re.findall(r"model name\s*: (.+)", pathlib.Path("/proc/cpuinfo").read_text())
    return {
        "date": datetime.date.today().isoformat(),
        "command": shlex.join(["bench/growth.py", *sys.argv[1:]]),
        "cpu": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "seconds": args.seconds,
        "rounds": args.rounds,
        "bridge.toml": CONFIGURATION,
    }


def write(figures):
    """Writes the figures, one line for each point."""
    text = json.dumps(figures, indent=1, ensure_ascii=False)
    FIGURES.write_text(re.sub(r"\{[^{}]*\}", lambda point: " ".join(point[0].split()), text) + "\n")


def draw(name, figures):
    axis = AXES[name]
    notes = [
        f"MQTT 5, {figures['load']}; no subscriber.",
        f"{figures['date']}: {figures['command']}, the median of {figures['rounds']} × {figures['seconds']} s.",
        f"wrk, broker and daemon share {figures['cores']} cores: {figures['cpu']}.",
    ]
    plot = Plot(axis.title, axis.label, axis.at, [*PANELS, *axis.panels], figures["series"], notes)
    (PLACE / f"{name}.svg").write_text(plot.svg())


def quoted(figures):
    """The figures that the pages quote, and what a million publishes per second take by them."""
    found = {
        (axis, series, point["at"]): point
        for axis, those in figures.items()
        for series, points in those["series"].items()
        for point in points
    }
    connections = lambda qos, at, key: found["connections", f"QoS {qos}", at][key]
    link = lambda series: round(found["link", series, 50]["rate"])
    two_digits = lambda number: int(float(f"{number:.2g}"))
    cpu = [round(connections(qos, 10, "cpu")) for qos in (0, 1)]
    return {
        "rate_from_1": [two_digits(connections(qos, 1, "rate")) for qos in (0, 1)],
        "rate_from_100": [two_digits(connections(qos, 100, "rate")) for qos in (0, 1)],
        "rate_from_1000": [two_digits(connections(qos, 1000, "rate")) for qos in (0, 1)],
        "mib_with_1": round(connections(0, 1, "rss")),
        "mib_with_1000": round(connections(0, 1000, "rss")),
        "cpu_us": cpu,
        "broker_cpu_us": [round(connections(qos, 10, "broker")) for qos in (0, 1)],
        "payload_megabytes": two_digits(found["payload", "QoS 0", MIB]["megabytes"]),
        "p99_ms_with_500_waiting": round(found["waiting", "QoS 0", 500]["p99"]),
        "passed_with_10_waiting": found["waiting", "QoS 1", 10]["passed"],
        "link_rate": link("QoS 1, window 20"),
        "link_rate_no_delay": link("window 20, no delay"),
        "link_rate_window_1000": link("QoS 1, window 1,000"),
        # with a third in reserve
        "cores_for_a_million": [math.ceil(each * 1.5) for each in cpu],
    }


def prepare():
    if not DAEMON[-1].exists():
        sys.exit(f"{DAEMON[-1]} is not there: cargo build --profile dist")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, DESCRIPTORS), hard))
    build_fakes()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("axes", nargs="*", metavar="AXIS", help=", ".join(AXES))
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--draw", action="store_true", help="only draw the plots again")
    parser.add_argument("--save", action="store_true", help="write the figures that the pages quote; needs all axes")
    args = parser.parse_args()
    if unknown := set(args.axes) - set(AXES):
        parser.error(f"no such axis: {', '.join(sorted(unknown))}")
    if not 1 <= args.seconds <= MOST_SECONDS or args.rounds < 1:
        parser.error(f"--seconds is 1 to {MOST_SECONDS}, --rounds 1 or more")

    PLACE.mkdir(parents=True, exist_ok=True)
    figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    if not args.draw:
        prepare()
        for name in args.axes or AXES:
            figures[name] = measure(name, args)
            write(figures)
    for name in args.axes or AXES:
        if name in figures:
            draw(name, figures[name])
    if args.save:
        # the figures of an axis may be older than this run
        command = "; ".join(sorted({each["command"] for each in figures.values()}))
        date = min(each["date"] for each in figures.values())
        save("growth", quoted(figures), CONDITIONS, versions=("mosquitto", "wrk"), command=command, date=date)


main()
