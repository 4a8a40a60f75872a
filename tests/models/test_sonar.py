"""SONAR in the released formats: what its own modules give, one encoder a language, and what is refused."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, normalizers
from torch import Tensor
from transformers import NllbTokenizer

from babelscope import corpora, languages, models
from babelscope.capture import Capture, encode
from babelscope.errors import DataError, UsageError
from babelscope.gaps.comparisons import plan
from babelscope.models import Model, Side, Stage, planning
from babelscope.models.filterbank import pairs as frame_pairs
from babelscope.models.sonar_sides import RELEASED, SonarSpeech
from babelscope.testing import ModelTests, tiny
from conftest import tone, write_manifest

REFERENCE = json.loads((Path(__file__).parent / "reference" / "sonar.json").read_text(encoding="utf-8"))
FRAME_PAIR = 320

Make = Callable[[str], Path]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Tiny models by name, written once."""
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            made[name] = tiny(name, tmp_path_factory.mktemp(name))
        return made[name]

    return make


@pytest.fixture(scope="module")
def sonar(folders: Make) -> Model:
    return models.load("sonar", weights=str(folders("sonar")))


def run(side: Side, language: str, *items: Any) -> Mapping[str, Tensor]:
    side = side.for_language(language)
    with Capture(side) as capture:
        return capture.run(side.collate([side.prepare(item, language) for item in items]))


def recording(samples: int) -> np.ndarray:
    return (0.1 * np.random.RandomState(samples).standard_normal(samples)).astype(np.float32)


def deviation(caught: Mapping[str, Tensor], row: int, expected: Mapping[str, list[float]]) -> float:
    assert len(expected) >= 5
    return max(float((caught[name][row] - torch.tensor(values)).abs().max()) for name, values in expected.items())


# --- agreement with SONAR's own modules ---


@pytest.mark.parametrize("kind", ["sonar-text", "sonar-text-original"])
def test_text_is_what_sonars_own_modules_give(folders: Make, kind: str) -> None:
    side = models.load("sonar-text", weights=str(folders(kind))).sides["text"]
    assert len(REFERENCE["text"]) == 3
    for key, expected in REFERENCE["text"].items():
        language, sentence = key.split(" ", 1)
        assert deviation(run(side, language, sentence), 0, expected) < 1e-5


@pytest.mark.parametrize("kind", ["sonar-speech", "sonar-speech-fairseq2"])
@pytest.mark.parametrize("language", ["eng", "fra"])
def test_speech_is_what_sonars_own_modules_give_alone_and_in_a_batch(folders: Make, kind: str, language: str) -> None:
    side = models.load("sonar-speech", weights=str(folders(kind))).sides["speech"]
    expected = REFERENCE["speech"][language]
    recordings = [recording(int(samples)) for samples in expected]
    together = run(side, language, *recordings)
    for row, (samples, values) in enumerate(zip(recordings, expected.values(), strict=True)):
        assert deviation(run(side, language, samples), 0, values) < 1e-5
        assert deviation(together, row, values) < 1e-5


def test_both_text_formats_give_the_same_bits(folders: Make) -> None:
    sides = [
        models.load("sonar-text", weights=str(folders(f"sonar-text{end}"))).sides["text"] for end in ("", "-original")
    ]
    port, original = (run(side, "en", "A pear, an apple", "q") for side in sides)
    assert list(port) == list(original)
    for name in port:
        assert torch.equal(port[name], original[name]), name


@pytest.mark.parametrize("language", ["en", "es"])
def test_both_speech_formats_give_the_same_bits(folders: Make, language: str) -> None:
    sides = [
        models.load("sonar-speech", weights=str(folders(f"sonar-speech{end}"))).sides["speech"]
        for end in ("", "-fairseq2")
    ]
    fairseq, fairseq2 = (run(side, language, tone(0.5, 200), tone(0.31, 300)) for side in sides)
    for name in fairseq:
        assert torch.equal(fairseq[name], fairseq2[name]), name


# --- text ---


