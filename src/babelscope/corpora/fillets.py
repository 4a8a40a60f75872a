"""The dialogues of the game Fish Fillets: acted speech in Czech and Dutch, text in a dozen languages.

A level's ``dialogs_LL.lua`` is a list of ``dialogId("name", "font", "English")`` and, after each, the translation
``dialogStr("text")``. ``sound/LEVEL/LL/name.ogg`` is an actor saying that. Only the two strings are read, by pattern;
no Lua is run. The font identifies the speaker: the small fish, the big fish, or one of the things that they meet.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from babelscope.audio import seconds_of_member
from babelscope.corpora.assets import Recorded, Row, asset_corpus, chosen, open_archive, recordings_in
from babelscope.corpora.corpus import Corpus
from babelscope.errors import DataError
from babelscope.fetch import asset_folder

NOTES = (
    "Acted dialogue: shouts, jokes, effects on the voice; the things that the fish meet are not always speech.",
    "Two fish say nearly everything: few voices a language.",
    "The translations are free.",
)

#: Fonts of the two fish; any other font is named after its speaker.
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
    wanted = chosen("fillets", languages, texts)
    rows: list[Row] = []
    for language in wanted:
        archive = folder / f"{language}.zip"
        spoken = recordings_in(archive, "fillets", measure=_seconds) if archive.is_file() else {}
        for sentence, (text, speaker) in texts[language].items():
            audio, member, seconds = spoken.get(sentence, Recorded())
            reader = None if audio is None else f"{language} {speaker}"
            rows.append((sentence, language, text, audio, member, reader, seconds))
    return asset_corpus("fillets", rows, title="Dialogues of Fish Fillets, acted", notes=NOTES, languages=wanted)


def read_dialogues(content: bytes, language: str) -> Iterator[tuple[str, str, str]]:
    """Yield (name, text, speaker) of the lines with a text in one list of dialogues.

    In ``en`` the text is that of ``dialogId``, otherwise that of the ``dialogStr`` after it. What is not UTF-8 is
    replaced.
    """
    for match in _DIALOGUE.finditer(content.decode("utf-8-sig", "replace")):
        name, font, english, translated = match.groups()
        text_of_line = english if language == "en" else translated
        text = " ".join(re.sub(r"\\(.)", _unescaped, text_of_line or "").split())
        if text:
            yield name, text, _READERS.get(font, font.removeprefix("font_"))


def _unescaped(match: re.Match[str]) -> str:
    return " " if match[1] in "nt" else match[1]


def _texts(path: Path) -> dict[str, dict[str, tuple[str, str]]]:
    """Language to sentence to (text, speaker); the first of two lines with one name counts."""
    texts: dict[str, dict[str, tuple[str, str]]] = {}
    with open_archive(path, "fillets") as archive:
        for name in sorted(archive.namelist()):
            if match := _SCRIPT.fullmatch(name):
                for line, text, speaker in read_dialogues(archive.read(name), match[2]):
                    texts.setdefault(match[2], {}).setdefault(f"{match[1]}/{line}", (text, speaker))
    if not texts:
        raise DataError(f"dialogues {path} hold no line of dialogue: fetch 'fillets' again")
    return texts


def _seconds(info: zipfile.ZipInfo, archive: zipfile.ZipFile) -> float:
    """Return the duration of a line; 0 for one without sound, which is an error only if it is listened to."""
    try:
        return seconds_of_member(info, archive)
    except DataError:
        return 0.0
