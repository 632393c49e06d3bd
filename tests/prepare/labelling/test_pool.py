"""The pool: rows known by place and content, each asked once, and labels that find their rows."""

from __future__ import annotations

import pytest

from lightning_tune.errors import DataError
from lightning_tune.prepare.keys import content_key
from lightning_tune.prepare.labelling.batch import Given
from lightning_tune.prepare.labelling.pool import labelled_rows, pool_of
from lightning_tune.prepare.sheets import RowName
from lightning_tune.tables import Fields, TableFormat, read_rows


def pool(tmp_path, *texts: str, pairs: bool = False):
    header = "text,text_pair" if pairs else "text"
    (tmp_path / "pool.csv").write_text("\n".join([header, *texts]) + "\n")
    fields = Fields(label=None, text_pair="text_pair" if pairs else None)
    return pool_of(read_rows(str(tmp_path / "pool.csv"), fields, format=TableFormat()))


def given(number: int, text: str, label: str = "x") -> Given:
    return Given(RowName("pool", number, content_key(text)), label, f"batch.csv:{number + 1}")


def test_rows_are_numbered_and_known_by_content(tmp_path):
    found = pool(tmp_path, "one", "two")
    assert [(row.split, row.number) for row in found.rows] == [("pool", 1), ("pool", 2)]
    assert found.rows[1].key == content_key("two")


def test_what_is_known_and_what_stands_there_twice_is_left_out(tmp_path):
    rest = pool(tmp_path, "one", "two", "ONE ", "three").without({content_key("two")})
    assert rest.texts == ["one", "three"]
    assert [row.number for row in rest.rows] == [1, 4]


def test_pairs_are_read_as_one_text_by_simple_models(tmp_path):
    found = pool(tmp_path, "a,b", "a,c", pairs=True)
    assert found.joined() == ["a\nb", "a\nc"]
    assert found.without(set()).pairs == ["b", "c"]
    assert found.pair(1) == "c"


def test_labels_find_their_rows_also_where_these_moved(tmp_path):
    found = pool(tmp_path, "new", "one", "two")
    assert labelled_rows(found, [given(3, "two", "b"), given(1, "one", "a")]) == {1: "a", 2: "b"}


def test_a_label_for_another_pool_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"batch\.csv:2: pool:1:\w+ is no row of this pool"):
        labelled_rows(pool(tmp_path, "one"), [given(1, "other")])
