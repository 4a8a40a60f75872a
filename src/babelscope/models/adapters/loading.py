"""From a folder in transformers' format to the part of its model that is looked at: which class it is, and its weights.

A text encoder or decoder is loaded without heads, and of a model that hears or reads and then writes (Whisper, NLLB,
mT5) the encoder alone: the rest would take memory, and nothing looks at it.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn
from transformers.initialization import no_init_weights

from babelscope.cache import sha256_of
from babelscope.errors import BabelscopeError, DataError
from babelscope.models.adapters import quirks
from babelscope.models.adapters.merging import ADAPTER, merge_adapter
from babelscope.models.adapters.weightless import build_without_weights
from babelscope.models.catalogue import Kind
from babelscope.models.options import LoadOptions
from babelscope.models.placement import place_parts
from babelscope.models.weights.accounting import safetensors_dtypes, weights_files
from babelscope.models.weights.containers import Container
from babelscope.models.weights.folder import load_pretrained, silent
from babelscope.models.weights.places import Place
from babelscope.models.weights.settings import read_settings
from babelscope.sides import WeightsFile, dtype_named

#: Names of sizes that say how large a model is, in any configuration of transformers.
SIZES = (
    "hidden_size",
    "d_model",
    "num_hidden_layers",
    "num_layers",
    "encoder_layers",
    "intermediate_size",
    "encoder_ffn_dim",
    "num_attention_heads",
    "encoder_attention_heads",
    "num_mel_bins",
    "vocab_size",
)

#: Names of the number of layers, of an encoder first.
LAYER_COUNTS = ("encoder_layers", "num_hidden_layers", "num_layers", "n_layer", "num_blocks", "n_layers")

#: Starts of names of weights after the encoder of a model made of any two.
_BEHIND = ("decoder.", "enc_to_dec_proj.")

#: What wraps the part of a configuration that hears and reads: the thinkers of the Omni models.
_THINKER = "thinker_config"


@dataclass(frozen=True)
class Configuration:
    """What a folder says its model is.

    Attributes
    ----------
    config : transformers.PreTrainedConfig
        Of the part that is loaded.
    kind : str
        One of :data:`babelscope.models.catalogue.Kind`.
    model_class : type
        The class of transformers of the part that is loaded.
    renamed : mapping of str to str
        Regular expressions for the starts of the names of its weights in the files, and what takes their place.
    left : tuple of str
        Starts of names of weights that belong to other parts of the checkpoint's model: heads, decoders.
    arguments : mapping
        For the constructor.
    inside : (Configuration, str) or None
        Of a part that is in a larger model: that model, and the part's path in it. It is loaded whole where the
        part's weights are not found by their names.
    """

    folder: Path
    config: Any
    kind: Kind
    model_class: type
    renamed: Mapping[str, str] = field(default_factory=dict)
    left: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    inside: tuple[Configuration, str] | None = None

    @property
    def layer_counts(self) -> tuple[int, ...]:
        """How many layers the configuration says that there are, under whatever name."""
        counts = (setting(self.config, name) for name in LAYER_COUNTS)
        return tuple(count for count in counts if isinstance(count, int))

    def build(self) -> Any:
        """Return the model without weights, on the "meta" device.

        Raises
        ------
        DataError
            If the configuration is one that the class refuses.
        """
        try:
            with quirks.building(self.config):
                return build_without_weights(lambda: cast(nn.Module, self.model_class(self.config, **self.arguments)))
        except Exception as error:  # a configuration may be refused by whatever checks it
            raise DataError(
                f"weights: {self.folder / 'config.json'} is no configuration of a {self.model_class.__name__} "
                f"({first_line(error)}): fetch it again"
            ) from error


@dataclass(frozen=True)
class Loaded:
    """A model with its weights, in evaluation mode, where the options say.

    Attributes
    ----------
    options : mapping
        What to record of how it was loaded: dtype, attention, device map.
    """

    model: Any
    files: tuple[WeightsFile, ...]
    options: Mapping[str, Any]


def setting(config: Any, name: str) -> Any:
    """Return what a configuration says under a name; None if it says nothing, or something else for each layer."""
    try:
        return getattr(config, name, None)
    except Exception:  # of layers that differ, configurations refuse to say one number for all
        return None


@contextmanager
def in_one_line(name: str) -> Iterator[None]:
    """Turn whatever a model's own code raises into one line that names the model.

    Raises
    ------
    DataError
        In place of what is no error of this package.
    """
    try:
        yield
    except (BabelscopeError, MemoryError):
        raise
    except Exception as error:  # models and processors raise whatever their parts do
        raise DataError(
            f"model {name} cannot be read by rules ({type(error).__name__}: {first_line(error)}): name another model"
        ) from error


def first_line(error: BaseException) -> str:
    """Return the first sentence of what an error says, or its kind."""
    return whole_line(error).split(". ")[0][:200].rstrip(".")


def whole_line(error: BaseException) -> str:
    """Return the first line of what an error says, with the next where it ends in a colon, or the error's kind."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(lines[: 2 if lines[0].endswith(":") else 1])


