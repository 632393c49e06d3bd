"""The table of times: graphs that compute what they should, sizes between those measured."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from lightning_tune.errors import ConfigError
from lightning_tune_export.prune import latency
from lightning_tune_export.prune.latency import (
    Timing,
    attention_graph,
    by_size,
    feed_forward_graph,
    measure_costs,
    timed,
)


def run(model, x):
    import onnxruntime

    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x})[0]


def weights_of(model):
    from onnx import numpy_helper

    return [torch.from_numpy(numpy_helper.to_array(w).copy()) for w in model.graph.initializer]


@pytest.fixture
def x():
    return np.random.default_rng(1).normal(size=(2, 5, 16)).astype(np.float32)


def test_the_feed_forward_graph_is_the_block(x, monkeypatch):
    monkeypatch.setattr(latency, "_COPIES", 1)
    model = feed_forward_graph(8, 16)
    up, up_bias, down, down_bias, scale, shift = weights_of(model)
    given = torch.from_numpy(x)
    out = functional.gelu(given @ up + up_bias) @ down + down_bias
    expected = functional.layer_norm(given + out, (16,), scale, shift)
    np.testing.assert_allclose(run(model, x), expected.numpy(), atol=1e-4)


def test_the_attention_graph_is_the_block(x, monkeypatch):
    monkeypatch.setattr(latency, "_COPIES", 1)
    model = attention_graph(2, 4, 16)
    q, q_b, k, k_b, v, v_b, o, o_b, scale, shift = weights_of(model)
    given = torch.from_numpy(x)
    heads = [
        (given @ w + b).view(2, 5, 2, 4).transpose(1, 2) for w, b in ((q, q_b), (k, k_b), (v, v_b))
    ]
    context = functional.scaled_dot_product_attention(*heads).transpose(1, 2).reshape(2, 5, 8)
    expected = functional.layer_norm(given + context @ o + o_b, (16,), scale, shift)
    np.testing.assert_allclose(run(model, x), expected.numpy(), atol=1e-4)


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_costs_begin_at_nothing_and_never_fall(precision):
    timing = Timing(precision=precision, rounds=3, threads=1)
    costs = measure_costs(4, 64, width=32, head_size=8, tokens=8, timing=timing)
    for values, count in ((costs.attention, 5), (costs.feed_forward, 65)):
        assert len(values) == count
        assert values[0] == 0 < values[-1]
        assert (np.diff(values) >= 0).all()


def test_wider_blocks_take_longer():
    timing = Timing(precision="fp32", batch=16, rounds=5, threads=1)
    costs = measure_costs(8, 2048, width=256, head_size=32, tokens=32, timing=timing)
    assert costs.feed_forward[2048] > 1.5 * costs.feed_forward[512]
    assert costs.attention[8] > 1.5 * costs.attention[2]


def test_sizes_between_take_the_time_between():
    found = by_size([0, 10, 20], np.array([1.0, 2.0, 5.0]), 20)
    assert found[5] == pytest.approx(0.5)
    assert found[15] == pytest.approx(2.5)


def test_calls_take_turns():
    seen = []
    timed([lambda: seen.append("a"), lambda: seen.append("b")], 3)
    assert seen == ["a", "b"] * 4


@pytest.mark.parametrize("settings", [{"batch": 0}, {"rounds": 0}, {"threads": -1}])
def test_timing_outside_its_range_is_refused(settings):
    with pytest.raises(ConfigError, match=r"prune\.timing="):
        Timing(**settings)
