"""Small static pictures, as SVG text: grids, stacked areas, lines, point clouds, intervals.

They stand in the page without a script, in its colours (CSS variables), and :func:`standalone` turns the same picture
into a file. Grids and point clouds hold one path for each colour, which a script can redraw at once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from babelscope.report.words import number

#: Steps of the colour ramp of a grid.
LEVELS = 64

#: From this step on, ink on the ramp is dark.
DARK_INK_FROM = 32

#: viridis (Smith and van der Walt 2015) at nine even steps.
_VIRIDIS = ("#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725")

#: Up to this many rows or columns are labelled one by one.
MOST_LABELS = 130

#: Pixels around a picture that stands alone.
_MARGIN = 8

_FONT = "Helvetica, Arial, 'Liberation Sans', sans-serif"

#: Characters that XML 1.0 cannot hold, not even escaped.
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


@cache
def ramp() -> tuple[str, ...]:
    """Return the colours of the ramp, from low to high."""
    stops = np.array([[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in _VIRIDIS])
    steps = np.linspace(0, len(stops) - 1, LEVELS)
    channels = [np.rint(np.interp(steps, np.arange(len(stops)), stops[:, one])).astype(int) for one in range(3)]
    return tuple("#" + "".join(f"{part:02x}" for part in colour) for colour in zip(*channels, strict=True))


def ramp_css() -> str:
    """Return the rule of the colour bar."""
    return f".ramp{{background:linear-gradient(to right,{','.join(_VIRIDIS)})}}\n"


@cache
def palette() -> dict[str, str]:
    """Return the page's colours in light, by CSS variable."""
    style = (resources.files("babelscope.report") / "template" / "report.css").read_text(encoding="utf-8")
    return dict(re.findall(r"(--[a-z0-9-]+):\s*(#[0-9a-f]{6})", style.partition("}")[0]))


def clean(text: object) -> str:
    """Return a text from the data as it may stand in SVG: escaped, without what XML cannot hold."""
    return str(escape(_NOT_XML.sub("", str(text))))


