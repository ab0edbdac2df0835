"""CPU seconds from the start of the process to a step's first request, against importing the official client alone.

Baseline: ``python -c "import dataikuapi"``. Limit of the house: 0.5 s.
"""

from __future__ import annotations

import os
import queue
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

from benchmarks.measuring import PYTHON, STEPS, alternating, run
from benchmarks.table import Row, limited


def cpu_until_first_request(
    command: list[str], environment: dict[str, str], folder: str, asked: queue.Queue[bool]
) -> float:
    """What the kernel has charged the process with when its first request arrives."""
    process = subprocess.Popen(
        command, env=environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    asked.get(timeout=30)
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    process.wait()
    while not asked.empty():
        asked.get()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def refuse_all(server: socket.socket, asked: queue.Queue[bool]) -> None:
    """Answers each request with 401, so that a step ends with its first request."""
    while True:
        connection, _ = server.accept()
        asked.put(True)
        with connection:
            connection.recv(65536)
            body = b'{"errorType": "Unauthorized", "message": "no"}'
            connection.sendall(
                b"HTTP/1.1 401 No\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )


def rows(rounds: int = 9) -> list[Row]:
    """CPU up to the first request of a step over that of importing the client, and the limit of half a second."""
    asked: queue.Queue[bool] = queue.Queue()
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=refuse_all, args=(server, asked), daemon=True).start()
    url = f"http://127.0.0.1:{server.getsockname()[1]}"
    environment = dict(os.environ, MLOPS_PROJECT="P")
    for node in ("DESIGN", "TEST", "PROD"):
        environment |= {f"MLOPS_{node}_URL": url, f"MLOPS_{node}_API_KEY": "some-key-for-this"}
    environment |= {"MLOPS_TEST_INFRA": "t", "MLOPS_PROD_INFRA": "p"}
    with tempfile.TemporaryDirectory() as folder:
        step = [*STEPS, "smoke-test", "--stage", "prod"]
        ours, theirs, ratio = alternating(
            lambda: cpu_until_first_request(step, environment, folder, asked),
            lambda: run([PYTHON, "-c", "import dataikuapi"], environment, Path(folder)).cpu,
            rounds,
        )
    server.close()
    what = "starting a step"
    return [
        limited(what, f"CPU up to its first request / `import dataikuapi`, {theirs:.2f} s", ratio, 1.2),
        limited(what, "CPU up to its first request", ours, 0.5, " s"),
    ]
