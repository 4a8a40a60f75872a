"""Speech LLMs of transformers, whatever their class: an audio tower, a projector, and a decoder that reads text, too.

Nothing is known of a class beforehand. Its parts are found by tracing (:mod:`~babelscope.models.adapters.towers`), its
prompt comes with it (:mod:`~babelscope.models.adapters.prompts`), its own processor makes its inputs
(:mod:`~babelscope.models.adapters.recordings`), and its lengths are measured
(:mod:`~babelscope.models.adapters.counting`). What does not hold is left out, and a note says so.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from babelscope.errors import DataError
from babelscope.models.adapters import prompts, recordings, towers
from babelscope.models.adapters.counting import Chain, chain_through
from babelscope.models.adapters.loading import Configuration, in_one_line, load_model, whole_line
from babelscope.models.adapters.merging import ADAPTER
from babelscope.models.adapters.processors import Letters, Processors, read
from babelscope.models.adapters.recordings import SAMPLE_RATE, Recorder, Recording, noise, takes_more
from babelscope.models.adapters.speech_llm_sides import (
    IN_LANGUAGE_MODEL,
    PLACEHOLDERS,
    Count,
    Reader,
    SpokenSide,
    WrittenSide,
)
from babelscope.models.adapters.towers import Spot, Towers
from babelscope.models.adapters.tracing import Shape, Trace, positions_of, trace
from babelscope.models.adapters.weightless import shapes_only
from babelscope.models.catalogue import Declaration
from babelscope.models.options import LoadOptions
from babelscope.models.placement import DEVICE_MAP
from babelscope.models.weights.folder import silent
from babelscope.models.weights.places import Place
from babelscope.sides import Layout, Modality, Model, Point, Side, Stage, first_tensor, spread_depths_before
from babelscope.verification.measurements import Lengths

T = TypeVar("T")

#: Samples of the recordings that are traced.
_TRACED = (20_777, 46_411)

#: Samples of the longest recording that is measured.
_LONGEST_MEASURED = 8 * SAMPLE_RATE

#: Modules whose output has time as its last axis.
_TIME_LAST = (nn.Conv1d, nn.AvgPool1d, nn.MaxPool1d, nn.BatchNorm1d)

_STAGES = {
    "front": Stage.FRONT_END,
    "layer": Stage.ENCODER,
    "norm": Stage.ENCODER,
    "adaptation": Stage.LENGTH_ADAPTATION,
    "shared": Stage.SHARED,
}


def load(options: LoadOptions, declaration: Declaration, place: Place, configuration: Configuration) -> Model:
    """Load a speech LLM; whether what is said of it holds is not measured yet.

    Parameters
    ----------
    options : LoadOptions
        ``extra`` may hold ``prompt`` (a text with ``{}`` where a sentence or a recording stands) and ``device_map``.
    declaration : Declaration
    place : Place
    configuration : Configuration

    Raises
    ------
    DataError
        If the model cannot be read, or a part of it is not found; the message says which.
    UsageError
        If an option is wrong.
    """
    options.check_extra(("prompt", "batch", ADAPTER, DEVICE_MAP))
    loaded = load_model(configuration, place, options)
    prompt = str(options.extra.get("prompt") or declaration.prompt)
    with silent():
        built = _build(loaded.model, read(place.folder, loaded.model), prompt, place.folder)
    recorded = {**loaded.options, **built.prompt.recorded()}
    notes = (*declaration.notes, *_beside(place.folder), *built.notes)
    return Model(options.name, built.sides, loaded.files, recorded, notes, declaration.licence)


def _beside(folder: Path) -> list[str]:
    """Return a note on adapters that are next to a model: they are for audio alone, and are not applied."""
    there = sorted(str(path.parent.relative_to(folder)) for path in folder.glob("**/adapter_config.json"))
    if not there:
        return []
    where = " and ".join("next to it" if path == "." else f"in {path}" for path in there)
    return [
        f"The model's LoRA adapter {where} is not applied: text and speech both go through the language model's own "
        f"weights."
    ]


def planned(name: str, folder: Path, configuration: Configuration, declaration: Declaration) -> Model:
    """Return a speech LLM without weights: its points and parameters, but nothing to run.

    Raises
    ------
    DataError
        If its files do not say what it is, or a part of it is not found.
    """
    model = configuration.build()
    with silent(), shapes_only(model):
        built = _build(model, read(folder, model, planning=True), declaration.prompt, folder)
    notes = (*declaration.notes, *built.notes)
    return Model(name, built.sides, (), built.prompt.recorded(), tuple(dict.fromkeys(notes)), declaration.licence)


def _build(root: nn.Module, processors: Processors, prompt: str, folder: Path) -> _Builder:
    """Make both sides of a speech LLM; lengths that were measured before for a folder's settings are not again."""
    name, letters = type(root).__name__, isinstance(processors.tokenizer, Letters)
    with in_one_line(name), Lengths(folder, model=name, prompt=prompt, letters=letters) as lengths:
        builder = _Builder(root, processors, prompt, lengths)
        builder.build()
    return builder


