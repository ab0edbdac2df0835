"""A bundle of 2 GiB: what packaging it takes in memory, and how fast it comes. Baseline: curl on the same loopback.

The archive holds one large stored entry, so that no CPU goes into compression, and is served with sendfile.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zipfile
from pathlib import Path

from benchmarks.measuring import PYTHON, STEPS, alternating, run
from benchmarks.stub import PROJECT, Options, running
from benchmarks.table import Row, limited, wanted

GIB = float(os.environ.get("MLOPS_BENCH_GIB", "2"))
ROUNDS = 3
BLOCK = os.urandom(1024 * 1024)

OURS = """
import sys
from pathlib import Path
from mlops_steps.config import load
from mlops_steps.dss import bundles
from mlops_steps.dss.session import connect
from mlops_steps.system.waiting import Deadline
settings = load()
with connect(settings, settings.deployer()) as deployer:
    bundles.download(deployer, settings.project, "b1", Deadline(600), into=Path(sys.argv[1]))
"""


UPLOAD = """
import sys
from pathlib import Path
from mlops_steps.config import load
from mlops_steps.dss import direct
from mlops_steps.dss.session import connect
from mlops_steps.system.waiting import Deadline
settings = load()
with connect(settings, settings.stage("prod")) as node:
    direct.import_bundle(node, settings.project, "b1", Path(sys.argv[1]), Deadline(600))
"""


def rows() -> list[Row]:
    """Peak memory of ``package`` over its start, and the throughput of its download over that of curl."""
    size = f"{GIB:g} GiB"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if shutil.disk_usage(folder).free < 4 * GIB * 2**30:
            return [Row(f"bundle of {size}", "peak memory, throughput", "-", "-", None, "the disk has no room for it")]
        large = folder / "large.zip"
        _make(large)
        with running(Options(), folder) as environment:
            small = run([*STEPS, "package"], environment, _empty(folder / "small"))
        with running(Options(archive=str(large)), folder) as environment:
            whole = run([*STEPS, "package"], environment, _empty(folder / "large"))
            shutil.rmtree(folder / "large")
            up = _upload(large, small_archive=folder / "bundle.zip", environment=environment, folder=folder)
            url = f"{environment['MLOPS_DESIGN_URL']}/project-deployer/projects/{PROJECT}/bundles/b1"
            got = str(folder / "got.zip")
            ours, theirs, ratio = alternating(
                lambda: run([PYTHON, "-c", OURS, got], environment, folder).wall,
                lambda: run(["curl", "--silent", "--fail", "--output", got, url], environment, folder).wall,
                ROUNDS,
            )
    speed = f"{GIB * 1024 / ours:.0f} MiB/s with SHA-256, sizes and checksums of the entries checked"
    return [
        limited(f"bundle of {size}: package", "peak memory over a small one's", whole.peak - small.peak, 100, " MiB"),
        wanted(
            f"bundle of {size}: download",
            f"throughput / curl, {GIB * 1024 / theirs:.0f} MiB/s",
            1 / ratio,
            0.8,
            note=speed,
        ),
        *up,
    ]


def _upload(large: Path, small_archive: Path, environment: dict[str, str], folder: Path) -> list[Row]:
    """Peak memory and throughput of sending the archive to an Automation node."""
    url = f"{environment['MLOPS_PROD_URL']}/projects/{PROJECT}/bundles/imported/actions/importFromStream"
    small = run([PYTHON, "-c", UPLOAD, str(small_archive)], environment, folder)
    whole = run([PYTHON, "-c", UPLOAD, str(large)], environment, folder)
    curl = ["curl", "--silent", "--fail", "--output", "/dev/null", "--form", f"file=@{large}", url]
    ours, theirs, ratio = alternating(
        lambda: run([PYTHON, "-c", UPLOAD, str(large)], environment, folder).wall,
        lambda: run(curl, environment, folder).wall,
        ROUNDS,
    )
    what = f"bundle of {GIB:g} GiB: direct upload"
    speed = GIB * 1024 / theirs
    return [
        limited(what, "peak memory over a small one's", whole.peak - small.peak, 100, " MiB"),
        wanted(what, f"throughput / curl, {speed:.0f} MiB/s", 1 / ratio, 0.8, note=f"{GIB * 1024 / ours:.0f} MiB/s"),
    ]


def _empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _make(path: Path) -> None:
    with zipfile.ZipFile(path, "w", allowZip64=True) as archive:
        archive.writestr("export-manifest.json", json.dumps({"projectKey": PROJECT}))
        archive.writestr("project_config/params.json", "{}")
        with archive.open("data/large.bin", "w", force_zip64=True) as entry:
            for _ in range(int(GIB * 1024)):
                entry.write(BLOCK)
