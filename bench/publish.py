#!/usr/bin/env python3
"""Loads POST /publish: requests per second, latency, CPU per request, memory, and the messages that a subscriber got.

usage: cargo build --profile dist && bench/publish.py [SECONDS] [--save]      (needs wrk, mosquitto and mosquitto-clients)

--save writes the figures to docs/figures/publish.json, and the table in docs/performance.md.

wrk, the broker, the subscriber and the daemon share this machine: compare figures of one run with each other only, not
with those of another machine or day.
"""

import argparse
import json
import pathlib
import tempfile

from measuring import (
    answers,
    bridge,
    cpu_seconds,
    free_port,
    mosquitto,
    resident_mebibytes,
    save,
    save_table,
    settled_size,
    subscriber,
    wrk,
)

CONNECTIONS = (1, 16, 64)
HEADER = f"{'protocol':8} {'qos':>3} {'conns':>5} {'req/s':>8} {'p50 ms':>7} {'p99 ms':>7} {'CPU us/req':>10} " \
         f"{'RSS MiB':>7} {'answered 200':>12} {'received':>9}"


def measure(folder, protocol, qos, connections, seconds):
    mqtt = free_port()
    body = json.dumps({"topic": "bench/t", "msg": "hello", "qos": qos}).encode()
    with mosquitto(folder, mqtt), bridge(folder, mqtt, f'protocol = "{protocol}"') as (daemon, http):
        url = f"http://127.0.0.1:{http}/publish"
        with subscriber(folder, mqtt, lambda: answers(url, body)) as received:
            count, before = settled_size(received) // 2, cpu_seconds(daemon.pid)
            load = wrk(folder, url, body, connections, seconds)
            cpu, resident = cpu_seconds(daemon.pid) - before, resident_mebibytes(daemon.pid)
            count = settled_size(received) // 2 - count
    return load, cpu, resident, count


def row(figures):
    """One line of the table in docs/performance.md."""
    return (
        f"| MQTT {figures['protocol']}, QoS {figures['qos']} | {figures['connections']} | {figures['rate']:,} | "
        f"{figures['p50_ms']:.2f} ms | {figures['p99_ms']:.2f} ms | {figures['cpu_us']} µs | {figures['rss_mib']:.1f} MiB |"
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("seconds", nargs="?", type=int, default=5)
    parser.add_argument("--save", action="store_true")
    arguments = parser.parse_args()
    rows = []
    print(HEADER)
    with tempfile.TemporaryDirectory() as name:
        for connections in CONNECTIONS:
            for protocol, qos in (("5", 0), ("5", 1), ("5", 2), ("3.1.1", 0), ("3.1.1", 1)):
                measured = measure(pathlib.Path(name), protocol, qos, connections, arguments.seconds)
                load, cpu, resident, count = measured
                cpu = cpu / load["requests"] * 1e6
                print(f"{protocol:8} {qos:3} {connections:5} {load['rate']:8.0f} {load['p50']:7.2f} {load['p99']:7.2f} "
                      f"{cpu:10.1f} {resident:7.1f} {load['requests'] - load['failed']:12} {count:9}", flush=True)
                rows.append({
                    "protocol": protocol, "qos": qos, "connections": connections, "rate": round(load["rate"]),
                    "p50_ms": round(load["p50"], 2), "p99_ms": round(load["p99"], 2), "cpu_us": round(cpu),
                    "rss_mib": round(resident, 1),
                })
    save("publish", {"rows": rows}, versions=("mosquitto", "wrk"))
    save_table("performance.md", "publish", map(row, rows))


if __name__ == "__main__":
    main()
