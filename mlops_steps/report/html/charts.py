"""Draws figures as SVG with matplotlib, the numbers as text, in light and dark. Needs the extra ``report``.

Jenkins' policy lets no style stand in a picture that is opened by itself, so matplotlib's styles become attributes.
Lines differ by dash and marker as well as by colour; the colours are told apart by colour-blind people too (after Okabe
and Ito).
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree  # nosec B405: writes; what is read is matplotlib's own, by defusedxml

from defusedxml.ElementTree import fromstring

from mlops_steps.report.attachments import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 360  # CSS pixels
_HEIGHT = 270
_BAR = 20  # of one bar
_MOST_BARS = 20
_LONGEST_NAME = 24  # characters
_POINTS_PER_PIXEL = 0.75

#: What is drawn in the first colour of a pair is shown in the second one in the dark.
_INK, _QUIET, _GRID = ("#1d2430", "#e6e9ee"), ("#535d6b", "#a9b2bf"), ("#d5dae1", "#3a424e")
_COLOURS = (("#0062a3", "#6cb6ee"), ("#b34a00", "#f09a5b"), ("#00745a", "#4fc7a3"), ("#8a3f72", "#dd9bc6"))
_OVER = ("#b3400f", "#f2916b")
_DASHES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "^", "D")
_FONT = "system-ui, 'Segoe UI', 'Liberation Sans', Arial, sans-serif"
_SVG = "http://www.w3.org/2000/svg"


@dataclass(frozen=True)
class Picture:
    """A drawn figure: two SVG documents of the same size in CSS pixels."""

    light: bytes
    dark: bytes
    width: int
    height: int


def available() -> bool:
    """Whether the plotting library is installed."""
    return find_spec("matplotlib") is not None


def draw(figure: Figure) -> Picture:
    """Draws a figure. Needs :func:`available`."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Canvas

    bars = min(_MOST_BARS, len(figure.series[0].x)) if figure.kind == "bars" and figure.series else 0
    height = 60 + _BAR * bars * len(figure.series) if bars else _HEIGHT
    settings: Any = {
        "svg.fonttype": "none",
        "text.parse_math": False,
        "svg.hashsalt": "mlops-steps",
        "font.size": 8.5,
        "axes.edgecolor": _QUIET[0],
        "axes.labelcolor": _QUIET[0],
        "xtick.color": _QUIET[0],
        "ytick.color": _QUIET[0],
        "text.color": _INK[0],
        "hatch.color": "#ffffff",
        "hatch.linewidth": 0.6,
    }
    with matplotlib.rc_context(settings):
        canvas = Canvas(figsize=(WIDTH * _POINTS_PER_PIXEL / 72, height * _POINTS_PER_PIXEL / 72), layout="constrained")
        FigureCanvasSVG(canvas)
        axes = canvas.subplots()
        (_draw_bars if bars else _draw_lines)(axes, figure)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        out = io.BytesIO()
        canvas.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    light = _plain(out.getvalue(), figure)
    dark = light
    for colour, other in (_INK, _QUIET, _GRID, *_COLOURS, _OVER):
        dark = dark.replace(colour.encode(), other.encode())
    return Picture(light, dark, WIDTH, height)


def _draw_lines(axes: Axes, figure: Figure) -> None:
    if figure.diagonal:
        axes.plot([0, 1], [0, 1], color=_QUIET[0], linewidth=0.8, linestyle=(0, (2, 3)), zorder=1)
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.02)
    for limit in figure.limits:
        axes.axhline(limit, color=_OVER[0], linewidth=1, linestyle="--")
    for number, line in enumerate(figure.series):
        few = len(line.x) <= 20
        axes.plot(
            list(line.x),
            list(line.y),
            label=_short(line.name, 2 * _LONGEST_NAME),
            color=_COLOURS[number % len(_COLOURS)][0],
            linestyle=_DASHES[number % len(_DASHES)],
            marker=_MARKERS[number % len(_MARKERS)] if few else "",
            markersize=3.5,
            linewidth=1.6,
            drawstyle="steps-post" if figure.kind == "steps" else "default",
            zorder=2 + number,
        )
    axes.set_xlabel(figure.x)
    axes.set_ylabel(figure.y)
    axes.grid(color=_GRID[0], linewidth=0.6)
    axes.set_axisbelow(True)
    if len(figure.series) > 1 or "," in figure.series[0].name:
        axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=1, handlelength=2.6)


def _draw_bars(axes: Axes, figure: Figure) -> None:
    names = [str(name) for name in figure.series[0].x[:_MOST_BARS]]
    thick = 0.8 / len(figure.series)
    most = max([value for line in figure.series for value in line.y[:_MOST_BARS]] + list(figure.limits[:_MOST_BARS]))
    for number, line in enumerate(figure.series):
        places = [row + (number - (len(figure.series) - 1) / 2) * thick for row in range(len(names))]
        values = list(line.y[: len(names)])
        over = [row < len(figure.limits) and value > figure.limits[row] for row, value in enumerate(values)]
        colour = _COLOURS[number % len(_COLOURS)][0]
        drawn = axes.barh(places, values, thick * 0.9, color=[_OVER[0] if one else colour for one in over])
        for bar, place, value, one in zip(drawn, places, values, over, strict=True):
            bar.set_hatch("////" if one else "")
            axes.text(max(value, 0) + most * 0.02, place, f"{value:.3g}", va="center", fontsize=8)
    for row, limit in enumerate(figure.limits[: len(names)]):
        axes.plot([limit, limit], [row - 0.45, row + 0.45], color=_INK[0], linewidth=1.4)
    axes.set_yticks(range(len(names)), [_short(name, _LONGEST_NAME) for name in names])
    axes.set_xlim(min(0.0, *(value for line in figure.series for value in line.y)), most * 1.15 or 1.0)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"{figure.y} (line: limit)" if figure.limits else figure.y)


def _short(name: str, limit: int) -> str:
    text = name.lstrip("_") or name  # a leading underscore hides a line from the legend
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _plain(data: bytes, figure: Figure) -> bytes:
    """The picture without styles, with its title and what it says, for whoever opens or hears it."""
    root: Any = fromstring(data)
    for element in list(root.iter()):
        style = element.attrib.pop("style", "")
        for name, value in _attributes(style):
            element.set(name, value)
    for definitions in root.iter(f"{{{_SVG}}}defs"):
        for sheet in definitions.findall(f"{{{_SVG}}}style"):
            definitions.remove(sheet)
    for metadata in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(metadata)
    root.set("stroke-linejoin", "round")
    root.set("role", "img")
    for place, (tag, text) in enumerate((("title", figure.title), ("desc", figure.about))):
        child = ElementTree.Element(f"{{{_SVG}}}{tag}")
        child.text = text
        root.insert(place, child)
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _attributes(style: str) -> list[tuple[str, str]]:
    found = []
    for part in style.split(";"):
        name, colon, value = part.partition(":")
        name, value = name.strip(), value.strip()
        if not colon:
            continue
        if name == "font":
            size = re.search(r"[\d.]+px", value)
            found += [("font-size", size[0])] if size else []
            found.append(("font-family", _FONT))
        else:
            found.append((name, _FONT if name == "font-family" else value))
    return found
