"""``[tokens]`` to its end on tiny models of the catalogue: what has positions is aligned, what has none is one line."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile

from babelscope import corpora, models
from babelscope.capture.position_encoding import encode_positions, with_positions
from babelscope.corpora import Corpus
from babelscope.errors import UsageError
from babelscope.models import Model
from babelscope.testing import tiny
from babelscope.tokens import ALIGNMENT_COLUMNS, PATH_COLUMNS, TokenOptions, read_timings, token_tables

#: Tiny folders that take speech and text, and how they are loaded.
NAMED = {"seamless-m4t-v2": "seamless-m4t-v2-large", "sonar": "sonar", "salmonn": "salmonn-7b"}
SPEECH_LLMS = (
    "qwen2-audio", "voxtral", "voxtral-realtime", "granite-speech", "phi-4-multimodal", "audio-flamingo-3", "glm-asr",
    "qwen3-asr", "qwen2.5-omni", "qwen3-omni", "gemma-3n", "gemma-4",
)  # fmt: skip
QUICK = ("qwen2-audio", "seamless-m4t-v2")

#: What their activations go beyond.
BEYOND_FLOAT16 = ("voxtral-realtime",)

OPTIONS = TokenOptions(n=8, permutations=99, shuffles=19)


@pytest.fixture(scope="module")
def speakers(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Eight sentences of noise in English and French; one is one word in French."""
    folder = tmp_path_factory.mktemp("speakers")
    generator = np.random.default_rng(0)
    with (folder / "m.csv").open("w", newline="", encoding="utf-8") as handle:
        rows = csv.writer(handle)
        rows.writerow(["sentence", "language", "text", "audio"])
        for number in range(8):
            for language in ("en", "fr"):
                words = ["".join(generator.choice(list("abdeilnort"), 4)) for _ in range(3 + number % 3)]
                text = "bien" if (number, language) == (3, "fr") else " ".join(words)
                samples = 0.1 * generator.standard_normal(int(generator.uniform(1.0, 1.8) * 16_000))
                soundfile.write(folder / f"{language}{number}.wav", samples, 16_000)
                rows.writerow([f"s{number}", language, text, f"{language}{number}.wav"])
    return corpora.load("manifest", path=folder / "m.csv")


def _loaded(name: str, folder: Path) -> Model:
    weights = tiny(name, folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name in NAMED:
            return models.load(NAMED[name], weights=str(weights))
        return models.load(f"hf:{weights}")


def _few(model: Model) -> list[str]:
    """Return the first and the last points of each side."""
    return [side.points[place].name for side in model.sides.values() for place in (0, -1)]


def _run(model: Model, corpus: Corpus, folder: Path, dtype: str) -> list[str]:
    lines: list[str] = []
    every = with_positions(model).model
    whole = encode_positions(model, corpus, folder / "whole.tokens", n=1, dtype=dtype, notice=lines.append)
    for modality, side in every.sides.items():
        assert whole.points(modality) == tuple(point.name for point in side.points)
    positions = encode_positions(
        model, corpus, folder / "a.tokens", points=_few(every), n=8, dtype=dtype, notice=lines.append
    )
    assert positions.complete and not positions.verify()
    tables = token_tables(positions, OPTIONS, notice=lines.append)
    assert all("\n" not in line for line in lines)
    assert len(tables["tokens_rounding"]) == sum(len(positions.points(one)) for one in positions.modalities)
    aligned, paths = tables["tokens_alignment"], tables["tokens_paths"]
    assert list(aligned) == list(ALIGNMENT_COLUMNS) and list(paths) == list(PATH_COLUMNS)
    for _, row in aligned.iterrows():
        assert np.isfinite(row["similarity"]) and 0 < row["p"] <= row["p_max"] + 1e-9 <= 1 + 1e-9
    return lines


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=[] if one in QUICK else pytest.mark.slow) for one in (*NAMED, *SPEECH_LLMS)]
)
def test_tiny_models_of_the_catalogue_run_to_the_end(name: str, speakers: Corpus, tmp_path: Path) -> None:
    dtype = "bfloat16" if name in BEYOND_FLOAT16 else "float16"
    lines = _run(_loaded(name, tmp_path / "model"), speakers, tmp_path, dtype)
    assert [line for line in lines if "one word" in line] == [
        "tokens: sentence 's3' is one word in 'fr': it is not aligned"
    ]


def test_towers_of_other_widths_are_one_line_and_what_can_be_aligned_is(
    tiny_model: Model, tones: Corpus, tmp_path: Path
) -> None:
    lines: list[str] = []
    positions = encode_positions(tiny_model, tones, tmp_path / "a.tokens", n=6)
    tables = token_tables(positions, OPTIONS, notice=lines.append)
    assert any("have no cosine" in line for line in lines) and all("\n" not in line for line in lines)
    assert tables["tokens_alignment"].empty


def test_languages_that_are_done_are_not_aligned_again(speakers: Corpus, tmp_path: Path) -> None:
    model = _loaded("seamless-m4t-v2", tmp_path / "model")
    positions = encode_positions(model, speakers, tmp_path / "a.tokens", points=_few(with_positions(model).model), n=8)
    lines: list[str] = []
    repeated: list[str] = []
    first = token_tables(positions, OPTIONS, checkpoint=tmp_path / "parts", notice=lines.append)
    assert sorted(path.name for path in (tmp_path / "parts").glob("*.done")) == ["en.done", "fr.done"]
    (tmp_path / "parts" / "fr.done").unlink()
    told: list[int] = []
    again = token_tables(
        positions,
        OPTIONS,
        checkpoint=tmp_path / "parts",
        progress=lambda done, total: told.append(done),
        notice=repeated.append,
    )
    token_tables(positions, OPTIONS, checkpoint=tmp_path / "parts", notice=repeated.append)
    assert lines and repeated == [*lines, *lines]
    assert min(told) >= len(first["tokens_alignment"]) // 4  # nothing of the first language
    assert again["tokens_alignment"].equals(first["tokens_alignment"])


def test_word_times_are_read_and_wrong_ones_named(tmp_path: Path) -> None:
    path = tmp_path / "times.csv"
    path.write_text("language,sentence,word,start,end\nen,s1,0,0,0.4\nen,s1,1,0.4,1\n")
    assert read_timings(path) == {("en", "s1"): {0: (0.0, 0.4), 1: (0.4, 1.0)}}
    for content, line in (
        ("language,sentence,word,start\n", "has no column end"),
        ("language,sentence,word,start,end\nen,s1,0,2,1\n", "line 2: from 2.0 to 1.0 s is no span"),
    ):
        path.write_text(content)
        with pytest.raises(UsageError, match=line):
            read_timings(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_timings(tmp_path / "none.csv")
