"""diff: two bundles of the nodes, or two archives, in the log and on the page."""

from __future__ import annotations

import shutil

from tests.front_door.conftest import Workspace


def test_two_bundles_are_compared_with_their_commits(workspace: Workspace) -> None:
    assert "there is no bundle to compare" in workspace.run("diff").err
    old = workspace.released(1, rate="0.1")
    result = workspace.ok("diff")
    assert f"there is no other bundle to compare {old} with" in result.err
    assert result.case("diff", "diff").find("skipped") is not None
    workspace.variables(rate="0.2")
    workspace.ok("package", BUILD_NUMBER="2")
    new = workspace.record["bundle"]["id"]

    out = workspace.ok("diff").out
    assert out.startswith(f"bundle {old} → bundle {new}\n\ncommits\n  ")
    assert "changed: variables of the project\n" in out
    assert '-  "rate": "0.1"' in out
    assert workspace.ok("diff", old, new).out == out
    assert "nothing differs" in workspace.ok("diff", new, new).out

    workspace.ok("diff", old, new)
    page = (workspace.folder / "reports/html/index.html").read_text()
    assert f"From bundle {old} to bundle {new}" in page
    assert '<span class="added">+  &#34;rate&#34;: &#34;0.2&#34;' in page

    bundles = workspace.sandbox.nodes["design"].dir / "bundles" / workspace.project
    for name in (old, new):
        shutil.copy(bundles / f"{name}.zip", workspace.folder)
    assert '+  "rate": "0.2"' in workspace.ok("diff", f"{old}.zip", f"{new}.zip").out


def test_what_cannot_be_compared_is_a_clear_error(workspace: Workspace) -> None:
    assert workspace.run("diff", "nowhere.zip", "b.zip").code == 2
    assert "is not a bundle id" in workspace.run("diff", "a/b", "c").err
    result = workspace.run("diff", "no-such", "bundle")
    assert result.code == 3
    assert "no-such" in result.err
