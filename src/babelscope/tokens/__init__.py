"""Which word a position of speech is: positions of recordings against tokens of texts, layer by layer."""

from babelscope.lazy_imports import public_names
from babelscope.tokens.options import TokenOptions
from babelscope.tokens.tables import ALIGNMENT_COLUMNS, PATH_COLUMNS, read_timings, token_tables

__all__ = ["ALIGNMENT_COLUMNS", "PATH_COLUMNS", "TokenOptions", "read_timings", "token_tables"]

__dir__ = public_names(__name__)
