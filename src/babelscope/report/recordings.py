"""Recordings that a report carries, to be heard next to their texts: only where its user asks for it."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass

import soundfile

from babelscope.audio import SAMPLE_RATE, Recording, load_audio

#: Bytes of sound that a page may carry; sentences beyond are left out, and the page says so.
BUDGET = 3_000_000


@dataclass(frozen=True)
class Heard:
    """One sentence in one language, to be heard.

    Attributes
    ----------
    sentence, language, text, reader : str
    seconds : float
    sound : str
        A ``data:`` address of an MP3 file, mono, 16 kHz: what the model heard, compressed.
    """

    sentence: str
    language: str
    text: str
    reader: str
    seconds: float
    sound: str

    @property
    def size(self) -> int:
        """Characters that it takes in the page."""
        return len(self.sound)


def embed(cells: Iterable[tuple[str, Recording]], budget: int = BUDGET) -> list[Heard]:
    """Read recordings until the budget is spent.

    Parameters
    ----------
    cells : iterable of (text, Recording)
        In the order in which they shall be heard.
    budget : int
        Bytes in all.

    Returns
    -------
    list of Heard
        As many of the first as fit; always whole sentences, in the languages at hand.

    Raises
    ------
    DataError
        If a recording is missing or damaged.
    """
    embedded: list[Heard] = []
    spent = 0
    for text, recording in cells:
        samples = load_audio(recording)
        buffer = io.BytesIO()
        soundfile.write(buffer, samples, SAMPLE_RATE, format="MP3", subtype="MPEG_LAYER_III")
        sound = "data:audio/mpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
        spent += len(sound)
        if spent > budget:
            return [recorded for recorded in embedded if recorded.sentence != recording.sentence]
        seconds = len(samples) / SAMPLE_RATE
        embedded.append(Heard(recording.sentence, recording.language, text, recording.reader, seconds, sound))
    return embedded
