"""The steps that take an API service to production, in the order of the pipeline."""

from __future__ import annotations

from dataclasses import replace

from mlops_steps.steps.rows.options import ALLOW_AGAIN, APPROVAL, FORCE, OUT, PLAN
from mlops_steps.steps.rows.row import WAIT, Asks, Changes, Kind, Option, Step

ROWS: tuple[Step, ...] = (
    Step(
        "api-package",
        "Make a package of the API service, publish it to the API Deployer, check its archive.",
        "Notes the version and its SHA-256 in the release record, beside the bundle. Run again for the same commit "
        "and build, it finds what it made and makes nothing twice. See `api` in mlops.yml.",
        has_stage=False,
        options=(
            Option(
                "version",
                "Id of the version; replaces the template `package.bundle_id`.",
                metavar="ID",
                jenkins_help="Id of the version.",
                jenkins_default="by the template package.bundle_id of mlops.yml",
            ),
        ),
        asks=(Asks.DESIGN, Asks.DEPLOYER),
    ),
    Step(
        "api-deploy",
        "Let a version of the API service answer on a stage.",
        "Believed only when the API Deployer says HEALTHY and each API node of the infrastructure answers with "
        "this version on each endpoint. Refuses the release stage: it restores nothing.",
        options=(
            Option(
                "version",
                "A published version.",
                default="the record's",
                metavar="ID",
                jenkins_help="A version that is published on the API Deployer.",
            ),
            WAIT,
        ),
        asks=(Asks.DESIGN, Asks.DEPLOYER),
        of_service=True,
    ),
    Step(
        "api-test",
        "Ask what answers on a stage test queries, run the team's own pytest suite, and measure it under load.",
        "The queries of a file of yours, with what must be answered, and those of the service itself, go to each "
        "API node: one test case each. `api-release` requires that it has passed. See `api.test` in mlops.yml.",
        options=(WAIT,),
        asks=(Asks.DESIGN, Asks.DEPLOYER),
        of_service=True,
    ),
    Step(
        "api-approve",
        "Note in the release record who approved the release of its version of the API service.",
        "As `approve` does for a bundle.",
        options=APPROVAL,
        asks=(),
        in_library=False,
        of_service=True,
    ),
    Step(
        "api-plan",
        "Show exactly what a release of the API service to a stage would do; change nothing.",
        "As `plan` does for a bundle. Its SHA-256 is what is approved, and `api-release` does exactly what it says.",
        options=(replace(OUT, default="reports/plan-api-<stage>.json"),),
        asks=(Asks.DESIGN, Asks.DEPLOYER),
        of_service=True,
    ),
    Step(
        "api-release",
        "Make a version of the API service live on a stage, verify it, and roll back when that fails.",
        "Refuses a version that has not passed `api-test` on the stage before, or whose archive has changed since. "
        "Ends with 0 when each API node answers the test queries with it, with 4 when the version before is live "
        "again and verified, and with 5 when a person must act.",
        options=(
            PLAN,
            Option(
                "dry_run",
                "Print what would happen; change nothing.",
                Kind.FLAG,
                jenkins_help="Only say what would happen; change nothing.",
            ),
            FORCE,
            WAIT,
        ),
        asks=(Asks.DESIGN, Asks.DEPLOYER),
        changes=Changes.ALWAYS,
        harmless_with="dry_run",
        of_service=True,
    ),
    Step(
        "api-recover",
        "After an abort or a crash of a release of the API service: finish the restore that is pending.",
        "Waits for another process that is at work on the stage, on this machine or another, "
        "`api.release.rollback_timeout` at most. Safe to run at any time.",
        asks=(Asks.DESIGN, Asks.DEPLOYER),
        changes=Changes.ALWAYS,
        of_service=True,
    ),
    Step(
        "api-rollback",
        "Go back to an earlier version of the API service, and verify it.",
        options=(
            Option(
                "to",
                "The version to go back to.",
                default="the one that was live before",
                metavar="VERSION",
                jenkins_default="the version that was live before",
            ),
            ALLOW_AGAIN,
            WAIT,
        ),
        asks=(Asks.DESIGN, Asks.DEPLOYER),
        changes=Changes.ALWAYS,
        of_service=True,
    ),
)
