"""The 102 languages of FLEURS, and their codes in each system.

The table is ``languages.csv``, one row a language. Where its columns come from:

``fleurs``, ``name``
    The configurations of the dataset ``google/fleurs`` and their English names.
``iso``
    ISO 639-3 and ISO 15924. That of ``nllb``, but where NLLB names a macrolanguage or a sister: Mandarin is
    ``cmn_Hans`` (NLLB: ``zho_Hans``), Filipino ``fil_Latn`` (NLLB: ``tgl_Latn``).
``family``, ``branch``, ``nllb_resource``
    Table 1 of the NLLB paper (arXiv 2207.04672), as SONAR's README repeats it. "high" is a million sentence pairs or
    more with another language, "low" is fewer.
``nllb``
    The 202 codes of NLLB-200, which SONAR's text encoder shares.
``seamless``, ``seamless_text``, ``seamless_speech``
    "Supported languages" in the documentation of SeamlessM4T large: v2 and v1 take the same. The code is the text
    encoder's; Malay as speech is listed as ``zlm``, but speech carries no code. (v1 medium takes more as text; not
    listed here.)
``sonar_speech``
    SONAR's published speech encoders: 57 in its README, and English, which only its model cards list.
``whisper``
    Whisper's language tokens. ``yue`` came with large-v3 alone: older weights have no token for Cantonese.
``joshi``
    Class 0 (left behind) to 5 (winners) of Joshi et al. 2020 (arXiv 2004.09095), looked up by the language's name in
    their list as LangResourceAtlas gives it (Kyrgyz as Kirghiz, Oriya as Odia, Nyanja as Chichewa, Ganda as Luganda,
    Filipino as Tagalog, Punjabi as Eastern Punjabi, Norwegian as Norwegian (Bokmål)); empty where no name is there, or
    two are.
``further``
    Further codes in common use, separated by spaces: ISO 639 codes of two and three letters, and tags such as
    ``zh_hans``.

Two codes need a remark. FLEURS's Fula is read in Senegal, while NLLB and Seamless know the language as Nigerian
Fulfulde (``fuv``). FLEURS's Arabic is Modern Standard Arabic, read in Egypt, and is ``arb``, not ``arz``.
"""

from __future__ import annotations

import csv
import difflib
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import langcodes
from langcodes.tag_parser import LanguageTagError

from babelscope.errors import UsageError, did_you_mean

#: Joshi's classes in three: what :attr:`Language.resource` says. The thresholds are this package's own.
RESOURCE_CLASSES: dict[str, tuple[int, ...]] = {"high": (4, 5), "medium": (3,), "low": (0, 1, 2)}


@dataclass(frozen=True)
class Language:
    """A language of FLEURS.

    Attributes
    ----------
    fleurs : str
        The configuration of the dataset, as ``en_us``.
    name : str
        In English.
    iso : str
        ISO 639-3 and script, as ``eng_Latn``.
    family, branch : str
        As in the NLLB paper's table of languages.
    seamless : str
        SeamlessM4T's code, as ``eng``; empty if it does not have the language.
    seamless_text, seamless_speech : bool
        Whether SeamlessM4T large (v2, v1) takes it as text, and as speech.
    nllb : str
        The code of NLLB and of SONAR's text encoder, as ``eng_Latn``.
    sonar_speech : str
        The code of SONAR's speech encoder, as ``eng``; empty if there is none.
    whisper : str
        Whisper's code, as ``en``; empty if it has no token for the language.
    nllb_resource : {"high", "low"}
        NLLB's class, by sentence pairs.
    joshi : int or None
        The class of Joshi et al. 2020, 0 to 5; None if their list does not have the language.
    """

    fleurs: str
    name: str
    iso: str
    family: str
    branch: str
    seamless: str
    seamless_text: bool
    seamless_speech: bool
    nllb: str
    sonar_speech: str
    whisper: str
    nllb_resource: str
    joshi: int | None

    @property
    def script(self) -> str:
        """The script, ISO 15924: ``Latn``."""
        return self.iso[4:]

    @property
    def resource(self) -> str:
        """The class "high", "medium" or "low": :data:`RESOURCE_CLASSES` of :attr:`joshi`; empty if that is None."""
        return next((name for name, classes in RESOURCE_CLASSES.items() if self.joshi in classes), "")

    def __str__(self) -> str:
        return f"{self.name} ({self.fleurs})"


def _language(row: dict[str, Any]) -> Language:
    spoken = {column: row[column] == "yes" for column in ("seamless_text", "seamless_speech")}
    return Language(**row | spoken | {"joshi": int(row["joshi"]) if row["joshi"] else None})


def _read() -> tuple[tuple[Language, ...], dict[str, list[str]]]:
    """Return the languages of the table, and the further codes of each by its FLEURS code."""
    text = files("babelscope").joinpath("languages.csv").read_text(encoding="utf-8")
    rows = [(row.pop("further").split(), _language(row)) for row in csv.DictReader(text.splitlines())]
    return tuple(known for _, known in rows), {known.fleurs: codes for codes, known in rows}


#: All 102, by their FLEURS codes.
LANGUAGES: tuple[Language, ...]
LANGUAGES, _FURTHER = _read()


def codes_of(known: Language) -> tuple[str, ...]:
    """Return every code by which :func:`language` knows a language, as they are written, its FLEURS code first."""
    iso, script = known.iso.split("_")
    short = known.fleurs.split("_")[0]
    codes = (known.fleurs, short, known.iso, iso, f"{short}_{script}", known.nllb, known.nllb.split("_")[0])
    return tuple(dict.fromkeys(filter(None, (*codes, known.seamless, known.whisper, *_FURTHER[known.fleurs]))))


