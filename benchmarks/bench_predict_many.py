"""How much faster `ScoringClient` scores 10,000 records than the official client, record by record.

Baseline: ``APINodeClient.predict_record`` in a loop, over 1,000 of them. Both ask the same API node of the sandbox.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import dataikuapi

from mlops_steps import ScoringClient
from mlops_steps.sandbox.content import install
from mlops_steps.sandbox.site import Sandbox

RECORDS = 10_000
ONE_BY_ONE = 1_000
SETTINGS = ((1, 4), (50, 4), (250, 1), (250, 4), (1_000, 4))


def main() -> int:
    with tempfile.TemporaryDirectory() as folder, Sandbox.open(Path(folder) / "nodes") as sandbox:
        install(sandbox)
        design = dataikuapi.DSSClient(sandbox.design.url, sandbox.design.api_key)
        service = design.get_project("DKU_CHURN").get_api_service("churn")
        service.create_package("v1")
        service.publish_package("v1")
        design.get_apideployer().create_deployment(
            "churn-dev", "churn", "api-dev", "v1"
        ).start_update().wait_for_result()
        features = service.get_settings().endpoints[0]["testQueries"][0]["q"]["features"]
        records = [{**features, "account_length": number % 240} for number in range(RECORDS)]
        url = sandbox.nodes["api-dev-1"].url

        theirs = dataikuapi.APINodeClient(url, "churn")
        theirs.predict_record("predict_churn", records[0])
        started = time.perf_counter()
        for record in records[:ONE_BY_ONE]:
            theirs.predict_record("predict_churn", record)
        each = (time.perf_counter() - started) / ONE_BY_ONE
        print(f"official client, one by one: {1 / each:.0f} records/s, {RECORDS} in {RECORDS * each:.1f} s")
        with ScoringClient.open(url, "churn", timeout=60) as ours:
            for batch, at_once in SETTINGS:
                count = RECORDS if batch > 1 else ONE_BY_ONE
                started = time.perf_counter()
                answers = ours.predict_many("predict_churn", records[:count], batch=batch, at_once=at_once)
                took = time.perf_counter() - started
                assert len(answers) == count
                said = f"ours, batches of {batch}, {at_once} at once: {count / took:.0f} records/s"
                print(f"{said}, {count} in {took:.1f} s, ratio {each * count / took:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
