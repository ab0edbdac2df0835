"""diff: what differs between two bundles of the project: recipes, library, variables, model versions, commits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mlops_steps.config import Settings
from mlops_steps.delivery.record import load_for
from mlops_steps.dss import automation, deployments
from mlops_steps.dss.session import connect
from mlops_steps.errors import CheckFailed, ConfigError
from mlops_steps.insight.difference import compare, in_words
from mlops_steps.insight.published import archive_of, commits_between
from mlops_steps.report.model import Outcome
from mlops_steps.steps.context import Context
from mlops_steps.system.console import Console
from mlops_steps.system.pace import pace
from mlops_steps.system.waiting import Deadline


def run(context: Context, *, old: str | None = None, new: str | None = None) -> None:
    """Prints the difference, and keeps it for the page of the release.

    ``old`` and ``new`` are ids of published bundles, or paths of archives (``….zip``). Without ``new`` it is the
    record's bundle, without ``old`` what the release stage had when that was packaged. Changes nothing. Raises
    :class:`CheckFailed` when there is no record, :class:`NodeError` when a bundle cannot be read. A first release has
    nothing to be compared with: the case is skipped.
    """
    settings, report, console = context.settings, context.report, context.console
    with report.case("diff") as case, ExitStack() as stack:
        newer = new or _of_record(settings)
        older = old or _before(settings, newer)
        if older is None:
            case.outcome, case.message = Outcome.SKIPPED, f"there is no other bundle to compare {newer} with"
            console.line(case.message)
            return
        report.set(bundle=None if _is_file(newer) else newer, against=older)
        places = [stack.enter_context(_archive(settings, name, console)) for name in (older, newer)]
        commits = [] if _is_file(older) or _is_file(newer) else commits_between(settings, older, newer)
        found = compare((_called(older), places[0]), (_called(newer), places[1]), commits)
        report.attach().differences.append(found)
        case.stdout = in_words(found)
    console.result(case.stdout)


def _is_file(name: str) -> bool:
    return name.endswith(".zip")


def _called(name: str) -> str:
    return Path(name).name if _is_file(name) else f"bundle {name}"


def _of_record(settings: Settings) -> str:
    record = load_for(settings.record, settings.project)
    if record.bundle is None:
        raise CheckFailed(
            f"{settings.record}: there is no bundle to compare",
            next_step="run `mlops-steps package` first, or name two bundles: `mlops-steps diff OLD NEW`",
        )
    return record.bundle.id


def _before(settings: Settings, newer: str) -> str | None:
    """What the release stage had when the record's bundle was packaged, or has now; ``None`` for no other bundle."""
    record = load_for(settings.record, settings.project)
    if record.bundle and record.bundle.id == newer and record.bundle.replaces:
        return record.bundle.replaces
    stage = settings.release_stage()
    if stage.is_direct:
        with connect(settings, stage) as node, node.within(Deadline(pace().look)):
            active = automation.active_bundle(node, settings.project)
        return active if active != newer else None
    with connect(settings, settings.deployer()) as deployer, deployer.within(Deadline(pace().look)):
        found = deployments.find(
            deployer, settings.project, str(stage.infra), stage.deployment, settings.deployment_id(stage)
        )
    return found.version if found and found.version != newer else None


@contextmanager
def _archive(settings: Settings, name: str, console: Console) -> Iterator[Path]:
    """The path of the archive: the file that is named, or a download that is removed afterwards."""
    if not _is_file(name):
        with archive_of(settings, name, console) as path:
            yield path
        return
    if not Path(name).is_file():
        raise ConfigError(f"{name}: there is no such file")
    yield Path(name)
