"""What the scripts here share: free ports, processes that are ended, a broker, load by wrk, and what that costs."""

import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
# as its unit starts it (CPUSchedulingPolicy=batch)
AS_BATCH = ["chrt", "--batch", "0"]
DAEMON = [*AS_BATCH, ROOT / "target/release/mqtt-bridge"]
TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def until(condition, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: not within {seconds} s")
        time.sleep(0.002)
    return result


def connects(port):
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port)).close()
        return True


@contextlib.contextmanager
def running(command, env=None, **options):
    """A process and all that it starts, in a group of its own that is ended as a whole."""
    env = {**os.environ, **{key: str(value) for key, value in (env or {}).items()}}
    options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options}
    process = subprocess.Popen(command, env=env, start_new_session=True, **options)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def mosquitto(folder, port, *more):
    """A broker on this port, as it comes but for what more its configuration says."""
    config = folder / "mosquitto.conf"
    lines = [f"listener {port} 127.0.0.1", "allow_anonymous true", "max_queued_messages 0", *more]
    config.write_text("\n".join(lines) + "\n")
    with running(["mosquitto", "-c", config]) as process:
        until(lambda: connects(port), "mosquitto")
        yield process


def tree(pid):
    """A process and its descendants."""
    yield pid
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        # a thread may have ended meanwhile
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
    """Resident memory of a process and its descendants; what processes share is counted once."""
    sizes = (pathlib.Path(f"/proc/{each}/smaps_rollup").read_text() for each in tree(pid))
    return sum(int(re.search(r"Pss:\s+(\d+)", size)[1]) for size in sizes) / 1024


def resident_mebibytes(pid):
    """Resident memory of one process, with what others share of it."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def settled_size(path):
    """The size of a file that has stopped growing."""
    size = -1
    while path.stat().st_size != size:
        size = path.stat().st_size
        time.sleep(0.5)
    return size


def wrk_command(folder, url, body, connections, seconds, headers=None):
    headers = {"Content-Type": "application/json", **(headers or {})}
    lines = [f'wrk.headers["{key}"] = "{value}"' for key, value in headers.items()]
    script = folder / "post.lua"
    # the brackets are those of a Lua string that may hold any JSON
    script.write_text("\n".join(['wrk.method = "POST"', *lines, f"wrk.body = [==[{body.decode()}]==]"]))
    return ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "--latency", "-s", script, url]


def wrk(folder, url, body, connections, seconds, headers=None):
    """Puts load on a URL: requests and how many of them failed, their rate per second, and milliseconds."""
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
