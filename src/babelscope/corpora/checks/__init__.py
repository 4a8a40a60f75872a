"""Checks of a corpus before a model is run on it: all problems at once, each with its places and its remedy."""

from babelscope.corpora.checks.checking import DECODED, DECODED_BEFORE_A_RUN, check_corpus
from babelscope.corpora.checks.clusters import write_clusters
from babelscope.corpora.checks.durations import Limits
from babelscope.corpora.checks.result import CorpusCheck

__all__ = ["DECODED", "DECODED_BEFORE_A_RUN", "CorpusCheck", "Limits", "check_corpus", "write_clusters"]
