"""``pocket``: a small joint model of speech and text, whose only trained part comes along with babelscope.

Whisper-base's encoder, frozen, then a length adapter (:mod:`babelscope.plugins.pocket.adapter`), then the 12 layers of
multilingual-e5-small, frozen, which text goes through as well: they are the shared layers. The adapter was taught that
the embedding of a recording is E5's embedding of its transcript.

Whisper hears a recording in a window of the next whole second, as the adapter was trained. Between ``<s> query :`` and
``</s>`` stands what the adapter makes of a recording, as the tokens of a text do.

Two controls have the same text side:

- ``adapter = "untrained"``: the adapter as training begins with it, drawn with ``seed``. What the shared layers do by
  themselves to any input of the right scale.
- ``adapter = "ridge"``: no adapter and no shared layers: the mean of Whisper's last layer, mapped linearly to E5's
  embedding by a ridge regression on the same training recordings. What takes no joint model at all.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import BertModel, WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from babelscope.cache import sha256_of
from babelscope.errors import DataError, UsageError, did_you_mean
from babelscope.models.adapters import build_planned, open_declared, token_counter
from babelscope.models.adapters.embedding import Embedding
from babelscope.models.adapters.loading import Loaded, load_model
from babelscope.models.adapters.text import TextSide, one, text_points
from babelscope.models.adapters.windows import cut_positions
from babelscope.models.catalogue import CATALOGUE, Declaration
from babelscope.models.options import LoadOptions
from babelscope.models.weights.folder import read_tokenizer
from babelscope.models.weights.places import expanded
from babelscope.plugins.pocket import E5_ASSET, whisper
from babelscope.plugins.pocket.adapter import (
    LONGEST_WINDOW,
    SAMPLE_RATE,
    SPLIT,
    WEIGHTS,
    PocketAdapter,
    embed_between,
    halved,
    load_adapter,
    window_samples,
)
from babelscope.plugins.pocket.ridge import RIDGE, RidgeMap, load_ridge
from babelscope.sides import (
    Batch,
    Model,
    Point,
    Prepared,
    Side,
    Stage,
    WeightsFile,
    dtype_named,
    layer_points,
    pad,
    ready,
    spread_depths_before,
)

#: What may stand between Whisper and E5.
ADAPTERS: dict[str, str] = {
    "trained": "the adapter that comes along",
    "untrained": "an adapter as training begins with it (a control)",
    "ridge": "a linear map from the mean of Whisper's last layer to E5's embedding (a control)",
}
POOLED = "shared.pooled"

WHISPER = CATALOGUE["whisper-base"]
E5 = dataclasses.replace(CATALOGUE["e5-small"], asset=E5_ASSET)
#: From the last hidden states to E5's embedding of a sentence.
EMBEDDING = Embedding("mean")
#: Tokens before and after an input, by E5's tokenizer: ``<s> ▁que ry :`` and ``</s>``.
PROMPT = (4, 1)
LICENCE = "MIT (Whisper, E5), Apache-2.0 (adapter)"

Adapter = Literal["trained", "untrained", "ridge"]


@dataclass(frozen=True)
class Frozen:
    """What a model and its controls have in common: the frozen models, and where they came from."""

    options: LoadOptions
    encoder: WhisperEncoder
    model: BertModel
    tokenizer: Tokenizer
    heard: tuple[WeightsFile, ...]
    read: tuple[WeightsFile, ...]
    notes: tuple[str, ...]


class Memory:
    """What Whisper made of batches, kept for the controls that hear the same ones after the same encoder.

    A recording in another batch is not the same to the last bit: whole batches are kept, so that what is kept is what
    would be computed. Threads may share it.

    Parameters
    ----------
    budget : int
        Bytes; the oldest go first.
    """

    def __init__(self, budget: int = 2**29) -> None:
        self.budget = budget
        self.held: OrderedDict[bytes, Tensor] = OrderedDict()
        self.size = 0
        self._lock = threading.Lock()

    @staticmethod
    def key(features: Tensor, windows: Sequence[int]) -> bytes:
        """Return what tells a batch's features and windows from others'."""
        label = f"{tuple(features.shape)} {list(windows)} ".encode()
        return hashlib.blake2b(label + features.cpu().numpy().tobytes(), digest_size=16).digest()

    def get(self, key: bytes) -> Tensor | None:
        """Return what is kept of a batch."""
        with self._lock:
            return self.held.get(key)

    def keep(self, key: bytes, positions: Tensor) -> None:
        """Keep a batch's positions, shape (batch, positions, width), which nobody writes to any more."""
        with self._lock:
            if key in self.held:
                return
            self.held[key] = positions
            self.size += positions.nbytes
            while self.size > self.budget:
                self.size -= self.held.popitem(last=False)[1].nbytes


