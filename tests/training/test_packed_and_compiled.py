"""model.packed and model.compiled in training: the same run, its checkpoints, every way back."""

from __future__ import annotations

import json
import textwrap

import pytest
import torch

from lightning_tune.cli import main
from lightning_tune.errors import ConfigError
from lightning_tune.models import compiled
from lightning_tune.models.checkpoints import read_checkpoint
from lightning_tune.models.peft import LoRA
from lightning_tune.training.inference import load
from lightning_tune.training.module import TextClassifier
from lightning_tune.training.objectives import FGM, Plain

NO_DROPOUT = {"hidden": 0.0, "attention": 0.0}
pytestmark = [  # of torch itself while it compiles, which it hides unless warnings are errors
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated"),
]


@pytest.fixture(autouse=True)
def traced_only(monkeypatch):
    """Trace and differentiate as torch.compile does, and leave out g++, which takes a minute."""
    torch._dynamo.reset()
    run = torch.compile(compiled._forward, backend="aot_eager", recompile_limit=compiled.VARIANTS)
    monkeypatch.setattr(compiled, "compiled_forward", lambda: run)


def state_of(trained) -> dict[str, torch.Tensor]:
    return read_checkpoint(trained.folder / "checkpoints" / "last.ckpt")["state_dict"]


WAYS = {
    "packed": {"packed": True},
    "compiled": {"compiled": True},
    "both": {"packed": True, "compiled": True},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("objective", [Plain(), FGM()], ids=["Plain", "FGM"])
def test_a_run_is_the_same_but_for_rounding(train, way, objective):
    runs = [
        train(
            model={
                "objective": objective,
                "dropout": NO_DROPOUT,
                "optimizer": {"name": "sgd", "momentum": 0.0},
                "lr": 0.5,
                **settings,
            },
            trainer={"max_epochs": 1, "accumulate_grad_batches": 2, "gradient_clip_val": 1.0},
            folder=str(at),
        )
        for at, settings in enumerate(({}, WAYS[way]))
    ]
    plain, own = map(state_of, runs)
    start = TextClassifier(runs[0].module.backbone, runs[0].module.label_set)
    start.configure_model()
    key = "classifier.encoder.bert.encoder.layer.0.output.dense.weight"
    assert (plain[key] - start.state_dict()[key]).abs().max() > 1e-4
    assert list(own) == list(plain)
    for name, value in plain.items():
        torch.testing.assert_close(own[name], value, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("way", WAYS)
def test_a_checkpoint_reloads_and_starts_another_run(train, way, tmp_path):
    trained = train(model={**WAYS[way], "dropout": NO_DROPOUT}, trainer={"max_epochs": 1})
    stored = read_checkpoint(trained.best)
    assert {key: stored["hyper_parameters"][key] for key in ("packed", "compiled")} == {
        "packed": way != "compiled",
        "compiled": way != "packed",
    }
    assert not any("_orig_mod" in name for name in stored["state_dict"])
    batch = next(iter(trained.data.val_dataloader()))
    expected = trained.module.eval()(batch)
    assert torch.equal(load(trained.best).module(batch), expected)
    plain = TextClassifier(str(trained.best), trained.module.label_set)
    plain.configure_model()
    torch.testing.assert_close(plain.eval()(batch), expected)


@pytest.mark.parametrize("way", WAYS)
def test_a_resumed_run_ends_where_one_without_a_break_does(train, way):
    """Bit by bit, with dropout of hidden states."""
    constant = {"name": "constant", "warmup": 0}
    settings = {"model": {**WAYS[way], "dropout": {"attention": 0.0}, "schedule": constant}}
    whole = train(**settings, folder="whole")
    half = train(**settings, folder="half", trainer={"max_epochs": 1})
    last = half.folder / "checkpoints" / "last.ckpt"
    resumed = train(**settings, folder="half", ckpt_path=last)
    assert resumed.trainer.global_step == whole.trainer.global_step
    found, expected = state_of(resumed), state_of(whole)
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_trained_parts_alone_are_stored_and_come_back(train):
    settings = {"packed": True, "compiled": True, "dropout": NO_DROPOUT, "tuning": LoRA(rank=2)}
    trained = train(model=settings, trainer={"max_epochs": 1})
    names = read_checkpoint(trained.best)["state_dict"]
    assert any("lora_A" in name for name in names)
    assert not any("word_embeddings" in name for name in names)
    batch = next(iter(trained.data.val_dataloader()))
    torch.testing.assert_close(load(trained.best).module(batch), trained.module.eval()(batch))


def test_the_command_line_fits_tests_and_goes_on(work, tiny_fit, caplog):
    flags = ["--model.packed=true", "--model.compiled=true", "--model.dropout.attention=0"]
    assert main([*tiny_fit, *flags, "--trainer.max_epochs=1"]) == 0
    assert "are made for a GPU; on a CPU a training is faster without them." in caplog.text
    assert main(["fit", "--ckpt_path=last", "--trainer.max_epochs=2"]) == 0
    assert main(["test", "--ckpt_path=best", "--data.test=test.csv"]) == 0
    (run,) = (work / "runs").iterdir()
    assert "test/accuracy" in json.loads((run / "metrics.json").read_text())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--model.packed=true"],
            "error: model.packed=true: attention over packed sequences has no dropout, and this "
            "encoder asks for 0.1; set model.dropout.attention=0.",
        ),
        (
            ["--model.packed=true", "--model.dropout.attention=0", "--model.tuning=Prefix"],
            "error: model.packed=true: Prefix puts keys before each sequence, which packed ones "
            "have no room for; leave it out, or tune by LoRA, IA3 or Adapters.",
        ),
        (
            ["--model.compiled=true", "--model.objective=FGMRDrop"],
            "error: model.compiled=true: FGMRDrop differentiates twice through one pass, which "
            "compiled layers cannot; use FGM or RDrop, or leave it out.",
        ),
    ],
)
def test_what_does_not_go_together_is_one_line(work, tiny_fit, capsys, flags, message):
    assert main([*tiny_fit, *flags]) == 2
    assert capsys.readouterr().err.strip().splitlines()[-1] == message
    assert not (work / "runs").exists()


