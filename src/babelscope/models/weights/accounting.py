"""Every array has its place: a model is filled key by key; what is missing, left over or of another shape is named."""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

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
    if (folder / "model.safetensors.index.json").is_file():
        return _named_files(folder, "model.safetensors")
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


def folder_files(folder: Path) -> list[Path]:
    """Return the files with a folder's weights: safetensors where there are any, else PyTorch's ``pytorch_model.bin``.

    Of either kind those that the index names count, if there is one.

    Raises
    ------
    DataError
        If there is none, a file that the index names is not there, or the index is damaged.
    """
    if (folder / "model.safetensors.index.json").is_file() or (folder / "model.safetensors").is_file():
        return _named_files(folder, "model.safetensors")
    if (folder / "pytorch_model.bin.index.json").is_file() or (folder / "pytorch_model.bin").is_file():
        return _named_files(folder, "pytorch_model.bin")
    raise DataError(f"weights: {folder} holds neither model.safetensors nor pytorch_model.bin, whole or with an index")


def _named_files(folder: Path, whole: str) -> list[Path]:
    index = folder / f"{whole}.index.json"
    if not index.is_file():
        return [folder / whole]
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"weights: {index} is damaged ({error}): fetch it again") from error
    for name in names:
        if Path(name).name != name or not (folder / name).is_file():
            raise DataError(f"weights: {folder} lacks {name}, which its index names: fetch it again")
    return [folder / name for name in names]


def folder_arrays(files: Sequence[Path], wanted: Callable[[str], bool]) -> Iterator[tuple[str, Tensor]]:
    """Yield the arrays of :func:`folder_files` whose names are `wanted`, one at a time.

    Raises
    ------
    DataError
        If a file is cut short or damaged, or holds anything but tensors.
    """
    for file in files:
        if file.suffix == ".safetensors":
            yield from safetensors_arrays([file], wanted)
        else:
            held = read_checkpoint(file)
            yield from ((name, array) for name, array in _tensors(held, file).items() if wanted(name))


def read_checkpoint(file: Path) -> Mapping[str, Any]:
    """Read a PyTorch file of tensors in plain containers, running nothing that it says (``weights_only``).

    Tensors are mapped from the disk where the format allows it, so that a file of 9 GB is not in memory beside the
    model that is filled from it.

    Raises
    ------
    DataError
        If the file is not there, is cut short, holds other objects, or is no table.
    """
    if not file.is_file():
        raise DataError(f"weights: there is no file {file}")
    try:
        checkpoint = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, LookupError, ValueError, AttributeError,
            TypeError) as error:  # fmt: skip
        named = re.search(r"GLOBAL (\S+)", str(error))
        if isinstance(error, pickle.UnpicklingError) and named:
            raise DataError(
                f"weights {file} hold more than tensors ({named.group(1)}), and to read that would run code from the "
                f"file: save its tensors alone"
            ) from error
        reason = str(error).split("\n", 1)[0]
        raise DataError(f"weights {file} are cut short or damaged ({reason}): fetch them again") from error
    if not isinstance(checkpoint, Mapping):
        raise DataError(f"weights {file} are no table of tensors, but a {type(checkpoint).__name__}")
    return checkpoint


def pickled_arrays(file: Path, whose: str = "fairseq or fairseq2") -> dict[str, Tensor]:
    """Read the tensors of a ``.pt`` checkpoint's ``model``; see :func:`read_checkpoint`.

    Parameters
    ----------
    file : Path
    whose : str
        Whose checkpoint it should be, for messages.

    Raises
    ------
    DataError
        As :func:`read_checkpoint`; or if there is no ``model``, or something in it is not a tensor.
    """
    return model_arrays(read_checkpoint(file), file, whose)


def model_arrays(checkpoint: Mapping[str, Any], file: Path, whose: str) -> dict[str, Tensor]:
    """Return the tensors under ``model`` in what :func:`read_checkpoint` gave.

    Raises
    ------
    DataError
        If there is no ``model``, or something in it is not a tensor.
    """
    model = checkpoint.get("model")
    if not isinstance(model, Mapping) or not model:
        found = ", ".join(sorted(map(str, checkpoint))[:5])
        raise DataError(f"weights {file} have no 'model' (found: {found}): they are no checkpoint of {whose}")
    return _tensors(model, file, " under 'model'")


