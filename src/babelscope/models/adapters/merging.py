"""PEFT adapters (LoRA and its like) in folders of their own, merged into the model that they were trained on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from babelscope.cache import sha256_of
from babelscope.errors import DataError, UsageError
from babelscope.models.weights.folder import silent
from babelscope.sides import WeightsFile

#: The option that names the folder.
ADAPTER = "adapter"

#: Components of a path that are around what is looked at, in some version of a class.
_AROUND = {"model", "thinker", "encoder"}

_CONFIG, _WEIGHTS, _START = "adapter_config.json", "adapter_model.safetensors", "base_model.model."


def merge_adapter(model: nn.Module, folder: Path) -> tuple[Any, WeightsFile]:
    """Return a model with an adapter merged into its weights: the same modules, other numbers.

    Parameters
    ----------
    model : torch.nn.Module
        The whole model that the adapter was trained on, or the part of it that is looked at.
    folder : Path
        With ``adapter_config.json`` and ``adapter_model.safetensors``.

    Raises
    ------
    UsageError
        If PEFT is not installed.
    DataError
        If the folder holds no such adapter, it is of another model, or it changes more than the weights of modules.
    """
    where = f"adapter {folder}"
    for name in (_CONFIG, _WEIGHTS):
        if not (folder / name).is_file():
            raise DataError(f"{where}: there is no {name}; name a folder that PEFT's save_pretrained wrote")
    try:
        import peft
    except ImportError as error:
        raise UsageError(f'{where}: PEFT is needed to apply it: pip install "babelscope[peft]"') from error
    from safetensors.torch import load_file

    state = load_file(folder / _WEIGHTS)
    places = dict(_places({_module_of(name) for name in state}, model, where))
    if not places:
        raise DataError(f"{where}: it changes nothing that is looked at of this model")
    try:
        with silent():
            config = peft.PeftConfig.from_pretrained(str(folder))
            config.task_type, config.target_modules = None, sorted(set(places.values()))
            wrapped = peft.get_peft_model(model, config)
            renamed = {
                _START + places[module] + name.removeprefix(_START + module): array
                for name, array in state.items()
                if (module := _module_of(name)) in places
            }
            outcome: Any = peft.set_peft_model_state_dict(wrapped, renamed)
            lacking = [name for name in outcome.missing_keys if ".lora_" in name]
            if outcome.unexpected_keys or lacking:
                raise DataError(
                    f"{where}: {(outcome.unexpected_keys or lacking)[0]} has no place in it, or is not there"
                )
            merged = wrapped.merge_and_unload(safe_merge=True)
    except DataError:
        raise
    except Exception as error:  # the library raises whatever its parts do
        line = next(iter(str(error).splitlines()), type(error).__name__)
        raise DataError(f"{where} cannot be applied to {type(model).__name__} ({line[:200]})") from error
    return merged.eval().requires_grad_(False), WeightsFile(
        _WEIGHTS, sha256_of(folder / _WEIGHTS), f"adapter {folder.name}"
    )


def _module_of(name: str) -> str:
    """Return the module whose weights an array of an adapter changes, as the adapter's own model calls it."""
    return re.split(r"\.lora_|\.modules_to_save", name.removeprefix(_START))[0]


def _places(wanted: Iterable[str], model: nn.Module, where: str) -> Iterator[tuple[str, str]]:
    """Yield modules as an adapter and as the model call them; those of a decoder that is not looked at are left out.

    What is looked at may be in a larger model, and other versions of a class put its parts into one more module: such
    names, and no others, may be more in the adapter's.
    """
    modules = [
        name for name, module in model.named_modules() if next(module.parameters(recurse=False), None) is not None
    ]
    around = _AROUND | {str(getattr(model, "base_model_prefix", ""))}
    for name in sorted(wanted):
        there = [module for module in modules if _further(module.split("."), name.split(".")) <= around]
        if len(there) == 1:
            yield name, there[0]
        elif there or "decoder" not in name.split("."):
            raise DataError(f"{where}: it changes {name}, which is no module of what is looked at of this model")


def _further(names: Sequence[str], all_names: Sequence[str]) -> set[str]:
    """Return which components a path has in addition to those of another.

    All of them, and an empty one, if it lacks one of the other's or has them in another order.
    """
    further, rest = set(), list(names)
    for name in all_names:
        if rest and name == rest[0]:
            rest.pop(0)
        else:
            further.add(name)
    return further if not rest else {*all_names, ""}
