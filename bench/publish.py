#!/usr/bin/env python3
"""Loads POST /publish: requests per second, latency, CPU per request, memory, and the messages that a subscriber got.

usage: cargo build --profile dist && bench/publish.py [SECONDS]        (needs wrk, mosquitto and mosquitto-clients)

wrk, the broker, the subscriber and the daemon share this machine: compare figures of one run with each other only, not
with those of another machine or day.
"""

import json
import pathlib
import sys
import tempfile

from measuring import (
    answers,
    bridge,
    cpu_seconds,
    free_port,
    mosquitto,
    resident_mebibytes,
    settled_size,
    subscriber,
    wrk,
)

CONNECTIONS = (1, 16, 64)
SECONDS = int(sys.argv[1]) if len(sys.argv) > 1 else 5
HEADER = f"{'protocol':8} {'qos':>3} {'conns':>5} {'req/s':>8} {'p50 ms':>7} {'p99 ms':>7} {'CPU us/req':>10} " \
         f"{'RSS MiB':>7} {'answered 200':>12} {'received':>9}"


def measure(folder, protocol, qos, connections):
    mqtt = free_port()
    body = json.dumps({"topic": "bench/t", "msg": "hello", "qos": qos}).encode()
    with mosquitto(folder, mqtt), bridge(folder, mqtt, f'protocol = "{protocol}"') as (daemon, http):
        url = f"http://127.0.0.1:{http}/publish"
        with subscriber(folder, mqtt, lambda: answers(url, body)) as received:
            count, before = settled_size(received) // 2, cpu_seconds(daemon.pid)
            load = wrk(folder, url, body, connections, SECONDS)
            cpu, resident = cpu_seconds(daemon.pid) - before, resident_mebibytes(daemon.pid)
            count = settled_size(received) // 2 - count
    return load, cpu, resident, count


def main():
    print(HEADER)
    with tempfile.TemporaryDirectory() as name:
        for connections in CONNECTIONS:
            for protocol, qos in (("5", 0), ("5", 1), ("5", 2), ("3.1.1", 0), ("3.1.1", 1)):
                load, cpu, resident, count = measure(pathlib.Path(name), protocol, qos, connections)
                print(f"{protocol:8} {qos:3} {connections:5} {load['rate']:8.0f} {load['p50']:7.2f} {load['p99']:7.2f} "
                      f"{cpu / load['requests'] * 1e6:10.1f} {resident:7.1f} "
                      f"{load['requests'] - load['failed']:12} {count:9}", flush=True)


if __name__ == "__main__":
    main()