def _tensors(held: Mapping[Any, Any], file: Path, where: str = "") -> dict[str, Tensor]:
    for name, value in held.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise DataError(f"weights {file}: {name!r}{where} is not a tensor")
    return dict(held)


def renamed(
    held: Mapping[str, Tensor], rules: Sequence[tuple[str, str]], left_behind: str = ""
) -> tuple[dict[str, Tensor], list[str]]:
    """Rename arrays.

    Parameters
    ----------
    held : mapping of str to Tensor
    rules : sequence of (str, str)
        Regular expression for a whole name, and what becomes of it; the first that fits counts.
    left_behind : str
        Regular expression for the names of what is not needed.

    Returns
    -------
    state : dict of str to Tensor
    unknown : list of str
        Names that fit no rule, or would become one that is taken.
    """
    compiled = [(re.compile(old), new) for old, new in rules]
    unneeded = re.compile(left_behind or r"(?!)")
    state: dict[str, Tensor] = {}
    unknown: list[str] = []
    for name, array in held.items():
        found = next((match.expand(new) for old, new in compiled if (match := old.fullmatch(name))), None)
        if found is not None and found not in state:
            state[found] = array
        elif not unneeded.fullmatch(name):
            unknown.append(name)
    return state, unknown


def refuse(unknown: Sequence[str], path: Path | str, whose: str) -> None:
    """Refuse a file with arrays that nobody asked for.

    Raises
    ------
    DataError
        If there is any; the first few are named.
    """
    if unknown:
        raise DataError(
            f"weights {path} hold {len(unknown)} arrays that {whose} has no place for: "
            f"{', '.join(map(repr, unknown[:5]))}{', …' if len(unknown) > 5 else ''}"
        )


def with_axes(state: Mapping[str, Tensor], name: str, axes: int, path: Path) -> Tensor:
    """Return an array that tells sizes.

    Raises
    ------
    DataError
        If it is not there, is empty, or has another number of axes.
    """
    if name not in state:
        raise DataError(f"weights {path} lack the array that becomes {name!r}: they are not complete")
    if state[name].ndim != axes or 0 in state[name].shape:
        raise DataError(f"weights {path}: {name!r} has the shape {tuple(state[name].shape)}, not {axes} axes")
    return state[name]


def account(
    held: Mapping[str, Tensor], expected: Mapping[str, Tensor], source: str, optional: Sequence[str] = ()
) -> None:
    """Compare arrays with those that a model needs, by name and shape, and copy nothing: see :func:`fill`.

    Raises
    ------
    DataError
        If an array is missing, left over, or has another shape.
    """
    for name, array in held.items():
        if name in expected:
            _same_shape(name, array, expected[name], source)
    _complete(expected, held.keys(), [name for name in held if name not in expected], source, optional)


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
        _same_shape(name, array, expected[name], source)
        expected[name].copy_(array)
        filled.add(name)
    _complete(expected, filled, unexpected, source, optional)


def _same_shape(name: str, array: Tensor, target: Tensor, source: str) -> None:
    if array.shape != target.shape:
        raise DataError(
            f"weights {source}: {name!r} has shape {tuple(array.shape)} where {tuple(target.shape)} belongs: they "
            "are another model's, or the config is"
        )


def _complete(
    expected: Mapping[str, Tensor],
    there: Collection[str],
    unexpected: Sequence[str],
    source: str,
    optional: Sequence[str],
) -> None:
    missing = [name for name in expected if name not in there and not name.endswith(tuple(optional) or ("\0",))]
    if missing:
        raise DataError(f"weights {source} lack {_some(missing)}: they are another model's, or cut short")
    if unexpected:
        raise DataError(f"weights {source} hold {_some(unexpected)} that this model has no place for")


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in sorted(names)[:3])
    return f"{len(names)} arrays, such as {shown}," if len(names) > 3 else f"the array{'s' * (len(names) > 1)} {shown}"
