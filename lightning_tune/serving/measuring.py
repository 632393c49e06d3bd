"""How fast bundles answer: one text at a time, and many of mixed lengths, measured in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lightning_tune.datasets import builtin
from lightning_tune.serving.bundle import Bundle
from lightning_tune.tables import Fields, TableFormat, read_rows


@dataclass(frozen=True)
class Speed:
    """What one bundle reaches.

    Args:
        p50: Milliseconds from one text to its answer, the median.
        p95: The same, which 95 of 100 texts stay below.
        rows_a_second: Texts of mixed lengths answered a second, the median of the passes.
    """

    p50: float
    p95: float
    rows_a_second: float


def measure(
    bundles: Mapping[str, Bundle],
    texts: Sequence[str],
    *,
    passes: int = 5,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Speed]:
    """Measure bundles in turns, so that what else the machine does meets all of them alike.

    Args:
        bundles: The bundles by a name; those tuned on pairs get each text twice.
        texts: Texts of mixed lengths, answered one by one, then all together.
        passes: How often they are answered all together, at least 1.
        clock: Tells the seconds.
    """
    single: dict[str, list[float]] = {name: [] for name in bundles}
    whole: dict[str, list[float]] = {name: [] for name in bundles}
    for kept, parts, rounds in ((single, [[text] for text in texts], 1), (whole, [texts], passes)):
        _turn(bundles, parts[:3], {name: [] for name in bundles}, clock)  # first runs are slower
        for _ in range(rounds):
            _turn(bundles, parts, kept, clock)
    return {
        name: Speed(
            p50=1000 * float(np.median(single[name])),
            p95=1000 * float(np.percentile(single[name], 95)),
            rows_a_second=len(texts) / float(np.median(whole[name])),
        )
        for name in bundles
    }


def mixed_texts() -> list[str]:
    """Return the test texts of the embedded data set: 2 to 118 words, as customers write."""
    batches = read_rows(str(builtin("support")["test"]), Fields(label=None), format=TableFormat())
    return [text for batch in batches for text in batch.texts]


def _turn(
    bundles: Mapping[str, Bundle],
    parts: Sequence[Sequence[str]],
    kept: Mapping[str, list[float]],
    clock: Callable[[], float],
) -> None:
    names = list(bundles)
    for number, part in enumerate(parts):
        first = number % len(names)  # each goes first as often as the others
        for name in names[first:] + names[:first]:
            begun = clock()
            answer(bundles[name], part)
            kept[name].append(clock() - begun)


def answer(bundle: Bundle, texts: Sequence[str]) -> Any:
    """Answer texts; by a bundle that was tuned on pairs, each text beside itself."""
    return bundle(texts, texts if bundle.manifest.fields.text_pair else None)
