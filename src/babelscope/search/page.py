"""Search results as a page with players: one HTML file that loads nothing.

Recordings are embedded as FLAC (16 kHz, mono): of a window only the window.
"""

from __future__ import annotations

import base64
import hashlib
import io
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
import soundfile
from markupsafe import Markup

from babelscope.audio import SAMPLE_RATE, Recording, Samples, load_audio
from babelscope.cache import write_atomically
from babelscope.errors import DataError


def write_page(
    found: pd.DataFrame,  # public name
    path: Path | str,
    *,
    query: str,
    heard: Samples | None = None,
    about: str = "",
) -> Path:
    """Write the results of a search.

    Parameters
    ----------
    found : DataFrame
        From :meth:`babelscope.search.Index.find`.
    path : Path or str
        The HTML file.
    query : str
        The query: a text, or a recording's name.
    heard : ndarray, optional
        The samples of a spoken query.
    about : str
        A line on index, model and scores.

    Returns
    -------
    Path

    Raises
    ------
    DataError
        If the file cannot be written. A recording that is missing is reported on the page in its place.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("babelscope.search", "template"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    style = (resources.files("babelscope.search") / "template" / "results.css").read_text(encoding="utf-8")
    page = environment.get_template("results.html.j2").render(
        query=query,
        query_sound=_sound(heard) if heard is not None else None,
        about=about,
        rows=[_row(row) for row in found.to_dict("records")],
        style=Markup(style),  # noqa: S704 - a file of this package
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
    )
    return write_atomically(Path(path), lambda temporary: temporary.write_text(page, encoding="utf-8", newline="\n"))


def _row(match: dict[Any, Any]) -> dict[str, Any]:
    row = {str(key): value for key, value in match.items()} | {"sound": None, "lost": ""}
    if row["kind"] != "speech":
        return row
    recording = Recording(
        Path(row["audio"]), row["member"] or None, row["end"] - row["start"], "", row["sentence"], row["language"]
    )
    try:
        samples = load_audio(recording)
    except DataError as error:
        return row | {"lost": str(error)}
    if not row["whole"]:
        samples = samples[round(row["start"] * SAMPLE_RATE) : round(row["end"] * SAMPLE_RATE)]
    return row | {"sound": _sound(samples)}


def _sound(samples: Samples) -> str:
    """Return samples as a data URL."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(samples, -1.0, 1.0), SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return "data:audio/flac;base64," + base64.b64encode(buffer.getvalue()).decode()
