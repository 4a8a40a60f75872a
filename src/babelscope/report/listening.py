"""A page of recordings to listen to, with what each layer reads at each position: ``lens.html``, wholly offline."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from babelscope.audio import Recording
from babelscope.cache import write_atomically
from babelscope.languages import name_of
from babelscope.report.recordings import BUDGET, Heard, embed

#: What a position counts as, in the legend's words.
KINDS: dict[str, str] = {
    "transcript": "a word of the transcript is among the nearest entries",
    "translation": "a word of the sentence in another language is, and none of the transcript",
    "neither": "no word of these",
}

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --transcript: #2e7d3233; --translation: #1565c033; }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
section { border-top: 1px solid var(--line); margin-top: 2rem; }
audio { width: 100%; max-width: 30rem; }
.layers { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; }
th { text-align: left; font-weight: 600; padding: .15rem .8rem .15rem 0; white-space: nowrap; position: sticky; left: 0;
  background: Canvas; }
td { border: 1px solid var(--line); padding: .15rem .35rem; white-space: nowrap; }
.transcript { background: var(--transcript); font-weight: 600; }
.translation { background: var(--translation); font-style: italic; }
.neither { opacity: .75; }
"""


def listening_page(readings: pd.DataFrame, heard: Sequence[Heard], *, title: str, note: str = "") -> str:
    """Return the page as HTML; everything that comes from a corpus or a model is escaped.

    The readings are the table ``lens_readings``: one row a language, sentence, point and position, with its nearest
    entries. The note is a sentence on how positions were read.
    """
    legend = " ".join(f'<span class="{kind}">{html.escape(kind)}</span>: {html.escape(KINDS[kind])}.' for kind in KINDS)
    body = [
        f"<h1>{html.escape(title)}</h1>",
        f"<p>{html.escape(note)} Each row is a layer, each cell a position of the recording in the order of time: its "
        f"nearest entry of the vocabulary. Rest the pointer on a cell for the next ones. {legend}</p>",
    ]
    for one in heard:
        own = readings[(readings["language"] == one.language) & (readings["sentence"] == one.sentence)]
        if own.empty:
            continue
        rows = [_row(str(point), positions) for point, positions in own.groupby("point", sort=False)]
        code = html.escape(one.language, quote=True)
        body.append(
            f"<section><h2>{html.escape(name_of(one.language))}, sentence {html.escape(one.sentence)}</h2>"
            f'<p lang="{code}" dir="auto">{html.escape(one.text)}</p>'
            f'<audio controls preload="none" src="{html.escape(one.sound, quote=True)}"></audio>'
            f'<div class="layers" tabindex="0"><table>{"".join(rows)}</table></div></section>'
        )
    policy = "default-src 'none'; style-src 'unsafe-inline'; media-src data:"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


def _row(point: str, positions: pd.DataFrame) -> str:
    cells = []
    for entries, kind in zip(positions["entries"], positions["of"], strict=True):
        names = [str(entry).strip() for entry in json.loads(entries)]
        known = kind if kind in KINDS else "neither"
        cells.append(
            f'<td class="{known}" title="{html.escape(", ".join(names), quote=True)}" dir="auto">'
            f"{html.escape(names[0] if names else '')}</td>"
        )
    return f'<tr><th scope="row">{html.escape(point)}</th>{"".join(cells)}</tr>'


def write_listening_page(
    readings: pd.DataFrame,
    cells: Sequence[tuple[str, Recording]],
    path: Path,
    *,
    title: str,
    note: str = "",
    budget: int = BUDGET,
) -> Path:
    """Write the page, with as many whole sentences, in their order, as fit into a budget of bytes of sound."""
    page = listening_page(readings, embed(cells, budget), title=title, note=note)
    write_atomically(path, lambda target: target.write_text(page, encoding="utf-8"))
    return path
