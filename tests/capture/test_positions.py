"""Positions themselves: the right ones, rounded by what is said, the same bits after a kill, in the memory foretold."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from babelscope.capture import Capture, encode
from babelscope.capture import position_encoding as encoding
from babelscope.capture.position_encoding import encode_positions, plan_positions, with_positions
from babelscope.capture.positions import Positions
from babelscope.corpora import Corpus
from babelscope.errors import DataError, UsageError
from babelscope.models import Model
from babelscope.models.base import Batch, Point, Prepared, Side, Stage


def _contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*.safetensors")
    }


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_their_mean_is_the_pooled_activation_but_for_the_rounding_that_is_stated(
    tiny_model: Model, tones: Corpus, tmp_path: Path, dtype: str
) -> None:
    pooled = encode(tiny_model, tones, tmp_path / "activations.zarr")
    positions = encode_positions(tiny_model, tones, tmp_path / "activations.tokens", n=4, dtype=dtype)
    assert positions.complete and len(positions.sentences) == 4
    rounding = positions.rounding().set_index(["modality", "point"])
    bits = {"float16": 2.0**-11, "bfloat16": 2.0**-8}[dtype]
    assert 0 < rounding["largest"].max() <= bits
    for modality in positions.modalities:
        for point in positions.points(modality):
            whole = pooled.matrix(point, modality, positions.languages[1])
            for sentence in positions.sentences:
                values = positions.read(modality, positions.languages[1], sentence, point)
                expected = whole[pooled.sentences.index(sentence)]
                assert values.dims == ("position", "feature")
                scale = np.linalg.norm(values.values, axis=1).max()
                assert np.linalg.norm(values.values.mean(0) - expected) <= 2 * bits * scale + 1e-5


def test_texts_have_their_tokens_and_recordings_their_times(tiny_model: Model, tones: Corpus, tmp_path: Path) -> None:
    positions = encode_positions(tiny_model, tones, tmp_path / "p.tokens", n=2)
    sentence = positions.sentences[0]
    text = positions.read("text", "xa", sentence, "text.layer.0")
    tokens = text["token"].values.tolist()
    written = "".join(tokens[1:-1]).replace("▁", " ").strip()
    assert written == f"query: {tones.text(sentence, 'xa')}" and (tokens[0], tokens[-1]) == ("<s>", "</s>")
    speech = positions.read("speech", "xa", sentence, "speech.layer.0")
    seconds = tones.recordings(sentence, "xa")[0].seconds
    assert seconds is not None and speech.attrs["seconds"] == pytest.approx(seconds, abs=1e-3)
    times = speech["seconds"].values
    assert np.allclose(np.diff(times), seconds / len(times)) and times[0] == pytest.approx((times[1] - times[0]) / 2)
    assert times[-1] < seconds


def test_of_a_pooled_output_there_are_no_positions(tiny_model: Model, tones: Corpus, tmp_path: Path) -> None:
    lines: list[str] = []
    positions = encode_positions(
        tiny_model, tones, tmp_path / "p.tokens", n=1, points=["text.pooled", "text.layer.1"], notice=lines.append
    )
    assert positions.points("text") == ("text.layer.1",) and positions.modalities == ("text",)
    assert lines == ["tokens: point text.pooled is one vector a sentence and has no positions: left out"]
    with pytest.raises(UsageError, match=r"tokens.points: none of text.pooled has positions"):
        with_positions(tiny_model, ["text.pooled"])


def test_a_point_is_its_own_though_the_pooled_output_is_not_asked_for(tiny_model: Model) -> None:
    """A side narrowed to its layers still returns its sentence embedding: it is no layer's activation."""
    whole, narrow = tiny_model.sides["text"], tiny_model.select_points(["text.layer.2"]).sides["text"]
    vectors = []
    for side in (whole, narrow):
        with Capture(side) as capture:
            vectors.append(capture.run(side.collate([side.prepare("ab cd", "xa")]))["text.layer.2"])
    torch.testing.assert_close(vectors[0], vectors[1], rtol=0, atol=0)


