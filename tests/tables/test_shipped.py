"""A file of the user's, or a shipped one by its bare name."""

from __future__ import annotations

import pytest

from lightning_tune.errors import ConfigError
from lightning_tune.tables.shipped import find_recipe_in


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    folder = tmp_path / "shipped"
    folder.mkdir()
    (folder / "strict.yaml").write_text("a: 1\n")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return folder


@pytest.mark.parametrize("name", ["strict", "strict.yaml", "there/strict.yaml"])
def test_a_shipped_recipe_is_found_by_its_name(shipped, name):
    assert find_recipe_in(shipped, name, written="there") == str(shipped / "strict.yaml")


def test_a_file_here_comes_first(shipped, tmp_path):
    (tmp_path / "here" / "strict").write_text("a: 2\n")
    assert find_recipe_in(shipped, "strict", written="there") == "strict"


@pytest.mark.parametrize("name", ["strikt", "elsewhere/strict.yaml"])
def test_another_name_is_refused_with_the_nearest(shipped, name):
    with pytest.raises(ConfigError, match=r"\(strict\)\. Did you mean 'strict'\?"):
        find_recipe_in(shipped, name, written="there")
