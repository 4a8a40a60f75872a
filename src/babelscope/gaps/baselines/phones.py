"""The phones of a text, as espeak-ng says it: what two languages have in common by their sounds alone.

espeak-ng comes with the package espeakng-loader (the extra ``phones``). Its IPA is made broad: without stress, length,
tone and other marks. Phones are then compared as strings are, their letters brought to the nearest Latin ones
(:mod:`babelscope.gaps.baselines.ngrams`), since its voices write nearly the same sound in different ways.
"""

from __future__ import annotations

import ctypes
import re
import threading
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Any

import langcodes
from langcodes.tag_parser import LanguageTagError

from babelscope.errors import UsageError
from babelscope.languages import language

#: How to get espeak-ng.
REMEDY = "pip install 'babelscope[phones]'"

#: The largest distance of langcodes at which a voice still speaks the language: another region, or a name for the same.
_NEAR = 9

# Of espeak-ng's speak_lib.h.
_SYNCHRONOUS, _UTF8, _IPA = 2, 1, 2
_SWITCHED = re.compile(r"\([^()]*\)")


class _Voice(ctypes.Structure):
    """A voice as espeak-ng lists it; the bytes of `languages` are a priority and a code, and so on."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_char_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("unused", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


_speaking = threading.Lock()


def installed() -> bool:
    """Return whether espeak-ng is there."""
    return _library() is not None


@cache
def _library() -> Any:
    try:
        import espeakng_loader  # type: ignore[import-untyped]

        library = ctypes.CDLL(espeakng_loader.get_library_path())
    except (ImportError, OSError):
        return None
    if library.espeak_Initialize(_SYNCHRONOUS, 0, str(espeakng_loader.get_data_path()).encode(), 0) <= 0:
        return None
    library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    library.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int]
    return library


@cache
def _voices() -> dict[str, str]:
    """Return the names of all voices by the language that they speak; of several, the first."""
    listed = _library().espeak_ListVoices(None)
    voices: dict[str, str] = {}
    at = 0
    while listed[at]:
        code = listed[at].contents.languages[1:].split(b"\0")[0].decode()
        if "-x-" not in code and langcodes.tag_is_valid(code):
            voices.setdefault(code, listed[at].contents.identifier.decode())
        at += 1
    return dict(sorted(voices.items()))


def voice_of(code: str) -> str | None:
    """Return the name of the voice that speaks a language (a code of FLEURS, NLLB, or BCP 47); None if there is none.

    UsageError if espeak-ng is not installed.
    """
    if not installed():
        raise UsageError(f"espeak-ng is not installed: {REMEDY}")
    try:
        tag = language(code).iso.replace("_", "-")
    except UsageError:
        tag = code.replace("_", "-")
    try:
        nearest, _ = langcodes.closest_match(tag, list(_voices()), max_distance=_NEAR)
    except (LanguageTagError, ValueError):
        return None
    return _voices().get(nearest)


def phones_of(texts: Sequence[str], code: str) -> list[str] | None:
    """Return the broad phones of texts, words apart.

    None where espeak-ng has no voice for the language, or one that does not read its script. UsageError if espeak-ng is
    not installed.
    """
    voice = voice_of(code)
    if voice is None:
        return None
    library, said = _library(), []
    with _speaking:
        if library.espeak_SetVoiceByName(voice.encode()) != 0:
            return None
        for text in texts:
            rest, clauses = ctypes.c_char_p(text.replace("\0", " ").encode()), []
            while rest.value:
                clauses.append((library.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, _IPA) or b"").decode())
            said.append(" ".join(clauses))
    # A voice that cannot read a script names its characters, most in English: "(en)tʃaɪniːz(ja) letter".
    unread = sum("(en)" in phones and not re.search("[A-Za-z]", text) for phones, text in zip(said, texts, strict=True))
    return None if 10 * unread > len(texts) else [_broad(phones) for phones in said]


def _broad(phones: str) -> str:
    """Return phones as plain letters: without marks of a switch of language, and without modifiers."""
    plain = unicodedata.normalize("NFD", _SWITCHED.sub("", phones))
    return "".join(letter for letter in plain if letter == " " or unicodedata.category(letter) in ("Ll", "Lo", "Lu"))
