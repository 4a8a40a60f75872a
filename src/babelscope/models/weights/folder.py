"""Models in transformers' own format: a local folder or a hub id, safetensors only, every key accounted for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import Tokenizer

from babelscope.cache import sha256_of
from babelscope.errors import DataError
from babelscope.fetch.hub import hub_folder
from babelscope.fetch.progress import TerminalProgress
from babelscope.models.base import WeightsFile
from babelscope.models.weights.accounting import refuse_larger, refuse_not_finite, safetensors_files
from babelscope.models.weights.settings import read_settings

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


class Place(NamedTuple):
    """A local folder with a model's files, and where they came from, for people: the folder's name, or the hub id."""

    folder: Path
    source: str


def locate(weights: str, *, also: str = "") -> Place:
    """Return the local folder that `weights` names; files of a hub id are fetched, each checked against its hash.

    Parameters
    ----------
    weights : str
    also : str
        What else might have been named, for the message.

    Raises
    ------
    DataError
        If there is no such folder.
    FetchError
        If it is a hub id whose files cannot be had.
    """
    folder = Path(weights).expanduser()
    if folder.is_dir():
        return Place(folder, folder.resolve().name)
    if folder.is_absolute() or weights.startswith((".", "~")):
        raise DataError(
            f"weights: there is no folder {weights}: name a folder with config.json and *.safetensors,{also} or a hub "
            f"id"
        )
    with TerminalProgress() as shown:
        found = hub_folder(weights, HUB_FILES, progress=shown)
    return Place(found.path, f"hub {weights} at {found.commit[:12]}")


def locate_with_pickled(name: str) -> Place:
    """Return the local folder of a hub id, with PyTorch's own files and tokenizer if it has no safetensors.

    Raises
    ------
    FetchError
        If its files cannot be had.
    """
    with TerminalProgress() as shown:
        found = hub_folder(name, (*HUB_FILES, "tokenizer.model"), progress=shown)
        if not list(found.path.glob("model*.safetensors")):
            pickled = ("pytorch_model.bin", "pytorch_model-*-of-*.bin", "pytorch_model.bin.index.json")
            found = hub_folder(name, (*HUB_FILES, "tokenizer.model", *pickled), progress=shown)
    return Place(found.path, f"hub {name} at {found.commit[:12]}")


def read_tokenizer(path: Path) -> Tokenizer:
    """Read a ``tokenizer.json``; it neither pads nor cuts.

    Raises
    ------
    DataError
        If it is missing or damaged.
    """
    if not path.is_file():
        raise DataError(f"weights: {path.parent} holds no {path.name}")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise DataError(f"tokenizer {path} cannot be read ({error}): fetch it again") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def planned_config(kind: Any, folder: str | None, **released: Any) -> Any:
    """Return the configuration in a local folder, or the released one if none is named.

    Raises
    ------
    DataError
        If the folder has no ``config.json`` of that kind.
    """
    if folder is None:
        return kind(**released)
    path = Path(folder).expanduser() / "config.json"
    if not path.is_file():
        raise DataError(f"weights: {path} is no configuration of this model (there is no such file)")
    said = read_settings(path)
    try:
        if said["model_type"] != kind.model_type:
            raise ValueError(f"its model_type is {said['model_type']!r}, not {kind.model_type!r}")
        return kind.from_dict(said)
    except Exception as error:  # a configuration may be refused by whatever checks it
        raise DataError(f"weights: {path} is no configuration of this model ({error})") from error


def load_pretrained(
    kind: Any, source: str | Place, *, ignore_missing: tuple[str, ...] = (), **options: Any
) -> tuple[Any, tuple[WeightsFile, ...]]:
    """Load a transformers model from safetensors, refusing one with missing weights.

    Parameters
    ----------
    kind : type
        The transformers class.
    source : str or Place
        A local folder or a hub id, or what :func:`locate` made of it.
    ignore_missing : tuple of str
        Prefixes of keys that may be missing because nothing here uses them.
    **options
        For the class's constructor.

    Returns
    -------
    model : transformers.PreTrainedModel
        In float32 with "sdpa" attention.
    files : tuple of WeightsFile

    Raises
    ------
    DataError
        If the folder does not exist, or the weights are not safetensors, are cut short or lack a key.
    FetchError
        If it is a hub id whose files cannot be had.
    """
    import safetensors
    import torch
    from transformers.utils.logging import disable_progress_bar

    place = locate(source) if isinstance(source, str) else source
    folder = place.folder
    files = sorted(folder.glob("*.safetensors"))
    if not files or not (folder / "config.json").is_file():
        raise DataError(
            f"weights: {folder} holds no config.json with *.safetensors beside it (pickled weights are not read)"
        )
    disable_progress_bar()
    safetensors_files(folder)  # an index that names what is not here, or not beside it
    _refuse_larger(kind, folder, files, options)
    try:
        model, loading = kind.from_pretrained(
            str(folder),
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            attn_implementation="sdpa",
            dtype=torch.float32,
            trust_remote_code=False,
            **options,
        )
    except safetensors.SafetensorError as error:
        raise DataError(f"weights in {folder} are cut short or damaged ({error}): fetch them again") from error
    except Exception as error:  # the library raises whatever its parts do
        reason = str(error).strip().split("\n", 1)[0]
        raise DataError(f"weights in {folder} cannot be loaded ({reason}): name another folder or hub id") from error
    missing = [key for key in loading["missing_keys"] if not key.startswith(ignore_missing or ("\0",))]
    if missing or loading["mismatched_keys"]:
        wrong = missing or [key[0] for key in loading["mismatched_keys"]]
        raise DataError(
            f"weights in {folder} lack {len(wrong)} arrays of the model, such as {sorted(wrong)[0]!r}: they are "
            f"another model's"
        )
    for name, array in model.state_dict().items():
        refuse_not_finite(name, array, str(folder))
    return model, tuple(WeightsFile(path.name, sha256_of(path), place.source) for path in files)


def _refuse_larger(kind: Any, folder: Path, files: Sequence[Path], options: Mapping[str, Any]) -> None:
    """Refuse a configuration of a model that has many more numbers than the files have bytes, before it is made."""
    import torch

    path = folder / "config.json"
    said = read_settings(path)
    if said.get("quantization_config") is not None:
        raise DataError(f"weights: {path} is of a quantised model, which is not read: name one in 16 or 32 bits")
    try:
        with torch.device("meta"):
            blank = kind(kind.config_class.from_dict(said), **options)
    except Exception as error:  # a configuration may be refused by whatever checks it
        raise DataError(f"weights: {path} is no configuration of this model ({error})") from error
    refuse_larger([blank], files, path)
