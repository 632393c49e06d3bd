"""The report: every key that it holds stands in docs/prepare.md, and no text of the data does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lightning_tune.cli import main
from lightning_tune.prepare.limits import Limits
from lightning_tune.prepare.recipe import Recipe

PAGE = (Path(__file__).parents[3] / "docs" / "prepare.md").read_text(encoding="utf-8")
SECRET = "ann.secret@example.org"


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("report")
    rows = [f"{'good' if n % 2 else 'bad'} film {n} {SECRET},{'pn'[n % 2]}" for n in range(90)]
    (folder / "raw.csv").write_text("\n".join(["text,label", *rows, ",p", f"{SECRET},"]))
    (folder / "test.csv").write_text("\n".join(["text,label", *rows[:3], "new,p"]))
    words = [f"--input={folder / 'raw.csv'}", f"--test={folder / 'test.csv'}"]
    near = "--recipe.near=null"  # the rows differ in a number alone
    assert main(["prepare", *words, near, f"--output={folder / 'out'}"]) == 0
    text = (folder / "out" / "report.md").read_text(encoding="utf-8")
    assert (folder / "out" / "dropped.parquet").read_bytes().find(SECRET.encode()) < 0
    return {"json": json.loads((folder / "out" / "report.json").read_text()), "markdown": text}


def test_every_key_of_the_report_is_documented(told):
    (section,) = re.findall(r"^## report\.json\n(.*)\Z", PAGE, flags=re.M | re.S)
    named = set(re.findall(r"`([a-z_.0-9]+)`", section))
    keys = set(told["json"])
    for parent in ("duplicates", "leaks"):
        keys = keys - {parent} | {f"{parent}.{name}" for name in told["json"][parent]}
    assert keys - named == set()


def leaves(values: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(values, dict):
        for name, value in values.items():
            yield from leaves(value, f"{prefix}{name}.")
    else:
        yield prefix.rstrip(".")


def test_every_setting_of_a_recipe_is_documented():
    from dataclasses import asdict

    recipe = asdict(Recipe())
    names = {name for name in leaves({"clean": recipe["clean"], "split": recipe["split"]})}
    names |= {f"duplicates.{name}" for name in recipe["duplicates"]}
    assert {name for name in names if f"`{name}`" not in PAGE} == set()
    assert {name for name in vars(Limits()) if f"`{name}`" not in PAGE} == set()
    assert {name for name in recipe if f"`{name}" not in PAGE and f"{name}:" not in PAGE} == set()


def test_no_text_of_the_data_stands_in_the_report(told):
    assert SECRET not in json.dumps(told["json"])
    assert "secret" not in told["markdown"]


def test_the_markdown_shows_the_verdict_and_each_step(told):
    for name in ("WARN", "collect", "clean", "duplicates", "leaks", "split", "the text is missing"):
        assert name in told["markdown"]


def test_sources_say_what_was_read_and_kept(told):
    train, test = told["json"]["sources"]
    assert (train["read"], test["read"], test["kept"]) == (92, 4, 4)
    assert train["share"] + test["share"] == pytest.approx(1, abs=1e-5)
    assert told["json"]["rows"]["read"] == 96