def _plain(code: str) -> str:
    return code.strip().lower().replace("-", "_")


@cache
def _index() -> dict[str, Language]:
    index: dict[str, Language] = {}
    for known in LANGUAGES:
        for code in map(_plain, codes_of(known)):
            if index.setdefault(code, known) is not known:
                raise AssertionError(f"languages.csv: {code!r} is both {index[code]} and {known}")
    return index


def language(code: str) -> Language:
    """Return the language that a code of any system names.

    Parameters
    ----------
    code : str
        A code of FLEURS, ISO 639 (with or without a script), NLLB, Seamless or Whisper, in either case, with ``-`` or
        ``_``: ``en_us``, ``en``, ``eng``, ``eng_Latn``, ``EN-US``. No code in the table means two languages.

    Returns
    -------
    Language

    Raises
    ------
    UsageError
        If no language has that code.

    Examples
    --------
    >>> language("zh").fleurs
    'cmn_hans_cn'
    >>> language("fil").nllb
    'tgl_Latn'
    """
    known = _index().get(_plain(code))
    if known is not None:
        return known
    names = {each.name.lower(): each for each in LANGUAGES}
    close = difflib.get_close_matches(code.strip().lower(), names, n=1, cutoff=0.8)
    hint = f"{names[close[0]].name} is {names[close[0]].fleurs!r}" if close else _nearest(code)
    raise UsageError(f"there is no language {code!r} among the {len(LANGUAGES)} of FLEURS: {hint}")


def known_language(code: str) -> Language | None:
    """Return what is known of a language; None where it is not in the table."""
    try:
        return language(code)
    except UsageError:
        return None


def name_of(code: str) -> str:
    """Return the English name of a language; the code itself where it is not in the table."""
    known = known_language(code)
    return known.name if known is not None else code


def _nearest(code: str) -> str:
    if len(code) > 3:  # one common letter is no similarity for codes of two or three
        return did_you_mean(_plain(code), [each.fleurs for each in LANGUAGES])
    return "babelscope.languages.LANGUAGES lists them"


def standard(code: str) -> str:
    """Return one code for all codes of a language: the FLEURS code if it is one of FLEURS, else BCP 47's own form.

    Codes of BCP 47, ISO 639-1 and 639-3, with or without a script, and those of :func:`language` are known: ``zh-CN``,
    ``zh_CN`` and ``cmn`` are ``cmn_hans_cn``; ``eus_Latn`` and ``EU`` are ``eu``. What is no code is returned in lower
    case.
    """
    if (known := _index().get(_plain(code))) is not None:
        return known.fleurs
    try:
        tag = langcodes.standardize_tag(code.strip(), macro=True)
        tag = langcodes.Language.get(tag).simplify_script().to_tag()
    except (LanguageTagError, ValueError):
        return unicodedata.normalize("NFC", _plain(code))
    known = _index().get(_plain(tag))
    return tag if known is None else known.fleurs


def is_code(code: str) -> bool:
    """Return whether a code names a language, among those of FLEURS or in BCP 47."""
    if _plain(code) in _index():
        return True
    try:
        return langcodes.tag_is_valid(code)
    except (LanguageTagError, ValueError):
        return False


def fleurs(code: str) -> str:
    """Return the FLEURS code: ``en_us`` for any code of English.

    Raises
    ------
    UsageError
        If no language has that code.
    """
    return language(code).fleurs


def seamless(code: str, modality: Literal["text", "speech"] = "text") -> str:
    """Return SeamlessM4T's code: ``eng`` for any code of English.

    Parameters
    ----------
    code : str
        See :func:`language`.
    modality : {"text", "speech"}
        What the language shall be taken as. Speech carries no code into the model; six languages are taken as speech
        only.

    Raises
    ------
    UsageError
        If no language has that code, or SeamlessM4T large does not take the language so.
    """
    known = language(code)
    if modality not in ("text", "speech"):
        raise UsageError(f"there is no modality {modality!r}: {did_you_mean(modality, ('text', 'speech'))}")
    if not known.seamless:
        raise UsageError(f"SeamlessM4T does not have {known}: leave it out")
    if modality == "text" and not known.seamless_text:
        raise UsageError(f"SeamlessM4T takes {known} as speech only, not as text: leave it out")
    if modality == "speech" and not known.seamless_speech:
        raise UsageError(f"SeamlessM4T takes {known} as text only, not as speech: leave it out")
    return known.seamless


def nllb(code: str) -> str:
    """Return the code of NLLB and of SONAR's text encoder: ``eng_Latn`` for any code of English.

    Raises
    ------
    UsageError
        If no language has that code. (NLLB has all languages of FLEURS.)
    """
    return language(code).nllb


def sonar_speech(code: str) -> str:
    """Return the code of SONAR's speech encoder: ``eng`` for any code of English.

    Raises
    ------
    UsageError
        If no language has that code, or SONAR has no speech encoder for the language.
    """
    known = language(code)
    if not known.sonar_speech:
        raise UsageError(f"SONAR has no speech encoder for {known}: leave it out, or take its text alone")
    return known.sonar_speech


def whisper(code: str) -> str:
    """Return Whisper's code: ``en`` for any code of English.

    Raises
    ------
    UsageError
        If no language has that code, or Whisper has no token for the language.
    """
    known = language(code)
    if not known.whisper:
        raise UsageError(f"Whisper has no token for {known}: leave it out, or let it detect the language")
    return known.whisper
