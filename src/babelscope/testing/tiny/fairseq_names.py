"""What transformers, fairseq2 and fairseq call the modules of SeamlessM4T's and SONAR's encoders and decoders.

Written out on its own, and not taken from the reader's tables: so a slip in those tables fails to load.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from torch import Tensor

# One line a module of a layer: its path in transformers, in fairseq2, in fairseq.
CONFORMER = """
ffn1_layer_norm ffn1_layer_norm ffn1.layer_norm
ffn1.intermediate_dense ffn1.inner_proj ffn1.w_1
ffn1.output_dense ffn1.output_proj ffn1.w_2
self_attn_layer_norm self_attn_layer_norm self_attn_layer_norm
conv_module.layer_norm conv_layer_norm conv_module.layer_norm
conv_module.pointwise_conv1 conv.pointwise_conv1 conv_module.pointwise_conv1
conv_module.depthwise_conv conv.depthwise_conv conv_module.depthwise_conv
conv_module.depthwise_layer_norm conv.layer_norm conv_module.layer_norm2
conv_module.batch_norm conv.batch_norm conv_module.batch_norm
conv_module.pointwise_conv2 conv.pointwise_conv2 conv_module.pointwise_conv2
ffn2_layer_norm ffn2_layer_norm ffn2.layer_norm
ffn2.intermediate_dense ffn2.inner_proj ffn2.w_1
ffn2.output_dense ffn2.output_proj ffn2.w_2
final_layer_norm layer_norm final_layer_norm
self_attn.linear_q self_attn.q_proj self_attn.linear_q
self_attn.linear_k self_attn.k_proj self_attn.linear_k
self_attn.linear_v self_attn.v_proj self_attn.linear_v
self_attn.linear_out self_attn.output_proj self_attn.linear_out
self_attn.linear_pos self_attn.sdpa.r_proj self_attn.linear_pos
self_attn.pos_bias_u self_attn.sdpa.u_bias self_attn.pos_bias_u
self_attn.pos_bias_v self_attn.sdpa.v_bias self_attn.pos_bias_v
self_attn.distance_embedding self_attn.sdpa.rel_k_embed self_attn.rel_k_embedding
"""
ADAPTER = """
residual_layer_norm residual_layer_norm residual_layer_norm
residual_conv residual_conv residual_pool.1
self_attn_layer_norm self_attn_layer_norm self_attn_layer_norm
self_attn_conv self_attn_conv attn_pool.1
self_attn.linear_q self_attn.q_proj self_attn.q_proj
self_attn.linear_k self_attn.k_proj self_attn.k_proj
self_attn.linear_v self_attn.v_proj self_attn.v_proj
self_attn.linear_out self_attn.output_proj self_attn.out_proj
ffn_layer_norm ffn_layer_norm final_layer_norm
ffn.intermediate_dense ffn.inner_proj fc1
ffn.output_dense ffn.output_proj fc2
"""
TRANSFORMER = """
self_attn_layer_norm self_attn_layer_norm self_attn_layer_norm
self_attn.q_proj self_attn.q_proj self_attn.q_proj
self_attn.k_proj self_attn.k_proj self_attn.k_proj
self_attn.v_proj self_attn.v_proj self_attn.v_proj
self_attn.out_proj self_attn.output_proj self_attn.out_proj
ffn_layer_norm ffn_layer_norm final_layer_norm
ffn.fc1 ffn.inner_proj fc1
ffn.fc2 ffn.output_proj fc2
"""
CROSS = """
cross_attention_layer_norm encoder_decoder_attn_layer_norm encoder_attn_layer_norm
cross_attention.q_proj encoder_decoder_attn.q_proj encoder_attn.q_proj
cross_attention.k_proj encoder_decoder_attn.k_proj encoder_attn.k_proj
cross_attention.v_proj encoder_decoder_attn.v_proj encoder_attn.v_proj
cross_attention.out_proj encoder_decoder_attn.output_proj encoder_attn.out_proj
"""


class Names(NamedTuple):
    """What a module is called."""

    transformers: str
    fairseq2: str
    fairseq: str


def lines(table: str) -> Iterator[Names]:
    """Yield the names that a table has."""
    return (Names(*line.split()) for line in table.splitlines() if line)


def in_layers(roots: str, table: str, layers: Iterable[int]) -> Iterator[Names]:
    """Yield the modules of layers, in the three namings.

    Parameters
    ----------
    roots : str
        The three paths of a layer, with ``{n}`` for its number.
    """
    for number in layers:
        before = Names(*roots.format(n=number).split())
        yield from (Names(*(root + path for root, path in zip(before, module, strict=True))) for module in lines(table))


def under(
    naming: Literal["fairseq", "fairseq2"], modules: Iterable[Names], arrays: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return copies of arrays under the names of an original checkpoint; every one must have a name."""
    left, written = dict(arrays), dict[str, Tensor]()
    for module in modules:
        for suffix in ("", ".weight", ".bias", ".running_mean", ".running_var", ".num_batches_tracked"):
            if module.transformers + suffix in left:
                written[getattr(module, naming) + suffix] = left.pop(module.transformers + suffix).clone()
    if left:
        raise AssertionError(f"no original name for {sorted(left)[:5]}")
    return written
