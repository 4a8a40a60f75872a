"""Every array has its place: a model is filled key by key; what is missing, left over or of another shape is named."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from babelscope.errors import DataError
from babelscope.fetch.archives import is_safe_name
from babelscope.models.weights.places import check_folder
from babelscope.models.weights.settings import read_settings

#: Bytes of the pickle in a PyTorch file, without its tensors; those of released models have some hundred kilobytes.
MAX_PICKLE_BYTES = 2**26

_FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def weights_files(folder: Path, *, pickled: bool = False) -> list[Path]:
    """Return a folder's weights: the files that its index names, or its ``*.safetensors``.

    Parameters
    ----------
    pickled : bool
        Whether PyTorch's ``pytorch_model.bin`` is taken where there are no safetensors. The names are those of
        transformers then, and no adapter may be next to them.

    Raises
    ------
    DataError
        If there is none, a file that the index names is not there, or the index is damaged.
    """
    if pickled:
        check_folder(folder, str(folder), pickled=True)
    for whole in ("model.safetensors", "pytorch_model.bin")[: 1 + pickled]:
        if (folder / f"{whole}.index.json").is_file():
            return _named_files(folder / f"{whole}.index.json")
        if pickled and (folder / whole).is_file():
            return [folder / whole]
    if pickled:
        raise DataError(
            f"weights: {folder} holds neither model.safetensors nor pytorch_model.bin, whole or with an index"
        )
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise DataError(f"weights: {folder} holds no *.safetensors (pickled weights are not read)")
    return files


def _named_files(index: Path) -> list[Path]:
    try:
        names = sorted(set(read_settings(index)["weight_map"].values()))
        if not names or not all(isinstance(name, str) for name in names):
            raise TypeError("its weight_map names no files")
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"weights: {index} is damaged ({error}): fetch it again") from error
    for name in names:
        if not is_safe_name(name) or "/" in name:
            raise DataError(f"weights: {index} names {name!r}, which is no plain file name next to it: refused")
        if not (index.parent / name).is_file():
            raise DataError(f"weights: {index.parent} lacks {name}, which its index names: fetch it again")
    return [index.parent / name for name in names]


def has_all_weights(folder: Path) -> bool:
    """Whether a folder holds weights, and every shard that its index names if it has one."""
    try:
        return bool(weights_files(folder))
    except DataError:
        return False


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """Open a file of safetensors; whatever is wrong with it is one line."""
    import safetensors

    try:
        with safetensors.safe_open(file, framework="pt") as handle:
            yield handle
    except (safetensors.SafetensorError, OSError, AttributeError, MemoryError, TypeError, ValueError) as error:
        raise DataError(f"weights {file} are cut short or damaged ({error}): fetch them again") from error


def arrays_in(files: Sequence[Path], wanted: Callable[[str], bool] = lambda name: True) -> Iterator[tuple[str, Tensor]]:
    """Yield the arrays of files of weights whose names are `wanted`; of safetensors one at a time is in memory.

    Raises
    ------
    DataError
        If a file is cut short or damaged, or holds anything but tensors.
    """
    for file in files:
        if file.suffix != ".safetensors":
            arrays = _tensors(read_checkpoint(file), file)
            yield from ((name, array) for name, array in arrays.items() if wanted(name))
            continue
        with _opened(file) as handle:
            for name in handle.keys():  # noqa: SIM118 (not a mapping)
                if wanted(name):
                    yield name, handle.get_tensor(name)


def safetensors_dtypes(files: Sequence[Path]) -> dict[str, str]:
    """Return the dtype of each array as the files' headers name it (``F32``, ``I8``); no array is read.

    Raises
    ------
    DataError
        If a file is cut short or damaged.
    """
    dtypes: dict[str, str] = {}
    for file in files:
        with _opened(file) as handle:
            dtypes |= {name: str(handle.get_slice(name).get_dtype()) for name in handle.keys()}  # noqa: SIM118
    return dtypes


def refuse_integers(dtypes: Mapping[str, str], source: str, unused: tuple[str, ...] = ()) -> None:
    """Refuse arrays that hold no plain floating-point numbers, as those of quantised models do.

    Parameters
    ----------
    dtypes : mapping of str to str
        From :func:`safetensors_dtypes`.
    source : str
        Where they come from, for messages.
    unused : tuple of str
        Prefixes of names that nothing reads.

    Raises
    ------
    DataError
        Naming the array.
    """
    for name, dtype in sorted(dtypes.items()):
        counts = name.endswith(("_ids", "_index", "num_batches_tracked"))
        if dtype not in ("F64", "F32", "F16", "BF16") and not counts and not name.startswith(unused):
            raise DataError(
                f"weights {source}: {name!r} holds {dtype} where floating-point numbers belong: a quantised model is "
                f"not read, name one in 16 or 32 bits"
            )


def refuse_unplaced(
    missing: Iterable[str],
    unexpected: Iterable[str],
    source: str,
    class_name: str,
    *,
    ignore_unexpected: tuple[str, ...] = (),
) -> None:
    """Refuse weights that a model would lack, or that it has no place for.

    Parameters
    ----------
    missing, unexpected : iterable of str
        Names of arrays.
    source : str
        Where they come from, for messages.
    class_name : str
        The model's class.
    ignore_unexpected : tuple of str
        Starts of names of arrays that nothing here uses.

    Raises
    ------
    DataError
        Naming one of them.
    """
    lacking = sorted(missing)
    if lacking:
        raise DataError(
            f"weights in {source} lack {len(lacking)} arrays of the model, such as {lacking[0]!r}: they are another "
            f"model's"
        )
    further = sorted(name for name in unexpected if not name.startswith(ignore_unexpected))
    if further:
        raise DataError(
            f"weights in {source} hold {len(further)} arrays that {class_name} has no place for, such as "
            f"{further[0]!r}: they are another model's, or have a further head: save the model without it"
        )


#: What wraps a model in training, by what it puts before each name, and where the model itself then is.
_WRAPPERS = {
    "module.": ("DataParallel, DistributedDataParallel or DeepSpeed", "model.module.save_pretrained(FOLDER)"),
    "_orig_mod.": ("torch.compile", "model._orig_mod.save_pretrained(FOLDER)"),
    "_fsdp_wrapped_module.": ("FSDP", "Trainer.save_model or accelerate's get_state_dict"),
    "base_model.model.": ("PEFT", "model.merge_and_unload().save_pretrained(FOLDER)"),
}


def refuse_wrapped(names: Iterable[str], source: str) -> None:
    """Refuse weights whose names begin with what a wrapper of training put there.

    Raises
    ------
    DataError
        Naming the wrapper, and how to save the model inside it.
    """
    for name in names:
        for prefix, (wrapper, remedy) in _WRAPPERS.items():
            if name.startswith(prefix):
                raise DataError(
                    f"weights {source} were saved from inside {wrapper} (names begin with {prefix!r}): save the model "
                    f"itself, {remedy}"
                )


def read_checkpoint(file: Path) -> Mapping[str, Any]:
    """Read a PyTorch file of tensors in plain containers, running nothing that it says (``weights_only``).

    Tensors are mapped from the disk where the format allows it, so that a file of 9 GB is not in memory next to the
    model that is filled from it.

    Raises
    ------
    DataError
        If the file is not there, is cut short, holds other objects, or is no table.
    """
    if not file.is_file():
        raise DataError(f"weights: there is no file {file}")
    with file.open("rb") as raw:
        zipped = raw.read(4) == b"PK\x03\x04"  # by which torch tells too
    if zipped:
        _refuse_packed(file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickle protocols, and of how to load what is refused
            checkpoint = torch.load(file, map_location="cpu", weights_only=True, mmap=zipped)
    except Exception as error:  # what a pickle that was made to do so can raise is whatever there is
        named = re.search(r"GLOBAL (\S+)", str(error))
        if isinstance(error, pickle.UnpicklingError) and named:
            raise DataError(
                f"weights {file} hold more than tensors ({named.group(1)}), and to read that would run code from the "
                f"file: save its tensors alone"
            ) from error
        # Torch's own advice is to switch the check off.
        advice = "weights_only" in str(error)
        reason = (
            "more than tensors, or not as torch saves them"
            if advice
            else str(error).split("\n", 1)[0].split(". ", 1)[0]
        )
        raise DataError(
            f"weights {file} are cut short or damaged ({reason or type(error).__name__}): fetch them again"
        ) from error
    if not isinstance(checkpoint, Mapping):
        raise DataError(f"weights {file} are no table of tensors, but a {type(checkpoint).__name__}")
    return checkpoint


def _refuse_packed(file: Path) -> None:
    """Refuse a PyTorch archive that is not as torch writes it: members as they are, and one small pickle.

    A compressed member would be unpacked whole, or, mapped from the disk, be taken for numbers.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, ValueError) as error:
        raise DataError(f"weights {file} are cut short or damaged ({error}): fetch them again") from error
    names = {info.filename.rpartition("/")[2] for info in members}
    if "constants.pkl" in names:
        raise DataError(f"weights {file} are a TorchScript program, which would be run: save its tensors alone")
    for info in members:
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise DataError(f"weights {file}: {info.filename!r} is compressed, which torch does not do: refused")
        if info.filename.endswith(".pkl") and info.file_size > MAX_PICKLE_BYTES:
            raise DataError(
                f"weights {file}: {info.filename!r} has {info.file_size} bytes, more than {MAX_PICKLE_BYTES}: refused"
            )
    if sum(info.file_size for info in members) > file.stat().st_size:
        raise DataError(f"weights {file}: its members overlap: refused")


