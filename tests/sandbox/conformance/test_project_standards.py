"""Project Standards as the official client asks for them, run on real projects."""

from __future__ import annotations

import dataikuapi
import pytest
from dataikuapi.dss.project import DSSProject
from dataikuapi.dss.project_standards import DSSProjectStandards, DSSProjectStandardsCheck
from dataikuapi.utils import DataikuException

from mlops_steps.sandbox.node.node import Node


@pytest.fixture
def standards(design: dataikuapi.DSSClient) -> DSSProjectStandards:
    return design.get_project_standards()


def check_of(standards: DSSProjectStandards, kind: str) -> DSSProjectStandardsCheck:
    specs = standards.list_check_specs(as_type="objects")
    element_type = next(spec.element_type for spec in specs if spec.element_type.endswith(f"_{kind}"))
    return standards.create_checks([element_type], as_type="objects")[0]


def test_checks_are_made_changed_and_deleted(standards: DSSProjectStandards) -> None:
    check = check_of(standards, "recipe-lines")
    assert check.id in [item.id for item in standards.list_checks()]
    check.name, check.check_params = "short recipes", {"lines": 5, "severity": 4}
    assert check.save() == standards.get_check(check.id) == check
    check.delete()
    with pytest.raises(DataikuException, match="does not exist"):
        standards.get_check(check.id)
    with pytest.raises(DataikuException, match="Unknown check spec nothing"):
        standards.create_checks(["nothing"])


def test_the_first_scope_that_selects_a_project_is_its_scope(
    standards: DSSProjectStandards, project: DSSProject
) -> None:
    key, check = project.project_key, check_of(standards, "recipe-lines")
    assert project.get_project_standards_scope() == standards.get_default_scope().name == "Default"
    first = standards.create_scope(f"{key}_1", "first", [check.id], items=[key])
    second = standards.create_scope(f"{key}_2", items=[key])
    assert project.get_project_standards_scope() == first.name
    second.reorder(0)
    assert project.get_project_standards_scope() == second.name
    assert next(scope.name for scope in standards.list_scopes(as_type="objects")) == second.name
    second.selected_projects = []
    second.save()
    assert project.get_project_standards_scope() == first.name
    second.delete()
    assert standards.get_scope(first.name) == first
    check.delete()
    assert standards.get_scope(first.name).checks == []
    first.delete()
    assert standards.get_default_scope().is_default


def test_a_run_reports_each_check(standards: DSSProjectStandards, project: DSSProject) -> None:
    checks = {kind: check_of(standards, kind) for kind in ("project-description", "recipe-lines", "model-metrics")}
    checks["unused-datasets"] = check_of(standards, "unused-datasets")
    broken = check_of(standards, "recipe-lines")
    broken.check_params = {"lines": 1, "severity": "high"}
    broken.save()
    checks["broken"] = broken
    assert project.get_project_standards_last_report() is None
    report = project.start_run_project_standards_checks([check.id for check in checks.values()]).wait_for_result()
    found = {kind: report.checks_run_info[check.id].result for kind, check in checks.items()}
    assert {kind: (result.status, result.severity) for kind, result in found.items()} == {
        "project-description": ("RUN_SUCCESS", 3),
        "recipe-lines": ("RUN_SUCCESS", 0),
        "model-metrics": ("NOT_APPLICABLE", None),
        "unused-datasets": ("RUN_SUCCESS", 0),
        "broken": ("RUN_ERROR", None),
    }
    assert found["project-description"].severity_category == "MEDIUM"
    assert found["recipe-lines"].success
    # Only a run of the project's own scope is kept.
    assert project.get_project_standards_last_report() is None
    scope = standards.create_scope(project.project_key, checks=[checks["recipe-lines"].id], items=[project.project_key])
    project.start_run_project_standards_checks().wait_for_result()
    last = project.get_project_standards_last_report()
    assert (last.scope, list(last.checks_run_info)) == (scope.name, [checks["recipe-lines"].id])


def test_a_published_bundle_has_the_report_of_its_export(
    design: dataikuapi.DSSClient, standards: DSSProjectStandards, project: DSSProject
) -> None:
    check = check_of(standards, "project-description")
    standards.create_scope(project.project_key, checks=[check.id], items=[project.project_key])
    project.export_bundle("b1")
    project.export_bundle("b2", evaluate_project_standards_checks=False)
    for bundle in ("b1", "b2"):
        project.publish_bundle(bundle)
    published = design.get_projectdeployer().get_project(project.project_key)
    report = published.get_project_standards_report("b1")
    assert [info.result.severity for info in report.checks_run_info.values()] == [3]
    assert published.get_project_standards_report("b2") is None


def test_a_node_before_dss_14_knows_no_project_standards(
    design: dataikuapi.DSSClient, design_node: Node, project: DSSProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(design_node, "dss_version", "13.5.2")
    assert design.get_instance_info().raw["dssVersion"] == "13.5.2"
    with pytest.raises(DataikuException, match="no such request in DSS 13"):
        project.get_project_standards_scope()
