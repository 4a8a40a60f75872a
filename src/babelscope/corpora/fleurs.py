"""FLEURS: the sentences of FLORES, written and read in 102 languages, by up to three people each.

One id is one sentence in every language; ids are unique over the three splits. A language lacks some ids, and has one
to three recordings of each of the others. Readers have no names, only a sex. What users of the data set have met:
some recordings are far too short for their sentence (Kannada, test, id 1956: .84 s beside 8.3 and 10.1), which
``recording="longest"`` avoids where there are several; and two ids may be worded alike in a language, which
``Corpus.select(distinct=True)`` remedies (mteb, issue 5270 and pull request 5307).

Three ways in: a local copy as the data set is laid out (``data/{language}/{split}.tsv``, seven fields and no header,
beside ``data/{language}/audio/{split}.tar.gz`` or a folder ``data/{language}/audio/{split}`` that was unpacked
before); a local copy of its Parquet form (``{language}/fleurs-{split}*.parquet``, ``{language}/{split}/*.parquet`` or
``{language}/{split}-*.parquet``, where dev is called validation); or the hub. Archives and Parquet files are read
once, in one pass, and their recordings packed into the cache (:mod:`babelscope.corpora.packing`). Where texts alone are
asked for, no recording is opened, or fetched.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import filelock
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from babelscope import languages as codes
from babelscope.audio import SAMPLE_RATE, seconds_of
from babelscope.cache import cache_folder, naming_the_disk, write_atomically
from babelscope.corpora.corpus import COLUMNS, MODALITIES, Corpus
from babelscope.corpora.packing import Members, Packed, pack, packed_before, read_tar_gz
from babelscope.errors import DataError, UsageError, did_you_mean
from babelscope.fetch.archives import is_safe_name
from babelscope.fetch.hub import HubFile, cached_hub_file, download_hub_file, hub_file
from babelscope.fetch.progress import Progress, SilentProgress, TerminalProgress

REPOSITORY = "google/fleurs"
SPLITS = ("train", "dev", "test")
#: Rules for the primary recording of a cell.
RECORDINGS = ("first", "longest", "shortest", "male", "female", "all")
TEXTS = ("raw", "normalised")
BROKEN = ("refuse", "drop")

LICENCE = "CC-BY-4.0"
ATTRIBUTION = "FLEURS, Conneau et al. 2022 (arXiv 2205.12446), google/fleurs; sentences of FLORES-101"

_GENDERS = ("male", "female", "other")
_PARQUET = ("id", "num_samples", "path", "transcription", "raw_transcription", "gender")
#: Seconds by which a recording may be shorter than its row says.
_SHORT = 0.1
_NOTED = 3


@dataclass(frozen=True)
class _Row:
    where: str
    split: str
    sentence: int
    file: str
    text: str
    samples: int
    gender: str


@dataclass
class _Broken:
    """What is wrong with single rows and recordings: refused, or dropped and counted."""

    policy: str
    found: dict[str, list[str]] = field(default_factory=dict)
    sentences: dict[str, set[int]] = field(default_factory=dict)

    def add(self, language: str, message: str, sentence: int | None = None) -> None:
        if self.policy == "refuse":
            raise DataError(f"{message}; get the file again, or leave such rows out with broken='drop'")
        self.found.setdefault(language, []).append(message)
        if sentence is not None:
            self.sentences.setdefault(language, set()).add(sentence)

    def notes(self) -> list[str]:
        messages = [message for each in self.found.values() for message in each]
        if not messages:
            return []
        more = f"; and {len(messages) - _NOTED} more" if len(messages) > _NOTED else ""
        return [f"{len(messages)} broken rows or recordings were dropped: {'; '.join(messages[:_NOTED])}{more}."]


@dataclass(frozen=True)
class _Place:
    audio: str
    member: str | None
    seconds: float
    content: tuple[int, int] | None = None
    """What two copies of one recording have in common, where that is known."""


@dataclass(frozen=True)
class _Recording:
    row: _Row
    place: _Place


@dataclass(frozen=True)
class _Part:
    """One split of one language: its rows, in order, and where their recordings are."""

    rows: list[_Row]
    locate: Callable[[str], _Place | str] | None
    """Where a recording is, or what is wrong with it; None where texts alone are asked for."""


def load(
    path: Path | str | None = None,
    *,
    languages: Sequence[str] | None = None,
    splits: str | Sequence[str] = "test",
    recording: str = "first",
    others: bool = True,
    text: str = "raw",
    broken: str = "refuse",
    revision: str = "main",
    modalities: Sequence[str] = MODALITIES,
    progress: bool = True,
) -> Corpus:
    """Load the corpus ``fleurs``.

    Parameters
    ----------
    path : path, optional
        A local copy: the folder with ``data`` in it, or ``data`` itself. The hub if left out: what was fetched before
        is used without asking it again, and so is huggingface_hub's own cache.
    languages : list of str, optional
        In any code that :func:`babelscope.languages.language` knows; all that the local copy has if left out. Has to be
        given for the hub: a language is up to one gigabyte for test, and several for train.
    splits : str or list of str
        Of train, dev (or validation) and test; ``"train+dev"`` is a union.
    recording : {"first", "longest", "shortest", "male", "female", "all"}
        Which recording of a sentence is the primary one. "first" is by the order of rows. "male" and "female": the
        first one by a man or a woman; a sentence that has none keeps its text only. "all": as "first", and the others
        are kept whatever `others` says.
    others : bool
        Whether the other recordings stand behind the primary one, for the floor that another reader gives.
    text : {"raw", "normalised"}
        As written, or lower case without punctuation.
    broken : {"refuse", "drop"}
        What to do about a broken row or recording: an error that names it, or leave it out and say so in the notes.
    revision : str
        Of the data set on the hub.
    modalities : sequence of {"text", "speech"}
        ``["text"]``: texts alone. No recording is fetched or opened then; a local copy need not have any. A study asks
        for what its model takes.
    progress : bool
        Whether downloads are shown on the error stream.

    Returns
    -------
    Corpus
        Languages by their FLEURS codes, sentences by their ids. A reader is the language and a sex, as "en_us female":
        several people.

    Raises
    ------
    UsageError
        For an unknown language, split or option, or no languages for the hub.
    DataError
        If a file is missing or broken, or a row or a recording is; the message names file and row.
    FetchError
        If a download fails, or offline mode is on and a file is not here.
    """
    for name, value, known in (("recording", recording, RECORDINGS), ("text", text, TEXTS), ("broken", broken, BROKEN)):
        if value not in known:
            raise UsageError(f"corpus 'fleurs' has no {name}={value!r}: {did_you_mean(value, known)}")
    wanted_splits = _splits(splits)
    audio = _with_audio(modalities)
    chosen = _languages(languages)
    problems = _Broken(broken)
    notes: list[str] = []
    parts: dict[str, list[_Part]] = {}
    if path is not None:
        root = _root(Path(path))
        chosen = chosen or _present(root, wanted_splits)
        for language in chosen:
            parts[language] = [_local(root, language, split, text, problems, audio) for split in wanted_splits]
    else:
        if not chosen:
            raise UsageError(
                "corpus 'fleurs' from the hub needs languages (the recordings of all 102 are tens of gigabytes for "
                "test alone)"
            )
        hub = _Hub(revision, progress)
        for language in chosen:
            parts[language] = [hub.part(language, split, text, problems, audio) for split in wanted_splits]
        notes.append(f"{REPOSITORY} at {', '.join(sorted(hub.commits))}.")
    rows: list[tuple[Any, ...]] = []
    without: dict[str, int] = {}
    twins = 0
    for language in chosen:
        own, without[language], doubled = _cells(
            language, parts[language], recording, others or recording == "all", problems
        )
        rows += own
        twins += doubled
    if not rows:
        raise DataError(f"corpus 'fleurs' has no row in {', '.join(wanted_splits)} of {', '.join(chosen)}")
    if twins:
        notes.append(f"{twins} recordings are byte for byte another one of the same sentence: they were left out.")
    order = {language: place for place, language in enumerate(chosen)}
    rows.sort(key=lambda row: (int(row[0]), order[row[1]]))  # stable: recordings keep their order
    return Corpus(
        pd.DataFrame(rows, columns=list(COLUMNS)),
        name="fleurs",
        title=f"FLEURS, {'+'.join(wanted_splits)}: sentences of FLORES, read by people",
        licence=LICENCE,
        attribution=ATTRIBUTION,
        notes=[*notes, *_notes(recording, others, text, audio), *problems.notes()],
        languages=chosen,
        lost=_lost(chosen, recording if audio else "", without, problems),
    )


def _splits(given: str | Sequence[str]) -> tuple[str, ...]:
    names = given.replace(" ", "").split("+") if isinstance(given, str) else list(given)
    names = ["dev" if name == "validation" else name for name in names]
    for name in names:
        if name not in SPLITS:
            raise UsageError(f"corpus 'fleurs' has no split {name!r}: {did_you_mean(name, (*SPLITS, 'validation'))}")
    if not names or len(set(names)) < len(names):
        raise UsageError(f"splits {given!r} names one twice, or none")
    return tuple(sorted(names, key=SPLITS.index))


def _with_audio(modalities: Sequence[str]) -> bool:
    if isinstance(modalities, str) or not modalities:
        raise UsageError("modalities is a list of 'text' and 'speech'")
    for modality in modalities:
        if modality not in MODALITIES:
            raise UsageError(f"there is no modality {modality!r}: {did_you_mean(modality, MODALITIES)}")
    return "speech" in modalities


def _languages(given: Sequence[str] | None) -> list[str]:
    if given is None:
        return []
    if isinstance(given, str):
        raise UsageError(f"languages is a list, as in [{given!r}]")
    chosen = [codes.fleurs(code) for code in given]
    if not chosen or len(set(chosen)) < len(chosen):
        raise UsageError(f"languages {list(given)} names one twice, or none")
    return chosen


def _notes(recording: str, others: bool, text: str, audio: bool) -> list[str]:
    rules = {
        "first": "the first in the order of rows",
        "longest": "the longest",
        "shortest": "the shortest",
        "male": "the first one by a man",
        "female": "the first one by a woman",
        "all": "the first in the order of rows",
    }
    behind = "the others stand behind it" if others or recording == "all" else "the others are left out"
    heard = [
        f"Of several recordings of a sentence the primary one is {rules[recording]}; {behind}.",
        "Readers have no names in FLEURS, only a sex: 'en_us female' is several people, and who reads differs from "
        "sentence to sentence.",
    ]
    notes = heard if audio else ["Texts alone were read: recordings were neither opened nor checked."]
    if text == "normalised":
        notes.append("Texts are FLEURS's normalised ones: lower case, without punctuation.")
    return notes


def _lost(chosen: list[str], recording: str, without: Mapping[str, int], problems: _Broken) -> pd.DataFrame:
    rows: list[tuple[str, str, int]] = []
    if problems.sentences:
        counts = {language: len(problems.sentences.get(language, ())) for language in chosen}
        rows += [("broken=drop", language, count) for language, count in counts.items()]
        rows.append(("broken=drop", "any", len(set().union(*problems.sentences.values()))))
    if recording in ("male", "female"):
        rows += [(f"recording={recording}", language, without[language]) for language in chosen]
    return pd.DataFrame(rows, columns=["filter", "language", "sentences"])


def _cells(
    language: str, parts: list[_Part], recording: str, others: bool, problems: _Broken
) -> tuple[list[tuple[Any, ...]], int, int]:
    """Return the rows of a language's table, how many sentences have no recording under the rule, and of twins."""
    first: dict[int, _Row] = {}
    spoken: dict[int, list[_Recording]] = {}
    twins = 0
    for part in parts:
        for row in part.rows:
            earlier = first.setdefault(row.sentence, row)
            wrong = ""
            if earlier.split != row.split:
                wrong = f"{row.where} has id {row.sentence}, and so has {earlier.where}: an id is in one split only"
            elif earlier.text != row.text:
                wrong = f"{row.where} has another text for id {row.sentence} than {earlier.where}"
            if wrong:
                problems.add(language, wrong, row.sentence)
                continue
            recordings = spoken.setdefault(row.sentence, [])
            if part.locate is None:
                continue
            place = part.locate(row.file)
            claimed = row.samples / SAMPLE_RATE
            if not isinstance(place, str) and place.seconds < claimed - _SHORT:
                place = f"recording {row.file} lasts {place.seconds:.2f} s, {claimed:.2f} s are claimed"
            if isinstance(place, str):
                problems.add(language, f"{row.where}, id {row.sentence}: {place}", row.sentence)
            elif place.content and any(place.content == other.place.content for other in recordings):
                twins += 1  # no other reader: the floor that one gives would be perfect
            else:
                recordings.append(_Recording(row, place))
    table: list[tuple[Any, ...]] = []
    lacking = 0
    for sentence, recordings in spoken.items():
        kept = _ordered(recordings, recording)
        lacking += bool(recordings) and not kept
        start = (str(sentence), language, first[sentence].text)
        for each in kept if others else kept[:1]:
            place = each.place
            table.append((*start, place.audio, place.member, f"{language} {each.row.gender}", place.seconds))
        if not kept:
            table.append((*start, None, None, None, float("nan")))
    return table, lacking, twins


