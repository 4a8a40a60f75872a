"""A parallel corpus: sentences x languages, each cell a text and any number of recordings."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from babelscope.audio import Recording
from babelscope.cache import sha256_of
from babelscope.corpora.problems import COLUMN_NOT_READ, Problem
from babelscope.corpora.words import count_words
from babelscope.errors import DataError, UsageError, did_you_mean
from babelscope.languages import standard

#: Columns of a corpus's table. One row is one recording; a cell without recordings is one row without ``audio``.
COLUMNS: tuple[str, ...] = ("sentence", "language", "text", "audio", "member", "reader", "seconds")
#: Further columns, which a table may lack.
OPTIONAL_COLUMNS: tuple[str, ...] = ("start", "cluster")

MODALITIES: tuple[str, ...] = ("text", "speech")

_ROWS = 2**16  # of the table that are Python's strings at a time

_LOST_COLUMNS = ("filter", "language", "sentences")

#: Cells without a text or recording that are named one by one; beyond, :attr:`Corpus.lost` counts them.
_NAMED = 100


class _Cell(NamedTuple):
    text: str | None = None
    recordings: tuple[Recording, ...] = ()

    def has(self, modalities: Sequence[str]) -> bool:
        spoken = "speech" not in modalities or bool(self.recordings)
        return spoken and ("text" not in modalities or self.text is not None)


_EMPTY = _Cell()


class Corpus:
    """An immutable view on one table of texts and recordings.

    Parameters
    ----------
    table : DataFrame
        Columns :data:`COLUMNS` and :data:`OPTIONAL_COLUMNS`, one row a recording. ``sentence``, ``language``: str.
        ``text``: str, the same in all rows of a cell, or missing. ``audio``: path of a file, or of a zip archive if
        ``member`` is given, or missing. ``reader``: str or missing. ``seconds``: float, missing only without
        ``audio``. ``start``: float, seconds into the file at which the recording begins, missing for a whole file; such
        a recording ends after ``seconds``. ``cluster``: str or missing, the same in all rows of a sentence. The
        columns :data:`OPTIONAL_COLUMNS` may be absent. The first row of a cell is its primary recording.
    name, title, licence, attribution : str
        Name and title for display; SPDX identifiers; who must be credited.
    notes : sequence of str
        Caveats for its results.
    languages : sequence of str, optional
        Their order; that of first appearance if left out.
    left_out : sequence of str
        Parts of the source that could not be used, a line each with the reason.
    labels : DataFrame, optional
        Further columns that describe sentences, as a topic; indexed by sentence.
    problems : sequence of Problem
        Problems that were noticed while the source was read.
    readers_are_groups : bool
        Whether a reader's name stands for several people, such as the women of a language; two recordings of a sentence
        are then by two people, whatever the names.

    Attributes
    ----------
    name, title, licence, attribution : str
    notes : tuple of str
    lost : DataFrame
        What filters dropped: ``filter``, ``language`` (or "any"), ``sentences`` (how many lacked it in that language; a
        sentence can be counted in several languages, and is counted once in "any").
    left_out : tuple of str
        What was excluded and why, a line each, where bad data are skipped: parts of the source that could not be used,
        and cells without a text or recording for which :meth:`select` dropped a sentence.
    clusters : dict
        Sentence to the document or family that it belongs to, where known.
    labels : DataFrame
        One row a sentence; no columns if there are none.
    problems : tuple of Problem

    Raises
    ------
    DataError
        If the table has a duplicate row, two clusters for one sentence, two texts in one cell, or a cell with neither
        text nor recording.

    Examples
    --------
    >>> from babelscope import corpora
    >>> corpus = corpora.load("asterisk").select(languages=["en", "it"], min_words=4, n=20)  # doctest: +SKIP
    >>> corpus.text("vm-goodbye", "it")  # doctest: +SKIP
    'Arrivederci'
    """

    def __init__(
        self,
        table: pd.DataFrame,
        *,
        name: str,
        title: str = "",
        licence: str = "",
        attribution: str = "",
        notes: Sequence[str] = (),
        languages: Sequence[str] | None = None,
        lost: pd.DataFrame | None = None,
        left_out: Sequence[str] = (),
        labels: pd.DataFrame | None = None,
        problems: Sequence[Problem] = (),
        readers_are_groups: bool = False,
    ) -> None:
        self.name = name
        self.title = title or name
        self.licence = licence
        self.attribution = attribution
        self.notes = tuple(notes)
        columns = [table.loc[:, list(COLUMNS)], table.reindex(columns=list(OPTIONAL_COLUMNS))]
        self._table = pd.concat(columns, axis=1).reset_index(drop=True)
        self.left_out = tuple(left_out)
        self.problems = tuple(problems)
        self.readers_are_groups = readers_are_groups
        self._lost = lost if lost is not None else pd.DataFrame(columns=list(_LOST_COLUMNS))
        self.languages: tuple[str, ...] = tuple(languages or dict.fromkeys(self._table["language"]))
        self.sentences: tuple[str, ...] = tuple(dict.fromkeys(self._table["sentence"]))
        self._known = frozenset(self.sentences)
        self.clusters = self._read_clusters()
        self.labels = (pd.DataFrame() if labels is None else labels).reindex(list(self.sentences))
        self._check_cells()
        self._fingerprints: dict[bool, str] = {}
        self._contents = _Contents()

    def _read_clusters(self) -> dict[str, str]:
        known = self._table.loc[self._table["cluster"].notna(), ["sentence", "cluster"]].drop_duplicates()
        twice = known.loc[known.duplicated("sentence"), "sentence"]
        if len(twice):
            names = known.loc[known["sentence"] == twice.iloc[0], "cluster"].tolist()
            raise DataError(
                f"corpus {self.name!r} has two clusters for sentence {twice.iloc[0]!r}: {names[0]!r} and {names[1]!r}"
            )
        return dict(zip(known["sentence"].tolist(), known["cluster"].tolist(), strict=True))

    def _check_cells(self) -> None:
        cell = ["sentence", "language"]
        again = self._table.duplicated([*cell, "audio", "member", "start"]).to_numpy().nonzero()[0]
        if again.size:
            row = self._table.iloc[int(again[0])]
            what = "recording" if _or_none(row["audio"]) is not None else "text-only row"
            cell_of = f"sentence {row['sentence']!r}, language {row['language']!r}"
            raise DataError(f"corpus {self.name!r} has a {what} twice for {cell_of}")
        written = self._table.loc[self._table["text"].notna(), [*cell, "text"]].drop_duplicates()
        twice = written[written.duplicated(cell, keep=False)]
        if len(twice):
            last = written[written.duplicated(cell)].iloc[0]
            texts = twice["text"][(twice[cell] == last[cell]).all(axis=1)].tolist()
            raise DataError(
                f"corpus {self.name!r} has two texts for sentence {last['sentence']!r}, language "
                f"{last['language']!r}: {texts[0]!r} and {texts[1]!r}"
            )
        bare = self._table["text"].isna() & self._table["audio"].isna()
        if bare.any():
            own = pd.MultiIndex.from_frame(self._table.loc[bare, cell])
            empty = own[~own.isin(pd.MultiIndex.from_frame(self._table.loc[~bare, cell]))]
            if len(empty):
                sentence, language = empty[0]
                raise DataError(
                    f"corpus {self.name!r}, sentence {sentence!r}, language {language!r} has neither text nor recording"
                )

    @cached_property
    def _cells(self) -> dict[tuple[str, str], _Cell]:
        # A million rows name few sentences, languages, archives and readers: each string is kept once.
        names = {name: name for name in (*self.sentences, *self.languages)}
        paths: dict[str, Path] = {}
        cells: dict[tuple[str, str], _Cell] = {}
        further: dict[tuple[str, str], list[Recording]] = {}
        for first in range(0, len(self._table), _ROWS):
            rows = self._table.iloc[first : first + _ROWS]
            columns = (rows[column].tolist() for column in (*COLUMNS, "start"))
            for sentence, language, text, audio, member, reader, seconds, start in zip(*columns, strict=True):
                sentence, language = names.setdefault(sentence, sentence), names.setdefault(language, language)
                key = (sentence, language)
                text, audio, member, who = _or_none(text), _or_none(audio), _or_none(member), _or_none(reader)
                heard: tuple[Recording, ...] = ()
                if audio is not None:
                    if (path := paths.get(audio)) is None:
                        path = paths[audio] = Path(audio)
                    who = "" if who is None else names.setdefault(str(who), str(who))
                    begin = None if _or_none(start) is None else float(start)
                    heard = (Recording(path, member, float(seconds), who, sentence, language, begin),)
                before = cells.get(key)
                if before is not None and before.recordings:
                    further.setdefault(key, []).extend(heard)
                    heard = before.recordings
                if before is not None and text is None:
                    text = before.text
                cells[key] = _Cell(text, heard)
        for key, recordings in further.items():
            cells[key] = cells[key]._replace(recordings=(*cells[key].recordings, *recordings))
        return cells

    def __len__(self) -> int:
        return len(self.sentences)

    def __repr__(self) -> str:
        recordings = int(self._table["audio"].notna().sum())
        minutes = float(self._table["seconds"].sum()) / 60
        languages = " ".join(self.languages[:12]) + (" …" if len(self.languages) > 12 else "")
        return (
            f"<Corpus {self.name!r}: {len(self)} sentences x {len(self.languages)} languages ({languages}), "
            f"{recordings} recordings, {minutes:.1f} min>"
        )

    @property
    def table(self) -> pd.DataFrame:
        """The table, a copy."""
        return self._table.copy()

    @property
    def lost(self) -> pd.DataFrame:
        """What the filters dropped, a copy."""
        return self._lost.copy()

    @cached_property
    def readers(self) -> dict[str, tuple[str, ...]]:
        """The readers of each language, as far as known; primary readers first."""
        readers: dict[str, dict[str, None]] = {language: {} for language in self.languages}
        for chosen in (slice(1), slice(1, None)):
            for (_, language), cell in self._cells.items():
                readers[language].update((each.reader, None) for each in cell.recordings[chosen] if each.reader)
        return {language: tuple(names) for language, names in readers.items()}

    def _check_language(self, language: str) -> None:
        if language not in self.languages:
            raise UsageError(f"corpus {self.name!r} has no language {language!r}: {self._meant(language)}")

    def _check_sentence(self, sentence: str) -> None:
        if sentence not in self._known:
            raise UsageError(
                f"corpus {self.name!r} has no sentence {sentence!r}: {did_you_mean(sentence, self.sentences)}"
            )

    def _cell(self, sentence: str, language: str) -> _Cell:
        self._check_language(language)
        self._check_sentence(sentence)
        return self._cells.get((sentence, language), _EMPTY)

    def text(self, sentence: str, language: str) -> str | None:
        """Return the text of a cell, or None.

        Raises
        ------
        UsageError
            If there is no such sentence or language.
        """
        return self._cell(sentence, language).text

    def recordings(self, sentence: str, language: str) -> tuple[Recording, ...]:
        """Return the recordings of a cell; the first is the primary one.

        Raises
        ------
        UsageError
            If there is no such sentence or language.
        """
        return self._cell(sentence, language).recordings

    def second_recording(self, sentence: str, language: str) -> Recording | None:
        """Return the first further recording of a cell by another reader; None if none is known to be.

        Raises
        ------
        UsageError
            If there is no such sentence or language.
        """
        first, *others = self.recordings(sentence, language) or (None,)
        for other in others:
            if self.readers_are_groups or (first is not None and "" != other.reader != first.reader != ""):
                return other
        return None

    def second_readings(self, language: str, max_seconds: float | None = None) -> Corpus | None:
        """Return the sentences of a language that another reader recorded too, with that recording; None without any.

        Parameters
        ----------
        language : str
        max_seconds : float, optional
            Longer second recordings are excluded, as :meth:`select` excludes sentences by their first ones.

        Raises
        ------
        UsageError
            If there is no such language.
        """
        rows = [
            (sentence, language, self.text(sentence, language), str(second.path), second.member, second.reader or None,
             second.seconds, second.start, self.clusters.get(sentence))
            for sentence in self.sentences
            if (second := self.second_recording(sentence, language)) is not None
            and (max_seconds is None or second.seconds <= max_seconds)
        ]  # fmt: skip
        if not rows:
            return None
        table = pd.DataFrame(rows, columns=[*COLUMNS, *OPTIONAL_COLUMNS])
        return self._view(table, title=f"{self.title}: second recordings of {language}", languages=[language])

    def _view(self, table: pd.DataFrame, **about: Any) -> Corpus:
        """Return another table of this corpus; `about` overrides what is taken from it."""
        own = ("name", "title", "licence", "attribution", "notes")
        return Corpus(table, **({name: getattr(self, name) for name in own} | about))

    def describe(self) -> pd.DataFrame:
        """Return a row a language: ``texts``, ``recordings``, ``pairs`` (cells with both), ``minutes``, ``readers``."""
        columns = ("texts", "recordings", "pairs", "minutes")
        counted: dict[str, dict[str, float]] = {language: dict.fromkeys(columns, 0) for language in self.languages}
        for (_, language), cell in self._cells.items():
            row = counted[language]
            row["texts"] += cell.text is not None
            row["recordings"] += len(cell.recordings)
            row["pairs"] += cell.text is not None and bool(cell.recordings)
            row["minutes"] += sum(recording.seconds for recording in cell.recordings) / 60
        table = pd.DataFrame.from_dict(counted, orient="index", columns=list(columns)).rename_axis("language")
        table["readers"] = [len(self.readers[language]) for language in table.index]
        return table.astype(dict.fromkeys(("texts", "recordings", "pairs", "readers"), int))

    def select(
        self,
        *,
        languages: Sequence[str] | None = None,
        ids: Iterable[str] | None = None,
        min_words: int | None = None,
        max_seconds: float | None = None,
        distinct: bool = False,
        n: int | None = None,
        seed: int = 0,
        modalities: Sequence[str] = MODALITIES,
        complete: bool = True,
        skip_bad: bool = False,
    ) -> Corpus:
        """Return the part of the corpus that passes every filter; :attr:`lost` counts what each one drops.

        The filters are applied in this order: ids, complete, min_words, max_seconds, distinct, n.

        Parameters
        ----------
        languages : sequence of str, optional
            These only, in this order.
        ids : iterable of str, optional
            These sentences only.
        min_words : int, optional
            Each text of a sentence has at least so many words, counted by :func:`babelscope.corpora.count_words`.
        max_seconds : float, optional
            Each primary recording of a sentence lasts at most so long.
        distinct : bool
            Of sentences with the same wording in any chosen language (but for case, spaces and punctuation), keep the
            first: retrieval cannot tell two identical sentences apart.
        n : int, optional
            So many sentences, drawn without replacement. Which ones depends on the ids and `seed` only, not on their
            order.
        seed : int
            For `n`.
        modalities : sequence of {"text", "speech"}
            What `complete` requires of every cell.
        complete : bool
            Keep only sentences that have every modality in every language; otherwise those that have them in at least
            one.
        skip_bad : bool
            Name in :attr:`left_out` the cells that `complete` misses, up to 100 of them.

        Returns
        -------
        Corpus

        Raises
        ------
        UsageError
            For an unknown language, id or modality, a filter out of range, or fewer than `n` sentences left.
        DataError
            If a language has no cell with every modality ("no pair"), or no sentence is left.
        """
        chosen = self._chosen_languages(languages)
        check_modalities(modalities)
        wanted = tuple(dict.fromkeys(modalities))
        for key, value, least in (("min_words", min_words, 0), ("n", n, 1)):
            if value is not None and value < least:
                raise UsageError(f"{key} is {value}: it must be {least} or more")
        if max_seconds is not None and not max_seconds > 0:
            raise UsageError(f"max_seconds is {max_seconds}: it must be above 0")
        self._refuse_unpaired(chosen, wanted)

        left = [sentence for sentence in self.sentences if any((sentence, own) in self._cells for own in chosen)]
        lost: list[tuple[str, str, int]] = []
        if ids is not None:
            keep = self._known_ids(ids)
            lost.append(("ids", "any", sum(sentence not in keep for sentence in left)))
            left = [sentence for sentence in left if sentence in keep]

        def drop(name: str, fails: dict[str, set[str]], *, every: bool = True) -> None:
            nonlocal left
            gone = set().union(*fails.values()) if every else set.intersection(*fails.values())
            lost.extend((name, language, len(failed)) for language, failed in fails.items())
            lost.append((name, "any", len(gone)))
            left = [sentence for sentence in left if sentence not in gone]

        def failing(test: Callable[[_Cell], bool]) -> dict[str, set[str]]:
            cells = self._cells
            return {own: {name for name in left if test(cells.get((name, own), _EMPTY))} for own in chosen}

        lacking = failing(lambda cell: not cell.has(wanted))
        drop("complete" if complete else "present", lacking, every=complete)
        if min_words is not None:
            few = failing(lambda cell: cell.text is not None and count_words(cell.text) < min_words)
            drop(f"min_words={min_words}", few)
        if max_seconds is not None:
            long = failing(lambda cell: any(each.seconds > max_seconds for each in cell.recordings[:1]))
            drop(f"max_seconds={max_seconds:g}", long)
        if distinct:
            drop("distinct", {language: self._repeated(left, language) for language in chosen})
        if not left:
            raise DataError(f"corpus {self.name!r}: no sentence passes the filters; {_costliest(lost)}")
        if n is not None:
            if n > len(left):
                raise UsageError(
                    f"corpus {self.name!r} has {len(left)} sentences after the filters, {n} were asked for; "
                    f"{_costliest(lost)}"
                )
            drawn = set(sorted(left, key=lambda sentence: _draw(seed, sentence))[:n])
            lost.append((f"n={n}", "any", len(left) - n))
            left = [sentence for sentence in left if sentence in drawn]
        table = pd.DataFrame(lost, columns=list(_LOST_COLUMNS))
        rows = self._table["sentence"].isin(left) & self._table["language"].isin(chosen)
        return self._view(
            self._table[rows],
            languages=chosen,
            lost=pd.concat([self._lost, table], ignore_index=True) if len(self._lost) else table,
            left_out=(*self.left_out, *self._named(lacking, wanted)) if skip_bad else self.left_out,
            labels=self.labels,
            problems=self.problems,
            readers_are_groups=self.readers_are_groups,
        )

    def _named(self, lacking: dict[str, set[str]], modalities: Sequence[str]) -> Iterator[str]:
        """Yield a line for each of the first cells that lack something."""
        cells = ((sentence, own) for sentence in self.sentences for own in lacking if sentence in lacking[own])
        for sentence, language in islice(cells, _NAMED):
            what = [name for name in modalities if not self._cells.get((sentence, language), _EMPTY).has([name])]
            names = " and no ".join({"text": "text", "speech": "recording"}[name] for name in what)
            yield f"sentence {sentence!r} has no {names} in {language!r}"
        if (more := sum(map(len, lacking.values())) - _NAMED) > 0:
            yield f"{more} more lack a text or recording"

    def _repeated(self, sentences: Sequence[str], language: str) -> set[str]:
        seen: set[str] = set()
        repeated: set[str] = set()
        for sentence in sentences:
            if (text := self._cells.get((sentence, language), _EMPTY).text) is None:
                continue
            wording = "".join(character for character in text.casefold() if character.isalnum()) or text
            (repeated if wording in seen else seen).add(sentence if wording in seen else wording)
        return repeated

    def _chosen_languages(self, languages: Sequence[str] | None) -> tuple[str, ...]:
        if languages is None:
            return self.languages
        check_languages(languages)
        for language in languages:
            self._check_language(language)
        return tuple(languages)

    def _meant(self, language: str) -> str:
        """Return a hint at the language that is meant: the same one by another code, or one with a similar code."""
        same = [own for own in self.languages if standard(own) == standard(language)]
        return did_you_mean(language, same or self.languages) if len(same) != 1 else f"did you mean {same[0]!r}?"

    def _known_ids(self, ids: Iterable[str]) -> set[str]:
        if isinstance(ids, str):
            raise UsageError(f"ids is a list, as in [{ids!r}]")
        listed = list(ids)
        for sentence in listed:
            self._check_sentence(sentence)
        if len(set(listed)) < len(listed):
            twice = next(sentence for sentence in listed if listed.count(sentence) > 1)
            raise UsageError(f"ids names {twice!r} twice")
        return set(listed)

    def _refuse_unpaired(self, languages: Sequence[str], modalities: Sequence[str]) -> None:
        table = self.describe()
        have = {"text": table["texts"], "speech": table["recordings"]}
        counted = table["pairs"] if len(modalities) > 1 else have[modalities[0]]
        for language in languages:
            if counted[language]:
                continue
            texts, recordings = int(table["texts"][language]), int(table["recordings"][language])
            good = [other for other in self.languages if counted[other]]
            what = "no pair of text and recording" if len(modalities) > 1 else f"no {modalities[0]}"
            for problem in self.problems:
                if problem.kind == COLUMN_NOT_READ and not good:
                    raise DataError(f"{problem.message}: {problem.remedy}")
            raise DataError(
                f"corpus {self.name!r}, language {language!r} has {what} ({texts} texts, {recordings} recordings): "
                f"exclude it, or request one modality; languages that have it: {', '.join(good) or 'none'}"
            )

    def fingerprint(self, *, skip_bad: bool = False) -> str:
        """Return a sha256 over every text, reader and duration, and over the content of every recording.

        Paths do not enter: the same corpus in another place has the same fingerprint. The order of cells does not enter
        either; the order of a cell's recordings does, for the first is the one that studies use. Members of archives
        count by CRC-32 and size, files by their own sha256; a segment of a file counts by its start as well. Clusters
        and labels do not enter: they change no activation.

        Parameters
        ----------
        skip_bad : bool
            Let a recording that is missing, or whose archive is damaged, count as such: a corpus that lacks it is
            another than one that has it.

        Raises
        ------
        DataError
            If a recording is missing, unless `skip_bad`.
        """
        if skip_bad in self._fingerprints:
            return self._fingerprints[skip_bad]
        total = hashlib.sha256()
        for (sentence, language), cell in sorted(self._cells.items()):
            fields = [sentence, language, "\0" if cell.text is None else cell.text]
            for recording in cell.recordings:
                content = self._contents.of(recording, skip_bad=skip_bad)
                fields += [recording.reader, f"{recording.seconds:.3f}", content]
                if recording.start is not None:
                    fields.append(f"from {recording.start:.3f}")
            for field in fields:
                data = field.encode()
                total.update(len(data).to_bytes(8, "little") + data)
            total.update(b"\xff" * 8)
        self._fingerprints[skip_bad] = total.hexdigest()
        return self._fingerprints[skip_bad]

    def content(self, sentence: str, language: str) -> str:
        """Return a digest of the content of a sentence's first recording, which does not depend on its path.

        "missing" if it cannot be read, empty if there is none. Nothing is read twice.
        """
        recordings = self.recordings(sentence, language)
        return self._contents.of(recordings[0], skip_bad=True) if recordings else ""


class _Contents:
    """Identifies the content of recordings, opening every archive and every file once."""

    def __init__(self) -> None:
        self._archives: dict[Path, dict[str, str]] = {}
        self._files: dict[Path, str] = {}

    def of(self, recording: Recording, *, skip_bad: bool) -> str:
        try:
            return self._of(recording)
        except DataError:
            if not skip_bad:
                raise
            return "missing"

    def _of(self, recording: Recording) -> str:
        if recording.member is None:
            if recording.path not in self._files:
                try:
                    self._files[recording.path] = sha256_of(recording.path)
                except OSError as error:
                    raise DataError(f"recording {recording} is missing or cannot be read ({error.strerror})") from error
            return self._files[recording.path]
        if recording.path not in self._archives:
            try:
                with zipfile.ZipFile(recording.path) as archive:
                    listed = {info.filename: f"{info.CRC:08x}:{info.file_size}" for info in archive.infolist()}
            except (OSError, zipfile.BadZipFile) as error:
                raise DataError(f"recording {recording}: its archive is missing or damaged ({error})") from error
            self._archives[recording.path] = listed
        try:
            return self._archives[recording.path][recording.member]
        except KeyError:
            raise DataError(f"recording {recording} is missing: the archive has no such member") from None


def check_modalities(modalities: Sequence[str]) -> None:
    """Refuse what is not a list of modalities."""
    if isinstance(modalities, str) or not modalities:
        raise UsageError("modalities is a list of 'text' and 'speech'")
    for modality in modalities:
        if modality not in MODALITIES:
            raise UsageError(f"there is no modality {modality!r}: {did_you_mean(modality, MODALITIES)}")


def check_languages(languages: Sequence[str]) -> None:
    """Refuse what is not a list of languages, each once."""
    if isinstance(languages, str):
        raise UsageError(f"languages is a list, as in [{languages!r}]")
    if not languages or len(set(languages)) < len(languages):
        raise UsageError(f"languages {list(languages)} names one twice, or none")


def _or_none(value: Any) -> Any:
    return None if value is None or value is pd.NA or value != value else value


def _draw(seed: int, sentence: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{sentence}".encode()).digest()


def _costliest(lost: Sequence[tuple[str, str, int]]) -> str:
    name, _, cost = max(lost, key=lambda row: row[2] if row[1] == "any" else -1)
    if not cost:
        return "no filter dropped any"
    own = [row for row in lost if row[0] == name and row[1] != "any"]
    worst = f", most in {max(own, key=lambda row: row[2])[1]!r}" if len(own) > 1 else ""
    return f"the filter that dropped most is {name} ({cost} sentences{worst})"
