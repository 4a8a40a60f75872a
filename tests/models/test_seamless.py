"""SeamlessM4T: what transformers computes for one utterance, whatever is beside it; other files are refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import SeamlessM4TFeatureExtractor, SeamlessM4TModel, SeamlessM4TTokenizer, SeamlessM4Tv2Model

from babelscope import corpora, models
from babelscope.capture import Capture, encode
from babelscope.errors import DataError, FetchError, UsageError
from babelscope.models import Model, Side, Stage
from babelscope.models.filterbank import frames
from babelscope.models.filterbank import pairs as positions
from babelscope.models.planning import Plan, plan
from babelscope.models.seamless import adapted
from babelscope.models.weights.seamless import LARGE_LANGUAGES, MEDIUM_LANGUAGES
from babelscope.testing import tiny
from babelscope.verification import watch
from conftest import write_manifest

LARGE, MEDIUM = "seamless-m4t-v2-large", "seamless-m4t-medium"
TEXT = "the cat in a hat, and the other one"


class Pair(NamedTuple):
    """A tiny model here, and transformers' own of the same folder."""

    folder: Path
    name: str
    ours: Model
    theirs: Any

    @property
    def codes(self) -> dict[str, int]:
        said: dict[str, dict[str, int]] = json.loads((self.folder / "generation_config.json").read_text())
        return said["text_decoder_lang_to_code_id"]

    def load(self, **settings: Any) -> Model:
        return models.load(self.name, **({"weights": str(self.folder)} | settings))


def _pair(folder: Path, made: str, name: str, kind: Any) -> Pair:
    tiny(made, folder)
    theirs = kind.from_pretrained(folder, attn_implementation="sdpa").eval()
    return Pair(folder, name, models.load(name, weights=str(folder)), theirs)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return _pair(tmp_path_factory.mktemp("v2"), "seamless-m4t-v2", LARGE, SeamlessM4Tv2Model)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return _pair(tmp_path_factory.mktemp("v1"), "seamless-m4t", MEDIUM, SeamlessM4TModel)


@pytest.fixture(params=["two", "one"])
def pair(request: pytest.FixtureRequest) -> Pair:
    found: Pair = request.getfixturevalue(request.param)
    return found


def noise(length: int, seed: int = 0, extra: int = 0) -> NDArray[np.float32]:
    """Samples that give `length` positions: 2 x `length` frames, and `extra` more."""
    count = 400 + 160 * (2 * length + extra - 1)
    generator = np.random.default_rng([length, seed])
    return np.asarray(0.1 * generator.standard_normal(count), dtype=np.float32)


def whole(side: Side, item: Any, language: str = "en") -> dict[str, Tensor]:
    """Every point's activations of one utterance alone, without the batch axis."""
    values, _ = watch(side, side.collate([side.prepare(item, language)]))
    return {name: value[0] for name, value in values.items()}


@torch.inference_mode()
def reference(pair: Pair, inputs: dict[str, Tensor], target: str = "eng") -> Any:
    """What transformers' whole model gives under the forced prefix."""
    prefix = torch.tensor([[3, pair.codes[target]]]).expand(len(next(iter(inputs.values()))), -1)
    return pair.theirs(**inputs, decoder_input_ids=prefix, use_cache=False, output_hidden_states=True)


def features(recordings: Sequence[NDArray[np.float32]]) -> dict[str, Tensor]:
    made = SeamlessM4TFeatureExtractor()(list(recordings), sampling_rate=16_000, return_tensors="pt")
    return {"input_features": made["input_features"], "attention_mask": made["attention_mask"]}


def close(ours: Tensor, theirs: Tensor, tolerance: float = 2e-6) -> None:
    assert ours.shape == theirs.shape
    assert float((ours - theirs).abs().max() / theirs.abs().max()) < tolerance


# ---------------------------------------------------------------------- the same as transformers, for one utterance


