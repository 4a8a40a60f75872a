"""From samples to what a speech LLM's forward pass takes: features, and a prompt with placeholders.

The model's own processor does this where it can, one recording at a time. Where it cannot (Voxtral's takes no
recording without another library), features and prompt are put together here, and how many placeholders a recording
needs is measured by running the tower.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from babelscope.errors import DataError
from babelscope.models.adapters.loading import whole_line
from babelscope.models.adapters.processors import Processors
from babelscope.models.adapters.prompts import Prompt, adds_special_tokens, place
from babelscope.sides import pad

SAMPLE_RATE = 16_000

Samples = NDArray[np.float32]

#: What a forward pass is given besides an utterance: nothing is kept for later tokens.
_QUIET: dict[str, Any] = {"use_cache": False, "logits_to_keep": 1}


@dataclass(frozen=True)
class Recording:
    """A recording as the model takes it.

    Attributes
    ----------
    inputs : dict of str to Tensor
        With a first axis of rows: one, or one a chunk.
    start : int
        Positions of the language model before the recording's.
    count : int
        Positions that stand for it.
    total : int
        Positions of the language model in all.
    frames, all_frames : int
        Steps of the features that are the recording's, and with those of padding.
    """

    inputs: dict[str, Tensor]
    start: int
    count: int
    total: int
    frames: int
    all_frames: int


def forward_of(root: nn.Module) -> tuple[nn.Module, nn.Module, dict[str, Any]]:
    """Return the module whose forward pass takes both token ids and features, the one to run, and what to pass to it.

    The inner model is run rather than one with a head over the vocabulary, whose output nothing here looks at.

    Raises
    ------
    DataError
        If there is none.
    """
    takers = [module for _, module in root.named_modules() if feature_names(module)]
    if not takers:
        raise DataError(
            f"{type(root).__name__} has no forward pass that takes both input_ids and features of audio: it does not "
            f"both read and hear"
        )
    whole = chosen = takers[0]
    inner = getattr(chosen, "base_model", chosen)
    if inner is not chosen and set(feature_names(chosen)) <= set(feature_names(inner)):
        chosen = inner
    parameters = inspect.signature(chosen.forward).parameters
    quiet = {name: value for name, value in _QUIET.items() if name in parameters}
    config = getattr(chosen, "config", None)
    if "use_cache" not in quiet and takes_more(parameters) and hasattr(config, "use_cache"):
        quiet["use_cache"] = False
    return whole, chosen, quiet


def feature_names(module: nn.Module) -> list[str]:
    """Return the arguments of a module's forward pass that take features of audio, if it takes token ids, too."""
    try:
        names = list(inspect.signature(module.forward).parameters)
    except (TypeError, ValueError):
        return []
    if "input_ids" not in names:
        return []
    return [name for name in names if _is_audio(name)]


def _is_audio(name: str) -> bool:
    plain = name.lower()
    if "mask" in plain or "length" in plain or "size" in plain or "token" in plain:
        return False
    return plain in ("input_features", "input_values") or (
        any(word in plain for word in ("audio", "speech", "sound"))
        and any(word in plain for word in ("feature", "value", "input", "wave"))
    )


def takes_more(parameters: Mapping[str, inspect.Parameter]) -> bool:
    """Whether a function takes arguments of any name."""
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())


