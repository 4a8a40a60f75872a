"""Tracing: layers are found by what runs; a pass for shapes alone gives those of a real one, without weights too."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from babelscope.models.adapters.tracing import Trace, largest, ran_between, stacks, trace
from babelscope.models.adapters.weightless import shapes_only


def _whisper() -> tuple[nn.Module, dict[str, Tensor]]:
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    sizes = {"d_model": 16, "encoder_layers": 3, "encoder_attention_heads": 4, "encoder_ffn_dim": 24}
    return WhisperEncoder(WhisperConfig(**sizes, max_source_positions=50)), {"input_features": torch.randn(1, 80, 100)}


def _albert() -> tuple[nn.Module, dict[str, Tensor]]:
    from transformers import AlbertConfig, AlbertModel

    sizes = {"vocab_size": 50, "embedding_size": 8, "hidden_size": 16, "num_attention_heads": 4}
    return AlbertModel(AlbertConfig(**sizes, num_hidden_layers=5, intermediate_size=8)), {
        "input_ids": torch.ones(1, 6).long()
    }


def _mixtral() -> tuple[nn.Module, dict[str, Tensor]]:
    from transformers import MixtralConfig, MixtralModel

    sizes = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 8, "num_hidden_layers": 2}
    config = MixtralConfig(**sizes, num_attention_heads=4, num_key_value_heads=2, num_local_experts=4)
    return MixtralModel(config), {"input_ids": torch.ones(1, 6).long()}


def _trace(make: Callable[[], tuple[nn.Module, dict[str, Tensor]]]) -> tuple[nn.Module, dict[str, Tensor], Trace]:
    torch.manual_seed(0)
    model, inputs = make()
    model.eval().requires_grad_(False)
    return model, inputs, trace(model, lambda: model(**inputs))


def test_layers_and_what_comes_before_and_behind_are_found() -> None:
    model, _, noted = _trace(_whisper)
    stack = largest(model, stacks(model, noted))
    assert stack is not None and stack.path == "layers"
    assert [layer.path for layer in stack.layers] == ["layers.0", "layers.1", "layers.2"]
    assert list(ran_between(model, noted, -1, stack.entered, [stack.path])) == ["conv1", "conv2"]
    assert list(ran_between(model, noted, stack.left, 1 << 62, [stack.path])) == ["layer_norm"]
    assert noted.shape("conv1", "output") == (1, 16, 100)


def test_one_layer_that_runs_again_and_again_is_a_stack_of_its_calls() -> None:
    model, _, noted = _trace(_albert)
    stack = largest(model, stacks(model, noted), counts=[5])
    assert stack is not None
    assert [layer.call for layer in stack.layers] == [0, 1, 2, 3, 4]
    assert len({layer.path for layer in stack.layers}) == 1


def test_what_a_module_takes_is_traced_to_who_gave_it() -> None:
    _, _, noted = _trace(_mixtral)
    assert noted.givers["layers.0"] == [("embed_tokens",)]
    assert "layers.1" in noted.givers["norm"][0]


@pytest.mark.parametrize("make", [_whisper, _albert, _mixtral])
def test_a_pass_for_shapes_alone_gives_those_of_a_real_one(
    make: Callable[[], tuple[nn.Module, dict[str, Tensor]]],
) -> None:
    """With weights and without; and the model is left as it was."""
    model, inputs, real = _trace(make)
    before = [(name, tensor.clone()) for name, tensor in model.state_dict().items()]
    with shapes_only(model):
        quick = trace(model, lambda: model(**inputs))
    assert quick == real
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in before)
    blank = make()[0].eval().to("meta")
    with shapes_only(blank):
        assert trace(blank, lambda: blank(**inputs)) == real
    assert all(tensor.is_meta for tensor in (*blank.parameters(), *blank.buffers()))


def test_layers_can_be_left_out_of_it() -> None:
    model, inputs, real = _trace(_whisper)
    layers = {f"layers.{index}": real.items[f"layers.{index}"][0] for index in range(3)}
    with shapes_only(model, layers):
        quick = trace(model, lambda: model(**inputs))
    assert "layers.0.self_attn" in real.left and "layers.0.self_attn" not in quick.left
    assert {path: quick.outputs[path] for path in quick.left} == {path: real.outputs[path] for path in quick.left}
    torch.testing.assert_close(model(**inputs).last_hidden_state, model(**inputs).last_hidden_state)
    assert "layers.0.self_attn" in trace(model, lambda: model(**inputs)).left
