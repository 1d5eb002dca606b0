"""Command lines without the seconds that imports take: forks of one process that has imported everything.

``WarmPython`` starts that process and writes a program to call in place of Python: ``program -m module arguments...`` or
``program script arguments...``. The program hands its arguments, folder, variables and streams to a fork and ends with the
fork's exit status; when the program is killed, so is the fork.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["WarmPython"]

_CLIENT = """#!{python} -IS
import json, os, socket, sys, time
arguments = [part for part in sys.argv[1:] if part != "-u"]
if not arguments or (arguments[0].startswith("-") and arguments[0] != "-m"):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
connection = socket.socket(socket.AF_UNIX)
for _ in range(6000):
    try:
        connection.connect("\\0" + {address!r})
        break
    except OSError:
        time.sleep(0.02)
request = json.dumps([arguments, os.getcwd(), dict(os.environ), sys.argv[0]]).encode()
socket.send_fds(connection, [len(request).to_bytes(8, "big")], [0, 1, 2])
connection.sendall(request)
status = int(connection.makefile().read() or "-9")
if status < 0:
    os.kill(os.getpid(), -status)
sys.exit(status)
"""


class WarmPython:
    """A process that has imported ``modules``, and the program that runs command lines in forks of it.

    Args:
        folder: where the program and a log are put.
        modules: what is imported.
        environment: variables of the process; a request brings its own, which matter from then on.
        lives_with: process id; when that process has ended, so does this one.
    """

    def __init__(self, folder: Path, modules: Sequence[str], environment: Mapping[str, str], lives_with: int) -> None:
        self.program = folder / "python"
        address = f"lazylabels-{uuid.uuid4().hex}"  # in the abstract namespace: a path may be too long
        self.program.write_text(_CLIENT.format(python=sys.executable, address=address))
        self.program.chmod(0o755)
        command = [sys.executable, str(Path(__file__).resolve()), address, str(lives_with), *modules]
        with (folder / "log").open("w") as log:
            subprocess.Popen(
                command,
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def _serve(address: str, lives_with: int, modules: Sequence[str]) -> None:
    for module in modules:
        importlib.import_module(module)
    server = socket.socket(socket.AF_UNIX)
    server.bind(f"\0{address}")
    server.listen(64)
    server.settimeout(1)
    while Path(f"/proc/{lives_with}").exists():
        with contextlib.suppress(TimeoutError):
            connection, _ = server.accept()
            if os.fork() == 0:
                server.close()
                connection.settimeout(None)
                os._exit(_attend(connection))
            connection.close()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _attend(connection: socket.socket) -> int:
    """Fork once more for the command line, and wait for its end or for that of the program that asked."""
    head, streams, *_ = socket.recv_fds(connection, 8, 3)
    request, size = b"", int.from_bytes(head, "big")
    while len(request) < size:
        request += connection.recv(size - len(request))
    worker = os.fork()
    if worker == 0:
        connection.close()
        _run(streams, *json.loads(request))
    for stream in streams:
        os.close(stream)
    waiting = os.pidfd_open(worker)
    ready, _, _ = select.select([waiting, connection], [], [])
    if waiting not in ready:
        os.kill(worker, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
    with contextlib.suppress(OSError):
        connection.sendall(str(status).encode())
    return 0


def _run(streams: Sequence[int], arguments: list[str], folder: str, environment: dict[str, str], program: str) -> None:
    """What ``python -m module ...`` or ``python script ...`` does after its start."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.executable, status = program, 0
    try:
        if arguments[0] == "-m":
            sys.path[0], sys.argv = folder, arguments[1:]
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        else:
            sys.path[0], sys.argv = str(Path(arguments[0]).parent), arguments
            runpy.run_path(arguments[0], run_name="__main__")
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    with contextlib.suppress(BaseException):
        threading._shutdown()
        atexit._run_exitfuncs()
    with contextlib.suppress(OSError):
        sys.stdout.flush(), sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
