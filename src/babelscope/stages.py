"""Words for what a model is made of: modalities, and stages of its depth."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

Modality = Literal["text", "speech"]
MODALITIES: tuple[Modality, ...] = ("text", "speech")


class Stage(StrEnum):
    """What a point's part of the model is for."""

    FRONT_END = "front end"
    ENCODER = "encoder"
    LENGTH_ADAPTATION = "length adaptation"
    SHARED = "shared"
    POOLED = "pooled"
