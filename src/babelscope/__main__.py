"""Start the command line with ``python -m babelscope``."""

from babelscope.cli import entry

entry()
