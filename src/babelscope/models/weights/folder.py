"""Models in transformers' own format: a local folder or a hub id, safetensors only, every key accounted for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from babelscope.cache import sha256_of
from babelscope.errors import DataError
from babelscope.models.base import WeightsFile


def load_pretrained(
    kind: Any, source: str, *, ignore_missing: tuple[str, ...] = (), **options: Any
) -> tuple[Any, tuple[WeightsFile, ...]]:
    """Load a transformers model from safetensors, refusing one with missing weights.

    Parameters
    ----------
    kind : type
        The transformers class.
    source : str
        A local folder, or a hub id (then the network is asked, unless the hub's own cache has it).
    ignore_missing : tuple of str
        Prefixes of keys that may be missing because nothing here uses them.
    **options
        For the class's constructor.

    Returns
    -------
    model : transformers.PreTrainedModel
        In float32 with "sdpa" attention.
    files : tuple of WeightsFile
        With a hash each (local folder), or the hub's revision.

    Raises
    ------
    DataError
        If the folder or hub id does not exist or cannot be reached, the weights are not safetensors, are cut short or
        lack a key.
    """
    import safetensors
    import torch
    from transformers.utils.logging import disable_progress_bar

    folder = Path(source).expanduser()
    local = folder.is_dir()
    if not local and (folder.is_absolute() or source.startswith((".", "~"))):
        raise DataError(
            f"weights: there is no folder {source}: name a folder with config.json and *.safetensors, or a hub id"
        )
    if local:
        files = sorted(folder.glob("*.safetensors"))
        if not files or not (folder / "config.json").is_file():
            raise DataError(
                f"weights: {source} holds no config.json with *.safetensors beside it (pickled weights are not read)"
            )
    disable_progress_bar()
    try:
        model, loading = kind.from_pretrained(
            str(folder) if local else source,
            use_safetensors=True,
            local_files_only=local,
            output_loading_info=True,
            attn_implementation="sdpa",
            dtype=torch.float32,
            trust_remote_code=False,
            **options,
        )
    except safetensors.SafetensorError as error:
        raise DataError(f"weights in {source} are cut short or damaged ({error}): fetch them again") from error
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).split("\n", 1)[0]
        raise DataError(
            f"weights {source!r} cannot be loaded ({reason}): name a local folder, or check the hub id and the network"
        ) from error
    missing = [key for key in loading["missing_keys"] if not key.startswith(ignore_missing or ("\0",))]
    if missing or loading["mismatched_keys"]:
        wrong = missing or [key[0] for key in loading["mismatched_keys"]]
        raise DataError(
            f"weights {source!r} lack {len(wrong)} arrays of the model, such as {sorted(wrong)[0]!r}: they are "
            f"another model's"
        )
    if local:
        return model, tuple(WeightsFile(path.name, sha256_of(path), str(folder.resolve().name)) for path in files)
    revision = str(getattr(model.config, "_commit_hash", None) or "unknown")
    return model, (WeightsFile("model.safetensors", revision, f"hub {source}"),)
