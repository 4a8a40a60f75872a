"""Speech LLMs that nobody wrote a program for: tiny folders in the released layout, loaded by rules alone."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from babelscope import models
from babelscope.capture import Capture
from babelscope.errors import DataError, UsageError
from babelscope.models.adapters import prompts, speech_llm, towers
from babelscope.models.adapters.counting import Chain, chain_through
from babelscope.models.adapters.processors import Processors
from babelscope.models.adapters.recordings import noise
from babelscope.models.adapters.tracing import trace
from babelscope.sides import Model, Side
from babelscope.study import Study, run
from babelscope.testing import tiny
from babelscope.verification import difference, watch

#: Every tiny speech LLM.
NAMES = (
    "audio-flamingo-3",
    "embedding-gemma-2",
    "gemma-3n",
    "gemma-4",
    "gemma-4-unified",
    "glm-asr",
    "granite-speech",
    "granite-speech-plus",
    "phi-4-multimodal",
    "qwen2-audio",
    "qwen2.5-omni",
    "qwen3-asr",
    "qwen3-omni",
    "voxtral",
    "voxtral-realtime",
)


def load(folder: Path, **options: Any) -> Model:
    """Load a folder by rules alone."""
    return models.load(f"hf:{folder}", options=options)


@pytest.fixture(scope="session")
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny folder, by name."""
    return tiny(request.param, tmp_path_factory.mktemp("tiny") / request.param)


@pytest.fixture(scope="session")
def loaded(folder: Path) -> Model:
    """The same, loaded."""
    return load(folder)


def _study(folder: Path, manifest: Path, output: Path) -> None:
    """Run a whole study on a tiny speech LLM, and read its report."""
    study = Study.parse(
        {
            "name": "tiny",
            "output": str(output),
            "permutations": 19,
            "measures": ["linear_cka"],
            "corpus": {"source": "manifest", "path": str(manifest), "languages": ["xa", "xb"], "n": 8},
            "model": {"name": f"hf:{folder}"},
        }
    )
    outcome = run(study)
    model = outcome.result.meta["model"]
    stages = {row["name"]: row["stage"] for side in model["sides"] for row in side["points"]}
    assert stages["text.embeddings"] == "front end"
    assert stages["shared.norm"] == "shared"
    assert "length adaptation" in stages.values()
    assert np.isfinite(outcome.result.scores["value"]).any()
    page = " ".join(html.unescape(outcome.report.read_text(encoding="utf-8")).split())
    measured = [note for note in model["notes"] if note.startswith(("Text: ", "Speech: "))]
    assert len(measured) == 2, "what was measured of each side when it was loaded is told"
    for note in measured:
        assert note in page


