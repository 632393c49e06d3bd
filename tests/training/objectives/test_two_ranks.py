"""Two processes under DDP end with equal weights, those of one process on the whole batch."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
import torch

SCRIPT = textwrap.dedent(
    '''
    """Train each objective for three steps of SGD, each rank on its rows of every batch."""
    import sys

    import lightning as L
    import torch
    from torch.utils.data import DataLoader

    from lightning_tune.schema import LabelSet
    from lightning_tune.training.module import TextClassifier
    from lightning_tune.training.objectives import *
    from lightning_tune.training.optim import OptimizerSettings, ScheduleSettings

    BACKBONE, DEVICES = sys.argv[1], int(sys.argv[2])
    OBJECTIVES = {
        "Plain": Plain(),
        "FGM": FGM(0.5),
        "FGM without clean loss": FGM(0.5, clean_share=0.0),
        "PGD": PGD(0.5, start="zero"),
        "FreeLB": FreeLB(0.5, start="zero"),
        "RDrop": RDrop(),
        "FGMRDrop": FGMRDrop(0.5),
        "SMART": SMART(0.0, momentum=0.5),  # its random start differs between ranks
    }


    class Rows(TextClassifier):
        def train_dataloader(self):
            torch.manual_seed(7)
            batches = []
            for _ in range(6):
                ids = torch.randint(20, 90, (8, 9))
                ids[:, 0], ids[:, -1] = 2, 3
                batch = {
                    "input_ids": ids,
                    "attention_mask": torch.ones_like(ids),
                    "labels": torch.randint(0, 2, (8,)),
                    "index": torch.arange(8),
                }
                mine = slice(self.trainer.global_rank, None, self.trainer.world_size)
                batches.append({name: value[mine] for name, value in batch.items()})
            return DataLoader(batches, batch_size=None)


    for name, objective in OBJECTIVES.items():
        L.seed_everything(1, verbose=False)
        module = Rows(
            BACKBONE,
            LabelSet("binary", ("a", "b")),
            objective=objective,
            lr=0.5,
            optimizer=OptimizerSettings("sgd", weight_decay=0.0, momentum=0.0),
            schedule=ScheduleSettings("constant", warmup=0),
            dropout={"hidden": 0.0, "attention": 0.0},
        )
        module.configure_model()
        with torch.no_grad():
            for weight in module.classifier.parameters():
                if weight.ndim == 2 and weight.shape[0] < 90:
                    weight.mul_(6)
        trainer = L.Trainer(
            accelerator="cpu",
            devices=DEVICES,
            strategy="ddp" if DEVICES > 1 else "auto",
            max_epochs=1,
            accumulate_grad_batches=2,
            logger=False,
            enable_progress_bar=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
        trainer.fit(module)
        weights = {key: value for key, value in module.state_dict().items()}
        torch.save(weights, f"{name}-{DEVICES}-{trainer.global_rank}.pt")
    '''
)
NAMES = [
    "Plain",
    "FGM",
    "FGM without clean loss",
    "PGD",
    "FreeLB",
    "RDrop",
    "FGMRDrop",
    "SMART",
]


@pytest.fixture(scope="module")
def trained(run_on_ranks, tmp_path_factory) -> Path:
    """A folder with the weights of each rank, after training alone and in a pair."""
    folder = tmp_path_factory.mktemp("ranks")
    run_on_ranks(SCRIPT, folder)
    return folder


def weights(folder: Path, name: str, devices: int, rank: int) -> dict[str, torch.Tensor]:
    return torch.load(folder / f"{name}-{devices}-{rank}.pt", weights_only=True)


@pytest.mark.parametrize("name", NAMES)
def test_ranks_agree_with_each_other_and_with_one_process(trained, name):
    alone, first, second = (weights(trained, name, *which) for which in ((1, 0), (2, 0), (2, 1)))
    for key, value in first.items():
        assert torch.equal(second[key], value), key
        torch.testing.assert_close(value, alone[key], rtol=1e-3, atol=2e-5, msg=key)


@pytest.mark.parametrize("name", NAMES[1:])
def test_what_they_agree_on_is_another_training_than_plain(trained, name):
    """Not where an objective without randomness is the plain one: R-Drop without dropout."""
    key = "classifier.encoder.bert.encoder.layer.0.attention.self.value.weight"
    plain, own = (weights(trained, which, 2, 0)[key] for which in ("Plain", name))
    if name == "RDrop":
        torch.testing.assert_close(own, plain, rtol=1e-4, atol=1e-6)
    else:
        assert (own - plain).norm() > 1e-4
