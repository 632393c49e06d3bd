"""Sessions: ONNX Runtime and OpenVINO compute the same; what is missing is told."""

from __future__ import annotations

import importlib
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import pytest

from lightning_tune.errors import BundleError, ConfigError
from lightning_tune.serving.bundle import Bundle
from lightning_tune.serving.manifest import SessionSettings, read_manifest
from lightning_tune.serving.runtime import open_session

TEXTS = ["good film", "a very slow and poor film about money", "no", "why not"]


def test_openvino_computes_the_portable_model(write_bundle):
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    path = write_bundle("multiclass").path
    ours = Bundle(path, runtime="openvino", threads=1)
    assert ours.session.name == "openvino model.onnx"
    assert ours.session.outputs == 3
    expected = Bundle(path, portable=True).logits(TEXTS)
    np.testing.assert_allclose(ours.logits(TEXTS), expected, atol=1e-5)


def test_openvino_runs_the_winner_where_export_chose_it(write_bundle):
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    path = write_bundle(session=SessionSettings(runtime="openvino-bf16")).path
    assert Bundle(path).session.name == "openvino-bf16 model_quantized.onnx"
    assert Bundle(path, runtime="onnxruntime").session.name == "onnxruntime model_quantized.onnx"


def test_a_missing_openvino_names_its_extra(write_bundle, monkeypatch):
    path = write_bundle().path
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ImportError):
        importlib.import_module("openvino")
    with pytest.raises(ConfigError, match=r"pip install 'lightning-tune\[openvino\]'"):
        Bundle(path, runtime="openvino")


def test_a_gpu_that_onnx_runtime_was_not_built_for_is_told(write_bundle):
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(ConfigError, match=r"onnxruntime-gpu\[cuda,cudnn\]"):
        Bundle(write_bundle().path, runtime="cuda")


def test_a_gpu_that_onnx_runtime_falls_back_from_is_told(write_bundle, monkeypatch, capsys):
    opened = onnxruntime.InferenceSession

    def falling_back(*args, providers, **kwargs):  # as onnxruntime-gpu does without a usable GPU
        print("EP Error ... Falling back to ['CPUExecutionProvider'] and retrying.")
        return opened(*args, providers=["CPUExecutionProvider"], **kwargs)

    monkeypatch.setattr(onnxruntime, "InferenceSession", falling_back)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    with pytest.raises(ConfigError, match=r"found no GPU"):
        Bundle(write_bundle().path, runtime="cuda")
    assert capsys.readouterr().out == ""


def test_a_gpu_computes_the_portable_model(write_bundle):
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("ONNX Runtime has no CUDA here")
    path = write_bundle("multiclass").path
    ours = Bundle(path, runtime="cuda")
    assert ours.session.name == "cuda model.onnx"
    expected = Bundle(path, portable=True).logits(TEXTS)
    np.testing.assert_allclose(ours.logits(TEXTS), expected, atol=1e-5)


def test_openvino_refuses_in_one_line(write_bundle):
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    path = write_bundle().path
    (path / "onnx" / "model.onnx").write_bytes(b"no model")
    with pytest.raises(BundleError, match=r"OpenVINO cannot load .*model\.onnx") as caught:
        open_session(path, read_manifest(path), runtime="openvino")
    assert "\n" not in str(caught.value)


def test_disabled_optimizers_stay_out(write_bundle, monkeypatch):
    import onnxruntime

    given = []
    true_session = onnxruntime.InferenceSession

    def watched(*args, **kwargs):
        given.append(kwargs["disabled_optimizers"])
        return true_session(*args, **kwargs)

    monkeypatch.setattr(onnxruntime, "InferenceSession", watched)
    names = ("SkipLayerNormFusion", "BiasGeluFusion")
    Bundle(write_bundle(session=SessionSettings(names)).path)
    assert given == [list(names)]


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_change_no_answer(write_bundle, threads):
    path = write_bundle().path
    found = Bundle(path, threads=threads).logits(TEXTS)
    np.testing.assert_allclose(found, Bundle(path).logits(TEXTS), atol=1e-6)


def test_one_bundle_answers_several_threads_at_once(write_bundle):
    bundle = Bundle(write_bundle("multiclass").path, threads=2)
    texts = [" ".join(TEXTS[at:] + TEXTS[:at]) for at in range(4)] * 50
    expected = bundle.logits(texts)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(bundle.logits, [texts] * 16):
            np.testing.assert_array_equal(found, expected)
