"""Patching: nothing changes without an edit, only an utterance's own positions do with one, and a replay is the run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from babelscope import models
from babelscope.capture import Capture
from babelscope.corpora import Corpus
from babelscope.errors import UsageError
from babelscope.interventions import Patched, Replay, Shift, Swap
from babelscope.interventions.edits import Edit, random_basis, rotated_at_random
from babelscope.models.base import Model, Point, Side
from babelscope.testing import tiny
from babelscope.testing.joint import joint_model
from conftest import tone

REST = (
    "gemma-3n",
    "voxtral",
    "granite-speech",
    "phi-4-multimodal",
    "audio-flamingo-3",
    "glm-asr",
    "qwen3-asr",
    "qwen2.5-omni",
)


@pytest.fixture(
    params=[
        pytest.param("pocket", marks=pytest.mark.plugins),
        "qwen2-audio",
        *(pytest.param(name, marks=pytest.mark.slow) for name in REST),
    ]
)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    if request.param == "pocket":
        return models.load("pocket", weights=str(request.getfixturevalue("pocket_folder")))
    return models.load(f"hf:{tiny(request.param, tmp_path_factory.mktemp('tiny') / request.param)}")


def shared(model: Model) -> list[Point]:
    return [one for one in model.sides["speech"].points if one.name in model.shared_points and one.layout == "btd"]


def run(side: Side, point: Point, edit: Edit | None, sizes: tuple[float, ...] = (1.1, 1.9)) -> dict[str, torch.Tensor]:
    items = [side.prepare(tone(seconds, 200, number), "xa") for number, seconds in enumerate(sizes)]
    items = items[:1] if side.runs_alone else items
    with Patched(side, point) as patched, Capture(side) as capture:
        patched.items, patched.edits = items, () if edit is None else [edit] * len(items)
        return dict(capture.run(side.collate(items)))


def test_a_patch_of_nothing_is_the_plain_run_to_the_bit(model: Model) -> None:
    side = model.sides["speech"]
    with Capture(side) as capture:
        items = [side.prepare(tone(seconds, 200, number), "xa") for number, seconds in enumerate((1.1, 1.9))]
        plain = capture.run(side.collate(items[:1] if side.runs_alone else items))
    for point in shared(model)[:2]:
        nothing: list[Edit | None] = [
            None,
            Shift(np.zeros(point.width)),
            Swap(np.zeros((0, point.width)), np.ones(point.width)),
        ]
        for edit in nothing:
            patched = run(side, point, edit)
            assert all(torch.equal(patched[name], plain[name]) for name in plain)


def test_a_shift_moves_the_pooled_vector_there_by_itself_and_reaches_the_output(model: Model) -> None:
    side = model.sides["speech"]
    for point in (shared(model)[0], shared(model)[-2]):
        vector = np.random.default_rng(0).standard_normal(point.width)
        plain, moved = run(side, point, None), run(side, point, Shift(vector))
        difference = (moved[point.name] - plain[point.name]).numpy()
        assert difference == pytest.approx(np.broadcast_to(vector, difference.shape), abs=1e-4)
        before = [one.name for one in side.points if one.name in plain]
        before = before[: before.index(point.name)]
        assert all(torch.equal(moved[name], plain[name]) for name in before)
        assert not torch.allclose(moved[model.shared_points[-1]], plain[model.shared_points[-1]], atol=1e-4)


def test_padding_and_prompts_are_not_touched(model: Model) -> None:
    side, point = model.sides["speech"], shared(model)[1]
    seen: list[torch.Tensor] = []
    module = side.root.get_submodule(point.module)

    def look(_: object, args: object, output: object) -> None:
        seen.append(point.activations(output).clone())

    items = [side.prepare(tone(seconds, 200, number), "xa") for number, seconds in enumerate((1.1, 1.9))]
    items = items[:1] if side.runs_alone else items
    batch = side.collate(items)
    with Patched(side, point) as patched:
        handle = module.register_forward_hook(look)
        for edits in ((), [Shift(np.full(point.width, 5.0))] * len(items)):
            patched.items, patched.edits = items, edits
            patched.begin()
            with torch.inference_mode():
                side.forward(batch)
        handle.remove()
    changed = (seen[1] - seen[0]).abs().amax(-1) > 1
    for row, item in enumerate(items):
        own = torch.zeros(changed.shape[1], dtype=torch.bool)
        own[item.start_at(point) : item.start_at(point) + item.positions_at(point)] = True
        assert torch.equal(changed[row], own)


def test_a_replay_gives_the_bits_of_the_whole_run_and_skips_what_comes_before(model: Model) -> None:
    side, point = model.sides["speech"], shared(model)[-2]
    items = [side.prepare(tone(seconds, 200, number), "xa") for number, seconds in enumerate((1.1, 1.9))]
    items = items[:1] if side.runs_alone else items
    batch, output = side.collate(items), model.shared_points[-1]
    last = Model("one", {"speech": side}, ()).select_points([output]).sides["speech"]
    edits = [Shift(np.linspace(-1, 1, point.width))] * len(items)
    ran: list[str] = []

    def count(module: torch.nn.Module, args: object) -> None:
        ran.append(type(module).__name__)

    with Patched(side, point) as patched, Capture(last) as capture:
        patched.items, replay = items, Replay(side, point)
        with replay.recording():
            plain = capture.run(batch)[output]
        handles = [one.register_forward_pre_hook(count) for one in side.root.modules()]
        whole = []
        for edit in ((), edits):
            patched.edits = edit
            patched.begin()
            whole.append(capture.run(batch)[output])
        modules, again = len(ran), []
        ran.clear()
        for edit in ((), edits):
            patched.edits = edit
            patched.begin()
            with replay.replaying():
                again.append(capture.run(batch)[output])
        for handle in handles:
            handle.remove()
        patched.edits = ()
        patched.begin()
        assert torch.equal(capture.run(batch)[output], plain)  # nothing is left behind
    assert torch.equal(whole[0], plain) and all(torch.equal(*pair) for pair in zip(whole, again, strict=True))
    assert not torch.equal(whole[0], whole[1])
    assert len(ran) < 0.7 * modules, (len(ran), modules)


def test_a_point_without_positions_is_refused(pocket_folder: Path) -> None:
    side = models.load("pocket", weights=str(pocket_folder)).sides["speech"]
    with pytest.raises(UsageError, match=r"point shared\.pooled has no positions"):
        Patched(side, side.points[-1])


def test_a_swap_brings_the_target_into_the_subspace_and_leaves_the_rest() -> None:
    generator = np.random.default_rng(0)
    basis = random_basis(generator.standard_normal((50, 8)), 3, generator)
    assert basis @ basis.T == pytest.approx(np.eye(3), abs=1e-12)
    target = generator.standard_normal(8)
    values = torch.from_numpy(generator.standard_normal((5, 8)))
    swap = Swap(basis, target)
    patched = swap(values).numpy()
    assert patched @ basis.T == pytest.approx(np.broadcast_to(target @ basis.T, (5, 3)))
    outside = np.eye(8) - basis.T @ basis
    assert patched @ outside == pytest.approx(values.numpy() @ outside)
    other = Swap(random_basis(generator.standard_normal((50, 8)), 3, generator), target, size_of=swap)
    sizes = [float(torch.linalg.vector_norm(one.change(values))) for one in (swap, other)]
    assert sizes[0] == pytest.approx(sizes[1])


def test_random_shifts_keep_sizes_and_angles_and_lie_in_the_data() -> None:
    generator = np.random.default_rng(1)
    shifts = generator.standard_normal((4, 10))
    sample = generator.standard_normal((60, 6)) @ generator.standard_normal((6, 10))
    drawn = rotated_at_random(shifts, sample, generator)
    assert drawn @ drawn.T == pytest.approx(shifts @ shifts.T)
    directions = np.linalg.svd(sample, full_matrices=False)[2][:6]
    assert drawn @ directions.T @ directions == pytest.approx(drawn)


def test_the_planted_model_is_as_its_points_say(tones: Corpus) -> None:
    model = joint_model(tones)
    side = model.sides["text"]
    assert model.shared_points == (
        "shared.input",
        "shared.layer.0",
        "shared.layer.1",
        "shared.layer.2",
        "shared.pooled",
    )
    items = [side.prepare(tones.text(sentence, "xa") or "", "xa") for sentence in tones.sentences[:3]]
    with Capture(side) as capture:
        together = capture.run(side.collate(items))
        alone = capture.run(side.collate(items[:1]))
    assert all(torch.allclose(together[name][:1], alone[name]) for name in alone)
