"""SALMONN, 7B and 13B: speech and sound into a language model, which reads text as it stands.

It is put together from the files that its authors name: ``salmonn_v1.pth`` (13B) or ``salmonn_7b_v0.pth`` (7B), a
checkpoint of BEATs_iter3+, the folder of Whisper large v2, and that of Vicuna: 13B v1.1, 7B v1.5. What is computed is
what SALMONN's own code computes for one utterance, in any batch; see :mod:`babelscope.plugins.salmonn.sides` for
lengths and the prompt, :mod:`babelscope.plugins.salmonn.beats` for what is done about padding.

SALMONN adds a token [PAD] to Vicuna's vocabulary. Nothing here reads it, so that Vicuna keeps its 32 000 tokens.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from transformers import LlamaConfig, WhisperConfig

from babelscope.cache import sha256_of
from babelscope.errors import DataError, FetchError, UsageError
from babelscope.models.options import LoadOptions
from babelscope.models.placement import DEVICE_MAP, place_parts
from babelscope.models.weights.accounting import fill, refuse_larger, weights_files
from babelscope.models.weights.folder import parse_config, pieces_by, read_sentencepiece, read_tokenizer
from babelscope.models.weights.places import expanded, locate
from babelscope.models.weights.settings import read_settings
from babelscope.plugins.salmonn.beats import BeatsSizes
from babelscope.plugins.salmonn.beats_checkpoint import read_beats
from babelscope.plugins.salmonn.checkpoint import read_trained, vicuna_arrays, whisper_arrays
from babelscope.plugins.salmonn.parts import Sizes, build, trained_arrays
from babelscope.plugins.salmonn.sides import BEFORE, SAMPLE_RATE, STEP, SalmonnSpeech, SalmonnText
from babelscope.sides import Model, Side, WeightsFile, dtype_named

_OPTIONS = ("whisper", "beats", "vicuna", "lora_for_text", "lora_alpha", DEVICE_MAP)


@dataclass(frozen=True)
class Release:
    """A released SALMONN: its checkpoint's name, its Vicuna, that Vicuna's configuration and licence."""

    checkpoint: str
    vicuna: str
    config: Mapping[str, Any]
    licence: str


RELEASES: dict[str, Release] = {
    "salmonn-7b": Release(
        "salmonn_7b_v0.pth",
        "lmsys/vicuna-7b-v1.5",
        {
            "hidden_size": 4096,
            "intermediate_size": 11008,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "max_position_embeddings": 4096,
        },
        "Llama 2 Community License (Vicuna v1.5)",
    ),
    "salmonn-13b": Release(
        "salmonn_v1.pth",
        "lmsys/vicuna-13b-v1.1",
        {
            "hidden_size": 5120,
            "intermediate_size": 13824,
            "num_hidden_layers": 40,
            "num_attention_heads": 40,
            "max_position_embeddings": 2048,
        },
        "LLaMA's licence, not for commercial use (Vicuna v1.1)",
    ),
}

#: Whisper large v2, as far as its encoder goes.
_WHISPER = {
    "d_model": 1280,
    "encoder_layers": 32,
    "encoder_attention_heads": 20,
    "encoder_ffn_dim": 5120,
    "num_mel_bins": 80,
    "max_source_positions": 1500,
}


@dataclass(frozen=True)
class _Files:
    """Where the four parts are."""

    trained: Path
    beats: Path
    whisper: Path
    vicuna: Path
    hub: Mapping[Path, str]  # folders that were fetched, and where from

    @property
    def weights(self) -> list[Path]:
        """Every file that is read."""
        folders = (weights_files(folder, pickled=True) for folder in (self.whisper, self.vicuna))
        return [self.trained, self.beats, *itertools.chain(*folders)]


def load(options: LoadOptions) -> Model:
    """Load SALMONN from its original files.

    Parameters
    ----------
    options : LoadOptions
        ``weights`` is a folder that holds ``salmonn*.pth``, ``BEATs*.pt`` and the folders of Whisper and Vicuna under
        any name; or the ``.pth`` itself, with the others next to it. ``extra`` may name ``whisper`` and ``vicuna``
        (folders or hub ids) and ``beats`` (a file) elsewhere; ``lora_for_text`` (True) says whether text goes through
        Vicuna with LoRA, as speech does; ``lora_alpha`` (32, with which SALMONN was trained) scales LoRA.

    Returns
    -------
    Model
        With both sides.

    Raises
    ------
    FetchError
        If no weights are named.
    DataError
        If a part is missing, damaged or of another model.
    UsageError
        If an option is wrong.
    """
    options.check_extra(_OPTIONS)
    release = RELEASES[options.name]
    if options.window_seconds is not None:
        raise UsageError(f"window_seconds: {options.name} has a window of its own; leave it out")
    if not options.weights:
        raise FetchError(
            f"the weights of {options.name} are tens of gigabytes, and are not fetched unasked: name a folder that "
            f"holds {release.checkpoint}, BEATs_iter3_plus_AS2M_finetuned_on_AS2M_cpt2.pt and the folders of "
            f"openai/whisper-large-v2 and {release.vicuna} as weights"
        )
    adapted = options.extra.get("lora_for_text", True)
    if not isinstance(adapted, bool):
        raise UsageError(f"lora_for_text: {adapted!r} is neither true nor false")
    dtype = dtype_named(options.dtype)
    files = _locate(options.weights, options.extra)
    beats, trained = read_beats(files.beats), read_trained(files.trained)
    sizes = Sizes(
        _whisper_config(files.whisper),
        beats.sizes,
        parse_config(LlamaConfig, files.vicuna, "vicuna"),
        alpha=_alpha(options.extra),
    ).with_trained(trained)
    if trained.heard != sizes.heard:
        raise DataError(
            f"weights {files.trained} are of a SALMONN that hears {trained.heard} features, but Whisper and BEATs have "
            f"{sizes.heard - sizes.beats.width} and {sizes.beats.width}: they do not belong together"
        )
    encode, start = _tokenizer(files.vicuna, int(sizes.vicuna.vocab_size))
    with torch.device("meta"):
        blank = build(sizes, dtype)
    refuse_larger(blank.values(), files.weights, options.weights)
    parts = build(sizes, dtype)
    fill(parts["whisper"].state_dict(), whisper_arrays(files.whisper), str(files.whisper))
    fill(parts["beats"].state_dict(), beats.state.items(), str(files.beats))
    lora = trained_arrays(parts)
    vicuna = {name: tensor for name, tensor in parts["language"].state_dict().items() if ".lora_" not in name}
    fill(vicuna, vicuna_arrays(files.vicuna), str(files.vicuna))
    fill(lora, trained.state.items(), str(files.trained))
    frequencies = {name: tensor.clone() for name, tensor in _rotary(parts).named_buffers()}
    placed = place_parts(parts, options)
    for name, tensor in frequencies.items():  # in 16 bits they would turn by wrong angles
        setattr(_rotary(parts), name, tensor.to(getattr(_rotary(parts), name).device))
    return Model(
        name=options.name,
        sides=_sides(parts, sizes, [start, *encode(BEFORE)], encode, adapted),
        weights=_hashed(files),
        options={
            "dtype": options.dtype,
            "attention": "sdpa",
            "lora_for_text": adapted,
            "lora_alpha": sizes.alpha,
            "lora_rank": sizes.rank,
            **placed,
        },
        notes=_notes(sizes, adapted, beats.left_out),
        licence=_licence(release),
    )


def planned(name: str, folder: str | None = None) -> Model:
    """Return the model without weights (on the "meta" device): its points and parameters, but nothing to run.

    Parameters
    ----------
    name : str
        A name in :data:`RELEASES`.
    folder : str, optional
        Weights as :func:`load` takes them: then their sizes count, not the released ones.

    Raises
    ------
    DataError
        If the folder has no SALMONN.
    """
    release = RELEASES[name]
    left_out: tuple[str, ...] = ()
    if folder:
        files = _locate(folder, {})
        beats = read_beats(files.beats)
        left_out = beats.left_out
        sizes = Sizes(_whisper_config(files.whisper), beats.sizes, parse_config(LlamaConfig, files.vicuna, "vicuna"))
        sizes = sizes.with_trained(read_trained(files.trained))
    else:
        sizes = Sizes(WhisperConfig(**_WHISPER), BeatsSizes(), LlamaConfig(vocab_size=32_000, **release.config))
    with torch.device("meta"):
        parts = build(sizes, torch.float32)
    return Model(
        name=name,
        sides=_sides(parts, sizes, [], lambda text: [], True),
        weights=(),
        options={"attention": "sdpa", "lora_for_text": True, "lora_alpha": sizes.alpha, "lora_rank": sizes.rank},
        notes=_notes(sizes, True, left_out),
        licence=_licence(release),
    )


def _rotary(parts: Mapping[str, nn.Module]) -> nn.Module:
    return parts["language"].get_submodule("rotary_emb")


def _sides(
    parts: Mapping[str, nn.Module],
    sizes: Sizes,
    prefix: Sequence[int],
    encode: Callable[[str], list[int]],
    adapted: bool,
) -> dict[Any, Side]:
    text = nn.ModuleDict({"language": parts["language"]}).eval()
    speech = nn.ModuleDict(dict(parts)).eval()
    return {
        "text": SalmonnText(text, sizes, prefix, encode, adapted),
        "speech": SalmonnSpeech(speech, sizes, prefix),
    }


def _licence(release: Release) -> str:
    return f"Apache-2.0 (SALMONN, Whisper), MIT (BEATs), {release.licence}"


def _notes(sizes: Sizes, adapted: bool, left_out: Sequence[str]) -> tuple[str, ...]:
    seconds = sizes.positions * STEP // SAMPLE_RATE
    notes = [
        f"Whisper, inside SALMONN, hears a window of {seconds} s and attends to the silence behind a recording; what "
        "is pooled is the recording's own.",
        "Whisper and BEATs run side by side; in depth, BEATs's points are counted behind Whisper's.",
        f"Text stands in the prompt where speech does, behind {BEFORE!r}; pooled are the sentence's tokens alone. What "
        f"the prompt says behind them has no influence, as attention goes backwards alone.",
        f"LoRA (rank {sizes.rank}, alpha {sizes.alpha:g}) is on for speech and {'on' if adapted else 'off'} for text"
        + (
            " (lora_for_text = false turns it off)."
            if adapted
            else ": the shared points see text with other weights than speech."
        ),
    ]
    if left_out:
        notes.append(f"Left out, because nothing here uses it: the classifier of BEATs ({', '.join(left_out)}).")
    return tuple(notes)


def _alpha(extra: Mapping[str, Any]) -> float:
    alpha = extra.get("lora_alpha", 32.0)
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not math.isfinite(alpha) or alpha < 0:
        raise UsageError(f"lora_alpha: {alpha!r} is not a number of 0 or more")
    return float(alpha)


def _locate(weights: str, extra: Mapping[str, Any]) -> _Files:
    place = expanded(weights)
    if not place.exists():
        raise DataError(f"weights: there is no {weights}: name a folder that holds SALMONN's files, or its .pth")
    folder = place.parent if place.is_file() else place
    hub: dict[Path, str] = {}
    return _Files(
        trained=place if place.is_file() else _only_file(folder, "salmonn*.pth", "SALMONN's own checkpoint", ""),
        beats=_named(extra, "beats", hub) or _only_file(folder, "BEATs*.pt", "a checkpoint of BEATs", "beats"),
        whisper=_named(extra, "whisper", hub) or _only_folder(folder, "whisper"),
        vicuna=_named(extra, "vicuna", hub) or _only_folder(folder, "vicuna"),
        hub=hub,
    )


def _named(extra: Mapping[str, Any], option: str, hub: dict[Path, str]) -> Path | None:
    """Return where an option says that a part is; a hub id's files are fetched, and noted in `hub`."""
    if option not in extra:
        return None
    said = str(extra[option])
    path = expanded(said)
    if option == "beats":
        if not path.is_file():
            raise DataError(f"beats: there is no file {path}")
        return path
    place = locate(said, option=option, pickled=True)
    hub[place.folder.resolve()] = place.source
    return place.folder