def _ordered(recordings: list[_Recording], rule: str) -> list[_Recording]:
    if rule == "longest":
        return sorted(recordings, key=lambda each: -each.place.seconds)
    if rule == "shortest":
        return sorted(recordings, key=lambda each: each.place.seconds)
    if rule in ("male", "female"):
        ordered = sorted(recordings, key=lambda each: each.row.gender != rule)
        return ordered if ordered and ordered[0].row.gender == rule else []
    return recordings


# A local copy


def _root(path: Path) -> Path:
    if not path.is_dir():
        raise UsageError(f"corpus 'fleurs': {path} is no folder")
    for name in ("data", "parquet-data"):
        if (path / name).is_dir():
            return path / name
    return path


def _present(root: Path, splits: Sequence[str]) -> list[str]:
    found = [
        each.fleurs
        for each in codes.LANGUAGES
        if all(
            (root / each.fleurs / f"{split}.tsv").is_file() or _parquet(root, each.fleurs, split) for split in splits
        )
    ]
    if not found:
        raise UsageError(
            f"corpus 'fleurs': {root} has no language with {' and '.join(splits)} "
            f"(looked for {root / 'en_us' / (splits[0] + '.tsv')}, and Parquet files): name the folder of the data set"
        )
    return found


def _is_there(root: Path, language: str, split: str) -> bool:
    return (root / language / f"{split}.tsv").is_file() or bool(_parquet(root, language, split))


