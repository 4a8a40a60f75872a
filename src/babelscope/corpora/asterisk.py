"""Telephone prompts of the Asterisk switchboard: five languages read by people, with transcripts.

The transcripts are lists of ``id: text``. They are used as they are written (Spanish without accents), with these
exceptions:

- An entry that is wholly in brackets, as ``[ascending tones]``, ``(2 seconds of silence)`` or ``<beep ascending>``, is
  a sound: it is excluded, as is any entry that begins with such a bracket.
- Text in square brackets inside an entry, as in ``at [@]`` or ``Il [suo] messaggio è stato salvato.``, is not
  in the recordings (Whisper hears none of it, from either Italian reader): removed.
- An id that is listed twice keeps its first text. It happens once: Spanish ``digits/0`` is "cero" and then, by a slip
  for ``digits/10``, "diez".
"""

from __future__ import annotations

import re
from pathlib import Path

from babelscope.corpora.assets import Recorded, Row, asset_corpus, recordings_in
from babelscope.corpora.corpus import Corpus
from babelscope.errors import DataError
from babelscope.fetch import asset_folder

#: Who reads each language; the same woman reads English and Spanish.
READERS = {"en": "Allison", "es": "Allison", "fr": "June", "it": "Carlo", "ru": "IvrvoiceRU"}
#: The second Italian reader, in the wording of the first.
SECOND_READER = "Menardi"

NOTES = (
    "One reader a language, and one woman reads both English and Spanish: language and speaker are confounded.",
    "Telephone prompts: short, one register, many share words.",
    "Spanish transcripts are written without accents.",
    "The second Italian reader was recorded at 8 kHz.",
)

# Upstream's own tarballs may hold older encodings than Debian's packages, which are all UTF-8.
_OTHER_ENCODINGS = {"ru": "cp1251"}


def load(*, languages: list[str] | None = None, second_reader: bool = True) -> Corpus:
    """Load the corpus ``asterisk`` from the cache.

    Parameters
    ----------
    languages : list of str, optional
        Of en, es, fr, it, ru; all if not given.
    second_reader : bool
        Whether Italian cells have the second reader's recording after the first one, where there is one.

    Returns
    -------
    Corpus
        Every prompt that has a transcript and a recording in a language. 441 of them have both in all five.

    Raises
    ------
    FetchError
        If the asset was not fetched.
    DataError
        If a file of it is damaged.
    """
    folder = asset_folder("asterisk")
    rows: list[Row] = []
    for language, reader in READERS.items():
        texts = read_transcript(folder / f"{language}.txt", language)
        recordings = recordings_in(folder / f"{language}.zip", "asterisk", wanted=texts)
        rows += _rows(language, reader, texts, recordings)
        archive = folder / "it-menardi.zip"
        if language == "it" and second_reader and archive.is_file():
            rows += _rows(language, SECOND_READER, texts, recordings_in(archive, "asterisk", wanted=recordings))
    title = "Asterisk telephone prompts, read by people"
    corpus = asset_corpus("asterisk", rows, title=title, notes=NOTES, languages=list(READERS))
    return corpus.select(languages=languages, complete=False) if languages is not None else corpus


def read_transcript(path: Path, language: str) -> dict[str, str]:
    """Return id to text of one list of transcripts, without entries that are not speech.

    A line is ``id: text``, ``;`` begins a comment; a byte order mark may stand first. Where the list is not UTF-8, its
    encoding is that of the language.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"transcripts {path} cannot be read ({error.strerror}): fetch 'asterisk' again") from error
    try:
        content = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        content = raw.decode(_OTHER_ENCODINGS.get(language, "cp1252"), "replace")
    texts: dict[str, str] = {}
    for line in content.splitlines():
        name, colon, text = line.partition(":")
        if not line.startswith(";") and colon and (spoken := _spoken(text)):
            texts.setdefault(name.strip(), spoken)
    if not texts:
        raise DataError(f"transcripts {path} hold no line 'id: text': fetch 'asterisk' again")
    return texts


def _spoken(text: str) -> str:
    text = text.strip()
    if text[:1] in {"[", "(", "<"}:
        return ""
    return " ".join(re.sub(r"\[[^\]]*\]", " ", text).split())


def _rows(language: str, reader: str, texts: dict[str, str], recordings: dict[str, Recorded]) -> list[Row]:
    return [
        (sentence, language, texts[sentence], audio, member, reader, seconds)
        for sentence, (audio, member, seconds) in recordings.items()
    ]
