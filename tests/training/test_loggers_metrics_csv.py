"""metrics.csv: rows at once, columns that come later, a killed process, a resumed run."""

import csv
import math
from pathlib import Path

import pytest
import torch

from lightning_tune.errors import ConfigError
from lightning_tune.reports.runs import read_run
from lightning_tune.training.loggers import MetricsCSV


def read(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: value for name, value in row.items() if value} for row in rows]


def log(folder: Path, *rows: tuple[int, dict]) -> MetricsCSV:
    sink = MetricsCSV(str(folder))
    for step, metrics in rows:
        sink.log_metrics(metrics, step)
    return sink


def test_a_row_is_on_disk_as_soon_as_it_is_logged(tmp_path):
    log(tmp_path, (9, {"train/loss": torch.tensor(0.5), "epoch": 0}))
    assert read(tmp_path) == [{"epoch": "0", "step": "9", "train/loss": "0.5"}]


def test_a_new_metric_becomes_a_column_of_all_rows(tmp_path):
    log(tmp_path, (9, {"a": 1.0}), (19, {"b": 2.0}), (29, {"a": 3.0}))
    header, *rows = (tmp_path / "metrics.csv").read_text().splitlines()
    assert header == "a,b,step"
    assert rows == ["1.0,,9", ",2.0,19", "3.0,,29"]


def test_the_dashboard_reads_the_curves(tmp_path):
    log(tmp_path, (9, {"val/loss": 0.5}), (19, {"val/loss": math.nan}), (29, {"val/loss": 0.25}))
    run = read_run(tmp_path, "run")
    assert run.problems == []
    assert [point for point in run.curves["val/loss"] if point[0] != 19] == [(9, 0.5), (29, 0.25)]


def test_rows_of_one_step_stand_side_by_side(tmp_path):
    log(tmp_path, (9, {"lr": 0.1}), (9, {"train/loss": 0.5}), (9, {"val/loss": 0.4}))
    assert [set(row) - {"step"} for row in read(tmp_path)] == [{"lr"}, {"train/loss"}, {"val/loss"}]


def test_a_resumed_run_adds_to_the_rows_of_the_earlier_one(tmp_path):
    log(tmp_path, (9, {"loss": 1.0}), (19, {"loss": 0.5}))
    log(tmp_path, (29, {"loss": 0.25}), (39, {"other": 1.0}))
    assert [row["step"] for row in read(tmp_path)] == ["9", "19", "29", "39"]
    assert read(tmp_path)[1]["loss"] == "0.5"


def test_an_epoch_that_is_validated_again_stands_once_with_its_later_values(tmp_path):
    log(tmp_path, (17, {"lr": 0.1, "epoch": 1}), (17, {"val/loss": 0.5, "epoch": 1}))
    log(tmp_path, (17, {"val/loss": 0.4, "epoch": 1}), (26, {"val/loss": 0.3, "epoch": 2}))
    assert read(tmp_path) == [
        {"epoch": "1", "lr": "0.1", "step": "17"},
        {"epoch": "1", "step": "17", "val/loss": "0.4"},
        {"epoch": "2", "step": "26", "val/loss": "0.3"},
    ]


def test_steps_that_are_done_again_replace_those_after_the_checkpoint(tmp_path):
    log(tmp_path, *((step, {"loss": 1.0}) for step in (9, 19, 29, 39)))
    log(tmp_path, (19, {"loss": 2.0}), (29, {"loss": 2.0}))
    assert [(row["step"], row["loss"]) for row in read(tmp_path)] == [
        ("9", "1.0"),
        ("19", "2.0"),
        ("29", "2.0"),
    ]


def test_a_line_that_a_killed_process_left_unfinished_is_dropped(tmp_path):
    log(tmp_path, (9, {"loss": 1.0, "lr": 0.5}), (19, {"loss": 0.5, "lr": 0.5}))
    file = tmp_path / "metrics.csv"
    file.write_text(file.read_text()[:-4])
    log(tmp_path, (29, {"loss": 0.25, "lr": 0.5}))
    assert [row["step"] for row in read(tmp_path)] == ["9", "29"]


@pytest.mark.parametrize("text", ["", "step,loss\n", "step,loss\nx,1\n", "\0\n"])
def test_a_file_without_a_usable_row_is_begun_anew(tmp_path, text):
    (tmp_path / "metrics.csv").write_text(text)
    log(tmp_path, (9, {"loss": 1.0}))
    assert read(tmp_path) == [{"loss": "1.0", "step": "9"}]


def test_a_full_disk_leaves_the_rows_that_stood_there(tmp_path, monkeypatch):
    sink = log(tmp_path, (9, {"loss": 1.0}))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(ConfigError, match="No space left"):
        sink.log_metrics({"new": 1.0}, 19)
    assert read(tmp_path) == [{"loss": "1.0", "step": "9"}]


def test_other_ranks_write_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("lightning.fabric.utilities.rank_zero.rank_zero_only.rank", 1)
    sink = log(tmp_path, (9, {"loss": 1.0}))
    sink.experiment.add({"loss": 1.0}, 9)
    assert not (tmp_path / "metrics.csv").exists()


def test_settings_are_left_to_config_yaml(tmp_path):
    sink = log(tmp_path, (0, {"loss": 1.0}))
    sink.log_hyperparams({"lr": 1})
    sink.save()
    sink.finalize("success")
    sink.log_metrics({"loss": 2.0})
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.csv"]
