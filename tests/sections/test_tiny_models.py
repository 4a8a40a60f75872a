"""Every section runs to its end on speech LLMs in their released layouts."""

from __future__ import annotations

from pathlib import Path

import pytest

from babelscope.study import Study, run
from babelscope.testing import tiny

REST = (
    "voxtral",
    "granite-speech",
    "phi-4-multimodal",
    "audio-flamingo-3",
    "qwen3-asr",
    "qwen2.5-omni",
    "qwen3-omni",
    "gemma-3n",
    "gemma-4",
)


@pytest.mark.usefixtures("whole_pages")
@pytest.mark.parametrize("name", ["glm-asr", *(pytest.param(name, marks=pytest.mark.slow) for name in REST)])
def test_a_tiny_model_runs_every_section(name: str, tmp_path: Path, manifest: Path) -> None:
    study = Study.parse(
        {
            "output": str(tmp_path / "out"),
            "measures": ["linear_cka"],
            "controls": ["none"],
            "kinds": ["modality_similarity"],
            "permutations": 49,
            "intervals": False,
            "compute_baselines": False,
            "points": ["shared.*"],
            "corpus": {"source": "manifest", "path": str(manifest), "languages": ["xa", "xb"], "n": 8},
            "model": {"name": f"hf:{tiny(name, tmp_path / 'tiny')}"},
            "neurons": {"permutations": 99, "points": ["shared.layer.1"]},
            "patch": {"n": 8, "points": ["shared.layer.1"], "kinds": ["centroid"], "draws": 20},
            "lens": {"n": 8, "permutations": 99, "points": ["shared.layer.1"], "shown": 1},
            "tasks": {},
        }
    )
    result = run(study).result
    told = result.meta["sections"]
    assert {"neurons", "patch", "lens", "lens_languages", "lens_readings"} <= set(result.tables)
    assert set(result.tables["lens"]["by"]) == {"output layer"}
    kl = result.tables["patch"].query("outcome == 'kl' and language == 'mean'")
    assert len(kl) == 1 and kl["plain"].item() > 0 and not told["patch"]["notes"]
    assert told["tasks"]["notes"] == [
        "tasks: corpus manifest has no topics (category) and no questions among its labels"
    ]
    assert (tmp_path / "out" / "lens.html").is_file()
