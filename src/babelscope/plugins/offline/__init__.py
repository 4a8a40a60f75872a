"""Sources and readers of the weights that package registries have: Whisper as CTranslate2, E5 in four bits."""
