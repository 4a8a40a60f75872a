"""The training of the models that are shipped: not part of the installed package, run from the project's root."""
