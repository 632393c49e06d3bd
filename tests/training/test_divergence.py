"""A loss or gradient that is no number stops a training before it reaches the weights."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import lightning as L
import pytest
import torch

from lightning_tune.cli import main
from lightning_tune.errors import RunError
from lightning_tune.training.callbacks.last_checkpoint import LastCheckpoint
from lightning_tune.training.divergence import StepWatch
from lightning_tune.training.objectives import Objective


@dataclass
class Breaking(Objective):
    """The plain loss, which `at` turns into something else in one step; no step is made twice."""

    at: int = 2
    to: float = float("nan")
    seen: int = 0

    def __call__(self, model, batch, loss):
        logits = model(batch)
        self.seen += 1
        plain = loss(logits, batch)
        return (plain + self.to if self.seen == self.at + 1 else plain), logits


class Weights(L.Callback):
    """Keeps the weights after every step, and the rows of every batch."""

    def __init__(self):
        self.after, self.rows = [], []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.rows.append(batch["index"].tolist())

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.after.append({k: v.clone() for k, v in pl_module.state_dict().items()})


class BreakGradient(L.Callback):
    """Puts a NaN into one gradient of the second step."""

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        if trainer.global_step == 1:
            pl_module.classifier.encoder.classifier.bias.grad[0] = float("nan")


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("broken", [float("nan"), float("inf"), float("-inf")])
def test_the_step_of_a_broken_loss_is_not_made(broken, precision, clip, train):
    seen, made = Weights(), []
    module = {"objective": Breaking(to=broken)}
    with pytest.raises(RunError, match=f"stopped at step 3: the loss is {broken}, on ") as caught:
        made.append(
            train(
                callbacks=[seen],
                model=module,
                trainer={"precision": precision, "gradient_clip_val": clip},
            )
        )
    assert caught.value.exit_code == 4
    assert len(seen.after) == 2
    for row in seen.rows[2]:
        assert f"binary.csv:{row + 2}" in str(caught.value)  # a header, and lines count from 1


def test_weights_are_those_of_the_step_before(train):
    seen = Weights()
    held = {}

    class Last(L.Callback):
        def on_exception(self, trainer, pl_module, exception):
            held.update({k: v.clone() for k, v in pl_module.state_dict().items()})

    with pytest.raises(RunError):
        train(callbacks=[seen, Last()], model={"objective": Breaking()})
    assert same(held, seen.after[-1])
    assert not same(seen.after[0], seen.after[1])


@pytest.mark.parametrize("clip", [None, 1.0])
def test_a_broken_gradient_under_a_whole_loss_is_told_as_such(clip, train):
    with pytest.raises(RunError, match=r"at step 2: the loss is 0\.\d+, its gradient not finite"):
        train(callbacks=[BreakGradient()], trainer={"gradient_clip_val": clip})


def test_of_accumulated_batches_only_the_broken_one_is_named(train):
    seen = Weights()
    with pytest.raises(RunError, match="at step 2: the loss is nan") as caught:
        train(
            callbacks=[seen],
            model={"objective": Breaking(at=3)},
            trainer={"accumulate_grad_batches": 2},
        )
    whole, broken = (set(rows) for rows in seen.rows[2:4])
    assert all(f"binary.csv:{row + 2}" in str(caught.value) for row in broken)
    assert not any(f"binary.csv:{row + 2}," in str(caught.value) for row in whole)


@pytest.mark.parametrize("max_share", [None, 1e-9], ids=["on the disk", "in memory"])
def test_the_last_good_checkpoint_is_named_and_holds_numbers(train, max_share):
    with pytest.raises(RunError, match="last good checkpoint is") as caught:
        train(model={"objective": Breaking(at=7)}, callbacks=[LastCheckpoint(max_share=max_share)])
    path = Path(str(caught.value).rpartition("checkpoint is ")[2].rstrip("."))
    weights = torch.load(path, weights_only=True)["state_dict"]
    assert all(value.isfinite().all() for value in weights.values())


def test_before_the_first_checkpoint_none_is_named(train):
    with pytest.raises(RunError, match=r"no checkpoint was written yet\.$"):
        train(model={"objective": Breaking(at=0)})


def test_a_rate_far_too_high_ends_the_command_with_four(work, tiny_fit, capsys):
    assert main([*tiny_fit, "--model.lr=1e30", "--model.schedule.warmup=0"]) == 4
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert told.startswith("error: training stopped at step ")
    assert "Lower model.lr (1e+30 now) or look at these rows" in told


def test_many_rows_are_counted():
    watch = StepWatch()
    watch.guard(torch.tensor(float("nan")), torch.arange(20))
    with pytest.raises(RunError, match=r"on row 0, row 1, .*row 7 and 12 more rows; no weight"):
        watch.check(alone(), torch.tensor(float("nan")), 0.1)


def alone(scaler=None):
    return SimpleNamespace(
        precision_plugin=SimpleNamespace(scaler=scaler),
        world_size=1,
        global_step=0,
        checkpoint_callbacks=[],
    )


def test_under_a_scaler_large_gradients_pass_and_broken_losses_do_not():
    trainer = alone(scaler=object())
    watch = StepWatch()
    loss = torch.tensor(1.0, requires_grad=True)
    assert watch.guard(loss, torch.arange(2), poisoned=False) is loss
    watch.check(trainer, torch.tensor(float("inf")), 0.1)
    watch.guard(torch.tensor(float("inf")), torch.arange(2), poisoned=False)
    with pytest.raises(RunError, match="the loss is inf, on row 0, row 1;"):
        watch.check(trainer, torch.tensor(1.0), 0.1)


def test_a_guarded_loss_has_its_value_and_gradient_to_the_bit():
    value = torch.tensor(0.3, requires_grad=True)
    loss = value * value
    guarded = StepWatch().guard(loss, torch.arange(1))
    assert torch.equal(guarded, loss)
    (grad,) = torch.autograd.grad(guarded, value)
    assert torch.equal(grad, 2 * value.detach())


SCRIPT = textwrap.dedent(
    '''
    """Train on two ranks, of which one has a loss that breaks; write what each ended with."""
    import sys
    from dataclasses import dataclass

    import lightning as L
    import torch
    from torch.utils.data import DataLoader

    from lightning_tune.errors import RunError
    from lightning_tune.schema import LabelSet
    from lightning_tune.training.module import TextClassifier
    from lightning_tune.training.objectives import Objective

    BACKBONE = sys.argv[1]


    @dataclass
    class Breaking(Objective):
        seen: int = 0

        def __call__(self, model, batch, loss):
            logits = model(batch)
            self.seen += 1
            broken = self.seen == 3 and torch.distributed.get_rank() == 1
            return loss(logits, batch) + (float("inf") if broken else 0.0), logits


    class Rows(TextClassifier):
        def train_dataloader(self):
            ids = torch.randint(20, 90, (4, 9))
            ids[:, 0], ids[:, -1] = 2, 3
            batch = {
                "input_ids": ids,
                "attention_mask": torch.ones_like(ids),
                "labels": torch.randint(0, 2, (4,)),
                "index": torch.arange(4) + 4 * self.trainer.global_rank,
            }
            return DataLoader([batch] * 6, batch_size=None)


    L.seed_everything(1, verbose=False)
    module = Rows(BACKBONE, LabelSet("binary", ("a", "b")), objective=Breaking())
    trainer = L.Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp",
        max_epochs=1,
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    try:
        trainer.fit(module)
        told = "no error"
    except RunError as err:
        told = str(err)
    with open(f"{trainer.global_rank}.txt", "w") as file:
        file.write(f"{trainer.global_step} {told}")
    '''
)


def test_a_loss_that_breaks_on_one_rank_stops_all_at_the_same_step(run_on_ranks, tmp_path):
    run_on_ranks(SCRIPT, tmp_path, ranks=[2], fails=True)
    whole, broken = ((tmp_path / f"{rank}.txt").read_text() for rank in (0, 1))
    assert whole.startswith("2 training stopped at step 3: the loss is 0.")
    assert "its gradient not finite, on row 0, row 1, row 2, row 3;" in whole
    assert broken.startswith("2 training stopped at step 3: the loss is inf, on row 4, row 5,")
