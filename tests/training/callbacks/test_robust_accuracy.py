"""Accuracy under attack as a part of test: what is attacked, counted, shown and kept back."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import lightning as L
import pytest
import torch
from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.strategies import FSDPStrategy

from lightning_tune.cli import main
from lightning_tune.errors import ConfigError, DataError
from lightning_tune.reports.intervals import share
from lightning_tune.training.attacks.embeddings import EmbeddingAttack
from lightning_tune.training.attacks.outcomes import Outcome
from lightning_tune.training.attacks.search import TextAttack
from lightning_tune.training.callbacks.evaluation import EvaluationReport
from lightning_tune.training.callbacks.robust_accuracy import RobustAccuracy
from lightning_tune.training.inference import LoadedClassifier, answering

QUICK = EmbeddingAttack(steps=3, restarts=2, radius=0.5)
CHEAP = TextAttack(queries=12, max_changed=0.5)
HUGE = EmbeddingAttack(steps=10, restarts=1, radius=100.0)
BEFORE, PGD, TEXT = "accuracy_before_attack", "accuracy_pgd", "accuracy_text_attack"


@pytest.fixture
def tested(train, write_task) -> Callable:
    """Return a function that tests a tiny model under attack, on the rows that it was fitted to.

    It answers at random: a tiny encoder that is really fitted answers all texts alike.
    """

    def run(kind="binary", callback=None, *, report=None, texts=None, **settings):
        callback = callback or RobustAccuracy(rows=None, pgd=QUICK, text=CHEAP)
        report = report or EvaluationReport()
        data = {"test": str(write_task(kind))} | settings.pop("data", {})
        settings["trainer"] = {"max_epochs": 1, "log_every_n_steps": 1} | settings.get(
            "trainer", {}
        )
        settings["model"] = {"lr": 1e-6}
        trained = train(kind, callbacks=[callback, report], data=data, **settings)
        assert callback.robustness is None  # it is no part of the training
        answer_at_random(trained)
        trained.trainer.test(trained.module, datamodule=trained.data, verbose=False)
        return trained, callback, report.evaluation

    return run


def answer_at_random(trained) -> None:
    """Give a model a large random head whose logits are 0 on average."""
    trained.data.setup("test")
    head = trained.module.classifier.encoder.classifier
    with torch.no_grad():
        head.weight.normal_(std=30.0, generator=torch.Generator().manual_seed(3))
        head.bias -= answers(trained)[0].mean(dim=0)


def answers(trained) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and labels of the test split, in the order of its rows, by a loop of one's own."""
    found = {}
    trained.module.eval()
    with torch.no_grad():
        for batch in trained.data.test_dataloader():
            told = zip(batch["index"], trained.module(batch), batch["labels"], strict=True)
            found |= {int(row): (logits, label) for row, logits, label in told}
    rows = [found[row] for row in sorted(found)]
    return torch.stack([one for one, _ in rows]), torch.stack([one for _, one in rows])


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_a_radius_of_zero_leaves_exactly_the_clean_accuracy(tested, kind):
    still = RobustAccuracy(rows=None, pgd=EmbeddingAttack(radius=0.0), text=None)
    trained, _, record = tested(kind, still)
    logits, labels = answers(trained)
    if kind == "multilabel":  # the whole set has to be right
        right = ((logits > 0) == (labels > 0.5)).all(dim=1)
    else:
        right = logits.argmax(dim=1) == labels
        assert record.metrics[PGD] == record.metrics["accuracy"]
    assert record.metrics[PGD] == record.metrics[BEFORE] == float(right.double().mean())
    assert record.intervals[PGD] == share(right.numpy())[1]
    assert TEXT not in record.metrics


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_an_attack_without_limits_leaves_nothing(tested, kind):
    _, callback, record = tested(kind, RobustAccuracy(rows=None, pgd=HUGE, text=None))
    assert record.metrics[BEFORE] > 0.0
    assert record.metrics[PGD] == 0.0
    assert callback.robustness.attacks[0].survived == 0


