"""SeamlessM4T, v2 and v1: text and speech, each with an encoder of its own, and a text decoder that both share.

Without its text-to-unit model and vocoder, which are never loaded. Speech: F = (n - 400) // 160 + 1 frames of
filterbank for n samples, stacked by two: L = F // 2 positions in the encoder; the length adapter leaves
A = L // 8 + 1. Text: ``[__lang__] text </s>``. The decoder sees the same forced prefix, ``</s> __eng__``, for every
input, so that only the source varies; the positions that are pooled there are those two.

What is computed is what transformers computes for one utterance, with three cares:

- The adapter's convolutions read padded frames (of a batch, and even of a single utterance whose number of frames is
  odd) wherever L mod 8 is 0 to 3; fairseq has mended this, transformers has not. Here what they read is masked.
- Attention is "sdpa": with "eager", transformers 5 adds the mask of the v2 speech encoder as if it were a bias.
- The source language's token is set for every text, not left as the last call had it.

One difference between transformers and the original remains: text positions start at sinusoid step 1 there, at step 2
in the original. The option ``text_positions = "original"`` shifts them.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import SeamlessM4TConfig, SeamlessM4TFeatureExtractor, SeamlessM4Tv2Config
from transformers.initialization import no_init_weights
from transformers.modeling_utils import local_torch_dtype
from transformers.models.seamless_m4t.modeling_seamless_m4t import (
    SeamlessM4TDecoder,
    SeamlessM4TEncoder,
    SeamlessM4TSpeechEncoder,
)
from transformers.models.seamless_m4t_v2.modeling_seamless_m4t_v2 import (
    SeamlessM4Tv2Decoder,
    SeamlessM4Tv2Encoder,
    SeamlessM4Tv2SpeechEncoder,
)

from babelscope import languages
from babelscope.cache import sha256_of
from babelscope.errors import DataError, FetchError, UsageError, did_you_mean
from babelscope.models.adapters.speech import SpeechSide, in_dtype_of
from babelscope.models.adapters.text import TaggedText
from babelscope.models.filterbank import FramePairs, pairs
from babelscope.models.options import LoadOptions
from babelscope.models.placement import DEVICE_MAP, place_parts
from babelscope.models.weights.accounting import (
    arrays_in,
    fill,
    pickled_arrays,
    refuse_larger,
    safetensors_dtypes,
    weights_files,
)
from babelscope.models.weights.folder import parse_config, pieces_by, read_sentencepiece, read_tokenizer
from babelscope.models.weights.places import Place, expanded, locate
from babelscope.models.weights.seamless import (
    EMBEDDING,
    LARGE_LANGUAGES,
    MEDIUM_LANGUAGES,
    TEXT_TO_UNIT,
    seamless_state,
)
from babelscope.models.weights.settings import read_settings
from babelscope.sides import (
    Batch,
    Model,
    Point,
    Side,
    Stage,
    WeightsFile,
    dtype_named,
    layer_points,
    real_positions,
    spread_depths_before,
)

SAMPLE_RATE = 16_000
LICENCE = "CC-BY-NC 4.0"
TARGET_LANGUAGE = "eng"
TEXT_POSITIONS = ("transformers", "original")

#: Arrays of the parts that are not loaded.
LEFT_OUT = ("t2u_model.", "vocoder.")

#: Names under which a file may hold the one embedding: transformers writes any of them.
_TIED = (EMBEDDING, "lm_head.weight", "text_encoder.embed_tokens.weight", "text_decoder.embed_tokens.weight")

#: Pieces of the sentencepiece model, and its pad: the first language's id.
_FIRST_LANGUAGE = 256_001


class Release(NamedTuple):
    """A released model: where it is, what it is, and which languages it reads.

    Attributes
    ----------
    kind : type
        Of its configuration.
    languages : tuple of str
        In the order of their ids.
    sizes : mapping of str to int
        Where the class has others.
    """

    hub: str
    kind: Any
    languages: tuple[str, ...]
    sizes: Mapping[str, int] = {}

    def config(self) -> Any:
        """Return the released configuration."""
        return self.kind(**self.sizes)


_MEDIUM = {
    "vocab_size": 256_206,
    "encoder_layers": 12,
    "decoder_layers": 12,
    "encoder_ffn_dim": 4096,
    "decoder_ffn_dim": 4096,
    "speech_encoder_layers": 12,
}

RELEASES: dict[str, Release] = {
    "seamless-m4t-v2-large": Release("facebook/seamless-m4t-v2-large", SeamlessM4Tv2Config, LARGE_LANGUAGES),
    "seamless-m4t-large": Release("facebook/hf-seamless-m4t-large", SeamlessM4TConfig, LARGE_LANGUAGES),
    "seamless-m4t-medium": Release("facebook/hf-seamless-m4t-medium", SeamlessM4TConfig, MEDIUM_LANGUAGES, _MEDIUM),
}

_MODULES: dict[str, tuple[Any, Any, Any]] = {
    "seamless_m4t_v2": (SeamlessM4Tv2Encoder, SeamlessM4Tv2SpeechEncoder, SeamlessM4Tv2Decoder),
    "seamless_m4t": (SeamlessM4TEncoder, SeamlessM4TSpeechEncoder, SeamlessM4TDecoder),
}


def adapted(samples: int) -> int:
    """Return how many positions the length adapter leaves of `samples` samples: A = L // 8 + 1, or 0 if L is 0."""
    length = pairs(samples)
    return length // 8 + 1 if length else 0


