"""A figure: one Altair specification with its data and its reading, from which every output is made.

The page embeds the specification and draws it with Vega (offline, by Vega's expression interpreter, so that nothing is
evaluated); Markdown, PDF and notebooks take the same specification as SVG, PNG, PDF or an Altair chart.
"""

from __future__ import annotations

import html
import json
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import altair as alt
import pandas as pd
import vl_convert
from altair.utils.schemapi import debug_mode

from babelscope.cache import write_atomically

#: Width of a plot in pixels: on a desk, and on a phone.
WIDE, NARROW = 520, 250

#: Colours by their name in the page's style sheet, as they are on white paper. Safe for colour-blind readers: Okabe and
#: Ito's, without black (the mean is black) and with the yellow darkened, which is lost on white.
PALETTE: dict[str, str] = {
    "ink": "#1c2127",
    "muted": "#5b6570",
    "grid": "#e7e9ec",
    "axis": "#aeb5bd",
    "null-band": "#d4d8dd",
    "null-edge": "#8d96a0",
    "interval": "#c5d3e0",
    "thin": "#9ca5af",
    "stage-even": "#c4cad1",
    "stage-odd": "#dfe3e7",
    "paper": "#ffffff",
    "language-0": "#0072b2",
    "language-1": "#d55e00",
    "language-2": "#009e73",
    "language-3": "#cc79a7",
    "language-4": "#e69f00",
    "language-5": "#56b4e9",
    "language-6": "#a89400",
}

LANGUAGE_COLOURS: tuple[str, ...] = tuple(colour for name, colour in PALETTE.items() if name.startswith("language-"))

#: Legends are stacked.
_LEGENDS = alt.ExprRef("{bottom: {direction: 'vertical', anchor: 'start', offset: 18}}")

_FONT = "Helvetica, Arial, 'Liberation Sans', sans-serif"

#: Characters that XML 1.0 cannot hold, not even escaped.
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")

Styled = TypeVar("Styled", alt.Chart, alt.LayerChart, alt.ConcatChart)

Drawable = alt.Chart | alt.LayerChart | alt.ConcatChart


