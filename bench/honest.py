#!/usr/bin/env python3
"""Sends valid requests beside 200 hostile connections, and prints how long they waited. Fails if one was refused, or
waited a second.

usage: cargo build --profile dist && bench/honest.py [SECONDS] [--busy] [--ports COUNT] [--save]    (needs mosquitto)

--busy adds two busy loops. With --ports all clients share this many ports, as clients behind one router do: the address
of a closed connection is soon used by another one.
"""

import argparse
import collections
import contextlib
import heapq
import itertools
import pathlib
import random
import socket
import statistics
import struct
import sys
import tempfile
import threading
import time

from measuring import bridge, free_port, mosquitto, running, save

HOSTILE, HONEST, KEPT = 200, 8, 8
LIMITS = ["request-timeout = 2", "idle-timeout = 10"]
# seconds: the limit for a request; the pause between requests on a kept connection; the timeout of a connection
TOO_LONG, BETWEEN, PATIENCE = 1, (2.2, 5), 10
# the longest life of a hostile connection, and its pauses
LIFE, PAUSE = 5, (0.02, 0.3)
FIRST_PORT = 40_000
# ip(7); Python has no name for it
IP_LOCAL_PORT_RANGE = 51
# close with a reset
RESET = struct.pack("ii", 1, 0)


def head(line, *fields):
    return "\r\n".join([f"{line} HTTP/1.1", "Host: localhost", *fields, "", ""]).encode()


def post(length, framing=None):
    return head("POST /publish", "Content-Type: application/json", framing or f"Content-Length: {length}")


def body(padding):
    return b'{"topic": "honest", "msg": "%s"}' % (b"x" * padding)


def posted(padding, chunked=False):
    text = body(padding)
    if chunked:
        return post(0, "Transfer-Encoding: chunked") + b"%x\r\n%s\r\n0\r\n\r\n" % (len(text), text)
    return post(len(text)) + text


# name, first bytes, and bytes repeated until the connection ends
HOSTILE_KINDS = [
    ("heads", b"GET /healthz HTTP/1.1\r\nX-Drip: ", b"x"),
    ("short bodies", post(1000), b" "),
    ("long bodies", post(8192), b" "),
    ("chunks", post(0, "Transfer-Encoding: chunked"), b"1\r\n \r\n"),
    ("unread answers", head("GET /openapi.json"), head("GET /openapi.json")),
    ("idle", b"", b""),
]
HONEST_KINDS = [
    head("GET /healthz"),
    head("GET /healthz", "Connection: close"),
    posted(10),
    posted(4000),
    posted(4000, chunked=True),
]


def connect(port, ports):
    connection = socket.socket()
    if ports:
        last = FIRST_PORT + ports - 1
        connection.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, struct.pack("I", last << 16 | FIRST_PORT))
    connection.settimeout(PATIENCE)
    try:
        connection.connect(("127.0.0.1", port))
    except OSError:
        connection.close()
        raise
    return connection


class Hostile:
    """One hostile client, with one connection after another."""

    def __init__(self, port, ports):
        self.address, self.kinds = (port, ports), itertools.cycle(HOSTILE_KINDS)
        self.connection, self.end = None, 0

    def step(self, now):
        """Continues its connection, or opens a new one. Returns the time of the next step."""
        with contextlib.suppress(OSError):
            if self.connection and now < self.end:
                self.connection.send(self.more)
            else:
                self.renew(now)
            return now + random.uniform(*PAUSE)
        self.end = now
        return now + PAUSE[0]

    def renew(self, now):
        if self.connection:
            if random.random() < 0.5:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.connection.close()
        self.connection = None
        self.connection = connect(*self.address)
        self.connection.setblocking(False)
        self.end = now + random.uniform(0, LIFE)
        _, first, self.more = next(self.kinds)
        self.connection.send(first)


def crowd(port, ports):
    """Runs all hostile clients until the process is ended."""
    start = time.monotonic()
    turns = [(start + random.uniform(0, 1), number, Hostile(port, ports)) for number in range(HOSTILE)]
    heapq.heapify(turns)
    # all kinds are present from the start
    for _, number, hostile in turns:
        for _ in range(number % len(HOSTILE_KINDS)):
            next(hostile.kinds)
    while True:
        due, number, hostile = turns[0]
        now = time.monotonic()
        if due > now:
            time.sleep(due - now)
            continue
        heapq.heapreplace(turns, (hostile.step(now), number, hostile))


