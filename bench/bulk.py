#!/usr/bin/env python3
"""Publishes at QoS 1 one by one and a hundred at a time, over 16 connections: messages per second, and the ratio.

usage: cargo build --profile dist && bench/bulk.py [SECONDS [ROUNDS]] [--save]        (needs wrk and mosquitto)

Both ways take turns with one daemon and one broker, so that noise of the machine affects both.
"""

import json
import pathlib
import re
import statistics
import tempfile
import time
import urllib.request

from measuring import bridge, cpu_seconds, free_port, mosquitto, save, whole_numbers, wrk

SECONDS, ROUNDS = whole_numbers(5, 3)
CONNECTIONS, ITEMS = 16, 100
ITEM = {"topic": "bench/t", "msg": "hello", "qos": 1}


def acknowledged(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as response:
        return int(re.search(rb'publishes_total\{qos="1",result="acknowledged"\} (\d+)', response.read())[1])


def measure(folder, daemon, port, path, items):
    """Messages per second that the broker acknowledged, and the CPU time for each."""
    body = json.dumps(ITEM if items == 1 else [ITEM] * items).encode()
    cpu, count, start = cpu_seconds(daemon.pid), acknowledged(port), time.perf_counter()
    load = wrk(folder, f"http://127.0.0.1:{port}{path}", body, CONNECTIONS, SECONDS)
    cpu, count, took = cpu_seconds(daemon.pid) - cpu, acknowledged(port) - count, time.perf_counter() - start
    asked, p99 = load["requests"] * items, f"{load['p99']:.2f}ms"
    each = cpu / max(1, count) * 1e6
    print(f"{path:14} {items:5} {count / took:10.0f} {p99:>9} {max(0, asked - count):6} {each:14.1f}", flush=True)
    return count / took, each


def main():
    mqtt = free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        with mosquitto(folder, mqtt), bridge(folder, mqtt, "[publish]", "max-waiting = 10000") as (daemon, web):
            print("path           items messages/s       p99 failed CPU us/message")
            rounds = []
            for _ in range(ROUNDS):
                single = measure(folder, daemon, web, "/publish", 1)
                rounds.append((*single, *measure(folder, daemon, web, "/publish/bulk", ITEMS)))
    ratios = [bulk / single for single, _, bulk, _ in rounds]
    ratio = statistics.median(ratios)
    print(f"{ratio:.1f} times as many in bulk (between {min(ratios):.1f} and {max(ratios):.1f})")
    _, single_cpu, _, bulk_cpu = map(statistics.median, zip(*rounds))
    figures = {"ratio": round(ratio, 1), "single_cpu_us": round(single_cpu), "bulk_cpu_us": round(bulk_cpu)}
    save("bulk", figures, {"qos": 1, "connections": CONNECTIONS, "items": ITEMS}, versions=("mosquitto", "wrk"))


main()
