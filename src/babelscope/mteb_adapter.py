"""Models and corpora as mteb takes them: an encoder of text and audio, and bitext mining of speech.

Needs ``pip install 'babelscope[mteb]'``. mteb cuts recordings (of Seamless after 5 s) and batches them as they come;
here recordings are heard whole, and utterances of like length are batched together, one by one where a model says that
its numbers depend on the batch. So an encoder gives the vectors of :class:`babelscope.search.vectors.Embedder`.

Examples
--------
>>> import mteb  # doctest: +SKIP
>>> encoder = Encoder("pocket")  # doctest: +SKIP
>>> mteb.evaluate(encoder, speech_bitext_mining(corpus))  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from babelscope import models
from babelscope.audio import SAMPLE_RATE, Samples, load_audio
from babelscope.corpora import Corpus
from babelscope.errors import DataError, UsageError
from babelscope.languages import language as language_of
from babelscope.models.base import Modality, Model
from babelscope.search.vectors import Embedder

try:
    from mteb._create_dataloaders import _custom_collate_fn
    from mteb._evaluators import BitextMiningEvaluator
    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.abstasks.text.bitext_mining import AbsTaskBitextMining
    from mteb.models.abs_encoder import AbsEncoder
    from mteb.models.model_meta import ModelMeta, ScoringFunction
except ImportError as error:
    raise UsageError(f"mteb is not installed ({error}): pip install 'babelscope[mteb]'") from error

#: mteb's name of each modality.
COLUMNS: dict[Modality, str] = {"text": "text", "speech": "audio"}


class Encoder(AbsEncoder):  # type: ignore[misc]
    """A model as an encoder of mteb: the vectors of the last point that its sides share, of length 1.

    What has both text and audio gets the mean of both vectors.

    Parameters
    ----------
    model_name : str
        As :func:`babelscope.models.load` takes it.
    revision : str, optional
        Part of the name for mteb alone; a revision of the hub is written in the name, ``hf:owner/name@revision``.
    device : str, optional
    model : Model, optional
        One that is loaded already.
    language : str
        Of all that is encoded, for models that must be told and tasks that do not say.
    batch_size : int
        Most utterances in one forward pass; mteb's own batches are only how they are brought.
    **options
        For :func:`babelscope.models.load`.

    Raises
    ------
    UsageError
        If the two sides share no point, or the model cannot be loaded.
    """

    def __init__(
        self,
        model_name: str,
        revision: str | None = None,
        *,
        device: str | None = None,
        model: Model | None = None,
        language: str = "",
        batch_size: int = 8,
        **options: Any,
    ) -> None:
        self.model = model or models.load(model_name, device=device or "cpu", **options)
        self.embedder = Embedder(self.model, batch_size=batch_size)
        self.language = language
        name = self.model.name if "/" in self.model.name else f"babelscope/{self.model.name}"
        self.mteb_model_meta = ModelMeta.create_empty(
            {
                "name": name,
                "revision": revision or self.model.revision,
                "embed_dim": self.embedder.width,
                "n_parameters": sum(side.parameters for side in self.model.sides.values()),
                "modalities": [COLUMNS[modality] for modality in self.model.modalities],
                "similarity_fn_name": ScoringFunction.COSINE,
                "framework": ["PyTorch"],
                "license": None,
            }
        )

    def encode(
        self,
        inputs: Iterable[Mapping[str, Any]],
        *,
        task_metadata: TaskMetadata,
        hf_split: str,
        hf_subset: str,
        prompt_type: Any = None,
        **options: Any,
    ) -> NDArray[np.float32]:
        """Encode what a task gives.

        Parameters
        ----------
        inputs : DataLoader
            Batches with ``text``, ``audio`` or both.
        task_metadata, hf_split, hf_subset, prompt_type, **options
            As mteb gives them. The language is the subset's, if it has one only.

        Returns
        -------
        ndarray, shape (inputs, width)

        Raises
        ------
        DataError
            If a text or recording is empty, too short or too long for the model.
        UsageError
            If the model lacks the modality, or must be told the language.
        """
        language = self.language or _language(task_metadata, hf_subset)
        vectors: list[NDArray[np.float32]] = []
        number = 0
        for batch in inputs:
            heard = [modality for modality, column in COLUMNS.items() if column in batch]
            if not heard:
                raise UsageError(f"task {task_metadata.name}: it has neither text nor audio, but {', '.join(batch)}")
            of_each = [self._encoded(modality, batch[COLUMNS[modality]], language, number) for modality in heard]
            vectors.append(np.mean(of_each, axis=0, dtype=np.float32))
            number += len(vectors[-1])
        return np.concatenate(vectors) if vectors else np.empty((0, self.embedder.width), dtype=np.float32)

    def _encoded(self, modality: Modality, items: Sequence[Any], language: str, first: int) -> NDArray[np.float32]:
        names = [f"{COLUMNS[modality]} {first + index}" for index in range(len(items))]
        contents = list(items) if modality == "text" else [samples_of(item) for item in items]
        return self.embedder.vectors(modality, language, contents, names)


def _language(metadata: TaskMetadata, subset: str) -> str:
    """Return the language of a subset, as mteb writes it without its script; empty if it has several."""
    named = metadata.hf_subsets_to_langscripts.get(subset, [subset] if "-" not in subset else [])
    codes = {str(name).partition("-")[0] for name in named}
    return codes.pop() if len(codes) == 1 and codes != {"default"} else ""


def samples_of(item: Any) -> Samples:
    """Return a recording of a data set as a model hears it: whole, channels averaged, at 16 kHz.

    Parameters
    ----------
    item : mapping or object
        With ``array`` and ``sampling_rate``; or what decodes itself, as torchcodec's decoder does.

    Raises
    ------
    DataError
        If it is neither.
    """
    if hasattr(item, "get_all_samples"):
        decoded = item.get_all_samples()
        item = {"array": np.asarray(decoded.data), "sampling_rate": decoded.sample_rate}
    try:
        array, rate = np.asarray(item["array"], dtype=np.float64), int(item["sampling_rate"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(f"a recording of the task is no array with a sampling rate ({error})") from error
    if array.ndim == 2:
        array = array.mean(axis=0)
    samples = array if rate == SAMPLE_RATE else soxr.resample(array, rate, SAMPLE_RATE, "VHQ")
    return np.ascontiguousarray(samples, dtype=np.float32)


class _SpeechEvaluator(BitextMiningEvaluator):  # type: ignore[misc]
    """mteb's evaluator, but each column is brought as what it is: text, or audio."""

    def __init__(self, *given: Any, columns: Mapping[str, tuple[Modality, str]], **named: Any) -> None:
        super().__init__(*given, **named)
        self.columns = columns

    def __call__(self, model: Any, *, encode_kwargs: Any, num_proc: int | None = None) -> dict[str, list[Any]]:
        from torch.utils.data import DataLoader

        embeddings = {}
        for column, (modality, language) in self.columns.items():
            data = self.sentences.select_columns([column]).rename_column(column, COLUMNS[modality])
            loader = DataLoader(data, batch_size=encode_kwargs.get("batch_size", 32), collate_fn=_custom_collate_fn)
            embeddings[column] = model.encode(
                loader, task_metadata=self.task_metadata, hf_subset=language, hf_split=self.hf_split, **encode_kwargs
            )
        return {
            f"{first}-{second}": self._similarity_search(embeddings[first], embeddings[second], model)
            for first, second in self.pairs
        }


