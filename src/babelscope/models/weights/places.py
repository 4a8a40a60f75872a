"""Where weights are: a folder here, or a name on the hub. What cannot be read is explained in one line."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import NamedTuple

from babelscope.errors import DataError
from babelscope.fetch.hub import hub_folder
from babelscope.fetch.progress import TerminalProgress

#: What is fetched of a model on the hub, as far as it has it.
HUB_FILES = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "sentencepiece.bpe.model",
    "model.safetensors",
    "model-*-of-*.safetensors",
    "model.safetensors.index.json",
)

_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_OTHER_FORMATS = (".gguf", ".ggml", ".onnx", ".h5", ".msgpack", ".npz", ".nemo", ".tflite")
_SUFFIXES = (".safetensors", ".json", ".zip", ".tar", ".gz", *_PICKLED, *_OTHER_FORMATS)

#: What is done with weights in another format.
_SAVE_AGAIN = "load it with transformers, save it with save_pretrained(FOLDER) and name that folder"


class Place(NamedTuple):
    """A local folder with a model's files, and where they came from, for people: the folder's name, or the hub id."""

    folder: Path
    source: str


def expanded(path: str) -> Path:
    """Return a path with ``~`` replaced by the home folder, where there is one."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 (Path's own raises RuntimeError for an unknown user)


def looks_local(weights: str) -> bool:
    """Whether a name can be nothing but a path: ``./x``, ``/x``, ``~/x``, or with the suffix of a file of weights."""
    path = expanded(weights)
    return weights.startswith((".", "~")) or path.is_absolute() or path.suffix.lower() in _SUFFIXES


def local_path(weights: str) -> Path | None:
    """Return the path that `weights` is: of what exists, or of what can be no name on the hub; else None.

    Parameters
    ----------
    weights : str
        What a user wrote.
    """
    path = expanded(weights)
    try:
        exists = path.exists()
    except OSError as error:
        exists = error.errno != errno.ENAMETOOLONG  # no permission to look is no absence
    return path if exists or looks_local(weights) else None


def locate(weights: str, *, also: str = "") -> Place:
    """Return the local folder that `weights` names; files of a hub id are fetched, each checked against its hash.

    A path that exists, or that can only be a path, is never looked for on the hub.

    Parameters
    ----------
    weights : str
    also : str
        What else might have been named, for the message.

    Raises
    ------
    DataError
        If there is no such folder, or it holds no model that can be read.
    FetchError
        If it is a hub id whose files cannot be had.
    """
    path = local_path(weights)
    if path is not None:
        remedy = f"name a folder with config.json and *.safetensors,{also} or a hub id"
        return Place(_local_folder(path, "weights", remedy), path.resolve().name)
    with TerminalProgress() as shown:
        fetched = hub_folder(weights, HUB_FILES, progress=shown)
    check_folder(fetched.path, f"hub {weights}")
    return Place(fetched.path, f"hub {weights} at {fetched.commit[:12]}")


def locate_with_pickled(name: str, option: str) -> Place:
    """Return the local folder that `name` names, or that of a hub id; PyTorch's own files and tokenizer are taken too.

    Parameters
    ----------
    name : str
    option : str
        The option that names it, for messages.

    Raises
    ------
    DataError
        If there is no such folder, or it holds no model that can be read.
    FetchError
        If it is a hub id whose files cannot be had.
    """
    path = local_path(name)
    if path is not None:
        return Place(_local_folder(path, option, "name a folder or a hub id", pickled=True), path.resolve().name)
    with TerminalProgress() as shown:
        fetched = hub_folder(name, (*HUB_FILES, "tokenizer.model"), progress=shown)
        if not list(fetched.path.glob("model*.safetensors")):
            pickled = ("pytorch_model.bin", "pytorch_model-*-of-*.bin", "pytorch_model.bin.index.json")
            fetched = hub_folder(name, (*HUB_FILES, "tokenizer.model", *pickled), progress=shown)
    return Place(fetched.path, f"hub {name} at {fetched.commit[:12]}")


