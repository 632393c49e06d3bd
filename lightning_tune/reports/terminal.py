"""An Evaluation in the terminal: metrics with intervals, confusion, worst mistakes."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lightning_tune.reports.display import (
    change_text,
    counted,
    few_names,
    label_text,
    metric_title,
    most_confused,
    number,
    percent,
    printable,
)
from lightning_tune.reports.records import Evaluation, Mistake
from lightning_tune.reports.robustness import BrokenText
from lightning_tune.reports.throughput import throughput_line

MATRIX_UP_TO = 16
"""Above this many labels, the pairs that are confused most stand in place of the matrix."""

_TEXT_SHOWN = 220


def render(evaluation: Evaluation, *, worst: int = 5) -> Group:
    """Return what a person reads after a test, for any width of terminal.

    Texts and names are put in as plain text: no markup and no control character in them acts.

    Args:
        evaluation: The record.
        worst: How many mistakes to show, and how many texts that an attack broke.
    """
    size = f"{counted(evaluation.rows, 'row')} of the {evaluation.split} split"
    title = f"{evaluation.title}: {size}" if evaluation.title else size
    parts: list[RenderableType] = [_heading(title), metrics_table(evaluation)]
    if evaluation.confusion and len(evaluation.labels) <= MATRIX_UP_TO:
        parts.append(_heading("Confusion: rows are labels, columns are predictions"))
        parts.append(confusion_table(evaluation.labels, evaluation.confusion))
    elif evaluation.confusion:
        parts += [_heading("Most often confused"), confused_table(evaluation)]
    elif evaluation.per_class:
        parts += [_heading("Weakest labels"), weakest_table(evaluation)]
    if worst and evaluation.worst:
        parts += [_heading("Worst mistakes"), Text("")]
        parts += [_mistake(mistake) for mistake in evaluation.worst[:worst]]
    parts += _robustness(evaluation, worst)
    speed = throughput_line(evaluation)
    if speed:
        parts += [_heading("Speed of the training"), Text(f"\n{speed}\n")]
    parts += [Text(f"Note: {printable(note)}", style="yellow") for note in evaluation.notes]
    return Group(*parts)


def show(evaluation: Evaluation, *, console: Console | None = None, worst: int = 5) -> None:
    """Print `render`."""
    (console or Console()).print(render(evaluation, worst=worst))


def metrics_table(evaluation: Evaluation) -> Table:
    """Metrics with their intervals, the deciding one first."""
    table = _table()
    table.add_column("Metric")
    table.add_column("Value", justify="right")
    table.add_column("95 % interval", justify="right", style="dim")
    for name in sorted(evaluation.metrics, key=lambda name: name != evaluation.main_metric):
        interval = evaluation.intervals.get(name)
        bounds = f"{number(interval[0])} to {number(interval[1])}" if interval else ""
        style = "bold cyan" if name == evaluation.main_metric else ""
        value = Text(number(evaluation.metrics[name]), style=style)
        title = printable(metric_title(name, evaluation.task))
        table.add_row(Text(title, style=style), value, bounds)
    return table


def confusion_table(labels: list[str], confusion: list[list[int]]) -> Table:
    """Rows by label, columns by prediction under the labels' numbers."""
    table = _table()
    table.add_column("", justify="right", style="dim")
    table.add_column("Label", max_width=26, no_wrap=True, overflow="ellipsis")
    for index in range(len(labels)):
        table.add_column(str(index + 1), justify="right")
    for index, (label, row) in enumerate(zip(labels, confusion, strict=True)):
        cells = [_count(rows, hit=index == other) for other, rows in enumerate(row)]
        table.add_row(str(index + 1), Text(label_text(label)), *cells)
    return table


def _count(rows: int, *, hit: bool) -> Text:
    if not rows:
        return Text("·", style="dim")
    return Text(str(rows), style="bold cyan" if hit else "bold yellow")


def confused_table(evaluation: Evaluation) -> Table:
    """The pairs of labels that are confused most."""
    table = _table()
    table.add_column("Label", overflow="fold")
    table.add_column("Taken for", overflow="fold")
    table.add_column("Rows", justify="right")
    table.add_column("Share", justify="right", style="dim")
    for pair in most_confused(evaluation):
        names = (Text(label_text(name)) for name in (pair.label, pair.predicted))
        table.add_row(*names, f"{pair.rows:,}", percent(pair.share))
    return table


def weakest_table(evaluation: Evaluation, limit: int = 10) -> Table:
    """The labels with the lowest F1."""
    table = _table()
    table.add_column("Label", overflow="fold")
    for title in ("F1", "Precision", "Recall", "Rows"):
        table.add_column(title, justify="right")
    held = [row for row in evaluation.per_class if row.support]
    for row in sorted(held, key=lambda row: row.f1)[:limit]:
        scores = (number(value) for value in (row.f1, row.precision, row.recall))
        table.add_row(Text(label_text(row.name)), *scores, f"{row.support:,}")
    return table


def _mistake(mistake: Mistake) -> RenderableType:
    verdict = Text("  ")
    if mistake.sides is None:
        verdict.append(label_text(mistake.label), style="cyan")
        verdict.append(" predicted " if mistake.probability is None else " taken for ", style="dim")
        verdict.append(label_text(mistake.predicted), style="yellow")
    else:
        named = zip(("right", "missed", "wrongly given"), mistake.sides, strict=True)
        styles = {"missed": "cyan", "wrongly given": "yellow"}
        for at, (name, names) in enumerate((name, names) for name, names in named if names):
            verdict.append(f"; {name} " if at else f"{name} ", style="dim")
            verdict.append(few_names(names), style=styles.get(name, ""))
    sure = mistake.probability
    told = f"off by {number(mistake.loss)}" if sure is None else f"{percent(sure)} sure"
    verdict.append(f"  {told}, row {mistake.row:,}", style="dim")
    texts = [
        Padding(Text(printable(text, limit=_TEXT_SHOWN)), (0, 0, 0, 2))
        for text in (mistake.text, mistake.text_pair)
        if text is not None
    ]
    return Group(verdict, *texts, Text(""))


def _robustness(evaluation: Evaluation, limit: int) -> list[RenderableType]:
    found = evaluation.robustness
    if found is None:
        return []
    table = _table()
    table.add_column("Attack")
    for title in ("Right before", "Still right", "Broken"):
        table.add_column(title, justify="right")
    for attack in found.attacks:
        counts = (found.right, attack.survived, found.right - attack.survived)
        table.add_row(Text(printable(attack.title)), *(f"{count:,}" for count in counts))
    heading = _heading(f"Robustness: {counted(found.rows, 'row')} attacked")
    return [heading, table, *(_broken(one) for one in found.broken[:limit])]


def _broken(one: BrokenText) -> RenderableType:
    verdict = Text("  ")
    verdict.append(label_text(one.label), style="cyan")
    verdict.append(" turned into ", style="dim")
    verdict.append(label_text(one.predicted), style="yellow")
    words = "1 word" if one.words == 1 else f"{one.words} words"
    told = f"  {words} changed, {one.queries} queries, row {one.row:,}"
    verdict.append(told, style="dim")
    lines = [] if one.text is None else [printable(one.text, limit=_TEXT_SHOWN)]
    lines += [change_text(change) for change in one.changes]
    return Group(verdict, *(Padding(Text(line), (0, 0, 0, 2)) for line in lines), Text(""))


def _heading(title: str) -> Text:
    return Text(f"\n{printable(title)}", style="bold")


def _table() -> Table:
    return Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