def _parquet(root: Path, language: str, split: str) -> list[Path]:
    folder = root / language
    for name in ("validation", "dev") if split == "dev" else (split,):
        for pattern in (f"fleurs-{name}.parquet", f"fleurs-{name}-*.parquet", f"{name}/*.parquet", f"{name}-*.parquet"):
            if found := sorted(folder.glob(pattern)):
                return found
    return []


def _local(root: Path, language: str, split: str, text: str, problems: _Broken, audio: bool) -> _Part:
    tsv = root / language / f"{split}.tsv"
    if tsv.is_file():
        rows = _read_tsv(tsv, language, split, text, problems)
        if not audio:
            return _Part(rows, None)
        archive, folder = root / language / "audio" / f"{split}.tar.gz", root / language / "audio" / split
        if archive.is_file():
            packed = pack("fleurs", f"{language}-{split}", [archive], lambda: read_tar_gz(archive))
            return _Part(rows, _in_zip(packed, archive))
        if folder.is_dir():
            return _Part(rows, _in_folder(folder))
        raise DataError(f"corpus 'fleurs', language {language!r}: {archive} is missing, beside {tsv}")
    files = _parquet(root, language, split)
    if not files:
        raise DataError(f"corpus 'fleurs', language {language!r} has no split {split!r}: {tsv} is missing")
    rows = _read_parquet(files, language, split, text, problems)
    if not audio:
        return _Part(rows, None)
    packed = pack("fleurs", f"{language}-{split}", files, lambda: _parquet_recordings(files))
    return _Part(rows, _in_zip(packed, files[0].parent))


