from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lightning_tune.errors import ConfigError, DataError
from lightning_tune.prepare.splitting import SplitSettings, class_gap, divide


def labelled(rows, count: int, *, seed: int = 0, **more) -> pa.Table:
    """Rows of four classes, of which the rarest has 3 %."""
    generator = np.random.default_rng(seed)
    labels = generator.choice(["a", "b", "c", "d"], count, p=[0.5, 0.35, 0.12, 0.03])
    return rows([f"text {seed} {number}" for number in range(count)], labels.tolist(), **more)


def sides(divided) -> dict[str, str]:
    return {
        text: split for split, table in divided.splits.items() for text in table["text"].to_pylist()
    }


@pytest.mark.parametrize("count", [300, 3000])
def test_every_class_has_its_share_on_every_side_within_a_point(rows, count):
    table = labelled(rows, count)
    divided = divide(table, SplitSettings())
    total = Counter(table["label"].to_pylist())
    for split, share in (("train", 0.8), ("val", 0.1), ("test", 0.1)):
        found = Counter(divided.splits[split]["label"].to_pylist())
        assert abs(sum(found.values()) / count - share) < 0.01
        for name, rows_of_class in total.items():
            assert abs(found[name] - share * rows_of_class) <= 0.01 * count
    if count == 3000:
        assert class_gap(divided.splits) < 1


def test_groups_that_are_all_missing_are_told(rows):
    table = labelled(rows, 20)
    table = table.append_column("group", pa.nulls(20, pa.string()))
    with pytest.raises(DataError, match="the group of all 20 rows is missing; name another column"):
        divide(table, SplitSettings(by="group"))


def test_rows_that_are_added_at_the_end_move_none(rows):
    table = labelled(rows, 2000)
    before = sides(divide(table, SplitSettings()))
    after = sides(divide(pa.concat_tables([table, labelled(rows, 700, seed=1)]), SplitSettings()))
    assert {text: after[text] for text in before} == before


def test_rows_of_a_previous_folder_keep_their_sides_whatever_has_changed(rows, tmp_path):
    table = labelled(rows, 1000)
    divided = divide(table, SplitSettings())
    for split, some in divided.splits.items():
        pq.write_table(some, tmp_path / f"{split}.parquet")
    (tmp_path / "prepare.json").write_text("{}")
    before = sides(divided)
    among = pa.concat_tables([labelled(rows, 700, seed=1), table.slice(50)])
    among = among.take(pa.array(np.random.default_rng(3).permutation(among.num_rows)))
    after = divide(among, SplitSettings(previous=str(tmp_path)))
    assert all(side == before[text] for text, side in sides(after).items() if text in before)
    assert abs(after.splits["test"].num_rows / among.num_rows - 0.1) < 0.01


def test_a_previous_folder_has_to_be_one(rows, tmp_path):
    with pytest.raises(ConfigError, match="is no folder that prepare wrote"):
        divide(labelled(rows, 100), SplitSettings(previous=str(tmp_path)))


def test_by_content_alone_no_row_moves_whatever_stands_beside_it(rows):
    table = labelled(rows, 1500)
    settings = SplitSettings(by="content")
    before = sides(divide(table, settings))
    among = pa.concat_tables([labelled(rows, 700, seed=1), table.slice(50)])
    among = among.take(pa.array(np.random.default_rng(3).permutation(among.num_rows)))
    after = sides(divide(among, settings))
    assert all(side == before[text] for text, side in after.items() if text in before)
    assert 0.08 < list(before.values()).count("test") / 1500 < 0.12


def test_another_seed_draws_other_rows(rows):
    table = labelled(rows, 1000)
    one = sides(divide(table, SplitSettings(seed=1)))
    other = sides(divide(table, SplitSettings(seed=2)))
    assert sum(one[text] == "test" == other[text] for text in one) < 50
    assert one == sides(divide(table, SplitSettings(seed=1)))


def test_train_knows_every_class(rows):
    table = rows(
        [f"t{number}" for number in range(200)], [f"c{number % 67}" for number in range(200)]
    )
    assert len(set(divide(table, SplitSettings()).splits["train"]["label"].to_pylist())) == 67


def test_equal_texts_stay_on_one_side(rows):
    texts = [f"t{number % 300}" for number in range(900)]
    divided = divide(rows(texts, ["a", "b", "c"] * 300), SplitSettings())
    found = [set(table["text"].to_pylist()) for table in divided.splits.values()]
    assert sum(map(len, found)) == 300
    assert divided.counts["tied"] == 0


def test_labels_in_lists_and_scores_are_stratified(rows):
    generator = np.random.default_rng(0)
    texts = [f"t{number}" for number in range(2000)]
    lists = [
        ["x"] * (draw < 0.5) + ["y"] * (draw > 0.3) for draw in generator.random(2000).tolist()
    ]
    divided = divide(rows(texts, lists), SplitSettings())
    for table in divided.splits.values():
        names = Counter(name for names in table["label"].to_pylist() for name in names)
        assert abs(names["x"] / table.num_rows - 0.5) < 0.03
    scores = (generator.beta(2, 5, 2000) * 5).tolist()
    means = [
        np.mean(table["label"].to_numpy())
        for table in divide(rows(texts, scores), SplitSettings()).splits.values()
    ]
    assert max(means) - min(means) < 0.1