def _shared_points(config: Any) -> list[Point]:
    prefixed: dict[str, Any] = {"length": lambda _: 2, "formula": "2 (the prefix)"}
    return [
        *layer_points("shared.", config.decoder_layers, config.hidden_size, "text_decoder.", Stage.SHARED, **prefixed),
        Point("shared.norm", Stage.SHARED, 0, config.hidden_size, "text_decoder.layer_norm", **prefixed),
    ]


def _points(config: Any, own: Sequence[Point]) -> tuple[Point, ...]:
    longest = max(len(_text_points(config)), len(_speech_points(config)))
    return spread_depths_before(own, _shared_points(config), longest)


def _decode(side: Side, prefix: Tensor, encoded: Tensor, mask: Tensor) -> None:
    """Run the decoder on the prefix, unless no point of it is looked at."""
    if any(point.stage is Stage.SHARED for point in side.points):
        side.root.get_submodule("text_decoder")(
            input_ids=prefix.to(encoded.device).expand(len(encoded), -1),
            encoder_hidden_states=encoded,
            encoder_attention_mask=mask,
            use_cache=False,
        )


def _family(config: Any) -> str:
    return "SeamlessM4T v2" if config.model_type == "seamless_m4t_v2" else "SeamlessM4T"


def _text_points(config: Any) -> list[Point]:
    width = config.hidden_size
    return [
        Point("text.embeddings", Stage.FRONT_END, 0, width, "text_encoder.embed_tokens"),
        *layer_points("text.", config.encoder_layers, width, "text_encoder."),
        Point("text.norm", Stage.ENCODER, 0, width, "text_encoder.layer_norm"),
    ]


def _speech_points(config: Any) -> list[Point]:
    width, layers = config.hidden_size, config.speech_encoder_layers
    encoded: dict[str, Any] = {"length": pairs, "formula": "L = ((n - 400) // 160 + 1) // 2"}
    after: dict[str, Any] = {"length": adapted, "formula": "A = L // 8 + 1"}

    def point(name: str, stage: Stage, module: str, **more: Any) -> Point:
        return Point(f"speech.{name}", stage, 0, width, f"speech_encoder.{module}", **encoded | more)

    return [
        point("front_end", Stage.FRONT_END, "feature_projection"),
        point("input", Stage.FRONT_END, "encoder.layers.0", take="input"),
        *layer_points("speech.", layers, width, "speech_encoder.encoder.", **encoded),
        point("norm", Stage.ENCODER, "encoder.layer_norm"),
        point("before_adaptation", Stage.LENGTH_ADAPTATION, "adapter", take="input"),
        point("after_adaptation", Stage.LENGTH_ADAPTATION, "adapter.layers.0", **after),
        point("inner_norm", Stage.LENGTH_ADAPTATION, "inner_layer_norm", **after),
    ]


