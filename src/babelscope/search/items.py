"""Items of an index: texts and recordings of a folder, a manifest or a corpus, long recordings cut into windows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from babelscope import corpora
from babelscope.audio import SUFFIXES, Recording, seconds_of
from babelscope.corpora import Corpus
from babelscope.errors import DataError, UsageError, did_you_mean
from babelscope.stages import MODALITIES, Modality

#: What counts as a manifest.
MANIFESTS: frozenset[str] = frozenset({".csv", ".tsv", ".jsonl", ".ndjson", ".parquet"})

#: Seconds. A recording that is longer than a window is cut into windows that begin a hop apart.
WINDOW_SECONDS = 8.0
HOP_SECONDS = 4.0


@dataclass(frozen=True)
class Item:
    """A text, a recording, or a window of one.

    Attributes
    ----------
    kind : {"text", "speech"}
    language : str
        Empty if it is not known.
    sentence : str
        Its id: the manifest's or corpus's, or its path in the folder. Items with the same id are translations.
    text : str
        The text, or what is said, as far as known.
    audio : str
        Path of the recording, or of an archive; empty for a text.
    member : str
        The archive's member; else empty.
    start, end : float
        Seconds within the recording; 0 for a text.
    whole : bool
        Whether it is the whole of a text or recording.
    stamp : str
        Size and time of change of the file, so that a changed recording is another item.
    """

    kind: Modality
    language: str
    sentence: str
    text: str = ""
    audio: str = ""
    member: str = ""
    start: float = 0.0
    end: float = 0.0
    whole: bool = True
    stamp: str = ""

    @property
    def key(self) -> str:
        """Identifies the item across runs."""
        fields = "\0".join(f"{name}={value}" for name, value in sorted(asdict(self).items()))
        return hashlib.sha256(fields.encode()).hexdigest()[:32]

    @property
    def recording(self) -> Recording:
        """The recording that it is, or is cut from."""
        return Recording(Path(self.audio), self.member or None, self.end - self.start, "", self.sentence, self.language)

    def __str__(self) -> str:
        where = f"{self.kind} {self.sentence!r}" + (f" in {self.language!r}" if self.language else "")
        return where if self.whole else f"{where}, {self.start:.1f} to {self.end:.1f} s"


def items_of(
    source: Path | str,
    *,
    language: str = "",
    languages: Sequence[str] | None = None,
    modality: str | None = None,
    ids: Iterable[str] | None = None,
    window: float = WINDOW_SECONDS,
    hop: float = HOP_SECONDS,
) -> list[Item]:
    """List the items of a folder, a manifest or a corpus.

    Parameters
    ----------
    source : path or str
        A folder: its recordings, and each line of its ``.txt`` files (one with the name of a recording next to it is
        that recording's text). A manifest's file. Or the name of a corpus.
    language : str
        Of all that a folder holds.
    languages : sequence of str, optional
        Of a manifest or corpus: these only.
    modality : {"text", "speech"}, optional
        One only.
    ids : iterable of str, optional
        Of a manifest or corpus: these sentences only.
    window, hop : float
        Seconds; see :func:`windows`.

    Returns
    -------
    list of Item
        In a fixed order.

    Raises
    ------
    UsageError
        If there is no such source, an option does not fit it, or nothing is asked for.
    DataError
        If a file is damaged, or nothing is found.
    """
    if modality is not None and modality not in MODALITIES:
        raise UsageError(f"modality {modality!r} is unknown; {did_you_mean(modality, MODALITIES)}")
    if not 0 < hop <= window:
        raise UsageError(f"windows of {window:g} s every {hop:g} s: both must be above 0, the hop at most the window")
    wanted = MODALITIES if modality is None else (modality,)
    path = Path(source).expanduser()
    if path.is_dir():
        if languages is not None or ids is not None:
            raise UsageError(
                "a folder has neither languages nor ids to choose from: make a manifest, or leave them out"
            )
        items = list(_of_folder(path, language, wanted, window, hop))
    else:
        if language:
            raise UsageError("language is for folders: a manifest and a corpus name their own")
        items = list(_of_corpus(_corpus(source, path, languages), languages, wanted, ids, window, hop))
    if not items:
        raise DataError(f"{source} holds nothing to index ({' or '.join(wanted)}): name another folder or manifest")
    return items


def check_source(source: Path | str) -> None:
    """Refuse a source that is no folder, manifest or corpus; nothing of it is read."""
    path, known = Path(source).expanduser(), corpora.sources()
    manifest = path.suffix.lower() in MANIFESTS and path.is_file()
    if not (path.is_dir() or manifest or str(source) in known):
        endings = ", ".join(sorted(MANIFESTS))
        raise UsageError(
            f"there is no folder, manifest ({endings}) or corpus {str(source)!r}; {did_you_mean(str(source), known)}"
        )


def windows(seconds: float, window: float = WINDOW_SECONDS, hop: float = HOP_SECONDS) -> list[tuple[float, float]]:
    """Return start and end of the windows of a recording: the whole, if it is no longer than one.

    They begin a hop apart; the last one ends where the recording ends, so that all are equally long.
    """
    if seconds <= window:
        return [(0.0, seconds)]
    starts = [index * hop for index in range(int((seconds - window) // hop) + 1)]
    if starts[-1] + window < seconds:
        starts.append(seconds - window)
    return [(start, start + window) for start in starts]


def _corpus(source: Path | str, path: Path, languages: Sequence[str] | None) -> Corpus:
    if path.suffix.lower() in MANIFESTS:
        return corpora.load("manifest", path=path)
    check_source(source)
    if languages and corpora.takes(str(source), "languages"):
        return corpora.load(str(source), languages=list(languages))
    return corpora.load(str(source))


def _of_corpus(
    corpus: Corpus,
    languages: Sequence[str] | None,
    wanted: Sequence[str],
    ids: Iterable[str] | None,
    window: float,
    hop: float,
) -> Iterator[Item]:
    for language in languages or ():
        if language not in corpus.languages:
            raise UsageError(
                f"{corpus.name!r} has no language {language!r}: {did_you_mean(language, corpus.languages)}"
            )
    keep = list(dict.fromkeys(ids)) if ids is not None else list(corpus.sentences)
    known = set(corpus.sentences)
    for sentence in keep:
        if sentence not in known:
            raise UsageError(f"{corpus.name!r} has no sentence {sentence!r}: {did_you_mean(sentence, known)}")
    for language in languages or corpus.languages:
        for sentence in keep:
            text = corpus.text(sentence, language)
            if "text" in wanted and text:
                yield Item("text", language, sentence, text)
            if "speech" in wanted:
                for recording in corpus.recordings(sentence, language):
                    yield from _cut(recording, language, sentence, text or "", window, hop)


def _of_folder(folder: Path, language: str, wanted: Sequence[str], window: float, hop: float) -> Iterator[Item]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    recordings = [path for path in files if path.suffix.lower() in SUFFIXES]
    spoken = {path.with_suffix("") for path in recordings}
    for path in recordings if "speech" in wanted else ():
        beside = path.with_suffix(".txt")
        text = " ".join(_read(beside).split()) if beside in files else ""
        name = path.relative_to(folder).as_posix()
        recording = Recording(path, None, seconds_of(path), "", name, language)
        yield from _cut(recording, language, name, text, window, hop)
    for path in files if "text" in wanted else ():
        if path.suffix.lower() != ".txt" or path.with_suffix("") in spoken:
            continue
        for number, line in enumerate(_read(path).splitlines(), 1):
            if line.strip():
                yield Item("text", language, f"{path.relative_to(folder).as_posix()}:{number}", line.strip())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"text {path} cannot be read as UTF-8 ({error}): save it in that encoding") from error


def _cut(recording: Recording, language: str, sentence: str, text: str, window: float, hop: float) -> Iterator[Item]:
    path = recording.path
    try:
        state = path.stat()
    except OSError as error:
        raise DataError(f"recording {path} is missing or cannot be read ({error.strerror})") from error
    stamp = f"{state.st_size}.{state.st_mtime_ns}"
    audio, member = str(path.resolve()), recording.member or ""
    cuts = windows(recording.seconds, window, hop)
    whole, first = len(cuts) == 1 and recording.start is None, recording.start or 0.0
    for start, end in cuts:
        yield Item(
            "speech", language, sentence, text, audio=audio, member=member, start=round(first + start, 3),
            end=round(first + end, 3), whole=whole, stamp=stamp,
        )  # fmt: skip
