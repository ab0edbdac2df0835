"""Govern: the sign-offs of a bundle, and what the Project Deployer says of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dataikuapi import GovernClient
from dataikuapi.govern.artifact_search import (
    GovernArtifactFilterArchivedStatus,
    GovernArtifactFilterBlueprints,
    GovernArtifactFilterFieldValue,
    GovernArtifactSearchQuery,
)

from mlops_steps.dss.session import Dss, expect

NO_CHECK = "NO_CHECK"
APPROVED = "APPROVED"
# The blueprint of the items that stand for bundles (documentation of DSS, Govern API).
_DATAIKU_BUNDLE = "bp.system.dataiku_bundle"
_MOST_ITEMS = 100


@dataclass(frozen=True)
class Message:
    """A message of the Project Deployer about the governance of a bundle: SUCCESS, INFO, WARNING or ERROR."""

    severity: str
    text: str


@dataclass(frozen=True)
class SignOff:
    """A sign-off: the step of the workflow, and its status (NOT_STARTED … APPROVED, REJECTED, ABANDONED)."""

    step: str
    status: str


@dataclass(frozen=True)
class Governed:
    """What Govern knows of a bundle. ``known``: it has an item of it; ``governed``: that item is governed."""

    known: bool
    governed: bool
    sign_offs: list[SignOff]


def policy_of(deployer: Dss, infra: str) -> str:
    """The policy of an infrastructure: PREVENT, WARN or NO_CHECK; "" when it is not told. Raises :class:`NodeError`."""
    with deployer.asking(f"read infrastructure {infra}"):
        status = deployer.client.get_projectdeployer().get_infra(infra).get_status()
        info = expect(status.get_raw()["infraBasicInfo"], dict, "its description")
        return str(info.get("governCheckPolicy") or "")


def messages_of(deployer: Dss, deployment_id: str, bundle_id: str) -> list[Message]:
    """What the deployer says of the governance of a bundle on a deployment. Raises :class:`NodeError`."""
    with deployer.asking(f"read the governance status of bundle {bundle_id} on deployment {deployment_id}"):
        deployment = deployer.client.get_projectdeployer().get_deployment(deployment_id)
        status = expect(deployment.get_governance_status(bundle_id), dict, "the status")
        found = [expect(item, dict, "a message") for item in expect(status.get("messages") or [], list, "the messages")]
        return [_message(one) for one in found]


def sign_offs_of(govern: Dss, project_key: str, bundle_id: str) -> Governed:
    """The sign-offs of a bundle on the Govern node.

    An item of the bundle is found by its name, which is the bundle's id, and by its project. Raises :class:`NodeError`.
    """
    client = GovernClient(govern.url.rstrip("/"), "unused: the session has the key")
    client._session = govern.session
    with govern.asking(f"read the sign-offs of bundle {bundle_id} of project {project_key}"):
        query = GovernArtifactSearchQuery(
            artifact_filters=[
                GovernArtifactFilterArchivedStatus(is_archived=False),
                GovernArtifactFilterBlueprints(blueprint_ids=[_DATAIKU_BUNDLE]),
                GovernArtifactFilterFieldValue("EQUALS", condition=bundle_id, case_sensitive=True),
                GovernArtifactFilterFieldValue("EQUALS", project_key, "project_key", case_sensitive=True),
            ]
        )
        page = client.new_artifact_search_request(query).fetch_next_batch(page_size=_MOST_ITEMS)
        items = [expect(hit.get_raw()["artifact"], dict, "an item") for hit in page.get_response_hits()]
        governing = {str(item["fields"]["governed_by"]) for item in items if item["fields"].get("governed_by")}
        found = [one.get_raw() for item in sorted(governing) for one in client.get_artifact(item).list_signoffs()]
    return Governed(bool(items), bool(governing), [_sign_off(expect(one, dict, "a sign-off")) for one in found])


def _message(raw: dict[str, Any]) -> Message:
    return Message(str(raw["severity"]).upper(), str(raw.get("message") or raw.get("title") or ""))


def _sign_off(raw: dict[str, Any]) -> SignOff:
    return SignOff(str((raw.get("signoffId") or {}).get("stepId") or "?"), str(raw.get("status") or ""))
