"""``[lens]``: which positions are read, and how."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class LensOptions(BaseModel):
    """``[lens]``: what positions of speech read as in the model's own vocabulary."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    points: list[str] | None = Field(
        default=None,
        min_length=1,
        description="shared points, with wildcards; five, spread over the depth, if left out",
    )
    n: Annotated[int, Field(ge=8)] = Field(default=40, description="sentences that are read, at most")
    k: Annotated[int, Field(ge=1, le=50)] = Field(default=5, description="nearest entries that count as read")
    centre: bool = Field(
        default=True,
        description="whether the means of the positions and of the vocabulary are taken off before a cosine with input "
        "embeddings; an output layer reads positions as they are",
    )
    permutations: Annotated[int, Field(ge=99)] = Field(default=999, description="of the sentences, for the null")
    shown: Annotated[int, Field(ge=0)] = Field(default=3, description="recordings a language on the page to listen to")
