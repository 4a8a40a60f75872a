"""Text encoders and decoders of transformers as a text side: by rules, whatever their class.

An encoder reads a sentence with the tokens that it was trained with around it, and all of them count, as in its own
embedding of a sentence. A decoder reads it after those tokens and a prompt, and the sentence's own positions count:
the first position of a decoder is unlike all others.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from babelscope.errors import DataError
from babelscope.models.adapters.embedding import Embedding
from babelscope.models.adapters.prompts import PLACE
from babelscope.models.adapters.recordings import takes_more
from babelscope.models.adapters.tokenizing import Tokens
from babelscope.models.adapters.tracing import (
    Layer,
    Trace,
    input_embeddings,
    is_table,
    is_within,
    ran_between,
    trace,
    trunk,
)
from babelscope.models.adapters.weightless import shapes_only
from babelscope.sides import Batch, Point, Prepared, Side, Stage, first_tensor, pad, real_positions, spread_depths

#: Tokens of the text that is traced.
_TRACED = 12

#: Key under which an utterance counts its own positions.
_OWN = "sentence"


class TextSide(Side):
    """A text encoder or decoder.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        Without heads.
    tokenizer : transformers.PreTrainedTokenizerBase, tokenizers.Tokenizer or None
        None for a model that is only planned.
    points : sequence of Point
        Without depths, and without the pooled vector.
    decodes : bool
        Whether it is a decoder.
    embedding : Embedding, optional
        How it makes one vector of a sentence; None if it makes none.
    prefix : str
        Text before every sentence, which an encoder was trained with.
    prompt : str
        For a decoder: a text with ``{}`` where the sentence stands.
    """

    modality = "text"
    unit = "tokens"
    #: Name of the point of the vector of a sentence.
    pooled = "text.pooled"

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        points: Sequence[Point],
        *,
        decodes: bool = False,
        embedding: Embedding | None = None,
        prefix: str = "",
        prompt: str = PLACE,
    ) -> None:
        self.root: nn.Module = model
        self.family = type(model).__name__
        self.decodes, self.embedding, self.prefix = decodes, embedding, prefix
        self.before, _, self.behind = prompt.partition(PLACE)
        self.longest: int | None = longest_of(model)
        self.around: dict[str, int] = {}
        self.quiet = quiet(model)
        self.pad = padding_id(model, tokenizer)
        if tokenizer is not None:
            self.tokens = Tokens(tokenizer)
        made = [dataclasses.replace(point, counted_by=_OWN) if decodes else point for point in points]
        if embedding is not None:
            width = embedding.width(points[-1].width)
            made.append(Point(self.pooled, Stage.POOLED, 0, width, "", layout="bd", length=one, formula="1"))
        self.points = spread_depths(made)

    def prepare(self, item: str | NDArray[np.float32], language: str) -> Prepared:
        """Tokenise one sentence, after the prefix or inside the prompt.

        Raises
        ------
        DataError
            If it has no token of its own, more than the model has positions, or a language that the model has no code
            for.
        """
        text = str(item)
        if self.decodes:
            return self._inside_the_prompt(text, language)
        ids = self.tokens(self.prefix + text, language)
        self._refuse_longer(len(ids))
        if not text.strip() or len(ids) <= self._tokens_around(language):
            raise DataError("the tokenizer finds no token in the text")
        return Prepared({"input_ids": torch.tensor(ids)}, len(ids))

    def _tokens_around(self, language: str) -> int:
        """Return how many tokens stand around a text: the prefix, and those that the model was trained with."""
        if language not in self.around:
            self.around[language] = len(self.tokens(self.prefix.strip(), language))
        return self.around[language]

    def _inside_the_prompt(self, text: str, language: str) -> Prepared:
        own = self.tokens(text, language, special=False) if text.strip() else []
        if not own:
            raise DataError("the tokenizer finds no token in the text")
        first, _ = self.tokens.around(language)
        before = [*first, *(self.tokens(self.before, language, special=False) if self.before else [])]
        behind = self.tokens(self.behind, language, special=False) if self.behind else []
        ids = [*before, *own, *behind]
        self._refuse_longer(len(ids))
        return Prepared(
            {"input_ids": torch.tensor(ids)},
            len(own),
            starts={_OWN: len(before)},
            totals={_OWN: len(own) + len(behind)},
        )

    def _refuse_longer(self, tokens: int) -> None:
        if self.longest is not None and tokens > self.longest:
            raise DataError(
                f"{tokens} tokens are more than the {self.longest} positions that the model has: shorten the text"
            )

    def collate(self, items: Sequence[Prepared]) -> Batch:
        """Pad on the right."""
        ids = [item.inputs["input_ids"] for item in items]
        inputs = {"input_ids": pad(ids, self.pad), "attention_mask": real_positions([len(each) for each in ids]).long()}
        if self.decodes:
            return Batch.of(inputs, items)
        return Batch(inputs, tuple(item.length for item in items))

    def forward(self, batch: Batch) -> Mapping[str, Tensor]:
        """Run the model, and return the vectors of the sentences if it makes any."""
        returned = self.model(**batch.inputs, **self.quiet)
        if self.embedding is None:
            return {}
        hidden = first_tensor(returned)
        if hidden is None:
            raise DataError(f"{self.family} returns no hidden states: choose no 'pooled'")
        own = batch.inputs["attention_mask"].bool()
        if self.decodes:
            starts = [item.starts[_OWN] for item in batch.utterances()]
            before = real_positions(starts, own.shape[1])
            within = real_positions([a + b for a, b in zip(starts, batch.lengths, strict=True)], own.shape[1])
            own = (within & ~before).to(own.device)
        return {self.points[-1].name: self.embedding(hidden, own)}

    @property
    def model(self) -> Any:
        """The encoder or decoder itself."""
        return self.root

    def reference(self, item: str | NDArray[np.float32], language: str) -> Mapping[str, Tensor] | None:
        """Run the model on what its own tokenizer makes of one sentence; None with a prompt, which is no part of it."""
        if self.before or self.behind:
            return None
        from babelscope.verification.watching import own_forward

        ids = self.tokens(
            self.prefix + str(item), language
        )  # tells a tokenizer that has codes of languages which it is
        tokenizer = self.tokens.tokenizer
        given: dict[str, Any] = {"input_ids": torch.tensor([ids])}
        if callable(tokenizer):
            given = dict(tokenizer(self.prefix + str(item), return_tensors="pt"))
            given.pop("token_type_ids", None)
        given = {name: array.to(self.device) for name, array in given.items()}
        prepared = self.prepare(item, language)
        return own_forward(self, lambda: self.model(**given), prepared)


class TaggedText(TextSide):
    """An encoder that reads ``tag text </s>``: what is set for each text here, so that no call depends on another.

    Parameters
    ----------
    encode : callable
        From a text to the ids of its pieces, without special ones.
    **more
        As for :class:`TextSide`.
    """

    def __init__(self, model: Any, encode: Callable[[str], list[int]], points: Sequence[Point], **more: Any) -> None:
        super().__init__(model, None, points, **more)
        self.encode, self.end = encode, int(model.config.eos_token_id)

    def tag(self, language: str) -> int:
        """Return the id of a language's tag.

        Raises
        ------
        UsageError
            If the model does not read the language.
        """
        raise NotImplementedError

    def prepare(self, item: str | NDArray[np.float32], language: str) -> Prepared:
        """Tokenise one sentence after its language's tag.

        Raises
        ------
        DataError
            If it has no token of its own, or more than the model has positions.
        UsageError
            If the model does not read the language.
        """
        tag, pieces = self.tag(language), self.encode(str(item))
        if not pieces:
            raise DataError("the tokenizer finds no token in the text")
        ids = [tag, *pieces, self.end]
        self._refuse_longer(len(ids))
        return Prepared({"input_ids": torch.tensor(ids)}, len(ids))

    def reference(self, item: str | NDArray[np.float32], language: str) -> None:
        """Return None: what the checkpoint's own tokenizer does with tags is what is set right here."""


