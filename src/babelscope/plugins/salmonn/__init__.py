"""SALMONN, 7B and 13B, as a plug-in."""

from babelscope.models import ModelInfo


def _info(size: str, layers: int, width: int, licence: str) -> ModelInfo:
    return ModelInfo(
        f"SALMONN {size}: Whisper and BEATs into Vicuna, which reads text: {layers} shared layers, {width} wide",
        ("text", "speech"),
        "babelscope.plugins.salmonn.model:load",
        (),
        f"Apache-2.0, MIT, {licence}",
        "babelscope.plugins.salmonn.model:planned",
        path_options=("whisper", "beats", "vicuna"),
    )


SALMONN_7B = _info("7B", 32, 4096, "Llama 2 Community License")
SALMONN_13B = _info("13B", 40, 5120, "LLaMA's licence (not for commercial use)")
