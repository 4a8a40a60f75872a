"""Layouts of other tools and data sets: which one a table has, and its rows in a corpus's columns.

A layout is recognised by its columns. What it makes of a row are one or several rows of a corpus.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from babelscope.corpora.corpus import COLUMNS, OPTIONAL_COLUMNS
from babelscope.corpora.manifest.choices import FORMATS, Choices
from babelscope.corpora.manifest.errors import BrokenRowError, RefusedError, RowError, shown
from babelscope.corpora.manifest.lhotse import cut_rows
from babelscope.corpora.manifest.tables import Row, Table, base_of
from babelscope.corpora.manifest.text import encoding_of, lines_of
from babelscope.corpora.problems import COLUMN_NOT_READ, ProblemLog
from babelscope.errors import DataError, did_you_mean

#: Other names of a corpus's columns, the likeliest first.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "sentence": ("sentence_id", "id", "utt_id", "utterance_id", "uttid", "utt", "uid", "audio_id", "segment_id"),
    "language": ("lang", "locale", "language_code", "lang_code", "lang_id", "language_id"),
    "text": ("transcription", "transcript", "normalized_text", "raw_transcription", "raw_text", "utterance"),
    "audio": (
        "path", "audio_filepath", "wav", "file_name", "filename", "file", "audio_path", "audio_file", "wav_filename",
        "wav_path", "clip", "recording",
    ),
    "reader": ("speaker_id", "speaker", "client_id", "spk_id", "spk"),
    "seconds": ("duration", "length", "audio_length"),
    "start": ("offset", "start_time", "begin"),
    "cluster": ("document", "document_id", "article"),
}  # fmt: skip
_OWN = (*COLUMNS, *OPTIONAL_COLUMNS)
_COVOST_NAME = re.compile(r"covost\w*\.([A-Za-z]+(?:-[A-Za-z]+)?)_([A-Za-z]+(?:-[A-Za-z]+)?)\b")

#: Fields of a row in the table, to rows of the corpus.
Translate = Callable[[Mapping[str, Any]], Iterable[Mapping[str, Any]]]


@dataclass(frozen=True)
class Layout:
    """A known way of naming columns.

    Attributes
    ----------
    name : str
        One of :data:`~babelscope.corpora.manifest.choices.FORMATS`.
    needs : tuple of str
        Columns without which it is not this layout.
    marks : tuple of str
        Columns of which one at least is there; any columns will do if there are none.
    translator : callable
        Makes the function that translates rows, and says in a clause how.
    """

    name: str
    needs: tuple[str, ...]
    marks: tuple[str, ...]
    translator: Callable[[Table, Choices], tuple[Translate, str]]

    def fits(self, columns: Sequence[str]) -> bool:
        """Return whether a table with these columns has this layout."""
        return all(column in columns for column in self.needs) and (
            not self.marks or any(column in columns for column in self.marks)
        )


def is_table(columns: Sequence[str], choices: Choices) -> bool:
    """Return whether these are a corpus's own columns, or those that the user named."""
    named = {choices.columns.get(column, column) for column in ("sentence", "language", "text", "audio")}
    if choices.language is not None:
        named -= {choices.columns.get("language", "language")}
    return named <= {*columns, *_either(columns, choices)}


def _either(columns: Sequence[str], choices: Choices) -> set[str]:
    """Return the names of text and recordings if one of the two is there: the other may be missing."""
    names = {choices.columns.get(column, column) for column in ("text", "audio")}
    return names if names & set(columns) else set()


def recognise(columns: Sequence[str], choices: Choices) -> Layout | None:
    """Return the layout of a table, or None if its columns are a corpus's own, or unknown."""
    if choices.format is not None:
        return next((layout for layout in LAYOUTS if layout.name == choices.format), None)
    if choices.columns or is_table(columns, choices):
        return None
    return next((layout for layout in LAYOUTS if layout.fits(columns)), None)


