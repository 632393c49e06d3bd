import stat

import numpy as np
import pytest

from lightning_tune.data.columns import ColumnWriter, is_intact, open_column


def test_what_is_appended_is_read_back(tmp_path):
    path = tmp_path / "column.bin"
    writer = ColumnWriter(path, np.int32)
    writer.append([1, 2])
    writer.append(np.array([3], np.int64))
    writer.append(np.array([4], np.int32).tobytes())
    spec = writer.finish()
    assert open_column(path, spec).tolist() == [1, 2, 3, 4]
    assert open_column(path, spec).dtype == np.int32
    assert is_intact(path, spec)


def test_an_empty_column_is_empty(tmp_path):
    spec = ColumnWriter(tmp_path / "column.bin", np.float32).finish()
    assert len(open_column(tmp_path / "column.bin", spec)) == 0
    assert is_intact(tmp_path / "column.bin", spec)


def test_only_the_owner_can_read_a_column(tmp_path):
    path = tmp_path / "column.bin"
    ColumnWriter(path, np.int8).finish()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_column_that_is_given_up_is_closed(tmp_path):
    with ColumnWriter(tmp_path / "column.bin", np.int8) as writer:
        pass
    with pytest.raises(ValueError, match="closed"):
        writer.append([1])


def test_an_existing_file_is_not_overwritten(tmp_path):
    (tmp_path / "column.bin").write_bytes(b"x")
    with pytest.raises(FileExistsError):
        ColumnWriter(tmp_path / "column.bin", np.int8)


@pytest.mark.parametrize("content", [b"", b"\x01\x02", b"\x01\x02\x04", b"\x01\x02\x03\x04", None])
def test_a_changed_cut_or_missing_file_is_not_intact(tmp_path, content):
    path = tmp_path / "column.bin"
    writer = ColumnWriter(path, np.uint8)
    writer.append([1, 2, 3])
    spec = writer.finish()
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert not is_intact(path, spec)
