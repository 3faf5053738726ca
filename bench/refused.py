#!/usr/bin/env python3
"""Publishes messages over a size limit that the broker does not announce (message_size_limit of mosquitto), beside
eight clients at QoS 1. Prints how many connections the refusals cost, and how long the other clients waited.

usage: cargo build --profile dist && bench/refused.py [COUNT] [--save]        (needs mosquitto)
"""

import collections
import http.client
import json
import pathlib
import statistics
import tempfile
import threading
import time

from measuring import bridge, free_port, mosquitto, save, whole_numbers

LIMIT, OTHERS = 100, 8


def publisher(port):
    """A function that publishes this many bytes on its own connection, and returns the status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def publish(topic, size, qos):
        body = json.dumps({"topic": topic, "msg": "x" * size, "qos": qos})
        connection.request("POST", "/publish", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        response.read()
        return response.status

    return publish


def beside(port, is_over, waits, statuses):
    publish = publisher(port)
    while not is_over.is_set():
        start = time.perf_counter()
        statuses[publish("others", 10, 1)] += 1
        waits.append(time.perf_counter() - start)


def main():
    (count,) = whole_numbers(1000)
    with tempfile.TemporaryDirectory() as name:
        folder, mqtt = pathlib.Path(name), free_port()
        log = folder / "log"
        limit = f"message_size_limit {LIMIT}"
        with mosquitto(folder, mqtt, limit), log.open("wb") as records, bridge(folder, mqtt, stderr=records) as (_, port):
            is_over, waits, of_others = threading.Event(), [], collections.Counter()
            others = [threading.Thread(target=beside, args=(port, is_over, waits, of_others)) for _ in range(OTHERS)]
            for other in others:
                other.start()
            publish, start = publisher(port), time.perf_counter()
            of_large = collections.Counter(publish("large", 2 * LIMIT, 1 + n % 2) for n in range(count))
            took = time.perf_counter() - start
            is_over.set()
            for other in others:
                other.join()
        lost = log.read_text().count(" lost: ")
    print(f"{count} refused: {dict(of_large)} in {took:.1f} s, at the cost of {lost} connections")
    longest = max(waits) * 1000
    print(f"others: {dict(of_others)}, waits p50 {statistics.median(waits) * 1000:.2f} ms, longest {longest:.0f} ms")
    figures = {"lost_connections": lost, "longest_ms": round(longest)}
    save("refused", figures, {"refused": count, "others": OTHERS}, versions=["mosquitto"])


main()
