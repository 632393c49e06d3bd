"""A sealed file is an ordinary checkpoint, and no byte of it changes without being found."""

from __future__ import annotations

import random
import zipfile
from pathlib import Path

import pytest
import torch

from lightning_tune.models.sealing import DamagedFileError, SealingWriter, verify

CONTENT = {"weight": torch.arange(3000.0), "name": "x"}


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    file = tmp_path / "a.ckpt"
    with file.open("wb") as opened:
        writer = SealingWriter(opened)
        torch.save(CONTENT, writer)
        writer.seal()
    return file


@pytest.mark.parametrize("mmap", [False, True])
def test_other_programs_read_it(sealed, mmap):
    read = torch.load(sealed, weights_only=True, mmap=mmap)
    assert torch.equal(read["weight"], CONTENT["weight"])
    assert zipfile.ZipFile(sealed).testzip() is None


def test_a_sealed_file_is_found_good(sealed):
    verify(sealed)


def test_every_flipped_bit_is_found(sealed):
    data = sealed.read_bytes()
    places = random.Random(0).sample(range(len(data)), 300)
    for place in [*places, *range(len(data) - 120, len(data))]:  # and all of the end
        broken = bytearray(data)
        broken[place] ^= 1 << place % 8
        sealed.write_bytes(broken)
        with pytest.raises(DamagedFileError):
            verify(sealed)


def test_every_cut_is_found(sealed):
    data = sealed.read_bytes()
    for length in [0, 1, 21, 22, *range(0, len(data), 97), *range(len(data) - 120, len(data))]:
        sealed.write_bytes(data[:length])
        with pytest.raises(DamagedFileError):
            verify(sealed)


def test_a_file_without_a_seal_is_judged_by_its_checksums(tmp_path):
    file = tmp_path / "plain.ckpt"
    torch.save(CONTENT, file)
    verify(file)
    data = bytearray(file.read_bytes())
    at = data.index(CONTENT["weight"][:64].numpy().tobytes())
    data[at] ^= 1
    file.write_bytes(data)
    with pytest.raises(DamagedFileError, match="is damaged"):
        verify(file)


def test_a_file_without_a_seal_that_is_no_archive_is_refused(tmp_path):
    file = tmp_path / "odd.ckpt"
    file.write_bytes(b"x" * 100 + b"PK\x05\x06" + b"\xff" * 16 + b"\0\0")
    with pytest.raises(DamagedFileError):
        verify(file)


def test_a_file_is_read_again_once_it_changed(sealed):
    verify(sealed)
    data = sealed.read_bytes()
    sealed.write_bytes(data[:-1] + b"0" + b"")
    with pytest.raises(DamagedFileError):
        verify(sealed)


def test_small_writes_are_put_together(tmp_path):
    torch.save(CONTENT, tmp_path / "plain.ckpt")
    data = (tmp_path / "plain.ckpt").read_bytes()
    with (tmp_path / "a.ckpt").open("wb") as opened:
        writer = SealingWriter(opened)
        for start in range(0, len(data), 7):
            writer.write(data[start : start + 7])
        writer.flush()
        writer.seal()
    verify(tmp_path / "a.ckpt")
    assert (tmp_path / "a.ckpt").read_bytes()[: len(data) - 2] == data[:-2]


def test_only_an_archive_is_sealed(tmp_path):
    with (tmp_path / "a").open("wb") as opened:
        writer = SealingWriter(opened)
        writer.write(b"no archive, and long enough to end in something")
        with pytest.raises(ValueError, match="does not end as a zip archive"):
            writer.seal()
