"""The dialogues of the game Fish Fillets: acted speech in Czech and Dutch, text in a dozen languages.

A level's ``dialogs_LL.lua`` is a list of ``dialogId("name", "font", "English")`` and, behind each, the translation
``dialogStr("text")``. ``sound/LEVEL/LL/name.ogg`` is an actor saying that. Only the two strings are read, by pattern;
no Lua is run. The font tells who speaks: the small fish, the big fish, or one of the things that they meet.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from babelscope.audio import seconds_of_member
from babelscope.corpora.corpus import COLUMNS, Corpus
from babelscope.errors import DataError, UsageError, did_you_mean
from babelscope.fetch import ASSETS, asset_folder

NOTES = (
    "Acted dialogue: shouts, jokes, effects on the voice; the things that the fish meet are not always speech.",
    "Two fish say nearly everything: few voices a language.",
    "The translations are free.",
)

#: Fonts of the two fish; another font is the name of who speaks.
_READERS = {"font_small": "small fish", "font_big": "big fish"}

_STRING = r'"((?:[^"\\]|\\.)*)"'
_DIALOGUE = re.compile(
    rf"dialogId\(\s*{_STRING}\s*,\s*{_STRING}\s*,\s*{_STRING}\s*\)(?:\s*dialogStr\(\s*{_STRING}\s*\))?"
)
_SCRIPT = re.compile(r"(.+)/dialogs_([A-Za-z_]+)\.lua")


def load(*, languages: list[str] | None = None) -> Corpus:
    """Load the corpus ``fillets`` from the cache.

    Parameters
    ----------
    languages : list of str, optional
        Only these, as the game names them (``cs``, ``nl``, ``en``, ``de_CH``); all if left out.

    Returns
    -------
    Corpus
        A sentence is a line of dialogue, its id ``level/name``. Only Czech and Dutch are spoken.

    Raises
    ------
    FetchError
        If the asset was not fetched.
    UsageError
        If a language is unknown.
    DataError
        If a file of the asset is damaged.
    """
    folder = asset_folder("fillets")
    texts = _texts(folder / "texts.zip")
    for language in languages or ():
        if language not in texts:
            raise UsageError(f"corpus 'fillets' has no language {language!r}: {did_you_mean(language, texts)}")
    wanted = languages or sorted(texts)
    rows = []
    for language in wanted:
        spoken = _spoken(folder / f"{language}.zip")
        for sentence, (text, who) in texts[language].items():
            audio, member, seconds = spoken.get(sentence, (None, None, float("nan")))
            reader = None if audio is None else f"{language} {who}"
            rows.append((sentence, language, text, audio, member, reader, seconds))
    table = pd.DataFrame(rows, columns=list(COLUMNS)).sort_values("sentence", kind="stable", ignore_index=True)
    asset = ASSETS["fillets"]
    return Corpus(
        table,
        name="fillets",
        title="Dialogues of Fish Fillets, acted",
        licence=asset.licence,
        attribution=asset.attribution,
        notes=NOTES,
        languages=wanted,
    )


def read_dialogues(content: bytes, language: str) -> Iterator[tuple[str, str, str]]:
    """Yield (name, text, who speaks) from one list of dialogues.

    Parameters
    ----------
    content : bytes
        UTF-8; what cannot be decoded is replaced.
    language : str
        In ``en`` the text is what ``dialogId`` says, otherwise what ``dialogStr`` says behind it.

    Yields
    ------
    tuple of str
        Lines without a text are left out.
    """
    for match in _DIALOGUE.finditer(content.decode("utf-8-sig", "replace")):
        name, font, english, translated = match.groups()
        said = english if language == "en" else translated
        text = " ".join(re.sub(r"\\(.)", _unescaped, said or "").split())
        if text:
            yield name, text, _READERS.get(font, font.removeprefix("font_"))


def _unescaped(match: re.Match[str]) -> str:
    return " " if match[1] in "nt" else match[1]


def _texts(archive: Path) -> dict[str, dict[str, tuple[str, str]]]:
    """Language to sentence to (text, who speaks); the first of two lines with one name counts."""
    found: dict[str, dict[str, tuple[str, str]]] = {}
    try:
        with zipfile.ZipFile(archive) as opened:
            for name in sorted(opened.namelist()):
                match = _SCRIPT.fullmatch(name)
                if match is None:
                    continue
                for line, text, who in read_dialogues(opened.read(name), match[2]):
                    found.setdefault(match[2], {}).setdefault(f"{match[1]}/{line}", (text, who))
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"dialogues {archive} cannot be read ({error}): fetch 'fillets' again") from error
    if not found:
        raise DataError(f"dialogues {archive} hold no line of dialogue: fetch 'fillets' again")
    return found


def _seconds(info: zipfile.ZipInfo, opened: zipfile.ZipFile) -> float:
    """Return how long a line is; 0 for one that comes along without a sound, which whoever listens to it is told."""
    try:
        return seconds_of_member(info, opened)
    except DataError:
        return 0.0


def _spoken(archive: Path) -> dict[str, tuple[str, str, float]]:
    if not archive.is_file():
        return {}
    try:
        with zipfile.ZipFile(archive) as opened:
            return {
                info.filename.removesuffix(".ogg"): (str(archive), info.filename, _seconds(info, opened))
                for info in opened.infolist()
            }
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"recordings {archive} cannot be read ({error}): fetch 'fillets' again") from error
