"""The two sides of a speech LLM: a sentence or a recording in a prompt, through one forward pass of the whole model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from babelscope.errors import DataError
from babelscope.models.adapters import prompts, quirks, recordings
from babelscope.models.adapters.counting import Chain
from babelscope.models.adapters.prompts import Prompt
from babelscope.models.adapters.recordings import SAMPLE_RATE, Recorder, Recording, noise
from babelscope.sides import Batch, Prepared, Side, Stage

#: The key under which utterances count their positions in the language model.
IN_LANGUAGE_MODEL = "language model"

#: The formula of what only the model's processor counts.
PLACEHOLDERS = "placeholders of the processor"


class _Through(Side):
    """What both sides have: the whole model's forward pass."""

    def __init__(self, root: nn.Module) -> None:
        self.root = root
        self.family = type(root).__name__
        self.whole, self.taker, self.quiet = recordings.forward_of(root)
        config = getattr(root, "config", None)
        reader = config.get_text_config(decoder=True) if config is not None else None
        padding = getattr(reader, "pad_token_id", None)
        self.padding = padding if isinstance(padding, int) and padding >= 0 else 0
        self.most = getattr(reader, "max_position_embeddings", None)

    def collate(self, items: Sequence[Prepared]) -> Batch:
        """Pad on the right; a single utterance stays as its processor made it."""
        packed = next((point.name for point in self.points if point.layout == "td"), None)
        if len(items) > 1 and packed:
            raise DataError(f"{packed} packs its positions: {self.family} hears one recording at a time")
        together = recordings.pad_together([item.inputs for item in items], self.padding)
        return Batch.of(together, items)

    def forward(self, batch: Batch) -> Mapping[str, Tensor]:
        """Run the model up to its last hidden state."""
        dtype = next(self.root.parameters()).dtype
        self.taker(**{name: recordings.cast(tensor, dtype) for name, tensor in batch.inputs.items()}, **self.quiet)
        return {}

    def _refuse_longer(self, total: int) -> None:
        if isinstance(self.most, int) and total > self.most:
            raise DataError(f"{total} positions with the prompt are more than the language model's {self.most}")


class Reader(nn.Module):
    """The language model of a model whose forward pass takes no text without a recording.

    A module, so that copies of a side for several threads have one of their own.

    Parameters
    ----------
    constants : mapping
        What the whole model passes to its language model whatever it hears.
    """

    def __init__(self, embeddings: nn.Module, language: nn.Module, constants: Mapping[str, Any]) -> None:
        super().__init__()
        self.embeddings, self.language, self.constants = embeddings, language, dict(constants)
        self.eval()

    def forward(self, ids: Tensor, mask: Tensor) -> Any:
        """Run the language model on token ids."""
        constants = {
            name: value.to(ids.device) if isinstance(value, Tensor) else value for name, value in self.constants.items()
        }
        return self.language(inputs_embeds=self.embeddings(ids), attention_mask=mask, use_cache=False, **constants)


class WrittenSide(_Through):
    """The text side: a sentence in the prompt, through the language model.

    Parameters
    ----------
    tokenizer : Any
        The checkpoint's own.
    token : int or None
        Id of the placeholder of a recording, which no text may hold.

    Attributes
    ----------
    reader : Reader or None
        How a text runs through the language model where the whole model takes none without a recording; None if it
        does.
    """

    modality = "text"
    unit = "tokens"

    def __init__(self, root: nn.Module, tokenizer: Any, prompt: Prompt, token: int | None) -> None:
        super().__init__(root)
        self.tokenizer, self.prompt, self.token = tokenizer, prompt, token
        self.points = ()
        self.reader: Reader | None = None

    def prepare(self, item: str | NDArray[np.float32], language: str) -> Prepared:
        """Tokenise one sentence in the prompt.

        Raises
        ------
        DataError
            If it has no token, the placeholder of a recording, or is too long.
        """
        sentence = str(item)
        if not sentence.strip():
            raise DataError("the text is empty")
        placed = prompts.place(self.tokenizer, self.prompt.around("text"), sentence)
        if self.token is not None and self.token in placed.ids:
            raise DataError("the text holds the model's placeholder of a recording")
        self._refuse_longer(len(placed.ids))
        ids = torch.tensor([placed.ids])
        return Prepared(
            {"input_ids": ids, "attention_mask": torch.ones_like(ids)},
            placed.count,
            positions={IN_LANGUAGE_MODEL: placed.count},
            starts={IN_LANGUAGE_MODEL: placed.start},
            totals={IN_LANGUAGE_MODEL: len(placed.ids) - placed.start},
        )

    def forward(self, batch: Batch) -> Mapping[str, Tensor]:
        """Run the model up to its last hidden state."""
        if self.reader is None:
            return super().forward(batch)
        self.reader(batch.inputs["input_ids"], batch.inputs["attention_mask"])
        return {}

    def reference(self, item: str | NDArray[np.float32], language: str) -> Mapping[str, Tensor] | None:
        """Run a sentence through the model's own tokenizer and the whole model; None if it takes no text alone."""
        if self.reader is not None:
            return None
        from babelscope.verification import observe

        before, behind = self.prompt.around("text")
        whole = before + str(item) + behind
        special = prompts.adds_special_tokens(self.tokenizer, whole)
        ids = self.tokenizer(whole, add_special_tokens=special, return_tensors="pt")["input_ids"].to(self.device)
        start = self.prepare(item, language).starts[IN_LANGUAGE_MODEL]
        values, _ = observe(self, lambda: self.whole(input_ids=ids, use_cache=False))
        begin = {point.name: start - point.start for point in self.points}
        return {name: value[0, begin[name] :] for name, value in values.items()}


