"""Which names of released files become which arrays of today's classes, by transformers' own rules, without weights.

Released checkpoints are spelled as older versions of a class were. What transformers makes of each name when it loads a
file is asked of it here for the names alone, so that a checkpoint is accounted for before it is fetched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class Unplaced(NamedTuple):
    """Names that do not fit a model: arrays that it would lack, and names of the files that it has no place for."""

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]


def unplaced_names(model: Any, names: Iterable[str], key_mapping: Mapping[str, str] | None = None) -> Unplaced:
    """Return what would be missing and left over if a model were filled from files with arrays of these names.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        May be on the "meta" device.
    names : iterable of str
        Of the arrays in the files.
    key_mapping : mapping of str to str, optional
        Regular expressions for parts of the names, and what takes their place, before transformers renames them.

    Notes
    -----
    The order of steps is that of ``convert_and_load_state_dict_in_model`` of transformers 5.23.
    """
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key

    transforms = get_model_conversion_mapping(model, dict(key_mapping) if key_mapping else None)
    renamings: list[Any] = [each for each in transforms if isinstance(each, WeightRenaming)]
    converters: list[Any] = [each for each in transforms if isinstance(each, WeightConverter)]
    places = model.state_dict()
    missing, unexpected = set(places), set()
    prefix = model.base_model_prefix
    for name in sorted(names):
        place, source = rename_source_key(name, renamings, converters, prefix, places)
        if place not in places and name in places:
            place, source = rename_source_key(name, [], [], prefix, places)
        if place not in places:
            unexpected |= {name} if not _ignored(model, "unexpected", name, place) else set()
            continue
        missing -= {place, *_further_targets(converters, source, place)}
    tied = getattr(model, "all_tied_weights_keys", None) or {}
    for target, origin in tied.items():
        if target not in missing or origin not in missing:
            missing -= {target, origin}
    return Unplaced(
        tuple(sorted(name for name in missing if not _ignored(model, "missing", name))), tuple(sorted(unexpected))
    )


def _further_targets(converters: Iterable[Any], source: str | None, place: str) -> Iterable[str]:
    """Yield the other arrays that one array of a file is cut into (query, key and value out of one)."""
    for converter in converters:
        if source in converter.source_patterns and len(converter.target_patterns) > 1:
            first, *others = converter.target_patterns
            yield from (place.replace(first, other) for other in others)
            return


def _ignored(model: Any, which: str, *names: str) -> bool:
    """Whether the class says that one of these names may be missing, or may be there without a place."""
    patterns = getattr(model, f"_keys_to_ignore_on_load_{which}", None) or ()
    return any(re.search(pattern, name) for pattern in patterns for name in names)
