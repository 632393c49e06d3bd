"""The report of a split: what is gathered, written and sent, and what is kept back."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from lightning.pytorch.loggers.logger import Logger
from sklearn.metrics import accuracy_score, confusion_matrix

from lightning_tune.reports.records import Evaluation
from lightning_tune.training.callbacks.evaluation import EvaluationReport, curves
from lightning_tune.training.callbacks.progress import EpochLines

FILES = ("metrics.json", "report.json", "report.md", "report.html")


class Sink(Logger):
    """A tracker that keeps what it is sent."""

    name, version, save_dir = "sink", 0, None

    def __init__(self, log_texts: bool = False):
        super().__init__()
        self.log_texts = log_texts
        self.records: list[tuple[Evaluation, dict]] = []

    def log_metrics(self, metrics, step=None): ...

    def log_hyperparams(self, params, *args, **kwargs): ...

    def log_evaluation(self, record, table):
        self.records.append((record, table))


def validated(train, kind="binary", report=None, **settings):
    """Fit, then validate; return the run and its report callback."""
    report = report or EvaluationReport()
    trained = train(kind, callbacks=[report], **settings)
    assert report.evaluation is None  # the validations of a fit are no reports
    trained.trainer.validate(trained.module, datamodule=trained.data, verbose=False)
    return trained, report


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "regression"])
def test_a_validation_writes_the_report_of_its_split(train, kind):
    trained, report = validated(train, kind)
    assert [name for name in FILES if not (trained.folder / name).is_file()] == []
    values = json.loads((trained.folder / "metrics.json").read_text())
    record = report.evaluation
    assert record.split == "val"
    assert record.rows == len(trained.data.val_data)
    assert record.main_metric == trained.module.main_metric
    main = record.main_metric
    assert values[f"val/{main}"] == pytest.approx(
        float(trained.trainer.callback_metrics[f"val/{main}"]), abs=1e-6
    )
    assert values[f"val/{main}_low"] <= values[f"val/{main}"] <= values[f"val/{main}_high"]


def test_its_counts_are_those_of_the_models_answers(train):
    trained, report = validated(train, "multiclass")
    split = trained.data.val_data
    names = trained.module.label_set.names
    trained.module.eval()
    answers, targets = {}, {}
    for batch in trained.data.val_dataloader():
        for row, logits, label in zip(
            batch["index"], trained.module(batch), batch["labels"], strict=True
        ):
            answers[int(row)], targets[int(row)] = int(logits.argmax()), int(label)
    rows = sorted(answers)
    actual, predicted = [targets[row] for row in rows], [answers[row] for row in rows]
    assert report.evaluation.metrics["accuracy"] == pytest.approx(accuracy_score(actual, predicted))
    expected = confusion_matrix(actual, predicted, labels=range(len(names)))
    assert np.array_equal(report.evaluation.confusion, expected)
    for mistake in report.evaluation.worst:
        assert mistake.text == split.text(rows[mistake.row])[0]


def test_a_test_has_a_report_of_its_own_beside_the_validations_figures(train, write_task):
    report = EvaluationReport()
    trained, _ = validated(train, report=report, data={"test": str(write_task("binary"))})
    trained.trainer.test(trained.module, datamodule=trained.data, verbose=False)
    assert report.evaluation.split == "test"
    assert report.evaluation.rows == 48
    values = json.loads((trained.folder / "metrics.json").read_text())
    assert {"val/accuracy", "test/accuracy", "test/accuracy_low"} <= values.keys()


def test_texts_can_be_kept_out_of_the_report(train):
    trained, report = validated(train, "multiclass", EvaluationReport(texts=False))
    assert report.evaluation.worst
    for name in FILES:
        assert "film" not in (trained.folder / name).read_text(encoding="utf-8")


def test_the_worst_mistakes_are_as_many_as_wanted(train):
    _, report = validated(train, "multiclass", EvaluationReport(worst=2))
    assert len(report.evaluation.worst) == 2
    losses = [mistake.loss for mistake in report.evaluation.worst]
    assert losses == sorted(losses, reverse=True)


def test_no_mistakes_are_listed_where_none_are_wanted(train):
    _, report = validated(train, "multiclass", EvaluationReport(worst=0))
    assert report.evaluation.worst == []


def test_a_report_tells_how_it_came_about(train):
    trained, report = validated(train)
    record = report.evaluation
    assert record.provenance["backbone"] == trained.module.backbone
    assert record.provenance["precision"] == "32-true"
    assert record.title == trained.folder.name
    assert record.data_summary["train"]["rows"] == 36
    assert record.settings["lr"] == 0.01
    assert len(record.curves["val/accuracy"]) == 2


@pytest.mark.parametrize("log_texts", [False, True])
def test_texts_reach_a_tracker_only_where_it_asks(train, log_texts):
    sink = Sink(log_texts)
    trained, _ = validated(train, "multiclass", trainer={"logger": sink, "log_every_n_steps": 1})
    ((record, table),) = sink.records
    assert any(mistake.text for mistake in record.worst) == log_texts
    assert ("text" in table) == log_texts
    assert len(table["row"]) == len(trained.data.val_data)
    shown = (trained.folder / "report.md").read_text(encoding="utf-8")
    assert "film" in shown  # the local report shows them either way


def test_a_dry_run_writes_nothing(train):
    report = EvaluationReport()
    trained, _ = validated(train, report=report, trainer={"fast_dev_run": True})
    assert 0 < report.evaluation.rows <= 8  # one batch
    assert not trained.folder.exists() or not list(trained.folder.iterdir())


def test_curves_are_points_of_step_and_value():
    lines = EpochLines()
    lines.history = [
        {"epoch": 1.0, "step": 5.0, "seconds": 1.0, "val/loss": 0.5},
        {"epoch": 2.0, "step": 10.0, "seconds": 2.0, "val/loss": 0.25},
    ]
    trainer = SimpleNamespace(callbacks=[lines])
    assert curves(trainer) == {"val/loss": [(5.0, 0.5), (10.0, 0.25)]}
    assert curves(SimpleNamespace(callbacks=[])) == {}
