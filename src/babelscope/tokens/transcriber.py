"""Whisper-base whole, as it writes down what it hears."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast, WhisperFeatureExtractor, WhisperForConditionalGeneration
from transformers.initialization import no_init_weights

from babelscope.audio import SAMPLE_RATE
from babelscope.fetch import asset_folder
from babelscope.models.weights.containers import open_asset
from babelscope.models.weights.folder import load_pretrained

ASSET = "whisper-base"


class Transcriber:
    """Whisper-base whole, from the fetched asset: says what it hears.

    Used to prove that weights, features and the pairing of recordings with texts are right.
    """

    def __init__(self) -> None:
        place, container = open_asset(ASSET, ASSET)
        self.model: Any
        self.tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(place.folder / "tokenizer.json"))
        if container is None:  # as the authors publish it: it says itself how it generates
            self.model, _ = load_pretrained(WhisperForConditionalGeneration, place)
            self.features = WhisperFeatureExtractor(feature_size=self.model.config.num_mel_bins)
            return
        config = container.config
        config._attn_implementation = "sdpa"
        with no_init_weights():
            self.model = WhisperForConditionalGeneration(config).eval()
        self.model.load_state_dict(dict(container.state), strict=True)
        self.features = WhisperFeatureExtractor(feature_size=config.num_mel_bins)
        settings = json.loads((asset_folder(ASSET) / "config.json").read_text(encoding="utf-8"))
        number = self.tokenizer.convert_tokens_to_ids
        generation = self.model.generation_config
        generation.is_multilingual = True
        generation.lang_to_id = {self.tokenizer.convert_ids_to_tokens(i): i for i in settings["lang_ids"]}
        generation.task_to_id = {"transcribe": number("<|transcribe|>"), "translate": number("<|translate|>")}
        generation.no_timestamps_token_id = number("<|notimestamps|>")
        generation.suppress_tokens = settings["suppress_ids"]
        generation.begin_suppress_tokens = settings["suppress_ids_begin"]
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