def standalone(picture: str) -> str:
    """Return a picture of the page as a file: with its colours written out, on white."""
    filled = re.sub(r"var\((--[a-z0-9-]+)\)", lambda match: palette().get(match.group(1), "#000000"), picture)
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', filled)
    assert box is not None
    width, height = float(box[1]) + 2 * _MARGIN, float(box[2]) + 2 * _MARGIN
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" font-family="{_FONT}" '
    start = filled.index(">") + 1
    name = re.search(r"<title[^>]*>([^<]*)</title>", filled)
    assert name is not None
    opening = re.sub(r' (?:aria-labelledby|class|style)="[^"]*"', "", filled[len("<svg ") : start])
    opening = opening.removesuffix(">") + f' aria-label="{name[1].replace(chr(34), "&#34;")}">'
    opening = opening.replace(box[0], f'viewBox="{-_MARGIN} {-_MARGIN} {width:g} {height:g}"', 1)
    background = f'<rect x="{-_MARGIN}" y="{-_MARGIN}" width="{width:g}" height="{height:g}" fill="#ffffff"/>'
    return head + opening + background + filled[start:]


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return round numbers between two ends."""
    span = high - low
    if span <= 0:
        return [low]
    step = 10.0 ** math.floor(math.log10(span / most))
    step *= next((factor for factor in (1, 2, 5, 10) if span / (step * factor) <= most), 10)
    first = math.ceil(low / step - 1e-9)
    return [round(index * step, 10) for index in range(first, math.floor(high / step + 1e-9) + 1)]


@dataclass
class Frame:
    """A plot's size, room around it and scales, in pixels and in the units of the data."""

    x: tuple[float, float] = (0.0, 1.0)
    y: tuple[float, float] = (0.0, 1.0)
    width: int = 460
    height: int = 220
    left: int = 44
    top: int = 12
    right: int = 14
    bottom: int = 40
    x_title: str = ""
    y_title: str = ""
    percent: bool = False
    parts: list[str] = field(default_factory=list)

    def at_x(self, value: float) -> float:
        """Return the pixel of a value along x."""
        return self.left + (value - self.x[0]) / ((self.x[1] - self.x[0]) or 1) * self.width

    def at_y(self, value: float) -> float:
        """Return the pixel of a value along y."""
        return self.top + self.height - (value - self.y[0]) / ((self.y[1] - self.y[0]) or 1) * self.height

    def path(self, x: Sequence[float], y: Sequence[float]) -> str:
        """Return a line through points, broken where there is no number."""
        steps, pen = [], "M"
        for one, other in zip(x, y, strict=True):
            if not (math.isfinite(one) and math.isfinite(other)):
                pen = "M"
                continue
            steps.append(f"{pen}{_short(self.at_x(one))} {_short(self.at_y(other))}")
            pen = "L"
        return "".join(steps)

    def area(self, x: Sequence[float], low: Sequence[float], high: Sequence[float]) -> str:
        """Return the area between two lines, broken where either has no number."""
        runs: list[list[tuple[float, float, float]]] = [[]]
        for one in zip(x, low, high, strict=True):
            if all(map(math.isfinite, one)):
                runs[-1].append(one)
            elif runs[-1]:
                runs.append([])
        found = []
        for run in runs:
            if len(run) > 1:
                back = list(reversed(run))
                there = self.path([one[0] for one in run], [one[2] for one in run])
                found.append(f"{there}L{self.path([one[0] for one in back], [one[1] for one in back])[1:]}Z")
        return "".join(found)

    def axes(self, x_ticks: Sequence[float] | None = None, grid: bool = True, up: bool = True) -> None:
        """Draw axes with ticks, and lines across; without `up` the y axis is left out."""
        for value in ticks(*self.y, most=5) if up else ():
            y = _short(self.at_y(value))
            text = f"{number(100 * value, 0)} %" if self.percent else f"{value:.6g}".replace("-", "−")
            if grid:
                self.parts.append(
                    f'<path d="M{self.left} {y}h{self.width}" stroke="var(--grid)" stroke-width="1" fill="none"/>'
                )
            self.parts.append(
                f'<text x="{self.left - 6}" y="{y}" dy=".32em" text-anchor="end" font-size="10.5" '
                f'fill="var(--muted)">{text}</text>'
            )
        floor = self.top + self.height
        self.parts.append(f'<path d="M{self.left} {floor}h{self.width}" stroke="var(--axis)" fill="none"/>')
        for value in ticks(*self.x, most=6) if x_ticks is None else x_ticks:
            x = _short(self.at_x(value))
            self.parts.append(f'<path d="M{x} {floor}v4" stroke="var(--axis)" fill="none"/>')
            text = f"{value:.6g}".replace("-", "−")
            self.parts.append(
                f'<text x="{x}" y="{floor + 15}" text-anchor="middle" font-size="10.5" '
                f'fill="var(--muted)">{text}</text>'
            )
        if self.x_title:
            self.parts.append(
                f'<text x="{self.left + self.width / 2:.0f}" y="{floor + 32}" text-anchor="middle" font-size="11" '
                f'fill="var(--muted)">{clean(self.x_title)}</text>'
            )
        if self.y_title:
            middle = self.top + self.height / 2
            self.parts.append(
                f'<text transform="translate(11 {middle:.0f}) rotate(-90)" text-anchor="middle" font-size="11" '
                f'fill="var(--muted)">{clean(self.y_title)}</text>'
            )

    def picture(self, identifier: str, text: str) -> Markup:
        """Return the SVG element; `text` says what it shows to those who cannot see it."""
        return svg(
            identifier,
            text,
            self.left + self.width + self.right,
            self.top + self.height + self.bottom,
            "".join(self.parts),
        )


def svg(identifier: str, text: str, width: float, height: float, inner: str) -> Markup:
    """Return an SVG element with an accessible name; `inner` is trusted."""
    width, height = math.ceil(width), math.ceil(height)
    return Markup(  # noqa: S704 - what comes from the data is escaped here
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-labelledby="{clean(identifier)}" '
        f'class="drawing" style="max-width:{width}px"><title id="{clean(identifier)}">{clean(text)}</title>'
        f"{inner}</svg>"
    )


