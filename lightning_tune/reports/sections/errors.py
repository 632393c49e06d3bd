"""Where the model goes wrong: confusion, labels, precision and recall, worst mistakes."""

from __future__ import annotations

from lightning_tune.reports.charts import Frame, Line, line_chart, scatter_chart
from lightning_tune.reports.display import (
    NAMES_UP_TO,
    label_text,
    most_confused,
    number,
    percent,
    printable,
)
from lightning_tune.reports.elements import Cell, Column, bar, figure, key, section, table
from lightning_tune.reports.heatmap import LABELS_UP_TO, confusion_svg
from lightning_tune.reports.markup import Child, Markup, breakable, element
from lightning_tune.reports.records import ClassScores, Evaluation, Mistake
from lightning_tune.schema import Label

_TEXT_SHOWN = 900
_OPEN = 10


def confusion(evaluation: Evaluation) -> Markup | None:
    """The confusion matrix beside the pairs that are confused most."""
    if not evaluation.confusion:
        return None
    drawing = confusion_svg(evaluation.labels, evaluation.confusion)
    pairs = most_confused(evaluation)
    columns = [
        Column("Label"),
        Column("Taken for"),
        Column("Rows", True),
        Column("Share", True, "Of the rows that hold the label"),
    ]
    rows = [
        [
            Cell(breakable(label_text(pair.label))),
            Cell(breakable(label_text(pair.predicted))),
            Cell(f"{pair.rows:,}", pair.rows),
            Cell(percent(pair.share), pair.share),
        ]
        for pair in pairs
    ]
    beside = element("div", element("h3", "Most often confused"), table(columns, rows))
    lead = "Each row is a label: blue is right, orange is taken for another, by share of the row."
    if len(evaluation.labels) > LABELS_UP_TO:
        lead += " Point at a cell to read it."
    parts = [element("div", drawing, class_="matrix"), beside if pairs else None]
    kind = "split wide" if len(evaluation.labels) > 6 else "split"
    return section("confusion", "Confusion", element("div", *parts, class_=kind), lead=lead)


def labels(evaluation: Evaluation) -> Markup | None:
    """Every label's scores, the weakest first."""
    if not evaluation.per_class:
        return None
    columns = [
        Column("Label"),
        Column("F1", True),
        Column("Precision", True, "Of the rows that were given this label, the share that hold it"),
        Column("Recall", True, "Of the rows that hold this label, the share that were given it"),
        Column("Average precision", True, "Area under the precision-recall curve"),
        Column("Rows", True, "Rows that hold this label"),
        Column("Predicted", True, "Rows that were given this label"),
    ]
    weakest_first = sorted(evaluation.per_class, key=lambda row: (not row.support, row.f1))
    rows = [_label_row(row) for row in weakest_first]
    lead = "The weakest first; a click on a heading sorts."
    return section("labels", "Labels", table(columns, rows, kind="tall"), lead=lead)


def _label_row(row: ClassScores) -> list[Cell]:
    measured = [row.f1, row.precision, row.recall]
    area = row.average_precision
    return [
        Cell(breakable(label_text(row.name))),
        *(Cell(bar(value, number(value)), value) for value in measured),
        Cell(number(area), area),
        Cell(f"{row.support:,}", row.support),
        Cell(f"{row.predicted:,}", row.predicted),
    ]


def precision_recall(evaluation: Evaluation) -> Markup | None:
    """All labels' curves in grey, the weakest in colour, the pooled one strong."""
    curves = {name: points for name, points in evaluation.precision_recall.items() if points}
    if not curves:
        return None
    pooled = curves.pop("micro", None)
    areas = {row.name: row.average_precision or 0.0 for row in evaluation.per_class}
    weakest = sorted(curves, key=lambda name: areas.get(name, 0.0))[: 3 if len(curves) > 2 else 2]
    colors = {name: index + 1 for index, name in enumerate(weakest)}
    lines = [Line(label_text(name), curves[name], None) for name in curves if name not in colors]
    lines += [Line(label_text(name), curves[name], colors[name]) for name in reversed(weakest)]
    entries = [key(colors[name], name, number(areas.get(name))) for name in weakest]
    if pooled:
        lines.append(Line("all labels pooled", pooled, 0, "strong"))
        entries.insert(0, key(0, "all labels pooled"))
    if len(curves) > len(weakest):
        entries.append(key(None, f"{len(curves) - len(weakest)} other labels"))
    frame = Frame("Precision against recall", 720, 360, (0, 1), (0, 1), "recall", "precision")
    drawing = figure("", line_chart(lines, frame), legend=entries, kind="large")
    lead = "The curves with the lowest average precision are in colour."
    if len(curves) <= len(weakest):
        lead = "With each label's average precision."
    return section("precision-recall", "Precision and recall", drawing, lead=lead)