def test_text_is_what_transformers_computes(pair: Pair) -> None:
    ids = SeamlessM4TTokenizer.from_pretrained(pair.folder)(TEXT, src_lang="eng", return_tensors="pt")
    theirs = reference(pair, dict(ids))
    ours = whole(pair.ours.sides["text"], TEXT)
    close(ours["text.norm"], theirs.encoder_last_hidden_state[0])
    close(ours["text.layer.0"], theirs.encoder_hidden_states[1][0])
    close(ours["shared.layer.0"], theirs.decoder_hidden_states[1][0])
    close(ours["shared.norm"], theirs.decoder_hidden_states[-1][0])
    scaled = pair.theirs.shared.weight[ids["input_ids"][0]].detach() * pair.theirs.config.hidden_size**0.5
    close(ours["text.embeddings"], scaled)


@pytest.mark.parametrize("length", [1, 3, 7, 8, 19, 40])
def test_speech_is_what_transformers_computes(pair: Pair, length: int) -> None:
    """For an even number of frames, with which transformers pads nothing."""
    samples = noise(length)
    theirs = reference(pair, features([samples]))
    ours = whole(pair.ours.sides["speech"], samples)
    assert len(ours["speech.norm"]) == length
    close(ours["speech.input"], theirs.encoder_hidden_states[0][0])
    close(ours["speech.layer.0"], theirs.encoder_hidden_states[1][0])
    close(ours["speech.inner_norm"], theirs.encoder_last_hidden_state[0])
    close(ours["shared.layer.0"], theirs.decoder_hidden_states[1][0])
    close(ours["shared.norm"], theirs.decoder_hidden_states[-1][0])


def test_the_last_layer_and_the_adapter_are_what_the_modules_give(pair: Pair) -> None:
    """What transformers' list of hidden states has lost: the last conformer layer, and both ends of the adapter."""
    samples, encoder = noise(21), pair.theirs.speech_encoder
    kept: dict[str, Tensor] = {}
    handles = [
        encoder.encoder.layers[-1].register_forward_hook(lambda _, __, out: kept.update(last=out)),
        encoder.encoder.layer_norm.register_forward_hook(lambda _, __, out: kept.update(norm=out)),
        encoder.intermediate_ffn.register_forward_hook(lambda _, __, out: kept.update(ffn=out)),
        encoder.adapter.register_forward_hook(lambda _, __, out: kept.update(after=out)),
        encoder.feature_projection.register_forward_hook(lambda _, __, out: kept.update(front=out)),
    ]
    reference(pair, features([samples]))
    for handle in handles:
        handle.remove()
    ours = whole(pair.ours.sides["speech"], samples)
    close(ours["speech.front_end"], kept["front"][0])
    close(ours["speech.layer.1"], kept["last"][0])
    close(ours["speech.norm"], kept["norm"][0])
    close(ours["speech.before_adaptation"], (kept["norm"] + 0.5 * kept["ffn"])[0])
    close(ours["speech.after_adaptation"], kept["after"][0])


@pytest.mark.parametrize("text", [TEXT, "A", "  two  spaces ", "das ist schön", "中文。", "the the\tthe\nthe"])
@pytest.mark.parametrize("code", ["eng", "cmn"])
def test_tokens_are_those_of_the_released_tokenizer(two: Pair, text: str, code: str) -> None:
    tokenizer = SeamlessM4TTokenizer.from_pretrained(two.folder)
    expected = tokenizer(text, src_lang=code)["input_ids"]
    assert two.ours.sides["text"].prepare(text, code).inputs["input_ids"].tolist() == expected


def test_a_text_cannot_say_a_control_token(two: Pair) -> None:
    ids = two.ours.sides["text"].prepare("a </s> __fra__ <pad> b", "eng").inputs["input_ids"].tolist()
    codes = two.codes
    assert ids[0] == codes["eng"] and ids[-1] == 3
    assert not {0, 3, *codes.values()} & set(ids[1:-1])


# ---------------------------------------------------------------------- the leaks, upstream and here


def _after(pair: Pair, recordings: Sequence[NDArray[np.float32]], row: int = 0) -> Tensor:
    """Transformers' adapter output for one row of a batch, its valid positions."""
    last: Tensor = reference(pair, features(recordings)).encoder_last_hidden_state
    return last[row, : adapted(len(recordings[row]))]


