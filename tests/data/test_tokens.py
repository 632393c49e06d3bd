import hashlib
import pickle

import numpy as np
import pytest

from lightning_tune.data.tokens import DamagedStoreError, TokenStore
from lightning_tune.serving.encoding import EncodingSettings

TEXTS = ["the book", "a film, a film", "money 💶"]


def test_rows_are_what_the_source_had(make_store, tiny_tokenizer):
    store = make_store(TEXTS, ["b", "a", "b"], weights=[1.0, 0.5, 2.0])
    assert len(store) == 3
    assert [store.text(row) for row in range(3)] == [(text, None) for text in TEXTS]
    assert [store.label(row) for row in range(3)] == ["b", "a", "b"]
    assert store.labels == ["b", "a"]
    assert store.label_codes.tolist() == [0, 1, 0]
    assert store.weights.tolist() == [1.0, 0.5, 2.0]
    expected = [tiny_tokenizer.encode(text).ids for text in TEXTS]
    assert [store.sequences(row)[0].tolist() for row in range(3)] == expected
    assert store.lengths.tolist() == store.longest.tolist() == [len(ids) for ids in expected]
    assert store.where(1) == "rows.csv:3"


def test_pairs_keep_both_texts_and_where_the_second_starts(make_store, tiny_tokenizer):
    store = make_store(["a book", "x"], pairs=["the film", "y"])
    assert store.text(0) == ("a book", "the film")
    assert store.text(1) == ("x", "y")
    types = tiny_tokenizer.encode("a book", "the film").type_ids
    assert store.second[0] == types.index(1)


def test_windows_belong_to_their_row(make_store):
    settings = EncodingSettings(6, "windows", stride=0, max_windows=3)
    store = make_store(["book " * 10, "book"], settings=settings)
    assert store.windows.tolist() == [3, 1]
    assert [len(ids) for ids in store.sequences(0)] == [6, 6, 4]
    assert store.lengths.tolist() == [16, 3]
    assert store.longest.tolist() == [6, 3]
    assert store.truncated.tolist() == [False, False]


def test_labels_keep_their_type(make_store):
    assert make_store(TEXTS, [("a", "b"), (), ("a", "b")]).labels == [("a", "b"), ()]
    assert make_store(TEXTS, [1.5, 2.0, 1.5]).labels == [1.5, 2.0]
    assert make_store(TEXTS, ["01", "1", "01"]).labels == ["01", "1"]


def test_rows_without_labels_and_weights_have_none(make_store):
    store = make_store(TEXTS)
    assert store.label(0) is None
    assert store.weights is None
    assert store.second is None


def test_hashes_are_of_the_text_and_its_pair(make_store):
    store = make_store(["one", "two", "one"])
    digest = hashlib.blake2b(b"one", digest_size=8).digest()
    assert store.hashes[0] == store.hashes[2] == np.frombuffer(digest, np.uint64)[0]
    assert store.hashes[0] != store.hashes[1]
    pairs = make_store(["one", "one"], pairs=["x", "y"])
    assert pairs.hashes[0] != pairs.hashes[1]


def test_a_store_travels_to_workers_as_its_path(make_store):
    store = make_store(TEXTS, ["a", "b", "a"])
    raw = pickle.dumps(store)
    assert len(raw) < 500
    assert pickle.loads(raw).text(2) == store.text(2)


def test_arrays_cannot_be_written(make_store):
    with pytest.raises(ValueError, match="read-only"):
        make_store(TEXTS).ids[0] = 1


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"columns": 3', "\udcff"])
def test_a_damaged_description_is_noticed(make_store, content):
    folder = make_store(TEXTS).folder
    (folder / "meta.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(DamagedStoreError, match=r"meta\.json"):
        TokenStore(folder)


def test_a_damaged_column_is_noticed(make_store):
    folder = make_store(TEXTS).folder
    raw = bytearray((folder / "ids.bin").read_bytes())
    raw[0] ^= 1
    (folder / "ids.bin").write_bytes(raw)
    with pytest.raises(DamagedStoreError, match=r"ids\.bin is not the file that was written"):
        TokenStore(folder)
