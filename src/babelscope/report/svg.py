"""From an Altair chart to an SVG file that is the same whenever it is made."""

from __future__ import annotations

import html
import re
from typing import Any

import altair as alt
import vl_convert

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