def test_tokens_are_those_of_the_nllb_tokenizer_whatever_was_asked_before(folders: Make) -> None:
    side = models.load("sonar-text", weights=str(folders("sonar-text"))).sides["text"]
    theirs = NllbTokenizer.from_pretrained(folders("sonar-text"))
    for code, tag in (("fr", "fra_Latn"), ("en_us", "eng_Latn"), ("zh", "zho_Hans"), ("eus_Latn", "eus_Latn")):
        theirs.src_lang = tag
        ids = side.prepare("A pear, an apple 二", code).inputs["input_ids"].tolist()
        assert ids == theirs("A pear, an apple 二").input_ids
        assert theirs.convert_ids_to_tokens(ids[0]) == tag
        assert ids[-1] == theirs.eos_token_id


def test_the_tokenizer_normalises_as_its_file_says(folders: Make, tmp_path: Path) -> None:
    # transformers' NllbTokenizer builds itself anew from tokenizer.json and leaves the normaliser behind.
    held = Tokenizer.from_file(str(folders("sonar-text") / "tokenizer.json"))
    held.normalizer = normalizers.Lowercase()
    held.save(str(tmp_path / "tokenizer.json"))
    options = {"tokenizer": str(tmp_path)}
    side = models.load("sonar-text", weights=str(folders("sonar-text")), options=options).sides["text"]
    small, large = (side.prepare(text, "en").inputs["input_ids"] for text in ("a pear", "A PEAR"))
    assert torch.equal(small, large)


def test_a_special_token_that_somebody_wrote_is_text(folders: Make) -> None:
    side = models.load("sonar-text", weights=str(folders("sonar-text"))).sides["text"]
    ids = side.prepare("a </s> <pad> fra_Latn", "en").inputs["input_ids"].tolist()
    assert ids.count(2) == 1 and 1 not in ids
    assert side.prepare("q", "fr").inputs["input_ids"][0] not in ids


def test_a_sentence_embedding_is_the_mean_over_all_tokens_tag_and_end_included(folders: Make) -> None:
    side = models.load("sonar-text", weights=str(folders("sonar-text"))).sides["text"]
    ids = side.prepare("An apple", "en").inputs["input_ids"]
    with torch.inference_mode():
        states = side.root(input_ids=ids[None]).last_hidden_state[0]
    caught = run(side, "en", "An apple", "A longer one, so that there is padding")
    torch.testing.assert_close(caught["shared.embedding"][0], states.mean(dim=0), atol=1e-6, rtol=0)


def test_texts_in_a_batch_are_what_they_are_alone(sonar: Model) -> None:
    side = sonar.sides["text"]
    texts = ["q" * length for length in (1, 2, 3, 5, 8, 13, 60)]
    together = run(side, "en", *texts)
    for row, text in enumerate(texts):
        alone = run(side, "en", text)
        for name, values in alone.items():
            torch.testing.assert_close(together[name][row], values[0], atol=1e-5, rtol=0, msg=name)


def test_texts_that_cannot_be_read_are_refused(sonar: Model) -> None:
    side = sonar.sides["text"]
    with pytest.raises(DataError, match="no token"):
        side.prepare("", "en")
    assert side.prepare("q" * 511, "en").length == 514
    with pytest.raises(DataError, match="515 tokens are more than the 514 positions"):
        side.prepare("q" * 512, "en")
    with pytest.raises(UsageError, match="there is no language 'xq'"):
        side.prepare("Hello", "xq")


# --- speech ---


def test_recordings_in_a_batch_are_what_they_are_alone_at_every_length(sonar: Model) -> None:
    side = sonar.sides["speech"]
    shortest = 400 + 160
    lengths = [shortest + step * 160 + rest for step in range(18) for rest in (0, 159)] + [9_000]
    for language in ("en", "fr"):
        recordings = [recording(length) for length in lengths]
        together = run(side, language, *recordings)
        for row, samples in enumerate(recordings):
            alone = run(side, language, samples)
            for name, values in alone.items():
                torch.testing.assert_close(
                    together[name][row], values[0], atol=1e-5, rtol=0, msg=f"{name}, {len(samples)} samples"
                )


