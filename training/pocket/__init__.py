"""The training of ``pocket``: from fetched recordings to the shipped adapter. See ``training/README.md``."""