def _only_file(folder: Path, pattern: str, what: str, option: str) -> Path:
    matches = sorted(folder.glob(pattern))
    other = f", or name it in options = {{{option!r}: ...}}" if option else ", or name the file itself as weights"
    if not matches:
        raise DataError(f"weights: {folder} holds no {pattern}, {what}: put it there{other}")
    if len(matches) > 1:
        names = ", ".join(path.name for path in matches)
        raise DataError(f"weights: {folder} holds more than one {pattern} ({names}): leave one there{other}")
    return matches[0]


_MODEL_TYPES = {"whisper": "whisper", "vicuna": "llama"}


def _only_folder(folder: Path, option: str) -> Path:
    kind = _MODEL_TYPES[option]
    matches = [
        path.parent for path in sorted(folder.glob("*/config.json")) if read_settings(path).get("model_type") == kind
    ]
    other = f"name it in options = {{{option!r}: ...}}"
    if not matches:
        raise DataError(
            f"weights: no folder in {folder} holds a model of type {kind!r}: put {option} there, or {other}"
        )
    if len(matches) > 1:
        names = ", ".join(path.name for path in matches)
        raise DataError(f"weights: {folder} holds more than one model of type {kind!r} ({names}): {other}")
    return matches[0]


def _whisper_config(folder: Path) -> WhisperConfig:
    config = cast(WhisperConfig, parse_config(WhisperConfig, folder, "whisper"))
    per_second = SAMPLE_RATE // STEP
    if config.max_source_positions < per_second or config.max_source_positions % per_second:
        raise DataError(
            f"whisper: {folder} has a window of {config.max_source_positions} positions, which is no whole number of "
            f"seconds at {per_second} a second"
        )
    return config


def _tokenizer(folder: Path, vocabulary: int) -> tuple[Callable[[str], list[int]], int]:
    """Return what gives a text's ids without special tokens, and the start token's id."""
    path = folder / "tokenizer.model"
    if path.is_file():
        processor = read_sentencepiece(path)
        size, start = processor.get_piece_size(), processor.bos_id()
        encode = processor.encode
    else:
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise DataError(f"vicuna: {folder} holds no tokenizer: neither tokenizer.model nor tokenizer.json")
        tokenizer = read_tokenizer(path)
        size, start, encode = tokenizer.get_vocab_size(), tokenizer.token_to_id("<s>"), pieces_by(tokenizer)
    if start is None or start < 0:
        raise DataError(f"tokenizer {path} has no start token <s>: it is not Vicuna's")
    if size > vocabulary:
        raise DataError(f"tokenizer {path} has {size} tokens and Vicuna {vocabulary}: files of different models")
    return encode, int(start)


def _hashed(files: _Files) -> tuple[WeightsFile, ...]:
    folders = {path: path.absolute().parent for path in files.weights}
    return tuple(
        WeightsFile(path.name, sha256_of(path), files.hub.get(folder.resolve(), folder.resolve().name))
        for path, folder in folders.items()
    )
