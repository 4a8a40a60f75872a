"""FLEURS: the sentences of FLORES, written and read in 102 languages, by up to three people each.

One id is one sentence in every language; ids are unique over the three splits. A language lacks some ids, and has one
to three recordings of each of the others. Readers have no names, only a sex. Known problems of the data set: some
recordings are far too short for their sentence (Kannada, test, id 1956: .84 s, others 8.3 and 10.1), which are listed
in ``problems``, and excluded with ``truncated="drop"``; and two ids may have the same wording in a language, which
``Corpus.select(distinct=True)`` resolves (mteb, issue 5270 and pull request 5307). About three sentences come from one
article; FLEURS does not say which, ``documents`` takes it from a data set that does.

Three ways in: a local copy as the data set is laid out (``data/{language}/{split}.tsv``, seven fields and no header,
with ``data/{language}/audio/{split}.tar.gz`` or a folder ``data/{language}/audio/{split}`` that was unpacked
before); a local copy of its Parquet form (``{language}/fleurs-{split}*.parquet``, ``{language}/{split}/*.parquet`` or
``{language}/{split}-*.parquet``, where dev is called validation); or the hub. The first release, which is not on the
hub, has an eighth field with the speaker: it is read too. Archives and Parquet files are read once, in one pass, and
their recordings packed into the cache (:mod:`babelscope.corpora.packing`). If only texts are requested, no
recording is opened or fetched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from babelscope.cache import cache_folder, write_atomically
from babelscope.corpora.corpus import MODALITIES, Corpus
from babelscope.corpora.documents import read_documents
from babelscope.corpora.fleurs_rows import Reading, parquet_recordings, read_parquet, read_tsv
from babelscope.corpora.options import Broken, Choice, chosen_splits, one_of
from babelscope.corpora.packing import Packed, pack, read_tar_gz
from babelscope.corpora.readings import Split, assemble, in_folder, in_zip
from babelscope.corpora.splits import HubSplits, read_splits
from babelscope.errors import DataError, FetchError
from babelscope.fetch.hub import HubFile, cached_hub_file, download_hub_file, hub_listing
from babelscope.fetch.progress import Progress

SPLITS = ("train", "dev", "test")
TEXTS = ("raw", "normalised")
LICENCE = "CC-BY-4.0"


@dataclass(frozen=True)
class Release:
    """A data set of FLEURS's sentences in FLEURS's layout: its name here, and on the hub.

    `claims`: whether its ``num_samples`` is known to be the length of the recording at 16 kHz.
    """

    corpus: str
    repository: str
    title: str
    attribution: str
    claims: bool


FLEURS = Release(
    "fleurs",
    "google/fleurs",
    "FLEURS, {splits}: sentences of FLORES, read by people",
    "FLEURS, Conneau et al. 2022 (arXiv 2205.12446), google/fleurs; sentences of FLORES-101",
    claims=True,
)


def load_release(
    release: Release,
    path: Path | str | None = None,
    *,
    languages: Sequence[str] | None = None,
    splits: str | Sequence[str] = "test",
    recording: str = "first",
    others: bool = True,
    text: str = "raw",
    broken: str = "refuse",
    truncated: str = "keep",
    documents: Path | str | None = None,
    revision: str = "main",
    modalities: Sequence[str] = MODALITIES,
    progress: bool = True,
) -> Corpus:
    """Load FLEURS, or a data set in its layout: the corpora ``fleurs`` and ``fleurs-r`` are this with their `release`.

    Parameters
    ----------
    release : Release
    path : path, optional
        A local copy: the folder with ``data`` in it, or ``data`` itself. The hub if not given: what was fetched before
        is used without contacting it again, and so is huggingface_hub's own cache.
    languages : list of str, optional
        In any code that :func:`babelscope.languages.language` knows; all that the local copy has if not given. Required
        for the hub: a language is up to one gigabyte for test, and several for train.
    splits : str or list of str
        Of train, dev (or validation) and test; ``"train+dev"`` is a union.
    recording : {"first", "longest", "shortest", "male", "female", "all"}
        Which recording of a sentence is the primary one. "first" is by the order of rows. "male" and "female": the
        first one by a man or a woman; a sentence that has none keeps its text only. "all": as "first", and the others
        are kept whatever `others` says.
    others : bool
        Whether the other recordings are kept after the primary one, for the noise ceiling that another reader gives.
    text : {"raw", "normalised"}
        As written, or lower case without punctuation.
    broken : {"refuse", "drop"}
        How a broken row or recording is handled: by an error that names it, or by excluding it and noting that.
    truncated : {"keep", "drop"}
        How recordings that are far too short for their text are handled
        (:func:`babelscope.corpora.truncation.too_short`). They are named in the corpus's ``problems`` in either case.
    documents : path, optional
        The source of each sentence's document: a local copy of ``WueNLP/sib-fleurs`` or ``WueNLP/belebele-fleurs``
        (one language of it is enough), or the folder of FLORES-200. FLEURS itself does not give documents.
    revision : str
        Of the data set on the hub.
    modalities : sequence of {"text", "speech"}
        ``["text"]``: texts alone. No recording is fetched or opened then; a local copy need not have any. A study
        requests what its model takes.
    progress : bool
        Whether downloads are shown on the error stream.

    Returns
    -------
    Corpus
        Languages by their FLEURS codes, sentences by their ids. A reader is the language and a sex, as "en_us female":
        several people; where the rows have a speaker, as in the first release, the speaker is added.

    Raises
    ------
    UsageError
        For an unknown language, split or option, or no languages for the hub.
    DataError
        If a file is missing or broken, or a row or a recording is; the message names file and row.
    FetchError
        If a download fails, or offline mode is on and a file is not here.
    """
    choice = Choice(release.corpus, recording, others, broken, truncated, modalities)
    one_of(release.corpus, "text", text, TEXTS)
    wanted = chosen_splits(release.corpus, splits, SPLITS)
    problems = Broken(broken)
    read, notes = read_splits(
        release.corpus,
        release.repository,
        _Reader(release, choice.audio, text == "normalised", problems),
        None if path is None else _data_folder(Path(path)),
        languages=languages,
        splits=wanted,
        revision=revision,
        progress=progress,
    )
    if documents is not None:
        known = read_documents(Path(documents))
        for language, of_language in read.items():
            read[language] = [
                Split([replace(row, cluster=known.of(row.sentence, row.text)) for row in split.rows], split.locate)
                for split in of_language
            ]
    if choice.audio:
        notes.append(
            "Readers have no names in FLEURS, only a sex: 'en_us female' is several people, and who reads differs from "
            "sentence to sentence."
        )
    if text == "normalised":
        notes.append("Texts are FLEURS's normalised ones: lower case, without punctuation.")
    return assemble(
        read,
        choice,
        problems,
        title=release.title.format(splits="+".join(wanted)),
        licence=LICENCE,
        attribution=release.attribution,
        notes=notes,
        readers_are_groups=True,
    )


load = partial(load_release, FLEURS)


def _data_folder(path: Path) -> Path:
    return next((path / name for name in ("data", "parquet-data") if (path / name).is_dir()), path)


@dataclass(frozen=True)
class _Reader:
    """Reads splits of a release; see :class:`babelscope.corpora.splits.SplitReader`."""

    release: Release
    audio: bool
    normalised: bool
    broken: Broken

    def _reading(self, language: str, split: str) -> Reading:
        return Reading(language, split, self.normalised, self.release.claims, self.broken)

    def looked_for(self, root: Path, language: str, split: str) -> Path:
        return root / language / f"{split}.tsv"

    def has(self, root: Path, language: str, split: str) -> bool:
        return self.looked_for(root, language, split).is_file() or bool(_parquet(root / language, split))

    def local(self, root: Path, language: str, split: str) -> Split:
        tsv, corpus = self.looked_for(root, language, split), self.release.corpus
        if tsv.is_file():
            rows = read_tsv(tsv, self._reading(language, split))
            archive, folder = root / language / "audio" / f"{split}.tar.gz", root / language / "audio" / split
            if not self.audio:
                return Split(rows, None)
            if archive.is_file():
                return Split(rows, in_zip(self._packed(language, split, archive), archive))
            if folder.is_dir():
                return Split(rows, in_folder(folder))
            raise DataError(f"corpus {corpus!r}, language {language!r}: {archive} is missing next to {tsv}")
        files = _parquet(root / language, split)
        if not files:
            raise DataError(f"corpus {corpus!r}, language {language!r} has no split {split!r}: {tsv} is missing")
        rows = read_parquet(files, self._reading(language, split))
        if not self.audio:
            return Split(rows, None)
        packed = pack(corpus, f"{language}-{split}", files, lambda: parquet_recordings(files))
        return Split(rows, in_zip(packed, files[0].parent))

    def _packed(self, language: str, split: str, archive: Path, digest: str | None = None) -> Packed:
        return pack(self.release.corpus, f"{language}-{split}", [archive], lambda: read_tar_gz(archive), digest=digest)

    def remote(self, hub: HubSplits, language: str, split: str) -> Split:
        repository = self.release.repository
        texts, recordings = f"data/{language}/{split}.tsv", f"data/{language}/audio/{split}.tar.gz"
        wanted = [texts, recordings] if self.audio else [texts]

        def fetch(target: Path, shown: Progress) -> tuple[str, Packed | None]:
            cached = {name: cached_hub_file(repository, name, revision=hub.revision) for name in wanted}
            if (own := cached[texts]) is not None and all(cached.values()):
                content, archive = own.path.read_bytes(), cached.get(recordings)
                packed = self._packed(language, split, archive.path, archive.digest) if archive else None
                write_atomically(target, lambda temporary: temporary.write_bytes(content))
                return own.commit, packed
            commit, files, _ = hub_listing(repository, wanted, revision=hub.revision)
            for name in wanted:
                if name not in files:
                    raise FetchError(f"the hub has no {name} of {repository} ({hub.revision}): it may have moved")
            download_hub_file(files[texts], target, shown)
            return commit, self._download(language, split, files[recordings], shown) if self.audio else None

        kept = hub.get(language, split, ".tsv", self.audio, fetch)
        rows = read_tsv(kept.rows, self._reading(language, split))
        return Split(rows, in_zip(kept.packed, Path(recordings)) if kept.packed is not None else None)

    def _download(self, language: str, split: str, file: HubFile, shown: Progress) -> Packed:
        label = f"{language}-{split}"
        archive = cache_folder() / "downloads" / self.release.corpus / f"{label}-{file.digest[:16]}.tar.gz"
        shown.start(f"{self.release.corpus}: {label}", file.size)
        download_hub_file(file, archive, shown)
        shown.finish()
        packed = self._packed(language, split, archive, file.digest)
        archive.unlink()  # all that is in it is packed now
        return packed


def _parquet(folder: Path, split: str) -> list[Path]:
    for name in ("validation", "dev") if split == "dev" else (split,):
        for pattern in (f"fleurs-{name}.parquet", f"fleurs-{name}-*.parquet", f"{name}/*.parquet", f"{name}-*.parquet"):
            if files := sorted(folder.glob(pattern)):
                return files
    return []
