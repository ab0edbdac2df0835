"""The steps that take a project to production, in the order of the pipeline."""

from __future__ import annotations

from dataclasses import replace

from mlops_steps.steps.rows.options import ALLOW_AGAIN, APPROVAL, FORCE, INFRA, OUT, PLAN
from mlops_steps.steps.rows.row import WAIT, Asks, Changes, Kind, Option, Step

ROWS: tuple[Step, ...] = (
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
        options=(OUT,),
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
            ALLOW_AGAIN,
            INFRA,
            WAIT,
        ),
        changes=Changes.ALWAYS,
    ),
)
