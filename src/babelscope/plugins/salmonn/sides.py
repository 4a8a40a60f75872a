"""SALMONN's two sides: what each prepares and runs, and the points where it is looked at.

Speech, for n samples at 16 kHz: Whisper has E = ceil(n / 320) positions of its 1500; BEATs has P = 8 * (T // 16)
patches for T = (n - 400) // 160 + 1 frames, at least 8; the Q-Former makes one token of 17 positions, of which
min(88, ceil(E / 17)) hold speech. What is shorter than a second is heard with silence up to a second, as SALMONN does.

The language model sees ``<s>USER: <Speech>``, then the tokens of speech, or those of the sentence in their place. What
the prompt has after them, and the tokens of Whisper's silence, are not computed: attention goes backwards alone, so
that they cannot reach what is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import WhisperFeatureExtractor

from babelscope.errors import DataError
from babelscope.plugins.salmonn import beats
from babelscope.plugins.salmonn.parts import WINDOW, Sizes, lora
from babelscope.sides import Batch, Point, Prepared, Side, Stage, layer_points, spread_depths_before

SAMPLE_RATE = 16_000
#: Samples of one of Whisper's positions.
STEP = 320
#: What stands before speech in SALMONN's prompt, after the start token.
BEFORE = "USER: <Speech>"


def _positions(samples: int) -> int:
    return -(-samples // STEP)


def patches(samples: int) -> int:
    """Return how many patches of BEATs hold `samples` samples: 8 * (T // 16), at least 8."""
    return max(beats.patches(samples), beats.BANDS)


def _computed(samples: int) -> int:
    """Return how many patches BEATs computes: what is shorter than a second is heard as a second."""
    return beats.patches(max(samples, SAMPLE_RATE))


class _Shared(Side):
    """What both sides have: the language model after the prompt's first tokens."""

    family = "SALMONN"

    def __init__(self, root: nn.Module, sizes: Sizes, prefix: Sequence[int], own: Sequence[Point], **each: Any) -> None:
        self.root = root
        self.prefix = torch.tensor(list(prefix))
        width = int(sizes.vicuna.hidden_size)
        each = {"start": len(prefix)} | each
        shared = [
            Point("shared.input", Stage.SHARED, 0, width, "language.layers.0", take="input", **each),
            *layer_points("shared.", sizes.vicuna.num_hidden_layers, width, "language.", Stage.SHARED, **each),
            Point("shared.norm", Stage.SHARED, 0, width, "language.norm", **each),
        ]
        self.points = spread_depths_before(own, shared, len(_speech_points(sizes)))

    @property
    def reads(self) -> bool:
        """Whether any point of the language model is looked at."""
        return any(point.stage is Stage.SHARED for point in self.points)


def _speech_points(sizes: Sizes) -> list[Point]:
    window = sizes.positions // WINDOW
    whisper: dict[str, Any] = {"length": _positions, "formula": "E = ceil(n / 320)"}
    patched: dict[str, Any] = {"length": patches, "formula": "P = max(8, 8 (((n - 400) // 160 + 1) // 16))"}
    windowed: dict[str, Any] = {
        "length": lambda samples: min(window, -(-_positions(samples) // WINDOW)),
        "formula": f"W = min({window}, ceil(E / {WINDOW}))",
    }

    def point(name: str, stage: Stage, width: int, module: str, **more: Any) -> Point:
        return Point(f"speech.{name}", stage, 0, int(width), module, **more)

    heard, own = int(sizes.whisper.d_model), sizes.beats
    frames: dict[str, Any] = {"length": lambda samples: -(-samples // 160), "formula": "M = ceil(n / 160)"}
    front, encoder, adaptation = Stage.FRONT_END, Stage.ENCODER, Stage.LENGTH_ADAPTATION
    return [
        point("whisper.conv1", front, heard, "whisper.conv1", layout="bdt", **frames),
        point("whisper.conv2", front, heard, "whisper.conv2", layout="bdt", **whisper),
        point("whisper.input", front, heard, "whisper.layers.0", take="input", **whisper),
        *layer_points("speech.whisper.", sizes.whisper.encoder_layers, heard, "whisper.", **whisper),
        point("whisper.norm", encoder, heard, "whisper.layer_norm", **whisper),
        point("beats.patches", front, own.embed, "beats.layer_norm", take="input", **patched),
        point("beats.input", front, own.width, "beats.encoder.layers.0", take="input", **patched),
        *layer_points("speech.beats.", own.layers, own.width, "beats.encoder.", **patched),
        point("before_adaptation", adaptation, sizes.heard, "fusion", **whisper),
        *layer_points("speech.qformer.", sizes.qformer_layers, sizes.qformer_width, "qformer.", adaptation, **windowed),
        point("after_adaptation", adaptation, sizes.vicuna.hidden_size, "projection", **windowed),
    ]


class SalmonnText(_Shared):
    """The text side: embeddings, and the language model over the sentence's tokens alone.

    Parameters
    ----------
    root : torch.nn.ModuleDict
        ``language``.
    prefix : sequence of int
        Ids of what stands before the sentence, the start token first.
    encode : callable
        From a text to the ids of its pieces, without special ones.
    adapted : bool
        Whether LoRA is on.
    """

    modality = "text"
    unit = "tokens"

    def __init__(
        self, root: nn.Module, sizes: Sizes, prefix: Sequence[int], encode: Callable[[str], list[int]], adapted: bool
    ) -> None:
        width = int(sizes.vicuna.hidden_size)
        own = [Point("text.embeddings", Stage.FRONT_END, 0, width, "language.embed_tokens", start=len(prefix))]
        super().__init__(root, sizes, prefix, own)
        self.encode, self.adapted = encode, adapted
        self.positions = int(sizes.vicuna.max_position_embeddings)
        self.longest: int = self.positions - len(self.prefix)

    def prepare(self, item: str | NDArray[np.float32], language: str) -> Prepared:
        """Tokenise one sentence.

        Raises
        ------
        DataError
            If it has no token, or more than the language model has positions.
        """
        ids = self.encode(str(item)) if str(item).strip() else []
        if not ids:
            raise DataError("the tokenizer finds no token in the text")
        if len(ids) > self.longest:
            raise DataError(
                f"{len(ids)} tokens and {len(self.prefix)} of the prompt are more than the {self.positions} positions "
                f"that SALMONN's language model has: shorten the text"
            )
        return Prepared({"input_ids": torch.tensor(ids)}, len(ids))

    def collate(self, items: Sequence[Prepared]) -> Batch:
        """Put the prompt's tokens before each, and pad on the right, where attention never goes."""
        rows = [torch.cat([self.prefix, item.inputs["input_ids"]]) for item in items]
        ids = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        return Batch({"input_ids": ids}, tuple(item.length for item in items))

    def forward(self, batch: Batch) -> Mapping[str, Tensor]:
        """Run the language model."""
        language = self.root.get_submodule("language")
        if self.reads:
            with lora(language, self.adapted):
                language(input_ids=batch.inputs["input_ids"], use_cache=False)
        else:
            language.get_submodule("embed_tokens")(batch.inputs["input_ids"])
        return {}


class SalmonnSpeech(_Shared):
    """The speech side: Whisper, BEATs, both side by side, the Q-Former, the projection, the language model.

    Parameters
    ----------
    root : torch.nn.ModuleDict
        ``whisper``, ``beats``, ``fusion``, ``qformer``, ``projection``, ``language``.
    prefix : sequence of int
        Ids of what stands before speech, the start token first.
    """

    modality = "speech"
    unit = "samples at 16 kHz"
    fixed_batch_length = True

    def __init__(self, root: nn.Module, sizes: Sizes, prefix: Sequence[int]) -> None:
        own = _speech_points(sizes)
        super().__init__(root, sizes, prefix, own, length=own[-1].length, formula=own[-1].formula)
        self.tokens = own[-1].length
        self.window: int = sizes.positions * STEP
        self.longest: int = self.window
        self.features = WhisperFeatureExtractor(
            feature_size=int(sizes.whisper.num_mel_bins), chunk_length=self.window // SAMPLE_RATE
        )

    def prepare(self, item: str | NDArray[np.float32], language: str) -> Prepared:
        """Compute what Whisper and BEATs take of one recording.

        Raises
        ------
        DataError
            If the recording is empty, or longer than the window.
        """
        samples = np.asarray(item, dtype=np.float32)
        if not len(samples):
            raise DataError("the recording is empty")
        if len(samples) > self.window:
            raise DataError(
                f"{len(samples) / SAMPLE_RATE:.1f} s of speech do not fit SALMONN's window of "
                f"{self.window // SAMPLE_RATE} s: choose max_seconds = {self.window // SAMPLE_RATE} or less"
            )
        mel = self.features(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features[0]
        energies = beats.fbank(np.pad(samples, (0, max(SAMPLE_RATE - len(samples), 0))))
        whole = _computed(len(samples)) // beats.BANDS * beats.PATCH
        return Prepared({"mel": mel, "fbank": torch.from_numpy(energies[:whole])}, len(samples))

    def collate(self, items: Sequence[Prepared]) -> Batch:
        """Stack Whisper's windows, which are of one length, and pad BEATs's patches."""
        mel = torch.stack([item.inputs["mel"] for item in items])
        fbank = nn.utils.rnn.pad_sequence([item.inputs["fbank"] for item in items], batch_first=True)
        return Batch({"mel": mel, "fbank": fbank}, tuple(item.length for item in items))

    def forward(self, batch: Batch) -> Mapping[str, Tensor]:
        """Run both encoders and, if it is looked at, the language model on as many tokens as the longest needs."""
        module = self.root.get_submodule
        projection = module("projection")
        dtype = next(projection.parameters()).dtype
        counts = [_computed(length) for length in batch.lengths]
        heard = module("whisper")(batch.inputs["mel"].to(dtype)).last_hidden_state
        audio = module("beats")(batch.inputs["fbank"].to(dtype), counts)
        tokens = projection(module("qformer")(module("fusion")(heard, audio, counts)))
        if self.reads:
            language = module("language")
            prefix = language.get_submodule("embed_tokens")(self.prefix.to(tokens.device)).to(tokens.device)
            prefix = prefix.expand(len(tokens), -1, -1)
            spoken = tokens[:, : max(self.tokens(length) for length in batch.lengths)]
            with lora(language, True):
                language(inputs_embeds=torch.cat([prefix, spoken], dim=1), use_cache=False)
        return {}
