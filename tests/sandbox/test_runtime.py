"""The `dataiku` package and the processes that import it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dataikuapi
import pytest
from dataikuapi.dss.project import DSSProject

from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.runtime.process import Child, End
from tests.sandbox.flows import flow_files, make_project, managed, recipe


def child(script: str, **more: Any) -> Child:
    context = {"projectKey": "X", "variables": {}, "connections": {}}
    folders = {"configDir": "/nowhere", "uploadsDir": "/nowhere", "dataDir": "/nowhere"}
    return Child({**context, **folders}, {}, "a script", script=textwrap.dedent(script), **more)


# ---- processes


def test_a_child_gets_none_of_the_environment_that_it_does_not_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_DESIGN_API_KEY", "secret-of-the-node")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-cloud")
    log = tmp_path / "log"
    result = child("import os, sys\nprint(sys.argv, sorted(os.environ.items()))\n").run(log)

    assert result.end is End.DONE
    assert "secret" not in log.read_text()
    assert "MLOPS_" not in log.read_text()


def test_a_child_runs_in_a_folder_of_its_own_that_is_gone_afterwards(tmp_path: Path) -> None:
    log = tmp_path / "log"
    child("import os\nopen('left.txt', 'w').write('x')\nprint(os.getcwd())\n").run(log)

    assert not Path(log.read_text().strip()).exists()


def test_standard_input_is_empty(tmp_path: Path) -> None:
    log = tmp_path / "log"
    child("import sys\nprint(repr(sys.stdin.read()))\n").run(log)

    assert log.read_text() == "''\n"


def test_processes_that_the_code_left_behind_end_with_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    child("import subprocess\nprint(subprocess.Popen(['sleep', '60']).pid)\n").run(log)

    assert ended(int(log.read_text()))


def test_a_process_that_ignores_sigterm_ends_at_its_limit(tmp_path: Path) -> None:
    code = (
        "import os, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint(os.getpid())\ntime.sleep(60)\n"
    )
    log = tmp_path / "log"
    result = child(code, limit=0.5).run(log)

    assert result.end is End.TIMEOUT
    assert result.seconds < 6
    assert ended(int(log.read_text()))


def test_a_child_that_was_aborted_before_it_started_does_not_start(tmp_path: Path) -> None:
    one = child("print('started')\n")
    one.abort()

    assert one.run(tmp_path / "log").end is End.ABORTED
    assert (tmp_path / "log").read_text() == ""


def test_the_death_of_the_node_ends_its_children(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)\n"
    parent = textwrap.dedent(
        f"""
        import pathlib, sys
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        from tests.sandbox.test_runtime import child
        child({code!r}).run(pathlib.Path({str(log)!r}))
        """
    )
    node = subprocess.Popen([sys.executable, "-c", parent])
    limit = time.monotonic() + 20
    while not log.exists() or not log.read_text().strip():
        assert time.monotonic() < limit
        time.sleep(0.05)
    os.kill(node.pid, signal.SIGKILL)
    node.wait()

    assert ended(int(log.read_text()))


def test_processes_share_libraries_and_no_numbers(tmp_path: Path) -> None:
    code = "import numpy, os, random\nprint(os.getppid(), numpy.random.random(), random.random())\n"
    said = []
    for name in ("first", "second"):
        child(code).run(tmp_path / name)
        said.append((tmp_path / name).read_text().split())
    assert said[0][0] == said[1][0]
    assert said[0][1] != said[1][1]
    assert said[0][2] != said[1][2]


def test_what_code_leaves_for_its_end_is_done(tmp_path: Path) -> None:
    code = """
        import atexit, threading, time
        atexit.register(print, "at the end")
        threading.Thread(target=lambda: (time.sleep(0.2), print("of a thread"))).start()
        """
    log = tmp_path / "log"
    assert child(code).run(log).end is End.DONE
    assert log.read_text().splitlines() == ["of a thread", "at the end"]


def test_a_module_of_the_library_hides_one_that_others_have_imported(tmp_path: Path) -> None:
    child("import numpy\n").run(tmp_path / "log")
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "numpy.py").write_text("WHOSE = 'the library'\n")
    log = tmp_path / "own"
    result = child("import numpy\nprint(numpy.WHOSE)\n", library=[tmp_path / "library"]).run(log)
    assert (result.end, log.read_text()) == (End.DONE, "the library\n")


def test_a_process_that_is_killed_says_by_what_signal(tmp_path: Path) -> None:
    result = child("import os\nos.kill(os.getpid(), 9)\n").run(tmp_path / "log")
    assert (result.end, result.status) == (End.FAILED, -9)
    assert result.error is not None
    assert result.error["message"] == "the process was killed by signal 9"


def test_when_the_process_that_forks_dies_another_one_starts(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert child("import os\nos.kill(os.getppid(), 9)\n").run(log).end is End.FAILED
    assert child("print('again')\n").run(log).end is End.DONE


def ended(pid: int, seconds: float = 5.0) -> bool:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().split()[2]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


# ---- the package


@pytest.fixture
def run_code(design: dataikuapi.DSSClient, design_node: Node, new_key: str) -> Callable[[str], DSSProject]:
    """Runs code as a recipe people → out, with a managed folder ``files`` as a second output."""

    def run(code: str, source: str | None = None) -> DSSProject:
        folder = {"name": "Files", "type": "Filesystem", "params": {"connection": "filesystem_folders", "path": "/x"}}
        files = {
            **flow_files(),
            "project_config/datasets/out.json": managed("out"),
            "project_config/managed_folders/files.json": folder,
            "project_config/recipes/make.json": recipe(["people"], ["out", "files"]),
            "project_config/recipes/make.py": code,
            "project_config/lib/python/helpers.py": "def twice(x):\n    return 2 * x\n",
        }
        if source is not None:
            files["uploads/people/people.csv"] = source
        make_project(design_node, new_key, files)
        project = design.get_project(new_key)
        job = project.new_job().with_output("out").start()
        dataikuapi.dss.job.DSSJobWaiter(job).wait(no_fail=True)
        status = job.get_status()["baseStatus"]
        assert status["state"] == "DONE", job.get_log()
        return project

    return run


def test_data_frames_keep_types_on_their_way_through_a_dataset(run_code: Callable[..., DSSProject]) -> None:
    project = run_code(
        """
        import datetime
        import dataiku
        import pandas as pd
        from dataiku import pandasutils as pdu

        people = dataiku.Dataset("people").get_dataframe()
        assert list(people["name"]) == ["Ada", "Grace", "Alan"], people
        assert people["age"].isna().sum() == 1
        assert list(dataiku.Dataset("people").get_dataframe(columns=["age"], limit=1)["age"]) == [36]
        typed = dataiku.Dataset("people").get_dataframe(infer_with_pandas=False)
        assert str(typed["age"].dtype) == "Int64", typed.dtypes
        parts = [len(part) for part in dataiku.Dataset("people").iter_dataframes(chunksize=2)]
        assert parts == [2, 1], parts
        assert len(dataiku.Dataset("people").get_dataframe(sampling="random", limit=2)) == 2

        frame = pd.DataFrame({
            "text": ["tab\\there", 'quote " and, comma', "line\\nbreak ünï"],
            "whole": [1, 2, 3],
            "part": [0.1, float("nan"), 1e300],
            "flag": [True, False, True],
            "day": pd.to_datetime(["2026-01-01", "2026-01-02", "2026-01-03"]),
        })
        out = dataiku.Dataset("out", ignore_flow=False)
        out.write_with_schema(frame)
        back = out.get_dataframe()
        assert list(back["text"]) == list(frame["text"]), back
        assert list(back["whole"]) == [1, 2, 3] and list(back["flag"]) == [True, False, True]
        assert back["part"].iloc[2] == 1e300 and pd.isna(back["part"].iloc[1])
        assert back["day"].iloc[1].strftime("%Y-%m-%d") == "2026-01-02"
        out.write_dataframe(frame)
        try:
            out.write_dataframe(frame[["text"]])
        except ValueError as error:
            assert "use write_with_schema" in str(error)
        else:
            raise AssertionError("other columns were written")
        """
    )

    types = [column["type"] for column in project.get_dataset("out").get_schema()["columns"]]
    assert types == ["string", "bigint", "double", "boolean", "date"]
    rows = list(project.get_dataset("out").iter_rows())
    assert rows[0][:4] == ["tab\there", 1, 0.1, True]
    assert rows[0][4].year == 2026


def test_folders_library_variables_and_the_client_are_there(run_code: Callable[..., DSSProject]) -> None:
    project = run_code(
        """
        import dataiku
        import dataiku.recipe
        from helpers import twice

        assert twice(2) == 4
        assert dataiku.recipe.get_inputs() == ["people"]
        folder = dataiku.Folder("Files")
        folder.write_json("/a/b.json", {"x": 1})
        folder.upload_stream("c.bin", b"12")
        with folder.get_writer("d.txt") as writer:
            writer.write(b"d")
        assert folder.list_paths_in_partition() == ["/a/b.json", "/c.bin", "/d.txt"]
        assert folder.read_json("a/b.json") == {"x": 1}
        with folder.get_download_stream("/c.bin") as stream:
            assert stream.read() == b"12"
        folder.delete_path("d.txt")
        try:
            folder.upload_stream("../escaped", b"x")
        except Exception as error:
            assert "leaves its folder" in str(error), error
        else:
            raise AssertionError("left the folder")

        client = dataiku.api_client()
        project = client.get_default_project()
        project.update_variables({"n": 1, "deep": {"a": True}})
        assert client.get_resolved_variables()["n"] == "1"
        assert dataiku.get_custom_variables()["projectKey"] == dataiku.default_project_key() == project.project_key
        with dataiku.Dataset("out").get_writer() as writer:
            pass
        """
    )

    assert project.get_variables()["standard"] == {"n": 1, "deep": {"a": True}}
    assert [item["path"] for item in project.get_managed_folder("files").list_contents()["items"]] == [
        "/a/b.json",
        "/c.bin",
    ]


def test_a_byte_order_mark_and_odd_lines_do_no_harm(run_code: Callable[..., DSSProject]) -> None:
    project = run_code(
        """
        import dataiku
        with dataiku.Dataset("out").get_writer() as writer:
            pass
        names = [row["name"] for row in dataiku.Dataset("people").iter_rows()]
        assert names == ["Zoë"], names
        """,
        source="\ufeffname,age\r\nZoë,3\r\n",
    )
    assert list(project.get_dataset("people").iter_rows()) == [["Zoë", 3]]
