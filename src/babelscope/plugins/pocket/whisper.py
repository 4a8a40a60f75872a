"""Whisper's encoder as ``pocket`` runs it: on windows of several lengths, and its points.

For n samples there are M = ceil(n / 160) mel frames, and E = (M - 1) // 2 + 1 positions after the second convolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from babelscope.sides import Point, Stage, layer_points

HOP = 160


def encoder_points(config: WhisperConfig, inside: str = "") -> list[Point]:
    """Return the encoder's points in order, without depths: convolutions, the layers' input, every layer, the norm.

    Parameters
    ----------
    inside : str
        Path of the encoder below the side's root, with a dot after it.
    """
    encoded: dict[str, Any] = {"length": positions, "formula": "E = (M - 1) // 2 + 1"}

    def point(name: str, stage: Stage, module: str, **more: Any) -> Point:
        return Point(f"speech.{name}", stage, 0, config.d_model, f"{inside}{module}", **encoded | more)

    mel: dict[str, Any] = {"length": _mel_frames, "formula": "M = ceil(n / 160)"}
    return [
        point("conv1", Stage.FRONT_END, "conv1", layout="bdt", **mel),
        point("conv2", Stage.FRONT_END, "conv2", layout="bdt"),
        point("input", Stage.FRONT_END, "layers.0", take="input"),
        *layer_points("speech.", config.encoder_layers, config.d_model, inside, **encoded),
        point("norm", Stage.ENCODER, "layer_norm"),
    ]


def hear(encoder: WhisperEncoder, features: Tensor, windows: Sequence[int]) -> Tensor:
    """Run the encoder on windows of several lengths: each is what it is alone.

    The released encoder takes one length and no mask. Here what comes after a window is not attended to; the
    convolutions do not reach it from within a window of an even number of frames.

    Parameters
    ----------
    features : Tensor, shape (batch, mel, frames)
        Log-mel features, zero after each window.
    windows : sequence of int
        Mel frames of each window, even, the longest of them all of ``frames``.

    Returns
    -------
    Tensor, shape (batch, frames / 2, width)
        Behind the final norm. What comes after a window's own half of frames means nothing.
    """
    values = nn.functional.gelu(encoder.conv2(nn.functional.gelu(encoder.conv1(features)))).permute(0, 2, 1)
    length = values.shape[1]
    hidden = values + encoder.embed_positions.weight[:length]
    mask = None
    if min(windows) < max(windows):
        own = torch.tensor([frames // 2 for frames in windows], device=values.device)
        mask = (torch.arange(length, device=values.device)[None] < own[:, None])[:, None, None].expand(
            -1, 1, length, -1
        )
    for layer in encoder.layers:
        given = layer(hidden, mask)
        hidden = given[0] if isinstance(given, tuple) else given
    normed: Tensor = encoder.layer_norm(hidden)
    return normed


def _mel_frames(samples: int) -> int:
    return -(-samples // HOP)


def positions(samples: int) -> int:
    """Return how many encoder positions hold `samples` samples of speech: (ceil(n / 160) - 1) // 2 + 1."""
    return (_mel_frames(samples) - 1) // 2 + 1