def _shared_points(model: BertModel, length: Callable[[int], int], formula: str) -> list[Point]:
    width = model.config.hidden_size
    each = cast(dict[str, Any], {"length": length, "formula": formula, "around": PROMPT})
    encoder = "shared.encoder."
    return [
        Point("shared.input", Stage.SHARED, 0, width, f"{encoder}layer.0", take="input", **each),
        *layer_points("shared.", model.config.num_hidden_layers, width, encoder, Stage.SHARED, "layer", **each),
        Point(POOLED, Stage.POOLED, 0, width, "", layout="bd", length=one, formula="1"),
    ]


class PocketText(TextSide):
    """The text side: E5, whose layers are the shared ones.

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer or None
        None for a model that is only planned.
    longest : int
        Own points of the speech side, for the depth of the shared ones.
    """

    def __init__(self, model: BertModel, tokenizer: Tokenizer | None, longest: int) -> None:
        points, _ = text_points(model, [model.config.num_hidden_layers])
        super().__init__(model, tokenizer, points, embedding=EMBEDDING, prefix=E5.prefix)
        self.family, self.tokenizer = "multilingual E5 (BERT)", tokenizer
        self.root = nn.ModuleDict({"shared": model}).eval()
        width = model.config.hidden_size
        own = [Point("text.words", Stage.FRONT_END, 0, width, "shared.embeddings.word_embeddings", around=PROMPT)]
        self.points = spread_depths_before(own, _shared_points(model, lambda length: length, "L"), longest)

    @property
    def model(self) -> BertModel:
        """The shared layers themselves."""
        return cast(BertModel, self.root.get_submodule("shared"))

    def computes_as(self, other: Side) -> bool:
        """Whether another side is of the same E5: no adapter changes what it makes of a text."""
        return isinstance(other, PocketText) and other.model is self.model and other.tokenizer is self.tokenizer


