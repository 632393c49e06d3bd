"""All graphs of one classifier, each of which answers."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from lightning_tune.errors import ConfigError
from lightning_tune.serving.runtime import OpenVinoSession
from lightning_tune_export import candidates
from lightning_tune_export.candidates import QuantizeSettings, make_candidates
from lightning_tune_export.contenders import onnx_runner, onnx_session
from lightning_tune_export.measure import equal_length


def test_each_candidate_answers_and_the_portable_one_stands_first(bert, tmp_path):
    batch = equal_length(6, 12, with_types=True, vocabulary=200)
    settings = QuantizeSettings(openvino=False)
    made = make_candidates(bert, [batch], settings, tmp_path, with_types=True, validation=[batch])
    names = [graph.name for graph in made.graphs]
    assert names == ["fp32", "fp32 fused", "int8 dynamic", "int8 static", "int8 static mixed"]
    assert [graph.portable for graph in made.graphs] == [True] + [False] * 4
    assert made.kernels is not None
    answers = [onnx_runner(onnx_session(graph.path, threads=1))(batch) for graph in made.graphs]
    for graph, found in zip(made.graphs, answers, strict=True):
        limit = 1e-4 if graph.kind == "fp32" else 0.1 * answers[0].std()
        assert np.abs(found - answers[0]).max() <= limit


def test_a_family_that_does_not_fuse_says_why_and_is_quantized_all_the_same(
    tiny_classifier, tmp_path
):
    classifier = tiny_classifier("mpnet")
    batch = equal_length(6, 12, with_types=False, vocabulary=200)
    settings = QuantizeSettings(mixed=False, openvino=False)
    made = make_candidates(classifier, [batch], settings, tmp_path, with_types=False)
    assert [graph.name for graph in made.graphs] == ["fp32", "int8 dynamic", "int8 static"]
    assert made.notes == ("no fused graph: mpnet has an attention of its own",)


def test_openvino_gets_a_graph_of_standard_operators(bert, tmp_path):
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    batch = equal_length(6, 12, with_types=True, vocabulary=200)
    made = make_candidates(bert, [batch], QuantizeSettings(mixed=False), tmp_path, with_types=True)
    exact, graph = made.graphs[0], made.graphs[-1]
    assert (graph.name, graph.runtime, graph.kind) == ("int8 OpenVINO", "openvino", "int8")
    assert {node.domain for node in onnx.load(graph.path).graph.node} <= {"", "ai.onnx"}
    expected = onnx_runner(onnx_session(exact.path, threads=1))(batch)
    answers = {
        "OpenVINO": OpenVinoSession(graph.path, 1, bf16=False).run(batch),
        "ONNX Runtime": onnx_runner(onnx_session(graph.path, threads=1))(batch),
    }
    for found in answers.values():
        assert 0 < np.abs(found - expected).max() <= 0.1 * expected.std()


def test_openvino_is_left_out_where_it_is_not_installed(bert, tmp_path, monkeypatch):
    monkeypatch.setattr(candidates, "find_spec", lambda name: None)
    batch = equal_length(6, 12, with_types=True, vocabulary=200)
    made = make_candidates(bert, [batch], QuantizeSettings(mixed=False), tmp_path, with_types=True)
    assert {graph.runtime for graph in made.graphs} == {"onnxruntime"}


def test_openvino_alone_is_refused_where_it_is_not_installed(bert, tmp_path, monkeypatch):
    monkeypatch.setattr(candidates, "find_spec", lambda name: None)
    settings = QuantizeSettings(dynamic=False, static=False)
    with pytest.raises(ConfigError, match="alone needs OpenVINO, which is not installed"):
        make_candidates(bert, [], settings, tmp_path, with_types=True)


def test_no_int8_graph_at_all_is_refused():
    with pytest.raises(ConfigError, match="quantize to null for fp32"):
        QuantizeSettings(dynamic=False, static=False, openvino=False)
