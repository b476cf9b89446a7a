"""Holds the agent's sockets open, as systemd does, and runs the agent on them again whenever it ends.

    [ACTIVATOR_PORT=PORT] activator.py UNIX_SOCKET PROGRAM [ARGUMENT...]

One line of JSON on stdout says where it listens. Each line of input is an order, answered by a line when it is
carried out: `kill` (SIGKILL, and start again), `restart` (SIGTERM; it is started again when it has ended), `down`
(SIGKILL, and leave it), `up` (start it). At the end of the input the agent gets a SIGTERM. The protocol is that of
sd_listen_fds(3).
"""

import json
import os
import signal
import socket
import sys
import threading
import time


class Agent:
    def __init__(self, sockets, command):
        self.sockets, self.command = sockets, command
        self.lock, self.wanted, self.pid = threading.Lock(), True, 0

    def start(self):
        self.pid = os.fork()
        if self.pid:
            threading.Thread(target=self.wait, args=(self.pid,), daemon=True).start()
            return
        # The first inherited descriptor is number 3.
        spare = [os.dup(each.fileno()) for each in self.sockets.values()]
        spare = [os.dup2(fd, 100 + at) for at, fd in enumerate(spare)]
        for at, fd in enumerate(spare):
            os.dup2(fd, 3 + at)
        for fd in spare:
            os.close(fd)
        environment = {**os.environ, "LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(spare)),
                       "LISTEN_FDNAMES": ":".join(self.sockets)}
        os.execve(self.command[0], self.command, environment)

    def wait(self, pid):
        _, status = os.waitpid(pid, 0)
        with self.lock:
            # Somebody who asks for it has not waited for us, and may have begun another one.
            if self.pid == pid:
                self.pid = 0
                if self.wanted:
                    print(json.dumps({"ended": os.waitstatus_to_exitcode(status)}), file=sys.stderr, flush=True)
                    time.sleep(0.05)
                    self.start()

    def obey(self, order):
        with self.lock:
            self.wanted = order != "down"
            if order in ("kill", "down") and self.pid:
                os.kill(self.pid, signal.SIGKILL)
                self.pid = 0
            if order == "restart" and self.pid:
                os.kill(self.pid, signal.SIGTERM)
            if order in ("kill", "up") and not self.pid:
                self.start()

    def end(self):
        with self.lock:
            self.wanted, pid = False, self.pid
        if pid:
            os.kill(pid, signal.SIGTERM)
            while self.pid == pid:
                time.sleep(0.01)


def main():
    path, command = sys.argv[1], sys.argv[2:]
    http = socket.create_server(("127.0.0.1", int(os.environ.pop("ACTIVATOR_PORT", 0))), backlog=1024)
    mask = os.umask(0o177)
    control = socket.socket(socket.AF_UNIX)
    control.bind(path)
    control.listen(1024)
    os.umask(mask)
    agent = Agent({"http": http, "control": control}, command)
    agent.start()
    print(json.dumps({"port": http.getsockname()[1]}), flush=True)
    for line in sys.stdin:
        agent.obey(line.strip())
        print(json.dumps({"done": line.strip(), "pid": agent.pid}), flush=True)
    agent.end()


main()
