"""Ids and languages with several spellings: unified where they are the same, otherwise reported."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from babelscope.corpora.problems import ProblemLog
from babelscope.languages import standard

#: The spellings of each id or language, in order of appearance.
Spellings = list[list[str]]


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
