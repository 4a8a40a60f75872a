"""A gap along the depth as a picture of the page: the null's band, the interval, every language, the mean, the stages.

:func:`babelscope.report.charts.layer_curves` draws the same numbers as a chart that a user restyles.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup

from babelscope.gaps.result import Result
from babelscope.report import charts, select
from babelscope.report.drawing import Frame, clean, svg
from babelscope.report.words import KIND_TITLES, measure_title

#: Size of one panel's plot, and the room around it, in pixels; equal for all so that they line up.
PANEL = {"width": 296, "height": 176}
PADDING = {"left": 38, "top": 8, "right": 10, "bottom": 53}

_STAGE_COLOURS = ("var(--stage-even)", "var(--stage-odd)")


def curve_panel(result: Result, kind: str, measure: str, identifier: str) -> Markup:
    """Draw one kind of comparison under one measure.

    Parameters
    ----------
    result : Result
        What a study found.
    kind, measure : str
        As written in the curves.
    identifier : str
        Id of the picture's title in the page.

    Returns
    -------
    Markup
        An SVG element whose groups are ``layer-null``, ``layer-interval``, ``layer-each`` (a path a language or pair,
        named by ``data-group``), ``layer-baseline`` (the strongest baseline), ``layer-regressednull``,
        ``layer-regressed``, ``layer-ceiling``, ``layer-mean`` and ``layer-stages``; one that has nothing to show is
        left out.
    """
    frame = _frame(result, measure)
    width, height = _outer(frame)
    return svg(
        identifier, charts.panel_text(result, kind, measure), width, height, _inner(frame, result, kind, measure)
    )


def curve_sheet(result: Result, kind: str, columns: int = 3) -> Markup:
    """Draw one kind of comparison under every measure, a panel each, with a key: a picture that stands alone."""
    measures = select.measures(result)
    names = select.groups(result, kind)
    width, height = _outer(_frame(result, measures[0]))
    columns = min(columns, len(measures))
    top, gap = 62, 26
    parts = [
        _text(0, 14, charts.curves_title(kind), size=13, ink="ink", weight=True),
        _text(0, 31, charts.curves_key(result, kind, True), size=10.5),
    ]
    if _coloured(kind, names):
        across = 0.0
        for index, name in enumerate(names):
            parts.append(
                f'<path d="M{across:.0f} 44h18" stroke="var(--language-{index})" stroke-width="2" fill="none"/>'
            )
            parts.append(_text(across + 23, 47.5, name, size=10.5, ink="ink"))
            across += 36 + 6.2 * len(name)
    for index, measure in enumerate(measures):
        x, y = index % columns * (width + 8), top + index // columns * (height + gap)
        frame = _frame(result, measure)
        parts.append(_text(x + frame.left, y + 6, measure_title(measure), size=12, ink="ink", weight=True))
        parts.append(f'<g transform="translate({x} {y + 8})">{_inner(frame, result, kind, measure)}</g>')
    rows = math.ceil(len(measures) / columns)
    text = f"{KIND_TITLES[kind]} along the depth, one panel a measure. " + " ".join(
        charts.panel_text(result, kind, name) for name in measures
    )
    return svg(
        f"sheet-{kind}",
        text,
        max(columns * (width + 8), 660),
        top + rows * (height + gap),
        "".join(parts),
    )


def _frame(result: Result, measure: str) -> Frame:
    plot = plot_place()
    return Frame(
        y=charts.curves_domain(result, measure),
        width=plot["width"],
        height=plot["height"],
        left=plot["left"],
        top=plot["top"],
        right=PADDING["right"],
        bottom=PADDING["bottom"],
    )


def _outer(frame: Frame) -> tuple[int, int]:
    return frame.left + frame.width + frame.right, frame.top + frame.height + frame.bottom


def _coloured(kind: str, names: Sequence[str]) -> bool:
    """Whether every language has a colour of its own."""
    return kind in select.OF_ONE_LANGUAGE and 1 < len(names) <= len(charts.LANGUAGE_COLOURS)


def _inner(frame: Frame, result: Result, kind: str, measure: str) -> str:
    part = select.curve(result, kind, measure)
    mean = _Curve.of(select.mean_of(part))
    names = select.groups(result, kind)
    frame.axes((0.0, 0.25, 0.5, 0.75, 1.0))
    layers = [
        (
            "null",
            _area(frame, mean.depth, mean.null_mean, mean.null_q95, "null-band")
            + _line(frame, mean.depth, mean.null_mean, "null-edge", 0.75),
        ),
        ("interval", _area(frame, mean.depth, mean.low, mean.high, "interval", 0.7)),
    ]
    if 1 < len(names) <= charts.MOST_LINES:
        layers.append(("each", _each(frame, part, names, _coloured(kind, names))))
    without = _Curve.of(select.mean_of(select.curve(result, kind, measure, "length_regressed")))
    _, level = select.baseline_level(result, kind, measure)
    if level is not None and mean.depth:
        ends = [min(mean.depth), max(mean.depth)]
        layers.append(("baseline", _line(frame, ends, [level, level], "language-1", 1.5, "8 3 2 3")))
    layers += [
        ("regressednull", _line(frame, without.depth, without.null_q95, "null-edge", 0.75, "2 2")),
        ("regressed", _line(frame, without.depth, without.value, "ink", 1.5, "5 3")),
        ("ceiling", _line(frame, mean.depth, mean.ceiling, "ink", 1.25, "1 3")),
        ("mean", _line(frame, mean.depth, mean.value, "ink", 2.25)),
        ("meanpoints", _dots(frame, mean)),
        ("stages", _stages(frame, result, kind)),
    ]
    frame.parts += [f'<g class="layer-{name}">{drawn}</g>' for name, drawn in layers if drawn]
    below = frame.top + frame.height
    frame.parts.append(_text(frame.left + frame.width / 2, below + 48, "depth", size=10.5, anchor="middle"))
    return "".join(frame.parts)


@dataclass(frozen=True)
class _Curve:
    """The numbers of one curve, from the first point to the last."""

    depth: list[float]
    value: list[float]
    null_mean: list[float]
    null_q95: list[float]
    low: list[float]
    high: list[float]
    ceiling: list[float]

    @classmethod
    def of(cls, rows: pd.DataFrame) -> _Curve:
        names = ("depth", "value", "null_mean", "null_q95", "low", "high", "ceiling")
        return cls(*(rows[name].to_numpy(dtype=float).tolist() for name in names))


def _each(frame: Frame, part: pd.DataFrame, names: Sequence[str], coloured: bool) -> str:
    width = 1.1 if len(names) <= 20 else 0.5
    by_group: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in names}
    for name, depth, value in zip(part["group"], part["depth"].tolist(), part["value"].tolist(), strict=True):
        if (found := by_group.get(str(name))) is not None:
            found[0].append(depth)
            found[1].append(value)
    return "".join(
        _line(
            frame, depths, values, f"language-{index}" if coloured else "thin", width,
            more=f' opacity=".85" data-group="{clean(name)}"',
        )
        for index, (name, (depths, values)) in enumerate(by_group.items())
    )  # fmt: skip


def _line(
    frame: Frame, x: Sequence[float], y: Sequence[float], ink: str, width: float, dash: str = "", more: str = ""
) -> str:
    path = frame.path(x, y)
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return path and f'<path d="{path}" fill="none" stroke="var(--{ink})" stroke-width="{width}"{dashed}{more}/>'


def _area(
    frame: Frame, x: Sequence[float], low: Sequence[float], high: Sequence[float], ink: str, opacity: float = 1.0
) -> str:
    path = frame.area(x, low, high)
    seen = "" if opacity == 1.0 else f' fill-opacity="{opacity}"'
    return path and f'<path d="{path}" fill="var(--{ink})" stroke="none"{seen}/>'


def _dots(frame: Frame, mean: _Curve) -> str:
    return "".join(
        f'<circle cx="{frame.at_x(x):.1f}" cy="{frame.at_y(y):.1f}" r="2.1" fill="var(--ink)"/>'
        for x, y in zip(mean.depth, mean.value, strict=True)
        if math.isfinite(y)
    )


def _stages(frame: Frame, result: Result, kind: str) -> str:
    """Draw a strip below the axis that says which stretch of the depth belongs to which stage."""
    top = frame.top + frame.height + 20
    found = []
    for index, run in enumerate(charts.stage_runs(result, kind)):
        left, right = frame.at_x(run.start), frame.at_x(run.end)
        found.append(
            f'<rect x="{left:.1f}" y="{top}" width="{max(0.0, right - left):.1f}" height="3" '
            f'fill="{_STAGE_COLOURS[index % 2]}"><title>{clean(run.stage)}</title></rect>'
        )
        if charts.fits(run, frame.width):
            found.append(_text((left + right) / 2, top + 14, run.stage, size=9.5, anchor="middle"))
    return "".join(found)


def _text(
    x: float, y: float, text: object, *, size: float, ink: str = "muted", anchor: str = "", weight: bool = False
) -> str:
    placed = f' text-anchor="{anchor}"' if anchor else ""
    bold = ' font-weight="bold"' if weight else ""
    return f'<text x="{x:.1f}" y="{y:g}" font-size="{size}"{placed}{bold} fill="var(--{ink})">{clean(text)}</text>'


def plot_place() -> dict[str, int]:
    """Return where the plot lies in a panel, for the script."""
    return {"left": PADDING["left"], "top": PADDING["top"], **PANEL}
