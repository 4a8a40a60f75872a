"""FLEURS-R: FLEURS's sentences with their recordings restored: less noise, at 24 kHz.

``google/fleurs-r`` has FLEURS's layout, ids and rows (:mod:`babelscope.corpora.fleurs`). Seen in public copies: its
TSV files have FLEURS's seven fields, recordings are WAV at 24 kHz, and some rows have no recording, which
``broken="drop"`` leaves out. Not known: at which rate its rows count samples, so they are not compared with the
recordings.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from babelscope.corpora.corpus import MODALITIES, Corpus
from babelscope.corpora.fleurs import Release, load_release
from babelscope.corpora.readings import Choice

RELEASE = Release(
    "fleurs-r",
    "google/fleurs-r",
    "FLEURS-R, {splits}: FLEURS with restored recordings",
    "FLEURS-R, Ma et al. 2024 (arXiv 2408.06227), google/fleurs-r; FLEURS, Conneau et al. 2022 (arXiv 2205.12446)",
    claims=False,
)


def load(
    path: Path | str | None = None,
    *,
    languages: Sequence[str] | None = None,
    splits: str | Sequence[str] = "test",
    recording: str = "first",
    others: bool = True,
    text: str = "raw",
    broken: str = "refuse",
    truncated: str = "keep",
    documents: Path | str | None = None,
    revision: str = "main",
    modalities: Sequence[str] = MODALITIES,
    progress: bool = True,
) -> Corpus:
    """Load the corpus ``fleurs-r``; the options are those of :func:`babelscope.corpora.fleurs.load`.

    Raises
    ------
    UsageError, DataError, FetchError
        As :func:`babelscope.corpora.fleurs.load`.
    """
    choice = Choice(RELEASE.corpus, recording, others, broken, truncated, modalities)
    return load_release(RELEASE, choice, path, languages, splits, text, documents, revision, progress)
