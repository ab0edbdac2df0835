"""Options that several steps have."""

from __future__ import annotations

from mlops_steps.steps.rows.row import Kind, Option

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

#: Of the steps that plan.
OUT = Option(
    "out",
    "The file that the plan is written to, as JSON.",
    default="reports/plan-<stage>.json",
    metavar="FILE",
)

#: Of the steps that roll back.
ALLOW_AGAIN = Option(
    "allow_again",
    "What is rolled back is not at fault: it is not quarantined, and may be released again.",
    Kind.FLAG,
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
