"""Answers from Python: the Trainer's own, by either route, with nothing but the checkpoint."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

import lightning_tune
from lightning_tune.cli import main
from lightning_tune.data.batching import BatchSettings
from lightning_tune.errors import CheckpointError, ConfigError, DataError
from lightning_tune.models.checkpoints import PACKAGE_KEY, read_checkpoint
from lightning_tune.training.inference import answering, load
from lightning_tune.training.metrics import probabilities
from lightning_tune.training.module import TextClassifier

NEW = ["film 90 is great", "film 91 is worst and " + "long " * 40, "odd", "film 92 is slow"]


def write_texts(folder: Path, pairs: bool = False) -> Path:
    with (folder / "new.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["text", "other"] if pairs else ["text"])
        out.writerows([text, f"about {row}"] if pairs else [text] for row, text in enumerate(NEW))
    return folder / "new.csv"


def trainers_answers(trained, **data) -> torch.Tensor:
    """What `trainer.predict` answers to the new texts, in their order."""
    file = write_texts(trained.folder, pairs="text_pair" in data)
    settings = {"max_length": 32, "cache_dir": str(trained.folder / "cache")} | data
    module = lightning_tune.TextDataModule(
        predict=str(file), tokenizer=str(trained.best), labels=trained.module.label_set, **settings
    )
    trainer = L.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False
    )
    parts = trainer.predict(trained.module, datamodule=module)
    logits = torch.cat([part["logits"] for part in parts])
    order = torch.cat([part["index"] for part in parts]).argsort()
    return probabilities(logits[order], trained.module.label_set.kind)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "regression"])
def test_a_loaded_checkpoint_answers_as_the_trainer_does(train, kind):
    trained = train(kind)
    expected = trainers_answers(trained)
    found = load(trained.best).scores(NEW)
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, atol=1e-6)


def test_pairs_are_answered_as_pairs(train):
    trained = train(data={"text_pair": "other"})
    classify = load(trained.best)
    pairs = [f"about {row}" for row in range(len(NEW))]
    found = classify.scores(NEW, pairs)
    assert torch.allclose(found, trainers_answers(trained, text_pair="other"), atol=1e-6)
    assert not torch.allclose(found, classify.scores(NEW), atol=1e-6)


def test_windows_of_a_long_text_are_pooled(train):
    windows = {"truncation": "windows", "max_length": 12, "window_stride": 3, "max_windows": 4}
    trained = train(data=windows)
    classify = load(trained.best)
    assert torch.allclose(classify.scores(NEW), trainers_answers(trained, **windows), atol=1e-6)

    stored = read_checkpoint(trained.best)[PACKAGE_KEY]["tokenizer"]["json"]
    ids = Tokenizer.from_str(stored).encode(NEW[1], add_special_tokens=False).ids
    parts = [[2, *ids[start : start + 10], 3] for start in (0, 7, 14, 21)]  # [CLS] is 2, [SEP] 3
    with torch.inference_mode():
        logits = torch.stack(
            [classify.module.classifier.encoder(torch.tensor([part])).logits[0] for part in parts]
        )
    expected = logits.mean(dim=0).softmax(dim=0)
    assert torch.allclose(classify.scores([NEW[1]])[0], expected, atol=1e-5)


def test_an_answer_does_not_depend_on_its_neighbours(train):
    classify = load(train("multiclass").best)
    together = classify.scores(NEW, batch_size=4)
    alone = torch.cat([classify.scores([text]) for text in NEW])
    assert torch.allclose(together, alone, atol=1e-6)
    assert torch.allclose(together, classify.scores(NEW, batch_size=3), atol=1e-6)


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_the_answer_of_one_class_is_the_most_probable_name(train, kind):
    classify = load(train(kind).best)
    answers = classify(NEW)
    names = classify.labels.names
    for answer, row in zip(answers, classify.scores(NEW), strict=True):
        assert answer.label == names[int(row.argmax())]
        assert answer.probabilities == pytest.approx(dict(zip(names, row.tolist(), strict=True)))
        assert sum(answer.probabilities.values()) == pytest.approx(1)


def test_the_answer_of_a_multi_label_task_is_what_is_more_likely_than_not(train):
    classify = load(train("multilabel").best)
    for answer in classify(NEW):
        expected = tuple(name for name, value in answer.probabilities.items() if value > 0.5)
        assert answer.label == expected


def test_the_answer_of_a_regression_is_its_score(train):
    classify = load(train("regression").best)
    for answer, score in zip(classify(NEW), classify.scores(NEW), strict=True):
        assert answer.label == pytest.approx(float(score))
        assert answer.probabilities == {}


@pytest.mark.parametrize(("kind", "shape"), [("multiclass", (0, 3)), ("regression", (0,))])
def test_no_texts_have_no_answers(train, kind, shape):
    classify = load(train(kind).best)
    assert classify([]) == []
    assert classify.scores([]).shape == shape


def test_one_string_is_not_a_list_of_texts(train):
    with pytest.raises(DataError, match="texts is one string"):
        load(train().best)("film is great")


def test_texts_are_normalised_as_in_training(train):
    classify = load(train().best)
    assert torch.equal(classify.scores(["a\ud800b"]), classify.scores(["a\ufffdb"]))


def test_both_routes_reload_without_executing_anything(train, tmp_path, monkeypatch, tiny_backbone):
    """What the CLI wrote and what Python wrote answer alike: same data, settings and seed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    trained = train()
    words = [
        "fit",
        f"--data.train={tmp_path / 'binary.csv'}",
        "--data.val_share=0.25",
        "--data.max_length=32",
        "--data.batch_size=8",
        f"--model.backbone={tiny_backbone('bert')}",
        "--model.lr=0.01",
        "--trainer.max_epochs=2",
        "--trainer.accelerator=cpu",
        "--trainer.precision=32-true",
        "--trainer.gradient_clip_val=null",
        "--seed_everything=1",
    ]
    assert main(words) == 0
    (cli,) = Path("runs").glob("*/checkpoints/best.ckpt")
    for path in (trained.best, cli):
        assert PACKAGE_KEY in torch.load(path, weights_only=True)
        TextClassifier.load_from_checkpoint(path, weights_only=True)
    first, second = read_checkpoint(trained.best), read_checkpoint(cli)
    assert first["hyper_parameters"] == second["hyper_parameters"]
    assert first[PACKAGE_KEY]["tokenizer"] == second[PACKAGE_KEY]["tokenizer"]
    assert torch.allclose(load(trained.best).scores(NEW), load(cli).scores(NEW), atol=1e-5)


