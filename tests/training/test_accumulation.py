"""A step of several batches has the gradient of one large batch, whatever their sizes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import lightning as L
import pytest
import torch

from lightning_tune.cli import main
from lightning_tune.data.batching import BatchSettings, BucketSampler
from lightning_tune.models.checkpoints import PACKAGE_KEY, read_checkpoint
from lightning_tune.training.accumulation import example_share

SGD = {
    "lr": 0.1,
    "optimizer": {"name": "sgd", "momentum": 0.0, "weight_decay": 0.0},
    "schedule": {"name": "constant", "warmup": 0},
    "dropout": {"hidden": 0.0, "attention": 0.0, "classifier": 0.0},
}
ONE_STEP = {"max_epochs": 1, "gradient_clip_val": None}


class Rows(L.Callback):
    """Notes the rows of each optimizer step, and the gradients before it."""

    def __init__(self):
        self.steps, self.gradients, self._rows = [], [], []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        grads = [p.grad.flatten().clone() for p in pl_module.parameters()]
        self.gradients.append(torch.cat(grads))

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self._rows += batch["index"].tolist()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step > len(self.steps):
            self.steps.append(sorted(self._rows))
            self._rows = []


def gradient_of(trained, rows) -> torch.Tensor:
    """The gradient of the mean loss over some rows, in one batch, with the weights before."""
    loader = trained.data.train_dataloader()
    places = {int(row): at for at, row in enumerate(trained.data.train_data.rows)}
    batch = loader.dataset[[places[row] for row in rows]]
    module = trained.module
    module.train()
    module.zero_grad()
    loss, _ = module.objective(module.classifier, batch, module.loss)
    loss.backward()
    return torch.cat([p.grad.flatten() for p in module.parameters()])


@pytest.mark.parametrize(
    "data",
    [
        {"batch_size": 4, "effective_batch": 12, "val_share": 0.25},  # 36 rows: 3 whole steps
        {"batch_size": 8, "effective_batch": 24, "val_share": 0.25},  # 4 are over
        {"batch_size": 5, "effective_batch": 10, "val_share": 0.25},  # a last step of one batch
        {"batch_tokens": 60, "effective_batch": 12, "val_share": 0.25},  # batches differ in size
    ],
)
def test_each_example_of_a_step_counts_alike(train, data):
    """Weights do not move, so that every step's gradient can be computed again at the end."""
    seen = Rows()
    model = SGD | {"lr": 1e-30}
    trained = train(callbacks=[seen], data=data, model=model, trainer=ONE_STEP)
    assert sorted(row for step in seen.steps for row in step) == sorted(
        int(row) for row in trained.data.train_data.rows
    )
    assert max(map(len, seen.steps)) <= data["effective_batch"] * 1.5
    for rows, found in zip(seen.steps, seen.gradients, strict=True):
        torch.testing.assert_close(found, gradient_of(trained, rows), rtol=1e-3, atol=1e-6)


def test_whole_batches_train_like_the_large_batch(train):
    """Four batches of 4 under SGD: the weights of a step on 16."""
    seen = Rows()
    small = train(
        callbacks=[seen],
        data={"batch_size": 4, "effective_batch": 16},
        model=SGD,
        trainer=ONE_STEP | {"limit_train_batches": 4},
    )
    assert small.trainer.global_step == 1
    large = train(
        data={"batch_size": 16}, model=SGD | {"lr": 1e-30}, trainer=ONE_STEP, folder="large"
    )
    assert len(seen.steps[0]) == 16
    before = torch.cat([p.detach().flatten() for p in large.module.parameters()])
    after = torch.cat([p.detach().flatten() for p in small.module.parameters()])
    expected = before - 0.1 * gradient_of(large, seen.steps[0])
    torch.testing.assert_close(after, expected, rtol=1e-4, atol=1e-6)


def test_unequal_batches_count_alike_where_no_effective_batch_is_stated(train):
    """Lightning's own way: the mean of the batches' means."""
    seen = Rows()
    trained = train(
        callbacks=[seen],
        data={"batch_size": 8},
        model=SGD | {"lr": 1e-30},
        trainer=ONE_STEP | {"accumulate_grad_batches": 5},
    )
    (rows,) = seen.steps
    whole = gradient_of(trained, rows)
    assert not torch.allclose(seen.gradients[0], whole, rtol=1e-3, atol=1e-6)