@pytest.mark.parametrize("filler", [0.0, 1e3])
def test_what_stands_in_the_padding_is_seen_by_nothing(sonar: Model, filler: float) -> None:
    side = sonar.sides["speech"].for_language("fr")
    batch = side.collate([side.prepare(tone(0.2, 200), "fr"), side.prepare(tone(0.9, 300), "fr")])
    real = batch.inputs["attention_mask"][..., None].bool()
    batch.inputs["input_features"].copy_(torch.where(real, batch.inputs["input_features"], torch.tensor(filler)))
    with Capture(side) as capture:
        caught = capture.run(batch)
    alone = run(side, "fr", tone(0.2, 200))
    for name, values in alone.items():
        torch.testing.assert_close(caught[name][0], values[0], atol=1e-5, rtol=0, msg=name)


def test_lengths_are_as_claimed_and_an_odd_frame_is_dropped(sonar: Model) -> None:
    side = sonar.sides["speech"]
    for samples in range(400, 4000, 37):
        pairs = ((samples - 400) // 160 + 1) // 2
        assert frame_pairs(samples) == pairs
        if pairs:
            assert side.prepare(recording(samples), "en").inputs["input_features"].shape == (pairs, 160)
    # The features are standardised over all frames, the odd one too, as SONAR does before it pairs them.
    odd, even = side.prepare(recording(4320), "en"), side.prepare(recording(4320)[:4160], "en")
    assert odd.inputs["input_features"].shape == even.inputs["input_features"].shape
    assert not torch.equal(odd.inputs["input_features"], even.inputs["input_features"])


@pytest.mark.parametrize("samples", [0, 399, 400, 559])
def test_less_than_a_pair_of_frames_is_refused_before_it_is_nan(sonar: Model, samples: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match=r"ms of speech are too short .* needs 35 ms"):
            sonar.sides["speech"].prepare(recording(samples), "en")


def test_silence_and_the_shortest_recording_are_finite(sonar: Model) -> None:
    for samples in (np.zeros(16_000, dtype=np.float32), recording(560)):
        for values in run(sonar.sides["speech"], "fr", samples).values():
            assert torch.isfinite(values).all()


def test_each_language_has_its_encoder_and_all_have_the_same_points(sonar: Model) -> None:
    side = sonar.sides["speech"]
    assert side.weights_by_language
    english, french = side.for_language("en_us"), side.for_language("fra")
    names = [point.name for point in side.points]
    assert names == [
        "speech.front_end", "speech.input", "speech.layer.0", "speech.layer.1", "speech.norm",
        "speech.pooler.-3", "speech.pooler.-2", "speech.pooler.-1", "shared.embedding",
    ]  # fmt: skip
    assert [point.name for point in english.points] == [point.name for point in french.points] == names
    assert english.points == french.points == side.points
    whole = [len(each.root.get_submodule("pooler.layers")) for each in (english, french)]  # type: ignore[arg-type]
    assert whole == [3, 6]
    assert all(point.length(16_000) == 1 for point in side.points if point.stage is Stage.POOLED)
    heard = [run(side, language, tone(0.5, 200))["shared.embedding"] for language in ("en", "fr", "es")]
    assert not torch.allclose(heard[0], heard[1], atol=0.1) and not torch.allclose(heard[1], heard[2], atol=0.1)
    assert torch.equal(heard[0], run(side, "eng_Latn", tone(0.5, 200))["shared.embedding"])


def test_the_embedding_is_the_last_pooler_layer_projected(sonar: Model) -> None:
    side = sonar.sides["speech"].for_language("fr")
    caught = run(side, "fr", tone(0.5, 200), tone(0.3, 300))
    projected = caught["speech.pooler.-1"] @ side.root.get_parameter("projection_out.weight").T
    torch.testing.assert_close(caught["shared.embedding"], projected, atol=1e-5, rtol=0)


def test_without_english_all_six_pooler_layers_are_points(folders: Make) -> None:
    model = models.load(
        "sonar-speech", weights=str(folders("sonar-speech")), options={"speech_languages": ["fra", "spa"]}
    )
    names = [point.name for point in model.sides["speech"].points]
    assert [name for name in names if "pooler" in name] == [f"speech.pooler.-{back}" for back in range(6, 0, -1)]
    assert len(model.weights) == 2
    assert not any("counted from the end" in note for note in model.notes)


def test_chosen_points_stay_chosen_in_every_language(sonar: Model) -> None:
    chosen = sonar.select_points(["speech.pooler.-2", "shared.*"])
    caught = run(chosen.sides["speech"], "fr", tone(0.5, 200))
    assert list(caught) == ["speech.pooler.-2", "shared.embedding"]
    whole = run(sonar.sides["speech"], "fr", tone(0.5, 200))
    assert all(torch.equal(caught[name], whole[name]) for name in caught)


def test_a_language_without_an_encoder_names_those_there_are(sonar: Model) -> None:
    side = sonar.sides["speech"]
    with pytest.raises(
        UsageError, match=r"speech in 'de' \(SONAR: 'deu'\).* for eng, fra, .* alone; fetch spenc.v3ap.deu.pt"
    ):
        side.for_language("de")
    with pytest.raises(UsageError, match=r"speech in 'zu'.*SONAR has no speech encoder for Zulu.* eng, fra, "):
        side.for_language("zu")
    with pytest.raises(UsageError, match=r"speech in 'xq'.* eng, fra, "):
        side.for_language("xq")


def test_two_encoders_are_in_memory_at_most(sonar: Model) -> None:
    side = sonar.sides["speech"]
    assert isinstance(side, SonarSpeech)
    for language in ("en", "fr", "es", "it", "en", "ru"):
        side.for_language(language)
        assert len(side.encoders._kept) <= 2
    assert side.for_language("ru").root is side.for_language("rus_Cyrl").root


def test_files_of_any_name_are_told_by_a_mapping(folders: Make) -> None:
    folder = folders("sonar-speech-fairseq2")
    files = {"xx": str(folder / "spenc.v3ap.fra.pt"), "eng": folder / "spenc.eng.pt"}
    side = models.load("sonar-speech", options={"speech_weights": files}).sides["speech"]
    mine = run(side, "xx", tone(0.5, 200))
    theirs = run(models.load("sonar-speech", weights=str(folder)).sides["speech"], "fr", tone(0.5, 200))
    assert torch.equal(mine["shared.embedding"], theirs["shared.embedding"])


# --- both in one model ---


def test_both_sides_end_in_one_space(sonar: Model, tmp_path: Path) -> None:
    assert sonar.modalities == ("text", "speech")
    assert sonar.shared_points == ("shared.embedding",)
    corpus = corpora.load("manifest", path=write_manifest(tmp_path, sentences=5, languages=("en", "fr", "ru")))
    stored = encode(sonar, corpus, tmp_path / "store", batch_size=3)
    spaces = {
        (comparison.a.point, comparison.b.point): comparison.same_space
        for comparison in plan(stored)
        if comparison.kind == "modality_similarity"
    }
    assert spaces["shared.embedding", "shared.embedding"]
    assert not spaces["speech.layer.1", "text.norm"]
    assert sum(spaces.values()) == 1
    again = encode(sonar, corpus, tmp_path / "alone", batch_size=1)
    for name in ("activation", "positions"):
        np.testing.assert_allclose(stored.dataset[name].values, again.dataset[name].values, atol=1e-5, rtol=0)
    sides = {side["modality"]: side["weights_by_language"] for side in stored.meta["model"]["sides"]}
    assert sides == {"text": False, "speech": True}


def test_licences_and_what_a_reader_must_know_are_told(sonar: Model) -> None:
    assert sonar.licence == "CC-BY-NC 4.0 and licence not stated and MIT"
    told = " ".join(sonar.notes)
    for words in ("an encoder of its own", "last 3 of each", "spenc.v3ap.fra.pt (MIT)", "spenc.v5ap.rus.pt (CC-BY-NC"):
        assert words in told
    assert [weights.file for weights in sonar.weights][:2] == ["model.safetensors", "spenc.eng.pt"]
    assert sonar.options["speech encoders"]["rus"] == "spenc.v5ap.rus.pt"


def test_it_runs_in_bfloat16(folders: Make) -> None:
    narrow = models.load("sonar", weights=str(folders("sonar")), dtype="bfloat16")
    exact = models.load("sonar", weights=str(folders("sonar")))
    for modality, item in (("text", "An apple"), ("speech", tone(0.5, 200))):
        for name, values in run(narrow.sides[modality], "fr", item).items():  # type: ignore[index]
            assert values.dtype == torch.float32
            whole = run(exact.sides[modality], "fr", item)[name]  # type: ignore[index]
            assert float((values - whole).norm() / whole.norm()) < 0.1, name


# --- before loading ---


@pytest.mark.parametrize(
    ("name", "points", "millions"),
    [
        ("sonar-text", [2 + 24 + 1 + 1], 766.1),
        ("sonar-speech", [2 + 24 + 1 + 3 + 1], 658.1),
        ("sonar", [28, 31], 766.1 + 658.1),
    ],
)
def test_the_released_model_is_planned_without_weights(name: str, points: list[int], millions: float) -> None:
    planned = planning.plan(name)
    assert not planned.from_weights
    assert [len(side.points) for side in planned.model.sides.values()] == points
    assert planned.parameters / 1e6 == pytest.approx(millions, abs=0.1)
    assert planned.model.licence.startswith("CC-BY-NC 4.0") == (name != "sonar-speech")
    if name != "sonar-text":
        assert any("58 languages" in note and "708.5 million" in note for note in planned.model.notes)


@pytest.mark.parametrize(
    "kind", ["sonar", "sonar-text", "sonar-text-original", "sonar-speech", "sonar-speech-fairseq2"]
)
def test_a_folder_is_planned_as_it_is_loaded(folders: Make, kind: str) -> None:
    name = kind.removesuffix("-original").removesuffix("-fairseq2")
    planned = planning.plan(name, str(folders(kind)))
    loaded = models.load(name, weights=str(folders(kind)))
    assert planned.model.describe() == loaded.describe()
    assert planned.parameters == sum(side.parameters for side in loaded.sides.values())
    assert planned.model.licence == loaded.licence
    assert {side.device.type for side in planned.model.sides.values()} == {"meta"}


def test_a_folder_without_sonar_is_not_planned(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no config\.json"):
        planning.plan("sonar-text", str(tmp_path))
    with pytest.raises(DataError, match="no file named as SONAR's speech encoders are"):
        planning.plan("sonar-speech", str(tmp_path))


def test_each_released_encoder_is_one_that_the_table_of_languages_knows() -> None:
    known = {each.sonar_speech for each in languages.LANGUAGES} - {""}
    assert known <= RELEASED.keys()
    assert len(RELEASED) == 58


# --- what must be true of every model ---


class TestSonar(ModelTests):
    languages = ("en", "fr", "ru")
    modulus = 2

    @pytest.fixture
    def model(self, sonar: Model) -> Model:
        return sonar


@pytest.fixture(scope="module")
def original(folders: Make) -> Model:
    """Text under fairseq2's names, speech too, all poolers of six layers."""
    speech = {"speech_weights": str(folders("sonar-speech-fairseq2")), "speech_languages": ["fra", "spa"]}
    return models.load("sonar", weights=str(folders("sonar-text-original")), options=speech)


class TestSonarOriginal(ModelTests):
    languages = ("fr", "es")
    modulus = 2

    @pytest.fixture
    def model(self, original: Model) -> Model:
        return original


# --- what is refused ---


@pytest.fixture
def text_file(folders: Make, tmp_path: Path) -> Path:
    shutil.copytree(folders("sonar-text-original"), tmp_path / "text")
    return tmp_path / "text" / "sonar_text_encoder.pt"


@pytest.fixture
def speech_file(folders: Make, tmp_path: Path) -> Path:
    return Path(shutil.copy(folders("sonar-speech") / "spenc.v3ap.fra.pt", tmp_path))


def change(path: Path, edit: Callable[[dict[str, Tensor]], object]) -> None:
    checkpoint = torch.load(path, weights_only=True)
    edit(checkpoint["model"])
    torch.save(checkpoint, path)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda state: state.pop("encoder.layers.1.ffn.inner_proj.bias"), "lack the array 'layers.1.fc1.bias'"),
        (
            lambda state: state.update({"decoder.x": torch.zeros(1)}),
            "1 arrays that .* SONAR has no place for: 'decoder.x'",
        ),
        (lambda state: state.update({"layer_norm.bias": torch.zeros(7)}), r"'layer_norm.bias' has shape \(7,\)"),
        (lambda state: state.pop("encoder_frontend.embed.weight"), "no text encoder of SONAR"),
        (lambda state: state.update({"layer_norm.bias": 3}), "'layer_norm.bias' under 'model' is not a tensor"),
        (
            lambda state: state.update({"encoder.layers.999999999.ffn_layer_norm.bias": torch.zeros(32)}),
            "lack 16 arrays, such as 'layers.3",
        ),
    ],
)
def test_a_text_checkpoint_that_is_not_one_is_refused_by_the_key(text_file: Path, edit: Any, words: str) -> None:
    change(text_file, edit)
    with pytest.raises(DataError, match=words) as caught:
        models.load("sonar-text", weights=str(text_file))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda state: state.pop("decoder.layers.5.fc1.bias"), "lack the array 'pooler.layers.-1.fc1.bias'"),
        (
            lambda state: state.update({"decoder.x": torch.zeros(1)}),
            "1 arrays that .* SONAR has no place for: 'decoder.x'",
        ),
        (lambda state: state.update({"decoder.embed_out": torch.zeros(32, 31)}), r"shape \(32, 31\) where \(32, 32\)"),
        (lambda state: state.pop("decoder.embed_tokens.weight"), "no speech encoder of SONAR"),
        (
            lambda state: state.pop("encoder.w2v_model.encoder.layers.0.self_attn.pos_bias_u"),
            "lack the array that becomes 'encoder.layers.0.self_attn.pos_bias_u'",
        ),
    ],
)
def test_a_speech_checkpoint_that_is_not_one_is_refused_by_the_key(speech_file: Path, edit: Any, words: str) -> None:
    change(speech_file, edit)
    with pytest.raises(DataError, match=words):
        models.load("sonar-speech", weights=str(speech_file))


