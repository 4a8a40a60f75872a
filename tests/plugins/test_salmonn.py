"""SALMONN in its released files: what its own code gives, in any batch; LoRA on or off for text; what is refused."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import LlamaTokenizer

from babelscope import corpora, models
from babelscope.capture import Capture, encode
from babelscope.errors import DataError, FetchError, UsageError
from babelscope.gaps.comparisons import plan as comparisons
from babelscope.models import Model, Side, Stage
from babelscope.models.planning import Plan, plan
from babelscope.plugins.salmonn.sides import BEFORE
from babelscope.testing import ModelTests, tiny
from babelscope.testing.tiny import salmonn as small
from conftest import tone, write_manifest

SEVEN, THIRTEEN = "salmonn-7b", "salmonn-13b"
REFERENCE = json.loads((Path(__file__).parent / "reference" / "salmonn.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny("salmonn", tmp_path_factory.mktemp("salmonn"))


@pytest.fixture(scope="module")
def salmonn(folder: Path) -> Model:
    return models.load(SEVEN, weights=str(folder))


@pytest.fixture(scope="module")
def released_window(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a window of 30 s, as SALMONN has it."""
    return small.folder(tmp_path_factory.mktemp("salmonn-30"), seconds=30)


def run(side: Side, *items: Any) -> Mapping[str, Tensor]:
    with Capture(side) as capture:
        return capture.run(side.collate([side.prepare(item, "en") for item in items]))


def recording(samples: int) -> np.ndarray:
    return (0.1 * np.random.RandomState(samples).standard_normal(samples)).astype(np.float32)


def deviation(caught: Mapping[str, Tensor], row: int, expected: Mapping[str, list[float]]) -> float:
    """The largest difference at any point, as a share of the point's largest activation."""
    found = [
        float((caught[name][row] - torch.tensor(values)).abs().max() / torch.tensor(values).abs().max())
        for name, values in expected.items()
        if name != "ids"
    ]
    assert len(found) >= 4
    return max(found)


# --- agreement with SALMONN's own code ---


def test_speech_is_what_salmonns_own_code_gives_alone_and_in_a_batch(released_window: Path) -> None:
    side = models.load(SEVEN, weights=str(released_window)).sides["speech"]
    expected = REFERENCE["speech"]
    recordings = [recording(int(samples)) for samples in expected]
    together = run(side, *recordings)
    for row, (samples, values) in enumerate(zip(recordings, expected.values(), strict=True)):
        assert len(values) == 14
        # its features are Kaldi's in 32 bits, ours in 64
        assert deviation(run(side, samples), 0, values) < 2e-5
        assert deviation(together, row, values) < 2e-5


@pytest.mark.parametrize(("key", "adapted"), [("text", True), ("text without lora", False)])
def test_text_is_what_salmonns_own_code_gives(folder: Path, key: str, adapted: bool) -> None:
    side = models.load(SEVEN, weights=str(folder), options={"lora_for_text": adapted}).sides["text"]
    assert len(REFERENCE[key]) == 3
    together = run(side, *REFERENCE[key])
    for row, (sentence, values) in enumerate(REFERENCE[key].items()):
        ids = side.collate([side.prepare(sentence, "en")]).inputs["input_ids"]
        assert ids[0].tolist() == values["ids"]
        assert deviation(run(side, sentence), 0, values) < 5e-6
        assert deviation(together, row, values) < 5e-6


# --- what must be true of every model ---


class TestSalmonn(ModelTests):
    """From a second on: what is shorter is heard with silence, so that BEATs has more patches than are its own."""

    languages = ("en",)  # it is told none
    window = 160_000
    modulus = 17

    @pytest.fixture
    def model(self, salmonn: Model) -> Model:
        return salmonn

    def bounds(self, side: Side) -> tuple[int, int]:
        low, high = super().bounds(side)
        return (low, high) if side.modality == "text" else (16_000, 16_000 + self.spread)

    def residues(self, side: Side) -> list[int]:
        """Recordings in every residue of BEATs's patches (16 frames) and of the Q-Former's windows (34 frames)."""
        return super().residues(side)[:: 1 if side.modality == "text" else 2]


