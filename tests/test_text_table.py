"""Tables on a terminal of any width, and in a pipe: nothing is cut, and in a pipe a row is a line."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from babelscope.text_table import Column, TextTable, wrapped

ROWS = [
    {"name": "speech.before_adaptation", "score": 0.125, "what": "the encoder's own output, before it is shortened"},
    {"name": "shared.layer.11", "score": float("nan"), "what": ""},
]
TABLE = TextTable(
    ["name", Column("score", text=lambda value: f"{value:.3f}", right=True), Column("what", prose=True)], ROWS, "Points"
)


def printed(table: TextTable, width: int, *, terminal: bool = True) -> list[str]:
    """Return the lines as they are printed, without colours."""
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=terminal, no_color=True, highlight=False)
    console.print(table, crop=False)
    return re.sub(r"\x1b\[[\d;]*m", "", file.getvalue()).splitlines()


def test_with_room_each_row_is_a_line_below_the_heads() -> None:
    title, heads, first, second = printed(TABLE, 120)
    assert (title, heads.split()) == ("Points", ["name", "score", "what"])
    assert re.split("  +", first) == ["speech.before_adaptation", "0.125", ROWS[0]["what"]]
    assert re.split("  +", second) == ["shared.layer.11", "-", "-"]
    assert first.index("0.125") + len("0.125") == heads.index("score") + len("score")


@pytest.mark.parametrize("width", [80, 50, 40, 32, 24])
def test_names_and_numbers_are_never_cut_and_prose_is_folded_between_words(width: int) -> None:
    lines = printed(TABLE, width)
    text = "\n".join(lines)
    assert "speech.before_adaptation" in text and "shared.layer.11" in text and "0.125" in text and "…" not in text
    assert set(str(ROWS[0]["what"]).split()) <= set(text.split())
    assert all(len(line) <= width for line in lines if "speech.before_adaptation" not in line)


def test_in_a_pipe_a_row_is_one_line_however_long() -> None:
    long = [row | {"what": "many words " * 60} for row in ROWS]
    lines = printed(TextTable(TABLE.columns, long), 40, terminal=False)
    assert len(lines) == 1 + len(long)
    assert all(len(re.split("  +", line)) == 3 for line in lines)


def test_a_group_is_a_heading_on_a_terminal_and_a_column_in_a_pipe() -> None:
    rows = [{"kind": kind, "name": name} for kind, name in (("text", "a"), ("text", "b"), ("speech", "c"))]
    table = TextTable(["name"], rows, group="kind")
    assert printed(table, 80) == ["name", "text", "a", "b", "", "speech", "c"]
    assert [line.split() for line in printed(table, 80, terminal=False)] == [
        ["kind", "name"],
        ["text", "a"],
        ["text", "b"],
        ["speech", "c"],
    ]


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=30)


@given(st.lists(WORDS, min_size=1, max_size=30), st.integers(1, 60))
def test_folding_keeps_every_word_whole(words: list[str], room: int) -> None:
    lines = wrapped(" ".join(words), room)
    assert " ".join(lines).split(" ") == words
