"""CPU seconds from the start of the process to a step's first request, against importing the official client alone.

Baseline: ``python -c "import dataikuapi"``. Limit of the house: 0.5 s.
"""

from __future__ import annotations

import os
import queue
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

ROUNDS = 9


def cpu_until_first_request(command: list[str], environment: dict[str, str], folder: str, asked: queue.Queue) -> float:
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


def cpu_seconds(command: list[str], environment: dict[str, str], folder: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def refuse_all(server: socket.socket, asked: queue.Queue) -> None:
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


def main() -> None:
    asked: queue.Queue = queue.Queue()
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=refuse_all, args=(server, asked), daemon=True).start()
    url = f"http://127.0.0.1:{server.getsockname()[1]}"
    environment = dict(os.environ, MLOPS_PROJECT="P")
    for node in ("DESIGN", "TEST", "PROD"):
        environment |= {f"MLOPS_{node}_URL": url, f"MLOPS_{node}_API_KEY": "some-key-for-this"}
    environment |= {"MLOPS_TEST_INFRA": "t", "MLOPS_PROD_INFRA": "p"}
    with tempfile.TemporaryDirectory() as folder:
        baseline = [sys.executable, "-c", "import dataikuapi"]
        step = [sys.executable, "-m", "mlops_steps", "smoke-test", "--stage", "prod"]
        pairs = [
            (cpu_until_first_request(step, environment, folder, asked), cpu_seconds(baseline, environment, folder))
            for _ in range(ROUNDS)
        ]
    ours = statistics.median(pair[0] for pair in pairs)
    theirs = statistics.median(pair[1] for pair in pairs)
    ratio = statistics.median(pair[0] / pair[1] for pair in pairs)
    print(f"step to first request   {ours:.3f} s CPU (limit 0.5)")
    print(f"import dataikuapi       {theirs:.3f} s CPU (baseline)")
    print(f"ratio                   {ratio:.2f}")


if __name__ == "__main__":
    main()
