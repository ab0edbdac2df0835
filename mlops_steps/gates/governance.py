"""The gate ``governance``: whether the Project Deployer and Dataiku Govern let a bundle into production."""

from __future__ import annotations

from mlops_steps.config import Settings
from mlops_steps.config.gates import GovernanceGate
from mlops_steps.dss import deployments, govern
from mlops_steps.dss.session import connect
from mlops_steps.errors import CheckFailed
from mlops_steps.gates.model import GateCheck, GateResult, GateVerdict, worst_of
from mlops_steps.gates.samples import Samples
from mlops_steps.system.waiting import Deadline

_DEPLOYER = "Project Deployer"


def measure(gate: GovernanceGate, settings: Settings, samples: Samples, deadline: Deadline) -> GateResult:
    """The deployer's status of the bundle on the release stage, and its sign-offs, each a test case.

    Raises :class:`CheckFailed` when nothing checks the governance of the bundle, :class:`NodeError` when a node cannot
    be asked.
    """
    policy, deployer = _deployer(gate, settings, samples, deadline)
    checks = [deployer, *(_govern(gate, settings, samples, deadline) if gate.govern else [])]
    if policy == govern.NO_CHECK and not gate.govern:
        raise CheckFailed(
            f"nothing checks the governance of bundle {samples.candidate.bundle}: {deployer.message}",
            next_step="set the policy of the infrastructure, or name the Govern node (`govern` of the gate)",
        )
    verdict = worst_of(checks)
    first = next((check for check in checks if check.verdict is verdict), deployer)
    return GateResult(
        verdict,
        f"{first.name}: {first.message}",
        limit="no error of the Project Deployer" + (", every sign-off APPROVED" if gate.govern else ""),
        source=f"policy {policy or 'unknown'} of infrastructure {settings.release_stage().infra}"
        + (f", sign-offs on node {gate.govern}" if gate.govern else ""),
        error=CheckFailed(first.message) if verdict is GateVerdict.UNMEASURED else None,
        checks=tuple(checks),
    )


def _deployer(gate: GovernanceGate, settings: Settings, samples: Samples, deadline: Deadline) -> tuple[str, GateCheck]:
    """The policy of the release stage's infrastructure, and what the deployer says of the bundle there."""
    stage, node, bundle = settings.release_stage(), samples.deployer, samples.candidate.bundle
    infra = str(stage.infra)
    with node.within(deadline):
        policy = govern.policy_of(node, infra)
        if policy == govern.NO_CHECK:
            return policy, GateCheck(_DEPLOYER, GateVerdict.SKIPPED, f"infrastructure {infra} has the policy NO_CHECK")
        found = deployments.find(node, settings.project, infra, stage.deployment, settings.deployment_id(stage))
        if found is None:
            return policy, GateCheck(
                _DEPLOYER, GateVerdict.SKIPPED, f"first release: there is no deployment on {infra} to ask about"
            )
        messages = govern.messages_of(node, found.id, bundle)
    bad = ("ERROR", "WARNING") if gate.warnings == "fail" else ("ERROR",)
    problems = [message for message in messages if message.severity in bad]
    if problems:
        said = "; ".join(f"{message.severity}: {message.text}" for message in problems)
        return policy, GateCheck(_DEPLOYER, GateVerdict.FAILED, said)
    said = f"infrastructure {infra} ({policy or 'policy unknown'}) takes bundle {bundle}"
    return policy, GateCheck(_DEPLOYER, GateVerdict.PASSED, said)


def _govern(gate: GovernanceGate, settings: Settings, samples: Samples, deadline: Deadline) -> list[GateCheck]:
    """The sign-offs of the bundle on the Govern node."""
    bundle = samples.candidate.bundle
    with connect(settings, settings.node(str(gate.govern))) as node, node.within(deadline):
        found = govern.sign_offs_of(node, settings.project, bundle)
    if not found.known:
        return [GateCheck("sign-off", GateVerdict.UNMEASURED, f"Govern does not know bundle {bundle}")]
    if not found.governed:
        return [GateCheck("sign-off", GateVerdict.FAILED, f"bundle {bundle} is not governed")]
    if not found.sign_offs:
        return [GateCheck("sign-off", GateVerdict.UNMEASURED, f"bundle {bundle} has no sign-off in Govern")]
    return [
        GateCheck(
            f"sign-off {one.step}",
            GateVerdict.PASSED if one.status == govern.APPROVED else GateVerdict.FAILED,
            one.status or "no status",
        )
        for one in found.sign_offs
    ]
