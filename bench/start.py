#!/usr/bin/env python3
"""Starts the packaged daemon twenty times: time until a request is answered, and memory when idle.

usage: cargo build --profile dist && bench/start.py [--save]        (needs mosquitto)
"""

import pathlib
import socket
import statistics
import tempfile
import time

from measuring import DAEMON, configured, free_port, mosquitto, resident_mebibytes, running, save, until

RUNS = 20
SETTLING_SECONDS = 0.3


def responds(port):
    """Whether a request gets any response."""
    try:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return connection.recv(64)
    except OSError:
        return False


def run(config, port):
    """Milliseconds from the start to the first response, and mebibytes some time later."""
    begin = time.perf_counter()
    # without chrt, whose start would count too
    with running([DAEMON[-1], "--config", config]) as process:
        until(lambda: responds(port), "the daemon", pause=0.0005, process=process)
        ready = time.perf_counter() - begin
        time.sleep(SETTLING_SECONDS)
        return ready * 1000, resident_mebibytes(process.pid)


def main():
    mqtt = free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        config, http = configured(folder, mqtt, "[[subscribe]]", 'topic = "django/mqtt"')
        with mosquitto(folder, mqtt):
            ready, resident = zip(*(run(config, http) for _ in range(RUNS)))
    first, idle = statistics.median(ready), statistics.median(resident)
    print(f"ready after {first:.1f} ms (median of {RUNS}), {max(ready):.1f} ms at most")
    print(f"idle at {idle:.1f} MiB (median), {max(resident):.1f} MiB at most")
    save("start", {"ready_ms": round(first), "idle_mib": round(idle, 1)}, {"runs": RUNS}, versions=["mosquitto"])


main()