def test_what_is_measured_stands_in_metrics_report_and_log(tested):
    trained, _, record = tested()
    values = json.loads((trained.folder / "metrics.json").read_text())
    for name in (BEFORE, PGD, TEXT):
        assert values[f"test/{name}_low"] <= values[f"test/{name}"] <= values[f"test/{name}_high"]
        logged = float(trained.trainer.callback_metrics[f"test/{name}"])
        assert values[f"test/{name}"] == pytest.approx(logged)
    assert values[f"test/{TEXT}"] <= values[f"test/{BEFORE}"] == values["test/accuracy"]
    found = record.robustness
    assert (found.rows, found.right) == (48, round(48 * values[f"test/{BEFORE}"]))
    survived = {attack.metric: attack.survived / 48 for attack in found.attacks}
    assert survived == pytest.approx({PGD: values[f"test/{PGD}"], TEXT: values[f"test/{TEXT}"]})
    for name in ("report.md", "report.html"):
        assert "Robustness" in (trained.folder / name).read_text(encoding="utf-8")


def test_the_texts_that_broke_are_told_with_what_broke_them(tested):
    trained, _, record = tested()

    classify = answering(trained.module, trained.data.travelling())
    assert record.robustness.broken
    for one in record.robustness.broken:
        assert one.text == trained.data.test_data.text(one.row)[0]
        assert classify([one.text])[0].label == one.label
        assert classify([one.changed])[0].label == one.predicted != one.label
        assert one.words == len(one.changes) >= 1
        assert one.queries <= CHEAP.queries
        for change in one.changes:
            assert change.before in one.text
            assert one.changed[change.start :].startswith(change.after)
    fewest_first = [(one.words, one.queries, one.row) for one in record.robustness.broken]
    assert fewest_first == sorted(fewest_first)


def test_no_more_texts_are_listed_than_wanted(tested):
    _, callback, _ = tested(callback=RobustAccuracy(rows=None, pgd=None, text=CHEAP, examples=1))
    assert len(callback.robustness.broken) == 1
    assert callback.robustness.right - callback.robustness.attacks[0].survived > 1


def test_wrong_answers_cost_no_query_and_right_ones_no_more_than_the_budget(tested, monkeypatch):
    asked: list[str] = []
    scores = LoadedClassifier.scores

    def counted(self, texts, *rest, **settings):
        asked.extend(texts)
        return scores(self, texts, *rest, **settings)

    monkeypatch.setattr(LoadedClassifier, "scores", counted)
    kept: list[Outcome] = []
    attack = RobustAccuracy._attack
    monkeypatch.setattr(
        RobustAccuracy, "_attack", lambda *given: kept.extend(attack(*given)) or list(kept)
    )
    callback = RobustAccuracy(rows=None, pgd=None, text=CHEAP)
    tested("multiclass", callback)
    assert {outcome.right for outcome in kept} == {True, False}
    assert all(outcome.attempt is None for outcome in kept if not outcome.right)
    spent = [outcome.attempt.queries for outcome in kept if outcome.right]
    assert sum(spent) == len(asked)
    assert max(spent) <= CHEAP.queries


def test_the_same_seed_gives_the_same_record(tested):
    settings = {"rows": 20, "pgd": QUICK, "text": CHEAP}
    _, first, _ = tested(callback=RobustAccuracy(**settings), folder="first")
    _, second, _ = tested(callback=RobustAccuracy(**settings), folder="second")
    _, other, _ = tested(callback=RobustAccuracy(**settings, seed=1), folder="third")
    assert first.robustness == second.robustness
    assert first.robustness != other.robustness
    assert first.robustness.rows == 20


def test_rows_are_a_random_draw_in_their_order():
    draws = {seed: RobustAccuracy(rows=30, seed=seed)._draw(1000) for seed in (0, 1)}
    assert draws[0] == sorted(set(draws[0])) == RobustAccuracy(rows=30)._draw(1000)
    assert len(draws[0]) == 30
    assert draws[0] != draws[1]
    assert draws[0] != list(range(30))
    assert RobustAccuracy(rows=None)._draw(5) == RobustAccuracy(rows=9)._draw(5) == list(range(5))


@pytest.mark.parametrize("wanted", [True, False])
def test_the_validation_split_is_attacked_where_it_is_wanted(train, wanted):
    callback = RobustAccuracy(rows=None, pgd=QUICK, text=None, validation=wanted)
    report = EvaluationReport()
    trained = train(callbacks=[callback, report])
    trained.trainer.validate(trained.module, datamodule=trained.data, verbose=False)
    assert (PGD in report.evaluation.metrics) == wanted
    assert (report.evaluation.robustness is not None) == wanted
    values = json.loads((trained.folder / "metrics.json").read_text())
    assert (f"val/{PGD}" in values) == wanted


