"""The training loop: deterministic; a killed run resumes bit for bit from its last checkpoint.

Nothing random is carried from step to step: which recordings a step takes depends on (seed, stage, epoch), what is
masked in them and dropped on (seed, step).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from babelscope.cache import write_atomically
from babelscope.errors import DataError
from babelscope.plugins.pocket.adapter import PocketAdapter, save_adapter
from training.pocket.material import Material, bank_of
from training.pocket.recipe import Recipe

#: Seconds between checkpoints.
SAVE_SECONDS = 20.0
#: Batches that are filled from one draw of recordings, sorted by length.
POOL = 16

#: Encoder positions, padding included, that a batch has at most: 64 recordings of 5 seconds.
POSITIONS = 16_000

#: Called after every step with its number (from 1), the number of all steps, and the loss.
StepCallback = Callable[[int, int, float], object]


class Run:
    """One training run in its own folder.

    Parameters
    ----------
    recipe : Recipe
    material : Material
    folder : Path
        Holds the checkpoint and, at the end, ``adapter.safetensors``. One of another recipe is refused.
    save_seconds : float
        Between checkpoints; a killed run loses so much at most.
    """

    def __init__(self, recipe: Recipe, material: Material, folder: Path, save_seconds: float = SAVE_SECONDS) -> None:
        self.save_seconds = save_seconds
        self.recipe, self.material, self.folder = recipe, material, folder
        self.learned = material.chosen("train", fillets=recipe.fillets, words=recipe.words)
        self.bank = bank_of(material, self.learned)
        targets, rows = material.targets, self.bank.texts
        self.stages = (
            _Aim.make(targets.words[rows], centred=True),
            _Aim.make(targets.pooled[rows], centred=recipe.centred),
        )
        self.adapter = PocketAdapter.untrained(
            recipe.seed, material.teacher.words, recipe.shape, dropout=recipe.dropout
        ).train()
        decayed = [each for each in self.adapter.parameters() if each.ndim > 1]
        others = [each for each in self.adapter.parameters() if each.ndim < 2]
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": recipe.decay}, {"params": others, "weight_decay": 0.0}],
            lr=recipe.rate,
        )
        self.plan = self._planned(0, recipe.warm_epochs), self._planned(1, recipe.epochs)
        self.steps = sum(map(len, self.plan))
        self.done = 0
        self.losses: list[float] = []

    @property
    def checkpoint(self) -> Path:
        """The last checkpoint."""
        return self.folder / "checkpoint.pt"

    @property
    def finished(self) -> Path:
        """The trained adapter."""
        return self.folder / "adapter.safetensors"

    def resume(self) -> int:
        """Load the last checkpoint, if there is one, and return how many steps are done.

        Raises
        ------
        DataError
            If it is of another recipe or split, or damaged.
        """
        if not self.checkpoint.is_file():
            return 0
        try:
            state = torch.load(self.checkpoint, weights_only=True)
            identity = state["identity"]
        except Exception as error:
            raise DataError(f"checkpoint {self.checkpoint} is damaged ({error}): delete it") from error
        if identity != self._identity():
            raise DataError(f"checkpoint {self.checkpoint} is of another recipe or split: choose another folder")
        self.adapter.load_state_dict(state["adapter"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.done, self.losses = state["done"], state["losses"]
        return self.done

    def save(self) -> None:
        """Write a checkpoint."""
        state = {
            "identity": self._identity(),
            "adapter": self.adapter.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "done": self.done,
            "losses": self.losses,
        }
        write_atomically(self.checkpoint, lambda path: torch.save(state, path))

    def _identity(self) -> str:
        teacher = self.material.teacher.revision
        return f"{self.recipe.to_json()} {self.material.split.fingerprint} {teacher} {len(self.learned)}"

    def train(self, callbacks: Sequence[StepCallback] = (), *, until: int | None = None) -> Path | None:
        """Train to the end, or to step `until`, and return the trained adapter's file if the end is reached."""
        saved = time.monotonic()
        while self.done < min(self.steps, until or self.steps):
            loss = self.step()
            for each in callbacks:
                each(self.done, self.steps, loss)
            if time.monotonic() - saved > self.save_seconds:
                self.save()
                saved = time.monotonic()
        self.save()
        if self.done < self.steps:
            return None
        about = {
            "recipe": self.recipe.to_json(),
            "split": self.material.split.fingerprint,
            "teacher": self.material.teacher.revision,
            "torch": torch.__version__,
        }
        return save_adapter(self.adapter, self.finished, about)

    def step(self) -> float:
        """Take one step and return its loss."""
        number = self.done
        stage = int(number >= len(self.plan[0]))
        chosen = self.plan[stage][number - stage * len(self.plan[0])]
        torch.manual_seed((self.recipe.seed << 32) + number)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate * self._rate(stage, number)
        loss = self._loss(stage, chosen)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.adapter.parameters(), 1.0)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise DataError(f"the loss at step {number + 1} is not finite: lower the rate ({self.recipe.rate:g})")
        self.optimizer.step()
        self.done += 1
        self.losses.append(value)
        return value

    def _rate(self, stage: int, number: int) -> float:
        first, total = stage * len(self.plan[0]), len(self.plan[stage])
        progress = (number - first + 1) / total
        if progress < 0.05:
            return progress / 0.05
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (progress - 0.05) / 0.95))

    def _planned(self, stage: int, epochs: float) -> list[NDArray[np.int64]]:
        """Return the batches of a stage: each epoch shuffled, and cut into batches of like length."""
        planned: list[NDArray[np.int64]] = []
        for epoch in range(math.ceil(epochs)):
            random = np.random.default_rng([self.recipe.seed, stage, epoch])
            order = random.permutation(self.learned)
            batches: list[NDArray[np.int64]] = []
            for first in range(0, len(order), POOL * self.recipe.batch):
                pool = order[first : first + POOL * self.recipe.batch]
                batches += self._cut(pool[np.argsort(self.material.lengths[pool], kind="stable")])
            left = epochs - epoch
            kept = len(batches) if left >= 1 else round(left * len(batches))
            planned += [batches[place] for place in random.permutation(len(batches))[:kept]]
        return planned

    def _cut(self, pool: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Cut recordings, sorted by length, into batches; of long ones a batch holds fewer."""
        batches, start = [], 0
        for stop in range(1, len(pool) + 1):
            longest = int(self.material.lengths[pool[stop]]) if stop < len(pool) else 0
            if stop == len(pool) or stop - start == self.recipe.batch or longest * (stop - start + 1) > POSITIONS:
                batches.append(pool[start:stop])
                start = stop
        return batches

    def _loss(self, stage: int, chosen: NDArray[np.int64]) -> Tensor:
        recipe, aim = self.recipe, self.stages[stage]
        speech = [augmented(self.material.speech(int(number)), recipe) for number in chosen]
        adapted, lengths = adapt(self.adapter, speech)
        pooled = self.material.teacher.through(adapted, lengths) if stage else adapted.sum(dim=1) / lengths[:, None]
        texts = [int(self.material.text_of[number]) for number in chosen]
        columns = torch.tensor([self.bank.place[text] for text in texts])
        wanted = aim.raw[columns]
        logits = nn.functional.normalize(pooled - aim.centre, dim=1) @ aim.bank.T / recipe.temperature
        translations = [
            torch.from_numpy(self.bank.alike[self.material.utterances[number].sentence_key]) for number in chosen
        ]
        if recipe.across and stage:
            shares = shared_out(translations, columns, logits.shape[1], recipe.across)
            wanted = shares @ aim.raw
            loss = recipe.contrast * nn.functional.cross_entropy(logits, shares)
        else:
            for row, same in enumerate(translations):
                logits[row, same[same != columns[row]]] = -math.inf
            loss = recipe.contrast * nn.functional.cross_entropy(logits, columns)
        similarity = nn.functional.cosine_similarity(pooled, wanted, dim=1)
        loss = loss + recipe.likeness * 2 * (1 - similarity).mean()
        return loss + recipe.distance * (pooled - wanted).square().sum(dim=1).mean() / aim.scale


def shared_out(alike: Sequence[Tensor], columns: Tensor, width: int, across: float) -> Tensor:
    """Return what part of each recording's aim each text of the bank is, (recordings, texts); a row's sum is 1.

    Parameters
    ----------
    alike : sequence of Tensor
        One a recording: the columns of its sentence's translations, its own text among them.
    columns : Tensor
        Of the texts that are said.
    width : int
        Texts of the bank.
    across : float
        The part that all of `alike` have together, evenly; the text that is said has the rest.
    """
    shares = torch.zeros(len(columns), width)
    for row, same in enumerate(alike):
        shares[row, same] = across / len(same)
    shares[torch.arange(len(columns)), columns] += 1 - across
    return shares


@dataclass(frozen=True)
class _Aim:
    """What one stage aims at: the bank's targets, raw, and as unit vectors to be told apart."""

    raw: Tensor
    bank: Tensor
    centre: Tensor
    scale: float

    @classmethod
    def make(cls, rows: NDArray[np.float32], *, centred: bool) -> _Aim:
        raw = torch.from_numpy(rows)
        mean = raw.mean(dim=0)
        centre = mean if centred else torch.zeros_like(mean)
        scale = float((raw - mean).square().sum(dim=1).mean())
        return cls(raw, nn.functional.normalize(raw - centre, dim=1), centre, scale)


def augmented(speech: Tensor, recipe: Recipe) -> Tensor:
    """Return one utterance's features (positions, width), cut, warped and masked at random."""
    values = speech
    if recipe.jitter and len(values) > 4 * recipe.jitter:
        values = values[int(torch.randint(recipe.jitter + 1, ())) :]
    if recipe.warp:
        length = max(1, round(len(values) * (1 + recipe.warp * (2 * float(torch.rand(())) - 1))))
        values = nn.functional.interpolate(values.T[None], size=length, mode="linear")[0].T
    if recipe.masked:
        values = values.clone()
        left = int(recipe.masked * float(torch.rand(())) * len(values))
        while left > 0:
            width = min(left, 1 + int(torch.randint(12, ())))
            start = int(torch.randint(len(values) - width + 1, ()))
            values[start : start + width] = 0.0
            left -= width
    return values


def adapt(adapter: PocketAdapter, speech: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return adapted speech, padded, and each utterance's number of positions."""
    lengths = torch.tensor([len(values) for values in speech])
    padded = nn.utils.rnn.pad_sequence(list(speech), batch_first=True)
    return adapter(padded, lengths), torch.tensor([adapter.output_length(int(length)) for length in lengths])


@torch.inference_mode()
def speak(
    adapter: PocketAdapter, material: Material, chosen: Sequence[int], *, layers: bool = False, batch: int = 32
) -> dict[str, NDArray[np.float32]]:
    """Return what some utterances become: ``pooled`` (normalised), and with `layers` the mean at every shared point."""
    adapter.eval()
    order = sorted(range(len(chosen)), key=lambda place: int(material.lengths[chosen[place]]))
    vectors_of: dict[str, Any] = {}
    for first in range(0, len(order), batch):
        rows = order[first : first + batch]
        speech = [material.speech(chosen[row]) for row in rows]
        adapted, lengths = adapt(adapter, speech)
        if layers:
            values = {"adapted": adapted.sum(dim=1) / lengths[:, None], **material.teacher.layers(adapted, lengths)}
        else:
            values = {"pooled": nn.functional.normalize(material.teacher.through(adapted, lengths), dim=1)}
        for name, vectors in values.items():
            array = vectors_of.setdefault(name, np.empty((len(chosen), vectors.shape[1]), dtype=np.float32))
            array[rows] = vectors.numpy()
    return vectors_of
