"""multilingual-e5-small from the ``E5S1`` container: float32 arrays, and matrices in blocks of four-bit numbers (Q4_0).

The container, little-endian: magic ``E5S1``, version, seven int32 (width, layers, heads, feed-forward width,
vocabulary, positions, token types), float32 epsilon, int32 block size, the tokenizer's tables, then a directory of
named arrays (type, count, offset, bytes). A block of Q4_0 is a float16 scale and 32 four-bit numbers, the first 16 in
the low halves, offset by 8.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import BertConfig

from babelscope.errors import DataError
from babelscope.models.weights.accounting import refuse_not_finite
from babelscope.models.weights.containers import Container
from babelscope.models.weights.settings import MAX_LAYERS, MAX_SIZE, MAX_WIDTH
from babelscope.plugins.offline.cursor import Cursor

_BLOCK = 32
_MOST_TYPES = 64
_BLOCK_BYTES = 2 + _BLOCK // 2


@dataclass(frozen=True)
class E5Container:
    """What the container says of the model, and its tensors under the names of transformers' ``BertModel``."""

    width: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    token_types: int
    epsilon: float
    state: dict[str, Tensor]


def read_asset(folder: Path) -> Container:
    """Read the asset: the encoder, under the names of transformers' ``BertModel``.

    Raises
    ------
    DataError
        As :func:`read_e5`.
    """
    path = folder / "e5-small-q4.bin"
    said = read_e5(path)
    config = BertConfig(
        vocab_size=said.vocabulary,
        hidden_size=said.width,
        num_hidden_layers=said.layers,
        num_attention_heads=said.heads,
        intermediate_size=said.feed_forward,
        max_position_embeddings=said.positions,
        type_vocab_size=said.token_types,
        layer_norm_eps=said.epsilon,
        pad_token_id=1,
        hidden_act="gelu",
    )
    note = "multilingual-e5-small is read from four-bit weights (Q4_0); the released model is in 32 bits."
    return Container(config, said.state, path, note)


def read_e5(path: Path) -> E5Container:
    """Read the container.

    Parameters
    ----------
    path : Path

    Returns
    -------
    E5Container

    Raises
    ------
    DataError
        If the file is cut short, of another format, or lacks an array.
    """
    cursor = Cursor(path)
    if cursor.data[:4] != b"E5S1":
        raise DataError(f"weights {path} are not an E5S1 container: fetch them again")
    cursor.take(8)
    width, layers, heads, feed_forward, vocabulary, positions, token_types = (
        int(value) for value in cursor.unpack("7i")
    )
    epsilon = float(cursor.unpack("f")[0])
    for number, most in ((width, MAX_WIDTH), (layers, MAX_LAYERS), (heads, width), (feed_forward, MAX_WIDTH),
                         (vocabulary, MAX_SIZE), (positions, MAX_SIZE), (token_types, _MOST_TYPES)):  # fmt: skip
        if not 1 <= number <= most or not 0 <= epsilon < 1 or width % max(heads, 1):
            raise DataError(f"weights {path} claim sizes that no model has: they are damaged, fetch them again")
    if (block := cursor.number("i")) != _BLOCK:
        raise DataError(f"weights {path} use blocks of {block} numbers; only {_BLOCK} can be read")
    pieces = int(cursor.unpack("5i")[0])
    blob = cursor.number("Q")
    cursor.take(4 * (pieces + 1) + 4 * pieces + blob)
    _, normalisation_bytes = cursor.unpack("iI")
    cursor.take(int(normalisation_bytes))
    directory: dict[str, tuple[int, int, int]] = {}
    for _ in range(cursor.number("i")):
        name = cursor.take(cursor.number("H")).decode("ascii", "replace")
        _, count, offset, size = (int(value) for value in cursor.unpack("BIQQ"))
        if offset + size > len(cursor.data):
            raise DataError(
                f"weights {path} are cut short: array {name!r} ends behind the file's end; fetch them again"
            )
        directory[name] = (count, offset, size)

    def entry(name: str) -> tuple[int, int, int]:
        if name not in directory:
            raise DataError(f"weights {path} lack the array {name!r}: they are not a whole E5 model")
        return directory[name]

    def plain(name: str, *shape: int) -> Tensor:
        count, offset, size = entry(name)
        if count != math.prod(shape) or size != 4 * count:
            raise DataError(f"weights {path}: array {name!r} has {count} numbers where {math.prod(shape)} belong")
        array = torch.from_numpy(np.frombuffer(cursor.data, "<f4", count, offset).copy()).view(*shape)
        refuse_not_finite(name, array, str(path))
        return array

    def quantised(name: str, rows: int, columns: int) -> Tensor:
        _, offset, size = entry(name)
        blocks = rows * columns // _BLOCK
        if rows * columns % _BLOCK or size != blocks * _BLOCK_BYTES:
            raise DataError(f"weights {path}: array {name!r} has {size} bytes where {blocks * _BLOCK_BYTES} belong")
        packed = np.frombuffer(cursor.data, np.dtype([("scale", "<f2"), ("halves", "u1", _BLOCK // 2)]), blocks, offset)
        low, high = packed["halves"] & 15, packed["halves"] >> 4
        numbers = np.concatenate([low, high], axis=1).astype(np.float32) - 8.0
        array = torch.from_numpy((numbers * packed["scale"].astype(np.float32)[:, None]).reshape(rows, columns))
        refuse_not_finite(name, array, str(path))
        return array

    types = torch.zeros(token_types, width)
    rows = min(entry("emb.type")[0] // width, token_types)
    types[:rows] = plain("emb.type", rows, width)
    state = {
        "embeddings.word_embeddings.weight": quantised("emb.word", vocabulary, width),
        "embeddings.position_embeddings.weight": plain("emb.pos", positions, width),
        "embeddings.token_type_embeddings.weight": types,
        "embeddings.LayerNorm.weight": plain("emb.ln.w", width),
        "embeddings.LayerNorm.bias": plain("emb.ln.b", width),
    }
    matrices = {
        "attention.self.query": ("q", width, width),
        "attention.self.key": ("k", width, width),
        "attention.self.value": ("v", width, width),
        "attention.output.dense": ("ao", width, width),
        "intermediate.dense": ("fi", feed_forward, width),
        "output.dense": ("fo", width, feed_forward),
    }
    for layer in range(layers):
        for target, (source, rows, columns) in matrices.items():
            state[f"encoder.layer.{layer}.{target}.weight"] = quantised(f"l{layer}.{source}.w", rows, columns)
            state[f"encoder.layer.{layer}.{target}.bias"] = plain(f"l{layer}.{source}.b", rows)
        for target, source in (("attention.output.LayerNorm", "aln"), ("output.LayerNorm", "oln")):
            state[f"encoder.layer.{layer}.{target}.weight"] = plain(f"l{layer}.{source}.w", width)
            state[f"encoder.layer.{layer}.{target}.bias"] = plain(f"l{layer}.{source}.b", width)
    return E5Container(width, layers, heads, feed_forward, vocabulary, positions, token_types, epsilon, state)