def test_texts_in_windows_and_pairs_are_attacked(tested):
    windows = {"truncation": "windows", "max_length": 12, "window_stride": 3, "max_windows": 4}
    _, _, record = tested(data=windows, callback=RobustAccuracy(rows=None, pgd=HUGE, text=CHEAP))
    assert record.metrics[PGD] == 0.0
    assert record.robustness.broken
    _, _, record = tested(data={"text_pair": "other"}, folder="pairs")
    for one in record.robustness.broken:
        assert one.text_pair == f"about film {one.row}"


def test_half_precision_attacks_too(tested):
    trainer = {"precision": "bf16-mixed"}
    _, _, record = tested(callback=RobustAccuracy(pgd=HUGE, text=CHEAP), trainer=trainer)
    assert record.metrics[PGD] == 0.0
    assert record.robustness.broken


def test_the_model_is_left_as_it_was(tested, train, write_task):
    trained = train(data={"test": str(write_task("binary"))})
    before = {name: value.clone() for name, value in trained.module.state_dict().items()}
    callback = RobustAccuracy(rows=8, pgd=QUICK, text=CHEAP)
    trained.trainer.callbacks.append(callback)
    trained.trainer.test(trained.module, datamodule=trained.data, verbose=False)
    assert callback.robustness.rows == 8
    after = trained.module.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert all(
        not weight.requires_grad or weight.grad is None for weight in trained.module.parameters()
    )


def test_a_file_of_synonyms_is_used(tested, tmp_path):
    alike = {"great", "worst", "odd", "slow", "film", "movie", "story", "work", "is", "was"}
    (tmp_path / "words.txt").write_text(" ".join(sorted(alike)))
    words = TextAttack(edits=(), synonyms=str(tmp_path / "words.txt"), max_changed=1.0)
    _, _, record = tested(callback=RobustAccuracy(rows=None, pgd=None, text=words))
    assert record.robustness.broken
    pairs = {
        (change.before, change.after) for one in record.robustness.broken for change in one.changes
    }
    assert {word for pair in pairs for word in pair} <= alike


def test_a_missing_file_of_synonyms_is_told_before_any_work(tested):
    callback = RobustAccuracy(text=TextAttack(synonyms="none.txt"))
    with pytest.raises(DataError, match=r"none\.txt does not exist"):
        tested(callback=callback)


class Sink(Logger):
    """A tracker that keeps what it is sent."""

    name, version, save_dir = "sink", 0, None

    def __init__(self, log_texts=False):
        super().__init__()
        self.log_texts = log_texts
        self.records = []

    def log_metrics(self, metrics, step=None): ...

    def log_hyperparams(self, params, *args, **kwargs): ...

    def log_evaluation(self, record, table):
        self.records.append(record)


@pytest.mark.parametrize("log_texts", [True, False])
def test_texts_reach_a_tracker_only_if_it_asks(tested, log_texts):
    sink = Sink(log_texts)
    _, _, record = tested(trainer={"logger": sink})
    assert record.robustness.broken[0].changed is not None
    sent = sink.records[-1]
    assert sent.metrics[TEXT] == record.metrics[TEXT]
    assert ("film" in json.dumps(sent.to_dict()["robustness"])) == log_texts


def test_texts_can_be_kept_out_of_the_report(tested):
    trained, _, record = tested(report=EvaluationReport(texts=False))
    assert record.robustness.broken
    for name in ("report.json", "report.md", "report.html"):
        assert "film" not in (trained.folder / name).read_text(encoding="utf-8")