def grouped(rows, count: int, seed: int = 0) -> pa.Table:
    groups = [f"g{number}" for number in np.random.default_rng(seed).integers(0, 150, count)]
    return labelled(rows, count, seed=seed, group=groups)


def test_group_split_never_shares_a_group(rows):
    divided = divide(grouped(rows, 3000), SplitSettings(by="group"))
    groups = [set(table["group"].to_pylist()) for table in divided.splits.values()]
    assert sum(map(len, groups)) == 150
    assert 0.05 < divided.splits["test"].num_rows / 3000 < 0.15
    assert divided.counts == {"tied": 0, "dropped": 0}


def test_rows_added_to_groups_move_none_and_one_that_ties_two_groups_goes(rows):
    table = grouped(rows, 1000)
    settings = SplitSettings(by="group")
    before = sides(divide(table, settings))
    of_group = {
        group: split
        for split, some in divide(table, settings).splits.items()
        for group in some["group"].to_pylist()
    }
    in_train = next(group for group, split in of_group.items() if split == "train")
    in_test = next(text for text, split in before.items() if split == "test")
    new = rows([in_test, "another"], ["a", "a"], group=[in_train, in_train])
    divided = divide(pa.concat_tables([table, new]), settings)
    after = sides(divided)
    assert {text: after[text] for text in before} == before
    assert after["another"] == "train"
    assert divided.counts["tied"] == 1
    assert divided.dropped["reason"].to_pylist() == [
        "the row would tie two sides of the split together"
    ]


def test_time_split_puts_the_future_into_test(rows):
    start = datetime(2024, 1, 1, tzinfo=UTC)
    order = np.random.default_rng(0).permutation(1000).tolist()
    times = [start + timedelta(hours=hour) for hour in order]
    divided = divide(labelled(rows, 1000, time=times), SplitSettings(by="time"))
    bounds = {
        split: (min(table["time"].to_pylist()), max(table["time"].to_pylist()))
        for split, table in divided.splits.items()
    }
    assert bounds["train"][1] < bounds["val"][0]
    assert bounds["val"][1] < bounds["test"][0]
    assert [divided.splits[split].num_rows for split in ("train", "val", "test")] == [800, 100, 100]


def test_rows_of_one_time_stay_together(rows):
    days = [number // 60 for number in range(600)]
    divided = divide(labelled(rows, 600, time=days), SplitSettings(by="time", val_share=0.15))
    found = [set(table["time"].to_pylist()) for table in divided.splits.values()]
    assert sum(map(len, found)) == 10


def test_stated_times_divide_whatever_is_added(rows):
    settings = SplitSettings(by="time", val_from="2024-02-01", test_from="2024-03-01")
    times = [datetime(2024, 1 + number % 3, 5, tzinfo=UTC) for number in range(60)]
    divided = divide(labelled(rows, 60, time=times), settings)
    months = {
        s: {t.month for t in table["time"].to_pylist()} for s, table in divided.splits.items()
    }
    assert months == {"train": {1}, "val": {2}, "test": {3}}


def test_a_text_that_comes_again_later_in_time_does_not_leak(rows):
    table = rows(["a", "b", "c", "d", "a"], time=[1, 2, 3, 4, 5])
    divided = divide(table, SplitSettings(by="time", val_share=0, test_share=0.4))
    assert divided.splits["test"]["text"].to_pylist() == ["d"]
    assert divided.counts["tied"] == 1


def test_splits_of_the_users_own_get_nothing(rows):
    divided = divide(labelled(rows, 500), SplitSettings(), own=["test"])
    assert list(divided.splits) == ["train", "val"]
    assert (
        divide(labelled(rows, 50), SplitSettings(), own=["val", "test"]).splits["train"].num_rows
        == 50
    )


def test_rows_without_group_or_time_go(rows):
    table = labelled(rows, 60, group=[None, *(f"g{number % 20}" for number in range(59))])
    divided = divide(table, SplitSettings(by="group"))
    assert divided.dropped["line"].to_pylist() == [1]
    assert divided.dropped["reason"].to_pylist() == ["the group is missing"]


@pytest.mark.parametrize("by", ["group", "time"])
def test_a_missing_column_is_named(rows, by):
    with pytest.raises(
        ConfigError, match=f"recipe.split.by={by} needs a column; name it with --{by}."
    ):
        divide(labelled(rows, 20), SplitSettings(by=by))


def test_too_few_rows_are_refused(rows):
    with pytest.raises(DataError, match="the split by label of 2 rows leaves none for val"):
        divide(rows(["a", "b"], ["x", "y"]), SplitSettings())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"val_share": 1.0}, "split.val_share=1.0 is outside"),
        ({"val_share": 0.5, "test_share": 0.5}, "leave nothing for train"),
        ({"test_from": "2024-01-01"}, "need split.by=time, not label"),
    ],
)
def test_impossible_settings_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        SplitSettings(**values)


def test_a_stated_time_has_to_be_of_the_rows_kind(rows):
    settings = SplitSettings(by="time", test_from="2024-01-01")
    with pytest.raises(ConfigError, match="'2024-01-01' is of another kind"):
        divide(labelled(rows, 20, time=list(range(20))), settings)
