"""Reading positions: planted words are read, other sentences are the null, and noise says nothing."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import babelscope.capture.preparing as preparing
import babelscope.lens.tables as tables
import babelscope.lens.vocabulary as module
from babelscope import corpora, models
from babelscope.capture.encoding import encode
from babelscope.corpora import Corpus
from babelscope.errors import DataError, UsageError
from babelscope.lens import LENS_COLUMNS, LensOptions, lens_tables, plan_lens, points_to_read, readout
from babelscope.lens.languages_read import languages_read
from babelscope.lens.vocabulary import script, surface
from babelscope.models.base import Model
from babelscope.models.unembedding import unembedding
from babelscope.testing import tiny
from babelscope.testing.joint import joint_model
from conftest import write_manifest


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return corpora.load("manifest", path=write_manifest(tmp_path_factory.mktemp("tones"), 24))


def read(model: Model, corpus: Corpus, folder: Path, **options: object) -> dict[str, pd.DataFrame]:
    asked = LensOptions.model_validate({"points": ["shared.layer.1"], "permutations": 199} | options)
    return lens_tables(model, corpus, encode(model, corpus, folder / "a.zarr"), asked)


def mean(table: pd.DataFrame, of: str) -> pd.Series:
    found = table[(table["language"] == "mean") & (table["of"] == of)]
    assert len(found) == 1
    return found.iloc[0]


@pytest.mark.parametrize("unembeds", [False, True])
def test_the_words_of_the_transcript_are_read(corpus: Corpus, tmp_path: Path, unembeds: bool) -> None:
    lens = read(joint_model(corpus, offset=3.0 * (not unembeds), unembeds=unembeds), corpus, tmp_path)["lens"]
    assert tuple(lens.columns) == LENS_COLUMNS
    told = mean(lens, "transcript")
    assert told["by"] == ("output layer" if unembeds else "input embeddings")
    assert told["share"] > 0.95 and told["share_nearest"] > 0.6 and told["other_sentences"] < 0.05
    assert told["p_adjusted"] <= 0.05 and told["low"] > 0.9 and told["positions"] > 300
    assert mean(lens, "neither")["share"] < 0.05


def test_the_words_of_a_translation_are_told_from_those_of_the_transcript(corpus: Corpus, tmp_path: Path) -> None:
    model = joint_model(corpus, heard_as="translation", noise=0.1)
    lens = read(model, corpus, tmp_path, k=1)["lens"]
    own = lens[(lens["language"] == corpus.languages[0]) & (lens["of"] == "transcript")]
    other = lens[(lens["language"] == corpus.languages[1])].set_index("of")["share"]
    assert own["share"].item() > 0.95 and other["translation"] > 0.95 and other["transcript"] < 0.05


def test_the_words_of_other_sentences_are_no_finding(corpus: Corpus, tmp_path: Path) -> None:
    lens = read(joint_model(corpus, heard_as="other sentence", noise=0.1), corpus, tmp_path, k=1)["lens"]
    assert not (lens["p_adjusted"] <= 0.05).any()
    assert mean(lens, "neither")["share"] > 0.95


@pytest.mark.slow
def test_noise_says_something_at_most_as_often_as_promised(corpus: Corpus, tmp_path: Path) -> None:
    """Of 80 studies of noise 5 % is 4; 10 or more would come by in 1 % of runs."""
    said = 0
    for seed in range(80):
        found = read(joint_model(corpus, heard_as="noise", seed=seed), corpus, tmp_path / str(seed), n=24)
        said += bool((found["lens"]["p_adjusted"] <= 0.05).any())
    assert said < 10


def test_the_language_of_readings_is_told_by_script_and_identifier() -> None:
    english = ["the house of the old man", "where is the door of this room", "we have nothing to eat here"] * 4
    russian = ["где находится дверь этой комнаты", "у нас нет ничего поесть здесь", "дом старого человека"] * 4
    texts = {"en": english, "ru": russian}
    units = np.arange(12)
    lines: list[str] = []
    right = {("p", "en"): english, ("p", "ru"): russian}
    read_as, match = languages_read(right, texts, ["p"], units, 199, 0, lines.append)
    assert not lines
    shares = read_as.set_index(["language", "by", "read_as"])["share"]
    assert shares["ru", "script", "CYRILLIC"] == 1 and shares["en", "language", "en_us"] > 0.9
    assert (match["share"] > 0.9).all() and (match["p_adjusted"] <= 0.05).all()
    all_english = {("p", "en"): english, ("p", "ru"): english}
    _, match = languages_read(all_english, texts, ["p"], units, 199, 0, lines.append)
    assert match["share"].to_numpy() == pytest.approx(0.5, abs=0.05) and (match["p"] > 0.4).all()


def test_surfaces_are_words_and_say_nothing_where_they_could_be_anything() -> None:
    assert surface(" Haus") == surface("haus,") == "haus"
    assert [surface(piece) for piece in ("<s>", " .", "7", "a", "", "12%")] == [""] * 6
    assert surface("中") == "中" and script("дверь door") == "CYRILLIC" and surface("Ｈaus") == "haus"


def test_memory_is_bounded_however_large_the_vocabulary_is() -> None:
    table = torch.randn(200_000, 32)
    side = joint_model_side()
    reader = module.Readout("input embeddings", "", side, None, table).centred({})
    reader.nearest(torch.randn(2, 32), "p", 5)  # norms are kept
    tracemalloc.start()
    try:
        found = reader.nearest(torch.randn(300, 32), "p", 5)
        assert tracemalloc.get_traced_memory()[1] < 1e6  # nothing large outside torch
    finally:
        tracemalloc.stop()
    values = torch.randn(300, 32)
    centred = table - table.double().mean(0).float()
    expected = (values @ torch.nn.functional.normalize(centred, dim=1).T).topk(5, dim=1).indices
    found = reader.nearest(values, "p", 5)
    assert (found == expected).float().mean() > 0.999


def joint_model_side() -> models.Side:
    class Plain(models.Side):
        def prepare(self, item: object, language: str) -> models.Prepared:
            raise NotImplementedError

        def collate(self, items: object) -> models.Batch:
            raise NotImplementedError

        def forward(self, batch: object) -> dict[str, torch.Tensor]:
            raise NotImplementedError

    return Plain()


def test_a_stopped_run_goes_on_to_the_same_numbers(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = joint_model(corpus)
    activations = encode(model, corpus, tmp_path / "a.zarr")
    options = LensOptions(n=10, permutations=99)
    whole = lens_tables(model, corpus, activations, options)

    def kill(done: int, total: int) -> None:
        assert total == 30
        if done == 15:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lens_tables(model, corpus, activations, options, checkpoint=tmp_path / "kept", progress=kill)
    jobs: list[str] = []
    prepare = preparing.prepare_job

    def counted(*told: object) -> object:
        jobs.append(told[2].language)  # type: ignore[attr-defined]
        return prepare(*told)  # type: ignore[arg-type]

    monkeypatch.setattr(tables, "prepare_job", counted)
    resumed = lens_tables(model, corpus, activations, options, checkpoint=tmp_path / "kept")
    assert set(jobs) == {"xb", "xc"} and len(jobs) == 20
    assert all(whole[name].equals(resumed[name]) for name in whole)


def test_what_cannot_be_read_is_said_in_a_line(corpus: Corpus, tmp_path: Path, tiny_model: Model) -> None:
    model = joint_model(corpus)
    assert points_to_read(model, None) == tuple(f"shared.{name}" for name in ("input", "layer.0", "layer.1", "layer.2"))
    with pytest.raises(UsageError, match=r"lens\.points: 'shared\.pooled' is no shared point with positions"):
        points_to_read(model, ["shared.pooled"])
    with pytest.raises(UsageError, match="share no layer with positions: nothing can be read"):
        points_to_read(tiny_model, None)
    few = corpus.select(ids=list(corpus.sentences[:6]))
    with pytest.raises(DataError, match="6 clusters of sentences are too few"):
        lens_tables(model, few, encode(model, few, tmp_path / "few.zarr"))
    assert plan_lens(model, LensOptions(n=10), 24, 3).passes == 30


# Not compared: Qwen2.5-Omni, whose config names a class that transformers lacks; Gemma 3n, whose class wants timm.
NAMES = ("qwen2-audio", "voxtral", "granite-speech", "glm-asr")


@pytest.mark.parametrize("name", ["qwen2-audio", *(pytest.param(name, marks=pytest.mark.slow) for name in NAMES[1:])])
def test_the_output_layer_is_that_of_the_whole_model(name: str, tmp_path: Path) -> None:
    """What is read at the last point is what the released class, with its head, says of the same text."""
    import transformers

    folder = tiny(name, tmp_path / "tiny")
    model = models.load(f"hf:{folder}")
    found = unembedding(model)
    assert found is not None
    config = transformers.AutoConfig.from_pretrained(folder)
    (architecture,) = config.architectures
    whole = getattr(transformers, architecture).from_pretrained(folder, dtype=torch.float32).eval()
    scale = 1.0
    if name == "granite-speech":
        # Its class applies the adapter in the folder by itself, and leaves out the divisor of Granite's logits.
        whole.disable_adapters()
        scale = config.text_config.logits_scaling
    side = model.sides["text"]
    item = side.prepare("a house", "en")
    caught: list[torch.Tensor] = []
    point = next(one for one in side.points if one.name == found.normed)
    handle = side.root.get_submodule(point.module).register_forward_hook(
        lambda module, args, output: caught.append(point.activations(output))
    )
    with torch.inference_mode():
        side.forward(side.collate([item]))
        handle.remove()
        inner = getattr(whole, "thinker", whole)
        expected = inner(
            **{key: value[None] if value.ndim == 1 else value for key, value in item.inputs.items()}
        ).logits
    assert torch.allclose(found.logits(caught[0], found.normed), expected.float() / scale, atol=1e-4)


def test_a_tiny_speech_llm_is_read_to_the_end(corpus: Corpus, tmp_path: Path) -> None:
    model = models.load(f"hf:{tiny('qwen2-audio', tmp_path / 'tiny')}").select_points(["shared.*"])
    few = corpus.select(ids=list(corpus.sentences[:8]), languages=["xa", "xb"])
    found = lens_tables(model, few, encode(model, few, tmp_path / "a.zarr"), LensOptions(permutations=99))
    assert set(found["lens"]["by"]) == {"output layer"} and len(found["lens_readings"])
    assert readout(model).source.endswith("of the release")
