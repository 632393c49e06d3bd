import json
import math
import stat

import pytest

from lightning_tune.errors import DataError
from lightning_tune.reports.records import (
    Evaluation,
    flat_metrics,
    read_evaluation,
    write_evaluation,
    write_metrics,
)
from lightning_tune.schema import TASK_KINDS


@pytest.mark.parametrize("kind", TASK_KINDS)
def test_a_record_survives_its_file(tmp_path, full, kind):
    record = full(kind)
    record.curves.pop("lr-AdamW")  # NaN equals nothing
    write_evaluation(tmp_path / "report.json", record)
    again = read_evaluation(tmp_path / "report.json")
    assert again.to_dict() == json.loads(json.dumps(record.to_dict()))
    assert again.worst == record.worst
    assert again.per_class == record.per_class


def test_a_record_with_texts_is_its_owners_alone(tmp_path, full):
    write_evaluation(tmp_path / "report.json", full("binary"))
    assert stat.S_IMODE((tmp_path / "report.json").stat().st_mode) == 0o600


def test_without_texts_keeps_everything_else(full, hostile):
    record = full("multiclass")
    bare = record.without_texts()
    assert all(mistake.text is None for mistake in bare.worst)
    assert record.worst[0].text.endswith(hostile)
    assert [mistake.row for mistake in bare.worst] == [mistake.row for mistake in record.worst]
    assert bare.metrics == record.metrics


def test_numbers_that_are_not_finite_become_null_and_nan_again(tmp_path):
    record = Evaluation("regression", "test", 2, metrics={"pearson": math.nan, "mae": 1.0})
    record.curves = {"train/loss": [(0.0, math.inf)]}
    write_evaluation(tmp_path / "report.json", record)
    assert json.loads((tmp_path / "report.json").read_text())["metrics"]["pearson"] is None
    again = read_evaluation(tmp_path / "report.json")
    assert math.isnan(again.metrics["pearson"])
    assert math.isnan(again.curves["train/loss"][0][1])


def test_keys_of_a_newer_version_are_ignored():
    values = {**Evaluation("binary", "test", 1).to_dict(), "later": [1]}
    assert Evaluation.from_dict(values) == Evaluation("binary", "test", 1)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[1]",
        "{}",
        '{"task": "guess"}',
        '{"task": "binary", "split": "test", "rows": 1, "worst": [3]}',
    ],
)
def test_a_damaged_record_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "report.json"
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        read_evaluation(path)
    assert "\n" not in str(caught.value)


def test_a_missing_record_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot read the report"):
        read_evaluation(tmp_path / "none.json")


def test_metrics_carry_their_bounds_under_flat_names():
    record = Evaluation("binary", "val", 3, metrics={"f1": 0.5, "loss": 1.0})
    record.intervals = {"f1": (0.25, 0.75)}
    assert flat_metrics(record) == {
        "val/f1": 0.5,
        "val/f1_low": 0.25,
        "val/f1_high": 0.75,
        "val/loss": 1.0,
    }


def test_metrics_of_other_splits_stay_and_old_ones_of_this_split_go(tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text('{"val/accuracy": 0.5, "test/accuracy": 0.1, "test/old": 1}')
    write_metrics(path, Evaluation("binary", "test", 3, metrics={"accuracy": 0.75}))
    assert json.loads(path.read_text()) == {"val/accuracy": 0.5, "test/accuracy": 0.75}


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_damaged_metrics_file_is_replaced(tmp_path, content):
    path = tmp_path / "metrics.json"
    path.write_text(content)
    write_metrics(path, Evaluation("binary", "test", 3, metrics={"accuracy": math.nan}))
    assert json.loads(path.read_text()) == {"test/accuracy": None}
