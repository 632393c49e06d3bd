"""bundle.json there and back, and what is refused in it."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from lightning_tune.errors import BundleError, ConfigError
from lightning_tune.schema import LabelSet
from lightning_tune.serving.calibration import Calibration
from lightning_tune.serving.encoding import EncodingSettings
from lightning_tune.serving.manifest import (
    QUANTIZED,
    InputColumns,
    Manifest,
    Probe,
    SessionSettings,
    read_manifest,
    write_manifest,
)

FULL = Manifest(
    labels=LabelSet("multilabel", ("a", "b")),
    encoding=EncodingSettings(64, "windows", 8, 4),
    pad_id=1,
    with_types=False,
    model=QUANTIZED,
    fields=InputColumns("body", "title"),
    calibration=Calibration(1.5, (0.25, 0.5)),
    session=SessionSettings(("SkipLayerNormFusion",), "onnxruntime"),
    main_metric="f1_macro",
    metrics={"f1_macro": 0.5},
    cpu_features=("avx2", "avx512_vnni"),
    probe=Probe(((2, 5, 3), (2, 3)), ((0.5, -1.0), (0.0, 2.0)), 0.01),
    versions={"onnxruntime": "1.32.0"},
    provenance={"checkpoint": {"sha256": "0" * 64}, "seeds": [1, 2]},
)


def refused(**changes: object) -> str:
    with pytest.raises(BundleError) as caught:
        Manifest.from_dict({**FULL.to_dict(), **changes})
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_manifest_comes_back_from_its_file(tmp_path):
    write_manifest(tmp_path, FULL)
    assert read_manifest(tmp_path) == FULL
    plain = json.loads((tmp_path / "bundle.json").read_text())
    assert next(iter(plain)) == "schema_version"
    assert plain["labels"] == {"kind": "multilabel", "names": ["a", "b"], "positive": None}
    assert plain["calibration"] == {"temperature": 1.5, "thresholds": [0.25, 0.5]}


def test_a_metric_that_is_not_defined_is_null(tmp_path):
    write_manifest(tmp_path, replace(FULL, metrics={"auroc": math.nan}))
    assert '"auroc": null' in (tmp_path / "bundle.json").read_text()
    assert read_manifest(tmp_path).metrics == {"auroc": None}


def test_the_least_that_is_needed_is_enough():
    least = {
        "schema_version": 1,
        "labels": {"kind": "binary", "names": ["n", "y"]},
        "encoding": {},
        "pad_id": 0,
        "with_types": True,
    }
    found = Manifest.from_dict(least)
    assert found.labels.positive == "y"
    assert found.encoding == EncodingSettings()
    assert found.probe is None


def test_a_newer_version_says_upgrade():
    assert refused(schema_version=2, surprise=1) == (
        "schema_version=2 is newer than 1, the newest that this package reads; upgrade "
        "lightning-tune."
    )


@pytest.mark.parametrize("version", [None, 0, "1", 1.0, True])
def test_what_is_no_version_is_refused(version):
    assert f"schema_version={version!r} is no version of a bundle" in refused(
        schema_version=version
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pad_id": "0"}, "pad_id='0' is not a whole number"),
        ({"pad_id": True}, "pad_id=True is not a whole number"),
        ({"pad_id": -1}, "pad_id=-1 is no token id"),
        ({"model": "/etc/passwd"}, "model='/etc/passwd' is not one of onnx/model.onnx"),
        ({"normalisation": "nfc"}, "normalisation='nfc' is not one of lone-surrogates"),
        ({"lables": {}}, "lables is not known. Did you mean 'labels'?"),
        ({"labels": {"kind": "binary", "names": ["a"]}}, "needs exactly 2 classes"),
        ({"labels": {"kind": "many", "names": []}}, "labels.kind='many' is not one of binary"),
        ({"encoding": {"max_length": 64.0}}, "encoding.max_length=64.0 is not a whole number"),
        ({"calibration": {"temperature": 0}}, "temperature=0.0 must be finite and above 0"),
        ({"calibration": {"thresholds": [0.5]}}, "1 thresholds stand beside 2 labels"),
        ({"calibration": {"thresholds": [0.5, 2]}}, "thresholds holds 2.0, which is outside"),
        ({"session": {"runtime": "tensorrt"}}, "session.runtime='tensorrt' is not one of"),
        ({"fields": ["text"]}, "fields is not a mapping of names to values"),
        ({"cpu_features": "avx2"}, "cpu_features='avx2' is not"),
        ({"metrics": {"f1": "high"}}, "metrics.f1='high' is not a number"),
        (
            {"probe": {"input_ids": [[1]], "logits": [[0.0]], "tolerance": 0.1}},
            "the probe needs 2 logits for each sequence",
        ),
        (
            {"probe": {"input_ids": [[1]], "logits": [[0.0, 0.0]], "tolerance": 0}},
            "a tolerance above 0",
        ),
    ],
)
def test_a_wrong_value_is_named(changes, message):
    assert message in refused(**changes)


def test_a_missing_value_is_named():
    values = FULL.to_dict()
    del values["encoding"]
    with pytest.raises(BundleError, match="encoding is missing; export the bundle again"):
        Manifest.from_dict(values)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\ufeff{}", "[" * 100_000])
def test_what_is_no_manifest_is_one_line(tmp_path, text):
    (tmp_path / "bundle.json").write_text(text, encoding="utf-8")
    with pytest.raises(BundleError) as caught:
        read_manifest(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'bundle.json'}")
    assert "\n" not in str(caught.value)


def test_no_manifest_says_what_to_name(tmp_path):
    with pytest.raises(BundleError, match=r"holds no bundle\.json; name a folder"):
        read_manifest(tmp_path)


def test_thresholds_and_temperature_need_their_task():
    with pytest.raises(ConfigError, match="thresholds are for multi-label tasks; this task is"):
        replace(FULL, labels=LabelSet("binary", ("a", "b")), probe=None)
    with pytest.raises(ConfigError, match="no meaning in regression"):
        replace(FULL, labels=LabelSet("regression"), calibration=Calibration(2.0), probe=None)
