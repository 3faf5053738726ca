#!/usr/bin/env python3
"""Profiles the daemon: CPU by thread and by function, system calls and allocations for each request.

usage: bench/profiler.py [--qos Q] [--connections N] [--seconds S]      (needs wrk, mosquitto, perf, strace and cc)

It builds the daemon with symbols into target/profile. strace slows it down, which changes how much is done in one step:
compare its counts only with those of another commit.
"""

import argparse
import collections
import contextlib
import json
import os
import pathlib
import re
import struct
import subprocess
import tempfile
import urllib.request

from measuring import AS_BATCH, ROOT, connects, free_port, mosquitto, running, until, wrk_command

TARGET = ROOT / "target/profile"
DAEMON = TARGET / "dist/mqtt-bridge"
SHOWN = 25


def build():
    env = {
        "CARGO_TARGET_DIR": TARGET,
        "CARGO_PROFILE_DIST_DEBUG": "1",
        "CARGO_PROFILE_DIST_STRIP": "false",
        "RUSTFLAGS": "-C force-frame-pointers=yes",
    }
    env = {**os.environ, **{key: str(value) for key, value in env.items()}}
    subprocess.run(["cargo", "build", "--profile", "dist", "--locked", "--quiet", "-p", "mqtt-bridge"], cwd=ROOT, env=env, check=True)


def requests(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as response:
        counts = re.findall(rb'publishes_total\{qos="\d",result="(?:handed_over|acknowledged)"\} (\d+)', response.read())
    return sum(map(int, counts))


@contextlib.contextmanager
def daemon(folder, around=()):
    """The daemon with a broker, started by another program if one is given: its process and its port."""
    mqtt, http = free_port(), free_port()
    config = folder / "bridge.toml"
    config.write_text(f'[mqtt]\nport = {mqtt}\n[http]\nlisten = "127.0.0.1:{http}"\n')
    with mosquitto(folder, mqtt):
        with running([*around, *AS_BATCH, DAEMON, "--config", config]) as process:
            until(lambda: connects(http), "the daemon")
            # the first request waits for the connection to the broker
            body = b'{"topic": "bench/t", "msg": "hello"}'
            urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{http}/publish", body)).close()
            yield process, http


def load(folder, port, args):
    body = json.dumps({"topic": "bench/t", "msg": "hello", "qos": args.qos}).encode()
    return wrk_command(folder, f"http://127.0.0.1:{port}/publish", body, args.connections, args.seconds)


def quietly(command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def shares(data, key):
    """The lines of a report: shares and names."""
    report = ["perf", "report", "-i", data, "--no-children", "--stdio", "-g", "none", "-s", key]
    lines = (line.split(None, 1) for line in quietly(report).splitlines() if line and not line.startswith("#"))
    return [(float(share.rstrip("%")), name.strip()) for share, name in lines]


def cpu(args):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        data = folder / "perf.data"
        with daemon(folder) as (process, port):
            record = ["perf", "record", "-q", "-g", "-F", "2000", "-p", str(process.pid), "-o", data]
            before = requests(port)
            quietly([*record, "--", *load(folder, port, args)])
            count = requests(port) - before
        print(f"\nCPU of {count} requests, by thread and by function (those over 0.5 %, {SHOWN} at most)")
        for key in ("comm", "sym"):
            for share, what in shares(data, key)[:SHOWN]:
                if share >= 0.5:
                    print(f"{share:6.1f} %  {what}")
            print()


def system_calls(args):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        trace = folder / "strace"
        with daemon(folder, ["strace", "-f", "-qq", "--signal=none", "-o", trace]) as (_, port):
            # calls of the start do not count
            begun, before = len(trace.read_text().splitlines()), requests(port)
            quietly(load(folder, port, args))
            count = requests(port) - before
            lines = trace.read_text().splitlines()[begun:]
    calls = collections.Counter(found[1] for line in lines if (found := re.match(r"\d+ +(\w+)\(", line)))
    print(f"system calls for each of {count} requests: {calls.total() / count:.1f}")
    for what, times in calls.most_common():
        if times / count >= 0.02:
            print(f"{times / count:6.2f}  {what}")


def allocations(args):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        library, counted = folder / "allocations.so", folder / "counted"
        quietly(["cc", "-O2", "-shared", "-fPIC", "-o", library, ROOT / "bench/allocations.c", "-ldl"])
        counted.write_bytes(bytes(16))
        with daemon(folder, ["env", f"LD_PRELOAD={library}", f"ALLOCATIONS={counted}"]) as (_, port):
            before, (few, few_bytes) = requests(port), struct.unpack("2L", counted.read_bytes())
            quietly(load(folder, port, args))
            many, many_bytes = struct.unpack("2L", counted.read_bytes())
            count = requests(port) - before
    print(f"\nallocations for each of {count} requests: {(many - few) / count:.1f}, {(many_bytes - few_bytes) / count:.0f} bytes together")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--qos", type=int, default=0)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=int, default=3)
    args = parser.parse_args()
    build()
    cpu(args)
    system_calls(args)
    allocations(args)


main()
