"""SONAR: sentence embeddings of text (one encoder for 200 languages) and of speech (one encoder a language), one space.

Nothing of fairseq2 is needed: the text encoder is transformers' M2M100 encoder, and a speech encoder is SeamlessM4T
v1's conformer with a small Bart decoder behind it, which pools: a single query position attends to all frames, and
what comes out is projected. Both sides end in ``shared.embedding``, the same space, where speech may be held against
text directly; text gets there by the mean over all its tokens, the language tag and ``</s>`` included.

Speech lengths, for n samples at 16 kHz: F = (n - 400) // 160 + 1 frames of log-mel features, in pairs L = F // 2. An
odd last frame is dropped, as SONAR's own code does; transformers' extractor pads it with a frame of zeros.

The poolers have three layers in the English encoder and six in all others. A point must mean the same in every
language, so the pooler's points are counted from the end, ``speech.pooler.-1`` being the last layer, and there are as
many as the shallowest of the encoders offered has.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import BartConfig, M2M100Config, SeamlessM4TConfig, SeamlessM4TFeatureExtractor
from transformers.initialization import no_init_weights
from transformers.models.bart.modeling_bart import BartDecoderLayer
from transformers.models.m2m_100.modeling_m2m_100 import M2M100Encoder
from transformers.models.seamless_m4t.modeling_seamless_m4t import (
    SeamlessM4TConformerEncoder,
    SeamlessM4TConformerFeatureProjection,
)

from babelscope.audio import decode
from babelscope.cache import sha256_of
from babelscope.errors import DataError, UsageError, did_you_mean
from babelscope.models.base import (
    Batch,
    Modality,
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
from babelscope.models.weights.folder import load_pretrained
from babelscope.models.weights.sonar import TEXT_HEADS, SpeechSizes, TextCheckpoint, account, read_speech, read_text

#: The converted text encoder that is asked for where the user names none.
PORT = "cointegrated/SONAR_200_text_encoder"
TEXT_FILE = "sonar_text_encoder.pt"

#: Where both sides end.
EMBEDDING = "shared.embedding"

#: Tokens that the text encoder was made for, both special ones included; SONAR cuts longer texts, we refuse them.
MOST_TOKENS = 514

#: Row of the pooler's embedding that is its query: fairseq2's begin of sentence.
QUERY_ROW = 2

SAMPLE_RATE = 16_000
_FRAME, _HOP, _STRIDE = 400, 160, 2

NON_COMMERCIAL = "CC-BY-NC 4.0"
#: Licence of a speech encoder, by what its file's name says; the English one stands in neither of SONAR's lists.
SPEECH_LICENCES = {"v3ap": "MIT", "v5ap": NON_COMMERCIAL}
#: The published speech encoders' files, a language each: SONAR's model cards, and Swedish, which its README adds.
RELEASED: dict[str, str] = {
    "eng": "spenc.eng.pt",
    **{
        language: f"spenc.v3ap.{language}.pt"
        for language in (
            "arb", "cat", "cym", "dan", "deu", "est", "fin", "fra", "ind", "ita", "kor", "nld", "pes", "por", "ron",
            "spa", "swe", "swh", "tgl", "tur", "uzn",
        )
    },
    **{
        language: f"spenc.v5ap.{language}.pt"
        for language in (
            "asm", "bel", "ben", "bos", "bul", "ces", "cmn", "guj", "heb", "hin", "hrv", "jpn", "kan", "lao", "lit",
            "lvs", "mal", "mar", "mkd", "mlt", "npi", "ory", "pan", "pol", "rus", "slk", "slv", "snd", "srp", "tam",
            "tel", "tha", "ukr", "urd", "vie", "yue",
        )
    },
}  # fmt: skip

#: The sizes of the published encoders: text, and English speech (the others' poolers have six layers).
RELEASED_TEXT = {"vocab_size": 256_206, "d_model": 1024, "encoder_layers": 24, "encoder_ffn_dim": 8192}
RELEASED_ENGLISH = SpeechSizes(
    features=160,
    width=1024,
    layers=24,
    heads=16,
    feed_forward=4096,
    kernel=31,
    queries=1024,
    pooler_layers=3,
    pooler_feed_forward=4096,
)
_SPEECH_FILE = re.compile(r"spenc\.(?:(?P<version>v\d+[a-z]*)\.)?(?P<language>[a-z]{3})\.pt")


class SonarText(Side):
    """The text side: scaled embeddings, the layers' input, every layer, the final norm, the sentence embedding.

    Parameters
    ----------
    model : M2M100Encoder
    tokenizer : tokenizers.Tokenizer or None
        NLLB's, as its tokenizer.json says: transformers' NllbTokenizer (5.23) builds itself anew from that file and
        leaves its normaliser behind. Its template is not used: the language tag of each sentence is put in front
        here, so that no call depends on the one before. None for a model that is only planned and reads nothing.
    """

    modality = "text"
    family = "SONAR text encoder (M2M100)"
    unit = "tokens"

    def __init__(self, model: M2M100Encoder, tokenizer: Tokenizer | None) -> None:
        self.root: nn.Module = model
        config = model.config
        self.pad = int(config.pad_token_id)
        self.end = int(config.eos_token_id)
        if tokenizer is not None:
            self.tokenizer = tokenizer
            self.tokenizer.no_padding()
            self.tokenizer.no_truncation()
            self.tokenizer.encode_special_tokens = True  # a "</s>" that somebody wrote is text
            _check_vocabulary(tokenizer, config.vocab_size)
        width = config.d_model
        points = [
            Point("text.embeddings", Stage.FRONT_END, 0, width, "embed_tokens"),
            Point("text.input", Stage.FRONT_END, 0, width, "layers.0", take="input"),
        ]
        points += [
            Point(f"text.layer.{index}", Stage.ENCODER, 0, width, f"layers.{index}")
            for index in range(config.encoder_layers)
        ]
        points.append(Point("text.norm", Stage.ENCODER, 0, width, "layer_norm"))
        points.append(_embedding_point(width))
        self.points = spread_depths(points)

    def tag(self, language: str) -> int:
        """Return the id of a language's tag.

        Parameters
        ----------
        language : str
            A code of NLLB (``eng_Latn``), or any code that :func:`babelscope.languages.nllb` knows.

        Raises
        ------
        UsageError
            If SONAR does not read the language.
        """
        from babelscope.languages import nllb

        written = bool(re.fullmatch(r"[a-z]{3}_[A-Z][a-z]{3}", language))
        number = self.tokenizer.token_to_id(language) if written else None
        if number is None:
            number = self.tokenizer.token_to_id(nllb(language))
        if number is None:
            raise UsageError(f"language {language!r}: the tokenizer has no tag {nllb(language)!r}; is it NLLB-200's?")
        return int(number)

    def prepare(self, item: str | NDArray[np.float32], language: str) -> Prepared:
        """Tokenise one sentence: the tag of its language, its tokens, ``</s>``.

        Raises
        ------
        DataError
            If there is no token in it, or too many.
        UsageError
            If SONAR does not read the language.
        """
        if not isinstance(item, str):
            raise DataError("SONAR's text side reads text, not samples")
        tag = self.tag(language)
        content = self.tokenizer.encode(item, add_special_tokens=False).ids
        if not content:
            raise DataError("the tokenizer finds no token in the text")
        ids = [tag, *content, self.end]
        if len(ids) > MOST_TOKENS:
            raise DataError(
                f"{len(ids)} tokens do not fit SONAR's {MOST_TOKENS}: shorten the text, or leave the sentence out"
            )
        return Prepared({"input_ids": torch.tensor(ids)}, len(ids))

    def collate(self, items: Sequence[Prepared]) -> Batch:
        """Pad on the right."""
        lengths = tuple(item.length for item in items)
        ids = torch.full((len(items), max(lengths)), self.pad)
        for row, item in enumerate(items):
            ids[row, : item.length] = item.inputs["input_ids"]
        return Batch({"input_ids": ids, "attention_mask": _mask(lengths).long()}, lengths)

    def forward(self, batch: Batch) -> Mapping[str, Tensor]:
        """Run the encoder and return the sentence embeddings: the mean over all tokens of each sentence."""
        mask = batch.inputs["attention_mask"]
        hidden = self.root(input_ids=batch.inputs["input_ids"], attention_mask=mask).last_hidden_state.float()
        total = hidden.masked_fill(~mask[..., None].bool(), 0.0).sum(dim=1)
        return {EMBEDDING: total / mask.sum(dim=1, keepdim=True)}


class SonarPooler(nn.Module):
    """A Bart decoder of one position, which reads a whole utterance and becomes its embedding.

    Its layers are called by their place from the end, "-1" the last, so that a point has one path in all languages.

    Parameters
    ----------
    sizes : SpeechSizes
        As many heads as the conformer has: 16 and 16 in the released encoders, and no array's shape tells the pooler's.
    """

    def __init__(self, sizes: SpeechSizes) -> None:
        super().__init__()
        config = BartConfig(
            d_model=sizes.width,
            decoder_layers=sizes.pooler_layers,
            decoder_attention_heads=sizes.heads,
            decoder_ffn_dim=sizes.pooler_feed_forward,
            activation_function="relu",
        )
        config._attn_implementation = "sdpa"
        self.query = nn.Embedding(sizes.queries, sizes.width)
        self.layers = nn.ModuleDict(
            {str(index - sizes.pooler_layers): BartDecoderLayer(config, index) for index in range(sizes.pooler_layers)}
        )

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        """Return what the query has become, shape (batch, 1, width), for frames (batch, L, width) and their mask."""
        width = frames.shape[-1]
        # Step 0 of the sinusoids: sin 0 in the first half, cos 0 in the second.
        first = torch.cat([frames.new_zeros(width // 2), frames.new_ones(width - width // 2)])
        hidden = (self.query.weight[QUERY_ROW] * math.sqrt(width) + first).expand(len(frames), 1, width)
        hearing = frames.new_zeros(mask.shape).masked_fill(~mask, torch.finfo(frames.dtype).min)[:, None, None, :]
        for layer in self.layers.values():
            hidden = layer(hidden, encoder_hidden_states=frames, encoder_attention_mask=hearing, use_cache=False)
        return hidden


class SonarSpeechEncoder(nn.Module):
    """One language's speech encoder: projection of the features, conformer, pooler, projection of the embedding.

    Parameters
    ----------
    sizes : SpeechSizes
    """

    def __init__(self, sizes: SpeechSizes) -> None:
        super().__init__()
        config = SeamlessM4TConfig(
            hidden_size=sizes.width,
            feature_projection_input_dim=sizes.features,
            speech_encoder_layers=sizes.layers,
            speech_encoder_attention_heads=sizes.heads,
            speech_encoder_intermediate_size=sizes.feed_forward,
            conv_depthwise_kernel_size=sizes.kernel,
            speech_encoder_hidden_act="swish",
            position_embeddings_type="relative",
            max_source_positions=4096,
        )
        config._attn_implementation = "sdpa"
        self.feature_projection = SeamlessM4TConformerFeatureProjection(config)
        self.encoder = SeamlessM4TConformerEncoder(config)
        self.pooler = SonarPooler(sizes)
        self.projection_out = nn.Linear(sizes.width, sizes.width, bias=False)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return the sentence embeddings, shape (batch, width).

        Parameters
        ----------
        features : Tensor, shape (batch, L, 160)
        mask : Tensor of bool, shape (batch, L)
            True where a frame is real. The pooler sees no other.
        """
        frames = self.encoder(self.feature_projection(features), attention_mask=mask)
        embedding: Tensor = self.projection_out(self.pooler(frames, mask))[:, 0]
        return embedding


