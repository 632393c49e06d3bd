"""Objectives in real runs: clean epochs, logged parts, resume, precision, clipping, tokens."""

from __future__ import annotations

import lightning as L
import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision

from lightning_tune.errors import ConfigError
from lightning_tune.models.checkpoints import read_checkpoint
from lightning_tune.training.inference import load
from lightning_tune.training.module import TextClassifier
from lightning_tune.training.objectives import (
    FGM,
    PGD,
    SMART,
    FGMRDrop,
    FreeLB,
    Objective,
    Plain,
    RDrop,
)

OBJECTIVES = {kind.__name__: kind for kind in (FGM, PGD, FreeLB, SMART, RDrop, FGMRDrop)}
PARTS = {
    "FGM": {"clean_loss", "adversarial_loss"},
    "PGD": {"adversarial_loss"},
    "FreeLB": {"adversarial_loss"},
    "SMART": {"clean_loss", "smoothness", "proximal"},
    "RDrop": {"consistency"},
    "FGMRDrop": {"clean_loss", "adversarial_loss", "consistency"},
}
NO_DROPOUT = {"dropout": {"hidden": 0.0, "attention": 0.0}}


class Watch(L.Callback):
    """Notes what is logged in each step, and the objective's state at start and end."""

    def __init__(self):
        self.logged, self.started, self.ended, self.scales = [], {}, {}, []

    def on_train_start(self, trainer, pl_module):
        self.started = copied(pl_module.objective)
        self.special_ids = getattr(pl_module.objective, "_special_ids", torch.empty(0)).tolist()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        names = [name for name in trainer.logged_metrics if name.startswith("train/")]
        self.logged.append({name.removeprefix("train/") for name in names} - {"loss"})

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.scales.append(
            torch.cat([p.grad.flatten() for p in pl_module.parameters() if p.grad is not None])
            .norm()
            .item()
        )

    def on_train_end(self, trainer, pl_module):
        self.ended = copied(pl_module.objective)


def copied(objective: Objective) -> dict[str, torch.Tensor]:
    return {key: torch.as_tensor(v).clone() for key, v in objective.state_dict().items()}


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("kind", ["binary", "multilabel", "regression"])
def test_every_objective_trains_every_task(train, name, kind):
    watch = Watch()
    trained = train(
        kind,
        model={"objective": OBJECTIVES[name]()},
        callbacks=[watch],
        trainer={"gradient_clip_val": 1.0, "max_epochs": 1}
        | ({"precision": "bf16-mixed"} if kind == "binary" else {}),
    )
    assert all(logged == PARTS[name] for logged in watch.logged)
    stored = read_checkpoint(trained.best)["hyper_parameters"]["objective"]["class_path"]
    assert stored.endswith(f".{name}")
    assert torch.isfinite(trained.trainer.callback_metrics["train/loss"])


def test_plain_logs_no_parts(train):
    watch = Watch()
    train(callbacks=[watch], trainer={"max_epochs": 1})
    assert set().union(*watch.logged) == set()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_clean_epochs_minimise_the_plain_loss(train, name):
    watch = Watch()
    objective = OBJECTIVES[name](clean_epochs=1)
    train(
        model={"objective": objective},
        callbacks=[watch],
        trainer={"max_epochs": 2},
    )
    steps = len(watch.logged) // 2
    assert watch.logged[:steps] == [set()] * steps
    assert watch.logged[steps:] == [PARTS[name]] * steps


def test_clean_epochs_are_a_plain_training(train):
    trained = [
        train(model={"objective": objective}, trainer={"max_epochs": 1}, folder=str(at))
        for at, objective in enumerate((Plain(), FGM(clean_epochs=1)))
    ]
    states = [read_checkpoint(run.best)["state_dict"] for run in trained]
    assert all(torch.equal(states[1][name], value) for name, value in states[0].items())


def test_the_data_module_tells_the_special_tokens(train, tiny_tokenizer):
    watch = Watch()
    train(model={"objective": FGM()}, callbacks=[watch], trainer={"max_epochs": 1})
    expected = {
        tiny_tokenizer.token_to_id(token) for token in ("[PAD]", "[CLS]", "[SEP]", "[MASK]")
    }
    assert set(watch.special_ids) == expected
    assert tiny_tokenizer.token_to_id("[UNK]") not in watch.special_ids


def test_a_module_keeps_its_own_copy_of_an_objective(train):
    objective = FGM()
    trained = train(model={"objective": objective}, trainer={"max_epochs": 1})
    assert objective.state_dict() == {}
    assert trained.module.objective.state_dict()
    assert trained.module.objective == objective


