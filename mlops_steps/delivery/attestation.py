"""The statements that `package`, `test` and `release` make about the record's bundle, and what `release` requires.

What they say, and how they are signed and checked, is in :mod:`mlops_steps.provenance`, which knows no DSS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from mlops_steps.config import Settings
from mlops_steps.delivery.record import Build, Bundle, ReleaseRecord
from mlops_steps.delivery.targets.bundle_target import BundleTarget
from mlops_steps.delivery.unit import now
from mlops_steps.dss import seals as published
from mlops_steps.dss.session import Dss
from mlops_steps.errors import CheckFailed, ConfigError, MlopsError, NodeError
from mlops_steps.provenance import seals, statements, store
from mlops_steps.provenance.envelope import PublicKey, SigningKey
from mlops_steps.provenance.statements import Artifact, Node, Run, Statement
from mlops_steps.provenance.verify import check, released_with
from mlops_steps.report.model import Case, Outcome, Report
from mlops_steps.system.console import Console


class Statements:
    """The statements of one run. It is made before anything else is done: a key that cannot be used ends the step."""

    def __init__(self, settings: Settings, console: Console, build: Build) -> None:
        """Raises :class:`ConfigError` when there is a signing key that cannot be used, or the extra is missing."""
        self._settings = settings
        self._console = console
        self._build = build
        self._started = now()
        self._folder = store.folder(settings.record, settings.project)
        pem = settings.signing_key()
        self._key = SigningKey.load(pem.get_secret_value(), "MLOPS_SIGNING_KEY_FILE") if pem else None

    def packaged(self, record: ReleaseRecord, design: Dss, deployer: Dss, *, made: bool) -> None:
        """`package` has packaged the record's bundle; ``made``: this run has exported and published it.

        Of a bundle that was there already, the statement of the run that made it stays. Raises :class:`ConfigError`.
        """
        bundle = _bundle(record)
        if not made and self._has_statement_of(bundle):
            self._console.line("the statement of the run that made the bundle stays")
            return
        statement = statements.packaged(
            self._artifact(bundle), self._run(), _node(design), _node(deployer), record.project_commit, made=made
        )
        self._write("package", statement)

    def forget(self, what: str = "*") -> None:
        """Removes a statement that counts no more. Raises :class:`ConfigError`."""
        store.forget(self._folder, what)

    @contextmanager
    def of_tests(self, target: BundleTarget, record: ReleaseRecord, report: Report) -> Iterator[None]:
        """States how the tests in the block ended, whose errors go on; an interrupted run leaves no statement."""
        what = f"test-{target.stage}"
        self.forget(what)
        before = len(report.cases)

        def write(ok: bool) -> None:
            if record.bundle is None:
                self._console.line("no statement of the tests: without a record the archive is not known")
                return
            self._write(what, self._tested(target, record.bundle, report, report.cases[before:], ok))

        try:
            yield
        except MlopsError:
            self._quietly(lambda: write(False))
            raise
        write(True)

    @contextmanager
    def of_gates(self, target: BundleTarget, bundle: Bundle, report: Report, *, dry_run: bool) -> Iterator[None]:
        """States what the gates before a release have found, in the block; nothing where there are none."""
        what, before = f"gates-{target.stage}", len(report.cases)
        if not dry_run:
            self.forget(what)

        def write(ok: bool) -> None:
            cases = report.cases[before:]
            if cases and not dry_run:
                self._write(what, self._tested(target, bundle, report, cases, ok, "gates"))

        try:
            yield
        except MlopsError:
            self._quietly(lambda: write(False))
            raise
        write(True)

    def seal(self, targets: Sequence[BundleTarget], bundle: Bundle) -> None:
        """`release` is about to deploy: with a signing key, the deployer's hook is told that it may. Raises nothing.

        Where no hook asks for it, a seal that could not be written matters to nobody.
        """
        sealed = [target for target in targets if not target.unit.is_direct]
        if self._key is None or not sealed:
            return
        first = sealed[0]
        earlier = self._settings.stage_before(first.stage)
        inputs = store.digests(self._folder, "package", *([f"test-{earlier.name}"] if earlier else []))
        artifact, run = self._artifact(bundle), self._run()
        tags = [
            seals.tag(
                seals.seal(artifact, run, one.stage, one.infra, _node(one.node), inputs),
                self._key,
                one.infra,
                bundle.id,
            )
            for one in sealed
        ]
        try:
            published.write(first.deployer, first.project, seals.PREFIX, tags)
        except NodeError as error:
            self._console.warn(f"no seal for the deployer's hook: {error.message}")

    def released(self, target: BundleTarget, bundle: Bundle, failure: str = "") -> None:
        """`release` has ended, well or with this failure. Raises nothing: production is what it is."""

        def write() -> None:
            earlier = self._settings.stage_before(target.stage)
            inputs = store.digests(self._folder, "package", *([f"test-{earlier.name}"] if earlier else []))
            statement = statements.released(
                self._artifact(bundle),
                self._run(),
                target.stage,
                target.infra,
                _node(target.node),
                inputs,
                smoke=self._settings.release.smoke_scenario,
                failure=failure,
            )
            self._write(f"release-{target.stage}", statement)

        self._quietly(write)

    def _tested(
        self,
        target: BundleTarget,
        bundle: Bundle,
        report: Report,
        cases: list[Case],
        ok: bool,
        checked: str = "tests",
    ) -> Statement:
        def names(*outcomes: Outcome) -> list[str]:
            found = [case for case in cases if case.outcome in outcomes]
            prefix = f"{report.classname}."
            return [f"{case.classname}.{case.name}".removeprefix(prefix).removeprefix(".") for case in found]

        return statements.tested(
            self._artifact(bundle),
            self._run(),
            target.stage,
            target.infra,
            _node(target.node),
            passed=names(Outcome.PASSED),
            failed=names(Outcome.FAILURE, Outcome.ERROR),
            ok=ok,
            checked=checked,
        )

    def _write(self, what: str, statement: Statement) -> None:
        path = store.write(self._folder, what, statement, self._key)
        how = (
            f"signed by key {self._key.public.id[:16]}…"
            if self._key
            else "not signed: MLOPS_SIGNING_KEY_FILE is not set"
        )
        self._console.detail(f"statement: {path} ({how})")

    def _quietly(self, write: Callable[[], None]) -> None:
        try:
            write()
        except MlopsError as error:
            self._console.error(error.message)

    def _artifact(self, bundle: Bundle) -> Artifact:
        return Artifact(self._settings.project, bundle.id, bundle.sha256)

    def _run(self) -> Run:
        build = self._build
        return Run(build.url, build.job, build.number, build.commit, self._started, now())

    def _has_statement_of(self, bundle: Bundle) -> bool:
        """Whether there is a statement about this archive. Who has signed it is checked by whoever relies on it."""
        path = self._folder / f"package{store.SUFFIX}"
        try:
            check(path.name, store.read(path), bundle.sha256, None)
        except CheckFailed:
            return False
        return True


def trusted_key(settings: Settings) -> PublicKey | None:
    """The key that the statements of a release must be signed with; ``None`` when it requires none.

    Raises :class:`ConfigError` when there is no usable key.
    """
    release = settings.release
    if release.provenance == "off":
        return None
    if release.public_key is None:
        raise ConfigError(
            f"{settings.place('release', 'provenance')}: required, but there is no public key",
            next_step="set release.public_key, or MLOPS_PUBLIC_KEY_FILE, to the path of the public key in PEM",
        )
    return PublicKey.read(release.public_key)


def check_provenance(target: BundleTarget, bundle: Bundle, key: PublicKey, console: Console) -> None:
    """Raises :class:`CheckFailed` unless signed statements say how the bundle was packaged, and that it was tested."""
    settings = target.settings
    earlier = settings.stage_before(target.stage)
    folder = store.folder(settings.record, settings.project)
    stage = earlier.name if earlier else ""
    try:
        found = released_with(folder, settings.project, bundle.id, bundle.sha256, stage, key)
    except CheckFailed as error:
        raise CheckFailed(
            f"{error.message}; {target.stage} is untouched",
            details=[f"statements are looked for in {folder}"],
            next_step="package and test the bundle with the signing key (MLOPS_SIGNING_KEY_FILE), or bring the "
            "statements of the build that did; release.provenance in mlops.yml requires them",
        ) from None
    console.line(f"provenance: {', '.join(one.name for one in found)}: signed by key {key.id[:16]}…")


def _bundle(record: ReleaseRecord) -> Bundle:
    assert record.bundle is not None
    return record.bundle


def _node(dss: Dss) -> Node:
    return Node(dss.url, dss.version)