class SeamlessText(TaggedText):
    """The text side: embeddings (scaled, without positions), every layer, the final norm, the shared decoder.

    Parameters
    ----------
    root : torch.nn.ModuleDict
        ``text_encoder`` and ``text_decoder``.
    prefix : Tensor, shape (1, 2)
        What the decoder is made to see.
    encode : callable
        From a text to the ids of its pieces, without special ones.
    codes : mapping of str to int
        The id of each language that the model reads, by Seamless's code.
    """

    def __init__(
        self,
        root: nn.Module,
        config: Any,
        prefix: Tensor,
        encode: Callable[[str], list[int]],
        codes: Mapping[str, int],
    ) -> None:
        super().__init__(root.get_submodule("text_encoder"), encode, ())
        self.root, self.forced, self.codes, self.family = root, prefix, codes, _family(config)
        self.points = _points(config, _text_points(config))

    def tag(self, language: str) -> int:
        """Return the id of a corpus's language, by any code of it: ``en``, ``en_us``, ``eng``.

        Raises
        ------
        UsageError
            If this model does not read the language.
        """
        return self.codes[_code(language, self.codes)]

    def forward(self, batch: Batch) -> Mapping[str, Tensor]:
        """Run the encoder and the decoder."""
        encoded = self.root.get_submodule("text_encoder")(**batch.inputs).last_hidden_state
        _decode(self, self.forced, encoded, batch.inputs["attention_mask"])
        return {}


class SeamlessSpeech(SpeechSide):
    """The speech side: projected features, every conformer layer, before and after length adaptation, the decoder.

    Parameters
    ----------
    root : torch.nn.ModuleDict
        ``speech_encoder`` and ``text_decoder``.
    prefix : Tensor, shape (1, 2)
    """

    def __init__(self, root: nn.Module, config: Any, prefix: Tensor, features: SeamlessM4TFeatureExtractor) -> None:
        super().__init__(root.get_submodule("speech_encoder"), FramePairs(features))
        self.root, self.forced, self.family = root, prefix, _family(config)
        self.points = _points(config, _speech_points(config))

    def forward(self, batch: Batch) -> Mapping[str, Tensor]:
        """Run the encoder and the decoder; the adapter sees nothing after an utterance's end."""
        encoder = self.root.get_submodule("speech_encoder")
        mask = batch.inputs["attention_mask"]
        with _adapter_without_padding(encoder, mask.bool()):
            encoded = encoder(**in_dtype_of(encoder, batch.inputs)).last_hidden_state
        after = real_positions([adapted(length) for length in batch.lengths], encoded.shape[1])
        _decode(self, self.forced, encoded, after.long().to(mask.device))
        return {}

    def reference(self, item: str | NDArray[np.float32], language: str) -> None:
        """Return None: transformers lets padding into the adapter even of a recording that is alone."""


