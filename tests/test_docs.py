"""What docs/ shows works: examples run on a tiny encoder, flags exist, links lead somewhere."""

from __future__ import annotations

import csv
import json
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import yaml

from lightning_tune.cli import COMMANDS, main
from lightning_tune.commands.bench import bench
from lightning_tune.commands.dashboard import dashboard
from lightning_tune.commands.export import export
from lightning_tune.commands.label import label_texts
from lightning_tune.commands.merge import merge
from lightning_tune.commands.prepare import prepare
from lightning_tune.commands.review import review
from lightning_tune.commands.score import score
from lightning_tune.commands.settings import dotted_flags
from lightning_tune.commands.tour import tour
from lightning_tune.models.checkpoints import read_checkpoint
from lightning_tune_export.budgets import Budgets
from lightning_tune_export.recipe import shipped_recipes

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "README.zh-CN.md"]
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
QUICK = [
    "--data.max_length=32",
    "--trainer.max_epochs=1",
    "--trainer.limit_train_batches=10",
    "--trainer.limit_val_batches=2",
]


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language, without the indentation of a list item around them."""
    fences = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", text, flags=re.M | re.S)
    return [re.sub(rf"^{indent}", "", body, flags=re.M) for indent, body in fences]


def sections(page: str) -> dict[str, str]:
    """The parts of a page by heading."""
    parts = re.split(r"^## (.+)$", (ROOT / "docs" / page).read_text(encoding="utf-8"), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


EXAMPLES = {name: part for name, part in sections("extending.md").items() if blocks(part, "yaml")}


@pytest.fixture
def work(tmp_path, monkeypatch):
    """An empty folder, from which modules can be imported, with a token cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    yield tmp_path
    sys.modules.pop("mine", None)


def the_run(work: Path) -> Path:
    (run,) = (work / "runs").iterdir()
    return run


def stored(work: Path) -> dict:
    return read_checkpoint(the_run(work) / "checkpoints" / "best.ckpt")["hyper_parameters"]


def column(work: Path, name: str) -> list[str]:
    with (the_run(work) / "metrics.csv").open(newline="") as file:
        return [row[name] for row in csv.DictReader(file) if row[name]]


def check_objective(work):
    assert stored(work)["objective"] == {
        "class_path": "mine.ConfidencePenalty",
        "init_args": {"beta": 0.2},
    }


def check_metric(work):
    assert [0 <= float(value) <= 1 for value in column(work, "val/sure_mistakes")] == [True]
    metrics = json.loads((the_run(work) / "metrics.json").read_text())
    assert "val/sure_mistakes" in metrics


def check_callback(work):
    assert all(float(value) > 0 for value in column(work, "train/grad_norm"))


def check_logger(work):
    lines = (the_run(work) / "log.jsonl").read_text().splitlines()
    logged = [json.loads(line) for line in lines]
    assert any("val/accuracy" in values for values in logged)
    assert logged[-1]["split"] == "val"
    assert "accuracy" in logged[-1]


def check_data_module(work):
    config = yaml.safe_load((the_run(work) / "config.yaml").read_text())
    assert config["data"]["class_path"] == "mine.FromSQLite"
    assert len(stored(work)["labels"]["names"]) == 12


def check_model(work):
    assert stored(work)["momentum_decay"] == 0.01
    path = the_run(work) / "checkpoints" / "best.ckpt"
    loaded = sys.modules["mine"].WithNAdam.load_from_checkpoint(path)
    assert loaded.momentum_decay == 0.01
    flags = ["--model", "mine.WithNAdam", "--data.test", "builtin:support"]
    assert main(["test", "--ckpt_path", str(path), *flags]) == 0


CHECKS = {
    "An objective": check_objective,
    "A metric": check_metric,
    "A callback": check_callback,
    "A logger": check_logger,
    "A data module": check_data_module,
    "A model": check_model,
}


def test_each_example_of_extending_has_a_check():
    assert EXAMPLES.keys() == CHECKS.keys()


