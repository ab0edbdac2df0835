"""A release over the infrastructures of a stage, wave by wave. Whatever goes wrong, it says how all of them ended."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from mlops_steps.config import RolloutSettings
from mlops_steps.delivery.phases import Phase
from mlops_steps.delivery.record import Bundle, ReleaseRecord, Stage
from mlops_steps.delivery.release import go_forward
from mlops_steps.delivery.rollout.ends import End, conclude
from mlops_steps.delivery.rollout.members import Ended, Member, side_by_side
from mlops_steps.delivery.rollout.progress import Rollout, State
from mlops_steps.delivery.rollout.restoring import restore_all, restore_one, to_be_restored
from mlops_steps.errors import CheckFailed, ConfigError, InternalError, MlopsError, NotApproved
from mlops_steps.report.model import Case, Outcome, Report
from mlops_steps.system.console import Console
from mlops_steps.system.interrupts import Interrupts, Stop
from mlops_steps.system.pace import pace
from mlops_steps.system.waiting import Deadline, duration

# Looks at the health of what was changed during a pause, and the seconds between two of them at most.
_LOOKS = 10
_LONGEST_PAUSE = 60.0


@dataclass
class Waves:
    """A release in waves: of ``bundle``, over the ``members``, which the caller has locked, claimed and looked at."""

    members: Sequence[Member]
    bundle: Bundle
    settings: RolloutSettings
    record: ReleaseRecord
    report: Report
    console: Console
    signals: Interrupts
    build: str | None = None

    @property
    def stage(self) -> str:
        return self.members[0].target.stage

    @property
    def part(self) -> Stage:
        """The stage's part of the record."""
        return self.record.stage(self.stage)

    @property
    def rollout(self) -> Rollout:
        """Its part of the record."""
        found = self.part.rollout
        assert found is not None
        return found

    def release(self) -> None:
        """Goes from wave to wave.

        Raises :class:`RolledBack` when it failed and what was live is live again wherever it was changed,
        :class:`ProductionInDoubt` when it is not, or when it has stopped half way as asked, :class:`Interrupted` after
        a signal, :class:`CheckFailed` when it waits for an approval. Whatever failed before anything was changed is
        raised as it is.
        """
        version = self.bundle.id
        with self.signals.handled():
            try:
                if not self._begin():
                    self.console.good(f"bundle {version} is live on all of {self.stage} already: nothing to do")
                    self._cases([])
                    return
                count = max(member.wave for member in self.members)
                for number in range(1, count + 1):
                    if not self._may_begin(number, count):
                        self._cases([])
                        return
                    self._wave(number, count)
                    if number < count:
                        self._soak(number, count)
            except (Exception, Stop) as failure:
                known = failure if isinstance(failure, (MlopsError, Stop, _WaveFailed)) else InternalError.of(failure)
                with self.signals.shielded():
                    self._put_back(known)
            with self.signals.shielded():
                self._reach("live")
                for member in self.members:
                    member.target.lifted = version
                self._cases([])
                self.console.good(
                    f"released: bundle {version} is live on {len(self.members)} infrastructures of {self.stage}, "
                    "healthy and smoke-tested"
                )

    # ---- the way forward

    def _begin(self) -> bool:
        """Notes the release, or goes on with one that was interrupted; ``False`` when there is nothing to do."""
        known, version = self.part.rollout, self.bundle.id
        same = known is not None and known.version == version
        if same and known and known.state in ("restoring", "in doubt"):
            raise CheckFailed(f"it failed before, and what was live before is not restored yet: {known.why}")
        if same and known and known.state in ("under way", "waiting"):
            if known.unfinished:
                self.console.warn(f"an earlier release to {self.stage} was interrupted; going on from its record")
            return True
        if all(member.situation and member.situation.phase is Phase.LIVE for member in self.members):
            return False
        # Without a record: what a process that is gone has made live belongs to this release.
        before = [member.infra for member in self.members if self._left_by_the_dead(member)]
        self.part.rollout = Rollout(
            version=version,
            on_failure=self.settings.on_failure,
            waves=max(member.wave for member in self.members),
            changed=before,
        )
        return True

    def _left_by_the_dead(self, member: Member) -> bool:
        live, previous = member.live, member.situation and member.situation.previous
        is_new = live is not None and live.is_healthy(self.bundle.id)
        return bool(member.target.found_dead and is_new and previous and previous.version != self.bundle.id)

    def _may_begin(self, number: int, count: int) -> bool:
        """Whether the wave may begin; ``False``, and noted, when it waits for an approval from now on."""
        rollout = self.rollout
        if number not in self.settings.approval or all(one.change.unit.verified for one in self._of(number)):
            return True
        if rollout.state == "waiting" and rollout.wave == number:
            approval = self.part.approval
            if (
                approval
                and approval.at >= rollout.since
                and approval.covers(self.bundle, self.build, self.part.plan_of(self.bundle))
            ):
                self.console.line(f"wave {number} of {count} approved by {approval.by}")
                rollout.reach("under way")
                return True
            raise NotApproved(
                f"{self.stage}: wave {number} of {count} waits for an approval; what is live stays as it is",
                next_step=f"`mlops-steps approve --stage {self.stage} --by NAME`, then the release again",
            )
        if rollout.wave > number:
            return True  # it had begun
        rollout.wave = number
        self._reach("waiting")
        self.console.good(
            f"{number - 1} of {count} waves of {self.stage} are live; wave {number} waits for an approval: "
            f"`mlops-steps approve --stage {self.stage} --by NAME`, then the release again"
        )
        return False

    def _of(self, number: int) -> list[Member]:
        return [member for member in self.members if member.wave == number]

    def _wave(self, number: int, count: int) -> None:
        rollout = self.rollout
        rollout.wave = max(rollout.wave, number)
        wave = self._of(number)
        self.console.line(f"wave {number} of {count}: {_names(wave)}")
        total, before = len(self.members), sum(member.wave < number for member in self.members)
        label = f"releasing bundle {self.bundle.id} to {self.stage}"
        with self.console.waiting(label) as wait:

            def say(done: int, active: int) -> None:
                wait.state(f"wave {number} of {count}: {before + done} of {total} infrastructures, {active} under way")

            say(0, min(len(wave), self.settings.at_once))
            ended, stop = side_by_side(
                wave,
                self._forward,
                self.settings.at_once,
                self.signals,
                all_or_none=rollout.on_failure == "rollback_all",
                say=say,
            )
        failed = [one for one in ended if one.error]
        # A signal that has come when the last one was live has stopped nothing.
        if failed or (stop is not None and (number < count or len(ended) < len(wave))):
            raise _WaveFailed(failed, stop)

    def _forward(self, member: Member) -> None:
        live, situation, version = member.live, member.situation, self.bundle.id
        assert live is not None
        assert situation is not None
        if situation.phase is Phase.LIVE:
            member.change.console.line(f"bundle {version} is live, healthy and smoke-tested already")
            return
        with member.change.lock:
            if member.infra not in self.rollout.changed:
                self.rollout.changed.append(member.infra)  # written with the unit's own note, before anything is done
        deadline = Deadline(member.target.limits.change)
        go_forward(member.change, live, situation, version, deadline, member.signals)

    def _soak(self, number: int, count: int) -> None:
        """Waits, and looks meanwhile whether what was changed is live and healthy still."""
        seconds = self.settings.soak
        changed = [one for one in self.members if one.infra in self.rollout.changed and one.wave <= number]
        if not seconds or not changed:
            return
        deadline = Deadline(seconds)
        with self.console.waiting(f"wave {number} of {count} is live; looking at its health") as wait:
            while not deadline.passed:
                wait.state(f"{duration(deadline.remaining)} left")
                ended, stop = side_by_side(changed, self._look, self.settings.at_once, self.signals)
                failed = [one for one in ended if one.error]
                if stop is not None or failed:
                    raise _WaveFailed(failed, stop)
                self._pause(min(seconds / _LOOKS, _LONGEST_PAUSE, deadline.remaining))
        self.console.line(f"wave {number} of {count} was healthy for {duration(seconds)}")

    def _pause(self, seconds: float) -> None:
        end = Deadline(seconds)
        while not end.passed:
            time.sleep(min(0.5, end.remaining))  # in pieces, so that a signal handler gets its turn

    def _look(self, member: Member) -> None:
        patience = max(member.target.settings.deploy.health_timeout, pace().grace)
        member.target.check_still_live(self.bundle.id, Deadline(patience))

    # ---- the way back

    def _put_back(self, failure: MlopsError | Stop | _WaveFailed) -> None:
        """Restores what was changed, as ``on_failure`` says, and raises the error that says how it ended."""
        if isinstance(failure, NotApproved) or self.part.rollout is None:
            raise failure
        rollout = self.rollout
        wave = failure if isinstance(failure, _WaveFailed) else None
        errors = {one.member.infra: one.error for one in wave.failed if one.error} if wave else {}
        own = [error for error in errors.values() if not isinstance(error, Stop)]
        cause = (wave.stop or own[0]) if wave and (wave.stop or own) else failure
        if isinstance(cause, _WaveFailed):
            cause = InternalError.of(cause)  # nothing stops an infrastructure but a signal, or one that has failed
        first = next((one.member.place for one in wave.failed if one.error is cause), "") if wave else ""
        why = f"interrupted by {cause}" if isinstance(cause, Stop) else cause.message
        why = f"{first}: {why}" if first else why
        restored = to_be_restored(self.members, rollout, self.bundle.id, set(errors))
        if restored:
            self._reach("restoring", why)
        stays = any(one.infra in rollout.changed and one not in restored for one in self.members)

        def work(member: Member) -> End:
            own = _of_its_own(errors.get(member.infra))
            if isinstance(own, CheckFailed) and stays:
                own.inconclusive = True  # it is live and verified elsewhere, and stays there: no quarantine
            return restore_one(member, why, own)

        ends = restore_all(restored, why, work, self.settings.at_once, self.signals, self.console)
        state, error = conclude(self.members, ends, rollout, self.bundle.id, cause, why)
        self._reach(state, why)
        self._cases(ends, why)
        error.is_reported = bool(self.report.failed)
        raise error

    # ---- what is written down

    def _reach(self, state: State, why: str = "") -> None:
        first = self.members[0].change
        with first.lock:
            self.rollout.reach(state, why)
            try:
                self.record.save(first.record_path)
            except ConfigError as error:
                if state == "under way":
                    raise
                self.console.warn(error.message)

    def _cases(self, ends: Sequence[End], why: str = "") -> None:
        """A test case for each infrastructure, in the suite of the step."""
        by_infra = {end.member.infra: end for end in ends}
        for member in self.members:
            end = by_infra.get(member.infra)
            case = self.report.add(Case(member.place))
            version = member.change.unit.verified
            if end is None and version == self.bundle.id:
                case.stdout = f"bundle {version} is live on {member.infra}, healthy and smoke-tested"
            elif end is None:
                case.outcome = Outcome.SKIPPED
                case.message = f"not reached: {why}" if why else "its wave has not begun"
            else:
                case.outcome = Outcome.ERROR if end.in_doubt else Outcome.FAILURE
                case.message = f"{end.why}; live now: {end.live}" if end.why != why else f"{why}; live now: {end.live}"
            member.report.set(live=end.live if end else None)


class _WaveFailed(Exception):
    """What has failed in a wave, and the signal that stopped it."""

    def __init__(self, failed: Sequence[Ended], stop: Stop | None) -> None:
        super().__init__("a wave failed")
        self.failed = list(failed)
        self.stop = stop


def _of_its_own(error: MlopsError | Stop | None) -> MlopsError | None:
    """The failure of an infrastructure of its own; ``None`` where it was stopped because of another one."""
    return None if isinstance(error, Stop) else error


def _names(members: Sequence[Member]) -> str:
    shown = ", ".join(member.place for member in members[:10])
    return f"{shown} and {len(members) - 10} more" if len(members) > 10 else shown
