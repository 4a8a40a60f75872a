"""Folders and files that people name as weights: each loads as what it is, or is refused in one line that says why."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    Wav2Vec2Config,
    Wav2Vec2Model,
    WhisperConfig,
    WhisperForConditionalGeneration,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from babelscope import models
from babelscope.errors import BabelscopeError
from babelscope.testing import tiny


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks the hub for what lies here fails."""

    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError(f"the hub was asked: {arguments}")

    for name in ("model_info", "snapshot_download"):
        monkeypatch.setattr(huggingface_hub.HfApi, name, refuse)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)


def refusal(capfd: pytest.CaptureFixture[str], name: str, weights: Path | str, **more: Any) -> str:
    """The one line; nothing else is printed."""
    with pytest.raises(BabelscopeError) as caught:
        models.load(name, weights=str(weights), **more)
    printed = capfd.readouterr()
    assert not printed.out and not printed.err
    assert "\n" not in str(caught.value)
    return str(caught.value)


def changed(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.fixture
def whisper(whisper_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whisper_folder, tmp_path / "whisper"))


@pytest.fixture
def e5(e5_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(e5_folder, tmp_path / "e5"))


def test_xlm_roberta_is_not_read_as_bert(capfd: pytest.CaptureFixture[str], e5: Path) -> None:
    config = XLMRobertaConfig(
        vocab_size=40, hidden_size=12, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
        max_position_embeddings=82, type_vocab_size=1,
    )  # fmt: skip
    XLMRobertaModel(config).save_pretrained(e5)
    capfd.readouterr()
    line = refusal(capfd, "e5-small", e5)
    assert (
        "config.json is of model_type 'xlm-roberta', not of 'bert'" in line and "load it as e5-base or e5-large" in line
    )


def test_the_longest_text_that_is_accepted_is_the_longest_that_the_model_takes(e5_folder: Path) -> None:
    side = models.load("e5-small", weights=str(e5_folder)).sides["text"]
    longest = "a" * (80 - len("query: ") - 3)
    item = next(item for extra in range(8, -8, -1) if (item := _prepared(side, longest + "a" * extra)) is not None)
    assert item.length == 80
    with torch.no_grad():
        assert side.forward(side.collate([item]))["text.pooled"].isfinite().all()


def _prepared(side: Any, text: str) -> Any:
    try:
        return side.prepare(text, "en")
    except BabelscopeError as error:
        assert "80 positions" in str(error)
        return None


@pytest.mark.parametrize(("read", "remedy"), [("e5-small", "whisper-base"), ("whisper-base", "e5-small")])
def test_a_folder_of_another_model_here_names_that_model(
    capfd: pytest.CaptureFixture[str], whisper: Path, e5: Path, read: str, remedy: str
) -> None:
    line = refusal(capfd, read, whisper if read == "e5-small" else e5)
    assert line.endswith(f"load it as {remedy}")


def test_wav2vec2_under_whisper_is_named(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, conv_dim=(8, 8),
        conv_stride=(5, 2), conv_kernel=(10, 3), num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    Wav2Vec2Model(config).save_pretrained(tmp_path)
    capfd.readouterr()
    assert "model_type 'wav2vec2', not of 'whisper': name it as a model of its own, hf:./folder" in refusal(
        capfd, "whisper-base", tmp_path
    )


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.float8_e4m3fn])
def test_arrays_of_a_quantised_model_without_a_word_in_its_config(
    capfd: pytest.CaptureFixture[str], whisper: Path, dtype: torch.dtype
) -> None:
    name = "model.encoder.layers.0.fc1.weight"
    changed(whisper, lambda state: state.update({name: (state[name] * 100).to(dtype)}))
    line = refusal(capfd, "whisper-base", whisper)
    assert repr(name) in line and "a quantised model is not read, name one in 16 or 32 bits" in line


@pytest.mark.parametrize("name", ["whisper-base", "e5-small", "sonar-text"])
def test_an_array_that_the_model_has_no_place_for(
    capfd: pytest.CaptureFixture[str], whisper: Path, e5: Path, tmp_path: Path, name: str
) -> None:
    folder = {"whisper-base": whisper, "e5-small": e5, "sonar-text": tmp_path / "sonar"}[name]
    if name == "sonar-text":
        tiny("sonar-text", folder)
    changed(folder, lambda state: state.update({"extra.SCB": torch.ones(3)}))
    line = refusal(capfd, name, folder)
    assert "hold 1 arrays that" in line and "'extra.SCB'" in line


