"""Where the parts of a large model are put: on one device, or over several by a device map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from babelscope.errors import UsageError
from babelscope.models.options import LoadOptions
from babelscope.scratch import Scratch
from babelscope.sides import dtype_named, ready

#: The option of families whose parts can be put on several devices.
DEVICE_MAP = "device_map"


def place_parts(parts: Mapping[str, nn.Module], options: LoadOptions) -> dict[str, Any]:
    """Put parts into evaluation mode, without gradients, where the options say.

    Parameters
    ----------
    parts : mapping of name to Module
    options : LoadOptions
        Its ``extra`` may hold ``device_map``: ``"auto"`` (accelerate shares the layers among the GPUs there are, then
        the processor), or a table of the path of a part or module to ``"cuda:0"``, ``"cpu"`` or ``"disk"``, that covers
        every part. Modules that are not on the first GPU named run on it all the same, their weights brought when they
        are needed.

    Returns
    -------
    dict
        What to record of it: ``device_map``, or nothing. Where the weights are does not change what is computed, but
        two kinds of device round differently.

    Raises
    ------
    UsageError
        If a device does not exist, a path is not the model's, parts are left over, or accelerate is not installed.
    """
    wanted = options.extra.get(DEVICE_MAP)
    dtype = dtype_named(options.dtype)
    if wanted is None:
        for module in parts.values():
            ready(module, options.device, dtype)
        return {}
    if options.device != "cpu":
        raise UsageError(f"device_map: leave out device = {options.device!r}; the map says where everything goes")
    try:
        import accelerate
    except ImportError as error:
        raise UsageError(
            "device_map: accelerate is not installed: pip install 'babelscope[device-map]', or leave device_map out"
        ) from error
    whole = nn.ModuleDict({name: module.to(dtype=dtype) for name, module in parts.items()}).eval().requires_grad_(False)
    if wanted == "auto":
        chosen: dict[str, Any] = dict(
            accelerate.infer_auto_device_map(whole, no_split_module_classes=_layers(whole), dtype=dtype)
        )
    else:
        chosen = {path: _device(device) for path, device in _covering(wanted, whole).items()}
    computing = next((device for device in chosen.values() if isinstance(device, int)), "cpu")
    folder = None
    if "disk" in chosen.values():
        scratch = Scratch()
        folder = str(scratch.folder)
        for module in parts.values():  # the weights are there as long as any part of the model
            module.__dict__["scratch"] = scratch
    accelerate.dispatch_model(whole, chosen, main_device=computing, offload_dir=folder, force_hooks=True)
    return {
        DEVICE_MAP: {path: f"cuda:{device}" if isinstance(device, int) else device for path, device in chosen.items()}
    }


def _layers(whole: nn.Module) -> list[str]:
    """Name the classes of repeated layers: each stays on one device."""
    stacks = [module for module in whole.modules() if isinstance(module, nn.ModuleList)]
    return sorted({type(layer).__name__ for stack in stacks for layer in stack})


def _covering(wanted: Any, whole: nn.Module) -> dict[str, Any]:
    if not isinstance(wanted, Mapping) or not wanted:
        raise UsageError(
            f"device_map: {wanted!r} is neither 'auto' nor a table of parts and devices such as text_encoder = 'cuda:0'"
        )
    modules = {path for path, _ in whole.named_modules()}
    for path in wanted:
        if path not in modules:
            known = ", ".join(path for path, _ in whole.named_children())
            raise UsageError(
                f"device_map: the model has no part {path!r}; its parts are {known}, and modules below them"
            )
    for name, _ in whole.named_parameters():
        if not any(path in ("", name) or name.startswith(f"{path}.") for path in wanted):
            raise UsageError(f"device_map: {name} is given no device: name {name.split('.')[0]!r} too")
    return dict(wanted)


def _device(device: Any) -> int | str:
    text = str(device)
    if text in ("cpu", "disk"):
        return text
    number = text.removeprefix("cuda:") if text.startswith("cuda:") else "0" if text == "cuda" else text
    if not number.isdigit():
        raise UsageError(f'device_map: {device!r} is no device: write "cuda:0", "cpu" or "disk"')
    if int(number) >= torch.cuda.device_count():
        raise UsageError(f"device_map: there is no cuda:{number} here ({torch.cuda.device_count()} GPUs found)")
    return int(number)
