"""Counts the calls of users during a change of an API service, and how many of them failed, where the nodes tell it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from mlops_steps.delivery.targets.api_deployer import ApiDeployerTarget
from mlops_steps.dss.api_traffic import users_traffic
from mlops_steps.errors import NodeError
from mlops_steps.report.model import Report
from mlops_steps.system.console import Console
from mlops_steps.system.interrupts import Interrupts
from mlops_steps.system.pace import pace
from mlops_steps.system.waiting import Deadline


@contextmanager
def users_counted(target: ApiDeployerTarget, report: Report, console: Console, signals: Interrupts) -> Iterator[None]:
    """Notes in the report how many calls of users were answered during the block, and how many failed.

    Where a node of the stage has no key of its administration, or does not tell, nothing is noted, and nothing fails.
    """
    nodes = target.settings.api.nodes_of(target.stage)
    if not nodes or not all(node.admin_key for node in nodes):
        yield
        return
    try:
        with target.within(Deadline(pace().look)):
            deployment = target.find_deployment()
    except NodeError:
        deployment = None  # the step itself says so
    if deployment is None:
        yield
        return
    traffic = partial(users_traffic, target.settings, nodes, deployment.deployed, limit=pace().grace)
    before = traffic()
    try:
        yield
    finally:
        with signals.shielded():
            after = traffic() if before else None
            if before and after:
                since = after.since(before)
                calls, failed = since.calls.total(), since.errors.total()
                report.set(user_calls=str(calls), user_calls_failed=str(failed))
                console.line(f"calls of users meanwhile: {calls}, failed: {failed}")
