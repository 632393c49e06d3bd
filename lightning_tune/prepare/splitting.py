"""Train, validation and test: stratified, by group or by time; the same rows stay where they were.

Global: it needs all rows at once, in the order of the input.

A rule that looks at each row alone would never move one, but leave the shares of classes to chance;
exact shares for each class would move rows whenever some are added. So each row has a side of its
own, drawn from its content and the seed, and rows are taken in the order of the input: one goes to
its own side as long as its classes keep their shares there to within a row or two, else to the side
that lacks most. Rows that are added at the end move none; where an earlier folder is named, or rows
are divided by content alone, none moves whatever has changed since.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lightning_tune.errors import ConfigError, DataError
from lightning_tune.prepare.collect.values import parse_time
from lightning_tune.prepare.keys import content_keys
from lightning_tune.prepare.labels import class_counts, label_codes
from lightning_tune.prepare.previous import read_splits
from lightning_tune.prepare.rows import DROPPED, KEPT, KEY, drop, numbers, pairs_of
from lightning_tune.schema import Split

STEP = "split"
SIDES: tuple[Split, ...] = ("train", "val", "test")
TIED = "the row would tie two sides of the split together"
NO_GROUP = "the group is missing"
NO_TIME = "the time is missing"

_EVERYTHING = -1  # the stratum of all rows
_LEAST_SLACK = 1.5  # rows that a class may be off its share of a side, however few rows there are
_SLACK = 0.0006  # the same as a share of all rows: within a point of any side of a tenth
_GROUP_SLACK = 0.01  # of groups, which come in lumps
_BINS = 20  # of the decade that the greatest score lies in


@dataclass(frozen=True)
class SplitSettings:
    """How rows are divided where the user names no file for a split.

    Args:
        by: `label`: each class in equal shares; `group`: all rows of a group on one side; `time`:
            test after validation after train; `content`: each row by itself, classes by chance.
        val_share: Share of the rows for validation, in [0, 1).
        test_share: Share of the rows for test, in [0, 1).
        seed: Decides which rows.
        val_from: Where `by` is time: the first time of validation; null: by its share.
        test_from: Where `by` is time: the first time of test; null: by its share.
        previous: A folder that prepare wrote before: what is in it keeps its side. Null: none.
    """

    by: Literal["label", "group", "time", "content"] = "label"
    val_share: float = 0.1
    test_share: float = 0.1
    seed: int = 42
    val_from: str | None = None
    test_from: str | None = None
    previous: str | None = None

    def __post_init__(self) -> None:
        for name, share in (("val_share", self.val_share), ("test_share", self.test_share)):
            if not 0 <= share < 1:
                raise ConfigError(f"split.{name}={share} is outside [0, 1).")
        if self.val_share + self.test_share >= 1:
            raise ConfigError(
                f"split.val_share={self.val_share} and split.test_share={self.test_share} leave "
                "nothing for train; lower one of them."
            )
        if self.by != "time" and (self.val_from or self.test_from):
            raise ConfigError(
                f"split.val_from and split.test_from need split.by=time, not {self.by}."
            )
        if self.by == "time" and self.previous is not None:
            raise ConfigError(
                f"split.previous={self.previous!r} has no meaning with split.by=time; name times."
            )


@dataclass(frozen=True)
class Divided:
    """The rows of each side.

    Args:
        splits: The rows by split, each in the order of the input.
        dropped: Rows that would have tied two sides together, or that lack group or time.
        counts: `tied` and `dropped`.
    """

    splits: Mapping[Split, pa.Table]
    dropped: pa.Table
    counts: Mapping[str, int] = field(default_factory=dict)


def divide(table: pa.Table, settings: SplitSettings, *, own: Sequence[Split] = ()) -> Divided:
    """Divide the rows that are for train, and for each split that the user named no file for.

    Args:
        table: The rows, with their content keys; equal keys stay on one side.
        settings: How.
        own: Splits that the user named a file for: they get none of these rows.

    Raises:
        ConfigError: if the column of group or time is missing.
        DataError: if a side would be empty.
    """
    shares = _shares(settings, own)
    table, lacking = _complete(table, settings)
    if not table.num_rows and lacking.num_rows:
        raise DataError(
            f"the {settings.by} of all {lacking.num_rows:,} rows is missing; name another column "
            f"with --{settings.by}, or set recipe.split.by=label."
        )
    sides = _by_time(table, settings, shares) if settings.by == "time" else None
    if sides is None:
        sides = _in_turn(table, settings, shares)
    else:
        sides = _untied(numbers(table, KEY), sides)
    _check_filled(sides, shares, settings)
    codes = np.where(sides < 0, 0, KEPT).astype(np.int8)
    kept, tied = drop(table, codes, [TIED], step=STEP)
    sides = sides[sides >= 0]
    splits = {
        split: kept.filter(pa.array(sides == SIDES.index(split)))
        for split in SIDES
        if split in shares
    }
    dropped = pa.concat_tables([lacking, tied])
    return Divided(splits, dropped, {"tied": tied.num_rows, "dropped": dropped.num_rows})


def _shares(settings: SplitSettings, own: Sequence[Split]) -> dict[Split, float]:
    stated = {"val": settings.val_share, "test": settings.test_share}
    wanted: dict[Split, float] = {
        split: stated[split]
        for split in SIDES[1:]
        if split not in own and (stated[split] or (settings.by == "time" and _cut(settings, split)))
    }
    return {"train": 1 - sum(wanted.values()), **wanted}


def _cut(settings: SplitSettings, split: Split) -> str | None:
    return settings.val_from if split == "val" else settings.test_from


def _complete(table: pa.Table, settings: SplitSettings) -> tuple[pa.Table, pa.Table]:
    """Drop rows that lack what they are divided by."""
    by, reason = settings.by, NO_GROUP if settings.by == "group" else NO_TIME
    if by in ("label", "content"):
        return table, DROPPED.empty_table()
    if by not in table.column_names:
        raise ConfigError(f"recipe.split.by={by} needs a column; name it with --{by}.")
    missing = table[by].is_null().to_numpy()
    return drop(table, np.where(missing, 0, KEPT).astype(np.int8), [reason], step=STEP)


def _in_turn(
    table: pa.Table, settings: SplitSettings, shares: Mapping[Split, float]
) -> NDArray[np.int8]:
    """Return the side of each row, -1 where it would tie two together, [n]."""
    keys = numbers(table, KEY)
    grouped = settings.by == "group"
    units = content_keys(table["group"].to_pylist()) if grouped else keys
    own_sides = _drawn(units, settings.seed, shares).tolist()
    strata = _strata(table) if settings.by == "label" else [()] * len(keys)
    tally = _Tally([shares.get(split, 0.0) for split in SIDES], _GROUP_SLACK if grouped else _SLACK)
    sides = np.empty(len(keys), np.int8)
    of_text, of_group = _known(settings, shares)
    of_unit = of_group if grouped else of_text
    for row, (unit, key) in enumerate(zip(units.tolist(), keys.tolist(), strict=True)):
        side = of_unit.get(unit)
        if side is None:
            side = of_text.get(key)
        if side is None:
            chance = settings.by == "content"
            side = own_sides[row] if chance else tally.choose(strata[row], own_sides[row])
        of_unit.setdefault(unit, side)
        if of_text.setdefault(key, side) != side:
            sides[row] = -1
            continue
        tally.add(strata[row], side)
        sides[row] = side
    return sides


def _known(
    settings: SplitSettings, shares: Mapping[Split, float]
) -> tuple[dict[int, int], dict[int, int]]:
    """Return the sides of the texts and of the groups in the previous folder, by their keys."""
    texts: dict[int, int] = {}
    groups: dict[int, int] = {}
    for split, table in read_splits(settings.previous).items():
        if split in shares:
            side = SIDES.index(split)
            keys = content_keys(table["text"].to_pylist(), pairs_of(table))
            texts |= dict.fromkeys(keys.tolist(), side)
            if "group" in table.column_names:
                named = table["group"].drop_null().unique().to_pylist()
                groups |= dict.fromkeys(content_keys(named).tolist(), side)
    return texts, groups


class _Tally:
    """How many rows of each stratum went to each side.

    Args:
        shares: Wanted share of each side.
        slack: What a stratum may be off its shares, as a share of all rows.
    """

    def __init__(self, shares: Sequence[float], slack: float) -> None:
        self._shares = shares
        self._slack = slack
        self._sides = [side for side, share in enumerate(shares) if share]
        self._counts: dict[int, list[float]] = {}

    def add(self, strata: Sequence[int], side: int) -> None:
        """Count a row."""
        for stratum in (_EVERYTHING, *strata):
            self._of(stratum)[side] += 1

    def choose(self, strata: Sequence[int], own: int) -> int:
        """Return the row's own side if all its strata keep their shares there, else another.

        The first row of a class is for train, which has to know every class.
        """
        if any(stratum not in self._counts for stratum in strata):
            return 0
        counts = [self._of(stratum) for stratum in (_EVERYTHING, *strata)]
        if self._fits(counts, own):
            return own
        lacks = [
            sum(self._shares[side] * (sum(each) + 1) - each[side] for each in counts)
            for side in self._sides
        ]
        return self._sides[lacks.index(max(lacks))]

    def _fits(self, strata: Sequence[Sequence[float]], own: int) -> bool:
        slack = max(_LEAST_SLACK, self._slack * (sum(strata[0]) + 1))
        for counts in strata:
            rows = sum(counts) + 1
            for side in self._sides:
                wanted = self._shares[side] * rows
                off = abs(counts[side] + (side == own) - wanted)
                if off > slack or off > max(_LEAST_SLACK, math.sqrt(wanted)):
                    return False
        return True

    def _of(self, stratum: int) -> list[float]:
        return self._counts.setdefault(stratum, [0.0] * len(self._shares))


def _drawn(keys: NDArray[np.uint64], seed: int, shares: Mapping[Split, float]) -> NDArray[np.int64]:
    """Return the side that each key has of its own, [n]: by its hash with the seed, in shares."""
    order = [split for split in reversed(SIDES) if split in shares]
    ends = np.cumsum([shares[split] for split in order])
    place = np.searchsorted(ends[:-1], _mix(keys, seed) / 2.0**64, side="right")
    sides: NDArray[np.int64] = np.array([SIDES.index(split) for split in order])[place]
    return sides


def _mix(keys: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """Scramble keys with a seed: the finalizer of splitmix64 (Steele, Lea, Flood 2014)."""
    mixed = keys ^ np.uint64((seed * 0x9E3779B97F4A7C15 + 0xD1B54A32D192ED03) % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


def _strata(table: pa.Table) -> list[tuple[int, ...]]:
    """Return the strata of each row: its classes, or the range of its score."""
    if "label" not in table.column_names:
        return [()] * table.num_rows
    column = table["label"]
    if pa.types.is_floating(column.type):
        return [(one,) for one in _bins(column.to_numpy()).tolist()]
    if pa.types.is_list(column.type):
        numbered: dict[str, int] = {}
        return [
            tuple(numbered.setdefault(name, len(numbered)) for name in names)
            for names in column.to_pylist()
        ]
    return [(one,) for one in label_codes(table).tolist()]


def _bins(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the range that each score lies in; scores of the same decade do not change them."""
    greatest = float(np.abs(scores).max()) if len(scores) else 0.0
    decade = 10.0 ** np.floor(np.log10(greatest) if greatest else 0.0)
    found: NDArray[np.int64] = np.floor(scores / (10 * decade / _BINS)).astype(np.int64)
    return found


