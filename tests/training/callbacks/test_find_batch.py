"""data.batch_tokens=auto: what is tried, what is taken, and that nothing else changes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import lightning as L
import pytest
import torch
import yaml

from lightning_tune.cli import main
from lightning_tune.errors import ConfigError
from lightning_tune.models.checkpoints import PACKAGE_KEY, read_checkpoint
from lightning_tune.training import batch_search
from lightning_tune.training.callbacks import find_batch
from lightning_tune.training.callbacks.find_batch import FindBatch
from lightning_tune.training.module import TextClassifier


@pytest.fixture
def small(monkeypatch):
    """Budgets in the range of the tests' few short rows: 12 tokens and more."""
    monkeypatch.setattr(find_batch, "_LOWEST", 16)
    monkeypatch.setattr(find_batch, "_TIMED_TOKENS", 16)


@pytest.fixture
def machine(small, monkeypatch):
    """A machine whose memory and speed are a test's: the most tokens it holds, and is fast with."""

    def build(holds: int, fastest_at: int = 10**9):
        seen = []

        def trial(trainer, data, sizes, step, tokens):
            seen.append(tokens)
            if tokens > holds:
                return None
            return batch_search.Trial(tokens, float(min(tokens, fastest_at)), None)

        monkeypatch.setattr(find_batch, "_try", trial)
        return seen

    return build


class Watch(L.Callback):
    def __init__(self):
        self.rows, self.tokens, self.losses = [], [], []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.rows.append(batch["index"].tolist())
        self.tokens.append(batch["input_ids"].numel())
        self.losses.append(float(outputs["loss"]))


def test_a_real_search_finds_a_number_and_leaves_the_run_as_with_that_number(train, small, capsys):
    found, given = Watch(), Watch()
    first = train(callbacks=[found], data={"batch_tokens": "auto"})
    tokens = first.data.batch_tokens
    assert 16 <= tokens <= sum(found.tokens)
    line = next(
        line for line in capsys.readouterr().out.splitlines() if line.startswith("batch tokens")
    )
    batches = len(first.data.train_dataloader())
    mean = 36 / batches
    assert f"     {tokens}: {mean:.1f} examples a batch, {batches} batches an epoch" in line
    assert " GB in use at most; " in line
    train(callbacks=[given], data={"batch_tokens": tokens}, folder="given")
    assert (found.rows, found.losses) == (given.rows, given.losses)
    assert max(found.tokens) <= tokens
    stored = read_checkpoint(first.best)[PACKAGE_KEY]["data"]
    assert stored["batch_tokens"] == tokens


def test_the_first_trial_batch_holds_the_longest_example_alone(train, small, monkeypatch):
    shapes = []
    trial_steps = find_batch.trial_steps

    def watched(trainer, module):
        context = trial_steps(trainer, module)

        class Watched:
            def __enter__(self):
                step = context.__enter__()

                def watch(batches, rate):
                    shapes.append((rate, [tuple(b["input_ids"].shape) for b in batches]))
                    return step(batches, rate)

                return watch

            def __exit__(self, *error):
                return context.__exit__(*error)

        return Watched()

    monkeypatch.setattr(find_batch, "trial_steps", watched)
    trained = train(data={"batch_tokens": "auto"})
    longest = int(trained.data.train_data.longest.max())
    rate, ((rows, width),) = shapes[0]
    assert (rate, width) == (0.0, longest)
    assert rows == max(16, longest) // longest
    assert all(rate == 0.0 for rate, _ in shapes)


def test_what_memory_ends_is_taken_from_below(train, machine):
    seen = machine(holds=100)
    trained = train(data={"batch_tokens": "auto"})
    assert seen == [16, 32, 64, 128]  # 96 would be tried next, were it not for steps of 64
    assert trained.data.batch_tokens == 64


@pytest.mark.parametrize(("effective", "holds"), [(12, 10**9), (12, 64), (18, 100), (6, 300)])
def test_a_stated_effective_batch_is_kept(train, machine, effective, holds):
    machine(holds=holds)
    seen = Watch()
    trained = train(callbacks=[seen], data={"batch_tokens": "auto", "effective_batch": effective})
    count, batches = trained.trainer.accumulate_grad_batches, trained.trainer.num_training_batches
    assert 36 * count / batches == pytest.approx(effective, rel=0.25)
    assert trained.data.batch_tokens <= holds
    assert max(seen.tokens) <= trained.data.batch_tokens


