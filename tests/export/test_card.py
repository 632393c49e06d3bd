"""The card's own lines run without PyTorch and answer as Bundle does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lightning_tune.schema import LabelSet
from lightning_tune.serving.bundle import Bundle
from lightning_tune_export.card import python_lines

TASKS = ("binary", "pairs", "multilabel", "regression")
SHORT = ["the film is great", "the film is worst and slow", "odd"]
GUARD = "import sys; sys.modules.update(dict.fromkeys(['torch', 'transformers', 'lightning']))\n"


def lines_of(card: str) -> str:
    """The first Python block of a card, as it stands there."""
    return re.search(r"^```python\n(.*?)^```$", card, flags=re.M | re.S)[1]


def run_lines(folder: Path, texts: list[str], others: list[str] | None) -> list:
    """Run the card's block in the bundle's folder, with texts of ours in it."""
    source = lines_of((folder / "README.md").read_text(encoding="utf-8"))
    given = re.search(r"^texts.*$", source, flags=re.M)[0]
    values = f"texts, others = {texts!r}, {others!r}" if others else f"texts = {texts!r}"
    source = GUARD + source.replace(given, values).replace("print(", "print(*", 1)
    source = source.replace("print(*", "import json; print(json.dumps(").rstrip() + ")\n"
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("task", TASKS)
def test_its_lines_answer_as_the_bundle_does(task, exported):
    folder = exported(task)
    others = ["we saw it", "about film 3", "no"] if task == "pairs" else None
    found = run_lines(folder, SHORT, others)
    bundle = Bundle(folder)
    # One batch in both: int8 scales follow the batch.
    expected = [answer.label for answer in bundle(SHORT, others)]
    if task == "regression":
        assert np.abs(np.array(found) - np.array(expected)).max() < 1e-4
    else:
        assert [tuple(one) if isinstance(one, list) else one for one in found] == expected


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "regression"])
def test_the_lines_are_at_most_a_dozen_and_the_imports(kind):
    names = {"regression": (), "binary": ("a", "b")}.get(kind, ("a", "b", "c"))
    lines = python_lines(LabelSet(kind, names), pairs=False).splitlines()
    assert len([line for line in lines if "import" not in line]) <= 12
    assert max(map(len, lines)) <= 100


def test_a_hostile_label_cannot_format_the_card(exported):
    card = (exported("multilabel") / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\npipeline_tag: text-classification\n")
    assert "Labels: bad, good, odd." in card
