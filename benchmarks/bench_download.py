"""Peak memory and time of downloading a bundle, against reading it at once.

Baseline: ``requests.get(url).content``, which is what ``DSSClient`` does where it does not stream. Each run is a
process of its own.
"""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading

MEGABYTES = (16, 256)
BLOCK = b"\x00" * 2**20

OURS = """
import json, resource, sys, time
from mlops_steps.dss.bundles import download
from mlops_steps.dss.http import HttpLimits, NodeSession
from mlops_steps.dss.session import Dss
from mlops_steps.system.waiting import Deadline
import dataikuapi
client = dataikuapi.DSSClient(sys.argv[1], api_key="some-key-for-this")
client._session = session = NodeSession(HttpLimits(5, 60, 0, 1))
start = time.monotonic()
download(Dss("design", sys.argv[1], client, session), "P", sys.argv[2], Deadline(600))
print(json.dumps([time.monotonic() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""

BASELINE = """
import hashlib, json, resource, sys, time
import dataikuapi, requests
start = time.monotonic()
hashlib.sha256(requests.get(f"{sys.argv[1]}/{sys.argv[2]}").content).hexdigest()
print(json.dumps([time.monotonic() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        size = int(self.path.rpartition("/")[2])
        self.send_response(200)
        self.send_header("Content-Length", str(size * len(BLOCK)))
        self.end_headers()
        for _ in range(size):
            self.wfile.write(BLOCK)

    def log_message(self, *_: object) -> None:
        pass


def measure(program: str, url: str, megabytes: int) -> tuple[float, float]:
    out = subprocess.run(
        [sys.executable, "-c", program, url, str(megabytes)], capture_output=True, text=True, check=True
    ).stdout
    seconds, kilobytes = json.loads(out)
    return seconds, kilobytes / 1024


def main() -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    print("bundle    ours: s, MiB peak     baseline: s, MiB peak   ratio of time, of memory")
    for megabytes in MEGABYTES:
        ours, theirs = measure(OURS, url, megabytes), measure(BASELINE, url, megabytes)
        print(
            f"{megabytes:4d} MiB  {ours[0]:8.2f} {ours[1]:8.0f}       {theirs[0]:8.2f} {theirs[1]:8.0f}"
            f"        {ours[0] / theirs[0]:8.2f} {ours[1] / theirs[1]:8.2f}"
        )


if __name__ == "__main__":
    main()
