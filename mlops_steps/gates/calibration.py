"""The gate ``calibration``: whether probabilities mean what they say."""

from __future__ import annotations

import numpy as np

from mlops_steps.config.gates import CalibrationGate
from mlops_steps.errors import CheckFailed
from mlops_steps.gates import figures
from mlops_steps.gates.model import GateResult, GateVerdict
from mlops_steps.gates.samples import Samples
from mlops_steps.gates.scored import complete, numbers, positives
from mlops_steps.gates.statistics.calibration import calibration, judge_calibration
from mlops_steps.gates.statistics.model import Verdict
from mlops_steps.system.waiting import Deadline

_VERDICTS = {
    Verdict.SUCCESSFUL: GateVerdict.PASSED,
    Verdict.FAILED: GateVerdict.FAILED,
    Verdict.INCONCLUSIVE: GateVerdict.INCONCLUSIVE,
}


def measure(gate: CalibrationGate, samples: Samples, deadline: Deadline) -> GateResult:
    """Raises :class:`CheckFailed` for values that are not probabilities, :class:`NodeError` when the node fails."""
    version = samples.candidate
    rows, incomplete = complete(
        samples.read(version, gate.dataset, [gate.label, gate.probability], deadline, gate.scenario)
    )
    count = len(rows[gate.label])
    limit, source = f"at most {gate.at_most:g}", f"dataset {gate.dataset}, {version}"
    needed = max(gate.rows, 2 * gate.bins)
    if count < needed:
        message = f"{count} complete rows ({incomplete} incomplete); {needed} are required"
        return GateResult(GateVerdict.INCONCLUSIVE, message, limit=limit, rows=count, source=source)
    truth, chance = positives(rows[gate.label], gate.positive), numbers(rows[gate.probability], gate.probability)
    if not bool(np.all((chance >= 0) & (chance <= 1))):
        raise CheckFailed(f"column {gate.probability} holds values that are not between 0 and 1")
    found = calibration(truth, chance, bins=gate.bins, level=gate.confidence)
    return GateResult(
        _VERDICTS[judge_calibration(found, gate.at_most)],
        f"expected calibration error {found.error:.4g} {found.interval}",
        found.error,
        limit,
        str(found.interval),
        count,
        source,
        (
            f"perfect probabilities stay below {found.noise:.4g} on so many rows",
            *(f"predicted {mean:.3f}, true {share:.3f}, {rows} rows" for mean, share, rows in found.curve),
        ),
        figures=(figures.calibration(gate.name, truth, {"candidate": chance}, "other"),),
    )