class TestSalmonnWithoutLoraForText(ModelTests):
    """The text side alone; that speech keeps LoRA is shown below."""

    languages = ("en",)

    @pytest.fixture
    def model(self, folder: Path) -> Model:
        whole = models.load(SEVEN, weights=str(folder), options={"lora_for_text": False})
        return dataclasses.replace(whole, sides={"text": whole.sides["text"]})


# --- speech ---


@pytest.mark.parametrize("samples", [1, 399, 2_799, 2_800, 9_000, 15_999])
def test_less_than_a_second_is_heard_as_a_second_and_pooled_as_it_is(salmonn: Model, samples: int) -> None:
    side = salmonn.sides["speech"]
    item = side.prepare(recording(samples), "en")
    assert item.inputs["fbank"].shape == (96, 128)  # of 98 frames in a second
    counts = {point.name: point.length(samples) for point in side.points}
    assert counts["speech.whisper.norm"] == counts["speech.before_adaptation"] == -(-samples // 320)
    assert counts["speech.beats.layer.0"] == max(8, 8 * (((samples - 400) // 160 + 1) // 16))
    assert counts["shared.norm"] == counts["speech.after_adaptation"] == -(-samples // (17 * 320))
    together = run(side, recording(samples), recording(30_000))
    for name, values in run(side, recording(samples)).items():
        scale = float(values.abs().max())
        assert float((together[name][0] - values[0]).abs().max()) < 1e-4 * scale, name  # means over few positions


def test_lengths_up_to_the_window(salmonn: Model) -> None:
    released = plan(SEVEN).model.sides["speech"]
    for samples, expected in {
        479_999: (3000, 1500, 1496, 88),
        480_000: (3000, 1500, 1496, 88),
        87 * 17 * 320: (2958, 1479, 1472, 87),
        87 * 17 * 320 + 1: (2959, 1480, 1472, 88),
        5_440: (34, 17, 16, 1),
        5_441: (35, 18, 16, 2),
    }.items():
        names = ("whisper.conv1", "whisper.layer.0", "beats.layer.0", "after_adaptation")
        found = {point.name: point.length(samples) for point in released.points}
        assert tuple(found[f"speech.{name}"] for name in names) == expected, samples
    side = salmonn.sides["speech"]
    with pytest.raises(DataError, match=r"10\.0 s of speech do not fit SALMONN's window of 10 s"):
        side.prepare(recording(160_001), "en")
    with pytest.raises(DataError, match="empty"):
        side.prepare(np.zeros(0, dtype=np.float32), "en")


def test_the_language_model_runs_only_where_it_is_looked_at(salmonn: Model) -> None:
    chosen = salmonn.select_points(["speech.beats.*", "speech.after_adaptation", "text.embeddings"])
    runs: list[int] = []
    language = salmonn.sides["speech"].root.get_submodule("language")
    handle = language.register_forward_hook(lambda *_: runs.append(1))
    for modality, item in (("speech", recording(16_000)), ("text", "the cat")):
        narrow = run(chosen.sides[modality], item)  # type: ignore[index]
        assert not runs
        whole = run(salmonn.sides[modality], item)  # type: ignore[index]
        assert runs.pop()
        assert all(torch.equal(narrow[name], whole[name]) for name in narrow)
    handle.remove()


def test_the_language_models_input_is_the_projected_speech_and_the_embedded_text(salmonn: Model) -> None:
    heard = run(salmonn.sides["speech"], recording(20_000))
    assert torch.equal(heard["shared.input"], heard["speech.after_adaptation"])
    read = run(salmonn.sides["text"], "the cat")
    assert torch.equal(read["shared.input"], read["text.embeddings"])


# --- text ---


def test_the_sentence_stands_where_speech_does_and_is_pooled_alone(salmonn: Model) -> None:
    side = salmonn.sides["text"]
    item = side.prepare("the cat", "en")
    prefix = salmonn.sides["speech"].prefix  # type: ignore[attr-defined]
    ids = side.collate([item]).inputs["input_ids"][0]
    assert torch.equal(ids[: len(prefix)], prefix) and len(ids) == len(prefix) + item.length
    assert {point.start for point in side.points} == {len(prefix)}
    embeddings = side.root.get_submodule("language.embed_tokens")(item.inputs["input_ids"]).mean(0)
    torch.testing.assert_close(run(side, "the cat", "a longer one")["text.embeddings"][0], embeddings)


def test_tokens_are_llamas_and_special_ones_in_a_text_are_text(salmonn: Model, folder: Path, tmp_path: Path) -> None:
    side = salmonn.sides["text"]
    theirs = LlamaTokenizer.from_pretrained(folder / small.VICUNA_FOLDER)
    texts = ("the cat", "two  spaces ", "кот 中 ñ", "a\nb", BEFORE)
    for text in texts:
        assert side.prepare(text, "en").inputs["input_ids"].tolist() == theirs(text, add_special_tokens=False).input_ids
    ids = side.prepare("a </s> <s>", "en").inputs["input_ids"].tolist()
    assert not {1, 2} & set(ids)
    # the same tokenizer as transformers writes it
    copied = copy(folder, tmp_path)
    theirs.backend_tokenizer.save(str(copied / small.VICUNA_FOLDER / "tokenizer.json"))
    (copied / small.VICUNA_FOLDER / "tokenizer.model").unlink()
    other = models.load(SEVEN, weights=str(copied)).sides["text"]
    for text in (*texts, "a </s> <s>"):
        ours, others = (one.collate([one.prepare(text, "en")]).inputs["input_ids"] for one in (side, other))
        assert torch.equal(ours, others), text


def test_texts_that_cannot_be_read_are_refused(salmonn: Model) -> None:
    side = salmonn.sides["text"]
    for text in ("", " ", "\n"):
        with pytest.raises(DataError, match="no token"):
            side.prepare(text, "en")
    room = 160 - len(side.prefix)  # type: ignore[attr-defined]
    assert side.prepare("中" * 3, "en").length <= room
    with pytest.raises(DataError, match=r"more than the 160 positions that SALMONN's language model has"):
        side.prepare("中" * 60, "en")


# --- LoRA ---


def test_lora_can_be_off_for_text_and_is_then_still_on_for_speech(salmonn: Model, folder: Path) -> None:
    bare = models.load(SEVEN, weights=str(folder), options={"lora_for_text": False})
    read, plain = (run(model.sides["text"], "the cat") for model in (salmonn, bare))
    assert torch.equal(read["text.embeddings"], plain["text.embeddings"])
    for name in ("shared.layer.0", "shared.norm"):
        assert float((read[name] - plain[name]).norm() / plain[name].norm()) > 0.1, name
    heard, also = (run(model.sides["speech"], recording(16_000)) for model in (salmonn, bare))
    assert all(torch.equal(heard[name], also[name]) for name in heard)
    assert (salmonn.options["lora_for_text"], bare.options["lora_for_text"]) == (True, False)
    assert any("is on for speech and off for text" in note for note in bare.notes)


def test_the_scale_of_lora_is_an_option_that_is_recorded(salmonn: Model, folder: Path) -> None:
    none = models.load(SEVEN, weights=str(folder), options={"lora_alpha": 0})
    bare = models.load(SEVEN, weights=str(folder), options={"lora_for_text": False})
    texts = [run(model.sides["text"], "the cat")["shared.norm"] for model in (none, bare)]
    assert torch.equal(*texts)
    assert (salmonn.options["lora_alpha"], none.options["lora_alpha"], none.options["lora_rank"]) == (32, 0, 4)
    whole, bare_speech = (run(model.sides["speech"], recording(16_000))["shared.norm"] for model in (salmonn, none))
    assert not torch.allclose(whole, bare_speech, atol=0.05)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lora_for_text": "on"}, "lora_for_text: 'on' is neither true nor false"),
        ({"lora_alpha": -1}, "lora_alpha: -1 is not a number of 0 or more"),
        ({"lora_alpha": float("nan")}, "lora_alpha: nan"),
        ({"lora_text": True}, "no option 'lora_text'; did you mean 'lora_for_text'"),
    ],
)
def test_wrong_options_are_refused(folder: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        models.load(SEVEN, weights=str(folder), options=options)
    with pytest.raises(UsageError, match="window_seconds"):
        models.load(SEVEN, weights=str(folder), window_seconds=10)


# --- both in one model ---


def test_what_is_stored_does_not_depend_on_the_batch(salmonn: Model, tmp_path: Path) -> None:
    corpus = corpora.load("manifest", path=write_manifest(tmp_path, sentences=5, languages=("en", "fr")))
    stores = [encode(salmonn, corpus, tmp_path / f"{size}.zarr", batch_size=size) for size in (1, 4)]
    for modality, side in salmonn.sides.items():
        for point in side.points:
            for language in corpus.languages:
                alone, together = (store.matrix(point.name, modality, language) for store in stores)
                assert np.abs(alone - together).max() <= 1e-5 * np.abs(alone).max(), point.name
    spaces = {
        comparison.a.point
        for comparison in comparisons(stores[0])
        if comparison.kind == "modality_similarity" and comparison.same_space
    }
    assert spaces == set(salmonn.shared_points)
    assert stores[0].meta["model"]["options"]["lora_for_text"] is True


def test_points_stages_licence_and_notes(salmonn: Model) -> None:
    stages = [point.stage for point in salmonn.sides["speech"].points]
    assert list(dict.fromkeys(stages)) == [
        Stage.FRONT_END, Stage.ENCODER, Stage.LENGTH_ADAPTATION, Stage.SHARED
    ]  # fmt: skip
    assert salmonn.shared_points == ("shared.input", *(f"shared.layer.{index}" for index in range(3)), "shared.norm")
    assert "Llama 2" in salmonn.licence
    told = " ".join(salmonn.notes)
    for words in ("window of 10 s", "side by side", BEFORE, "on for speech and on for text", "classifier of BEATs"):
        assert words in told
    assert [weights.file for weights in salmonn.weights] == [
        small.CHECKPOINT, small.BEATS_FILE, "model.safetensors",
        "pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin",
    ]  # fmt: skip


@pytest.mark.parametrize(("dtype", "tolerance"), [("bfloat16", 0.1), ("float16", 0.02)])
def test_it_runs_in_sixteen_bits_and_its_angles_stay_in_thirty_two(
    salmonn: Model, folder: Path, dtype: str, tolerance: float
) -> None:
    narrow = models.load(SEVEN, weights=str(folder), dtype=dtype)
    exact, halved = (model.sides["text"].root.get_buffer("language.rotary_emb.inv_freq") for model in (salmonn, narrow))
    assert torch.equal(exact, halved) and halved.dtype == torch.float32
    for modality, item in (("text", "the cat"), ("speech", tone(1.2, 200))):
        whole = run(salmonn.sides[modality], item)  # type: ignore[index]
        for name, values in run(narrow.sides[modality], item).items():  # type: ignore[index]
            assert values.dtype == torch.float32
            assert float((values - whole[name]).norm() / whole[name].norm()) < tolerance, name


# --- before loading ---


@pytest.mark.parametrize(
    ("name", "layers", "billions", "licence"),
    [(SEVEN, 32, 7.364, "Llama 2"), (THIRTEEN, 40, 13.612, "not for commercial use")],
)
def test_a_released_model_is_planned_without_weights(name: str, layers: int, billions: float, licence: str) -> None:
    planned = plan(name)
    text, speech = planned.model.sides["text"], planned.model.sides["speech"]
    assert len(text.points) == 1 + layers + 2
    assert len(speech.points) == (3 + 32 + 1) + (2 + 12) + (1 + 2 + 1) + layers + 2
    assert not planned.from_weights and licence in planned.model.licence
    assert planned.parameters / 1e9 == pytest.approx(billions, abs=0.01)
    assert planned.memory["float32"] == 2 * planned.memory["float16"]
    assert planned.parameters == speech.parameters  # the text side is part of it
    widths = {point.name: point.width for point in speech.points}
    assert (widths["speech.before_adaptation"], widths["speech.qformer.layer.1"]) == (2048, 768)
    assert {side.device.type for side in planned.model.sides.values()} == {"meta"}


def test_what_salmonn_trained_is_as_large_as_its_checkpoint_says() -> None:
    """The file of 400 466 533 bytes holds each number three times, for the optimiser's sake, in 4 bytes."""
    parts = dict(plan(THIRTEEN).model.sides["speech"].root.named_parameters())
    trained = sum(
        parameter.numel()
        for name, parameter in parts.items()
        if name.startswith(("fusion.", "qformer.", "projection.")) or ".lora_" in name
    )
    assert 12 * trained == pytest.approx(400_466_533, rel=2e-3)


def test_a_folder_is_planned_as_it_is_loaded(salmonn: Model, folder: Path) -> None:
    planned = plan(SEVEN, str(folder))
    assert planned.model.describe() == salmonn.describe()
    assert planned.parameters == Plan(salmonn, from_weights=True).parameters
    assert planned.model.notes == salmonn.notes and planned.model.licence == salmonn.licence


# --- files ---


def copy(folder: Path, place: Path) -> Path:
    shutil.copytree(folder, place / "copy")
    return place / "copy"


def change(path: Path, edit: Callable[[dict[str, Any]], object], entry: str | None = "model") -> None:
    checkpoint = torch.load(path, weights_only=True)
    edit(checkpoint[entry] if entry else checkpoint)
    torch.save(checkpoint, path)


def test_parts_may_lie_elsewhere_and_in_safetensors(salmonn: Model, folder: Path, tmp_path: Path) -> None:
    vicuna, whisper = tmp_path / "a" / "vicuna-7b", tmp_path / "b" / "whisper"
    shutil.copytree(folder / small.VICUNA_FOLDER, vicuna)
    shutil.copytree(folder / small.WHISPER_FOLDER, whisper)
    shutil.copy(folder / small.BEATS_FILE, tmp_path / "audio.pt")
    shutil.copy(folder / small.CHECKPOINT, tmp_path / "salmonn_7b_v0.pth")
    state: dict[str, Tensor] = {}
    for shard in vicuna.glob("*.bin"):
        state |= torch.load(shard, weights_only=True)
        shard.unlink()
    (vicuna / "pytorch_model.bin.index.json").unlink()
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, vicuna / "model.safetensors")
    options = {"vicuna": str(vicuna), "whisper": str(whisper), "beats": str(tmp_path / "audio.pt")}
    other = models.load(THIRTEEN, weights=str(tmp_path / "salmonn_7b_v0.pth"), options=options)
    for modality, item in (("text", "the cat"), ("speech", recording(16_000))):
        ours, theirs = (run(model.sides[modality], item) for model in (salmonn, other))  # type: ignore[index]
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert [weights.source for weights in other.weights][2:] == ["whisper", "vicuna-7b"]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: (f / small.CHECKPOINT).unlink(), r"holds no salmonn\*.pth, SALMONN's own checkpoint"),
        (lambda f: shutil.copy(f / small.CHECKPOINT, f / "salmonn_2.pth"), "more than one salmonn"),
        (lambda f: (f / small.BEATS_FILE).unlink(), r"holds no BEATs\*.pt, .*options = \{'beats': ...\}"),
        (lambda f: shutil.rmtree(f / small.VICUNA_FOLDER), "no folder in .* holds a model of type 'llama'"),
        (lambda f: shutil.copytree(f / small.WHISPER_FOLDER, f / "w"), "more than one model of type 'whisper'"),
        (lambda f: (f / small.VICUNA_FOLDER / "config.json").write_text("{"), r"config\.json cannot be read"),
        (lambda f: (f / small.VICUNA_FOLDER / "tokenizer.model").unlink(), "holds no tokenizer"),
        (lambda f: (f / small.VICUNA_FOLDER / "tokenizer.model").write_bytes(b"x"), "tokenizer.model cannot be read"),
        (lambda f: (f / small.VICUNA_FOLDER / "pytorch_model-00002-of-00002.bin").unlink(), "which its index names"),
        (
            lambda f: (f / small.VICUNA_FOLDER / "pytorch_model.bin.index.json").write_text("[]"),
            "index.json is not a table",
        ),
        (lambda f: (f / small.WHISPER_FOLDER / "model.safetensors").unlink(), "neither model.safetensors nor"),
        (lambda f: settings(f / small.VICUNA_FOLDER, vocab_size=300), "tokens and Vicuna 300"),
        (lambda f: settings(f / small.VICUNA_FOLDER, num_hidden_layers=2), "that this model has no place for"),
        (lambda f: settings(f / small.VICUNA_FOLDER, num_hidden_layers=4), "lack .* arrays, such as 'layers.3"),
        (lambda f: settings(f / small.WHISPER_FOLDER, max_source_positions=1499), "no whole number of seconds"),
        (lambda f: settings(f / small.WHISPER_FOLDER, encoder_layers=1), "that this model has no place for"),
        (
            lambda f: change(f / small.CHECKPOINT, lambda state: state.pop("ln_audio.bias")),
            "lack the array 'fusion.ln_audio.bias'",
        ),
        (
            lambda f: change(f / small.CHECKPOINT, lambda state: state.update({"ln_x.bias": torch.ones(1)})),
            "hold 1 arrays that SALMONN has no place for: 'ln_x.bias'",
        ),
        (
            lambda f: change(f / small.CHECKPOINT, lambda state: state.update({"ln_audio.bias": torch.ones(7)})),
            r"'fusion.ln_audio.bias' has shape \(7,\) where \(24,\) belongs",
        ),
        (
            lambda f: change(f / small.CHECKPOINT, lambda state: state.pop("speech_query_tokens")),
            "lack the array that becomes 'qformer.query'",
        ),
        (
            lambda f: change(
                f / small.CHECKPOINT, lambda state: state.update({"speech_query_tokens": torch.ones(1, 2, 24)})
            ),
            "only SALMONN with one query",
        ),
        (
            lambda f: change(
                f / small.CHECKPOINT,
                lambda state: [state.pop(name) for name in list(state) if ".layers.2." in name and "lora" in name],
            ),
            "lack 4 arrays, such as 'language.layers.2.self_attn.q_proj.lora_A",
        ),
        (
            lambda f: change(f / small.BEATS_FILE, lambda state: state.pop("encoder.layers.2.fc1.bias")),
            "lack the array 'encoder.layers.2.fc1.bias'",
        ),
        (
            lambda f: change(f / small.BEATS_FILE, lambda state: state.update({"tokenizer.x": torch.ones(1)})),
            "hold the array 'tokenizer.x' that this model has no place for",
        ),
        (
            lambda f: change(
                f / small.VICUNA_FOLDER / "pytorch_model-00001-of-00002.bin",
                lambda state: state.update({"model.layers.0.self_attn.q_proj.bias": torch.ones(32)}),
                entry=None,
            ),
            "hold the array 'layers.0.self_attn.q_proj.bias' that",
        ),
        (
            lambda f: torch.save({"model": {}, "args": argparse.Namespace()}, f / small.CHECKPOINT),
            r"more than tensors \(argparse.Namespace\), and to read that would run code",
        ),
        (
            lambda f: torch.save(
                {"a": argparse.Namespace()}, f / small.VICUNA_FOLDER / "pytorch_model-00002-of-00002.bin"
            ),
            "more than tensors",
        ),
    ],
)
def test_a_folder_that_is_damaged_or_anothers_is_one_line(
    folder: Path, tmp_path: Path, damage: Callable[[Path], object], words: str
) -> None:
    copied = copy(folder, tmp_path)
    damage(copied)
    with pytest.raises(DataError, match=words) as caught:
        models.load(SEVEN, weights=str(copied))
    assert "\n" not in str(caught.value)


