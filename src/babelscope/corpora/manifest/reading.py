"""From a manifest's file to a corpus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from babelscope.corpora.corpus import Corpus
from babelscope.corpora.manifest.dialects import read_delimited
from babelscope.corpora.manifest.errors import BrokenRowError, RowError
from babelscope.corpora.manifest.layouts import check_columns, is_known
from babelscope.corpora.manifest.relations import contradictions, note_shared_recordings, unify_forms
from babelscope.corpora.manifest.rows import Rows
from babelscope.corpora.manifest.tables import Table, read_json_lines, read_parquet
from babelscope.corpora.problems import Problem, ProblemLog
from babelscope.errors import DataError, UsageError

#: Broken rows that are named one by one.
_NAMED = 1_000

_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")


@dataclass(frozen=True)
class Choices:
    """How a manifest is read, where it does not say so itself; see :func:`load`."""

    encoding: str | None = None
    quoted: bool | None = None


@dataclass(frozen=True)
class Examined:
    """What a manifest holds, and all that is wrong with it.

    Attributes
    ----------
    corpus : Corpus or None
        Of the rows that are in order; None if there is none.
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
    encoding: str | None = None,
    quoted: bool | None = None,
    allow_short: bool = False,
    skip_bad: bool = False,
) -> Corpus:
    """Load a manifest.

    Parameters
    ----------
    path : path
        ``.csv``, ``.tsv``, ``.jsonl`` (or ``.ndjson``) or ``.parquet``.
    name : str, optional
        The corpus's name; the file's if left out.
    title, licence, attribution : str
        For the report.
    encoding : str, optional
        Of a text file that is not UTF-8 and has no byte order mark, as ``"cp1252"``.
    quoted : bool, optional
        Whether quotes around a field of a CSV or TSV file are syntax. If left out, they are in CSV, and in TSV where
        that is certain.
    allow_short : bool
        Ignored: texts of a single character are accepted, and counted in :attr:`Corpus.problems`.
    skip_bad : bool
        Exclude rows with a broken field or recording, and name each in :attr:`Corpus.left_out`. A sentence that then
        lacks a text or recording somewhere is dropped by :meth:`Corpus.select`.

    Returns
    -------
    Corpus
        What is worth knowing about the manifest is in :attr:`Corpus.problems`.

    Raises
    ------
    UsageError
        If the file is missing or of another kind.
    DataError
        If a column is missing or a field is broken: one line that names the file, the row and the column.
    """
    path = Path(path)
    choices = Choices(encoding=encoding, quoted=quoted)
    log = ProblemLog()
    excluded: list[str] = []
    count = 0

    def reject(error: BrokenRowError) -> None:
        nonlocal count
        if not skip_bad or not isinstance(error, RowError):
            raise error
        count += 1
        if count <= _NAMED:
            excluded.append(str(error))

    source = _open(path, choices, log)
    rows = Rows(path, source.unit, log, refuse_empty_text=source.typed)
    _fill(rows, source, reject)
    table = rows.table()
    unify_forms(table)
    for _, error in contradictions(table, rows):
        raise error
    note_shared_recordings(table, rows, log)
    if count > _NAMED:
        excluded.append(f"manifest {path}: {count - _NAMED} more rows are broken")
    return Corpus(
        table,
        name=name or path.stem,
        title=title,
        licence=licence,
        attribution=attribution,
        notes=rows.notes(),
        left_out=excluded,
        problems=log.problems(),
    )


def examine(path: Path | str, *, name: str | None = None, **choices: Any) -> Examined:
    """Read a manifest to its end, whatever is wrong with it, and return all problems at once.

    Parameters
    ----------
    path : path
    name : str, optional
        As of :func:`load`.
    **choices
        The fields of :class:`Choices`, as of :func:`load`; other options of :func:`load` are accepted and ignored.

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
    chosen = Choices(**{key: value for key, value in choices.items() if key in known})
    log = ProblemLog()
    broken = 0

    def tell(error: BrokenRowError) -> None:
        log.add(error.kind, "error", error.summary, error.remedy, where=error.place, about=error.column)

    def reject(error: BrokenRowError) -> None:
        nonlocal broken
        broken += 1
        tell(error)

    rows: Rows | None = None
    corpus: Corpus | None = None
    try:
        source = _open(path, chosen, log)
        rows = Rows(path, source.unit, log, refuse_empty_text=source.typed)
        _fill(rows, source, reject)
    except BrokenRowError as error:
        reject(error)
    except DataError as error:
        log.add("unreadable", "error", str(error))
    if rows is not None and len(rows):
        table = rows.table()
        unify_forms(table)
        contradicting = set()
        for index, contradiction in contradictions(table, rows):
            contradicting.add(index)
            tell(contradiction)
        table = table.drop(index=list(contradicting))
        note_shared_recordings(table, rows, log)
        corpus = Corpus(table, name=name or path.stem, notes=rows.notes(), problems=log.problems())
    elif rows is not None and not broken and not log.problems():
        log.add("no-rows", "error", f"manifest {path} has no rows")
    return Examined(corpus, log.problems(), (0 if rows is None else len(rows)) + broken)


def _open(path: Path, choices: Choices, log: ProblemLog) -> Table:
    """Open a manifest.

    Raises
    ------
    UsageError, DataError
        As :func:`load`.
    """
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise UsageError(f"manifest {path} is none of {', '.join(_SUFFIXES)}: convert it")
    if not path.is_file():
        raise UsageError(f"manifest {path} does not exist")
    try:
        if suffix == ".parquet":
            table = read_parquet(path)
        elif suffix in (".jsonl", ".ndjson"):
            table = read_json_lines(path, choices.encoding)
        else:
            table = read_delimited(path, log, is_known, encoding=choices.encoding, quoted=choices.quoted)
    except OSError as error:
        raise DataError(f"manifest {path} cannot be read ({error.strerror or error})") from error
    check_columns(table)
    return table


def _fill(rows: Rows, table: Table, reject: Callable[[BrokenRowError], None]) -> None:
    """Read all rows; those that are broken go to `reject`.

    Raises
    ------
    DataError
        If the file cannot be read to its end.
    """
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
        rows.close()