@dataclass(frozen=True)
class Line:
    """A line of a plot: its name, its numbers, its colour; with a band where it has an interval."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str
    width: float = 2.0
    dash: str = ""
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    label: bool = True


def lines(frame: Frame, drawn: Sequence[Line], identifier: str, text: str) -> Markup:
    """Draw lines over a frame, each named at its end; names that would collide are moved apart."""
    frame.axes()
    for line in drawn:
        if line.low is None or line.high is None:
            continue
        if path := frame.area(line.x, line.low, line.high):
            frame.parts.append(f'<path d="{path}" fill="{line.colour}" fill-opacity=".16" stroke="none" class="band"/>')
    ends: list[tuple[float, str, str]] = []
    for line in drawn:
        dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
        frame.parts.append(
            f'<path d="{frame.path(line.x, line.y)}" fill="none" stroke="{line.colour}" stroke-width="{line.width}"'
            f'{dash} stroke-linejoin="round" data-name="{clean(line.name)}"/>'
        )
        finite = [value for value in line.y if math.isfinite(value)]
        if finite and line.label:
            ends.append((frame.at_y(finite[-1]), line.name, line.colour))
    places: list[float] = []
    for y, _, _ in sorted(ends):
        places.append(max(y, places[-1] + 13) if places else y)
    over = (places[-1] - (frame.top + frame.height)) if places else 0.0
    for index in range(len(places) - 1, -1, -1):  # what runs out of the plot moves up, and pushes what is above it
        below = places[index + 1] - 13 if index + 1 < len(places) else places[index] - max(0.0, over)
        places[index] = min(places[index], below)
    for (y, name, colour), last in zip(sorted(ends), places, strict=True):
        frame.parts.append(
            f'<text x="{frame.left + frame.width + 7}" y="{_short(last)}" dy=".32em" font-size="11" '
            f'fill="var(--ink)">{clean(name)}</text>'
            f'<path d="M{frame.left + frame.width} {_short(y)}L{frame.left + frame.width + 5} {_short(last)}" '
            f'stroke="{colour}" fill="none"/>'
        )
    return frame.picture(identifier, text)


def stacked(
    frame: Frame,
    x: Sequence[float],
    layers: Sequence[tuple[str, str, Sequence[float]]],
    identifier: str,
    text: str,
) -> Markup:
    """Draw shares as areas, one upon the other; a negative share takes no room (the numbers stand in the table)."""
    floor = np.zeros(len(x))
    areas = []
    for name, colour, values in layers:
        top = floor + np.clip(np.nan_to_num(np.asarray(values, dtype=float)), 0, None)
        if len(x) == 1:
            left, right = [frame.x[0], frame.x[1]], [frame.x[1], frame.x[0]]
            d = frame.path(left, [top[0]] * 2) + "L" + frame.path(right, [floor[0]] * 2)[1:] + "Z"
        else:
            d = frame.path(x, list(top)) + "L" + frame.path(list(reversed(x)), list(floor[::-1]))[1:] + "Z"
        areas.append(
            f'<path d="{d}" fill="{colour}" stroke="var(--paper)" stroke-width=".8" data-name="{clean(name)}"/>'
        )
        floor = top
    frame.axes(grid=False)
    frame.parts[:0] = areas
    return frame.picture(identifier, text)


@dataclass(frozen=True)
class Cloud:
    """Points of one colour and one mark: ``dot`` or ``cross``."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str
    mark: str = "dot"
    key: str = ""


def scatter(frame: Frame, clouds: Sequence[Cloud], identifier: str, text: str, *, axes: bool = True) -> Markup:
    """Draw point clouds, one path each."""
    if axes:
        frame.axes()
    for cloud in clouds:
        steps = []
        for x, y in zip(cloud.x, cloud.y, strict=True):
            if math.isfinite(x) and math.isfinite(y):
                at = f"M{_short(frame.at_x(x))} {_short(frame.at_y(y))}"
                steps.append(f"{at}h0" if cloud.mark == "dot" else f"{at}m-2.2 -2.2l4.4 4.4m0 -4.4l-4.4 4.4")
        pen = (
            'stroke-width="5" stroke-linecap="round" stroke-opacity=".75"'
            if cloud.mark == "dot"
            else 'stroke-width="1.3" stroke-opacity=".9"'
        )
        frame.parts.append(
            f'<path d="{"".join(steps)}" fill="none" stroke="{cloud.colour}" {pen} data-cloud="{clean(cloud.key)}"/>'
        )
    return frame.picture(identifier, text)


