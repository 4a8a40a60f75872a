"""Reads a manifest's file: as a corpus, or as a list of all its problems."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from babelscope.corpora.corpus import Corpus
from babelscope.corpora.manifest.choices import Choices
from babelscope.corpora.manifest.errors import BrokenRowError, RowError
from babelscope.corpora.manifest.layouts import arrange
from babelscope.corpora.manifest.relations import (
    contradictions,
    note_shared_recordings,
    note_texts_as_ids,
    unify_forms,
    unify_spellings,
)
from babelscope.corpora.manifest.rows import SAMPLE, Rows
from babelscope.corpora.manifest.sources import chained, open_source
from babelscope.corpora.manifest.tables import Table
from babelscope.corpora.problems import Problem, ProblemLog
from babelscope.errors import DataError

#: Broken rows that are named one by one.
_NAMED = 1_000


@dataclass(frozen=True)
class Examined:
    """The contents of a manifest, and all its problems.

    Attributes
    ----------
    corpus : Corpus or None
        Of the valid rows; None if there is none.
    problems : tuple of Problem
        Worst first. Those with severity "error" are why :func:`load` refuses the manifest.
    rows : int
        How many rows were read, broken ones included.
    """

    corpus: Corpus | None
    problems: tuple[Problem, ...]
    rows: int


def load(
    path: Path | str,
    *,
    name: str | None = None,
    title: str = "",
    licence: str = "",
    attribution: str = "",
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    language: str | None = None,
    translation: str | None = None,
    encoding: str | None = None,
    separator: str | None = None,
    quoted: bool | None = None,
    allow_short: bool = False,
    skip_bad: bool = False,
) -> Corpus:
    """Load a manifest.

    Parameters
    ----------
    path : path
        ``.csv``, ``.tsv`` (or ``.txt``), ``.jsonl`` (or ``.ndjson``, ``.json``) or ``.parquet``, those in plain text
        also with ``.gz``; or a folder in a layout that is known.
    name : str, optional
        The corpus's name; the file's if not given.
    title, licence, attribution : str
        For the report.
    format : str, optional
        The layout: ``"table"`` (columns of a corpus's own names), ``"common-voice"``, ``"covost"``, ``"nemo"``,
        ``"kaldi"``, ``"ljspeech"``, ``"lhotse"``, ``"datasets"`` or ``"tatoeba"``. If not given, it is recognised by
        the columns and files; :attr:`Corpus.problems` says as what.
    columns : mapping, optional
        A corpus's columns to those of the manifest, as ``{"text": "transcript"}``.
    language : str, optional
        The language of rows that do not name it; of CoVoST, of the column ``sentence``.
    translation : str, optional
        Of CoVoST: the language of the column ``translation``.
    encoding : str, optional
        Of a text file that is not UTF-8 and has no byte order mark, as ``"cp1252"``.
    separator : str, optional
        The character between two fields, if it is not recognised.
    quoted : bool, optional
        Whether quotes around a field of a CSV or TSV file are syntax. If not given, they are in CSV, and in TSV where
        that is certain.
    allow_short : bool
        Ignored: texts of a single character are accepted, and counted in :attr:`Corpus.notes`.
    skip_bad : bool
        Exclude rows with a broken field or recording, and name each in :attr:`Corpus.left_out`. A sentence that then
        lacks a text or recording somewhere is dropped by :meth:`Corpus.select`.

    Returns
    -------
    Corpus
        Remarks on the manifest are in :attr:`Corpus.problems`.

    Raises
    ------
    UsageError
        If the file is missing or of another kind, or a choice is wrong.
    DataError
        If a column is missing or a field is broken: one line that names the file, the row and the column.
    """
    path = Path(path)
    choices = Choices(format, columns or {}, language, translation, encoding, separator, quoted)
    log = ProblemLog()
    about = {"name": name or _stem(path), "title": title, "licence": licence, "attribution": attribution}
    return _loaded(open_source(path, choices, log), path, log, about, skip_bad)


def load_tables(
    tables: Sequence[tuple[Table, Choices]], path: Path, about: Mapping[str, str], *, skip_bad: bool = False
) -> Corpus:
    """Make one corpus of tables that are open already, each read by choices of its own.

    Parameters
    ----------
    tables : sequence of Table and Choices
    path : path
        What messages name.
    about : mapping
        Name, title, licence and attribution of the corpus.
    skip_bad : bool
        As of :func:`load`.

    Returns
    -------
    Corpus

    Raises
    ------
    DataError
        As of :func:`load`.
    """
    log = ProblemLog()
    source = chained(path, [arrange(table, choices, log) for table, choices in tables])
    if source is None:
        raise DataError(f"manifest {path} has no rows")
    return _loaded(source, path, log, about, skip_bad)


def _loaded(source: Table, path: Path, log: ProblemLog, about: Mapping[str, str], skip_bad: bool) -> Corpus:
    """Return the corpus of a table's rows; the first broken one is raised, or those that are broken are left out."""
    excluded: list[str] = []
    count = 0

    def reject(error: BrokenRowError) -> None:
        nonlocal count
        if not skip_bad or not isinstance(error, RowError):
            raise error
        count += 1
        if count <= _NAMED:
            excluded.append(str(error))

    rows = Rows(source.path, source.unit, log, refuse_empty_text=source.typed)
    _fill(rows, source, reject)
    table = _unified(rows, path, log)
    for _, error in contradictions(table, rows):
        raise error
    if count > _NAMED:
        excluded.append(f"manifest {path}: {count - _NAMED} more rows are broken")
    return _corpus(table, rows, path, log, SAMPLE, left_out=excluded, **about)


def examine(
    path: Path | str, *, name: str | None = None, most_headers: int | None = SAMPLE, **options: Any
) -> Examined:
    """Read a manifest to its end, whatever is wrong with it, and return all problems at once.

    Parameters
    ----------
    path : path
    name : str, optional
        As of :func:`load`.
    most_headers : int, optional
        Recordings whose durations are compared with their headers, where the manifest gives them; None for all.
    **options
        As of :func:`load`.

    Returns
    -------
    Examined

    Raises
    ------
    UsageError
        If the file is missing or of another kind, or a choice is wrong.
    """
    path = Path(path)
    known = {field.name for field in fields(Choices)}
    choices = Choices(**{key: value for key, value in options.items() if key in known and value is not None})
    about = {key: options[key] for key in ("title", "licence", "attribution") if key in options}
    log = ProblemLog()
    broken = 0

    def report(error: BrokenRowError) -> None:
        log.add(error.kind, "error", error.summary, error.remedy, where=error.place, about=error.column)

    def reject(error: BrokenRowError) -> None:
        nonlocal broken
        broken += 1
        report(error)

    rows: Rows | None = None
    try:
        source = open_source(path, choices, log)
        rows = Rows(source.path, source.unit, log, refuse_empty_text=source.typed)
        _fill(rows, source, reject)
    except BrokenRowError as error:
        reject(error)
    except DataError as error:
        log.add("unreadable", "error", str(error))
    read = (0 if rows is None else len(rows)) + broken
    if rows is None or not len(rows):
        if all(problem.severity != "error" for problem in log.problems()):
            log.add("no-rows", "error", f"manifest {path} has no rows")
        return Examined(None, log.problems(), read)
    table = _unified(rows, path, log)
    contradicting = set()
    for index, contradiction in contradictions(table, rows):
        contradicting.add(index)
        report(contradiction)
    table = table.drop(index=list(contradicting))
    corpus = _corpus(table, rows, path, log, most_headers, name=name or _stem(path), **about)
    return Examined(corpus, log.problems(), read)


def _stem(path: Path) -> str:
    return Path(path.name.removesuffix(".gz")).stem or path.absolute().name


def _fill(rows: Rows, table: Table, reject: Callable[[BrokenRowError], None]) -> None:
    """Read all rows; those that are broken go to `reject`."""
    try:
        for number, row in table.rows:
            if isinstance(row, Path):
                rows.enter(row)
            elif isinstance(row, BrokenRowError):
                reject(row)
            else:
                try:
                    rows.add(number, row)
                except RowError as error:
                    reject(error)
    except OSError as error:
        raise DataError(f"manifest {table.path} cannot be read ({error.strerror or error})") from error
    finally:
        rows.lengths.close()


def _unified(rows: Rows, path: Path, log: ProblemLog) -> pd.DataFrame:
    """Return the rows' table, with equivalent spellings unified."""
    table = rows.table()
    unify_spellings(table, log, f"manifest {path}")
    unify_forms(table)
    return table


def _corpus(
    table: pd.DataFrame, rows: Rows, path: Path, log: ProblemLog, most_headers: int | None, **about: Any
) -> Corpus:
    note_shared_recordings(table, rows, log)
    note_texts_as_ids(table, log, f"manifest {path}")
    if rows.timed:
        rows.check_durations(table, f"manifest {path}", most_headers)
    return Corpus(table, notes=rows.notes(), problems=log.problems(), **about)
