"""What a study is asked of positions: its section ``[tokens]``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from babelscope.capture.position_encoding import POSITION_DTYPES, SENTENCES


class TokenOptions(BaseModel):
    """``[tokens]``: a few sentences whose positions are kept themselves, not pooled."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    points: list[str] = Field(
        default_factory=lambda: ["all"],
        min_length=1,
        description="which of the study's points have their positions kept, with wildcards",
    )
    n: Annotated[int, Field(ge=1)] = Field(
        default=SENTENCES, description="most sentences of each language, the same in all, drawn with the study's seed"
    )
    dtype: Literal["float16", "bfloat16"] = Field(
        default="float16",
        description="what positions are rounded to: "
        + "; ".join(f"{name}: {text}" for name, text in POSITION_DTYPES.items()),
    )
    align: bool = Field(default=True, description="whether speech is aligned to text, every layer with every layer")
    permutations: Annotated[int, Field(ge=99)] = Field(
        default=999, description="of the texts among sentences of like length"
    )
    shuffles: Annotated[int, Field(ge=0)] = Field(default=99, description="of the words of each text; 0 for none")
    timings: Path | None = Field(
        default=None,
        description="CSV of when words are spoken: language, sentence, word (from 0), start, end in seconds",
    )

    def how(self) -> dict[str, Any]:
        """Return the options of :func:`babelscope.capture.position_encoding.encode_positions`."""
        return {"points": self.points, "n": self.n, "dtype": self.dtype}