def _in_zip(packed: Packed, source: Path) -> Callable[[str], _Place | str]:
    def locate(name: str) -> _Place | str:
        if name in packed.seconds:
            return _Place(str(packed.path), name, packed.seconds[name], packed.contents[name])
        return packed.broken.get(name, f"recording {name} is not in {source}")

    return locate


def _in_folder(folder: Path) -> Callable[[str], _Place | str]:
    def locate(name: str) -> _Place | str:
        try:
            return _Place(str(folder / name), None, seconds_of(folder / name))
        except DataError as error:
            return str(error)

    return locate


# Rows


def _read_tsv(path: Path, language: str, split: str, text: str, problems: _Broken) -> list[_Row]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from error
    rows: list[_Row] = []
    seen: dict[str, str] = {}
    for number, line in enumerate(content.split(b"\n"), 1):
        where = f"{path}, line {number}"
        if not line.strip():
            continue
        try:
            fields = line.decode("utf-8").rstrip("\r").split("\t")
        except UnicodeDecodeError:
            problems.add(language, f"{where} is not UTF-8")
            continue
        if len(fields) != 7:
            problems.add(language, f"{where} has {len(fields)} fields instead of 7")
            continue
        sentence, file, raw, normalised, _, samples, gender = fields
        values = (where, split, sentence, file, raw if text == "raw" else normalised, samples, gender)
        _add(rows, seen, values, language, problems)
    if not rows:
        raise DataError(f"{path} has no good row: get it again")
    return rows


