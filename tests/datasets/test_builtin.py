from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

import lightning_tune.datasets as datasets
from lightning_tune.data.sources import companion_splits, open_source
from lightning_tune.errors import DataError
from lightning_tune.tables import Fields, TableFormat

has_support = pytest.mark.skipif(
    "support" not in datasets.builtin_names(), reason="the data set is not in this checkout"
)


def test_a_builtin_name_means_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("support/train.csv", "support/test.csv", "__pycache__/x.pyc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("text,label\na,x\n")
    monkeypatch.setattr(datasets, "__file__", str(tmp_path / "__init__.py"))
    assert datasets.builtin("support") == {
        "train": tmp_path / "support" / "train.csv",
        "test": tmp_path / "support" / "test.csv",
    }
    assert companion_splits("builtin:support") == {"test": "builtin:support"}
    with pytest.raises(DataError) as caught:
        datasets.builtin("suport")
    assert str(caught.value) == (
        "builtin:suport is not a data set of this package; it has support. Did you mean 'support'?"
    )
    with pytest.raises(
        DataError, match=r"^builtin:support has no val split; it has train, test\.$"
    ):
        open_source("builtin:support", "val", Fields(), TableFormat())


@has_support
def test_the_support_data_is_what_its_card_says() -> None:
    texts: dict[str, set[str]] = {}
    for split in ("train", "val", "test"):
        source = open_source("builtin:support", split, Fields(), TableFormat(kind="jsonl"))
        batches = list(source.rows("refuse"))
        texts[split] = {text for batch in batches for text in batch.texts}
        labels = Counter(label for batch in batches for label in batch.labels or ())
        assert len(labels) == 12
        assert sum(labels.values()) == len(texts[split]), "a text stands there twice"
    assert len(texts["test"]) >= 300
    assert sum(map(len, texts.values())) >= 1500
    assert len(set.union(*texts.values())) == sum(map(len, texts.values()))


@has_support
def test_the_new_messages_stand_in_no_split() -> None:
    folder = datasets.builtin("support")["train"].parent
    with (folder / "new.csv").open(encoding="utf-8", newline="") as file:
        new = [row["text"] for row in csv.DictReader(file)]
    assert len(set(new)) == 14
    splits = [path.read_text(encoding="utf-8") for path in datasets.builtin("support").values()]
    assert not [text for text in new if any(text in split for split in splits)]
