"""Runs that train a part of the weights: what their checkpoints hold, and every way back."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import lightning as L
import pytest
import torch

from lightning_tune.cli import main
from lightning_tune.errors import CheckpointError, ConfigError
from lightning_tune.models.checkpoints import PACKAGE_KEY, read_checkpoint
from lightning_tune.models.merging import merge_checkpoint
from lightning_tune.models.partial import digest
from lightning_tune.models.peft import (
    IA3,
    Adapters,
    BitFit,
    DoRA,
    Full,
    LastLayers,
    LoRA,
    Prefix,
    Tuning,
)
from lightning_tune.training.inference import load
from lightning_tune.training.module import TextClassifier
from lightning_tune.training.objectives import FGM, SMART, FreeLB, RDrop

METHODS: dict[str, Tuning] = {
    "LoRA": LoRA(rank=2, dropout=0.1),
    "DoRA": DoRA(rank=2),
    "IA3": IA3(),
    "Prefix": Prefix(tokens=3),
    "Adapters": Adapters("houlsby", reduction=4),
    "BitFit": BitFit(),
    "LastLayers": LastLayers(1),
}
each = pytest.mark.parametrize("method", METHODS)
TEXTS = ["film 90 is great", "film 91 is worst", "odd"]


def tuned(train, method, **more):
    return train(model={"tuning": METHODS[method]} | more.pop("model", {}), **more)


def weights(path):
    return read_checkpoint(path)["state_dict"]


@each
def test_a_checkpoint_holds_what_was_trained_and_names_its_backbone(method, train, tiny_backbone):
    trained = tuned(train, method)
    named = trained.module.named_parameters()
    wanted = {name for name, weight in named if weight.requires_grad}
    for name in ("best", "last"):
        checkpoint = read_checkpoint(trained.folder / "checkpoints" / f"{name}.ckpt")
        held = {key for key in checkpoint["state_dict"] if key.startswith("classifier.")}
        assert held == wanted
        assert checkpoint[PACKAGE_KEY]["backbone"] == {
            "name": str(tiny_backbone("bert")),
            "sha256": digest(str(tiny_backbone("bert"))),
        }


def test_a_full_checkpoint_is_whole_and_names_none(train):
    trained = train()
    checkpoint = read_checkpoint(trained.best)
    assert "backbone" not in checkpoint[PACKAGE_KEY]
    held = {key for key in checkpoint["state_dict"] if key.startswith("classifier.")}
    assert held == {name for name, _ in trained.module.named_parameters()}


@each
def test_what_was_trained_moved_and_the_backbone_did_not(method, train, tiny_backbone):
    trained = tuned(train, method)
    untouched = TextClassifier(str(tiny_backbone("bert")), trained.module.label_set)
    untouched.configure_model()
    backbone = untouched.state_dict()
    now = trained.module.state_dict()
    frozen = {n for n, w in trained.module.named_parameters() if not w.requires_grad}
    for name in frozen:
        assert torch.equal(now[name], backbone[name.replace(".base_layer.", ".")]), name
    assert frozen


@each
@pytest.mark.parametrize("route", ["load", "lightning", "merge", "warm start"])
def test_a_checkpoint_answers_as_the_run_did_by_every_route(method, route, train, tmp_path):
    trained = tuned(train, method)
    batch = next(iter(trained.data.val_dataloader()))
    expected = trained.module.eval()(batch).detach()
    if route == "load":
        module = load(trained.best).module
    elif route == "lightning":
        module = TextClassifier.load_from_checkpoint(trained.best, weights_only=True)
    elif route == "merge":
        if not METHODS[method].merges:
            pytest.skip(f"{method} cannot be merged")
        merged = merge_checkpoint(read_checkpoint(trained.best), str(trained.best))
        assert merged.difference < 1e-5
        torch.save(merged.checkpoint, tmp_path / "merged.ckpt")
        module = load(tmp_path / "merged.ckpt").module
    else:
        same = METHODS[method] if not METHODS[method].merges else LoRA(rank=3)
        module = TextClassifier(str(trained.best), trained.module.label_set, tuning=same)
        module.configure_model()
    torch.testing.assert_close(module.eval()(batch), expected, rtol=1e-4, atol=1e-5)


@each
def test_a_run_goes_on_from_its_last_checkpoint(method, train):
    first = tuned(train, method, trainer={"max_epochs": 1})
    last = first.folder / "checkpoints" / "last.ckpt"
    before = weights(last)
    second = tuned(train, method, trainer={"max_epochs": 2}, ckpt_path=last)
    assert second.trainer.current_epoch == 2
    after = weights(last)
    assert before.keys() == after.keys()
    moved = [name for name in before if not torch.equal(before[name], after[name])]
    assert len(moved) > len(before) / 2


def test_the_best_weights_are_in_the_model_after_a_fit(train):
    trained = tuned(train, "LoRA", trainer={"max_epochs": 3})
    held = trained.module.state_dict()
    assert all(torch.equal(held[name], value) for name, value in weights(trained.best).items())


@pytest.mark.parametrize("settings", [{"precision": "bf16-mixed"}, {"accumulate_grad_batches": 2}])
@each
def test_it_trains_under_other_settings_of_the_trainer(method, settings, train):
    trained = tuned(train, method, trainer=settings | {"gradient_clip_val": 1.0, "max_epochs": 1})
    assert all(value.isfinite().all() for value in weights(trained.best).values())


@each
def test_the_same_seed_gives_the_same_weights(method, train):
    first = tuned(train, method, folder="first", trainer={"max_epochs": 1})
    second = tuned(train, method, folder="second", trainer={"max_epochs": 1})
    left, right = weights(first.best), weights(second.best)
    assert all(torch.equal(left[name], right[name]) for name in left)


def other_backbone(tiny_backbone, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny_backbone("bert"), tmp_path / "other")
    state = load_file(folder / "model.safetensors")
    name = "embeddings.word_embeddings.weight"
    save_file(state | {name: state[name] + 1}, folder / "model.safetensors", {"format": "pt"})
    return folder


def test_a_backbone_of_other_weights_is_refused_on_every_route(train, tiny_backbone, tmp_path):
    trained = tuned(train, "LoRA")
    other = str(other_backbone(tiny_backbone, tmp_path))
    checkpoint = torch.load(trained.best, weights_only=True)
    checkpoint["hyper_parameters"]["backbone"] = other
    torch.save(checkpoint, tmp_path / "moved.ckpt")
    labels = trained.module.label_set
    with pytest.raises(CheckpointError) as caught:
        load(tmp_path / "moved.ckpt")
    for sha256 in (digest(other), digest(str(tiny_backbone("bert")))):
        assert sha256 in str(caught.value)
    with pytest.raises(CheckpointError, match=r"but .*other has "):
        merge_checkpoint(read_checkpoint(trained.best), "x", backbone=other)
    with pytest.raises(CheckpointError, match=r"but .*other has "):
        TextClassifier(str(tmp_path / "moved.ckpt"), labels).configure_model()
    with pytest.raises(CheckpointError, match=r"but .*other has "):
        TextClassifier.load_from_checkpoint(trained.best, backbone=other, weights_only=True)


def test_a_backbone_that_was_moved_is_found_where_it_is_named(train, tiny_backbone, tmp_path):
    trained = tuned(train, "LoRA")
    moved = shutil.copytree(tiny_backbone("bert"), tmp_path / "moved")
    checkpoint = torch.load(trained.best, weights_only=True)
    checkpoint["hyper_parameters"]["backbone"] = str(tmp_path / "gone")
    torch.save(checkpoint, tmp_path / "moved.ckpt")
    with pytest.raises(ConfigError, match="gone"):
        load(tmp_path / "moved.ckpt")
    expected = load(trained.best).scores(TEXTS)
    assert torch.equal(load(tmp_path / "moved.ckpt", backbone=str(moved)).scores(TEXTS), expected)


def test_a_config_file_that_changed_does_not_change_the_answers(train, tiny_backbone, tmp_path):
    """The architecture travels with the checkpoint; of the backbone only the weights are read."""
    trained = tuned(train, "LoRA")
    folder = shutil.copytree(tiny_backbone("bert"), tmp_path / "edited")
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace('"gelu"', '"relu"'))
    found = load(trained.best, backbone=str(folder)).scores(TEXTS)
    assert torch.equal(found, load(trained.best).scores(TEXTS))


def test_another_tuning_is_refused_where_a_run_goes_on(train):
    first = tuned(train, "LoRA", trainer={"max_epochs": 1})
    last = first.folder / "checkpoints" / "last.ckpt"
    with pytest.raises(CheckpointError, match=r"was tuned with LoRA\(rank=2.*model\.tuning is IA3"):
        tuned(train, "IA3", ckpt_path=last)
    with pytest.raises(CheckpointError, match=r"model\.tuning is Full\(\); it has to stay"):
        train(ckpt_path=last)
    other = {"model": {"tuning": LoRA(rank=2, dropout=0.5)}, "trainer": {"max_epochs": 2}}
    assert train(ckpt_path=last, **other).trainer.current_epoch == 2


def test_a_checkpoint_that_lacks_what_was_trained_is_refused(train, tmp_path):
    trained = tuned(train, "LoRA")
    checkpoint = torch.load(trained.best, weights_only=True)
    name = next(name for name in checkpoint["state_dict"] if ".lora_B." in name)
    del checkpoint["state_dict"][name]
    torch.save(checkpoint, tmp_path / "cut.ckpt")
    with pytest.raises(RuntimeError, match="lora_B"):
        load(tmp_path / "cut.ckpt")
    with pytest.raises(CheckpointError, match="does not hold the encoder that its config"):
        merge_checkpoint(read_checkpoint(tmp_path / "cut.ckpt"), "cut.ckpt")


@pytest.mark.parametrize("method", ["Prefix", "Adapters"])
def test_what_cannot_be_merged_starts_only_its_own_kind(method, train):
    trained = tuned(train, method)
    labels = trained.module.label_set
    with pytest.raises(CheckpointError, match=rf"was tuned with {method}\(.*cannot be merged; set"):
        TextClassifier(str(trained.best), labels, tuning=LoRA()).configure_model()


@each
def test_a_warm_start_from_a_partial_checkpoint_trains_on_and_reloads(method, train):
    """A chain: the new run's backbone is the old run's checkpoint."""
    first = tuned(train, method)
    again = METHODS[method]

    def of(backbone, labels, **settings):
        return TextClassifier(str(first.best), labels, **settings)

    second = train(of=of, model={"tuning": again}, folder="second")
    checkpoint = read_checkpoint(second.best)
    assert checkpoint[PACKAGE_KEY]["backbone"]["name"] == str(first.best)
    answers = second.module.eval()(next(iter(second.data.val_dataloader())))
    reloaded = load(second.best).module(next(iter(second.data.val_dataloader())))
    torch.testing.assert_close(reloaded, answers, rtol=1e-4, atol=1e-5)


def test_a_warm_start_for_other_labels_keeps_what_was_learned_below_the_head(train, caplog):
    first = tuned(train, "LoRA")
    merged = merge_checkpoint(read_checkpoint(first.best), "x").checkpoint["state_dict"]

    def of(backbone, labels, **settings):
        return TextClassifier(str(first.best), labels, **settings)

    second = train("multiclass", of=of, model={"tuning": LastLayers(0)}, folder="second")
    assert "its head is replaced by a new one" in caplog.text
    query = "classifier.encoder.bert.encoder.layer.0.attention.self.query.weight"
    assert torch.equal(second.module.state_dict()[query], merged[query])
    caplog.clear()
    load(second.best)
    assert caplog.text == ""


def test_a_new_pooler_is_trained_and_stored(train, tiny_backbone, tmp_path, caplog):
    from transformers import AutoModel

    folder = shutil.copytree(tiny_backbone("bert"), tmp_path / "bare")
    bare = AutoModel.from_pretrained(folder, add_pooling_layer=False)
    bare.save_pretrained(folder)

    def of(backbone, labels, **settings):
        return TextClassifier(str(folder), labels, **settings)

    trained = train(of=of, model={"tuning": LoRA(rank=2)})
    assert "starts with a new one" in caplog.text
    assert "classifier.encoder.bert.pooler.dense.weight" in weights(trained.best)
    batch = next(iter(trained.data.val_dataloader()))
    caplog.clear()
    torch.testing.assert_close(load(trained.best).module(batch), trained.module.eval()(batch))
    assert caplog.text == ""


def test_a_whole_checkpoint_has_nothing_to_merge(train):
    trained = train()
    with pytest.raises(CheckpointError, match="holds all weights already; there is nothing to"):
        merge_checkpoint(read_checkpoint(trained.best), "best.ckpt")


def test_a_merge_that_changes_the_answers_is_refused(train, monkeypatch):
    trained = tuned(train, "LoRA")

    def broken(self, encoder):
        with torch.no_grad():
            encoder.classifier.bias.add_(1.0)

    monkeypatch.setattr(LoRA, "merge", broken)
    with pytest.raises(CheckpointError, match=r"answers differently: by .* it was not written"):
        merge_checkpoint(read_checkpoint(trained.best), "best.ckpt")


def test_a_merged_checkpoint_is_a_full_one(train, tmp_path):
    trained = tuned(train, "LoRA")
    checkpoint = merge_checkpoint(read_checkpoint(trained.best), "x").checkpoint
    assert "backbone" not in checkpoint[PACKAGE_KEY]
    assert checkpoint["hyper_parameters"]["tuning"]["class_path"].endswith(".Full")
    whole = TextClassifier(trained.module.backbone, trained.module.label_set)
    whole.configure_model()
    assert checkpoint["state_dict"].keys() == whole.state_dict().keys()
    assert "optimizer_states" not in checkpoint


def test_the_count_of_trained_weights_is_told_in_words(train):
    module = tuned(train, "LastLayers").module
    encoder = module.classifier.encoder
    total = sum(weight.numel() for weight in encoder.parameters())
    layer = 4 * (16 * 16 + 16) + 16 * 32 + 32 + 32 * 16 + 16 + 4 * 16
    by_hand = layer + 16 * 16 + 16 + 16 * 2 + 2
    share = 100 * by_hand / total
    assert module.trained_weights == (
        f"{by_hand:,} of {total:,} weights ({share:.2f}%), LastLayers"
    )


def test_an_optimizer_sees_what_is_trained_and_no_more(train):
    trained = tuned(train, "LoRA")
    (optimizer,) = trained.trainer.optimizers
    seen = sum(w.numel() for group in optimizer.param_groups for w in group["params"])
    assert seen == sum(w.numel() for w in trained.module.parameters() if w.requires_grad)


def test_null_and_full_are_the_same():
    labels = {"kind": "binary", "names": ["a", "b"], "positive": None}
    assert TextClassifier("x", labels).hparams.tuning == (
        TextClassifier("x", labels, tuning=Full()).hparams.tuning
    )


def run_of(folder):
    (run,) = (folder / "runs").iterdir()
    return run


@pytest.mark.parametrize("method", ["LoRA", "Prefix"])
def test_fit_test_predict_resume_and_warm_start_from_the_command_line(
    method, work, tiny_fit, capsys
):
    setting = {"LoRA": "rank", "Prefix": "tokens"}[method]
    tuning = [f"--model.tuning={method}", f"--model.tuning.{setting}=3"]
    assert main([*tiny_fit, *tuning]) == 0
    assert f"%), {method}" in capsys.readouterr().out
    best = run_of(work) / "checkpoints" / "best.ckpt"
    spec = read_checkpoint(best)["hyper_parameters"]["tuning"]
    assert spec["class_path"].endswith(f".{method}")
    assert spec["init_args"][setting] == 3
    assert main(["test", f"--ckpt_path={best}", "--data.test=test.csv"]) == 0
    report = json.loads((run_of(work) / "report.json").read_text())
    assert report["provenance"]["trained"].endswith(f"%), {method}")
    words = ["predict", f"--ckpt_path={best}", "--data.predict=test.csv", "--output=out.csv"]
    assert main(words) == 0
    assert len((work / "out.csv").read_text().splitlines()) == 25
    assert main(["fit", "--ckpt_path=last", "--trainer.max_epochs=3"]) == 0
    last = run_of(work) / "checkpoints" / "last.ckpt"
    assert read_checkpoint(last)["epoch"] == 2
    warm = [*tiny_fit, f"--model.backbone={best}", "--trainer.default_root_dir=warm", *tuning]
    assert main(warm) == 0
    (second,) = (work / "warm").iterdir()
    assert read_checkpoint(second / "checkpoints" / "best.ckpt")[PACKAGE_KEY]["backbone"]["name"]
    capsys.readouterr()


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("tuning: BitFit", {}),
        ("tuning: {class_path: LoRA, init_args: {rank: 3, targets: [query]}}", {"rank": 3}),
        ("tuning: {class_path: LastLayers, init_args: {layers: 1}}", {"layers": 1}),
        ("tuning: null", {}),
        ("tuning: Full", {}),
    ],
)
def test_a_config_names_the_method_and_its_settings(text, settings, work, tiny_fit, capsys):
    (work / "tune.yaml").write_text(f"model:\n  {text}\n")
    assert main([*tiny_fit, "-c", "tune.yaml", "--trainer.max_epochs=1"]) == 0
    best = run_of(work) / "checkpoints" / "best.ckpt"
    found = read_checkpoint(best)["hyper_parameters"]["tuning"]
    assert settings.items() <= found["init_args"].items()
    capsys.readouterr()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model.tuning=LoRa"], "there is no class 'LoRa'"),
        (["--model.tuning=LoRA", "--model.tuning.rnk=3"], "Did you mean 'rank'?"),
        (["--model.tuning=LoRA", "--model.tuning.rank=0"], "tuning.rank=0 is below 1"),
        (["--model.tuning=LoRA", "--model.tuning.rank=x"], "model.tuning.rank='x'"),
        (["--model.tuning=LastLayers"], "which needs layers"),
        (["--model.tuning=LoRA", "--model.tuning.targets=[qery]"], "Did you mean 'query'?"),
        (["--model.tuning=Adapters", "--model.tuning.placement=both"], "houlsby, pfeiffer"),
    ],
)
def test_a_wrong_setting_is_one_line_and_leaves_no_run(words, message, work, tiny_fit, capsys):
    assert main([*tiny_fit, *words]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert not (work / "runs").exists()


def test_a_family_that_cannot_take_the_method_is_one_line(work, tiny_fit, tiny_backbone, capsys):
    words = [f"--model.backbone={tiny_backbone('modernbert')}", "--model.tuning=Prefix"]
    capsys.readouterr()
    assert main([*tiny_fit, *words]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "this modernbert's does not; use LoRA, IA3 or Adapters." in line
    assert not (work / "runs").exists()


def test_other_weights_than_those_of_the_training_are_one_line(
    work, tiny_fit, tiny_backbone, tmp_path, capsys
):
    assert main([*tiny_fit, "--model.tuning=LoRA"]) == 0
    other = other_backbone(tiny_backbone, tmp_path)
    capsys.readouterr()
    words = ["test", "--ckpt_path=best", "--data.test=test.csv", f"--model.backbone={other}"]
    assert main(words) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert digest(str(other)) in line
    assert digest(str(tiny_backbone("bert"))) in line


@pytest.mark.parametrize("method", ["LoRA", "Adapters", "Prefix", "BitFit"])
def test_two_ranks_train_it(method, work, tiny_fit):
    """Two real processes on the CPU; none waits for a weight without a gradient."""
    words = [*tiny_fit, f"--model.tuning={method}", "--trainer.devices=2", "--trainer.strategy=ddp"]
    done = subprocess.run(
        [sys.executable, "-m", "lightning_tune", *words],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count(f"%), {method}") == 1
    assert isinstance(load(run_of(work) / "checkpoints" / "best.ckpt").module, L.LightningModule)


@pytest.mark.parametrize("objective", [FGM(), FreeLB(steps=2), SMART(), RDrop()])
@pytest.mark.parametrize("method", ["LoRA", "Prefix", "BitFit"])
def test_every_kind_of_objective_trains_it_and_nothing_else(method, objective, train):
    trained = tuned(train, method, model={"objective": objective}, trainer={"max_epochs": 1})
    frozen = [w for w in trained.module.parameters() if not w.requires_grad]
    assert frozen
    assert all(weight.grad is None for weight in frozen)
    assert all(value.isfinite().all() for value in weights(trained.best).values())
