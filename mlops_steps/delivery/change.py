"""A change of a unit under way: where it is written down, how it is reported, and the transitions it makes.

Each method that is named like a transition of :mod:`mlops_steps.delivery.phases` makes it, and writes the record.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlops_steps.config import Settings
from mlops_steps.delivery import phases
from mlops_steps.delivery.phases import Phase, Transition
from mlops_steps.delivery.record import ReleaseRecord, load_for
from mlops_steps.delivery.targets.base import Deployed, Live, Target
from mlops_steps.delivery.unit import Named, Outcome, Previous, Unit
from mlops_steps.errors import ConfigError
from mlops_steps.report.model import Case, Report
from mlops_steps.system.console import Console
from mlops_steps.system.pace import pace
from mlops_steps.system.waiting import Deadline


@dataclass
class Change:
    """A change of a unit; with ``dry_run`` nothing is written.

    ``failed`` and ``because`` begin the lines that are printed when its restore fails. ``blames``: what is rolled back
    on purpose is quarantined.
    """

    target: Target
    report: Report
    console: Console
    record: ReleaseRecord
    record_path: Path
    dry_run: bool = False
    #: Held while the record is changed and written: units that are changed side by side share it, and the record.
    lock: AbstractContextManager[Any] = field(default_factory=threading.RLock, repr=False)
    failed: str = "the release failed and what was live before could not be restored"
    because: str = "the release failed because"
    blames: bool = True

    @classmethod
    def of(cls, target: Target, report: Report, console: Console) -> Change:
        """A change whose record is read now. Raises :class:`ConfigError`."""
        settings: Settings = target.settings
        return cls(target, report, console, load_for(settings.record, settings.project), settings.record)

    @property
    def unit(self) -> Unit:
        """The unit's part of the record."""
        target = self.target
        return self.record.unit(target.stage, target.infra, target.default_deployment, target.words.kind)

    @property
    def phase(self) -> Phase:
        return self.unit.phase

    @property
    def pending(self) -> bool:
        """Whether a restore is pending."""
        return self.unit.pending

    @property
    def noted_before(self) -> str | None:
        """The version that the record says was live before."""
        return self.unit.previous.version if self.unit.previous else None

    @property
    def recorded_version(self) -> str | None:
        """The version that the record is about: its bundle, or its package."""
        bundle, package = self.record.bundle, self.record.package
        if self.target.words.kind == "bundle":
            return bundle.id if bundle else None
        return package.version if package else None

    def is_ours(self, found: Deployed) -> bool:
        """Whether the settings are what this change has made of them, or has found; otherwise somebody else's."""
        return self.unit.is_ours(found.version, found.enabled, found.sharing)

    # ---- the transitions

    def begin(self, version: str, live: Live, previous: Previous | None, *, restores: bool = True) -> None:
        """Notes the change, then that the deployment is about to be changed: both before anything is.

        A change that was interrupted is resumed: what was live before that one stays what is restored.
        """
        outcome = Outcome(bundle=version)
        # Tests of what was deployed before prove nothing of this deployment.
        self.record.stage(self.target.stage, self.target.words.kind).test = None
        if self.unit.phase in phases.PENDING:
            self._go(phases.RESUME, **self._noted(version, live, previous, restores), deploy=outcome)
        else:
            self.note(version, live, previous, restores=restores)
            self._go(phases.DEPLOY, deploy=outcome)
        self._say_settings(live)

    def note(self, version: str, live: Live, previous: Previous | None, *, restores: bool = True) -> None:
        """Notes what is live, and what is to be made live, before anything is changed."""
        self._go(phases.NOTE, **self._noted(version, live, previous, restores), deploy=None)

    def _noted(self, version: str, live: Live, previous: Previous | None, restores: bool) -> dict[str, Any]:
        return {
            "deployment": self.deployment_id(live),
            "version": version,
            "previous": self._with_state(live, previous),
            "restores": restores,
            "why": "",
            "share": None,
            "smoke_test": None,
            "restore": None,
        }

    def _say_settings(self, live: Live) -> None:
        """What the project gets on its node besides the bundle, where mlops.yml says something of it."""
        if not self.target.state:
            return
        lines = self.target.lacking_in_words(live)
        self.report.add(Case("settings", stdout="\n".join(lines) or "as configured"))
        for line in lines:
            self.console.line(f"settings on {self.target.infra}: {line}")

    def _with_noted_state(self, live: Live, previous: Previous) -> Previous:
        """What is restored, with what the node itself remembers of it, where the record does not."""
        if previous.state is not None or previous.version is None:
            return previous
        return previous.model_copy(update={"state": self.target.noted_state(previous.version, live)})

    def _with_state(self, live: Live, previous: Previous | None) -> Previous | None:
        """What is restored, with what the project has on its node besides: as it is now, or as was noted before."""
        if previous is None or previous.version is None or previous.state is not None:
            return previous
        known = self.unit.previous
        interrupted = live.deployment is not None and live.deployment.version != live.version
        noted = self.target.noted_state(previous.version, live)
        if noted is not None and (interrupted or live.version != previous.version):
            return previous.model_copy(update={"state": noted})
        if live.version == previous.version:
            with self.target.within(Deadline(pace().look)):
                return previous.model_copy(update={"state": self.target.state_of(live)})
        same = known is not None and known.version == previous.version
        return previous.model_copy(update={"state": known.state}) if known and same else previous

    def make_live(self, live: Live, deadline: Deadline, *, abort_at_limit: bool = False) -> Live:
        """Makes the version that was noted live, unless it is; what ``live`` says must still be so."""
        version, seen = str(self.unit.version), live.deployment
        if live.is_healthy(version) and not self.target.lacking(live):
            return live
        self.target.state_before = self.unit.previous.state if self.unit.previous else None
        try:
            return self.target.make_live(
                version,
                deadline,
                self.console,
                live=live,
                expected=lambda now: same_settings(now, seen),
                abort_at_limit=abort_at_limit,
            )
        finally:
            self.report.extend(self.target.finding_cases())

    def shift(self, share: float) -> None:
        """The version is about to get this share of the calls, in percent."""
        self._go(phases.SHIFT, share=share)

    def verify(self) -> None:
        """The version is live and healthy; its smoke test is about to start."""
        unit = self.unit
        self._go(phases.VERIFY, deploy=_passed(unit.deploy, unit.version), smoke_test=Outcome(bundle=unit.version))

    def accept(self, message: str = "", *, smoke_tested: bool = False) -> None:
        """The version is live, and verified where there is a smoke test. ``smoke_tested``: so it is, by another run."""
        unit = self.unit
        smoke_test = _passed(unit.smoke_test, unit.version) if unit.smoke_test or smoke_tested else None
        self._go(phases.ACCEPT, deploy=_passed(unit.deploy, unit.version, message), smoke_test=smoke_test)

    def was_live(self, version: str, live: Live) -> None:
        """The version was live and healthy already: there is nothing to do."""
        unit = self.unit
        same = unit.version == version
        self._go(
            # A deployment that was interrupted, on a stage where nothing is restored, may have made it live.
            phases.RESUME if unit.phase in phases.PENDING else phases.NOTE,
            save=False,
            deployment=self.deployment_id(live),
            version=version,
            previous=unit.previous if same and unit.previous else previous_of(live, live.version),
            restores=True,
            why="",
            share=None,
            deploy=unit.deploy if same else None,
            smoke_test=unit.smoke_test if same else None,
            restore=None,
        )
        self.accept("was live already")

    def fail(self, why: str) -> None:
        """The deployment has failed on a stage where nothing is restored."""
        self._go(phases.FAIL, must=False, why=why, deploy=self.unit.ended(why)["deploy"])

    def give_up(self, why: str) -> None:
        """The change has failed: what was live before is about to be made live again."""
        outcomes: dict[str, Any] = self.unit.ended(why)
        before = self.unit.previous
        outcomes["restore"] = Outcome(bundle=before.version if before else None, message=why)
        self._go(phases.GIVE_UP, must=False, why=why, **outcomes)

    def go_back(self, given_up: str | None, live: Live, previous: Previous, why: str) -> None:
        """``previous`` is to be made live in the place of version ``given_up``, and nothing says so yet."""
        self._go(
            phases.GO_BACK,
            deployment=self.deployment_id(live),
            version=given_up,
            previous=self._with_noted_state(live, previous),
            restores=True,
            why=why,
            share=None,
            deploy=None,
            smoke_test=None,
            restore=Outcome(bundle=previous.version, message=why),
        )

    def untouched(self, why: str) -> None:
        """The change has failed before anything was changed."""
        deploy = self.unit.ended(why)["deploy"]
        self._go(phases.UNTOUCHED, must=False, restore=None, deploy=deploy)

    def close(self, message: str) -> None:
        """What was live before is live again and verified."""
        before = self.unit.previous
        restore = _passed(self.unit.restore, before.version if before else None, message)
        self._go(phases.CLOSE, must=False, restore=restore)

    def doubt(self, why: str) -> None:
        """What was live before could not be restored or verified, or must not be."""
        outcomes: dict[str, Any] = self.unit.ended(why)
        self._go(phases.DOUBT, must=False, why=why, **outcomes)

    def forget(self) -> None:
        """Somebody else has made another version live: nothing is pending any more."""
        nothing: dict[str, Any] = dict.fromkeys(("version", "previous", "deploy", "smoke_test", "restore"))
        self._go(phases.FORGET, must=False, why="", share=None, **nothing)

    # ---- how

    def deployment_id(self, live: Live) -> str:
        """The id of the deployment, or the one that it gets."""
        return live.deployment.id if live.deployment else self.unit.deployment

    def _go(self, transition: Transition, *, save: bool = True, must: bool = True, **fields: Any) -> None:
        with self.lock:
            before = self.unit.model_copy()
            self.unit.go(transition, **fields)
            if self.dry_run or not save:
                return
            try:
                self.record.save(self.record_path)
            except ConfigError as error:
                if must:
                    # What is not written has not happened.
                    self.record.stage(self.target.stage, self.target.words.kind).units[self.target.infra] = before
                    raise
                # A full disk must not keep production from being restored: what is pending was written before.
                self.console.warn(error.message)


