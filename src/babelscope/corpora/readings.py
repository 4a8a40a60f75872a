"""Sentences that several people read: which recording is the primary one, which are broken or truncated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from babelscope.audio import seconds_of
from babelscope.corpora.corpus import COLUMNS, Corpus
from babelscope.corpora.options import Broken, Choice
from babelscope.corpora.packing import Packed
from babelscope.corpora.problems import Problem
from babelscope.corpora.truncation import TOO_SHORT, too_short
from babelscope.errors import DataError

#: Seconds by which a recording may be shorter than its row says.
_SHORT = 0.1


@dataclass(frozen=True)
class Row:
    """One recording of one sentence, as a data set lists it; `where` is the file and row, for messages.

    `file` is the recording's name, as :attr:`Split.locate` takes it, and empty if there is none; `seconds` what the
    data set states; `gender` is in lower case, or empty; `cluster` the document that the sentence is of.
    """

    where: str
    split: str
    sentence: str
    file: str
    text: str
    seconds: float | None
    reader: str
    gender: str = ""
    cluster: str | None = None


@dataclass(frozen=True)
class Place:
    """Where a recording is; `content` is what two copies of it have in common, where that is known."""

    audio: str
    member: str | None
    seconds: float
    content: tuple[int, int] | None = None


@dataclass(frozen=True)
class Split:
    """One split of one language: its rows, in order, and where their recordings are."""

    rows: list[Row]
    locate: Callable[[str], Place | str] | None
    """Where a recording is, or what is wrong with it; None if only texts are requested."""


@dataclass(frozen=True)
class _Recording:
    row: Row
    place: Place


@dataclass
class _Language:
    """The first row of each sentence in one language, and its recordings."""

    first: dict[str, Row] = field(default_factory=dict)
    recordings: dict[str, list[_Recording]] = field(default_factory=dict)
    copies: int = 0


def in_zip(packed: Packed, source: Path) -> Callable[[str], Place | str]:
    """Return how recordings that were packed out of `source` are found."""

    def locate(name: str) -> Place | str:
        if name in packed.seconds:
            return Place(str(packed.path), name, packed.seconds[name], packed.contents[name])
        return packed.broken.get(name, f"recording {name} is not in {source}")

    return locate


def in_folder(folder: Path) -> Callable[[str], Place | str]:
    """Return how recordings in a folder are found."""

    def locate(name: str) -> Place | str:
        try:
            return Place(str(folder / name), None, seconds_of(folder / name))
        except DataError as error:
            return str(error)

    return locate


def assemble(
    splits: Mapping[str, Sequence[Split]],
    choice: Choice,
    broken: Broken,
    *,
    title: str,
    licence: str,
    attribution: str,
    notes: Sequence[str] = (),
    labels: Mapping[str, Mapping[str, Any]] | None = None,
    readers_are_groups: bool = False,
) -> Corpus:
    """Return the corpus of the splits of each language; labels are by sentence.

    `broken` has the problems of rows, and gets those of recordings. A DataError says that there is no row.
    """
    chosen = list(splits)
    clusters: dict[str, str] = {}
    read = {language: _read(language, own, broken, clusters) for language, own in splits.items()}
    if not any(own.first for own in read.values()):
        names = dict.fromkeys(row.split for own in splits.values() for split in own for row in split.rows)
        raise DataError(
            f"corpus {choice.corpus!r} has no row in {', '.join(names) or 'its files'} of {', '.join(chosen)}"
        )
    problems = _truncated(read, choice)
    rows: list[tuple[Any, ...]] = []
    without: dict[str, int] = {}
    for language, own in read.items():
        own_rows, without[language] = _cells(language, own, choice)
        rows += own_rows
    order = {language: place for place, language in enumerate(chosen)}
    numbers = all(row[0].isdecimal() for row in rows)
    # Stable: recordings keep their order.
    rows.sort(key=lambda row: (int(row[0]) if numbers else row[0], order[row[1]]))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    if clusters:
        table["cluster"] = table["sentence"].map(clusters)
    copies = sum(own.copies for own in read.values())
    excluded = f"{copies} recordings are byte for byte copies of another one of the same sentence: excluded."
    return Corpus(
        table,
        name=choice.corpus,
        title=title,
        licence=licence,
        attribution=attribution,
        notes=[*([excluded] if copies else []), *choice.notes(), *notes, *broken.notes()],
        languages=chosen,
        lost=_lost(chosen, choice, without, broken),
        labels=pd.DataFrame.from_dict(dict(labels), orient="index") if labels else None,
        problems=problems,
        readers_are_groups=readers_are_groups,
    )


def _read(language: str, splits: Sequence[Split], broken: Broken, clusters: dict[str, str]) -> _Language:
    """Return the rows of a language; the documents of its sentences are added to `clusters`."""
    read = _Language()
    for split in splits:
        for row in split.rows:
            earlier = read.first.setdefault(row.sentence, row)
            wrong = ""
            if earlier.split != row.split:
                wrong = f"{row.where} has id {row.sentence}, and so has {earlier.where}: an id is in one split only"
            elif earlier.text != row.text:
                wrong = f"{row.where} has another text for id {row.sentence} than {earlier.where}"
            if wrong:
                broken.add(language, wrong, row.sentence)
                continue
            if row.cluster is not None:  # one sentence may be in two documents: the same one counts in all languages
                clusters[row.sentence] = min(row.cluster, clusters.get(row.sentence, row.cluster))
            recordings = read.recordings.setdefault(row.sentence, [])
            if split.locate is None or not row.file:
                continue
            place = split.locate(row.file)
            if not isinstance(place, str) and row.seconds is not None and place.seconds < row.seconds - _SHORT:
                place = f"recording {row.file} lasts {place.seconds:.2f} s, {row.seconds:.2f} s are claimed"
            if isinstance(place, str):
                broken.add(language, f"{row.where}, id {row.sentence}: {place}", row.sentence)
            elif place.content and any(place.content == other.place.content for other in recordings):
                read.copies += 1  # not another reader: the noise ceiling would be perfect
            else:
                recordings.append(_Recording(row, place))
    return read


def _truncated(read: Mapping[str, _Language], choice: Choice) -> list[Problem]:
    """Report recordings that are far too short for their text, and drop them if requested."""
    where: list[str] = []
    for language, own in read.items():
        listed = [each for recordings in own.recordings.values() for each in recordings]
        if not listed:
            continue
        short = too_short(
            [each.row.sentence for each in listed],
            [each.row.text for each in listed],
            [each.place.seconds for each in listed],
        )
        for each, bad in zip(listed, short, strict=True):
            if bad:
                where.append(f"language {language!r}, sentence {each.row.sentence!r}, {each.place.seconds:.2f} s")
                if choice.truncated == "drop":
                    own.recordings[each.row.sentence].remove(each)
    if not where:
        return []
    what, places = f"{len(where)} recordings are far too short for their text", tuple(where[:20])
    if choice.truncated == "drop":
        return [Problem(TOO_SHORT, "note", f"{what}, and were dropped", "", len(where), places)]
    return [Problem(TOO_SHORT, "warning", what, "exclude them with truncated='drop'", len(where), places)]


def _cells(language: str, read: _Language, choice: Choice) -> tuple[list[tuple[Any, ...]], int]:
    """Return the rows of a language's table, and how many sentences have no recording under the rule."""
    others = choice.others or choice.recording == "all"
    table: list[tuple[Any, ...]] = []
    lacking = 0
    for sentence, recordings in read.recordings.items():
        kept = _ordered(recordings, choice.recording)
        lacking += bool(recordings) and not kept
        start = (sentence, language, read.first[sentence].text)
        for each in kept if others else kept[:1]:
            place = each.place
            table.append((*start, place.audio, place.member, each.row.reader or None, place.seconds))
        if not kept:
            table.append((*start, None, None, None, float("nan")))
    return table, lacking


def _ordered(recordings: list[_Recording], rule: str) -> list[_Recording]:
    if rule == "longest":
        return sorted(recordings, key=lambda each: -each.place.seconds)
    if rule == "shortest":
        return sorted(recordings, key=lambda each: each.place.seconds)
    if rule in ("male", "female"):
        ordered = sorted(recordings, key=lambda each: each.row.gender != rule)
        return ordered if ordered and ordered[0].row.gender == rule else []
    return recordings


def _lost(chosen: list[str], choice: Choice, without: Mapping[str, int], broken: Broken) -> pd.DataFrame:
    rows: list[tuple[str, str, int]] = []
    if broken.sentences:
        counts = {language: len(broken.sentences.get(language, ())) for language in chosen}
        rows += [("broken=drop", language, count) for language, count in counts.items()]
        rows.append(("broken=drop", "any", len(set().union(*broken.sentences.values()))))
    if choice.audio and choice.recording in ("male", "female"):
        rows += [(f"recording={choice.recording}", language, without[language]) for language in chosen]
    return pd.DataFrame(rows, columns=["filter", "language", "sentences"])
