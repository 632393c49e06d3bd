"""All graphs of one classifier, each of which answers."""

from __future__ import annotations

import numpy as np

from lightning_tune_export.candidates import QuantizeSettings, make_candidates
from lightning_tune_export.contenders import onnx_runner, onnx_session
from lightning_tune_export.measure import equal_length


def test_each_candidate_answers_and_the_portable_one_stands_first(bert, tmp_path):
    batch = equal_length(6, 12, with_types=True, vocabulary=200)
    made = make_candidates(
        bert, [batch], QuantizeSettings(), tmp_path, with_types=True, validation=[batch]
    )
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
    settings = QuantizeSettings(mixed=False)
    made = make_candidates(classifier, [batch], settings, tmp_path, with_types=False)
    assert [graph.name for graph in made.graphs] == ["fp32", "int8 dynamic", "int8 static"]
    assert made.notes == ("no fused graph: mpnet has an attention of its own",)