@dataclass(frozen=True)
class Count:
    """How many positions a recording has at some points: its own, and all that a module gives for it alone.

    Attributes
    ----------
    key : str
        Under which utterances say it.
    chain : Chain or None
        Of the features' steps; None if the number is always the same.
    fixed : int
        That number.
    padded : bool
        Whether the module computes positions of the features' padding, too.
    as_placeholders : bool
        Whether the recording's own are as many as it has placeholders.
    """

    key: str
    chain: Chain | None
    fixed: int = 0
    padded: bool = False
    as_placeholders: bool = False

    def total(self, frames: int, all_frames: int) -> int:
        """Return all positions that the module gives for features of so many steps, and of so many with padding."""
        if self.chain is None:
            return self.fixed
        return self.chain(all_frames if self.padded else frames)

    def own(self, recording: Recording, samples: int, window: int | None) -> int:
        """Return the positions that are the recording's own."""
        if self.as_placeholders:
            return recording.count
        if self.chain is not None:
            return self.chain(recording.frames)
        if recording.frames < recording.all_frames:
            return -(-recording.frames * self.fixed // recording.all_frames)
        return min(self.fixed, -(-samples * self.fixed // (window or max(samples, 1))))

    @property
    def formula(self) -> str:
        """The same for people to read; F counts the features' steps."""
        if self.as_placeholders:
            return PLACEHOLDERS
        return f"share of {self.fixed}" if self.chain is None else self.chain.formula("F")


class SpokenSide(_Through):
    """The speech side: a recording in the prompt, through tower, projector and language model.

    Attributes
    ----------
    counts : tuple of Count
        How many positions points before the language model have.
    last : Count or None
        The count that says how many of the language model's positions are the recording's; None if all placeholders
        are.
    shortest : int
        Samples of the shortest recording.
    """

    modality = "speech"
    unit = "samples at 16 kHz"

    def __init__(self, root: nn.Module, recorder: Recorder) -> None:
        super().__init__(root)
        self.recorder = recorder
        self.points = ()
        self.counts: tuple[Count, ...] = ()
        self.last: Count | None = None
        self.shortest = 1
        self.runs_beside = quirks.runs_beside(getattr(root, "config", None))

    def prepare(self, item: str | NDArray[np.float32], language: str) -> Prepared:
        """Compute features and prompt of one recording.

        Raises
        ------
        DataError
            If it is empty, too short, longer than the model hears, or refused by its processor.
        """
        samples = np.asarray(item, dtype=np.float32)
        if len(samples) < self.shortest:
            raise DataError(
                f"{len(samples)} samples at 16 kHz are too short: {self.family} takes {self.shortest} or more"
            )
        if self.longest is not None and len(samples) > self.longest:
            raise DataError(
                f"{len(samples) / SAMPLE_RATE:.1f} s of speech are more than the {self.longest / SAMPLE_RATE:g} s that "
                f"{self.family} hears: choose max_seconds = {self.longest // SAMPLE_RATE} or less"
            )
        recording = self.recorder.make(samples)
        self._refuse_longer(recording.total)
        own = {count.key: count.own(recording, len(samples), self.window) for count in self.counts}
        totals = {
            count.key: count.total(recording.frames, recording.all_frames) or recording.count for count in self.counts
        }
        return Prepared(
            recording.inputs,
            len(samples),
            positions=own | {IN_LANGUAGE_MODEL: self.in_language_model(recording, len(samples))},
            starts={IN_LANGUAGE_MODEL: recording.start},
            totals=totals | {IN_LANGUAGE_MODEL: recording.total - recording.start},
        )

    def in_language_model(self, recording: Recording, samples: int) -> int:
        """Return how many of the language model's positions are the recording's own."""
        if self.last is None:
            return recording.count
        return min(recording.count, self.last.own(recording, samples, self.window))

    def positions(self, key: str, samples: int) -> int:
        """Return how many positions so many samples of noise have where a count's key, or the language model, says."""
        if samples < 1:
            return 0
        try:
            recording = self.recorder.make(noise(samples))
        except DataError:
            return 0
        if key == IN_LANGUAGE_MODEL:
            return self.in_language_model(recording, samples)
        return next(count for count in self.counts if count.key == key).own(recording, samples, self.window)

    def reference(self, item: str | NDArray[np.float32], language: str) -> Mapping[str, Tensor]:
        """Run a recording through the model's own processor and the whole model."""
        from babelscope.verification import observe

        dtype = next(self.root.parameters()).dtype
        recording = self.recorder.make(np.asarray(item, dtype=np.float32))
        inputs = {name: recordings.cast(tensor, dtype).to(self.device) for name, tensor in recording.inputs.items()}
        values, _ = observe(self, lambda: self.whole(**inputs, use_cache=False))
        starts = {point.name: recording.start - point.start for point in self.points if point.stage is Stage.SHARED}
        return {name: value[0, starts.get(name, 0) :] for name, value in values.items()}
