"""A release over a hundred infrastructures in three waves, against nodes that cost no CPU.

The ideal is what no program can avoid: in each wave as many rounds as there are infrastructures for each place at work,
and in each round one update and one smoke test. The end of an update is noticed up to three seconds late, which counts
for much where it takes five only. Memory is compared with a release over ten.
"""

from __future__ import annotations

import json
import math
import tempfile
import urllib.request
from pathlib import Path

from benchmarks.measuring import STEPS, Measured, run
from benchmarks.stub import Options, running
from benchmarks.table import Row, limited

COUNT, FEW, AT_ONCE, CEILING = 100, 10, 25, 20
UPDATE, SMOKE = 5.0, 5.0
TEXT = """
release: {smoke_scenario: SMOKE}
compare: {at_release: "off"}
http: {requests_per_second: %d}
"""


def rows() -> list[Row]:
    """Time over the ideal, memory, requests per second and node."""
    found, ideal, asked = _release(COUNT)
    few, _, _ = _release(FEW)
    what = f"a release over {COUNT} infrastructures in 3 waves, {AT_ONCE} at once"
    most = {node: max(seconds) for node, seconds in asked.items()}
    deployer = most.pop("design")
    nodes = max(value for node, value in most.items() if node != "auto-test")
    growth = (found.peak - few.peak) / (COUNT - FEW)
    note = f"{found.peak:.0f} MiB, {few.peak:.0f} MiB with {FEW}"
    return [
        limited(what, f"wall / ideal waves, {ideal:.0f} s", found.wall / ideal, 1.3, note=f"{found.wall:.1f} s"),
        limited(what, "peak memory for one more infrastructure", growth, 0.5, " MiB", note=note),
        limited(what, "requests to one Automation node in a second, at most", nodes, CEILING),
        limited(what, "requests to the deployer in a second, at most", deployer, _CEILING_OF_DEPLOYER),
    ]


#: The ceiling is one for all nodes; the deployer answers for a hundred.
_CEILING_OF_DEPLOYER = 250


def _release(count: int) -> tuple[Measured, float, dict[str, list[int]]]:
    waves = [["n001"], ["n00*"], ["*"]] if count > FEW else [["n001"], ["*"]]
    sizes = [1, 8, count - 9] if count > FEW else [1, count - 1]
    ideal = sum(math.ceil(size / AT_ONCE) for size in sizes) * (UPDATE + SMOKE)
    options = Options({"TEST_1": 0.1, "SMOKE": SMOKE}, UPDATE, infrastructures=count)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running(options, folder) as environment:
            infras = {f"n{number:03d}": {} for number in range(1, count + 1)}
            rollout = {"waves": waves, "at_once": AT_ONCE}
            nodes = {"design": {}, "test": {}, "prod": {"infras": infras, "rollout": rollout}}
            text = TEXT % (_CEILING_OF_DEPLOYER if count > FEW else CEILING)
            (folder / "mlops.yml").write_text(f"nodes: {json.dumps(nodes)}\n{text}")
            for step in (("package",), ("deploy", "--stage", "test"), ("test", "--stage", "test")):
                run([*STEPS, *step], environment, folder)
            measured = run([*STEPS, "release", "--stage", "prod"], environment, folder)
            with urllib.request.urlopen(f"{environment['MLOPS_DESIGN_URL']}/_asked", timeout=60) as answer:
                asked: dict[str, list[int]] = json.load(answer)
    return measured, ideal, asked
