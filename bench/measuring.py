"""Shared by the scripts here: child processes, a broker, the daemon, load, CPU and memory, and saved figures."""

import contextlib
import datetime
import json
import os
import pathlib
import platform
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs"
SAVE = "--save"
# the scheduling policy of its unit (CPUSchedulingPolicy=batch)
AS_BATCH = ["chrt", "--batch", "0"]
# another binary can be measured with BENCH_DAEMON
DAEMON = [*AS_BATCH, pathlib.Path(os.environ.get("BENCH_DAEMON", ROOT / "target/dist/mqtt-bridge")).resolve()]
# where `build_fakes` puts the programs of bench/fakes
FAKES = ROOT / "target/fakes/release"
# for writing only, as a shell opens it: the daemon takes subprocess.DEVNULL, which is open for reading too, for closed
NULL = open(os.devnull, "wb")
TICK = os.sysconf("SC_CLK_TCK")
# written to mosquitto_pub at a time: lines of 100 bytes, each a message
BATCH = 100
LINES = (b"0123456789" * 10 + b"\n") * BATCH

# an exception, so that child processes are ended
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def until(condition, what, seconds=60, pause=0.002, process=None):
    """Waits for a condition; fails if the given process ends."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        if process and process.poll() is not None:
            raise RuntimeError(f"{what}: ended with {process.returncode}")
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: not within {seconds} s")
        time.sleep(pause)
    return result


def connects(port):
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port)).close()
        return True


def answers(url, body=None, headers=None):
    """Whether a request (POST if there is a body) is answered with 200."""
    headers = {"Content-Type": "application/json", **(headers or {})}
    with contextlib.suppress(OSError):
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=5) as response:
            return response.status == 200


@contextlib.contextmanager
def undisturbed():
    """Defers signals that end the script, so that no child process is forgotten."""
    came = []
    # only the main thread handles signals
    ends = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    handlers = {each: signal.signal(each, lambda number, _: came.append(number)) for each in ends}
    try:
        yield
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler)
        for each in came[:1]:
            signal.raise_signal(each)


@contextlib.contextmanager
def running(command, env=None, **options):
    """A process in its own process group, which is ended as a whole."""
    env = {**os.environ, **{key: str(value) for key, value in (env or {}).items()}}
    options = {"stdout": NULL, "stderr": NULL, **options}
    process = None
    try:
        with undisturbed():
            process = subprocess.Popen(command, env=env, start_new_session=True, **options)
        yield process
    finally:
        if process:
            with undisturbed():
                end(process)


def end(process):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def mosquitto(folder, port, *more):
    """A broker on this port, with its defaults and more lines of configuration."""
    config = folder / "mosquitto.conf"
    lines = [f"listener {port} 127.0.0.1", "allow_anonymous true", "max_queued_messages 0", *more]
    config.write_text("\n".join(lines) + "\n")
    with running(["mosquitto", "-c", config]) as process:
        until(lambda: connects(port), "mosquitto", process=process)
        yield process


def configured(folder, mqtt, *more, limits=()):
    """A configuration for the broker on this port, with HTTP limits and more lines: its path, and the HTTP port."""
    config, http = folder / "bridge.toml", free_port()
    lines = ["[http]", f'listen = "127.0.0.1:{http}"', *limits, "[mqtt]", f"port = {mqtt}", *more]
    config.write_text("\n".join(lines) + "\n")
    return config, http


@contextlib.contextmanager
def bridge(folder, mqtt, *more, around=(), limits=(), **options):
    """The daemon, started by another program if one is given, when it is ready: its process and its port."""
    config, http = configured(folder, mqtt, *more, limits=limits)
    # the daemon inherits the policy through the other program
    with running([*AS_BATCH, *around, DAEMON[-1], "--config", config], **options) as process:
        until(lambda: answers(f"http://127.0.0.1:{http}/readyz"), "the daemon", process=process)
        yield process, http


def build_fakes():
    env = {**os.environ, "CARGO_TARGET_DIR": str(FAKES.parent)}
    subprocess.run(["cargo", "build", "--release", "--locked", "--quiet"], cwd=ROOT / "bench/fakes", env=env, check=True)


@contextlib.contextmanager
def subscriber(folder, port, publish):
    """A file with two bytes for each received message; yielded when a message of `publish` has arrived."""
    received = folder / "received"
    with received.open("wb") as sink:
        with running(["mosquitto_sub", "-p", str(port), "-t", "bench/t", "-F", "x"], stdout=sink):
            until(lambda: publish() and received.stat().st_size > 0, "the subscriber")
            yield received


def feed(port, topic, rate, goes_on, qos=0):
    """Publishes messages of 100 bytes at a rate with mosquitto_pub while `goes_on` their number; returns the number."""
    command = ["mosquitto_pub", "-p", str(port), "-q", str(qos), "-t", topic, "-l"]
    with running(command, stdin=subprocess.PIPE, stderr=None) as publisher:
        count, start = 0, time.perf_counter()
        while goes_on(count):
            publisher.stdin.write(LINES)
            publisher.stdin.flush()
            count += BATCH
            time.sleep(max(0, start + count / rate - time.perf_counter()))
        publisher.stdin.close()
        publisher.wait(60)
    return count


def tree(pid):
    """A process and its descendants."""
    yield pid
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        # the thread may have ended
        with contextlib.suppress(OSError):
            for child in task.read_text().split():
                yield from tree(int(child))


def cpu_seconds(pid):
    ticks = 0
    for each in tree(pid):
        fields = pathlib.Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICK


def proportional_mebibytes(pid):
    """Resident memory of a process and its descendants; shared pages are counted once."""
    sizes = (pathlib.Path(f"/proc/{each}/smaps_rollup").read_text() for each in tree(pid))
    return sum(int(re.search(r"Pss:\s+(\d+)", size)[1]) for size in sizes) / 1024


def resident_mebibytes(pid):
    """Resident memory of one process, including shared pages."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def settled(number):
    """The value of a function when it no longer changes."""
    before = None
    while (now := number()) != before:
        before = now
        time.sleep(0.5)
    return now