@pytest.mark.parametrize("length", range(8, 24))
def test_padding_leaks_into_the_adapter_upstream_and_not_here(pair: Pair, length: int) -> None:
    """In a batch with a longer one: where L mod 8 is 0 to 3, transformers is wrong; here nothing is, in any residue."""
    short, long = noise(length), noise(40, seed=1)
    alone = _after(pair, [short])
    leak = float((_after(pair, [short, long]) - alone).abs().max() / alone.abs().max())
    assert (leak > 1e-3) if length % 8 <= 3 else (leak < 1e-5), leak
    side = pair.ours.sides["speech"]
    items = [side.prepare(samples, "en") for samples in (short, long)]
    values, _ = watch(side, side.collate(items))
    for point in side.points:
        valid = point.length(len(short))
        close(values[point.name][0, :valid], whole(side, short)[point.name], 1e-5)


@pytest.mark.parametrize("length", range(8, 16))
def test_an_odd_frame_leaks_upstream_and_not_here(pair: Pair, length: int) -> None:
    """One utterance alone, with an odd number of frames: the same with and without the half position behind its end.

    The frames that are compared must be the same ones, so that the odd one is cut off behind the standardisation.
    """
    odd = noise(length, extra=1)
    assert frames(len(odd)) == 2 * length + 1 and positions(len(odd)) == length
    padded = features([odd])
    assert padded["input_features"].shape[1] == length + 1 and int(padded["attention_mask"].sum()) == length
    cut = {name: tensor[:, :length] for name, tensor in padded.items()}
    with_half = reference(pair, padded).encoder_last_hidden_state[0, : adapted(len(odd))]
    without = reference(pair, cut).encoder_last_hidden_state[0]
    leak = float((with_half - without).abs().max() / without.abs().max())
    assert (leak > 1e-3) if length % 8 <= 3 else (leak < 1e-5), leak
    ours = whole(pair.ours.sides["speech"], odd)
    close(ours["speech.inner_norm"], without)
    assert len(ours["speech.norm"]) == length


def test_the_remedy_is_there_for_a_forward_pass_only(two: Pair) -> None:
    side = two.ours.sides["speech"]
    whole(side, noise(9))
    adapter = side.root.get_submodule("speech_encoder.adapter.layers.0")
    assert not any(module._forward_hooks for module in adapter.modules())


@pytest.mark.parametrize("samples", [*range(560, 6000, 97), 16_000, 159_999])
def test_lengths_are_those_of_features_and_mask(two: Pair, samples: int) -> None:
    made = features([np.random.default_rng(samples).standard_normal(samples).astype(np.float32)])
    assert int(made["attention_mask"].sum()) == positions(samples)
    claimed = two.theirs._compute_sub_sample_lengths_from_attention_mask(made["attention_mask"])
    assert int(claimed[0]) == adapted(samples)


def test_attention_is_sdpa_even_if_the_folder_says_otherwise(two: Pair, tmp_path: Path) -> None:
    folder = _copy(two.folder, tmp_path)
    _edit(folder / "config.json", lambda said: said | {"attn_implementation": "eager"})
    side = two.load(weights=str(folder)).sides["speech"]
    assert side.root.get_submodule("speech_encoder").config._attn_implementation == "sdpa"  # type: ignore[union-attr]
    assert two.ours.options["attention"] == "sdpa"


def test_settings_of_older_files_are_taken(two: Pair, tmp_path: Path) -> None:
    """As the released folders have them: written by transformers 4."""
    folder = _copy(two.folder, tmp_path)
    old = {
        "torch_dtype": "float32",
        "_name_or_path": "x",
        "transformers_version": "4.35.2",
        "speech_encoder_dropout": 0.0,
    }
    _edit(folder / "config.json", lambda said: {key: said[key] for key in said if key != "dtype"} | old)
    more = {"feature_extractor_type": "SeamlessM4TFeatureExtractor", "processor_class": "x", "language_code": ["eng"]}
    _edit(folder / "preprocessor_config.json", lambda said: said | more)
    ours = whole(two.load(weights=str(folder)).sides["speech"], noise(9))
    assert torch.equal(ours["shared.norm"], whole(two.ours.sides["speech"], noise(9))["shared.norm"])


