from pathlib import Path

import pytest

from lightning_tune.reports.comparison import (
    best,
    differing,
    final,
    interval,
    main_metric,
    ranked,
    short_names,
)
from lightning_tune.reports.runs import Run


def _run(name="run", **parts):
    return Run(name, Path(name), **parts)


@pytest.mark.parametrize(
    ("names", "metric"),
    [
        (["test/accuracy", "test/f1_macro"], "accuracy"),
        (["val/map", "val/f1_macro"], "f1_macro"),
        (["val/pearson", "val/spearman"], "spearman"),
        (["train/loss"], "loss"),
    ],
)
def test_the_task_kinds_own_metric_ranks(names, metric):
    assert main_metric([_run(metrics=dict.fromkeys(names, 0.5))]) == metric


def test_a_metric_that_a_config_names_ranks():
    named = {"model.init_args.main_metric": "mcc"}
    runs = [_run(metrics={"test/accuracy": 1.0}), _run(settings=named)]
    assert main_metric(runs) == "mcc"


def test_tested_runs_come_first_then_validated_ones():
    runs = [
        _run("nothing"),
        _run("validated", curves={"val/accuracy": [(1.0, 0.99), (2.0, 0.5)]}),
        _run("low", metrics={"test/accuracy": 0.7}),
        _run("high", metrics={"test/accuracy": 0.8}),
    ]
    assert [run.name for run in ranked(runs, "accuracy")] == ["high", "low", "validated", "nothing"]


def test_a_small_error_ranks_above_a_large_one():
    runs = [_run("a", metrics={"test/mae": 2.0}), _run("b", metrics={"test/mae": 1.0})]
    assert [run.name for run in ranked(runs, "mae")] == ["b", "a"]


def test_the_best_validation_value_has_the_right_direction():
    curves = {
        "val/loss": [(1.0, 0.5), (2.0, 0.3), (3.0, float("nan"))],
        "val/f1": [(1.0, 0.5), (2.0, 0.3)],
    }
    run = _run(curves=curves, metrics={"val/mcc": 0.1})
    assert (best(run, "loss"), best(run, "f1"), best(run, "mcc")) == (0.3, 0.5, 0.1)
    assert best(run, "auroc") is None


def test_a_test_in_the_log_counts_where_metrics_json_is_missing():
    run = _run(curves={"test/f1": [(9.0, 0.4), (9.0, 0.5)]})
    assert final(run, "test/f1") == 0.5
    assert interval(run, "test/f1") is None


def test_only_settings_that_differ_are_shown_and_places_never():
    runs = [
        _run(settings={"model.lr": 1e-4, "data.train": "a", "trainer.default_root_dir": "x"}),
        _run(settings={"model.lr": 2e-4, "data.train": "a", "trainer.default_root_dir": "y"}),
        _run(settings={"model.lr": 1e-4, "data.train": "a", "model.radius": 1.0}),
        _run(),
    ]
    assert differing(runs) == ["model.lr", "model.radius"]
    assert differing(runs[3:]) == []


def test_a_name_that_ends_another_stays_apart():
    names = short_names(["lr", "model.lr"])
    assert names["model.lr"] == "model.lr"
    assert names["lr"] == "lr"
