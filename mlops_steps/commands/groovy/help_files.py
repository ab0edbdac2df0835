"""The help of a Groovy step (``vars/<step>.txt``): the part that all steps share, made from the registry.

A file begins with what the step is for and ends with an example, which people write. Between the two stand the
parameters, and what every step leaves behind.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

from mlops_steps.commands.groovy.request import OF_THE_LIBRARY
from mlops_steps.steps.registry import STEPS, Kind, Option, Step

WIDTH = 120
_BEGIN, _END = "\nParameters\n", "\nExample\n"
_LEAVES = (
    "The JUnit report is published whatever happens, the release record and the checksum of the bundle are archived, "
    "and the build's description says project, bundle and what is live. Returns a map: verdict, bundle, description, "
    "exit."
)


def parameters(step: Step) -> str:
    """The shared part of a help file, from ``Parameters`` up to the example."""
    listed = [(option.parameter, _type(option), option.jenkins_help or option.help) for option in step.all_options]
    listed += [(name, kind, text) for name, (kind, text) in OF_THE_LIBRARY.items()]
    entries = "".join(f"  {name}: {kind}\n{_wrapped(text, '    ')}\n" for name, kind, text in listed)
    return f"{_BEGIN}{entries}\n{_wrapped(_LEAVES)}\n"


def updated(text: str, step: Step) -> str:
    """A help file with the shared part as it must be. Raises :class:`ValueError` when the file has no place for it."""
    head, begin, rest = text.partition(_BEGIN)
    _, end, example = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"{step.groovy_name}.txt needs the lines Parameters and Example")
    return f"{head}{parameters(step)}{end}{example}"


def stale(folder: Path) -> dict[Path, str]:
    """The help files in ``folder`` that are not as they must be, each with the text that it must have.

    Raises :class:`ValueError` for one without its marks, :class:`OSError` for one that cannot be read.
    """
    found = {}
    for step in STEPS.values():
        if step.in_library:
            path = folder / f"{step.groovy_name}.txt"
            text = path.read_text(encoding="utf-8")
            if (wanted := updated(text, step)) != text:
                found[path] = wanted
    return found


def _type(option: Option) -> str:
    if option.required:
        return f"{option.kind.value}, required"
    default = option.jenkins_default or option.default
    if not default:
        default = "none" if option.kind is Kind.TEXT else "false"
    return f"{option.kind.value}, default: {default}"


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