def test_the_epoch_that_is_cut_short_counts_what_it_sees(train):
    seen = Rows()
    trained = train(
        callbacks=[seen],
        data={"batch_size": 4, "effective_batch": 12},
        model=SGD | {"lr": 1e-30},
        trainer=ONE_STEP | {"limit_train_batches": 5},
    )
    assert [len(step) for step in seen.steps] == [12, 8]
    expected = gradient_of(trained, seen.steps[1])
    torch.testing.assert_close(seen.gradients[1], expected, rtol=1e-3, atol=1e-6)


def test_the_number_of_examples_of_a_step_covers_all_ranks():
    settings = BatchSettings(size=4)
    samplers = [
        BucketSampler(range(1, 31), settings=settings, shuffle=True, num_replicas=2, rank=rank)
        for rank in (0, 1)
    ]
    limit = len(samplers[0])
    for batches in (1, 2, 3):
        plans = [[len(rows) for rows in sampler] for sampler in samplers]
        for step in range(-(-limit // batches)):
            by_hand = sum(
                size for plan in plans for size in plan[step * batches : (step + 1) * batches]
            )
            assert {s.examples_of_step(step, batches, limit) for s in samplers} == {by_hand}
    assert samplers[0].examples_of_step(1, 2, 3) == sum(plan[2] for plan in plans)


def test_equal_tokens_say_what_they_make_of_it(train, capsys):
    trained = train(data={"batch_tokens": 60, "effective_batch": 12})
    batches = trained.trainer.num_training_batches
    mean = trained.trainer.accumulate_grad_batches * 36 / batches
    assert f"{mean:.1f} examples on average (data.effective_batch=12" in capsys.readouterr().out
    assert mean == pytest.approx(12, rel=0.3)


def test_the_command_line_refuses_before_a_folder_is_made(work, tiny_fit, capsys):
    assert main([*tiny_fit, "--data.effective_batch=20"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: data.effective_batch=20 is no multiple of the 8 examples")
    assert message.count("\n") == 1
    assert not Path("runs").exists() or not any(Path("runs").iterdir())
    assert (
        main([*tiny_fit, "--data.effective_batch=16", "--trainer.accumulate_grad_batches=3"]) == 2
    )
    assert "contradicts data.effective_batch=16, which takes 2" in capsys.readouterr().err


def test_a_resumed_run_keeps_it(work, tiny_fit):
    assert main([*tiny_fit, "--data.effective_batch=16"]) == 0
    (run,) = Path("runs").iterdir()
    last = run / "checkpoints" / "last.ckpt"
    assert read_checkpoint(last)["global_step"] == 6  # three steps of two batches, twice
    assert main(["fit", "--ckpt_path=last", "--trainer.max_epochs=3"]) == 0
    assert read_checkpoint(last)["global_step"] == 9


WATCH = '''
from pathlib import Path

import lightning as L
import torch


class Keep(L.Callback):
    """Keeps the gradients of the first step, and the rows of both ranks in it."""

    rows: list[int] = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == 0:
            self.rows = [*self.rows, *batch["index"].tolist()]

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        if trainer.global_step > 0:
            return
        grads = torch.cat([p.grad.flatten() for p in pl_module.parameters()])
        name = f"{trainer.world_size}-{trainer.global_rank}"
        torch.save({"grads": grads, "rows": self.rows}, f"{name}.pt")
'''


def test_two_ranks_make_the_step_of_one(work, tiny_fit):
    """48 rows and batches of 5 on two ranks: uneven batches, one step of all rows either way."""
    Path("watch.py").write_text(WATCH)
    still = ["--model.lr=1e-30", "--model.dropout.hidden=0", "--model.dropout.attention=0"]
    words = [*tiny_fit, *still, "--model.dropout.classifier=0", "--trainer.callbacks+=watch.Keep"]
    words += ["--trainer.max_epochs=1", "--data.effective_batch=60", "--data.batch_size=5"]
    words += ["--trainer.accelerator=cpu"]
    for extra in (["--trainer.devices=2", "--trainer.strategy=ddp"], []):
        command = [sys.executable, "-m", "lightning_tune", *words, *extra]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr[-2000:]
    one, zero, other = (torch.load(f"{name}.pt") for name in ("1-0", "2-0", "2-1"))
    assert sorted(one["rows"]) == sorted(zero["rows"] + other["rows"]) == list(range(48))
    assert len(zero["rows"]) != len(other["rows"]) or len(zero["rows"]) == 24
    torch.testing.assert_close(zero["grads"], one["grads"], rtol=1e-3, atol=1e-6)
    assert torch.equal(zero["grads"], other["grads"])


def test_batches_of_another_sampler_count_as_they_are(train):
    trained = train(data={"batch_size": 4, "effective_batch": 8})
    loader = list(trained.data.train_dataloader())
    trainer = SimpleNamespace(datamodule=trained.data, train_dataloader=loader)
    assert example_share(trainer, loader[0], 0) is None


def test_a_checkpoint_says_it(train):
    trained = train(data={"batch_size": 4, "effective_batch": 8})
    stored = read_checkpoint(trained.best)[PACKAGE_KEY]["data"]
    assert (stored["batch_size"], stored["effective_batch"]) == (4, 8)


TWENTY_STEPS = '''
"""Train objectives for twenty steps over 47 rows each, in batches of five, on one rank or two."""
import sys

import lightning as L
import torch

from lightning_tune.data.datamodule import TextDataModule
from lightning_tune.training.module import TextClassifier
from lightning_tune.training.objectives import FGM, PGD, FreeLB, Plain
from lightning_tune.training.optim import OptimizerSettings, ScheduleSettings

BACKBONE, DEVICES = sys.argv[1], int(sys.argv[2])
still = {name: 0.0 for name in ("hidden", "attention", "classifier")}
for objective in (Plain(), FGM(0.5), PGD(0.5, start="zero"), FreeLB(0.5, start="zero")):
    L.seed_everything(1, verbose=False)
    data = TextDataModule(
        "train.csv",
        val="val.csv",
        tokenizer=BACKBONE,
        max_length=32,
        batch_size=5,
        effective_batch=60,
        cache_dir="cache",
    )
    module = TextClassifier(
        BACKBONE,
        data.label_set,
        objective=objective,
        lr=0.1,
        optimizer=OptimizerSettings("sgd", weight_decay=0.0, momentum=0.0),
        schedule=ScheduleSettings("constant", warmup=0),
        dropout=still,
    )
    trainer = L.Trainer(
        accelerator="cpu",
        devices=DEVICES,
        strategy="ddp" if DEVICES > 1 else "auto",
        max_epochs=20,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    module.configure_model()
    first = {name: weight.clone() for name, weight in module.state_dict().items()}
    trainer.fit(module, datamodule=data)
    assert trainer.global_step == 20
    name = f"{type(objective).__name__}-{DEVICES}-{trainer.global_rank}.pt"
    torch.save({"first": first, "last": module.state_dict()}, name)
'''


@pytest.fixture(scope="module")
def twenty_steps(tmp_path_factory, write_splits, run_on_ranks) -> Path:
    """A folder with the weights before and after twenty steps, of one rank and of two."""
    folder = tmp_path_factory.mktemp("twenty")
    write_splits(folder)
    rows = (folder / "train.csv").read_text().splitlines()[:48]
    (folder / "train.csv").write_text("\n".join([*rows, ""]))  # 47 rows: ranks have 23 and 24
    run_on_ranks(TWENTY_STEPS, folder)
    return folder


@pytest.mark.parametrize("name", ["Plain", "FGM", "PGD", "FreeLB"])
def test_two_ranks_equal_one_after_twenty_steps(twenty_steps, name):
    """In float32, by SGD: each of the 47 examples counts alike, wherever it was."""
    one, zero, other = (
        torch.load(twenty_steps / f"{name}-{at}.pt") for at in ("1-0", "2-0", "2-1")
    )
    for key, value in one["last"].items():
        assert torch.equal(zero["last"][key], other["last"][key]), key
        torch.testing.assert_close(zero["last"][key], value, rtol=0, atol=1e-5, msg=key)
    moved = [(one["last"][key] - one["first"][key]).abs().max() for key in one["first"]]
    assert max(moved) > 0.01
