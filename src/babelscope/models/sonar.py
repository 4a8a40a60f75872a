"""SONAR: sentence embeddings of text (one encoder for 200 languages) and of speech (one encoder a language), one space.

Nothing of fairseq2 is needed: the text encoder is transformers' M2M100 encoder, and a speech encoder is SeamlessM4T
v1's conformer with a small Bart decoder after it, which pools: a single query position attends to all frames, and
what comes out is projected. Both sides end in ``shared.embedding``, the same space, where speech may be compared with
text directly; text gets there by the mean over all its tokens, the language tag and ``</s>`` included.

Speech lengths, for n samples at 16 kHz: F = (n - 400) // 160 + 1 frames of log-mel features, in pairs L = F // 2. An
odd last frame is dropped, as SONAR's own code does; transformers' extractor pads it with a frame of zeros.

The poolers have three layers in the English encoder and six in all others. A point must mean the same in every
language, so the pooler's points are counted from the end, ``speech.pooler.-1`` being the last layer, and there are as
many as the shallowest of the encoders offered has.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import M2M100Config
from transformers.initialization import no_init_weights
from transformers.models.m2m_100.modeling_m2m_100 import M2M100Encoder

from babelscope.cache import sha256_of
from babelscope.errors import DataError, UsageError, did_you_mean
from babelscope.fetch.hub import hub_folder
from babelscope.models.options import LoadOptions
from babelscope.models.sonar_sides import (
    RELEASED,
    BlankEncoders,
    SonarSpeech,
    SonarSpeechEncoder,
    SonarText,
    SpeechEncoders,
)
from babelscope.models.weights.accounting import fill
from babelscope.models.weights.folder import load_pretrained, parse_config, read_tokenizer
from babelscope.models.weights.places import check_folder, expanded, local_path, locate
from babelscope.models.weights.sonar import TEXT_HEADS, SpeechSizes, read_text
from babelscope.sides import Modality, Model, Side, WeightsFile, dtype_named, ready

#: The sides of each registered name, and the options of each side.
SIDES: dict[str, tuple[Modality, ...]] = {
    "sonar": ("text", "speech"),
    "sonar-text": ("text",),
    "sonar-speech": ("speech",),
}
_OPTIONS: dict[Modality, tuple[str, ...]] = {
    "text": ("tokenizer",),
    "speech": ("speech_weights", "speech_languages"),
}

#: The converted text encoder that is asked for where the user names none.
PORT = "cointegrated/SONAR_200_text_encoder"
TEXT_FILE = "sonar_text_encoder.pt"

NON_COMMERCIAL = "CC-BY-NC 4.0"
#: Licence of a speech encoder, by what its file's name says; the English one stands in neither of SONAR's lists.
SPEECH_LICENCES = {"v3ap": "MIT", "v5ap": NON_COMMERCIAL}

#: The sizes of the published encoders: text, and English speech (the others' poolers have six layers).
RELEASED_TEXT = {"vocab_size": 256_206, "d_model": 1024, "encoder_layers": 24, "encoder_ffn_dim": 8192}
RELEASED_ENGLISH = SpeechSizes(
    features=160,
    width=1024,
    layers=24,
    heads=16,
    feed_forward=4096,
    kernel=31,
    queries=1024,
    pooler_layers=3,
    pooler_feed_forward=4096,
)
_SPEECH_FILE = re.compile(r"spenc\.(?:(?P<version>v\d+[a-z]*)\.)?(?P<language>[a-z]{3})\.pt")


def load(options: LoadOptions) -> Model:
    """Load SONAR, or the half of it that the model's name says.

    Text is read from the converted port on the hub (if nothing is named), or from the original
    ``sonar_text_encoder.pt``. Speech has one encoder a language, in files under their released names
    (``spenc.v3ap.fra.pt``, ``spenc.eng.pt``). Every file that is offered is hashed whole, so name what you need.

    Parameters
    ----------
    options : LoadOptions
        ``weights``: a folder that holds both halves, or a half: for text also a folder or hub id in transformers'
        format (config.json, safetensors, tokenizer.json) or the original file, for speech a folder or one file.
        ``extra["tokenizer"]``: a folder or file where NLLB's tokenizer.json is, if not next to the weights.
        ``extra["speech_weights"]``: a folder or file of speech encoders, or a mapping from languages to files of any
        name. ``extra["speech_languages"]``: the languages to take from a folder (all).

    Returns
    -------
    Model

    Raises
    ------
    DataError
        If weights or tokenizer are missing, damaged or of another model, or the halves' embeddings differ in width.
    UsageError
        If an option is wrong, or speech is wanted and no weights of it are named.
    """
    modalities = SIDES[options.name]
    options.check_extra(option for modality in modalities for option in _OPTIONS[modality])
    speech_files = _speech_files(options) if "speech" in modalities else {}
    sides: dict[Modality, Side] = {}
    weights: tuple[WeightsFile, ...] = ()
    notes: tuple[str, ...] = ()
    licences: list[str] = []
    recorded: dict[str, Any] = {"dtype": options.dtype, "attention": "sdpa"}
    if "text" in modalities:
        sides["text"], weights, notes = _text_side(options)
        licences.append(NON_COMMERCIAL)
    if "speech" in modalities:
        speech, encoder_files, encoder_notes = _speech_side(options, speech_files)
        sides["speech"], weights, notes = speech, (*weights, *encoder_files), (*notes, *encoder_notes)
        licences += map(_licence_of, speech_files.values())
        sizes = speech.encoders.sizes.items()
        recorded["speech encoders"] = {language: path.name for language, path in speech_files.items()}
        recorded["pooler layers"] = {language: each.pooler_layers for language, each in sizes}
    widths = [side.points[-1].width for side in sides.values()]
    if len(set(widths)) > 1:
        raise DataError(
            f"SONAR's text embeddings are {widths[0]} wide and its speech embeddings {widths[1]}: they share no space, "
            f"so that these weights do not belong together"
        )
    return Model(options.name, sides, weights, recorded, notes, " and ".join(dict.fromkeys(licences)))


def planned(name: str, folder: str | None = None) -> Model:
    """Return the model without weights (on the "meta" device): its points and parameters, but nothing to run.

    Parameters
    ----------
    name : str
        ``sonar``, ``sonar-text`` or ``sonar-speech``.
    folder : str, optional
        Weights as :func:`load` takes them: then their sizes count, not those of the published encoders.

    Returns
    -------
    Model
        With one speech encoder, the first; the notes say what each further language costs.

    Raises
    ------
    DataError
        If the folder has no SONAR.
    """
    sides: dict[Modality, Side] = {}
    notes: list[str] = []
    licences: list[str] = []
    if "text" in SIDES[name]:
        licences.append(NON_COMMERCIAL)
        with torch.device("meta"):
            model = M2M100Encoder(_planned_text(folder))
        sides["text"] = SonarText(model.eval().requires_grad_(False), None)
    if "speech" in SIDES[name]:
        if folder:
            encoders = SpeechEncoders(_released_files(expanded(folder)))
            files, sizes = encoders.files, encoders.sizes
        else:
            files = {language: Path(file) for language, file in RELEASED.items()}
            other = dataclasses.replace(RELEASED_ENGLISH, pooler_layers=6)
            sizes = {language: RELEASED_ENGLISH if language == "eng" else other for language in files}
        sides["speech"] = SonarSpeech(BlankEncoders(files, sizes))
        licences += [_licence_of(path) for path in files.values()]
        with torch.device("meta"):
            largest = SonarSpeechEncoder(max(sizes.values(), key=lambda each: each.pooler_layers))
        each = sum(parameter.numel() for parameter in largest.parameters())
        notes.append(
            f"SONAR hears each language with an encoder of its own, one for each of {len(files)} languages here: up to "
            f"{each / 1e6:.1f} million parameters each, of which two encoders are in memory at most."
        )
    return Model(name, sides, (), {"attention": "sdpa"}, tuple(notes), " and ".join(dict.fromkeys(licences)))


def _planned_text(folder: str | None) -> M2M100Config:
    if folder is None:
        return _text_config(**RELEASED_TEXT)
    path = _text_place(folder)
    if path.suffix == ".pt":
        return _text_config(**read_text(path)[0])
    if path.is_dir():
        check_folder(path, str(path), weights=False)
    config: M2M100Config = parse_config(M2M100Config, path)
    return config


def _text_side(options: LoadOptions) -> tuple[SonarText, tuple[WeightsFile, ...], tuple[str, ...]]:
    source = options.weights or PORT
    path = _text_place(source)
    if path.suffix == ".pt":
        model, files = _original_text(path)
        beside: str = str(path.parent)
    else:
        place = locate(source)
        # Older transformers stored the table of positions.
        model, files = load_pretrained(M2M100Encoder, place, ignore_unexpected=("embed_positions.weights",))
        beside = str(place.folder)
    tokenizer = _tokenizer(str(options.extra.get("tokenizer", beside)))
    side = SonarText(ready(model, options.device, dtype_named(options.dtype)), tokenizer)
    note = f"SONAR's text encoder is under {NON_COMMERCIAL}: not for commercial use."
    return side, files, (note,)


def _text_place(source: str) -> Path:
    path = local_path(source)
    if path is None:
        return Path(source)
    return path / TEXT_FILE if not (path / "config.json").is_file() and (path / TEXT_FILE).is_file() else path


def _text_config(**sizes: int) -> M2M100Config:
    config = M2M100Config(
        **sizes,
        encoder_attention_heads=TEXT_HEADS,
        max_position_embeddings=1024,
        activation_function="relu",
        scale_embedding=True,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )
    config._attn_implementation = "sdpa"
    return config


def _original_text(path: Path) -> tuple[M2M100Encoder, tuple[WeightsFile, ...]]:
    sizes, state = read_text(path)
    with no_init_weights():
        model = M2M100Encoder(_text_config(**sizes))
    fill(model.state_dict(), state.items(), str(path))
    return model, (WeightsFile(path.name, sha256_of(path), str(path.resolve().parent.name)),)


def _tokenizer(source: str) -> Tokenizer:
    place = expanded(source)
    path = place / "tokenizer.json" if place.is_dir() else place
    if not path.is_file():
        if local_path(source) is not None or not re.fullmatch(r"[\w.-]+/[\w.-]+", source):
            raise DataError(
                f"there is no tokenizer {path}: put the tokenizer.json of NLLB-200 (facebook/nllb-200-distilled-600M "
                f"on the hub has it) there, or name it in options = {{'tokenizer': ...}}"
            )
        path = hub_folder(source, ("tokenizer.json",)).path / "tokenizer.json"
    return read_tokenizer(path)


def _speech_files(options: LoadOptions) -> dict[str, Path]:
    named = options.extra.get("speech_weights", options.weights)
    if isinstance(named, Mapping):
        files = {str(language): expanded(str(path)) for language, path in named.items()}
    elif named is None:
        raise UsageError(
            f"model {options.name}: name its speech encoders, options = {{'speech_weights': {{'eng': 'spenc.eng.pt', "
            f"...}}}} or a folder of spenc files; each language has one of its own"
        )
    else:
        files = _released_files(expanded(str(named)))
    wanted = options.extra.get("speech_languages")
    if wanted is not None:
        wanted = [wanted] if isinstance(wanted, str) else list(wanted)
        for language in wanted:
            if language not in files:
                raise UsageError(
                    f"speech_languages: there is no speech encoder for {language!r}; {did_you_mean(language, files)}"
                )
        files = {language: files[language] for language in wanted}
    if not files:
        raise UsageError(f"model {options.name}: no speech encoder is named: name at least one language's")
    return files


def _released_files(place: Path) -> dict[str, Path]:
    if not place.exists():
        raise DataError(
            f"weights: there is no {place}: name a folder that holds SONAR's speech encoders (spenc.v3ap.fra.pt, "
            f"spenc.eng.pt), or say which file is which language's in options = {{'speech_weights': ...}}"
        )
    by_language: dict[str, Path] = {}
    for path in sorted(place.glob("spenc*.pt")) if place.is_dir() else [place]:
        match = _SPEECH_FILE.fullmatch(path.name)
        if not match:
            continue
        language = match["language"]
        if language in by_language:
            raise DataError(
                f"weights: {by_language[language].name} and {path.name} in {place} are both for {language!r}: "
                f"keep one, or say which in options = {{'speech_weights': ...}}"
            )
        by_language[language] = path
    if not by_language:
        raise DataError(
            f"weights: {place} is or holds no file named as SONAR's speech encoders are (spenc.v3ap.fra.pt, "
            f"spenc.eng.pt): say which file is which language's in options = {{'speech_weights': ...}}"
        )
    return by_language


def _speech_side(
    options: LoadOptions, files: Mapping[str, Path]
) -> tuple[SonarSpeech, tuple[WeightsFile, ...], tuple[str, ...]]:
    encoders = SpeechEncoders(files, options.device, options.dtype)
    side = SonarSpeech(encoders)
    notes = [
        "SONAR hears each language with an encoder of its own: at every speech point but the sentence embedding, two "
        "languages are seen by different weights.",
        "Licences of SONAR's speech encoders: "
        + ", ".join(f"{path.name} ({_licence_of(path)})" for path in files.values())
        + ".",
    ]
    depths = {sizes.pooler_layers for sizes in encoders.sizes.values()}
    if len(depths) > 1:
        notes.append(
            f"SONAR's poolers have {' or '.join(map(str, sorted(depths)))} layers: the last {min(depths)} of each are "
            f"shown, counted from the end."
        )
    weights = tuple(
        WeightsFile(path.name, sha256_of(path), f"{path.resolve().parent.name}, {language}")
        for language, path in files.items()
    )
    return side, weights, tuple(notes)


def _licence_of(path: Path) -> str:
    match = _SPEECH_FILE.fullmatch(path.name)
    return SPEECH_LICENCES.get((match["version"] or "") if match else "", "licence not stated")
