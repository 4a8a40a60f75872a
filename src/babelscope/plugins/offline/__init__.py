"""Readers of the weights that the package registries have: Whisper as CTranslate2, E5 in four bits."""