def one(length: int) -> int:
    """Return the number of vectors of a whole utterance."""
    return 1


def quiet(model: Any) -> dict[str, Any]:
    """Return what a forward pass is given so that it keeps nothing for later tokens."""
    parameters = inspect.signature(model.forward).parameters
    caches = "use_cache" in parameters or (takes_more(parameters) and hasattr(model.config, "use_cache"))
    return {"use_cache": False} if caches else {}


def padding_id(model: Any, tokenizer: Any) -> int:
    """Return the id that stands in the padding."""
    for holder in (tokenizer, model.config):
        number = getattr(holder, "pad_token_id", None)
        if isinstance(number, int) and 0 <= number < model.config.get_text_config().vocab_size:
            return number
    return 0


def longest_of(model: Any) -> int | None:
    """Return how many tokens a model has positions for; None if there is no limit."""
    most = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if not isinstance(most, int) or most < 1:
        return None
    for name, module in model.named_modules():
        # A table whose first rows are the padding's (XLM-R's): positions begin after them.
        if "position" in name and isinstance(module, nn.Embedding) and module.padding_idx is not None:
            return min(most, module.num_embeddings - module.padding_idx - 1)
    return most


def trace_text(model: Any) -> Trace:
    """Trace a short text, for shapes alone."""
    vocabulary = model.config.get_text_config().vocab_size
    ids = torch.arange(5, 5 + _TRACED)[None] % max(vocabulary, 1)
    with shapes_only(model):
        return trace(model, lambda: model(input_ids=ids, **quiet(model)))


