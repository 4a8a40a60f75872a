"""Which word a position of speech is: positions of recordings against tokens of texts, layer by layer."""

from babelscope.tokens.options import TokenOptions

__all__ = ["TokenOptions"]
