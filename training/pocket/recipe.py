"""What is chosen before a training run: the numbers, in one place."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field

from babelscope.plugins.pocket.adapter import AdapterShape


@dataclass(frozen=True)
class Recipe:
    """One training run; the same recipe and seed on one machine give the same adapter bit for bit.

    Attributes
    ----------
    seed : int
        Of the first weights, the order of the recordings, and what is masked.
    shape : AdapterShape
    batch : int
        Recordings in a step, of like length.
    warm_epochs : float
        First stage: towards the text's mean word embedding, without the text model's layers.
    epochs : float
        Second stage: through all layers, towards the text's embedding.
    rate, decay : float
        Of AdamW; the rate rises over the first 5 % of a stage and falls to a hundredth along a cosine.
    temperature : float
        Of the contrast with the bank of all training texts' embeddings.
    centred : bool
        Whether the bank's mean is taken out before similarities are computed.
    across : float
        In the second stage: how much of the aim is the sentence's mean over its translations, and how much of the
        contrast's target stands, spread evenly, on all of them; the rest is the text that is said. At 0 the other
        translations are left out of the contrast.
    contrast, likeness, distance : float
        Weights of the three parts of the loss: contrast with the bank, 2 (1 - cosine), and squared distance over the
        targets' mean squared norm (second stage only).
    dropout : float
        In the adapter.
    masked : float
        Share of an utterance's positions that is masked in time, at most.
    jitter : int
        Positions cut from the start, at most: the stride of eight meets the utterance elsewhere.
    warp : float
        Tempo is changed by up to this share.
    fillets : bool
        Whether the acted Dutch dialogues are learned from.
    words : bool
        Whether synthesised words are learned from.
    """

    seed: int = 0
    shape: AdapterShape = field(default_factory=AdapterShape)
    batch: int = 64
    warm_epochs: float = 1.0
    epochs: float = 8
    rate: float = 1e-3
    decay: float = 0.01
    temperature: float = 0.05
    centred: bool = True
    across: float = 0.3
    contrast: float = 1.0
    likeness: float = 1.0
    distance: float = 0.5
    dropout: float = 0.1
    masked: float = 0.25
    jitter: int = 7
    warp: float = 0.1
    fillets: bool = True
    words: bool = False

    def to_json(self) -> str:
        """Return the recipe as JSON, for a file's metadata."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Read what :meth:`to_json` wrote."""
        fields = json.loads(text)
        return cls(**{**fields, "shape": AdapterShape(**fields["shape"])})
