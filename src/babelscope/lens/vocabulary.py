"""How a position is read: by a language model's own final norm and output layer, or by nearest input embeddings."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from babelscope.errors import DataError
from babelscope.models.base import Model, Side
from babelscope.models.unembedding import Unembedding, input_embeddings, unembedding

#: Entries of the vocabulary, and positions, that are compared at once: what bounds the memory.
ENTRIES, POSITIONS = 16_384, 64

#: What tokenizers write for a space before a word, and within one.
_MARKS = ("▁", "Ġ", "##", "</w>", "@@")


@dataclass(frozen=True)
class Readout:
    """Reads positions as entries of a vocabulary.

    Attributes
    ----------
    by : {"output layer", "input embeddings"}
    source : str
        Where its weights came from, for people.
    side : Side
        The text side, whose tokenizer writes the entries.
    head : Unembedding or None
    embeddings : Tensor or None
        Shape (vocabulary, width).
    """

    by: str
    source: str
    side: Side
    head: Unembedding | None = None
    embeddings: Tensor | None = None
    _means: dict[str, Tensor] = field(default_factory=dict)

    @functools.cached_property
    def _norms(self) -> Tensor:
        assert self.embeddings is not None
        centre = self._means.get("", torch.zeros(self.embeddings.shape[1]))
        parts = [
            torch.linalg.vector_norm(entries.float() - centre.to(entries.device), dim=1)
            for entries in _cut(self.embeddings, ENTRIES)
        ]
        return torch.cat(parts).clamp_min(1e-12)

    def centred(self, means: dict[str, Tensor]) -> Readout:
        """Return one that takes means off before a cosine: the vocabulary's, and those of positions by point."""
        if self.embeddings is None:
            return self
        sums = [entries.double().sum(0) for entries in _cut(self.embeddings, ENTRIES)]
        vocabulary = (torch.stack(sums).sum(0) / len(self.embeddings)).float()
        return Readout(self.by, self.source, self.side, None, self.embeddings, {"": vocabulary, **means})

    def nearest(self, values: Tensor, point: str, k: int) -> Tensor:
        """Return the k nearest entries of each position, the nearest first.

        Parameters
        ----------
        values : Tensor, shape (positions, width)
        point : str
        k : int

        Returns
        -------
        Tensor of int64, shape (positions, k)
        """
        blocks = [self._nearest(positions, point, k) for positions in _cut(values, POSITIONS)]
        return torch.cat(blocks) if blocks else torch.zeros((0, k), dtype=torch.int64)

    def _nearest(self, values: Tensor, point: str, k: int) -> Tensor:
        if self.head is not None:
            return self.head.logits(values, point).topk(k, dim=1).indices.cpu()
        assert self.embeddings is not None
        weight = self.embeddings
        states = values.to(weight.device).float()
        if point in self._means:
            states = states - self._means[point].to(states)
        centre = self._means.get("", torch.zeros(weight.shape[1])).to(states)
        best: tuple[Tensor, Tensor] | None = None
        for start in range(0, len(weight), ENTRIES):
            entries = weight[start : start + ENTRIES].float() - centre
            cosines = states @ entries.T / self._norms[start : start + ENTRIES].to(states)
            top = cosines.topk(min(k, cosines.shape[1]), dim=1)
            values_, places = top.values, top.indices + start
            if best is not None:
                values_, places = torch.cat([best[0], values_], 1), torch.cat([best[1], places], 1)
                order = values_.topk(k, dim=1).indices
                values_, places = values_.gather(1, order), places.gather(1, order)
            best = values_, places
        assert best is not None
        return best[1].cpu()

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Return entries as they are written, without a tokenizer's marks; a space where a word begins."""
        return [_plain(self._written(int(number))) for number in ids]

    def _written(self, number: int) -> str:
        tokenizer: Any = getattr(self.side, "tokenizer", None)
        piece = (self.side.pieces([number]) or ("",))[0]
        if piece and not any(mark in piece for mark in ("▁", "##", "</w>", "@@")) and hasattr(tokenizer, "decode"):
            try:
                return str(tokenizer.decode([number])) or piece  # bytes as letters
            except (TypeError, ValueError, KeyError, IndexError):
                return piece
        return piece


def _cut(values: Tensor, rows: int) -> list[Tensor]:
    return [values[start : start + rows] for start in range(0, len(values), rows)]


def _plain(piece: str) -> str:
    if piece.startswith(("▁", "Ġ")):
        piece = " " + piece[1:]
    for mark in _MARKS:
        piece = piece.replace(mark, "")
    return piece


def readout(model: Model) -> Readout:
    """Return what reads a model's positions: its output layer if it has one here, or its input embeddings.

    Raises
    ------
    DataError
        If it has neither, or its tokenizer does not write its entries.
    """
    side = model.sides.get("text")
    if side is None:
        raise DataError(f"lens: {model.name} has no text side: there is no vocabulary to read in")
    if side.pieces([0]) is None:
        raise DataError(f"lens: the tokenizer of {model.name} does not write single tokens: nothing can be read")
    head = unembedding(model)
    if head is not None:
        return Readout("output layer", head.source, side, head)
    embeddings = input_embeddings(model)
    if embeddings is None:
        raise DataError(
            f"lens: {model.name} has neither an output layer nor input embeddings here: nothing can be read"
        )
    return Readout("input embeddings", "the text side's first layer", side, None, embeddings.detach())


def surface(piece: str) -> str:
    """Return a piece as it is compared: letters and marks in between, case folded; empty if it says nothing.

    Special tokens, punctuation, digits and single letters of alphabets are empty: they match anything.
    """
    if piece.startswith("<") and piece.endswith(">"):
        return ""
    text = unicodedata.normalize("NFKC", piece).casefold().strip()
    while text and not text[0].isalpha():
        text = text[1:]
    while text and not (text[-1].isalpha() or unicodedata.category(text[-1]).startswith("M")):
        text = text[:-1]
    return text if len(text) > 1 or (text and script(text) in _WHOLE) else ""


#: Scripts in which one sign is a word or a syllable.
_WHOLE = {"CJK", "HIRAGANA", "KATAKANA", "HANGUL", "ETHIOPIC"}


def script(text: str) -> str:
    """Return the script that most letters of a text are in, by their names in Unicode; empty without a letter."""
    counts: dict[str, int] = {}
    for letter in text:
        if letter.isalpha():
            name = unicodedata.name(letter, "").partition(" ")[0]
            counts[name] = counts.get(name, 0) + 1
    return max(counts, key=lambda name: counts[name], default="")
