# Acts like systemd: holds listening sockets, starts a daemon with them, and restarts it when it ends.
# usage: pass_sockets.py STARTS SOCKET… -- COMMAND…; SOCKET is tcp:ADDRESS:PORT or unix:PATH; prints their addresses.
import ctypes
import os
import signal
import socket
import subprocess
import sys

PR_SET_PDEATHSIG = 1


def say(*words):
    # in one write, since the daemon writes to the same pipe
    os.write(2, (" ".join(map(str, words)) + "\n").encode())


starts = int(sys.argv[1])
split = sys.argv.index("--")
sockets = []
for name in sys.argv[2:split]:
    kind, address = name.split(":", 1)
    if kind == "unix":
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(address)
    else:
        host, port = address.rsplit(":", 1)
        listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        # as systemd does: the system may still remember connections of another test on this port
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host.strip("[]"), int(port)))
    listener.listen(128)
    # as systemd passes sockets
    listener.setblocking(False)
    sockets.append(listener)
    say("passing", listener.getsockname())


def adopt():
    # the daemon ends with this script, which the test ends
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    for number, listener in enumerate(sockets):
        os.dup2(listener.fileno(), 3 + number)


# away from the descriptors from 3 on, which the daemon gets
moved = [socket.socket(fileno=os.dup2(s.detach(), 50 + n)) for n, s in enumerate(sockets)]
sockets[:] = moved
environment = os.environ | {"LISTEN_FDS": str(len(sockets))}
for start in range(starts):
    # exec in the shell keeps the process id that systemd would have set
    command = ["sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", *sys.argv[split + 1:]]
    daemon = subprocess.Popen(command, preexec_fn=adopt, close_fds=False, env=environment)
    say("started", daemon.pid)
    say("ended", daemon.wait())