# ---------------------------------------------------------------------- points and options


def test_points_and_what_they_share(two: Pair) -> None:
    assert [point.name for point in two.ours.sides["text"].points] == [
        "text.embeddings", "text.layer.0", "text.layer.1", "text.norm",
        "shared.layer.0", "shared.layer.1", "shared.norm",
    ]  # fmt: skip
    assert [point.name for point in two.ours.sides["speech"].points] == [
        "speech.front_end", "speech.input", "speech.layer.0", "speech.layer.1", "speech.norm",
        "speech.before_adaptation", "speech.after_adaptation", "speech.inner_norm",
        "shared.layer.0", "shared.layer.1", "shared.norm",
    ]  # fmt: skip
    assert two.ours.shared_points == ("shared.layer.0", "shared.layer.1", "shared.norm")
    stages = {point.name: point.stage for point in two.ours.sides["speech"].points}
    assert stages["speech.front_end"] is Stage.FRONT_END and stages["speech.layer.1"] is Stage.ENCODER
    assert stages["speech.before_adaptation"] is Stage.LENGTH_ADAPTATION and stages["shared.norm"] is Stage.SHARED
    assert two.ours.licence == "CC-BY-NC 4.0"


def test_the_decoder_is_not_run_for_nothing(two: Pair) -> None:
    side = two.ours.select_points(["text.*"]).sides["text"]
    ran: list[int] = []
    handle = side.root.get_submodule("text_decoder.layer_norm").register_forward_hook(lambda *_: ran.append(1))
    with Capture(side) as capture:
        caught = capture.run(side.collate([side.prepare("a", "en")]))
    handle.remove()
    assert not ran and list(caught) == ["text.embeddings", "text.layer.0", "text.layer.1", "text.norm"]


def test_the_target_language_changes_the_decoder_alone(two: Pair) -> None:
    french = two.load(options={"target_language": "fra"})
    assert french.options["target_language"] == "fra" and any("__fra__" in note for note in french.notes)
    ids = SeamlessM4TTokenizer.from_pretrained(two.folder)(TEXT, src_lang="eng", return_tensors="pt")
    theirs = reference(two, dict(ids), "fra")
    ours, english = whole(french.sides["text"], TEXT), whole(two.ours.sides["text"], TEXT)
    close(ours["shared.norm"], theirs.decoder_hidden_states[-1][0])
    assert torch.equal(ours["text.norm"], english["text.norm"])
    assert not torch.allclose(ours["shared.norm"], english["shared.norm"])
    assert two.load(options={"target_language": "fr"}).options["target_language"] == "fra"


def _table(side: Side) -> Tensor:
    return side.root.get_submodule("text_encoder.embed_positions").get_buffer("weights")