def test_files_that_are_cut_short_pickled_or_absent_are_one_line(
    text_file: Path, speech_file: Path, tmp_path: Path
) -> None:
    whole = speech_file.read_bytes()
    for end in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        speech_file.write_bytes(whole[:end])
        with pytest.raises(DataError, match="cut short or") as caught:
            models.load("sonar-speech", weights=str(speech_file))
        assert "\n" not in str(caught.value) and speech_file.name in str(caught.value)
    torch.save({"model": {}, "args": argparse.Namespace(task="x")}, text_file)
    with pytest.raises(DataError, match=r"more than tensors \(argparse.Namespace\).*save its tensors alone"):
        models.load("sonar-text", weights=str(text_file))
    torch.save({"state_dict": {}}, text_file)
    with pytest.raises(DataError, match=r"have no 'model' \(found: state_dict\)"):
        models.load("sonar-text", weights=str(text_file))
    with pytest.raises(DataError, match="there is no"):
        models.load("sonar-text", weights=str(tmp_path / "nowhere.pt"))
    with pytest.raises(DataError, match="there is no"):
        models.load("sonar-speech", weights=str(tmp_path / "nowhere"))


def test_a_checkpoint_in_pytorchs_old_format_is_read(speech_file: Path) -> None:
    new = run(models.load("sonar-speech", weights=str(speech_file)).sides["speech"], "fr", tone(0.4, 200))
    torch.save(torch.load(speech_file, weights_only=True), speech_file, _use_new_zipfile_serialization=False)
    old = run(models.load("sonar-speech", weights=str(speech_file)).sides["speech"], "fr", tone(0.4, 200))
    assert torch.equal(new["shared.embedding"], old["shared.embedding"])