class _PocketSpeech(Side):
    """What both kinds of speech side have: Whisper in windows of a recording's own length."""

    modality = "speech"
    unit = "samples at 16 kHz"
    fixed_batch_length = True

    def __init__(self, encoder: WhisperEncoder) -> None:
        self.encoder = encoder
        self.longest = LONGEST_WINDOW * SAMPLE_RATE - 1
        self._features: dict[int, WhisperFeatureExtractor] = {}
        self.frozen: Frozen | None = None
        self.memory: Memory | None = None

    def prepare(self, item: str | NDArray[np.float32], language: str) -> Prepared:
        """Compute the log-mel features of one recording, padded with silence to the next whole second."""
        samples = np.asarray(item, dtype=np.float32)
        window = window_samples(len(samples))
        if window not in self._features:
            self._features[window] = WhisperFeatureExtractor(
                feature_size=self.encoder.config.num_mel_bins, chunk_length=window // SAMPLE_RATE
            )
        features = self._features[window](samples, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features[0]
        return Prepared({"input_features": features}, len(samples))

    def collate(self, items: Sequence[Prepared]) -> Batch:
        """Pad the windows to the longest of them with zeros."""
        features = [item.inputs["input_features"] for item in items]
        return Batch({"input_features": pad(features)}, tuple(item.length for item in items))

    def hear(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return Whisper's last layer, shape (batch, positions, width), and each recording's own positions."""
        features = batch.inputs["input_features"].to(self.encoder.conv1.weight.dtype)
        windows = [window_samples(length) // whisper.HOP for length in batch.lengths]
        counts = [whisper.positions(length) for length in batch.lengths]
        own = torch.tensor(counts, device=features.device)
        if self.memory is None:
            return whisper.hear(self.encoder, features, windows), own
        key = Memory.key(batch.inputs["input_features"], windows)
        heard = None if self.looks_inside else self.memory.get(key)
        if heard is None:
            heard = whisper.hear(self.encoder, features, windows)
            self.memory.keep(key, heard)
        return heard, own

    @property
    def looks_inside(self) -> bool:
        """Whether a point is in Whisper, so that it has to run."""
        return any(point.module.startswith("whisper.") for point in self.points)


class PocketSpeech(_PocketSpeech):
    """The speech side: Whisper's points, length adaptation step by step, the shared layers.

    Parameters
    ----------
    model : BertModel
        The text side's own.
    before, after : sequence of int
        Tokens that stand around an input: ``<s> query :`` and ``</s>``.
    """

    family = "Whisper encoder, length adapter, multilingual E5"

    def __init__(
        self,
        encoder: WhisperEncoder,
        adapter: PocketAdapter,
        model: BertModel,
        before: Sequence[int],
        after: Sequence[int],
    ) -> None:
        super().__init__(encoder)
        self.root: nn.Module = nn.ModuleDict({"whisper": encoder, "adapter": adapter, "shared": model}).eval()
        self.adapter, self.model = adapter, model
        self.before, self.after = list(before), list(after)
        own = self._own_points()
        self.own = len(own)
        self.points = spread_depths_before(own, self._shared(), self.own)

    def _own_points(self) -> list[Point]:
        shape = self.adapter.shape

        def point(name: str, width: int, module: str, halvings: int, formula: str) -> Point:
            def length(samples: int) -> int:
                positions = whisper.positions(samples)
                for _ in range(halvings):
                    positions = halved(positions)
                return positions

            return Point(
                f"speech.{name}",
                Stage.LENGTH_ADAPTATION,
                0,
                width,
                f"adapter.{module}",
                length=length,
                formula=formula,
            )

        steps = [
            point(
                f"adaptation.{index}",
                shape.width,
                f"halvings.{index}",
                index + 1,
                f"A = ceil(E / {2 ** (index + 1)})",
            )
            for index in range(shape.convolutions)
        ]
        count, formula = shape.convolutions, f"A = ceil(E / {2**shape.convolutions})"
        return [
            *whisper.encoder_points(self.encoder.config, "whisper."),
            point("before_adaptation", shape.input_width, "norm_in", 0, "E = (M - 1) // 2 + 1"),
            *steps,
            point("after_adaptation", shape.width, "norm_out", count, formula),
        ]

    def _shared(self) -> list[Point]:
        around = len(self.before) + len(self.after)

        def length(samples: int) -> int:
            return self.adapter.output_length(whisper.positions(samples)) + around

        return _shared_points(self.model, length, f"A + {around}")

    def prepare(self, item: str | NDArray[np.float32], language: str) -> Prepared:
        """Compute the log-mel features of one recording; see the base class.

        Raises
        ------
        DataError
            If the recording is too long for any window, or for the shared layers.
        """
        prepared = super().prepare(item, language)
        needed = self.adapter.output_length(whisper.positions(prepared.length)) + len(self.before) + len(self.after)
        longest = int(self.model.config.max_position_embeddings)
        if needed > longest:
            raise DataError(
                f"{prepared.length / SAMPLE_RATE:.1f} s of speech take {needed} positions, more than the {longest} of "
                f"the shared layers: cut the recording"
            )
        return prepared

    def forward(self, batch: Batch) -> Mapping[str, Tensor]:
        """Run Whisper, the adapter and the shared layers, and return the sentence embeddings."""
        heard, own = self.hear(batch)
        adapted = self.adapter(heard, own)
        lengths = torch.tensor([self.adapter.output_length(int(length)) for length in own], device=adapted.device)
        words = self.model.embeddings.word_embeddings.weight
        inputs, mask = embed_between(words[self.before], adapted[:, : int(lengths.max())], lengths, words[self.after])
        hidden = self.model(attention_mask=mask, inputs_embeds=inputs).last_hidden_state
        return {POOLED: EMBEDDING(hidden, mask.bool())}


class PocketRidgeSpeech(_PocketSpeech):
    """The speech side of the ridge control: Whisper's points, and the mapped mean of its last layer.

    Parameters
    ----------
    pooled : Point
        The embedding, as the text side describes it.
    """

    family = "Whisper encoder, linear map"

    def __init__(self, encoder: WhisperEncoder, ridge: RidgeMap, pooled: Point) -> None:
        super().__init__(encoder)
        self.root: nn.Module = nn.ModuleDict({"whisper": encoder, "ridge": ridge}).eval()
        self.ridge = ridge
        own = whisper.encoder_points(encoder.config, "whisper.")
        self.points = spread_depths_before(own, [pooled], len(own))

    def forward(self, batch: Batch) -> Mapping[str, Tensor]:
        """Run Whisper and return the mapped means over each recording's own positions."""
        heard, own = self.hear(batch)
        real = (torch.arange(heard.shape[1], device=heard.device)[None] < own[:, None])[..., None]
        mean = heard.float().masked_fill(~real, 0.0).sum(dim=1) / own[:, None]
        return {POOLED: nn.functional.normalize(self.ridge(mean.to(heard.dtype)).float(), dim=1)}


def load(options: LoadOptions) -> Model:
    """Load ``pocket`` or one of its controls.

    Parameters
    ----------
    options : LoadOptions
        ``weights``: an adapter's file, or a folder with any of ``adapter.safetensors``, ``ridge.safetensors`` and the
        folders ``whisper`` and ``e5`` in transformers' format; what it lacks is what comes along or was fetched.
        ``extra``: ``adapter`` (of :data:`ADAPTERS`) and, for the untrained one, ``seed``.

    Returns
    -------
    Model

    Raises
    ------
    UsageError
        If an option is unknown or out of range, or a window is asked for.
    FetchError
        If Whisper or E5 is not here.
    DataError
        If weights are missing, damaged, or do not fit together.
    """
    _chosen(options)
    place = _Place(options.weights)
    heard, _, _ = _read(WHISPER, place.folder("whisper"), options)
    cut_positions(heard.model, LONGEST_WINDOW)
    read, tokens, notes = _read(E5, place.folder("e5"), options)
    tokenizer = read_tokenizer(tokens, read.model.config.vocab_size)
    return _joined(options, Frozen(options, heard.model, read.model, tokenizer, heard.files, read.files, notes))


def _read(declaration: Declaration, folder: str | None, options: LoadOptions) -> tuple[Loaded, Path, tuple[str, ...]]:
    """Return a frozen model with its weights, its tokenizer's file, and notes on the weights."""
    opened = open_declared(declaration, folder)
    plain = LoadOptions(declaration.name, device=options.device, dtype=options.dtype)
    loaded = load_model(opened.configuration, opened.place, plain, opened.container)
    return loaded, opened.place.folder / "tokenizer.json", opened.notes


def variant(model: Model, extra: Mapping[str, Any]) -> Model:
    """Return a loaded model under other options: the frozen parts are the same, and what Whisper hears is kept.

    Parameters
    ----------
    model : Model
        From :func:`load`. What it hears from now on is kept for the variant (half a gigabyte at most), so that Whisper
        need not run again where nothing inside it is looked at.
    extra : mapping
        As the options of :func:`load`.

    Raises
    ------
    UsageError, DataError
        As :func:`load`.
    """
    speech = cast(_PocketSpeech, model.sides["speech"])
    if speech.frozen is None:
        raise UsageError(f"model {model.name} was only planned: load it")
    speech.memory = speech.memory or Memory()
    other = _joined(dataclasses.replace(speech.frozen.options, extra=extra), speech.frozen)
    cast(_PocketSpeech, other.sides["speech"]).memory = speech.memory
    return other


def _joined(options: LoadOptions, frozen: Frozen) -> Model:
    """Put the frozen models and what stands between them together."""
    kind, seed = _chosen(options)
    place, encoder, model = _Place(options.weights), frozen.encoder, frozen.model
    dtype = dtype_named(options.dtype)
    said: dict[str, Any] = {"adapter": kind, "prefix": E5.prefix, "dtype": options.dtype, "attention": "sdpa"}
    files = (*frozen.heard, *frozen.read)
    text: PocketText
    speech: _PocketSpeech
    if kind == "ridge":
        file = place.file("ridge.safetensors", RIDGE)
        ridge, _ = load_ridge(file)
        _check_fit(file, ridge.linear.in_features, ridge.linear.out_features, encoder, model)
        files = (*files, _weights(file))
        text = PocketText(model, frozen.tokenizer, len(whisper.encoder_points(encoder.config)))
        speech = PocketRidgeSpeech(encoder, cast(RidgeMap, ready(ridge, options.device, dtype)), text.points[-1])
    else:
        file = place.file("adapter.safetensors", WEIGHTS)
        adapter, _ = load_adapter(file)
        _check_fit(file, adapter.shape.input_width, adapter.shape.width, encoder, model)
        if kind == "untrained":
            words = model.embeddings.word_embeddings.weight.detach().float().cpu()
            adapter = PocketAdapter.untrained(seed, words, adapter.shape)
            said["seed"] = seed
        else:
            files = (*files, _weights(file))
        prompt = frozen.tokenizer.encode(E5.prefix.strip()).ids
        ready(adapter, options.device, dtype)
        joint = PocketSpeech(encoder, adapter, model, prompt[:-1], prompt[-1:])
        text, speech = PocketText(model, frozen.tokenizer, joint.own), joint
    speech.frozen = frozen
    return Model(
        name=options.name,
        sides={"text": text, "speech": speech},
        weights=files,
        options=said,
        notes=(*_notes(kind, seed), *frozen.notes),
        licence=LICENCE,
    )


def planned(name: str, folder: str | None = None) -> Model:
    """Return the model without the weights of Whisper and E5 (on the "meta" device): nothing to run.

    Parameters
    ----------
    name : str
    folder : str, optional
        As ``weights`` of :func:`load`.

    Raises
    ------
    DataError
        If the folder does not exist, or the adapter is missing or damaged.
    """
    place = _Place(folder)
    encoder = build_planned(WHISPER.name, place.folder("whisper"))
    model = build_planned(E5.name, place.folder("e5"))
    adapter, _ = load_adapter(place.file("adapter.safetensors", WEIGHTS))
    with torch.device("meta"):
        speech = PocketSpeech(encoder, adapter.to("meta").requires_grad_(False), model, *map(range, PROMPT))
    text = PocketText(model, None, speech.own)
    return Model(name, {"text": text, "speech": speech}, (), {"adapter": "trained"}, _notes("trained", 0), LICENCE)


def counter(weights: str | None = None) -> Callable[[str, str], int] | None:
    """Return what counts the tokens of a text, given with its language; None if the tokenizer is not here."""
    try:
        return token_counter(E5, _Place(weights).folder("e5"))
    except DataError:
        return None


def _chosen(options: LoadOptions) -> tuple[Adapter, int]:
    options.check_extra(("adapter", "seed"))
    if options.window_seconds is not None:
        raise UsageError(
            f"window_seconds: {options.name} hears a recording in a window of the next whole second; leave it out"
        )
    kind, seed = options.extra.get("adapter", "trained"), options.extra.get("seed")
    if kind not in ADAPTERS:
        raise UsageError(f"options: adapter {kind!r} is unknown; {did_you_mean(str(kind), ADAPTERS)}")
    if seed is not None and kind != "untrained":
        raise UsageError(f"options: the {kind} adapter takes no seed; leave it out, or choose adapter = 'untrained'")
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63):
        raise UsageError(f"options: seed {seed!r} is not a whole number from 0 on")
    return cast(Adapter, kind), seed or 0


#: What a folder may hold in place of what comes along or is fetched.
OWN = ("adapter.safetensors", "ridge.safetensors", "whisper", "e5")


class _Place:
    """Where weights are that replace what comes along."""

    def __init__(self, weights: str | None) -> None:
        self.path = expanded(weights) if weights else None
        if self.path is not None and not self.path.exists():
            raise DataError(f"weights: there is no {weights}: name an adapter's file, or a folder with one")
        if self.path is not None and self.path.is_dir() and not any((self.path / name).exists() for name in OWN):
            raise DataError(f"weights: {weights} holds none of {', '.join(OWN)}: name an adapter's file, or its folder")

    def file(self, name: str, otherwise: Path) -> Path:
        if self.path is None:
            return otherwise
        if self.path.is_file():
            return self.path
        return self.path / name if (self.path / name).is_file() else otherwise

    def folder(self, name: str) -> str | None:
        return str(self.path / name) if self.path is not None and (self.path / name).is_dir() else None


def _weights(file: Path) -> WeightsFile:
    return WeightsFile(file.name, sha256_of(file), "babelscope" if file.parent == WEIGHTS.parent else file.parent.name)


def _check_fit(file: Path, input_width: int, width: int, encoder: WhisperEncoder, model: BertModel) -> None:
    if (input_width, width) != (encoder.config.d_model, model.config.hidden_size):
        raise DataError(
            f"{file} maps {input_width} features to {width}, but Whisper here has {encoder.config.d_model} and E5 "
            f"{model.config.hidden_size}: take the weights that it was made for"
        )


def held_out(corpus: str, split: Path = SPLIT) -> tuple[str, ...]:
    """Return the sentences of a corpus that nothing in ``pocket`` was trained or chosen on, in any language.

    Parameters
    ----------
    corpus : str
        Its name.
    split : Path
        The list that comes along with the adapter.

    Raises
    ------
    DataError
        If the list is missing or damaged.
    UsageError
        If it has no such corpus.
    """
    try:
        said = json.loads(split.read_text(encoding="utf-8"))
        listed = {str(name): tuple(str(sentence) for sentence in sentences) for name, sentences in said["test"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"the list of held-out sentences {split} cannot be read ({error}): install again") from error
    if corpus not in listed:
        raise UsageError(
            f"no sentence of corpus {corpus!r} was held out when pocket was trained; {did_you_mean(corpus, listed)}"
        )
    return listed[corpus]


def _notes(kind: Adapter, seed: int) -> tuple[str, ...]:
    window = (
        "Whisper hears each recording in a window of the next whole second (2 to 30 s) instead of the 30 s that it was "
        "trained on."
    )
    if kind == "untrained":
        return (f"The length adapter is untrained (random, seed {seed}): this is a control, not a joint model.", window)
    if kind == "ridge":
        return (
            "Speech goes from the mean of Whisper's last layer to E5's embedding by a ridge regression: this is a "
            "control, without shared layers.",
            window,
        )
    return (
        "The length adapter was trained on recordings of the corpora asterisk, tuxpaint and others, of the same kind "
        "and mostly by the same readers as those held out; on what it was trained on, its numbers are too good. "
        "It is no general speech encoder.",
        window,
    )
