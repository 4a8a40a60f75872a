"""Opens a manifest, a file of any format or a folder, as a table with a corpus's columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from babelscope.corpora.manifest.choices import FORMATS, Choices
from babelscope.corpora.manifest.dialects import read_delimited
from babelscope.corpora.manifest.hub import METADATA, read_shards, shards_of
from babelscope.corpora.manifest.kaldi import is_kaldi, read_kaldi
from babelscope.corpora.manifest.layouts import arrange, is_table, recognise
from babelscope.corpora.manifest.tables import Row, Table, read_json_lines, read_json_list
from babelscope.corpora.manifest.tatoeba import COLUMNS as TATOEBA
from babelscope.corpora.manifest.tatoeba import arrange_tatoeba, is_tatoeba
from babelscope.corpora.manifest.text import encoding_of, lines_of
from babelscope.corpora.problems import ProblemLog
from babelscope.errors import DataError, UsageError
from babelscope.languages import is_code

#: Endings of manifests; those of text files may be followed by ``.gz``.
SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json", ".parquet")

#: Folders called so are no languages, though ISO 639-3 has these codes.
_NO_LANGUAGES = frozenset(
    ["all", "bin", "csv", "dev", "doc", "log", "new", "old", "raw", "set", "src", "tmp", "tsv", "val", "wav"]
)
_LJSPEECH = ("id", "text", "normalized", "seconds")


def open_source(path: Path, choices: Choices, log: ProblemLog) -> Table:
    """Open a manifest, and log what it was recognised as.

    Raises
    ------
    UsageError
        If there is no such file, or its kind is unknown.
    DataError
        If its columns or its first rows make no sense.
    """
    try:
        if not path.is_dir():
            if not path.is_file() and _suffix(path) in SUFFIXES:
                raise UsageError(f"manifest {path} does not exist")
            return _open_file(path, choices, log)
        table = _open_folder(path, choices, log)
    except OSError as error:
        raise DataError(f"manifest {path} cannot be read ({error.strerror or error})") from error
    if table is None:
        known = ", ".join(title for name, title in FORMATS.items() if name not in ("table", "nemo", "lhotse"))
        raise UsageError(f"manifest {path} is a folder without any known layout ({known}): name its table")
    return table


def _suffix(path: Path) -> str:
    return Path(path.name.lower().removesuffix(".gz")).suffix


def _open_file(path: Path, choices: Choices, log: ProblemLog) -> Table:
    suffix = _suffix(path)
    if suffix not in SUFFIXES:
        raise UsageError(f"manifest {path} is none of {', '.join(SUFFIXES)}: convert it")
    if suffix == ".parquet":
        return _open_parquet(path, choices, log)
    if suffix in (".jsonl", ".ndjson", ".json"):
        read = (
            read_json_list if suffix == ".json" and _first(path, choices).lstrip().startswith("[") else read_json_lines
        )
        return arrange(read(path, choices.encoding), choices, log)
    return _open_text(path, choices, log)


def _open_parquet(path: Path, choices: Choices, log: ProblemLog) -> Table:
    shards = shards_of(path)
    assert shards is not None
    if choices.format is None and shards.audio is not None:
        choices = replace(choices, format="datasets")
    return arrange(read_shards(shards, path), choices, log)


def _first(path: Path, choices: Choices) -> str:
    return next(lines_of(path, encoding_of(path, choices.encoding)), "")


def _open_text(path: Path, choices: Choices, log: ProblemLog) -> Table:
    first = _first(path, choices)

    def read(columns: Sequence[str] | None = None, separator: str | None = None, quoted: bool | None = None) -> Table:
        return read_delimited(
            path,
            log,
            lambda names: is_table(names, choices) or recognise(names, choices) is not None,
            columns=columns,
            separator=choices.separator or separator,
            encoding=choices.encoding,
            quoted=choices.quoted if choices.quoted is not None else quoted,
        )

    if choices.format == "tatoeba" or (choices.format is None and not choices.columns and is_tatoeba(first)):
        width = first.count("\t") + 1
        return arrange_tatoeba(read(TATOEBA[:width], "\t", False), log)
    if choices.format == "ljspeech" or (choices.format is None and not choices.columns and _is_ljspeech(path, first)):
        table = read(_LJSPEECH[: first.count("|") + 1], "|", False)
        return arrange(table, replace(choices, format="ljspeech"), log)
    names = first.rstrip("\r\n").split("\t")
    layout = recognise(names, choices)
    unquoted = layout is not None and layout.name in ("common-voice", "covost") and layout.fits(names)
    return arrange(read(quoted=False if unquoted else None), choices, log)


def _is_ljspeech(path: Path, first: str) -> bool:
    fields = first.rstrip("\r\n").split("|")
    return 2 <= len(fields) <= len(_LJSPEECH) and (path.parent / "wavs" / f"{fields[0]}.wav").is_file()


def _open_folder(path: Path, choices: Choices, log: ProblemLog) -> Table | None:
    """Open a folder, or one of folders that are called by the codes of their languages; None if nothing is known."""
    if choices.format in (None, "kaldi") and is_kaldi(path):
        log.add("layout", "note", f"manifest {path} is read as {FORMATS['kaldi']}: ids are those of its utterances")
        return read_kaldi(path, choices.language)
    spoken = [folder for folder in sorted(path.iterdir()) if _is_language(folder.name) and folder.is_dir()]
    tables = (_open_folder(folder, replace(choices, language=folder.name), log) for folder in spoken)
    if (together := chained(path, [table for table in tables if table is not None])) is not None:
        return together
    if choices.format in (None, "datasets"):
        own = replace(choices, format="datasets")
        if (shards := shards_of(path)) is not None:
            return arrange(read_shards(shards, path), own, log)
        places = [path, *(folder for folder in sorted(path.iterdir()) if folder.is_dir())]
        metadata = [folder / name for folder in places for name in METADATA if (folder / name).is_file()]
        listed = [file for file in metadata if choices.format or "file_name" in _first(file, choices)]
        if (together := chained(path, [_open_file(file, own, log) for file in listed])) is not None:
            return together
    for name in ("metadata.csv", "validated.tsv", "sentences.csv", "sentences.tsv"):
        if (path / name).is_file():
            return _open_file(path / name, choices, log)
    return None


def _is_language(name: str) -> bool:
    return name not in _NO_LANGUAGES and is_code(name)


def chained(path: Path, tables: Sequence[Table]) -> Table | None:
    """Return the rows of several tables as those of one; None if there is none."""
    if len(tables) < 2:
        return tables[0] if tables else None
    if len({table.unit for table in tables}) > 1:
        raise DataError(f"manifest {path} has folders of different kinds: name one of them alone")

    def rows() -> Iterator[Row]:
        for table in tables:
            yield 0, table.path
            yield from table.rows

    return Table(path, tables[0].unit, tables[0].columns, rows())
