"""Whisper's window of 30 s, cut to fewer seconds: much faster, but not what the model was trained on.

The encoder hears the recording and then silence up to the window's end, and attends to the silence, too. A shorter
window is the first positions of the same position table; it is never chosen in silence.
"""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers import WhisperFeatureExtractor

from babelscope.errors import UsageError
from babelscope.models.adapters.recordings import SAMPLE_RATE
from babelscope.models.adapters.speech import Features, SpeechSide

#: Samples of a position of the encoder: two frames of features.
_POSITION = 320


def checked_window(seconds: float | None, trained: float) -> float:
    """Return the seconds of a window: as chosen, or as the model was trained.

    Raises
    ------
    UsageError
        If they are not whole, or more than it was trained on.
    """
    window = seconds or trained
    if not 1 <= window <= trained or window != int(window):
        raise UsageError(f"window_seconds: {window:g} is not a whole number of seconds from 1 to {trained:g}")
    return window


def cut_window(side: SpeechSide, seconds: float) -> None:
    """Let a side hear a window of so many seconds, in place of the longer one that its points were measured in."""
    cut_positions(side.root, seconds)
    side.features = Features(window_extractor(side.root.config, seconds), side.features.name)
    side.window = side.longest = side.features.window


def cut_positions(encoder: Any, seconds: float) -> None:
    """Leave of an encoder's table of positions those of a window of so many seconds."""
    kept = round(seconds * SAMPLE_RATE) // _POSITION
    if kept < encoder.config.max_source_positions:
        encoder.config.max_source_positions = encoder.max_source_positions = kept
        table = encoder.embed_positions
        table.weight = nn.Parameter(table.weight[:kept].clone(), requires_grad=False)
        table.num_embeddings = kept


def window_extractor(config: Any, seconds: float) -> WhisperFeatureExtractor:
    """Return what makes the features of a window of so many seconds."""
    return WhisperFeatureExtractor(feature_size=config.num_mel_bins, chunk_length=round(seconds))


def window_notes(seconds: float, trained: float) -> tuple[str, ...]:
    """Return what a reader of the numbers must know of a window."""
    if seconds >= trained:
        return ()
    return (
        f"Whisper hears a window of {seconds:g} s here instead of the {trained:g} s that it was trained on: faster, "
        "and close to it, but not the released model's own numbers.",
    )