def pickled_arrays(
    file: Path, whose: str = "fairseq or fairseq2", checkpoint: Mapping[str, Any] | None = None
) -> dict[str, Tensor]:
    """Return the tensors of a ``.pt`` checkpoint's ``model``; see :func:`read_checkpoint`.

    Parameters
    ----------
    whose : str
        Whose checkpoint it should be, for messages.
    checkpoint : mapping, optional
        What the file holds, where it was read before.

    Raises
    ------
    DataError
        As :func:`read_checkpoint`; or if there is no ``model``, or something in it is not a tensor.
    """
    checkpoint = read_checkpoint(file) if checkpoint is None else checkpoint
    model = checkpoint.get("model")
    if not isinstance(model, Mapping) or not model:
        keys = ", ".join(sorted(map(str, checkpoint))[:5])
        raise DataError(f"weights {file} have no 'model' (found: {keys}): they are no checkpoint of {whose}")
    return _tensors(model, file, " under 'model'")


def _tensors(arrays: Mapping[Any, Any], file: Path, where: str = "") -> dict[str, Tensor]:
    for name, value in arrays.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise DataError(f"weights {file}: {str(name)[:200]!r}{where} is not a tensor")
        _refuse_odd(name, value, str(file))
    return dict(arrays)


def _refuse_odd(name: str, array: Tensor, source: str) -> None:
    """Refuse a tensor that is not an array of numbers which the file holds one by one."""
    if array.layout is not torch.strided or array.is_quantized or array.is_nested or array.dtype.is_complex:
        kind = "quantised" if array.is_quantized else str(array.dtype if array.dtype.is_complex else array.layout)
        raise DataError(f"weights {source}: {name!r} is {kind.removeprefix('torch.')}, not a plain array: refused")
    if array.is_meta or array.untyped_storage().nbytes() < array.numel() * array.element_size():
        raise DataError(
            f"weights {source}: {name!r} has shape {tuple(array.shape)}, of which the file does not hold every number: "
            f"refused"
        )


