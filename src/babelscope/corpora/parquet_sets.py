"""Data sets in Parquet files of one language and split each: declared in a few lines, from a local copy or the hub.

A declaration (:class:`ParquetSet`) says where the files are, which columns they need, and how a row is read
(:class:`Spoken`). Sentences come out of their text columns alone; their recordings are packed once into the cache
(:mod:`babelscope.corpora.packing`). From the hub, files are fetched whole, since a row holds its sound and its text;
once they are packed, their text columns are kept and the files are removed.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.io import wavfile

from babelscope import languages as codes
from babelscope.audio import SAMPLE_RATE
from babelscope.cache import cache_folder, write_atomically
from babelscope.corpora.corpus import MODALITIES, Corpus
from babelscope.corpora.options import Broken, Choice, chosen_splits
from babelscope.corpora.packing import Members, Packed, pack
from babelscope.corpora.parquet import read_rows, silent_columns
from babelscope.corpora.readings import Row, Split, assemble, in_zip
from babelscope.corpora.splits import HubSplits, read_splits
from babelscope.errors import BabelscopeError, DataError, FetchError
from babelscope.fetch.hub import cached_hub_file, download_hub_file, hub_listing, kept_by_huggingface
from babelscope.fetch.progress import Progress

_SHARDS = re.compile(r"-of-(\d+)\.parquet$")


@dataclass(frozen=True)
class Clip:
    """One recording in a row: its name, unique in its split, its sound, and its reader."""

    name: str
    sound: Mapping[str, Any] | None
    seconds: float | None = None
    gender: str = ""
    speaker: str = ""


@dataclass(frozen=True)
class Spoken:
    """One sentence in a row. A later row may have it again: its first text and recordings count, labels add up."""

    sentence: str
    text: str
    clips: Sequence[Clip] = ()
    cluster: str | None = None
    labels: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ParquetSet:
    """A data set in Parquet files.

    Attributes
    ----------
    corpus : str
        Its name here.
    repository : str
        On the hub.
    title, licence, attribution : str
        As :class:`babelscope.corpora.Corpus` takes them; the title may have ``{splits}`` in it.
    splits : tuple of str
        Of train, dev and test.
    files : tuple of str
        Where a language's split is, with shell wildcards: below the hub's repository first, then as copies have it.
    needed : tuple of str
        Columns that the files must have.
    read : callable
        What a row has. Sound is missing where texts are read; a field that is missing raises KeyError.
    codes : mapping
        FLEURS code to what the files call the language, where that is not the code of FLORES-200.
    """

    corpus: str
    repository: str
    title: str
    licence: str
    attribution: str
    splits: tuple[str, ...]
    files: tuple[str, ...]
    needed: tuple[str, ...]
    read: Callable[[Mapping[str, Any]], Iterator[Spoken]]
    codes: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def patterns(self, language: str, split: str) -> list[str]:
        """Return where files of a language's split may be."""
        code = self.codes.get(language) or codes.nllb(language)
        named = {"dev": "validation"}.get(split, split)
        return [pattern.format(language=code, split=named) for pattern in self.files]


def load_set(
    which: ParquetSet,
    path: Path | str | None = None,
    *,
    languages: Sequence[str] | None = None,
    splits: str | Sequence[str] = "test",
    recording: str = "first",
    others: bool = True,
    broken: str = "refuse",
    truncated: str = "keep",
    revision: str = "main",
    modalities: Sequence[str] = MODALITIES,
    progress: bool = True,
) -> Corpus:
    """Load a data set in Parquet files: ``sib-fleurs``, ``belebele-fleurs`` and ``2m-belebele`` are this with theirs.

    Parameters
    ----------
    which : ParquetSet
    path : path, optional
        A local copy. The hub if not given; only from a local copy can texts be read without fetching recordings.
    languages, splits, recording, others, broken, truncated, revision, modalities, progress
        As :func:`babelscope.corpora.fleurs.load_release`.

    Returns
    -------
    Corpus
        Languages by their FLEURS codes, with clusters and labels as the data set has them.

    Raises
    ------
    UsageError, DataError, FetchError
        As :func:`babelscope.corpora.fleurs.load_release`.
    """
    choice = Choice(which.corpus, recording, others, broken, truncated, modalities)
    wanted = chosen_splits(which.corpus, splits, which.splits)
    problems = Broken(broken)
    reader = _Reader(which, choice.audio, problems)
    read, notes = read_splits(
        which.corpus,
        which.repository,
        reader,
        None if path is None else Path(path),
        languages=languages,
        splits=wanted,
        revision=revision,
        progress=progress,
    )
    return assemble(
        read,
        choice,
        problems,
        title=which.title.format(splits="+".join(wanted)),
        licence=which.licence,
        attribution=which.attribution,
        notes=[*notes, *which.notes],
        labels=reader.labels,
    )