def read_configuration(folder: Path, kind: Kind = "") -> Configuration:
    """Read ``config.json``, and decide which part of which class is loaded.

    Parameters
    ----------
    kind : str
        One of :data:`babelscope.models.catalogue.Kind`, in place of what the class says; empty to let it say.

    Raises
    ------
    DataError
        If transformers does not know the model without code of its own, reads other sizes than are written, or the
        model neither reads text nor hears speech; or if it is quantised.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise DataError(f"weights: {folder} holds no config.json: it is not a model in transformers' format")
    settings = read_settings(path)
    if settings.get("quantization_config") is not None:
        raise DataError(f"weights: {path} is of a quantised model, which is not read: name one in 16 or 32 bits")
    config = _parsed(path, settings)
    return configuration_of(config, folder, kind, _named_class(settings))


def configuration_of(config: Any, folder: Path, kind: Kind = "", whole: Any = None) -> Configuration:
    """Decide which part of which class of a model is loaded.

    Parameters
    ----------
    folder : Path
        Where its files are.
    kind : str
        As for :func:`read_configuration`.
    whole : type, optional
        The class that the checkpoint was saved from; transformers' class for the configuration if left out.

    Raises
    ------
    DataError
        As :func:`read_configuration`.
    """
    path = folder / "config.json"
    whole = whole or _auto_class(config)
    if whole is None:
        raise DataError(
            f"weights: {path} is of model_type {config.model_type!r}, for which transformers has no model: name another"
        )
    if hasattr(config, _THINKER):
        return _thinker(folder, config, whole, kind)
    body = _auto_class(config) or whole
    if body.main_input_name == "inputs" and (inner := _auto_class(getattr(config, "encoder", None))) is not None:
        # An encoder and a decoder of any two classes (speech-encoder-decoder).
        return Configuration(
            folder, config.encoder, _kind(config.encoder, inner, path), inner, {r"^encoder\.": ""}, _BEHIND
        )
    kind = kind or _kind(config, body, path)
    if kind in ("speech-llm", "encoder-decoder"):
        heads = _other_parts(whole, body, config)
        return Configuration(folder, config, kind, body, left=(*heads, *(f"language_model.{head}" for head in heads)))
    return _encoder(folder, config, kind, whole, body)


def whole_parameters(folder: Path) -> int:
    """Return how many numbers the released model has, with the heads and decoders that are not loaded here.

    Parameters
    ----------
    folder : Path
        Whose ``config.json`` counts.

    Raises
    ------
    DataError
        As :func:`read_configuration`.
    """
    path = folder / "config.json"
    settings = read_settings(path)
    with silent():
        config = _parsed(path, settings)
        whole = _named_class(settings) or _auto_class(config)
        model: nn.Module = Configuration(folder, config, "", whole).build()
    return sum(parameter.numel() for parameter in model.parameters())


def _parsed(path: Path, settings: Mapping[str, Any]) -> Any:
    """Return the configuration as transformers reads it, with the sizes that are written."""
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    model_type = settings.get("model_type")
    if model_type not in CONFIG_MAPPING_NAMES:
        remedy = f"transformers {transformers.__version__} does not know it"
        if "auto_map" in settings:
            remedy = "its own code (auto_map) would have to be run, which is not done"
        elif model_type is None:
            remedy = "it does not say which kind of model it is (model_type)"
        raise DataError(f"weights: {path} is of model_type {model_type!r}: {remedy}; name another model")
    try:
        usual = transformers.AutoConfig.for_model(str(model_type))
        inner = settings.get(_THINKER)
        if isinstance(inner, Mapping) and not hasattr(usual, _THINKER):
            # Qwen3-ASR: the class reads the outer table, and the sizes are in the inner one.
            settings = {**settings, **inner, "model_type": model_type}
            settings.pop(_THINKER)
        config = type(usual).from_dict(_with_known_parts(settings, usual))
    except Exception as error:  # a configuration may be refused by whatever checks it
        raise DataError(
            f"weights: {path} cannot be read by transformers {transformers.__version__} ({first_line(error)}): name "
            f"another model"
        ) from error
    for name, written, read in misread(settings, config):
        raise DataError(
            f"weights: {path} says {name} = {written}, but transformers {transformers.__version__} reads {read}: it is "
            f"another model; name another, or another version of its files"
        )
    return config


def _with_known_parts(settings: Mapping[str, Any], usual: Any) -> dict[str, Any]:
    """Return settings whose inner configurations are of kinds that transformers knows, as its class has them.

    Some released files name a part by a name that transformers has given up. That the part is read as it was written is
    checked afterwards, size by size, and every weight must find its place.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    known: dict[str, Any] = dict(settings)
    for name, value in settings.items():
        if not isinstance(value, Mapping) or value.get("model_type", "") in CONFIG_MAPPING_NAMES:
            continue
        if (usually := getattr(getattr(usual, name, None), "model_type", None)) and "model_type" in value:
            known[name] = {**value, "model_type": usually}
    return known