def _read_parquet(files: list[Path], language: str, split: str, text: str, problems: _Broken) -> list[_Row]:
    rows: list[_Row] = []
    seen: dict[str, str] = {}
    for path in files:
        for number, fields in enumerate(_parquet_rows(path, (*_PARQUET, "audio.path")), 1):
            gender, samples = fields["gender"], fields["num_samples"]
            named = _GENDERS[gender] if isinstance(gender, int) and 0 <= gender < len(_GENDERS) else gender
            written = fields["raw_transcription"] if text == "raw" else fields["transcription"]
            values = (f"{path}, row {number}", split, fields["id"], _file_of(fields), written, samples, named)
            _add(rows, seen, values, language, problems)
    if not rows:
        raise DataError(f"{files[0]} has no good row: get it again")
    return rows


def _add(rows: list[_Row], seen: dict[str, str], values: tuple[Any, ...], language: str, problems: _Broken) -> None:
    where, split, sentence, file, text, samples, gender = values
    wrong = ""
    if not str(sentence).isascii() or not str(sentence).isdigit():
        wrong = f"has the id {sentence!r}: it must be a number"
    elif not isinstance(file, str) or not is_safe_name(file) or "/" in file:
        wrong = f"names the file {file!r}: it must be a plain name"
    elif file in seen:
        wrong = f"names the file {file!r}, and so does {seen[file]}"
    elif not isinstance(text, str) or not text.strip():
        wrong = f"has no text for id {sentence}"
    elif not str(samples).isascii() or not str(samples).isdigit() or int(samples) == 0:
        wrong = f"has {samples!r} samples: it must be a number above 0"
    elif str(gender).lower() not in _GENDERS:
        wrong = f"has the gender {gender!r}: {did_you_mean(str(gender).lower(), _GENDERS)}"
    if wrong:
        problems.add(language, f"{where} {wrong}", int(sentence) if str(sentence).isdecimal() else None)
        return
    seen[file] = where
    rows.append(_Row(where, split, int(sentence), file, " ".join(text.split()), int(samples), str(gender).lower()))


def _parquet_rows(path: Path, columns: Iterable[str]) -> Iterator[dict[str, Any]]:
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            for column in (*_PARQUET, "audio"):
                if column not in names:
                    raise DataError(f"{path} has no column {column!r}: {did_you_mean(column, names)}")
            for batch in file.iter_batches(batch_size=16, columns=list(columns)):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet ({error}): get it again") from error


def _file_of(fields: Mapping[str, Any]) -> str | None:
    """Return the recording's plain name: `path` may be one of another machine, with its folders."""
    for given in ((fields["audio"] or {}).get("path"), fields["path"]):
        if given:
            return PurePosixPath(str(given).replace("\\", "/")).name
    return None