def _by_time(
    table: pa.Table, settings: SplitSettings, shares: Mapping[Split, float]
) -> NDArray[np.int8]:
    """Return the side of each row by its time; rows of one time stay together, [n]."""
    times = table["time"]
    values = times.cast(pa.int64()).to_numpy()
    ordered = np.sort(values)
    sides = np.zeros(len(values), np.int8)
    after = 0.0
    cuts: dict[Split, int] = {}
    for split in ("test", "val"):
        if split not in shares:
            continue
        after += shares[split]
        stated = _cut(settings, split)
        at = min(round(len(ordered) * (1 - after)), len(ordered) - 1)
        cuts[split] = int(ordered[at]) if stated is None else _stated(stated, times.type)
    if "val" in cuts:
        sides[values >= cuts["val"]] = SIDES.index("val")
    if "test" in cuts:
        sides[values >= cuts["test"]] = SIDES.index("test")
    return sides


def _stated(time: str, kind: pa.DataType) -> int:
    """Return a time that the user stated, as the column counts it."""
    try:
        found = parse_time(time, "time")
    except ValueError as err:
        raise ConfigError(f"recipe.split: {time!r}: {err}.") from err
    if isinstance(found, int) != pa.types.is_integer(kind):
        raise ConfigError(
            f"recipe.split: {time!r} is of another kind than the times of the rows; write a "
            f"{'whole number' if pa.types.is_integer(kind) else 'date'}."
        )
    return found if isinstance(found, int) else int(pa.scalar(found, kind).value)