@dataclass(frozen=True)
class _Reader:
    """Reads splits of a data set; see :class:`babelscope.corpora.splits.SplitReader`."""

    which: ParquetSet
    audio: bool
    broken: Broken
    labels: dict[str, dict[str, Any]] = field(default_factory=dict)

    def looked_for(self, root: Path, language: str, split: str) -> Path:
        return root / self.which.patterns(language, split)[0]

    def has(self, root: Path, language: str, split: str) -> bool:
        return bool(self._files(root, language, split))

    def _files(self, root: Path, language: str, split: str) -> list[Path]:
        return next(filter(None, (_matching(root, each) for each in self.which.patterns(language, split))), [])

    def local(self, root: Path, language: str, split: str) -> Split:
        files = self._files(root, language, split)
        if not files:
            raise DataError(
                f"corpus {self.which.corpus!r}, language {language!r} has no split {split!r}: "
                f"{self.looked_for(root, language, split)} is missing"
            )
        packed = _packed(self.which, language, split, _complete(files)) if self.audio else None
        return self._split(files, packed, files[0].parent, language, split)

    def remote(self, hub: HubSplits, language: str, split: str) -> Split:
        kept = hub.get(language, split, ".parquet", self.audio, _fetching(self.which, hub, language, split))
        source = Path(self.which.patterns(language, split)[0])
        return self._split([kept.rows], kept.packed, source, language, split)

    def _split(self, files: list[Path], packed: Packed | None, source: Path, language: str, split: str) -> Split:
        rows = _rows(self.which, _complete(files), language, split, self.broken, self.labels)
        return Split(rows, None if packed is None else in_zip(packed, source))


def _matching(root: Path, pattern: str) -> list[Path]:
    return sorted(path for path in root.glob(pattern) if path.is_file())


def _complete(files: list[Path]) -> list[Path]:
    """Refuse files of which some are missing, by their names: ``test-00000-of-00003.parquet``."""
    shards = _SHARDS.search(files[0].name)
    if shards and int(shards[1]) != len(files):
        raise DataError(
            f"{files[0].parent} has {len(files)} files like {files[0].name}, of {int(shards[1])}: get the rest"
        )
    return files


def _rows(
    which: ParquetSet,
    files: list[Path],
    language: str,
    split: str,
    broken: Broken,
    labels: dict[str, dict[str, Any]],
) -> list[Row]:
    sentences: dict[str, tuple[str, Spoken]] = {}
    for path in files:
        for number, fields in enumerate(read_rows(path, which.needed, sound=False), 1):
            where = f"{path}, row {number}"
            for spoken in _spoken(which, fields, where):
                if not spoken.sentence or not spoken.text.strip():
                    broken.add(language, f"{where} has a sentence without {'a text' if spoken.sentence else 'an id'}")
                    continue
                own = labels.setdefault(spoken.sentence, {})
                for name, value in spoken.labels.items():
                    own.setdefault(name, value)
                before = sentences.get(spoken.sentence)
                if before is None:
                    sentences[spoken.sentence] = (where, spoken)
                elif spoken.cluster is not None and spoken.cluster < (before[1].cluster or spoken.cluster):
                    sentences[spoken.sentence] = (before[0], replace(before[1], cluster=spoken.cluster))
    rows: list[Row] = []
    for where, spoken in sentences.values():
        text = " ".join(spoken.text.split())
        for clip in spoken.clips:
            reader = " ".join(filter(None, (language, clip.gender, clip.speaker)))
            row = Row(where, split, spoken.sentence, clip.name, text, clip.seconds, reader, clip.gender, spoken.cluster)
            rows.append(row)
        if not spoken.clips:
            rows.append(Row(where, split, spoken.sentence, "", text, None, "", "", spoken.cluster))
    if not rows:
        raise DataError(f"{files[0]} has no good row: get it again")
    return rows