@dataclass(frozen=True)
class Groups:
    """Runs of neighbouring rows that belong together: label, first row, number of rows."""

    runs: tuple[tuple[str, int, int], ...] = ()


@dataclass(frozen=True)
class GridShape:
    """Where the cells of a grid lie in its picture, for the script that reads and redraws it."""

    left: int
    top: int
    cell: int
    rows: int
    columns: int

    def as_dict(self) -> dict[str, int]:
        """Return the shape for the script."""
        return dict(vars(self))


def grid(
    levels: NDArray[np.int64],
    rows: Sequence[str],
    columns: Sequence[str],
    identifier: str,
    text: str,
    *,
    cell: int,
    texts: Sequence[Sequence[str]] | None = None,
    groups: Groups | None = None,
    room: int = 0,
    row_title: str = "",
    column_title: str = "",
    turned: bool | None = None,
) -> tuple[Markup, GridShape]:
    """Draw a grid of coloured cells.

    Parameters
    ----------
    levels : ndarray of int, shape (rows, columns)
        Steps of the ramp; −1 where there is nothing.
    rows, columns : sequence of str
        Labels.
    identifier, text : str
        Id and text of the picture's title.
    cell : int
        Side of a cell in pixels.
    texts : nested sequence of str, optional
        Written into the cells.
    groups : Groups, optional
        Of the rows, named at the right.
    room : int
        Characters of a group's name for which room is kept at the right, whatever `groups` holds.
    row_title, column_title : str
        What rows and columns are.
    turned : bool, optional
        Whether the labels of the columns stand upright; without it, where they would not fit.

    Returns
    -------
    Markup, GridShape
    """
    size = min(12.0, max(5.5, cell * 0.92))
    longest = max((len(name) for name in rows), default=0)
    left = round(min(170, longest * size * 0.58 + 8)) + (16 if row_title else 0)
    wide = max((len(name) for name in columns), default=0)
    upright = (wide * size * 0.6 > cell) if turned is None else turned
    top = (round(min(150, wide * size * 0.58 + 8)) if upright else 20) + (16 if column_title else 0)
    longest = max([room, *(len(label) for label, _, _ in (groups.runs if groups else ()))])
    right = round(longest * 5.6 + 18) if longest else 8
    shape = GridShape(left, top, cell, len(rows), len(columns))
    inner = [
        f'<rect class="nothing" x="{left}" y="{top}" width="{cell * len(columns)}" height="{cell * len(rows)}" '
        'fill="var(--sunken)"/>',
        f'<g class="cells" transform="translate({left} {top}) scale({cell})" fill="none" stroke-width="1.02">',
    ]
    runs = level_paths(levels)
    inner += [f'<path stroke="{colour}" d="{d}"/>' for colour, d in zip(ramp(), runs, strict=True)]
    inner.append("</g>")
    if cell >= 16:
        lines_across = "".join(f"M0 {row * cell}h{cell * len(columns)}" for row in range(1, len(rows)))
        lines_down = "".join(f"M{column * cell} 0v{cell * len(rows)}" for column in range(1, len(columns)))
        inner.append(
            f'<path transform="translate({left} {top})" d="{lines_across}{lines_down}" stroke="var(--paper)" '
            'stroke-width="1.5" fill="none"/>'
        )
    inner.append(f'<g class="rows" text-anchor="end" font-size="{_short(size)}" fill="var(--muted)">')
    base = left - 6
    for index, name in enumerate(rows):
        y = _short(top + (index + 0.5) * cell)
        inner.append(f'<text x="{base}" y="{y}" dy=".34em">{clean(_cut(name, 26))}</text>')
    inner.append(f'</g><g class="columns" font-size="{_short(size)}" fill="var(--muted)">')
    for index, name in enumerate(columns):
        x = _short(left + (index + 0.5) * cell)
        inner.append(
            f'<text transform="translate({x} {top - 5}) rotate(-90)" dy=".34em">{clean(_cut(name, 22))}</text>'
            if upright
            else f'<text x="{x}" y="{top - 6}" text-anchor="middle">{clean(name)}</text>'
        )
    inner.append("</g>")
    if texts is not None:
        inner.append(f'<g class="texts" text-anchor="middle" font-size="{_short(min(12.0, cell * 0.3))}">')
        for row, found in enumerate(texts):
            for column, one in enumerate(found):
                dark = levels[row, column] >= DARK_INK_FROM
                inner.append(
                    f'<text x="{_short(left + (column + 0.5) * cell)}" y="{_short(top + (row + 0.5) * cell)}" '
                    f'dy=".35em" fill="{"#1c2127" if dark else "#ffffff"}">{clean(one)}</text>'
                )
        inner.append("</g>")
    inner.append('<g class="groups" font-size="10.5" fill="var(--muted)">')
    inner.append(group_marks(groups, shape))
    inner.append("</g>")
    if row_title:
        middle = top + cell * len(rows) / 2
        inner.append(
            f'<text transform="translate(11 {middle:.0f}) rotate(-90)" text-anchor="middle" font-size="11.5" '
            f'fill="var(--ink)">{clean(row_title)}</text>'
        )
    if column_title:
        inner.append(
            f'<text x="{left + cell * len(columns) / 2:.0f}" y="11" text-anchor="middle" font-size="11.5" '
            f'fill="var(--ink)">{clean(column_title)}</text>'
        )
    width, height = left + cell * len(columns) + right, top + cell * len(rows) + 6
    return svg(identifier, text, width, height, "".join(inner)), shape


