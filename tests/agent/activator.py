"""Holds the agent's sockets as systemd does, and runs the agent behind them.

usage: activator.py PROGRAM HOME

Prints the address of the TCP socket. "kill" on standard input: the agent is killed, and started again a moment later.
End of input: the agent is ended.
"""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

program, home = sys.argv[1], pathlib.Path(sys.argv[2])
run = home / "run"
run.mkdir(mode=0o700, exist_ok=True)
path = run / "agent.sock"
path.unlink(missing_ok=True)
http = socket.create_server(("127.0.0.1", 0), backlog=128)
control = socket.socket(socket.AF_UNIX)
control.bind(str(path))
path.chmod(0o600)
control.listen(128)


def start():
    """Descriptors 3 and 4, and whose they are: sd_listen_fds(3)."""
    script = 'LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=http:control exec "$0" agent 3<&"$1" 4<&"$2"'
    fds = [os.dup(http.fileno()), os.dup(control.fileno())]
    # Out of the way of 3 and 4.
    fds = [os.dup2(fd, 20 + at) for at, fd in enumerate(fds)]
    command = ["bash", "-c", script, program, *map(str, fds)]
    return subprocess.Popen(command, pass_fds=fds, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


agent = start()
host, port = http.getsockname()
print(f"{host}:{port}", flush=True)
for line in sys.stdin:
    if line.strip() == "kill":
        agent.kill()
        agent.wait()
        print("killed", flush=True)
        time.sleep(0.5)
        agent = start()
agent.send_signal(signal.SIGTERM)
sys.exit(agent.wait())
