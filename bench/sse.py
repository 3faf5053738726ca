#!/usr/bin/env python3
"""Sends 20,000 messages per second to listeners of GET /messages: received and missed messages, and CPU time.

usage: cargo build --profile dist && bench/sse.py [SECONDS [RATE]] [--save]        (needs mosquitto and mosquitto-clients)

The publisher, the broker, the listeners and the daemon share this machine.
"""

import pathlib
import re
import socket
import tempfile
import threading
import time

from measuring import bridge, cpu_seconds, feed, free_port, mosquitto, save, until, whole_numbers

SECONDS, RATE = whole_numbers(10, 20_000)
LISTENERS = (1, 4)
# HTTP/1.0, since chunk sizes would stand within events
REQUEST = b"GET /messages?topic=bench HTTP/1.0\r\nHost: localhost\r\n\r\n"


class Listener(threading.Thread):
    """Counts the messages of a stream, and those that it reports as missed."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.connection = socket.create_connection(("127.0.0.1", port))
        self.connection.sendall(REQUEST)
        head = self.connection.recv(65_536)
        if not head.startswith(b"HTTP/1.1 200 ") and not head.startswith(b"HTTP/1.0 200 "):
            raise RuntimeError(head.decode(errors="replace"))
        self.received = self.missed = 0
        self.last = time.perf_counter()

    def run(self):
        rest = b""
        while piece := self.connection.recv(1 << 20):
            lines, separator, rest = (rest + piece).rpartition(b"\n")
            self.received += lines.count(b"event: message\n")
            self.missed += sum(int(number) for number in re.findall(rb'"missed":(\d+)', lines)) if b'"missed"' in lines else 0
            # a line that ends here without its line end is counted now
            if lines.endswith(b"event: message"):
                self.received += 1
            self.last = time.perf_counter()


def measure(folder, count):
    mqtt = free_port()
    with mosquitto(folder, mqtt, "set_tcp_nodelay true"), bridge(folder, mqtt) as (daemon, web):
        listeners = [Listener(web) for _ in range(count)]
        for listener in listeners:
            listener.start()
        last = lambda: max(listener.last for listener in listeners)
        before, start = cpu_seconds(daemon.pid), time.perf_counter()
        sent = feed(mqtt, "bench", RATE, lambda sent: sent < RATE * SECONDS)
        until(lambda: time.perf_counter() - last() > 1, "the last message")
        cpu, took = cpu_seconds(daemon.pid) - before, last() - start
    received, missed = min(listener.received for listener in listeners), max(listener.missed for listener in listeners)
    lost = sent - received
    print(f"{count:9} {sent / took:11.0f} {sent:9} {received:9} {missed:7} {lost - missed:6} "
          f"{cpu / took:8.1%} {cpu / sent / count * 1e6:14.1f}", flush=True)
    return {"listeners": count, "not_received": lost, "cpu_percent": round(cpu / took * 100)}


def main():
    print("listeners  messages/s      sent  received  missed   lost     CPU  CPU us/message")
    with tempfile.TemporaryDirectory() as name:
        rows = [measure(pathlib.Path(name), count) for count in LISTENERS]
    save("sse", {"each": rows}, {"rate": RATE}, versions=["mosquitto"])


main()