class SpeechBitextMining(AbsTaskBitextMining):  # type: ignore[misc]
    """Bitext mining in which one side or both are speech: which sentence of the other side says the same.

    Made by :func:`speech_bitext_mining`. A subset is a pair of languages, ``fr-en``; its column ``sentence1`` is of the
    first, in the first modality.
    """

    corpus: Corpus
    pairs: Mapping[str, tuple[str, str]]
    sides: tuple[Modality, Modality]

    def load_data(self, num_proc: int | None = None, **options: Any) -> None:
        """Read the texts and recordings of the corpus."""
        from datasets import Dataset, DatasetDict

        if getattr(self, "data_loaded", False):
            return
        self.dataset = {}
        for subset, languages in self.pairs.items():
            columns = {
                f"sentence{number}": [self._content(sentence, language, side) for sentence in self.corpus.sentences]
                for number, (language, side) in enumerate(zip(languages, self.sides, strict=True), 1)
            }
            self.dataset[subset] = DatasetDict({"test": Dataset.from_dict(columns)})
        self.data_loaded: bool = True

    def _content(self, sentence: str, language: str, side: Modality) -> Any:
        if side == "text":
            return self.corpus.text(sentence, language)
        recordings = self.corpus.recordings(sentence, language)
        return {"array": load_audio(recordings[0]), "sampling_rate": SAMPLE_RATE}

    def _evaluate_subset(self, model: Any, data_split: Any, *, hf_split: str, hf_subset: str, **options: Any) -> Any:
        languages = self.pairs[hf_subset]
        evaluator = _SpeechEvaluator(
            data_split,
            task_metadata=self.metadata,
            pair_columns=self._DEFAULT_PAIR,
            hf_split=hf_split,
            hf_subset=hf_subset,
            timer=options["timer"],
            columns={
                f"sentence{number}": (side, language)
                for number, (language, side) in enumerate(zip(languages, self.sides, strict=True), 1)
            },
        )
        neighbours = evaluator(model, encode_kwargs=options["encode_kwargs"])["sentence1-sentence2"]
        metrics = self._compute_metrics(neighbours, [(row, row) for row in range(len(data_split))])
        self._add_main_score(metrics)
        return metrics


