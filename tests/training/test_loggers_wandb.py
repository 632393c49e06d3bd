"""W&B: offline runs of the real command line, read back record by record."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import wandb
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_tune.cli import main
from lightning_tune.commands.settings import find_config
from lightning_tune.reports.records import Evaluation
from lightning_tune.training.loggers import WandbRun
from lightning_tune.training.loggers.wandb_charts import charts, table

MARK = "zebramarker"


@dataclass
class Session:
    """A fit and a test with -c wandb, without an account: what they recorded and printed."""

    root: Path
    folder: Path
    fit: Any
    test: Any
    printed: str
    codes: tuple[int, int]


@pytest.fixture(scope="module")
def session(tmp_path_factory, write_splits, tiny_fit, without_account, recorded_in):
    root = tmp_path_factory.mktemp("wandb")
    printed: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        without_account(patch, root)
        write_splits(root, MARK)
        with (root / "train.csv").open("a") as file:
            file.write(f"{MARK} has,one,field too many\n")
        patch.setattr(
            "builtins.print", lambda *words, **_: printed.append(" ".join(map(str, words)))
        )
        fit = main([*tiny_fit, "-c", "wandb", "--data.on_bad_rows=skip", "--data.test=test.csv"])
        (folder,) = (root / "runs").iterdir()
        best = folder / "checkpoints" / "best.ckpt"
        test = main(["test", f"--ckpt_path={best}", "--data.test=test.csv", "-c", "wandb"])
    yield Session(root, folder, *recorded_in(root), "\n".join(printed), (fit, test))
    wandb.teardown()


def column(file: Path, name: str) -> list[str]:
    with file.open(newline="") as opened:
        return [row[name] for row in csv.DictReader(opened)]


def files_with(root: Path, word: str) -> list[Path]:
    files = (file for file in root.rglob("*") if file.is_file())
    return [file for file in files if word.encode() in file.read_bytes()]


def test_a_run_without_an_account_is_recorded_in_the_runs_folder(session):
    assert session.codes == (0, 0)
    assert session.fit.run.display_name == session.test.run.display_name == session.folder.name
    assert session.fit.run.project == "lightning_tune"
    assert session.fit.run.run_id != session.test.run.run_id
    for recorded in (session.fit, session.test):
        assert recorded.folder.parent == session.folder / "wandb"
        assert recorded.exit_code == 0
    assert not (session.root / "wandb").exists()


def test_the_end_says_how_to_upload_and_why_it_was_not(session):
    hints = re.findall(
        r"W&B recorded offline, since (.*); upload it with: wandb sync (\S+)", session.printed
    )
    assert hints == [
        ("there is no API key", str(session.fit.folder)),
        ("there is no API key", str(session.test.folder)),
    ]


def test_the_config_has_every_setting_under_the_name_of_its_flag(session, tiny_fit):
    config = session.fit.config
    assert config["model.lr"] == 0.01
    assert config["data.batch_size"] == 8
    assert config["data.train"] == "train.csv"
    assert config["trainer.max_epochs"] == 2
    assert config["seed_everything"] == 42
    assert config["model.backbone"] == tiny_fit[5].partition("=")[2]
    assert session.test.config["model.lr"] == 0.01


def test_curves_and_rates_are_those_of_metrics_csv(session):
    with (session.folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = set(rows[0]) - {"epoch", "step"}
    assert {"train/loss", "val/loss", "val/accuracy", "throughput/samples_per_second"} <= names
    assert any(name.startswith("lr") for name in names)
    for name in names:
        steps, values = zip(*session.fit.curve(name), strict=True)
        expected = [row for row in rows if row[name]]
        assert list(steps) == [int(row["step"]) for row in expected]
        assert list(values) == pytest.approx([float(row[name]) for row in expected]), name
    assert session.fit.steps["*"] == "trainer/global_step"


def test_the_summary_has_the_metrics_with_intervals_and_the_counts_of_the_data(session):
    metrics = json.loads((session.folder / "metrics.json").read_text())
    for recorded, split in ((session.fit, "val"), (session.test, "test")):
        own = {name: value for name, value in metrics.items() if name.startswith(f"{split}/")}
        assert {f"{split}/accuracy_low", f"{split}/loss"} <= own.keys()
        assert {name: recorded.summary[name] for name in own} == pytest.approx(own)
    data = session.fit.summary["data"]
    assert [data[split]["rows"] for split in ("train", "val", "test")] == [48, 16, 24]
    assert data["train"]["bad_rows"] == 1
    assert data["train"]["labels"] == {"bad": 24, "good": 24}
    assert session.test.summary["data"]["test"]["rows"] == 24


@pytest.mark.parametrize("split", ["val", "test"])
def test_the_table_of_predictions_has_every_row_of_the_split(session, split):
    recorded = session.fit if split == "val" else session.test
    table = recorded.table(f"{split}/predictions")
    labels = column(session.root / f"{split}.csv", "label")
    assert list(table) == ["row", "label", "predicted", "probability"]
    assert table["row"] == list(range(len(labels)))
    assert table["label"] == labels
    assert all(0.5 <= value <= 1 for value in table["probability"])
    right = sum(map(str.__eq__, table["label"], table["predicted"]))
    assert right / len(labels) == pytest.approx(recorded.summary[f"{split}/accuracy"])


@pytest.mark.parametrize("split", ["val", "test"])
def test_the_confusion_matrix_counts_the_predictions(session, split):
    recorded = session.fit if split == "val" else session.test
    table = recorded.table(f"{split}/confusion_matrix_table")
    cells = zip(table["Actual"], table["Predicted"], table["nPredictions"], strict=True)
    counted = Counter({(actual, predicted): count for actual, predicted, count in cells})
    answers = recorded.table(f"{split}/predictions")
    assert +counted == Counter(zip(answers["label"], answers["predicted"], strict=True))
    chart = recorded.config["_wandb"]["visualize"][f"{split}/confusion_matrix"]
    assert chart["panel_config"]["panelDefId"] == "wandb/confusion_matrix/v1"


def test_the_precision_recall_curves_are_the_reports(session):
    report = json.loads((session.folder / "report.json").read_text())
    table = session.test.table("test/precision_recall_table")
    points = list(zip(table["class"], table["recall"], table["precision"], strict=True))
    assert {name for name, _, _ in points} == {"micro", "bad", "good"}
    for name, curve in report["precision_recall"].items():
        assert [list(point[1:]) for point in points if point[0] == name] == curve
    assert "test/precision_recall" in session.test.config["_wandb"]["visualize"]


def test_the_best_checkpoint_is_an_artifact(session):
    (artifact,) = [one for one in session.fit.artifacts if one.type == "model"]
    best = session.folder / "checkpoints" / "best.ckpt"
    (entry,) = artifact.manifest.contents
    assert (entry.path, entry.size) == ("best.ckpt", best.stat().st_size)
    assert entry.digest == base64.b64encode(hashlib.md5(best.read_bytes()).digest()).decode()
    assert Path(entry.local_path).samefile(best)
    assert "best" in artifact.aliases
    assert json.loads(artifact.metadata)["monitor"] == "val/accuracy"
    assert not [one for one in session.test.artifacts if one.type == "model"]


def test_no_text_of_the_data_is_in_any_file_of_wandb(session):
    assert all(MARK in text for text in column(session.root / "train.csv", "text"))
    assert files_with(session.folder / "wandb", MARK) == []
    for name in ("wandb_data_dir", "wandb_cache_dir", "home"):
        assert files_with(session.root / name, MARK) == []


def test_texts_are_in_the_table_where_they_are_asked_for(
    session, monkeypatch, without_account, recorded_in
):
    without_account(monkeypatch, session.root)
    text = Path(find_config("wandb")).read_text()
    assert "log_texts: false" in text
    Path("texts.yaml").write_text(text.replace("log_texts: false", "log_texts: true"))
    assert main(["test", "--ckpt_path=last", "--data.test=test.csv", "-c", "texts.yaml"]) == 0
    recorded = recorded_in(session.root)[-1]
    assert recorded.table("test/predictions")["text"] == column(Path("test.csv"), "text")
    (file,) = files_with(recorded.folder, MARK)
    assert "media/table" in file.as_posix()


def test_a_second_run_does_not_collide_with_the_first(work, tiny_fit, recorded_in):
    once = [word.replace("max_epochs=2", "max_epochs=1") for word in tiny_fit]
    assert main([*once, "-c", "wandb"]) == 0
    assert main([*once, "-c", "wandb"]) == 0
    folders = list((work / "runs").iterdir())
    assert len(folders) == 2
    for folder in folders:
        (recorded,) = recorded_in(folder)
        assert (folder / "config.yaml").is_file()
        assert recorded.run.display_name == folder.name


# From Python


def bound(folder: Path, **settings: Any) -> WandbRun:
    sink = WandbRun(**settings)
    sink.bind(folder)
    return sink


def test_hyperparameters_stand_in_where_there_is_no_config(account, recorded_in):
    sink = bound(account, name="mine", project="p", entity="us", group="g", tags=["a", "b"])
    sink.log_hyperparams({"lr": 0.1, "loss": {"smoothing": 0.2}})
    assert (sink.name, sink.save_dir) == ("p", str(account))
    assert sink.version == sink.experiment.id
    sink.close()
    (recorded,) = recorded_in(account)
    assert recorded.config["model.lr"] == 0.1
    assert recorded.config["model.loss.smoothing"] == 0.2
    run = recorded.run
    assert (run.display_name, run.project, run.entity, run.run_group) == ("mine", "p", "us", "g")
    assert list(run.tags) == ["a", "b"]


@pytest.fixture
def best(account) -> ModelCheckpoint:
    """A checkpoint callback with one best file."""
    callback = ModelCheckpoint(monitor="val/loss")
    callback.best_model_path = str(account / "best.ckpt")
    (account / "best.ckpt").write_bytes(b"first")
    return callback


def finished(sink: WandbRun, *callbacks: ModelCheckpoint) -> None:
    sink.log_metrics({"loss": 1.0}, 1)
    for callback in callbacks:
        sink.after_save_checkpoint(callback)
    sink.finalize("success")
    sink.finalize("success")  # of the validation that follows a fit
    sink.close()


def test_a_recorded_checkpoint_outlives_the_file_that_a_later_training_replaces(
    account, best, recorded_in
):
    finished(bound(account), best)
    (account / "new").write_bytes(b"second")
    (account / "new").replace(best.best_model_path)
    (artifact,) = recorded_in(account)[0].artifacts
    (entry,) = artifact.manifest.contents
    assert Path(entry.local_path).read_bytes() == b"first"
    assert json.loads(artifact.metadata)["score"] is None


def test_without_links_the_file_itself_is_recorded(account, best, recorded_in, monkeypatch):
    def no_links(*_: Any) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    finished(bound(account), best)
    (artifact,) = recorded_in(account)[0].artifacts
    assert artifact.manifest.contents[0].local_path == best.best_model_path


def test_a_checkpoint_that_is_a_folder_is_not_recorded_which_is_said(account, best, caplog):
    best.best_model_path = str(account)
    finished(bound(account), best)
    assert "is no file, so no checkpoint is recorded" in caplog.text


@pytest.mark.parametrize(("wanted", "artifacts"), [(False, 0), (True, 1)])
def test_the_checkpoint_is_recorded_where_it_is_wanted(
    account, best, recorded_in, wanted, artifacts
):
    finished(bound(account, log_checkpoint=wanted), best, ModelCheckpoint(monitor=None))
    assert len(recorded_in(account)[0].artifacts) == artifacts


def test_a_run_that_the_user_has_open_is_left_alone(account, recorded_in):
    with wandb.init(mode="offline", project="theirs", dir=account) as theirs:
        sink = bound(account)
        sink.log_metrics({"loss": 1.0}, 3)
        sink.close()
        theirs.log({"own": 2.0})
    recorded = {one.run.project: one for one in recorded_in(account)}
    assert recorded["lightning_tune"].curve("loss") == [(3, 1.0)]
    assert [row["own"] for row in recorded["theirs"].history] == [2.0]


def test_a_regression_is_a_scatter_chart(account, recorded_in):
    record = Evaluation("regression", "test", 2, scatter=[(1.0, 1.5), (2.0, 1.0)])
    sink = bound(account)
    sink.log_evaluation(record)
    sink.close()
    (recorded,) = recorded_in(account)
    assert recorded.table("test/scatter_table") == {"label": [1.0, 2.0], "prediction": [1.5, 1.0]}


def test_a_record_without_figures_has_no_chart():
    assert charts(Evaluation("binary", "test", 2)) == {}


def test_rows_beyond_what_wandb_keeps_are_left_out_and_counted(monkeypatch, caplog):
    monkeypatch.setattr(wandb.Table, "MAX_ARTIFACT_ROWS", 2)
    assert table({"row": [0, 1, 2]}).data == [[0], [1]]
    assert "2 of the 3 predictions" in caplog.text


def test_what_prepare_found_is_in_the_summary_and_no_text_of_its_report(
    work, tiny_fit, recorded_in
):
    words = ["--input=train.csv", "--val=val.csv", "--output=prepared", "--recipe.near=null"]
    assert main(["prepare", *words]) == 0
    told = json.loads((work / "prepared" / "report.json").read_text())
    flags = [word for word in tiny_fit if not word.startswith(("--data.train", "--data.val"))]
    once = ["--data.train=prepared", "--trainer.max_epochs=1", "-c", "wandb"]
    assert main([*flags, *once]) == 0
    (recorded,) = recorded_in(work)
    found = recorded.summary["data"]["prepared"]
    assert found["verdict"] == told["verdict"]
    assert found["rows"] == told["rows"]
    assert found["duplicates"]["exact_text"] == told["duplicates"]["exact_text"]
    assert found["report"] == "prepared/report.html"
    numbers = {key: value for key, value in found.items() if isinstance(value, dict)}
    assert set(numbers) == {"rows", "duplicates", "leaks", "privacy", "split", "suspects"}
    assert set(numbers["suspects"]) <= {
        "rows",
        "of",
        "found",
        "share",
        "noise",
        "dropped",
        "outliers",
    }
