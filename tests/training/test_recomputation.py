"""model.gradient_checkpointing in training: the same run, with every kind of objective."""

from __future__ import annotations

import pytest
import torch

from lightning_tune.errors import ConfigError
from lightning_tune.models.checkpoints import read_checkpoint
from lightning_tune.training.inference import load
from lightning_tune.training.objectives import FGM, PGD, FreeLB, Plain, RDrop


def state_of(trained) -> dict[str, torch.Tensor]:
    return read_checkpoint(trained.folder / "checkpoints" / "last.ckpt")["state_dict"]


@pytest.mark.parametrize("objective", [Plain(), FGM(), PGD(), FreeLB(), RDrop()], ids=str)
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_run_is_bit_by_bit_the_same(train, objective, precision):
    trainer = {"precision": precision, "accumulate_grad_batches": 2}
    one, two = (
        train(
            model={"objective": objective, "gradient_checkpointing": recompute},
            trainer=trainer,
            folder=str(recompute),
        )
        for recompute in (False, True)
    )
    first, second = state_of(one), state_of(two)
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_a_checkpoint_says_it(train):
    trained = train(model={"gradient_checkpointing": True})
    assert read_checkpoint(trained.best)["hyper_parameters"]["gradient_checkpointing"] is True
    assert load(trained.best).module.gradient_checkpointing is True


def test_a_family_that_cannot_is_one_line(train, tiny_backbone):
    from lightning_tune.training.module import TextClassifier

    def of_albert(backbone, labels, **settings):
        return TextClassifier(str(tiny_backbone("albert")), labels, **settings)

    with pytest.raises(ConfigError, match=r"gradient_checkpointing=true: albert encoders cannot"):
        train(of=of_albert, model={"gradient_checkpointing": True})