def misread(settings: Mapping[str, Any], config: Any, where: str = "") -> Iterator[tuple[str, int, Any]]:
    """Yield the sizes that are written in ``config.json`` and read otherwise: name, as written, as read.

    Parameters
    ----------
    where : str
        What stands before the names.
    """
    for name, value in settings.items():
        if isinstance(value, Mapping):
            inner = setting(config, name)
            if name.endswith("config") and any(size in value for size in SIZES):
                if inner is None or isinstance(inner, Mapping):
                    yield f"{where}{name}", len(value), "nothing of it"
                else:
                    yield from misread(value, inner, f"{where}{name}.")
        elif name in SIZES and isinstance(value, int) and not isinstance(value, bool):
            read = setting(config, name)
            if isinstance(read, int) and read != value:
                yield f"{where}{name}", value, read


def _named_class(settings: Mapping[str, Any]) -> Any:
    """Return the class that the configuration names; None if transformers does not have it, or no more."""
    import transformers

    named = settings.get("architectures")
    name = named[0] if isinstance(named, list) and named and isinstance(named[0], str) else ""
    named_class = getattr(transformers, name, None) if name.isidentifier() else None
    return named_class if inspect.isclass(named_class) and hasattr(named_class, "config_class") else None


def _auto_class(config: Any) -> Any:
    """Return the class without heads of a configuration; None if there is none."""
    from transformers.models.auto import modeling_auto

    for mapping in (modeling_auto.MODEL_MAPPING, modeling_auto.MODEL_FOR_MULTIMODAL_LM_MAPPING):
        try:
            classes = mapping[type(config)]
        except KeyError:
            continue
        return classes[0] if isinstance(classes, tuple | list) else classes
    return None


def _kind(config: Any, body: Any, path: Path) -> Kind:
    """Return what a model is, by what its class takes."""
    from transformers.models.auto import modeling_auto

    taken = body.input_modalities
    modalities = {taken} if isinstance(taken, str) else set(taken)
    main = body.main_input_name
    if main in ("input_features", "input_values"):
        return "speech-encoder"
    deaf = hasattr(config, "audio_config") and config.audio_config is None
    if main == "input_ids" and {"audio", "text"} <= modalities and not deaf:
        return "encoder-decoder" if config.is_encoder_decoder else "speech-llm"
    if main == "input_ids" and "text" in modalities:
        kind = config.model_type
        writes = kind in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
        reads = kind in modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES or config.is_encoder_decoder
        return "text-decoder" if (writes or deaf) and not reads else "text-encoder"
    raise DataError(
        f"weights: {path} is of model_type {config.model_type!r}, whose {body.__name__} takes {main} "
        f"({', '.join(sorted(modalities))}): it neither reads text nor hears speech; name another model"
    )