def test_original_text_positions_start_a_step_later(two: Pair) -> None:
    shifted = two.load(options={"text_positions": "original"})
    side, plain = shifted.sides["text"], two.ours.sides["text"]
    ours, theirs = (_table(one) for one in (side, plain))
    half = ours.shape[1] // 2
    angles = 2.0 * torch.exp(torch.arange(half) * (-np.log(10_000) / (half - 1)))
    first = torch.cat([torch.sin(angles), torch.cos(angles)])  # of the first token: step 2
    torch.testing.assert_close(ours[1], first, rtol=0, atol=1e-6)
    torch.testing.assert_close(ours[1:-1], theirs[2:], rtol=0, atol=0)
    assert len(ours) == len(theirs) and not ours[0].any()
    assert not torch.allclose(whole(side, TEXT)["text.layer.0"], whole(plain, TEXT)["text.layer.0"])
    assert not any("sinusoid" in note for note in shifted.notes) and any("sinusoid" in note for note in two.ours.notes)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"target_lang": "eng"}, "did you mean 'target_language'"),
        ({"target_language": "enk"}, "did you mean 'eng'"),
        ({"text_positions": "orignal"}, "did you mean 'original'"),
    ],
)
def test_wrong_options_say_what_was_meant(two: Pair, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        two.load(options=options)


def test_it_has_no_window(two: Pair) -> None:
    with pytest.raises(UsageError, match="window_seconds"):
        two.load(window_seconds=8)


@pytest.mark.parametrize("code", ["en", "eng", "en_us", "eng_Latn"])
def test_any_code_of_a_language_is_understood(two: Pair, code: str) -> None:
    side = two.ours.sides["text"]
    assert torch.equal(side.prepare("a", code).inputs["input_ids"], side.prepare("a", "eng").inputs["input_ids"])


def test_a_language_is_found_under_the_name_that_the_files_give_it(two: Pair, tmp_path: Path) -> None:
    """Malay is zlm in transformers' files of large, zsm in the original's."""
    folder = _copy(two.folder, tmp_path)
    tokenizer = (folder / "tokenizer.json").read_text().replace("__swh__", "__zlm__")
    (folder / "tokenizer.json").write_text(tokenizer)
    codes = {"zlm" if code == "swh" else code: number for code, number in two.codes.items()}
    _edit(folder / "generation_config.json", lambda said: said | {"text_decoder_lang_to_code_id": codes})
    side = two.load(weights=str(folder)).sides["text"]
    assert side.prepare("a", "ms").inputs["input_ids"][0] == codes["zlm"]


def test_what_cannot_be_taken_is_one_line(two: Pair) -> None:
    text, speech = two.ours.sides["text"], two.ours.sides["speech"]
    with pytest.raises(UsageError, match=r"'af' is not one of the 8"):
        text.prepare("a", "af")
    with pytest.raises(DataError, match="no token"):
        text.prepare("", "en")
    with pytest.raises(DataError, match="more than the 64 positions"):
        text.prepare("a b " * 40, "en")
    with pytest.raises(DataError, match=r"34.9 ms .* needs 35 ms"):
        speech.prepare(noise(1)[:559], "en")
    assert positions(len(noise(1)[:560])) == 1 and adapted(559) == 0


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_other_dtypes_are_near_and_pooled_in_float32(two: Pair, dtype: str) -> None:
    half = two.load(dtype=dtype)
    for modality, item in (("text", TEXT), ("speech", noise(30))):
        side, full = half.sides[modality], two.ours.sides[modality]  # type: ignore[index]
        assert {parameter.dtype for parameter in side.root.parameters()} == {getattr(torch, dtype)}
        with Capture(side) as low, Capture(full) as high:
            caught = low.run(side.collate([side.prepare(item, "en")]))
            expected = high.run(full.collate([full.prepare(item, "en")]))
        for name, vector in caught.items():
            assert vector.dtype == torch.float32
            assert float((vector - expected[name]).abs().max() / expected[name].abs().max()) < 0.1, name


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU; on the processor: the tests above")
def test_cuda_gives_what_the_processor_gives(pair: Pair) -> None:
    there = pair.load(device="cuda")
    for modality, item in (("text", TEXT), ("speech", noise(19))):
        near, far = pair.ours.sides[modality], there.sides[modality]  # type: ignore[index]
        for name, value in whole(near, item).items():
            close(whole(far, item)[name], value, 1e-4)


# ---------------------------------------------------------------------- files


def test_what_is_left_out_is_counted(pair: Pair) -> None:
    index = json.loads((pair.folder / "model.safetensors.index.json").read_text())["weight_map"]
    units, vocoder = (sum(name.startswith(part) for name in index) for part in ("t2u_model.", "vocoder."))
    assert units and vocoder
    assert f"t2u_model ({units} arrays), vocoder ({vocoder} arrays)" in pair.ours.notes[-1]
    assert len(pair.ours.weights) > 1 and all(len(file.sha256) == 64 for file in pair.ours.weights)


@pytest.mark.parametrize(
    ("made", "source"),
    [
        ("seamless-m4t-v2-fairseq2", "two"),
        ("seamless-m4t-v2-fairseq", "two"),
        ("seamless-m4t-fairseq", "one"),
    ],
)
def test_original_checkpoints_give_the_same_bits(
    made: str, source: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    pair: Pair = request.getfixturevalue(source)
    original = pair.load(weights=str(tiny(made, tmp_path)))
    assert "text-to-unit" in original.notes[-1]
    for modality, item in (("text", TEXT), ("speech", noise(21))):
        ours = whole(original.sides[modality], item)  # type: ignore[index]
        for name, value in whole(pair.ours.sides[modality], item).items():  # type: ignore[index]
            assert torch.equal(ours[name], value), name


def _copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def _edit(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def _rewrite(folder: Path, key: str, change: Callable[[dict[str, Tensor]], None]) -> None:
    """Change the shard that holds `key`."""
    shard = folder / json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"][key]
    state = load_file(shard)
    change(state)
    save_file(state, shard, metadata={"format": "pt"})


_KEY = "speech_encoder.encoder.layers.1.ffn1.output_dense.weight"


def _drop(state: dict[str, Tensor]) -> None:
    del state[_KEY]


def _add(state: dict[str, Tensor]) -> None:
    state["speech_encoder.encoder.layers.2.ffn1.output_dense.weight"] = state[_KEY].clone()


def _reshape(state: dict[str, Tensor]) -> None:
    state[_KEY] = state[_KEY].T.contiguous()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_drop, rf"lack the array '{_KEY}'"),
        (_add, r"hold the array 'speech_encoder.encoder.layers.2.ffn1.output_dense.weight' that .* no place"),
        (_reshape, r"has shape \(24, 16\) where \(16, 24\) belongs"),
    ],
)
def test_a_folder_is_accounted_for_to_the_key(
    two: Pair, tmp_path: Path, change: Callable[[dict[str, Tensor]], None], words: str
) -> None:
    folder = _copy(two.folder, tmp_path)
    _rewrite(folder, _KEY, change)
    with pytest.raises(DataError, match=words) as caught:
        two.load(weights=str(folder))
    assert "\n" not in str(caught.value)