def arrange(table: Table, choices: Choices, log: ProblemLog) -> Table:
    """Return a table with a corpus's columns.

    Raises
    ------
    DataError
        If columns are missing, or one is there twice; the message says which may be meant.
    """
    where = f"{table.path}{table.first}"
    twice = {column for column in table.columns if table.columns.count(column) > 1}
    layout = recognise(table.columns, choices)
    if layout is None:
        check_columns(table, choices)
        _note_unread(table, choices, log)
    if twice:
        raise DataError(f"manifest {where} has column {shown(min(twice))} twice: remove one of them")
    if layout is None:
        renamed = _renamed(table, choices)
        if renamed is None and choices.language is None:
            return table
        return replace(table, rows=_translated(table, renamed, choices))
    lacking = [column for column in layout.needs if column not in table.columns]
    if lacking:
        hint = did_you_mean(lacking[0], table.columns)
        raise DataError(f"manifest {where} is not {FORMATS[layout.name]}: it has no column {lacking[0]!r}: {hint}")
    translate, how = layout.translator(table, choices)
    log.add(
        "layout",
        "note",
        f"manifest {table.path} is read as {FORMATS[layout.name]}: {how}",
        "if it is not, give format = 'table', and columns",
    )
    return replace(table, rows=_translated(table, translate, choices), typed=False)


def check_columns(table: Table, choices: Choices) -> None:
    """Check that no column of a table with a corpus's own columns is missing.

    Raises
    ------
    DataError
        If one is; the message says which may be meant.
    """
    where, columns = f"{table.path}{table.first}", list(table.columns)
    for column, name in choices.columns.items():
        if name not in columns:
            raise DataError(
                f"manifest {where} has no column {name!r}, named by columns.{column}: {did_you_mean(name, columns)}"
            )
    named = {column: choices.columns.get(column, column) for column in ("sentence", "language", "text", "audio")}
    for column in ("sentence", "language"):
        if named[column] not in columns and not (column == "language" and choices.language is not None):
            raise DataError(f"manifest {where} has no column {column!r}: {_hint(column, columns)}")
    if named["text"] not in columns and named["audio"] not in columns:
        hints = [_hint(column, columns) for column in ("text", "audio") if _meant(column, columns)]
        raise DataError(
            f"manifest {where} has neither a column 'text' nor 'audio'" + "".join(f": {hint}" for hint in hints[:1])
        )


def _note_unread(table: Table, choices: Choices, log: ProblemLog) -> None:
    """Note a column that is not read although its name suggests that it holds the missing texts or recordings.

    ``path`` and similar names suggest neither, and are not reported.
    """
    for column, telling in (("text", ""), ("audio", r"audio|wav|recording")):
        meant = _meant(column, table.columns)
        lacks = column not in choices.columns and column not in table.columns
        if lacks and meant is not None and re.search(telling, meant.lower()):
            log.add(
                COLUMN_NOT_READ,
                "warning",
                f"manifest {table.path}{table.first} has no column {column!r}, and its column {meant!r} is not read",
                f"rename it to {column!r}, or give columns = {{{column} = {meant!r}}}",
            )


def _meant(column: str, columns: Sequence[str]) -> str | None:
    """Return the column that is probably meant by a corpus's."""
    lowered = {name.lower(): name for name in reversed(columns)}
    return next((lowered[name] for name in (column, *SYNONYMS[column]) if name in lowered), None)


def _hint(column: str, columns: Sequence[str]) -> str:
    if (meant := _meant(column, columns)) is not None:
        return f"did you mean {meant!r}? Rename it, or give columns = {{{column} = {meant!r}}}"
    hint = did_you_mean(column, columns)
    if column == "language" and "?" not in hint:
        return f"{hint}; if all rows are in one, give language = 'en', for example"
    return hint


def _renamed(table: Table, choices: Choices) -> Translate | None:
    """Return how rows get a corpus's names of columns, or None if they have them."""
    names = dict(choices.columns)
    taken = set(names.values())
    for column in _OWN:
        if column in table.columns and column not in names and column not in taken:
            names[column] = column
    if "start" not in names and "offset" in table.columns and "offset" not in taken:
        names["start"] = "offset"
    if "start" in names and "seconds" not in names and "duration" in table.columns and "duration" not in taken:
        names["seconds"] = "duration"
    if all(column == name for column, name in names.items()) and not choices.columns:
        return None
    return lambda fields: ({column: fields.get(name) for column, name in names.items()},)