def test_a_dry_run_attacks_its_batch_and_writes_nothing(train, write_task):
    callback = RobustAccuracy(rows=4, pgd=QUICK, text=CHEAP)
    trained = train(data={"test": str(write_task("binary"))})
    dry = L.Trainer(
        accelerator="cpu",
        fast_dev_run=True,
        logger=False,
        callbacks=[callback],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    dry.test(trained.module, datamodule=trained.data, verbose=False)
    assert callback.robustness.rows == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rows": 0}, "rows=0 is below 1"),
        ({"examples": -1}, "examples=-1 is below 0"),
        ({"seed": -1}, "seed=-1 is below 0"),
        ({"batch_tokens": 0}, "batch_tokens=0 is below 1"),
        ({"pgd": None, "text": None}, "leave one attack"),
    ],
)
def test_settings_out_of_range_are_refused_in_one_line(settings, message):
    with pytest.raises(ConfigError, match=message) as caught:
        RobustAccuracy(**settings)
    assert "\n" not in str(caught.value)


def test_a_regression_is_refused_before_it_is_trained(train):
    with pytest.raises(ConfigError, match="a regression has scores; leave it out"):
        train("regression", callbacks=[RobustAccuracy()])


def test_split_weights_and_foreign_data_are_refused(train):
    trained = train()
    trainer = SimpleNamespace(strategy=FSDPStrategy(), datamodule=trained.data)
    with pytest.raises(ConfigError, match="FSDPStrategy splits them"):
        RobustAccuracy().setup(trainer, trained.module, "test")
    trainer = SimpleNamespace(strategy=trained.trainer.strategy, datamodule=None)
    with pytest.raises(ConfigError, match="no TextDataModule is there"):
        RobustAccuracy().setup(trainer, trained.module, "test")


FLAGS = [
    "-c=robust",
    "--data.test=test.csv",
    "--trainer.callbacks.pgd.steps=2",
    "--trainer.callbacks.text.queries=8",
    "--trainer.accelerator=cpu",
    "--trainer.precision=32-true",
]


def test_the_command_line_attacks_and_shows_it(work, tiny_fit, capsys):
    assert main(tiny_fit) == 0
    capsys.readouterr()
    (run,) = Path("runs").iterdir()
    assert main(["test", "--ckpt_path=best", *FLAGS, "--trainer.callbacks.rows=10"]) == 0
    shown = capsys.readouterr().out
    values = json.loads((run / "metrics.json").read_text())
    assert {f"test/{name}_low" for name in (BEFORE, PGD, TEXT)} <= values.keys()
    assert "PGD on the embeddings" in shown
    assert "right answers hold" in shown
    record = json.loads((run / "report.json").read_text())["robustness"]
    assert record["rows"] == 10
    assert [attack["details"].get("steps") for attack in record["attacks"]] == [2, None]


def test_the_command_line_takes_it_by_its_bare_name(work, tiny_fit, capsys):
    assert main(tiny_fit) == 0
    words = ["--trainer.callbacks+=RobustAccuracy", "--trainer.callbacks.rows", "5"]
    words += ["--trainer.callbacks.text", "null", "--trainer.callbacks.pgd.radius", "0.2"]
    assert main(["test", "--ckpt_path=best", "--data.test=test.csv", *words]) == 0
    (run,) = Path("runs").iterdir()
    (attack,) = json.loads((run / "report.json").read_text())["robustness"]["attacks"]
    assert attack["details"]["radius"] == 0.2
    capsys.readouterr()


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--trainer.callbacks.rowz=5", "rowz"),
        ("--trainer.callbacks.pgd.radius=-1", "pgd.radius=-1"),
        ("--trainer.callbacks.pgd.norm=l3", "l2_token"),
    ],
)
def test_the_command_line_refuses_wrong_settings_in_one_line(work, tiny_fit, capsys, flag, message):
    assert main(tiny_fit) == 0
    capsys.readouterr()
    assert main(["test", "--ckpt_path=best", "-c=robust", "--data.test=test.csv", flag]) == 2
    told = capsys.readouterr().err.strip()
    assert message in told
    assert "\n" not in told


def test_two_processes_find_what_one_finds(work, tiny_fit):
    assert main(tiny_fit) == 0
    (run,) = Path("runs").iterdir()
    found = []
    for more in ([], ["--trainer.devices=2", "--trainer.strategy=ddp"]):
        words = ["test", "--ckpt_path=best", *FLAGS, *more]
        done = subprocess.run(
            [sys.executable, "-m", "lightning_tune", *words],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        found.append(json.loads((run / "report.json").read_text())["robustness"])
    assert found[0]["rows"] == 24
    assert found[0] == found[1]
