"""The page of a release: one folder that needs nothing else, and no script.

Jenkins serves it under a policy that blocks scripts and inline styles, so it has none: a stylesheet and pictures lie
beside it. ``folder`` reads the reports, ``view`` makes plain data of them, ``templates/`` show it, ``charts`` draws.
"""

from __future__ import annotations

from pathlib import Path

from mlops_steps.report.html.facts import Facts

FOLDER = "html"
PAGE = "index.html"


def update(folder: Path, facts: Facts | None = None, *, pictures: bool = False) -> Path:
    """Writes the page of all reports in the folder to ``html/`` in it, and returns the path of the page.

    ``facts``: what is known of the release beyond the reports; ``pictures``: draw the figures, where the extra
    ``report`` is installed. A report that cannot be read is named on the page. Raises :class:`ReportError` when the
    page cannot be written.
    """
    from mlops_steps.report.html.folder import collect
    from mlops_steps.report.html.write import write

    found = collect(folder)
    return write(found, facts, folder / FOLDER, pictures=pictures)
