"""Models in transformers' own format: safetensors only, of the kind that ``config.json`` names, every key checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from tokenizers import Tokenizer

from babelscope.cache import sha256_of
from babelscope.errors import DataError
from babelscope.models.weights.accounting import (
    refuse_integers,
    refuse_larger,
    refuse_not_finite,
    refuse_unplaced,
    refuse_wrapped,
    safetensors_dtypes,
    weights_files,
)
from babelscope.models.weights.places import Place
from babelscope.models.weights.settings import read_settings
from babelscope.sides import WeightsFile

#: Which registered model reads a kind of folder, for messages.
_READ_AS = {
    "bert": "e5-small",
    "m2m_100": "sonar-text",
    "seamless_m4t": "seamless-m4t-large",
    "seamless_m4t_v2": "seamless-m4t-v2-large",
    "whisper": "whisper-base",
}


def read_tokenizer(path: Path, vocabulary: int | None = None) -> Tokenizer:
    """Read a ``tokenizer.json``; it neither pads nor cuts.

    Parameters
    ----------
    vocabulary : int, optional
        How many tokens the model knows.

    Raises
    ------
    DataError
        If it is missing or damaged, or has more tokens than the model.
    """
    if not path.is_file():
        raise DataError(f"weights: {path.parent} holds no {path.name}")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise DataError(f"tokenizer {path} cannot be read ({error}): fetch it again") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if vocabulary is not None and tokenizer.get_vocab_size() > vocabulary:
        raise DataError(
            f"tokenizer {path} has {tokenizer.get_vocab_size()} tokens and the model {vocabulary}: they are files of "
            f"different models"
        )
    return tokenizer


def pieces_by(tokenizer: Tokenizer) -> Callable[[str], list[int]]:
    """Return what gives the ids of a text's pieces: a text that says "</s>" says so, and ends nothing."""
    tokenizer.encode_special_tokens = True
    return lambda text: list(tokenizer.encode(text, add_special_tokens=False).ids)


def read_sentencepiece(path: Path) -> Any:
    """Read a sentencepiece model.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    import sentencepiece

    try:
        return sentencepiece.SentencePieceProcessor(model_file=str(path))
    except (RuntimeError, OSError) as error:
        raise DataError(f"tokenizer {path} cannot be read ({error}): fetch it again") from error


def parse_config(kind: Any, folder: Path, option: str = "weights") -> Any:
    """Return the configuration in a folder's ``config.json``.

    Parameters
    ----------
    kind : type
        The transformers configuration that it must be of.
    option : str
        What names the folder, for messages.

    Raises
    ------
    DataError
        As :func:`read_config`; or if transformers does not take it.
    """
    settings = read_config(kind, folder, option)
    try:
        return kind.from_dict(settings)
    except Exception as error:  # a configuration may be refused by whatever checks it
        raise DataError(f"{option}: {folder / 'config.json'} is no configuration of this model ({error})") from error


def read_config(kind: Any, folder: Path, option: str = "weights") -> dict[str, Any]:
    """Read a folder's ``config.json``.

    Parameters
    ----------
    kind, folder, option
        As for :func:`parse_config`.

    Raises
    ------
    DataError
        If it is missing, of another kind of model, or of a quantised one.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise DataError(f"{option}: {path} is no configuration of this model (there is no such file)")
    settings = read_settings(path)
    named = settings.get("model_type")
    if named is None:
        raise DataError(
            f"{option}: {path} does not say which kind of model it is: if it is a {kind.model_type!r}, add "
            f'"model_type": "{kind.model_type}"'
        )
    if named != kind.model_type:
        remedy = "name it as a model of its own, hf:./folder or hf:owner/name"
        if named in _READ_AS:
            remedy = f"load it as {_READ_AS[named]}"
        elif named == "xlm-roberta":
            remedy = "load it as e5-base or e5-large, with these weights, or as a model of its own, hf:./folder"
        raise DataError(f"{option}: {path} is of model_type {named!r}, not of {kind.model_type!r}: {remedy}")
    if settings.get("quantization_config") is not None:
        raise DataError(f"{option}: {path} is of a quantised model, which is not read: name one in 16 or 32 bits")
    return settings


