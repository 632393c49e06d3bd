"""Every shipped config: its header, its keys, and a short run on data in its own layout."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from lightning_tune.cli import main
from lightning_tune.commands.settings import shipped_configs
from lightning_tune.models.checkpoints import PACKAGE_KEY, read_checkpoint

TRACKERS = ("tensorboard", "wandb")
# For any run: they train nothing by themselves.
OVERLAYS = (*TRACKERS, "robust", "trainer/ddp", "trainer/fsdp")
RECIPES = sorted(shipped_configs().keys() - set(OVERLAYS))

GOOD = ("great", "love", "best", "good")
BAD = ("worst", "poor", "wrong", "bad")


def sentences(count: int) -> Iterator[tuple[int, str, str]]:
    """Yield number, text and another text: one kind of words in even rows, another in odd ones."""
    for row in range(count):
        word = (GOOD, BAD)[row % 2][row // 2 % 4]
        yield row, f"the film {row} is {word}", f"we think that film {row} was {word}"


def tab_separated(count: int) -> str:
    return "".join(f"{text}\t{row % 2}\n" for row, text, _ in sentences(count))


def chinese(count: int) -> str:
    texts = (("很好", "positive"), ("太差", "negative"))
    lines = (f"第{row}家酒店{texts[row % 2][0]}\t{texts[row % 2][1]}" for row in range(count))
    return "\n".join(lines) + "\n"


def banking(count: int) -> str:
    names = ("card_arrival", "lost_or_stolen_card", "exchange_rate")
    rows = (
        f'"{text}, ""please"" help {row % 3}",{names[row % 3]}' for row, text, _ in sentences(count)
    )
    return "\r\n".join(["text,category", *rows]) + "\r\n"


def emotions(count: int) -> str:
    labels = ("0", "3,27", "27", "1,3")
    lines = (f'"{text}\t{labels[row % 4]}\teb{row:05}' for row, text, _ in sentences(count))
    return "\n".join(lines) + "\n"


def glue_pairs(count: int) -> str:
    header = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String"
    lines = (
        f'{row % 2}\t{row}\t{row + 999}\t" {text}\t{other}' for row, text, other in sentences(count)
    )
    return "\ufeff" + "\r\n".join([header, *lines]) + "\r\n"


def glue_scores(count: int) -> str:
    header = (
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore"
    )
    lines = (
        f"{row}\tmain\tMSRvid\t2012\t{row:04}\tnone\tnone\t{text}\t{other}\t{row % 6 * 0.9:.3f}"
        for row, text, other in sentences(count)
    )
    return "\n".join([header, *lines]) + "\n"


def reviews(count: int) -> str:
    rows = (
        f'"{text}. {(other + ". ") * 6}",{("pos", "neg")[row % 2]}'
        for row, text, other in sentences(count)
    )
    return "\n".join(["text,label", *rows]) + "\n"


def phrases(count: int) -> str:
    labels = ("positive", "negative", "neutral")
    lines = [
        f"{text} says Se\u00f1or N\u00e4k\u00f6 .@{labels[row % 3]}"
        for row, text, _ in sentences(count)
    ]
    return "\n".join([*lines, "a line without a label"]) + "\n"


@dataclass(frozen=True)
class Layout:
    """How the data of a config is laid out, and what comes out of it.

    Args:
        write: Returns the text of a file of so many rows.
        files: Name of the file of each split.
        kind: The task kind that is recognised.
        names: The label set, or None where it is not looked at.
        encoding: Of the files.
        flags: What differs on a tiny encoder.
        skipped: Rows of each file that are left out.
    """

    write: Callable[[int], str] | None
    files: dict[str, str]
    kind: str
    names: Sequence[str] | None = None
    encoding: str = "utf-8"
    flags: Sequence[str] = ()
    skipped: int = 0
    rows: dict[str, int] = field(default_factory=lambda: {"train": 48, "val": 16, "test": 16})


SPLITS = {"train": "train.tsv", "val": "dev.tsv", "test": "test.tsv"}
LAYOUTS = {
    "article": Layout(tab_separated, SPLITS, "binary", ["0", "1"]),
    "banking77": Layout(
        banking,
        {"train": "train.csv", "test": "test.csv"},
        "multiclass",
        ["card_arrival", "exchange_rate", "lost_or_stolen_card"],
    ),
    "banking77_lora": Layout(
        banking,
        {"train": "train.csv", "test": "test.csv"},
        "multiclass",
        ["card_arrival", "exchange_rate", "lost_or_stolen_card"],
    ),
    "chnsenticorp": Layout(
        chinese, {"train": "train.tsv", "test": "dev.tsv"}, "binary", ["negative", "positive"]
    ),
    "financial_phrases": Layout(
        phrases,
        {"train": "Sentences_75Agree.txt"},
        "multiclass",
        ["negative", "neutral", "positive"],
        encoding="latin-1",
        skipped=1,
    ),
    "goemotions": Layout(emotions, SPLITS, "multilabel", ["0", "1", "27", "3"]),
    "imdb": Layout(
        reviews,
        {"train": "train.csv", "test": "test.csv"},
        "binary",
        ["neg", "pos"],
        flags=["--data.window_stride=4"],
    ),
    "mrpc": Layout(
        glue_pairs,
        {"train": "train.tsv", "val": "dev.tsv", "test": "msr_paraphrase_test.txt"},
        "binary",
        ["0", "1"],
    ),
    "quickstart": Layout(None, {}, "multiclass", flags=["--trainer.limit_train_batches=2"]),
    "sst2": Layout(tab_separated, SPLITS, "binary", ["0", "1"]),
    "stsb": Layout(glue_scores, {"train": "train.tsv", "test": "dev.tsv"}, "regression", []),
}


@pytest.fixture
def work(tmp_path, monkeypatch) -> Path:
    """An empty folder to work in; the cache is inside it too, and W&B has no account."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    return tmp_path


