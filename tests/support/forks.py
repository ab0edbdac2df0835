"""A command `mlops-steps` for shell scripts, forked as in tests/support/commands.py: milliseconds in place of a second.

The script that the shell finds hands its arguments, folder, environment and streams to this process, passes on the
signals that it gets, and ends as the command ends.
"""

from __future__ import annotations

import json
import socketserver
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.commands import Command

_CLIENT = """#!{python} -IS
import json, os, signal, socket
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
lines = server.makefile("rw")
given = dict(pid=os.getpid(), arguments=__import__("sys").argv[1:], folder=os.getcwd(), environment=dict(os.environ))
print(json.dumps(given), file=lines, flush=True)
child = int(lines.readline())
def pass_on(number, _frame):
    try:
        os.kill(child, number)
    except ProcessLookupError:
        pass
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, pass_on)
code = int(lines.readline())
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""


class _Forked(Command):
    """A command that writes to the streams of another process."""

    def __init__(self, arguments: list[str], folder: str, environment: dict[str, str], of: int) -> None:
        self.of = of
        streams = Path(f"/proc/{of}/fd")
        super().__init__(arguments, Path(folder), environment, out=streams / "1", err=streams / "2", append=True)


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        given = json.loads(self.rfile.readline())
        command = _Forked(given["arguments"], given["folder"], given["environment"], given["pid"])
        self._say(command.pid)
        gone = threading.Thread(target=self._end_with_the_script, args=(command,), daemon=True)
        gone.start()
        self._say(command.wait(1500))

    def _say(self, number: int) -> None:
        with suppress(OSError):
            self.wfile.write(f"{number}\n".encode())

    def _end_with_the_script(self, command: Command) -> None:
        """A script that was killed takes its command with it."""
        with suppress(OSError):
            if not self.rfile.read(1):
                command.send(9)


@contextmanager
def forks(folder: Path) -> Iterator[Path]:
    """The folder, with the command `mlops-steps` in it, for the PATH of a script."""
    folder.mkdir(parents=True, exist_ok=True)
    address = str(folder / "socket")
    script = folder / "mlops-steps"
    script.write_text(_CLIENT.format(python=sys.executable, address=address))
    script.chmod(0o755)
    with socketserver.ThreadingUnixStreamServer(address, _Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield folder
        finally:
            server.shutdown()
