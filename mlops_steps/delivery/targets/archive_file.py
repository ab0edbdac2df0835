"""A place for the archive of a bundle while it is looked at, or sent on."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlops_steps.config import Settings
from mlops_steps.errors import ConfigError


@contextmanager
def archive_file(settings: Settings) -> Iterator[Path]:
    """The path of a temporary file for an archive, beside the record. Raises :class:`ConfigError` if there is none."""
    folder = settings.record.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place = tempfile.TemporaryDirectory(dir=folder, prefix="bundle-", ignore_cleanup_errors=True)
    except OSError as error:
        raise ConfigError(f"cannot keep the archive in {folder}: {error.strerror}") from None
    with place as name:
        yield Path(name, "bundle.zip")
