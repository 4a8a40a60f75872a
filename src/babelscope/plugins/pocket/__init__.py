"""The model ``pocket``, as a plug-in."""

from babelscope.models import ModelInfo

MODEL = ModelInfo(
    "Whisper-base, a length adapter that comes along, and the layers of multilingual-e5-small, which text shares",
    ("text", "speech"),
    "babelscope.plugins.pocket.model:load",
    ("whisper-base", "e5-small"),
    "MIT (Whisper, E5), Apache-2.0 (adapter)",
    "babelscope.plugins.pocket.model:planned",
    held_out="babelscope.plugins.pocket.model:held_out",
    variant="babelscope.plugins.pocket.model:variant",
    counter="babelscope.plugins.pocket.model:counter",
)
