"""TensorBoard: what the real command line wrote, read back from the event files."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from lightning.fabric.loggers import tensorboard as lightnings
from matplotlib.image import imread
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from lightning_tune.cli import main
from lightning_tune.errors import ConfigError
from lightning_tune.reports.records import Evaluation
from lightning_tune.training.loggers import TensorBoard


def events(folder: Path) -> EventAccumulator:
    sizes = {"scalars": 0, "images": 0}  # 0 keeps all
    return EventAccumulator(str(folder / "tensorboard"), size_guidance=sizes).Reload()


@pytest.fixture(scope="module")
def run(tmp_path_factory, write_splits, tiny_fit, without_account) -> Path:
    root = tmp_path_factory.mktemp("tensorboard")
    with pytest.MonkeyPatch.context() as patch:
        without_account(patch, root)
        write_splits(root, "zebramarker")
        assert main([*tiny_fit, "-c", "tensorboard"]) == 0
        args = ["test", "--ckpt_path=last", "--data.test=test.csv", "-c", "tensorboard"]
        assert main(args) == 0
    (folder,) = (root / "runs").iterdir()
    return folder


def test_curves_and_rates_are_those_of_metrics_csv(run):
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = set(rows[0]) - {"epoch", "step"}
    assert {"train/loss", "val/accuracy"} <= names
    assert any(name.startswith("lr") for name in names)
    for name in names:
        logged = events(run).Scalars(name)
        expected = [row for row in rows if row[name]]
        assert [one.step for one in logged] == [int(row["step"]) for row in expected]
        values = [float(row[name]) for row in expected]
        assert [one.value for one in logged] == pytest.approx(values, rel=1e-6), name


def test_the_figures_of_both_splits_are_images(run):
    wanted = {
        f"{split}/{name}"
        for split in ("val", "test")
        for name in ("confusion_matrix", "precision_recall")
    }
    written = events(run)
    assert set(written.Tags()["images"]) == wanted
    for name in wanted:
        (image,) = written.Images(name)
        pixels = imread(io.BytesIO(image.encoded_image_string))
        assert pixels.shape[:2] == (image.height, image.width)
        assert pixels.min() < 0.5 < pixels.max()


def test_the_settings_stand_beside_the_main_metric(run):
    written = events(run)
    content = written.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    settings = HParamsPluginData.FromString(content).session_start_info.hparams
    assert settings["model.lr"].number_value == 0.01
    assert settings["data.train"].string_value == "train.csv"
    metrics = json.loads((run / "metrics.json").read_text())
    assert written.Scalars("hp_metric")[-1].value == pytest.approx(metrics["test/accuracy"])


def test_no_text_of_the_data_is_in_it(run):
    files = [file for file in (run / "tensorboard").rglob("*") if file.is_file()]
    assert files
    assert not [file for file in files if b"zebramarker" in file.read_bytes()]


def test_another_folder_may_be_named(tmp_path):
    sink = TensorBoard(str(tmp_path / "own"))
    sink.bind(tmp_path / "run")
    sink.log_metrics({"loss": 0.5}, 3)
    sink.finalize("success")
    assert sink.save_dir == str(tmp_path / "own")
    assert [one.value for one in events(tmp_path / "own").Scalars("loss")] == [0.5]
    assert not (tmp_path / "run").exists()


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr(lightnings, "_TENSORBOARD_AVAILABLE", False)
    monkeypatch.setattr(lightnings, "_TENSORBOARDX_AVAILABLE", False)
    with pytest.raises(ConfigError, match=r"pip install 'lightning-tune\[dashboards\]'"):
        TensorBoard()


def test_what_it_raises_is_one_warning(tmp_path, monkeypatch, caplog):
    def broken(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("torch.utils.tensorboard.SummaryWriter", broken)
    sink = TensorBoard(str(tmp_path))
    sink.log_metrics({"loss": 0.5}, 3)
    sink.log_hyperparams({"lr": 1})
    sink.log_evaluation(Evaluation("binary", "test", 1))
    sink.finalize("success")
    (said,) = [record.message for record in caplog.records if "TensorBoard" in record.message]
    assert said.startswith("TensorBoard failed in log_metrics (OSError: [Errno 28] No space left")
