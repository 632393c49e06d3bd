"""The callbacks of every run, and how a user's own take their places."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    LearningRateMonitor,
    ModelCheckpoint,
    RichProgressBar,
    TQDMProgressBar,
)

from lightning_tune.cli import main
from lightning_tune.errors import ConfigError
from lightning_tune.models.checkpoints import read_checkpoint
from lightning_tune.schema import LabelSet
from lightning_tune.training.callbacks.checkpointing import BestCheckpoint
from lightning_tune.training.callbacks.evaluation import EvaluationReport
from lightning_tune.training.callbacks.find_batch import FindBatch
from lightning_tune.training.callbacks.find_lr import FindLR
from lightning_tune.training.callbacks.last_checkpoint import LastCheckpoint
from lightning_tune.training.callbacks.predictions import WritePredictions
from lightning_tune.training.callbacks.progress import EpochLines, Progress
from lightning_tune.training.callbacks.throughput import Throughput
from lightning_tune.training.defaults import PATIENCE, callbacks_of, default_callbacks
from lightning_tune.training.module import TextClassifier

LABELS = {
    "binary": LabelSet("binary", ("a", "b"), "b"),
    "multiclass": LabelSet("multiclass", ("a", "b", "c")),
    "multilabel": LabelSet("multilabel", ("a", "b")),
    "regression": LabelSet("regression", ()),
}
ALWAYS = {
    BestCheckpoint,
    EarlyStopping,
    EpochLines,
    EvaluationReport,
    FindBatch,
    FindLR,
    LastCheckpoint,
    LearningRateMonitor,
    Progress,
    Throughput,
    WritePredictions,
}


def module(kind: str = "binary", **settings) -> TextClassifier:
    return TextClassifier("none", LABELS[kind], **settings)


def test_a_run_has_all_of_them():
    assert {type(callback) for callback in default_callbacks(module())} == ALWAYS


@pytest.mark.parametrize(
    ("switch", "without"),
    [
        ("progress", {Progress}),
        ("checkpoints", {BestCheckpoint, LastCheckpoint}),
        ("rates", {LearningRateMonitor}),
    ],
)
def test_some_can_be_left_out(switch, without):
    found = {type(callback) for callback in default_callbacks(module(), **{switch: False})}
    assert found == ALWAYS - without


@pytest.mark.parametrize(
    ("kind", "metric", "monitor", "mode"),
    [
        ("binary", None, "val/accuracy", "max"),
        ("multiclass", None, "val/accuracy", "max"),
        ("multilabel", None, "val/f1_macro", "max"),
        ("regression", None, "val/spearman", "max"),
        ("regression", "mae", "val/mae", "min"),
        ("multiclass", "loss", "val/loss", "min"),
    ],
)
def test_early_stopping_and_best_checkpoint_watch_the_main_metric(kind, metric, monitor, mode):
    made = default_callbacks(module(kind, main_metric=metric))
    stopping = next(c for c in made if isinstance(c, EarlyStopping))
    best = next(c for c in made if isinstance(c, BestCheckpoint))
    assert (stopping.monitor, stopping.mode, stopping.patience) == (monitor, mode, PATIENCE)
    assert (best.monitor, best.mode) == (monitor, mode)


@pytest.mark.parametrize(
    ("own", "replaced"),
    [
        (EarlyStopping("val/loss", patience=9), EarlyStopping),
        (ModelCheckpoint(monitor="val/loss"), BestCheckpoint),
        (LearningRateMonitor("epoch"), LearningRateMonitor),
        (EvaluationReport(worst=1), EvaluationReport),
        (TQDMProgressBar(), Progress),
        (RichProgressBar(), Progress),
        (WritePredictions("a.csv"), WritePredictions),
    ],
)
def test_one_of_the_users_own_takes_the_place_of_a_default_of_its_kind(own, replaced):
    made = default_callbacks(module(), [own])
    assert made[0] is own
    assert [type(c) for c in made].count(replaced) == (type(own) is replaced)
    assert {type(c) for c in made[1:]} == ALWAYS - {replaced}


def test_one_of_another_kind_comes_on_top():
    own = Callback()
    assert {type(c) for c in default_callbacks(module(), [own])} == ALWAYS | {Callback}


def test_a_mistyped_metric_is_refused_with_the_nearest():
    with pytest.raises(ConfigError) as caught:
        default_callbacks(module(), [EarlyStopping("val/acuracy")])
    message = str(caught.value)
    assert message.startswith("EarlyStopping.monitor='val/acuracy' is not logged; choose from ")
    assert message.endswith(" Did you mean 'val/accuracy'?")


def test_a_subclass_may_log_what_it_likes():
    class Own(TextClassifier):
        """Logs more."""

    own = EarlyStopping("val/anything")
    assert own in default_callbacks(Own("none", LABELS["binary"]), [own])


def test_a_callback_in_a_config_takes_the_place_of_a_default(tmp_path, monkeypatch, tiny_backbone):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(tmp_path)
    rows = [f"film {n} is {('great', 'poor')[n % 2]},{('good', 'bad')[n % 2]}" for n in range(48)]
    Path("train.csv").write_text("\n".join(["text,label", *rows, ""]))
    Path("noting.py").write_text(
        "from pathlib import Path\n"
        "from lightning.pytorch import Callback\n"
        "from lightning_tune.training.defaults import callbacks_of\n"
        "class Note(Callback):\n"
        "    def __init__(self, file: str): self.file = file\n"
        "    def on_fit_end(self, trainer, pl_module):\n"
        '        names = [f\'{type(c).__name__} {getattr(c, "patience", "")}\'.strip()\n'
        "                 for c in callbacks_of(trainer)]\n"
        "        Path(self.file).write_text('\\n'.join([str(trainer.current_epoch), *names]))\n"
    )
    early = {"monitor": "val/loss", "patience": 1, "mode": "max", "min_delta": 9.0}
    callbacks = [
        {"class_path": "EarlyStopping", "init_args": early},
        {"class_path": "noting.Note", "init_args": {"file": "seen.txt"}},
    ]
    Path("own.yaml").write_text(yaml.safe_dump({"trainer": {"callbacks": callbacks}}))
    words = ["fit", "-c", "own.yaml", "--data.train=train.csv", "--data.max_length=32"]
    words += [f"--model.backbone={tiny_backbone('bert')}", "--trainer.accelerator=cpu"]
    assert main([*words, "--trainer.max_epochs=9", "--trainer.precision=32-true"]) == 0
    epochs, *names = Path("seen.txt").read_text().splitlines()
    assert int(epochs) == 2  # the loss never rises by 9: one epoch of patience, and it stops
    assert names.count("EarlyStopping 1") == 1
    assert sum(name.startswith("EarlyStopping") for name in names) == 1
    assert {"BestCheckpoint", "LastCheckpoint", "Throughput", "Note"} <= set(names)


def test_the_callbacks_of_a_trainer(train):
    trained = train()
    assert callbacks_of(trained.trainer) is trained.trainer.callbacks


def test_the_last_checkpoint_comes_after_all_that_it_holds(train):
    trained = train(callbacks=[LastCheckpoint(every_n_steps=1)])
    assert isinstance(callbacks_of(trained.trainer)[-1], LastCheckpoint)
    kept = read_checkpoint(trained.folder / "checkpoints" / "last.ckpt")["callbacks"]
    (best,) = (state for key, state in kept.items() if key.startswith("BestCheckpoint"))
    assert best["best_model_path"] == str(trained.best)
