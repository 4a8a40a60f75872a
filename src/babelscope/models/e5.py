"""multilingual-e5-small as a text side: a BERT of 12 layers; its embedding is the normalised mean of the last layer.

E5 was trained with ``query: `` before every sentence, so that prefix is part of every input. Pooling is over all tokens
of the input, the prefix and both special tokens included, as the model's own embedding is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from tokenizers import Tokenizer
from torch import Tensor
from transformers import BertConfig, BertModel

from babelscope.errors import BabelscopeError
from babelscope.fetch import asset_folder
from babelscope.models.adapters.embedding import Embedding
from babelscope.models.adapters.text import TextSide, text_points
from babelscope.models.options import LoadOptions
from babelscope.models.weights.containers import authors_folder, blank, filled, read_asset
from babelscope.models.weights.folder import load_pretrained, planned_config, read_tokenizer
from babelscope.models.weights.places import expanded, locate
from babelscope.sides import Batch, Model, WeightsFile, dtype_named, ready

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


#: From the last hidden states to the sentence embedding.
EMBEDDING = Embedding("mean")


class E5Text(TextSide):
    """The text side: embeddings, every layer, the sentence embedding.

    Parameters
    ----------
    model : BertModel
        Without its pooler.
    tokenizer : tokenizers.Tokenizer or None
        XLM-R's, which adds ``<s>`` and ``</s>``; it neither pads nor cuts. None for a model that is only planned.
    """

    def __init__(self, model: BertModel, tokenizer: Tokenizer | None) -> None:
        points, _ = text_points(model, [model.config.num_hidden_layers])
        super().__init__(model, tokenizer, points, embedding=EMBEDDING, prefix=PREFIX)
        self.family = "multilingual E5 (BERT)"
        self.tokenizer: Any = tokenizer

    def embeddings(self, batch: Batch) -> Tensor:
        """Run the encoder and return the sentence embeddings, of length 1: shape (batch, width), float32."""
        (vectors,) = self.forward(batch).values()
        return vectors


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


def counter(weights: str | None = None, *, asset: str = ASSET) -> Callable[[str, str], int] | None:
    """Return what counts the tokens of a text, given with its language; None if the tokenizer is not here."""
    try:
        file = (expanded(weights) if weights else asset_folder(asset)) / "tokenizer.json"
    except BabelscopeError:
        return None
    tokenizer = cache(lambda: read_tokenizer(file))  # takes much memory: only if a text is to be counted
    return (lambda text, language: len(tokenizer().encode(PREFIX + text).ids)) if file.is_file() else None


def read(
    weights: str | None = None, *, asset: str = ASSET
) -> tuple[BertModel, Tokenizer, tuple[WeightsFile, ...], tuple[str, ...]]:
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
    if place := locate(weights) if weights else authors_folder(asset):
        model, files = load_pretrained(BertModel, place, ignore_unexpected=HEADS, add_pooling_layer=False)
        return model, read_tokenizer(place.folder / "tokenizer.json", model.config.vocab_size), files, ()
    folder = asset_folder(asset)
    container = read_asset(ASSET, folder)
    model = filled(BertModel, container.config, container.state, add_pooling_layer=False)
    return model, read_tokenizer(folder / "tokenizer.json"), container.weights(asset), (container.note,)


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
    model = blank(BertModel, planned_config(BertConfig, folder, **RELEASED), add_pooling_layer=False)
    return Model(name, {"text": E5Text(model, None)}, (), {"prefix": PREFIX, "attention": "sdpa"}, (), LICENCE)
