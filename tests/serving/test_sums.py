"""What is listed, and every way in which a folder differs from its list."""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from lightning_tune.errors import BundleError
from lightning_tune.serving.bundle import Bundle
from lightning_tune.serving.sums import verify_sums, write_sums

MUTATIONS = 1000


@pytest.fixture
def folder(tmp_path) -> Path:
    made = tmp_path / "made"
    (made / "onnx").mkdir(parents=True)
    (made / "a.json").write_text("{}")
    (made / "onnx" / "model.onnx").write_bytes(bytes(range(256)))
    (made / "README.md").write_text("read me")
    write_sums(made)
    return made


def test_all_but_the_readme_is_listed_as_sha256sum_does(folder):
    found = verify_sums(folder)
    assert found == {
        "a.json": hashlib.sha256(b"{}").hexdigest(),
        "onnx/model.onnx": hashlib.sha256(bytes(range(256))).hexdigest(),
    }
    if shutil.which("sha256sum"):
        command = ["sha256sum", "--strict", "-c", "SHA256SUMS"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)


def test_the_readme_may_change_and_hidden_files_may_come(folder):
    (folder / "README.md").write_text("another")
    (folder / ".gitattributes").write_text("*.onnx filter=lfs")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "lock").write_text("")
    assert set(verify_sums(folder)) == {"a.json", "onnx/model.onnx"}


def test_writing_again_gives_the_same_list(folder):
    before = (folder / "SHA256SUMS").read_bytes()
    write_sums(folder)
    assert (folder / "SHA256SUMS").read_bytes() == before


def test_one_changed_byte_anywhere_is_refused(write_bundle):
    """1,000 mutations over all listed files and the list itself, a third of them in the list."""
    path = write_bundle().path
    Bundle(path)  # it is whole
    generator = random.Random(0)
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.name != "README.md")
    assert len(files) == 6
    for number in range(MUTATIONS):
        file = path / "SHA256SUMS" if number % 3 == 0 else generator.choice(files)
        whole = file.read_bytes()
        at = generator.randrange(len(whole))
        other = whole[at] ^ generator.randrange(1, 256)
        file.write_bytes(whole[:at] + bytes([other]) + whole[at + 1 :])
        with pytest.raises(BundleError) as caught:
            Bundle(path)
        assert "\n" not in str(caught.value)
        file.write_bytes(whole)
    Bundle(path)


@pytest.mark.parametrize("cut", [0, 1, 100])
def test_a_file_that_ends_early_is_refused(folder, cut):
    (folder / "onnx" / "model.onnx").write_bytes(bytes(range(256))[:cut])
    with pytest.raises(BundleError, match=r"model\.onnx was changed: its sha256 begins with"):
        verify_sums(folder)


def test_a_missing_file_is_named(folder):
    (folder / "a.json").unlink()
    with pytest.raises(BundleError, match=r"a\.json is missing; copy or export the bundle again"):
        verify_sums(folder)


def test_a_file_that_is_not_listed_is_refused(folder):
    (folder / "onnx" / "model.onnx.data").write_text("")
    with pytest.raises(BundleError, match=r"onnx/model\.onnx\.data is not listed in SHA256SUMS"):
        verify_sums(folder)


@pytest.mark.parametrize(
    "name", ["/etc/hostname", "../made/a.json", "./a.json", "onnx//model.onnx"]
)
def test_a_list_that_leads_elsewhere_is_damaged(folder, name):
    sums = folder / "SHA256SUMS"
    sums.write_text(sums.read_text().replace("a.json", name))
    with pytest.raises(BundleError, match=r"SHA256SUMS:1 is not a line of `sha256sum`"):
        verify_sums(folder)


@pytest.mark.parametrize("text", ["", "\n", "nonsense\n", f"{'0' * 64}  a.json", f"{'0' * 64} a\n"])
def test_what_is_no_list_is_damaged(folder, text):
    (folder / "SHA256SUMS").write_text(text)
    with pytest.raises(BundleError, match=r"SHA256SUMS:\d is not a line"):
        verify_sums(folder)


def test_a_link_out_of_the_bundle_is_refused(folder, tmp_path):
    (tmp_path / "outside").write_text("{}")
    (folder / "a.json").unlink()
    (folder / "a.json").symlink_to(tmp_path / "outside")
    with pytest.raises(BundleError, match=r"a\.json links to .*outside, out of the bundle"):
        verify_sums(folder)
    with pytest.raises(BundleError, match="out of the bundle"):
        write_sums(folder)


def test_a_linked_folder_is_refused_and_a_link_inside_is_a_file(folder, tmp_path):
    (folder / "copy.json").symlink_to(folder / "a.json")
    write_sums(folder)
    assert verify_sums(folder)["copy.json"] == verify_sums(folder)["a.json"]
    (folder / "more").symlink_to(folder / "onnx")
    with pytest.raises(BundleError, match="more is no plain file"):
        verify_sums(folder)


def test_a_bundle_behind_a_link_is_a_bundle(folder, tmp_path):
    (tmp_path / "latest").symlink_to(folder)
    assert verify_sums(tmp_path / "latest") == verify_sums(folder)


def test_no_folder_and_no_list_are_told_apart(folder, tmp_path):
    with pytest.raises(BundleError, match=r"mad is not a folder; .* Did you mean 'made'\?"):
        verify_sums(tmp_path / "mad")
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(BundleError, match="holds no SHA256SUMS; name a folder that `export` wrote"):
        verify_sums(folder)
