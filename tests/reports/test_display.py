import pytest

from lightning_tune.reports.display import (
    label_text,
    most_confused,
    number,
    percent,
    printable,
    setting,
)
from lightning_tune.reports.records import Evaluation


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x00b\x7fc\x85d", "a␀b␡c\N{REPLACEMENT CHARACTER}d"),
        (
            "a\u202eb\u2066c\u200fd",
            "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c\N{REPLACEMENT CHARACTER}d",
        ),
        ("lone \udc80", "lone \N{REPLACEMENT CHARACTER}"),
        ("one\r\n\ttwo", "one two"),
        ("family 👨\u200d👩 stays", "family 👨\u200d👩 stays"),
    ],
)
def test_hidden_characters_become_visible(text, shown):
    assert printable(text) == shown


def test_line_breaks_may_stay():
    assert printable("one\ntwo\x1b", one_line=False) == "one\ntwo␛"


def test_a_megabyte_of_text_is_clipped_and_counted():
    shown = printable("x" * 1_000_000, limit=100)
    assert shown == "x" * 100 + "… (1,000,000 characters)"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.99996, "0.99996"),
        (-0.99996, "-0.99996"),
        (1.0, "1.000"),
        (0.0, "0.000"),
        (153.26, "153.3"),
        (float("nan"), "n/a"),
    ],
)
def test_numbers_keep_what_matters(value, shown):
    assert number(value) == shown


def test_small_shares_are_not_rounded_to_nothing():
    assert percent(0.001) == "<1 %"
    assert percent(0.0) == "0 %"


def test_labels_of_every_kind_fit_a_line():
    assert label_text("a\nb") == "a b"
    assert label_text(3.14159) == "3.142"


def test_settings_read_like_yaml():
    assert setting({"a": [True, None]}) == "{a: [true, null]}"
    assert setting("x\ny") == "x y"


def test_confused_pairs_come_by_number_of_rows():
    record = Evaluation("multiclass", "test", 14, ["a", "b", "c"])
    record.confusion = [[5, 1, 0], [3, 1, 0], [1, 0, 3]]
    found = [(pair.label, pair.predicted, pair.rows, pair.share) for pair in most_confused(record)]
    assert found == [("b", "a", 3, 0.75), ("c", "a", 1, 0.25), ("a", "b", 1, pytest.approx(1 / 6))]
    assert most_confused(Evaluation("regression", "test", 1)) == []