def previous_of(live: Live, version: str | None, *, enabled: bool | None = None) -> Previous:
    """What a restore of the version has to bring about; ``enabled`` is as it is now unless it is given.

    ``version`` is ``None`` when nothing is live. A deployment that is enabled is not disabled for that: one witness may
    be wrong, so its settings decide what is returned to.
    """
    found = live.deployment
    now = Named(version=None, enabled=True)
    if found:
        now = Named(version=found.version, enabled=found.enabled, shared=found.version is None)
    if version is None and found and found.enabled:
        return Previous(version=found.version, active=False, seen=now)
    return Previous(version=version, enabled=now.enabled if enabled is None else enabled, seen=now)


def same_settings(now: Deployed, seen: Deployed | None) -> bool:
    """Whether a deployment's settings still name the same versions, and it is enabled or disabled as it was seen."""
    return seen is None or (now.version, now.sharing, now.enabled) == (seen.version, seen.sharing, seen.enabled)


def superseded(change: Change, live: Live) -> bool:
    """Whether somebody else has made another version live since the record noted that a restore is pending.

    Then none is pending any more: the record forgets it, and a warning says so.
    """
    unit = change.unit
    if not unit.pending or live.version in unit.ours or not live.is_healthy(live.version):
        return False
    before = (unit.previous and unit.previous.version) or "nothing"
    name = change.target.words.version
    change.console.warn(f"a restore of {before} was pending, but somebody has deployed another {name} since: {live}")
    change.forget()
    return True


def _passed(outcome: Outcome | None, version: str | None, message: str = "") -> Outcome:
    return (outcome.model_copy() if outcome else Outcome(bundle=version)).end("passed", message)
