"""The infrastructures of a stage, each with its connections, its part of the report and of the record."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from mlops_steps.config import Settings
from mlops_steps.config.nodes import waves
from mlops_steps.delivery.change import Change
from mlops_steps.delivery.evidence import Situation
from mlops_steps.delivery.record import ReleaseRecord
from mlops_steps.delivery.targets.base import Live
from mlops_steps.delivery.targets.opening import StageTarget, open_target
from mlops_steps.dss.session import connect
from mlops_steps.errors import InternalError, MlopsError
from mlops_steps.report.model import Report
from mlops_steps.system.cancellation import Cancellation, Cancelled, ThreadInterrupts
from mlops_steps.system.console import Console
from mlops_steps.system.interrupts import Interrupts, Stop
from mlops_steps.system.prefixed import PrefixedConsole

# So many infrastructures have a line for each of their steps in the log; of more, the report has them.
_FEW = 10
# Lines of progress about one wave, about.
_LINES = 10
# The number of the signal that a work is stopped with which is not wanted any more.
_NOT_WANTED = 15


@dataclass
class Member:
    """One of the infrastructures. ``place`` is its name in mlops.yml, ``wave`` the number of its wave."""

    place: str
    wave: int
    target: StageTarget
    change: Change
    signals: ThreadInterrupts = field(default_factory=ThreadInterrupts)
    live: Live | None = None
    situation: Situation | None = None

    @property
    def infra(self) -> str:
        """The id on the deployer, which names its unit in the record."""
        return self.target.infra

    @property
    def report(self) -> Report:
        return self.change.report

    def __str__(self) -> str:
        return self.place


@contextmanager
def open_members(
    settings: Settings,
    stage: str,
    report: Report,
    console: Console,
    record: ReleaseRecord,
    *,
    infra: str | None = None,
    dry_run: bool = False,
) -> Iterator[list[Member]]:
    """The infrastructures of the stage, or the one that ``infra`` names, in the order of their waves.

    They share the record, and one connection to the deployer. Raises :class:`ConfigError` before anything is asked.
    """
    units = settings.units(stage, infra)
    lock: Any = threading.RLock()
    with ExitStack() as stack:
        deployer = stack.enter_context(connect(settings, settings.archives()))
        members = []
        for number, wave in enumerate(waves(settings.stage(stage)), 1):
            for unit in wave:
                if unit not in units:
                    continue
                target = stack.enter_context(open_target(settings, stage, str(unit.infra), deployer))
                part = report.part(unit.place)
                part.set(infrastructure=target.infra)
                own = PrefixedConsole(console, unit.place, few=len(units) <= _FEW)
                change = Change(target, part, own, record, settings.record, dry_run=dry_run, lock=lock)
                change.unit  # noqa: B018  there before several threads look at the record
                members.append(Member(unit.place, number, target, change))
        yield members


@dataclass(frozen=True)
class Ended:
    """How the work on an infrastructure has ended: ``error`` is why it did not succeed."""

    member: Member
    error: MlopsError | Stop | None = None


def side_by_side(
    members: Sequence[Member],
    work: Callable[[Member], None],
    at_once: int,
    signals: Interrupts,
    *,
    all_or_none: bool = False,
    heard: bool = True,
    say: Callable[[int, int], None] = lambda _done, _active: None,
) -> tuple[list[Ended], Stop | None]:
    """Does the work on all of them, ``at_once`` at the same time, begun in their order.

    With ``all_or_none`` the first failure stops what is under way, and nothing more begins. A signal does the same,
    unless it is not ``heard``. Returns, when all work is over, how each has ended that has begun, and the signal.
    ``say`` is told how many are done, and how many are under way.
    """
    cancellation = Cancellation()
    todo = SimpleQueue[Member]()
    done: SimpleQueue[Ended] = SimpleQueue()
    active: set[str] = set()
    for member in members:
        todo.put(member)

    def run() -> None:
        while not cancellation.requested:
            try:
                member = todo.get_nowait()
            except Empty:
                return
            active.add(member.place)
            done.put(Ended(member, _error_of(work, member, cancellation)))

    threads = [
        threading.Thread(target=copy_context().run, args=(run,), name=f"infrastructure-{number}", daemon=True)
        for number in range(min(at_once, len(members)))
    ]
    for thread in threads:
        thread.start()
    ended: list[Ended] = []
    stop: Stop | None = None
    # A signal is noted, and passed on: none may get lost between two lines of this.
    with signals.shielded():
        while any(thread.is_alive() for thread in threads) or not done.empty():
            if heard and stop is None and signals.received is not None:
                stop = Stop(signals.received)
                cancellation.cancel(stop)
            try:
                one = done.get(timeout=0.1)
            except Empty:
                continue
            ended.append(one)
            active.discard(one.member.place)
            if one.error and all_or_none:
                cancellation.cancel(Cancelled(_NOT_WANTED))
            # A log has a line for each change of what is said: of hundreds, ten or twenty are enough.
            if len(ended) % max(1, len(members) // _LINES) == 0 or len(ended) == len(members):
                say(len(ended), len(active))
        if heard and stop is None and signals.received is not None:
            stop = Stop(signals.received)
    return ended, stop


def _error_of(work: Callable[[Member], None], member: Member, cancellation: Cancellation) -> MlopsError | Stop | None:
    try:
        with cancellation.heard():
            work(member)
    except (MlopsError, Stop) as error:
        return error
    except Exception as error:
        # A mistake of our own must not leave production in doubt either.
        return InternalError.of(error)
    return None