def speech_bitext_mining(
    corpus: Corpus,
    *,
    pairs: Iterable[tuple[str, str]] | None = None,
    sides: tuple[Modality, Modality] = ("speech", "text"),
    name: str = "",
) -> SpeechBitextMining:
    """Return the bitext mining of a corpus as a task of mteb.

    Parameters
    ----------
    corpus : Corpus
        Complete: every sentence has a recording and a text in every language that is asked for.
    pairs : iterable of (str, str), optional
        Languages; all ordered pairs of different languages if left out, and of two modalities each with itself too.
    sides : pair of {"text", "speech"}
        What the first and the second language of a pair are given in.
    name : str
        Of the task; made of the corpus's name if left out.

    Returns
    -------
    SpeechBitextMining
        Its main score is mteb's F1; accuracy is precision at 1.

    Raises
    ------
    UsageError
        If a language has no code of three letters, or there is no pair.
    """
    languages = corpus.languages
    chosen = (
        list(pairs)
        if pairs is not None
        else [(first, second) for first in languages for second in languages if first != second or sides[0] != sides[1]]
    )
    if not chosen:
        raise UsageError(f"corpus {corpus.name}: there is no pair of languages")
    codes = {code: language_of(code).iso.replace("_", "-") for pair in chosen for code in pair}
    named = name or f"{corpus.name.title().replace('-', '')}{sides[0].title()}{sides[1].title()}BitextMining"
    letters = {"text": "t", "speech": "a"}
    metadata = TaskMetadata(
        name=named,
        type="BitextMining",
        description=f"{corpus.title}: which {sides[1]} of another language says what this {sides[0]} says.",
        reference=None,
        dataset={"path": corpus.name, "revision": corpus.fingerprint()[:40]},
        category=f"{letters[sides[0]]}2{letters[sides[1]]}",
        modalities=sorted({COLUMNS[side] for side in sides}),
        eval_splits=["test"],
        eval_langs={f"{first}-{second}": [codes[first], codes[second]] for first, second in chosen},
        main_score="f1",
        license=None,
        bibtex_citation=None,
    )
    made = type(named, (SpeechBitextMining,), {"metadata": metadata})()
    made.corpus, made.sides = corpus, sides
    made.pairs = {f"{first}-{second}": (first, second) for first, second in chosen}
    task: SpeechBitextMining = made
    return task
