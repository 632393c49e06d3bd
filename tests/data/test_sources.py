from __future__ import annotations

import json
from pathlib import Path

import pytest

from lightning_tune.data.sources import companion_splits, open_source
from lightning_tune.errors import DataError
from lightning_tune.tables import Fields, TableFormat, write_rows


def texts(spec, split="train", fields: Fields | None = None, **format) -> list[str]:
    source = open_source(spec, split, fields or Fields(), TableFormat(**format))
    return [text for batch in source.rows("refuse") for text in batch.texts]


def digest(spec, split="train", fields: Fields | None = None) -> str:
    return open_source(spec, split, fields or Fields(), TableFormat()).digest()


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in "abc":
        write_rows(
            tmp_path / f"{name}.csv", {"text": [f"{name}1", f"{name}2"], "label": ["x", "y"]}
        )
    return tmp_path


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    folder = tmp_path / "prepared"
    for split in ("train", "val", "test"):
        write_rows(folder / f"{split}.parquet", {"body": [split], "topic": ["x"]})
    (folder / "prepare.json").write_text(
        json.dumps({"fields": {"text": "body", "label": "topic", "weight": None, "source": 3}})
    )
    return folder


def test_files_are_read_in_the_order_given_and_globs_sorted(files: Path) -> None:
    assert texts("a.csv") == ["a1", "a2"]
    assert texts("?.csv") == ["a1", "a2", "b1", "b2", "c1", "c2"]
    assert texts(["c.csv", "[ab].csv"]) == ["c1", "c2", "a1", "a2", "b1", "b2"]
    assert texts(["b.csv"]) == ["b1", "b2"]


def test_batches_name_the_file_they_come_from(files: Path) -> None:
    source = open_source(["c.csv", "a.csv"], "train", Fields(), TableFormat())
    assert [batch.source for batch in source.rows("refuse")] == ["c.csv", "a.csv"]
    assert source.name == "c.csv, a.csv"


def test_a_digest_is_of_content_and_order(files: Path) -> None:
    assert digest("a.csv") == digest(str(files / "a.csv"))
    assert len({digest("a.csv"), digest("b.csv"), digest(["a.csv", "b.csv"])}) == 3
    assert digest(["a.csv", "b.csv"]) != digest(["b.csv", "a.csv"])
    before = digest("a.csv")
    (files / "a.csv").write_text("text,label\na1,x\na2,z\n")
    assert digest("a.csv") != before


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(DataError.__base__, match="the list of data files is empty"):
        texts([])


def test_plain_files_have_no_companions(files: Path) -> None:
    assert companion_splits("a.csv") == {}
    assert companion_splits(["a.csv"]) == {}
    assert companion_splits(["a.csv", "b.csv"]) == {}


def test_a_prepared_folder_fills_splits_and_columns(prepared: Path) -> None:
    spec = str(prepared)
    assert companion_splits(spec) == {"val": spec, "test": spec}
    assert texts(spec) == ["train"]
    assert texts(spec, "val", kind="csv") == ["val"]
    assert texts(spec, "predict") == ["test"]
    assert texts(spec, fields=Fields(text="topic")) == ["x"]
    assert texts([spec, spec]) == ["train", "train"]


def test_the_columns_of_a_prepared_folder_belong_to_its_digest(prepared: Path) -> None:
    before = digest(str(prepared))
    stated = json.loads((prepared / "prepare.json").read_text())
    stated["fields"]["text"] = "topic"
    (prepared / "prepare.json").write_text(json.dumps(stated))
    assert digest(str(prepared)) != before


def test_a_prepared_folder_without_the_split_says_what_it_has(prepared: Path) -> None:
    (prepared / "val.parquet").unlink()
    with pytest.raises(DataError, match=r"prepared has no val split; it has train, test\.$"):
        texts(str(prepared), "val")


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"fields": 3}', "\xff"])
def test_a_damaged_prepare_json_is_refused(content: str, prepared: Path) -> None:
    (prepared / "prepare.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError, match=r"prepare\.json does not say what its columns mean"):
        texts(str(prepared))


def test_a_file_whose_name_looks_like_a_scheme_is_a_file(files: Path) -> None:
    (files / "a.csv").rename(files / "data:a.csv")
    assert texts("data:a.csv") == ["a1", "a2"]


def test_a_failed_report_alone_is_told_apart_from_other_reports(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    report.write_text('{"verdict": "FAIL"}')
    with pytest.raises(DataError, match=r"no splits, as its verdict is FAIL; see .*report\.html"):
        open_source(str(tmp_path), "train", Fields(), TableFormat())
    for other in ('{"recipe": "int8"}', "[]", "{"):  # as of a bundle, or a torn one
        report.write_text(other)
        with pytest.raises(DataError, match="is a folder; name a file"):
            open_source(str(tmp_path), "train", Fields(), TableFormat())
