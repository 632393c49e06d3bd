"""The card's own lines run without PyTorch and answer as Bundle does."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lightning_tune.cli import main
from lightning_tune.schema import LabelSet
from lightning_tune.serving.bundle import Bundle
from lightning_tune_export.card import _OTHER, _TEXT, python_lines

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


def test_its_command_runs_as_it_stands_and_again(exported, tmp_path, monkeypatch):
    shutil.copytree(exported("binary"), tmp_path / "bundle")
    (tmp_path / "new.csv").write_text("text\nthe film is great\n")
    card = (tmp_path / "bundle" / "README.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^python -m lightning_tune (score .*)$", card, flags=re.M)
    monkeypatch.chdir(tmp_path)
    assert [main(shlex.split(line)) for _ in range(2)] == [0, 0]


@pytest.mark.parametrize(
    ("task", "wanted"),
    [
        ("binary", "await classify(TEXT));"),
        ("multilabel", "await classify(TEXT, { top_k: null }));"),
        ("pairs", "await model(read(TEXT, { text_pair: OTHER }));"),
        ("regression", "await model(read(TEXT));"),
    ],
)
def test_its_javascript_fits_the_task(task, wanted, exported):
    """The pipeline of transformers.js reads no pairs, and its softmax makes 1 of any one number."""
    card = (exported(task) / "README.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"^```js\n(.*?)^```$", card, flags=re.M | re.S)
    quoted = lines.replace(f'"{_TEXT}"', "TEXT").replace(f'"{_OTHER}"', "OTHER")
    assert wanted in quoted
    assert ("pipeline" in lines) == (task in ("binary", "multilabel"))


@pytest.mark.parametrize(
    ("task", "says", "not_said"),
    [
        ("binary", "does not know the temperature:", "thresholds"),
        ("multilabel", "knows neither temperature nor thresholds:", "parcel"),
        ("regression", "`onnx/model_quantized.onnx`:", "temperature"),
    ],
)
def test_what_javascript_leaves_out_is_what_the_task_has(task, says, not_said, exported):
    card = (exported(task) / "README.md").read_text(encoding="utf-8")
    lead = " ".join(re.search(r"^With \[transformers\.js\].*?^```js", card, re.M | re.S)[0].split())
    assert says in lead
    assert not_said not in lead


@pytest.mark.parametrize(
    ("task", "says"),
    [
        ("binary", "a low probability is the only sign"),
        ("multilabel", "may get labels all the same, or none"),
        ("regression", "It answers with a number whatever the text is about; nothing shows"),
    ],
)
def test_its_limits_are_those_of_the_task(task, says, exported):
    assert says in (exported(task) / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("scales", ["dynamic", "static"])
def test_it_says_where_an_answer_depends_on_the_batch(scales, exported):
    other = {"dynamic": "static", "static": "dynamic"}[scales]
    words = [f"--recipe.quantize.{name}=false" for name in (other, "openvino")]
    card = (exported("binary", "int8", *words) / "README.md").read_text(encoding="utf-8")
    assert ("may be answered otherwise alone than beside others" in card) == (scales == "dynamic")