def header(name: str) -> str:
    """Return the comment that a config opens with, without its marks."""
    lines = shipped_configs()[name].read_text(encoding="utf-8").splitlines()
    block = []
    for line in lines:
        if not line.startswith("#"):
            break
        block.append(line[1:].removeprefix(" "))
    return "\n".join(block)


def command(name: str) -> list[str]:
    """Return the words of the first command in a config's header."""
    line, *_ = re.findall(r"^ +python -m lightning_tune (.*)$", header(name), re.MULTILINE)
    return line.split()


def test_each_config_has_a_layout_here():
    assert set(LAYOUTS) == set(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_a_header_tells_purpose_command_result_and_hardware(name):
    text = header(name)
    assert re.match(r"[A-Z].{20,}", text), "the first line says what the config does"
    assert command(name)[:3] == ["fit", "-c", name]
    measured = re.search(r"Expected, [^:]+: \S", text) and re.search(r"Measured on .+: \S", text)
    assert measured or "Never run with its own backbone" in text


@pytest.mark.parametrize("name", RECIPES)
def test_every_figure_of_a_header_is_filled_in(name):
    assert not re.findall(r"@\w+@", header(name))


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_header_of_an_overlay_tells_purpose_and_command(name):
    assert re.match(r"[A-Z].{20,}", header(name))
    start = ["test", "--ckpt_path", "best"] if name == "robust" else ["fit", "-c", "quickstart"]
    assert command(name) == [*start, "-c", name]


@pytest.mark.parametrize("name", RECIPES)
def test_a_config_holds_only_what_differs_from_the_defaults(name):
    values = yaml.safe_load(shipped_configs()[name].read_text(encoding="utf-8"))
    assert set(values) == {"seed_everything", "data", "model", "trainer"}


@pytest.mark.parametrize("name", RECIPES)
def test_a_config_trains_on_data_in_its_own_layout(name, work, tiny_backbone, capsys):
    layout = LAYOUTS[name]
    for split, file in layout.files.items():
        assert layout.write is not None
        text = layout.write(layout.rows[split])
        Path(file).write_bytes(text.encode(layout.encoding))
    words = command(name)
    named = dict(zip(words[3::2], words[4::2], strict=True))
    assert named == {f"--data.{split}": file for split, file in layout.files.items()}
    assert (
        main(
            [
                *words,
                f"--model.backbone={tiny_backbone('bert')}",
                "--data.max_length=24",
                "--data.batch_size=8",
                "--trainer.max_epochs=1",
                "--trainer.accelerator=cpu",
                "--trainer.precision=32-true",
                *layout.flags,
            ]
        )
        == 0
    )
    (run,) = Path("runs").iterdir()
    assert run.name.startswith(f"{name}-")
    ours = read_checkpoint(run / "checkpoints" / "best.ckpt")[PACKAGE_KEY]
    assert ours["labels"]["kind"] == layout.kind
    assert layout.names is None or list(ours["labels"]["names"]) == list(layout.names)
    summary = json.loads((run / "report.json").read_text(encoding="utf-8"))["data_summary"]
    wanted = set(layout.files) or {"test"}
    assert summary.keys() & {"train", "val", "test"} == wanted | {"train", "val"}
    if layout.files:
        held_out = 0 if "val" in layout.files else summary["val"]["rows"]
        assert summary["train"]["rows"] + held_out == layout.rows["train"]
        assert summary["train"]["bad_rows"] == layout.skipped
    capsys.readouterr()


def test_imdb_reads_its_texts_in_windows(work, tiny_backbone, capsys):
    Path("train.csv").write_text(reviews(48))
    flags = ["--data.max_length=24", "--data.window_stride=4", "--trainer.max_epochs=1"]
    words = ["fit", "-c", "imdb", "--data.train=train.csv", *flags]
    main([*words, f"--model.backbone={tiny_backbone('bert')}", "--trainer.accelerator=cpu"])
    (run,) = Path("runs").iterdir()
    ours = read_checkpoint(run / "checkpoints" / "best.ckpt")[PACKAGE_KEY]
    assert ours["data"]["truncation"] == "windows"
    assert ours["data"]["max_windows"] == 3
    capsys.readouterr()


@pytest.mark.parametrize("overlay", TRACKERS)
def test_an_overlay_adds_its_logger_to_a_recipe(overlay, work, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["fit", "-c", "quickstart", "-c", overlay, "--print_config"])
    assert caught.value.code == 0
    config = yaml.safe_load(capsys.readouterr().out)
    (sink,) = config["trainer"]["logger"]
    added = yaml.safe_load(shipped_configs()[overlay].read_text())["trainer"]["logger+"]
    assert sink["class_path"] == added[0]["class_path"]
    assert config["data"]["init_args"]["train"] == "builtin:support"
    assert not (work / "runs").exists()


@pytest.mark.parametrize("overlay", ["trainer/ddp", "trainer/fsdp"])
def test_the_settings_of_several_devices_train_two_ranks_and_find_their_runs_again(
    work, tiny_backbone, overlay
):
    words = [
        *("-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "lightning_tune", "fit"),
        *("--data.train=builtin:support", "-c", overlay, "--data.max_length=16"),
        f"--model.backbone={tiny_backbone('bert')}",
        *("--trainer.accelerator=cpu", "--trainer.devices=2", "--trainer.limit_train_batches=3"),
        *("--trainer.limit_val_batches=2", "--ckpt_path=auto"),
    ]
    for epochs in (1, 2):
        done = subprocess.run(
            [sys.executable, *words, f"--trainer.max_epochs={epochs}"],
            cwd=work,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
    (run,) = (work / "runs").iterdir()
    assert read_checkpoint(run / "checkpoints" / "last.ckpt")["global_step"] == 6


def test_the_job_of_a_cluster_goes_on_by_the_same_command():
    folder = shipped_configs()["quickstart"].parent / "cluster"
    script = (folder / "slurm.sbatch").read_text()
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
    assert "#SBATCH --signal=USR1@" in script
    job = yaml.safe_load((folder / "pytorchjob.yaml").read_text())
    specs = job["spec"]["pytorchReplicaSpecs"]
    (container,) = specs["Master"]["template"]["spec"]["containers"]
    assert specs["Worker"] == specs["Master"]
    assert "--ckpt_path=auto" in container["command"]
    assert "--ckpt_path auto" in script
