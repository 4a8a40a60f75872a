"""Does closing the gap change the output? Speech is patched at shared points, and the rest of the model runs on.

For every kind of patch the change of each outcome is compared with that of random patches of the same size. Its
interval is for other sentences (paired: each sentence with and without the patch; Student's t over clusters of
sentences). p is the rank of the change among the random ones, in the direction that closes the gap:
(1 + #{random >= patch}) / (draws + 1). ``p_adjusted`` is corrected for all points, kinds and outcomes: changes are
standardised over the patch and its random ones, and compared with the largest of each draw (Westfall & Young 1993).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from babelscope.capture.hooks import Capture
from babelscope.capture.jobs import EncodeConfig, Job
from babelscope.capture.pooling import Spans, pool
from babelscope.capture.preparing import prepare_job
from babelscope.capture.store import Activations
from babelscope.corpora import Corpus
from babelscope.errors import DataError, UsageError, did_you_mean
from babelscope.interventions.edits import Edit
from babelscope.interventions.fitting import Fitted, fit, folds_of
from babelscope.interventions.options import PatchOptions
from babelscope.interventions.outcomes import OUTCOMES, outcomes
from babelscope.interventions.patching import Patched
from babelscope.interventions.replay import Replay
from babelscope.models.base import Modality, Model, Point, Prepared, Side
from babelscope.models.unembedding import Unembedding, unembedding
from babelscope.similarity import student
from babelscope.similarity.checkpoint import Checkpoint

#: One row a kind, point and outcome, for each language of the speech and for the mean over them (`language` "mean").
#: `plain` and `patched` are means over the sentences; `change` is their difference with its 95 % interval for other
#: sentences; `random` is the mean change of the random patches, `random_low` and `random_high` the least and the
#: largest; `size` is the root mean square of what is added, over the spread of speech at the point. p is of the mean.
#: `closes` says that the outcome improves: the interval is on the good side of 0, and `p_adjusted` is at most .05. (A
#: patch that does less harm than random ones has a small p, too.)
PATCH_COLUMNS: tuple[str, ...] = (
    "kind",
    "point",
    "stage",
    "depth",
    "output",
    "outcome",
    "language",
    "plain",
    "patched",
    "change",
    "low",
    "high",
    "random",
    "random_low",
    "random_high",
    "p",
    "p_adjusted",
    "closes",
    "size",
    "n",
    "clusters",
    "draws",
)

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Level of a statement.
ALPHA = 0.05


@dataclass(frozen=True)
class PatchPlan:
    """What patching takes.

    Attributes
    ----------
    points : tuple of str
    output : str
        The point whose vectors are compared.
    sentences, languages : int
    passes : int
        Forward passes of one utterance, most of them of the rest of the model alone.
    memory : int
        Bytes of outputs that are in memory at once.
    """

    points: tuple[str, ...]
    output: str
    sentences: int
    languages: int
    passes: int
    memory: int


def plan_patch(model: Model, options: PatchOptions, sentences: int, languages: int) -> PatchPlan:
    """Choose the points and say what patching them takes.

    Parameters
    ----------
    model : Model
    options : PatchOptions
    sentences, languages : int
        Of the study.

    Raises
    ------
    UsageError
        If the model shares no point with positions, or a pattern matches none.
    """
    chosen = points_to_patch(model, options.points)
    output = model.shared_points[-1]
    width = next(point.width for point in model.sides["speech"].points if point.name == output)
    n = min(options.n, sentences)
    runs = 1 + len(options.kinds) * (1 + options.draws)
    passes = n * languages * len(chosen) * runs
    return PatchPlan(chosen, output, n, languages, passes, 8 * runs * n * width + 8 * languages * sentences * width)


def points_to_patch(model: Model, patterns: Sequence[str] | None) -> tuple[str, ...]:
    """Return the shared points that are patched: those that match, or three spread over the depth.

    The output itself cannot be patched, nor can a point without positions.

    Raises
    ------
    UsageError
        If there is none, or a pattern matches none.
    """
    shared = set(model.shared_points)
    if len(shared) < 2:
        raise UsageError(f"patch: speech and text of {model.name} share no layers: there is nothing to patch")
    able = [
        point.name
        for point in model.sides["speech"].points
        if point.name in shared and point.module and point.layout not in ("bd", "td")
    ]
    able = [name for name in able if name != model.shared_points[-1]]
    if patterns is None:
        places = np.linspace(0, len(able) - 1, min(3, len(able))).round().tolist()
        able = [able[int(place)] for place in dict.fromkeys(places)]
    else:
        for pattern in patterns:
            if not any(fnmatchcase(name, "*" if pattern == "all" else pattern) for name in able):
                raise UsageError(
                    f"patch.points: {pattern!r} is no shared point with positions before the output; "
                    f"{did_you_mean(pattern, dict.fromkeys(able))}"
                )
        able = [name for name in able if any(fnmatchcase(name, "*" if one == "all" else one) for one in patterns)]
    if not able:
        raise UsageError(
            f"patch: speech and text of {model.name} share no layer with positions before the output: nothing can be "
            f"patched"
        )
    return tuple(able)


def patch_table(
    model: Model,
    corpus: Corpus,
    activations: Activations,
    options: PatchOptions | None = None,
    *,
    clusters: NDArray[np.int64] | None = None,
    seed: int = 0,
    how: EncodeConfig | None = None,
    checkpoint: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    notice: Callable[[str], None] = lambda line: None,
) -> pd.DataFrame:
    """Patch speech at shared points and measure what changes at the output.

    Parameters
    ----------
    model : Model
        Both sides, with the shared points of the study.
    corpus : Corpus
    activations : Activations
        Of this model on this corpus, pooled by the mean: what patches are fitted on, and the texts' outputs.
    options : PatchOptions, optional
    clusters : ndarray of int, shape (n,), optional
        Which sentences of the store belong together, from 0: folds and intervals keep them together.
    seed : int
        Of the sentences, folds and random directions.
    how : EncodeConfig, optional
        How utterances are batched.
    checkpoint : Path, optional
        A folder that keeps what is finished, by point and language; a run that is called again goes on there.
    progress : callable, optional
        Called with (points and languages done, points and languages).
    notice : callable
        Called with a line on what cannot be done.

    Returns
    -------
    DataFrame
        Columns :data:`PATCH_COLUMNS`.

    Raises
    ------
    UsageError
        If nothing can be patched.
    DataError
        If the activations are not pooled by their mean, or there are too few sentences.

    References
    ----------
    Liang et al. 2022, arXiv 2203.02053 (moving embeddings along the modality gap); Vig et al. 2020 and Meng et al.
    2022, arXiv 2202.05262 (interventions on hidden states).
    """
    options = options or PatchOptions()
    names = points_to_patch(model, options.points)
    pooled_by = activations.meta.get("pooling")
    if pooled_by != "mean":
        raise DataError(f"patch: centroids are fitted on means over positions, not on pooling = {pooled_by!r}")
    languages = activations.languages
    total = len(activations.sentences)
    units = np.arange(total) if clusters is None else np.unique(clusters, return_inverse=True)[1].astype(np.int64)
    if int(units.max(initial=-1)) + 1 < max(8, options.folds):
        raise DataError(f"patch: {int(units.max(initial=-1)) + 1} clusters of sentences are too few: 8 are needed")
    kinds = list(options.kinds)
    if "language" in kinds and len(languages) < 2:
        kinds.remove("language")
        notice("patch: with one language there is no vector of a language to take out")
    output = model.shared_points[-1]
    generator = np.random.default_rng([seed, total, options.n])
    rows = np.sort(generator.permutation(total)[: options.n])
    folds = folds_of(units, options.folds, seed)
    head = unembedding(model)
    if head is None:
        notice(f"patch: {model.name} has no output layer over a vocabulary here: the next token is not compared")
    chosen = _Chosen(model, corpus, activations, rows, folds, output, head, how or EncodeConfig())
    plan = {
        "activations": activations.identity,
        "options": options.model_dump(mode="json"),
        "kinds": kinds,
        "points": list(names),
        "rows": rows.tolist(),
        "folds": folds.tolist(),
        "head": head is not None,
        "seed": seed,
    }
    kept = Checkpoint(checkpoint, plan) if checkpoint is not None else None
    blocks: dict[tuple[str, str], dict[str, NDArray[Any]]] = {}
    done, texts = 0, None
    for number, name in enumerate(names):
        fitted: list[tuple[str, list[Fitted]]] | None = None
        for column, language in enumerate(languages):
            block = kept.load(f"point-{number:03}-{column:03}") if kept else None
            if block is None:
                if fitted is None:
                    fitted = _fitted(activations, name, kinds, folds, options, seed)
                texts = texts or chosen.texts()
                block = chosen.measured(name, language, [one for _, each in fitted for one in each], texts)
                block["size"] = np.array([each[0].size for _, each in fitted])
                if kept:
                    kept.save(f"point-{number:03}-{column:03}", block)
            blocks[name, language] = block
            done += 1
            if progress:
                progress(done, len(names) * len(languages))
    return _table(blocks, kinds, names, languages, activations, output, units[rows], options.draws)


def _fitted(
    activations: Activations, point: str, kinds: Sequence[str], folds: IntArray, options: PatchOptions, seed: int
) -> list[tuple[str, list[Fitted]]]:
    cells: dict[str, dict[str, FloatArray]] = {
        of: {language: activations.matrix(point, of, language).astype(np.float64) for language in activations.languages}
        for of in ("speech", "text")
    }
    return [
        (kind, fit(kind, cells["speech"], cells["text"], folds, options.directions, options.draws, seed))
        for kind in kinds
    ]


class _Outputs(Capture):
    """Captures one point pooled, and the last position of another (or the same) one."""

    def __init__(self, side: Side, output: str, last: str) -> None:
        super().__init__(side)
        self.output, self.last = output, last
        self.ends: Tensor | None = None

    def _keep(self, point: Point, tensor: Tensor, spans: Spans) -> Tensor:
        if point.name == self.last:
            self.ends = pool(tensor, spans, "last")
        return pool(tensor, spans, "mean")


@dataclass
class _Chosen:
    """What is patched: the sentences of a study, its model, and where its output is."""

    model: Model
    corpus: Corpus
    activations: Activations
    rows: IntArray
    folds: IntArray
    output: str
    head: Unembedding | None
    how: EncodeConfig

    def __post_init__(self) -> None:
        wanted = {self.activations.sentences[row] for row in self.rows}
        self._places = [place for place, one in enumerate(self.corpus.sentences) if one in wanted]
        if len(self._places) != len(self.rows):
            raise DataError("patch: the corpus lacks sentences of the store: run the study again")
        self._last = ""
        if self.head is not None:
            able = [point for point in self.model.sides["speech"].points if point.name in self.model.shared_points]
            self._last = [point.name for point in able if point.module and point.layout == "btd"][-1]

    def texts(self) -> tuple[dict[str, FloatArray], dict[str, Tensor]]:
        """Return the texts' outputs by language, all sentences; and the last positions of the chosen ones."""
        vectors = {
            language: self.activations.matrix(self.output, "text", language).astype(np.float64)
            for language in self.activations.languages
        }
        ends: dict[str, Tensor] = {}
        for language in self.activations.languages if self.head is not None else ():
            side, items = self._prepared("text", language)
            last_positions: dict[int, Tensor] = {}
            with _Outputs(side, self.output, self._last) as capture:
                for batch in self.how.batches(side, [item.length for item in items]):
                    capture.run(side.collate([items[index] for index in batch]))
                    assert capture.ends is not None
                    last_positions |= dict(zip(batch, capture.ends.cpu(), strict=True))
            ends[language] = torch.stack([last_positions[index] for index in range(len(items))])
        return vectors, ends

    def _prepared(self, modality: Modality, language: str) -> tuple[Side, list[Prepared]]:
        whole = replace(self.model, sides={modality: self.model.sides[modality].for_language(language)})
        side = whole.select_points(list(dict.fromkeys([self.output, self._last or self.output]))).sides[modality]
        items: list[Prepared] = []
        for place in self._places:
            (one,) = prepare_job(self.model, self.corpus, Job(modality, language, 0, place, place + 1))
            if isinstance(one, DataError):
                raise one
            items.append(one.prepared)
        return side, items

    def measured(
        self,
        name: str,
        language: str,
        patches: Sequence[Fitted],
        texts: tuple[dict[str, FloatArray], dict[str, Tensor]],
    ) -> dict[str, NDArray[Any]]:
        """Run one language's speech plainly and with each patch at a point: outcomes of shape (1 + patches, n)."""
        side, items = self._prepared("speech", language)
        point = next(candidate for candidate in self.model.sides["speech"].points if candidate.name == name)
        vectors: list[FloatArray | None] = [None] * (1 + len(patches))
        divergence = np.full((1 + len(patches), len(items)), np.nan)
        replayed = True
        with Patched(side, point) as patched, _Outputs(side, self.output, self._last) as capture:
            for batch in self.how.batches(side, [item.length for item in items]):
                collated = side.collate([items[index] for index in batch])
                patched.items, patched.edits = collated.utterances(), ()
                replay = Replay(side, point)

                def run(edits: Sequence[Edit]) -> Tensor:
                    patched.edits = edits
                    patched.begin()
                    return capture.run(collated)[self.output]  # noqa: B023

                with replay.recording():
                    given = run(())
                ends = capture.ends
                again = _replays(replay, run, given)
                replayed &= again
                folds = [int(self.folds[self.rows[index]]) for index in batch]
                for number in range(1 + len(patches)):
                    if number:
                        with replay.replaying() if again else nullcontext():
                            given = run([patches[number - 1].edits[language, fold] for fold in folds])
                        ends = capture.ends
                    outputs = vectors[number]
                    if outputs is None:
                        outputs = vectors[number] = np.empty((len(items), given.shape[1]))
                    outputs[batch] = given.double().cpu().numpy()
                    if self.head is not None and ends is not None:
                        divergence[number, batch] = self._divergence(texts[1][language][batch], ends)
                replay.forget()
        by_outcome: dict[str, list[FloatArray]] = {}
        for output in vectors:
            assert output is not None
            if not np.isfinite(output).all():
                raise DataError(f"patch: the output of patched speech in {language!r} at {name} is not finite")
            for outcome, values in outcomes(output, texts[0], language, self.rows).items():
                by_outcome.setdefault(outcome, []).append(values)
        stacked: dict[str, NDArray[Any]] = {outcome: np.stack(values) for outcome, values in by_outcome.items()}
        if self.head is not None:
            stacked["kl"] = divergence
        return stacked | {"replayed": np.array(replayed)}

    def _divergence(self, text: Tensor, speech: Tensor) -> FloatArray:
        """Return KL(text || speech) of the next token in nats, one a sentence."""
        assert self.head is not None
        with torch.inference_mode():
            p, q = (torch.log_softmax(self.head.logits(one, self._last).double(), -1) for one in (text, speech))
            return np.asarray((p.exp() * (p - q)).sum(-1).cpu().numpy(), dtype=np.float64)