def load_pretrained(
    kind: Any,
    place: Place,
    *,
    ignore_unexpected: tuple[str, ...] = (),
    config: Any = None,
    dtype: torch.dtype = torch.float32,
    attention: str = "sdpa",
    key_mapping: Mapping[str, str] | None = None,
    **options: Any,
) -> tuple[Any, tuple[WeightsFile, ...]]:
    """Load a transformers model from safetensors, refusing one of another kind, or with missing or further weights.

    Parameters
    ----------
    kind : type
        The transformers class.
    place : Place
        Its files.
    ignore_unexpected : tuple of str
        Prefixes of keys that may be there although nothing here uses them.
    config : transformers.PreTrainedConfig, optional
        In place of what the folder's ``config.json`` says.
    dtype : torch.dtype
        Each array is brought to it as it is read: at no time are two copies of the weights in memory.
    attention : {"sdpa", "eager"}
    key_mapping : mapping of str to str, optional
        Regular expressions for parts of the files' names, and what takes their place, before transformers renames them.
    **options
        For the class's constructor.

    Raises
    ------
    DataError
        If the folder does not exist or is of another kind, or the weights are not safetensors, are cut short, are
        quantised, lack a key or have one that the model does not.
    FetchError
        If it is a hub id whose files cannot be had.
    """
    import safetensors

    folder = place.folder
    if config is None:
        config = parse_config(kind.config_class, folder)
    whole = folder / "model.safetensors"
    files = [whole] if whole.is_file() else weights_files(folder)
    if not whole.is_file() and not (folder / "model.safetensors.index.json").is_file():
        raise DataError(f"weights: {folder} holds {files[0].name} but no index: a single file is to be {whole.name}")
    dtypes = safetensors_dtypes(files)
    refuse_wrapped(dtypes, str(folder))
    refuse_integers(dtypes, str(folder), ignore_unexpected)
    _refuse_larger(kind, folder, config, files, options)
    try:
        with silent(), _without_adapter(folder) as plain:
            model, loading = kind.from_pretrained(
                str(plain),
                config=config,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                attn_implementation=attention,
                dtype=dtype,
                trust_remote_code=False,
                key_mapping=None if key_mapping is None else dict(key_mapping),
                **options,
            )
    except safetensors.SafetensorError as error:
        raise DataError(f"weights in {folder} are cut short or damaged ({error}): fetch them again") from error
    except Exception as error:  # the library raises whatever its parts do
        reason = str(error).strip().split("\n", 1)[0]
        raise DataError(f"weights in {folder} cannot be loaded ({reason}): name another folder or hub id") from error
    refuse_unplaced([key[0] for key in loading["mismatched_keys"]], (), str(folder), kind.__name__)
    refuse_unplaced(
        loading["missing_keys"],
        loading["unexpected_keys"],
        str(folder),
        kind.__name__,
        ignore_unexpected=ignore_unexpected,
    )
    narrowed = dtype == torch.float16 and not set(dtypes.values()) <= {"F16"}
    for name, array in model.state_dict().items():
        refuse_not_finite(name, array, str(folder), narrowed=narrowed)
    return model, tuple(WeightsFile(path.name, sha256_of(path), place.source) for path in files)


@contextmanager
def _without_adapter(folder: Path) -> Iterator[Path]:
    """Give a folder without the PEFT adapter in it, which transformers applies by itself where PEFT is installed."""
    if not (folder / "adapter_config.json").is_file():
        yield folder
        return
    with TemporaryDirectory() as made:
        for path in folder.iterdir():
            if not path.name.startswith("adapter_"):
                (Path(made) / path.name).symlink_to(path.resolve())
        yield Path(made)


@contextmanager
def silent() -> Iterator[None]:
    """Keep transformers from printing progress and its report of keys: what matters of it is raised."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _refuse_larger(kind: Any, folder: Path, config: Any, files: Sequence[Path], options: Mapping[str, Any]) -> None:
    """Refuse a configuration of a model that has many more numbers than the files have bytes, before it is made."""
    path = folder / "config.json"
    try:
        with torch.device("meta"):
            blank = kind(config, **options)
    except Exception as error:  # a configuration may be refused by whatever checks it
        raise DataError(f"weights: {path} is no configuration of this model ({error})") from error
    refuse_larger([blank], files, path)
