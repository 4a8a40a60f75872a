"""The page to listen to: offline, escaped, one row a layer."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from babelscope.corpora import Corpus
from babelscope.report.listening import write_listening_page


def test_the_page_plays_each_recording_and_escapes_what_it_shows(tones: Corpus, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    readings = pd.DataFrame(
        [
            {
                "language": language,
                "sentence": "s01",
                "point": point,
                "position": position,
                "positions": 2,
                "entries": json.dumps([evil, '" onmouseover="x', "c"]),
                "of": of,
            }
            for language in ("xa", "xb")
            for point in ("shared.layer.0", "shared.layer.1")
            for position, of in enumerate(("transcript", "neither"))
        ]
    )
    cells = [(evil, tones.recordings("s01", language)[0]) for language in ("xa", "xb")]
    page = write_listening_page(readings, cells, tmp_path / "lens.html", title="T & T").read_text(encoding="utf-8")
    assert page.count("<audio controls") == 2 and page.count("<tr>") == 4 and page.count("<td ") == 8
    assert "<script" not in page and 'onmouseover="x' not in page and "T &amp; T" in page
    assert "http://" not in page and "https://" not in page and "default-src 'none'" in page
    assert page.count('class="transcript"') == 5  # four cells and the legend


def test_recordings_beyond_the_budget_are_left_out(tones: Corpus, tmp_path: Path) -> None:
    readings = pd.DataFrame({name: [] for name in ("language", "sentence", "point", "entries", "of")})
    cells = [("t", tones.recordings(sentence, "xa")[0]) for sentence in tones.sentences[:2]]
    page = write_listening_page(readings, cells, tmp_path / "lens.html", title="T", budget=10).read_text(
        encoding="utf-8"
    )
    assert "<audio" not in page