def settled_size(path):
    return settled(lambda: path.stat().st_size)


def wrk_command(folder, url, body, connections, seconds, headers=None):
    headers = {"Content-Type": "application/json", **(headers or {})}
    lines = [f'wrk.headers["{key}"] = "{value}"' for key, value in headers.items()]
    script = folder / "post.lua"
    # a Lua long string, which may contain any JSON
    script.write_text("\n".join(['wrk.method = "POST"', *lines, f"wrk.body = [==[{body.decode()}]==]"]))
    return ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "--latency", "-s", script, url]


def wrk(folder, url, body, connections, seconds, headers=None):
    """Loads a URL: the number of requests and failures, the rate per second, and latency in milliseconds."""
    command = wrk_command(folder, url, body, connections, seconds, headers)
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {
        "requests": int(re.search(r"(\d+) requests in", out)[1]),
        "failed": int((re.search(r"Non-2xx or 3xx responses: (\d+)", out) or [0, 0])[1]),
        "rate": float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]),
        "p50": milliseconds(out, 50),
        "p99": milliseconds(out, 99),
    }


def milliseconds(out, percentile):
    value, unit = re.search(rf"{percentile}%\s+([\d.]+)(us|ms|s)", out).groups()
    return float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def whole_numbers(*defaults):
    """The numbers on the command line, and the defaults of those that are missing."""
    given = [int(word) for word in sys.argv[1:] if word != SAVE]
    return [*given, *defaults[len(given) :]]


def save(name, figures, conditions=None, versions=(), **more):
    """With --save on the command line: writes docs/figures/NAME.json, which the pages quote.

    `figures` are those that the pages quote, rounded as they quote them. `conditions` are numbers that describe the load.
    """
    if SAVE not in sys.argv:
        return
    words = [f"bench/{pathlib.Path(sys.argv[0]).name}", *(word for word in sys.argv[1:] if word != SAVE)]
    saved = {
        "command": shlex.join(words),
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "versions": {"mqtt-bridge": version(DAEMON[-1]), **{each: version(each) for each in versions}},
        **more,
        "conditions": conditions or {},
        "figures": figures,
    }
    (PAGES / "figures").mkdir(exist_ok=True)
    text = json.dumps(saved, indent=1, ensure_ascii=False)
    # one line for each innermost object
    text = re.sub(r"\{[^{}]*\}", lambda innermost: " ".join(innermost[0].split()), text)
    (PAGES / f"figures/{name}.json").write_text(text + "\n")


def save_table(page, name, rows):
    """With --save: replaces the rows of the table on a page under the comment that names docs/figures/NAME.json."""
    if SAVE not in sys.argv:
        return
    path, comment = PAGES / page, rf"<!-- figures: {name}\.json -->\n"
    table = "".join(row + "\n" for row in rows)
    text, count = re.subn(rf"({comment}\|.*\n\|(?:---\|)+\n)(?:\|.*\n)+", lambda head: head[1] + table, path.read_text())
    assert count == 1, f"docs/{page} has the table once"
    path.write_text(text)


def machine():
    models = re.findall(r"model name\s*: (.+)", pathlib.Path("/proc/cpuinfo").read_text())
    kernel = ".".join(platform.release().split(".")[:2])
    return {"cpu": models[0] if models else platform.machine(), "cores": os.cpu_count(), "kernel": f"Linux {kernel}"}


def version(program):
    """The version that a program prints; mosquitto prints it with its usage, wrk with its own option."""
    option = {"mosquitto": "-h", "wrk": "-v"}.get(program, "--version")
    ran = subprocess.run([program, option], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    found = re.search(r"\d+(\.\d+)+", ran.stdout)
    return found[0] if found else "unknown"
