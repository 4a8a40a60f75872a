"""Where weights are: a folder here, or a name on the hub. What cannot be read is explained in one line."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
from pathlib import Path
from typing import NamedTuple

from babelscope.errors import DataError, UsageError
from babelscope.fetch.hub import hub_folder
from babelscope.fetch.progress import TerminalProgress

#: What a name of the hub may begin with, so that it is never taken for a folder.
HUB = "hf:"

#: What is fetched of a model on the hub, as far as it has it: first what says what the model is and how it is fed ...
SETTINGS_FILES = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "chat_template.jinja",
    "chat_template.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tekken.json",
    "sentencepiece.bpe.model",
    "spiece.model",
    "tokenizer.model",
    "modules.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    "[0-9]_*/config.json",
    "adapter_config.json",
    "speech-lora/adapter_config.json",
    "model.safetensors.index.json",
)

_SAFETENSORS = ("model.safetensors", "model-*-of-*.safetensors")

#: ... then its weights. Pickled weights and programs are not among them.
WEIGHT_FILES = (
    *_SAFETENSORS,
    "adapter_model.safetensors",
    "speech-lora/adapter_model.safetensors",
    "[0-9]_Dense/model.safetensors",
)

_PICKLED_FILES = ("pytorch_model.bin", "pytorch_model-*-of-*.bin", "pytorch_model.bin.index.json")

_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_OTHER_FORMATS = (".gguf", ".ggml", ".onnx", ".h5", ".msgpack", ".npz", ".nemo", ".tflite")
_SUFFIXES = (".safetensors", ".json", ".zip", ".tar", ".gz", *_PICKLED, *_OTHER_FORMATS)

#: What is done with weights in another format.
_SAVE_AGAIN = "load it with transformers, save it with save_pretrained(FOLDER) and name that folder"


class Place(NamedTuple):
    """A local folder with a model's files.

    Attributes
    ----------
    folder : Path
    source : str
        Where they came from, for people: the folder's name, or the hub id and its commit.
    licence : str
        As the hub's model card says; empty if it is not known.
    """

    folder: Path
    source: str
    licence: str = ""

    def licence_or(self, declared: str) -> str:
        """Return the licence that the model's card names, or what is declared where it names none."""
        return self.licence if self.licence not in ("", "other", "unknown") else declared


