"""Names of arrays in the checkpoints of fairseq and fairseq2 (SeamlessM4T's, SONAR's), into those of transformers.

A table (:class:`Names`) has the starts of names outside of layers, and for each stack of layers the start of its names
and what the modules of a layer are called; what a table does not rename keeps its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from babelscope.errors import DataError

#: Modules of a conformer's layer, and of SeamlessM4T's length adapter: fairseq2's, then fairseq's.
CONFORMER = {
    "self_attn.q_proj": "self_attn.linear_q",
    "self_attn.k_proj": "self_attn.linear_k",
    "self_attn.v_proj": "self_attn.linear_v",
    "self_attn.output_proj": "self_attn.linear_out",
    "self_attn.sdpa.r_proj": "self_attn.linear_pos",
    "self_attn.sdpa.rel_k_embed": "self_attn.distance_embedding",
    "self_attn.sdpa.u_bias": "self_attn.pos_bias_u",
    "self_attn.sdpa.v_bias": "self_attn.pos_bias_v",
    "ffn.inner_proj": "ffn.intermediate_dense",
    "ffn.output_proj": "ffn.output_dense",
    "ffn1.inner_proj": "ffn1.intermediate_dense",
    "ffn1.output_proj": "ffn1.output_dense",
    "ffn2.inner_proj": "ffn2.intermediate_dense",
    "ffn2.output_proj": "ffn2.output_dense",
    "conv_layer_norm": "conv_module.layer_norm",
    "conv.layer_norm": "conv_module.depthwise_layer_norm",
    "conv": "conv_module",
    "layer_norm": "final_layer_norm",
}
FAIRSEQ_CONFORMER = {
    "conv_module.layer_norm2": "conv_module.depthwise_layer_norm",
    "ffn1.layer_norm": "ffn1_layer_norm",
    "ffn2.layer_norm": "ffn2_layer_norm",
    "ffn1.w_1": "ffn1.intermediate_dense",
    "ffn1.w_2": "ffn1.output_dense",
    "ffn2.w_1": "ffn2.intermediate_dense",
    "ffn2.w_2": "ffn2.output_dense",
    "self_attn.q_proj": "self_attn.linear_q",
    "self_attn.k_proj": "self_attn.linear_k",
    "self_attn.v_proj": "self_attn.linear_v",
    "self_attn.out_proj": "self_attn.linear_out",
    "self_attn.rel_k_embedding": "self_attn.distance_embedding",
}

#: Modules of a transformer's layer in fairseq2, as transformers' Bart and M2M100 call them.
BART = {
    "self_attn.output_proj": "self_attn.out_proj",
    "encoder_decoder_attn_layer_norm": "encoder_attn_layer_norm",
    "encoder_decoder_attn.output_proj": "encoder_attn.out_proj",
    "encoder_decoder_attn": "encoder_attn",
    "ffn.inner_proj": "fc1",
    "ffn.output_proj": "fc2",
    "ffn_layer_norm": "final_layer_norm",
}


class Names(NamedTuple):
    """How a checkpoint names its arrays.

    Attributes
    ----------
    outside : mapping of str to str
        Starts of names, and what takes their place.
    layers : mapping of str to (str, mapping of str to str)
        What stands before a layer's number, and what takes its place; the modules of a layer, and what they are called.
    """

    outside: Mapping[str, str]
    layers: Mapping[str, tuple[str, Mapping[str, str]]]

    def rename(self, name: str) -> str | None:
        """Return a name of transformers; None if no start fits."""
        for start, target in self.outside.items():
            if name.startswith(start):
                return target + name.removeprefix(start)
        for start, (target, modules) in self.layers.items():
            if name.startswith(start):
                number, _, inside = name.removeprefix(start).partition(".")
                fits = [module for module in modules if f"{inside}.".startswith(f"{module}.")]
                longest = max(fits, key=len, default="")
                return f"{target}{number}.{modules.get(longest, '')}{inside.removeprefix(longest)}"
        return None

    def rename_all(self, arrays: Mapping[str, Tensor], path: Path) -> tuple[dict[str, Tensor], list[str]]:
        """Return arrays under transformers' names, and the names that fit no start.

        Raises
        ------
        DataError
            If two arrays claim one name.
        """
        state: dict[str, Tensor] = {}
        unknown: list[str] = []
        for name, array in arrays.items():
            target = self.rename(name)
            if target is None:
                unknown.append(name)
            elif target in state:
                raise DataError(f"weights {path}: two arrays, one of them {name!r}, are {target!r}")
            else:
                state[target] = array
        return state, unknown