@contextlib.contextmanager
def _adapter_without_padding(encoder: nn.Module, mask: Tensor) -> Iterator[None]:
    """Zero what the adapter's two strided convolutions read after an utterance's end.

    Their inputs are the outputs of two norms, which are not zero on padding even where the norms' input is. Beyond the
    end of the array the convolutions read zeros anyway, so that a padded utterance gives what it gives alone.
    """

    def silence(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        return output.masked_fill(~mask[..., None], 0.0)

    adapter = encoder.get_submodule("adapter.layers.0")
    with contextlib.ExitStack() as handles:
        for norm in ("residual_layer_norm", "self_attn_layer_norm"):
            handles.callback(adapter.get_submodule(norm).register_forward_hook(silence).remove)
        yield


def load(options: LoadOptions) -> Model:
    """Load SeamlessM4T from a local folder or hub id in transformers' format, or from an original ``.pt``.

    A ``.pt`` needs a tokenizer next to it: ``tokenizer.json``, ``sentencepiece.bpe.model`` or ``tokenizer.model``;
    ``config.json`` and ``generation_config.json`` count if they are there, else the released configuration does.

    Parameters
    ----------
    options : LoadOptions
        ``weights`` is needed. ``extra`` may have ``target_language`` (a code of the model's, default ``eng``): what the
        decoder is made to translate into; and ``text_positions`` ("transformers", the default, or "original").

    Returns
    -------
    Model
        With both sides.

    Raises
    ------
    FetchError
        If no weights are named.
    DataError
        If weights, configuration or tokenizer are missing, damaged or of another model.
    UsageError
        If an option is wrong.
    """
    options.check_extra(("target_language", "text_positions", DEVICE_MAP))
    release = RELEASES[options.name]
    if not options.weights:
        raise FetchError(
            f"the weights of {options.name} are several gigabytes, and are not fetched unasked: name a local folder, "
            f"an original .pt, or the hub id {release.hub!r} as weights"
        )
    original, place = _locate(options.weights)
    folder = place.folder
    config = _config(folder, release, required=original is None)
    dtype = dtype_named(options.dtype)
    text_positions = str(options.extra.get("text_positions", "transformers"))
    if text_positions not in TEXT_POSITIONS:
        raise UsageError(
            f"text_positions {text_positions!r} is unknown; {did_you_mean(text_positions, TEXT_POSITIONS)}"
        )
    encode, token_id = _tokenizer(folder)
    codes = _codes(folder, release, config, token_id, required=original is None)
    target = _target(str(options.extra.get("target_language", TARGET_LANGUAGE)), codes)
    prefix = torch.tensor([[int(config.decoder_start_token_id), codes[target]]])
    files = [original] if original else weights_files(folder)
    arrays = pickled_arrays(original) if original else {}
    with torch.device("meta"):
        blank = build(config, dtype)
    refuse_larger(blank.values(), files, folder / "config.json")
    parts = build(config, dtype)
    left_out = _fill_from_checkpoint(parts, config, original, arrays) if original else _fill_from_folder(parts, files)
    if text_positions == "original":
        for name in ("text_encoder", "text_decoder"):
            _shift_positions(parts[name].get_submodule("embed_positions"))
    placed = place_parts(parts, options)
    return Model(
        name=options.name,
        sides=_sides(parts, config, prefix, encode, codes, _features(folder, config)),
        weights=tuple(WeightsFile(file.name, sha256_of(file), place.source) for file in files),
        options={
            "dtype": options.dtype,
            "attention": "sdpa",
            "target_language": target,
            "text_positions": text_positions,
            **placed,
        },
        notes=_notes(target, text_positions, left_out),
        licence=LICENCE,
    )


def planned(name: str, folder: str | None = None) -> Model:
    """Return the model without weights (on the "meta" device): its points and parameters, but nothing to run.

    Parameters
    ----------
    name : str
        A name in :data:`RELEASES`.
    folder : str, optional
        Weights as :func:`load` takes them: then the ``config.json`` next to them counts, not the released one.

    Raises
    ------
    DataError
        If the folder has no configuration of SeamlessM4T.
    """
    release = RELEASES[name]
    config = _checked(release.config(), name)
    if folder:
        original, place = _locate(folder, weights=False)
        config = _config(place.folder, release, required=original is None)
    with torch.device("meta"):
        parts = build(config, torch.float32)
    prefix = torch.zeros(1, 2, dtype=torch.long)
    return Model(
        name=name,
        sides=_sides(parts, config, prefix, lambda text: [], {}, SeamlessM4TFeatureExtractor()),
        weights=(),
        options={"attention": "sdpa", "target_language": TARGET_LANGUAGE, "text_positions": "transformers"},
        notes=_notes(TARGET_LANGUAGE, "transformers", {}),
        licence=LICENCE,
    )


def build(config: Any, dtype: torch.dtype) -> dict[str, nn.Module]:
    """Build text encoder, speech encoder and text decoder, their weights not set; one embedding serves both.

    Parameters
    ----------
    dtype : torch.dtype
        In which the weights take their place at once, so that none is ever there in another.
    """
    config._attn_implementation = "sdpa"
    text_encoder, speech_encoder, text_decoder = _MODULES[config.model_type]
    with local_torch_dtype(dtype), no_init_weights():
        embedding = nn.Embedding(config.vocab_size, config.hidden_size, config.pad_token_id)
        parts = {
            "text_encoder": text_encoder(config, embedding),
            "speech_encoder": speech_encoder(config),
            "text_decoder": text_decoder(config, embedding),
        }
    parts["text_decoder"].embed_tokens.weight = parts["text_encoder"].embed_tokens.weight
    for module in parts.values():
        module.eval().requires_grad_(False)
    return parts


def _sides(
    parts: Mapping[str, nn.Module],
    config: Any,
    prefix: Tensor,
    encode: Callable[[str], list[int]],
    codes: Mapping[str, int],
    features: SeamlessM4TFeatureExtractor,
) -> dict[Any, Side]:
    def root(*names: str) -> nn.Module:
        return nn.ModuleDict({name: parts[name] for name in names}).eval()

    return {
        "text": SeamlessText(root("text_encoder", "text_decoder"), config, prefix, encode, codes),
        "speech": SeamlessSpeech(root("speech_encoder", "text_decoder"), config, prefix, features),
    }


def _notes(target: str, text_positions: str, left_out: Mapping[str, int]) -> tuple[str, ...]:
    notes = [
        f"The shared decoder is run on two positions, the forced prefix </s> __{target}__, for text and speech alike; "
        "text carries a token of its source language, speech carries none.",
        "What SeamlessM4T's length adapter reads behind an utterance's end is masked; transformers lets it leak in.",
    ]
    if text_positions == "transformers":
        notes.append(
            "Text positions start one sinusoid step earlier than in the original SeamlessM4T, as transformers has it "
            "(text_positions = 'original' shifts them)."
        )
    if left_out:
        counted = ", ".join(f"{name} ({count} arrays)" for name, count in left_out.items())
        notes.append(f"Left out of the file, because nothing here uses it: {counted}.")
    return tuple(notes)


def _locate(name: str, *, weights: bool = True) -> tuple[Path | None, Place]:
    """Return the original checkpoint, if it is one, and the place of everything else."""
    path = expanded(name)
    if path.suffix == ".pt":
        if not path.is_file():
            raise DataError(f"weights: there is no file {name}")
        return path, Place(path.parent, path.resolve().parent.name)
    return None, locate(name, also=" an original .pt,", weights=weights)


def _config(folder: Path, release: Release, *, required: bool) -> Any:
    path = folder / "config.json"
    if not path.is_file():
        if required:
            raise DataError(f"weights: {folder} holds no config.json: it is not a model in transformers' format")
        return _checked(release.config(), release.hub)
    return _checked(parse_config(release.kind, folder), str(path))


def _checked(config: Any, source: str) -> Any:
    kernel, stride = config.adaptor_kernel_size, config.adaptor_stride
    if not config.add_adapter or config.num_adapter_layers != 1 or (kernel, stride) != (8, 8):
        raise DataError(
            f"weights: {source} has a length adapter of {config.num_adapter_layers} layers, kernel {kernel}, stride "
            f"{stride}; only SeamlessM4T's own is known here: 1 layer, 8 and 8"
        )
    return config


def _features(folder: Path, config: Any) -> SeamlessM4TFeatureExtractor:
    path = folder / "preprocessor_config.json"
    said = read_settings(path) if path.is_file() else {}
    try:
        features = SeamlessM4TFeatureExtractor.from_dict(said)
    except (TypeError, ValueError) as error:
        raise DataError(f"weights: {path} is not a feature extractor's ({error})") from error
    made = features.num_mel_bins * features.stride
    if made != config.feature_projection_input_dim or (features.stride, features.sampling_rate) != (2, SAMPLE_RATE):
        raise DataError(
            f"weights: {path} makes {made} features a position with stride {features.stride} at "
            f"{features.sampling_rate} Hz, but the model takes {config.feature_projection_input_dim} with stride 2 at "
            f"{SAMPLE_RATE} Hz"
        )
    return features


def _tokenizer(folder: Path) -> tuple[Callable[[str], list[int]], Callable[[str], int | None] | None]:
    """Return what gives a text's ids without special tokens, and what gives a special token's id, if it knows."""
    path = folder / "tokenizer.json"
    if path.is_file():
        tokenizer = read_tokenizer(path)
        return pieces_by(tokenizer), tokenizer.token_to_id
    original = [folder / name for name in ("sentencepiece.bpe.model", "tokenizer.model") if (folder / name).is_file()]
    if not original:
        raise DataError(
            f"weights: {folder} holds no tokenizer: neither tokenizer.json, nor sentencepiece.bpe.model or "
            f"tokenizer.model"
        )
    processor = read_sentencepiece(original[0])
    # Its pieces' ids are one lower than the model's, whose first is the pad.
    return lambda text: [number + 1 for number in processor.encode(text)], None


def _codes(
    folder: Path, release: Release, config: Any, token_id: Callable[[str], int | None] | None, *, required: bool
) -> dict[str, int]:
    """Return the languages' ids: from generation_config.json, else (an original checkpoint) in the released order."""
    path = folder / "generation_config.json"
    if path.is_file():
        table = read_settings(path).get("text_decoder_lang_to_code_id")
        if not isinstance(table, dict) or not all(isinstance(number, int) for number in table.values()) or not table:
            raise DataError(f"weights: {path} lacks text_decoder_lang_to_code_id, the ids of the languages")
        codes = {str(code): int(number) for code, number in table.items()}
    elif required:
        raise DataError(f"weights: {folder} holds no generation_config.json, which tells the ids of the languages")
    else:
        codes = {code: _FIRST_LANGUAGE + number for number, code in enumerate(release.languages)}
    for code, number in codes.items():
        known = token_id(f"__{code}__") if token_id else number
        if known != number or not 0 <= number < config.vocab_size:
            raise DataError(
                f"weights: {folder}: language {code!r} has id {number}, but {known} in the tokenizer, of "
                f"{config.vocab_size} in the model: files of different models"
            )
    return codes


def _code(language: str, codes: Mapping[str, int]) -> str:
    """Return the model's code of a language that is named by that code or any other system's."""
    if language in codes:
        return language
    entry = languages.language(language)
    code = next((code for code in (entry.seamless, *languages.codes_of(entry)) if code in codes), None)
    if code is None:
        raise UsageError(
            f"language {language!r} is not one of the {len(codes)} that this SeamlessM4T reads: leave it out"
        )
    return code


def _target(asked: str, codes: Mapping[str, int]) -> str:
    try:
        return _code(asked, codes)
    except UsageError as error:
        raise UsageError(
            f"target_language: {asked!r} is not one of the model's; {did_you_mean(asked, codes)}"
        ) from error


def _shift_positions(module: nn.Module) -> None:
    """Shift the table of sinusoids by a step, as the original has them: its first token stands at step 2, not 1."""
    table = cast(Tensor, module.weights)
    shifted = cast(Any, module).get_embedding(len(table) + 1, table.shape[1], None)[1:].to(table)
    shifted[cast(int, module.padding_idx)] = 0
    cast(Any, module).weights = shifted


def _expected(parts: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    expected = {
        f"{name}.{key}": tensor
        for name, module in parts.items()
        for key, tensor in module.state_dict().items()
        if key != "embed_tokens.weight"
    }
    return {EMBEDDING: cast(Tensor, parts["text_encoder"].get_parameter("embed_tokens.weight")).data, **expected}


def _fill_from_folder(parts: Mapping[str, nn.Module], files: Sequence[Path]) -> dict[str, int]:
    source, expected = str(files[0].parent), _expected(parts)

    def untied() -> Iterator[tuple[str, Tensor]]:
        first = ""
        for name, array in arrays_in(files, lambda name: not name.startswith(LEFT_OUT)):
            if name not in _TIED:
                yield name, array
            elif not first:
                first = name
                yield EMBEDDING, array
            elif array.shape != (tied := expected[EMBEDDING]).shape or not array.to(tied).equal(tied):
                raise DataError(
                    f"weights {source}: {first!r} and {name!r} differ, but are one embedding in SeamlessM4T"
                )

    fill(expected, untied(), source)
    return Counter(name.partition(".")[0] for name in safetensors_dtypes(files) if name.startswith(LEFT_OUT))


def _fill_from_checkpoint(
    parts: Mapping[str, nn.Module], config: Any, path: Path, arrays: Mapping[str, Tensor]
) -> dict[str, int]:
    state, left_out = seamless_state(arrays, int(config.vocab_size), path)
    # BatchNorm's count of training steps: older files lack it, and evaluation does not use it.
    fill(_expected(parts), state.items(), str(path), optional=(".num_batches_tracked",))
    units = sum(name.startswith(TEXT_TO_UNIT) for name in left_out)
    counted = {"the text-to-unit model": units, "remains of the training": len(left_out) - units}
    return {what: count for what, count in counted.items() if count}
