"""The frozen text model: the target embeddings of speech, and the layers that it is trained through."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from babelscope import models
from babelscope.cache import write_atomically
from babelscope.models.adapters.text import TextSide
from babelscope.plugins.pocket.adapter import embed_between

Progress = Callable[[str, int, int], None]

#: Texts that are embedded in one pass.
BATCH = 64


@dataclass(frozen=True)
class Targets:
    """The text model's embeddings of each text.

    Attributes
    ----------
    pooled : ndarray, shape (texts, width)
        Mean of the last layer over all positions, before it is normalised.
    words : ndarray, shape (texts, width)
        Mean of the text's own word embeddings, without prefix and special tokens.
    """

    pooled: NDArray[np.float32]
    words: NDArray[np.float32]


class Teacher:
    """multilingual-e5-small, frozen.

    Its attention is computed in plain matrix products: forward and backward together take half the time of the fused
    kernel on a processor.

    Parameters
    ----------
    weights : str, optional
        A folder in transformers' format in place of the fetched asset.
    """

    def __init__(self, weights: str | None = None) -> None:
        model = models.load("e5-small", weights=weights)
        self.revision = model.revision
        side = model.sides["text"]
        assert isinstance(side, TextSide)
        self.side = side
        bert: Any = side.root
        self.bert = bert
        self.bert.config._attn_implementation = "eager"
        self.words: Tensor = self.bert.embeddings.word_embeddings.weight
        ids = side.tokens.tokenizer.encode(side.prefix.strip()).ids
        self.before, self.after = self.words[ids[:-1]], self.words[ids[-1:]]

    @property
    def width(self) -> int:
        """Features of a position."""
        return int(self.words.shape[1])

    def through(self, adapted: Tensor, lengths: Tensor) -> Tensor:
        """Return the pooled last layer, (batch, width), not normalised, of adapted speech."""
        embeddings, mask = embed_between(self.before, adapted, lengths, self.after)
        return self.pool(self.bert(inputs_embeds=embeddings, attention_mask=mask).last_hidden_state, mask)

    def layers(self, adapted: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """Return the mean of the shared input and of every layer, by name."""
        embeddings, mask = embed_between(self.before, adapted, lengths, self.after)
        return self._named(self.bert(inputs_embeds=embeddings, attention_mask=mask, output_hidden_states=True), mask)

    def text_layers(self, text: str | Sequence[str]) -> dict[str, Tensor]:
        """Return the same of texts."""
        batch = self.side.collate([self.side.prepare(each, "") for each in ([text] if isinstance(text, str) else text)])
        mask = batch.inputs["attention_mask"]
        return self._named(
            self.bert(input_ids=batch.inputs["input_ids"], attention_mask=mask, output_hidden_states=True), mask
        )

    def _named(self, output: Any, mask: Tensor) -> dict[str, Tensor]:
        pooled = [self.pool(hidden, mask) for hidden in output.hidden_states]
        named = {f"shared.layer.{index}": values for index, values in enumerate(pooled[1:])}
        return {"shared.input": pooled[0], **named, "pooled": nn.functional.normalize(pooled[-1], dim=1)}

    @staticmethod
    def pool(hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the mean over the positions that are real."""
        return hidden.masked_fill(mask[..., None] == 0, 0.0).sum(dim=1) / mask.sum(dim=1, keepdim=True)

    @torch.inference_mode()
    def embed(self, texts: Sequence[str]) -> Targets:
        """Embed some texts."""
        pooled = np.empty((len(texts), self.width), dtype=np.float32)
        words = np.empty_like(pooled)
        prepared = [self.side.prepare(text, "") for text in texts]
        order = sorted(range(len(texts)), key=lambda index: prepared[index].length)
        for first in range(0, len(order), BATCH):
            rows = order[first : first + BATCH]
            batch = self.side.collate([prepared[row] for row in rows])
            ids, mask = batch.inputs["input_ids"], batch.inputs["attention_mask"]
            pooled[rows] = self.pool(self.bert(input_ids=ids, attention_mask=mask).last_hidden_state, mask).numpy()
            own = mask.clone()
            own[:, : len(self.before)] = 0
            own[torch.arange(len(rows)), mask.sum(dim=1) - 1] = 0
            words[rows] = self.pool(self.words[ids], own).numpy()
        return Targets(pooled, words)

    def targets(self, texts: Sequence[str], folder: Path, progress: Progress | None = None) -> Targets:
        """Embed some texts, or take from the cache what was embedded before."""
        name = hashlib.sha256(json.dumps([self.revision, list(texts)], ensure_ascii=False).encode()).hexdigest()[:20]
        path = folder / f"{name}.npy"
        if not path.is_file():
            blocks = []
            for first in range(0, len(texts), 16 * BATCH):
                blocks.append(self.embed(texts[first : first + 16 * BATCH]))
                if progress:
                    progress("e5", min(first + 16 * BATCH, len(texts)), len(texts))
            both = np.stack(
                [np.concatenate([getattr(block, field) for block in blocks]) for field in ("pooled", "words")]
            )
            write_atomically(path, lambda temporary: _save(temporary, both))
        pooled, words = np.load(path, allow_pickle=False)
        return Targets(pooled, words)


def _save(path: Path, values: NDArray[np.float32]) -> None:
    with path.open("wb") as handle:
        np.save(handle, values, allow_pickle=False)