class Tally:
    """The results of valid requests."""

    def __init__(self):
        self.waits, self.refused = [], collections.Counter()

    def ask(self, connection, request):
        """Sends a request and waits for the response. Returns whether the connection can be used again."""
        start = time.perf_counter()
        try:
            connection.sendall(request)
            answer = read(connection)
        except OSError as error:
            answer = type(error).__name__
        waited = time.perf_counter() - start
        self.waits.append(waited)
        is_right = answer.startswith("HTTP/1.1 200 ")
        if not is_right:
            words = f"{answer.splitlines()[0] if answer else 'closed'} for {request.split(b' HTTP')[0].decode()}"
            self.refused[words] += 1
        return is_right and "connection: close" not in answer.lower()


def read(connection):
    """A response with Content-Length."""
    answer = b""
    while b"\r\n\r\n" not in answer and (piece := connection.recv(65536)):
        answer += piece
    first, _, rest = answer.partition(b"\r\n\r\n")
    lengths = [line for line in first.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    left = int(lengths[0].split(b":")[1]) - len(rest) if lengths else 0
    while left > 0 and (piece := connection.recv(left)):
        left -= len(piece)
    return first.decode("latin-1")


def ask_once(port, ports, tally, end):
    """One request after another, each on its own connection."""
    for request in itertools.cycle(HONEST_KINDS):
        if time.monotonic() > end:
            return
        with contextlib.closing(patiently(port, ports)) as connection:
            tally.ask(connection, request)
        time.sleep(random.uniform(0, 0.02))


def ask_again(port, ports, tally, end):
    """Several requests on one connection, with pauses longer than the request timeout."""
    while time.monotonic() < end:
        with contextlib.closing(patiently(port, ports)) as connection:
            for _ in range(3):
                if not tally.ask(connection, random.choice(HONEST_KINDS[2:] + HONEST_KINDS[:1])):
                    break
                time.sleep(random.uniform(*BETWEEN))


def patiently(port, ports):
    while True:
        try:
            return connect(port, ports)
        except OSError as error:
            # no port is free
            print(error, flush=True)
            time.sleep(0.1)


def stood_still(longest):
    """Measures how late an idle thread wakes up, which is due to the machine or to Python."""
    while True:
        start = time.perf_counter()
        time.sleep(0.005)
        longest[0] = max(longest[0], time.perf_counter() - start - 0.005)


def show(name, tally):
    waits = sorted(tally.waits)
    quantiles = statistics.quantiles(waits, n=100)
    long = sum(wait >= TOO_LONG for wait in waits)
    print(f"{name:22} {len(waits):7} requests, {tally.refused.total()} refused, {long} waited {TOO_LONG} s; "
          f"p50 {quantiles[49] * 1000:.1f} ms, p99 {quantiles[98] * 1000:.1f} ms, max {waits[-1] * 1000:.0f} ms", flush=True)
    for words, count in tally.refused.items():
        print(f"    {count}: {words}")
    return tally.refused.total() + long


def parsed():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seconds", nargs="?", type=float, default=60)
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--ports", type=int, default=0)
    parser.add_argument("--save", action="store_true")
    parser.add_argument("--crowd", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def main(options):
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder, mqtt = pathlib.Path(name), free_port()
        stack.enter_context(mosquitto(folder, mqtt))
        _, port = stack.enter_context(bridge(folder, mqtt, limits=LIMITS))
        for _ in range(2 if options.busy else 0):
            stack.enter_context(running(["sh", "-c", "while :; do :; done"]))
        itself = [sys.executable, __file__, "--crowd", str(port), "--ports", str(options.ports)]
        stack.enter_context(running(itself, stderr=None))
        tallies, end = (Tally(), Tally()), time.monotonic() + options.seconds
        roles = [(ask_once, tallies[0])] * HONEST + [(ask_again, tallies[1])] * KEPT
        threads = []
        for role, tally in roles:
            threads.append(threading.Thread(target=role, args=(port, options.ports, tally, end), daemon=True))
        longest = [0]
        threading.Thread(target=stood_still, args=(longest,), daemon=True).start()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    print(f"the machine stalled for {longest[0] * 1000:.0f} ms at most")
    waits = sorted(wait for tally in tallies for wait in tally.waits)
    figures = {
        "requests": len(waits),
        "refused": sum(tally.refused.total() for tally in tallies),
        "p99_ms": round(statistics.quantiles(waits, n=100)[98] * 1000, 1),
        "longest_ms": round(waits[-1] * 1000),
    }
    save("honest", figures, {"hostile": HOSTILE, "seconds": options.seconds}, versions=["mosquitto"])
    names = ("a connection each", "kept connections")
    sys.exit(1 if sum([show(name, tally) for name, tally in zip(names, tallies)]) else 0)


if __name__ == "__main__":
    options = parsed()
    crowd(options.crowd, options.ports) if options.crowd else main(options)
