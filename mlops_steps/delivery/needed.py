"""Whether the node of a stage has what the bundle needs, asked before the first change of a release."""

from __future__ import annotations

from dataclasses import replace

from mlops_steps.delivery.change import Change
from mlops_steps.delivery.evidence import Situation
from mlops_steps.delivery.phases import Phase
from mlops_steps.delivery.targets.base import Live
from mlops_steps.delivery.targets.bundle_target import BundleTarget
from mlops_steps.needs.check import Place, check_needs
from mlops_steps.needs.model import BundleNeeds
from mlops_steps.system.waiting import Deadline


def check_needed(
    change: Change,
    target: BundleTarget,
    needs: BundleNeeds | None,
    live: Live,
    situation: Situation,
    deadline: Deadline,
    *,
    ahead: bool = False,
) -> None:
    """Raises :class:`CheckFailed` when the node lacks what the bundle needs.

    Only before the first change: what an earlier attempt has begun is finished or restored, whatever the node lacks.
    ``needs`` is ``None`` where that is not asked for. Scenarios that are replaced are asked for ``ahead`` only,
    unless it may stop that.
    """
    settings = target.settings.compare
    if needs is None or situation.phase is not Phase.NOTED:
        return
    if not ahead and settings.severity.get("scenario") != "error":
        needs = replace(needs, scenarios={})
    place = Place(target.stage, target.node, target.deployed_key, target.planned(first=live.deployment is None))
    limit = deadline.at_most(settings.timeout)
    only_warn = settings.at_release == "warning"
    check_needs(needs, place, settings, change.report, change.console, limit, only_warn=only_warn)
