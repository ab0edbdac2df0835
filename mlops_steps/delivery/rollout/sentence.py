"""What the page of a release says of a release in waves."""

from __future__ import annotations

from mlops_steps.delivery.record import Stage
from mlops_steps.delivery.rollout.progress import Rollout
from mlops_steps.report.html.facts import Verdict


def verdict_of(name: str, stage: Stage, rollout: Rollout, since: str, next_step: str) -> Verdict:
    """The verdict on the stage as a whole; ``since`` is when the rollout has come to its state, in words."""
    count, version = len(stage.units), f"Bundle {rollout.version}"
    done = sum(unit.verified == rollout.version for unit in stage.units.values())
    why = (f": {rollout.why}" if rollout.why else "").rstrip(".")
    where = f"{version} is live on {done} of {count} infrastructures of {name}"
    recover = f"run `mlops-steps recover --stage {name}`"
    if rollout.state == "live":
        return Verdict("good", f"{version} has been live on {count} infrastructures of {name} since {since}, verified.")
    if rollout.state == "waiting":
        again = f"approve it, then run `mlops-steps release --stage {name}` again"
        return Verdict("open", f"{where}; wave {rollout.wave} waits for an approval.", again)
    if rollout.state == "stopped":
        return Verdict("bad", f"{where}: it stopped in wave {rollout.wave}{why}.", next_step)
    if rollout.state == "restored":
        sentence = f"{version} is not live on {name}{why}. What was live before is live again, verified, since {since}."
        return Verdict("bad", sentence, next_step)
    if rollout.state == "in doubt":
        return Verdict("doubt", f"It is in doubt what is live on {name}{why}. A person must act.", recover)
    sentence = f"The release of bundle {rollout.version} to {name} has not ended; {done} of {count} have it."
    return Verdict("doubt", sentence, f"if no build is at work: {recover}")
