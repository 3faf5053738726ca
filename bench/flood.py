#!/usr/bin/env python3
"""Publishes at QoS 1 one by one while the daemon receives 10,000 messages per second, and prints the latency.

usage: cargo build --profile dist && bench/flood.py [SECONDS] [--save]        (needs mosquitto and mosquitto-clients)
"""

import contextlib
import http.client
import pathlib
import statistics
import tempfile
import threading
import time

from measuring import bridge, feed, free_port, mosquitto, save, until, whole_numbers

(SECONDS,) = whole_numbers(5)
RATE = 10_000
# the length of a record
LINE = len("Received message on topic: flood with payload: \n") + 100
PUBLISH = b'{"topic": "answer", "msg": "x", "qos": 1}'


def latencies(port, seconds):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    took, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin = time.perf_counter()
        connection.request("POST", "/publish", PUBLISH)
        response = connection.getresponse()
        response.read()
        if response.status != 200:
            raise RuntimeError(response.status)
        took.append((time.perf_counter() - begin) * 1000)
        time.sleep(0.002)
    return took


def show(name, took, received=None):
    quantiles = statistics.quantiles(took, n=100)
    line = f"{name:12} {len(took):6} publishes, p50 {quantiles[49]:6.2f} ms, p99 {quantiles[98]:6.2f} ms"
    more = f", {received:.0f} messages received per second" if received else ""
    print(f"{line}, max {max(took):6.2f} ms{more}", flush=True)
    return {"p50_ms": round(quantiles[49], 1), "p99_ms": round(quantiles[98], 1)}


@contextlib.contextmanager
def flooded(port, journal):
    """Floods the daemon with messages; entered when those of the first second are recorded."""
    stop, steady = threading.Event(), journal.stat().st_size + RATE * LINE
    flooding = threading.Thread(target=feed, args=(port, "flood", RATE, lambda _: not stop.is_set()))
    flooding.start()
    try:
        until(lambda: journal.stat().st_size >= steady, "the flood")
        yield
    finally:
        stop.set()
        flooding.join()


def measure(folder, *more):
    mqtt, journal = free_port(), folder / "journal"
    with contextlib.ExitStack() as stack:
        stack.enter_context(mosquitto(folder, mqtt, *more))
        sink = stack.enter_context(journal.open("wb"))
        _, web = stack.enter_context(bridge(folder, mqtt, "[[subscribe]]", 'topic = "flood"', stderr=sink))
        show("quiet", latencies(web, SECONDS))
        with flooded(mqtt, journal):
            before = journal.stat().st_size
            took = latencies(web, SECONDS)
            size = journal.stat().st_size - before
        return show("under flood", took, size / LINE / SECONDS)


def main():
    # Nagle's algorithm, which mosquitto uses by default, delays small acknowledgements behind unacknowledged segments
    rows = []
    for more in ([], ["set_tcp_nodelay true"]):
        print(f"mosquitto {', '.join(more) or 'with its defaults'}:")
        with tempfile.TemporaryDirectory() as name:
            rows.append({"mosquitto.conf": " ".join(more), **measure(pathlib.Path(name), *more)})
    save("flood", {"each": rows}, {"rate": RATE, "qos": 1}, versions=["mosquitto"])


main()