def test_a_checkpoint_answers_when_its_backbone_is_gone(train, tiny_backbone, tmp_path):
    import shutil

    copy = shutil.copytree(tiny_backbone("bert"), tmp_path / "copy")
    trained = train()
    module = TextClassifier(str(copy), trained.module.label_set, lr=0.01)
    module.configure_model()
    checkpoint = torch.load(trained.best, weights_only=True)
    checkpoint["hyper_parameters"]["backbone"] = str(copy)
    torch.save(checkpoint, tmp_path / "moved.ckpt")
    shutil.rmtree(copy)
    assert torch.equal(load(tmp_path / "moved.ckpt").scores(NEW), load(trained.best).scores(NEW))


def test_a_checkpoint_without_tokenizer_is_refused(train, tmp_path):
    checkpoint = torch.load(train().best, weights_only=True)
    for name in ("tokenizer", "data"):
        del checkpoint[PACKAGE_KEY][name]
    torch.save(checkpoint, tmp_path / "bare.ckpt")
    with pytest.raises(CheckpointError, match="holds no tokenizer and no data settings"):
        load(tmp_path / "bare.ckpt")


def test_a_checkpoint_of_a_class_that_is_not_imported_is_refused(train, tmp_path):
    checkpoint = torch.load(train().best, weights_only=True)
    checkpoint[PACKAGE_KEY]["class_path"] = "this.would.run.Code"
    torch.save(checkpoint, tmp_path / "foreign.ckpt")
    with pytest.raises(CheckpointError, match=r"this\.would\.run\.Code, which is not ours"):
        load(tmp_path / "foreign.ckpt")


def test_the_loaded_model_is_in_evaluation_mode(train):
    trained = train()
    assert not load(trained.best).module.training
    assert np.array_equal(load(trained.best).scores(NEW), load(trained.best).scores(NEW))


def test_batches_of_so_many_tokens_hold_every_text_once_and_give_the_same_answers(train):
    windows = {"truncation": "windows", "max_length": 12, "window_stride": 3, "max_windows": 4}
    classify = load(train(data=windows).best)
    texts = [*NEW, "x" * 9] * 3
    batches = list(classify.batches(texts, None, BatchSettings(tokens=60)))
    assert len(batches) > 3
    assert sorted(torch.cat([batch["index"] for batch in batches]).tolist()) == list(range(15))
    cells = [batch["input_ids"].numel() for batch in batches if len(batch["index"]) > 1]
    assert max(cells) <= 60
    found = classify.scores(texts, batch_tokens=60)
    assert torch.allclose(found, classify.scores(texts), atol=1e-6)


def test_the_special_ids_are_those_that_stand_around_texts(train):
    assert load(train().best).special_ids == {0, 2, 3}  # [PAD], [CLS], [SEP]


def test_a_module_answers_as_its_checkpoint_does(train):
    trained = train()
    found = answering(trained.module, trained.data.travelling()).scores(NEW)
    assert torch.allclose(found, load(trained.best).scores(NEW), atol=1e-6)


def changed(trained, tmp_path, **settings):
    """Write the checkpoint with other settings of the model."""
    stored = read_checkpoint(trained.best)
    stored["hyper_parameters"] |= settings
    torch.save(stored, tmp_path / "changed.ckpt")
    return tmp_path / "changed.ckpt"


def test_settings_that_are_none_of_the_models_are_refused(train, tmp_path):
    file = changed(train(), tmp_path, _instantiator="os.system")
    with pytest.raises(CheckpointError, match="has settings that TextClassifier does not take"):
        load(file)


def test_an_encoder_that_fits_no_memory_is_refused(train, tmp_path):
    trained = train()
    architecture = json.loads(trained.module.hparams["architecture"])
    file = changed(
        trained, tmp_path, architecture=json.dumps(architecture | {"hidden_size": 2**40})
    )
    with pytest.raises(ConfigError, match="does not fit into this machine's memory"):
        load(file)
