import multiprocessing
import os
import stat

import pytest
from tokenizers import Tokenizer

from lightning_tune.data.building import build_or_open
from lightning_tune.errors import DataError
from lightning_tune.serving.encoding import EncodingSettings, TextEncoder


@pytest.fixture
def encoder(tiny_tokenizer):
    return TextEncoder(tiny_tokenizer, EncodingSettings(16), with_types=True)


def build(source, encoder, folder, **changes):
    arguments = {"key_parts": {"x": 1}, "on_bad_rows": "skip", **changes}
    return build_or_open(source, lambda: encoder, folder=folder, **arguments)


def test_a_source_is_read_once(list_source, encoder, tmp_path):
    source = list_source(["one", "two", "three"])
    first = build(source, encoder, tmp_path)
    second = build(source, encoder, tmp_path)
    assert source.reads == [1]
    assert first.folder == second.folder


def test_other_content_settings_or_names_are_other_tokens(list_source, encoder, tmp_path):
    source = list_source(["one"])
    stores = [
        build(source, encoder, tmp_path),
        build(source, encoder, tmp_path, key_parts={"x": 2}),
        build(source, encoder, tmp_path, on_bad_rows="keep"),
        build(list_source(["two"]), encoder, tmp_path),
        build(list_source(["one"], name="other"), encoder, tmp_path),
    ]
    assert len({store.folder for store in stores}) == 5


def test_only_the_owner_can_read_the_cache(list_source, encoder, tmp_path):
    store = build(list_source(["one"]), encoder, tmp_path / "tokens")
    assert stat.S_IMODE((tmp_path / "tokens").stat().st_mode) == 0o700
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    modes = {stat.S_IMODE(path.stat().st_mode) for path in store.folder.iterdir()}
    assert modes == {0o600}


@pytest.mark.parametrize("damage", ["missing", "cut", "changed", "emptied"])
def test_damaged_tokens_are_built_again(list_source, encoder, tmp_path, caplog, damage):
    source = list_source(["one", "two"])
    folder = build(source, encoder, tmp_path).folder
    if damage == "emptied":
        for path in folder.iterdir():
            path.unlink()
    else:
        path = folder / "texts.bin"
        raw = path.read_bytes()
        path.unlink()
        if damage != "missing":
            path.write_bytes(raw[:-1] if damage == "cut" else raw[:-1] + b"?")
    store = build(source, encoder, tmp_path)
    assert [store.text(row)[0] for row in range(2)] == ["one", "two"]
    assert source.reads == [1, 1]
    assert "damaged and is built again" in caplog.text


def test_what_a_killed_process_left_does_not_matter(list_source, encoder, tmp_path):
    source = list_source(["one"])
    target = build(source, encoder, tmp_path / "first").folder.name
    left = tmp_path / "second" / f"{target}.tmp"
    left.mkdir(parents=True)
    (left / "ids.bin").write_bytes(b"half")
    assert build(source, encoder, tmp_path / "second").text(0) == ("one", None)
    assert not left.exists()


def test_a_source_that_fails_leaves_nothing(list_source, encoder, tmp_path):
    class Failing(list_source):
        def rows(self, on_bad_rows, bad=None):
            yield from super().rows(on_bad_rows, bad)
            raise DataError("row 9 is broken")

    with pytest.raises(DataError, match="row 9 is broken"):
        build(Failing(["one", "two", "three"]), encoder, tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] in ([], [".lock"])


def test_a_source_without_rows_is_refused(list_source, encoder, tmp_path):
    with pytest.raises(DataError, match="rows has no rows"):
        build(list_source([]), encoder, tmp_path)


def test_a_folder_that_cannot_be_written_is_named(list_source, encoder, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match=r"cannot keep the tokens of rows in .*data\.cache_dir"):
        build(list_source(["one"]), encoder, tmp_path / "file" / "tokens")


def test_a_full_disk_is_named_and_leaves_nothing(list_source, encoder, tmp_path, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="No space left on device; free space there"):
        build(list_source(["one"]), encoder, tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_skipped_rows_are_counted_and_listed(list_source, encoder, tmp_path):
    source = list_source(["one", "BAD", "BAD", "BAD", "two"])
    store = build(source, encoder, tmp_path, on_bad_rows="skip")
    assert [store.text(row)[0] for row in range(len(store))] == ["one", "two"]
    assert store.meta["bad"]["count"] == 3
    assert store.meta["bad"]["rows"][0] == ["rows.csv", 3, "no text"]
    assert store.where(1) == "rows.csv:6"


def test_kept_rows_have_an_error_and_no_text(list_source, encoder, tmp_path):
    store = build(list_source(["one", "BAD", "two"]), encoder, tmp_path, on_bad_rows="keep")
    assert store.errors == {1: "no text"}
    assert store.text(1) == ("", None)
    assert len(store.sequences(1)[0]) == 2


def test_lone_surrogates_are_stored_normalised(list_source, encoder, tmp_path):
    assert build(list_source(["a\ud800"]), encoder, tmp_path).text(0) == ("a\ufffd", None)


def _build_in_process(source_type, folder, tokenizer_json, reads):
    source = source_type([f"text {n}" for n in range(50)])
    encoder = TextEncoder(Tokenizer.from_str(tokenizer_json), EncodingSettings(16), with_types=True)
    store = build(source, encoder, folder)
    reads.put((len(source.reads), len(store)))


def test_of_several_processes_one_builds(list_source, tiny_tokenizer, tmp_path):
    context = multiprocessing.get_context("fork")
    reads = context.Queue()
    arguments = (list_source, tmp_path, tiny_tokenizer.to_str(), reads)
    processes = [context.Process(target=_build_in_process, args=arguments) for _ in range(4)]
    for process in processes:
        process.start()
    results = [reads.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert sum(read for read, _ in results) == 1
    assert {rows for _, rows in results} == {50}
