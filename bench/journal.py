#!/usr/bin/env python3
"""Receives 10,000 messages per second into a separate journald: missing messages, and CPU time of the daemon.

usage: cargo build --profile dist && bench/journal.py [SECONDS] [--save]        (needs root, mosquitto and systemd; Linux namespaces)

The journald has its own /run, keeps its journal in memory and has no rate limit, as in the unit.
"""

import contextlib
import pathlib
import subprocess
import tempfile
import time

from measuring import ROOT, bridge, cpu_seconds, feed, free_port, mosquitto, running, save, settled, until, whole_numbers

SUPPORT = ROOT / "tests/end_to_end/support"
(SECONDS,) = whole_numbers(10)
RATE = 10_000


@contextlib.contextmanager
def journald():
    """A journald; yields the prefix of a command that runs in its namespace."""
    script = (SUPPORT / "journald.sh").read_text()
    command = ["unshare", "--mount", "--propagation", "private", "bash", "-c", script]
    with running(command, stderr=None) as process:
        place = pathlib.Path(f"/proc/{process.pid}/root/run/systemd/journal")
        is_ready = lambda: (place / "test-is-ready").exists() and (place / "stdout").exists()
        until(is_ready, "journald", process=process)
        yield ["nsenter", f"--mount=/proc/{process.pid}/ns/mnt"]


def recorded(beside):
    count = "journalctl -o cat MQTT_TOPIC=bench | wc -l"
    return int(subprocess.run([*beside, "sh", "-c", count], capture_output=True, text=True, check=True).stdout)


def measure(folder, qos):
    mqtt = free_port()
    with mosquitto(folder, mqtt, "set_tcp_nodelay true"), journald() as beside:
        subscribe = ["[[subscribe]]", 'topic = "bench"', f"qos = {qos}"]
        around = [*beside, "python3", SUPPORT / "journal_stream.py"]
        with bridge(folder, mqtt, *subscribe, around=around, stderr=None) as (daemon, _):
            before, start = cpu_seconds(daemon.pid), time.monotonic()
            sent = feed(mqtt, "bench", RATE, lambda sent: sent < RATE * SECONDS, qos)
            taken = time.monotonic() - start
            cpu = cpu_seconds(daemon.pid) - before
            subprocess.run([*beside, "journalctl", "--sync"], check=True)
            missing = sent - settled(lambda: recorded(beside))
    print(f"QoS {qos}: {sent / taken:.0f} messages/s, {missing} missing, {cpu / taken:.1%} of a core, "
          f"{cpu / sent * 1e6:.1f} us each", flush=True)
    return {"qos": qos, "missing": missing, "cpu_percent": round(cpu / taken * 100)}


def main():
    rows = []
    for qos in (0, 1):
        with tempfile.TemporaryDirectory() as name:
            rows.append(measure(pathlib.Path(name), qos))
    save("journal", {"each": rows}, {"rate": RATE}, versions=["mosquitto", "systemctl"])


main()