def _thinker(folder: Path, config: Any, whole: Any, kind: Kind) -> Configuration:
    """Return the part of an Omni model that hears and reads: what speaks is not loaded."""
    inner = config.thinker_config
    module = importlib.import_module(whole.__module__)
    named = [
        each
        for each in vars(module).values()
        if inspect.isclass(each) and getattr(each, "config_class", None) is type(inner) and "Thinker" in each.__name__
    ]
    classes = [each for each in named if each.__name__.endswith("ForConditionalGeneration")]
    if not classes:
        raise DataError(
            f"weights: {folder / 'config.json'}: transformers has no class for its thinker: name another model"
        )
    spoken = ("talker.", "token2wav.", "code2wav.", "code_predictor.")
    return Configuration(folder, inner, kind or "speech-llm", classes[0], {r"^thinker\.": ""}, spoken)


def _encoder(folder: Path, config: Any, kind: Kind, whole: Any, body: Any) -> Configuration:
    """Return an encoder or decoder without its heads and poolers, and without the decoder after an encoder."""
    from transformers.models.auto import modeling_auto

    left = _other_parts(whole, body, config)
    if config.is_encoder_decoder:
        encoders = modeling_auto.MODEL_FOR_TEXT_ENCODING_MAPPING
        if kind == "text-encoder" and type(config) in encoders:
            return Configuration(folder, config, kind, encoders[type(config)], left=("decoder.", *left))
        return _first_half(folder, config, kind, body, left)
    if re.search("For[A-Z]", body.__name__):  # there is no class without its head (Parakeet)
        return _first_half(folder, config, kind, body, left)
    takes = inspect.signature(body.__init__).parameters
    arguments = {"add_pooling_layer": False} if "add_pooling_layer" in takes else {}
    inside = (Configuration(folder, config, kind, whole), str(body.base_model_prefix)) if whole is not body else None
    poolers = ("pooler.", f"{body.base_model_prefix}.pooler.")
    return Configuration(folder, config, kind, body, {}, (*left, *poolers), arguments, inside)


def _first_half(folder: Path, config: Any, kind: Kind, body: Any, left: Sequence[str]) -> Configuration:
    """Return the encoder of a model that has a decoder, too, as a model of its own."""
    larger = Configuration(folder, config, kind, body, left=tuple(left))
    blank = larger.build()
    try:
        encoder = blank.get_encoder()
    except (AttributeError, NotImplementedError):
        encoder = None
    path = next((path for path, module in blank.named_modules() if module is encoder and path), None)
    if path is None or not hasattr(type(encoder), "from_pretrained"):
        raise DataError(
            f"weights: {folder / 'config.json'}: {body.__name__} does not say which module is its encoder: name "
            f"another model"
        )
    prefix = re.escape(body.base_model_prefix)
    before = rf"^(?:{prefix}\.)?" if prefix else "^"
    renamed = {rf"{before}{re.escape(path)}\.": ""}
    names = _names_in(folder)
    tied = getattr(blank, "all_tied_weights_keys", None) or {}
    for target, source in tied.items():
        stored = any(re.fullmatch(rf"{before}{re.escape(target)}", name) for name in names)
        if target.startswith(f"{path}.") and not stored:
            renamed[rf"{before}{re.escape(source)}$"] = target.removeprefix(f"{path}.")
    others = [f"{dot}{name}" for name, _ in blank.named_children() for dot in ("", f"{body.base_model_prefix}.")]
    kept = {path, f"{body.base_model_prefix}.{path}"}
    return Configuration(
        folder,
        encoder.config,
        kind,
        type(encoder),
        renamed,
        (*left, *(f"{other}." for other in others if other not in kept)),
        inside=(larger, path),
    )


