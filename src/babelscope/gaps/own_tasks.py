"""Tasks that a study scores itself by nearest neighbour: topics of sentences, questions about passages.

What a corpus says of its sentences (``Corpus.labels``) is enough, as SIB-FLEURS and Belebele-FLEURS do; nothing is
trained. Vectors are those of the output that both sides share, less the mean of their side; nearest by cosine.

- *topic*: a sentence has the topic of the nearest text in the reference language among sentences of other documents.
- *passage*: the passage nearest to a question is the one that it is about; a passage is the mean of its sentences.
- *answer*: of four answers the one is nearest to the passage that, written behind the question, is correct.

Questions and answers are read in the reference language, passages heard or read in each language.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from babelscope.capture.hooks import Capture
from babelscope.capture.store import Activations
from babelscope.corpora import Corpus
from babelscope.errors import DataError, UsageError, did_you_mean
from babelscope.models.base import Model
from babelscope.similarity import student
from babelscope.similarity.arrays import FloatArray

#: One row a task, modality and language. `chance` is the accuracy of a neighbour drawn at random; the interval is for
#: other documents.
TASK_COLUMNS: tuple[str, ...] = (
    "task",
    "modality",
    "language",
    "accuracy",
    "chance",
    "low",
    "high",
    "n",
    "clusters",
    "point",
    "reference",
)


class TaskOptions(BaseModel):
    """``[tasks]``: tasks that the study scores itself by nearest neighbour."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reference: str | None = Field(
        default=None, description="language of the texts that neighbours are sought in, and of questions; the first"
    )


def tasks_table(
    model: Model | None,
    corpus: Corpus,
    activations: Activations,
    options: TaskOptions | None = None,
    *,
    notice: Callable[[str], None] = lambda line: None,
) -> pd.DataFrame:
    """Score the tasks that a corpus has labels for, where speech and text share an output.

    The labels are ``category``, or ``question_1``, ``answers_1``, ``correct_1`` and the same of a second question; the
    columns are :data:`TASK_COLUMNS`. Without a model nothing reads the questions. `notice` is called with a line on
    what cannot be scored.

    Raises
    ------
    UsageError
        If the reference is no language of the study.
    DataError
        If the model has no output that both sides share, or the corpus has no labels of a task.
    """
    options = options or TaskOptions()
    reference = options.reference or activations.languages[0]
    if reference not in activations.languages:
        raise UsageError(
            f"tasks.reference: {reference!r} is no language of the study; "
            f"{did_you_mean(reference, activations.languages)}"
        )
    if not activations.shared_points:
        raise DataError("tasks: speech and text share no output: there is no nearest neighbour across them")
    labels = corpus.labels.reindex(list(activations.sentences)) if len(corpus.labels.columns) else pd.DataFrame()
    asks = "question_1" in labels.columns
    if "category" not in labels.columns and not asks:
        raise DataError(f"tasks: corpus {corpus.name} has no topics (category) and no questions among its labels")
    point = activations.shared_points[-1]
    units = activations.clusters
    codes = np.arange(len(activations.sentences)) if units is None else units
    vectors: dict[tuple[str, str], FloatArray] = {
        (modality, language): _centred(activations.matrix(point, modality, language).astype(np.float64))
        for modality in activations.modalities
        for language in activations.languages
    }
    rows: list[dict[str, Any]] = []
    if "category" in labels.columns:
        rows += _topics(vectors, labels["category"].to_numpy(dtype=object), codes, reference)
    if asks and model is not None:
        rows += _questions(model, vectors, labels, codes, reference, point)
    elif asks:
        notice("tasks: the model runs on other machines, so that nothing reads the questions: choose engine = 'local'")
    return pd.DataFrame([row | {"point": point, "reference": reference} for row in rows], columns=list(TASK_COLUMNS))


def _centred(x: FloatArray) -> FloatArray:
    x = x - x.mean(0)
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.where(norms > 0, norms, 1.0))


