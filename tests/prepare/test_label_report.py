"""What the report says of labels: shares worked out by hand, and what was not looked for."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from lightning_tune.prepare.augment.augmenting import AugmentSettings
from lightning_tune.prepare.augment.preserving import Preserved
from lightning_tune.prepare.augment_step import multiply
from lightning_tune.prepare.collect.inputs import Input
from lightning_tune.prepare.collecting import Collected, Noted
from lightning_tune.prepare.label_report import (
    agreement_shown,
    copies_of,
    label_checks,
    label_notes,
    suspects_of,
)
from lightning_tune.prepare.pipeline import Found, Job
from lightning_tune.prepare.quality.agreement import agreement
from lightning_tune.prepare.quality.assessing import Assessment
from lightning_tune.prepare.quality.balance import Balance
from lightning_tune.prepare.quality.suspects import Suspects
from lightning_tune.prepare.quality_step import Looked
from lightning_tune.prepare.recipe import Recipe
from lightning_tune.prepare.rows import DROPPED

JOB = Job([Input("raw.csv")])
NOTHING = DROPPED.empty_table()


@pytest.fixture
def found() -> Found:
    return Found(Collected(pa.table({}), NOTHING, {}, Noted([0])), [])


def looked(count: int = 3, of: int = 8) -> Looked:
    """Eight of so many rows looked at, and some of them suspected."""
    flags = np.arange(8) < count
    suspects = Suspects(("a", "b"), np.zeros((8, 2)), np.zeros(8), flags, ["a"] * 8, noise=0.31234)
    counts = {"rows": 8, "suspects": count, "outliers": 1, "rare_classes": 1, "dropped": 0}
    assessed = Assessment(None, suspects, [4])
    return Looked(
        *(pa.table({}), NOTHING, counts, of, np.arange(8), assessed),
        classes={"a": 1, "b": count - 1},
        outliers=["raw.csv:6"],
    )


def test_the_share_is_of_the_rows_that_were_looked_at(found):
    found.looked = looked(of=800)
    assert suspects_of(found, JOB) == {
        "mode": "fast",
        "rows": 8,
        "of": 800,
        "found": 3,
        "share": 0.375,
        "noise": 0.3123,
        "classes": {"a": 1, "b": 2},
        "dropped": 0,
        "rare_classes": 1,
        "outliers": 1,
        "outlier_rows": ["raw.csv:6"],
    }
    (check,) = label_checks(found, JOB)
    assert (check.name, check.value, check.verdict) == ("suspects", 0.375, "WARN")
    part, many = label_notes(found, JOB)
    assert "in 8 of the 800 rows of train" in part
    assert many.startswith("37.5 % of the labels that were looked at are suspected; that may say")
    assert "those of fast mode are simple" in many
    assert json.dumps(suspects_of(found, JOB))


def test_few_suspects_pass_and_all_rows_need_no_note(found):
    found.looked = looked(1)
    assert [check.verdict for check in label_checks(found, JOB)] == ["PASS"]
    assert label_notes(found, JOB) == []


def test_what_was_not_looked_for_has_no_share(found):
    assert (suspects_of(found, JOB), copies_of(found), label_checks(found, JOB)) == (None, None, [])
    assert label_notes(found, JOB) == []
    sizes = Balance({f"c{at}": 1 for at in range(101)}, 1.0, 1.0, ())
    found.looked = replace(looked(), found=Assessment(sizes, None, []))
    assert "found" not in suspects_of(found, JOB)
    assert "train has 101 classes, and recipe.quality.mode=fast looks" in label_notes(found, JOB)[0]
    found.looked = Looked(pa.table({}), NOTHING, {"rows": 0}, 12)
    assert suspects_of(found, JOB) == {"mode": "fast", "rows": 0, "of": 12}
    assert label_checks(found, JOB) == []
    assert "fewer than 50 different texts" in label_notes(found, JOB)[0]


def test_agreement_has_its_pairs_and_its_limit(found):
    assert agreement_shown(found) is None
    answers = {"ann": ["a", "a", "b", "b"], "bob": ["a", "b", "b", None]}
    found.agreement = agreement(answers)
    assert agreement_shown(found) == {
        "alpha": 0.4444,
        "rows": 3,
        "unanimous": 2,
        "by_annotator": {"ann": 0.6667, "bob": 0.6667},
        "confused": [{"labels": ["a", "b"], "count": 1}],
    }
    assert [(one.name, one.verdict) for one in label_checks(found, JOB)] == [("agreement", "WARN")]
    found.agreement = agreement({"ann": ["a", None], "bob": [None, "a"]})
    assert (agreement_shown(found)["alpha"], label_checks(found, JOB)) == (None, [])


def test_copies_are_told_by_edit_and_class_with_the_share_that_keeps_its_label(found, rows):
    train = rows([f"my card number {at} is lost" for at in range(60)], ["a", "a", "b"] * 20)
    copied = multiply({"train": train}, AugmentSettings(("insert", "swap")))
    told = Preserved(asked=12, known=10, kept=8, by_edit={"insert": 0.75, "swap": 1.0})
    found.copied = replace(copied, preserved=told)
    shown = copies_of(found)
    assert shown["copies"] == sum(shown["edits"].values()) == sum(shown["classes"].values())
    assert shown["label_kept"] == {
        "asked": 12,
        "known": 10,
        "kept": 8,
        "share": 0.8,
        "edits": {"insert": 0.75, "swap": 1.0},
    }
    (check,) = label_checks(found, Job(JOB.inputs, recipe=Recipe()))
    assert (check.name, check.value, check.verdict) == ("label_kept", 0.8, "WARN")
    found.copied = replace(copied, preserved=None)
    assert copies_of(found)["label_kept"] is None
    assert label_checks(found, JOB) == []
