"""Releases as their pages show them: one that a gate stopped, one that was rolled back, a canary."""

from __future__ import annotations

from collections.abc import Callable

from mlops_steps.report.attachments import Change, Difference, Figure, PastRelease, Series
from mlops_steps.report.html.facts import Facts, Span, Verdict
from mlops_steps.report.model import Case, Outcome, Report

BEGAN = 1_769_860_800.0
LONG = "a_column_with_a_name_that_has_no_blank_and_goes_on_and_on_" * 3


def report(step: str, stage: str | None, begin: float, took: float, *cases: Case) -> Report:
    found = Report("DKU_CHURN", step, stage, started=BEGAN + begin)
    found.set(bundle="129-4f2c1aa", took=str(took), build_url="https://jenkins.example.com/job/churn/129/")
    found.extend(cases)
    return found


def curve(name: str, bend: float) -> Series:
    places = [place / 20 for place in range(21)]
    return Series(name=name, x=tuple(places), y=tuple(round(place**bend, 4) for place in places))


def of_test(*, failed: bool) -> Report:
    outcome = Outcome.FAILURE if failed else Outcome.PASSED
    log = "\n".join(f"2026-01-31 12:00:{second:02} [INFO] step {second} of the scenario {LONG}" for second in range(40))
    found = report(
        "test",
        "uat",
        200,
        94,
        Case("TEST_MODEL", Outcome.PASSED, seconds=31, stdout=log),
        Case("gate champion", outcome, "log_loss differs by +0.06 [0.02, 0.09]" if failed else "", "the details", 3),
        Case(f"columns: {LONG}", Outcome.SKIPPED, "there is no champion yet"),
    )
    for gate, value, verdict in (
        ("champion", "0.0601", "failed" if failed else "passed"),
        ("drift", "0.31", "inconclusive"),
    ):
        facts = {
            "value": value,
            "limit": "not worse than the champion by more than 0.02, with 95 %",
            "verdict": verdict,
        }
        facts |= {
            "interval": "[0.02319, 0.09054] (95 %, paired bootstrap, BCa)",
            "rows": "1250",
            "source": "dataset scored",
        }
        found.set(**{f"gate.{gate}.{name}": text for name, text in facts.items()})
    both = (curve("candidate, area 0.861", 0.3), curve("champion, area 0.833", 0.4))
    about = "The area is 0.861 for the candidate and 0.833 for the champion."
    psi = Series(name="PSI", x=("total_day_minutes", "state", LONG), y=(0.31, 0.12, 0.02))
    found.attach().figures += [
        Figure(name="roc", topic="champion", title="ROC curve", about=about, x="false positive rate", y="true rate",
               series=both, diagonal=True),
        Figure(name="drift", topic="drift", kind="bars", title="Population stability index", y="PSI", series=(psi,),
               about="1 of 3 columns exceeds its limit: total_day_minutes 0.31, limit 0.2.", limits=(0.2, 0.2, 0.2)),
    ]  # fmt: skip
    return found


def stages() -> list[Report]:
    return [
        report("validate", None, 0, 12, Case("recipe prepare: lines"), Case("library churn: complexity")),
        report("package", None, 14, 8, Case("archive", stdout="SHA-256 774f81c2afa58f0effe0fe50b9869497c")),
        report("deploy", "uat", 24, 170, Case("deployment")),
    ]


def history() -> list[PastRelease]:
    good = [PastRelease(at=f"2026-01-{day:02} 08:00", stage="prod", version=f"1{day}-4f2c1aa", result="live", who="j")
            for day in range(10, 20)]  # fmt: skip
    back = PastRelease(at="2026-01-22 09:30", stage="prod", version="122-0c0ffee", result="rolled back", good=False,
                       note="smoke test: 0 rows scored")  # fmt: skip
    return [*good, back]


