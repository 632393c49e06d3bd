from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lightning_tune.data.sources import companion_splits, open_source
from lightning_tune.errors import ConfigError, DataError
from lightning_tune.tables import Fields, TableFormat

datasets = pytest.importorskip("datasets", reason="needs the extra hub")

SPLITS = {"train": 5, "validation": 3, "test": 2}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A local cache as the hub leaves it: acme/toy with one config."""
    from datasets.packaged_modules.parquet.parquet import Parquet

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    datasets.disable_progress_bars()
    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["bad", "good"]),
            "tags": datasets.List(datasets.ClassLabel(names=["x", "y"])),
        }
    )
    for split, rows in SPLITS.items():
        datasets.Dataset.from_dict(
            {
                "text": [f"{split} {row}" for row in range(rows)],
                "label": [-1 if split == "test" else row % 2 for row in range(rows)],
                "tags": [[0, 1][:row] for row in range(rows)],
            },
            features=features,
        ).to_parquet(tmp_path / f"{split}.parquet")
    files = {split: str(tmp_path / f"{split}.parquet") for split in SPLITS}
    Parquet(
        cache_dir=str(tmp_path), dataset_name="toy", hash="abc", data_files=files
    ).download_and_prepare()
    (made,) = (tmp_path / "toy").iterdir()
    made.rename(tmp_path / "toy" / "default")
    (tmp_path / "toy").rename(tmp_path / "acme___toy")


def rows(spec: str, split="train", fields: Fields | None = None):
    source = open_source(spec, split, fields or Fields(), TableFormat())
    (batch,) = source.rows("refuse")
    return batch


@pytest.mark.usefixtures("hub")
def test_a_hub_data_set_reads_from_the_local_cache_with_the_names_of_its_labels() -> None:
    batch = rows("hub:acme/toy")
    assert batch.texts == [f"train {row}" for row in range(5)]
    assert batch.labels == ["bad", "good", "bad", "good", "bad"]
    assert (batch.source, batch.lines) == ("hub:acme/toy", [1, 2, 3, 4, 5])
    assert rows("hub:acme/toy:default", "val").texts[0] == "validation 0"
    tags = rows("hub:acme/toy", fields=Fields(label="tags")).labels
    assert tags == [(), ("x",), ("x", "y"), ("x", "y"), ("x", "y")]


@pytest.mark.usefixtures("hub")
def test_a_hub_label_of_minus_one_is_none() -> None:
    assert rows("hub:acme/toy", "predict").labels == ["", ""]
    with pytest.raises(DataError, match=r"^hub:acme/toy:1: the label is null; "):
        rows("hub:acme/toy", "test")


@pytest.mark.usefixtures("hub")
def test_hub_splits_are_companions_and_digests_differ() -> None:
    assert companion_splits("hub:acme/toy") == {"val": "hub:acme/toy", "test": "hub:acme/toy"}
    digests = {
        open_source("hub:acme/toy", split, Fields(), TableFormat()).digest()
        for split in ("train", "train", "val", "test")
    }
    assert len(digests) == 3


@pytest.mark.usefixtures("hub")
def test_an_unknown_hub_name_or_config_is_refused() -> None:
    with pytest.raises(DataError, match=r"^hub:acme/toys cannot be loaded: .*acme/toys"):
        rows("hub:acme/toys")
    with pytest.raises(DataError, match=r"^hub:acme/toy:de cannot be loaded: .*'de'"):
        rows("hub:acme/toy:de")


def test_a_split_that_a_hub_data_set_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "load_dataset", lambda *_: {"train": None, "extra": None})
    with pytest.raises(DataError, match=r"^hub:toy has no val split; it has train, extra\.$"):
        rows("hub:toy", "val")


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ConfigError, match=r"^hub:toy needs .* pip install 'lightning-tune\[hub\]'"):
        rows("hub:toy")
