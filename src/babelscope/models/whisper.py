"""Whisper's encoder as a speech side, and Whisper whole as a transcriber (proof that weights and recordings are right).

Whisper hears a window of fixed length (30 s as released): the recording, then silence. Its encoder attends to the
silence too, but what is pooled is the recording alone: M = ceil(n / 160) mel frames for n samples, and E = (M - 1) // 2
+ 1 positions behind the second convolution. A shorter window (the first positions of the same position table) is much
faster, but not what the model was trained on; it is never chosen in silence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import (
    PreTrainedTokenizerFast,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from babelscope.errors import UsageError
from babelscope.fetch import asset_folder
from babelscope.models.adapters.speech import Features, SpeechSide
from babelscope.models.options import LoadOptions
from babelscope.models.weights.containers import authors_folder, blank, filled, read_asset
from babelscope.models.weights.folder import load_pretrained, planned_config
from babelscope.sides import Model, Point, Stage, WeightsFile, dtype_named, layer_points, ready

SAMPLE_RATE = 16_000
HOP = 160
TRAINED_WINDOW_SECONDS = 30.0
ASSET = "whisper-base"
LICENCE = "MIT"

#: The configuration of Whisper-base's encoder.
RELEASED = {
    "num_mel_bins": 80,
    "d_model": 512,
    "encoder_layers": 6,
    "encoder_attention_heads": 8,
    "encoder_ffn_dim": 2048,
    "max_source_positions": 1500,
}


class WhisperSpeech(SpeechSide):
    """The speech side: convolutions, the layers' input, every layer, the final norm.

    Parameters
    ----------
    encoder : WhisperEncoder
        With ``config.max_source_positions`` equal to the window's positions.
    window_seconds : float
        What the encoder was cut to.
    """

    def __init__(self, encoder: WhisperEncoder, window_seconds: float = TRAINED_WINDOW_SECONDS) -> None:
        config = encoder.config
        extractor = WhisperFeatureExtractor(feature_size=config.num_mel_bins, chunk_length=round(window_seconds))
        window = round(window_seconds * SAMPLE_RATE)
        super().__init__(encoder, Features(extractor, "input_features", window), encoder_points(config))
        self.family = "Whisper encoder"


def encoder_points(config: WhisperConfig, inside: str = "") -> list[Point]:
    """Return the encoder's points in order, without depths: convolutions, the layers' input, every layer, the norm.

    Parameters
    ----------
    config : WhisperConfig
    inside : str
        Path of the encoder below the side's root, with a dot behind it.
    """
    encoded: dict[str, Any] = {"length": positions, "formula": "E = (M - 1) // 2 + 1"}

    def point(name: str, stage: Stage, module: str, **more: Any) -> Point:
        return Point(f"speech.{name}", stage, 0, config.d_model, f"{inside}{module}", **encoded | more)

    mel: dict[str, Any] = {"length": _mel_frames, "formula": "M = ceil(n / 160)"}
    return [
        point("conv1", Stage.FRONT_END, "conv1", layout="bdt", **mel),
        point("conv2", Stage.FRONT_END, "conv2", layout="bdt"),
        point("input", Stage.FRONT_END, "layers.0", take="input"),
        *layer_points("speech.", config.encoder_layers, config.d_model, inside, **encoded),
        point("norm", Stage.ENCODER, "layer_norm"),
    ]


def hear(encoder: WhisperEncoder, features: Tensor, windows: Sequence[int]) -> Tensor:
    """Run the encoder on windows of several lengths: each is what it is alone.

    The released encoder takes one length and no mask. Here what stands behind a window is not attended to; the
    convolutions do not reach it from within a window of an even number of frames.

    Parameters
    ----------
    encoder : WhisperEncoder
    features : Tensor, shape (batch, mel, frames)
        Log-mel features, zero behind each window.
    windows : sequence of int
        Mel frames of each window, even, the longest of them all of ``frames``.

    Returns
    -------
    Tensor, shape (batch, frames / 2, width)
        Behind the final norm. What stands behind a window's own half of frames means nothing.
    """
    values = nn.functional.gelu(encoder.conv2(nn.functional.gelu(encoder.conv1(features)))).permute(0, 2, 1)
    length = values.shape[1]
    hidden = values + encoder.embed_positions.weight[:length]
    mask = None
    if min(windows) < max(windows):
        own = torch.tensor([frames // 2 for frames in windows], device=values.device)
        mask = (torch.arange(length, device=values.device)[None] < own[:, None])[:, None, None].expand(
            -1, 1, length, -1
        )
    for layer in encoder.layers:
        given = layer(hidden, mask)
        hidden = given[0] if isinstance(given, tuple) else given
    normed: Tensor = encoder.layer_norm(hidden)
    return normed


def _mel_frames(samples: int) -> int:
    return -(-samples // HOP)


def positions(samples: int) -> int:
    """Return how many encoder positions hold `samples` samples of speech: (ceil(n / 160) - 1) // 2 + 1."""
    return (_mel_frames(samples) - 1) // 2 + 1


