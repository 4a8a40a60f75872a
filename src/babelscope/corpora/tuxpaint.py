"""The names of Tux Paint's drawing stamps: short phrases, written in 78 languages and spoken in nine.

A stamp's ``.txt`` has its English name in the first line, then lines ``code.utf8=name``. Its ``_desc_code.ogg`` is
a recording of that name. A stamp may repeat another's name (``ladybug`` and ``ladybug-2``):
:meth:`~babelscope.corpora.Corpus.select` drops those with ``distinct=True``.
"""

from __future__ import annotations

import re
from pathlib import Path

from babelscope.corpora.assets import Recorded, Row, asset_corpus, chosen, open_archive, recordings_in
from babelscope.corpora.corpus import Corpus
from babelscope.fetch import asset_folder

NOTES = (
    "Phrases of one to a few words, .9 to 1.9 s: far shorter than sentences.",
    "Who reads is not documented; a language may have several readers.",
    "Many stamps share a name with another one: select with distinct=True.",
)

_LINE = re.compile(r"([A-Za-z]{2,3}(?:_[A-Za-z]+)?(?:@[a-z]+)?)\.utf8=(.*)")


def load(*, languages: list[str] | None = None) -> Corpus:
    """Load the corpus ``tuxpaint`` from the cache.

    Parameters
    ----------
    languages : list of str, optional
        Only these, as the stamps name them (``fr``, ``pt_BR``, ``ca@valencia``); all if left out, which takes some
        seconds.

    Returns
    -------
    Corpus
        A sentence is a stamp, its id the stamp's path.

    Raises
    ------
    FetchError
        If the asset was not fetched.
    UsageError
        If a language is unknown.
    DataError
        If a file of the asset is damaged.
    """
    folder = asset_folder("tuxpaint")
    texts = _texts(folder / "texts.zip")
    known = {language for stamp in texts.values() for language in stamp}
    wanted = chosen("tuxpaint", languages, known)
    rows: list[Row] = []
    for language in wanted:
        archive = folder / f"{language}.zip"
        spoken = recordings_in(archive, "tuxpaint") if archive.is_file() else {}
        for stamp, names in texts.items():
            if language in names:
                audio, member, seconds = spoken.get(stamp, Recorded())
                rows.append((stamp, language, names[language], audio, member, None, seconds))
    title = "Names of Tux Paint's stamps, read by people"
    return asset_corpus("tuxpaint", rows, title=title, notes=NOTES, languages=wanted)


def read_stamp(content: bytes) -> dict[str, str]:
    """Return language to name, from the text of one stamp; English is ``en``.

    A line that is not UTF-8 is left out, and so are empty names; a byte order mark may stand first.
    """
    names: dict[str, str] = {}
    for number, raw in enumerate(content.removeprefix(b"\xef\xbb\xbf").splitlines()):
        try:
            line = raw.decode("utf-8").strip()
        except UnicodeDecodeError:
            continue
        match = _LINE.fullmatch(line)
        language, name = (match[1], match[2].strip()) if match else ("en" if number == 0 else "", line)
        if language and name:
            names.setdefault(language, name)
    return names


def _texts(path: Path) -> dict[str, dict[str, str]]:
    with open_archive(path, "tuxpaint") as archive:
        return {name.removesuffix(".txt"): read_stamp(archive.read(name)) for name in sorted(archive.namelist())}