@pytest.mark.parametrize("folder", ["granite-speech", "gemma-4-unified"], indirect=True)
def test_a_whole_study_runs_from_a_folder_to_a_report(folder: Path, manifest: Path, tmp_path: Path) -> None:
    _study(folder, manifest, tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize(
    "folder", [name for name in NAMES if name not in ("granite-speech", "gemma-4-unified")], indirect=True
)
def test_every_whole_study_runs_from_a_folder_to_a_report(folder: Path, manifest: Path, tmp_path: Path) -> None:
    _study(folder, manifest, tmp_path / "out")


@pytest.mark.parametrize("folder", ["granite-speech"], indirect=True)
def test_a_model_that_nobody_wrote_a_program_for_is_read_by_rules(loaded: Model) -> None:
    speech, text = loaded.sides["speech"], loaded.sides["text"]
    stages = {point.name: str(point.stage) for point in speech.points}
    assert stages["speech.front.input_linear"] == "front end"
    assert stages["speech.layer.0"] == "encoder"
    assert stages["speech.projector.projector"] == "length adaptation"
    assert stages["shared.norm"] == "shared"
    assert [point.name for point in text.points][:2] == ["text.embeddings", "shared.input"]
    assert not speech.exact_in_batches, "no mask reaches this tower"
    assert any("one at a time" in note for note in loaded.notes)
    # three tokens of every fifteen positions of the tower, as its processor counts them
    for samples in (4_001, 20_777, 33_333):
        item = speech.prepare(noise(samples), "en")
        last = next(point for point in speech.points if point.name == "shared.norm")
        frames = (samples // 160 + 1) // 2
        assert item.positions_at(last) == -(-frames // 15) * 3
        with Capture(speech) as capture:
            capture.run(speech.collate([item]))


@pytest.mark.parametrize("folder", ["granite-speech"], indirect=True)
def test_text_and_speech_agree_with_the_model_s_own_forward_pass(loaded: Model) -> None:
    for side, given_item in ((loaded.sides["speech"], noise(20_777)), (loaded.sides["text"], "abc def ghi")):
        assert _worst_against_reference(side, given_item) <= 1e-5


def _worst_against_reference(side: Side, given_item: Any) -> float:
    item = side.prepare(given_item, "en")
    values, _ = watch(side, side.collate([item]))
    reference = side.reference(given_item, "en")
    assert reference is not None
    worst = 0.0
    for point in side.points:
        valid = item.positions_at(point)
        assert point.name in reference
        worst = max(worst, difference(values[point.name][0][:valid], reference[point.name][:valid].cpu()))
    return worst


@pytest.mark.parametrize("folder", ["gemma-4-unified"], indirect=True)
def test_a_prompt_of_the_user_s_holds_text_and_speech_in_the_same_place(folder: Path) -> None:
    model = load(folder, prompt="Say: {} !")
    text, speech = model.sides["text"], model.sides["speech"]
    written, spoken = text.prepare("the train", "en"), speech.prepare(noise(9_000), "en")
    norm = next(point for point in text.points if point.name == "shared.norm")
    start, count = written.start_at(norm), written.positions_at(norm)
    ids = written.inputs["input_ids"][0].tolist()
    heard = spoken.inputs["input_ids"][0].tolist()
    assert ids[: start - 1] == heard[: start - 1], "the same words come before"
    tail = len(ids) - start - count
    assert tail > 0
    assert ids[-tail:] == heard[-tail:], "the same words come behind"
    assert written.total_at(norm) == count + tail, "and what stands behind is not pooled"
    assert model.options["prompt"] == "Say: {} !"
    with pytest.raises(UsageError, match=r"write \{\} once"):
        load(folder, prompt="Say this")


@pytest.mark.parametrize("folder", ["gemma-4-unified"], indirect=True)
def test_what_stands_behind_a_sentence_is_not_pooled_and_does_not_reach_a_causal_model(loaded: Model) -> None:
    side = loaded.sides["text"]
    item = side.prepare("the train", "en")
    values, _ = watch(side, side.collate([item]))
    norm = next(point for point in side.points if point.name == "shared.norm")
    valid = item.positions_at(norm)
    cut = {name: tensor[:, : item.start_at(norm) + valid] for name, tensor in item.inputs.items()}
    alone = trace_norm(side, cut, norm.module)
    with Capture(side) as capture:
        pooled = capture.run(side.collate([item]))["shared.norm"][0]
    torch.testing.assert_close(pooled, values["shared.norm"][0][:valid].mean(dim=0), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(values["shared.norm"][0][:valid], alone[0, item.start_at(norm) :], rtol=1e-4, atol=1e-5)


def trace_norm(side: Side, inputs: dict[str, torch.Tensor], module: str) -> torch.Tensor:
    """Return what a module gives for inputs."""
    kept: list[torch.Tensor] = []
    handle = side.root.get_submodule(module).register_forward_hook(lambda _, __, output: kept.append(output))
    with torch.inference_mode():
        side.root(**inputs, use_cache=False)
    handle.remove()
    return kept[0]


@pytest.mark.parametrize("folder", ["gemma-4-unified"], indirect=True)
def test_a_text_with_the_placeholder_of_a_recording_is_refused(loaded: Model) -> None:
    side: Any = loaded.sides["text"]
    word = side.tokenizer.convert_ids_to_tokens(side.token)
    with pytest.raises(DataError, match="placeholder"):
        side.prepare(f"the {word} train", "en")
    with pytest.raises(DataError, match="empty"):
        side.prepare("  ", "en")


class _Letters:
    """A tokenizer of letters, as plain as they come."""

    bos_token = "^"
    is_fast = False

    def __call__(self, text: str, add_special_tokens: bool = True, **_: Any) -> dict[str, list[int]]:
        return {"input_ids": [*([0] if add_special_tokens else []), *map(ord, text)]}

    def apply_chat_template(self, messages: Any, chat_template: str, **_: Any) -> str:
        content = messages[0]["content"]
        if chat_template == "plain":
            return f"^user: {content} assistant:"
        inside = "".join("<|begin|><|audio|><|end|>" if part["type"] == "audio" else part["text"] for part in content)
        return f"^user: {inside} assistant:"


def test_a_chat_template_gives_the_prompt_with_its_marks_around_audio() -> None:
    made = prompts.from_template(_Letters(), "rich", "<|audio|>")
    assert made.text == "^user: {} assistant:"
    assert made.speech == "^user: <|begin|>{}<|end|> assistant:"
    assert made.recorded() == {"prompt": made.text, "prompt_speech": made.speech}


def test_a_chat_template_of_plain_contents_holds_the_placeholder_itself() -> None:
    made = prompts.from_template(_Letters(), "plain", "<|audio|>")
    assert made.text == made.speech == "^user: {} assistant:"
    assert made.recorded() == {"prompt": made.text}


def test_without_a_chat_template_sentences_stand_alone_and_a_note_says_so() -> None:
    made = prompts.from_template(_Letters(), None, "<|audio|>")
    assert (made.text, made.speech) == ("{}", "{}")
    assert "no chat template" in made.notes[0]


def test_a_sentence_s_own_tokens_are_found_in_its_prompt() -> None:
    placed = prompts.place(_Letters(), ("^a:", "!"), "xyz")
    assert placed.ids[placed.start : placed.start + placed.count] == tuple(map(ord, "xyz"))
    assert placed.ids[0] == ord("^"), "a prompt that begins with the first special token gets no second one"


@given(stride=st.integers(1, 9), offset=st.integers(-3, 12), hop=st.sampled_from([1, 160]))
def test_a_chain_of_strides_is_found_from_its_lengths(stride: int, offset: int, hop: int) -> None:
    chain = Chain(stride, offset)
    found = chain_through(
        lambda samples: samples // hop, lambda samples: chain(samples // hop), 120 * hop, 800 * hop, hop
    )
    assert found == chain


@given(chunk=st.sampled_from([100, 200]), stride=st.sampled_from([2, 4, 8]))
def test_chunks_are_found_from_their_lengths(chunk: int, stride: int) -> None:
    chain = Chain(stride, stride - 1, chunk)
    found = chain_through(int, chain, 129, 798, chunks=[50, chunk, 300])
    assert found is not None
    assert all(found(steps) == chain(steps) for steps in range(129, 799))


def test_lengths_that_no_formula_explains_are_left_alone() -> None:
    generator = np.random.default_rng(0)
    assert chain_through(int, lambda steps: int(steps / 3 + generator.integers(0, 4)), 100, 800, chunks=[50]) is None


class _Deaf(nn.Module):
    """Reads alone, whatever it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(8, 4)
        self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(2)])

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self.embed(input_ids)
        for layer in self.layers:
            hidden = layer(hidden)
        return hidden


def test_a_model_that_does_nothing_more_for_a_recording_is_refused_in_one_line() -> None:
    root = _Deaf()
    noted = trace(root, lambda: root(torch.zeros(1, 3, dtype=torch.long)))
    with pytest.raises(DataError, match="no audio tower or projector") as caught:
        towers.find(root, noted, noted, lambda spot: None)
    assert "\n" not in str(caught.value)


def test_whatever_a_strange_model_raises_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("sizes differ\nat many places")

    monkeypatch.setattr(speech_llm, "_Builder", fail)
    with pytest.raises(DataError, match=r"_Deaf cannot be read by rules .*sizes differ") as caught:
        speech_llm._build(_Deaf(), Processors(None, None, None, None), "", tmp_path)
    assert "\n" not in str(caught.value)