def test_a_port_with_more_than_the_encoder_is_another_model(folders: Make, tmp_path: Path) -> None:
    folder = tmp_path / "more"
    shutil.copytree(folders("sonar-text"), folder)
    state = load_file(folder / "model.safetensors")
    state["decoder.layer_norm.weight"] = torch.ones(32)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match=r"no place for, such as 'decoder.layer_norm.weight'"):
        models.load("sonar-text", weights=str(folder))


def test_a_tokenizer_that_is_missing_or_anothers_is_refused(
    folders: Make, text_file: Path, e5_folder: Path, tmp_path: Path
) -> None:
    place = text_file.parent
    (place / "tokenizer.json").rename(tmp_path / "elsewhere.json")
    with pytest.raises(DataError, match=r"no tokenizer .*put the tokenizer.json of NLLB-200"):
        models.load("sonar-text", weights=str(place))
    named = models.load("sonar-text", weights=str(place), options={"tokenizer": str(tmp_path / "elsewhere.json")})
    usual = models.load("sonar-text", weights=str(folders("sonar-text")))
    assert torch.equal(
        run(named.sides["text"], "en", "A pear")["text.norm"], run(usual.sides["text"], "en", "A pear")["text.norm"]
    )
    with pytest.raises(DataError, match=r"counts <unk> as 3|it is not NLLB's|tokens and the weights"):
        models.load("sonar-text", weights=str(place), options={"tokenizer": str(small_vocabulary(tmp_path))})
    (place / "tokenizer.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        models.load("sonar-text", weights=str(place))


def small_vocabulary(folder: Path) -> Path:
    held = json.loads((folder / "elsewhere.json").read_text(encoding="utf-8"))
    vocabulary = held["model"]["vocab"]
    vocabulary["<s>"], vocabulary["<pad>"] = vocabulary["<pad>"], vocabulary["<s>"]
    for token in held["added_tokens"]:
        token["id"] = {0: 1, 1: 0}.get(token["id"], token["id"])
    (folder / "swapped.json").write_text(json.dumps(held), encoding="utf-8")
    return folder / "swapped.json"


def test_speech_weights_that_cannot_be_told_apart_are_refused(folders: Make, speech_file: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name its speech encoders"):
        models.load("sonar-speech")
    shutil.copy(speech_file, tmp_path / "spenc.v5ap.fra.pt")
    with pytest.raises(DataError, match=r"spenc.v3ap.fra.pt and spenc.v5ap.fra.pt .* are both for 'fra'"):
        models.load("sonar-speech", weights=str(tmp_path))
    odd = shutil.copy(speech_file, tmp_path / "mine.pt")
    with pytest.raises(DataError, match="no file named as SONAR's speech encoders are"):
        models.load("sonar-speech", weights=str(odd))
    with pytest.raises(UsageError, match=r"no speech encoder for 'frb'; did you mean 'fra'"):
        models.load("sonar-speech", weights=str(folders("sonar-speech")), options={"speech_languages": ["frb"]})
    with pytest.raises(UsageError, match=r"has no option 'speech_weight'; did you mean 'speech_weights'"):
        models.load("sonar-speech", options={"speech_weight": str(tmp_path)})
    with pytest.raises(UsageError, match="name at least one language"):
        models.load("sonar-speech", options={"speech_weights": {}})


def test_encoders_of_different_build_are_not_compared(folders: Make, speech_file: Path) -> None:
    def fewer(state: dict[str, Tensor]) -> None:
        for name in [name for name in state if re.match(r"encoder\.w2v_model\.encoder\.layers\.1\.", name)]:
            del state[name]

    change(speech_file, fewer)
    files = {"fra": speech_file, "eng": folders("sonar-speech") / "spenc.eng.pt"}
    with pytest.raises(DataError, match="the encoder of 'eng' is built otherwise than that of 'fra'"):
        models.load("sonar-speech", options={"speech_weights": files})