def test_no_more_is_tried_than_an_effective_batch_of_the_longest(train, machine):
    seen = machine(holds=10**9)
    trained = train(data={"batch_tokens": "auto", "effective_batch": 6})
    assert max(seen) == 6 * int(trained.data.train_data.longest.max())


def test_few_steps_are_told(train, machine, caplog):
    machine(holds=10**9)
    train(data={"batch_tokens": "auto"})
    assert "makes the whole run 2 optimizer steps, which is few" in caplog.text
    caplog.clear()
    train(data={"batch_tokens": "auto", "effective_batch": 12}, folder="stated")
    assert "which is few" not in caplog.text


def out_of_memory(batches, rate):
    raise torch.OutOfMemoryError("CUDA out of memory.")


def refused_by_the_system(batches, rate):
    raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes")


def broken(batches, rate):
    raise RuntimeError("expected scalar type")


def try_with(monkeypatch, step):
    """Let trials take these steps instead of real ones."""
    real = find_batch._try
    monkeypatch.setattr(
        find_batch, "_try", lambda trainer, data, sizes, _, n: real(trainer, data, sizes, step, n)
    )


@pytest.mark.parametrize("step", [out_of_memory, refused_by_the_system])
def test_memory_that_ends_in_the_first_trial_is_one_line(train, small, monkeypatch, step):
    try_with(monkeypatch, step)
    with pytest.raises(ConfigError) as caught:
        train(data={"batch_tokens": "auto"})
    message = str(caught.value)
    assert message.startswith("data.batch_tokens=auto: not even the longest example, of ")
    assert message.endswith("lower data.max_length, or set model.gradient_checkpointing.")


def test_another_error_of_a_trial_is_told_as_it_is(train, small, monkeypatch):
    try_with(monkeypatch, broken)
    with pytest.raises(RuntimeError, match="expected scalar type"):
        train(data={"batch_tokens": "auto"})


def test_a_resumed_run_cannot_find_another(train, machine):
    machine(holds=64)
    first = train(data={"batch_tokens": "auto"})
    last = first.folder / "checkpoints" / "last.ckpt"
    with pytest.raises(ConfigError, match=r"batch_tokens=auto is found before the first step"):
        train(data={"batch_tokens": "auto"}, ckpt_path=last)


def test_evaluation_needs_no_number(train):
    trained = train(data={"batch_tokens": 64})
    trained.data.use_batch_tokens("auto")
    trained.trainer.validate(trained.module, trained.data, verbose=False)


def test_it_needs_our_data_module(train):
    trained = train()

    class Other(L.LightningDataModule):
        batch_tokens = "auto"

    callback = FindBatch()
    trained.trainer.datamodule = Other()
    with pytest.raises(ConfigError, match="needs a TextClassifier and a TextDataModule"):
        callback.setup(trained.trainer, trained.module, "fit")
    assert isinstance(trained.module, TextClassifier)


CONFIG = """
data:
  batch_tokens: auto
  effective_batch: 16
"""


def test_the_command_line_keeps_the_number(work, tiny_fit, capsys):
    Path("auto.yaml").write_text(CONFIG)
    assert main([*tiny_fit, "-c", "auto.yaml"]) == 0
    (run,) = Path("runs").iterdir()
    told = capsys.readouterr().out
    config = yaml.safe_load((run / "config.yaml").read_text())["data"]["init_args"]
    assert f"batch tokens     {config['batch_tokens']}: " in told
    assert "effective batch  1 batches a step" in told
    last = read_checkpoint(run / "checkpoints" / "last.ckpt")
    assert last[PACKAGE_KEY]["data"]["batch_tokens"] == config["batch_tokens"]
    assert main(["fit", "--ckpt_path=last", "--trainer.max_epochs=3"]) == 0
    words = ["test", "--ckpt_path=last", "-c", "auto.yaml", "--data.test=test.csv"]
    assert main(words) == 0


def test_two_ranks_take_the_same_number(work, tiny_fit):
    Path("auto.yaml").write_text(CONFIG)
    words = [*tiny_fit, "-c", "auto.yaml", "--trainer.devices=2", "--trainer.strategy=ddp"]
    command = [sys.executable, "-m", "lightning_tune", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("batch tokens     ") == 1
    (run,) = Path("runs").iterdir()
    assert read_checkpoint(run / "checkpoints" / "last.ckpt")["global_step"] == 6
