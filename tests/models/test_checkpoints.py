"""Only whole checkpoints of this package are read, and none of them runs anything."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from lightning_tune.errors import CheckpointError
from lightning_tune.models.checkpoints import is_checkpoint, read_checkpoint

OURS = {
    "state_dict": {"weight": torch.arange(2000.0)},
    "hyper_parameters": {"lr": 2e-5, "labels": None},
    "lightning_tune": {"format": 1},
}


class Touches:
    """Pickled, it makes a folder when it is loaded by an unguarded reader."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def refused(path, match):
    with pytest.raises(CheckpointError, match=match) as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.fixture
def checkpoint(tmp_path):
    torch.save(OURS, tmp_path / "best.ckpt")
    return tmp_path / "best.ckpt"


@pytest.mark.parametrize("kind", [str, Path])
def test_what_was_written_is_read(checkpoint, kind):
    read = read_checkpoint(kind(checkpoint))
    assert read["hyper_parameters"] == OURS["hyper_parameters"]
    assert torch.equal(read["state_dict"]["weight"], OURS["state_dict"]["weight"])


@pytest.mark.parametrize(
    ("name", "ours"), [("runs/a/best.ckpt", True), ("a/b", False), ("m.safetensors", False)]
)
def test_a_checkpoint_is_known_by_its_extension(name, ours):
    assert is_checkpoint(name) is ours


@pytest.mark.parametrize("url", ["http://host/best.ckpt", "https://h/x", "s3://bucket/best.ckpt"])
def test_a_url_is_refused(url):
    assert "download it first" in refused(url, f"checkpoint '{url}' is a URL")


def test_a_missing_file_is_refused_with_the_nearest_name(checkpoint):
    wrong = checkpoint.with_name("bets.ckpt")
    assert refused(wrong, "does not exist").endswith("Did you mean 'best.ckpt'?")


def test_a_missing_file_in_a_missing_folder_is_refused(tmp_path):
    refused(tmp_path / "nowhere" / "best.ckpt", "does not exist; name a .ckpt file that `fit`")


def test_a_folder_is_refused(checkpoint):
    refused(checkpoint.parent, "is a folder; name a .ckpt file")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.99])
def test_a_checkpoint_cut_short_is_refused(checkpoint, share):
    whole = checkpoint.read_bytes()
    kept = int(len(whole) * share)
    checkpoint.write_bytes(whole[:kept])
    refused(checkpoint, rf"is damaged or cut short \({kept} bytes\); use another one")


def test_a_checkpoint_without_its_last_byte_is_refused(checkpoint):
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1])
    refused(checkpoint, "is damaged or cut short")


def test_a_checkpoint_damaged_inside_is_refused(checkpoint):
    with zipfile.ZipFile(checkpoint) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for damage in (b"", b"\x80", b"not a pickle"):
        with zipfile.ZipFile(checkpoint, "w", zipfile.ZIP_STORED) as archive:
            for name, content in parts.items():
                archive.writestr(name, damage if name.endswith("data.pkl") else content)
        refused(checkpoint, "damaged")


def test_a_checkpoint_without_its_tensors_is_refused(checkpoint):
    with zipfile.ZipFile(checkpoint) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(checkpoint, "w", zipfile.ZIP_STORED) as archive:
        for name, content in parts.items():
            if "/data/" not in name:
                archive.writestr(name, content)
    refused(checkpoint, "is damaged or cut short")


@pytest.mark.parametrize(
    "content", [{"state_dict": {}}, {"lightning_tune": {}}, [1, 2], torch.zeros(2)]
)
def test_a_checkpoint_of_something_else_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "other.ckpt")
    refused(tmp_path / "other.ckpt", "was not written by lightning_tune")


@pytest.mark.parametrize("place", ["state_dict", "hyper_parameters", "lightning_tune"])
def test_code_inside_a_checkpoint_is_not_executed(tmp_path, place):
    touched = tmp_path / "touched"
    torch.save(OURS | {place: {"a": Touches(touched)}}, tmp_path / "evil.ckpt")
    refused(tmp_path / "evil.ckpt", "it was not loaded, since loading it could execute code")
    assert not touched.exists()
    torch.load(tmp_path / "evil.ckpt", weights_only=False)  # the payload is live
    assert touched.exists()


def test_a_bare_pickle_is_not_executed(tmp_path):
    touched = tmp_path / "touched"
    (tmp_path / "evil.ckpt").write_bytes(pickle.dumps(Touches(touched)))
    refused(tmp_path / "evil.ckpt", "is damaged or cut short")
    assert not touched.exists()


def test_the_format_of_old_pytorch_is_refused_unread(tmp_path):
    touched = tmp_path / "touched"
    torch.save({"a": Touches(touched)}, tmp_path / "old.ckpt", _use_new_zipfile_serialization=False)
    refused(tmp_path / "old.ckpt", "is damaged or cut short")
    assert not touched.exists()


def test_a_file_that_cannot_be_read_is_refused(checkpoint, monkeypatch):
    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(torch, "load", denied)
    refused(checkpoint, r"cannot be read: Permission denied\.$")
