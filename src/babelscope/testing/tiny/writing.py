"""One writer for all tiny models of transformers: a folder as released, from a description of it.

Names and dtypes of the arrays are those of the released files, which often are an older version's of the class; the
renaming is written out with each architecture and not taken from the library's own tables, so that the two are tested
against each other.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Settings = dict[str, Any]


@dataclass(frozen=True)
class Released:
    """What a released folder holds.

    Parameters
    ----------
    model : str
        The hub id whose layout and spelling this is: known from its published files where the tests find an index or a
        configuration of it, else from the class's own documentation and conversions.
    config : dict
        Its ``config.json`` with smaller sizes.
    files : dict
        Further files by name: a dict is written as JSON, a string as it is.
    tokenizer : callable, optional
        Makes the tokenizer, whose ``tokenizer.json`` is written.
    renamed : tuple of (str, str)
        Regular expressions from the class's names to the released ones; the first that matches is applied.
    added : tuple of (str, tuple of int)
        Names and shapes of arrays that the released files hold and the class has no place for.
    other_weights : dict
        Further files of weights, with names and shapes of their arrays.
    shards : int
        How many files the weights are in.
    dtype : str
        Of the arrays.
    kept : str
        Regular expression of names that are float32 whatever `dtype` is.
    sizes : tuple of str
        Keys of `config` that the released file leaves to the class's defaults, with dots between levels.
    whole : str
        The class of all the weights, where ``architectures`` names one that is gone.
    loaded_as : str
        The class that hears and reads, where it is a part of that.
    """

    model: str
    config: Settings
    files: Mapping[str, Settings | list[Any] | str] = field(default_factory=dict)
    tokenizer: Callable[[], Any] | None = None
    renamed: Sequence[tuple[str, str]] = ()
    added: Sequence[tuple[str, tuple[int, ...]]] = ()
    other_weights: Mapping[str, Sequence[tuple[str, tuple[int, ...]]]] = field(default_factory=dict)
    shards: int = 1
    dtype: str = "float32"
    kept: str = "^$"
    sizes: Sequence[str] = ()
    whole: str = ""
    loaded_as: str = ""


def write(released: Released, folder: Path) -> Path:
    """Write a folder: configuration, weights, and whatever else the released one holds.

    Returns
    -------
    Path
        The folder.
    """
    from safetensors.torch import save_file

    _json(folder / "config.json", released.config)
    for name, content in released.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        else:
            _json(path, content)
    if released.tokenizer is not None:
        released.tokenizer().backend_tokenizer.save(str(folder / "tokenizer.json"))
    _write_weights(released, folder)
    for name, arrays in released.other_weights.items():
        content = {array: drawn(f"{name}/{array}", shape) for array, shape in arrays}
        save_file(content, folder / name, {"format": "pt"})
    return folder


def _json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_weights(released: Released, folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    arrays = {name: drawn(name, shape, kind) for name, shape, kind in sorted(_arrays(released, folder))}
    narrow = getattr(torch, released.dtype)
    for name, array in arrays.items():
        if array.is_floating_point() and not re.search(released.kept, name):
            arrays[name] = array.to(narrow)
    if released.shards == 1:
        save_file(arrays, folder / "model.safetensors", {"format": "pt"})
        return
    files: dict[str, dict[str, Tensor]] = {}
    for number, (name, array) in enumerate(arrays.items()):
        shard = number * released.shards // len(arrays) + 1
        files.setdefault(f"model-{shard:05}-of-{released.shards:05}.safetensors", {})[name] = array
    for file, content in files.items():
        save_file(content, folder / file, {"format": "pt"})
    total = sum(array.nbytes for array in arrays.values())
    where = {name: file for file, content in files.items() for name in content}
    _json(folder / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": where})


def _arrays(released: Released, folder: Path) -> list[tuple[str, tuple[int, ...], bool]]:
    """Return name as released, shape, and whether it is of floating point, of every array of the file."""
    import torch
    import transformers

    from babelscope.models.adapters.quirks import building

    config = transformers.AutoConfig.from_pretrained(folder)
    kind = getattr(transformers, released.whole or released.config["architectures"][0])
    with torch.device("meta"), building(config):
        model = kind(config)
    left_out = set(model.all_tied_weights_keys) | set(model._keys_to_ignore_on_save or ())
    arrays: list[tuple[str, tuple[int, ...], bool]] = []
    for name, tensor in model.state_dict().items():
        if name not in left_out:
            for split, shape in _separate(name, tuple(tensor.shape)):
                arrays.append((_as_released(split, released.renamed), shape, tensor.is_floating_point()))
    return [*arrays, *((name, shape, True) for name, shape in released.added)]


def _as_released(name: str, rules: Sequence[tuple[str, str]]) -> str:
    for pattern, replacement in rules:
        changed, count = re.subn(pattern, replacement, name)
        if count:
            return changed
    return name


def _separate(name: str, shape: tuple[int, ...]) -> list[tuple[str, tuple[int, ...]]]:
    """Return experts one by one: today's classes keep all of a layer in one array, released files do not."""
    head, fused, last = name.partition(".experts.")
    if not fused or last not in ("gate_up_proj", "down_proj"):
        return [(name, shape)]
    count, rows, columns = shape
    if last == "down_proj":
        return [(f"{head}.experts.{index}.down_proj.weight", (rows, columns)) for index in range(count)]
    return [
        (f"{head}.experts.{index}.{gate}_proj.weight", (rows // 2, columns))
        for index in range(count)
        for gate in ("gate", "up")
    ]


def drawn(name: str, shape: tuple[int, ...], floating: bool = True) -> Tensor:
    """Draw an array, wide: norms are not 1, biases not 0, so that what leaks between utterances shows.

    Parameters
    ----------
    name : str
        Decides the spread, and with `shape` the numbers: the same name gives the same bits.
    shape : tuple of int
    floating : bool
        Integers (counters) are zero.
    """
    import torch

    if not floating:
        return torch.zeros(shape, dtype=torch.int64)
    # the one generator whose stream is promised never to change
    generator = np.random.RandomState(zlib.crc32(name.encode("utf-8")))
    array = generator.standard_normal(shape)
    if name.endswith("running_var"):
        array = 0.5 + np.abs(array)
    elif name.endswith(("weight_g", "layer_scale", "per_dim_scale")):
        array = 0.5 + 0.2 * np.abs(array)
    elif re.search(r"(input|output)_(min|max)$", name):
        array = np.full(shape, -50.0 if name.endswith("min") else 50.0)
    elif name.endswith("layer_scalar"):
        array = 0.9 + 0.1 * np.abs(array)
    elif re.search(r"[qk]_norm|post_\w+norm", name):  # small enough that layers do not enlarge what was rounded
        array = 0.5 + 0.1 * array
    elif re.search(r"norm|\bln_|LayerNorm", name) and name.endswith("weight"):
        array = 1 + 0.3 * array
    elif name.endswith(("embeddings.weight", "embed_tokens.weight", "shared.weight")):
        array = 0.7 * array
    elif len(shape) < 2:
        array = 0.3 * array
    else:
        array = 1.3 * array / np.prod(shape[1:]) ** 0.5
    return torch.from_numpy(array.astype(np.float32))
