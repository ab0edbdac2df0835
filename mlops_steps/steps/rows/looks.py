"""The steps that look at what is live, at past releases, and at bundles."""

from __future__ import annotations

from mlops_steps.steps.rows.options import INFRA
from mlops_steps.steps.rows.row import Asks, Changes, Kind, Option, Step

ROWS: tuple[Step, ...] = (
    Step(
        "status",
        "Show what is live where, since when, from which commit and build, and whether it was tested.",
        has_stage=False,
        options=(
            Option("json", "Print JSON.", Kind.FLAG, jenkins_help="Log JSON instead of the table."),
            INFRA,
        ),
        asks=(Asks.DESIGN, Asks.DEPLOYER, Asks.STAGES),
        reads_record=False,
    ),
    Step(
        "monitor",
        "Look whether what is live on a stage still does what it was released for, and answer decay.",
        "Health of the deployments, runs of scenarios, data quality, drift, metrics on fresh labels, age of the "
        "model, errors and response times of the API service: against limits of two levels. At `warn` a test case "
        "passes and says so, at `act` it fails. A release that is on probation is taken back then (exit codes 4 "
        "and 5, as of `release`). Made for a nightly job, whose builds keep what was measured. See `monitor` in "
        "mlops.yml.",
        options=(
            Option("job", "The job whose builds have kept the looks before.", default="JOB_NAME", metavar="NAME"),
        ),
        asks=(Asks.DESIGN, Asks.DEPLOYER, Asks.MONITORED),
        changes=Changes.ON_PROBATION,
        of_both=True,
    ),
    Step(
        "history",
        "Show who released what and when, what was rolled back, and the four figures of delivery.",
        "Deployment frequency, lead time for changes, change failure rate, time to restore: from the deployer's "
        "history, the release records and the project's commits. Changes that came by no pipeline are marked. With "
        "JENKINS_URL, JENKINS_USER and JENKINS_API_TOKEN the records are read that the builds of --job have "
        "archived. Changes nothing.",
        has_stage=False,
        options=(
            Option(
                "since",
                "How far back: days (90d), weeks (12w), or a date (2026-01-31).",
                default="90d",
                metavar="TIME",
                pattern=r"[0-9]{1,4}[dw]|\d{4}-\d\d-\d\d",
                form="90d, 12w or 2026-01-31",
            ),
            Option("job", "The job whose builds have released.", default="JOB_NAME", metavar="NAME"),
            Option("records", "A folder with release records.", default="none", metavar="FOLDER"),
            Option("all_", "All projects on the infrastructure of the release stage.", Kind.FLAG),
            Option("json", "Print JSON.", Kind.FLAG, jenkins_help="Log JSON instead of the table."),
        ),
        asks=(Asks.DESIGN, Asks.DEPLOYER),
    ),
    Step(
        "diff",
        "Show what differs between two bundles: recipes, library, variables, versions of models, commits.",
        "OLD and NEW are published bundles, or archives (FILE.zip). Without NEW: the record's bundle; without "
        "both: that against what the release stage had when it was packaged. Changes nothing. The page of the "
        "release shows it too.",
        has_stage=False,
        options=(
            Option(
                "old",
                "The older bundle.",
                default="what the release stage had",
                metavar="OLD",
                positional=True,
            ),
            Option("new", "The newer bundle.", default="the record's", metavar="NEW", positional=True),
        ),
        asks=(Asks.DESIGN, Asks.DEPLOYER),
    ),
    Step(
        "report",
        "Make the page of the release, from the release record and the reports: reports/html/index.html.",
        "Each step makes it too, without pictures; those need the extra `report`. Asks no node. The page of an old "
        "build: with --from of a folder with its artifacts (Jenkins: Build Artifacts, all files in a zip), or with "
        "--build of the build itself (JENKINS_URL, JENKINS_USER, JENKINS_API_TOKEN).",
        has_stage=False,
        options=(
            Option(
                "from_",
                "A folder with the reports and the record of another build.",
                default="those of mlops.yml",
                metavar="FOLDER",
            ),
            Option(
                "build",
                "An old build, as JOB#NUMBER; its page is made in reports/builds/.",
                metavar="JOB#NUMBER",
                pattern=r"[^#\s][^#\n]*#[1-9][0-9]{0,8}",
                form="JOB#NUMBER, such as churn/main#128",
            ),
        ),
        asks=(),
        sums_up=False,
    ),
)