def _once(method: Callable[..., T]) -> Callable[..., T]:
    """Keep what a method of a builder gives for its arguments, until the builder forgets it."""

    @functools.wraps(method)
    def kept(self: _Builder, *given: Any) -> T:
        key = (method.__name__, *given)
        if key not in self.kept:
            self.kept[key] = method(self, *given)
        result: T = self.kept[key]
        return result

    return kept


class _Builder:
    """Finds the parts of a speech LLM, and makes its two sides: :attr:`written` and :attr:`spoken`."""

    def __init__(self, root: nn.Module, processors: Processors, prompt: str, lengths: Lengths) -> None:
        self.root, self.processors, self.lengths = root, processors, lengths
        self.notes: list[str] = []
        _, self.taker, self.quiet = recordings.forward_of(root)
        self.token = recordings.placeholder_of(getattr(root, "config", None), processors)
        word = self._word()
        if prompt:
            self.prompt = prompts.given(prompt)
        elif isinstance(processors.tokenizer, Letters):
            note = "Without the model's vocabulary the prompt around sentences is not known: they stand alone here."
            self.prompt = prompts.Prompt(prompts.PLACE, prompts.PLACE, (note,))
        else:
            self.prompt = prompts.from_template(processors.tokenizer, processors.template, word)
        self.notes += [*self.prompt.notes, *self.prompt.shown()]
        parameters = inspect.signature(self.taker.forward).parameters
        self.recorder = Recorder(processors, self.prompt, parameters, self.token, word, self._filler())
        self.written = WrittenSide(root, processors.tokenizer, self.prompt, self.token)
        self.spoken = SpokenSide(root, self.recorder)
        self.unread = ""
        #: What runs once before the tower's layers, and the first of these: passes that measure it end there.
        self.front: frozenset[Spot] = frozenset()
        self.front_end: str | None = None
        self.kept: dict[tuple[Any, ...], Any] = {}

    def _word(self) -> str:
        tokenizer = self.processors.tokenizer
        if self.token is None:
            return "[AUDIO]"
        said = getattr(self.processors.processor, "audio_token", None)
        if isinstance(said, str) and isinstance(tokenizer, Letters):
            tokenizer.learn(said, self.token)
            with contextlib.suppress(AttributeError):  # of some a property that asks the tokenizer
                self.processors.processor.audio_token_id = self.token  # type: ignore[union-attr]
        return said if isinstance(said, str) else str(tokenizer.convert_ids_to_tokens(self.token))

    def _filler(self) -> int:
        tokenizer = self.processors.tokenizer
        for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
            if isinstance(number := getattr(tokenizer, name, None), int):
                return number
        return 0

    # ------------------------------------------------------------------ running

    def _run(self, inputs: Mapping[str, Tensor]) -> Callable[[], object]:
        dtype, device = next(self.root.parameters()).dtype, self.spoken.device
        given = {name: recordings.cast(tensor, dtype).to(device) for name, tensor in inputs.items()}
        return lambda: self.taker(**given, **self.quiet)

    @_once
    def _recording(self, samples: int) -> Recording:
        return self.recorder.make(noise(samples))

    @_once
    def _heard(self, heard: int) -> Recording:
        return self.recorder.heard(noise(heard))

    @_once
    def _spoken(self, samples: int, stop: str | None) -> Trace:
        """Trace a recording, up to a module."""
        return trace(self.root, self._run(self._recording(samples).inputs), stop=stop)

    @_once
    def _traced(self, heard: int, stop: str | None) -> Trace | None:
        """Trace samples at the rate that the model hears, up to a module; None if the processor refuses them.

        A length that the model does not take ends the pass early, and so does a number of placeholders that is not the
        recording's: what ran before counts.
        """
        try:
            inputs = self._heard(heard).inputs
        except DataError:
            return None
        return self._attempt(inputs, stop)[0]

    @property
    def sides(self) -> dict[Modality, Side]:
        """Both sides."""
        return {"text": self.written, "speech": self.spoken}

    def build(self) -> None:
        """Find everything."""
        alone = self._read_text()
        self._choose_inputs(alone)
        written = alone or self._read_without_the_rest()
        self._refuse_random()
        spoken = self._spoken(_TRACED[0], None)
        anatomy = towers.find(self.root, spoken, written, self._varying)
        self.notes += [f"Left out: {note}." for note in anatomy.notes]
        if only := towers.adapters_of_speech(self.root, spoken, written, anatomy):
            self.notes.append(
                f"{len(only)} modules of the language model, such as {only[0]}, run for speech and not for text: at "
                f"shared points the two do not go through quite the same modules."
            )
        self.stop = anatomy.first_layer
        own = self._own_points(anatomy)
        shared = self._shared_points(anatomy, spoken, written)
        self._shortest(own)
        embeddings = self._embeddings(anatomy, written)
        longest = max(len(own), len(embeddings))
        self.spoken.points = spread_depths_before(own, shared, longest)
        start = self.written.prepare("a", "en").starts[IN_LANGUAGE_MODEL]
        read = [dataclasses.replace(point, start=start, formula="L", length=int) for point in shared]
        self.written.points = spread_depths_before(
            [dataclasses.replace(point, start=start) for point in embeddings], read, longest
        )
        if isinstance(self.written.most, int):
            self.written.longest = self.written.most

    # ------------------------------------------------------------------ a text alone

    def _read_text(self) -> Trace | None:
        """Trace a text through the whole model; None if that takes no text without a recording."""
        inputs = self.written.prepare("a b c", "en").inputs
        try:
            return trace(self.root, self._run(inputs))
        except Exception as error:  # models raise whatever their parts do
            self.unread = whole_line(error)
            return None

    def _read_without_the_rest(self) -> Trace:
        """Trace a text through the language model alone, given what it is given for every recording."""
        inputs = self.written.prepare("a b c", "en").inputs
        device = self.written.device
        try:
            language, embeddings = self.taker.get_decoder(), self.taker.get_input_embeddings()  # type: ignore[operator]
            short, long = (self._passed_on(language, samples) for samples in _TRACED)
            takes = inspect.signature(language.forward).parameters
            own = ("inputs_embeds", "attention_mask", "use_cache", "input_ids", "position_ids", "past_key_values")
            constants = {
                name: value
                for name, value in short.items()
                if name not in own and (name in takes or takes_more(takes)) and _same(value, long.get(name))
            }
            reader = Reader(embeddings, language, constants)
            run = functools.partial(reader, inputs["input_ids"].to(device), inputs["attention_mask"].to(device))
            noted = trace(self.root, run)
        except Exception as error:  # as above
            raise DataError(f"{type(self.root).__name__} does not run on a text alone ({self.unread})") from error
        self.written.reader = reader
        beside = f", with the same {', '.join(sorted(constants))} as for a recording" if constants else ""
        self.notes.append(
            f"The model takes no text without a recording: texts run through its language model alone{beside}."
        )
        return noted

    def _passed_on(self, language: nn.Module, samples: int) -> dict[str, Any]:
        """Return the named arguments that the language model is given when a recording is heard."""
        passed: list[dict[str, Any]] = []

        def keep(_: Any, __: Any, kwargs: dict[str, Any]) -> None:
            passed.append(dict(kwargs))

        handle = language.register_forward_pre_hook(keep, with_kwargs=True)
        try:
            with torch.no_grad():
                self._run(self._recording(samples).inputs)()
        finally:
            handle.remove()
        return {name: value for name, value in passed[0].items() if value is not None} if len(passed) == 1 else {}

    def _refuse_random(self) -> None:
        """Refuse a model that draws random numbers when it hears."""
        inputs = self._recording(_TRACED[0]).inputs
        with torch.inference_mode():
            first, second = (first_tensor(self._run(inputs)()) for _ in range(2))
        if first is not None and second is not None and not torch.equal(first, second):
            raise DataError(
                f"{type(self.root).__name__} gives other numbers when it hears the same recording again: it draws "
                f"random numbers, and what it shows of a recording cannot be repeated"
            )

    # ------------------------------------------------------------------ inputs

    def _choose_inputs(self, written: Trace | None) -> None:
        """Let the processor make inputs if the model runs on what it makes; else put them together here."""
        reasons: list[str] = []
        if self.processors.processor is not None and self.token is not None:
            self.recorder.by_processor = True
            try:
                self._find_time()
                self._spoken(_TRACED[0], None)
            except Exception as error:  # processors and models raise whatever their parts do
                reasons.append(whole_line(error))
                self.recorder.by_processor = False
                self.kept.clear()
            else:
                return
        elif self.processors.missing:
            reasons.append(self.processors.missing)
        features = self.recorder.features(recordings.resampled(noise(_TRACED[0]), self.recorder.rate))
        if not features:
            raise DataError(
                f"{type(self.root).__name__}: neither its processor nor its feature extractor "
                f"({type(self.processors.extractor).__name__}) makes an input that its forward pass takes"
                + (f" ({reasons[0]})" if reasons else "")
            )
        self.recorder.counted = self._count_by_running(written)
        hop = getattr(self.processors.extractor, "hop_length", None)
        for multiple in (1, *(power * hop for power in (2, 4, 8, 16, 32) if isinstance(hop, int))):
            self.recorder.multiple = multiple
            self.kept.clear()
            try:
                self._find_time()
                for samples in _TRACED:
                    self._spoken(samples, None)
                break
            except Exception as error:  # as above
                reasons.append(whole_line(error))
        else:
            raise DataError(f"{type(self.root).__name__} does not run on a recording ({reasons[-1]})")
        self.notes.append(
            "The model's own processor makes no input of a recording here"
            + (f" ({reasons[0].partition('. ')[0][:160]})" if reasons else "")
            + ": features, prompt and placeholders are put together without it."
        )
        if self.recorder.multiple > 1:
            self.notes.append(
                f"The model takes no recordings but of a multiple of {self.recorder.multiple} samples: silence is put "
                f"behind each up to there."
            )

    def _find_time(self) -> None:
        short, long = (self.recorder.make(noise(samples)).inputs for samples in _TRACED)
        self.recorder.time_axis = recordings.time_axis(short, long)

    def _count_by_running(self, written: Trace | None) -> Callable[[Mapping[str, Tensor]], int]:
        """Return what counts a recording's placeholders: positions of the last module that runs for speech alone."""

        def measured(features: Mapping[str, Tensor]) -> int:
            ids = [self.recorder.filler] if self.token is None else self.recorder.expanded(1)
            row = torch.tensor([ids])
            inputs = {"input_ids": row, "attention_mask": torch.ones_like(row)} | dict(features)
            noted, error = self._attempt(inputs)
            before = written or Trace()
            hearing = [name for name in noted.left if name and noted.calls(name) > before.calls(name)]
            if not hearing:
                raise DataError(
                    f"no module of {type(self.root).__name__} runs for a recording alone"
                    + (f" ({whole_line(error)})" if error else "")
                )
            last = max(hearing, key=lambda name: noted.left[name][-1])
            shape = noted.outputs[last][-1] or (1, 1)
            return int(np.prod(shape[:-1]))

        return measured

    def _attempt(self, inputs: Mapping[str, Tensor], stop: str | None = None) -> tuple[Trace, Exception | None]:
        """Trace a pass that may fail, and return what ran until it did."""
        noted = Trace()
        try:
            trace(self.root, self._run(inputs), stop=stop, noted=noted)
        except Exception as error:  # whatever a model raises for a wrong number of placeholders
            return noted, error
        return noted, None

    # ------------------------------------------------------------------ points

    def _varying(self, spot: Spot) -> int | None:
        """Return the one call of a module that depends on the recording's length."""
        short, long = (self._spoken(samples, None) for samples in _TRACED)
        if short.calls(spot.module) != long.calls(spot.module):
            return None
        calls = [
            call
            for call in range(short.calls(spot.module))
            if short.shape(spot.module, spot.take, call) != long.shape(spot.module, spot.take, call)
        ]
        return calls[0] if len(calls) == 1 else None

    def _own_points(self, anatomy: Towers) -> list[Point]:
        points: list[Point] = []
        wanted: list[tuple[Spot, Layout, int, str]] = []
        counts: dict[tuple[Any, ...], Count] = {}
        unexplained: list[str] = []
        layers = [place for place, spot in enumerate(anatomy.own) if spot.role == "layer"]
        if layers:
            self.front = frozenset(spot for spot in anatomy.own[: layers[0]] if spot.calls == 1)
            self.front_end = anatomy.own[layers[0]].module
        if not self.recorder.by_processor and self.token is not None:
            # While positions are measured, passes may end at the placeholders: none need be counted by a pass.
            self.recorder.counted = lambda features: 1
        for spot in anatomy.own:
            traces = (self._spoken(samples, self.stop) for samples in _TRACED)
            short, long = (noted.shape(spot.module, spot.take, spot.call) for noted in traces)
            if short is None or long is None or len(short) != len(long):
                self.notes.append(f"Left out: {spot.module} gives no tensor of one number of axes.")
                continue
            read = _axes(short, long, self.root.get_submodule(spot.module))
            if read is None:
                self.notes.append(f"Left out: {spot.module} gives {short}, which is not batch, time and features.")
                continue
            layout, width = read
            sizes = (positions_of(short, layout), positions_of(long, layout))
            count = self._count(spot, layout, sizes, counts)
            if count is None:
                unexplained.append(spot.module)
                continue
            wanted.append((spot, layout, width, count.key))
        self.spoken.counts = tuple(counts.values())
        if unexplained:
            more = f" and {len(unexplained) - 1} more modules have" if len(unexplained) > 1 else " has"
            self.notes.append(f"Left out: no formula explains how many positions {unexplained[0]}{more}.")
        self._find_window()
        self._count_placeholders(wanted)
        self._settle(wanted)
        by_key = {count.key: count for count in self.spoken.counts}
        for spot, layout, width, key in wanted:
            count = by_key[key]
            points.append(
                Point(
                    f"speech.{spot.name}",
                    _STAGES[spot.role],
                    0,
                    width,
                    spot.module,
                    take="input" if spot.take == "input" else "output",
                    layout=layout,
                    length=functools.partial(self.spoken.positions, count.key),
                    formula=count.formula,
                    call=spot.call if spot.calls > 1 else None,
                    counted_by=count.key,
                )
            )
        return points

    def _count(
        self, spot: Spot, layout: Layout, sizes: tuple[int | None, int | None], counts: dict[tuple[Any, ...], Count]
    ) -> Count | None:
        """Return how many positions a point has; points that have as many share one count."""
        where = f"{spot.module} {spot.take} {spot.call}"
        key = (sizes, self.lengths.of(f"{where} at 9999", lambda: self._measured(spot, layout, 9_999)))
        if key not in counts:
            said = self.lengths.of(where, lambda: self._plain_count(spot, layout, sizes))
            if said is None:
                return None
            chain = None if said["chain"] is None else Chain(*said["chain"])
            counts[key] = Count(f"speech {len(counts) + 1}", **{**said, "chain": chain})
        return counts[key]

    def _plain_count(self, spot: Spot, layout: Layout, sizes: tuple[int | None, int | None]) -> dict[str, Any] | None:
        """Measure how many positions a point has, as plain data; None if nothing explains it."""
        if sizes[0] == sizes[1]:
            return {"chain": None, "fixed": sizes[0]}
        if (chain := self._chain(spot, layout)) is not None:
            return {"chain": dataclasses.astuple(chain)}
        if (chain := self._chain(spot, layout, padded=True)) is not None:
            return {"chain": dataclasses.astuple(chain), "padded": True}
        if self._as_many_as_placeholders(spot, layout):
            return {"chain": None, "as_placeholders": True}
        if (chain := self._chain(spot, layout, chunks=_numbers(self.root.config))) is not None:
            return {"chain": dataclasses.astuple(chain)}
        return None

    def _heard_lengths(self) -> list[int]:
        """Return numbers of samples, at the rate that the model hears, in many residues of whatever strides it has."""
        longest = _LONGEST_MEASURED * self.recorder.rate // SAMPLE_RATE
        return [share * longest // 16 - 77 * share for share in range(2, 17)]

    def _as_many_as_placeholders(self, spot: Spot, layout: Layout) -> bool:
        """Whether a module gives a position a placeholder, for whatever recording."""
        if not self.recorder.by_processor:
            return False
        return all(self._measured(spot, layout, heard) == self._heard(heard).count for heard in self._heard_lengths())

    def _measured(self, spot: Spot, layout: Layout, heard: int) -> int | None:
        """Return how many positions a point has; passes end where the tower's layers begin, if it is before them."""
        for stop in (self.front_end, self.stop) if spot in self.front else (self.stop,):
            noted = self._traced(heard, stop)
            shape = None if noted is None else noted.shape(spot.module, spot.take, spot.call)
            if shape is not None:
                return positions_of(shape, layout)
        return None

    def _chain(self, spot: Spot, layout: Layout, *, padded: bool = False, chunks: Sequence[int] = ()) -> Chain | None:
        """Fit positions to steps of the features; samples are drawn at the rate that the model hears."""

        def steps_of(heard: int) -> int:
            recording = self._heard(heard)
            return recording.all_frames if padded else recording.frames

        def measure(heard: int) -> int | None:
            return self._measured(spot, layout, heard)

        low, high = (samples * self.recorder.rate // SAMPLE_RATE for samples in (_TRACED[0], _LONGEST_MEASURED))
        if steps_of(high) <= steps_of(low):
            return None
        hop = max(1, round((high - low) / (steps_of(high) - steps_of(low))))
        # samples are too many to try chunks of them
        return chain_through(steps_of, measure, low, high, hop, chunks if hop > 1 else ())

    def _count_placeholders(self, wanted: list[tuple[Spot, Layout, int, str]]) -> None:
        """Count placeholders by the formula of the last module from now on, where no processor counts them."""
        if self.recorder.by_processor:
            return
        last = next((count for count in self.spoken.counts if wanted and count.key == wanted[-1][3]), None)
        if last is None:
            raise DataError(
                f"no formula explains how many positions {type(self.root).__name__} makes of a recording, and its own "
                f"processor does not say"
            )
        self.recorder.counted = lambda features: last.total(*recordings.frames_of(features, self.recorder.time_axis))
        self.kept.clear()

    def _settle(self, wanted: list[tuple[Spot, Layout, int, str]]) -> None:
        """Decide which positions after the tower are the recording's: as many as it has placeholders, or a share."""
        short, long = (self._recording(samples) for samples in _TRACED)
        if not wanted and short.count == long.count:
            raise DataError(
                f"{short.count} positions of the language model stand for a recording, however long it is, and no "
                f"module before it tells how many are its own"
            )
        if not wanted:
            return
        counts = {count.key: count for count in self.spoken.counts}
        if self.token is None or short.count == long.count:
            self.spoken.last = counts[wanted[-1][3]]
            self.notes.append(self._share_note(short.count, self.spoken.last))
            return
        behind = [key for spot, _, _, key in wanted if spot.role == "adaptation"]
        for key in dict.fromkeys(behind):
            count = counts[key]
            if count.as_placeholders:
                continue
            if count.chain is None:
                as_many = self.spoken.window is not None and self._recording(self.spoken.window).count == count.fixed
            else:
                heard = [self._heard(samples) for samples in self._heard_lengths()]
                as_many = key == wanted[-1][3] and any(count.own(each, 0, None) != each.count for each in heard)
            counts[key] = dataclasses.replace(count, as_placeholders=as_many)
        self.spoken.counts = tuple(counts.values())

    def _share_note(self, placeholders: int, last: Count) -> str:
        what = f"{placeholders} positions of the language model stand for a recording, however long it is"
        if self.token is None:
            what = (
                "The model adds sound to every position of the language model instead of giving it positions of its own"
            )
        if last.chain is None:
            window = (self.spoken.window or 0) / SAMPLE_RATE
            return f"{what}: of those for {window:g} s only the recording's share is pooled."
        return (
            f"{what}: only the first {last.formula} are pooled, for F steps of its features, as many as the projector "
            f"gives."
        )

    def _shared_points(self, anatomy: Towers, spoken: Trace, written: Trace) -> list[Point]:
        points: list[Point] = []
        total = self._recording(_TRACED[0]).total
        start = self._recording(_TRACED[0]).start
        for spot in anatomy.shared:
            shape = spoken.shape(spot.module, spot.take, spot.call)
            other = written.shape(spot.module, spot.take, spot.call)
            stream = None
            if shape is not None and len(shape) == 4 and shape[1:3] == (1, total):
                stream, shape, other = 0, shape[1:], other[1:] if other else None
            if shape is None or other is None or len(shape) != 3 or shape[:2] != (1, total) or other[2] != shape[2]:
                self.notes.append(f"Left out: {spot.module} gives {shape} for {total} positions.")
                continue
            points.append(
                Point(
                    f"shared.{spot.name}",
                    Stage.SHARED,
                    0,
                    shape[2],
                    spot.module,
                    take="input" if spot.take == "input" else "output",
                    length=functools.partial(self.spoken.positions, IN_LANGUAGE_MODEL),
                    formula=PLACEHOLDERS if self.spoken.last is None else self.spoken.last.formula,
                    start=start,
                    stream=stream,
                    counted_by=IN_LANGUAGE_MODEL,
                )
            )
        return points

    def _embeddings(self, anatomy: Towers, written: Trace) -> list[Point]:
        shape = written.shape(anatomy.embeddings, "output", 0)
        if shape is None or len(shape) != 3:
            self.notes.append(f"Left out: {anatomy.embeddings} gives {shape}.")
            return []
        name, counted = anatomy.embeddings, IN_LANGUAGE_MODEL
        return [Point("text.embeddings", Stage.FRONT_END, 0, shape[2], name, counted_by=counted)]

    # ------------------------------------------------------------------ limits

    def _find_window(self) -> None:
        """Find out whether recordings stand in a window, and from which length on they are cut."""
        if not any(count.chain is None and not count.as_placeholders for count in self.spoken.counts):
            self.spoken.longest = self.lengths.of("longest", self._cut_at)
            return
        extractor = self.processors.extractor
        said, seconds = getattr(extractor, "n_samples", None), getattr(extractor, "chunk_length", None)
        window = 30 * SAMPLE_RATE
        if isinstance(said, int):
            window = said * SAMPLE_RATE // self.recorder.rate
        elif isinstance(seconds, int | float) and seconds:
            window = round(seconds * SAMPLE_RATE)
        self.spoken.fixed_batch_length = True
        self.spoken.window = self.spoken.longest = window

    def _cut_at(self) -> int | None:
        """Return the length from which on a recording's features do not grow, being cut; None if there is none."""

        def steps(samples: int) -> int:
            return self._recording(samples).frames

        try:
            low, high = 20 * SAMPLE_RATE, 80 * SAMPLE_RATE
            if steps(high) > steps(high - SAMPLE_RATE):
                return None
            end = steps(high)
            while high - low > 160:
                middle = (low + high) // 2
                low, high = (middle, high) if steps(middle) < end else (low, middle)
        except DataError:
            return None
        return -(-high // 160) * 160

    def _shortest(self, own: Sequence[Point]) -> None:
        """Find the shortest recording that leaves a position everywhere, and finite numbers."""
        watched = {point.module for point in own}

        def counts(samples: int) -> bool:
            try:
                recording = self.recorder.make(noise(samples))
            except DataError:
                return False
            least = [count.own(recording, samples, self.spoken.window) for count in self.spoken.counts]
            return min([recording.count, *least]) >= 1

        def works(samples: int) -> bool:
            broken: list[str] = []
            try:
                inputs = self.recorder.make(noise(samples)).inputs
                trace(self.root, self._run(inputs), stop=self.stop, finite=broken)
            except Exception:  # whatever a model raises for a recording that is too short
                return False
            return not watched & set(broken)

        shortest = _least(counts, 1, _TRACED[0])
        if not works(shortest):
            shortest = _least(works, shortest, _TRACED[0])
        self.spoken.shortest = shortest


def _least(holds: Callable[[int], bool], low: int, high: int) -> int:
    """Return the least number from `low` to `high` from which on something holds, as it does for `high`."""
    return low if holds(low) else low + 1 + bisect_left(range(low + 1, high), True, key=holds)


def _same(short: Any, long: Any) -> bool:
    """Whether two arguments are the same for any recording: equal tensors or plain values."""
    if isinstance(short, Tensor) and isinstance(long, Tensor):
        return short.shape == long.shape and torch.equal(short, long)
    return isinstance(short, bool | int | float | str) and short == long


def _axes(short: Shape, long: Shape, module: nn.Module) -> tuple[Layout, int] | None:
    """Return a point's axes and width, from its shapes for two recordings; None if they are none that are known."""
    if len(short) == 2 and short[1] == long[1] and short[0] > 1:
        return "td", short[1]
    if len(short) != 3:
        return None
    changing = [axis for axis in range(3) if short[axis] != long[axis]]
    if changing in ([0], [0, 1]) or (not changing and short[0] > 1):
        if isinstance(module, nn.Conv1d | nn.Conv2d):
            return None  # channels before the time of each chunk
        return "td", short[2]
    if short[0] != 1:
        return None
    if changing == [1]:
        return "btd", short[2]
    if changing == [2] or (not changing and isinstance(module, _TIME_LAST)):
        return "bdt", short[1]
    return ("btd", short[2]) if not changing else None


def _numbers(config: Any) -> list[int]:
    """Return whole numbers of a configuration, and twice them, which could be lengths of chunks."""
    numbers: set[int] = set()
    for each in recordings.configs(config):
        for value in vars(each).values():
            if isinstance(value, int) and not isinstance(value, bool) and 8 <= value <= 3_000:
                numbers |= {value, 2 * value}
    return sorted(numbers)
