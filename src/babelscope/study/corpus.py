"""The corpus of a study: loaded with the options of its table, and filtered to the sentences that it uses."""

from __future__ import annotations

from typing import Any

from babelscope import corpora, models
from babelscope.corpora import Corpus
from babelscope.corpora.manifest import RowError
from babelscope.errors import DataError, UsageError
from babelscope.study.settings import Study


def build_corpus(study: Study) -> Corpus:
    """Load and filter the study's corpus.

    Raises
    ------
    BabelscopeError
        Whatever is wrong with it.
    """
    return filtered(study, load_corpus(study))


def load_corpus(study: Study) -> Corpus:
    """Load the study's corpus, before its filters.

    Raises
    ------
    BabelscopeError
        Whatever is wrong with it.
    """
    try:
        return corpora.load(study.corpus.source, path=study.corpus.path, **corpus_options(study))
    except RowError as error:
        raise DataError(f"{error} (--skip-bad leaves such rows out)") from error


def corpus_options(study: Study) -> dict[str, Any]:
    """Return the options that the study's corpus is loaded with."""
    table = study.corpus
    named = {"format": table.format, "columns": table.columns}
    options = {key: value for key, value in named.items() if value is not None} | table.options
    if table.languages and corpora.takes(table.source, "languages"):
        options.setdefault("languages", table.languages)  # nothing of the others is read, or fetched
    if corpora.takes(table.source, "modalities"):
        options.setdefault("modalities", study.modalities)  # nor are recordings that nobody listens to
    if study.skip_bad and corpora.takes(table.source, "skip_bad"):
        options.setdefault("skip_bad", True)
    return options


def filtered(study: Study, corpus: Corpus) -> Corpus:
    """Return the sentences and languages of a corpus that the study uses.

    Raises
    ------
    UsageError, DataError
        If a filter is wrong, or nothing is left.
    """
    table = study.corpus
    return corpus.select(
        languages=table.languages,
        ids=_ids(study, corpus),
        min_words=table.min_words,
        max_seconds=table.max_seconds,
        distinct=table.distinct,
        n=table.n,
        seed=study.seed,
        modalities=study.modalities,
        skip_bad=study.skip_bad,
    )


def _ids(study: Study, corpus: Corpus) -> list[str] | None:
    """Return the sentences that may be used; None if all may."""
    table = study.corpus
    if not table.held_out:
        return table.ids
    held_out = set(models.held_out(study.model.name, table.source))
    if table.ids is not None:
        known = next((sentence for sentence in table.ids if sentence not in held_out), None)
        if known is not None:
            raise UsageError(
                f"corpus.ids: {known!r} was not held out of the training of {study.model.name}: leave it out, or "
                f"set held_out = false"
            )
        return table.ids
    return [sentence for sentence in corpus.sentences if sentence in held_out]
