"""How the models that come along were trained: not part of the installed package, run from the project's root."""
