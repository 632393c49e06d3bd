from __future__ import annotations

import pickle
import time
import unicodedata

import pyarrow as pa
import pytest

from lightning_tune.errors import ConfigError
from lightning_tune.prepare.cleaning import CleanSettings, CleanStep, clean
from lightning_tune.prepare.rows import DROPPED


def table(texts, labels=None, pairs=None) -> pa.Table:
    columns = {"text": pa.array(texts, pa.string())}
    if pairs is not None:
        columns["text_pair"] = pa.array(pairs, pa.string())
    if labels is not None:
        columns["label"] = pa.array(labels, pa.string())
    columns["source"] = pa.array(["raw.csv"] * len(texts)).dictionary_encode()
    columns["line"] = pa.array(range(2, len(texts) + 2), pa.int64())
    return pa.table(columns)


@pytest.mark.parametrize(
    "text",
    [
        "caf\u00e9 \u201cau lait\u201d",
        "\u5f88\u597d\uff0c\u8c22\u8c22\uff01",
        "na\u00efve",
        "\u20ac 5",
    ],
)
def test_a_text_decoded_as_latin_1_or_cp1252_is_mended(text):
    for wrong in ("latin-1", "cp1252"):
        try:
            damaged = text.encode("utf-8").decode(wrong)
        except UnicodeDecodeError:
            continue
        assert clean(damaged) == text


@pytest.mark.parametrize(
    "text",
    [
        "plain words, 100 % \u2013 \u201cquoted\u201d",
        "\uff21\uff22\uff23\uff0c\u5168\u89d2",  # full-width forms carry meaning in Chinese
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # a joiner that Persian needs
        "\U0001f468\u200d\U0001f469\u200d\U0001f467 fine",  # one emoji of three
        "\u00c5ngstr\u00f6m \u00fcber",
        "\ufb01ne",
    ],
)
def test_what_is_right_stays_as_it_is(text):
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\x00b\x07c\x7f", "abc"),
        ("pay\u200bpal \u202eevil\u202c", "paypal evil"),
        ("x\u200dy", "xy"),
        ("\ufeffstart", "start"),
        ("  a \t b\n\nc\u3000d\u00a0e ", "a b c d e"),
        ("e\u0301", "\u00e9"),
        ("&#8203;&nbsp;x", "x"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("one\u2028two", "one two"),
    ],
)
def test_what_is_hidden_goes_and_forms_are_one(text, expected):
    assert clean(text) == expected


def test_parts_can_be_left_out():
    none = CleanSettings(encoding=False, html=False, control=False, unicode=None, whitespace=False)
    text = " <b>e\u0301</b>\u200b "
    assert clean(text, none) == text
    assert clean("\uff21", CleanSettings(unicode="NFKC")) == "A"


def test_counts_say_which_part_changed_how_many_rows():
    outcome = CleanStep(CleanSettings())(table(["fine", "<b>x</b> ", "a\u200b", "  b", "<i>y</i>"]))
    assert outcome.counts == {
        "dropped": 0,
        "encoding": 0,
        "html": 2,
        "control": 1,
        "unicode": 0,
        "whitespace": 2,
        "labels": 0,
    }
    assert outcome.table["text"].to_pylist() == ["fine", "x", "a", "b", "y"]


def test_rows_without_text_or_label_go_with_line_and_reason_and_no_text():
    settings = CleanSettings(min_characters=2, max_characters=5)
    texts = [None, "", " \t", "\u200b", "a", "toolong", "good", "fine"]
    labels = ["x"] * 6 + [None, "x"]
    outcome = CleanStep(settings)(table(texts, labels))
    assert outcome.table["text"].to_pylist() == ["fine"]
    assert outcome.dropped.schema == DROPPED
    assert outcome.dropped["line"].to_pylist() == [2, 3, 4, 5, 6, 7, 8]
    assert outcome.dropped["reason"].to_pylist() == [
        *["the text is missing"] * 3,
        "the text is empty once it is clean",
        "the text is shorter than clean.min_characters",
        "the text is longer than clean.max_characters",
        "the label is missing",
    ]
    assert outcome.counts["dropped"] == 7


def test_labels_are_trimmed_and_one_of_white_space_alone_is_missing():
    outcome = CleanStep(CleanSettings())(table(["a", "b", "c"], ["x ", "x", " \t"]))
    assert outcome.table["label"].to_pylist() == ["x", "x"]
    assert outcome.counts["labels"] == 2
    assert outcome.dropped["reason"].to_pylist() == ["the label is missing"]
    kept = CleanStep(CleanSettings(labels=False))(table(["a"], ["x "]))
    assert kept.table["label"].to_pylist() == ["x "]


def test_labels_in_lists_are_trimmed_too():
    rows = table(["a", "b", "c", "d"])
    labels = pa.array([[" x ", "y"], ["x", "x "], [" ", "y"], []], pa.list_(pa.string()))
    outcome = CleanStep(CleanSettings())(rows.append_column("label", labels))
    assert outcome.table["label"].to_pylist() == [["x", "y"], ["x"], ["y"], []]
    assert outcome.counts["labels"] == 3


def test_both_texts_of_a_pair_are_cleaned_and_needed():
    outcome = CleanStep(CleanSettings())(table(["a", "b ", "c"], pairs=["<b>x</b>", " y", None]))
    assert outcome.table["text_pair"].to_pylist() == ["x", "y"]
    assert outcome.counts["html"] == 1
    assert outcome.counts["whitespace"] == 1
    assert outcome.dropped["line"].to_pylist() == [4]


def test_a_step_can_be_sent_to_another_process():
    step = pickle.loads(pickle.dumps(CleanStep(CleanSettings(html=False))))
    assert step(table(["<b>x</b>"])).table["text"].to_pylist() == ["<b>x</b>"]


def test_clean_text_is_in_normal_form_and_cleaning_again_changes_nothing():
    texts = ["e\u0301 <p>a&amp;lt;b</p>", "caf\u00c3\u00a9 \u0007", "\u212b \u200e x  y"]
    for text in texts:
        once = clean(text)
        assert unicodedata.is_normalized("NFC", once)
    assert clean(clean(texts[1])) == clean(texts[1])


@pytest.mark.parametrize(
    "part",
    [
        "\u00c3\u00a9",
        "\u00e2\u20ac\u2122",
        "\x1b[",
        "&amp;<b",
        "\u200d",
        "a\u0300\u0301",
        "\u3000 ",
    ],
)
def test_hostile_text_takes_linear_time(part):
    def seconds(size: int) -> float:
        text = (part * size)[:size]
        best = 9.0
        for _ in range(3):
            start = time.process_time()
            clean(text)
            best = min(best, time.process_time() - start)
        return best

    clean("warm \u00e9")
    assert seconds(64_000) < max(0.05, 24 * seconds(8_000))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"min_characters": 0}, "clean.min_characters=0 has to be at least 1"),
        ({"min_characters": 9, "max_characters": 5}, "is below clean.min_characters=9"),
    ],
)
def test_impossible_lengths_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        CleanSettings(**values)
