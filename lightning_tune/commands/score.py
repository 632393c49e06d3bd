"""`score`: answer the rows of files with a bundle, without PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lightning_tune.commands.flags import own_flags
from lightning_tune.commands.parsing import run_function, with_values
from lightning_tune.commands.unwinding import unwinding
from lightning_tune.datasets import builtin
from lightning_tune.errors import ConfigError
from lightning_tune.serving.bundle import Bundle
from lightning_tune.serving.manifest import Runtime
from lightning_tune.serving.progress import Progress
from lightning_tune.serving.scoring import Counts
from lightning_tune.serving.scoring import score as score_files
from lightning_tune.tables import Fields, TableFormat, expand
from lightning_tune.tables.writing import check_extension


def main(name: str, args: Sequence[str]) -> int:
    """Run the command; `--portable` may stand without a value."""
    return run_function(score, name, with_values(args, "--portable"))


def score(
    bundle: str,
    input: str,
    output: str,
    text: str | None = None,
    text_pair: str | None = None,
    columns: list[str] | None = None,
    keep: str | list[str] | None = None,
    format: TableFormat = TableFormat(),  # noqa: B008  # frozen
    runtime: Runtime | None = None,
    threads: int | None = None,
    portable: bool = False,
) -> None:
    """Answer each row of a file of texts, of any size, with a bundle that `export` wrote.

    Args:
        bundle: The folder that export wrote; its digests are checked first.
        input: A .csv, .tsv, .jsonl or .parquet file, a glob or a URL; builtin:NAME means the test
            texts of an embedded data set.
        output: The file to write, .parquet, .csv, .tsv or .jsonl: a row for each row of the input.
        text: Column of the text; null: as in training.
        text_pair: Column of the second text; null: as in training.
        columns: Names of the columns, where a csv or tsv file has no header line.
        keep: Columns of the input that the output has too, as they are, such as [id, date].
        format: How the input is written; the default goes by its extension.
        runtime: What computes; null: what export chose. openvino needs the extra of that name, cuda
            onnxruntime-gpu.
        threads: Threads of the model, at least 1; null: one for each core that is free.
        portable: Run the fp32 model in place of the one that export chose.

    Raises:
        BundleError: if the bundle is damaged, foreign, or computes other logits on this machine.
        DataError: if the input cannot be read, or has no such column.
        ConfigError: if the output cannot be written, or a setting contradicts the bundle.
    """
    target = Path(output)
    check_extension(target)
    with own_flags(score):
        scheme, _, name = input.partition(":")
        sources = [str(builtin(name)["test"])] if scheme == "builtin" else expand(input)
    if any(target.exists() and is_same(target, source) for source in sources):
        raise ConfigError(f"output={output!r} is the input itself; name another file.")
    model = Bundle(bundle, runtime=runtime, threads=threads, portable=portable)
    if model.path.resolve() in target.resolve().parents:
        raise ConfigError(
            f"output={output!r} lies inside the bundle, where a new file is taken for damage; name "
            "a place outside it."
        )
    fields = fields_of(model, text, text_pair, columns)
    bar = Progress(sources)
    try:
        with own_flags(score), unwinding():
            counts = score_files(
                model,
                sources,
                target,
                fields=fields,
                format=format,
                keep=[keep] if isinstance(keep, str) else keep or (),
                on_batch=lambda batch, rows: bar.show(batch.source, batch.lines[-1], rows),
            )
    finally:
        bar.clear()
    print(summary(counts, target, model))


def fields_of(
    bundle: Bundle, text: str | None, text_pair: str | None, columns: Sequence[str] | None
) -> Fields:
    """Return the columns to read: the bundle's, but for what the user names.

    Raises:
        ConfigError: if a second text is named and the model reads single ones.
    """
    own = bundle.manifest.fields
    if text_pair is not None and own.text_pair is None:
        raise ConfigError(
            f"text_pair={text_pair!r}: this bundle's model was tuned on single texts; leave it out."
        )
    return Fields(
        text=text or own.text,
        text_pair=text_pair or own.text_pair,
        label=None,
        columns=None if columns is None else tuple(columns),
    )


def is_same(target: Path, source: str) -> bool:
    """Whether an input is the file to write."""
    return Path(source).exists() and target.samefile(source)


def summary(counts: Counts, output: Path, bundle: Bundle) -> str:
    """Return the line that ends the command."""
    notes = []
    if counts.errors:
        notes.append(f"{counts.errors:,} with an error, not labelled")
    if counts.truncated:
        length = bundle.manifest.encoding.max_length
        notes.append(f"{counts.truncated:,} longer than the {length} tokens that the model reads")
    noted = f" ({'; '.join(notes)})" if notes else ""
    rate = counts.rows / max(counts.seconds, 1e-9)
    return f"{counts.rows:,} rows -> {output}{noted}, {rate:,.0f} rows/s with {bundle.session.name}"
