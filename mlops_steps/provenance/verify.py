"""What statements prove about an archive, without asking anybody."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from mlops_steps.errors import CheckFailed, ConfigError
from mlops_steps.provenance import store
from mlops_steps.provenance.envelope import Opened, PublicKey, open_file
from mlops_steps.provenance.statements import BUILD_TYPE, MADE, Provenance, Statement, Summary, TestResult
from mlops_steps.system.text import one_line


@dataclass(frozen=True)
class Checked:
    """A statement about the archive in question. ``opened`` says whether, and by whom, it is signed."""

    name: str
    statement: Statement
    opened: Opened

    @property
    def is_authentic(self) -> bool:
        """Whether the signature was checked with a trusted key."""
        return self.opened.signed_by is not None

    @property
    def failed(self) -> bool:
        """Whether the statement says that what it is about failed."""
        said = self.statement.predicate
        return (isinstance(said, TestResult) and said.result == "FAILED") or (
            isinstance(said, Summary) and said.verification_result == "FAILED"
        )

    @property
    def signature(self) -> str:
        """In words, who signed it."""
        if self.opened.signed_by:
            return f"signed by key {self.opened.signed_by}"
        if not self.opened.is_signed:
            return "not signed: anybody may have written it"
        named = ", ".join(one_line(name, 80) for name in self.opened.key_ids) or "without a name"
        return f"signed by a key that was not checked ({named}): give --public-key"


def sha256_of(path: Path) -> tuple[str, int]:
    """SHA-256 and size (bytes) of a file. Raises :class:`ConfigError` when it cannot be read."""
    digest, size = hashlib.sha256(), 0
    try:
        if not path.is_file():
            raise ConfigError(f"{one_line(str(path), 300)}: no such file, or not a regular one")
        with path.open("rb") as file:
            while chunk := file.read(1024 * 1024):
                digest.update(chunk)
                size += len(chunk)
    except OSError as error:
        raise ConfigError(f"{one_line(str(path), 300)}: cannot be read: {error.strerror}") from None
    return digest.hexdigest(), size


def check(name: str, data: bytes | None, sha256: str, key: PublicKey | None) -> Checked:
    """Checks the form of a statement, its signature if there is a key, and that it is about the archive.

    Raises :class:`CheckFailed` with the reason, in a line that begins with ``name``.
    """
    try:
        if data is None:
            raise CheckFailed("it cannot be read")
        opened = open_file(data, key)
        statement = Statement.of(opened.payload)
        if not statement.is_about(sha256):
            named = statement.subject[0].digest.get("sha256", "another digest")
            raise CheckFailed(f"it is about another archive ({one_line(named, 80)}), not about {sha256}")
    except CheckFailed as error:
        raise CheckFailed(f"{one_line(name, 200)}: {error.message}") from None
    return Checked(name, statement, opened)


def released_with(folder: Path, project: str, bundle: str, sha256: str, stage: str, key: PublicKey) -> list[Checked]:
    """The statements that a release requires: signed, about the archive, of `package` and of passed tests on the stage.

    Raises :class:`CheckFailed` with the reason.
    """

    def required(what: str, says: Callable[[Checked], str]) -> Checked:
        path = folder / f"{what}{store.SUFFIX}"
        if not path.is_file():
            raise CheckFailed(f"bundle {bundle}: there is no statement {path.name}")
        checked = check(path.name, store.read(path), sha256, key)
        if not checked.is_authentic:
            raise CheckFailed(f"{path.name}: {checked.signature}")
        if problem := says(checked):
            raise CheckFailed(f"{path.name}: {problem}")
        return checked

    def of_package(checked: Checked) -> str:
        said = checked.statement.predicate
        if not isinstance(said, Provenance) or said.build_definition.build_type != BUILD_TYPE:
            return "it does not say how the bundle was packaged"
        named = said.build_definition.external_parameters
        same = (named.get("project"), named.get("bundle")) == (project, bundle)
        if not same:
            return "it is about another project or bundle"
        if not _was_made(said):
            return "the bundle was on the deployer before it was packaged, so nobody knows who made it; package again"
        return ""

    def of_tests(checked: Checked) -> str:
        said = checked.statement.predicate
        if not isinstance(said, TestResult) or said.note("stage") != stage or _of_gates(said):
            return f"it is not about tests on stage {stage}"
        return f"the tests on stage {stage} failed" if said.result == "FAILED" else ""

    return [required("package", of_package), required(f"test-{stage}", of_tests)]


def words(checked: Checked) -> list[str]:
    """What the statement says, a line for each thing."""
    said = checked.statement.predicate
    if isinstance(said, Provenance):
        found = _of_package(said)
    elif isinstance(said, TestResult):
        found = _of_tests(said)
    else:
        assert isinstance(said, Summary)
        found = _of_release(said)
    return [one_line(line, 500) for line in found]


def missing(statements: Iterable[Checked]) -> list[str]:
    """What no authentic statement says, in words."""
    proven = [checked.statement.predicate for checked in statements if checked.is_authentic]
    kinds = {type(said) for said in proven if not (isinstance(said, TestResult) and _of_gates(said))}
    questions = {
        Provenance: "from which commit, and by which build, the bundle was packaged",
        TestResult: "that the bundle was tested",
        Summary: "that the bundle was released",
    }
    return [text for kind, text in questions.items() if kind not in kinds]


def _of_gates(said: TestResult) -> bool:
    return said.note("checked") == "gates"


def _was_made(said: Provenance) -> bool:
    return (said.build_definition.internal_parameters or {}).get("archive") == MADE


def _of_package(said: Provenance) -> list[str]:
    definition, details = said.build_definition, said.run_details
    named = definition.external_parameters
    lines = [f"packaged: bundle {named.get('bundle')} of project {named.get('project')}"]
    if not _was_made(said):
        lines.append("it was on the deployer already: who made it is not known")
    for source in definition.resolved_dependencies or []:
        commit = (source.digest or {}).get("gitCommit", "unknown")
        lines.append(f"commit of the {source.name or 'source'}: {commit}{f' ({source.uri})' if source.uri else ''}")
    metadata = details.metadata
    lines.append(f"by {details.builder.id}, build {(metadata and metadata.invocation_id) or 'unknown'}")
    if metadata and metadata.finished_on:
        lines.append(f"at {metadata.finished_on}")
    if details.builder.version:
        lines.append("versions: " + ", ".join(f"{name} {value}" for name, value in details.builder.version.items()))
    return lines


def _of_tests(said: TestResult) -> list[str]:
    where = said.configuration[0].uri if said.configuration else None
    passed, failed = said.note("passed") or "?", said.note("failed") or "?"
    what = "gates before the release to" if _of_gates(said) else "tests on"
    lines = [
        f"{what} stage {said.note('stage') or 'unknown'} ({where or 'unknown'}): {said.result}: "
        f"{passed} passed, {failed} failed"
    ]
    lines += [f"failed: {name}" for name in (said.failed_tests or [])[:20]]
    when, build = said.note("ended") or "unknown", said.note("build") or said.url or "unknown"
    return [*lines, f"at {when}, by build {build}"]


def _of_release(said: Summary) -> list[str]:
    notes = said.policy.annotations or {}
    lines = [f"release to stage {notes.get('stage', 'unknown')} ({said.resource_uri}): {said.verification_result}"]
    if notes.get("failure"):
        lines.append(f"because: {notes['failure']}")
    lines.append(f"at {said.time_verified or 'unknown'}, by {said.verifier.id}")
    return [*lines, *(f"follows on {one.uri or one.name}" for one in said.input_attestations or [])]
