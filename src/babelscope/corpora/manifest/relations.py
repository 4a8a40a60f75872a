"""Rows compared with each other: contradictions, duplicates, recordings of several sentences."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

import pandas as pd

from babelscope.corpora.manifest.errors import StructureError, shown
from babelscope.corpora.manifest.rows import Rows
from babelscope.corpora.problems import ProblemLog

_CELL = ["sentence", "language"]
#: Words of an id from which on it looks like a text.
_WORDS = 4
_RECORDING = ["audio", "member", "start"]


def unify_forms(table: pd.DataFrame) -> None:
    """Give texts of a cell that differ in Unicode's form of composition alone the form of the first."""
    for index, _, value, (_, first) in _distinct(table, _CELL, "text"):
        if value != first and _composed(value) == _composed(first):
            table.loc[index, "text"] = first


def contradictions(table: pd.DataFrame, rows: Rows) -> Iterator[tuple[int, StructureError]]:
    """Yield the position of every row that contradicts an earlier one, or repeats it, and what is wrong with it."""
    for key, column, remedy in (
        (_CELL, "text", "one cell, one text"),
        (_CELL[:1], "cluster", "one sentence, one cluster"),
    ):
        for index, names, value, (before, first) in _distinct(table, key, column):
            if value != first:
                of = ", ".join(f"{name} {shown(value_of)}" for name, value_of in zip(key, names, strict=True))
                what = f"differs from {_place(rows, index, before)} for {of}"
                yield index, _contradicting(rows, index, column, what, remedy, kind=f"{column}-differs")
    keys = [*_CELL, *_RECORDING]
    if not table.duplicated(keys).any():
        return
    first_of: dict[int, int] = {}
    for index, group in enumerate(table.groupby(keys, dropna=False, sort=False).ngroup().tolist()):
        if (before := first_of.setdefault(group, index)) == index:
            continue
        row = table.iloc[index]
        again = "a second row without a recording" if pd.isna(row["audio"]) else "the same recording"
        cell = f"{shown(row['sentence'])} in language {shown(row['language'])}"
        what = f"{cell} has {again} as {_place(rows, index, before)}"
        yield index, _contradicting(rows, index, "sentence", what, "remove one of them", kind="duplicate-row")


def _distinct(
    table: pd.DataFrame, key: list[str], column: str
) -> Iterator[tuple[int, tuple[str, ...], str, tuple[int, str]]]:
    """Yield position, key and value of the rows whose key has several values, with position and value of the first."""
    written = table.loc[table[column].notna(), [*key, column]]
    distinct = written.drop_duplicates()
    suspects = distinct.loc[distinct.duplicated(key), key].drop_duplicates()
    if suspects.empty:
        return
    concerned = written.reset_index(names="position").merge(suspects, on=key).sort_values("position")
    first: dict[tuple[str, ...], tuple[int, str]] = {}
    for position, *names, value in concerned[["position", *key, column]].itertuples(index=False, name=None):
        yield position, tuple(names), value, first.setdefault(tuple(names), (position, value))


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _place(rows: Rows, index: int, other: int) -> str:
    (path, _), (before, place) = rows.place(index), rows.place(other)
    return place if before == path else f"{place} of {before}"


def _contradicting(rows: Rows, index: int, column: str, what: str, remedy: str, *, kind: str) -> StructureError:
    """Return the error on rows that contradict each other: which of them to exclude is not known."""
    path, place = rows.place(index)
    return StructureError(path, place, what, remedy, kind=kind, column=column)


def note_texts_as_ids(table: pd.DataFrame, log: ProblemLog, name: str) -> None:
    """Report ids that are sentences themselves, where there are no texts, as in Common Voice's column ``sentence``."""
    if table["text"].notna().any():
        return
    ids = table["sentence"].drop_duplicates()
    worded = ids[ids.str.count(r"\S+") >= _WORDS]
    if len(worded) > len(ids) / 2:
        first = shown(worded.iloc[0])
        message = f"{name}: there are no texts, but the ids in column 'sentence' look like texts, as {first}"
        remedy = "give columns = {text = 'sentence', sentence = …}, with the column that holds ids"
        log.add("ids-look-like-texts", "warning", message, remedy)


def note_shared_recordings(table: pd.DataFrame, rows: Rows, log: ProblemLog) -> None:
    """Report whole recordings that several cells name: segments without times, or one file for all."""
    whole = table.loc[table["audio"].notna() & table["start"].isna(), [*_CELL, "audio", "member"]].drop_duplicates()
    shared = whole[whole.duplicated(["audio", "member"], keep=False)]
    if shared.empty:
        return
    alone = len(whole[["audio", "member"]].drop_duplicates()) == 1
    index = int(shared.index[0])
    path, _ = rows.place(index)
    first = shared.iloc[0]
    name = first["audio"] if pd.isna(first["member"]) else f"{first['audio']}:{first['member']}"
    count = int((shared["audio"] == first["audio"]).sum())
    message = (
        f"manifest {path}: one whole recording is given for all {count} sentences, {name}"
        if alone
        else f"manifest {path}: whole recordings are given for several sentences or languages, as {name} for {count}"
    )
    remedy = "give each segment's columns 'start' and 'seconds', or correct column 'audio'"
    for index in shared.index:
        log.add("recording-shared", "warning", message, remedy, where=rows.place(int(index))[1])
