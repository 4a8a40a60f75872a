"""From a chart to a picture: SVG and PNG files, and SVG that takes the page's colours and fonts.

The picture for the page is rebuilt element by element from a list of what an SVG drawing may hold, so that nothing
which came with the data can act in the page.
"""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

from babelscope.cache import write_atomically
from babelscope.report import charts

_SVG = "{http://www.w3.org/2000/svg}"

#: The chart's colours, by the CSS variables that carry them in the page; they change with the light.
PAGE_COLOURS: dict[str, str] = {
    charts.INK: "--ink",
    charts.MUTED: "--muted",
    charts.GRID: "--grid",
    charts.AXIS: "--axis",
    charts.NULL_BAND: "--null-band",
    charts.NULL_EDGE: "--null-edge",
    charts.INTERVAL: "--interval",
    charts.THIN: "--thin",
    charts.STAGE_EVEN: "--stage-even",
    charts.STAGE_ODD: "--stage-odd",
    **{colour: f"--language-{index}" for index, colour in enumerate(charts.LANGUAGE_COLOURS)},
}

_KEPT_ATTRIBUTES = frozenset(
    [
        "d",
        "x",
        "y",
        "x1",
        "y1",
        "x2",
        "y2",
        "cx",
        "cy",
        "r",
        "width",
        "height",
        "transform",
        "fill",
        "fill-opacity",
        "stroke",
        "stroke-width",
        "stroke-dasharray",
        "stroke-opacity",
        "opacity",
        "text-anchor",
        "font-size",
    ]
)
_DRAWN = frozenset({"path", "line", "rect", "text", "circle"})

#: Characters that XML 1.0 cannot hold, not even escaped.
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def to_svg(chart: Any) -> str:
    """Return a chart as a stand-alone SVG text, with its description as accessible name.

    Parameters
    ----------
    chart : altair chart
        From :mod:`babelscope.report.charts`.
    """
    spec = _spec(chart)
    return _with_title(_stable_ids(_rendered(spec)), _NOT_XML.sub("", str(spec.get("description", ""))))


def write_figure(chart: Any, stem: Path) -> list[Path]:
    """Write a chart as ``STEM.svg`` and ``STEM.png`` (two pixels a unit), each replaced whole.

    Parameters
    ----------
    chart : altair chart
        From :mod:`babelscope.report.charts`.
    stem : Path
        Folder and name without a suffix.

    Returns
    -------
    list of Path
        The two files.

    Raises
    ------
    DataError
        If the folder cannot be written.
    """
    svg = to_svg(chart)
    png = vl_convert.svg_to_png(svg, scale=2)
    return [
        write_atomically(stem.with_name(f"{stem.name}.svg"), lambda path: path.write_text(svg, encoding="utf-8")),
        write_atomically(stem.with_name(f"{stem.name}.png"), lambda path: path.write_bytes(png)),
    ]


def for_page(chart: Any, identifier: str, padding: dict[str, int]) -> str:
    """Return a chart as SVG to stand inside the page, with the page's colours.

    Parameters
    ----------
    chart : altair chart
        One panel of :func:`babelscope.report.charts.layer_curves`.
    identifier : str
        An id of the page, for the title that names the picture.
    padding : dict of str to int
        Pixels left, top, right and bottom of the plot: equal for all panels, so that they line up.

    Returns
    -------
    str
        An ``<svg>`` element. A layer's name is the class of its group; the description of a line is its ``data-group``.
    """
    spec = _spec(chart)
    text = str(spec.pop("description", ""))
    spec["autosize"] = {"type": "none"}
    spec["padding"] = padding
    source = ElementTree.fromstring(_rendered(spec))  # noqa: S314 - made here
    root = ElementTree.Element(
        "svg", {"viewBox": source.get("viewBox", ""), "role": "img", "aria-labelledby": identifier}
    )
    root.set("width", source.get("width", ""))
    root.set("height", source.get("height", ""))
    ElementTree.SubElement(root, "title", {"id": identifier}).text = _NOT_XML.sub("", text)
    for child in source:
        if child.tag == f"{_SVG}g":
            _copy(child, root)
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)


def _copy(source: ElementTree.Element, target: ElementTree.Element) -> None:
    tag = source.tag.removeprefix(_SVG)
    if tag == "g":
        classes = source.get("class", "").split()
        named = next(
            (
                name.removesuffix("_marks")
                for name in classes
                if name.endswith("_marks") and not name.startswith("layer_")
            ),
            None,
        )
        attributes = _attributes(source)
        if named is not None:
            attributes["class"] = f"layer-{named}"
        inner = target if not attributes else ElementTree.SubElement(target, "g", attributes)
        for child in source:
            _copy(child, inner)
        if inner is not target and not len(inner):
            target.remove(inner)
    elif tag in _DRAWN and source.get("class") not in ("background", "foreground"):
        attributes = _attributes(source)
        if tag == "path" and source.get("aria-roledescription") in ("line mark", "rect mark"):
            attributes["data-group"] = source.get("aria-label", "")
        if tag != "text" or (source.text or "").strip():
            ElementTree.SubElement(target, tag, attributes).text = source.text


def _attributes(source: ElementTree.Element) -> dict[str, str]:
    kept = {}
    for name, value in source.attrib.items():
        if (
            name not in _KEPT_ATTRIBUTES
            or (name == "transform" and value == "translate(0,0)")
            or (name == "opacity" and value == "1")
        ):
            continue
        if name in ("fill", "stroke"):
            variable = PAGE_COLOURS.get(value.lower())
            kept[name] = f"var({variable})" if variable else value
        else:
            kept[name] = _short(value) if name in ("d", "transform", "x", "y", "x2", "y2") else value
    return kept


def _short(numbers: str) -> str:
    return re.sub(r"-?\d+\.\d{2,}(?:e-?\d+)?", lambda match: f"{float(match.group()):.1f}".removesuffix(".0"), numbers)


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


def _with_title(svg: str, text: str) -> str:
    head = svg.index(">")
    return f'{svg[:head]} role="img" aria-label="{html.escape(text)}"{svg[head:]}'


def _spec(chart: Any) -> dict[str, Any]:
    with alt.data_transformers.disable_max_rows():
        spec: dict[str, Any] = chart.to_dict(validate=False)
    return spec


def _rendered(spec: dict[str, Any]) -> str:
    svg: str = vl_convert.vegalite_to_svg(spec, vl_version=alt.SCHEMA_VERSION.removeprefix("v").rsplit(".", 1)[0])
    return _NOT_XML.sub("", svg)