def text_points(model: Any, layer_counts: Sequence[int] = ()) -> tuple[tuple[Point, ...], tuple[str, ...]]:
    """Find where a text encoder or decoder is looked at: embeddings, the layers' input, every layer, the final norm.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        With weights or without.
    layer_counts : sequence of int
        Numbers of layers that its configuration says.

    Returns
    -------
    points : tuple of Point
        In the order in which they are computed, without depths. What is the very array of another point is no point of
        its own: the layers' input, where the embeddings give it.
    notes : tuple of str
        What was left out, and why.

    Raises
    ------
    DataError
        If the model does not run on a text alone, or has no layers.
    """
    try:
        noted = trace_text(model)
    except Exception as error:  # models raise whatever their parts do
        from babelscope.models.adapters.loading import first_line

        raise DataError(f"{type(model).__name__} does not run on a text alone ({first_line(error)})") from error
    stack = trunk(model, noted, layer_counts)
    points: list[Point] = []
    notes: list[str] = []

    def add(name: str, stage: Stage, layer: Layer, take: Any = "output", call: int | None = None) -> None:
        shape = noted.shape(layer.path, take, layer.call)
        seen = _seen(shape)
        if seen is None:
            notes.append(f"Left out: {layer.path} gives {shape}, which is not batch, tokens and features.")
            return
        points.append(Point(name, stage, 0, seen[0], layer.path, take, call=call, stream=seen[1]))

    words = input_embeddings(model)
    first = stack.layers[0]
    before = list(ran_between(model, noted, -1, stack.entered, [stack.path]))
    table = next(
        (path for path, module in model.named_modules() if path in noted.left and is_table(module, words)), None
    )
    name_of = {path: f"front.{path}" for path in before}
    for path in before:
        if table is not None and is_within(table, path):
            name_of[path] = "embeddings"
    for path in before:
        if noted.calls(path) == 1:
            add(f"text.{name_of[path]}", Stage.FRONT_END, Layer(path, 0))
    if not {point.module for point in points} & set(noted.givers[first.path][first.call]):
        repeated = 0 if noted.calls(first.path) > 1 else None
        add("text.input", Stage.FRONT_END, first, "input", repeated)
    for index, layer in enumerate(stack.layers):
        call = layer.call if noted.calls(layer.path) > 1 else None
        add(f"text.layer.{index}", Stage.ENCODER, layer, call=call)
    for path in ran_between(model, noted, stack.left, 1 << 62, [stack.path]):
        if "norm" in type(model.get_submodule(path)).__name__.lower() and noted.calls(path) == 1:
            add("text.norm", Stage.ENCODER, Layer(path, 0))
    if (stream := next((point for point in points if point.stream is not None), None)) is not None:
        notes.append(f"{stream.module} and its like give several streams of activations: the first is looked at.")
    if not points:
        raise DataError(f"{type(model).__name__}: no point holds. {notes[0]}")
    return _once(points, notes), tuple(notes)


def _seen(shape: tuple[int, ...] | None) -> tuple[int, int | None] | None:
    """Return the width of an array of one text's positions, and the index of a stream before its batch, if any."""
    if shape is None:
        return None
    if len(shape) == 3 and shape[:2] == (1, _TRACED):
        return shape[2], None
    if len(shape) == 4 and shape[1:3] == (1, _TRACED):
        return shape[3], 0
    return None


def _once(points: Sequence[Point], notes: list[str]) -> tuple[Point, ...]:
    """Return points with every name once."""
    kept: dict[str, Point] = {}
    for point in points:
        if point.name in kept:
            notes.append(f"Left out: {point.module}, which would be called {point.name}, too.")
        else:
            kept[point.name] = point
    return tuple(kept.values())
