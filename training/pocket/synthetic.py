"""Common words, spoken by a synthesiser: what the corpora's few thousand sentences have too few of.

The words are wordfreq's, the voice is espeak-ng's; both are in the ``words`` extra. A word that is worded like a
held-out sentence of its language is left out. The same words in the same voices give the same bytes.
"""

from __future__ import annotations

import ctypes
import json
import wave
from collections.abc import Callable, Set
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from babelscope.cache import write_atomically
from babelscope.corpora import Corpus
from babelscope.errors import DataError, UsageError

Progress = Callable[[str, int, int], None]

NAME = "words"
#: Language to espeak-ng's voice: the languages that are judged by retrieval across languages.
VOICES = {"en": "en-us", "es": "es", "fr": "fr", "it": "it", "ru": "ru", "ro": "ro", "ca": "ca", "bg": "bg"}
#: Words of each language, drawn from this range of ranks by frequency.
WORDS, RANKS = 1000, (100, 6000)
#: Fewest letters: shorter ones are mostly grammar.
LETTERS = 4
#: espeak-ng's ways of speaking with another throat; f2, f3 and f5 are not the same twice.
VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "f1", "f4")
#: Words a minute, and pitch (0 to 99), both drawn evenly.
SPEED, PITCH = (120, 190), (30, 70)

_SYNCHRONOUS, _UTF8, _RATE, _PITCH = 2, 1, 1, 3


def spoken_words(folder: Path, held_out: Set[tuple[str, str]], progress: Progress | None = None) -> Corpus:
    """Return the words as a corpus, synthesising what `folder` does not hold.

    Parameters
    ----------
    folder : Path
        In the cache.
    held_out : set of (language, letters)
        Wordings that must not be learned from.
    progress : callable, optional
    """
    rows: list[dict[str, Any]] = []
    chosen = {language: _drawn(language, held_out) for language in VOICES}
    total = sum(map(len, chosen.values()))
    # The engine draws a voice's breath from a state that it never sets back: each language begins in a new process.
    fresh = ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1)
    for place, (language, words) in enumerate(chosen.items()):
        listed, where = folder / f"{language}.json", folder / language
        random = np.random.default_rng(place)
        wanted = [
            [
                word,
                VARIANTS[int(random.integers(len(VARIANTS)))],
                int(random.integers(*SPEED)),
                int(random.integers(*PITCH)),
            ]
            for word in words
        ]
        if not listed.is_file() or json.loads(listed.read_text(encoding="utf-8"))["words"] != wanted:
            seconds = fresh.submit(_speak, VOICES[language], wanted, where).result()
            record = json.dumps({"words": wanted, "seconds": seconds}, ensure_ascii=False)
            write_atomically(listed, partial(_put, record))
        seconds = json.loads(listed.read_text(encoding="utf-8"))["seconds"]
        rows += [
            {
                "sentence": f"{language}-{word}",
                "language": language,
                "text": word,
                "audio": str(where / f"{number:05d}.wav"),
                "member": None,
                "reader": f"espeak-ng {variant}",
                "seconds": seconds[number],
            }
            for number, (word, variant, _, _) in enumerate(wanted)
        ]
        if progress:
            progress("espeak-ng", len(rows), total)
    fresh.shutdown()
    return Corpus(pd.DataFrame(rows), name=NAME, title="Common words, synthesised", languages=list(VOICES))


def _put(record: str, path: Path) -> None:
    path.write_text(record, encoding="utf-8")


def _drawn(language: str, held_out: Set[tuple[str, str]]) -> list[str]:
    try:
        from wordfreq import top_n_list
    except ImportError as error:
        raise UsageError("wordfreq is not installed: pip install -e '.[words]'") from error
    common = top_n_list(language, RANKS[1])[RANKS[0] :]
    kept = [word for word in common if len(word) >= LETTERS and word.isalpha() and (language, word) not in held_out]
    random = np.random.default_rng(len(language) + sum(map(ord, language)))
    return sorted(kept[index] for index in random.permutation(len(kept))[:WORDS])


def _speak(language: str, wanted: list[list[Any]], folder: Path) -> list[float]:
    """Synthesise one file a (word, variant, speed, pitch) and return their seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    library, rate = _engine()
    heard = bytearray()

    @ctypes.CFUNCTYPE(  # type: ignore[untyped-decorator]
        ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
    )
    def listen(samples: Any, count: int, _: Any) -> int:
        if samples and count > 0:
            heard.extend(ctypes.string_at(samples, 2 * count))
        return 0

    library.espeak_SetSynthCallback(listen)
    seconds = []
    for number, (word, variant, speed, pitch) in enumerate(wanted):
        voice = f"{language}+{variant}"
        if library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise DataError(f"espeak-ng has no voice {voice!r}")
        library.espeak_SetParameter(_RATE, speed, 0)
        library.espeak_SetParameter(_PITCH, pitch, 0)
        heard.clear()
        text = word.encode() + b"\0"
        if library.espeak_Synth(text, len(text), 0, 0, 0, _UTF8, None, None) != 0 or not heard:
            raise DataError(f"espeak-ng says nothing for {word!r} in {language!r}")
        with wave.open(str(folder / f"{number:05d}.wav"), "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(rate)
            out.writeframes(bytes(heard))
        seconds.append(len(heard) / 2 / rate)
    return seconds


def _engine() -> tuple[Any, int]:
    try:
        import espeakng_loader  # type: ignore[import-untyped]
    except ImportError as error:
        raise UsageError("espeakng-loader is not installed: pip install -e '.[words]'") from error
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, str(espeakng_loader.get_data_path()).encode(), 0)
    if rate <= 0:
        raise DataError("espeak-ng cannot be started")
    return library, int(rate)