def _translated(table: Table, translate: Translate | None, choices: Choices) -> Iterator[Row]:
    path, language = table.path, choices.language
    for number, row in table.rows:
        if isinstance(row, Path):
            path = row
        if isinstance(row, (Path, BrokenRowError)):
            yield number, row
            continue
        try:
            for fields in (row,) if translate is None else translate(row):
                if language is not None and not fields.get("language"):
                    fields = {**fields, "language": language}
                yield number, fields
        except RefusedError as refused:
            yield number, RowError(path, f"{table.unit} {number}", refused.what, refused.remedy, kind=refused.kind)


def _common_voice(table: Table, choices: Choices) -> tuple[Translate, str]:
    folder = table.path.parent
    clips = "clips/" if (folder / "clips").is_dir() else ""
    seconds = _clip_seconds(folder)
    has_ids = "sentence_id" in table.columns

    def translate(fields: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
        text, locale, path = (fields.get(name) or None for name in ("sentence", "locale", "path"))
        locale = locale or choices.language
        given = fields.get("sentence_id")
        if isinstance(path, str) and not PurePosixPath(path).suffix:
            path += ".mp3"
        yield {
            "sentence": str(given) if given else _id_of(locale, text),
            "language": locale,
            "text": text,
            "audio": f"{clips}{path}" if path else None,
            "reader": fields.get("client_id"),
            "seconds": seconds.get(path) if isinstance(path, str) else None,
        }

    ids = "its ids are those of column 'sentence_id'" if has_ids else "each text of a language has an id of its own"
    return translate, f"'sentence' is the text, and {ids}; languages are not parallel"


def _id_of(language: object, text: object) -> str:
    """Return an id for a text where a data set has none."""
    return hashlib.sha256(f"{language}\0{text}".encode(errors="surrogatepass")).hexdigest()[:16]


def _clip_seconds(folder: Path) -> dict[str, float]:
    """Return the durations that Common Voice gives in a file of its own, if it is there."""
    path = folder / "clip_durations.tsv"
    seconds: dict[str, float] = {}
    if path.is_file():
        for line in lines_of(path, encoding_of(path)):
            clip, _, milliseconds = line.strip().partition("\t")
            if re.fullmatch("[0-9]{1,9}", milliseconds) and int(milliseconds):
                seconds[clip] = int(milliseconds) / 1_000
    return seconds


def _covost(table: Table, choices: Choices) -> tuple[Translate, str]:
    folder = table.path.parent
    clips = "clips/" if (folder / "clips").is_dir() else ""
    named = _COVOST_NAME.match(table.path.name)
    source = choices.language or (named[1] if named else None)
    target = choices.translation or (named[2] if named else None)
    if source is None or target is None:
        raise DataError(
            f"manifest {table.path} does not say its two languages: name it as covost_v2.fr_en.train.tsv, "
            "or give language = 'fr' and translation = 'en', for example"
        )

    def translate(fields: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
        path = fields.get("path") or ""
        sentence = PurePosixPath(str(path)).stem
        yield {
            "sentence": sentence,
            "language": source,
            "text": _unescaped(fields.get("sentence")),
            "audio": f"{clips}{path}" if path else None,
            "reader": fields.get("client_id"),
        }
        if fields.get("translation"):
            yield {"sentence": sentence, "language": target, "text": _unescaped(fields["translation"])}

    return (
        translate,
        f"'sentence' is the text in {source!r}, 'translation' that in {target!r}; ids are the clips' names",
    )


def _unescaped(text: Any) -> Any:
    r"""Return a text without the backslashes that CoVoST's own program, which quotes nothing, writes before quotes."""
    return re.sub(r"\\(.)", r"\1", text) if isinstance(text, str) and text else None


def _nemo(table: Table, choices: Choices) -> tuple[Translate, str]:
    ids = ("sentence", *SYNONYMS["sentence"])
    own = next((name for name in ids if name in table.columns), None)
    base: Path | None = None

    def translate(fields: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
        nonlocal base
        path, offset = fields.get("audio_filepath"), fields.get("offset")
        sentence = fields.get(own) if own is not None else None
        if sentence is None and isinstance(path, str):
            sentence = PurePosixPath(path).stem + (f"@{offset}" if offset else "")
        if base is None and isinstance(path, str):
            base = base_of(table.path.parent, path).absolute()
        spoken = next((fields[name] for name in ("source_lang", *_LANGUAGES) if fields.get(name)), None)
        written = fields.get("target_lang") or spoken
        row = {
            "sentence": sentence,
            "language": spoken,
            "audio": path if base is None or not isinstance(path, str) or not path else str(base / path),
            "seconds": fields.get("duration"),
            "start": offset,
            "reader": next((fields[name] for name in ("reader", *SYNONYMS["reader"]) if fields.get(name)), None),
        }
        text = {"sentence": sentence, "language": written, "text": fields.get("text") or None}
        if written == spoken:
            yield row | text
        else:
            yield row
            yield text

    how = f"its ids are those of column {own!r}" if own else "its ids are the names of the files, without their endings"
    return translate, f"{how}; rows of one id in two languages are translations"


_LANGUAGES = ("language", *SYNONYMS["language"])


def _datasets(table: Table, choices: Choices) -> tuple[Translate, str]:
    """Read columns by what they are usually called; what the user named goes first."""
    names: dict[str, str] = {}
    texts = ("text", *SYNONYMS["text"], "sentence")
    for column, candidates in {
        "text": texts,
        "sentence": SYNONYMS["sentence"],
        **{column: (column, *SYNONYMS[column]) for column in SYNONYMS if column not in ("text", "sentence")},
        "member": ("member",),
    }.items():
        candidates = (choices.columns[column],) if column in choices.columns else candidates
        chosen = next((name for name in candidates if name in table.columns and name not in names.values()), None)
        if chosen is not None:
            names[column] = chosen
    if "sentence" not in names and "sentence" in table.columns and names.get("text") != "sentence":
        names["sentence"] = "sentence"
    if "language" not in names and choices.language is None:
        raise DataError(f"manifest {table.path} has no column 'language': {_hint('language', table.columns)}")
    if "sentence" not in names and "text" not in names:
        raise DataError(f"manifest {table.path} has no column 'sentence': {_hint('sentence', table.columns)}")

    def translate(fields: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
        row = {column: fields.get(name) for column, name in names.items()}
        if "sentence" not in names and row["text"]:
            row["sentence"] = _id_of(row.get("language") or choices.language, row["text"])
        yield row

    renamed = ", ".join(f"{name!r} is the {column}" for column, name in names.items() if column != name)
    ids = "" if "sentence" in names else "; each text of a language has an id of its own, languages are not parallel"
    return translate, (renamed or "its columns have a corpus's names") + ids


def _lhotse(table: Table, choices: Choices) -> tuple[Translate, str]:
    return (lambda fields: cut_rows(fields, table.path.parent)), "every supervision of a cut is a recording"


def _ljspeech(table: Table, choices: Choices) -> tuple[Translate, str]:
    wavs = "wavs/" if (table.path.parent / "wavs").is_dir() else ""

    def translate(fields: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
        name = fields["id"]
        yield {
            "sentence": name,
            "text": fields.get("normalized") or fields.get("text") or None,
            "audio": name if PurePosixPath(name).suffix and not wavs else f"{wavs}{name}.wav",
            "seconds": fields.get("seconds"),
        }

    if choices.language is None:
        raise DataError(
            f"manifest {table.path} is LJSpeech's layout, which does not name its language: give language = 'en', "
            "for example"
        )
    return translate, f"all of it is in {choices.language!r}"


#: Layouts that are recognised by a table's columns; the first that fits is used.
LAYOUTS: tuple[Layout, ...] = (
    Layout("covost", ("path", "translation"), (), _covost),
    Layout("common-voice", ("path", "sentence"), ("locale", "client_id", "up_votes", "sentence_id"), _common_voice),
    Layout("nemo", ("audio_filepath",), ("text", "duration"), _nemo),
    Layout("lhotse", ("id", "start", "duration"), ("supervisions", "recording"), _lhotse),
    Layout("ljspeech", ("id", "text"), ("normalized",), _ljspeech),
    Layout("datasets", (), ("file_name",), _datasets),
)