def test_heads_that_an_encoder_was_trained_with_do_not_count(e5: Path) -> None:
    settings = json.loads((e5 / "config.json").read_text())
    torch.manual_seed(3)
    whole = BertForMaskedLM(BertConfig.from_dict(settings))
    whole.save_pretrained(e5)
    changed(
        e5,
        lambda state: state.update(
            {"bert.pooler.dense.weight": torch.ones(12, 12), "bert.embeddings.position_ids": torch.arange(80)[None]}
        ),
    )
    side = models.load("e5-small", weights=str(e5)).sides["text"]
    assert isinstance(side.root, BertModel)
    for name, array in whole.bert.state_dict().items():
        assert side.root.state_dict()[name].equal(array), name


def test_a_tokenizer_with_more_tokens_than_the_model(capfd: pytest.CaptureFixture[str], e5: Path) -> None:
    said = json.loads((e5 / "tokenizer.json").read_text())
    said["model"]["vocab"] += [["zz", -5.0], ["zy", -5.0]]
    (e5 / "tokenizer.json").write_text(json.dumps(said))
    assert "files of different models" in refusal(capfd, "e5-small", e5)


@pytest.mark.parametrize(
    ("prefix", "remedy"),
    [
        ("module.", "model.module.save_pretrained"),
        ("_orig_mod.", "model._orig_mod.save_pretrained"),
        ("base_model.model.", "merge_and_unload"),
    ],
)
def test_a_model_saved_from_inside_a_wrapper(
    capfd: pytest.CaptureFixture[str], whisper: Path, prefix: str, remedy: str
) -> None:
    def wrap(state: dict[str, torch.Tensor]) -> None:
        for name in list(state):
            state[prefix + name] = state.pop(name)

    changed(whisper, wrap)
    line = refusal(capfd, "whisper-base", whisper)
    assert repr(prefix) in line and remedy in line


def _seamless(folder: Path) -> Path:
    tiny("seamless-m4t-v2", folder)
    return folder


