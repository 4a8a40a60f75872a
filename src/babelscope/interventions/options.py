"""``[patch]``: what of a study's shared points is patched, how, and against how many random directions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

#: What can be done to speech at a shared point.
KINDS: dict[str, str] = {
    "centroid": "speech is moved by the difference of the centroids of text and speech, each language by its own",
    "subspace": "what speech has in the leading directions between the modalities is replaced by the text centroid's",
    "language": "the language's vector is taken out of speech: its centroid less the mean over the languages",
}

PatchKind = Literal["centroid", "subspace", "language"]


class PatchOptions(BaseModel):
    """``[patch]``: whether closing the gap changes the output."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    points: list[str] | None = Field(
        default=None,
        min_length=1,
        description="shared points, with wildcards; three, spread over the depth, if left out",
    )
    kinds: list[PatchKind] = Field(
        default_factory=lambda: list[PatchKind](("centroid", "subspace", "language")),
        min_length=1,
        description="; ".join(f"{name}: {text}" for name, text in KINDS.items()),
    )
    n: Annotated[int, Field(ge=8)] = Field(default=60, description="sentences that are patched, at most")
    draws: Annotated[int, Field(ge=20)] = Field(default=20, description="random directions of the same size")
    directions: Annotated[int, Field(ge=1)] = Field(default=8, description="of the subspace between the modalities")
    folds: Annotated[int, Field(ge=2)] = Field(
        default=5, description="of the sentences: what moves a sentence is fitted on the other folds"
    )