def test_what_cannot_be_encoded_is_one_line_and_the_rest_goes_on(
    tiny_model: Model, tones: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = tones.sentences[1]
    right = Corpus.text
    monkeypatch.setattr(
        Corpus, "text", lambda self, one, own: " " if (one, own) == (bad, "xb") else right(self, one, own)
    )
    lines: list[str] = []
    positions = encode_positions(tiny_model, tones, tmp_path / "p.tokens", n=99, notice=lines.append)
    assert len(lines) == 1 and "\n" not in lines[0] and repr(bad) in lines[0] and "'xb'" in lines[0]
    assert [one[:3] for one in positions.skipped] == [(bad, "xb", "text")] and positions.complete
    assert positions.has("speech", "xb", bad) and not positions.has("text", "xb", bad)
    with pytest.raises(DataError, match="has no text"):
        positions.read("text", "xb", bad, "text.layer.0")
    again: list[str] = []
    monkeypatch.setattr(Corpus, "text", None)  # nothing is run twice
    encode_positions(tiny_model, tones, tmp_path / "p.tokens", n=99, notice=again.append)
    assert again == lines


def test_a_killed_run_goes_on_to_the_same_bits(tiny_model: Model, tones: Corpus, tmp_path: Path) -> None:
    whole = encode_positions(tiny_model, tones, tmp_path / "whole.tokens", n=3)
    child = os.fork()
    if not child:
        try:
            real = encoding._encoded

            def dying(capture: Any, corpus: Corpus, sentence: str, language: str) -> bytes:
                if (capture.side.modality, language) == ("speech", "xb"):
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(capture, corpus, sentence, language)

            encoding._encoded = dying
            encode_positions(tiny_model, tones, tmp_path / "killed.tokens", n=3)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    before = _contents(tmp_path / "killed.tokens")
    assert 0 < len(before) < 18 and not Positions(tmp_path / "killed.tokens").complete
    done: list[tuple[int, int]] = []
    encode_positions(
        tiny_model, tones, tmp_path / "killed.tokens", n=3, progress=lambda what, one, all: done.append((one, all))
    )
    assert _contents(tmp_path / "killed.tokens") == _contents(tmp_path / "whole.tokens")
    assert done[0][0] == len(before) and done[-1] == (18, 18)
    assert not Positions(tmp_path / "killed.tokens").verify() and whole.complete


def test_other_contents_are_refused_and_damage_is_named(tiny_model: Model, tones: Corpus, tmp_path: Path) -> None:
    path = tmp_path / "p.tokens"
    positions = encode_positions(tiny_model, tones, path, n=2)
    with pytest.raises(UsageError, match=r"another corpus, dtype, sentences: .*--overwrite"):
        encode_positions(tiny_model, tones, path, n=3, dtype="bfloat16")
    assert encode_positions(tiny_model, tones, path, n=3, dtype="bfloat16", overwrite=True).dtype == "bfloat16"
    file = path / "text" / "xa" / "00000.safetensors"
    file.write_bytes(file.read_bytes()[:-3] + b"\0\0\0")
    (line,) = Positions(path).verify()
    assert positions.sentences[0] in line and "00000.safetensors is damaged" in line
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="is not a store of positions"):
        encode_positions(tiny_model, tones, tmp_path / "else", n=2)
    with pytest.raises(DataError, match="run a study with"):
        Positions(tmp_path / "nothing")


def test_the_plan_foretells_the_store(tiny_model: Model, tones: Corpus, tmp_path: Path) -> None:
    plan = plan_positions(with_positions(tiny_model).model, tones, n=3)
    positions = encode_positions(tiny_model, tones, tmp_path / "p.tokens", n=3)
    held = sum(
        2 * positions.values(modality, language, sentence, point).size
        for modality in positions.modalities
        for language in positions.languages
        for sentence in positions.sentences
        for point in positions.points(modality)
    )
    assert plan.utterances == 18 and plan.disk == held and plan.shared == 0.25


class Wide(Side):
    """A text side whose positions are large: letters, each a wide vector at several points."""

    modality = "text"
    family = "wide"
    unit = "letters"
    runs_beside = False
    width, layers = 4096, 8

    def __init__(self) -> None:
        self.root: nn.Module = nn.Sequential(
            nn.Embedding(128, self.width), *(nn.Identity() for _ in range(self.layers))
        ).eval()
        self.points = tuple(
            Point(f"text.layer.{one}", Stage.ENCODER, 0, self.width, str(one + 1)) for one in range(self.layers)
        )

    def prepare(self, item: str | NDArray[np.float32], language: str) -> Prepared:
        """Return the letters."""
        ids = torch.tensor([ord(letter) % 128 for letter in str(item)])
        return Prepared({"input_ids": ids}, len(ids))

    def collate(self, items: Sequence[Prepared]) -> Batch:
        """One at a time."""
        return Batch({"ids": items[0].inputs["input_ids"][None]}, (items[0].length,))

    def forward(self, batch: Batch) -> Mapping[str, Tensor]:
        """Run."""
        self.root(batch.inputs["ids"])
        return {}


MEASURED = """
import resource, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_positions import Wide
from babelscope import corpora
from babelscope.capture.position_encoding import encode_positions, plan_positions
from babelscope.models import Model
corpus = corpora.load("manifest", path={manifest!r})
model = Model("wide", {{"text": Wide()}}, ())
encode_positions(model, corpus.select(n=2, modalities=['text']), {output!r} + ".first.tokens", n=2)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
encode_positions(model, corpus, {output!r} + ".tokens", n=999)
plan = plan_positions(model, corpus, 999)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, plan.memory // 1024, plan.disk // 1024)
"""


def test_memory_is_that_of_one_utterance_however_many_there_are(tmp_path: Path) -> None:
    """The store is twenty times what may be in memory, and the peak does not pass what the plan says."""
    rows = ["sentence,language,text"] + [f"s{number:02},xa,{'ab cd ' * 20}{number}" for number in range(48)]
    (tmp_path / "m.csv").write_text("\n".join(rows))
    program = MEASURED.format(
        tests=str(Path(__file__).parent), manifest=str(tmp_path / "m.csv"), output=str(tmp_path / "out")
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    grown, allowed, stored = (int(number) for number in ran.stdout.split())
    assert stored > 20 * allowed
    assert grown <= allowed, f"{grown} KiB more for {stored} KiB of positions, where {allowed} KiB were foretold"
