"""Copies of rows: originals first, each row's copies its own, nothing twice, nothing leaked."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lightning_tune.errors import ConfigError, DataError
from lightning_tune.prepare.augment.augmenting import AugmentSettings, augment
from lightning_tune.prepare.keys import content_key

TEXTS = [
    f"this is the message number {at} about some {word}"
    for at, word in enumerate(["card", "refund", "parcel", "invoice", "account", "delivery"] * 10)
]
LABELS = ["a" if at % 3 else "b" for at in range(60)]
KINDS = ("swap", "delete", "insert", "typo", "ocr")


def table(texts=TEXTS, labels=LABELS) -> pa.Table:
    lines = pa.array(range(2, len(texts) + 2), pa.int64())
    sources = pa.array(["raw.csv"] * len(texts)).dictionary_encode()
    return pa.table({"text": texts, "label": labels, "source": sources, "line": lines})


def copies(found) -> list[tuple[int, str, str]]:
    start = found.counts["originals"]
    made = found.table.slice(start)
    return list(
        zip(
            made["line"].to_pylist(),
            made["text"].to_pylist(),
            made["augmented"].to_pylist(),
            strict=True,
        )
    )


def test_originals_come_first_and_copies_keep_label_and_origin():
    found = augment(table(), AugmentSettings(KINDS))
    assert found.table.slice(0, 60).drop_columns("augmented").equals(table())
    assert set(found.table["augmented"].to_pylist()[:60]) == {None}
    assert found.counts["copies"] + found.counts["unchanged"] + found.counts["repeated"] == 60
    assert found.table.num_rows == 60 + found.counts["copies"]
    for row, line, label in zip(
        found.rows,
        found.table["line"].to_pylist()[60:],
        found.table["label"].to_pylist()[60:],
        strict=True,
    ):
        assert (line, label) == (row + 2, LABELS[row])
    assert sum(found.by_edit.values()) == found.counts["copies"]
    assert all(found.by_edit[kind] for kind in KINDS)


def test_the_same_input_gives_the_same_rows_and_another_seed_others():
    first = augment(table(), AugmentSettings(KINDS))
    assert augment(table(), AugmentSettings(KINDS)).table.equals(first.table)
    assert not augment(table(), AugmentSettings(KINDS, seed=1)).table.equals(first.table)


def test_more_rows_change_no_other_rows_copies():
    settings = AugmentSettings(KINDS, copies=1.5)
    few = augment(table(), settings)
    many = augment(
        table(["a new row in front", *TEXTS, "and one behind"], ["a", *LABELS, "b"]), settings
    )
    assert {text for _, text, _ in copies(few)} <= {text for _, text, _ in copies(many)}


def test_a_rate_of_a_half_is_about_every_second_row():
    found = augment(table(), AugmentSettings(("insert",), copies=0.5))
    assert 20 <= found.counts["copies"] <= 40
    assert augment(table(), AugmentSettings(("insert",), copies=3)).counts["copies"] > 170
    assert augment(table(), AugmentSettings(("insert",), copies=0)).counts["copies"] == 0


def test_a_class_may_have_a_rate_of_its_own():
    found = augment(table(), AugmentSettings(("insert",), copies=0, by_class={"b": 2}))
    assert {LABELS[row] for row in found.rows} == {"b"}
    assert found.counts["copies"] + found.counts["repeated"] == 2 * LABELS.count("b")
    assert found.counts["copies"] > LABELS.count("b")


def test_of_several_labels_the_largest_rate_counts():
    labels = pa.array([["a"], ["a", "b"], []], pa.list_(pa.string()))
    settings = AugmentSettings(("insert",), copies=0, by_class={"a": 1, "b": 3})
    assert augment(table(TEXTS[:3], labels), settings).rows == [0, 1, 1, 1]


def test_no_copy_stands_there_already_or_is_to_be_avoided():
    texts = ["two words", "words two"]
    found = augment(table(texts, ["a", "b"]), AugmentSettings(("swap",)))
    assert (found.counts["copies"], found.counts["repeated"]) == (0, 2)
    avoid = {content_key("words two")}
    found = augment(table(texts[:1], ["a"]), AugmentSettings(("swap",)), avoid=avoid)
    assert (found.counts["copies"], found.counts["repeated"]) == (0, 1)


def test_what_no_edit_changes_is_counted():
    found = augment(table(["a", "b"], ["a", "b"]), AugmentSettings(("swap", "typo")))
    assert found.counts == {"originals": 2, "copies": 0, "unchanged": 2, "repeated": 0}


def test_where_one_edit_changes_nothing_another_is_tried():
    found = augment(table(["card"], ["a"]), AugmentSettings(("swap", "insert")))
    assert [edit for _, _, edit in copies(found)] == ["insert"]


def test_texts_are_translated_together_and_their_copies_come_last_in_no_other_order():
    asked = []

    def translate(texts):
        asked.append(list(texts))
        return [text.replace("message", "note") for text in texts]

    found = augment(table(), AugmentSettings(("translate",)), translate=translate)
    assert asked == [TEXTS]
    assert [text for _, text, _ in copies(found)] == [t.replace("message", "note") for t in TEXTS]
    with pytest.raises(ConfigError, match="translate gave 1 texts back for 60"):
        augment(table(), AugmentSettings(("translate",)), translate=lambda texts: ["one"])


def test_synonyms_are_those_of_the_file(tmp_path):
    path = tmp_path / "pairs.txt"
    path.write_text("message note\n")
    found = augment(table(), AugmentSettings(("synonym",), thesaurus=str(path)))
    assert found.counts["copies"] == 60
    assert all("note number" in text for _, text, _ in copies(found))
    with pytest.raises(DataError, match="does not exist"):
        augment(table(), AugmentSettings(("synonym",), thesaurus=str(tmp_path / "none.txt")))


def test_of_pairs_the_first_text_is_edited():
    pairs = table(TEXTS[:2], ["a", "b"]).add_column(1, "text_pair", pa.array(["one", "two"]))
    found = augment(pairs, AugmentSettings(("insert",)))
    assert found.table["text_pair"].to_pylist() == ["one", "two", "one", "two"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"edits": ("sawp",)}, "Did you mean 'swap'"),
        ({"edits": ()}, "augment.edits is empty"),
        ({"edits": ("synonym",)}, "augment.thesaurus names no file"),
        ({"copies": -1.0}, "copies=-1.0 copies a row is outside 0 to 100"),
        ({"by_class": {"a": 1000.0}}, "a=1000.0 copies"),
        ({"share": 0.0}, r"augment.share=0.0 is outside \(0, 1\]"),
    ],
)
def test_settings_out_of_their_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        AugmentSettings(**settings)


def test_an_unknown_class_and_a_missing_translator_are_refused():
    with pytest.raises(ConfigError, match="names 'c', which is no label"):
        augment(table(), AugmentSettings(by_class={"c": 1}))
    with pytest.raises(ConfigError, match="nothing translates"):
        augment(table(), AugmentSettings(("translate",)))
