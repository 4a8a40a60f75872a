"""FLEURS-R: FLEURS's sentences with their recordings restored: less noise, at 24 kHz.

``google/fleurs-r`` has FLEURS's layout, ids and rows (:mod:`babelscope.corpora.fleurs`). Seen in public copies: its
TSV files have FLEURS's seven fields, recordings are WAV at 24 kHz, and some rows have no recording, which
``broken="drop"`` excludes. Not known: at which rate its rows count samples, so they are not compared with the
recordings.
"""

from __future__ import annotations

from functools import partial

from babelscope.corpora.fleurs import Release, load_release

RELEASE = Release(
    "fleurs-r",
    "google/fleurs-r",
    "FLEURS-R, {splits}: FLEURS with restored recordings",
    "FLEURS-R, Ma et al. 2024 (arXiv 2408.06227), google/fleurs-r; FLEURS, Conneau et al. 2022 (arXiv 2205.12446)",
    claims=False,
)


load = partial(load_release, RELEASE)
