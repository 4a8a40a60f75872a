"""models show on released configurations, without weights or vocabulary: points, and the number of parameters."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from babelscope.models.adapters.loading import whole_parameters
from babelscope.models.planning import plan
from babelscope.testing import tiny

RELEASED = Path(__file__).parents[2].parent / "shared" / "data" / "released"

#: Of released models: millions of parameters of what is loaded (no heads, no decoder behind an encoder).
_RELEASED = {
    "intfloat--multilingual-e5-base": 277.5,
    "BAAI--bge-m3": 566.7,
    "google--mt5-small": 146.9,
    "facebook--nllb-200-distilled-600M": 413.5,
    "facebook--w2v-bert-2.0": 580.5,
    "facebook--seamless-m4t-v2-large": 2005.6,
    "microsoft--wavlm-large": 315.5,
    "openai--whisper-large-v3-turbo": 637.0,
    "google--gemma-4-26B-A4B-it": 25805.9,
    "mistralai--Voxtral-Mini-3B-2507": 4273.6,
}


#: Millions of parameters of the whole released model, as published or as its index and shapes say.
_WHOLE = {
    "Qwen--Qwen2-Audio-7B-Instruct": 8397.1,
    "Qwen--Qwen2.5-Omni-3B": 5537.1,
    "Qwen--Qwen3-Omni-30B-A3B-Instruct": 35259.8,
    "Qwen--Qwen3-ASR-0.6B": 782.4,  # with the sizes that are written, which transformers does not read by itself
    "mistralai--Voxtral-Small-24B-2507": 24261.8,
    "ibm-granite--granite-speech-3.3-8b": 8648.6,
    "google--gemma-4-E4B": 7941.1,
    "nvidia--audio-flamingo-3-hf": 8267.2,
    "zai-org--GLM-ASR-Nano-2512": 2136.5,
    "openai--whisper-large-v3": 1543.5,
    "nvidia--parakeet-ctc-1.1b": 1062.5,
    "facebook--seamless-m4t-v2-large": 2309.2,
    "facebook--nllb-200-distilled-600M": 615.1,
    "sentence-transformers--LaBSE": 470.9,
}


@pytest.mark.parametrize("name", _WHOLE)
def test_the_released_model_has_as_many_parameters_as_are_published(name: str) -> None:
    if not (RELEASED / name).is_dir():
        pytest.skip(f"{RELEASED / name} is not here")
    assert abs(whole_parameters(RELEASED / name) / 1e6 - _WHOLE[name]) < 0.1


@pytest.mark.parametrize(
    "name",
    [
        name if name == "intfloat--multilingual-e5-base" else pytest.param(name, marks=pytest.mark.slow)
        for name in _RELEASED
    ],
)
def test_a_released_configuration_alone_is_planned(name: str) -> None:
    if not (RELEASED / name).is_dir():
        pytest.skip(f"{RELEASED / name} is not here")
    planned = plan(f"hf:{RELEASED / name}")
    assert abs(planned.parameters / 1e6 - _RELEASED[name]) < 0.1
    assert planned.model.name == name and not planned.from_weights
    assert all(side.points for side in planned.model.sides.values())


def test_a_folder_without_weights_or_vocabulary_has_the_points_of_the_whole(tmp_path: Path) -> None:
    whole, bare = tiny("voxtral", tmp_path / "whole"), tmp_path / "bare"
    bare.mkdir()
    for name in ("config.json", "preprocessor_config.json"):
        shutil.copy(whole / name, bare / name)
    expected, planned = plan(f"hf:{whole}"), plan(f"hf:{bare}")
    assert planned.parameters == expected.parameters
    for modality, side in expected.model.sides.items():
        assert [point.name for point in planned.model.sides[modality].points] == [point.name for point in side.points]
