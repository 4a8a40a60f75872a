"""The section on positions: there only where a study asked for them, with what its tables say."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from babelscope.gaps.result import Result
from babelscope.report import write_report
from babelscope.report.sections.tokens import tokens
from babelscope.tokens import ALIGNMENT_COLUMNS, PATH_COLUMNS
from synthetic import synthetic_result


def _row(language: str, speech: str, text: str, excess: float, p: float) -> dict[str, object]:
    where = {"language": language, "speech_point": speech, "text_point": text, "measure": "dtw"}
    numbers = {"similarity": 0.5, "other": 0.5 - excess, "excess": excess, "low": excess - 0.1, "high": excess + 0.1}
    tests = {"p": p, "p_max": p, "shuffled": 0.4, "p_order": 0.02, "p_order_max": 0.04, "n": 16}
    return {**where, **numbers, **tests}


@pytest.fixture
def result() -> Result:
    made = synthetic_result()
    layers = ("shared.layer.0", "shared.layer.1")
    places = [(language, number) for language in ("en", "it") for number in range(2)]
    rows = [_row(language, layers[one], layers[one], 0.1 * (2 + one), 0.01) for language, one in places]
    rows[-1]["p_max"], rows[-2]["p_max"] = 0.4, 0.6
    made.tables["tokens_alignment"] = pd.DataFrame(rows)[list(ALIGNMENT_COLUMNS)]
    path = {"language": "en", "speech_point": layers[0], "text_point": layers[0], "no_match": 0.25, "n": 16}
    made.tables["tokens_paths"] = pd.DataFrame([path]).reindex(columns=list(PATH_COLUMNS))
    made.meta["sections"] = {"tokens": {"notes": ["tokens: sentence '<b>' is one word in 'it': it is not aligned"]}}
    return made


def test_it_says_where_positions_follow_their_text_and_in_how_many_languages(result: Result) -> None:
    section = tokens(result)
    assert section is not None and section.figure is not None
    assert str(section.sentences[0]) == (
        "Positions of speech follow their own text in 1 of 2 languages (corrected p ≤ .05); most in en, shared.layer.1 "
        "against shared.layer.1: cosine 0.30 above texts of like length, 95 % 0.20 to 0.40."
    )
    assert [one.title for one in section.evidence][-1] == "What could not be aligned"
    assert "n = 16 sentences" in str(section.figure.spec()["title"])
    result.tables["tokens_alignment"]["p_max"] = 0.5
    nothing = tokens(result)
    assert nothing is not None and "no more similar" in str(nothing.sentences[0])


def test_towers_have_a_map_of_every_layer_with_every_layer(result: Result) -> None:
    rows = [_row("en", speech, text, 0.2, 0.01) for speech in ("speech.a", "speech.b") for text in ("text.a", "text.b")]
    result.tables["tokens_alignment"] = pd.DataFrame(rows)
    section = tokens(result)
    assert section is not None and section.figure is not None
    assert "Alignment of every layer with every layer, en" in section.figure.svg()


def test_a_page_has_it_only_where_it_was_asked_for(result: Result, tmp_path: Path) -> None:
    page = write_report(result, tmp_path / "with", figures=False).read_text(encoding="utf-8")
    assert "Which word is a position of speech?" in page and "sentence '<b>'" not in page
    assert re.search(r"sentence (&#39;|')&lt;b&gt;", page)
    assert tokens(synthetic_result()) is None
