"""Every step, one row each.

The command line, the parameters of the Groovy steps, their help files, the keys that Jenkins binds and what a run does
when it is interrupted are derived from these rows. A step is the function ``run`` of the module that has its name;
the module is imported when the step runs.
"""

from __future__ import annotations

from dataclasses import replace

from mlops_steps.steps.row import COMMON, STAGE, WAIT, Asks, Changes, Kind, Option, Step

__all__ = ["COMMON", "STAGE", "STEPS", "WAIT", "Asks", "Changes", "Kind", "Option", "Step"]

#: Of the steps that release.
FORCE = Option(
    "force",
    "Release during a freeze, or what was rolled back before, for this reason; the record keeps it with your name.",
    default="a freeze, or a quarantine, stops the release",
    metavar="REASON",
    pattern=r"[^\x00-\x1f]*\S[^\x00-\x1f]{0,499}",
    form="a reason of at most 500 characters in one line",
    jenkins_help="Release during a freeze, or what was rolled back before, for this reason; the record keeps it with "
    "who has started the build.",
)

#: Of the steps that release.
PLAN = Option(
    "plan",
    "Do exactly what this plan says; refuse when the version or what is live has changed since.",
    default="the plan that was approved, if there is one",
    metavar="FILE",
    jenkins_help="File of a plan that the release is held to: it refuses when the version or what is live has changed.",
)

#: Of the steps that note an approval.
APPROVAL = (
    Option("by", "Who approves.", default="only check that somebody has", metavar="NAME"),
    Option(
        "sha256",
        "With --by: the archive that was approved.",
        default="the record's",
        metavar="HEX",
        pattern=r"[0-9a-f]{64}",
        form="64 hexadecimal digits",
    ),
    Option(
        "at",
        "With --by: when, in UTC (2026-01-31T12:00:00Z).",
        default="now",
        metavar="TIME",
        pattern=r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
        form="a time in UTC, such as 2026-01-31T12:00:00Z",
    ),
    Option("among", "With --by: whom Jenkins has put the question to, with commas.", metavar="NAMES"),
)

#: Of the steps that work on the infrastructures of a stage.
INFRA = Option(
    "infra",
    "One infrastructure of a stage that has several.",
    default="all of them",
    metavar="NAME",
    jenkins_help="One infrastructure of a stage that has several, by its name in mlops.yml.",
)

