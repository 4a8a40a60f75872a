"""SONAR's published numbers, and a check that somebody's weights give them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from babelscope.audio import decode
from babelscope.errors import UsageError
from babelscope.models.sonar_sides import EMBEDDING
from babelscope.sides import Model, Side


@dataclass(frozen=True)
class Golden:
    """A published value, and what these weights give.

    Attributes
    ----------
    what : str
    published, measured : tuple of float
    tolerance : float
        Largest absolute difference that the published digits allow.
    """

    what: str
    published: tuple[float, ...]
    measured: tuple[float, ...]
    tolerance: float

    @property
    def deviation(self) -> float:
        """Largest absolute difference."""
        return max(abs(a - b) for a, b in zip(self.published, self.measured, strict=True))

    @property
    def agrees(self) -> bool:
        """Whether the difference is within the tolerance."""
        return self.deviation <= self.tolerance


#: First five features of an English sentence's embedding, from the card of the converted port.
_CARD = ("My name is SONAR.", (-0.005286, 0.002008, -0.000562, 0.006344, 0.006329))

#: Cosines of two English sentences (rows) with two French ones, from SONAR's own tests.
_COSINES = (
    ("Hello, my name is Paul", "I'm working as a teacher"),
    ("Bonjour, mon nom est Paul", "Je travaille comme professeur."),
    (0.9367, 0.3658, 0.3787, 0.8596),
)

#: Inner products of the English speech embedding of audio_1.wav with itself and with audio_2.wav, from SONAR's tests.
_PRODUCTS = (0.0429819, 0.00286825)


def check_golden(model: Model, recordings: tuple[Path | str, Path | str] | None = None) -> list[Golden]:
    """Hold released weights against the numbers that SONAR published: a self-check for who has them.

    Nothing is assumed of tiny or other weights, which must fail. Run it once after downloading.

    Parameters
    ----------
    model : Model
        ``sonar`` or one of its halves, in float32.
    recordings : pair of Path, optional
        ``audio_1.wav`` and ``audio_2.wav`` from ``tests/integration_tests/data/audio_files`` of SONAR's repository: the
        speech side is checked with them, by the encoder for English.

    Returns
    -------
    list of Golden
        What was compared; each says whether it :attr:`~Golden.agrees`.

    Raises
    ------
    UsageError
        If there is nothing to compare: no text side, and no recordings.
    """
    checks: list[Golden] = []
    if "text" in model.sides:
        side = model.sides["text"]
        sentence, published = _CARD
        card = _embed(side, [sentence], "eng_Latn")
        checks.append(Golden(f"{sentence!r}, first five features", published, tuple(card[0, :5].tolist()), 5e-6))
        english, french, cosines = _COSINES
        left = nn.functional.normalize(_embed(side, english, "eng_Latn"), dim=1)
        right = nn.functional.normalize(_embed(side, french, "fra_Latn"), dim=1)
        measured = tuple((left @ right.T).flatten().tolist())
        checks.append(Golden("cosines of two English with two French sentences", cosines, measured, 2e-4))
    if "speech" in model.sides and recordings is not None:
        heard = _embed(model.sides["speech"], [decode(path) for path in recordings], "eng")
        products = tuple((heard[:1] @ heard.T)[0].tolist())
        checks.append(Golden("inner products of two English recordings", _PRODUCTS, products, 3e-5))
    if not checks:
        raise UsageError("check_golden: the model has no text side, and no recordings are named: nothing to compare")
    return checks


@torch.inference_mode()
def _embed(side: Side, items: Sequence[Any], language: str) -> Tensor:
    side = side.for_language(language)
    batch = side.collate([side.prepare(item, language) for item in items])
    return side.forward(batch.to(side.device))[EMBEDDING].float().cpu()
