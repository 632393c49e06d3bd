"""The parts of an export's page: the gate, the candidates, what changed, and the pages' own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lightning_tune.reports.display import (
    TASK_TITLES,
    counted,
    flatten,
    label_text,
    metric_title,
    number,
    percent,
    printable,
)
from lightning_tune.reports.elements import Cell, Column, facts, section, table
from lightning_tune.reports.markup import Markup, breakable, element
from lightning_tune.reports.points import change_text, interval_text, two_digits
from lightning_tune.reports.sections.overview import notes, stat
from lightning_tune_export.comparison import ClassChange, Comparison
from lightning_tune_export.gate import Check
from lightning_tune_export.ladder import Rung, Shape
from lightning_tune_export.report.record import ExportReport
from lightning_tune_export.report.words import (
    at_a_half,
    changed_heading,
    changed_share,
    changes_text,
    signed,
    signed_interval,
    speed_up,
    state_of,
)

_FLIPS_SHOWN = 200
_CLASSES_SHOWN = 100


def header(report: ExportReport, links: Mapping[str, str]) -> Markup:
    """Title, what was exported, the figures that matter most, links to the sections."""
    evaluation = report.after
    about = [
        TASK_TITLES[evaluation.task],
        f"{counted(evaluation.rows, 'row')} of the {evaluation.split} split",
        f"recipe {printable(report.recipe, limit=60)}",
        f"winner {report.winner}",
    ]
    anchors = [element("a", title, href=f"#{name}") for name, title in links.items()]
    return element(
        "header",
        element("p", "Export report", class_="eyebrow"),
        element("h1", printable(report.title, limit=120) or "Bundle"),
        element("p", " · ".join(about), class_="about"),
        element("div", _hero(report), class_="hero"),
        notes(report.notes),
        element("nav", anchors),
    )


def _hero(report: ExportReport) -> list[Markup]:
    found, rung = report.comparison, report.winning
    title, told = metric_title(found.metric), change_text(found.lost, found.lost_interval)
    value = number(report.after.metrics.get(found.metric))
    if report.calibrated.thresholds is None:
        figures = [stat(title, value, told, "main")]
    else:
        fitted = "with the thresholds fitted on validation"
        before, after = (number(each[found.metric]) for each in (found.before, found.after))
        figures = [
            stat(title, value, fitted, "main"),
            stat(f"{title}, 0.5 for every label", after, f"checkpoint {before}: {told}"),
        ]
    if found.classes:
        figures.append(_unchanged(found))
    shape, timing = next(iter(rung.timings.items()))
    figures.append(stat(f"{shape}, median", f"{timing.p50:.2f} ms", speed_up(report, shape)))
    if rung.megabytes is not None:
        figures.append(stat("Model file", f"{rung.megabytes:.1f} MB", _beside_fp32(report)))
    return figures


def _unchanged(found: Comparison) -> Markup:
    same, rows = f"{100 * (1 - found.flipped):.2f} %", len(found.flips)
    if found.choices == 1:
        return stat("Answers unchanged", same, f"{rows:,} of {counted(found.rows, 'row')} changed")
    below = f"{found.changed:,} of {found.decisions:,} changed, in {counted(rows, 'row')}"
    return stat("Label decisions unchanged", same, below)


def _beside_fp32(report: ExportReport) -> str:
    """Say what share of the portable graph's file the winner's is; nothing where it is that one."""
    whole, *others = report.sizes.values() or (0.0,)
    return f"{percent(others[0] / whole)} of the fp32 file's {whole:.1f} MB" if others else ""


def gate(checks: Sequence[Check]) -> Markup:
    """Each figure beside its budget."""
    columns = [
        Column("Budget"),
        Column("Measured", True),
        Column("Limit", True),
        Column("95 % interval", True, "It is told, and does not decide"),
        Column("Left", True),
        Column(""),
    ]
    rows = [
        [
            Cell(check.name),
            Cell(f"{two_digits(check.measured)} {check.unit}", check.measured),
            Cell(f"{check.budget:g} {check.unit}", check.budget),
            Cell(interval_text(check.interval, words=False)),
            Cell(two_digits(check.left), check.left),
            Cell(_verdict(check.passes)),
        ]
        for check in checks
    ]
    lead = "The winner on the test split, which is read once; point estimates decide."
    body = table(columns, rows, sortable=False) if rows else element("p", "No budget is stated.")
    return section("gate", "Budgets", body, lead=lead)


def _verdict(passes: bool) -> Markup:
    shown = "kept" if passes else "missed"
    return element("span", shown, class_=f"chip {'hit' if passes else 'miss'}")


def candidates(rungs: Sequence[Rung], winner: str) -> Markup:
    """Candidates and baselines, measured interleaved, with what each loses on validation."""
    shapes = list(dict.fromkeys(shape for rung in rungs for shape in rung.timings))
    columns = [
        Column(""),
        Column("MB", True),
        *(Column(f"{shape}, ms", True, "Median, and 95th percentile") for shape in shapes),
        Column("Texts/s", True, "Validation texts in batches of like length"),
        Column("Points lost", True, "Of the main metric, on validation"),
        Column(changed_heading(rungs), True, "Of validation; in multi-label, of rows x labels"),
        Column("", note="Whether it keeps the budgets on validation"),
    ]
    rows = [_candidate(rung, shapes, winner) for rung in rungs]
    lead = "Timed in turn, one run of each after the other; p50, and p95 behind the slash."
    return section("candidates", "Candidates", table(columns, rows), lead=lead)


def _candidate(rung: Rung, shapes: Sequence[Shape], winner: str) -> list[Cell]:
    won = rung.name == winner
    name = element("strong", rung.name) if won else element("span", rung.name)
    note = element("small", f" {printable(rung.note, limit=300)}") if rung.note else None
    timings = [rung.timings.get(shape) for shape in shapes]
    found = rung.comparison
    state = state_of(rung, winner)
    return [
        Cell([name, note]),
        Cell("" if rung.megabytes is None else f"{rung.megabytes:.1f}", rung.megabytes),
        *(
            Cell("") if one is None else Cell(f"{one.p50:.2f} / {one.p95:.2f}", one.p50)
            for one in timings
        ),
        Cell(
            "" if rung.texts_per_second is None else f"{rung.texts_per_second:,.0f}",
            rung.texts_per_second,
        ),
        Cell("") if found is None else Cell(two_digits(found.lost), found.lost),
        Cell(
            "" if found is None else changed_share(found),
            None if found is None else found.flipped,
        ),
        Cell(element("span", state, class_=f"chip {'hit' if won else 'both'}")),
    ]


def metrics(report: ExportReport) -> Markup:
    """Every metric of the checkpoint and of the export, with the interval of the change."""
    found, fitted = report.comparison, report.calibrated.thresholds is not None
    columns = [
        Column("Metric"),
        Column("Checkpoint", True),
        Column("Exported", True),
        Column("Change", True),
        Column("95 % interval of the change", True),
        *([Column("With thresholds", True, "What the bundle answers")] if fitted else []),
    ]
    names = sorted(found.before, key=lambda name: name != found.metric)
    rows = []
    for name in names:
        title = metric_title(name, report.after.task)
        rows.append(
            [
                Cell(element("strong", title) if name == found.metric else title),
                Cell(number(found.before[name])),
                Cell(number(found.after[name]), kind="" if fitted else "strong"),
                Cell(signed(found.after[name] - found.before[name])),
                Cell(signed_interval(found.intervals.get(name))),
                *([Cell(number(report.after.metrics[name]), kind="strong")] if fitted else []),
            ]
        )
    lead = f"On {counted(found.rows, 'row')} of {found.split}. "
    if fitted:
        lead += (
            "Checkpoint, export and change with 0.5 for every label, so that thresholds hide no "
            "loss; the last column is what the bundle answers. "
        )
    lead += "Intervals: paired bootstrap over the rows."
    return section("metrics", "What changed", table(columns, rows, sortable=False), lead=lead)


def classes(found: Comparison) -> Markup | None:
    """F1 of every class before and after, what lost most first."""
    if not found.classes:
        return None
    columns = [
        Column("Class"),
        Column("Checkpoint", True),
        Column("Exported", True),
        Column("Points lost", True),
        Column("95 % interval", True),
        Column("Rows", True),
    ]
    ordered = sorted(found.classes, key=lambda each: -each.lost)[:_CLASSES_SHOWN]
    rows = [
        [
            Cell(breakable(label_text(each.name))),
            Cell(number(each.before), each.before),
            Cell(number(each.after), each.after),
            Cell(two_digits(each.lost), each.lost),
            Cell(_lost_interval(each)),
            Cell(f"{each.rows:,}", each.rows),
        ]
        for each in ordered
    ]
    lead = f"F1 by class, on {found.split}{at_a_half(found)}; what lost most first."
    return section("classes", "Classes", table(columns, rows, kind="tall"), lead=lead)


def _lost_interval(change: ClassChange) -> str:
    if change.interval is None:
        return ""
    low, high = change.interval
    return interval_text((-100 * high, -100 * low), words=False)


def flips(comparison: Comparison) -> Markup | None:
    """The rows that are answered in another way, those the checkpoint was surest of first."""
    found = comparison.flips
    if not found:
        return None
    columns = [
        Column("Row", True),
        Column("Where"),
        Column("Label"),
        Column("Checkpoint"),
        Column("Exported"),
        Column("Margin", True, "How far the checkpoint's answer was ahead of the next"),
    ]
    ordered = sorted(found, key=lambda flip: -flip.margin)[:_FLIPS_SHOWN]
    rows = [
        [
            Cell(f"{flip.row:,}", flip.row),
            Cell(breakable(printable(flip.where, limit=120))),
            Cell(breakable(label_text(flip.label))),
            Cell(breakable(label_text(flip.before))),
            Cell(breakable(label_text(flip.after))),
            Cell(number(flip.margin), flip.margin),
        ]
        for flip in ordered
    ]
    lead = f"On {comparison.split}{at_a_half(comparison)}: {changes_text(comparison)}."
    if len(found) > len(ordered):
        lead += f" The {len(ordered)} with the largest margins; report.json has all."
    return section("flips", "Changed answers", table(columns, rows, kind="tall"), lead=lead)


def about(name: str, title: str, values: Mapping[str, Any], lead: str = "") -> Markup | None:
    """Plain values as facts; nothing where there are none."""
    return section(name, title, facts(flatten(values)), lead=lead or None) if values else None
