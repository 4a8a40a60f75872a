"""The names of Tux Paint's drawing stamps: short phrases, written in 78 languages and spoken in nine.

A stamp's ``.txt`` holds its English name in the first line, then ``code.utf8=name`` a line. Its ``_desc_code.ogg`` is
somebody reading that. A stamp may repeat another's name (``ladybug`` and ``ladybug-2``):
:meth:`~babelscope.corpora.Corpus.select` drops those with ``distinct=True``.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pandas as pd

from babelscope.audio import seconds_of_member
from babelscope.corpora.corpus import COLUMNS, Corpus
from babelscope.errors import DataError, UsageError, did_you_mean
from babelscope.fetch import ASSETS, asset_folder

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
    known = sorted({language for stamp in texts.values() for language in stamp})
    for language in languages or ():
        if language not in known:
            raise UsageError(f"corpus 'tuxpaint' has no language {language!r}: {did_you_mean(language, known)}")
    wanted = languages or known
    rows = []
    for language in wanted:
        spoken = _spoken(folder / f"{language}.zip")
        for stamp, names in texts.items():
            if language not in names:
                continue
            audio, member, seconds = spoken.get(stamp, (None, None, float("nan")))
            rows.append((stamp, language, names[language], audio, member, None, seconds))
    table = pd.DataFrame(rows, columns=list(COLUMNS)).sort_values("sentence", kind="stable", ignore_index=True)
    asset = ASSETS["tuxpaint"]
    return Corpus(
        table,
        name="tuxpaint",
        title="Names of Tux Paint's stamps, read by people",
        licence=asset.licence,
        attribution=asset.attribution,
        notes=NOTES,
        languages=wanted,
    )


def read_stamp(content: bytes) -> dict[str, str]:
    """Return language to name, from the text of one stamp; English is ``en``.

    Parameters
    ----------
    content : bytes
        UTF-8, with or without a byte order mark; what cannot be decoded is left out with its line.

    Returns
    -------
    dict
        Without empty names.
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


def _texts(archive: Path) -> dict[str, dict[str, str]]:
    try:
        with zipfile.ZipFile(archive) as opened:
            return {name.removesuffix(".txt"): read_stamp(opened.read(name)) for name in sorted(opened.namelist())}
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"names {archive} cannot be read ({error}): fetch 'tuxpaint' again") from error


def _spoken(archive: Path) -> dict[str, tuple[str, str, float]]:
    if not archive.is_file():
        return {}
    try:
        with zipfile.ZipFile(archive) as opened:
            return {
                info.filename.removesuffix(".ogg"): (str(archive), info.filename, seconds_of_member(info, opened))
                for info in opened.infolist()
            }
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"recordings {archive} cannot be read ({error}): fetch 'tuxpaint' again") from error