def refuse(unknown: Sequence[str], path: Path | str, whose: str) -> None:
    """Refuse a file with arrays that nobody asked for.

    Raises
    ------
    DataError
        If there is any; the first few are named.
    """
    refuse_wrapped(unknown, str(path))
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


@torch.no_grad()
def fill(
    expected: Mapping[str, Tensor], arrays: Iterable[tuple[str, Tensor]], source: str, optional: Sequence[str] = ()
) -> None:
    """Copy arrays into the tensors of the same names, in the tensors' own dtype.

    Parameters
    ----------
    expected : mapping of str to Tensor
        Every tensor that must be filled. Those on the "meta" device take nothing: the arrays are checked alone.
    arrays : iterable of (str, Tensor)
        Under the names of `expected`.
    source : str
        Where they come from, for messages.
    optional : sequence of str
        Ends of names that may be missing, because nothing that is computed uses them.

    Raises
    ------
    DataError
        If an array is missing, comes twice, is left over, has another shape, holds integers where floats belong (as
        those of quantised models do), or numbers that are not finite (or would not be in the tensor's dtype); the
        first few are named.
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
        copied = array if expected[name].is_meta else expected[name].copy_(array)
        refuse_not_finite(name, copied, source, array)
        filled.add(name)
    _complete(expected, filled, unexpected, source, optional)


def _same_shape(name: str, array: Tensor, target: Tensor, source: str) -> None:
    if array.shape != target.shape:
        raise DataError(
            f"weights {source}: {name!r} has shape {tuple(array.shape)} where {tuple(target.shape)} belongs: they "
            "are another model's, or the config is"
        )
    if (array.dtype not in _FLOATS) if target.is_floating_point() else array.is_floating_point():
        have, want = (str(each.dtype).removeprefix("torch.") for each in (array, target))
        raise DataError(
            f"weights {source}: {name!r} holds {have} where {want} belongs: a quantised model is not read, name one in "
            f"16 or 32 bits"
        )


def refuse_not_finite(
    name: str, array: Tensor, source: str, before: Tensor | None = None, *, narrowed: bool = False
) -> None:
    """Refuse an array with NaN or infinite numbers.

    Parameters
    ----------
    source : str
        Where it comes from, for messages.
    before : Tensor, optional
        What it was before it was copied into another dtype.
    narrowed : bool
        Whether it was copied into a dtype of a smaller range, and what it was before is no longer known.

    Raises
    ------
    DataError
        Naming the array, and the dtype if only that is to blame.
    """
    if not array.is_floating_point() or not array.numel() or array.is_meta:
        return
    low, high = torch.aminmax(array)  # of NaN, NaN
    if bool(torch.isfinite(low) & torch.isfinite(high)):
        return
    if before is not None and before.dtype != array.dtype and bool(torch.isfinite(before).all()):
        raise DataError(
            f"weights {source}: {name!r} holds numbers too large for {str(array.dtype).removeprefix('torch.')}: choose "
            f"another dtype"
        )
    if narrowed:
        dtype = str(array.dtype).removeprefix("torch.")
        raise DataError(
            f"weights {source}: {name!r} holds NaN, or numbers too large for {dtype}: choose dtype = 'bfloat16'"
        )
    raise DataError(f"weights {source}: {name!r} holds NaN or infinite numbers: they are damaged, fetch them again")


def refuse_larger(blank: Iterable[torch.nn.Module], files: Iterable[Path], config: Path | str) -> None:
    """Refuse a configuration whose model has more numbers than its files have bytes, before it takes memory.

    Parameters
    ----------
    blank : iterable of Module
        The model, made on the "meta" device.
    files : iterable of Path
        Its weights.
    config : Path or str
        For messages.

    Raises
    ------
    DataError
    """
    sizes = {id(each): each.numel() for module in blank for each in module.parameters()}
    numbers, size = sum(sizes.values()), sum(file.stat().st_size for file in files)
    if numbers > size:
        raise DataError(
            f"weights: {config} describes a model of {numbers} numbers, but the weights next to it have {size} bytes: "
            f"they are another model's, or the config is"
        )


def _complete(
    expected: Mapping[str, Tensor],
    there: Collection[str],
    unexpected: Sequence[str],
    source: str,
    optional: Sequence[str],
) -> None:
    refuse_wrapped(unexpected, source)
    missing = [name for name in expected if name not in there and not name.endswith(tuple(optional) or ("\0",))]
    if missing:
        raise DataError(f"weights {source} lack {_some(missing)}: they are another model's, or cut short")
    if unexpected:
        raise DataError(f"weights {source} hold {_some(unexpected)} that this model has no place for")


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in sorted(names)[:3])
    return f"{len(names)} arrays, such as {shown}," if len(names) > 3 else f"the array{'s' * (len(names) > 1)} {shown}"
