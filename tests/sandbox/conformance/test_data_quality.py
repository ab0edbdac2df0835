"""Data quality as the official client asks for it, computed from the data."""

from __future__ import annotations

import time
from typing import Any

import pytest
from dataikuapi.dss.data_quality import DSSDataQualityRuleResult, DSSDataQualityRuleSet
from dataikuapi.dss.project import DSSProject
from dataikuapi.utils import DataikuException


@pytest.fixture
def ruleset(project: DSSProject) -> DSSDataQualityRuleSet:
    """The rules of the dataset ``people``: Ada 36, Grace 41, Alan without an age."""
    return project.get_dataset("people").get_data_quality_rules()


def computed(ruleset: DSSDataQualityRuleSet, **config: Any) -> DSSDataQualityRuleResult:
    rule = ruleset.create_rule({"displayName": "the rule", **config})
    rule.compute().wait_for_result()
    return rule.get_last_result()


@pytest.mark.parametrize(
    ("config", "outcome", "message"),
    [
        ({"type": "RecordCountInRangeRule", "minimum": 3}, "OK", "records:COUNT_RECORDS = 3"),
        ({"type": "RecordCountInRangeRule", "softMinimum": 4}, "WARNING", "records:COUNT_RECORDS = 3: less than 4"),
        ({"type": "RecordCountInRangeRule", "minimum": 9, "minimumEnabled": False}, "OK", "records:COUNT_RECORDS = 3"),
        ({"type": "ColumnCountInRangeRule", "maximum": 1}, "ERROR", "basic:COUNT_COLUMNS = 2: more than 1"),
        ({"type": "ColumnMinInRangeRule", "columns": ["age"], "minimum": 36}, "OK", "col_stats:MIN:age = 36"),
        ({"type": "ColumnMedianInRangeRule", "columns": ["age"], "maximum": 38}, "ERROR", "more than 38"),
        ({"type": "ColumnStdDevInRangeRule", "columns": ["age"], "maximum": 4}, "OK", "col_stats:STDDEV:age = 3.53553"),
        ({"type": "ColumnMinInRangeRule", "columns": ["name"], "minimum": 1}, "ERROR", "Cannot check"),
        ({"type": "ColumnMinInRangeRule", "columns": ["height"], "minimum": 1}, "ERROR", "there is no column height"),
        ({"type": "ColumnNotEmptyRule", "columns": ["name", "age"]}, "ERROR", "age: 1 of 3 values are empty"),
        ({"type": "ColumnUniqueValuesRule", "columns": ["name"]}, "OK", "name: all values are unique"),
        ({"type": "ValuesInSetRule", "columns": ["name"], "valueSet": ["Ada", "Grace"]}, "ERROR", "name: Alan not"),
        ({"type": "ValuesInRangeRule", "columns": ["age"], "maximum": 40}, "ERROR", "age = 41: more than 40"),
        ({"type": "numericRange", "metricId": "col_stats:MAX:age", "maximum": 41}, "OK", "col_stats:MAX:age = 41"),
    ],
)
def test_a_rule_is_computed(ruleset: DSSDataQualityRuleSet, config: dict[str, Any], outcome: str, message: str) -> None:
    result = computed(ruleset, **config)
    assert (result.outcome, result.name, result.partition) == (outcome, "the rule", "NP")
    assert message in result.message
    assert ruleset.get_status() == outcome


def test_without_rows_a_rule_is_empty(project: DSSProject, ruleset: DSSDataQualityRuleSet) -> None:
    # It was never built.
    built = project.get_dataset("adults")
    assert computed(ruleset, type="ColumnMinInRangeRule", columns=["age"], minimum=1).outcome == "OK"
    assert built.get_data_quality_rules().get_status() == "EMPTY"


def test_rules_are_changed_and_deleted(ruleset: DSSDataQualityRuleSet) -> None:
    rule = ruleset.create_rule({"type": "RecordCountInRangeRule", "minimum": 9, "displayName": "many"})
    other = ruleset.create_rule({"type": "RecordCountInRangeRule", "minimum": 1, "displayName": "some"})
    ruleset.compute_rules().wait_for_result()
    assert [result.outcome for result in ruleset.get_last_rules_results()] == ["ERROR", "OK"]
    assert ruleset.get_status() == "ERROR"
    assert ruleset.get_status_by_partition() == ruleset.get_partitions_status() == {"NP": {"status": "ERROR"}}

    rule.rule["minimum"] = 2
    rule.save()
    assert ruleset.list_rules(as_type="dict")[0]["minimum"] == 2
    ruleset.compute_rules().wait_for_result()
    assert ruleset.get_status() == "OK"
    rule.delete()
    assert [(rule.id, rule.name) for rule in ruleset.list_rules()] == [(other.id, "some")]
    assert [result.id for result in ruleset.get_last_rules_results()] == [other.id]
    with pytest.raises(DataikuException, match="has no data quality rule"):
        rule.compute()


def test_the_history_is_kept(project: DSSProject, ruleset: DSSDataQualityRuleSet) -> None:
    rule = ruleset.create_rule({"type": "RecordCountInRangeRule", "minimum": 9, "displayName": "many"})
    off = ruleset.create_rule({"type": "RecordCountInRangeRule", "minimum": 9, "enabled": False})
    assert rule.get_last_result() is None
    ruleset.compute_rules().wait_for_result()
    between = int(time.time() * 1000) + 1
    time.sleep(0.005)
    rule.compute().wait_for_result()
    history = ruleset.get_rules_history()
    assert [result.outcome for result in history] == ["ERROR", "ERROR"]
    assert history[0].compute_date > history[1].compute_date
    assert len(rule.get_rule_history(min_timestamp=between)) == 1
    assert len(ruleset.get_rules_history(results_per_page=1, page=1)) == 1
    assert ruleset.get_rules_history(rule_ids=[off.id]) == []
    assert project.get_data_quality_status(only_monitored=False)["people"]["outcome"] == "ERROR"
    assert project.get_data_quality_status() == {}
    ruleset.delete_rules_history()
    assert ruleset.get_rules_history() == []


def test_a_type_that_the_sandbox_does_not_know_is_named(ruleset: DSSDataQualityRuleSet) -> None:
    ruleset.create_rule({"type": "DriftRecordCountRule", "displayName": "steady"})
    with pytest.raises(Exception, match="check steady of dataset people: type 'DriftRecordCountRule'"):
        ruleset.compute_rules().wait_for_result()
    with pytest.raises(DataikuException, match="needs a type"):
        ruleset.create_rule({"displayName": "nothing"})
