"""The model ``pocket``, as a plug-in."""

from babelscope.models import ModelInfo

#: What the adapter was trained with: four-bit weights, which only the registries have.
E5_ASSET = "e5-small-q4"

MODEL = ModelInfo(
    "Whisper-base, a length adapter that comes along, and the layers of multilingual-e5-small, which text shares",
    ("text", "speech"),
    "babelscope.plugins.pocket.model:load",
    ("whisper-base", E5_ASSET),
    "MIT (Whisper, E5), Apache-2.0 (adapter)",
    "babelscope.plugins.pocket.model:planned",
    held_out="babelscope.plugins.pocket.model:held_out",
    variant="babelscope.plugins.pocket.model:variant",
    counter="babelscope.plugins.pocket.model:counter",
)
