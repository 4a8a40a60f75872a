"""Every name of a released index has its place in today's classes, and what has none is refused before any download."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import safetensors

from babelscope.errors import DataError
from babelscope.models.adapters.index import INDEX, check_index, read_index
from babelscope.models.adapters.loading import read_configuration
from babelscope.models.weights.renaming import unplaced_names
from babelscope.testing import tiny

RELEASED = Path(__file__).parents[2].parent / "shared" / "data" / "released"

#: Released models whose index is known, and how many names it has.
_INDEXES = {
    "Qwen--Qwen2-Audio-7B": 876,
    "Qwen--Qwen2-Audio-7B-Instruct": 876,
    "Qwen--Qwen2.5-Omni-3B": 2544,
    "Qwen--Qwen2.5-Omni-7B": 2448,
    "facebook--seamless-m4t-v2-large": 2232,
    "ibm-granite--granite-speech-4.1-2b-plus": 953,
    "mistralai--Voxtral-Mini-3B-2507": 762,
    "mistralai--Voxtral-Small-24B-2507": 852,
    "nvidia--audio-flamingo-3-hf": 830,
}


@pytest.mark.parametrize("name", _INDEXES)
def test_every_name_of_a_released_index_has_its_place(name: str) -> None:
    if not (RELEASED / name / INDEX).is_file():
        pytest.skip(f"{RELEASED / name / INDEX} is not here")
    index = check_index(RELEASED / name)
    assert index is not None and len(index.names) == _INDEXES[name] and index.size > 0


def _with_index(folder: Path, names: list[str]) -> Path:
    told = {
        "metadata": {"total_size": 16 * 10**9},
        "weight_map": dict.fromkeys(names, "model-00001-of-00001.safetensors"),
    }
    (folder / INDEX).write_text(json.dumps(told))
    return folder


def _names(folder: Path) -> list[str]:
    names: list[str] = []
    for file in folder.glob("*.safetensors"):
        with safetensors.safe_open(file, framework="pt") as handle:
            names += list(handle.keys())
    return names


@pytest.mark.parametrize("name", ["qwen2-audio", "xlm-r", "qwen3", "nllb"])
def test_an_index_that_does_not_fit_is_refused(name: str, tmp_path: Path) -> None:
    folder = tiny(name, tmp_path)
    names = _names(folder)
    for file in folder.glob("*.safetensors"):
        file.unlink()
    found = check_index(_with_index(folder, names))
    assert found is not None and sorted(found.names) == sorted(names)

    gone = next(each for each in names if "layers.0." in each.replace("layer.", "layers.") and "decoder" not in each)
    with pytest.raises(DataError, match=r"lack 1 arrays of the model"):
        check_index(_with_index(folder, [each for each in names if each != gone]))
    with pytest.raises(DataError, match=r"hold 1 arrays that \w+ has no place for, such as 'further\.weight'"):
        check_index(_with_index(folder, [*names, "further.weight"]))


def test_an_index_that_is_damaged_is_one_line(tmp_path: Path) -> None:
    (tmp_path / INDEX).write_text('{"weight_map": ["a"]}')
    with pytest.raises(DataError, match="weight_map names no files"):
        read_index(tmp_path)


def test_names_are_placed_as_transformers_places_them_when_it_loads(tmp_path: Path) -> None:
    """Of a model whose files are spelled otherwise than its class, with a name too few and one too many."""
    folder = tiny("qwen2-audio", tmp_path)
    configuration = read_configuration(folder)
    names = _names(folder)
    taken = next(each for each in names if "layers.0." in each and "audio_tower" in each)
    copy = shutil.copytree(folder, tmp_path / "copy")
    for file in copy.glob("*.safetensors"):
        with safetensors.safe_open(file, framework="pt") as handle:
            arrays = {each: handle.get_tensor(each) for each in handle.keys() if each != taken}  # noqa: SIM118
        arrays["further.weight"] = next(iter(arrays.values())).clone()
        safetensors.torch.save_file(arrays, file, {"format": "pt"})
    model_class: Any = configuration.model_class
    _, loading = model_class.from_pretrained(copy, config=configuration.config, output_loading_info=True)
    expected = unplaced_names(configuration.build(), {*names, "further.weight"} - {taken}, configuration.renamed)
    assert set(expected.missing) == set(loading["missing_keys"])
    assert set(expected.unexpected) == set(loading["unexpected_keys"])