@pytest.mark.parametrize("family", ["deberta-v2", "mpnet"])
def test_a_family_that_cannot_pack_is_one_line(train, tiny_backbone, family):
    def of(backbone, labels, **settings):
        return TextClassifier(str(tiny_backbone(family)), labels, **settings)

    with pytest.raises(ConfigError, match=rf"packed=true: {family} encoders compute attention in"):
        train(of=of, model={"packed": True})


SCRIPT = textwrap.dedent(
    '''
    """Take three steps of SGD on both ranks, packed and compiled, each on its rows of a batch."""
    import sys

    import lightning as L
    import torch
    from torch.utils.data import DataLoader

    from lightning_tune.models import compiled
    from lightning_tune.schema import LabelSet
    from lightning_tune.training.module import TextClassifier
    from lightning_tune.training.objectives import FGM
    from lightning_tune.training.optim import OptimizerSettings, ScheduleSettings

    BACKBONE, DEVICES = sys.argv[1], int(sys.argv[2])
    run = torch.compile(compiled._forward, backend="aot_eager", recompile_limit=compiled.VARIANTS)
    compiled.compiled_forward = lambda: run


    class Rows(TextClassifier):
        def train_dataloader(self):
            torch.manual_seed(7)
            batches = []
            for _ in range(3):
                ids = torch.randint(20, 90, (8, 9))
                mask = torch.arange(9) < torch.tensor([9, 9, 7, 7, 5, 5, 8, 8]).unsqueeze(1)
                batch = {
                    "input_ids": ids * mask,
                    "attention_mask": mask.long(),
                    "labels": torch.randint(0, 2, (8,)),
                    "index": torch.arange(8),
                }
                mine = slice(self.trainer.global_rank, None, self.trainer.world_size)
                batches.append({name: value[mine] for name, value in batch.items()})
            return DataLoader(batches, batch_size=None)


    ways = [{"packed": True}, {"compiled": True}, {"packed": True, "compiled": True}]
    for way in ways if DEVICES > 1 else [{}]:
        L.seed_everything(1, verbose=False)
        module = Rows(
            BACKBONE,
            LabelSet("binary", ("a", "b")),
            objective=FGM(0.5),
            lr=0.5,
            optimizer=OptimizerSettings("sgd", weight_decay=0.0, momentum=0.0),
            schedule=ScheduleSettings("constant", warmup=0),
            dropout={"hidden": 0.0, "attention": 0.0},
            **way,
        )
        trainer = L.Trainer(
            accelerator="cpu",
            devices=DEVICES,
            strategy="ddp" if DEVICES > 1 else "auto",
            max_epochs=1,
            logger=False,
            enable_progress_bar=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
        trainer.fit(module)
        name = "-".join(way) or "plain"
        torch.save(module.state_dict(), f"{name}-{DEVICES}-{trainer.global_rank}.pt")
    '''
)


@pytest.fixture(scope="module")
def ranks(run_on_ranks, tmp_path_factory):
    """A folder with the weights of a plain process alone, and of each rank of a pair."""
    folder = tmp_path_factory.mktemp("ranks")
    run_on_ranks(SCRIPT, folder)
    return folder


@pytest.mark.parametrize("name", ["packed", "compiled", "packed-compiled"])
def test_ranks_agree_with_each_other_and_with_one_plain_process(ranks, name):
    def weights(way, devices, rank):
        return torch.load(ranks / f"{way}-{devices}-{rank}.pt", weights_only=True)

    plain, first, second = weights("plain", 1, 0), weights(name, 2, 0), weights(name, 2, 1)
    for key, value in first.items():
        assert torch.equal(second[key], value), key
        torch.testing.assert_close(value, plain[key], rtol=1e-3, atol=2e-5, msg=key)