@pytest.mark.parametrize("name", CHECKS)
def test_an_extension_runs_as_the_page_shows_it(name, work, tiny_backbone):
    for block in blocks(EXAMPLES[name], "python"):
        file = re.match(r"# (\w+\.py)\n", block)[1]
        (work / file).write_text(block)
        if file == "make.py":
            exec(compile(block, file, "exec"), {})
    (config,) = blocks(EXAMPLES[name], "yaml")
    (work / "mine.yaml").write_text(config)
    backbone = f"--model.backbone={tiny_backbone('bert')}"
    assert main(["fit", "-c", "mine.yaml", backbone, *QUICK]) == 0
    CHECKS[name](work)


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
@pytest.mark.filterwarnings("ignore:.*in eval mode at the start of training.*")
def test_the_script_of_python_runs_from_data_to_answers(work, tiny_backbone):
    names: dict = {}
    source = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    for block in blocks(source, "python"):
        tiny = block.replace(MINILM, str(tiny_backbone("bert"))).replace(
            "max_epochs=8", "max_epochs=1"
        )
        exec(compile(tiny, "python.md", "exec"), names)
    run = work / names["RUN"]
    assert {"metrics.csv", "metrics.json", "report.html"} <= {file.name for file in run.iterdir()}
    assert [answer.label in names["data"].label_set.names for answer in names["answers"]] == [True]
    assert names["scores"].shape == (1, 12)
    with (work / "predictions.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 360


def commands() -> list:
    found = []
    for page in PAGES:
        for block in blocks(page.read_text(encoding="utf-8"), "sh"):
            for line in block.splitlines():
                words = shlex.split(line, comments=True)
                if "lightning_tune" in words and "-m" in words:
                    start = words.index("lightning_tune") + 1
                    found.append(
                        pytest.param(words[start:], id=f"{page.name}: {line.strip()[:70]}")
                    )
    return found


def flags_below(function, prefix: str) -> Iterator[str]:
    """The flags that the arguments of a function make, and the fields of dataclasses among them."""
    for name, hint in get_type_hints(function).items():
        yield f"{prefix}{name}"
        for kind in (hint, *get_args(hint)):
            if is_dataclass(kind):
                yield from flags_below(kind, f"{prefix}{name}.")


def flags_of(command: str) -> set[str]:
    functions = {
        "bench": bench,
        "dashboard": dashboard,
        "export": export,
        "label": label_texts,
        "merge": merge,
        "prepare": prepare,
        "review": review,
        "score": score,
        "tour": tour,
    }
    if command in functions:
        return set(flags_below(functions[command], "--"))
    own = {"--config", "--ckpt_path", "--model", "--data", "--output", "--print_config"}
    return own | set(dotted_flags()) if command in ("fit", "validate", "test", "predict") else set()


@pytest.mark.parametrize("words", commands())
def test_every_command_that_is_shown_exists_and_so_do_its_flags(words):
    command, *rest = words
    flags = {word.partition("=")[0] for word in rest if word.startswith("--")}
    lists = ("--trainer.logger.", "--trainer.callbacks.", "--model.objective.")
    in_a_list = {flag for flag in flags if flag.startswith(lists)}  # checked where they are parsed
    assert command in COMMANDS
    assert flags - in_a_list - flags_of(command) == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_to_a_file(page):
    links = re.findall(r"\]\((?!https?://|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def yaml_blocks() -> list:
    pages = [page for page in PAGES if page.name != "extending.md"]  # its examples are run
    found = [(page, block) for page in pages for block in blocks(page.read_text("utf-8"), "yaml")]
    return [pytest.param(block, id=f"{page.name} {at}") for at, (page, block) in enumerate(found)]


@pytest.mark.parametrize("block", yaml_blocks())
def test_every_yaml_of_a_page_has_keys_that_exist(block, work):
    (work / "page.yaml").write_text(block)
    with pytest.raises(SystemExit) as caught:
        main(["fit", "--model.backbone=tiny", "-c", "page.yaml", "--print_config"])
    assert caught.value.code == 0


def test_the_example_of_data_shows_what_it_says(work, tiny_backbone):
    names: dict = {}
    for block in blocks((ROOT / "docs" / "data.md").read_text(encoding="utf-8"), "python"):
        exec(block.replace(MINILM, str(tiny_backbone("bert"))), names)
    example = names["dm"].train_data[7]
    assert (example["target"], example["source"].rpartition(":")[2]) == (2, "9")


def test_the_example_of_quality_finds_what_it_planted():
    names: dict = {}
    for block in blocks((ROOT / "docs" / "quality.md").read_text(encoding="utf-8"), "python"):
        exec(block, names)
    assert names["found"].ranked()[0] == 0
    assert names["found"].suggestions[0] == "card"


def test_the_example_of_augmentation_makes_copies():
    names: dict = {}
    for block in blocks((ROOT / "docs" / "augmentation.md").read_text(encoding="utf-8"), "python"):
        exec(block, names)
    assert names["made"].counts["originals"] == 2
    assert names["made"].counts["copies"] == names["told"].asked > 0


def rows_of(page: str, heading: str) -> dict[str, list[str]]:
    """The rows of the table that begins with a heading, by their first cell."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    body = re.search(rf"^\| {re.escape(heading)}.*\n\|[-:| ]+\n((?:\|.*\n)+)", text, flags=re.M)[1]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in body.splitlines()]
    return {name: rest for name, *rest in cells}


def test_the_budgets_of_the_shipped_recipes_are_those_of_the_page():
    told = {name.strip("`"): budgets for name, budgets in rows_of("export.md", "recipe |").items()}
    stated = {}
    for name, path in shipped_recipes().items():
        budgets = yaml.safe_load(path.read_text(encoding="utf-8"))["budgets"]
        assert budgets.keys() <= {"points", "flips"}
        stated[name] = [str(budgets.get(key, "none")) for key in ("points", "flips")]
    assert told == stated


def test_the_defaults_of_budgets_are_those_of_the_page():
    for names, (defaults, _) in rows_of("export.md", "key | default |").items():
        keys = re.findall(r"budgets\.(\w+)", names)
        values = ["none" if each is None else str(each) for each in map(vars(Budgets()).get, keys)]
        told = defaults.split(", ") if ", " in defaults else [defaults] * len(keys)
        assert not keys or told == values