def _untied(keys: NDArray[np.uint64], sides: NDArray[np.int8]) -> NDArray[np.int8]:
    """Mark rows whose text has another side already, earlier in the input, with -1."""
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    return np.where(sides == sides[first][group], sides, -1).astype(np.int8)


def _check_filled(
    sides: NDArray[np.int8], shares: Mapping[Split, float], settings: SplitSettings
) -> None:
    for split in shares:
        if not (sides == SIDES.index(split)).any():
            fix = (
                "lower the other shares"
                if split == "train"
                else f"change recipe.split.{split}_share"
            )
            raise DataError(
                f"the split by {settings.by} of {len(sides)} rows leaves none for {split}; add "
                f"rows, {fix}, or name a file of your own (--val, --test)."
            )


def class_gap(splits: Mapping[Split, pa.Table]) -> float:
    """Return the largest difference between a class's share in a split and in all, in points."""
    counts = {split: class_counts(table) for split, table in splits.items()}
    total: dict[str, int] = {}
    for each in counts.values():
        for name, count in each.items():
            total[name] = total.get(name, 0) + count
    everything = sum(total.values())
    gaps = [
        abs(each.get(name, 0) / sum(each.values()) - total[name] / everything)
        for each in counts.values()
        if each
        for name in total
    ]
    return round(100 * max(gaps, default=0.0), 3)