class Recorder:
    """Turns recordings into inputs.

    Parameters
    ----------
    names : collection of str
        The arguments that the model's forward pass takes.
    token : int or None
        Id of the placeholder; None if the model adds audio to every position.
    word : str
        The placeholder.
    filler : int
        Id that stands at every position if it does.
    """

    def __init__(
        self,
        processors: Processors,
        prompt: Prompt,
        names: Mapping[str, Any],
        token: int | None,
        word: str,
        filler: int,
    ) -> None:
        self.processors, self.prompt, self.token, self.filler = processors, prompt, token, filler
        self.names = list(names)
        self.rate = int(getattr(processors.extractor, "sampling_rate", SAMPLE_RATE) or SAMPLE_RATE)
        self.by_processor = False
        #: Placeholders of a recording, given its features: for recordings that are put together here.
        self.counted: Callable[[Mapping[str, Tensor]], int] = lambda features: 1
        #: Recordings are put together with silence after them up to a multiple of so many samples.
        self.multiple = 1
        #: Which axis of the features is time.
        self.time_axis: int | None = None
        self._word = "" if token is None else word

    def make(self, samples: Samples) -> Recording:
        """Return a recording's inputs.

        Raises
        ------
        DataError
            If the processor refuses it.
        """
        return self.heard(np.ascontiguousarray(resampled(samples, self.rate)))

    def heard(self, heard: Samples) -> Recording:
        """Return the inputs of samples at the rate that the model hears.

        Raises
        ------
        DataError
            As :meth:`make`.
        """
        try:
            inputs = self._processed(heard) if self.by_processor else self._assembled(heard)
        except DataError:
            raise
        except Exception as error:  # processors raise whatever their parts do
            raise DataError(
                f"the model's processor cannot take {len(heard) / self.rate:g} s of speech ({whole_line(error)})"
            ) from error
        return self.placed(inputs)

    def placed(self, inputs: dict[str, Tensor]) -> Recording:
        """Find a recording's positions among its inputs.

        Raises
        ------
        DataError
            If its placeholders do not stand together.
        """
        ids = inputs["input_ids"][0]
        if self.token is None:
            start, count = 0, len(ids)
        else:
            there = (ids == self.token).nonzero().flatten().tolist()
            if not there:
                raise DataError(f"the prompt has no placeholder of a recording (id {self.token})")
            if there[-1] - there[0] + 1 != len(there):
                raise DataError("the placeholders of the recording do not stand together in the prompt")
            start, count = there[0], len(there)
        frames, all_frames = frames_of(inputs, self.time_axis)
        return Recording(inputs, start, count, len(ids), frames, all_frames)

    def features(self, heard: Samples) -> dict[str, Tensor]:
        """Return the feature extractor's output under the names that the model's forward pass takes."""
        extractor = self.processors.extractor
        wanted = inspect.signature(extractor.__call__).parameters
        more: dict[str, Any] = {"return_tensors": "pt"} if "return_tensors" in wanted or takes_more(wanted) else {}
        if "sampling_rate" in wanted or takes_more(wanted):
            more["sampling_rate"] = self.rate
        if "return_attention_mask" in wanted and any(
            "mask" in name and name != "attention_mask" for name in self.names
        ):
            more["return_attention_mask"] = True
        given = dict(extractor([heard], **more))
        renamed: dict[str, Tensor] = {}
        for name, value in given.items():
            if name in ("attention_mask", "padding_mask", "feature_attention_mask", "input_features_mask"):
                masks = [each for each in self.names if "mask" in each and _says_audio(each)]
                name = masks[0] if masks else ""
            elif name not in self.names and _is_audio(name):
                name = next((each for each in self.names if _is_audio(each)), "")
            if name in self.names:
                renamed[name] = torch.as_tensor(value)
        return renamed

    def _processed(self, heard: Samples) -> dict[str, Tensor]:
        """Run the model's own processor."""
        before, behind = self.prompt.around("speech")
        text = before + self._word + behind
        processor: Any = self.processors.processor
        names = inspect.signature(processor.__call__).parameters
        audio = next((name for name in ("audio", "audios", "speech", "raw_speech") if name in names), "audio")
        given = dict(
            processor(
                text=[text],
                **{audio: [heard]},
                return_tensors="pt",
                sampling_rate=self.rate,
                add_special_tokens=adds_special_tokens(self.processors.tokenizer, text),
            )
        )
        return {
            name: torch.as_tensor(value) for name, value in given.items() if name in self.names and value is not None
        }

    def _assembled(self, heard: Samples) -> dict[str, Tensor]:
        """Put features and prompt together."""
        features = self.features(np.pad(heard, (0, -len(heard) % self.multiple)))
        count = self.counted(features)
        ids = [self.filler] * count if self.token is None else self.expanded(count)
        row = torch.tensor([ids])
        return {"input_ids": row, "attention_mask": torch.ones_like(row)} | features

    def expanded(self, count: int) -> list[int]:
        """Return the prompt's ids with so many placeholders."""
        around = self.prompt.around("speech")
        placed = place(self.processors.tokenizer, around, self._word)
        own = list(placed.ids[placed.start : placed.start + placed.count])
        if self.token not in own:
            raise DataError(f"the tokenizer does not keep the placeholder {self._word!r} in the prompt whole")
        at = placed.start + own.index(int(self.token or 0))
        return [*placed.ids[:at], *[int(self.token or 0)] * count, *placed.ids[at + 1 :]]