def load(options: LoadOptions) -> Model:
    """Load Whisper's encoder: from the fetched asset, or from a local folder or hub id in transformers' format.

    Parameters
    ----------
    options : LoadOptions
        ``window_seconds`` cuts the window; ``weights`` names a folder or hub id.

    Returns
    -------
    Model
        With a speech side only.

    Raises
    ------
    DataError
        If weights are missing, cut short or of another model.
    UsageError
        If the window is not between 1 and 30 s in whole seconds.
    """
    options.check_extra()
    window = options.window_seconds or TRAINED_WINDOW_SECONDS
    if not 1 <= window <= TRAINED_WINDOW_SECONDS or window != int(window):
        raise UsageError(
            f"window_seconds: {window:g} is not a whole number of seconds from 1 to {TRAINED_WINDOW_SECONDS:g}"
        )
    encoder, files = read(options.weights, window)
    notes = []
    if window < TRAINED_WINDOW_SECONDS:
        notes.append(
            f"Whisper hears a window of {window:g} s here instead of the {TRAINED_WINDOW_SECONDS:g} s that it was "
            f"trained on: faster, and "
            "close to it, but not the released model's own numbers."
        )
    side = WhisperSpeech(ready(encoder, options.device, dtype_named(options.dtype)), window)
    return Model(
        name=options.name,
        sides={"speech": side},
        weights=files,
        options={"window_seconds": window, "dtype": options.dtype, "attention": "sdpa"},
        notes=tuple(notes),
        licence=LICENCE,
    )


def read(
    weights: str | None = None, window: float = TRAINED_WINDOW_SECONDS
) -> tuple[WhisperEncoder, tuple[WeightsFile, ...]]:
    """Read the encoder: from the fetched asset, or from a local folder or hub id in transformers' format.

    Parameters
    ----------
    weights : str, optional
    window : float
        Seconds that its table of positions is cut to.

    Raises
    ------
    FetchError
        If the asset is not here.
    DataError
        If weights are missing, cut short or of another model.
    """
    if place := weights or authors_folder(ASSET):
        whole, files = load_pretrained(WhisperForConditionalGeneration, place)
        return _cut_encoder(whole.config, whole.model.encoder.state_dict(), window), files
    container = read_asset(ASSET, asset_folder(ASSET))
    prefix = "model.encoder."
    state = {name.removeprefix(prefix): tensor for name, tensor in container.state.items() if name.startswith(prefix)}
    return _cut_encoder(container.config, state, window), container.weights(ASSET)


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
        If the folder has no configuration of a Whisper.
    """
    encoder = blank(WhisperEncoder, planned_config(WhisperConfig, folder, **RELEASED))
    options = {"window_seconds": TRAINED_WINDOW_SECONDS, "attention": "sdpa"}
    return Model(name, {"speech": WhisperSpeech(encoder)}, (), options, (), LICENCE)


def _cut_encoder(config: WhisperConfig, state: Mapping[str, Tensor], window: float) -> WhisperEncoder:
    kept = round(window * SAMPLE_RATE) // (2 * HOP)
    cut = WhisperConfig(**config.to_dict() | {"max_source_positions": kept})
    trimmed = {**state, "embed_positions.weight": state["embed_positions.weight"][:kept]}
    encoder: WhisperEncoder = filled(WhisperEncoder, cut, trimmed)
    return encoder


class Transcriber:
    """Whisper-base whole, from the fetched asset: says what it hears.

    Used to prove that weights, features and the pairing of recordings with texts are right.
    """

    def __init__(self) -> None:
        folder, self.model = asset_folder(ASSET), cast(Any, None)
        self.tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
        if place := authors_folder(ASSET):  # that says itself how it generates
            self.model, _ = load_pretrained(WhisperForConditionalGeneration, place)
            self.features = WhisperFeatureExtractor(feature_size=self.model.config.num_mel_bins)
            return
        config, state, *_ = read_asset(ASSET, folder)
        self.model = filled(WhisperForConditionalGeneration, config, state).eval()
        self.features = WhisperFeatureExtractor(feature_size=config.num_mel_bins)
        said = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        number = self.tokenizer.convert_tokens_to_ids
        generation = self.model.generation_config
        generation.is_multilingual = True
        generation.lang_to_id = {self.tokenizer.convert_ids_to_tokens(i): i for i in said["lang_ids"]}
        generation.task_to_id = {"transcribe": number("<|transcribe|>"), "translate": number("<|translate|>")}
        generation.no_timestamps_token_id = number("<|notimestamps|>")
        generation.suppress_tokens = said["suppress_ids"]
        generation.begin_suppress_tokens = said["suppress_ids_begin"]
        generation.prev_sot_token_id = number("<|startofprev|>")
        generation.max_length = config.max_target_positions
        generation.eos_token_id = generation.pad_token_id = config.eos_token_id
        generation.decoder_start_token_id = config.decoder_start_token_id

    @torch.inference_mode()
    def transcribe(self, recordings: Sequence[NDArray[np.float32]], language: str) -> list[str]:
        """Return what is said in each recording (mono, 16 kHz), given its language's two-letter code."""
        inputs = self.features(list(recordings), sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features
        tokens = self.model.generate(inputs, language=language, task="transcribe")
        return [self.tokenizer.decode(row, skip_special_tokens=True).strip() for row in tokens]
