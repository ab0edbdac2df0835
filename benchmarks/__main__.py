"""``python -m benchmarks [SUBJECT …] [--write FILE]``: measures, prints the table, writes it into the documentation."""

from __future__ import annotations

import argparse
import datetime
import importlib
import pkgutil
import sys
import time
from pathlib import Path

from benchmarks import rows as subjects
from benchmarks.table import Row, machine, markdown

START = "<!-- table -->"
END = "<!-- end of table -->"
# The quiet ones first: what follows a long run of the disk measures its echo.
ORDER = ("starting", "pipeline", "waiting", "history", "reports", "scoring", "nodes", "bundles")


def main() -> int:
    known = [module.name for module in pkgutil.iter_modules(subjects.__path__)]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("subject", nargs="*", choices=[*known, []], help="what is measured; everything without it")
    parser.add_argument("--write", type=Path, help="the page whose table is replaced")
    given = parser.parse_args()
    found: list[Row] = []
    for name in given.subject or sorted(known, key=ORDER.index):
        began = time.monotonic()
        measured = importlib.import_module(f"benchmarks.rows.{name}").rows()
        found += measured
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        print(markdown(measured).split("\n", 2)[2], file=sys.stderr, flush=True)
    date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    text = "\n".join([f"{date}. {'. '.join(machine())}.", "", markdown(found)])
    print(text)
    if given.write:
        page = given.write.read_text()
        before, after = page.split(START)[0], page.split(END)[1]
        given.write.write_text(f"{before}{START}\n{text}\n{END}{after}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