def _says_audio(name: str) -> bool:
    return any(word in name.lower() for word in ("audio", "feature", "speech", "sound", "padding"))


def noise(samples: int) -> Samples:
    """Return so many samples of noise, always the same: what is measured depends on their number alone."""
    generator = np.random.default_rng(samples)
    return np.asarray(0.1 * generator.standard_normal(samples), dtype=np.float32)


def resampled(samples: Samples, rate: int) -> Samples:
    """Return samples at the rate that a model hears; as they are if that is 16 kHz."""
    if rate == SAMPLE_RATE:
        return np.asarray(samples, np.float32)
    import soxr

    return np.asarray(soxr.resample(samples, SAMPLE_RATE, rate), np.float32)


def time_axis(short: Mapping[str, Tensor], long: Mapping[str, Tensor]) -> int | None:
    """Return the axis of the features that is time: the one that is longer for a longer recording.

    Where none is, for recordings stand in a window, it is the longest; None if there are no features.
    """
    for name, tensor in short.items():
        if not (_is_audio(name) and tensor.ndim >= 2):
            continue
        other = long[name]
        changing = [axis for axis in range(1, tensor.ndim) if tensor.shape[axis] != other.shape[axis]]
        return changing[0] if changing else max(range(1, tensor.ndim), key=lambda axis: tensor.shape[axis])
    return None


def frames_of(inputs: Mapping[str, Tensor], axis: int | None) -> tuple[int, int]:
    """Return how many steps of the features are the recording's, and how many there are with padding.

    Parameters
    ----------
    inputs : mapping of str to Tensor
    axis : int or None
        Of time, among the features; see :func:`time_axis`.
    """
    features = [tensor for name, tensor in inputs.items() if tensor.ndim >= 2 and _is_audio(name)]
    if not features or axis is None:
        return 0, 0
    rows, steps = features[0].shape[0], features[0].shape[axis]
    for name, mask in inputs.items():
        if "mask" in name and name != "attention_mask" and _says_audio(name) and mask.shape == (rows, steps):
            return int(mask.sum()), rows * steps
    return rows * steps, rows * steps


def cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a copy of an input in the model's dtype; whole numbers and masks stay what they are.

    A copy, for some models write into what they are given.
    """
    return tensor.to(dtype, copy=True) if tensor.is_floating_point() else tensor.clone()


def pad_together(items: list[Mapping[str, Tensor]], padding: int) -> dict[str, Tensor]:
    """Pad inputs of several utterances on the right and put them together, one after the other.

    Parameters
    ----------
    items : list of mapping
        With a first axis of rows each.
    padding : int
        Id of padding among ``input_ids``; everything else is padded with 0.
    """
    return {
        name: pad([row for item in items for row in item[name]], padding if name == "input_ids" else 0)
        for name in items[0]
    }


def placeholder_of(config: Any, processors: Processors) -> int | None:
    """Return the id of the token that stands for audio: as the configuration, processor or tokenizer says."""
    for each in configs(config):
        for name in ("audio_token_id", "audio_token_index", "sound_token_id", "speech_token_id", "speech_token_index"):
            said = getattr(each, name, None)
            if isinstance(said, int) and said >= 0:
                return said
    for holder in (processors.processor, processors.tokenizer):
        said = getattr(holder, "audio_token_id", None)
        if isinstance(said, int):
            return said
        word = getattr(holder, "audio_token", None)
        if isinstance(word, str):
            number = processors.tokenizer.convert_tokens_to_ids(word)
            if isinstance(number, int) and number != getattr(processors.tokenizer, "unk_token_id", None):
                return number
    return None


def configs(config: Any) -> Iterator[Any]:
    """Yield a configuration and those within it."""
    yield config
    for name in getattr(config, "sub_configs", None) or {}:
        if (inner := getattr(config, name, None)) is not None and inner is not config:
            yield from configs(inner)
