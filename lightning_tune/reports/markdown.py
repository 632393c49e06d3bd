"""An Evaluation as Markdown, for code review and model cards; texts and names cannot format it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from lightning_tune.reports.display import (
    TASK_TITLES,
    change_text,
    counted,
    details_text,
    few_names,
    flatten,
    label_text,
    metric_title,
    most_confused,
    number,
    percent,
    printable,
    setting,
)
from lightning_tune.reports.records import Evaluation, Mistake
from lightning_tune.reports.robustness import BrokenText
from lightning_tune.reports.throughput import throughput_facts
from lightning_tune.tables import replace_file

_SPECIAL = re.compile(r"([\\`*{}\[\]()<>#+\-!|~&$@:]|(?<!\d)\.|\.(?!\d)|(?<![^\W_])_|_(?![^\W_]))")
"""But for a point between digits and a line between letters, which mean nothing there."""


def report_markdown(evaluation: Evaluation) -> str:
    """Return the report; what is long in the HTML page is shortened here."""
    parts = [
        _header(evaluation),
        _metrics(evaluation),
        _confusion(evaluation),
        _labels(evaluation),
        _mistakes(evaluation),
        *_robustness(evaluation),
        _facts("Speed of the training", throughput_facts(evaluation)),
        _facts("Data", flatten(evaluation.data_summary)),
        _facts("Settings", flatten(evaluation.settings)),
        _facts("Provenance", evaluation.provenance),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def write_markdown(path: Path, evaluation: Evaluation) -> None:
    """Write the report, readable by its owner alone, since it may show texts."""
    with replace_file(path, private=True) as temporary:
        temporary.write_text(report_markdown(evaluation), encoding="utf-8")


def escape(text: str) -> str:
    r"""Return text that no Markdown renderer formats, links, loads or runs.

    >>> escape("![x](http://a.b) | <b>")
    '\\!\\[x\\]\\(http\\://a\\.b\\) \\| \\<b\\>'
    >>> escape("f1_macro 0.5, _a_, 1. b")
    'f1_macro 0.5, \\_a\\_, 1\\. b'
    """
    return _SPECIAL.sub(r"\\\1", text)


def _header(evaluation: Evaluation) -> str:
    title = escape(printable(evaluation.title, limit=120)) or "Evaluation"
    about = (
        f"{TASK_TITLES[evaluation.task]}, {counted(evaluation.rows, 'row')} of the "
        f"{evaluation.split} split."
    )
    notes = [f"> {escape(printable(note, limit=2000))}" for note in evaluation.notes]
    return "\n\n".join([f"# {title}", about, *notes])


def _metrics(evaluation: Evaluation) -> str:
    rows = []
    for name in sorted(evaluation.metrics, key=lambda name: name != evaluation.main_metric):
        interval = evaluation.intervals.get(name)
        bounds = f"{number(interval[0])} to {number(interval[1])}" if interval else ""
        title = escape(printable(metric_title(name, evaluation.task)))
        shown = f"**{title}**" if name == evaluation.main_metric else title
        rows.append([shown, number(evaluation.metrics[name]), bounds])
    return markdown_table("Metrics", ["Metric", "Value", "95 % interval"], rows)


def _confusion(evaluation: Evaluation) -> str:
    rows = [
        [_name(pair.label), _name(pair.predicted), f"{pair.rows:,}", percent(pair.share)]
        for pair in most_confused(evaluation)
    ]
    return markdown_table("Most often confused", ["Label", "Taken for", "Rows", "Share"], rows)


def _labels(evaluation: Evaluation) -> str:
    weakest_first = sorted(evaluation.per_class, key=lambda row: (not row.support, row.f1))
    rows = [
        [
            _name(row.name),
            number(row.f1),
            number(row.precision),
            number(row.recall),
            f"{row.support:,}",
        ]
        for row in weakest_first
    ]
    return markdown_table("Labels", ["Label", "F1", "Precision", "Recall", "Rows"], rows)


def _mistakes(evaluation: Evaluation) -> str:
    rows = [
        [
            f"{mistake.row:,}",
            _texts(mistake),
            *(_name(name) for name in _sides(mistake)),
            number(mistake.loss) if mistake.probability is None else percent(mistake.probability),
        ]
        for mistake in evaluation.worst
    ]
    several = evaluation.task == "multilabel"
    sides = ["Right", "Missed", "Wrongly given"] if several else ["Label", "Predicted"]
    last = "Off by" if evaluation.task == "regression" else "Sure"
    return markdown_table("Worst mistakes", ["Row", "Text", *sides, last], rows)


def _sides(mistake: Mistake) -> list[str]:
    if mistake.sides is None:
        return [label_text(mistake.label), label_text(mistake.predicted)]
    return [few_names(names) for names in mistake.sides]


def _robustness(evaluation: Evaluation) -> list[str]:
    found = evaluation.robustness
    if found is None:
        return []
    attacks = [
        [
            escape(printable(attack.title)),
            f"{attack.survived:,} of {found.right:,}",
            escape(details_text(attack.details)),
        ]
        for attack in found.attacks
    ]
    rows = [
        [
            f"{one.row:,}",
            _texts(one),
            "<br>".join(escape(change_text(change)) for change in one.changes),
            _name(label_text(one.label)),
            _name(label_text(one.predicted)),
            f"{one.words:,}",
            f"{one.queries:,}",
        ]
        for one in found.broken
    ]
    headings = ["Row", "Text", "Changed words", "Label", "Predicted", "Words", "Queries"]
    return [
        markdown_table("Robustness", ["Attack", "Still right", "Settings and cost"], attacks),
        markdown_table("Texts that broke", headings, rows),
    ]


def _texts(mistake: Mistake | BrokenText) -> str:
    texts = [text for text in (mistake.text, mistake.text_pair) if text is not None]
    return "<br>".join(escape(printable(text, limit=300)) for text in texts)


def _facts(title: str, values: dict[str, object] | dict[str, str]) -> str:
    rows = [[_name(key), escape(setting(value))] for key, value in values.items()]
    return markdown_table(title, ["", ""], rows)


def _name(name: str) -> str:
    return escape(printable(name, limit=200))


def markdown_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a heading and a table of cells that are escaped already; "" without rows."""
    if not rows:
        return ""
    # Numbers stand right; the first column is always a name.
    rule = ["---" if _wordy(rows, index) else "---:" for index in range(len(headings))]
    lines = [f"| {' | '.join(cells)} |" for cells in (headings, rule, *rows)]
    return "\n".join([f"## {title}", "", *lines])


def _wordy(rows: Sequence[Sequence[str]], index: int) -> bool:
    return index == 0 or any(row[index][:1].isalpha() for row in rows if row[index])
