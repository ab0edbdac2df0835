"""What came of the tests of a stage, kept in the release record while they run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mlops_steps.config import Settings
from mlops_steps.delivery.record import load_for
from mlops_steps.delivery.unit import Kind, Outcome, Result
from mlops_steps.errors import CheckFailed, ConfigError, MlopsError
from mlops_steps.system.console import Console


@contextmanager
def noted_test(settings: Settings, stage: str, kind: Kind, test: Outcome, console: Console) -> Iterator[Outcome]:
    """Keeps the release record in step with what happens in the block: begun, passed, failed, interrupted."""
    _note(settings, stage, kind, test)

    def end(result: Result, message: str) -> None:
        test.end(result, message)
        try:
            _note(settings, stage, kind, test)
        except ConfigError as error:
            console.error(error.message)

    try:
        yield test
    except CheckFailed as error:
        end("failed", error.message)
        raise
    except MlopsError as error:
        end("error", error.message)
        raise
    except BaseException as error:
        end("error", f"interrupted: {error}")
        raise
    test.end("passed", test.message)
    _note(settings, stage, kind, test)


def _note(settings: Settings, stage: str, kind: Kind, test: Outcome) -> None:
    """Reads the record again: another stage may be tested at the same time, in the same workspace."""
    record = load_for(settings.record, settings.project)
    record.stage(stage, kind).test = test
    record.save(settings.record)
