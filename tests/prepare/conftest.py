"""Rows as the global steps get them: with their keys, in the order of an input."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa
import pytest

from lightning_tune.prepare.keying import KeyStep, RawKeyStep

Make = Callable[..., pa.Table]


@pytest.fixture(scope="session")
def rows() -> Make:
    """Return a function: texts, labels and other columns -> rows of one source."""

    def make(texts: Sequence[str], labels: Sequence[object] | None = None, **more) -> pa.Table:
        columns = {"text": pa.array(texts, pa.string())}
        if labels is not None:
            columns["label"] = pa.array(labels)
        columns |= {name: pa.array(values) for name, values in more.items()}
        columns["source"] = pa.array(["raw.csv"] * len(texts)).dictionary_encode()
        columns["line"] = pa.array(range(1, len(texts) + 1), pa.int64())
        return KeyStep()(RawKeyStep()(pa.table(columns)).table).table

    return make
