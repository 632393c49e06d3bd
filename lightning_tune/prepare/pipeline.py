"""The stage from end to end: from inputs to splits, suspects told of, train with its copies.

Row-wise steps (cleaning, redaction, keys) see one chunk of rows at a time; duplicates, leaks, near
duplicates, the split, suspects and augmentation are global.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from lightning_tune.errors import ConfigError, DataError
from lightning_tune.prepare import (
    augment_step,
    duplicates,
    leaks,
    near_step,
    quality_step,
    redacting,
    splitting,
)
from lightning_tune.prepare.augment.augmenting import Translate
from lightning_tune.prepare.augment_step import Multiplied, check_augment, multiply
from lightning_tune.prepare.cleaning import STEP as CLEAN
from lightning_tune.prepare.cleaning import CleanStep
from lightning_tune.prepare.collect.inputs import Input, Opened, Reading, open_inputs
from lightning_tune.prepare.collect.reading import STEP as COLLECT
from lightning_tune.prepare.collecting import Collected, collect
from lightning_tune.prepare.duplicates import exact_duplicates
from lightning_tune.prepare.keying import KeyStep, RawKeyStep
from lightning_tune.prepare.labels import (
    check_known,
    check_none_emptied,
    class_counts,
    label_set,
    speakable,
)
from lightning_tune.prepare.languages import STEP as LANGUAGES
from lightning_tune.prepare.languages import LanguageStep, check_languages
from lightning_tune.prepare.leaks import drop_leaks, leak_counts
from lightning_tune.prepare.mapping import Named
from lightning_tune.prepare.near import near_pairs
from lightning_tune.prepare.near_step import comparison, drop_near, texts_of
from lightning_tune.prepare.quality.agreement import Agreement
from lightning_tune.prepare.quality_step import Fitting, Looked, agreement_of, look
from lightning_tune.prepare.recipe import Recipe
from lightning_tune.prepare.report.record import StepRecord
from lightning_tune.prepare.rows import DROPPED, KEY, RAW_KEY, numbers, reason_counts
from lightning_tune.prepare.splitting import divide
from lightning_tune.schema import LabelSet, Split, TaskKind

OWN: tuple[Split, ...] = ("val", "test")
Splits = Mapping[Split, pa.Table]


@dataclass(frozen=True)
class Job:
    """What `prepare` is asked for.

    Args:
        inputs: Where the rows for train come from; validation and test are split off them.
        val: The user's own validation data, if any.
        test: The user's own test data, if any.
        reading: How all of them are read.
        task: The task kind, where the user states it.
        recipe: What is done.
        processes: How many processes work, at least 1; the result is the same.
        fitting: Makes what fits and answers where recipe.quality.mode is encoder.
        translate: What says texts otherwise where recipe.augment has translate; None: the models
            that the recipe names.
    """

    inputs: Sequence[Input]
    val: Sequence[Input] = ()
    test: Sequence[Input] = ()
    reading: Reading = Reading()  # noqa: RUF009  # frozen
    task: TaskKind | None = None
    recipe: Recipe = Recipe()  # noqa: RUF009  # frozen
    processes: int = 1
    fitting: Fitting | None = None
    translate: Translate | None = None

    def __post_init__(self) -> None:
        if self.processes < 1:
            raise ConfigError(f"processes={self.processes} has to be at least 1.")
        if not self.inputs:
            raise ConfigError("no input is named; give --input FILE, or inputs in the recipe.")


@dataclass
class Found:
    """What the steps found on their way; the report is made of it.

    Args:
        collected: All rows after the row-wise steps, and what was counted.
        opened: The inputs.
        labels: The task and its classes; None without labels.
        splits: The rows of each split, at the end; train without its edited copies.
        steps: What each step did.
        dropped: The rows that went, by step.
        duplicates: Counts of exact duplicates and of texts under several labels.
        pool: Rows that were for train after cleaning.
        own: Rows of the user's own splits after cleaning.
        leaks: Texts in two splits, before they were taken out.
        raw_leaks: The same of texts exactly as they were read.
        near: What was found of near duplicates; None: they were not looked for.
        split: Counts of the split.
        agreement: How far annotators agree; None where no column of theirs was named.
        looked: What was found out about labels and texts of train; None: nothing was looked for.
        copied: Train with its edited copies; None: there are none.
    """

    collected: Collected
    opened: Sequence[Opened]
    labels: LabelSet | None = None
    splits: Splits = field(default_factory=dict)
    steps: list[StepRecord] = field(default_factory=list)
    dropped: list[pa.Table] = field(default_factory=list)
    duplicates: Mapping[str, int] = field(default_factory=dict)
    pool: int = 0
    own: Mapping[Split, int] = field(default_factory=dict)
    leaks: Mapping[str, int] = field(default_factory=dict)
    raw_leaks: Mapping[str, int] = field(default_factory=dict)
    near: near_step.NearOutcome | None = None
    split: Mapping[str, int] = field(default_factory=dict)
    agreement: Agreement | None = None
    looked: Looked | None = None
    copied: Multiplied | None = None

    @property
    def written(self) -> Splits:
        """The rows as they are written: train with its copies behind."""
        if self.copied is None:
            return self.splits
        return {**self.splits, "train": self.copied.made.table}

    def step(
        self, name: str, rows: tuple[int, int], dropped: pa.Table, counts: Mapping[str, int]
    ) -> None:
        """Note what a step did; `rows` came in and were left."""
        self.dropped.append(dropped)
        self.steps.append(StepRecord(name, *rows, dict(counts), reason_counts(dropped)))

    def dropped_by(self, name: str) -> int:
        """Return how many rows a step dropped."""
        return sum(step.rows_in - step.rows_out for step in self.steps if step.name == name)


def run(job: Job) -> Found:
    """Prepare rows: from inputs to splits without leaks.

    Raises:
        DataError: if an input cannot be used, or a step would empty a class or a split.
        ConfigError: if a setting is wrong, or needs a package that is missing.
    """
    opened = [
        *open_inputs(job.inputs, job.reading, "train"),
        *open_inputs(job.val, job.reading, "val"),
        *open_inputs(job.test, job.reading, "test"),
    ]
    steps = row_steps(job.recipe)
    if job.recipe.augment is not None:
        check_augment(job.recipe.augment, translate=job.translate)
    collected = collect(opened, job.reading, steps, task=job.task, processes=job.processes)
    found = Found(collected, opened, agreement=agreement_of(collected.table))
    found.splits = _looked_at(divided(found, job), found, job)
    _copy(found, job)
    return found


def divided(found: Found, job: Job) -> Splits:
    """Return the splits: from rows that were collected, by the steps that see all rows at once.

    Of texts these steps read the keys; only the search for near duplicates reads texts too.

    Raises:
        DataError: if a step would empty a class or a split.
        ConfigError: if a column is missing that rows are divided by.
    """
    _note_row_steps(found)
    splits = _by_split(found, job)
    _labelled(splits, found, job)
    splits = _without_duplicates(splits, found, job.recipe)
    splits = _without_leaks(splits, found)
    splits = _without_near(splits, found, job)
    return _divided(splits, found, job.recipe)


def row_steps(recipe: Recipe) -> list[Named]:
    """Return the steps that look at each row alone; those without a name are not reported."""
    steps = [Named("", RawKeyStep()), Named(CLEAN, CleanStep(recipe.clean))]
    if recipe.languages is not None:
        check_languages(recipe.languages)
        steps.append(Named(LANGUAGES, LanguageStep(recipe.languages)))
    if recipe.privacy is not None:
        redacting.redactor_of(recipe.privacy)  # a missing key is told before anything is read
        steps.append(Named(redacting.STEP, redacting.RedactStep(recipe.privacy)))
    return [*steps, Named("", KeyStep())]


def _note_row_steps(found: Found) -> None:
    collected = found.collected
    by_step = {
        name: collected.dropped.filter(pc.equal(collected.dropped["step"], name))
        for name in (COLLECT, CLEAN, LANGUAGES)
    }
    read = sum(collected.noted.read)
    unread = by_step[COLLECT]
    found.step(COLLECT, (read, read - unread.num_rows), unread, {"dropped": unread.num_rows})
    for name, counts in collected.counts.items():
        if name:
            told = {key: one for key, one in counts.items() if not key.startswith("rows_")}
            dropped = by_step.get(name, DROPPED.empty_table())
            found.step(name, (counts["rows_in"], counts["rows_out"]), dropped, told)


def _by_split(found: Found, job: Job) -> Splits:
    table = found.collected.table
    splits: dict[Split, pa.Table] = {"train": table}
    if "split" in table.column_names:
        mark, rest = table["split"], table.drop_columns(["split"])
        splits = {"train": rest.filter(pc.is_null(mark))}
        splits |= {split: rest.filter(pc.equal(mark, split)) for split in OWN}
    named: dict[Split, Sequence[Input]] = {"train": job.inputs, "val": job.val, "test": job.test}
    for split, inputs in named.items():
        rows = splits.get(split)
        if inputs and (rows is None or not rows.num_rows):
            reasons = ", ".join(list(reason_counts(found.collected.dropped))[:3])
            raise DataError(
                f"no row of {split} is left after {CLEAN}: {reasons}; see its settings."
            )
    found.pool = splits["train"].num_rows
    splits = {split: rows for split, rows in splits.items() if rows.num_rows}
    found.own = {split: splits[split].num_rows for split in OWN if split in splits}
    return splits


def _labelled(splits: Splits, found: Found, job: Job) -> None:
    """Recognise the task, and refuse classes that cleaning emptied or that train lacks."""
    if "label" in splits["train"].column_names:
        before = _as_cleaned(found.collected.noted.classes.get("train", Counter()), job.recipe)
        dropping = max((CLEAN, LANGUAGES), key=found.dropped_by)
        check_none_emptied(before, splits["train"], dropping)
        found.labels = label_set(splits["train"], job.task)
        for split in found.own:
            check_known(splits[split], found.labels, split)


def _as_cleaned(classes: Mapping[str, int], recipe: Recipe) -> dict[str, int]:
    """Return the classes that were read by the names that cleaning gives them."""
    cleaned: Counter[str] = Counter()
    for name, rows in classes.items():
        cleaned[name.strip() if recipe.clean.labels else name] += rows
    return {name: rows for name, rows in cleaned.items() if name}


def _without_duplicates(splits: Splits, found: Found, recipe: Recipe) -> Splits:
    before = splits["train"]
    outcome = exact_duplicates(before, recipe.duplicates)
    found.duplicates = outcome.counts
    found.leaks = leak_counts(splits)
    found.raw_leaks = leak_counts(splits, RAW_KEY)
    check_none_emptied(class_counts(before), outcome.table, duplicates.STEP)
    after: Splits = {**splits, "train": outcome.table}
    found.step(duplicates.STEP, _rows(splits, after), outcome.dropped, outcome.counts)
    return after


def _without_leaks(splits: Splits, found: Found) -> Splits:
    if not found.own:
        return splits
    after, dropped = drop_leaks(splits)
    check_none_emptied(class_counts(splits["train"]), after["train"], leaks.STEP)
    counts = {**found.leaks, "dropped": dropped.num_rows}
    found.step(leaks.STEP, _rows(splits, after), dropped, counts)
    return after


def _without_near(splits: Splits, found: Found, job: Job) -> Splits:
    settings = job.recipe.near
    if settings is None:
        return splits
    texts = texts_of(splits)
    pairs = near_pairs(texts, settings, processes=job.processes)
    outcome = drop_near(splits, pairs.clusters, comparison(texts, settings, pairs))
    found.near = outcome
    check_none_emptied(class_counts(splits["train"]), outcome.splits["train"], near_step.STEP)
    counts = {**outcome.counts, **outcome.leaks}
    found.step(near_step.STEP, _rows(splits, outcome.splits), outcome.dropped, counts)
    return outcome.splits


def _divided(splits: Splits, found: Found, recipe: Recipe) -> Splits:
    own = {split: splits[split] for split in found.own}
    try:
        divided = divide(splits["train"], recipe.split, own=list(own))
    except DataError as err:
        raise DataError(f"{err}{_gone(found)}") from err
    after: Splits = {**divided.splits, **own}
    _check_train(class_counts(splits["train"]), after["train"], recipe)
    ties = [] if found.near is None else found.near.ties
    found.split = {
        **divided.counts,
        "tied": divided.counts["tied"] + _apart(ties, divided.splits),
    }
    found.step(splitting.STEP, _rows(splits, after), divided.dropped, divided.counts)
    return {split: after[split] for split in splitting.SIDES if split in after}


def _looked_at(splits: Splits, found: Found, job: Job) -> Splits:
    settings = job.recipe.quality
    if settings is None:
        return splits
    outcome = look(splits["train"], settings, fitting=job.fitting)
    check_none_emptied(class_counts(splits["train"]), outcome.table, quality_step.STEP)
    found.looked = outcome
    after: Splits = {**splits, "train": outcome.table}
    found.step(quality_step.STEP, _rows(splits, after), outcome.dropped, outcome.counts)
    return after


def _copy(found: Found, job: Job) -> None:
    recipe, splits = job.recipe, found.splits
    if recipe.augment is None:
        return
    found.copied = multiply(
        splits,
        recipe.augment,
        near=recipe.near,
        translate=job.translate,
        processes=job.processes,
    )
    made = found.copied.made
    counts = {name: count for name, count in made.counts.items() if name != "originals"}
    rows = sum(table.num_rows for table in splits.values())
    after = rows + counts["copies"]
    found.step(augment_step.STEP, (rows, after), DROPPED.empty_table(), counts)


def _gone(found: Found) -> str:
    """Return which steps dropped rows before, where these were more than half."""
    read = sum(found.collected.noted.read)
    by_step = {step.name: step.rows_in - step.rows_out for step in found.steps}
    if 2 * sum(by_step.values()) <= read:
        return ""
    told = ", ".join(f"{name} {count:,}" for name, count in by_step.items() if count)
    return f" Of {read:,} rows that were read, steps before it dropped: {told}."


def _check_train(before: Mapping[str, int], train: pa.Table, recipe: Recipe) -> None:
    """Refuse a split that leaves a class to validation and test alone."""
    there = class_counts(train)
    for name, rows in before.items():
        if name not in there:
            raise DataError(
                f"recipe.split.by={recipe.split.by} leaves train without the class "
                f"{speakable(name)}, whose {rows} rows go elsewhere; divide otherwise, or take "
                "these rows out of the input."
            )


def _apart(ties: Sequence[tuple[int, ...]], splits: Splits) -> int:
    """Count the dropped near duplicates whose counterparts went to several sides."""
    if not ties:
        return 0
    side = {key: split for split, rows in splits.items() for key in numbers(rows, KEY).tolist()}
    return sum(len({side[key] for key in keys if key in side}) > 1 for keys in ties)


def _rows(before: Splits, after: Splits) -> tuple[int, int]:
    return (
        sum(table.num_rows for table in before.values()),
        sum(table.num_rows for table in after.values()),
    )
