"""A checkpoint's own processor, tokenizer and feature extractor, also where its processor wants parts for images.

Processors of models that see, too, want image processors, and those want further libraries. Nothing here shows a model
an image, so that such a processor is made without them.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babelscope.errors import DataError
from babelscope.models.adapters import quirks
from babelscope.models.adapters.loading import first_line, whole_line
from babelscope.models.adapters.tokenizing import read_tokenizer
from babelscope.models.weights.folder import silent
from babelscope.models.weights.settings import read_json

#: Files in which a checkpoint says how its processor is to be made.
_FILES = ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json")

#: Parts of a processor that hear or read; whatever else its constructor wants is for images.
_HEARING = ("feature_extractor", "audio_processor", "audio_feature_extractor", "speech_processor")


@dataclass(frozen=True)
class Processors:
    """What turns recordings and texts into a model's inputs.

    Attributes
    ----------
    extractor : Any
        The feature extractor.
    processor : Any or None
        The whole processor; None if it cannot be made.
    template : str, mapping or None
        The chat template.
    missing : str
        Why there is no whole processor; empty if there is one.
    """

    extractor: Any
    tokenizer: Any
    processor: Any | None
    template: str | Mapping[str, str] | None
    missing: str = ""


def read(folder: Path, model: Any, *, planning: bool = False) -> Processors:
    """Read a folder's processor.

    Parameters
    ----------
    folder : Path
    model : transformers.PreTrainedModel
        That is in it.
    planning : bool
        Whether a folder without its vocabulary will do: a letter is a token then.

    Raises
    ------
    DataError
        If there is no tokenizer or no feature extractor that can be read.
    """
    import transformers

    try:
        tokenizer = read_tokenizer(folder, model.config.get_text_config(decoder=True).vocab_size)
    except DataError:
        if not planning:
            raise
        tokenizer, extractor, missing = Letters(), read_extractor(folder), "the folder holds no vocabulary"
        with contextlib.suppress(Exception):  # a processor may want of a tokenizer what this one does not have
            return Processors(extractor, tokenizer, _without_images(folder, extractor, tokenizer), None, missing)
        return Processors(extractor, tokenizer, None, None, missing)
    processor, missing = None, ""
    try:
        whole = transformers.AutoProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        if _extractor_of(whole) is not None:
            processor, extractor = whole, _extractor_of(whole)
    except Exception as error:  # the library raises whatever its parts do
        missing = whole_line(error)
    if processor is None:
        extractor = read_extractor(folder)
        try:
            processor = _without_images(folder, extractor, tokenizer)
        except Exception as error:  # as above
            missing = missing or whole_line(error)
    if processor is not None:
        tokenizer = getattr(processor, "tokenizer", tokenizer)
    template = getattr(processor, "chat_template", None) or getattr(tokenizer, "chat_template", None)
    return Processors(
        extractor, tokenizer, processor, template or _template_file(folder), missing if processor is None else ""
    )


def _extractor_of(processor: Any) -> Any | None:
    return next((component for name in _HEARING if (component := getattr(processor, name, None)) is not None), None)


def read_extractor(folder: Path) -> Any:
    """Read the feature extractor of a folder in transformers' format, or make one of this package's in its place.

    Raises
    ------
    DataError
        If it is not there, or needs a library that is not.
    """
    import transformers

    if (own := quirks.feature_extractor(folder)) is not None:
        return own
    try:
        with silent():
            return transformers.AutoFeatureExtractor.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
    except Exception as error:  # the library raises whatever its parts do
        raise DataError(
            f"weights: the feature extractor in {folder} cannot be read ({first_line(error)}): add the checkpoint's "
            f"preprocessor_config.json, or install what it names"
        ) from error


class Letters:
    """Stands for a tokenizer whose vocabulary is not here, to count positions: a letter is a token."""

    is_fast = False
    pad_token_id = 0
    init_kwargs: Mapping[str, Any] = {}
    model_input_names = ("input_ids", "attention_mask")

    def __init__(self) -> None:
        self.words: dict[str, int] = {}

    def learn(self, word: str, token: int) -> None:
        """Make a word one token."""
        self.words[word] = token

    def __call__(self, text: str | list[str], **_: Any) -> dict[str, Any]:
        """Return a token a letter, and one for each word that was learnt."""
        rows = [self._ids(each) for each in ([text] if isinstance(text, str) else text)]
        ids: Any = rows[0] if isinstance(text, str) else rows
        ones: Any = [1] * len(ids) if isinstance(text, str) else [[1] * len(row) for row in rows]
        return {"input_ids": ids, "attention_mask": ones}

    def _ids(self, text: str) -> list[int]:
        if not self.words:
            return [1] * len(text)
        pieces = re.split("(" + "|".join(map(re.escape, self.words)) + ")", text)
        return [
            token for piece in pieces for token in ([self.words[piece]] if piece in self.words else [1] * len(piece))
        ]

    def convert_ids_to_tokens(self, token: int) -> str:
        """Return a word for a token, which is learnt."""
        word = next((word for word, known in self.words.items() if known == token), "<audio>")
        self.learn(word, token)
        return word

    def convert_tokens_to_ids(self, word: str) -> int:
        """Return a learnt word's token; 2 for others."""
        return self.words.get(word, 2)


def _without_images(folder: Path, extractor: Any, tokenizer: Any) -> Any | None:
    """Return the processor that a folder names, made without its parts for images; None if it names none."""
    import transformers

    settings: dict[str, Any] = {}
    for name in reversed(_FILES):
        if (folder / name).is_file():
            settings |= read_json(folder / name)
    kind = settings.get("processor_class") or _usual_class(folder)
    whole = getattr(transformers, kind, None) if isinstance(kind, str) else None
    if whole is None:
        return None
    wanted = inspect.signature(whole.__init__).parameters
    parts: dict[str, Any] = dict.fromkeys(whole.get_attributes())
    for name in parts:
        if name in _HEARING:
            parts[name] = extractor
        elif "tokenizer" in name:
            parts[name] = tokenizer
    plain: dict[str, Any] = {
        name: value
        for name, value in settings.items()
        if name in wanted and name not in parts and isinstance(value, str | int | float | bool)
    }
    plain.pop("chat_template", None)
    if "chat_template" in wanted or any(each.kind is each.VAR_KEYWORD for each in wanted.values()):
        plain["chat_template"] = _template_file(folder) or getattr(tokenizer, "chat_template", None)
    made = type(whole.__name__, (whole,), {"check_argument_for_proper_class": lambda *_: None})
    return made(**parts, **plain)


def _usual_class(folder: Path) -> str | None:
    """Return the processor that transformers has for the kind of model that a folder's configuration names."""
    names = importlib.import_module("transformers.models.auto.processing_auto").PROCESSOR_MAPPING_NAMES
    said = names.get(read_json(folder / "config.json").get("model_type"))
    return said if isinstance(said, str) else None


def _template_file(folder: Path) -> str | None:
    if (folder / "chat_template.jinja").is_file():
        return (folder / "chat_template.jinja").read_text(encoding="utf-8")
    if (folder / "chat_template.json").is_file():
        said = read_json(folder / "chat_template.json").get("chat_template")
        return said if isinstance(said, str) else None
    return None