def _names_in(folder: Path) -> frozenset[str]:
    """Return the names of the weights in a folder; none if there are no weights yet."""
    if not any(folder.glob("*.safetensors")):
        return frozenset()
    return frozenset(safetensors_dtypes(weights_files(folder)))


def _other_parts(whole: Any, body: Any, config: Any) -> list[str]:
    """Return the starts of names of weights that the class of the checkpoint has in addition to the body: its heads."""
    if whole is body:
        return []
    try:
        # a copy: some classes (T5's encoder) write in the configuration that they are made from
        blank = build_without_weights(lambda: cast(nn.Module, whole(copy.deepcopy(config))))
    except Exception:  # the class that the configuration names cannot be made from it: its heads stay unknown
        return []
    tables = (blank.named_parameters(remove_duplicate=False), blank.named_buffers(remove_duplicate=False))
    starts = {name.split(".")[0] for table in tables for name, _ in table}
    return sorted(starts - {body.base_model_prefix} - {name for name, _ in _blank_children(body, config)})


def _blank_children(body: Any, config: Any) -> Iterator[tuple[str, nn.Module]]:
    yield from build_without_weights(lambda: cast(nn.Module, body(copy.deepcopy(config)))).named_children()


def load_model(
    configuration: Configuration, place: Place, options: LoadOptions, container: Container | None = None
) -> Loaded:
    """Load the part that is looked at, in the dtype and where the options say.

    Parameters
    ----------
    configuration : Configuration
    place : Place
        Where its folder came from.
    options : LoadOptions
    container : Container, optional
        The weights, where they are in a format that a plug-in read.

    Raises
    ------
    DataError
        If weights are missing, cut short, quantised, pickled or another model's.
    UsageError
        If the dtype or device does not exist.
    """
    try:
        if container is not None:
            model, files, attention = *_read_container(configuration, container, place.source), "sdpa"
        else:
            model, files, attention = _read(configuration, place, options)
    except DataError as error:
        if configuration.inside is None or container is not None:
            raise
        larger, path = configuration.inside
        try:
            whole, files, attention = _read(larger, place, options)
            model = whole.get_submodule(path)
        except (DataError, AttributeError):
            raise error from None
    recorded = {"dtype": options.dtype, "attention": attention}
    if (adapter := options.extra.get(ADAPTER)) is not None:
        model, merged = merge_adapter(model, Path(str(adapter)))
        files, recorded[ADAPTER] = (*files, merged), merged.source.removeprefix("adapter ")
    placed = place_parts({"model": model}, options)
    return Loaded(model, files, {**recorded, **placed})


def _read(configuration: Configuration, place: Place, options: LoadOptions) -> tuple[Any, tuple[WeightsFile, ...], str]:
    """Return a model, the files that it was read from, and its kind of attention."""
    models = [submodel for submodel in configuration.build().modules() if hasattr(submodel, "_supports_sdpa")]
    attention = "sdpa" if all(submodel._supports_sdpa for submodel in models) else "eager"
    with quirks.building(configuration.config):
        model, files = load_pretrained(
            configuration.model_class,
            place,
            config=configuration.config,
            dtype=dtype_named(options.dtype),
            attention=attention,
            ignore_unexpected=(*configuration.left, *quirks.unread(configuration.config)),
            key_mapping=dict(configuration.renamed) or None,
            **configuration.arguments,
        )
    return model, files, attention


def _read_container(
    configuration: Configuration, container: Container, source: str
) -> tuple[Any, tuple[WeightsFile, ...]]:
    """Return a model filled from a container, and the file that it was read from."""
    state: dict[str, Tensor] = {}
    for name, array in container.state.items():
        placed = next(
            (re.sub(old, new, name) for old, new in configuration.renamed.items() if re.search(old, name)), None
        )
        if placed is not None or not configuration.renamed:
            state[placed or name] = array
    configuration.config._attn_implementation = "sdpa"
    with no_init_weights():
        model: nn.Module = configuration.model_class(configuration.config, **configuration.arguments)
    model.load_state_dict(state, strict=True)
    return model, (WeightsFile(container.file.name, sha256_of(container.file), source),)