def settings(folder: Path, **changes: Any) -> None:
    said = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(said | changes), encoding="utf-8")


@pytest.mark.parametrize(
    "file",
    [
        small.CHECKPOINT,
        small.BEATS_FILE,
        f"{small.WHISPER_FOLDER}/model.safetensors",
        f"{small.VICUNA_FOLDER}/pytorch_model-00001-of-00002.bin",
    ],
)
@pytest.mark.parametrize("to", [0.0, 0.5, 0.999])
def test_a_file_that_is_cut_short_is_one_line(folder: Path, tmp_path: Path, file: str, to: float) -> None:
    path = copy(folder, tmp_path) / file
    whole = path.read_bytes()
    path.write_bytes(whole[: int(to * len(whole))])
    with pytest.raises(DataError, match="cut short or damaged") as caught:
        models.load(SEVEN, weights=str(tmp_path / "copy"))
    assert "\n" not in str(caught.value) and path.name in str(caught.value)


def test_weights_are_never_fetched_unasked(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"salmonn_7b_v0.pth.*lmsys/vicuna-7b-v1.5"):
        models.load(SEVEN)
    with pytest.raises(FetchError, match=r"salmonn_v1.pth.*lmsys/vicuna-13b-v1.1"):
        models.load(THIRTEEN)
    with pytest.raises(DataError, match="there is no /nowhere"):
        models.load(SEVEN, weights="/nowhere")
    with pytest.raises(DataError, match=r"holds no salmonn\*.pth"):
        plan(SEVEN, str(tmp_path))
    with pytest.raises(DataError, match="vicuna: there is no folder"):
        models.load(SEVEN, weights=str(tiny("salmonn", tmp_path)), options={"vicuna": "/nowhere"})