def test_the_same_of_a_family_that_is_filled_key_by_key(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = _seamless(tmp_path / "seamless")
    for shard in folder.glob("*.safetensors"):
        state = load_file(shard)
        save_file({f"module.{name}": array for name, array in state.items()}, shard, metadata={"format": "pt"})
    assert "DataParallel" in refusal(capfd, "seamless-m4t-v2-large", folder)


@pytest.mark.parametrize("name", ["whisper-base", "e5-small", "seamless-m4t-v2-large"])
def test_an_adapter_beside_full_weights_is_not_passed_over(
    capfd: pytest.CaptureFixture[str], whisper: Path, e5: Path, tmp_path: Path, name: str
) -> None:
    folder = {"whisper-base": whisper, "e5-small": e5}.get(name) or _seamless(tmp_path / "seamless")
    (folder / "adapter_config.json").write_text("{}")
    line = refusal(capfd, name, folder)
    assert "PEFT adapter" in line and "merge_and_unload" in line


@pytest.mark.plugins
def test_an_adapter_beside_a_model_inside_salmonn(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = tiny("salmonn", tmp_path / "salmonn")
    own = next(path for path in folder.iterdir() if path.is_dir() and path.name.startswith("vicuna"))
    (own / "adapter_config.json").write_text("{}")
    assert "PEFT adapter" in refusal(capfd, "salmonn-7b", folder)


def _trainer(model: Path, top: Path) -> Path:
    for step in (500, 1500, 1000):
        shutil.copytree(model, top / f"checkpoint-{step}")
    (top / "runs").mkdir()
    return top / "checkpoint-1500"


def _hub_folder(model: Path, top: Path) -> Path:
    return Path(shutil.copytree(model, top / "snapshots" / ("a" * 40)))


def _hub(model: Path, top: Path) -> Path:
    return _hub_folder(model, top / "models--someone--whisper")


def _parent(model: Path, top: Path) -> Path:
    return Path(shutil.copytree(model, top / "final"))


@pytest.mark.parametrize(
    ("make", "words"),
    [(_trainer, "Trainer"), (_hub_folder, "hub's cache"), (_hub, "hub's cache"), (_parent, "a folder in it")],
)
@pytest.mark.parametrize("name", ["whisper-base", "seamless-m4t-v2-large"])
def test_a_folder_around_the_model_names_the_one_to_name(
    capfd: pytest.CaptureFixture[str],
    whisper: Path,
    tmp_path: Path,
    make: Callable[[Path, Path], Path],
    words: str,
    name: str,
) -> None:
    model = whisper if name == "whisper-base" else _seamless(tmp_path / "seamless")
    inside = make(model, tmp_path / "top")
    line = refusal(capfd, name, tmp_path / "top")
    named = re.search(r"name (\S+)", line)
    assert words in line and named is not None and Path(named[1]) == inside
    assert models.load(name, weights=named[1]).name == name


@pytest.mark.parametrize(
    ("left", "words"),
    [
        ("pytorch_model.bin", "holds pytorch_model.bin .*pickled weights are not read: .*save_pretrained"),
        ("model.gguf", "holds model.gguf .*that format is not read: .*save_pretrained"),
        ("tf_model.h5", "holds tf_model.h5"),
        ("", r"holds config\.json but no \*\.safetensors"),
    ],
)
def test_a_folder_without_safetensors_names_what_it_has(
    capfd: pytest.CaptureFixture[str], whisper: Path, left: str, words: str
) -> None:
    (whisper / "model.safetensors").unlink()
    if left:
        (whisper / left).write_bytes(b"x")
    assert re.search(words, refusal(capfd, "whisper-base", whisper))


def test_a_folder_with_adapter_alone_or_without_config(capfd: pytest.CaptureFixture[str], whisper: Path) -> None:
    (whisper / "config.json").unlink()
    assert "holds no config.json" in refusal(capfd, "whisper-base", whisper)
    (whisper / "model.safetensors").rename(whisper / "adapter_model.safetensors")
    (whisper / "adapter_config.json").write_text("{}")
    assert "PEFT adapter" in refusal(capfd, "whisper-base", whisper)


def test_a_config_that_does_not_say_what_it_is(capfd: pytest.CaptureFixture[str], whisper: Path) -> None:
    settings = json.loads((whisper / "config.json").read_text())
    del settings["model_type"]
    (whisper / "config.json").write_text(json.dumps(settings))
    assert 'add "model_type": "whisper"' in refusal(capfd, "whisper-base", whisper)


@pytest.mark.parametrize(
    ("made", "named", "words"),
    [
        ("large-v3.pt", "large-v3.pt", "large-v3.pt is a file of pickled weights"),
        ("small/model.safetensors", "small/model.safetensors", "name the folder that holds it, .*small"),
        ("weights", "weights", "weights is a file: name a folder"),
        ("", "large-v3.pt", "there is no folder large-v3.pt"),
        ("", "small/model.safetensors", "there is no folder"),
        ("", "./small", "there is no folder"),
        ("", "../small", "there is no folder"),
        ("", "~/no-such-folder/small", "there is no folder"),
        ("", "~no-such-user/small", "there is no folder"),
        ("", "/no/such/folder", "there is no folder"),
        ("", "model.GGUF", "there is no folder"),
        ("", "a" * 300, "neither a local folder nor a name"),
        ("", "x\0y", "neither a local folder nor a name"),
        ("", " ", "have an empty name"),
    ],
)
@pytest.mark.parametrize("name", ["whisper-base", "sonar-text", "e5-small"])
def test_what_lies_here_or_can_be_no_hub_id_is_not_asked_of_the_hub(
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    made: str,
    named: str,
    words: str,
    name: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    if made:
        Path(made).parent.mkdir(exist_ok=True)
        Path(made).write_bytes(b"x")
    if name == "sonar-text" and named.endswith(".pt"):
        return  # it reads its authors' own .pt
    assert re.search(words, refusal(capfd, name, named))


def test_a_folder_that_may_not_be_read_is_one_line(
    capfd: pytest.CaptureFixture[str], whisper: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, **options: Any) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", refuse)
    monkeypatch.setattr(Path, "is_dir", refuse)
    assert "cannot be read (Permission denied)" in refusal(capfd, "whisper-base", whisper)


@pytest.mark.plugins
def test_a_folder_without_anything_of_pocket_is_not_passed_over(
    capfd: pytest.CaptureFixture[str], whisper: Path
) -> None:
    assert "holds none of adapter.safetensors, ridge.safetensors, whisper, e5" in refusal(capfd, "pocket", whisper)


@pytest.mark.parametrize("width", [16, 24])
def test_whisper_of_another_size_loads_under_its_name(tmp_path: Path, width: int) -> None:
    config = WhisperConfig(
        vocab_size=60, num_mel_bins=128, d_model=width, encoder_layers=3, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_source_positions=1500,
        max_target_positions=20, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=3,
    )  # fmt: skip
    torch.manual_seed(4)
    whole = WhisperForConditionalGeneration(config).eval()
    whole.save_pretrained(tmp_path)
    side = models.load("whisper-base", weights=str(tmp_path)).sides["speech"]
    batch = side.collate([side.prepare(torch.sin(torch.arange(16_000) / 9).numpy(), "en")])
    assert batch.inputs["input_features"].shape[1] == 128
    with torch.no_grad():
        expected = whole.model.encoder(batch.inputs["input_features"]).last_hidden_state
        assert torch.equal(side.root(batch.inputs["input_features"]).last_hidden_state, expected)