def _topics(
    vectors: dict[tuple[str, str], FloatArray], topics: NDArray[Any], codes: NDArray[np.int64], reference: str
) -> list[dict[str, Any]]:
    known = np.array([isinstance(topic, str) and bool(topic) for topic in topics])
    others = (codes[:, None] != codes[None]) & known[None]
    scored = known & others.any(1)
    if not scored.any():
        return []
    same = (topics[:, None] == topics[None]) & others
    chance = float((same.sum(1)[scored] / others.sum(1)[scored]).mean())
    rows = []
    for (modality, language), own in vectors.items():
        cosines = np.where(others, own @ vectors["text", reference].T, -np.inf)
        hits = (topics[cosines.argmax(1)] == topics)[scored].astype(np.float64)
        rows.append(_row("topic", modality, language, hits, chance, codes[scored]))
    return rows


def _questions(
    model: Model,
    vectors: dict[tuple[str, str], FloatArray],
    labels: pd.DataFrame,
    codes: NDArray[np.int64],
    reference: str,
    point: str,
) -> list[dict[str, Any]]:
    asked: list[tuple[int, str, list[str], int]] = []  # passage, question, answers, correct
    for cluster in range(int(codes.max()) + 1):
        own = labels[codes == cluster]
        for number in (1, 2):
            if f"question_{number}" not in own.columns:
                continue
            row = own[own[f"question_{number}"].notna()]
            if len(row):
                question_row = row.iloc[0]
                answers = [str(answer) for answer in json.loads(question_row[f"answers_{number}"])]
                asked.append(
                    (
                        cluster,
                        str(question_row[f"question_{number}"]),
                        answers,
                        int(question_row[f"correct_{number}"]) - 1,
                    )
                )
    if not asked:
        return []
    questions = _centred(_embedded(model, [question for _, question, _, _ in asked], reference, point))
    statements = [f"{question} {answer}" for _, question, answers, _ in asked for answer in answers]
    answered = _centred(_embedded(model, statements, reference, point))
    edges = np.cumsum([0, *(len(answers) for _, _, answers, _ in asked)])
    passages = np.array([cluster for cluster, *_ in asked])
    chance = float(np.mean([1 / len(answers) for _, _, answers, _ in asked]))
    counts = np.bincount(codes)
    rows = []
    for (modality, language), own in vectors.items():
        sums = np.zeros((len(counts), own.shape[1]))
        np.add.at(sums, codes, own)
        means = _centred(sums / counts[:, None])
        retrieved = (questions @ means.T).argmax(1) == passages
        right = [
            int((answered[edges[place] : edges[place + 1]] @ means[cluster]).argmax()) == correct
            for place, (cluster, _, _, correct) in enumerate(asked)
        ]
        rows.append(_row("passage", modality, language, retrieved.astype(np.float64), 1 / len(counts), passages))
        rows.append(_row("answer", modality, language, np.array(right, dtype=np.float64), chance, passages))
    return rows


def _embedded(model: Model, texts: list[str], language: str, point: str) -> FloatArray:
    side = model.sides["text"].for_language(language)
    side = dataclasses.replace(model, sides={"text": side}).select_points([point]).sides["text"]
    with Capture(side) as capture:
        vectors = [capture.run(side.collate([side.prepare(text, language)]))[point].cpu().numpy() for text in texts]
    return np.concatenate(vectors).astype(np.float64)


def _row(
    task: str, modality: str, language: str, hits: FloatArray, chance: float, codes: NDArray[np.int64]
) -> dict[str, Any]:
    places = np.unique(codes, return_inverse=True)[1]
    count, accuracy = int(places.max()) + 1, float(hits.mean())
    low = high = float("nan")
    if count > 1:
        sums = np.bincount(places, weights=hits - accuracy)
        error = float(np.sqrt(count / (count - 1) * (sums**2).sum())) / len(hits)
        reach = student.quantile(0.975, count - 1) * error
        low, high = accuracy - reach, accuracy + reach
    return {
        "task": task,
        "modality": modality,
        "language": language,
        "accuracy": accuracy,
        "chance": chance,
        "low": low,
        "high": high,
        "n": len(hits),
        "clusters": count,
    }


def own_tasks(table: pd.DataFrame) -> pd.DataFrame:
    """Return what a study scored itself as a table of tasks: one row a language, one column a task and modality."""
    named = table.assign(name=table["task"] + "_" + table["modality"])
    return named.pivot_table(index="language", columns="name", values="accuracy", sort=False)