#: In the order of the pipeline.
STEPS: dict[str, Step] = {
    step.name: step
    for step in (
        Step(
            "doctor",
            "Check every node of the configuration, all at once.",
            "Reachable, TLS, key accepted, DSS version, project, infrastructure and the right to deploy to it, clock. "
            "Run it first: it changes nothing, and each line that fails says what to do.",
            has_stage=False,
            options=(INFRA,),
            asks=(Asks.ALL,),
            reads_record=False,
        ),
        Step(
            "accept",
            "Try what the steps assume of DSS on your own nodes, with a throwaway project that it removes again.",
            "Once per site, and after each upgrade of DSS. Says first what it makes and which rights the keys need. "
            "Each assumption holds, differs (and how), or could not be tried (and why): one test case each. Touches no "
            "other project. mlops-accepted.yml notes the version that was accepted.",
            options=(
                replace(INFRA, default="the first one"),
                Option(
                    "yes",
                    "On the release stage: do not ask.",
                    Kind.FLAG,
                    jenkins_help="On the release stage: needed, as nobody can be asked there.",
                ),
                Option(
                    "clean_",
                    "Only remove what a run that was killed has left; not while another one runs.",
                    Kind.FLAG,
                ),
                Option(
                    "api",
                    "The same for an API service, on this stage of `api` in mlops.yml.",
                    default="no service",
                    metavar="STAGE",
                ),
                Option(
                    "record",
                    "Write the shapes of all answers, without values and names of yours, as YAML.",
                    default="none",
                    metavar="FILE",
                ),
            ),
            asks=(Asks.DESIGN, Asks.DEPLOYER, Asks.STAGE),
            reads_record=False,
        ),
        Step(
            "policy",
            "Show how far the project goes by itself: what applies, and which file says so.",
            "Criticality, automation, who may approve, gates that cannot be switched off, fewest test scenarios, soak "
            "time, freezes and who may force a release. Asks no node. Fails when mlops.yml loosens what the "
            "organisation requires.",
            has_stage=False,
            options=(Option("json", "Print JSON.", Kind.FLAG, jenkins_help="Log JSON instead of the lines."),),
            asks=(),
            reads_record=False,
        ),
        Step(
            "validate",
            "Check the project on the Design node against the rules.",
            "Test scenarios and a smoke scenario exist; Python recipes and library modules parse, are not too long or "
            "too complex and hold no credentials; code environments, datasets and models that are used exist. One test "
            "case per rule and object. Limits, severities and exceptions: `validate` in mlops.yml.",
            has_stage=False,
            asks=(Asks.DESIGN,),
            reads_record=False,
        ),
        Step(
            "package",
            "Export the bundle, publish it to the Project Deployer, check its archive.",
            "Begins the release record (.mlops/release.json) that the following steps read. Run again for the same "
            "commit and build, it finds what it made and makes nothing twice.",
            has_stage=False,
            options=(
                Option(
                    "bundle_id",
                    "Id of the bundle; replaces the template `package.bundle_id`.",
                    metavar="ID",
                    jenkins_help="Id of the bundle.",
                    jenkins_default="by the template package.bundle_id of mlops.yml",
                ),
            ),
            asks=(Asks.DESIGN, Asks.DEPLOYER),
            reads_record=False,
        ),
        Step(
            "deploy",
            "Make the bundle live on a stage.",
            "Believed only when the deployer says HEALTHY and the Automation node that this bundle is active. For "
            "production use `release`, which smoke-tests and rolls back.",
            options=(
                Option(
                    "bundle",
                    "A published bundle.",
                    default="the record's",
                    metavar="ID",
                    jenkins_help="A bundle that is published on the Project Deployer.",
                ),
                INFRA,
                WAIT,
            ),
            changes=Changes.ON_RELEASE_STAGE,
        ),
        Step(
            "test",
            "Run the test scenarios of the deployed project, the team's own pytest suite, and the gates.",
            "Scenarios run in parallel, each with a time limit; every outcome is a test case, and the JUnit reports "
            "that DSS has are merged in. See `test` and `gates` in mlops.yml.",
            options=(INFRA, WAIT),
            asks=(Asks.DEPLOYER, Asks.STAGE, Asks.CHAMPION, Asks.GOVERN),
        ),
        Step(
            "approve",
            "Note in the release record who approved the release of its bundle.",
            "Without --by it is a check: where mlops.yml says `automation: approval`, somebody must have. The "
            "pipeline's question is asked by mlopsApprove; by hand, `release` asks for nobody's approval but yours.",
            options=APPROVAL,
            asks=(),
            in_library=False,
        ),
        Step(
            "compare",
            "Check that the node of a stage has what the bundle needs: one test case for each need.",
            "Connections and their rights, code environments, plugins, messaging channels, variables, projects, DSS "
            "version: what the bundle needs is read from its archive. Without a stage it is a forecast for all stages. "
            "Changes nothing. `release` does it by itself before its first change. Severities and exceptions: "
            "`compare` in mlops.yml.",
            options=(
                Option(
                    "bundle",
                    "A published bundle.",
                    default="the record's",
                    metavar="ID",
                    jenkins_help="A bundle that is published on the Project Deployer.",
                ),
                Option(
                    "with_",
                    "Another stage: report where the two nodes differ in what the bundle needs, as warnings.",
                    default="none",
                    metavar="STAGE",
                    jenkins_help="Another stage: report where the two nodes differ in what the bundle needs.",
                ),
            ),
            asks=(Asks.DEPLOYER, Asks.STAGES),
            stage_default="all stages, as a forecast",
        ),
        Step(
            "plan",
            "Show exactly what a release to a stage would do; change nothing.",
            "The deployment, what differs from the bundle that is live, what disappears, gates, the approval that is "
            "needed, what would refuse it now. Its SHA-256 is what is approved, and `release --plan` does exactly what "
            "it says. Right after a release it is empty. Makes the checks that `release` makes before its first "
            "change.",
            options=(
                Option(
                    "out",
                    "The file that the plan is written to, as JSON.",
                    default="reports/plan-<stage>.json",
                    metavar="FILE",
                ),
            ),
            asks=(Asks.DESIGN, Asks.DEPLOYER, Asks.STAGE, Asks.CANDIDATE, Asks.GOVERN),
        ),
        Step(
            "release",
            "Make the tested bundle live on a stage, smoke-test it there, and roll back when that fails.",
            "Refuses a bundle whose tests did not pass on the stage before, whose archive is not the one that was "
            "tested, or that a gate does not let through. Ends with 0 when it is live and verified, with 4 when the "
            "previous bundle is live again and verified, and with 5 when a person must act.",
            options=(
                PLAN,
                Option(
                    "dry_run",
                    "Print what would happen; change nothing.",
                    Kind.FLAG,
                    jenkins_help="Only say what would happen; change nothing, ask for no approval.",
                ),
                FORCE,
                WAIT,
            ),
            asks=(Asks.DEPLOYER, Asks.STAGE, Asks.CANDIDATE, Asks.GOVERN),
            changes=Changes.ALWAYS,
            harmless_with="dry_run",
        ),
        Step("smoke-test", "Run the smoke scenario on what is live on a stage.", options=(INFRA,)),
        Step(
            "recover",
            "After an abort or a crash: finish the restore that is pending, or find that none is.",
            "Waits for another process that is at work on the stage, on this machine or another, "
            "`release.rollback_timeout` at most. Safe to run at any time.",
            options=(INFRA,),
            changes=Changes.ALWAYS,
        ),
        Step(
            "rollback",
            "Go back to an earlier bundle, verify it, and run its smoke test.",
            options=(
                Option(
                    "to",
                    "The bundle to go back to.",
                    default="the one that was live before",
                    metavar="BUNDLE",
                    jenkins_default="the bundle that was live before",
                ),
                INFRA,
                WAIT,
            ),
            changes=Changes.ALWAYS,
        ),
        Step(
            "status",
            "Show what is live where, since when, from which commit and build, and whether it was tested.",
            has_stage=False,
            options=(
                Option(
                    "json", "Print JSON.", Kind.FLAG, jenkins_help="Log JSON instead of the table."
                ),
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
            "api-release",
            "Make a version of the API service live on a stage, verify it, and roll back when that fails.",
            "Refuses a version that has not passed `api-test` on the stage before, or whose archive has changed since. "
            "Ends with 0 when each API node answers the test queries with it, with 4 when the version before is live "
            "again and verified, and with 5 when a person must act.",
            options=(
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
                WAIT,
            ),
            asks=(Asks.DESIGN, Asks.DEPLOYER),
            changes=Changes.ALWAYS,
            of_service=True,
        ),
    )
}  # fmt: skip