def test_the_embedding_may_come_under_several_names_but_once(two: Pair, tmp_path: Path) -> None:
    folder = _copy(two.folder, tmp_path)
    _rewrite(folder, "shared.weight", lambda state: state.update({"lm_head.weight": state["shared.weight"].clone()}))
    two.load(weights=str(folder))
    _rewrite(folder, "shared.weight", lambda state: state.update({"lm_head.weight": state["shared.weight"] + 1}))
    with pytest.raises(DataError, match="differ, but are one embedding"):
        two.load(weights=str(folder))


def _cut(path: Path, to: float = 0.6) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * to)])


def _shard(folder: Path) -> Path:
    return sorted(folder.glob("model-*.safetensors"))[0]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: _cut(_shard(folder)), "cut short or damaged"),
        (lambda folder: _shard(folder).unlink(), r"lacks model-00001-of-0000\d.safetensors"),
        (lambda folder: (folder / "model.safetensors.index.json").write_text("{"), "index.json cannot be read"),
        (lambda folder: (folder / "config.json").unlink(), "holds no config.json"),
        (lambda folder: (folder / "config.json").write_text("["), "config.json cannot be read"),
        (lambda folder: _edit(folder / "config.json", lambda said: said | {"model_type": "bert"}), "model_type 'bert'"),
        (lambda folder: _edit(folder / "config.json", lambda said: said | {"adaptor_stride": 4}), "stride 4"),
        (lambda folder: (folder / "generation_config.json").unlink(), "holds no generation_config.json"),
        (lambda folder: _edit(folder / "generation_config.json", lambda said: {}), "lacks text_decoder_lang"),
        (
            lambda folder: _edit(
                folder / "generation_config.json", lambda said: {"text_decoder_lang_to_code_id": {"eng": 5}}
            ),
            "language 'eng' has id 5, but",
        ),
        (lambda folder: (folder / "tokenizer.json").unlink(), "holds no tokenizer"),
        (lambda folder: (folder / "tokenizer.json").write_text("{"), "tokenizer.json cannot be read"),
        (
            lambda folder: _edit(folder / "preprocessor_config.json", lambda said: said | {"num_mel_bins": 40}),
            "makes 80 features",
        ),
    ],
)
def test_a_damaged_folder_is_one_line(two: Pair, tmp_path: Path, damage: Callable[[Path], object], words: str) -> None:
    folder = _copy(two.folder, tmp_path)
    damage(folder)
    with pytest.raises(DataError, match=words) as caught:
        two.load(weights=str(folder))
    assert "\n" not in str(caught.value)


