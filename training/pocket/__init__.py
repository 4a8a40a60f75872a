"""The training of ``pocket``: from fetched recordings to the adapter that comes along. See ``training/README.md``."""