@dataclass(frozen=True)
class Figure:
    """A figure of the report.

    Attributes
    ----------
    name : str
        Of its files and of its place in the page, such as ``layer_curves.modality_similarity``.
    draw : callable
        Returns the Altair chart for a width of the plot in pixels.
    data : DataFrame
        Rows of a table of the result that it shows; the index is their row number there.
    sentence : Sentence or str
        What it shows, in one sentence.
    alt : str
        The same for those who cannot see it, with the numbers.
    """

    name: str
    draw: Callable[[int], Any]
    data: pd.DataFrame
    sentence: Any
    alt: str
    # By width: files, page and notebook show the same figure, and drawing it takes most of the time of a report.
    _specs: dict[int, dict[str, Any]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _svgs: dict[int, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def chart(self) -> Any:
        """The chart at full width."""
        return self.draw(WIDE)

    def csv(self) -> str:
        """Return the data as CSV, with the row number in the result's table first."""
        return self.data.to_csv(index_label="row", float_format="%.6g", lineterminator="\n")

    def spec(self, width: int = WIDE) -> dict[str, Any]:
        """Return the Vega-Lite specification, which holds its data."""
        if width not in self._specs:
            with debug_mode(False):  # a fifth of the time of drawing goes into checks of parts that are our own
                self._specs[width] = _spec(self.draw(width), self.alt)
        return dict(self._specs[width])

    def svg(self, width: int = WIDE) -> str:
        """Return the figure as a stand-alone SVG text, the same whenever it is made."""
        if width not in self._svgs:
            self._svgs[width] = _svg(self.spec(width))
        return self._svgs[width]

    def files(self) -> Iterable[tuple[str, bytes]]:
        """Yield each suffix and the file's content; a PNG has two pixels a unit."""
        text = self.svg()
        yield "svg", text.encode()
        yield "png", vl_convert.svg_to_png(text, scale=2)
        yield "pdf", _undated(vl_convert.svg_to_pdf(text))
        yield "csv", self.csv().encode()


def write(figures: Iterable[Figure], folder: Path) -> list[Path]:
    """Write figures as ``NAME.svg``, ``.png``, ``.pdf`` and ``.csv``, each replaced whole."""
    return [
        write_atomically(folder / f"{figure.name}.{suffix}", partial(_put, data))
        for figure in figures
        for suffix, data in figure.files()
    ]


def _put(data: bytes, path: Path) -> None:
    path.write_bytes(data)


def _undated(pdf: bytes) -> bytes:
    """Blank the date of making: a figure drawn again then differs only in the order in which its objects are listed."""
    return re.sub(rb"D:\d{14}[^)]*", lambda match: b"D:" + b"0" * (len(match.group()) - 2), pdf)


def to_svg(chart: Any) -> str:
    """Return a chart as a stand-alone SVG text, with its description as accessible name."""
    return _svg(_spec(chart, ""))


def _spec(chart: Any, text: str) -> dict[str, Any]:
    with alt.data_transformers.disable_max_rows():
        spec: dict[str, Any] = chart.to_dict(validate=False)
    if text:
        spec["description"] = text
    return spec


def _svg(spec: dict[str, Any]) -> str:
    drawn: str = vl_convert.vegalite_to_svg(spec, vl_version=alt.SCHEMA_VERSION.removeprefix("v").rsplit(".", 1)[0])
    svg = _stable_ids(_NOT_XML.sub("", drawn))
    head = svg.index(">")
    text = _NOT_XML.sub("", str(spec.get("description", "")))
    return f'{svg[:head]} role="img" aria-label="{html.escape(text)}"{svg[head:]}'


def _stable_ids(svg: str) -> str:
    """Number the clip paths and gradients from 0: the renderer goes on counting from one chart to the next."""
    seen: dict[str, str] = {}

    def renamed(match: re.Match[str]) -> str:
        name = seen.setdefault(match.group(2), f"d{len(seen)}")
        return f"{match.group(1)}{name}{match.group(3)}"

    return re.sub(
        r"""((?:<clipPath|<linearGradient|<radialGradient) id=")([^"]+)(")""",
        renamed,
        re.sub(r"(url\(#)([^)]+)(\))", renamed, svg),
    )


# -- in the page ------------------------------------------------------------------------------------


@cache
def vega_script() -> str:
    """Return Vega, Vega-Lite and vega-embed as one script that defines ``babelscopeEmbed`` and asks for nothing."""
    bundle = str(vl_convert.javascript_bundle("window.babelscopeEmbed = vegaEmbed;"))
    return "(()=>{" + bundle.replace("</script", r"<\/script").replace("<!--", r"<\!--") + "})();"


def themed(text: str) -> str:
    """Return an SVG or a specification in the colours of the page's style sheet, light or dark."""
    return _COLOUR.sub(lambda match: f'"var(--{_NAMES[match.group(1)]})"', text)


_NAMES = {colour: name for name, colour in PALETTE.items()}
_COLOUR = re.compile('"(' + "|".join(_NAMES) + ')"')


def inline(figure: Figure, width: int) -> str:
    """Return a figure as SVG for the page: in its colours, and with identifiers of its own."""
    svg = themed(figure.svg(width))
    own = f"{re.sub('[^A-Za-z0-9]+', '-', figure.name)}-{width}-"
    return re.sub(r'(id="|url\(#)(d\d+)', rf"\g<1>{own}\g<2>", svg)


def carried(shown: Iterable[Figure], on_demand: Iterable[Figure]) -> dict[str, Any]:
    """Return what the page carries of figures: their specifications, and their data, each once.

    Those that are shown are drawn at once, and have a specification for a phone as well; those on demand are drawn when
    their evidence is unfolded, and on a phone the page makes them narrower. ``figures`` has by name the specification
    ``wide`` and, where there is one, ``narrow``, and ``rows``, the name of the data set that the figure is saved as;
    ``data`` the data sets by name, a list a column; ``config`` the style of all figures.
    """
    data: dict[str, dict[str, Any]] = {}
    entries: dict[str, Any] = {}
    config: dict[str, Any] = {}
    for figures, widths in ((shown, {"wide": WIDE, "narrow": NARROW}), (on_demand, {"wide": WIDE})):
        for figure in figures:
            entry: dict[str, Any] = {}
            for name, width in widths.items():
                spec = figure.spec(width)
                config = spec.pop("config", config)
                for unneeded in ("$schema", "description"):
                    spec.pop(unneeded, None)
                sets = spec.pop("datasets", {})
                for key, rows in sets.items():
                    if key not in data:
                        data[key] = _columns(rows)
                entry[name] = json.loads(themed(json.dumps(spec)))
                entry.setdefault("rows", max(sets, key=lambda key: len(sets[key]), default=""))
            entries[figure.name] = entry
    return {"figures": entries, "data": data, "config": json.loads(themed(json.dumps(config)))}


def _columns(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return rows as columns: numbers with five digits (four where there are many), repeated texts as codes."""
    digits = 5 if len(rows) <= 5000 else 4
    columns: dict[str, Any] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        column = [row.get(name) for row in rows]
        if all(isinstance(value, str) for value in column) and 4 * len(levels := list(dict.fromkeys(column))) < len(
            rows
        ):
            rank = {level: index for index, level in enumerate(levels)}
            columns[name] = {"levels": levels, "codes": [rank[value] for value in column]}
        else:
            columns[name] = [float(f"{value:.{digits}g}") if isinstance(value, float) else value for value in column]
    return columns


# -- what charts have in common -----------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """A line of a legend: what it is called, and how it is drawn. A band is a thick line."""

    name: str
    colour: str
    width: float = 2.0
    dash: tuple[int, ...] = ()


def key_of(entries: Sequence[Entry], width: int, name: str = "key") -> alt.Chart:
    """Return a layer that draws nothing but a legend of these entries, below the plot and never cut."""
    names = [entry.name for entry in entries]
    longest = max((len(name) for name in names), default=1)
    legend = alt.Legend(
        title=None, orient="bottom", direction="horizontal", labelLimit=0, symbolType="stroke", symbolSize=260,
        columns=max(1, min(8, int((width + 40) // (longest * 5.7 + 32)))), rowPadding=1, columnPadding=12, offset=4,
    )  # fmt: skip

    def by(channel: type[Any], values: list[Any]) -> Any:
        scale = alt.Scale(type="ordinal", domain=names, range=values)
        return channel(f"{name}:N", scale=scale, legend=legend)

    drawn: alt.Chart = (
        alt.Chart(pd.DataFrame({name: names}))
        .mark_line()
        .encode(
            x=alt.value(0),
            y=alt.value(0),
            stroke=by(alt.Stroke, [entry.colour for entry in entries]),
            strokeDash=by(alt.StrokeDash, [list(entry.dash) or [1, 0] for entry in entries]),
            strokeWidth=by(alt.StrokeWidth, [entry.width for entry in entries]),
        )
        .properties(name=name)
    )
    return drawn


def captioned(title: str, lines: Iterable[str], width: int) -> alt.TitleParams:
    """Return a title and the lines below it, broken so that nothing runs out of the figure."""
    room = width + 50
    broken = textwrap.wrap(title, max(20, int(room // 6.9)))
    return alt.TitleParams(
        text=broken if len(broken) > 1 else title,
        subtitle=[piece for line in lines if line for piece in textwrap.wrap(line, max(24, int(room // 5.3)))],
    )


def tooltips(texts: Iterable[str], numbers: Iterable[str]) -> list[alt.Tooltip]:
    """Return tooltips of columns: texts as they are, numbers with three decimals."""
    return [alt.Tooltip(f"{name}:N") for name in texts] + [alt.Tooltip(f"{name}:Q", format=".3f") for name in numbers]


def finished(
    chart: Styled, width: int, height: int | alt.Step, title: str, lines: Iterable[str], text: str = ""
) -> Styled:
    """Give a chart the size of its plot, a title with lines below it, and the report's style."""
    chart.width, chart.height, chart.title = width, height, captioned(title, lines, width)
    return restyled(chart, text)


def restyled(chart: Styled, text: str) -> Styled:
    """Give a chart the report's fonts and colours, and a text for those who cannot see it."""
    # Set, not chained: each configure_...() would copy the whole chart.
    chart.description = text
    chart.config = alt.Config(
        background=PALETTE["paper"],
        font=_FONT,
        padding=6,
        view=alt.ViewConfig(stroke=None),
        axis=alt.AxisConfig(
            gridColor=PALETTE["grid"], domainColor=PALETTE["axis"], tickColor=PALETTE["axis"],
            labelColor=PALETTE["muted"], titleColor=PALETTE["muted"], labelFontSize=10.5, titleFontSize=11,
            titleFontWeight="normal", tickSize=4, labelLimit=0, titleLimit=0,
        ),
        axisX=alt.AxisConfig(grid=False),
        title=alt.TitleConfig(
            anchor="start", frame="group", color=PALETTE["ink"], fontSize=13, fontWeight="bold",
            subtitleColor=PALETTE["muted"], subtitleFontSize=11, offset=10,
        ),
        legend=alt.LegendConfig(
            labelColor=PALETTE["ink"], titleColor=PALETTE["muted"], titleFontWeight="normal", labelFontSize=11,
            titleFontSize=11, labelLimit=10_000, titleLimit=10_000, layout=_LEGENDS,
        ),
        header=alt.HeaderConfig(labelColor=PALETTE["ink"], titleColor=PALETTE["muted"]),
    )  # fmt: skip
    return chart
