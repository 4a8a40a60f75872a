"""Every array has its place: a model is filled key by key; what is missing, left over or of another shape is named."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from babelscope.errors import DataError


def safetensors_files(folder: Path) -> list[Path]:
    """Return a folder's weights: the shards that its index names, or its only ``*.safetensors``.

    Raises
    ------
    DataError
        If there is none, a shard that the index names is not there, or the index is damaged.
    """
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"weights: {index} is damaged ({error}): fetch it again") from error
        for name in names:
            if Path(name).name != name or not (folder / name).is_file():
                raise DataError(f"weights: {folder} lacks {name}, which its index names: fetch it again")
        return [folder / name for name in names]
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise DataError(f"weights: {folder} holds no *.safetensors (pickled weights are not read)")
    return files


def safetensors_arrays(files: Sequence[Path], wanted: Callable[[str], bool]) -> Iterator[tuple[str, Tensor]]:
    """Yield the arrays whose names are `wanted`, one at a time, so that no file is in memory whole.

    Raises
    ------
    DataError
        If a file is cut short or damaged.
    """
    import safetensors

    for file in files:
        try:
            with safetensors.safe_open(file, framework="pt") as handle:
                for name in handle.keys():  # noqa: SIM118 (not a mapping)
                    if wanted(name):
                        yield name, handle.get_tensor(name)
        except (safetensors.SafetensorError, OSError) as error:
            raise DataError(f"weights {file} are cut short or damaged ({error}): fetch them again") from error


def pickled_arrays(file: Path) -> dict[str, Tensor]:
    """Read the tensors of a ``.pt`` checkpoint's ``model``, running nothing that the file says (``weights_only``).

    Raises
    ------
    DataError
        If the file is not there, is cut short, or holds anything that is not a tensor.
    """
    if not file.is_file():
        raise DataError(f"weights: there is no file {file}")
    try:
        # mapped, so that a file of 9 GB is not in memory beside the model that is filled from it
        checkpoint = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except pickle.UnpicklingError as error:
        reason = str(error).split("\n", 1)[0]
        raise DataError(
            f"weights {file} hold more than tensors, or are damaged, and are not read ({reason}): fetch them again"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
        reason = str(error).split("\n", 1)[0]
        raise DataError(f"weights {file} are cut short or damaged ({reason}): fetch them again") from error
    model = checkpoint.get("model") if isinstance(checkpoint, Mapping) else None
    if not isinstance(model, Mapping) or not model:
        raise DataError(f"weights {file} are not a checkpoint of fairseq or fairseq2: they have no 'model'")
    for name, value in model.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise DataError(f"weights {file}: {name!r} under 'model' is not a tensor")
    return dict(model)


@torch.no_grad()
def fill(
    expected: Mapping[str, Tensor], arrays: Iterable[tuple[str, Tensor]], source: str, optional: Sequence[str] = ()
) -> None:
    """Copy arrays into the tensors of the same names, in the tensors' own dtype.

    Parameters
    ----------
    expected : mapping of str to Tensor
        Every tensor that must be filled.
    arrays : iterable of (str, Tensor)
        Under the names of `expected`.
    source : str
        Where they come from, for messages.
    optional : sequence of str
        Ends of names that may be missing, because nothing that is computed uses them.

    Raises
    ------
    DataError
        If an array is missing, comes twice, is left over, or has another shape; the first few are named.
    """
    filled: set[str] = set()
    unexpected: list[str] = []
    for name, array in arrays:
        if name not in expected:
            unexpected.append(name)
            continue
        if name in filled:
            raise DataError(f"weights {source} hold {name!r} twice")
        target = expected[name]
        if array.shape != target.shape:
            raise DataError(
                f"weights {source}: {name!r} has shape {tuple(array.shape)} where {tuple(target.shape)} belongs: they "
                "are another model's, or the config is"
            )
        target.copy_(array)
        filled.add(name)
    missing = [name for name in expected if name not in filled and not name.endswith(tuple(optional) or ("\0",))]
    if missing:
        raise DataError(f"weights {source} lack {_some(missing)}: they are another model's, or cut short")
    if unexpected:
        raise DataError(f"weights {source} hold {_some(unexpected)} that this model has no place for")


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in sorted(names)[:3])
    return f"{len(names)} arrays, such as {shown}," if len(names) > 3 else f"the array{'s' * (len(names) > 1)} {shown}"