class _Runs:
    """Would make a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_checkpoint_that_would_run_something_is_refused(tmp_path: Path) -> None:
    path = tiny("seamless-m4t-v2-fairseq2", tmp_path)
    trap = tmp_path / "ran"
    torch.save({"model": {"a": torch.zeros(1)}, "more": _Runs(trap)}, path)
    with pytest.raises(DataError, match="more than tensors") as caught:
        models.load(LARGE, weights=str(path))
    assert "\n" not in str(caught.value) and not trap.exists()


def test_a_checkpoint_of_an_old_torch_is_read(tmp_path: Path) -> None:
    path = tiny("seamless-m4t-v2-fairseq2", tmp_path)
    expected = models.load(LARGE, weights=str(path))
    torch.save(torch.load(path, weights_only=True), path, _use_new_zipfile_serialization=False)
    old = models.load(LARGE, weights=str(path))
    assert torch.equal(whole(old.sides["text"], TEXT)["text.norm"], whole(expected.sides["text"], TEXT)["text.norm"])


@pytest.mark.parametrize("to", [0.0, 0.3, 0.99])
def test_a_checkpoint_that_is_cut_short_is_one_line(tmp_path: Path, to: float) -> None:
    path = tiny("seamless-m4t-v2-fairseq2", tmp_path)
    _cut(path, to)
    with pytest.raises(DataError, match=r"cut short or damaged|or are damaged") as caught:
        models.load(LARGE, weights=str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.pop("speech_encoder.proj2.bias"), "lack the array 'speech_encoder.intermediate_ffn"),
        (lambda state: state.update({"prosody.weight": torch.zeros(1)}), "hold the array 'prosody.weight' that"),
        (lambda state: state.update({"final_proj.weight": torch.zeros(1, 1)}), "are one embedding"),
        (lambda state: [state.pop(name) for name in list(state) if "embed.w" in name or "final" in name], "embedding"),
        (lambda state: state.update({"text_encoder.layer_norm.weight": 3}), "is not a tensor"),
        (lambda state: state.clear(), "have no 'model'"),
    ],
)
def test_a_checkpoint_is_accounted_for_to_the_key(tmp_path: Path, change: Callable[[Any], object], words: str) -> None:
    path = tiny("seamless-m4t-v2-fairseq2", tmp_path)
    state = torch.load(path, weights_only=True)["model"]
    change(state)
    torch.save({"model": state}, path)
    with pytest.raises(DataError, match=words):
        models.load(LARGE, weights=str(path))


def test_an_original_checkpoint_with_its_own_tokenizer(tmp_path: Path) -> None:
    """The released ``tokenizer.model`` is sentencepiece; its pieces stand one higher in the model, behind the pad."""
    sentencepiece = pytest.importorskip("sentencepiece")
    path = tiny("seamless-m4t-v2-fairseq2", tmp_path)
    (tmp_path / "lines.txt").write_text("\n".join(f"the cat {word} a hat" for word in ["in", "on", "with"] * 20))
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "lines.txt"), model_prefix=str(tmp_path / "tokenizer"), vocab_size=16, minloglevel=2
    )
    (tmp_path / "tokenizer.json").unlink()
    ids = models.load(LARGE, weights=str(path)).sides["text"].prepare("the cat", "eng").inputs["input_ids"].tolist()
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "tokenizer.model")).encode("the cat")
    assert ids[1:-1] == [piece + 1 for piece in pieces] and ids[-1] == 3


def test_the_released_order_of_languages_fills_the_vocabulary() -> None:
    """256 000 pieces and the pad, the languages, and three marks of where training data came from."""
    assert 256_001 + len(LARGE_LANGUAGES) + 3 == models.seamless.RELEASES[LARGE].config().vocab_size
    assert 256_001 + len(MEDIUM_LANGUAGES) + 3 == models.seamless.RELEASES[MEDIUM].config().vocab_size
    assert len(set(MEDIUM_LANGUAGES)) == 202 and len(set(LARGE_LANGUAGES)) == 98


def test_weights_are_never_fetched_unasked() -> None:
    with pytest.raises(FetchError, match="facebook/seamless-m4t-v2-large"):
        models.load(LARGE)
    with pytest.raises(DataError, match="there is no folder"):
        models.load(LARGE, weights="/nowhere/at/all")
    with pytest.raises(DataError, match="there is no file"):
        models.load(LARGE, weights="nowhere.pt")


# ---------------------------------------------------------------------- before loading


@pytest.mark.parametrize(
    ("name", "points", "billions"),
    [
        ("seamless-m4t-v2-large", (26 + 25, 30 + 25), (1.9, 2.1)),
        ("seamless-m4t-large", (26 + 25, 30 + 25), (1.9, 2.1)),
        ("seamless-m4t-medium", (14 + 13, 18 + 13), (0.8, 1.1)),
    ],
)
def test_a_released_model_is_planned_without_weights(
    name: str, points: tuple[int, int], billions: tuple[float, float]
) -> None:
    planned = plan(name)
    assert tuple(len(side.points) for side in planned.model.sides.values()) == points
    assert {point.width for side in planned.model.sides.values() for point in side.points} == {1024}
    assert not planned.from_weights and planned.model.licence == "CC-BY-NC 4.0"
    assert billions[0] < planned.parameters / 1e9 < billions[1]
    assert planned.memory["float32"] == 2 * planned.memory["bfloat16"] == 2 * planned.memory["float16"]
    assert 4 * planned.parameters < planned.memory["float32"] < 4.1 * planned.parameters  # tables of positions
    each = [side.parameters for side in planned.model.sides.values()]
    assert max(each) < planned.parameters < sum(each)  # the decoder is in both


def test_a_checkpoint_is_planned_by_what_is_beside_it(two: Pair, tmp_path: Path) -> None:
    path = tiny("seamless-m4t-v2-fairseq2", tmp_path)
    assert plan(LARGE, str(path)).model.describe() == two.ours.describe()
    (tmp_path / "config.json").unlink()
    assert plan(LARGE, str(path)).model.describe() == plan(LARGE).model.describe()


def test_a_folder_is_planned_as_it_is_loaded(pair: Pair) -> None:
    planned = plan(pair.name, str(pair.folder))
    assert planned.model.describe() == pair.ours.describe()
    assert planned.parameters == Plan(pair.ours, from_weights=True).parameters
    assert {side.device.type for side in planned.model.sides.values()} == {"meta"}


def test_what_cannot_be_planned_is_loaded(whisper_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = dataclasses.replace(models.info("whisper-base"), planner="")
    monkeypatch.setattr("babelscope.models.planning.info", lambda name: info)
    planned = plan("whisper-base", str(whisper_folder))
    assert planned.from_weights and planned.parameters == planned.model.sides["speech"].parameters


# ---------------------------------------------------------------------- stored


def test_what_is_stored_does_not_depend_on_the_batch(two: Pair, tmp_path: Path) -> None:
    corpus = corpora.load("manifest", path=write_manifest(tmp_path, sentences=6, languages=("en", "fr")))
    stores = [encode(two.ours, corpus, tmp_path / f"{size}.zarr", batch_size=size) for size in (1, 5)]
    for modality, side in two.ours.sides.items():
        for point in side.points:
            for language in corpus.languages:
                alone, together = (store.matrix(point.name, modality, language) for store in stores)
                assert np.abs(alone - together).max() <= 1e-5 * np.abs(alone).max(), point.name
    dataset = stores[0].dataset
    shared = [name.startswith("shared.") for name in dataset["point"].values]
    assert set(dataset["point_modality"].values[shared]) == {"both"}
    assert set(dataset["positions"].values[:, shared].ravel()) == {2}
    provenance = json.loads(dataset.attrs["provenance"])["model"]
    assert provenance["shared"] and provenance["options"]["target_language"] == "eng"
