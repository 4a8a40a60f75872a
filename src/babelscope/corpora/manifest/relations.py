"""Rows compared with each other: spellings of one id, contradictions, duplicates, recordings of several sentences."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from babelscope.corpora.manifest.errors import StructureError, shown
from babelscope.corpora.manifest.rows import Rows
from babelscope.corpora.problems import ProblemLog
from babelscope.languages import standard

#: The spellings of each id or language, in order of appearance.
Spellings = list[list[str]]

_CELL = ["sentence", "language"]
#: Words of an id from which on it looks like a text.
_WORDS = 4
_RECORDING = ["audio", "member", "start"]


def unify_spellings(table: pd.DataFrame, log: ProblemLog, name: str) -> None:
    """Write languages and ids that are the same in one way, that of their first row.

    Languages are compared by :func:`babelscope.languages.standard`; ids by Unicode's composed form without invisible
    marks. Spellings stay apart where that would put two rows into one cell; those, and ids that differ in case alone,
    are reported.
    """
    languages = table["language"].unique().tolist()
    _unify(table, "language", "sentence", _groups((code, standard(code)) for code in languages), log, name)
    ids = table["sentence"].drop_duplicates()
    _unify(table, "sentence", "language", _groups(_looks(ids)), log, name)
    lowered = pc.utf8_lower(pa.array(ids, pa.large_string()))
    if pc.count_distinct(lowered).as_py() < len(ids):
        cased = _groups(zip(ids.tolist(), lowered.to_pylist(), strict=True))
        apart = _apart(table, "sentence", "language", cased)
        for spellings in (group for group, joint in zip(cased, apart, strict=True) if joint):
            message = f"{name}: ids differ in case alone, as {_written(spellings)}, and count as different sentences"
            log.add(
                "ids-differ-in-case",
                "warning",
                message,
                "write them alike if they are the same",
                where=_written(spellings),
            )


def _looks(ids: pd.Series) -> Iterable[tuple[str, str]]:
    """Yield ids that could look like another one, with their visible form."""
    names = ids.tolist()
    others = [(name, _visible(name)) for name in names if not name.isascii()]
    seen = {look for _, look in others if look.isascii()}
    wanted = (name for name in names if name in seen) if seen else ()
    order = {name: place for place, name in enumerate(names)} if seen else {}
    return sorted([*others, *((name, name) for name in wanted)], key=lambda pair: order.get(pair[0], 0))


def _visible(name: str) -> str:
    composed = unicodedata.normalize("NFC", name)
    return "".join(character for character in composed if unicodedata.category(character) != "Cf")


def _groups(forms: Iterable[tuple[str, str]]) -> Spellings:
    groups: dict[str, list[str]] = {}
    for written, form in forms:
        groups.setdefault(form, []).append(written)
    return [group for group in groups.values() if len(group) > 1]


def _apart(table: pd.DataFrame, column: str, other: str, groups: Spellings) -> list[bool]:
    """Return, of each group, whether no two of its spellings stand with the same value of the other column."""
    number = {written: place for place, group in enumerate(groups) for written in group}
    rows = table.loc[table[column].isin(list(number)), [column, other]].drop_duplicates()
    rows = rows.assign(group=rows[column].map(number))
    clashing = set(rows.loc[rows.duplicated(["group", other]), "group"].tolist())
    return [place not in clashing for place in range(len(groups))]


def _unify(table: pd.DataFrame, column: str, other: str, groups: Spellings, log: ProblemLog, name: str) -> None:
    if not groups:
        return
    what = {"sentence": "ids", "language": "languages"}[column]
    replaced: dict[str, str] = {}
    for spellings, apart in zip(groups, _apart(table, column, other, groups), strict=True):
        forms = _written(spellings)
        if apart:
            replaced |= dict.fromkeys(spellings[1:], spellings[0])
            message = f"{name}: {what} {forms} are the same and count as such"
            log.add("same-" + column, "note", message, where=forms, about=column)
        else:
            message = f"{name}: {what} {forms} look the same, but both have rows for one {other}: they stay apart"
            log.add(
                "alike-" + column,
                "warning",
                message,
                "write them the same, or clearly differently",
                where=forms,
                about=column,
            )
    if replaced:
        rows = table[column].isin(list(replaced))
        table.loc[rows, column] = table.loc[rows, column].map(replaced)


def _written(spellings: list[str]) -> str:
    return " and ".join(map(ascii, spellings))


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
