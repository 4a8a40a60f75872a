"""SONAR's two sides: the text encoder, and the speech encoders, one a language, with the modules that they are made of.

The text encoder is transformers' M2M100 encoder, and a speech encoder is SeamlessM4T v1's conformer with a small Bart
decoder after it, which pools: a single query position attends to all frames, and what comes out is projected.
See :mod:`babelscope.models.sonar` for what the points mean.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import BartConfig, SeamlessM4TConfig, SeamlessM4TFeatureExtractor
from transformers.initialization import no_init_weights
from transformers.models.bart.modeling_bart import BartDecoderLayer
from transformers.models.m2m_100.modeling_m2m_100 import M2M100Encoder
from transformers.models.seamless_m4t.modeling_seamless_m4t import (
    SeamlessM4TConformerEncoder,
    SeamlessM4TConformerFeatureProjection,
)

from babelscope.errors import DataError, UsageError
from babelscope.models.adapters.embedding import Embedding
from babelscope.models.adapters.speech import SpeechSide, in_dtype_of
from babelscope.models.adapters.text import TaggedText, one
from babelscope.models.filterbank import FramePairs, pairs
from babelscope.models.weights.accounting import fill
from babelscope.models.weights.folder import pieces_by
from babelscope.models.weights.sonar import SpeechSizes, read_speech
from babelscope.sides import Batch, Point, Stage, dtype_named, layer_points, ready

#: Where both sides end.
EMBEDDING = "shared.embedding"

#: Tokens that the text encoder was made for, both special ones included; SONAR cuts longer texts, we refuse them.
MOST_TOKENS = 514

#: Row of the pooler's embedding that is its query: fairseq2's begin of sentence.
QUERY_ROW = 2

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


class SonarText(TaggedText):
    """The text side: scaled embeddings, the layers' input, every layer, the final norm, the sentence embedding.

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer or None
        NLLB's, as its tokenizer.json says: transformers' NllbTokenizer (5.23) builds itself again from that file and
        leaves its normaliser behind. Its template is not used: the language tag of each sentence is put in front
        here, so that no call depends on the one before. None for a model that is only planned and reads nothing.
    """

    pooled = EMBEDDING

    def __init__(self, model: M2M100Encoder, tokenizer: Tokenizer | None) -> None:
        config, width = model.config, model.config.d_model
        if tokenizer is not None:
            _check_vocabulary(tokenizer, config.vocab_size)
        self.tokenizer: Any = tokenizer
        points = [
            Point("text.embeddings", Stage.FRONT_END, 0, width, "embed_tokens"),
            Point("text.input", Stage.FRONT_END, 0, width, "layers.0", take="input"),
            *layer_points("text.", config.encoder_layers, width, ""),
            Point("text.norm", Stage.ENCODER, 0, width, "layer_norm"),
        ]
        super().__init__(
            model,
            pieces_by(tokenizer) if tokenizer is not None else lambda text: [],
            points,
            embedding=Embedding("mean", normalised=False),
        )
        self.family, self.longest = "SONAR text encoder (M2M100)", MOST_TOKENS

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
    """One language's speech encoder: projection of the features, conformer, pooler, projection of the embedding."""

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

    def forward(self, input_features: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the sentence embeddings, shape (batch, width).

        Parameters
        ----------
        input_features : Tensor, shape (batch, L, 160)
        attention_mask : Tensor, shape (batch, L)
            Not 0 where a frame is real. The pooler sees no other.
        """
        real = attention_mask.bool()
        frames = self.encoder(self.feature_projection(input_features), attention_mask=real)
        embedding: Tensor = self.projection_out(self.pooler(frames, real))[:, 0]
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
            sizes, _ = _filled(path, "meta")
            self.sizes[language] = sizes
            first_language, first = next(iter(self.sizes.items()))
            pooler = {"pooler_layers": sizes.pooler_layers, "pooler_feed_forward": sizes.pooler_feed_forward}
            if sizes != dataclasses.replace(first, **pooler):
                raise DataError(
                    f"weights {path}: the encoder of {language!r} is built otherwise than that of {first_language!r} "
                    f"({sizes} against {first}): their points cannot be compared"
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
            _, encoder = _filled(self.files[language], "cpu")
            ready(encoder, self.device, dtype_named(self.dtype))
            first = self.languages[0]
            self._kept = {name: kept for name, kept in self._kept.items() if name == first} | {language: encoder}
        return self._kept[language]


def _filled(path: Path, device: str) -> tuple[SpeechSizes, SonarSpeechEncoder]:
    """Return an encoder's sizes, and itself, filled from its file, whose every array is accounted for."""
    sizes, state = read_speech(path)
    with torch.device(device), no_init_weights():
        encoder = SonarSpeechEncoder(sizes)
    # an old BatchNorm has no count of batches, which matters in training alone
    fill(encoder.state_dict(), state.items(), str(path), optional=(".num_batches_tracked",))
    return sizes, encoder


class BlankEncoders(SpeechEncoders):
    """Encoders of known sizes, without weights."""

    def __init__(self, files: Mapping[str, Path], sizes: Mapping[str, SpeechSizes]) -> None:
        self.files, self.sizes = dict(files), dict(sizes)

    def get(self, language: str) -> SonarSpeechEncoder:
        """Return an encoder on the "meta" device."""
        with torch.device("meta"):
            return SonarSpeechEncoder(self.sizes[language]).eval().requires_grad_(False)


class SonarSpeech(SpeechSide):
    """The speech side: front end, the layers' input, every conformer layer, the norm, the pooler, the embedding.

    :meth:`for_language` gives the side whose weights belong to a language; this one holds the first language's. All
    have points of the same names. Pooler layers are counted from the end (see the module's text).
    """

    weights_by_language = True

    def __init__(self, encoders: SpeechEncoders) -> None:
        self.encoders = encoders
        self.language = encoders.languages[0]
        sizes, bands = encoders.sizes[self.language], encoders.sizes[self.language].features // 2
        framed: dict[str, Any] = {"length": pairs, "formula": "L = F // 2, F = (n - 400) // 160 + 1"}
        whole: dict[str, Any] = {"length": one, "formula": "1"}
        points = [
            Point("speech.front_end", Stage.FRONT_END, 0, sizes.width, "feature_projection", **framed),
            Point("speech.input", Stage.FRONT_END, 0, sizes.width, "encoder.layers.0", take="input", **framed),
            *layer_points("speech.", sizes.layers, sizes.width, "encoder.", **framed),
            Point("speech.norm", Stage.ENCODER, 0, sizes.width, "encoder.layer_norm", **framed),
            *(
                Point(f"speech.pooler.-{back}", Stage.POOLED, 0, sizes.width, f"pooler.layers.-{back}", **whole)
                for back in range(min(each.pooler_layers for each in encoders.sizes.values()), 0, -1)
            ),
            Point(EMBEDDING, Stage.POOLED, 0, sizes.width, "", layout="bd", **whole),
        ]
        features = FramePairs(SeamlessM4TFeatureExtractor(feature_size=bands, num_mel_bins=bands))
        super().__init__(encoders.get(self.language), features, points)
        self.family = "SONAR speech encoder (w2v-BERT conformer, attention pooler)"

    def for_language(self, language: str) -> SonarSpeech:
        """Return the side with the encoder of `language`, and with the points that this one has.

        Raises
        ------
        UsageError
            If there is no encoder for the language; those that there are are named.
        """
        code = self.encoders.find(language)
        if code == self.language:
            return self
        side = copy.copy(self)
        side.language = code
        side.root = self.encoders.get(code)
        return side

    def forward(self, batch: Batch) -> Mapping[str, Tensor]:
        """Run the encoder and return the sentence embeddings."""
        return {EMBEDDING: self.root(**in_dtype_of(self.root, batch.inputs)).float()}

    def reference(self, item: str | NDArray[np.float32], language: str) -> None:
        """Return None: the released encoder has no forward pass of its own but fairseq2's."""


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
