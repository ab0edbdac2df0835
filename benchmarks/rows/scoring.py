"""Scoring 10,000 records over HTTP. Baseline: ``APINodeClient.predict_record`` in a loop, over 1,000 of them.

Both ask the same API node of the sandbox, with a real model.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import dataikuapi

from benchmarks.table import Row, wanted
from mlops_steps import ScoringClient
from mlops_steps.sandbox.content import install
from mlops_steps.sandbox.site import Sandbox

RECORDS, ONE_BY_ONE = 10_000, 1_000


def rows() -> list[Row]:
    """Records a second over those of the client, one by one."""
    with tempfile.TemporaryDirectory() as folder, Sandbox.open(Path(folder) / "nodes") as sandbox:
        install(sandbox)
        design = dataikuapi.DSSClient(sandbox.design.url, sandbox.design.api_key)
        service = design.get_project("DKU_CHURN").get_api_service("churn")
        service.create_package("v1")
        service.publish_package("v1")
        deployer = design.get_apideployer()
        deployer.create_deployment("churn-dev", "churn", "api-dev", "v1").start_update().wait_for_result()
        features = service.get_settings().endpoints[0]["testQueries"][0]["q"]["features"]
        records = [{**features, "account_length": number % 240} for number in range(RECORDS)]
        url = sandbox.nodes["api-dev-1"].url

        theirs = dataikuapi.APINodeClient(url, "churn")
        theirs.predict_record("predict_churn", records[0])
        began = time.perf_counter()
        for record in records[:ONE_BY_ONE]:
            theirs.predict_record("predict_churn", record)
        one_by_one = ONE_BY_ONE / (time.perf_counter() - began)
        with ScoringClient.open(url, "churn", timeout=60) as ours:
            began = time.perf_counter()
            answers = ours.predict_many("predict_churn", records)
            took = time.perf_counter() - began
            assert len(answers) == RECORDS
    measure = f"records a second / the client one by one, {one_by_one:.0f}"
    what = f"{RECORDS:,} records against an API endpoint"
    return [wanted(what, measure, RECORDS / took / one_by_one, 10, note=f"{took:.1f} s")]
