"""The user's own corpus: a CSV, JSON Lines or Parquet file, one row a recording.

Columns
-------
sentence : required
    The id of what is said. Rows with one id are translations of each other, or further recordings of the same.
language : required
    Any code; the same for all rows of a language.
text
    What is said, written in that language. May be given in one row of a cell only.
audio
    A recording: a path, relative to the manifest unless absolute. A row without it is text only.
member
    The recording's name inside `audio`, if that is a zip archive.
reader
    Who reads.
seconds
    Duration; read from the recording's header if not given.
start
    Seconds into the file at which the recording begins; it ends after `seconds`. Empty for a whole file.
cluster
    The document or family that a sentence belongs to; the same in all its rows.

Several rows of one sentence and language are several recordings; the first is the one that studies use.

A manifest is the user's own: its audio may lie anywhere, and paths with ``..`` and absolute ones are used as they are.
It is read row by row; what stays in memory is the corpus. Text is kept as written but for white space, which is folded:
marks of direction and joiners belong to some scripts. Control characters and lone surrogates belong to none, and are
refused.
"""

from babelscope.corpora.manifest.choices import FORMATS, Choices
from babelscope.corpora.manifest.errors import RowError
from babelscope.corpora.manifest.reading import Examined, examine, load, load_tables
from babelscope.corpora.manifest.rows import MAX_NAME, MAX_ROWS
from babelscope.corpora.manifest.text import MAX_LINE

__all__ = [
    "FORMATS",
    "MAX_LINE",
    "MAX_NAME",
    "MAX_ROWS",
    "Choices",
    "Examined",
    "RowError",
    "examine",
    "load",
    "load_tables",
]
