"""Archives as streams: what the downloads of bundles and of packages of API services share."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tenacity

from mlops_steps.archive import end_record
from mlops_steps.archive.contents import BadArchive, Damaged, checked
from mlops_steps.dss.http import BadAnswer, chunks
from mlops_steps.dss.session import Dss
from mlops_steps.errors import CheckFailed, ConfigError, NodeError, Unreachable
from mlops_steps.system.text import one_line
from mlops_steps.system.waiting import Deadline

log = logging.getLogger(__name__)

# Pieces that wait for the digest at most, so that memory does not grow with the archive.
_MOST_PENDING = 16


@dataclass(frozen=True)
class Archive:
    """An archive on a deployer. ``size`` in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Source:
    """Where an archive comes from. ``what`` names it (``bundle b1``); ``open`` sends the request of the client."""

    deployer: Dss
    what: str
    open: Callable[[], Any]

    def __str__(self) -> str:
        return f"{self.deployer}: {self.what}"


def read_whole(path: Path) -> None:
    """Reads every entry. Raises :class:`Damaged` when the file is not a whole archive."""
    try:
        with checked(path):
            pass
    except Damaged:
        raise
    except BadArchive:
        return  # whole; whoever unpacks it refuses it


def download(
    source: Source,
    deadline: Deadline,
    into: Path | None = None,
    on_bytes: Callable[[int], None] | None = None,
    check: Callable[[Path], object] = read_whole,
) -> Archive:
    """Streams the archive, into a file if one is given, and returns its SHA-256 and size.

    ``check`` is called with that file, and raises :class:`Damaged` when it is not a whole archive.

    Memory does not grow with the archive. A download that breaks off, or that is not a whole zip archive, is repeated,
    three times at most. One without a file is looked at at its two ends only. Raises :class:`NodeError`.
    """
    seen: set[str] = set()

    def once() -> Archive:
        archive = _download_once(source, deadline, into, on_bytes)
        if into is not None:
            _check_whole(lambda: check(into), archive, str(source), seen)
        return archive

    attempts = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(4) | tenacity.stop_after_delay(deadline.remaining),
        wait=tenacity.wait_random_exponential(multiplier=0.5, max=10),
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, Unreachable) and not deadline.passed),
        before_sleep=lambda state: log.warning(
            "%s; downloading it again", state.outcome.exception() if state.outcome else ""
        ),
        reraise=True,
    )
    return attempts(once)


def published_archive(
    source: Source,
    expected: Archive,
    deadline: Deadline,
    folder: Path,
    on_bytes: Callable[[int], None] | None = None,
    keep: Path | None = None,
) -> Archive:
    """The archive that the deployer has now: ``expected``, or another one that is whole.

    When it differs from the expected one it is downloaded once more, into a temporary file in ``folder``: a garbled
    download is not a replaced archive. With ``keep`` the archive is left in that file. Raises :class:`NodeError`,
    :class:`ConfigError` when the file cannot be written.
    """
    # An archive that is the expected one needs no look into it.
    archive = download(source, deadline, keep, on_bytes, check=lambda _path: None)
    if archive == expected:
        return archive
    log.warning("%s: the download is not the archive that was packaged; reading it again", source)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix="bundle-") as place:
            return download(source, deadline, keep or Path(place, "archive.zip"), on_bytes)
    except OSError as error:
        raise ConfigError(f"cannot keep the archive in {folder}: {error.strerror}") from None


def _download_once(
    source: Source,
    deadline: Deadline,
    into: Path | None,
    on_bytes: Callable[[int], None] | None,
) -> Archive:
    size, start, end = 0, b"", b""
    with source.deployer.within(deadline), source.deployer.asking(f"download {source.what}"):
        with source.open() as response, _sink(into) as sink, _Digest() as digest:
            kind = response.headers.get("Content-Type", "")
            if "json" in kind or "html" in kind:
                raise BadAnswer(f"an answer of type {one_line(kind, 100)} instead of an archive", response=response)
            for chunk in chunks(response, deadline):
                digest.update(chunk)
                size += len(chunk)
                start = start or chunk[:4]
                end = (chunk if len(chunk) >= end_record.LONGEST else end + chunk)[-end_record.LONGEST :]
                sink(chunk)
                if on_bytes:
                    on_bytes(size)
            announced, sha256 = response.headers.get("Content-Length"), digest.hexdigest()
    if announced and announced.isdigit() and int(announced) != size:
        raise Unreachable(f"{source}: the download was cut after {size} of {announced} bytes")
    if not (start.startswith(b"PK"[: len(start)]) and end_record.MARK in end):
        raise Unreachable(f"{source}: the download of {size} bytes is not a whole zip archive")
    return Archive(sha256, size)


def _check_whole(check: Callable[[], object], archive: Archive, what: str, seen: set[str]) -> None:
    """Raises :class:`Unreachable` for an archive that is damaged or refused: the download may have changed it.

    When it is the same the second time, it is so on the deployer: another :class:`NodeError`, or what ``check`` raised.
    """
    try:
        check()
    except (Damaged, CheckFailed) as error:
        if archive.sha256 not in seen:
            seen.add(archive.sha256)
            why = f"is damaged: {error}" if isinstance(error, Damaged) else "was refused, and may be damaged"
            raise Unreachable(f"{what}: the download {why}") from None
        if isinstance(error, CheckFailed):
            raise
        raise NodeError(
            f"{what}: the published archive is damaged, or not a whole zip: {error}",
            next_step="package again; if it stays so, look at the deployer's disk",
        ) from None


class _Digest:
    """The SHA-256 of pieces, computed in a thread of its own while the next piece arrives."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._thread = ThreadPoolExecutor(1)
        self._pending: deque[Future[None]] = deque()

    def __enter__(self) -> _Digest:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def update(self, piece: bytes) -> None:
        """Adds a piece; waits when too many are pending."""
        if len(self._pending) >= _MOST_PENDING:
            self._pending.popleft().result()
        self._pending.append(self._thread.submit(self._digest.update, piece))

    def hexdigest(self) -> str:
        """The digest of all pieces."""
        while self._pending:
            self._pending.popleft().result()
        return self._digest.hexdigest()


@contextmanager
def _sink(path: Path | None) -> Iterator[Callable[[bytes], object]]:
    """Writes into the file, if there is one. Raises :class:`ConfigError` when it cannot be written."""
    if path is None:
        yield lambda _chunk: None
        return

    def cannot(error: OSError) -> ConfigError:
        return ConfigError(f"cannot keep the archive in {path.parent}: {error.strerror}")

    def write(chunk: bytes) -> None:
        rest = memoryview(chunk)
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError as error:
            raise cannot(error) from None

    try:
        # Without a buffer a full disk shows at the write, and not again when the file is closed.
        file = path.open("wb", buffering=0)
    except OSError as error:
        raise cannot(error) from None
    with file:
        yield write
