"""The digest of a backbone's weights, and what a partial checkpoint leaves out."""

from __future__ import annotations

import hashlib
import os
import shutil

import pytest
import torch
from torch import nn

from lightning_tune.errors import CheckpointError, ConfigError
from lightning_tune.models import partial
from lightning_tune.models.partial import check_digest, completed, digest, trained_only


def sha256(*contents):
    return hashlib.sha256(b"".join(contents)).hexdigest()


def test_the_digest_is_the_files_own(tiny_backbone):
    folder = tiny_backbone("bert")
    assert digest(str(folder)) == sha256((folder / "model.safetensors").read_bytes())


def test_parts_are_read_in_the_order_of_their_names(tmp_path):
    (tmp_path / "model-00002-of-00002.safetensors").write_bytes(b"two")
    (tmp_path / "model-00001-of-00002.safetensors").write_bytes(b"one")
    (tmp_path / "pytorch_model.bin").write_bytes(b"other")
    assert digest(str(tmp_path)) == sha256(b"one", b"two")


def test_weights_of_the_older_format_have_a_digest_too(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"weights")
    (tmp_path / "training_args.bin").write_bytes(b"no weights")
    assert digest(str(tmp_path)) == sha256(b"weights")


def test_a_checkpoint_can_be_a_backbone(tmp_path):
    (tmp_path / "best.ckpt").write_bytes(b"weights")
    assert digest(str(tmp_path / "best.ckpt")) == sha256(b"weights")
    with pytest.raises(CheckpointError, match=r"'gone\.ckpt' does not exist; name the checkpoint"):
        digest("gone.ckpt")


def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"no file of weights was found for backbone="):
        digest(str(tmp_path))
    for name in ("no/such", str(tmp_path / "gone")):
        with pytest.raises(
            ConfigError, match=f"no file of weights was found for backbone='{name}'"
        ):
            digest(name)


def test_what_the_hub_fetched_is_found_in_its_cache(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"weights")
    monkeypatch.setattr(
        "huggingface_hub.try_to_load_from_cache",
        lambda name, file: str(tmp_path / file) if (tmp_path / file).is_file() else None,
    )
    assert digest("some/encoder") == sha256(b"weights")


def test_a_file_is_read_once_until_it_changes(tmp_path, monkeypatch):
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"first")
    seen = []
    real = hashlib.file_digest

    def counted(opened, name):
        seen.append(opened.name)
        return real(opened, name)

    monkeypatch.setattr(partial.hashlib, "file_digest", counted)
    assert digest(str(tmp_path)) == digest(str(tmp_path)) == sha256(b"first")
    assert len(seen) == 1
    file.write_bytes(b"other")
    os.utime(file, ns=(1, 1))
    assert digest(str(tmp_path)) == sha256(b"other")


def test_other_weights_are_refused_with_both_digests(tiny_backbone, tmp_path):
    folder = shutil.copytree(tiny_backbone("bert"), tmp_path / "moved")
    stored = {"name": "some/encoder", "sha256": digest(str(folder))}
    check_digest(stored, str(folder), digest(str(folder)))
    with (folder / "model.safetensors").open("ab") as file:
        file.write(b" ")
    with pytest.raises(CheckpointError) as caught:
        check_digest(stored, str(folder), digest(str(folder)))
    message = str(caught.value)
    assert stored["sha256"] in message
    assert digest(str(folder)) in message
    assert "some/encoder" in message
    assert message.endswith("name the backbone with those weights in model.backbone.")


def test_what_is_left_out_comes_back_and_what_was_trained_must_be_there():
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 2))
    module[0].requires_grad_(False)
    whole = {name: value.clone() for name, value in module.state_dict().items()}
    kept = trained_only(module.state_dict(), module)
    assert kept.keys() == whole.keys() - {"0.weight", "0.bias"}
    assert "1.running_mean" in kept
    with torch.no_grad():
        module[2].weight.add_(1)
    again = completed({name: whole[name] for name in kept}, module)
    assert again.keys() == whole.keys()
    assert all(torch.equal(again[name], whole[name]) for name in whole)
    del kept["2.weight"]
    assert "2.weight" not in completed(kept, module)
