"""A bundle on an Automation node without a deployer: the archive is sent there, preloaded, and activated."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlops_steps.delivery.targets.archive_file import archive_file
from mlops_steps.delivery.targets.base import DIRECT, Deployed, Live, MadeLive, no_canary
from mlops_steps.delivery.targets.bundle_target import BundleTarget
from mlops_steps.delivery.targets.live_direct import DirectProject, LiveDirect
from mlops_steps.dss import bundles, claims, direct, node_note, project_state
from mlops_steps.dss.deployments import Deployment, changed_by_another
from mlops_steps.dss.direct import Finding, State
from mlops_steps.dss.node_note import ON_NODE, Activation
from mlops_steps.dss.session import Dss
from mlops_steps.errors import Busy, CheckFailed, DeadlineExceeded, NodeError, Refusal, SomebodyElse
from mlops_steps.system.console import Console
from mlops_steps.system.pace import pace
from mlops_steps.system.waiting import Deadline, duration, poll


class DirectTarget(BundleTarget):
    """A stage of ``strategy: direct``, with connections to where archives come from and to its Automation node."""

    of = ON_NODE
    words = DIRECT

    @property
    def notes(self) -> Dss:
        """The Automation node itself: there is nothing else that every agent can read."""
        return self.node

    def find_deployment(self) -> DirectProject | None:
        return self.observe().deployment

    def observe(self) -> LiveDirect:
        """Asks the node what is active. Raises :class:`NodeError`."""
        return self._live(direct.state(self.node, self.project))

    def _live(self, state: State) -> LiveDirect:
        return LiveDirect.of(state, self.project, self.infra, self.default_deployment)

    def look(
        self,
        deadline: Deadline,
        console: Console,
        is_canary: Callable[[Live], bool] = no_canary,  # noqa: ARG002
    ) -> LiveDirect:
        """What is active, where the node does not contradict itself.

        A list of projects that a proxy has emptied, or that of a key without rights, would look like a stage without a
        release. Raises :class:`NodeError` when the node still contradicts itself after a moment.
        """
        with self.within(deadline):
            live = self.observe()
            problem = self._contradiction(live)
            if problem is None:
                return live
            console.warn(f"{problem}: looking again")

            def again() -> LiveDirect | None:
                nonlocal live, problem
                live = self.observe()
                problem = self._contradiction(live)
                return live if problem is None else None

            try:
                return poll(again, deadline=deadline.at_most(pace().agree), what="an answer without contradiction")
            except DeadlineExceeded:
                raise NodeError(
                    f"{self.stage}: {self.node} contradicts itself: {problem}; nothing was changed",
                    next_step="check what is active there, the rights of the key and any proxy before the node, then "
                    "run the step again",
                ) from None

    def _contradiction(self, live: LiveDirect) -> str | None:
        state = live.state
        if not state.exists:
            there = direct.imported(self.node, self.project) is not None
            return f"{self.node} does not list project {self.project}, but has it" if there else None
        made = next((one for one in state.note.activations if one.done), None)
        if state.bundle is None and made:
            return f"no bundle of project {self.project} is active, but the note says that {made.bundle} was activated"
        return None

    def wait_until_idle(self, deadline: Deadline, console: Console) -> None:
        """Waits for an activation that was begun, and whose end nobody has noted."""
        with self.within(deadline), console.waiting(f"looking for an activation under way on {self.infra}"):
            self._await_activation(deadline)

    def _await_activation(self, deadline: Deadline) -> LiveDirect:
        """What is active when no activation is under way any more, as far as that can be known."""
        found = [direct.state(self.node, self.project)]
        newest = next(iter(found[0].note.activations), None)
        if newest is None or newest.done or newest.bundle == found[0].bundle:
            return self._live(found[0])

        def look() -> bool | None:
            found[0] = direct.state(self.node, self.project)
            return True if found[0].bundle == newest.bundle else None

        # Otherwise it never reached the node, or the node gave it up.
        with suppress(DeadlineExceeded):
            poll(look, deadline=deadline.at_most(pace().lost), what="the activation")
        return self._live(found[0])

    def make_live(
        self,
        version: str,
        deadline: Deadline,
        console: Console,
        *,
        live: Live,
        expected: Callable[[Deployed], bool],
        enabled: bool = True,
        abort_at_limit: bool = False,  # noqa: ARG002
    ) -> LiveDirect:
        """Imports the bundle where it is not there yet, preloads and activates it, and waits until the node says so.

        Raises :class:`CheckFailed` when the node lacks what the bundle needs, or does not activate it;
        :class:`SomebodyElse`, :class:`NodeError`.
        """
        self.findings = []
        with self.within(deadline), console.waiting(f"deploying bundle {version} to {self.infra}") as wait:
            self.check_claim()
            now = self._unchanged(live, expected, self._await_activation(deadline))
            if self._is_made(now, version, enabled) and not self.lacking(now):
                return self._done(now, version, enabled, deadline)
            self._bring(version, now, deadline, wait.state)
            newest = next(iter(now.state.note.activations), None)
            began = max(int(time.time() * 1000), newest.began + 1 if newest else 0)
            changes = now.version is not None and bool(self.lacking(now))
            entry = Activation(
                began, version, done=False, before=now.version, state=self.state_before if changes else None
            )
            if newest and not newest.done and (newest.bundle, newest.before) == (version, now.version):
                entry = newest  # an attempt that was interrupted: what it has found is what was there
            if changes:
                # Whoever comes after a crash must know that the settings may be those of this bundle already.
                node_note.write_activation(self.node, self.project, entry, deadline)
            self._put_settings(deadline)
            self.check_claim()
            wait.state(f"preloading bundle {version}")
            self._check(version, direct.preload(self.node, self.project, version, deadline), "lacks what it needs")
            again = self.observe()
            if not changes:
                self._unchanged(live, expected, again)
            elif again.deployment and again.version != now.version:
                raise changed_by_another(again.deployment)
            wait.state(f"activating bundle {version}")
            initial, self._initial = self._initial, {}
            variables = project_state.part(self.state, project_state.VARIABLE)
            node_note.write_activation(
                self.node,
                self.project,
                entry,
                deadline,
                initial=initial,
                variables={name: value[0] for name, value in variables.items() if value},
                without=[name for name, value in variables.items() if not value],
            )
            flags = project_state.part(self.state, project_state.SCENARIO)
            active_then = {name: bool(value[0]) for name, value in flags.items() if value}
            found = direct.activate(self.node, self.project, version, active_then, deadline)
            self._check(version, found, "refused to activate it")
            active = self._await_active(version, deadline, wait.state)
            return self._done(active, version, enabled, deadline)

    @staticmethod
    def _unchanged(live: Live, expected: Callable[[Deployed], bool], now: LiveDirect) -> LiveDirect:
        """What is active. Raises :class:`SomebodyElse` when it is not what it was, or what this change has made."""
        if now.deployment and (live.deployment is None or not expected(now.deployment)):
            raise changed_by_another(now.deployment)
        return now

    @staticmethod
    def _is_made(now: LiveDirect, version: str, enabled: bool) -> bool:
        """Whether an attempt that was interrupted has made this live already."""
        newest = next(iter(now.state.note.activations), None)
        return bool(enabled and now.is_healthy(version) and newest and newest.bundle == version)

    def _done(self, now: LiveDirect, version: str, enabled: bool, deadline: Deadline) -> LiveDirect:
        """Switches the triggers as they must be, and notes that the activation has succeeded."""
        off = not enabled
        if off or now.state.note.taken_back:
            self._set_triggers(not off and bool((self.state.get(project_state.TRIGGERS) or [True])[0]), deadline)
        newest = next((one for one in now.state.note.activations if one.bundle == version), None)
        if newest and (not newest.done or off != now.state.note.taken_back):
            entry = replace(newest, done=True)
            node_note.write_activation(self.node, self.project, entry, deadline, taken_back=off)
            now = self.observe()
        return now

    # ---- what the project has on the node besides the bundle

    def present(self, live: Live) -> dict[str, list[Any]]:
        """By the settings of the project on the node, its variables, and, where they are named, its scenarios."""
        state = live.state if isinstance(live, LiveDirect) else direct.state(self.node, self.project)
        found = project_state.of_settings(node_note.settings_of(self.node, self.project))
        found |= {f"{project_state.VARIABLE}{name}": [value] for name, value in state.variables.items()}
        if project_state.part(self.settable, project_state.SCENARIO):
            active = project_state.scenarios(self.node, self.project)
            found |= {f"{project_state.SCENARIO}{name}": [is_on] for name, is_on in active.items()}
        return found

    def planned(self, *, first: bool = False) -> Deployment:
        found = super().planned(first=first)
        if first or not found.version:
            return found
        raw = node_note.settings_of(self.node, self.project)
        return replace(found, settings=project_state.changed_settings(raw, self.configured_state))

    def noted_state(self, version: str, live: Live) -> dict[str, list[Any]] | None:
        """By the note, of the last activation that came after this bundle."""
        entries = live.state.note.activations if isinstance(live, LiveDirect) else ()
        return next((one.state for one in entries if one.before == version), None)

    def _put_settings(self, deadline: Deadline) -> None:
        """The remapping and the triggers, before the bundle is preloaded."""
        wanted = {
            name: value
            for name, value in self.state.items()
            if not name.startswith((project_state.VARIABLE, project_state.SCENARIO))
        }
        if wanted:
            node_note.change_settings(
                self.node, self.project, lambda raw: project_state.put_into(raw, wanted), deadline
            )

    def _set_triggers(self, on: bool, deadline: Deadline) -> None:
        def change(raw: dict[str, object]) -> None:
            raw["disableAutomaticTriggers"] = not on

        node_note.change_settings(self.node, self.project, change, deadline)

    def _bring(self, version: str, now: LiveDirect, deadline: Deadline, say: Callable[[str], None]) -> None:
        """Sees to it that the node has the bundle."""
        there = direct.imported(self.node, self.project) if now.state.exists else None
        if there is not None and version in there and (version == now.version or not self._is_other(there, version)):
            return
        with archive_file(self.settings) as path:
            say(f"downloading the archive of bundle {version}")
            self._download(version, path, deadline)
            if there is None:
                say(f"creating project {self.project} from bundle {version}")
                self._create(version, path, deadline)
            else:
                self.check_claim()
                if version in there:
                    say(f"replacing another bundle {version}")
                    direct.delete(self.node, self.project, version)
                say(f"importing bundle {version}")
                direct.import_bundle(self.node, self.project, version, path, deadline)

    def _is_other(self, there: dict[str, dict[str, object]], version: str) -> bool:
        """Whether the imported bundle of this id is another one than the one that is to be made live."""
        wanted, size = self.checked.get(version, (None, None))
        found = there[version]
        if wanted and isinstance(found.get("archiveSha256"), str):
            return found["archiveSha256"] != wanted
        return bool(size and isinstance(found.get("archiveSize"), int) and found["archiveSize"] != size)

    def _download(self, version: str, path: Path, deadline: Deadline) -> None:
        archive = bundles.download(
            self.deployer,
            self.project,
            version,
            deadline,
            into=path,
            check=lambda file: bundles.check_archive(file, self.project, version),
            exported=self.exported,
        )
        wanted = self.checked.get(version)
        if wanted and wanted[0] != archive.sha256:
            raise CheckFailed(
                f"bundle {version}: the archive on {self.deployer} is not the one that was tested",
                details=[f"tested: {wanted[0]}", f"found:  {archive.sha256}"],
                next_step="find out who replaced it, and package again",
            )

    def _create(self, version: str, path: Path, deadline: Deadline) -> None:
        try:
            direct.create(self.node, self.project, version, path, deadline)
        except Refusal as refusal:
            if refusal.status == 409:
                raise SomebodyElse(
                    f"somebody else has created project {self.project} on {self.infra} meanwhile; "
                    "it was not overwritten",
                    details=[refusal.message],
                ) from None
            raise
        self._initial = direct.local_variables_of(path)
        if self.later is None:
            return

        def check(others: list[claims.Claim]) -> None:
            if others:
                raise Busy(f"stage {self.stage}: {others[0]} is at work on {self.infra}; nothing is active there")

        claims.write(self.node, self.project, [self.later], check, self.of)
        self.claim, self.later = self.later, None

    def _check(self, version: str, found: list[Finding], what: str) -> None:
        self.findings += found
        errors = list(dict.fromkeys(one.text for one in found if one.is_error))
        if errors:
            names = ", ".join(dict.fromkeys(one.name for one in found if one.is_error))
            raise CheckFailed(f"bundle {version}: {self.node} {what}: {names}", details=errors)

    def _await_active(self, version: str, deadline: Deadline, say: Callable[[str], None]) -> LiveDirect:
        last: list[LiveDirect] = []

        def look() -> LiveDirect | None:
            last[:] = [self.observe()]
            say(str(last[0]))
            return last[0] if last[0].version == version else None

        patience = deadline.at_most(self.settings.deploy.health_timeout)
        try:
            return poll(look, deadline=patience, what=f"bundle {version} on {self.infra}", longest=3.0)
        except DeadlineExceeded:
            if not last:
                raise
            raise CheckFailed(
                f"bundle {version} is not active on {self.infra} {duration(patience.seconds)} after its activation: "
                f"{last[0]}"
            ) from None

    def take_back(
        self, deadline: Deadline, console: Console, *, expected: Callable[[Deployed], bool]
    ) -> DirectProject | None:
        """Switches the triggers of the project off, and notes that it is out of service; ``None``: nothing is active.

        The project stays on the node: it may hold data.
        """
        with self.within(deadline), console.waiting(f"taking what was created on {self.infra} out of service"):
            live = self._await_activation(deadline)
            if live.deployment is None:
                return None
            self.check_claim()
            if not expected(live.deployment):
                raise changed_by_another(live.deployment)
            self._set_triggers(False, deadline)
            node_note.write_taken_back(self.node, self.project, deadline)
            return live.deployment

    def check_still_live(self, version: str, deadline: Deadline) -> LiveDirect:
        """Looks again after a smoke test, which took its time, whether the bundle is active.

        Raises :class:`SomebodyElse` when another one is, :class:`CheckFailed` when none is, :class:`NodeError`.
        """
        with self.within(deadline):
            self.check_claim()
            live = self.observe()
            if live.deployment and not live.is_healthy(version):
                raise changed_by_another(live.deployment)
            return live if live.deployment else self._await_active(version, deadline, lambda _state: None)

    # ---- what it remembers

    def made_live(self, live: Live) -> Iterator[MadeLive]:
        """The bundles that were activated, by the note, the newest first.

        What is active and was not activated by this tool is the newest one.
        """
        state = live.state if isinstance(live, LiveDirect) else direct.state(self.node, self.project)
        entries = [
            one
            for number, one in enumerate(state.note.activations)
            if one.done or (number == 0 and one.bundle == state.bundle)
        ]
        if state.bundle and entries and entries[0].bundle != state.bundle:
            yield MadeLive(entries[0].began + 1, state.bundle)
        for one in entries:
            yield MadeLive(one.began, one.bundle)

    def newest_change(self, live: Live) -> int | None:
        """When the bundle that is active was activated, by the note."""
        newest = next(self.made_live(live), None)
        return newest.started if newest else None

    def never_updated(self, live: Live) -> bool:
        """Whether the note names no activation that has succeeded."""
        return next(self.made_live(live), None) is None

    def update_name(self, version: str) -> str | None:
        """The start of the activation that has made the bundle live; ``None`` when another one, or none, is active."""
        state = direct.state(self.node, self.project)
        newest = next(iter(state.note.activations), None)
        if newest is None or (newest.bundle, state.bundle) != (version, version):
            return None
        return str(newest.began)

    def available(self) -> list[str]:
        """The bundles that are on the node, and those whose archive can be sent there."""
        there = direct.imported(self.node, self.project) or {}
        if self.exported:
            return list(dict.fromkeys([*there, *bundles.exported_bundles(self.deployer, self.project)]))
        return list(dict.fromkeys([*there, *bundles.published_bundles(self.deployer, self.project)]))