@pytest.mark.parametrize("name", ["FGM", "SMART"])
def test_a_resumed_run_goes_on_with_the_objectives_state(train, name):
    settings = {"model": {"objective": OBJECTIVES[name](), **NO_DROPOUT}}
    first, second = Watch(), Watch()
    run = train(**settings, callbacks=[first], trainer={"max_epochs": 1})
    last = run.folder / "checkpoints" / "last.ckpt"
    train(**settings, callbacks=[second], trainer={"max_epochs": 2}, ckpt_path=last)
    assert second.started.keys() == first.ended.keys() >= {"unit"}
    assert all(torch.equal(second.started[key], value) for key, value in first.ended.items())
    if name == "SMART":
        assert not all(torch.equal(second.ended[key], value) for key, value in first.ended.items())


def test_a_resumed_run_may_take_another_objective(train):
    first, second = Watch(), Watch()
    run = train(model={"objective": FGM()}, callbacks=[first], trainer={"max_epochs": 1})
    last = run.folder / "checkpoints" / "last.ckpt"
    weights = {key: value.clone() for key, value in read_checkpoint(last)["state_dict"].items()}
    train(
        model={"objective": SMART()},
        callbacks=[second],
        trainer={"max_epochs": 2},
        ckpt_path=last,
    )
    assert torch.equal(second.started["unit"], first.ended["unit"])
    for key, value in second.started.items():
        if key != "unit":
            assert torch.equal(value, weights[f"classifier.{key.removeprefix('averaged.')}"])


def test_a_new_fit_from_a_reloaded_module_starts_anew(train):
    run = train(model={"objective": SMART()}, trainer={"max_epochs": 1})
    again = TextClassifier.load_from_checkpoint(run.best, weights_only=True)
    assert again._objective_state == {}


def test_answers_come_from_the_trained_weights_alone(train, tmp_path):
    run = train(model={"objective": SMART(momentum=0.999)}, trainer={"max_epochs": 2})
    stored = read_checkpoint(run.best)
    averaged = stored["objective_state"]["averaged.encoder.classifier.weight"]
    assert not torch.equal(averaged, stored["state_dict"]["classifier.encoder.classifier.weight"])
    assert not any("averaged" in name for name in stored["state_dict"])
    answer = load(run.best)
    batch = next(iter(run.data.val_dataloader()))
    assert torch.equal(answer.module(batch), run.module.eval()(batch))
    warm = TextClassifier(str(run.best), run.module.label_set)
    warm.configure_model()
    assert torch.equal(warm.eval()(batch), run.module(batch))


@pytest.mark.parametrize("name", ["FGM", "FreeLB", "SMART"])
def test_averaged_weights_move_once_a_step_of_the_optimizer(train, name):
    class Counting(OBJECTIVES[name]):
        steps = 0

        def after_step(self, classifier):
            super().after_step(classifier)
            type(self).steps += 1

    Counting.__name__ = name
    decorated = __import__("dataclasses").dataclass(Counting)
    run = train(
        model={"objective": decorated()},
        trainer={"max_epochs": 1, "accumulate_grad_batches": 2},
    )
    assert decorated.steps == run.trainer.global_step


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradients_are_accumulated_and_clipped(train, name):
    """Those that an objective took by itself and handed over too."""

    class Clipped(L.Callback):
        def __init__(self):
            self.norms = []

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if (batch_idx + 1) % 2 == 0:
                found = [p.grad.norm() for p in pl_module.parameters() if p.grad is not None]
                self.norms.append(torch.stack(found).norm().item())

    seen, before = Clipped(), Watch()
    settings = {"gradient_clip_val": 1e-3, "accumulate_grad_batches": 2, "max_epochs": 1}
    train(
        model={"objective": OBJECTIVES[name]()},
        callbacks=[seen, before],
        trainer=settings | {"precision": "bf16-mixed"},
    )
    assert min(before.scales) > 2e-3
    assert seen.norms[: len(before.scales)] == pytest.approx([1e-3] * len(seen.norms), rel=1e-2)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_fp16_with_a_scaler_trains(train, name):
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=2)
    plugin = MixedPrecision("16-mixed", "cpu", scaler)
    from lightning_tune.training.callbacks.checkpointing import WholeFileCheckpointIO

    run = train(
        model={"objective": OBJECTIVES[name]()},
        trainer={"plugins": [plugin, WholeFileCheckpointIO()], "max_epochs": 2},
    )
    assert scaler.get_scale() > 2.0**10  # no step was skipped for long
    assert all(value.isfinite().all() for value in run.module.state_dict().values())


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_encoder_without_word_embeddings_is_refused_before_training(train, name, monkeypatch):
    from transformers import BertForSequenceClassification as Bert

    monkeypatch.setattr(Bert, "get_input_embeddings", lambda self: None)
    with pytest.raises(ConfigError, match="works on word embeddings, and this encoder has none"):
        train(model={"objective": OBJECTIVES[name]()})