def stopped_by_gate() -> tuple[list[Report], Facts]:
    refused = Case("gate", Outcome.FAILURE, "bundle 129-4f2c1aa has not passed its tests on uat", "next: test it")
    reports = [*stages(), of_test(failed=True), report("release", "prod", 310, 1, refused)]
    sentence = "Bundle 129-4f2c1aa was stopped by test on uat: gate champion: log_loss differs by +0.06 [0.02, 0.09]."
    sentence += " Production is untouched: bundle 128-0badcafe was live when this one was packaged."
    facts = Facts(
        Verdict("bad", sentence, "train the model again"),
        "bundle 129-4f2c1aa",
        (("build", "https://jenkins.example.com/129"),),
    )
    return reports, facts


def rolled_back() -> tuple[list[Report], Facts]:
    smoke = Case("smoke-test", Outcome.FAILURE, "KeyError: 'calls_per_night'", "Traceback …\n" * 60, 4)
    again = Case("smoke-test after rollback", seconds=3)
    reports = [*stages(), of_test(failed=False), report("release", "prod", 9000, 64, Case("gate"), smoke, again)]
    text = "- depth = 3\n+ depth = 4\n@@ -1 +1 @@\n" + f"+ {LONG}\n"
    change = Change(kind="recipe", name="train_churn_model", what="changed", text=text)
    model = Change(kind="model", name="churn_model", what="changed", note="version 17 → 18")
    reports[-1].attach().differences.append(
        Difference(old="bundle 128", new="bundle 129", commits=("Deeper trees (4f2c1aa)",), changes=(change, model))
    )
    reports[-1].attach().releases.extend(history())
    sentence = "Bundle 129-4f2c1aa is not live on prod: smoke test: KeyError: 'calls_per_night'. "
    sentence += "Live since 2026-01-31 14:31 UTC: bundle 128-0badcafe, verified."
    within = "release on prod"
    spans = (
        Span("deployment", BEGAN + 9001, BEGAN + 9020, "passed", within),
        Span("smoke test", BEGAN + 9020, BEGAN + 9024, "failed", within),
        Span("restore", BEGAN + 9025, BEGAN + 9064, "passed", within),
    )
    lines = (
        ("commit of the project", "4f2c1aa9d21c"),
        ("approved by", "jane, 2026-01-31 14:29 UTC"),
        ("SHA-256", "774f81c2afa58f0e…"),
    )
    return reports, Facts(Verdict("bad", sentence, "add the variable"), "bundle 129-4f2c1aa", lines, spans)


def canary() -> tuple[list[Report], Facts]:
    release = report("api-release", "live", 400, 610, *(Case(f"{share} % of the calls") for share in (10, 50, 100)))
    steps = Series(name="calls to the new version, %", x=(0.0, 60.0, 240.0, 600.0), y=(10.0, 10.0, 50.0, 100.0))
    times = tuple(float(ms) for ms in range(5, 105, 5))
    latency = tuple(
        Series(name=name, x=times, y=tuple(round(1 - 0.9 ** (ms / slow), 4) for ms in times))
        for name, slow in (("new", 2), ("old", 3))
    )
    release.attach().figures += [
        Figure(name="canary", topic="service", kind="steps", title="Canary",
               about="10 %, then 50 %, then all of the calls.", x="seconds", y="% of the calls", series=(steps,)),
        Figure(name="latency", topic="service", title="Latency", about="95 % of the calls take less than 57 ms.",
               x="ms", y="share of calls", series=latency, limits=(0.95,)),
    ]  # fmt: skip
    release.attach().releases.extend(history()[:-1])
    sentence = "Version 12 has been live on live since 2026-01-31 12:16 UTC, each API node answers with it."
    return [*stages(), of_test(failed=False), release], Facts(
        Verdict("good", sentence), "API service churn, version 12"
    )


PAGES: dict[str, Callable[[], tuple[list[Report], Facts]]] = {
    "gate": stopped_by_gate,
    "rolled-back": rolled_back,
    "canary": canary,
}
