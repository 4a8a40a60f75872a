"""Text and speech encoders by rules: lengths, names, batches and ways to one vector, of folders in released layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from babelscope import models
from babelscope.capture import Capture
from babelscope.errors import DataError, UsageError
from babelscope.models import planning
from babelscope.models.adapters.loading import misread
from babelscope.models.planning import plan
from babelscope.testing import tiny

#: Whether a model's utterances run in padded batches: as was found by hand for each of these classes.
_BATCHES = {"xls-r": True, "hubert-large": True, "w2v-bert": True, "wav2vec2": False, "hubert": False, "wavlm": False}


@pytest.mark.parametrize(
    "name", [name if name in ("xls-r", "wav2vec2") else pytest.param(name, marks=pytest.mark.slow) for name in _BATCHES]
)
def test_whether_batches_are_exact_is_measured_at_load(name: str, tmp_path: Path) -> None:
    model = models.load(f"hf:{tiny(name, tmp_path)}")
    assert model.sides["speech"].exact_in_batches is _BATCHES[name]
    assert any("padded batch differs" in note for note in model.notes)
    alone = models.load(f"hf:{tmp_path}", options={"batch": "alone"})
    assert not alone.sides["speech"].exact_in_batches


def test_lengths_are_the_convolutions_own(tmp_path: Path) -> None:
    """Of seven convolutions of wav2vec2 by their arithmetic, at every length of two strides and at 28 s."""
    side = models.load(f"hf:{tiny('xls-r', tmp_path)}").sides["speech"]
    layer = next(point for point in side.points if point.name == "speech.layer.0")
    for samples in (*range(400, 1100), 28 * 16_000 - 1, 28 * 16_000):
        positions = samples
        for kernel, stride in ((10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2)):
            positions = (positions - kernel) // stride + 1
        assert layer.length(samples) == positions


def test_lengths_of_a_released_encoder_need_no_weights() -> None:
    """Parakeet subsamples by 8: a stride of 1,280 samples, among which many formulas look right at a few lengths."""
    folder = Path(__file__).parents[2].parent / "shared" / "data" / "released" / "nvidia--parakeet-ctc-0.6b"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here")
    (side,) = planning.plan(f"hf:{folder}").model.sides.values()
    frames = [samples // 160 for samples in range(8_000, 448_000, 997)]
    for _ in range(3):
        frames = [(count - 1) // 2 + 1 for count in frames]
    assert [side.points[-1].length(samples) for samples in range(8_000, 448_000, 997)] == frames


def test_a_window_of_fixed_length_gives_a_recording_its_share(tmp_path: Path) -> None:
    side = models.load(f"hf:{tiny('whisper', tmp_path)}").sides["speech"]
    assert (side.window, side.longest, side.fixed_batch_length) == (480_000, 480_000, True)
    lengths = {point.name: point.length for point in side.points}
    for samples in (1, 160, 161, 320, 321, 100_000, 480_000):
        frames = -(-samples // 160)
        assert lengths["speech.conv1"](samples) == frames
        assert lengths["speech.layer.0"](samples) == (frames - 1) // 2 + 1


def test_points_are_named_as_those_of_the_models_that_have_a_program(tmp_path: Path) -> None:
    whisper = models.load(f"hf:{tiny('whisper', tmp_path / 'w')}").sides["speech"]
    assert [point.name.removeprefix("speech.") for point in whisper.points] == [
        *("conv1", "conv2", "input"),
        *(f"layer.{index}" for index in range(3)),
        "norm",
    ]
    e5 = models.load(f"hf:{tiny('e5', tmp_path / 'e')}").sides["text"]
    assert [point.name.removeprefix("text.") for point in e5.points] == [
        "embeddings",
        *(f"layer.{index}" for index in range(3)),
        "pooled",
    ]


def test_a_plan_without_weights_has_the_same_points(tmp_path: Path) -> None:
    for name in ("w2v-bert", "labse", "nllb"):
        folder = tiny(name, tmp_path / name)
        loaded = models.load(f"hf:{folder}")
        for file in folder.glob("*.safetensors"):
            file.unlink()
        plan = planning.plan(f"hf:{folder}")
        assert plan.model.describe() == loaded.describe()
        (side,) = loaded.sides.values()
        assert plan.parameters == side.parameters


def test_a_prompt_stands_around_a_sentence_and_is_not_pooled(tmp_path: Path) -> None:
    folder = tiny("qwen3", tmp_path)
    plain, prompted = (
        models.load(f"hf:{folder}", options=options).sides["text"] for options in ({}, {"prompt": "a b {} c"})
    )
    bare, around = (side.prepare("hello world", "en") for side in (plain, prompted))
    point = plain.points[-1]
    assert around.positions_at(point) == bare.positions_at(point) == len(bare.inputs["input_ids"])
    assert around.start_at(point) > bare.start_at(point) == 0
    start = around.start_at(point)
    own = around.inputs["input_ids"][start : start + bare.length]
    assert torch.equal(own, bare.inputs["input_ids"])
    with Capture(prompted) as capture:  # which compares the positions behind the prompt
        assert torch.isfinite(capture.run(prompted.collate([around]))["text.norm"]).all()
    with pytest.raises(UsageError, match="places for a sentence"):
        models.load(f"hf:{folder}", options={"prompt": "no place"})


def test_a_vector_is_made_as_the_folder_of_sentence_transformers_says(tmp_path: Path) -> None:
    """LaBSE: the first position, a dense layer with tanh, length 1."""
    import safetensors.torch
    from transformers import AutoModel, AutoTokenizer

    folder = tiny("labse", tmp_path)
    side = models.load(f"hf:{folder}").sides["text"]
    texts = ["good morning", "no"]
    with Capture(side) as capture:
        pooled = capture.run(side.collate([side.prepare(text, "en") for text in texts]))["text.pooled"]
    tokenizer, bare = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    dense = safetensors.torch.load_file(folder / "2_Dense" / "model.safetensors")
    for row, text in zip(pooled, texts, strict=True):
        first = bare(**tokenizer(text, return_tensors="pt")).last_hidden_state[0, 0]
        vector = torch.tanh(dense["linear.weight"] @ first + dense["linear.bias"])
        torch.testing.assert_close(row, vector / vector.norm(), atol=1e-6, rtol=0)


def test_a_language_is_told_by_its_code(tmp_path: Path) -> None:
    side = models.load(f"hf:{tiny('nllb', tmp_path)}").sides["text"]
    codes = {language: int(side.prepare("abc", language).inputs["input_ids"][0]) for language in ("en", "de", "zh")}
    assert len(set(codes.values())) == 3
    with pytest.raises(DataError, match="no code for 'sw'"):
        side.prepare("abc", "sw")


def test_a_tokenizer_that_came_without_its_vocabulary_is_refused(tmp_path: Path) -> None:
    folder = tiny("qwen3", tmp_path)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(DataError, match="tokenizer"):
        models.load(f"hf:{folder}")


#: Classes that nobody named: what they are made with, and where they are looked at beside their layers.
_UNNAMED: dict[str, tuple[dict[str, Any], list[str] | str]] = {
    "albert": ({"embedding_size": 8}, ["embeddings", "front.encoder.embedding_hidden_mapping_in"]),
    "gpt_neox": ({}, ["embeddings", "norm"]),
    "modernbert": ({}, ["embeddings", "norm"]),
    "mbart": ({"d_model": 32, "encoder_layers": 3, "encoder_attention_heads": 4}, ["embeddings", "norm"]),
    "xlm": ({"emb_dim": 32, "n_layers": 3, "n_heads": 4}, "no list of layers was found"),
    "funnel": (
        {"d_model": 32, "block_sizes": [2, 2], "n_head": 4, "d_head": 8},
        r"\(FunnelLayer\) lie in several lists",
    ),
    "longformer": ({"attention_window": [8] * 3}, "no point holds. Left out: embeddings gives"),
}


@pytest.mark.parametrize("kind", _UNNAMED)
def test_a_class_that_nobody_named_works_by_rules_or_is_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    """Saved with a head that nothing looks at, under whatever name it has in the file."""
    from transformers import AutoConfig
    from transformers.models.auto import modeling_auto as auto

    sizes, expected = _UNNAMED[kind]
    tokens = tiny("xlm-r", tmp_path)
    config = AutoConfig.for_model(kind)
    usual = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}
    small = {**usual, "vocab_size": 166, "max_position_embeddings": 64, "pad_token_id": 1, **sizes}
    config = type(config)(
        **{
            name: value
            for name, value in small.items()
            if hasattr(config, name) and (kind, name) != ("funnel", "num_hidden_layers")  # of its blocks alone
        }
    )
    heads = auto.MODEL_FOR_MASKED_LM_MAPPING if kind != "gpt_neox" else auto.MODEL_FOR_CAUSAL_LM_MAPPING
    heads[type(config)](config).save_pretrained(tmp_path)
    assert (tokens / "tokenizer.json").is_file()
    if isinstance(expected, str):
        with pytest.raises(DataError, match=expected) as caught:
            models.load(f"hf:{tmp_path}")
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 300
        return
    side = models.load(f"hf:{tmp_path}").sides["text"]
    names = [point.name.removeprefix("text.") for point in side.points]
    assert [name for name in names if name.startswith("layer.")] == ["layer.0", "layer.1", "layer.2"]
    assert set(expected) <= set(names)


def test_an_encoder_that_fails_on_the_shortest_recordings_is_measured_on_longer_ones(tmp_path: Path) -> None:
    """LASR, which nobody named: its convolutions raise for what is shorter than their kernels."""
    import transformers

    config = transformers.LasrEncoderConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4, intermediate_size=48
    )
    torch.manual_seed(0)
    transformers.LasrEncoder(config).save_pretrained(tmp_path)
    transformers.LasrFeatureExtractor(feature_size=config.num_mel_bins).save_pretrained(tmp_path)
    side = models.load(f"hf:{tmp_path}").sides["speech"]
    assert {"speech.layer.0", "speech.layer.1"} <= {point.name for point in side.points}


def test_whatever_a_models_own_code_raises_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from babelscope.models import adapters

    def fail(*_: Any, **__: Any) -> None:
        raise KeyError("of a class\nthat nobody knows")

    monkeypatch.setattr(adapters, "text_points", fail)
    folder = tiny("xlm-r", tmp_path)
    for read in (lambda: models.load(f"hf:{folder}"), lambda: plan(f"hf:{folder}")):
        with pytest.raises(DataError, match=r"cannot be read by rules \(KeyError") as caught:
            read()
        assert "\n" not in str(caught.value)


def test_a_setting_for_each_layer_is_no_size_of_the_model() -> None:
    class PerLayer:
        @property
        def num_attention_heads(self) -> int:
            raise ValueError("may vary across layers")

    assert not list(misread({"num_attention_heads": 4}, PerLayer()))