def _local_folder(path: Path, option: str, remedy: str, *, pickled: bool = False) -> Path:
    """Return a local folder that holds a model.

    Raises
    ------
    DataError
        If it does not exist, is a file, or :func:`check_folder` refuses it.
    """
    try:
        if path.is_dir():
            check_folder(path, str(path), option, pickled=pickled)
            return path
        exists = path.exists()
    except OSError as error:
        raise DataError(f"{option}: {path} cannot be read ({error.strerror}): {remedy}") from error
    if not exists:
        raise DataError(f"{option}: there is no folder {path}: {remedy}")
    if path.suffix.lower() in _PICKLED:
        raise DataError(
            f"{option}: {path} is a file of pickled weights, which are not read: name a folder that save_pretrained "
            f"of transformers wrote, or a hub id"
        )
    if path.suffix.lower() in (".safetensors", ".json"):
        raise DataError(f"{option}: {path} is a file: name the folder that holds it, {path.absolute().parent}")
    raise DataError(
        f"{option}: {path} is a file: name a folder that save_pretrained of transformers wrote, or a hub id"
    )


def check_folder(
    folder: Path, shown: str, option: str = "weights", *, pickled: bool = False, weights: bool = True
) -> None:
    """Refuse a folder that holds no model in transformers' format, and say what to name instead.

    Parameters
    ----------
    folder : Path
    shown : str
        The folder or hub id, for messages.
    option : str
        The option that names it.
    pickled : bool
        Whether ``pytorch_model.bin`` counts as weights.
    weights : bool
        Whether weights must be there; without, ``config.json`` alone is enough.

    Raises
    ------
    DataError
        If it has an adapter, lacks ``config.json``, or lacks weights that are read.
    """
    start = f"{option}: {shown}"
    if (folder / "adapter_config.json").is_file():
        raise DataError(
            f"{start} holds a PEFT adapter (adapter_config.json), which is not applied here: merge it into its base "
            f"model (merge_and_unload), save that with save_pretrained(FOLDER) and name that folder"
        )
    if _holds_model(folder, pickled):
        return
    if (inside := _models_inside(folder, pickled)) is not None:
        raise DataError(f"{start} holds no config.json with weights beside it: {inside}")
    if not (folder / "config.json").is_file():
        raise DataError(f"{start} holds no config.json: it is not a model in transformers' format")
    if pickled:
        raise DataError(
            f"{start} holds config.json, but neither model.safetensors nor pytorch_model.bin: copy one into it"
        )
    names = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in (*_PICKLED, *_OTHER_FORMATS))
    if names:
        what = "pickled weights are" if names[0].lower().endswith(_PICKLED) else "that format is"
        raise DataError(f"{start} holds {names[0]} but no *.safetensors, and {what} not read: {_SAVE_AGAIN}")
    if weights:
        raise DataError(f"{start} holds config.json but no *.safetensors: copy them into it")


def _holds_model(folder: Path, pickled: bool) -> bool:
    endings = ("*.safetensors", "pytorch_model*.bin") if pickled else ("*.safetensors",)
    return (folder / "config.json").is_file() and any(any(folder.glob(ending)) for ending in endings)


def _models_inside(folder: Path, pickled: bool) -> str | None:
    """Return which folder below this one is to be named instead, and what this one is; None if there is none."""
    for pattern, what in (
        ("snapshots/*", "it is a model's folder in the hub's cache"),
        ("models--*/snapshots/*", "it is the hub's cache"),
        ("checkpoint-*", "it is the output of a Trainer"),
        ("*", "a folder in it is a model"),
    ):
        holding = [each for each in folder.glob(pattern) if each.is_dir() and _holds_model(each, pickled)]
        if holding:
            holding.sort(key=lambda each: (_number(each.name), each.stat().st_mtime, each.name))
            others = f" ({len(holding)} such)" if len(holding) > 1 else ""
            return f"{what}; name {holding[-1]}{others}"
    return None


def _number(name: str) -> int:
    found = re.fullmatch(r"checkpoint-(\d{1,12})", name)
    return int(found[1]) if found else 0
