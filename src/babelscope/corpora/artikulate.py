"""Artikulate's courses: everyday words, phrases and sentences, read by volunteers in Polish, Greek, Bengali and French.

A local copy of the repository ``KDE/artikulate-data``: ``courses/basic/XX/XX.xml`` with the recordings ``*.ogg``.
All courses translate one English skeleton, so phrases are parallel by their ``foreignId``, or by ``id`` where a course
added a phrase of its own. Properties of the repository (commit 1d05cca3), and how they are handled:

- A phrase that nobody translated has the English text. It is dropped, unless its ``editState`` is ``completed``:
  *supermarket* and *Australia* are Polish too.
- Phrases that a course marks as ``excluded`` are dropped.
- The courses call Greek ``gr`` and Bengali ``ba``; here they are ``el`` and ``bn``.
- ``AUTHORS`` lists the contributors to a course. A sole contributor is taken to be the reader.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

import pandas as pd

from babelscope.audio import seconds_of
from babelscope.corpora.corpus import COLUMNS, MODALITIES, Corpus
from babelscope.corpora.options import data_folder, pick_languages
from babelscope.corpora.problems import Problem
from babelscope.errors import DataError, UsageError

LICENCE = "CC-BY-SA-3.0"
ATTRIBUTION = "Artikulate courses, KDE (KDE/artikulate-data), by the contributors that its AUTHORS files name"
NOTES = (
    "One reader a language, where that is known: language and reader are confounded.",
    "Single words and short phrases are many: min_words, and the label 'type', choose among them.",
    "Texts may be one character long, such as a Bengali digit or a letter of the alphabet.",
)

#: What the courses call a language, where ISO 639-1 has another code.
_ISO = {"ba": "bn", "gr": "el"}
_NAMED = 5


class _Phrase(NamedTuple):
    key: str
    text: str
    sound: str
    unit: str
    title: str
    kind: str
    english: str


def load(path: Path | str, *, languages: Sequence[str] | None = None, modalities: Sequence[str] = MODALITIES) -> Corpus:
    """Load the corpus ``artikulate`` from a local copy.

    Parameters
    ----------
    path : path
        The repository's folder, or its ``courses/basic``.
    languages : list of str, optional
        Only these, in any code that :func:`babelscope.languages.language` knows, or as the courses call them; all if
        left out.
    modalities : sequence of {"text", "speech"}
        ``["text"]``: texts alone; no recording is opened then.

    Returns
    -------
    Corpus
        Sentences by their ``foreignId``. ``labels`` has ``unit`` and ``unit_title`` (the lesson: its id in all courses,
        and its title in the first language), ``type`` (word, expression, sentence or paragraph) and ``english``.

    Raises
    ------
    UsageError
        If there is no such folder or language.
    DataError
        If a course or a recording is damaged.
    """
    root = _root(Path(path))
    chosen = _chosen(root, languages)
    rows: list[tuple[object, ...]] = []
    labels: dict[str, tuple[str, str, str, str]] = {}
    absent: list[str] = []
    for language, folder in chosen.items():
        reader = _reader(folder)
        for phrase in _phrases(folder / f"{folder.name}.xml"):
            labels.setdefault(phrase.key, (phrase.unit, phrase.title, phrase.kind, phrase.english))
            row = (phrase.key, language, phrase.text)
            sound = folder / phrase.sound
            if not phrase.sound or "speech" not in modalities:
                rows.append((*row, None, None, None, float("nan")))
            elif not sound.is_file():
                absent.append(f"{folder.name}/{phrase.sound}")
                rows.append((*row, None, None, None, float("nan")))
            else:
                rows.append((*row, str(sound), None, reader, seconds_of(sound)))
    table = pd.DataFrame(rows, columns=list(COLUMNS)).sort_values("sentence", kind="stable", ignore_index=True)
    columns = ["unit", "unit_title", "type", "english"]
    return Corpus(
        table,
        name="artikulate",
        title="Artikulate's courses: everyday phrases, read by volunteers",
        licence=LICENCE,
        attribution=ATTRIBUTION,
        notes=NOTES,
        languages=list(chosen),
        labels=pd.DataFrame.from_dict(labels, orient="index", columns=columns),
        problems=[_absent(root, absent)] if absent else [],
    )


def _absent(root: Path, names: list[str]) -> Problem:
    return Problem(
        "audio-missing",
        "note",
        f"{len(names)} recordings that the courses name are not in {root}: these phrases have their text only",
        "copy the whole repository to include them",
        len(names),
        tuple(names[:_NAMED]),
    )


def _root(path: Path) -> Path:
    data_folder("artikulate", path)
    root = path / "courses" / "basic" if (path / "courses").is_dir() else path
    if not any(root.glob("*/*.xml")):
        raise UsageError(f"corpus 'artikulate': {root} has no course (looked for {root / 'pl' / 'pl.xml'})")
    return root


def _chosen(root: Path, given: Sequence[str] | None) -> dict[str, Path]:
    """Language to folder, of the courses that are there and asked for."""
    known = {
        _ISO.get(folder.name, folder.name): folder
        for folder in sorted(root.iterdir())
        if (folder / f"{folder.name}.xml").is_file()
    }
    if given is not None and not isinstance(given, str):
        given = [_ISO.get(code, code) for code in given]
    return {language: known[language] for language in pick_languages("artikulate", given, known)}


def _reader(folder: Path) -> str | None:
    try:
        listed = (folder / "AUTHORS").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    # As "2013  Magdalena Konkiewicz <konkiewicz.m@gmail.com>".
    names = [line.partition("<")[0].strip(" 0123456789") for line in listed if "<" in line]
    return names[0] if len(names) == 1 else None


def _phrases(path: Path) -> Iterator[_Phrase]:
    try:
        content = path.read_text(encoding="utf-8")
        if "<!DOCTYPE" in content:  # courses have none; entities could expand without end
            raise DataError(f"course {path} declares a document type: refused")
        root = ElementTree.fromstring(content)  # noqa: S314 (there are no entities)
    except (OSError, UnicodeDecodeError, ElementTree.ParseError) as error:
        raise DataError(f"course {path} cannot be read ({error}): get it again") from error
    seen: set[str] = set()
    for unit in root.iter("unit"):
        for phrase in unit.iter("phrase"):
            key, text, english = _key(phrase), _content(phrase, "text"), _content(phrase, "i18nText")
            untranslated = text == english and _content(phrase, "editState") != "completed"
            if not text or untranslated or _content(phrase, "excluded") == "true":
                continue
            sound = _content(phrase, "soundFile")
            if not key or key in seen:
                raise DataError(f"course {path} has {'the id twice of' if key else 'no id for'} {text!r}: get it again")
            if PurePath(sound).name != sound or "\\" in sound or sound == "..":
                raise DataError(f"course {path} names the file {sound!r} for {text!r}: it must be a plain name")
            seen.add(key)
            yield _Phrase(key, text, sound, _key(unit), _content(unit, "title"), _content(phrase, "type"), english)
    if not seen:
        raise DataError(f"course {path} has no translated phrase: get it again")


def _key(element: ElementTree.Element) -> str:
    return (_content(element, "foreignId") or _content(element, "id")).strip("{}")


def _content(element: ElementTree.Element, name: str) -> str:
    return " ".join((element.findtext(name) or "").split())
