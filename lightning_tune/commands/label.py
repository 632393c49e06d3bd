"""`label`: choose the texts worth a person's time, suggest labels, and take labels back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_tune.commands.flags import own_flags
from lightning_tune.commands.parsing import run_function, with_values
from lightning_tune.commands.unwinding import unwinding
from lightning_tune.data.labels import split_label
from lightning_tune.data.sources import open_source
from lightning_tune.errors import ConfigError, DataError
from lightning_tune.prepare.answers import answers_in, names_of
from lightning_tune.prepare.keys import content_key
from lightning_tune.prepare.labelling.batch import Given, Question
from lightning_tune.prepare.labelling.choosing import Strategy, choose
from lightning_tune.prepare.labelling.exchange import (
    Tool,
    read_batch,
    suggestions_in,
    write_batch,
)
from lightning_tune.prepare.labelling.naming import slips, tally, told
from lightning_tune.prepare.labelling.pool import Pool, labelled_rows, pool_of
from lightning_tune.prepare.labelling.rules import read_rules
from lightning_tune.prepare.labelling.votes import WeakLabels, weak_labels
from lightning_tune.prepare.quality.folds import Training
from lightning_tune.prepare.quality.suspects import encode
from lightning_tune.schema import Label
from lightning_tune.tables import Fields, TableFormat, expand, read_rows, write_rows
from lightning_tune.tables.writing import check_extension

_TELLING = 30  # votes beside another rule's; of fewer a share is off by more than 9 points


@dataclass(frozen=True)
class _Columns:
    """Which columns mean what, in the pool and in the labelled rows, and how labels are joined."""

    text: str
    text_pair: str | None
    label: str
    names: tuple[str, ...] | None
    separator: str | None


def main(name: str, args: Sequence[str]) -> int:
    """Run the command; `--weak` and `--several` may stand without a value."""
    return run_function(label_texts, name, with_values(args, "--weak", "--several"))


def label_texts(
    input: str | list[str],
    output: str,
    labelled: str | None = None,
    apply: str | None = None,
    count: int = 100,
    strategy: Strategy | None = None,
    model: str | None = None,
    backbone: str | None = None,
    rules: str | None = None,
    weak: bool = False,
    tool: Tool = "table",
    several: bool = False,
    text: str = "text",
    text_pair: str | None = None,
    label: str = "label",
    columns: list[str] | None = None,
    format: TableFormat = TableFormat(),  # noqa: B008  # frozen
    label_separator: str | None = None,
    seed: int = 0,
) -> None:
    """Choose the unlabelled texts that are worth a person's time, or take the labels back.

    Args:
        input: The unlabelled texts: files, globs or URLs.
        output: The batch to fill in; with apply or weak, the labelled rows.
        labelled: Rows that have labels: a file, or a folder that prepare wrote. What is in it is
            not asked again, and without a model a linear one is fitted on it.
        apply: The filled-in batch, or an export of Label Studio or Argilla; its labels are written
            to output after the rows of labelled.
        count: How many texts to ask about, at least 1.
        strategy: uncertainty, margin, diversity, both or random; null: both where something
            answers, else diversity.
        model: What answers: a bundle that export wrote, or a .ckpt file.
        backbone: A pretrained encoder that tells which texts are alike; null: words and characters.
        rules: A YAML file of rules that vote.
        weak: Write what the rules say of every text, with how sure that is as the weight.
        tool: What reads the batch: table (a spreadsheet), label-studio or argilla.
        several: Whether several labels may hold.
        text: Column of the text.
        text_pair: Column of the second text; null for single texts.
        label: Column of the label, of the labelled rows.
        columns: Names of the columns, where an input that is csv or tsv has no header line.
        format: How input, labelled and a filled-in table are written; the default goes by their
            extensions.
        label_separator: What stands between labels in one string, in multi-label rows.
        seed: Decides about random draws.

    Raises:
        ConfigError: if settings contradict each other.
        DataError: if a file cannot be used.
    """
    if weak and rules is None:
        raise ConfigError("--weak writes what rules say; name a file of them with --rules.")
    if weak and apply is not None:
        raise ConfigError("--weak and --apply exclude each other; leave one of them out.")
    held = _Columns(
        text, text_pair, label, None if columns is None else tuple(columns), label_separator
    )
    with own_flags(label_texts), unwinding():
        sources = expand(input)
        _keep(
            Path(output), [*sources, *filter(None, [apply or labelled])]
        )  # apply adds to labelled
        pool = _read_pool(sources, held, format)
        known = _read_labelled(labelled, held, format, several=several)
        if apply is not None:
            given = read_batch(apply, several=several, format=format)
            meant = suggestions_in(apply, format=format) | _said_by(rules)
            taken = labelled_rows(pool, given)
            rows = [*known, *_new(pool, known, taken)]
            check_extension(Path(output))
            _spare(Path(output), rows, labelled, held, format)
            _write_labelled(rows, Path(output), held)
            new = len(rows) - len(known)
            again = _again(pool, known, taken) if len(taken) > new else ""
            print(f"{new:,} new labels{again}; {len(rows):,} labelled rows -> {output}")
            _say_names(known, rows, given, meant)
            return
        _spare(Path(output), known, labelled, held, format)
        rest = pool.without({content_key(text, pair) for text, pair, _ in known})
        if not len(rest):
            raise DataError(f"all {len(pool):,} texts of input have labels; there is none to ask.")
        voted = None if rules is None else weak_labels(rest.texts, read_rules(rules))
        if weak and voted is not None:
            _write_weak(rest, voted, Path(output))
            return
        said = _answers(rest, known, model, several=several)
        chosen = _choose(rest, said, count, strategy, backbone, seed, several=several)
        questions = [_question(rest, at, said, voted) for at in chosen]
        names = said.names if said is not None else _names(voted)
        files = write_batch(Path(output), questions, tool=tool, names=names, several=several)
    print(f"{len(questions):,} of {len(rest):,} unlabelled texts -> {', '.join(map(str, files))}")
    _say_rules(voted)


Known = list[tuple[str, str | None, Label]]


@dataclass(frozen=True)
class _Said:
    """What a model says of the pool: names of the labels, probabilities [n, labels], and labels."""

    names: tuple[str, ...]
    probabilities: NDArray[np.float64]
    labels: list[Label]


def _keep(output: Path, files: Sequence[str]) -> None:
    """Refuse to write over a file that is read.

    Raises:
        ConfigError: naming it.
    """
    for file in (Path(one).expanduser() for one in files):
        if output.exists() and file.exists() and output.samefile(file):
            raise ConfigError(
                f"output={str(output)!r} is a file that is read here, and would be written over; "
                "name another."
            )


def _read_pool(files: Sequence[str], columns: _Columns, format: TableFormat) -> Pool:
    fields = Fields(
        text=columns.text, text_pair=columns.text_pair, label=None, columns=columns.names
    )
    return pool_of(
        batch
        for file in files
        for batch in read_rows(file, fields, format=format, label_required=False)
    )


def _read_labelled(
    labelled: str | None, columns: _Columns, format: TableFormat, *, several: bool
) -> Known:
    if labelled is None:
        return []
    fields = Fields(
        text=columns.text,
        text_pair=columns.text_pair,
        label=columns.label,
        label_may_be_empty=several,
    )
    found: Known = []
    for batch in open_source(labelled, "train", fields, format).rows("refuse"):
        pairs: Sequence[str | None] = batch.pairs or [None] * len(batch.texts)
        for text, pair, label in zip(batch.texts, pairs, batch.labels or [], strict=True):
            said = split_label(label, columns.separator)
            found.append((text, pair, (str(said),) if several and isinstance(said, str) else said))
    return found


def _spare(
    output: Path, kept: Known, labelled: str | None, columns: _Columns, format: TableFormat
) -> None:
    """Refuse to write over answers that stand nowhere else.

    Raises:
        ConfigError: naming the file, how many they are, and the way out.
    """
    adds_to = Path(labelled or "").expanduser()
    if adds_to.is_file() and output.exists() and output.samefile(adds_to):
        return
    fields = Fields(text=columns.text, text_pair=columns.text_pair, label=columns.label)
    found = answers_in(output, format, fields=fields, separator=columns.separator)
    lost = len(found.without({content_key(a, b): names_of(label) for a, b, label in kept}))
    if not lost:
        return
    out = {
        "batch": f"take them back with --apply {output} and name the labelled rows with --labelled",
        "review": f"take them back with review --apply {output}",
        "rows": f"name them with --labelled {output} where labels are added to them",
    }[found.kind]
    raise ConfigError(
        f"output={str(output)!r} holds {lost:,} answers that would be lost; {out}, or name "
        "another output."
    )


def _new(pool: Pool, known: Known, taken: Mapping[int, Label]) -> Known:
    """Return the rows that have got a label and had none before."""
    old = {content_key(text, pair) for text, pair, _ in known}
    return [
        (pool.texts[at], pool.pair(at), label)
        for at, label in taken.items()
        if pool.rows[at].key not in old
    ]


def _again(pool: Pool, known: Known, taken: Mapping[int, Label]) -> str:
    """Say how many labels are for texts that have one, and of how many that one is another."""
    old = {content_key(text, pair): names_of(label) for text, pair, label in known}
    held = [
        (old[pool.rows[at].key], names_of(label))
        for at, label in taken.items()
        if pool.rows[at].key in old
    ]
    otherwise = sum(before != now for before, now in held)
    stays = f" ({otherwise:,} otherwise, which stays)" if otherwise else ""
    return f", {len(held):,} labelled before{stays}"


def _write_labelled(rows: Known, output: Path, columns: _Columns) -> None:
    written: dict[str, list[Any]] = {columns.text: [text for text, _, _ in rows]}
    if columns.text_pair is not None:
        written[columns.text_pair] = [pair for _, pair, _ in rows]
    written[columns.label] = [_written(label, output, columns.separator) for _, _, label in rows]
    write_rows(output, written)


def _said_by(rules: str | None) -> set[str]:
    return set() if rules is None else {rule.label for rule in read_rules(rules)}


def _say_names(known: Known, rows: Known, given: Sequence[Given], meant: set[str]) -> None:
    """Say how often each label stands, which look like a slip, and which no label before was."""
    counts = tally(label for _, _, label in rows)
    print(f"  {told(counts)}")
    before = meant | set(tally(label for _, _, label in known))
    doubted = slips(counts, before)
    places = {name: one.where for one in reversed(given) for name in names_of(one.label)}
    for name, like in doubted.items():
        place = f" ({places[name]})" if name in places else ""
        print(f"warning: {name!r}{place} may be a slip. Did you mean {like!r}?")
    fresh = [name for name in sorted(counts) if before and name not in before | set(doubted)]
    if fresh:
        more = f" and {len(fresh) - 5:,} more" if len(fresh) > 5 else ""
        print(f"warning: no label before was {', '.join(map(repr, fresh[:5]))}{more}")


def _written(label: Label, output: Path, separator: str | None) -> Any:
    if not isinstance(label, tuple):
        return label
    if separator is not None:
        return separator.join(label)
    if output.suffix in (".csv", ".tsv"):
        raise ConfigError(
            f"{output} cannot hold several labels of a row; name --label_separator, what stands "
            "between them, or write .jsonl or .parquet."
        )
    return list(label)


def _write_weak(pool: Pool, voted: WeakLabels, output: Path) -> None:
    decided = [at for at, label in enumerate(voted.labels) if label is not None]
    if not decided:
        if any(rule.votes for rule in voted.rules):
            raise DataError("the rules' votes are even on every text; write rules that differ.")
        raise DataError(f"no rule votes on any of the {len(pool):,} texts; write broader rules.")
    columns: dict[str, Any] = {"text": [pool.texts[at] for at in decided]}
    if pool.pairs is not None:
        columns["text_pair"] = [pool.pairs[at] for at in decided]
    columns["label"] = [voted.labels[at] for at in decided]
    columns["weight"] = [round(float(voted.confidence[at]), 4) for at in decided]
    write_rows(output, columns)
    print(f"the rules label {len(decided):,} of {len(pool):,} texts -> {output}")
    _say_rules(voted)


def _say_rules(voted: WeakLabels | None) -> None:
    for rule in voted.rules if voted else ():
        if not rule.votes:
            print(f"  {rule.name}: 0 votes, so nothing is known of it")
            continue
        right = f"right {rule.reliability:.0%} of the time by the other rules"
        print(
            f"  {rule.name}: {rule.votes:,} votes, {rule.beside:,} beside another rule's and "
            f"{rule.against:,} against it; "
            + (right if rule.beside >= _TELLING else "too few meet to say how often it is right")
        )


def _names(voted: WeakLabels | None) -> tuple[str, ...]:
    return tuple(sorted({one for one in voted.labels if one is not None})) if voted else ()


def _answers(pool: Pool, known: Known, model: str | None, *, several: bool) -> _Said | None:
    if model is not None:
        return _ask(pool, model)
    if not known:
        return None
    from lightning_tune.prepare.quality.linear import fit_linear

    labels = [label for _, _, label in known]
    if not several and len(set(labels)) == 1:
        print(f"all {len(known):,} labelled rows are {labels[0]!r}: there is no model to ask yet")
        return None
    names, targets = encode(labels)
    texts = [text if pair is None else f"{text}\n{pair}" for text, pair, _ in known]
    training = Training(texts, targets, np.ones(len(texts)))
    found = fit_linear(training, pool.joined())
    return _Said(names, found, _likeliest(names, found, several=several))


def _likeliest(names: tuple[str, ...], found: NDArray[np.float64], *, several: bool) -> list[Label]:
    if several:
        return [tuple(names[at] for at in np.flatnonzero(row > 0.5)) for row in found]
    return [names[at] for at in found.argmax(axis=1)]


def _ask(pool: Pool, model: str) -> _Said:
    from lightning_tune.models.checkpoints import is_checkpoint

    answering: Callable[..., Any]
    if is_checkpoint(model):
        from lightning_tune.training.inference import load

        answering = load(model)
    else:
        from lightning_tune.serving.bundle import Bundle

        answering = Bundle(model)
    answers = answering(pool.texts, pool.pairs)
    names = tuple(answers[0].probabilities)
    if not names:
        raise ConfigError(f"model={model!r} gives numbers; choosing texts needs classes.")
    found = np.array([[one.probabilities[name] for name in names] for one in answers])
    return _Said(names, found, [one.label for one in answers])


def _choose(
    pool: Pool,
    said: _Said | None,
    count: int,
    strategy: Strategy | None,
    backbone: str | None,
    seed: int,
    *,
    several: bool,
) -> list[int]:
    how: Strategy = strategy or ("diversity" if said is None else "both")
    vectors = _vectors(pool, backbone, seed) if how in ("diversity", "both") else None
    return choose(
        count,
        strategy=how,
        probabilities=None if said is None else said.probabilities,
        vectors=vectors,
        several=several,
        rows=len(pool),
        seed=seed,
    )


def _vectors(pool: Pool, backbone: str | None, seed: int) -> NDArray[np.float32]:
    if backbone is None:
        from lightning_tune.prepare.quality.linear import text_vectors

        return text_vectors(pool.joined(), seed=seed)
    from lightning_tune.commands.crossfitting import embedder

    return embedder(backbone)(pool.joined())


def _question(pool: Pool, at: int, said: _Said | None, voted: WeakLabels | None) -> Question:
    suggestion: Label | None = None
    score: float | None = None
    if said is not None:
        suggestion, chances = said.labels[at], said.probabilities[at]
        several = isinstance(suggestion, tuple)  # then as sure as of the label it is least sure of
        score = float(np.maximum(chances, 1 - chances).min() if several else chances.max())
    elif voted is not None and voted.labels[at] is not None:
        suggestion, score = voted.labels[at], float(voted.confidence[at])
    return Question(
        row=pool.rows[at],
        text=pool.texts[at],
        text_pair=pool.pair(at),
        suggestion=suggestion,
        score=None if score is None else round(score, 4),
    )