def expanded(path: str) -> Path:
    """Return a path with ``~`` replaced by the home folder, where there is one."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 (Path's own raises RuntimeError for an unknown user)


def is_path(name: str) -> bool:
    """Whether a name is written as a path: ``./x``, ``/x`` or ``~/x``."""
    return name.startswith((".", "~")) or expanded(name).is_absolute()


def looks_local(weights: str) -> bool:
    """Whether a name can be nothing but a path: :func:`is_path`, or with the suffix of a file of weights."""
    return is_path(weights) or expanded(weights).suffix.lower() in _SUFFIXES


def hub_id(name: str) -> tuple[str, str]:
    """Return the repository and the revision (empty if none is named) of ``owner/name`` or ``owner/name@revision``.

    Raises
    ------
    UsageError
        If it is no hub id.
    """
    match = re.fullmatch(r"([\w-][\w.-]*/[\w-][\w.-]*)(?:@(\w[\w.-]*(?:/[\w-][\w.-]*)*))?", name, re.ASCII)
    if match is None:
        raise UsageError(
            f"{name!r} is neither a hub id (owner/name or owner/name@revision) nor a folder (./x, /x or ~/x)"
        )
    return match[1], match[2] or ""


def local_path(weights: str) -> Path | None:
    """Return the path that `weights` is: of what exists, or of what can be no name on the hub; else None.

    Parameters
    ----------
    weights : str
        What a user wrote.
    """
    if weights.startswith(HUB):
        return None
    path = expanded(weights)
    try:
        exists = path.exists()
    except OSError as error:
        exists = error.errno != errno.ENAMETOOLONG  # no permission to look is no absence
    return path if exists or looks_local(weights) else None


def locate(
    name: str,
    *,
    option: str = "weights",
    also: str = "",
    weights: bool = True,
    pickled: bool = False,
    adapters: bool = False,
) -> Place:
    """Return the local folder that `name` names; files of a hub id are fetched, each checked against its hash.

    A path that exists, or that can only be a path, is never looked for on the hub; what begins with ``hf:`` is never
    looked for here.

    Parameters
    ----------
    name : str
        A folder; or a hub id, with ``@revision`` or without.
    option : str
        The option that names it, for messages.
    also : str
        What else might have been named, for messages.
    weights : bool
        Whether weights must be there. Without them, ``config.json``, processor and tokenizer are enough, and of a hub
        id only these small files are fetched: its weights come from the same commit later.
    pickled : bool
        Whether PyTorch's own files are taken where there are no safetensors.
    adapters : bool
        Whether the caller knows of a PEFT adapter that is next to a whole model; else one is refused.

    Raises
    ------
    DataError
        If there is no such folder, or it holds no model that can be read.
    FetchError
        If it is a hub id whose files cannot be had.
    """
    adapters = adapters or not weights
    path = local_path(name)
    if path is not None:
        remedy = f"name a folder with config.json and *.safetensors,{also} or a hub id"
        _check_path(
            path,
            option,
            "name a folder or a hub id" if pickled else remedy,
            pickled=pickled,
            weights=weights,
            adapters=adapters,
        )
        return Place(path, path.resolve().name)
    repository, _, revision = name.removeprefix(HUB).partition("@")
    shown = f"hub {name.removeprefix(HUB)}"
    with TerminalProgress() as progress:
        small = fetched = hub_folder(repository, SETTINGS_FILES, revision=revision or "main", progress=progress)
        if pickled:
            wanted: tuple[str, ...] = (*SETTINGS_FILES, *_SAFETENSORS)
            fetched = hub_folder(repository, wanted, revision=small.commit, progress=progress)
            if not list(fetched.path.glob("model*.safetensors")):
                wanted += _PICKLED_FILES
                fetched = hub_folder(repository, wanted, revision=small.commit, progress=progress)
        else:
            check_folder(small.path, shown, weights=False, adapters=True)
            if weights:
                fetched = hub_folder(
                    repository,
                    (*SETTINGS_FILES, *WEIGHT_FILES),
                    revision=small.commit,
                    progress=progress,
                    needed=("*.safetensors", f"{_SAVE_AGAIN}, as hf:./FOLDER"),
                )
                check_folder(fetched.path, shown, adapters=adapters)
    return Place(fetched.path, f"hub {repository} at {small.commit[:12]}", small.licence)


def _check_path(path: Path, option: str, remedy: str, **needed: bool) -> None:
    """Refuse a path that does not exist, is a file, or is a folder that :func:`check_folder` refuses."""
    try:
        if path.is_dir():
            check_folder(path, str(path), option, **needed)
            return
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
    folder: Path,
    shown: str,
    option: str = "weights",
    *,
    pickled: bool = False,
    weights: bool = True,
    adapters: bool = False,
) -> None:
    """Refuse a folder that holds no model in transformers' format, and say what to name instead.

    Parameters
    ----------
    shown : str
        The folder or hub id, for messages.
    option : str
        The option that names it.
    pickled : bool
        Whether ``pytorch_model.bin`` counts as weights.
    weights : bool
        Whether weights must be there; without, ``config.json`` alone is enough.
    adapters : bool
        Whether an adapter may be next to a whole model.

    Raises
    ------
    DataError
        If it has an adapter (alone, if `adapters`), lacks ``config.json``, or lacks weights that are read.
    """
    start = f"{option}: {shown}"
    whole = _holds_model(folder, pickled)
    if (folder / "adapter_config.json").is_file():
        if not adapters:
            raise DataError(
                f"{start} holds a PEFT adapter (adapter_config.json), which is not applied here: merge it into "
                f"{_base_of(folder)} (merge_and_unload), save that with save_pretrained(FOLDER) and name that folder"
            )
        if not whole and (weights or not (folder / "config.json").is_file()):
            raise DataError(
                f"{start} holds a PEFT adapter alone: name {_base_of(folder)} and this folder as its option 'adapter'"
            )
    if whole or (not weights and (folder / "config.json").is_file()):
        return
    if (inside := _models_inside(folder, pickled)) is not None:
        raise DataError(f"{start} holds no config.json with weights next to it: {inside}")
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


def _base_of(folder: Path) -> str:
    """Return the base model that an adapter names, for messages; "its base model" if it names none."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        base = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8")).get("base_model_name_or_path")
        if isinstance(base, str) and base.strip():
            return base
    return "its base model"


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
    match = re.fullmatch(r"checkpoint-(\d{1,12})", name)
    return int(match[1]) if match else 0
