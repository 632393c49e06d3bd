"""An export's report as one self-contained HTML page, by the parts that every report has."""

from __future__ import annotations

from pathlib import Path

from lightning_tune.reports.elements import facts
from lightning_tune.reports.markup import Markup, element
from lightning_tune.reports.page import page
from lightning_tune.tables import replace_file
from lightning_tune_export.report import charts, sections
from lightning_tune_export.report.record import ExportReport

_TITLES = {
    "gate": "Budgets",
    "frontier": "Quality against time",
    "candidates": "Candidates",
    "metrics": "What changed",
    "classes": "Classes",
    "confusion": "Confusion",
    "reliability": "Reliability",
    "flips": "Changed answers",
    "parity": "Parity",
    "pruning": "Pruning",
    "thresholds": "Thresholds",
    "sizes": "Sizes",
    "seconds": "Time",
    "recipe": "Recipe",
}


def export_html(report: ExportReport) -> str:
    """Return the page; every name in it is escaped, and a policy lets none of it run."""
    found = report.comparison
    parity = "The largest logit difference to PyTorch, at shapes, masks and company never exported."
    parts: dict[str, Markup | None] = {
        "gate": sections.gate(report.checks),
        "frontier": charts.frontier(report),
        "candidates": sections.candidates(report.rungs, report.winner),
        "metrics": sections.metrics(report),
        "classes": sections.classes(found),
        "confusion": charts.confusion(report),
        "reliability": charts.reliability(report),
        "flips": sections.flips(found),
        "parity": sections.about("parity", "Parity", report.parity, parity),
        "pruning": sections.about("pruning", "Pruning", report.pruning),
        "thresholds": sections.about(
            "thresholds", "Thresholds", report.calibrated.thresholds or {}
        ),
        "sizes": sections.about("sizes", "Sizes, MB", report.sizes),
        "seconds": sections.about("seconds", "Time, seconds", report.seconds),
        "recipe": sections.about("recipe", "Recipe", report.settings),
    }
    links = {name: _TITLES[name] for name, body in parts.items() if body}
    end = element("footer", facts(report.provenance))
    shown = [part for part in parts.values() if part]
    return page(f"{report.title} · export", sections.header(report, links), *shown, end)


def write_html(path: Path, report: ExportReport) -> None:
    """Write the page; it shows no text of the data."""
    with replace_file(path) as temporary:
        temporary.write_text(export_html(report), encoding="utf-8", errors="replace")