def _parquet_recordings(files: list[Path]) -> Members:
    for path in files:
        for fields in _parquet_rows(path, ("path", "audio")):
            data, name = (fields["audio"] or {}).get("bytes"), _file_of(fields)
            if data and name:
                yield name, data


# The hub


@dataclass(frozen=True)
class _Kept:
    """What the cache has of one split of one language: its recordings, unless texts alone were asked for."""

    commit: str
    packed: Packed | None


class _Hub:
    """Files of the hub, kept in the cache: texts as they are, recordings packed, and a record of what they are.

    A language whose texts alone were asked for has a record that names no zip; it is fetched whole when speech is.
    """

    def __init__(self, revision: str, progress: bool) -> None:
        if not is_safe_name(revision):
            raise UsageError(f"corpus 'fleurs' has no revision={revision!r}: give a branch, a tag or a commit")
        self.revision = revision
        self.progress = progress
        self.commits: set[str] = set()

    def part(self, language: str, split: str, text: str, problems: _Broken, audio: bool) -> _Part:
        folder = cache_folder() / "corpora" / "fleurs" / "hub" / self.revision.replace("/", "_") / language
        tsv, record = folder / f"{split}.tsv", folder / f"{split}.json"
        kept = self._recorded(tsv, record, audio)
        if kept is None:
            lock = cache_folder() / "locks" / f"fleurs-{language}-{split}.lock"
            with naming_the_disk(lock):
                lock.parent.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(lock):  # two processes would append to one download
                kept = self._recorded(tsv, record, audio) or self._fetched(language, split, tsv, record, audio)
        self.commits.add(kept.commit)
        rows = _read_tsv(tsv, language, split, text, problems)
        if not audio or kept.packed is None:
            return _Part(rows, None)
        return _Part(rows, _in_zip(kept.packed, Path(f"data/{language}/audio/{split}.tar.gz")))

    def _recorded(self, tsv: Path, record: Path, audio: bool) -> _Kept | None:
        try:
            told = json.loads(record.read_text(encoding="utf-8"))
            commit, name = str(told["commit"]), told["packed"]
            packed = packed_before(cache_folder() / "corpora" / "fleurs" / name) if audio and name else None
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return _Kept(commit, packed) if tsv.is_file() and (packed or not audio) else None

    def _fetched(self, language: str, split: str, tsv: Path, record: Path, audio: bool) -> _Kept:
        label = f"{language}-{split}"
        texts, recordings = f"data/{language}/{split}.tsv", f"data/{language}/audio/{split}.tar.gz"
        cached = cached_hub_file(REPOSITORY, texts, revision=self.revision)
        beside = cached_hub_file(REPOSITORY, recordings, revision=self.revision) if audio else None
        packed: Packed | None = None
        if cached and (beside or not audio):
            content, commit = cached.path.read_bytes(), cached.commit
            if beside:
                archive = beside.path
                packed = pack("fleurs", label, [archive], lambda: read_tar_gz(archive), digest=beside.digest)
            write_atomically(tsv, lambda temporary: temporary.write_bytes(content))
        else:
            # The texts are asked for at the recordings' commit: both are of one state of the data set.
            told = hub_file(REPOSITORY, recordings if audio else texts, revision=self.revision)
            commit = told.commit
            with contextlib.ExitStack() as stack:
                shown: Progress = stack.enter_context(TerminalProgress()) if self.progress else SilentProgress()
                download_hub_file(hub_file(REPOSITORY, texts, revision=commit) if audio else told, tsv, shown)
                if audio:
                    packed = self._archive(label, told, shown)
        line = json.dumps({"commit": commit, "packed": packed.path.name if packed else None}) + "\n"
        write_atomically(record, lambda temporary: temporary.write_text(line, encoding="utf-8"))
        return _Kept(commit, packed)

    def _archive(self, label: str, told: HubFile, shown: Progress) -> Packed:
        archive = cache_folder() / "downloads" / "fleurs" / f"{label}-{told.digest[:16]}.tar.gz"
        shown.start(f"fleurs: {label}", told.size)
        download_hub_file(told, archive, shown)
        shown.finish()
        packed = pack("fleurs", label, [archive], lambda: read_tar_gz(archive), digest=told.digest)
        archive.unlink()  # all that is in it is packed now
        return packed
