"""Copies of train as a step: of train alone, and never a text of another split, nor near to one."""

from __future__ import annotations

import pytest
from rapidfuzz.distance import Levenshtein

from lightning_tune.errors import ConfigError, DataError
from lightning_tune.prepare.augment.augmenting import AugmentSettings
from lightning_tune.prepare.augment.translating import TranslationSettings
from lightning_tune.prepare.augment_step import check_augment, multiply
from lightning_tune.prepare.near import NearSettings

KINDS = ("swap", "delete", "insert", "typo", "ocr")


def messages(first: int, count: int) -> list[str]:
    words = ["card", "refund", "parcel", "invoice", "account", "delivery", "letter"]
    return [
        f"message {at} about my {words[at % 7]} and the {words[at // 7 % 7]} of {words[at % 5]}"
        for at in range(first, first + count)
    ]


@pytest.fixture
def splits(rows):
    texts = messages(0, 100)
    labels = ["a" if "card" in text else "b" for text in texts]
    return {"train": rows(texts, labels), "val": rows(messages(200, 20), ["a", "b"] * 10)}


def test_train_alone_gets_copies_behind_its_rows(splits):
    found = multiply(splits, AugmentSettings(KINDS, copies=2), near=NearSettings())
    made = found.made
    assert made.table.slice(0, 100).drop_columns("augmented").equals(splits["train"])
    assert made.counts["copies"] == made.copies.num_rows > 150
    assert sum(found.classes.values()) == made.counts["copies"] == sum(made.by_edit.values())
    assert 0.5 < found.preserved.share <= 1


def test_no_copy_is_a_text_of_another_split_or_near_to_one(splits, rows):
    settings = AugmentSettings(KINDS, copies=2)
    free = multiply({"train": splits["train"]}, settings, near=NearSettings()).made
    wanted = free.copies["text"].to_pylist()
    splits["test"] = rows([wanted[0].upper(), wanted[7] + "s"], ["a", "b"])
    found = multiply(splits, settings, near=NearSettings()).made
    assert found.counts["repeated"] == free.counts["repeated"] + 1
    assert found.counts["near"] >= 1
    assert found.counts["copies"] + found.counts["near"] == free.counts["copies"] - 1
    assert len(found.rows) == found.copies.num_rows == sum(found.by_edit.values())
    for text in found.copies["text"].to_pylist():
        for other in (wanted[0], wanted[7] + "s"):
            edits = Levenshtein.distance(text.lower(), other.lower())
            assert edits > 0.1 * max(len(text), len(other))


def test_without_a_search_for_near_duplicates_only_equal_texts_are_kept_out(splits, rows):
    settings = AugmentSettings(KINDS)
    wanted = multiply(splits, settings).made.copies["text"].to_pylist()
    splits["test"] = rows([wanted[0], wanted[7] + "s"], ["a", "b"])
    left = multiply(splits, settings).made.copies["text"].to_pylist()
    assert left == wanted[1:]


def test_second_texts_have_a_part_in_what_is_equal(rows):
    pairs = {"text_pair": ["one"] * 60}
    train = rows(messages(0, 60), ["a", "b"] * 30, **pairs)
    wanted = multiply({"train": train}, AugmentSettings()).made.copies["text"].to_pylist()
    for second, kept in (("one", len(wanted) - 1), ("two", len(wanted))):
        test = rows(wanted[:1], ["a"], text_pair=[second])
        found = multiply({"train": train, "test": test}, AugmentSettings())
        assert found.made.counts["copies"] == kept


def test_a_function_translates_in_place_of_models(splits):
    found = multiply(
        splits,
        AugmentSettings(("translate",)),
        translate=lambda texts: [text.replace("message", "note") for text in texts],
    )
    assert found.made.by_edit == {"translate": 100}
    assert all("note" in text for text in found.made.copies["text"].to_pylist())


def test_what_will_fail_is_told_before_a_row_is_read(tmp_path):
    models = TranslationSettings(str(tmp_path / "en-de"), str(tmp_path))
    settings = AugmentSettings(("translate",), translation=models)
    with pytest.raises(ConfigError, match="en-de' is not a folder"):
        check_augment(settings)
    check_augment(settings, translate=lambda texts: texts)
    with pytest.raises(ConfigError, match="nothing translates"):
        check_augment(AugmentSettings(("insert", "translate")))
    with pytest.raises(DataError, match="does not exist"):
        check_augment(AugmentSettings(("synonym",), thesaurus=str(tmp_path / "none.txt")))


def test_of_scores_no_share_can_be_told(rows):
    train = rows(messages(0, 60), [float(at) for at in range(60)])
    assert multiply({"train": train}, AugmentSettings()).preserved is None
