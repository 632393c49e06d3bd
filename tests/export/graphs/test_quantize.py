"""int8 graphs: what is rounded, how well, and that nothing is left out in silence."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest

from lightning_tune.errors import ConfigError
from lightning_tune_export.activations import Activation, watch
from lightning_tune_export.contenders import onnx_runner, onnx_session
from lightning_tune_export.measure import equal_length
from lightning_tune_export.quantize import count_int8, dynamic_int8, static_int8
from lightning_tune_export.rounding import by_channel, rounded, scale_of
from lightning_tune_export.sensitivity import most_sensitive, product_names, sensitivity
from lightning_tune_export.smoothing import best_factors, factors_of, output_error


def batches(count=4, size=6, tokens=12):
    random = np.random.default_rng(0)
    found = []
    for _ in range(count):
        batch = dict(equal_length(size, tokens, with_types=True, vocabulary=200))
        batch["input_ids"] = random.integers(5, 200, (size, tokens))
        found.append(batch)
    return found


def answers(path, batch):
    return onnx_runner(onnx_session(path, threads=1))(batch)


def operators(path):
    return Counter(node.op_type for node in onnx.load(path).graph.node)


@pytest.fixture(scope="module")
def seen(fused):
    return watch(fused, batches())


def test_every_product_of_the_layers_becomes_int8(fused, seen, tmp_path):
    names = product_names(onnx.load(fused))
    assert len(names) == 12  # two layers of six
    made = dynamic_int8(fused, tmp_path / "dynamic.onnx")
    assert (made.products, made.left) == (12, ())
    assert count_int8(onnx.load(made.path)) == 12
    assert operators(made.path)["MatMul"] == 0
    # Query, key and value share what they read; the last layer's query reads the first token.
    assert operators(made.path)["DynamicQuantizeLinear"] == 9
    made = static_int8(fused, tmp_path / "static.onnx", seen)
    assert operators(made.path)["QuantizeLinear"] == 9
    assert operators(made.path)["DynamicQuantizeLinear"] == 0


def test_int8_answers_nearly_as_fp32(fused, seen, tmp_path):
    batch = batches(1, 40)[0]
    exact = answers(fused, batch)
    dynamic_int8(fused, tmp_path / "dynamic.onnx")
    static_int8(fused, tmp_path / "static.onnx", seen)
    for name in ("dynamic.onnx", "static.onnx"):
        error = np.abs(answers(tmp_path / name, batch) - exact).max()
        assert 0 < error < 0.1 * exact.std()


def test_with_fixed_scales_no_answer_depends_on_its_neighbours(fused, seen, tmp_path):
    static_int8(fused, tmp_path / "static.onnx", seen)
    batch = batches(1, 8)[0]
    alone = np.concatenate(
        [
            answers(
                tmp_path / "static.onnx",
                {key: value[row : row + 1] for key, value in batch.items()},
            )
            for row in range(8)
        ]
    )
    np.testing.assert_allclose(answers(tmp_path / "static.onnx", batch), alone, atol=1e-5)


def test_standard_operators_say_the_same_rounding(fused, seen, tmp_path):
    batch = batches(1, 20)[0]
    static_int8(fused, tmp_path / "own.onnx", seen)
    made = static_int8(fused, tmp_path / "qdq.onnx", seen, form="qdq")
    assert made.products == 12
    assert {each.domain for each in onnx.load(made.path).opset_import if each.domain} <= {
        "com.microsoft"
    }
    assert not [node for node in onnx.load(made.path).graph.node if node.domain]
    found, wanted = answers(made.path, batch), answers(tmp_path / "own.onnx", batch)
    np.testing.assert_allclose(found, wanted, atol=0.02 * wanted.std())


def test_what_is_excluded_stays_and_is_named(fused, tmp_path):
    names = product_names(onnx.load(fused))
    made = dynamic_int8(fused, tmp_path / "mixed.onnx", exclude=names[:3])
    assert made.left == tuple(names[:3])
    assert operators(made.path)["MatMul"] == 3
    with pytest.raises(ConfigError, match="all of them are excluded"):
        dynamic_int8(fused, tmp_path / "none.onnx", exclude=names)
    assert not (tmp_path / "none.onnx").exists()


def test_embedding_tables_are_rounded_by_row(fused, tmp_path, monkeypatch):
    monkeypatch.setattr("lightning_tune_export.quantize.LEAST_TABLE", 16 * 100)
    names = product_names(onnx.load(fused))
    made = dynamic_int8(fused, tmp_path / "tables.onnx", exclude=names[1:])
    assert made.tables == 1  # the words'; positions and types are too small
    batch = batches(1, 20)[0]
    exact = answers(fused, batch)
    assert 0 < np.abs(answers(made.path, batch) - exact).max() < 0.1 * exact.std()


def test_weights_are_rounded_to_the_nearest_step_of_their_channel():
    weights = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    weights[:, 3] = 0
    int8, scales = by_channel(weights)
    steps = np.abs(weights).max(axis=0) / 127
    assert int8.dtype == np.int8
    assert np.all(np.abs(int8 * scales - weights) <= steps / 2 + 1e-7)
    assert np.abs(by_channel(weights, 63)[0]).max() == 63


def test_zero_is_exact_after_rounding():
    scale, zero = scale_of(np.array([-0.31]), np.array([2.9]))
    assert rounded(np.zeros(1, np.float32), scale, zero)[0] == 0


def towering(channels=32, rows=400):
    random = np.random.default_rng(0)
    values = random.normal(size=(rows, channels)).astype(np.float32)
    values[:, 5] *= 40
    seen = Activation(values.min(axis=0), values.max(axis=0), values)
    return seen, random.normal(size=(channels, 16)).astype(np.float32)


def test_a_channel_that_towers_over_others_is_divided():
    seen, weights = towering()
    factors = best_factors(seen, [weights])
    assert factors is not None
    assert factors.argmax() == 5
    assert output_error(seen, weights, factors) < 0.5 * output_error(seen, weights, None)


def test_nothing_is_divided_where_nothing_is_gained():
    values = np.random.default_rng(0).uniform(-1, 1, (400, 32)).astype(np.float32)
    seen = Activation(values.min(axis=0), values.max(axis=0), values)
    assert best_factors(seen, [np.ones((32, 16), np.float32)]) is None


def test_dividing_changes_nothing_but_the_rounding(fused, seen, tmp_path):
    factors = {
        name: np.exp(np.random.default_rng(0).normal(size=each.low.shape)).astype(np.float32)
        for name, each in seen.items()
    }
    batch = batches(1, 40)[0]
    exact = answers(fused, batch)
    assert factors_of(onnx.load(fused), seen).keys() <= seen.keys()
    for form in ("operators", "qdq"):
        made = static_int8(fused, tmp_path / f"{form}.onnx", seen, factors=factors, form=form)
        assert made.smoothed == 9
        # What attention returns comes divided; seven others take a multiplication.
        assert operators(made.path)["Mul"] - operators(fused)["Mul"] == 7
        assert np.abs(answers(made.path, batch) - exact).max() < 0.15 * exact.std()


def test_the_most_sensitive_product_is_the_one_whose_rounding_moves_the_answers(fused, seen):
    names = product_names(onnx.load(fused))
    coarse = dict(seen)
    victim = names[4]  # feed-forward up, of the first layer
    read = next(node.input[0] for node in onnx.load(fused).graph.node if node.name == victim)
    coarse[read] = Activation(seen[read].low * 300, seen[read].high * 300, seen[read].rows)
    found = sensitivity(fused, coarse, batches(2))
    assert list(found) == names
    assert most_sensitive(found, most=0.1) == (victim,)


def test_padding_is_no_part_of_what_is_seen(fused):
    batch = batches(1, 3)[0]
    padded = {key: np.pad(value, ((0, 0), (0, 9))) for key, value in batch.items()}
    whole, cut = watch(fused, [batch]), watch(fused, [padded])
    for name, each in whole.items():
        np.testing.assert_allclose(cut[name].high, each.high, atol=1e-4)
