"""Steps over Ray Data with two workers: the rows of one machine, and the same bytes."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lightning_tune.errors import ConfigError, DataError
from lightning_tune.prepare.cleaning import CleanSettings
from lightning_tune.prepare.collect.inputs import Input, Reading
from lightning_tune.prepare.distributed import prepare_dataset
from lightning_tune.prepare.near import NearSettings
from lightning_tune.prepare.pipeline import Job, run
from lightning_tune.prepare.recipe import Recipe
from lightning_tune.prepare.rows import joined, ordered
from lightning_tune.prepare.splitting import SplitSettings

ray = pytest.importorskip("ray", reason="needs the extra ray")
# Ray is not free of warnings, of its own and of what it imports.
pytestmark = pytest.mark.filterwarnings("ignore")

WORDS = """
where when never again please help money letter phone shop online monday refund
""".split()  # noqa: SIM905
ALONE = {"quality": None, "near": None}


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=100_000_000,
        logging_level="ERROR",
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


def raw(first: int, rows: int) -> pa.Table:
    """Messages, among them duplicates, contradictions, mail addresses, HTML and empty ones."""
    draw = random.Random(first)
    texts, labels = [], []
    for row in range(rows):
        text = f"{' '.join(draw.choices(WORDS, k=6))} {first + row}"
        text += draw.choice(["", f" ann{row}@example.org", " <b>now</b>", ""])
        texts.append(draw.choice([text, text, text, texts[-1].upper() if texts else text, ""]))
        labels.append(draw.choice([" card", "bill", "bill"]))
    return pa.table({"text": texts, "label": labels})


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("rows")
    names = [str(folder / f"{name}.parquet") for name in ("a", "b")]
    for name, first in zip(names, (0, 5000), strict=True):
        pq.write_table(raw(first, 400), name)
    return names


def dataset(inputs: list[str], lines: bool = True):
    tables = []
    for name in inputs:
        table = pq.read_table(name)
        table = table.append_column("source", pa.array([name] * table.num_rows))
        if lines:
            numbers = pa.array(range(1, table.num_rows + 1), pa.int64())
            table = table.append_column("line", numbers)
        tables.append(table)
    return ray.data.from_arrow(joined(tables)).repartition(7)


def gathered(rows, sources: list[str]) -> pa.Table:
    """The rows of a split in the order of the input, as one machine holds them."""
    table = joined(list(rows.iter_batches(batch_size=None, batch_format="pyarrow")))
    order = sorted(
        range(table.num_rows),
        key=lambda at: (sources.index(table["source"][at].as_py()), table["line"][at].as_py()),
    )
    table = table.take(order).combine_chunks()
    source = pa.DictionaryArray.from_arrays(
        pa.array([sources.index(name) for name in table["source"].to_pylist()], pa.int32()), sources
    )
    return table.set_column(table.column_names.index("source"), "source", source)


def written(table: pa.Table, path) -> bytes:
    pq.write_table(table.combine_chunks(), path, compression="zstd")
    return path.read_bytes()


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(**ALONE),
        Recipe(quality=None, near=NearSettings()),
        Recipe(**ALONE, clean=CleanSettings(html=False), split=SplitSettings(by="content")),
    ],
    ids=["keys alone", "near duplicates", "by content"],
)
def test_two_workers_give_the_bytes_of_one_machine(inputs, recipe, tmp_path):
    alone = run(Job([Input(name) for name in inputs], reading=Reading(), recipe=recipe))
    spread = prepare_dataset(dataset(inputs), inputs, recipe)
    assert set(spread.splits) == set(alone.splits) == {"train", "val", "test"}
    for split, table in alone.splits.items():
        local = ordered(table)
        distant = gathered(spread.splits[split], inputs)
        assert distant.to_pylist() == local.to_pylist()
        assert written(distant, tmp_path / "a") == written(local, tmp_path / "b")
    assert spread.found.steps == alone.steps
    gone = [joined(each.dropped).to_pylist() for each in (spread.found, alone)]
    assert sorted(map(str, gone[0])) == sorted(map(str, gone[1]))
    assert spread.found.labels == alone.labels
    assert {step.name for step in alone.steps if step.rows_in > step.rows_out} >= {
        "clean",
        "duplicates",
    }


def test_no_text_comes_together_where_keys_do(inputs):
    spread = prepare_dataset(dataset(inputs), inputs, Recipe(**ALONE))
    assert all("text" not in table.column_names for table in spread.found.splits.values())


def test_scores_become_numbers_as_they_do_on_one_machine(tmp_path):
    table = raw(0, 200)
    scores = pa.array([f"{at % 7}.5" for at in range(200)])
    pq.write_table(table.set_column(1, "label", scores), tmp_path / "scores.parquet")
    names = [str(tmp_path / "scores.parquet")]
    alone = run(Job([Input(names[0])], recipe=Recipe(**ALONE)))
    spread = prepare_dataset(dataset(names), names, Recipe(**ALONE))
    for split, rows in alone.splits.items():
        assert gathered(spread.splits[split], names).to_pylist() == ordered(rows).to_pylist()


def test_what_cannot_be_done_is_one_line(inputs):
    with pytest.raises(ConfigError, match=r"recipe\.quality needs one machine"):
        prepare_dataset(dataset(inputs), inputs, Recipe(near=None))
    with pytest.raises(DataError, match="has no column 'line'"):
        prepare_dataset(dataset(inputs, lines=False), inputs, Recipe(**ALONE))
    with pytest.raises(DataError, match="which is none of the sources"):
        prepare_dataset(dataset(inputs), inputs[:1], Recipe(**ALONE))
    twice = dataset(inputs[:1]).union(dataset(inputs[:1]))
    with pytest.raises(DataError, match=r"two rows are .*:1; a row needs a line of its own"):
        prepare_dataset(twice, inputs[:1], Recipe(**ALONE))


def same_rows(spread, alone, inputs: list[str]) -> None:
    """What two workers give, told apart from what one machine gives by nothing."""
    assert set(spread.splits) == set(alone.splits)
    for split, table in alone.splits.items():
        assert gathered(spread.splits[split], inputs).to_pylist() == ordered(table).to_pylist()
    assert spread.found.steps == alone.steps
    assert spread.found.labels == alone.labels
    assert spread.found.leaks == alone.leaks


def test_rows_that_have_a_side_already_keep_it_and_are_checked_for_leaks(inputs):
    alone = run(Job([Input(inputs[0])], test=[Input(inputs[1])], recipe=Recipe(**ALONE)))
    rows = dataset(inputs).to_pandas()
    sides = [None if source == inputs[0] else "test" for source in rows["source"]]
    table = pa.Table.from_pandas(rows, preserve_index=False).append_column(
        "split", pa.array(sides, pa.string())
    )
    spread = prepare_dataset(ray.data.from_arrow(table).repartition(7), inputs, Recipe(**ALONE))
    same_rows(spread, alone, inputs)


def several(inputs: list[str], tmp_path) -> list[str]:
    """The same texts, each under none, one or two labels, for a customer, with a second text."""
    names = []
    for name in inputs:
        table = pq.read_table(name)
        draw = random.Random(1)
        labels = [
            draw.sample(["card", "bill", "tax"], draw.choice([1, 1, 2])) for _ in table["text"]
        ]
        table = table.set_column(1, "label", pa.array(labels, pa.list_(pa.string())))
        groups = [f"customer {draw.randrange(60)}" for _ in labels]
        table = table.append_column("group", pa.array(groups))
        names.append(str(tmp_path / name.split("/")[-1]))
        pq.write_table(table, names[-1])
    return names


def test_several_labels_and_groups_give_the_rows_of_one_machine(inputs, tmp_path):
    names = several(inputs, tmp_path)
    recipe = Recipe(**ALONE, split=SplitSettings(by="group"))
    alone = run(Job([Input(name, group="group") for name in names], recipe=recipe))
    assert alone.labels.kind == "multilabel"
    same_rows(prepare_dataset(dataset(names), names, recipe), alone, names)