def _replays(replay: Replay, run: Callable[[Sequence[Edit]], Tensor], plain: Tensor) -> bool:
    """Whether a replay gives the bits of the plain run."""
    try:
        with replay.replaying():
            return torch.equal(run(()), plain)
    except Exception:  # whatever a model's own code raises when a module does not run
        return False


def _table(
    blocks: dict[tuple[str, str], dict[str, NDArray[Any]]],
    kinds: Sequence[str],
    names: Sequence[str],
    languages: Sequence[str],
    activations: Activations,
    output: str,
    units: IntArray,
    draws: int,
) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    ranked: list[tuple[int, FloatArray]] = []
    for name in names:
        for number, kind in enumerate(kinds):
            first = 1 + number * (1 + draws)
            for outcome in OUTCOMES:
                by_language = {code: blocks[name, code][outcome] for code in languages if outcome in blocks[name, code]}
                if not by_language:
                    continue
                better = 1.0 if OUTCOMES[outcome][1] else -1.0
                for language, values in [("mean", np.mean(list(by_language.values()), axis=0)), *by_language.items()]:
                    changes = values[first : first + 1 + draws] - values[0]
                    means = changes.mean(1)
                    errors = _errors(changes, units)
                    reach = student.quantile(0.975, len(np.unique(units)) - 1) * float(errors[0])
                    row: dict[str, Any] = {
                        "kind": kind,
                        "point": name,
                        "stage": str(activations.stage(name, "speech")),
                        "depth": activations.depth(name, "speech"),
                        "output": output,
                        "outcome": outcome,
                        "language": language,
                        "plain": float(values[0].mean()),
                        "patched": float(values[first].mean()),
                        "change": float(means[0]),
                        "low": float(means[0]) - reach,
                        "high": float(means[0]) + reach,
                        "random": float(means[1:].mean()),
                        "random_low": float(means[1:].min()),
                        "random_high": float(means[1:].max()),
                        "p": float("nan"),
                        "p_adjusted": float("nan"),
                        "closes": False,
                        "size": float(blocks[name, languages[0]]["size"][number]),
                        "n": len(units),
                        "clusters": len(np.unique(units)),
                        "draws": draws,
                    }
                    if language == "mean":
                        row["p"] = float((better * means >= better * means[0] - 1e-12).mean())
                        # By what varies among patches, or among sentences: a single hit of one draw is no record.
                        spread = max(float(means.std()), float(errors.max()), 1e-12)
                        ranked.append((len(rows), better * (means - means.mean()) / spread))
                    rows.append(row)
    largest = np.max([scores for _, scores in ranked], axis=0)
    for place, scores in ranked:
        row, p = rows[place], float((largest >= scores[0] - 1e-9).mean())
        improves = row["low"] > 0 if OUTCOMES[row["outcome"]][1] else row["high"] < 0
        row |= {"p_adjusted": p, "closes": bool(p <= ALPHA and improves)}
    return pd.DataFrame(rows, columns=list(PATCH_COLUMNS))


def _errors(changes: FloatArray, units: IntArray) -> FloatArray:
    """Return the standard errors of means over sentences, by clusters of them; one a row of `changes`."""
    codes = np.unique(units, return_inverse=True)[1]
    count = int(codes.max()) + 1
    sums = np.zeros((len(changes), count))
    np.add.at(sums.T, codes, (changes - changes.mean(1, keepdims=True)).T)
    return np.asarray(np.sqrt(count / (count - 1) * (sums**2).sum(1)) / changes.shape[1])
