"""How long an API node of the sandbox takes to score 10,000 records: `python benchmarks/bench_scoring.py`.

Prints seconds for `predict-multi` in batches of several sizes, and for single calls, with the model of revision 1.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import dataikuapi

from mlops_steps.sandbox.content import install
from mlops_steps.sandbox.site import Sandbox

RECORDS = 10_000
BATCHES = (100, 1_000, 10_000)
SINGLE = 200


def main() -> int:
    with tempfile.TemporaryDirectory() as folder, Sandbox.open(Path(folder) / "nodes") as sandbox:
        install(sandbox)
        design = dataikuapi.DSSClient(sandbox.design.url, sandbox.design.api_key)
        service = design.get_project("DKU_CHURN").get_api_service("churn")
        service.create_package("v1")
        service.publish_package("v1")
        deployment = design.get_apideployer().create_deployment("churn-dev", "churn", "api-dev", "v1")
        started = time.perf_counter()
        deployment.start_update().wait_for_result()
        print(f"update of two API nodes, with the first start of the scoring processes: {seconds(started)}")
        client = dataikuapi.APINodeClient(sandbox.nodes["api-dev-1"].url, "churn")
        features = service.get_settings().endpoints[0]["testQueries"][0]["q"]["features"]
        records = [{"features": {**features, "account_length": number % 240}} for number in range(RECORDS)]
        for size in BATCHES:
            started = time.perf_counter()
            for begin in range(0, RECORDS, size):
                client.predict_records("predict_churn", records[begin : begin + size])
            print(f"{RECORDS} records in batches of {size}: {seconds(started)}")
        times = []
        for record in records[:SINGLE]:
            started = time.perf_counter()
            client.predict_record("predict_churn", record["features"])
            times.append((time.perf_counter() - started) * 1000)
        print(f"{SINGLE} single calls: median {statistics.median(times):.1f} ms, most {max(times):.1f} ms")
    return 0


def seconds(started: float) -> str:
    return f"{time.perf_counter() - started:.2f} s"


if __name__ == "__main__":
    sys.exit(main())