def _spoken(which: ParquetSet, fields: Mapping[str, Any], where: str) -> Iterator[Spoken]:
    try:
        yield from which.read(fields)
    except KeyError as error:
        raise DataError(f"{where} has no field {error}: it is no file of {which.repository}") from error
    except BabelscopeError:
        raise
    except (TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{where} is not as {which.repository} has its rows ({error})") from error


def _packed(which: ParquetSet, language: str, split: str, files: list[Path], digest: str | None = None) -> Packed:
    def recordings() -> Members:
        seen: set[str] = set()
        for path in files:
            for number, fields in enumerate(read_rows(path, which.needed, batch=1), 1):
                for spoken in _spoken(which, fields, f"{path}, row {number}"):
                    for clip in spoken.clips:
                        if clip.name not in seen and (data := _sound(clip.sound)):
                            seen.add(clip.name)
                            yield clip.name, data

    return pack(which.corpus, f"{language}-{split}", files, recordings, digest=digest)


def _sound(sound: Mapping[str, Any] | None) -> bytes | None:
    """Return a recording as a file: its bytes as they are, or samples as WAV."""
    if not sound:
        return None
    if sound.get("bytes"):
        return bytes(sound["bytes"])
    samples = next((sound[name] for name in ("wav", "array") if sound.get(name) is not None), None)
    if samples is None or not len(samples):
        return None
    values = np.asarray(samples, dtype=np.float32)
    if np.abs(values).max() > 2:  # 16-bit integers that are floating-point numbers
        values = values / np.float32(2**15)
    out = io.BytesIO()
    wavfile.write(out, int(sound.get("sampling_rate") or SAMPLE_RATE), values)
    return out.getvalue()


def _fetching(
    which: ParquetSet, hub: HubSplits, language: str, split: str
) -> Callable[[Path, Progress], tuple[str, Packed | None]]:
    wanted = which.patterns(language, split)[:1]

    def fetch(target: Path, shown: Progress) -> tuple[str, Packed | None]:
        downloaded: list[Path] = []
        try:
            commit, listed, _ = hub_listing(which.repository, wanted, revision=hub.revision)
        except FetchError:
            kept = kept_by_huggingface(which.repository, wanted, revision=hub.revision)
            if kept is None:
                raise
            commit, files = kept.commit, _complete(_matching(kept.path, wanted[0]))
        else:
            files = []
            for name, file in sorted(listed.items()):
                cached = cached_hub_file(which.repository, name, revision=commit)
                if cached is None:
                    # Its name is kept, for _complete and for messages; its digest, so that another is none of it.
                    folder = cache_folder() / "downloads" / which.corpus / f"{language}-{file.digest[:16]}"
                    downloaded.append(folder / PurePosixPath(name).name)
                    if not downloaded[-1].is_file():  # whole and checked, by a run that was cut later
                        shown.start(f"{which.corpus}: {PurePosixPath(name).name} of {language}", file.size)
                        download_hub_file(file, downloaded[-1], shown)
                        shown.finish()
                files.append(downloaded[-1] if cached is None else cached.path)
        packed = _packed(which, language, split, files, hashlib.sha256(f"{commit}{wanted}".encode()).hexdigest())
        write_atomically(target, lambda temporary: _write_texts(files, temporary))
        for path in downloaded:
            path.unlink()  # all that is in it is packed now
            path.parent.rmdir()
        return commit, packed

    return fetch


def _write_texts(files: list[Path], target: Path) -> None:
    writer: pq.ParquetWriter | None = None
    try:
        for path in files:
            with pq.ParquetFile(path) as file:
                table = file.read(columns=silent_columns(file)).replace_schema_metadata()
            writer = writer or pq.ParquetWriter(target, table.schema)
            writer.write_table(table)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{files[0]} cannot be read as Parquet ({error}): get it again") from error
    finally:
        if writer is not None:
            writer.close()
