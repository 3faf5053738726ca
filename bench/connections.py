#!/usr/bin/env python3
"""Opens many connections: how long the last one of a burst waits, and the memory and CPU of 3,000 idle ones.

usage: cargo build --profile dist && bench/connections.py [ROUNDS] [--save]        (needs 8,000 descriptors)
"""

import contextlib
import os
import pathlib
import re
import resource
import socket
import statistics
import tempfile
import time

from measuring import DAEMON, cpu_seconds, resident_mebibytes, running, save, until, whole_numbers

(ROUNDS,) = whole_numbers(5)
BURSTS = (8, 32, 128, 512)
IDLE, IDLE_SECONDS = 3000, 10
REQUEST = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"


@contextlib.contextmanager
def daemon():
    """A new daemon without connections: its process id and address."""
    with tempfile.TemporaryDirectory() as name:
        config, log = pathlib.Path(name) / "bridge.toml", pathlib.Path(name) / "log"
        config.write_text('[http]\nlisten = "127.0.0.1:0"\nmax-connections = 4000\nidle-timeout = 600\n')
        with log.open("wb") as sink, running([*DAEMON, "--config", config], stderr=sink) as process:
            listening = lambda: re.search(r"listening on http://.*:(\d+)", log.read_text())
            port = int(until(listening, "the daemon", process=process)[1])
            yield process.pid, ("127.0.0.1", port)


def connect(address):
    connection = socket.create_connection(address)
    connection.settimeout(10)
    return connection


def burst(address, count):
    """The longest time from a request to its response in milliseconds; the client reads them in order."""
    opened = []
    for _ in range(count):
        connection = connect(address)
        connection.sendall(REQUEST)
        opened.append((connection, time.monotonic()))
    waited = []
    for connection, sent in opened:
        assert connection.recv(4096).startswith(b"HTTP/1.1 404 ")
        waited.append((time.monotonic() - sent) * 1000)
        connection.close()
    return max(waited)


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (8000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    print("connections at once   last answer after (ms: middle, longest)")
    last = []
    for count in BURSTS:
        waited = []
        for _ in range(ROUNDS):
            # a new daemon, so that no thread has served a connection yet
            with daemon() as (_, address):
                waited.append(burst(address, count))
        last.append(round(statistics.median(waited)))
        print(f"{count:19} {statistics.median(waited):12.0f} {max(waited):6.0f}", flush=True)
    with daemon() as (process, address):
        before = resident_mebibytes(process)
        held = [connect(address) for _ in range(IDLE)]
        for connection in held:
            connection.sendall(REQUEST)
            connection.recv(4096)
        cpu, start = cpu_seconds(process), time.monotonic()
        time.sleep(IDLE_SECONDS)
        share = (cpu_seconds(process) - cpu) / (time.monotonic() - start)
        threads = len(os.listdir(f"/proc/{process}/task"))
        resident = resident_mebibytes(process)
        print(f"{IDLE} idle: {resident:.0f} MiB ({before:.1f} before), {share:.1%} of a core, {threads} threads")
    figures = {"burst_last_ms": last[-1], "idle_mib": round(resident), "idle_cpu_percent": round(share * 100)}
    save("connections", figures, {"burst": BURSTS[-1], "idle": IDLE})


main()
