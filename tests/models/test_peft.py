"""PEFT adapters: merged into their base where a study names them, and never applied because they lie beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers

from babelscope import models
from babelscope.capture import Capture
from babelscope.errors import DataError
from babelscope.models import Model
from babelscope.testing import tiny


def vectors(model: Model, modality: str = "text") -> Any:
    side = model.sides[modality]  # type: ignore[index]
    with Capture(side, "mean") as capture:
        return capture.run(side.collate([side.prepare("a few words", "en")]))


def trained(whole: Any, folder: Path, targets: list[str]) -> Any:
    """Save an adapter with random weights, and return the whole model with it merged."""
    torch.manual_seed(1)
    config = peft.LoraConfig(r=2, lora_alpha=8, target_modules=targets, init_lora_weights=False)
    wrapped: Any = peft.get_peft_model(whole, config)
    wrapped.save_pretrained(str(folder))
    return wrapped.merge_and_unload()


def test_an_adapter_is_merged_into_its_base(tmp_path: Path) -> None:
    base = tiny("qwen3", tmp_path / "base")
    whole = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    merged = trained(whole, tmp_path / "adapter", ["q_proj", "down_proj"])
    merged.save_pretrained(tmp_path / "merged")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "merged" / name).write_bytes((base / name).read_bytes())
    plain = vectors(models.load(f"hf:{base}"))
    expected = vectors(models.load(f"hf:{tmp_path / 'merged'}"))
    model = models.load(f"hf:{base}", options={"adapter": str(tmp_path / "adapter")})
    for name, vector in vectors(model).items():
        torch.testing.assert_close(vector, expected[name], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(vectors(model)["text.norm"], plain["text.norm"], atol=1e-2)
    assert model.options["adapter"] == "adapter"
    assert model.weights[-1].file == "adapter_model.safetensors"


def test_an_encoder_takes_its_own_share_of_an_adapter_of_both_halves(tmp_path: Path) -> None:
    base = tiny("whisper", tmp_path / "base")
    whole = transformers.WhisperForConditionalGeneration.from_pretrained(base, dtype=torch.float32)
    before = {name: array.clone() for name, array in whole.model.encoder.state_dict().items()}
    merged = trained(whole, tmp_path / "adapter", ["q_proj", "v_proj"]).model.encoder.state_dict()
    model = models.load(f"hf:{base}", options={"adapter": str(tmp_path / "adapter")})
    arrays = model.sides["speech"].root.state_dict()
    name = "layers.1.self_attn.q_proj.weight"
    torch.testing.assert_close(arrays[name], merged[name])
    assert not torch.allclose(arrays[name], before[name])


def test_an_adapter_that_lies_beside_a_model_is_not_applied(tmp_path: Path) -> None:
    """Transformers applies it by itself where PEFT is installed."""
    model = models.load(f"hf:{tiny('granite-speech', tmp_path)}")
    assert (tmp_path / "adapter_config.json").is_file()
    assert not [name for name, _ in model.sides["speech"].root.named_modules() if "lora" in name]
    assert any("not applied" in note for note in model.notes)


def test_what_is_no_adapter_of_the_model_is_one_line(tmp_path: Path) -> None:
    base = tiny("qwen3", tmp_path / "base")
    with pytest.raises(DataError, match=r"there is no adapter_config.json; name a folder"):
        models.load(f"hf:{base}", options={"adapter": str(base)})
    other = transformers.WhisperForConditionalGeneration.from_pretrained(
        tiny("whisper", tmp_path / "whisper"), dtype=torch.float32
    )
    trained(other, tmp_path / "adapter", ["fc1"])
    with pytest.raises(DataError, match="is no module of what is looked at"):
        models.load(f"hf:{base}", options={"adapter": str(tmp_path / "adapter")})