def scatter(evaluation: Evaluation) -> Markup | None:
    """Labels against predictions of a regression."""
    if not evaluation.scatter:
        return None
    frame = Frame("Prediction against label", 620, 460, x_label="label", y_label="prediction")
    lead = "On the dashed line, prediction and label agree."
    if evaluation.rows > len(evaluation.scatter):
        lead += f" A sample of {len(evaluation.scatter):,} of {evaluation.rows:,} rows."
    drawing = figure("", scatter_chart(evaluation.scatter, frame), kind="large square")
    return section("scatter", "Predictions", drawing, lead=lead)


def worst(evaluation: Evaluation) -> Markup | None:
    """The mistakes that cost most: text, label, answer, and how sure the model was."""
    if not evaluation.worst:
        return None
    items = [_mistake(mistake) for mistake in evaluation.worst]
    shown = element("ol", items[:_OPEN], class_="mistakes")
    rest = items[_OPEN:]
    folded = element(
        "details",
        element("summary", f"{len(rest)} more"),
        element("ol", rest, class_="mistakes"),
    )
    far = evaluation.task == "regression"
    lead = (
        "The predictions furthest from their labels."
        if far
        else "Where the model was surest and wrong. Some of these labels may themselves be wrong."
    )
    return section("mistakes", "Worst mistakes", shown, folded if rest else None, lead=lead)


def _mistake(mistake: Mistake) -> Markup:
    # dir=auto: each text is laid out in its own direction, whatever stands around it.
    texts = [
        element("p", printable(text, limit=_TEXT_SHOWN, one_line=False), dir="auto", class_="text")
        for text in (mistake.text, mistake.text_pair)
        if text is not None
    ]
    verdict = element(
        "dl",
        _sides(mistake),
        _sureness(mistake),
        class_="verdict" if mistake.sides is None else "verdict sides",
    )
    row = element("span", f"row {mistake.row:,}", class_="row")
    return element("li", element("div", texts, row), verdict)


def _sides(mistake: Mistake) -> list[Markup]:
    """Label and answer; in multi-label what is right, missed and wrongly given."""
    if mistake.sides is None:
        return [
            fact("label", chips(mistake.label, mistake.predicted, "hit")),
            fact("model", chips(mistake.predicted, mistake.label, "miss")),
        ]
    named = zip(
        ("right", "missed", "wrongly given"), mistake.sides, ("both", "hit", "miss"), strict=True
    )
    return [fact(name, _few_chips(names, kind)) for name, names, kind in named if names]


def _few_chips(names: tuple[str, ...], kind: str) -> list[Markup]:
    more = len(names) - NAMES_UP_TO
    shown = chips(names[:NAMES_UP_TO], (), kind)
    return [*shown, element("span", f"and {more} more")] if more > 0 else shown


def chips(label: Label, other: Label, kind: str) -> list[Markup]:
    """The names of a label; those that the other side agrees on are quiet."""
    if not isinstance(label, tuple):
        return [element("span", breakable(label_text(label)), class_=f"chip {kind}")]
    agreed = other if isinstance(other, tuple) else ()
    names = [
        element(
            "span", breakable(label_text(name)), class_=f"chip {'both' if name in agreed else kind}"
        )
        for name in label
    ]
    return names or [element("span", "none", class_=f"chip {kind}")]


def _sureness(mistake: Mistake) -> Markup:
    if mistake.probability is None:
        return fact("off by", element("span", number(mistake.loss)))
    return fact("sure", bar(mistake.probability, percent(mistake.probability)))


def fact(name: str, value: Child) -> Markup:
    """An entry of a verdict."""
    return element("div", element("dt", name), element("dd", value))
