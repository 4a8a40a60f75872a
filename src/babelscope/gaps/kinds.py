"""The kinds of comparison. All are similarities; the gaps, which are the other way round, have names of their own."""

from __future__ import annotations

#: What is compared. All are similarities: the higher, the more two representations of the same sentences agree.
KINDS: dict[str, str] = {
    "modality_similarity": "Speech and text of one language",
    "language_similarity_text": "Texts of two languages",
    "language_similarity_speech": "Speech of two languages",
    "cross_similarity": "Speech of one language and text of another",
    "reader_similarity": "Two readers of one sentence in one language",
}

#: Gaps, which grow as things agree less, and the kind of comparison that each is of. A gap is 1 - the chance-corrected
#: similarity (:mod:`babelscope.check`), or a distance between means (the table ``centroids``).
GAPS: dict[str, str] = {
    "modality_gap": "modality_similarity",
    "language_gap_text": "language_similarity_text",
    "language_gap_speech": "language_similarity_speech",
    "cross_gap": "cross_similarity",
}
