"""Govern as the official client asks for it: items, their sign-offs, and what the Project Deployer makes of them."""

from __future__ import annotations

from typing import Any

import dataikuapi
import pytest
from dataikuapi.dss.project import DSSProject
from dataikuapi.govern.artifact import GovernArtifact
from dataikuapi.govern.artifact_search import (
    GovernArtifactFilterArchivedStatus,
    GovernArtifactFilterArtifacts,
    GovernArtifactFilterBlueprints,
    GovernArtifactFilterFieldValue,
    GovernArtifactSearchQuery,
)
from dataikuapi.utils import DataikuException

from mlops_steps.sandbox.node.node import Node


@pytest.fixture
def govern(design_node: Node) -> dataikuapi.GovernClient:
    return dataikuapi.GovernClient(design_node.url, design_node.api_key)


@pytest.fixture
def published(project: DSSProject) -> DSSProject:
    """A project with the bundle b1 on the Project Deployer."""
    project.export_bundle("b1")
    project.publish_bundle("b1")
    return project


def items(govern: dataikuapi.GovernClient, *filters: Any, page: int = 20) -> list[GovernArtifact]:
    request = govern.new_artifact_search_request(GovernArtifactSearchQuery(artifact_filters=list(filters)))
    found: list[GovernArtifact] = []
    while hits := request.fetch_next_batch(page).get_response_hits():
        found += [hit.to_artifact() for hit in hits]
    return found


def bundle_item(govern: dataikuapi.GovernClient, key: str) -> GovernArtifact:
    (found,) = items(
        govern,
        GovernArtifactFilterArchivedStatus(is_archived=False),
        GovernArtifactFilterBlueprints(["bp.system.dataiku_bundle"]),
        GovernArtifactFilterFieldValue("EQUALS", condition="b1", case_sensitive=True),
        GovernArtifactFilterFieldValue("EQUALS", key, "project_key"),
    )
    return found


def govern_it(govern: dataikuapi.GovernClient, item: GovernArtifact) -> GovernArtifact:
    blueprint = {"blueprintId": "bp.system.govern_bundle", "versionId": "bv.system.default"}
    fields = {"dataiku_item": [item.artifact_id]}
    return govern.create_artifact({"name": "b1", "blueprintVersionId": blueprint, "fields": fields})


def test_published_projects_and_bundles_are_items(govern: dataikuapi.GovernClient, published: DSSProject) -> None:
    fields = bundle_item(govern, published.project_key).get_definition().get_raw()["fields"]
    assert fields["createdBy"] == "admin"
    project = govern.get_artifact(fields["dataiku_project"]).get_definition()
    assert project.get_blueprint_version().blueprint_id == "bp.system.dataiku_project"
    assert project.get_raw()["fields"]["project_key"] == published.project_key
    of_project = GovernArtifactFilterFieldValue("EQUALS", published.project_key, "project_key")
    assert len(items(govern, of_project, page=1)) == 2
    none = GovernArtifactFilterFieldValue("CONTAINS", "b", negate_condition=True)
    assert items(govern, of_project, GovernArtifactFilterBlueprints(["bp.system.dataiku_bundle"]), none) == []


def test_a_sign_off_goes_its_way(govern: dataikuapi.GovernClient, published: DSSProject) -> None:
    item = bundle_item(govern, published.project_key)
    governing = govern_it(govern, item)
    assert item.get_definition().get_raw()["fields"]["governed_by"] == governing.artifact_id
    assert len(items(govern, GovernArtifactFilterArtifacts([governing.artifact_id]))) == 1
    (listed,) = governing.list_signoffs()
    sign_off = listed.to_signoff()

    def status() -> str:
        return str(sign_off.get_definition().get_raw()["status"])

    assert (listed.get_raw()["status"], status()) == ("NOT_STARTED", "NOT_STARTED")
    with pytest.raises(DataikuException, match="has not been started"):
        sign_off.add_approval("APPROVED")
    for step in ("WAITING_FOR_FEEDBACK", "WAITING_FOR_APPROVAL"):
        sign_off.update_status(step)
        assert status() == step
    with pytest.raises(DataikuException, match="Unknown sign-off status 'DONE'"):
        sign_off.update_status("DONE")
    for final in ("REJECTED", "ABANDONED", "APPROVED"):
        approval = sign_off.add_approval(final, "as seen")
        assert status() == approval.get_definition().get_raw()["status"] == final
    definition = approval.get_definition()
    definition.get_raw()["status"] = "REJECTED"
    definition.save()
    assert status() == "REJECTED"
    approval.delete()
    assert status() == "WAITING_FOR_APPROVAL"
    governing.create_signoff("second")
    assert len(governing.list_signoffs()) == 2
    changed = governing.get_definition()
    changed.get_raw()["name"] = "another"
    changed.save()
    assert governing.get_definition().get_raw()["name"] == "another"
    governing.delete()
    assert "governed_by" not in item.get_definition().get_raw()["fields"]
    with pytest.raises(DataikuException, match="does not exist"):
        governing.list_signoffs()


def test_the_policy_of_an_infrastructure(
    design: dataikuapi.DSSClient, govern: dataikuapi.GovernClient, published: DSSProject
) -> None:
    key, deployer = published.project_key, design.get_projectdeployer()
    deployment = deployer.create_deployment(f"{key}-on-test", key, "auto-test", "b1")
    settings = deployer.get_infra("auto-test").get_settings()

    def found(policy: str) -> list[tuple[str, bool]]:
        settings.get_raw()["governCheckPolicy"] = policy
        settings.save()
        messages = deployment.get_governance_status("b1")["messages"]
        return [(message["severity"], message["isFatal"]) for message in messages]

    try:
        assert found("NO_CHECK") == []
        assert found("WARN") == [("WARNING", False)]
        assert found("PREVENT") == [("ERROR", True)]
        result = deployment.start_update().wait_for_result()
        assert "is not governed" in result["infoMessages"]["messages"][-1]["message"]
        sign_off = govern_it(govern, bundle_item(govern, key)).get_signoff("review")
        sign_off.update_status("WAITING_FOR_APPROVAL")
        sign_off.add_approval("APPROVED")
        assert found("PREVENT") == [("SUCCESS", False)]
    finally:
        found("NO_CHECK")