class SpeechEncoders:
    """The speech encoders that there are, one a language: looked through when made, loaded when asked for.

    The encoder asked for last is kept, and the first, which stands for all where a language is not said: two in memory
    at most.

    Parameters
    ----------
    files : mapping of str to Path
        One file a language, by SONAR's code (``eng``) or by any code that the corpus uses.
    device, dtype : str
        As in :func:`babelscope.models.load`.

    Raises
    ------
    DataError
        If a file is missing, damaged, or no speech encoder, or the encoders differ in more than their poolers' depth.
    """

    def __init__(self, files: Mapping[str, Path], device: str = "cpu", dtype: str = "float32") -> None:
        self.files, self.device, self.dtype = dict(files), device, dtype
        self.sizes: dict[str, SpeechSizes] = {}
        for language, path in self.files.items():
            checkpoint = read_speech(path)
            with torch.device("meta"):
                blank = SonarSpeechEncoder(checkpoint.sizes)
            account(checkpoint.state, blank.state_dict(), path)
            self.sizes[language] = checkpoint.sizes
            first_language, first = next(iter(self.sizes.items()))
            same = dataclasses.replace(
                first,
                pooler_layers=checkpoint.sizes.pooler_layers,
                pooler_feed_forward=checkpoint.sizes.pooler_feed_forward,
            )
            if checkpoint.sizes != same:
                raise DataError(
                    f"weights {path}: the encoder of {language!r} is built otherwise than that of {first_language!r} "
                    f"({checkpoint.sizes} against {first}): their points cannot be compared"
                )
        self._kept: dict[str, SonarSpeechEncoder] = {}

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that there are encoders for."""
        return tuple(self.files)

    def find(self, language: str) -> str:
        """Return the name under which a language's encoder is kept.

        Raises
        ------
        UsageError
            If there is none.
        """
        from babelscope.languages import sonar_speech

        if language in self.files:
            return language
        code = ""
        try:
            if (code := sonar_speech(language)) in self.files:
                return code
            asked = "" if code == language else f" (SONAR: {code!r})"
        except UsageError as error:
            asked = f" ({error})"
        remedy = f"fetch {RELEASED[code]}, or " if code in RELEASED else ""
        raise UsageError(
            f"speech in {language!r}{asked}: there are SONAR speech encoders for {', '.join(self.files)} alone; "
            f"{remedy}leave the language out"
        )

    def get(self, language: str) -> SonarSpeechEncoder:
        """Return the encoder of one of :attr:`languages`."""
        if language not in self._kept:
            checkpoint = read_speech(self.files[language])
            with no_init_weights():
                encoder = SonarSpeechEncoder(checkpoint.sizes)
            encoder.load_state_dict(dict(checkpoint.state), strict=False)  # every name was accounted for
            ready(encoder, self.device, dtype_named(self.dtype))
            first = self.languages[0]
            self._kept = {name: kept for name, kept in self._kept.items() if name == first} | {language: encoder}
        return self._kept[language]


class _Blank(SpeechEncoders):
    """Encoders of known sizes, without weights."""

    def __init__(self, files: Mapping[str, Path], sizes: Mapping[str, SpeechSizes]) -> None:
        self.files, self.sizes = dict(files), dict(sizes)

    def get(self, language: str) -> SonarSpeechEncoder:
        """Return an encoder on the "meta" device."""
        with torch.device("meta"):
            return SonarSpeechEncoder(self.sizes[language]).eval().requires_grad_(False)


class SonarSpeech(Side):
    """The speech side: front end, the layers' input, every conformer layer, the norm, the pooler, the embedding.

    :meth:`for_language` gives the side whose weights belong to a language; this one holds the first language's. All
    have points of the same names. Pooler layers are counted from the end (see the module's text).

    Parameters
    ----------
    encoders : SpeechEncoders
    """

    modality = "speech"
    family = "SONAR speech encoder (w2v-BERT conformer, attention pooler)"
    unit = "samples at 16 kHz"
    weights_by_language = True

    def __init__(self, encoders: SpeechEncoders) -> None:
        self.encoders = encoders
        self.language = encoders.languages[0]
        self.root: nn.Module = encoders.get(self.language)
        sizes = encoders.sizes[self.language]
        self.features = SeamlessM4TFeatureExtractor(
            feature_size=sizes.features // _STRIDE, num_mel_bins=sizes.features // _STRIDE
        )
        width, formula = sizes.width, "L = F // 2, F = (n - 400) // 160 + 1"
        points = [
            Point(name, stage, 0, width, module, take=take, length=frame_pairs, formula=formula)
            for name, stage, module, take in _speech_places(sizes.layers)
        ]
        points += [
            Point(f"speech.pooler.-{back}", Stage.POOLED, 0, width, f"pooler.layers.-{back}", length=_one, formula="1")
            for back in range(min(each.pooler_layers for each in encoders.sizes.values()), 0, -1)
        ]
        points.append(_embedding_point(width))
        self.points = spread_depths(points)

    def for_language(self, language: str) -> SonarSpeech:
        """Return the side with the encoder of `language`, and with the points that this one has.

        Raises
        ------
        UsageError
            If there is no encoder for the language; those that there are are named.
        """
        found = self.encoders.find(language)
        if found == self.language:
            return self
        side = copy.copy(self)
        side.language = found
        side.root = self.encoders.get(found)
        return side

    def prepare(self, item: str | NDArray[np.float32], language: str) -> Prepared:
        """Compute the log-mel features of one recording, standardised over it, in pairs of frames.

        Raises
        ------
        DataError
            If the recording is too short for one pair of frames (35 ms).
        """
        samples = np.asarray(item, dtype=np.float32)
        pairs = frame_pairs(len(samples))
        if pairs < 1:  # also where the deviation over a single frame would be 0 / 0
            raise DataError(
                f"{1000 * len(samples) / SAMPLE_RATE:.0f} ms of speech are less than one pair of frames (35 ms): leave "
                f"the recording out"
            )
        features = self.features(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features[0]
        return Prepared({"input_features": features[:pairs]}, len(samples))

    def collate(self, items: Sequence[Prepared]) -> Batch:
        """Pad on the right with zeros."""
        features = nn.utils.rnn.pad_sequence([item.inputs["input_features"] for item in items], batch_first=True)
        pairs = [len(item.inputs["input_features"]) for item in items]
        return Batch({"input_features": features, "attention_mask": _mask(pairs)}, tuple(item.length for item in items))

    def forward(self, batch: Batch) -> Mapping[str, Tensor]:
        """Run the encoder and return the sentence embeddings."""
        dtype = next(self.root.parameters()).dtype
        embedding = self.root(batch.inputs["input_features"].to(dtype), batch.inputs["attention_mask"])
        return {EMBEDDING: embedding.float()}


def frame_pairs(samples: int) -> int:
    """Return how many positions `samples` samples at 16 kHz give: pairs of 25 ms frames every 10 ms; 0 if too few."""
    return ((samples - _FRAME) // _HOP + 1) // _STRIDE if samples >= _FRAME else 0


def _one(length: int) -> int:
    return 1


def _mask(lengths: Sequence[int]) -> Tensor:
    return torch.arange(max(lengths))[None] < torch.tensor(list(lengths))[:, None]


def _embedding_point(width: int) -> Point:
    return Point(EMBEDDING, Stage.POOLED, 0, width, "", layout="bd", length=_one, formula="1")


def _speech_places(layers: int) -> list[tuple[str, Stage, str, Any]]:
    return [
        ("speech.front_end", Stage.FRONT_END, "feature_projection", "output"),
        ("speech.input", Stage.FRONT_END, "encoder.layers.0", "input"),
        *((f"speech.layer.{n}", Stage.ENCODER, f"encoder.layers.{n}", "output") for n in range(layers)),
        ("speech.norm", Stage.ENCODER, "encoder.layer_norm", "output"),
    ]


def _check_vocabulary(tokenizer: Tokenizer, rows: int) -> None:
    for number, token in enumerate(("<s>", "<pad>", "</s>", "<unk>")):
        if tokenizer.token_to_id(token) != number:
            raise DataError(
                f"the tokenizer counts {token} as {tokenizer.token_to_id(token)}, not as {number}: it is not NLLB's"
            )
    if tokenizer.get_vocab_size(with_added_tokens=True) > rows:
        raise DataError(
            f"the tokenizer knows {tokenizer.get_vocab_size(with_added_tokens=True)} tokens and the weights {rows}: "
            f"they do not belong together"
        )


def load(options: LoadOptions) -> Model:
    """Load both sides: text and speech in one space.

    Parameters
    ----------
    options : LoadOptions
        ``weights`` is a folder that holds both, or that of the text side, as in :func:`load_text` (the converted port
        from the hub if left out). ``extra`` is that of both halves.

    Returns
    -------
    Model

    Raises
    ------
    DataError, UsageError
        As the halves; or if their embeddings differ in width.
    """
    options.check_extra((*_TEXT_OPTIONS, *_SPEECH_OPTIONS))
    files = _speech_files(options)
    text, text_files, text_notes = _text_side(options)
    speech, speech_files, speech_notes = _speech_side(options, files)
    widths = text.points[-1].width, speech.points[-1].width
    if widths[0] != widths[1]:
        raise DataError(f"SONAR's text embeddings are {widths[0]} wide and its speech embeddings {widths[1]}: they "
                        "share no space, so that these weights do not belong together")  # fmt: skip
    return Model(
        name=options.name,
        sides={"text": text, "speech": speech},
        weights=(*text_files, *speech_files),
        options=_recorded(options) | _speech_recorded(speech),
        notes=(*text_notes, *speech_notes),
        licence=_licence([NON_COMMERCIAL], speech),
    )


def load_text(options: LoadOptions) -> Model:
    """Load the text side: from the converted port, or from the original ``sonar_text_encoder.pt``.

    Parameters
    ----------
    options : LoadOptions
        ``weights`` is a folder or hub id in transformers' format (config.json, safetensors, tokenizer.json), the
        original file, or a folder that holds it; ``extra["tokenizer"]`` is a folder or file where NLLB's tokenizer.json
        lies, if not beside the weights.

    Returns
    -------
    Model
        With a text side only.

    Raises
    ------
    DataError
        If weights or tokenizer are missing, damaged or of another model.
    """
    options.check_extra(_TEXT_OPTIONS)
    side, files, notes = _text_side(options)
    return Model(options.name, {"text": side}, files, _recorded(options), notes, NON_COMMERCIAL)


def load_speech(options: LoadOptions) -> Model:
    """Load the speech side: one encoder a language.

    Parameters
    ----------
    options : LoadOptions
        ``weights`` is a folder of files under their released names (``spenc.v3ap.fra.pt``, ``spenc.eng.pt``), or one
        such file. ``extra["speech_weights"]`` does the same, or maps languages to files of any name;
        ``extra["speech_languages"]`` lists the languages to take from a folder (all). Every file that is offered is
        hashed whole, so name what you need.

    Returns
    -------
    Model
        With a speech side only.

    Raises
    ------
    UsageError
        If no weights are named.
    DataError
        If weights are missing, damaged or of another model.
    """
    options.check_extra(_SPEECH_OPTIONS)
    side, files, notes = _speech_side(options, _speech_files(options))
    return Model(
        options.name,
        {"speech": side},
        files,
        _recorded(options) | _speech_recorded(side),
        notes,
        _licence([], side),
    )


def planned(name: str, folder: str | None = None) -> Model:
    """Return the model without weights (on the "meta" device): its points and parameters, but nothing to run.

    Parameters
    ----------
    name : str
        ``sonar``, ``sonar-text`` or ``sonar-speech``.
    folder : str, optional
        Weights as :func:`load` takes them: then their sizes count, not those of the published encoders.

    Returns
    -------
    Model
        With one speech encoder, the first; the notes say what each further language costs.

    Raises
    ------
    DataError
        If the folder has no SONAR.
    """
    sides: dict[Modality, Side] = {}
    notes: list[str] = []
    licences: list[str] = []
    if name != "sonar-speech":
        licences.append(NON_COMMERCIAL)
        with torch.device("meta"):
            model = M2M100Encoder(_planned_text(folder))
        sides["text"] = SonarText(model.eval().requires_grad_(False), None)
    if name != "sonar-text":
        if folder:
            encoders = SpeechEncoders(_released_files(Path(folder).expanduser()))
            files, sizes = encoders.files, encoders.sizes
        else:
            files = {language: Path(file) for language, file in RELEASED.items()}
            other = dataclasses.replace(RELEASED_ENGLISH, pooler_layers=6)
            sizes = {language: RELEASED_ENGLISH if language == "eng" else other for language in files}
        sides["speech"] = SonarSpeech(_Blank(files, sizes))
        licences += [_licence_of(path) for path in files.values()]
        with torch.device("meta"):
            largest = SonarSpeechEncoder(max(sizes.values(), key=lambda each: each.pooler_layers))
        each = sum(parameter.numel() for parameter in largest.parameters())
        notes.append(
            f"SONAR hears each language with an encoder of its own, one for each of {len(files)} languages here: up to "
            f"{each / 1e6:.1f} million parameters each, of which two encoders are in memory at most."
        )
    return Model(name, sides, (), {"attention": "sdpa"}, tuple(notes), " and ".join(dict.fromkeys(licences)))


def _planned_text(folder: str | None) -> M2M100Config:
    if folder is None:
        return _text_config(**RELEASED_TEXT)
    path = _text_place(folder)
    if path.suffix == ".pt":
        return _original_config(read_text(path))
    try:
        said = json.loads((path / "config.json").read_text(encoding="utf-8"))
        if said["model_type"] != "m2m_100":
            raise ValueError(f"its model_type is {said['model_type']!r}, not 'm2m_100'")
        return M2M100Config.from_dict(said)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"weights: {folder} has no config.json of SONAR's text encoder ({error})") from error


_TEXT_OPTIONS = ("tokenizer",)
_SPEECH_OPTIONS = ("speech_weights", "speech_languages")


def _recorded(options: LoadOptions) -> dict[str, Any]:
    return {"dtype": options.dtype, "attention": "sdpa"}


def _speech_recorded(side: SonarSpeech) -> dict[str, Any]:
    encoders = side.encoders
    return {
        "speech encoders": {language: path.name for language, path in encoders.files.items()},
        "pooler layers": {language: sizes.pooler_layers for language, sizes in encoders.sizes.items()},
    }


def _text_side(options: LoadOptions) -> tuple[SonarText, tuple[WeightsFile, ...], tuple[str, ...]]:
    source = options.weights or PORT
    path = _text_place(source)
    if path.suffix == ".pt":
        model, files = _original_text(path)
        beside: str = str(path.parent)
    else:
        model, files = load_pretrained(M2M100Encoder, source)
        _account_port(source, model)
        beside = source
    tokenizer = _tokenizer(str(options.extra.get("tokenizer", beside)))
    side = SonarText(ready(model, options.device, dtype_named(options.dtype)), tokenizer)
    note = f"SONAR's text encoder is under {NON_COMMERCIAL}: not for commercial use."
    return side, files, (note,)


def _text_place(source: str) -> Path:
    path = Path(source).expanduser()
    if path.is_dir() and not (path / "config.json").is_file() and (path / TEXT_FILE).is_file():
        return path / TEXT_FILE
    return path


def _text_config(**sizes: int) -> M2M100Config:
    config = M2M100Config(
        **sizes,
        encoder_attention_heads=TEXT_HEADS,
        max_position_embeddings=1024,
        activation_function="relu",
        scale_embedding=True,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )
    config._attn_implementation = "sdpa"
    return config


def _original_config(said: TextCheckpoint) -> M2M100Config:
    return _text_config(
        vocab_size=said.vocabulary, d_model=said.width, encoder_layers=said.layers, encoder_ffn_dim=said.feed_forward
    )


def _original_text(path: Path) -> tuple[M2M100Encoder, tuple[WeightsFile, ...]]:
    said = read_text(path)
    config = _original_config(said)
    with torch.device("meta"):
        blank = M2M100Encoder(config)
    account(said.state, blank.state_dict(), path)
    with no_init_weights():
        model = M2M100Encoder(config)
    model.load_state_dict(dict(said.state), strict=True)
    return model, (WeightsFile(path.name, sha256_of(path), str(path.resolve().parent.name)),)


def _account_port(source: str, model: M2M100Encoder) -> None:
    """Refuse a port that holds more than the encoder: then it is another model, such as a translator."""
    from huggingface_hub import try_to_load_from_cache
    from safetensors import safe_open

    folder = Path(source).expanduser()
    cached = None if folder.is_dir() else try_to_load_from_cache(source, "model.safetensors")
    files = sorted(folder.glob("*.safetensors")) if folder.is_dir() else [Path(cached)] if cached else []
    needed = {*model.state_dict(), "embed_positions.weights"}  # the table that older transformers stored
    for file in files:
        with safe_open(file, framework="pt") as opened:
            more = sorted(set(opened.keys()) - needed)
        if more:
            raise DataError(
                f"weights {file} hold {len(more)} arrays that no SONAR encoder has, such as {more[0]!r}: they are "
                f"another model's"
            )


def _tokenizer(source: str) -> Tokenizer:
    place = Path(source).expanduser()
    path = place / "tokenizer.json" if place.is_dir() else place
    if not path.is_file():
        if place.is_dir() or place.suffix == ".json" or not re.fullmatch(r"[\w.-]+/[\w.-]+", source):
            raise DataError(
                f"there is no tokenizer {path}: put the tokenizer.json of NLLB-200 (facebook/nllb-200-distilled-600M "
                f"on the hub has it) there, or name it in options = {{'tokenizer': ...}}"
            )
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

        try:
            path = Path(hf_hub_download(source, "tokenizer.json"))
        except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
            raise DataError(f"tokenizer.json of {source!r} cannot be had from the hub ({error})") from error
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise DataError(f"tokenizer {path} cannot be read ({error}): fetch it again") from error


def _speech_files(options: LoadOptions) -> dict[str, Path]:
    named = options.extra.get("speech_weights", options.weights)
    if isinstance(named, Mapping):
        files = {str(language): Path(str(path)).expanduser() for language, path in named.items()}
    elif named is None:
        raise UsageError(
            f"model {options.name}: name its speech encoders, options = {{'speech_weights': {{'eng': 'spenc.eng.pt', "
            f"...}}}} or a folder of spenc files; each language has one of its own"
        )
    else:
        files = _released_files(Path(str(named)).expanduser())
    wanted = options.extra.get("speech_languages")
    if wanted is not None:
        wanted = [wanted] if isinstance(wanted, str) else list(wanted)
        for language in wanted:
            if language not in files:
                raise UsageError(
                    f"speech_languages: there is no speech encoder for {language!r}; {did_you_mean(language, files)}"
                )
        files = {language: files[language] for language in wanted}
    if not files:
        raise UsageError(f"model {options.name}: no speech encoder is named: name at least one language's")
    return files


def _released_files(place: Path) -> dict[str, Path]:
    if not place.exists():
        raise DataError(
            f"weights: there is no {place}: name a folder that holds SONAR's speech encoders (spenc.v3ap.fra.pt, "
            f"spenc.eng.pt), or say which file is which language's in options = {{'speech_weights': ...}}"
        )
    found: dict[str, Path] = {}
    for path in sorted(place.glob("spenc*.pt")) if place.is_dir() else [place]:
        match = _SPEECH_FILE.fullmatch(path.name)
        if not match:
            continue
        language = match["language"]
        if language in found:
            raise DataError(
                f"weights: {found[language].name} and {path.name} in {place} are both for {language!r}: keep one, or "
                f"say which in options = {{'speech_weights': ...}}"
            )
        found[language] = path
    if not found:
        raise DataError(
            f"weights: {place} is or holds no file named as SONAR's speech encoders are (spenc.v3ap.fra.pt, "
            f"spenc.eng.pt): say which file is which language's in options = {{'speech_weights': ...}}"
        )
    return found


def _speech_side(
    options: LoadOptions, files: Mapping[str, Path]
) -> tuple[SonarSpeech, tuple[WeightsFile, ...], tuple[str, ...]]:
    encoders = SpeechEncoders(files, options.device, options.dtype)
    side = SonarSpeech(encoders)
    notes = [
        "SONAR hears each language with an encoder of its own: at every speech point but the sentence embedding, two "
        "languages are seen by different weights.",
        "Licences of SONAR's speech encoders: "
        + ", ".join(f"{path.name} ({_licence_of(path)})" for path in files.values())
        + ".",
    ]
    depths = {sizes.pooler_layers for sizes in encoders.sizes.values()}
    if len(depths) > 1:
        notes.append(
            f"SONAR's poolers have {' or '.join(map(str, sorted(depths)))} layers: the last {min(depths)} of each are "
            f"shown, counted from the end."
        )
    weights = tuple(
        WeightsFile(path.name, sha256_of(path), f"{path.resolve().parent.name}, {language}")
        for language, path in files.items()
    )
    return side, weights, tuple(notes)


def _licence_of(path: Path) -> str:
    match = _SPEECH_FILE.fullmatch(path.name)
    return SPEECH_LICENCES.get((match["version"] or "") if match else "", "licence not stated")


def _licence(before: Sequence[str], side: SonarSpeech) -> str:
    return " and ".join(dict.fromkeys([*before, *map(_licence_of, side.encoders.files.values())]))


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