def _cut(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def group_marks(groups: Groups | None, shape: GridShape) -> str:
    """Return the lines and names at the right of a grid that say which rows belong together."""
    found = []
    right = shape.left + shape.cell * shape.columns
    last = -1e9
    for label, first, count in groups.runs if groups else ():
        y = shape.top + first * shape.cell
        height = count * shape.cell
        found.append(
            f'<path d="M{right + 3} {y + 0.5:.1f}v{height - 1}" stroke="var(--axis)" stroke-width="1.5" fill="none"/>'
        )
        middle = y + height / 2
        if middle - last >= 10:
            found.append(f'<text x="{right + 8}" y="{middle:.1f}" dy=".34em">{clean(label)}</text>')
            last = middle
    return "".join(found)


def level_paths(levels: NDArray[np.int64]) -> list[str]:
    """Return one path for each step of the ramp: the cells that have it, as strokes of width 1; runs are merged."""
    found: list[list[str]] = [[] for _ in range(LEVELS)]
    for row, values in enumerate(levels):
        ends = np.flatnonzero(np.diff(values)) + 1
        starts = np.concatenate([[0], ends])
        stops = np.concatenate([ends, [len(values)]])
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
            level = int(values[start])
            if level >= 0:
                found[level].append(f"M{start} {row}.5h{stop - start}")
    return ["".join(steps) for steps in found]


def levels_of(values: NDArray[np.float64], domain: tuple[float, float]) -> NDArray[np.int64]:
    """Return the step of the ramp for each value, −1 for none."""
    share = (np.asarray(values, dtype=float) - domain[0]) / ((domain[1] - domain[0]) or 1)
    found = np.full(share.shape, -1, dtype=np.int64)
    finite = np.isfinite(share)
    found[finite] = np.rint(np.clip(share[finite], 0, 1) * (LEVELS - 1)).astype(np.int64)
    return found


def interval(
    value: float, low: float, high: float, domain: tuple[float, float], colour: str, width: int = 190
) -> Markup:
    """Return a value with its interval on a line, zero marked: for a row of a list. Its numbers stand beside it."""
    height, inset = 22, 6

    def at(number_: float) -> str:
        share = (number_ - domain[0]) / ((domain[1] - domain[0]) or 1)
        return _short(inset + min(1.0, max(0.0, share)) * (width - 2 * inset))

    parts = [f'<path d="M0 11h{width}" stroke="var(--grid)"/>']
    if domain[0] <= 0 <= domain[1]:
        parts.append(f'<path d="M{at(0)} 2v18" stroke="var(--axis)"/>')
    if math.isfinite(low) and math.isfinite(high):
        parts.append(f'<path d="M{at(low)} 11H{at(high)}" stroke="{colour}" stroke-width="5" stroke-opacity=".45"/>')
    if math.isfinite(value):
        parts.append(f'<circle cx="{at(value)}" cy="11" r="4.5" fill="{colour}"/>')
    return Markup(  # noqa: S704 - numbers, and colours of this package
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" aria-hidden="true" class="interval">'
        f"{''.join(parts)}</svg>"
    )
